"""The house is as ARCHITECTURE.md draws it: a room for each module, and no import points back."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import gpt2course

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(
    r"^```\n(.*?)^```$", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
MAP, ORDER, LIBRARY, BY_NAME = (
    BLOCKS[0].splitlines(),
    BLOCKS[1],
    BLOCKS[2].split(),
    BLOCKS[3].split(),
)
_, *LEVELS = ([room.strip() for room in level.split(",")] for level in ORDER.split("←"))
# A room may import itself and the rooms of a lower rank.
RANKS = {room: rank for rank, room in enumerate(LIBRARY)}
RANKS |= {room: len(LIBRARY) + n for n, level in enumerate(LEVELS) for room in level}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def module_files() -> dict[str, Path]:
    """The files of the package by the name of their module."""
    files = {}
    for path in sorted((ROOT / "gpt2course").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def drawn() -> Iterator[str]:
    """The paths that the map names; those of folders end in a slash."""
    folders: list[str] = []
    for line in MAP:
        depth = (len(line) - len(line.lstrip())) // 4
        names = re.split(r"\s{2,}", line.strip())[0].split()
        folders[depth:] = [names[-1]]
        yield from ("".join([*folders[:depth], name]) for name in names)


FILES, DRAWN = module_files(), set(drawn())
CLOSED = {
    path
    for path in DRAWN
    if path[-1] == "/" and not any(path < d and d.startswith(path) for d in DRAWN)
}


def imports(source: str, package: str) -> list[str]:
    """The modules of gpt2course that a source imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                # What gpt2course itself hands on lies in any room, and is no module of that name.
                lazy = origin == "gpt2course" and alias.name != "__version__"
                found.append(inner if inner in FILES or lazy else origin)
    return [name for name in found if name.split(".")[0] == "gpt2course"]


@cache
def imports_of(module: str) -> list[str]:
    path = FILES[module]
    if module == "gpt2course":  # hands on names of any room, and imports none of them by itself
        return []
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imports(path.read_text("utf-8"), package)


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def lesson_of(module: str) -> str | None:
    """The lesson in whose room a module is."""
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["lessons"] and len(parts) > 2 else None


# The map ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", FILES)
def test_the_map_names_every_module(module):
    path = FILES[module].relative_to(ROOT).as_posix()
    if lesson := lesson_of(module):
        path = path.replace(f"/{lesson}/", "/<stem>/", 1)
    inside = path.startswith(tuple(CLOSED))
    assert path in DRAWN or inside, f"ARCHITECTURE.md must name {path}"
    assert room_of(module) in RANKS, f"ARCHITECTURE.md must say what {room_of(module)} may import"


def test_what_the_map_names_is_there():
    missing = [path for path in DRAWN if "<stem>" not in path and not (ROOT / path).exists()]
    assert not missing
    assert set(RANKS) <= {room_of(module) for module in FILES}


# The order of imports ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import gpt2course.training.run", ["gpt2course.training.run"]),
        ("def f():\n    from gpt2course.model import GPT2", ["gpt2course.model"]),
        ("if TYPE_CHECKING:\n    from gpt2course import weights", ["gpt2course.weights"]),
        (
            "from gpt2course.weights import released, locate",
            ["gpt2course.weights.released", "gpt2course.weights"],
        ),
        (
            "from . import released\nfrom .. import config",
            ["gpt2course.weights.released", "gpt2course.config"],
        ),
        ("from ..model import GPT2", ["gpt2course.model"]),
        ("from gpt2course import check, __version__", ["gpt2course.check", "gpt2course"]),
        ("import torch\nfrom torch import nn", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source, found):
    assert imports(source, "gpt2course.weights") == found


@pytest.mark.parametrize("module", FILES)
def test_no_import_points_back(module):
    own = room_of(module)
    for imported in imports_of(module):
        room = room_of(imported)
        assert imported in FILES, f"{module} imports {imported}, which is no module"
        assert room == own or RANKS[room] < RANKS[own], f"{module} imports {imported}"


def test_no_modules_import_each_other_in_a_circle():
    tuple(TopologicalSorter({module: imports_of(module) for module in FILES}).static_order())


def test_modules_are_imported_by_name_only_where_the_map_says_so():
    by_name = re.compile(r"(import_module|__import__)\(")
    found = [path for path in FILES.values() if by_name.search(path.read_text("utf-8"))]
    assert {path.relative_to(ROOT).as_posix() for path in found} == set(BY_NAME)


def test_no_lesson_needs_another():
    needed = {
        f"{module} imports {imported}"
        for module in FILES
        for imported in imports_of(module)
        if lesson_of(module) and lesson_of(imported) not in (None, lesson_of(module))
    }
    assert not needed


# Light, and typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import gpt2course", "torch"),
        ("import gpt2course.corpus", "torch"),
        ("import gpt2course.tools.authoring", "torch"),
        ("import gpt2course.tools.cli", "torch"),
        ("import gpt2course.tools.doctor", "torch"),
        ("from gpt2course.model import GPT2", "matplotlib"),
        ("from gpt2course.model import GPT2", "tiktoken"),
        ("from gpt2course import check", "matplotlib"),
    ],
)
def test_importing_stays_light(statement, unwanted):
    code = f"import sys; {statement}; print({unwanted!r} in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_package_hands_on_its_names_without_importing_anything_by_itself():
    code = """if True:
        import sys, gpt2course
        loaded = [name for name in sys.modules if name.startswith("gpt2course.")]
        assert not loaded, loaded
        from gpt2course import GPT2Config
        assert "torch" not in sys.modules
        for name in gpt2course.__all__:
            assert name in dir(gpt2course)
            assert getattr(gpt2course, name).__name__ == name
        assert not hasattr(gpt2course, "GPT3")"""
    subprocess.run([sys.executable, "-c", code], check=True)
    tree = ast.parse(FILES["gpt2course"].read_text("utf-8"))
    typed = {alias.asname for node in ast.walk(tree) for alias in getattr(node, "names", ())}
    assert typed - {None} == set(gpt2course.__all__)


def test_every_shape_in_the_library_is_checked_in_the_tests():
    options = PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"].replace("\\\n", "")
    checked = re.search(r"--jaxtyping-packages=(\S+)", options)[1].split(",")
    with_shapes = {
        module
        for module, path in FILES.items()
        if room_of(module) in LIBRARY and "from jaxtyping" in path.read_text("utf-8")
    }
    assert with_shapes <= set(checked)
    assert set(checked) - {"beartype.beartype"} <= set(FILES)


def test_the_types_of_the_library_and_the_corpus_hold():
    """Some 15 s of one core; with the cache that the first run leaves, one second."""
    pytest.importorskip("mypy", reason="mypy is a test extra")
    rooms = {Path(path).stem for path in PYPROJECT["tool"]["mypy"]["files"]}
    assert rooms == {*LIBRARY, "corpus"} - {"__init__"}
    ran = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
