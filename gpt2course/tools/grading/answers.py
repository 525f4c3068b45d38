"""The answers in a hand-in, found by exercise and by name, without running anything.

A cell is an answer where it defines the exercise's name at its top level, or where nbgrader's
metadata says that it is one. What the answer needs from other cells (helpers, imports, constants)
goes with it. A cell that is missing, twice there, renamed or in another place costs no other
exercise anything.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpt2course.checks import engine
from gpt2course.checks.exercise import NOTEBOOK, names_in

IMPORT = "__" + "import" + "__"  # the word alone, and no such call
SUSPICIOUS = {
    "inspect", "gc", "ctypes", "_getframe", "importlib", "eval", "exec", "globals", IMPORT,
    "__globals__", "__closure__", "__builtins__", "__subclasses__", "modules", "subprocess",
    "socket", "pickle", "urllib", "requests",
}  # fmt: skip
ALLOWED = ("gpt2course.mine", "gpt2course.config", "gpt2course.music")  # in an answer


@dataclass(frozen=True)
class Candidate:
    """One text that may be the answer to an exercise, whole: it can be built by itself.

    fault says why it can't be built, such as a syntax error.
    """

    source: str
    place: str
    fault: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Cell:
    place: str
    source: str
    grade_id: str = ""


_Bound = tuple[_Cell, ast.stmt, set[str]]  # a statement, where it stands, the names that it binds


def candidates(texts: dict[str, bytes], names: Sequence[str]) -> dict[str, list[Candidate]]:
    """For each exercise the texts that may be its answer, the likeliest first.

    Cells of notebooks come before files of a workbook, later cells before earlier ones.
    """
    found: dict[str, list[Candidate]] = {name: [] for name in names}
    for path, content in texts.items():
        if path.endswith(".ipynb"):
            for name, one in _in_cells(_notebook(path, content), names):
                found[name].insert(0, one)
        else:
            cells = [_Cell(path, content.decode("utf-8", "replace"))]
            for name, one in _in_cells(cells, [n for n in names if path.endswith(f"{n}.py")]):
                found[name].append(one)
    return {name: list(dict.fromkeys(some)) for name, some in found.items()}


def _notebook(path: str, content: bytes) -> list[_Cell]:
    """The code cells of a notebook; none where it is damaged."""
    try:
        return [
            _Cell(f"{path}, cell {number}", _plain("".join(cell["source"])), _grade_id(cell))
            for number, cell in enumerate(json.loads(content)["cells"])
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _grade_id(cell: dict) -> str:
    about = cell.get("metadata", {}).get("nbgrader", {})
    return str(about.get("grade_id", "")) if isinstance(about, dict) else ""


def _plain(source: str) -> str:
    """A cell without the lines that only IPython reads."""
    return re.sub(r"^[ \t]*[%!].*$", "pass", source, flags=re.M)


def _in_cells(cells: list[_Cell], names: Sequence[str]) -> Iterator[tuple[str, Candidate]]:
    parsed = [(cell, *_parse(cell.source)) for cell in cells]
    statements = [(cell, node, _names_bound(node)) for cell, nodes, _ in parsed for node in nodes]
    aliases = _aliases([node for cell, node, _ in statements if "check" in cell.source])
    for cell, nodes, fault in parsed:
        asked = cell.grade_id.removeprefix("exercise-")
        if fault:
            for name in names:
                if name == asked or re.search(rf"^(def|class) {name}\b", cell.source, re.M):
                    yield name, Candidate(cell.source, cell.place, fault)
            continue
        defined = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        for node in defined:
            name = node.name if node.name in names else aliases.get(node.name, "")
            if name not in names and asked in names and len(defined) == 1:
                name = asked
            if name in names:
                yield name, _compose(name, node, cell, statements)


def _aliases(statements: list[ast.stmt]) -> dict[str, str]:
    """The exercise of each function that is checked under another name: my_mask of causal_mask.

    What `check` returns is then bound to one of the two names, or to none. A third name, as in
    lesson 00, shows what a check does, and is no answer.
    """
    found = {}
    for node in statements:
        bound = {target.id for target in getattr(node, "targets", []) if _stores(target)}
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "check":
                match call.args:
                    case [ast.Name(id=own), ast.Constant(value=str(name))]:
                        if bound <= {own, name}:
                            found[own] = name
    return found


def _parse(source: str) -> tuple[list[ast.stmt], str]:
    try:
        return ast.parse(source).body, ""
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return [], f"{type(error).__name__}: {getattr(error, 'msg', error)}{line}"


def _compose(name: str, node: ast.stmt, cell: _Cell, statements: list[_Bound]) -> Candidate:
    """The answer with all that it needs from other cells, in their order."""
    needed, waiting, done = {id(node)}, list(_names_used(node)), {name, node.name}
    while waiting:
        used = waiting.pop()
        if used in done or used in NOTEBOOK or hasattr(builtins, used) or used in engine.names():
            continue
        done.add(used)
        # Of the cells that define it, the answer's own, else the last.
        own = [s for where, s, names in statements if used in names and where is cell]
        for statement in own[-1:] or [s for _, s, names in statements if used in names][-1:]:
            if id(statement) not in needed:
                needed.add(id(statement))
                waiting += _names_used(statement)
    chosen = [s for _, s, _ in statements if id(s) in needed]
    body = "\n\n".join(map(ast.unparse, chosen))
    alias = f"\n\n{name} = {node.name}" if node.name != name else ""
    return Candidate(body + alias + "\n", cell.place, flags=tuple(_flags(name, chosen)))


def _names_bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(a.asname or a.name).split(".")[0] for a in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return {n.id for n in ast.walk(statement) if _stores(n)}
    return set()


def _stores(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _names_used(statement: ast.stmt) -> set[str]:
    """The global names that it reads."""
    module = ast.Module([statement], type_ignores=[])
    try:
        return set(names_in(compile(module, "<answer>", "exec", dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError):
        return set()


def _flags(name: str, statements: list[ast.stmt]) -> Iterator[str]:
    """What an instructor may want to look at: not wrong by itself."""
    seen: set[str] = set()
    for node in (n for statement in statements for n in ast.walk(statement)):
        match node:
            case ast.Import(names=aliases):
                words = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases):
                words = [module, *(f"{module}.{alias.name}" for alias in aliases)]
            case ast.Name(id=word) | ast.Attribute(attr=word):
                words = [word]
            case ast.Constant(value=str(text)) if "gpt2course" in text and len(text) < 200:
                words = ["gpt2course in a text"]
            case _:
                continue
        for word in words:
            own = word.endswith(f".{name}") and word.startswith("gpt2course")
            package = word.startswith("gpt2course") and not word.startswith(ALLOWED)
            if own:
                seen.add(f"imports the package's own {name}")
            elif package or SUSPICIOUS & set(word.split(".")):
                seen.add(f"uses {word}")
    yield from sorted(seen)
