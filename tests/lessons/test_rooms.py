"""A lesson is one room: no room knows another, and the visual language knows no lesson."""

import ast
from pathlib import Path

import pytest

from gpt2course.lessons import LESSONS

PACKAGE = Path(__file__).resolve().parents[2] / "gpt2course"


def imported(*paths):
    """Every module of the package that the files import, in functions too."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", LESSONS)
def test_no_picture_of_a_room_comes_from_another_room(room):
    mine, folder = f"gpt2course.lessons.{room}.", PACKAGE / "lessons" / room
    paths = [folder / name for name in ("__init__.py", "figures.py", "widgets.py")]
    found = [name for name in imported(*filter(Path.exists, paths)) if ".lessons." in name]
    assert all(f"{name}.".startswith(mine) for name in found), found


def test_the_visual_language_knows_the_library_and_nothing_that_stands_on_it():
    above = ("lessons", "checks", "learner", "tools", "mine")
    paths = (PACKAGE / "drawing").glob("*.py")
    names = [name for name in imported(*paths) if name.startswith("gpt2course.")]
    assert names and not [name for name in names if name.split(".")[1] in above]
