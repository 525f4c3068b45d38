"""The learner's parts in one file: my_gpt2/gpt2.py, a GPT-2 that runs with torch alone.

Each part is a kept answer, or the package's where there is none. What they import is gathered at
the top; a part whose helpers share a name with something else in the file stands in a function of
its own. `program.py` comes last. The file is sealed: one that was edited by hand is set aside.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import os
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2course.checks import engine
from gpt2course.checks.room import reference_source
from gpt2course.config import GPT2Config
from gpt2course.files import CONFIG, COURSE_FOLDER, write_whole
from gpt2course.learner import workbook
from gpt2course.learner.answer_source import names_bound, names_used

IMPORTS = (ast.Import, ast.ImportFrom)
SEAL = "# assembled: "
KEPT = re.compile(rf"# \w+ \(lesson .*: my answer$|{workbook.CHECKED}")  # of a kept answer
PROGRAM = Path(__file__).with_name("program.py")
COURSE_FILES = (CONFIG, "model.safetensors", "gpt2course-tokenizer.json")
# What an answer of a room may use without an import, as in a notebook.
NOTEBOOK = {
    "torch": "import torch",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "math": "import math",
    "np": "import numpy as np",
    "Tensor": "from torch import Tensor",
}
SHAPES = {name: f"from jaxtyping import {name}" for name in ("Bool", "Float", "Int")}
SHAPES["Tensor"] = NOTEBOOK["Tensor"]
ALIASES = {"Past": "Past = tuple", "Pair": "Pair = tuple"}  # of kv_cache, for annotations


class NotAlone(ValueError):
    """A text needs something that the one file will not have."""


@dataclass(frozen=True)
class Import:
    """One name that an import binds, and what it is, however the import is written."""

    name: str
    what: str  # "torch.nn.functional"
    line: str


@dataclass(frozen=True)
class Part:
    """One component as it goes into the file.

    Attributes:
        own: whether it is the learner's.
        body: its code without imports.
        imports: those that its code needs; for_types: those that only annotations need.
        needs: other components that it uses.
        binds: the names that its code defines at the top.
    """

    name: str
    lesson: str
    own: bool
    body: str
    imports: tuple[Import, ...] = ()
    for_types: tuple[Import, ...] = ()
    needs: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Assembled:
    """The one file.

    Attributes:
        parts: its components, in the order in which they stand there.
        said: what the learner should know: parts that could not be used, a file set aside.
    """

    path: Path
    parts: tuple[Part, ...]
    said: tuple[str, ...] = field(default=())

    @property
    def own(self) -> list[str]:
        return [part.name for part in self.parts if part.own]

    @property
    def missing(self) -> list[str]:
        """The components that are still the package's."""
        return [part.name for part in self.parts if not part.own]

    def module(self, **instead: Any) -> ModuleType:
        """The file as a module whose models have the package's kind of config.

        Args:
            instead: other values in the place of some of its parts, to see what breaks.
        """
        module = ModuleType("my_gpt2_in_one_file")
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module  # dataclasses look their module up
        exec(compile(self.path.read_bytes(), str(self.path), "exec"), vars(module))
        vars(module).update({"GPT2Config": GPT2Config} | instead)
        return module

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {len(self.own)} of {len(self.parts)} parts are yours."]
        by_lesson = defaultdict(list)
        for part in self.parts:
            if not part.own:
                by_lesson[part.lesson].append(part.name)
        if by_lesson:
            lines.append("Still the package's:")
        lines += [f"    lesson {key[:2]}: {', '.join(by_lesson[key])}" for key in sorted(by_lesson)]
        return "\n".join([*lines, *self.said])


def assemble() -> Assembled:
    """Write the workbook's parts into one file, beside a copy of the course model.

    Nothing in the workbook is changed but a damaged part, which `workbook.load` sets aside.

    Raises:
        OSError: the workbook's folder can't be written.
    """
    said: list[str] = []
    for name in workbook.kept_names():  # each by itself first, so that what is wrong is told here
        workbook.load(name, said.append)
    parts = _in_order(_chosen(said.append))
    program = replace(_taken_apart(PROGRAM.read_text(encoding="utf-8"), "", False), lesson="")
    path = target()
    text = _sealed(_text(parts, program))
    _set_edited_aside(path, text, said.append)
    write_whole(path, text.encode())
    for name in COURSE_FILES:
        content, copy = (COURSE_FOLDER / name).read_bytes(), path.parent / "course_model" / name
        if not copy.exists() or copy.read_bytes() != content:
            write_whole(copy, content)
    return Assembled(path, tuple(parts), tuple(dict.fromkeys(said)))


