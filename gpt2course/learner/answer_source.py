"""The source of an answer as a file of its own: its cell's code, and the imports that it needs."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import symtable
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

# Where to look for a function that does not say which module it comes from, as torch.softmax.
WELL_KNOWN = ("torch", "torch.nn.functional", "torch.nn", "math", "numpy", "jaxtyping")


class NotSelfContained(Exception):
    """The answer needs names that neither its own cell nor an import gives."""

    def __init__(self, names: list[str]):
        self.names = names
        super().__init__(", ".join(names))


class NoSource(Exception):
    """The text of the answer can't be found."""


def compose(name: str, answer: Callable[..., Any], part: Callable[[Any], str | None]) -> str:
    """The text of a module that defines `name` and needs nothing from the notebook.

    Args:
        name: the exercise, under which the module must offer the answer.
        answer: a function or class written at the top of a cell or file.
        part: the name of the finished component that a value is; it is then imported from
            gpt2course.mine. None where it is none.

    Raises:
        NotSelfContained: it leans on something that another cell defines.
        NoSource: it was not written in a cell or file, or inside another function.
    """
    statements, text = _cell_of(answer)
    own_name = answer.__name__
    needed = _with_helpers(own_name, statements)
    body = [ast.get_source_segment(text, s, padded=True) for s in needed]
    body = [_with_decorators(s, text) or b for s, b in zip(needed, body, strict=True)]
    outside = sorted(set().union(*map(names_used, needed)) - set().union(*map(names_bound, needed)))
    imports, missing = [], []
    values = _globals_of(answer)
    for used in outside:
        if used in values:
            line = _import_line(used, values[used], part)
            (imports if line else missing).append(line or used)
        elif not hasattr(builtins, used):
            missing.append(used)
    if missing:
        raise NotSelfContained(missing)
    alias = [f"{name} = {own_name}"] if name != own_name else []
    blocks = ["\n".join(_sorted_imports(imports)), *body, *alias]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def _cell_of(answer: Callable[..., Any]) -> tuple[list[ast.stmt], str]:
    """The top-level statements of the cell or file in which an answer stands, and its text."""
    answer = inspect.unwrap(answer)
    functions = [answer] if isinstance(answer, FunctionType) else vars(answer).values()
    code = next((f.__code__ for f in functions if isinstance(f, FunctionType)), None)
    if code is None:
        raise NoSource(f"{answer!r} is not a function or class written in Python")
    text = "".join(linecache.getlines(code.co_filename))
    statements = ast.parse(text).body if text else []
    # What the cell does to the name further down came after this answer.
    line = code.co_firstlineno if isinstance(answer, FunctionType) else len(text)
    own = [s for s in statements if answer.__name__ in names_bound(s) and _first_line(s) <= line]
    statements = [s for s in statements if s in own or answer.__name__ not in names_bound(s)]
    if not own or "<locals>" in answer.__qualname__:
        raise NoSource(f"{answer.__name__} does not stand at the top of a cell")
    return statements, text


def _first_line(statement: ast.stmt) -> int:
    """Where a statement begins, its decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _globals_of(answer: Callable[..., Any]) -> dict[str, Any]:
    answer = inspect.unwrap(answer)
    if isinstance(answer, FunctionType):
        return answer.__globals__
    return next(f.__globals__ for f in vars(answer).values() if isinstance(f, FunctionType))


def _with_helpers(own_name: str, statements: list[ast.stmt]) -> list[ast.stmt]:
    """The statement that defines the answer and those of its cell that it uses, in their order."""
    bind = [(s, names_bound(s)) for s in statements if not _is_a_check(s)]
    needed, waiting = set(), [own_name]
    while waiting:
        name = waiting.pop()
        for statement in (s for s, bound in bind if name in bound and s not in needed):
            needed.add(statement)
            waiting += names_used(statement)
    return sorted(needed, key=lambda s: s.lineno)


def _is_a_check(statement: ast.stmt) -> bool:
    """True for `name = check(name)`, which says nothing about what the answer is."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Call) and getattr(value.func, "id", None) == "check"


def names_bound(statement: ast.stmt) -> set[str]:
    table = symtable.symtable(ast.unparse(statement), "<answer>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def names_used(statement: ast.stmt) -> set[str]:
    """The global names that a statement reads, inside its functions and annotations too."""
    used: set[str] = set()

    def visit(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            at_top = table.get_type() == "module"
            if symbol.is_referenced() and (at_top or symbol.is_global()):
                used.add(symbol.get_name())
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable(ast.unparse(statement), "<answer>", "exec"))
    return used


def _with_decorators(statement: ast.stmt, text: str) -> str | None:
    """A decorated definition from its first decorator on (ast's own segment leaves them out)."""
    if _first_line(statement) == statement.lineno:
        return None
    return "\n".join(text.splitlines()[_first_line(statement) - 1 : statement.end_lineno])


def _import_line(name: str, value: Any, part: Callable[[Any], str | None]) -> str | None:
    """The import that gives `value` under `name`; None where there is none."""
    if finished := part(value):
        return _from("gpt2course.mine", finished, name)
    if isinstance(value, ModuleType):
        plain = value.__name__ == name
        return f"import {name}" if plain else f"import {value.__name__} as {name}"
    own_names = [getattr(value, "__qualname__", name), getattr(value, "__name__", name), name]
    for module in (getattr(value, "__module__", None), *WELL_KNOWN):
        if module in (None, "__main__", "builtins") or module not in sys.modules:
            continue
        for attribute in own_names:
            if getattr(sys.modules[module], attribute, None) is value:
                return _from(module, attribute, name)
    return None


def _from(module: str, attribute: str, name: str) -> str:
    return f"from {module} import {attribute}" + (f" as {name}" if attribute != name else "")


def _sorted_imports(lines: Iterable[str]) -> list[str]:
    """`import x` before `from x import y`, each group by name, no line twice."""
    return sorted(set(lines), key=lambda line: (line.startswith("from"), line))
