"""What the sources, the rooms of gpt2course/lessons and the files say of each other: the faults."""

import ast
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from gpt2course.tools.authoring.cells import Cell, read_text
from gpt2course.tools.authoring.lesson import is_check, parse

PACKAGE = Path("gpt2course")
ROOMS = PACKAGE / "lessons"
ORDER = ROOMS / "__init__.py"
# Markdown pictures and links, and HTML pictures; code is taken out before.
CODE = re.compile(r"^(```+|~~~+).*?^\1|(`+).*?\2", re.M | re.S)
LINK = re.compile(r"""\]\(([^)\s]+)|<img\b[^>]*\bsrc=["']([^"']+)""")


def assigned(path: Path, name: str) -> ast.List | ast.Tuple | None:
    """The list or tuple that a module assigns to the name at its top."""
    for node in ast.parse(read_text(path), str(path)).body if path.exists() else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value if isinstance(node.value, ast.List | ast.Tuple) else None
    return None


def lessons() -> list[str]:
    """The stems of the lessons in their order; the place is the number."""
    return [ast.literal_eval(stem) for stem in getattr(assigned(ORDER, "LESSONS"), "elts", [])]


def exercises(stem: str) -> list[str]:
    """The names of a room's exercises, as EXERCISES lists them."""
    listed = assigned(ROOMS / stem / "exercises.py", "EXERCISES")
    return [ast.unparse(name) for name in getattr(listed, "elts", [])]


def room_faults(sources: dict[Path, list[Cell]], everything: bool) -> Iterator[str]:
    """Names that fit nothing and links that lead nowhere, in these sources and their rooms.

    A folder without gpt2course/lessons has no names to compare: only its links are looked at.
    """
    rooms = {stem: exercises(stem) for stem in lessons()}
    numbers = {stem: f"{number:02}" for number, stem in enumerate(rooms)}
    known = {name for names in rooms.values() for name in names}
    for path, cells in sources.items():
        yield from _links(path, cells)
        number, _, stem = path.stem.partition("_")
        if not ROOMS.is_dir():
            continue
        yield from _checks(path, cells, known)
        if stem in rooms:
            yield from _exercises(path, cells, stem, rooms[stem])
            yield from _loading(stem)
        if numbers.get(stem) != number:
            wanted = f"rename it to {numbers.get(stem)}_{stem}.py" if stem in rooms else "add it"
            yield f"{path}: {stem!r} has not this place in LESSONS of {ORDER}; {wanted}"
    if everything and ROOMS.is_dir():
        stems = {path.stem.partition("_")[2] for path in sources}
        for stem in sorted(rooms.keys() - stems):
            yield f"{ROOMS / stem}: no source solutions/{numbers[stem]}_{stem}.py; add it"
        for room in sorted({p.parent.name for p in ROOMS.glob("*/exercises.py")} - rooms.keys()):
            yield f"{ROOMS / room}: not in LESSONS of {ORDER}; add it at its place"


def _links(path: Path, cells: list[Cell]) -> Iterator[str]:
    for cell in cells:
        if cell.kind != "markdown":
            continue
        text = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), cell.source)
        for link in LINK.finditer(text):
            target = unquote(re.split("[?#]", link[1] or link[2])[0])
            if not target or re.match(r"\w[\w+.-]*:|/", target):
                continue  # a place on this page, a server's, or elsewhere
            for folder in (path.parent, Path("lessons")):
                if not (folder / target).exists():
                    line = cell.line + text[: link.start()].count("\n")
                    yield f"{path}:{line}: no file {folder / target}; mend the link {target}"
                    break


def _checks(path: Path, cells: list[Cell], known: set[str]) -> Iterator[str]:
    """Calls of check that name no exercise."""
    for cell in cells:
        tree = parse(cell.source) if cell.kind == "code" else None
        for call in filter(is_check, ast.walk(tree) if tree else ()):
            named = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "name")]
            named = named or [a for a in call.args[:1] if isinstance(a, ast.Name)]
            for name in (getattr(n, "value", getattr(n, "id", "")) for n in named):
                if name not in known:
                    near = difflib.get_close_matches(str(name), sorted(known), n=1)
                    remedy = f"did you mean {near[0]}?" if near else f"{ROOMS} has none like it"
                    where = f"{path}:{cell.line + call.lineno - 1}"
                    yield f"{where}: check of {name!r}: there is no such exercise; {remedy}"


def _exercises(path: Path, cells: list[Cell], stem: str, names: list[str]) -> Iterator[str]:
    """A room without exercises, and exercises without a cell or a check."""
    room, lines = ROOMS / stem / "exercises.py", {cell.name: cell.line for cell in cells}
    if not names:
        yield f"{room}: no exercise; give the room one, and list it in EXERCISES = [...]"
    for name in names:
        if f"exercise-{name}" not in lines:
            yield f"{room}: {name} is in no lesson; add the cell of the exercise to {path}"
        elif f"check-{name}" not in lines:
            line = lines[f"exercise-{name}"]
            yield f"{path}:{line}: {name} is not checked; add `{name} = check({name})` below it"


def _loading(stem: str) -> Iterator[str]:
    """What the checks say of a room of the package that is here; it is loaded with torch."""
    import gpt2course

    if PACKAGE.resolve() == Path(gpt2course.__file__).resolve().parent:
        from gpt2course import checks

        yield from getattr(checks, "faults", lambda stem: [])(stem)
