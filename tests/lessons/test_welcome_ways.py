"""The three ways through the course: lesson 00 adds up what the lessons' first cells state."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "solutions").glob("*.py"))
WELCOME = LESSONS[0].read_text(encoding="utf-8")
MINUTES = ast.literal_eval(re.search(r"^minutes = (\{.*?^\})", WELCOME, re.M | re.S)[1])
WAYS = ("An afternoon", "The core", "Everything")


def stated(lesson: Path) -> tuple[int, int] | None:
    """Minutes of the core and of everything, as the first cell gives them."""
    opening = lesson.read_text(encoding="utf-8").split("\n# %%")[0].replace("\n#", "")
    found = re.search(r"(\d+) +minutes for the core, (\d+)", opening)
    return found and (int(found[1]), int(found[2]))


def test_every_lesson_has_its_minutes():
    assert list(MINUTES) == [path.name[:2] for path in LESSONS]
    for afternoon, core, everything in MINUTES.values():
        assert 0 <= afternoon <= core <= everything


def test_the_minutes_are_those_of_the_lessons_first_cells():
    given = {path.name[:2]: minutes for path in LESSONS if (minutes := stated(path))}
    assert given.keys() >= {"00", "01"}
    right = {n: (MINUTES[n][0], *given.get(n, MINUTES[n][1:])) for n in MINUTES}
    assert right == MINUTES, f"write into solutions/00_welcome.py: minutes = {right}"


@pytest.mark.parametrize(
    ("way", "times"), [*zip(WAYS, zip(*MINUTES.values(), strict=True), strict=True)]
)
def test_the_readme_states_the_hours(way, times):
    said = f"- **{way}**, about {sum(times) / 60:.0f} hours:"
    assert said in (ROOT / "README.md").read_text(encoding="utf-8"), said
