"""The command: build, --check, --from-notebook and --new over solutions/ and lessons/."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gpt2course.tools.authoring.build import (
    COMMAND,
    LESSONS,
    SOLUTIONS,
    Built,
    build,
    edits,
    load,
    write,
)
from gpt2course.tools.authoring.cells import LAYOUT, Cell, read_cells, read_text
from gpt2course.tools.authoring.lesson import digest
from gpt2course.tools.authoring.rooms import ROOMS, room_faults
from gpt2course.tools.authoring.sheets import pages
from gpt2course.tools.authoring.stubs import InTheWay, new_exercise, new_lesson

NAME = r"\d\d_\w+"


def build_all(paths: list[Path], force: bool, everything: bool = False) -> list[str]:
    """Write what comes of these sources, and the numbers in docs/; return the faults."""
    faults, written = [], []
    for page, text in pages().items() if everything else ():
        write(page, text)
        written.append(str(page))
    for path in paths:
        built = build(path, read_text(path))
        stopped = built.faults or ([] if force else [*edits(built).values()])
        faults += stopped
        if not stopped:
            written += [str(p) for p, content in built.files().items() if write(p, content)]
    for name in written:
        print(f"wrote {name}")
    print(f"{len(paths)} sources, {len(written)} files written, {len(faults)} faults")
    return faults


def check(paths: list[Path], everything: bool) -> list[str]:
    """Compare all notebooks with their sources; write nothing; return the faults."""
    faults, sources = [], [build(path, read_text(path)) for path in paths]
    for built in sources:
        faults += built.faults or _stale(built)
    for folder in (SOLUTIONS, LESSONS) if everything else ():
        for notebook in sorted(folder.glob("*.ipynb")):
            source = SOLUTIONS / notebook.with_suffix(".py").name
            if not source.exists():
                faults.append(f"{notebook}: no source {source}; add it or delete the notebook")
    faults += room_faults({built.path: built.cells for built in sources}, everything)
    allowed = [line for built in sources for line in built.allowed]
    for line in allowed:
        print(line)
    exercises = [c for built in sources for c in built.cells if c.name.startswith("exercise-")]
    print(
        f"{len(paths)} sources, {2 * len(paths)} notebooks, {len(exercises)} exercises, "
        f"{len(allowed)} shown on purpose, {len(faults)} faults"
    )
    return faults


def _stale(built: Built) -> list[str]:
    """A fault for each file that is not what its source gives."""
    found = edits(built)
    for path, content in built.files().items():
        if not path.exists():
            found[path] = f"{path}: missing; run `{COMMAND}`"
        elif path.read_bytes().replace(b"\r\n", b"\n") != content.encode():
            stale = f"{path}: stale, not what {built.path} gives; run `{COMMAND}`"
            found.setdefault(path, stale)
    return [*found.values()]


def from_notebook(path: Path, force: bool) -> list[str]:
    """Write the source of an edited solution notebook, then both notebooks; return the faults."""
    if path.parent != SOLUTIONS or not re.fullmatch(NAME + r"\.ipynb", path.name):
        return [f"{path}: not a solution notebook; give solutions/NN_stem.ipynb"]
    if not (loaded := load(path)):
        return [f"{path}: not a readable notebook; rebuild it with `{COMMAND}`"]
    notebook, cells, text, recorded = loaded
    if faults := _unwritable(path, notebook, cells, text):
        return faults
    source = path.with_suffix(".py")
    current = read_text(source) if source.exists() else text
    if current != text and digest(current) != recorded and not force:
        if digest(text) == recorded:
            return [f"{source}: edited, and {path} is not; run `{COMMAND} {source}`"]
        return [
            f"{source} and {path}: both changed since the notebook was built; keep the notebook's "
            f"with `{COMMAND} --force --from-notebook {path}`, or the source's with "
            f"`{COMMAND} --force {source}`"
        ]
    built = build(source, text)
    lost = edits(built, overwrite=f"{COMMAND} --force --from-notebook {path}")
    faults = built.faults
    if not force and LESSONS / path.name in lost:
        faults = [*faults, lost[LESSONS / path.name]]
    if not faults:
        for target, content in {source: text, **built.files()}.items():
            print(f"{'wrote' if write(target, content) else 'unchanged:'} {target}")
    return faults


def _unwritable(path: Path, notebook: dict, cells: list[Cell], text: str) -> list[str]:
    """Faults of cells that py:percent cannot hold."""
    for number, raw in enumerate(notebook["cells"], 1):
        if raw.get("attachments"):
            return [f"{path}: cell {number} holds an image; a source cannot: draw it with code"]
    was, again = [[_plain(cell) for cell in some] for some in (cells, read_cells(text))]
    if was == again:
        return []
    pairs = enumerate(zip(was, again, strict=False), 1)
    number = next((n for n, (one, other) in pairs if one != other), len(again))
    return [f"{path}: cell {number} does not survive as text (a line `# %%` in it?); reword it"]


def _plain(cell: Cell) -> tuple[str, str, dict]:
    """What a cell holds, without empty lines at its end and notes about layout."""
    metadata = {key: value for key, value in cell.metadata.items() if key not in LAYOUT}
    return cell.kind, cell.source.rstrip(), metadata


def new(what: list[str], call: str | None) -> list[str]:
    """Write the stubs of an exercise or a lesson, build and check them; return the faults."""
    try:
        match what:
            case "exercise", lesson, name:
                files = new_exercise(lesson, name, call)
            case "lesson", stem:
                files = new_lesson(stem)
            case _:
                return ["--new takes `exercise LESSON NAME` or `lesson STEM`"]
    except InTheWay as error:
        return [str(error)]
    (source,) = (path for path in files if path.parent == SOLUTIONS)
    built = build(source, files[source])
    if faults := built.faults or [*edits(built).values()]:
        return faults
    for path, text in files.items():
        print(f"{'wrote' if write(path, text) else 'unchanged:'} {path}")
    tidied = [str(path) for path in files if path != source]  # a layout of its own
    for command in (["check", "--select=I,F401", "--fix"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "-q", *tidied]
        subprocess.run(ruff, stderr=subprocess.DEVNULL)
    return build_all([source], force=False) or check([source], everything=False)


def find_sources(names: Sequence[str], any_file: bool = False) -> tuple[list[Path], list[str]]:
    """(sources, faults) for the paths given, or for all of solutions/.

    Args:
        any_file: take a notebook, or a file in a lesson's room, for the source of its lesson.
    """
    if not SOLUTIONS.is_dir():
        return [], ["no folder solutions here; run the command in the course's own folder"]
    paths = [Path(os.path.relpath(name)) for name in names] or sorted(SOLUTIONS.glob("*.py"))
    if any_file:
        paths = [_source_of(path) for path in paths]
    fits = [p.parent == SOLUTIONS and re.fullmatch(NAME + r"\.py", p.name) for p in paths]
    faults = [
        f"{path}: a source is solutions/NN_stem.py, such as solutions/05_self_attention.py"
        for path, fit in zip(paths, fits, strict=True)
        if not (fit and path.is_file())
    ]
    return list(dict.fromkeys(paths)), faults


def _source_of(path: Path) -> Path:
    """The source of the lesson that a file belongs to; the path itself where there is none."""
    if path.suffix == ".ipynb" and path.parent in (SOLUTIONS, LESSONS):
        return SOLUTIONS / path.with_suffix(".py").name
    if path.parent.parent == ROOMS:
        return next(SOLUTIONS.glob(f"??_{path.parent.name}.py"), path)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in the current folder: 0 if all is well, 1 if it named a fault."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Build the course's notebooks.")
    parser.add_argument("sources", nargs="*", help="solutions/NN_stem.py; default: all")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing, fail on any fault")
    mode.add_argument("--from-notebook", metavar="NOTEBOOK", help="bring its edits to its source")
    mode.add_argument(
        "--new", nargs="+", metavar="WHAT", help="`exercise LESSON NAME` or `lesson STEM`: stubs"
    )
    parser.add_argument(
        "--case", help="--new of a function of the library: a small call's arguments"
    )
    parser.add_argument("--force", action="store_true", help="overwrite what else was changed")
    args = parser.parse_args(argv)
    paths, faults = find_sources(args.sources, any_file=args.check)
    try:
        if not faults and not args.sources and args.check:
            faults = [f"{page}: a number is stale; run `{COMMAND}`" for page in pages()]
        if not faults and args.from_notebook:
            faults = from_notebook(Path(os.path.relpath(args.from_notebook)), args.force)
        elif not faults and args.new:
            faults = new(args.new, args.case)
        elif not faults and args.check:
            faults = check(paths, everything=not args.sources)
        elif not faults:
            faults = build_all(paths, args.force, everything=not args.sources)
    except UnicodeDecodeError as error:
        faults = [f"a source is not UTF-8 ({error}); save it as UTF-8"]
    except SyntaxError as error:
        faults = [f"{error.filename}:{error.lineno}: not Python ({error.msg}); mend it"]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0
