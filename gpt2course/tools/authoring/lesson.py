"""Cells -> notebooks: the markers, what an exercise is called, the lesson, nbgrader's metadata."""

import ast
import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator

from gpt2course.tools.authoring.cells import (
    HIDDEN_TEST,
    KERNEL,
    LAYOUT,
    Cell,
    Region,
    notebook_cells,
    write_text,
)

STUB = 'raise NotImplementedError("your turn")  # replace this line'
ALLOW = "shows_solution"
MARK = re.compile(r"([ \t]*)### (BEGIN|END) SOLUTION")
# nbgrader obeys these words anywhere in a line, so nothing but a marker may hold them.
WORDS = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)")
MISSPELT = re.compile(r"\s*#\W*(begin|end)\W*(solution|hidden)", re.I)


def digest(text: str) -> str:
    """sha256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse(code: str) -> ast.Module | None:
    """The syntax tree of a cell's code, IPython's commands left out; None if it is not Python."""
    if magic := re.match(r"\s*(%%(\w*).*)", code):
        if magic[2] not in ("time", "timeit", "capture"):
            return ast.Module([], [])
        code = code[: magic.start(1)] + "pass" + code[magic.end(1) :]
    plain = re.sub(r"^(\s*)[%!].*", r"\1pass", code, flags=re.M)
    plain = re.sub(r"^(\s*[\w, ]+=\s*)[%!].*", r"\1None", plain, flags=re.M)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in (code, plain):
            try:
                return ast.parse(text)
            except (SyntaxError, ValueError):
                continue
    return None


def bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements in the tree, outer ones first."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(body := getattr(node, name, None), list):
                yield body


def answer(tree: ast.Module, region: Region) -> list[ast.stmt]:
    """The statements of a region, in the outermost list that has any."""
    inside = ([s for s in b if region.begin < s.lineno - 1 < region.end] for b in bodies(tree))
    return next(filter(None, inside), [])


def inspect(cell: Cell) -> Iterator[tuple[int, str]]:
    """Fill regions and name of a cell; yield (line in the cell, fault)."""
    broken = list(_find_regions(cell))
    yield from broken
    if ALLOW in cell.metadata and len(str(cell.metadata[ALLOW]).split()) < 2:
        yield 0, f'{ALLOW} without a reason; write {ALLOW}="why the lesson shows it"'
    if cell.kind != "code" or broken:
        return
    tree = parse(cell.source)
    if tree is None or (cell.regions and parse(lesson_source(cell)) is None):
        state = "" if tree is None else "without the marked lines "
        command = "jupytext reads a comment such as `# why?` or `# cat x` as a command: reword it"
        yield 0, f"the cell is {state}not Python; mend it ({command})"
        return
    if fault := _name_cell(cell, tree):
        yield cell.regions[0].begin if cell.regions else 0, fault
    for region in cell.regions:
        if not answer(tree, region):
            yield region.begin, "SOLUTION without a statement; write one"


def _find_regions(cell: Cell) -> Iterator[tuple[int, str]]:
    """Fill cell.regions; yield (line in the cell, fault) for every marker out of place."""
    opened = None
    for number, line in enumerate(cell.source.split("\n")):
        if not (mark := MARK.fullmatch(line)):
            if "HIDDEN TESTS" in line and WORDS.search(line):
                yield number, f"{line.strip()!r} is the build's to write; remove the hidden tests"
            elif WORDS.search(line) or (cell.kind == "code" and MISSPELT.match(line)):
                yield number, f"{line.strip()!r} is no marker; write `### BEGIN SOLUTION`"
            continue
        indent, edge = mark.groups()
        if cell.kind != "code":
            yield number, f"{edge} SOLUTION in a {cell.kind} cell; markers belong in code cells"
        elif edge == "BEGIN":
            if opened:
                yield number, "BEGIN SOLUTION inside SOLUTION; end that one first"
            opened = (indent, number)
        elif not opened:
            yield number, "END SOLUTION without its BEGIN; add `### BEGIN SOLUTION` above it"
        else:
            cell.regions.append(Region(*opened, number))
            opened = None
    if opened:
        yield opened[1], "BEGIN SOLUTION without its END; add `### END SOLUTION` below it"


def _name_cell(cell: Cell, tree: ast.Module) -> str | None:
    """Set the name of an exercise or check cell; return what forbids it."""
    checked = _checked(tree)
    if cell.regions and checked:
        return f"check({min(checked)}) in the exercise's own cell; put it in the next one"
    names = _defined(cell, tree) if cell.regions else checked
    if not cell.regions and not names:
        return None
    if len(names) != 1:
        what = (
            "SOLUTION needs one function or class" if cell.regions else "a cell checks one answer"
        )
        return f"{what}, found {sorted(names)}; split or complete the cell"
    cell.name = f"{'exercise' if cell.regions else 'check'}-{names.pop()}"
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell.name):
        return f"{cell.name!r} is no cell id (64 of a-z A-Z 0-9 _ - at most); shorten the name"
    return None


def _defined(cell: Cell, tree: ast.Module) -> set[str]:
    """Names of the outermost functions and classes that hold a region of the cell."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name
        for node in tree.body
        if isinstance(node, kinds)
        and any(node.lineno - 1 <= r.end and r.begin < node.end_lineno for r in cell.regions)
    }


