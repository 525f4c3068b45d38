"""Every known mistake is caught and named; every other right answer passes; the table says so."""

from pathlib import Path

import pytest

from gpt2course.checks import engine
from gpt2course.tools import kill_table

TABLE = Path(__file__).with_name("kill_table.md")


@pytest.fixture(scope="module")
def rows():
    return kill_table.rows()


def test_every_mistake_is_caught_under_its_own_name(rows):
    wanted = [row for row in rows if row.wanted == "caught"]
    assert wanted and [row for row in wanted if not row.as_wanted] == []


def test_every_other_right_answer_passes(rows):
    wanted = [row for row in rows if row.wanted == "passed"]
    assert wanted and [row for row in wanted if not row.as_wanted] == []


def test_each_exercise_lists_eight_mistakes_and_four_other_right_answers():
    for name, exercise in engine.exercises().items():
        assert len({m.name for m in exercise.misconceptions}) >= 8, name
        assert len({o.name for o in exercise.other_answers}) >= 4, name


def test_the_table_in_the_repository_is_fresh(rows):
    assert TABLE.read_text(encoding="utf-8") == kill_table.as_markdown(rows)


def test_the_table_shows_a_mistake_that_slips_through(monkeypatch):
    exercise = engine.exercises()["causal_mask"]
    slips = kill_table.Row("06", "causal_mask", "right after all", "passed", None, "caught")
    unnamed = kill_table.Row("06", "causal_mask", "odd", "failed", "reads the future", "caught")
    text = kill_table.as_markdown([slips, unnamed])
    assert "| right after all | **no** | **no** |" in text
    assert "| odd | yes | **as reads the future** |" in text
    assert exercise.name in text
