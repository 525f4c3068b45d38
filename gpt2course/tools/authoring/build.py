"""One source -> its two notebooks, or the faults that forbid them; what a build would lose."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpt2course.files import write_whole
from gpt2course.tools.authoring.cells import (
    Cell,
    notebook_cells,
    read_cells,
    read_text,
    write_text,
)
from gpt2course.tools.authoring.leaks import leaks
from gpt2course.tools.authoring.lesson import ALLOW, digest, inspect, notebook_text
from gpt2course.tools.authoring.rooms import ROOMS

COMMAND = "python -m gpt2course.tools.authoring"
SOLUTIONS, LESSONS = Path("solutions"), Path("lessons")
HINT = re.compile(r"<details><summary>Hint \d+</summary>\s*(.*?)\s*</details>", re.S)


@dataclass
class Built:
    """What one source gives: the text of its notebooks, or the faults that forbid them."""

    path: Path
    cells: list[Cell] = field(default_factory=list)
    solution: str = ""
    lesson: str = ""
    faults: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def files(self) -> dict[Path, str]:
        """Where each notebook belongs, and the hints for the checks; and their texts."""
        lesson = LESSONS / self.path.with_suffix(".ipynb").name
        files = {self.path.with_suffix(".ipynb"): self.solution, lesson: self.lesson}
        room = ROOMS / self.path.stem.partition("_")[2]
        if room.is_dir():
            found = json.dumps(hints(self.cells), ensure_ascii=False, indent=1)
            files[room / "hints.json"] = found + "\n"
        return files


def hints(cells: list[Cell]) -> dict[str, list[str]]:
    """The hints of each exercise, as HTML: those in the text between it and the code before it."""
    found, text = {}, ""
    for cell in cells:
        if cell.name.startswith("exercise-"):
            found[cell.name.removeprefix("exercise-")] = HINT.findall(text)
        text = text + cell.source if cell.kind == "markdown" else ""
    return found


def build(path: Path, text: str) -> Built:
    """The notebooks of a source; writes nothing."""
    built = Built(path, read_cells(text))
    for cell in built.cells:
        built.faults += [f"{path}:{cell.line + line}: {fault}" for line, fault in inspect(cell)]
    built.faults += _misnamed(path, [cell for cell in built.cells if cell.name])
    built.solution = notebook_text(built.cells, solved=True)
    built.lesson = notebook_text(built.cells, solved=False)
    built.faults += _not_as_written(path, text, built.solution)
    if not built.faults:
        _note_leaks(built)
    return built


def _misnamed(path: Path, named: list[Cell]) -> Iterator[str]:
    """Faults of names that stand twice, and of checks under another exercise than their own."""
    for name, count in Counter(cell.name for cell in named).items():
        if count > 1:
            lines = ", ".join(str(cell.line) for cell in named if cell.name == name)
            yield f"{path}: {name} names {count} cells (lines {lines}); rename one"
    above = ""
    for cell in named:
        kind, _, name = cell.name.partition("-")
        if kind == "exercise":
            above = name
        elif name != above:
            where = f"under the exercise {above}" if above else "above every exercise"
            yield f"{path}:{cell.line}: check({name}) stands {where}; put it under its own"


def _not_as_written(path: Path, text: str, solution: str) -> list[str]:
    """The fault of a source that its notebook would not give back byte for byte."""
    again = write_text(notebook_cells(json.loads(solution)))
    if again == text:
        return []
    was, wanted = text.split("\n"), again.split("\n")
    pairs = enumerate(zip(was + [""], wanted + [""], strict=False), 1)
    number, (one, other) = next(((n, p) for n, p in pairs if p[0] != p[1]), (len(was), ("", "")))
    return [f"{path}:{number}: not as jupytext writes it: {one!r} should be {other!r}"]


def _note_leaks(built: Built) -> None:
    """Add what the lesson gives away to the faults, or to what is allowed."""
    used = set()
    for cell, exercise, line in leaks(built.cells):
        where = f"{built.path}:{cell.line}"
        if not exercise:
            built.faults.append(f"{where}: a Python block that does not parse; call it ```text")
        elif ALLOW in cell.metadata:
            used.add(id(cell))
            built.allowed.append(f"{where}: shows {exercise} on purpose: {cell.metadata[ALLOW]}")
        else:
            built.faults.append(
                f"{where}: gives away {exercise}: `{line}`; take it out, "
                f'or allow it in the first line of the cell with {ALLOW}="the reason"'
            )
    for cell in built.cells:
        if ALLOW in cell.metadata and id(cell) not in used:
            built.faults.append(f"{built.path}:{cell.line}: shows no answer; remove {ALLOW}")


def write(path: Path, text: str) -> bool:
    """Write a file whole or not at all; False where it already says this."""
    if path.exists() and read_text(path) == text:
        return False
    write_whole(path, text.encode())
    return True


def load(path: Path) -> tuple[dict, list[Cell], str, str | None] | None:
    """(notebook, cells, their text, hash of the text as it was built); None if unreadable."""
    try:
        notebook = json.loads(read_text(path))
        cells = notebook_cells(notebook)
        recorded = notebook["metadata"].get("gpt2course", {}).get("sha256")
        return notebook, cells, write_text(cells), recorded
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def edits(built: Built, overwrite: str = "") -> dict[Path, str]:
    """The notebooks with an edit that would be lost, and what to do; `overwrite` loses it."""
    keep = {
        SOLUTIONS: f"keep the edit with `{COMMAND} --from-notebook {{}}`",
        LESSONS: f"make the edit in {built.path}, or save this notebook under another name",
    }
    drop = f"drop it with `{overwrite or f'{COMMAND} --force {built.path}'}`"
    found = {}
    for path, content in built.files().items():
        if not (loaded := load(path)):
            continue
        _, _, text, recorded = loaded
        if digest(text) != recorded and text != write_text(notebook_cells(json.loads(content))):
            remedies = f"{keep[path.parent].format(path)}, or {drop}"
            found[path] = f"{path}: edited since it was built; {remedies}"
    return found
