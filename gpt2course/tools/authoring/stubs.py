"""Stubs of a new exercise or a new lesson: they build, run and check before the first edit."""

import ast
import keyword
import re
from importlib import import_module
from pathlib import Path

from gpt2course.tools.authoring import templates
from gpt2course.tools.authoring.cells import Cell, read_cells, read_text, write_text
from gpt2course.tools.authoring.rooms import ORDER, PACKAGE, ROOMS, exercises, lessons

LIBRARY = ("*.py", "training/*.py", "weights/*.py")
INPUTS = {"torch.": "import torch", "normal(": "from gpt2course.checks.inputs import normal"}


class InTheWay(ValueError):
    """Why a stub is not written, and what to do about it."""


def new_lesson(stem: str) -> dict[Path, str]:
    """The files of a new lesson with a stub of one exercise, `first_STEM`; writes nothing.

    Raises:
        InTheWay: something of that name exists.
    """
    _require_name(stem)
    number = f"{len(lessons()):02}"
    taken = [ROOMS / stem, *Path("solutions").glob(f"??_{stem}.py"), *_tests(stem)]
    taken = [str(path) for path in taken if path.exists()] + [str(ORDER)] * (stem in lessons())
    if taken:
        raise InTheWay(f"lesson {stem} exists: {', '.join(taken)}; choose another name")
    about = {"number": number, "stem": stem, "title": stem.replace("_", " ").capitalize()}
    opening = Cell("markdown", templates.OPENING.format(**about), {})
    codes = [
        Cell("code", code, {}) for code in (templates.TOOLS.format(**about), templates.PICTURE)
    ]
    closing = [Cell("markdown", templates.CLOSING, {}), Cell("code", templates.PROGRESS, {})]
    files = {
        ORDER: _listed(read_text(ORDER), "LESSONS", f'\n    "{stem}"'),
        ROOMS / stem / "__init__.py": templates.ROOM.format(**about),
        ROOMS / stem / "exercises.py": templates.ROOM_EXERCISES.format(**about),
        _source(number, stem): write_text([opening, *codes, *closing]),
    }
    return _with_exercise(files, number, stem, f"first_{stem}", None)


def new_exercise(lesson: str, name: str, case: str | None = None) -> dict[Path, str]:
    """The files of a lesson with a stub of a new exercise added; writes nothing.

    Args:
        lesson: its stem, with or without the number: masking, 06_masking.
        name: the exercise. A function of the library of this name becomes its reference.
        case: for such a function the arguments of a small call: "3, normal(2, 5, seed=1)".

    Raises:
        InTheWay: there is no such lesson, or something of that name exists.
    """
    _require_name(name)
    stem = re.sub(r"^\d\d_", "", lesson)
    if stem not in lessons():
        raise InTheWay(f"no lesson {lesson} in LESSONS of {ORDER}: {', '.join(lessons())}")
    return _with_exercise({}, f"{lessons().index(stem):02}", stem, name, case)


def _with_exercise(
    files: dict[Path, str], number: str, stem: str, name: str, case: str | None
) -> dict[Path, str]:
    """These files, and those that the exercise is added to."""
    room, source = ROOMS / stem / "exercises.py", _source(number, stem)
    lists = [room.with_name("answers.md"), room.with_name("mistakes.md"), *_tests(stem)]
    before = {path: read_text(path) if path.exists() else "" for path in lists}
    before |= {path: files.get(path) or read_text(path) for path in (room, source)}
    taken = [ROOMS / other / "exercises.py" for other in lessons() if name in exercises(other)]
    taken += [room] * (name in _bound(before[room]))
    taken += [path for path in lists if f"# {name}" in before[path].split("\n")]
    taken += [source] * bool(re.search(rf"^(def|class) {name}\b", before[source], re.M))
    if taken:
        raise InTheWay(f"{taken[0]}: {name} exists; choose another name")

    about = {"name": name, "number": number}
    if found := _in_library(name):
        path, lines = found
        about |= _as_library(path, lines, case)
        parts, needed = (
            (
                templates.EXERCISE,
                templates.ANSWER,
                templates.MISTAKE,
                templates.RIGHT,
                templates.WRONG,
            ),
            _imports(path, lines),
        )
        imports = [f"from {about['package']} import {about['module']}", templates.CHECKS]
        imports += [line for word, line in INPUTS.items() if word in about["case"]]
    elif case is not None:
        raise InTheWay(
            f"no module of the library has a function {name}, whose call --case {case!r} would be; "
            f"write it there first, or leave out --case for an example to replace"
        )
    else:
        lines = templates.EXAMPLE.format(**about).splitlines()
        about["source"] = "\n".join(lines)
        parts = templates.OF_EXAMPLE
        needed, imports = [], [templates.CHECKS]
    exercise, *sections = (part.format(**about) for part in parts)
    head, last, tail = _listed(before[room], "EXERCISES", f" {name}").rpartition("EXERCISES = ")
    files[room] = _importing(f"{head}{exercise}\n\n{last}{tail}", imports)
    for path, section in zip(lists, sections, strict=True):
        files[path] = f"{before[path].rstrip()}\n\n# {name}\n\n{section}".lstrip()
    cells = read_cells(before[source])
    place = _end(cells)
    files[source] = write_text([*cells[:place], *_cells(name, lines, needed), *cells[place:]])
    return files