def target() -> Path:
    """my_gpt2/gpt2.py; my_gpt2.py where the file system can't tell that from the kept GPT2.py."""
    folder = workbook.folder()
    folder.mkdir(parents=True, exist_ok=True)
    other = folder.with_name(folder.name.swapcase())
    same = other.exists() and other.samefile(folder)
    return folder / ("my_gpt2.py" if same else "gpt2.py")


# Whose part, and which ---------------------------------------------------------------------------


def _chosen(report: Callable[[str], None]) -> dict[str, Part]:
    """The parts that the program needs, and those that they need; the learner's where it can be."""
    program = _taken_apart(PROGRAM.read_text(encoding="utf-8"), "", False)
    parts: dict[str, Part] = {}
    waiting = sorted(program.needs, key=engine.names().index)
    while waiting:
        name = waiting.pop(0)
        if name not in parts:
            parts[name] = _own(name, report) or _ours(name)
            waiting += sorted(parts[name].needs)
    while circle := _circle(parts):
        last = max((name for name in circle if parts[name].own), key=engine.names().index)
        report(f"{' and '.join(sorted(circle))} use each other; {last} is the package's here.")
        parts[last] = _ours(last)
        for name in parts[last].needs - parts.keys():
            parts[name] = _own(name, report) or _ours(name)
    return parts


def _own(name: str, report: Callable[[str], None]) -> Part | None:
    """The kept answer, where there is one that can stand in the file."""
    if workbook.load(name, report) is None:
        return None
    path = workbook.path_of(name)
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    try:
        return _taken_apart(text, name, True)
    except NotAlone as error:
        report(
            f"{path.name} needs {error}, which the one file will not have; {name} is the package's "
            f"there. Write it with torch and your other parts, and check it again."
        )
        return None


def _ours(name: str) -> Part:
    """The package's: its source; where that needs more of the package, an answer of its room.

    Of the answers that stand alone it is the one with the most components, as those may be the
    learner's.
    """
    exercise = engine.find(name)
    with contextlib.suppress(NotAlone):
        return _taken_apart(reference_source(exercise.reference), name, False)
    found: list[Part] = []
    for answer in exercise.right_answers:
        with contextlib.suppress(NotAlone):
            found.append(_taken_apart(answer.source, name, False))
    if not found:
        raise NotAlone(f"no answer of {name} that stands alone; add one to its room's answers.md")
    return max(found, key=lambda part: len(part.needs))


def _circle(parts: dict[str, Part]) -> set[str]:
    """Learner's parts that need each other at once; empty where there are none."""

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        waiting = [*parts[name].needs]
        while waiting:
            if (other := waiting.pop()) not in found:
                found.add(other)
                waiting += parts[other].needs
        return found

    below = {name: reached(name) for name in parts}
    for name, found in below.items():
        circle = {other for other in found if name in below[other]}
        if circle and any(parts[other].own for other in circle):
            return circle
    return set()


def _in_order(parts: dict[str, Part]) -> list[Part]:
    """Each part behind those that it needs, else in the order of the course."""
    order: dict[str, Part] = {}

    def put(name: str) -> None:
        for other in sorted(parts[name].needs - order.keys(), key=engine.names().index):
            put(other)
        order[name] = parts[name]

    for name in sorted(parts, key=engine.names().index):
        if name not in order:
            put(name)
    return list(order.values())


# A text taken apart ------------------------------------------------------------------------------


class _Bare(ast.NodeTransformer):
    """Code without its annotations, which `from __future__ import annotations` never computes."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        value = node.value or ast.Constant(None)
        bare = ast.Assign([node.target], value, lineno=node.lineno)
        return self.generic_visit(bare)


def _taken_apart(text: str, name: str, own: bool) -> Part:
    """The imports of a text, its code, and what that needs.

    Raises:
        NotAlone: it needs something of the package that is no component, or an undefined name.
    """
    statements = ast.parse(text).body
    code = [s for s in statements if _is_code(s)]
    imports, components = _imports_of([s for s in statements if isinstance(s, IMPORTS)])
    inside = [ast.unparse(n) for s in code for n in ast.walk(s) if isinstance(n, IMPORTS)]
    if wrong := [line for line in inside if "gpt2course" in line]:
        raise NotAlone(f"`{wrong[0]}`")
    body = _code_of(text, code)
    aliases = [f"{a} = {b}" for a, b in components.items() if a != b]
    bound = set().union(*map(names_bound, code)) | {a for a, b in components.items() if a != b}
    needs = {b for b in components.values() if b in engine.names()}
    read = set().union(*map(_read_by, code))
    types = set().union(*map(names_used, code)) - read
    given = {one.name for one in imports} | components.keys()
    for free in sorted(read - bound - given - {*dir(builtins), "__file__", "__name__"}):
        if free in engine.names() and free != name:
            needs.add(free)
        elif free in NOTEBOOK and not own:
            found, _ = _imports_of(ast.parse(NOTEBOOK[free]).body)
            imports += found
        else:
            raise NotAlone(f"`{free}`")
    if not own:  # a function out of a module, whose imports stay behind
        for name_of_type in sorted(types - given - {*dir(builtins)} - {"GPT2Config", "torch"}):
            if name_of_type in ALIASES:
                imports.append(Import(name_of_type, "tuple", ALIASES[name_of_type]))
            elif name_of_type in SHAPES:
                imports += _imports_of(ast.parse(SHAPES[name_of_type]).body)[0]
            else:
                raise NotAlone(f"`{name_of_type}`")
    return Part(
        name,
        engine.find(name).lesson if name else "",
        own,
        "\n".join([*aliases, *[""] * bool(aliases), body]),
        tuple(one for one in imports if one.name in read),
        tuple(one for one in imports if one.name in types),
        frozenset(needs - {name}),
        frozenset(bound),
    )


def _is_code(statement: ast.stmt) -> bool:
    """Whether it is neither an import nor a text alone, as a docstring is."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return not text and not isinstance(statement, IMPORTS)