def _checked(tree: ast.Module) -> set[str]:
    """NAME of every line `NAME = check(NAME)`."""
    calls = [(s.targets[0], s.value) for s in tree.body if isinstance(s, ast.Assign)]
    return {
        ast.unparse(target)
        for target, call in calls
        if isinstance(target, ast.Name) and is_check(call) and len(call.args) == 1
        if not call.keywords and ast.unparse(call.args[0]) == target.id
    }


def is_check(node: ast.AST) -> bool:
    """Whether this calls `check`, bare or as an attribute."""
    called = node.func if isinstance(node, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) == "check"


def lesson_source(cell: Cell) -> str:
    """The cell as the learner gets it: each answer one line to replace."""
    lines = cell.source.split("\n")
    for region in reversed(cell.regions):
        lines[region.begin : region.end + 1] = [region.indent + STUB]
    return "\n".join(lines)


def solution_source(cell: Cell) -> str:
    """The cell as a solution holds it: a check is followed by the test that it passed."""
    kind, _, name = cell.name.partition("-")
    return cell.source + (HIDDEN_TEST.replace("NAME", name) if kind == "check" else "")


def cell_ids(cells: list[Cell]) -> list[str]:
    """An id from each cell's own content, so that a new cell leaves the others' as they are."""
    seen: Counter[str] = Counter()
    ids = []
    for cell in cells:
        own = cell.name or digest(f"{cell.kind}\n{cell.source}")[:12]
        seen[own] += 1
        ids.append(own if seen[own] == 1 else f"{own}-{seen[own]}")
    return ids


def nbgrader_metadata(cell: Cell) -> dict:
    """nbgrader's metadata, schema version 3: an answer to grade, or the tests that grade it."""
    if not cell.name:
        return {}
    grade = cell.name.startswith("check-")
    meta = {"schema_version": 3, "grade_id": cell.name, "task": False}
    meta |= {"solution": not grade, "grade": grade, "locked": grade}
    return {"nbgrader": meta | ({"points": 1} if grade else {})}


def notebook_text(cells: list[Cell], solved: bool) -> str:
    """The solution or the lesson as JupyterLab would save it; its hash shows later edits."""
    raw = []
    for cell, cell_id in zip(cells, cell_ids(cells), strict=True):
        dropped = set() if solved else LAYOUT | {ALLOW}
        metadata = {k: v for k, v in cell.metadata.items() if k not in dropped}
        source = solution_source(cell) if solved else lesson_source(cell)
        entry = {"cell_type": cell.kind, "id": cell_id, "source": source.splitlines(keepends=True)}
        entry["metadata"] = metadata | nbgrader_metadata(cell)
        if cell.kind == "code":
            entry |= {"execution_count": None, "outputs": []}
        raw.append(entry)
    as_built = {"sha256": digest(write_text(notebook_cells({"cells": raw})))}
    about = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "gpt2course": as_built}
    notebook = {"cells": raw, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
