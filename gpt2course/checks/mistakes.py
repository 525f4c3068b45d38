"""Which of the known mistakes an answer makes."""

from __future__ import annotations

import re
from functools import cache

from gpt2course.checks.attempt import Outcome, attempt, expected_outcomes, how_wrong
from gpt2course.checks.compare import SAME_MISTAKE, distance
from gpt2course.checks.exercise import Exercise
from gpt2course.checks.room import Mistake


def known_mistake(
    exercise: Exercise, first: int, outcomes: list[Outcome]
) -> tuple[Mistake | None, bool]:
    """The known mistake that the answer makes, and whether it is that mistake throughout.

    An answer that raises makes the mistake that raises the same kind of error in the smallest
    failing case; of several, the one with which it agrees in most cases. Any other makes the
    mistake with which it agrees in every case in which the mistake shows, the smallest failing one
    among them; of several, the one that shows most often.
    Failing that, a mistake is likely where it agrees in the smallest failing case, in at least
    half of the cases in which it shows and two at the least, and in more cases than any other.

    Args:
        first: the number of the smallest failing case.
        outcomes: of the cases in their order, up to a call that did not end.
    """
    sure, explained, likely = None, 0, {}
    expected = expected_outcomes(exercise)
    for mistake in exercise.mistakes:
        for way in mistake.ways:
            theirs = _outcome(exercise, way, first)
            if theirs is None or not _same(theirs, outcomes[first]):
                continue
            tried = ((i, _outcome(exercise, way, i)) for i in range(len(outcomes)))
            shows = {i: outcome for i, outcome in tried if outcome}
            agree = [
                i
                for i, theirs in shows.items()
                if _same(theirs, outcomes[i])
                and how_wrong(exercise, exercise.cases[i], expected[i], outcomes[i]) > 1
            ]
            enough = outcomes[first].error or len(agree) == len(shows)
            if enough and len(agree) > explained:
                sure, explained = mistake, len(agree)
            elif len(agree) * 2 >= len(shows):
                _, most = likely.get(mistake.name, (mistake, 0))
                likely[mistake.name] = (mistake, max(most, len(agree)))
    if sure:
        return sure, True
    ranked = sorted([*likely.values(), (None, 1), (None, 1)], key=lambda pair: -pair[1])
    (found, agreeing), (_, next_best) = ranked[:2]
    return (found if agreeing > next_best else None), False


@cache
def _outcome(exercise: Exercise, way: str, case: int) -> Outcome | None:
    """What one way to make a mistake gives in a case; None where it does not show there."""
    tried = exercise.cases[case]
    try:
        answer = exercise.build(way)
    except Exception as error:
        return Outcome(error=error)
    outcome = attempt(exercise, answer, tried)
    wrong = how_wrong(exercise, tried, expected_outcomes(exercise)[case], outcome) > 1
    return outcome if wrong else None


def _same(mistake: Outcome, outcome: Outcome) -> bool:
    """Whether an answer's outcome is that of the mistake."""
    if mistake.error or outcome.error:
        return _error_pattern(mistake.error) == _error_pattern(outcome.error)
    if mistake.changed and mistake.changed != outcome.changed:
        return False
    return distance(mistake.value, outcome.value, SAME_MISTAKE) <= 1


def _error_pattern(error: BaseException | None) -> tuple[str, str]:
    """Kind and message, without the numbers and names that vary."""
    return type(error).__name__, re.sub(r"\d+|'[^']*'", "…", str(error))