def _read_by(statement: ast.stmt) -> set[str]:
    """The names that a statement reads when it runs, not those of its annotations."""
    bare = _Bare().visit(ast.parse(ast.unparse(statement)))
    return set().union(*map(names_used, ast.fix_missing_locations(bare).body))


def _imports_of(statements: list[ast.stmt]) -> tuple[list[Import], dict[str, str]]:
    """What other packages give, and the components by the names under which they are used."""
    found, components = [], {}
    for statement in statements:
        module = getattr(statement, "module", None)
        if module == "__future__":
            continue
        for alias in statement.names:
            bound = alias.asname or alias.name.split(".")[0]
            what = f"{module}.{alias.name}" if module else alias.name
            if what.split(".")[0] == "gpt2course" or getattr(statement, "level", 0):
                if alias.name not in engine.names() and alias.name != "GPT2Config":
                    raise NotAlone(f"`{ast.unparse(statement)}`")
                components[bound] = alias.name
            elif bound == "*":
                raise NotAlone(f"`{ast.unparse(statement)}`")
            else:
                kind = ast.ImportFrom(module, [alias], 0) if module else ast.Import([alias])
                what = what if alias.asname or module else bound
                found.append(Import(bound, what, ast.unparse(kind)))
    return found, components


def _code_of(text: str, code: list[ast.stmt]) -> str:
    """The text without its imports, its docstring and the first lines of a kept answer."""
    statements = ast.parse(text).body
    taken = {
        n
        for s in statements
        if not _is_code(s)
        for n in range(s.lineno, (s.end_lineno or s.lineno) + 1)
    }
    lines = [line for n, line in enumerate(text.split("\n"), 1) if n not in taken]
    kept = [line for line in lines if not KEPT.match(line)]
    body = re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)).strip("\n")
    try:
        same = ast.dump(ast.parse(body)) == ast.dump(ast.Module(code, []))
    except SyntaxError:
        same = False
    return body if same else "\n\n\n".join(map(ast.unparse, code))  # an import shared its line


# The text of the file ----------------------------------------------------------------------------


def _text(parts: Iterable[Part], program: Part) -> str:
    parts = list(parts)
    alone = _clashing(parts, program)
    flat = [part for part in parts if part.name not in alone]
    imports: dict[str, Import] = {}
    for one in (one for part in [*flat, program] for one in part.imports):
        imports.setdefault(one.line if one.name == one.what else one.name, one)
    known = {one.name for one in imports.values()}
    types = (one for part in [*parts, program] for one in part.for_types)
    for_types = {one.name: one.line for one in types if one.name not in known}
    packages = sorted(
        {one.what.split(".")[0] for part in [*parts, program] for one in part.imports}
    )
    needed = [name for name in packages if name not in sys.stdlib_module_names]
    head = [_docstring(parts, needed), "from __future__ import annotations"]
    lines = [one.line for one in imports.values()]
    head.append(_sorted(["from typing import TYPE_CHECKING", *lines]))
    if for_types:
        inner = textwrap.indent(_sorted(for_types.values()), "    ")
        head.append(f"if TYPE_CHECKING:  # only the annotations below need these\n{inner}")
    blocks = ["\n\n".join(head)]
    blocks += [_block(part, part.name in alone) for part in parts]
    blocks.append(
        f"{_line('The program around the parts: the same for everybody')}\n\n\n{program.body}"
    )
    return "\n\n\n".join(blocks) + "\n"