def _end(cells: list[Cell]) -> int:
    """Where what a lesson teaches ends: before the cell `my_progress()` and the text above it."""
    if not cells or cells[-1].source != templates.PROGRESS:
        return len(cells)
    return len(cells) - 1 - (len(cells) > 1 and cells[-2].source.endswith(templates.CLOSING))


def _require_name(name: str) -> None:
    if not re.fullmatch(r"[a-zA-Z]\w*", name, re.A) or keyword.iskeyword(name):
        raise InTheWay(f"{name!r} is no name; give letters, digits and _, a letter first")


def _cells(name: str, lines: list[str], needed: list[str]) -> list[Cell]:
    """The cells of an exercise: the task, what the answer needs, the answer, its check."""
    function = _parsed(lines)
    said = ast.get_docstring(function) or ""
    start = function.body[0].end_lineno if said else function.body[0].lineno - 1
    marks = ["    ### BEGIN SOLUTION"], ["    ### END SOLUTION"]
    marked = "\n".join([*lines[:start], *marks[0], *lines[start:], *marks[1]])
    codes = ["\n".join(needed), marked, f"{name} = check({name})"]
    task = f"## Exercise: `{name}`\n\n{said.partition(chr(10))[0]}".rstrip()
    return [Cell("markdown", task, {}), *(Cell("code", code, {}) for code in codes if code)]


def _parsed(lines: list[str]) -> ast.FunctionDef:
    return ast.parse("\n".join(lines)).body[0]


def _in_library(name: str) -> tuple[Path, list[str]] | None:
    """(module, lines) of the library's function of that name, without its decorators."""
    for path in (path for pattern in LIBRARY for path in sorted(PACKAGE.glob(pattern))):
        for node in ast.parse(read_text(path), str(path)).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                raise InTheWay(
                    f"{path}:{node.lineno}: {name} is a class, and stubs are of functions; follow "
                    f"CausalSelfAttention in {ROOMS / 'multi_head'} and its notebook"
                )
            if isinstance(node, ast.FunctionDef) and node.name == name and node.args.args:
                return path, read_text(path).split("\n")[node.lineno - 1 : node.end_lineno]
    return None


def _as_library(path: Path, lines: list[str], case: str | None) -> dict[str, str]:
    """What the stubs say of a function of the library; the function takes its case."""
    plain = _parsed(lines)
    remedy = "give the arguments of a small call, such as --case '3, normal(2, 5, seed=1)'"
    if case is None:
        raise InTheWay(f"{path}: {plain.name} is in the library; {remedy}")
    import torch

    from gpt2course.checks.inputs import normal

    module = import_module(".".join(path.with_suffix("").parts))
    try:
        case = ast.unparse(ast.parse(f"({case},)", mode="eval"))
        getattr(module, plain.name)(*eval(case, {"torch": torch, "normal": normal}))
    except Exception as error:
        raise InTheWay(f"{plain.name}{case} raises {error!r}; {remedy}") from None
    plain.returns = None
    plain.body = plain.body[bool(ast.get_docstring(plain)) :]
    for argument in (*plain.args.args, *plain.args.kwonlyargs):
        argument.annotation = None
    about = {"package": ".".join(path.parts[:-1]), "module": path.stem, "case": case}
    about |= {"parameters": ast.unparse(plain.args), "first": plain.args.args[0].arg}
    names = [argument.arg for argument in plain.args.args]
    names += [f"{argument.arg}={argument.arg}" for argument in plain.args.kwonlyargs]
    return about | {"call": ", ".join(names), "plain": ast.unparse(plain)}


def _imports(path: Path, lines: list[str]) -> list[str]:
    """The imports with which a function of the library stands outside its module."""
    bound, module = _bound(read_text(path)), ".".join(path.with_suffix("").parts)
    function = _parsed(lines)
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    used = used & bound.keys() - {function.name}
    imports = {bound[name] or f"from {module} import {name}" for name in used}
    return sorted(imports, key=lambda line: (line.startswith("from"), line))


def _bound(text: str) -> dict[str, str]:
    """The names at the top of a module, each with its import, or "" where it is the module's."""
    bound = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one = {**vars(node), "names": [alias]}
                bound[alias.asname or alias.name] = ast.unparse(type(node)(**one))
        else:
            named = [getattr(node, "name", "")] + [*map(ast.unparse, getattr(node, "targets", []))]
            bound |= dict.fromkeys(named, "")
    return bound


def _importing(text: str, wanted: list[str]) -> str:
    """A module that has these imports too; ruff puts them in order."""
    new = "".join(f"{line}\n" for line in wanted if line not in text.split("\n"))
    return re.sub(r"^(?=import |from (?!__future__))", new, text, count=1, flags=re.M)


def _listed(text: str, name: str, item: str) -> str:
    """A module with one item more at the end of the list or tuple of that name."""
    end = re.compile(rf"^({name} = [\[(])([^])]*?)(,?)(\s*[\])])", re.M)
    if not end.search(text):
        raise InTheWay(f"{name} = [...] is not found, where {item.strip()} belongs; add it")
    return end.sub(lambda m: f"{m[1]}{m[2]}{',' * bool(m[2])}{item}{m[3]}{m[4]}", text, count=1)


def _source(number: str, stem: str) -> Path:
    return Path(f"solutions/{number}_{stem}.py")


def _tests(stem: str) -> list[Path]:
    """Where the tests keep right and wrong answers that no room lists."""
    return [Path(f"tests/lessons/{kind}/{stem}.md") for kind in ("right", "wrong")]
