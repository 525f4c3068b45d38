"""Find answers that a lesson gives away, by comparing syntax trees (rules: package docstring)."""

import ast
import re
from collections.abc import Iterator
from textwrap import dedent

from gpt2course.tools.authoring.cells import Cell
from gpt2course.tools.authoring.lesson import answer, bodies, lesson_source, parse

WHOLE, PART, RENAMED = 3, 10, 12  # nodes from which a piece of an answer counts as given away
UNCOUNTED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
FENCE = re.compile(r"^[ \t>]*(```+|~~~+)[ \t]*\{?([\w-]*).*\n((?:.*\n)*?)(?:[ \t>]*\1|\Z)", re.M)
PYTHON = {"python", "python3", "py", "py3", "ipython", "ipython3", "pycon"}

Nodes = tuple[ast.AST, ...]


def leaks(cells: list[Cell]) -> Iterator[tuple[Cell, str, str]]:
    """(cell, exercise, the line it shows) for every answer that the lesson gives away.

    The exercise is "" where a fenced Python block does not parse and so cannot be compared.
    """
    hidden = [(cell, nodes) for cell in cells for nodes in _secrets(cell)]
    longest = max((len(nodes) for _, nodes in hidden), default=0)
    for cell in cells:
        trees = list(_shown(cell))
        if None in trees:
            yield cell, "", ""
        pieces = [_pieces(tree, longest) for tree in trees if tree] if hidden else []
        given = set()
        for owner, nodes in hidden:
            sized = [p for found in pieces for p in found.get((len(nodes), size(*nodes)), [])]
            if owner.name not in given and any(_same(nodes, piece) for piece in sized):
                given.add(owner.name)
                yield cell, owner.name.removeprefix("exercise-"), _first_line(nodes)


def size(*nodes: ast.AST) -> int:
    """Nodes in these trees; contexts and operator signs count nothing."""
    return sum(not isinstance(n, UNCOUNTED) for node in nodes for n in ast.walk(node))


def core(statement: ast.stmt) -> ast.AST:
    """What a statement computes: its value, or itself."""
    simple = (ast.Return, ast.Assign, ast.AnnAssign, ast.Expr)
    return (isinstance(statement, simple) and statement.value) or statement


def _secrets(cell: Cell) -> Iterator[Nodes]:
    """What of a cell's answers must not be seen."""
    for region in cell.regions:
        statements = answer(parse(cell.source), region)
        whole = tuple(core(statement) for statement in statements)
        parts = [n for s in statements for n in ast.walk(s) if isinstance(n, ast.stmt)]
        if size(*whole) >= WHOLE:
            yield whole
        yield from ((core(part),) for part in parts if size(core(part)) >= PART)


def _shown(cell: Cell) -> Iterator[ast.Module | None]:
    """The syntax trees a lesson's cell shows; None for a Python block that does not parse."""
    if cell.kind == "code":
        source = lesson_source(cell)
        yield parse(source) or ast.Module([], [])
        for comment in re.findall(r"#+ *(.*)", source):
            yield parse(comment) or ast.Module([], [])
    elif cell.kind == "markdown":
        for _, language, block in FENCE.findall(cell.source + "\n"):
            if ">>> " in block:
                block = "\n".join(re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)", block, re.M))
            if language.lower() in PYTHON:
                yield parse(dedent(block))
            elif not language:
                yield parse(dedent(block)) or ast.Module([], [])


def _pieces(tree: ast.Module, longest: int) -> dict[tuple[int, int], list[Nodes]]:
    """Expressions, statements and runs of up to `longest` statements, by (length, nodes)."""
    sizes: dict[ast.AST, int] = {}

    def measure(node: ast.AST) -> int:
        own = not isinstance(node, UNCOUNTED)
        sizes[node] = own + (sum(map(measure, ast.iter_child_nodes(node))) if own else 0)
        return sizes[node]

    measure(tree)
    found: dict[tuple[int, int], list[Nodes]] = {}
    for node, nodes in sizes.items():
        if isinstance(node, ast.expr | ast.stmt):
            found.setdefault((1, nodes), []).append((node,))
    for body in bodies(tree):
        cores = [core(statement) for statement in body]
        for length in range(2, min(longest, len(cores)) + 1):
            for start in range(len(cores) - length + 1):
                run = tuple(cores[start : start + length])
                found.setdefault((length, sum(sizes[n] for n in run)), []).append(run)
    return found


def _same(one: Nodes, other: Nodes) -> bool:
    """Equal trees, or from RENAMED nodes on equal but for the names of variables."""
    same = [_printed(nodes) for nodes in (one, other)]
    if size(*one) >= RENAMED:
        same = [_renamed(text) for text in same]
    return same[0] == same[1]


def _printed(nodes: Nodes) -> str:
    return " ".join(ast.dump(node, annotate_fields=False) for node in nodes)


def _renamed(printed: str) -> str:
    """Variables and functions numbered in order of appearance."""
    numbers: dict[str, int] = {}
    return re.sub(
        r"\b(Name|arg|FunctionDef)\('(\w+)'",
        lambda m: f"{m[1]}({numbers.setdefault(m[2], len(numbers))}",
        printed,
    )


def _first_line(nodes: Nodes) -> str:
    return ast.unparse(nodes[0]).partition("\n")[0]
