"""The learner's workbook: every answer that passed, as one readable Python file.

The folder is `my_gpt2/` beside the `my_lessons/` or `lessons/` that the notebook is in or under,
else beside the notebook, or what GPT2COURSE_WORKBOOK says. A file is written whole under a
temporary name and then renamed, so that two notebooks can write at once and a crash leaves the old
file. Only answers that pass are written; nothing is ever deleted.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2course.checks import engine
from gpt2course.files import write_whole
from gpt2course.learner.answer_source import NoSource, NotSelfContained, compose

CHECKED = "# checked: "
LESSONS = ("my_lessons", "lessons")  # a learner's copies; as they were published
_loaded: dict[str, tuple[bytes, Any]] = {}  # name: the file's bytes, what it defines
_loading: list[str] = []
_in_session: dict[str, Any] = {}  # what passed in this kernel


@dataclass(frozen=True)
class Kept:
    """Where an answer was kept; or, with path None, why it was not."""

    path: Path | None
    why_not: str = ""


def folder() -> Path:
    """The workbook's folder; it need not exist yet."""
    if named := os.environ.get("GPT2COURSE_WORKBOOK"):
        return Path(named).expanduser()
    return root() / "my_gpt2"


def root() -> Path:
    """The folder above the learner's copies of the lessons, or the current one without any."""
    here = Path.cwd()
    above = (r for r in (here, *here.parents) for name in LESSONS if (r / name).is_dir())
    return next(above, here)


def notebooks() -> Path:
    """The folder of the notebooks that the learner works in."""
    return next((p for name in LESSONS if (p := root() / name).is_dir()), root())


def path_of(name: str) -> Path:
    """The file in which an exercise's answer is kept."""
    return folder() / f"{name}.py"


def keep(name: str, answer: Callable[..., Any]) -> Kept:
    """Keep an answer that passed, if it still passes when it stands alone."""
    _in_session[name] = answer
    try:
        body = compose(name, answer, _parts(name))
    except NotSelfContained as error:
        return Kept(None, _leans_on(name, error.names))
    except NoSource as error:
        return Kept(None, f"{error}; write it at the top of a cell and check it again.")
    text = f"# {name} (lesson {engine.find(name).lesson}): my answer\n{_seal(body)}{body}"
    try:
        alone = _execute(name, text, path_of(name))
    except Exception as error:
        return Kept(None, f"on its own it raises {type(error).__name__}: {error}.")
    result = engine.run(name, alone)
    if not result.passed:
        return Kept(None, f"on its own, without the notebook, it does not pass: {result.finding}")
    try:
        write_whole(path_of(name), text.encode())
    except OSError as error:
        return Kept(None, _not_writable(error))
    return Kept(path_of(name))


def load(name: str, report: Callable[[str], None]) -> Any | None:
    """The learner's answer from the workbook, or None where there is none that can be used.

    A file that was edited by hand since it passed is checked again. One that is no Python, or
    does not define its name, is set aside under another name. `report` gets a sentence on each.
    """
    path = path_of(name)
    if name in _loading:  # two answers that import each other: one of them gets the package's
        return None
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        report(f"{path} can't be read ({error.strerror}); {name} is the package's for now.")
        return None
    if _loaded.get(name, (None,))[0] == raw:
        return _loaded[name][1]
    _loading.append(name)
    try:
        answer = _usable(name, raw, path, report)
    finally:
        _loading.remove(name)
    if answer is not None:
        _loaded[name] = (raw, answer)
    return answer


def is_loading() -> bool:
    """True while an answer is being loaded, and imports what it leans on."""
    return bool(_loading)


def kept_names() -> list[str]:
    """The exercises that have a file in the workbook, in course order."""
    return [name for name in engine.names() if path_of(name).exists()]


def _usable(name: str, raw: bytes, path: Path, report: Callable[[str], None]) -> Any | None:
    try:
        text = raw.decode("utf-8-sig")  # some editors write a byte-order mark
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # and others the characters of Western Europe as a byte each
    try:
        compile(text, str(path), "exec")
    except (ValueError, SyntaxError) as error:
        return _set_aside(path, f"is not readable Python ({error})", report)
    try:
        answer = _execute(name, text, path)
    except KeyError:
        return _set_aside(path, f"does not define {name}", report)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        report(f"{path} raises {said}; {name} is the package's until that is mended.")
        return None
    _, _, sealed = text.partition(CHECKED)
    seal, _, body = sealed.partition("\n")
    if seal != digest(body) and not engine.run(name, answer).passed:
        report(
            f"{path} was edited and no longer passes its check; {name} is the package's "
            "until it does. Its text is untouched."
        )
        return None
    return answer


def _execute(name: str, text: str, path: Path) -> Any:
    """Run the text as a module; KeyError where it does not define `name`."""
    module = ModuleType(f"my_gpt2.{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    _show_source(path, text)
    _loading.append(name)
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    finally:
        _loading.remove(name)
    return vars(module)[name]


def _show_source(path: Path, text: str) -> None:
    """Let tracebacks and inspect see the text before it stands on disk."""
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))


def digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _seal(body: str) -> str:
    return f"{CHECKED}{digest(body)}\n"


def _parts(name: str) -> Callable[[Any], str | None]:
    """Says which finished component a value is: the package's, a kept one, or this kernel's."""

    def part(value: Any) -> str | None:
        own = [*((other, answer) for other, (_, answer) in _loaded.items()), *_in_session.items()]
        found = next((other for other, answer in own if value is answer and other != name), None)
        called = getattr(value, "__name__", None)
        if found or called == name or called not in engine.names():
            return found
        return called if engine.find(called).reference is value else None

    return part


def _leans_on(name: str, names: list[str]) -> str:
    listed = " and ".join(f"`{n}`" for n in names)
    return (
        f"it leans on {listed} from another cell, which a later lesson will not have. "
        f"Move that into the cell of {name} (or into the function) and check it again."
    )


def _not_writable(error: OSError) -> str:
    return (
        f"{folder()} can't be written ({error.strerror}). Make it writable, or set "
        "GPT2COURSE_WORKBOOK to a folder that is and restart the kernel."
    )


def _set_aside(path: Path, fault: str, report: Callable[[str], None]) -> None:
    aside = next(
        p
        for i in range(1, 10_000)
        if not (p := path.with_name(f"{path.name}.damaged-{i}")).exists()
    )
    try:
        os.replace(path, aside)
        report(f"{path} {fault}; it was set aside as {aside.name}. Check your answer again.")
    except OSError as error:
        report(f"{path} {fault}, and could not be set aside ({error.strerror}).")
