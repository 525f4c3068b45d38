"""Run an answer through the cases of its exercise and say what is wrong with it."""

from __future__ import annotations

import copy
import difflib
import inspect
import sysconfig
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from gpt2course.checks.attempt import Outcome, attempt, expected_outcomes, is_wrong
from gpt2course.checks.compare import difference, short_repr
from gpt2course.checks.exercise import Answer, Exercise
from gpt2course.checks.mistakes import known_mistake
from gpt2course.checks.result import Result
from gpt2course.checks.sandbox import (
    MEMORY_LIMIT,
    TIME_LIMIT,
    Ran,
    run_limited,
)
from gpt2course.linear import one_torch_thread

# Files whose lines are not the learner's: ours, the standard library's, the installed packages'.
NOT_THEIRS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise by name, in course order."""
    stems = import_module("gpt2course.lessons").LESSONS  # by name: the lessons import the checks
    modules = (import_module(f"gpt2course.lessons.{stem}.exercises") for stem in stems)
    return {e.name: e for module in modules for e in module.EXERCISES}


def names() -> list[str]:
    """The names of all exercises, in course order."""
    return list(exercises())


def find(name: str) -> Exercise:
    """The exercise of that name; ValueError with the nearest names where there is none."""
    if name in exercises():
        return exercises()[name]
    near = difflib.get_close_matches(str(name), names(), n=2) or names()[:3]
    raise ValueError(
        f"there is no exercise named {name!r}; did you mean {' or '.join(near)}? "
        "If your function has another name, say which exercise it answers: check(f, 'causal_mask')"
    )


@one_torch_thread()
def run(name: str, answer: Answer, time_limit: float = TIME_LIMIT) -> Result:
    """Check an answer; show nothing, keep nothing.

    Args:
        name: the exercise, one of `names()`.
        answer: the function or class that answers it.
        time_limit: seconds for all its cases together.
    """
    exercise = find(name)
    first = exercise.cases[0]
    result = Result(exercise, "not_started", first)
    if not callable(answer):
        result.status, result.expected = "error", expected_outcomes(exercise)[0].value
        result.finding = (
            f"The answer is {short_repr(answer)}, and not a function. "
            f"Give check the function itself, check({name}), and not what it returns."
        )
        return result
    outcomes: list[Outcome] = []
    ran = run_limited(lambda: _try_cases(exercise, answer, outcomes), time_limit)
    result.seconds, result.printed = ran.seconds, ran.printed
    if outcomes and _is_untouched(outcomes[0].error):
        result.expected = expected_outcomes(exercise)[0].value
        return result
    if ran.ending != "done":
        return _ended_early(exercise, answer, result, ran, outcomes)
    _judge(exercise, answer, outcomes, result)
    return result


def _is_untouched(error: BaseException | None) -> bool:
    """Whether a stub raised it; torch raises the same for a dtype that an operator lacks."""
    if not isinstance(error, NotImplementedError):
        return False
    line = traceback.extract_tb(error.__traceback__)[-1].line
    return not line or line.startswith("raise")


def _try_cases(exercise: Exercise, answer: Answer, outcomes: list[Outcome]) -> None:
    for case in exercise.cases:
        outcomes.append(attempt(exercise, answer, case))


def _judge(exercise: Exercise, answer: Answer, outcomes: list[Outcome], result: Result) -> None:
    expected = expected_outcomes(exercise)
    failing = [i for i, (e, o) in enumerate(zip(expected, outcomes, strict=True)) if is_wrong(e, o)]
    if not failing:
        result.status, result.expected = "passed", expected[0].value
        return
    first = failing[0]
    outcome = outcomes[first]
    result.case, result.expected, result.got = (
        exercise.cases[first],
        expected[first].value,
        outcome.value,
    )
    result.status = "error" if outcome.error else "failed"
    result.finding = _finding(exercise, answer, expected[first], outcome)
    found, result.throughout = known_mistake(exercise, first, outcomes)
    if found:
        result.misconception, result.why = found.name, found.why
    elif difference(result.expected, result.got) and isinstance(result.got, type(result.expected)):
        result.properties = _probe(exercise, answer, result)


def _finding(exercise: Exercise, answer: Answer, expected: Outcome, outcome: Outcome) -> str:
    if outcome.error:
        return learners_traceback(exercise, answer, outcome.error)
    found = difference(expected.value, outcome.value)
    if found is None:
        return (
            f"The value is right, but the answer changes its argument {outcome.changed}. "
            "Whoever called it still needs that: work on a copy, or build something new."
        )
    return found


def _probe(exercise: Exercise, answer: Answer, result: Result) -> list[tuple[str, bool]]:
    """Which properties of right answers hold; one that raises does not hold."""
    held: list[tuple[str, bool]] = []

    def probe_all() -> None:
        for prop in exercise.properties:
            on_card = prop.of_result is None or _holds(
                prop.of_result, result.got, *copy.deepcopy(result.case.args)
            )
            held.append((prop.claim, on_card and _holds(prop.holds, answer)))

    run_limited(probe_all)
    return held


def _holds(holds: Callable[..., bool], *args: Any) -> bool:
    try:
        return bool(holds(*args))
    except (Exception, SystemExit, KeyboardInterrupt):
        return False


def _ended_early(
    exercise: Exercise, answer: Answer, result: Result, ran: Ran, outcomes: list[Outcome]
) -> Result:
    """What to say where not all cases were tried: the first that was wrong, or the slow one."""
    for number, (case, outcome) in enumerate(zip(exercise.cases, outcomes, strict=False)):
        expected = expected_outcomes(exercise)[number]
        if is_wrong(expected, outcome) and not ran.still_running:
            result.case, result.expected, result.got = case, expected.value, outcome.value
            result.status = "error" if outcome.error else "failed"
            result.finding = _finding(exercise, answer, expected, outcome)
            result.finding += f" (A later call had not ended after {ran.seconds:.0f} seconds.)"
            return result
    result.status = "timeout"
    number = min(len(outcomes), len(exercise.cases) - 1)
    result.case = exercise.cases[number]
    result.expected = expected_outcomes(exercise)[number].value
    if ran.ending == "slow":
        reason = f"It had not ended after {ran.seconds:.0f} seconds and was stopped."
    else:
        reason = f"It took over {MEMORY_LIMIT / 2**30:.0f} GB of memory and was stopped."
    hint = "Is there a loop whose counter does not move on every path, or a list that only grows?"
    result.finding = f"{reason} {hint}"
    if ran.still_running:
        result.finding += (
            " It could not be ended and still runs behind the notebook:"
            " restart the kernel (Kernel ▸ Restart) before you go on."
        )
    return result


def learners_traceback(exercise: Exercise, answer: Answer, error: BaseException) -> str:
    """The error with the learner's own lines: nothing of ours, nothing of the libraries."""
    kind, text = type(error).__name__, str(error)[:500]
    said = f"{kind}: {text}" if text else kind
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(NOT_THEIRS)]
    if not theirs:
        return _call_does_not_fit(exercise, answer) or said
    lines = []
    for frame in theirs[-3:]:
        lines.append(f"line {frame.lineno}, in {frame.name}")
        lines.append(f"    {frame.line}")
    return "\n".join([*lines, said])


def _call_does_not_fit(exercise: Exercise, answer: Answer) -> str | None:
    """Where the answer can't be called as the exercise calls it, the two signatures."""
    try:
        names, args = exercise.called_with(exercise.cases[0])
        signature = inspect.signature(answer)
        signature.bind(*args)
    except TypeError:
        asked = ", ".join(names)
        return (
            f"{exercise.name} is called with ({asked}); "
            f"yours takes {signature}. Give it the parameters that the exercise names."
        )
    except ValueError:
        pass
    return None
