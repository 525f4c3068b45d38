"""What a lesson's room says in Markdown: other right answers, and mistakes as edits of right ones.

answers.md holds, under `# exercise` and `## title`, a ```python block: a whole answer as a learner
would write it. mistakes.md holds, under `# exercise` and `## name of the mistake`, one or more ways
to make it and, in the remaining paragraphs, what to tell whoever made it. A way is

  - a line of edits, `old` → `new`, several of them joined by commas, all made at once;
  - a ```diff block, whose lines with - and without a sign are found and replaced;
  - a ```python block with a whole answer.

hints.json holds what the lesson says between the exercise and the code before it, under "Hint 1",
"Hint 2" and so on; building the notebooks writes it.

Edits apply to the first right answer in which every `old` occurs exactly once: the reference, then
those of answers.md in their order. `in *title*:` before the edits names the answer instead.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(\w*)\s*$")
EDIT = re.compile(r"`([^`]+)` → (?:`([^`]*)`|nothing)")
EDITS = re.compile(rf"(?:in \*(?P<base>[^*]+)\*: )?(?P<edits>{EDIT.pattern}(?:, {EDIT.pattern})*)")


class RoomFault(ValueError):
    """A Markdown file of a room that cannot be used: file, line, heading and reason."""


@dataclass
class Section:
    """What stands under one `##` heading: its paragraphs and blocks, each with its line."""

    title: str
    line: int
    paragraphs: list[tuple[int, str]] = field(default_factory=list)
    blocks: list[tuple[int, str, str]] = field(default_factory=list)  # line, language, code


@dataclass(frozen=True)
class Mistake:
    """A known mistake: its name, what to tell whoever makes it, and the ways to make it."""

    name: str
    why: str
    ways: tuple[str, ...]  # the source of a whole wrong answer each


@dataclass(frozen=True)
class RightAnswer:
    """Another right answer, as a learner would write it."""

    title: str
    source: str


def sections(path: Path) -> dict[str, list[Section]]:
    """The sections of a file by exercise, in their order; a missing file has none."""
    found: dict[str, list[Section]] = {}
    if not path.exists():
        return found
    here: list[Section] = []
    for line, kind, text in _pieces(path.read_text(encoding="utf-8")):
        if kind == "#":
            here = found.setdefault(text, [])
        elif kind == "##":
            here.append(Section(text, line))
        elif not here:
            continue  # an introduction
        elif kind == "paragraph":
            here[-1].paragraphs.append((line, text))
        else:
            here[-1].blocks.append((line, kind, text))
    return found


def _pieces(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, kind, text) of every heading, paragraph and fenced block."""
    lines = text.split("\n") + [""]
    paragraph: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        fence, heading = FENCE.match(line), re.match(r"(##?) (.+)", line)
        if paragraph and (fence or heading or not line.strip()):
            yield number - len(paragraph) + 1, "paragraph", "\n".join(paragraph)
            paragraph = []
        if fence:
            end = next((i for i in range(number + 1, len(lines)) if lines[i] == "```"), len(lines))
            yield number + 1, fence[1], "\n".join(lines[number + 1 : end])
            number = end
        elif heading:
            yield number + 1, heading[1], heading[2].strip()
        elif line.strip():
            paragraph.append(line)
        number += 1


def read_hints(path: Path, exercise: str) -> list[str]:
    """The lesson's hints for one exercise as HTML, from a nudge to nearly the answer."""
    if not path.exists():
        return []
    return json.loads(path.read_text(encoding="utf-8")).get(exercise, [])


def read_answers(path: Path, exercise: str) -> list[RightAnswer]:
    """The other right answers of one exercise."""
    found = []
    for section in sections(path).get(exercise, []):
        code = [block for _, language, block in section.blocks if language == "python"]
        if len(code) != 1:
            raise RoomFault(
                f"{path.name}:{section.line}: {section.title!r} of {exercise} needs one ```python "
                f"block with a whole answer, and has {len(code)}"
            )
        found.append(RightAnswer(section.title, code[0]))
    return found


