"""What the outcomes of an answer are worth. Nothing here runs the answer."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Sequence

from gpt2course.checks.attempt import Outcome, attempt, how_wrong, tolerance_of
from gpt2course.checks.compare import difference
from gpt2course.checks.exercise import Case, Exercise
from gpt2course.checks.mistakes import known_mistake
from gpt2course.checks.result import Result
from gpt2course.tools.grading.answering import Told

ENDINGS = {
    "slow": "It had not ended after its time and was stopped. Is there a loop that never ends?",
    "large": "It took too much memory and was stopped.",
    "gone": "Its process ended without a result.",
}


def judge(exercise: Exercise, told: Told, fresh: Sequence[Case]) -> Result:
    """The result of an answer that ran on the published cases and then on fresh ones."""
    cases = [*exercise.cases, *fresh]
    result = Result(exercise, "error", cases[0], printed=told.notes.get("printed", ""))
    result.expected = _expected(exercise, cases[0]).value
    if built := told.notes.get("build"):
        result.finding, result.distance = built, math.inf
        return result
    for number, outcome in enumerate(told.outcomes):
        case = cases[number]
        expected = _expected(exercise, case)
        far = how_wrong(exercise, case, expected, outcome)
        result.distance = max(result.distance, far)
        if far > 1:
            result.case, result.expected, result.got = case, expected.value, outcome.value
            result.status = "error" if outcome.error else "failed"
            result.finding = _finding(exercise, case, expected, outcome)
            if number < len(exercise.cases):
                published = told.outcomes[: len(exercise.cases)]
                with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                    warnings.simplefilter("ignore")
                    known, result.throughout = known_mistake(exercise, number, published)
                if known:
                    result.misconception, result.why = known.name, known.why
            else:
                result.misconception = "knows the published cases"
                result.why = (
                    "It gives what is asked on them, and something else on numbers like them."
                )
            return result
    if told.ending != "done" or len(told.outcomes) < len(cases):
        result.status, result.distance = "timeout", math.inf
        result.case = cases[min(len(told.outcomes), len(cases) - 1)]
        result.finding = ENDINGS.get(told.ending, ENDINGS["gone"])
        return result
    result.status = "passed"
    return result


_kept: dict[tuple[int, int], Outcome] = {}


def _expected(exercise: Exercise, case: Case) -> Outcome:
    """What the reference gives, computed once a case."""
    key = id(exercise), id(case)
    if key not in _kept:
        _kept[key] = attempt(exercise, exercise.reference, case)
    return _kept[key]


def _finding(exercise: Exercise, case: Case, expected: Outcome, outcome: Outcome) -> str:
    if outcome.error:
        return getattr(outcome.error, "shown", "") or type(outcome.error).__name__
    tolerance = tolerance_of(exercise, case)
    found = difference(expected.value, outcome.value, tolerance, exercise.tolerance)
    return found or f"The value is right, but the answer changes its argument {outcome.changed}."
