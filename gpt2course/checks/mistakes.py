"""Which of the listed mistakes an answer makes."""

from __future__ import annotations

import copy
import re
from functools import cache
from types import FunctionType

from gpt2course.checks.attempt import Outcome, attempt, expected_outcomes, is_wrong
from gpt2course.checks.compare import SAME_MISTAKE, difference
from gpt2course.checks.exercise import Answer, Exercise, Misconception


def known_mistake(
    exercise: Exercise, first: int, outcomes: list[Outcome]
) -> tuple[Misconception | None, bool]:
    """The listed mistake that the answer makes, and whether it is that mistake throughout.

    It is where the two agree on every case in which the mistake shows, the smallest failing case
    among them; of several, the one that shows most often. Failing that, a mistake is likely where
    it agrees on the smallest failing case, on at least half of the cases in which it shows and two
    at the least, and on more cases than any other.

    Args:
        first: the number of the smallest failing case.
    """
    sure, explained, likely = None, 0, {}
    expected = expected_outcomes(exercise)
    for number, mistake in enumerate(exercise.misconceptions):
        theirs = _outcome(exercise, number, first)
        if theirs is None or not _same(theirs, outcomes[first], expected[first]):
            continue
        tried = ((i, _outcome(exercise, number, i)) for i in range(len(exercise.cases)))
        shows = {i: outcome for i, outcome in tried if outcome}
        agree = [i for i, theirs in shows.items() if _same(theirs, outcomes[i], expected[i])]
        if len(agree) == len(shows) > explained:
            sure, explained = mistake, len(shows)
        elif len(agree) * 2 >= len(shows) and not outcomes[first].error:
            likely[mistake.name] = (mistake, len(agree))
    if sure:
        return sure, True
    ranked = sorted([*likely.values(), (None, 1), (None, 1)], key=lambda pair: -pair[1])
    (mistake, agreeing), (_, next_best) = ranked[:2]
    return (mistake if agreeing > next_best else None), False


@cache
def _outcome(exercise: Exercise, number: int, case: int) -> Outcome | None:
    """What a listed mistake gives in a case; None where it does not show there."""
    mistake = exercise.misconceptions[number]
    outcome = attempt(exercise, fresh(mistake.answer), exercise.cases[case])
    return outcome if is_wrong(expected_outcomes(exercise)[case], outcome) else None


def fresh(answer: Answer) -> Answer:
    """The function with its default arguments as they were written (a mistake may change them)."""
    if not isinstance(answer, FunctionType):
        return answer
    defaults = copy.deepcopy(_defaults_of(answer))
    made = FunctionType(
        answer.__code__, answer.__globals__, answer.__name__, defaults, answer.__closure__
    )
    made.__kwdefaults__ = answer.__kwdefaults__
    return made


@cache
def _defaults_of(answer: FunctionType) -> tuple | None:
    return copy.deepcopy(answer.__defaults__)


def _same(mistake: Outcome, outcome: Outcome, expected: Outcome) -> bool:
    """Whether an answer's outcome is that of the mistake; both differ from what is expected."""
    if mistake.error or outcome.error:
        return _error_pattern(mistake.error) == _error_pattern(outcome.error)
    if mistake.changed and mistake.changed != outcome.changed:
        return False
    if not mistake.changed and difference(expected.value, outcome.value) is None:
        return False
    return difference(mistake.value, outcome.value, SAME_MISTAKE) is None


def _error_pattern(error: BaseException | None) -> tuple[str, str]:
    """Kind and message, without the numbers and names that vary."""
    return type(error).__name__, re.sub(r"\d+|'[^']*'", "…", str(error))
