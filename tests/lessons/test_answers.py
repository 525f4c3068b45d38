"""Answers of every exercise, listed in a room or kept here: right ones pass, wrong ones don't.

right/STEM.md and wrong/STEM.md hold answers that no room lists, in the form of answers.md and
mistakes.md; the text under a wrong one is `named: NAME`, what its card calls it, or `unnamed`.
"""

from pathlib import Path

import pytest

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes, is_gradients
from gpt2course.checks.room import read_answers, read_mistakes, reference_source
from gpt2course.checks.sandbox import TIME_LIMIT
from gpt2course.tools.kill_table import FARTHEST_RIGHT, NEAREST_WRONG, rows

HERE = Path(__file__).parent
NAMES = checks.names()
PATIENCE = 4 * TIME_LIMIT  # of right answers: in tests the package checks every shape it is given


def right_ones(name):
    return read_answers(HERE / "right" / f"{checks.find(name).room.name}.md", name)


def wrong_ones(name):
    exercise = checks.find(name)
    path = HERE / "wrong" / f"{exercise.room.name}.md"
    answers = [*exercise.right_answers, *right_ones(name)]
    found = read_mistakes(path, name, reference_source(exercise.reference), answers)
    return [(wrong.name, way, wrong.why) for wrong in found for way in wrong.ways]


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_mistake_is_named_and_every_listed_right_answer_passes(name):
    found = list(rows([name], patience=PATIENCE))
    assert [row for row in found if not row.as_wanted] == []
    assert [row for row in found if not row.clear] == []


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_that_no_room_lists_pass(name):
    exercise = checks.find(name)
    for answer in right_ones(name):
        result = checks.run(name, exercise.build(answer.source), PATIENCE)
        assert result.passed, (answer.title, result.message)
        assert result.distance <= FARTHEST_RIGHT, answer.title


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_that_no_room_lists_are_refused_under_the_expected_name(name):
    exercise = checks.find(name)
    for title, source, told in wrong_ones(name):
        result = checks.run(name, exercise.build(source))
        assert not result.passed, title
        assert result.distance >= NEAREST_WRONG or result.status == "timeout", title
        named = told.removeprefix("named: ") if told != "unnamed" else None
        assert result.misconception == named, (title, result.message)


def test_four_of_five_wrong_answers_that_no_room_lists_are_named():
    told = [told for name in NAMES for _, _, told in wrong_ones(name)]
    assert sum(one != "unnamed" for one in told) >= 0.8 * len(told)


@pytest.mark.parametrize("name", NAMES)
def test_every_property_holds_of_right_answers_and_fails_of_some_mistake(name):
    exercise = checks.find(name)
    answers = [exercise.reference, *(exercise.build(a.source) for a in exercise.right_answers)]
    ways = [way for m in exercise.mistakes for way in m.ways]
    ways += [way for _, way, _ in wrong_ones(name)]
    mistakes = [exercise.build(way) for way in ways]
    for prop in exercise.properties:
        assert all(asked(prop.holds(answer)) is not False for answer in answers), prop.claim
        if prop.of_result:
            for case, outcome in zip(exercise.cases, expected_outcomes(exercise), strict=True):
                if not (case.fine or is_gradients(outcome.value)):
                    held = engine._holds(prop.of_result, outcome.value, *case.args)
                    assert held is not False, (prop.claim, case.label)
        assert any(fails(prop, mistake) for mistake in mistakes), f"{prop.claim} never fails"
    unspoilt = checks.run(name, exercise.reference).passed
    assert unspoilt, "a property hands a case's own arguments to an answer that changes them"


def asked(held):
    """True, False, or None where a property can't be asked."""
    return None if held is None else bool(held)


def fails(prop, answer):
    try:
        return asked(prop.holds(answer)) is False
    except Exception:
        return False