def _docstring(parts: list[Part], needed: list[str]) -> str:
    own = sum(part.own for part in parts)
    ours = [f"{part.name} ({part.lesson[:2]})" for part in parts if not part.own]
    said = f"{own} of {len(parts)} parts are my own."
    said += f" The package's, with the lesson that builds each: {', '.join(ours)}." * bool(ours)
    wrapped = textwrap.fill(said, 96)
    return (
        f'"""My GPT-2 in one file: python gpt2.py "A robot must"\n\n{wrapped}\n\n'
        f'It needs {", ".join(needed)}. `python -m gpt2course assemble` writes it anew.\n"""'
    )


def _line(said: str) -> str:
    return f"# {said} ".ljust(100, "-")


def _block(part: Part, alone: bool) -> str:
    lesson = f"lesson {part.lesson[:2]}"
    whose = "mine" if part.own else f"the package's; mine once it passes in {part.lesson}.ipynb"
    body = _in_a_function(part) if alone else part.body
    return f"{_line(f'{part.name}, {lesson}: {whose}')}\n\n\n{body}"


def _clashing(parts: list[Part], program: Part) -> set[str]:
    """The parts with helpers or imports whose names mean something else elsewhere in the file."""
    meanings: dict[str, set[str]] = defaultdict(set)
    for name in dir(builtins):
        meanings[name].add("Python's")
    for part in [*parts, program]:
        meanings[part.name].add(f"component {part.name}")
        for one in part.imports:
            meanings[one.name].add(one.what)
        for name in part.binds - {part.name}:
            meanings[name].add(f"helper of {part.name}")
    return {
        part.name for part in parts
        if any(len(meanings[name]) > 1
               for name in (part.binds | {one.name for one in part.imports}) - {part.name})
    }  # fmt: skip


def _in_a_function(part: Part) -> str:
    """A part within a function, where its helpers and imports are its own."""
    body = part.body
    for node in ast.walk(ast.parse(body)):  # what was global is now the function's
        if isinstance(node, ast.Global) and set(node.names) <= part.binds:
            lines = body.split("\n")
            line = lines[node.lineno - 1]
            changed = line[: node.col_offset] + line[node.col_offset :].replace(
                "global", "nonlocal", 1
            )
            lines[node.lineno - 1] = changed
            body = "\n".join(lines)
    imports = [one.line for one in part.imports]
    inside = "\n\n".join([*[_sorted(imports)] * bool(imports), body])
    in_a_string = {
        line
        for node in ast.walk(ast.parse(inside))
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }
    indented = [
        f"    {line}" if line and n not in in_a_string else line
        for n, line in enumerate(inside.split("\n"), 1)
    ]
    made = f"_{part.name}_alone"
    about = f'    """{part.name}, apart: a name in here means something else outside."""'
    return "\n".join(
        [f"def {made}():", about, "", *indented, "", f"    return {part.name}", "", "",
         f"{part.name} = {made}()"]
    )  # fmt: skip


def _sorted(lines: Iterable[str]) -> str:
    """Imports in the usual order: Python's own first, `import` before `from`, one line a module."""
    plain, names = set(), defaultdict(set)
    for line in lines:
        module, found, name = line.removeprefix("from ").partition(" import ")
        if found:
            names[module].add(name)
        else:
            plain.add(line)
    plain |= {f"from {module} import {', '.join(sorted(names[module]))}" for module in names}
    groups: dict[bool, list[str]] = {True: [], False: []}
    for line in sorted(plain, key=lambda line: (line.startswith("from"), line)):
        groups[re.split(r"[ .]", line)[1] in sys.stdlib_module_names].append(line)
    return "\n\n".join("\n".join(groups[own]) for own in (True, False) if groups[own])


def _sealed(body: str) -> str:
    return f"{SEAL}{workbook.digest(body)}\n{body}"


def _set_edited_aside(path: Path, text: str, report: Callable[[str], None]) -> None:
    """Keep a file that was edited since it was written, under a name with the date."""
    if not path.exists():
        return
    before = path.read_bytes().decode("utf-8", errors="replace")
    first, _, body = before.partition("\n")
    if before == text or first == f"{SEAL}{workbook.digest(body)}":
        return
    when = f"{datetime.now():%Y-%m-%d-%H%M%S}"
    names = [
        f"{path.stem}.edited-{when}.py",
        *(f"{path.stem}.edited-{when}-{i}.py" for i in range(2, 99)),
    ]
    aside = next(p for name in names if not (p := path.with_name(name)).exists())
    os.replace(path, aside)
    report(f"{path.name} was edited by hand; it was kept as {aside.name}.")