def read_mistakes(
    path: Path, exercise: str, reference: str, answers: list[RightAnswer]
) -> list[Mistake]:
    """The known mistakes of one exercise, every way resolved to the source of a whole answer.

    Args:
        reference: the source of the reference, to which edits apply first.

    Raises:
        RoomFault: an edit does not apply, or there is no way or no explanation.
    """
    bases = {"": without_docstrings(reference), **{a.title: a.source for a in answers}}
    found: list[Mistake] = []
    for section in sections(path).get(exercise, []):
        where = f"{path.name}:{section.line}: {section.title!r} of {exercise}"
        ways, why = [], []
        for line, text in section.paragraphs:
            made = [EDITS.fullmatch(one) for one in text.split("\n")]
            if all(made):
                ways += [_edited(m, bases, f"{path.name}:{line}: {section.title!r}") for m in made]
            else:
                why.append(" ".join(text.split("\n")))
        for line, language, code in section.blocks:
            if language == "diff":
                ways.append(_patched(code, bases, f"{path.name}:{line}: {section.title!r}"))
            elif language == "python":
                ways.append(code)
            else:
                raise RoomFault(f"{where}: a block is ```python or ```diff, not ```{language}")
        if not ways:
            raise RoomFault(f"{where} has no edit (`old` → `new`) and no ```python block")
        if not why:
            raise RoomFault(f"{where} does not say what to tell whoever makes it")
        if any(mistake.name == section.title for mistake in found):
            raise RoomFault(f"{where} stands there twice; give both their ways under one heading")
        found.append(Mistake(section.title, "\n".join(why), tuple(ways)))
    return found


def _edited(line: re.Match[str], bases: dict[str, str], where: str) -> str:
    edits = [(m[1], m[2] or "") for m in EDIT.finditer(line["edits"])]
    return _replaced(edits, bases, line["base"], where)


def _patched(diff: str, bases: dict[str, str], where: str) -> str:
    """A ```diff block as one edit of consecutive lines, at whatever indent they stand."""
    lines = textwrap.dedent("\n".join(line[1:] for line in diff.split("\n"))).split("\n")
    signed = list(zip(diff.split("\n"), lines, strict=True))
    old = "\n".join(line for sign, line in signed if sign[:1] != "+")
    new = "\n".join(line for sign, line in signed if sign[:1] != "-")
    for base, text in bases.items():
        for depth in range(0, 24, 4):
            was, put = (textwrap.indent(part, " " * depth) for part in (old, new))
            if f"\n{text}\n".count(f"\n{was}\n") == 1:
                return _replaced([(was, put)], {base: text}, None, where)
    raise RoomFault(f"{where}: the lines of this block are found exactly once in no right answer")


def _replaced(
    edits: list[tuple[str, str]], bases: dict[str, str], named: str | None, where: str
) -> str:
    if named is not None and named not in bases:
        titles = ", ".join(filter(None, bases)) or "none"
        raise RoomFault(f"{where}: there is no right answer *{named}*; answers.md has {titles}")
    tried = [bases[named]] if named is not None else list(bases.values())
    for text in tried:
        if all(text.count(old) == 1 for old, _ in edits):
            edited = _all_at_once(text, edits, where)
            if edited in tried:
                raise RoomFault(f"{where}: the edit changes nothing")
            return edited
    counts = "; ".join(f"`{old}` {[text.count(old) for text in tried]} times" for old, _ in edits)
    raise RoomFault(
        f"{where}: what an edit replaces must occur exactly once in a right answer, and "
        f"is found {counts} in {[name or 'the reference' for name in bases]}"
    )


def _all_at_once(text: str, edits: list[tuple[str, str]], where: str) -> str:
    pieces, end = [], 0
    for start, old, new in sorted((text.index(old), old, new) for old, new in edits):
        if start < end:
            raise RoomFault(f"{where}: `{old}` overlaps with what another edit of it replaces")
        pieces += [text[end:start], new]
        end = start + len(old)
    return "".join(pieces) + text[end:]


def without_docstrings(source: str) -> str:
    """The source of a function or class, dedented, without its docstrings and annotations' help."""
    source = textwrap.dedent(source)
    return re.sub(r'^[ ]+"""(?:[^"]|"(?!""))*"""\n(?:[ ]*\n)?', "", source, flags=re.M)


def reference_source(reference: Callable[..., Any]) -> str:
    """The text of the package's own component."""
    return inspect.getsource(inspect.unwrap(reference))
