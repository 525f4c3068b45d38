"""Run an answer through the cases of its exercise and say what is wrong with it."""

from __future__ import annotations

import copy
import difflib
import inspect
import re
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from gpt2course.checks.compare import SAME_MISTAKE, difference, short_repr
from gpt2course.checks.exercise import Answer, Case, Exercise, Misconception
from gpt2course.checks.result import Result
from gpt2course.checks.sandbox import (
    MEMORY_LIMIT,
    TIME_LIMIT,
    Ran,
    one_torch_thread,
    run_limited,
)

LESSONS = ("tokens", "self_attention", "masking")  # one module of exercises each, in course order
# Files whose lines are not the learner's: ours, the standard library's, the installed packages'.
NOT_THEIRS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


@dataclass
class Outcome:
    """What one call gave: a value, or the exception that it raised."""

    value: Any = None
    error: BaseException | None = None
    changed: str | None = None  # the argument that the answer changed


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise by name, in course order."""
    modules = (import_module(f"gpt2course.checks.{stem}") for stem in LESSONS)
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
        result.status, result.expected = "error", expected_outcome(exercise, first).value
        result.finding = (
            f"The answer is {short_repr(answer)}, and not a function. "
            f"Give check the function itself, check({name}), and not what it returns."
        )
        return result
    outcomes: list[Outcome] = []
    ran = run_limited(lambda: _try_cases(exercise, answer, outcomes), time_limit)
    result.seconds, result.printed = ran.seconds, ran.printed
    if outcomes and isinstance(outcomes[0].error, NotImplementedError):
        result.expected = expected_outcome(exercise, first).value
        return result
    if ran.ending != "done":
        return _ended_early(exercise, result, ran, len(outcomes))
    _judge(exercise, answer, outcomes, result)
    return result


def attempt(exercise: Exercise, answer: Answer, case: Case) -> Outcome:
    """Call an answer on a fresh copy of a case's arguments."""
    args = copy.deepcopy(case.args)
    floats = {
        name: arg
        for name, arg in zip(exercise.parameter_names(), args, strict=False)
        if case.gradients and isinstance(arg, Tensor) and arg.is_floating_point()
    }
    for arg in floats.values():
        arg.requires_grad_()
    try:
        value = exercise.call(answer, *args)
        if case.gradients:
            value = _gradients(value, floats)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return Outcome(error=error)
    changed = [
        name
        for name, before, after in zip(exercise.parameter_names(), case.args, args, strict=False)
        if difference(before, after)
    ]
    return Outcome(value, changed=changed[0] if changed else None)


def expected_outcome(exercise: Exercise, case: Case) -> Outcome:
    """What the reference gives for a case."""
    return attempt(exercise, exercise.reference, case)


def _try_cases(exercise: Exercise, answer: Answer, outcomes: list[Outcome]) -> None:
    for case in exercise.cases:
        outcomes.append(attempt(exercise, answer, case))


def _gradients(value: Any, floats: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of a fixed weighted sum of the result, by name of the argument."""
    if not isinstance(value, Tensor):
        return value
    if not value.requires_grad:
        return {f"the gradient of {name}": torch.zeros_like(arg) for name, arg in floats.items()}
    weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view(value.shape)
    gradients = torch.autograd.grad(
        (value * weights).sum(), list(floats.values()), allow_unused=True
    )
    return {
        f"the gradient of {name}": torch.zeros_like(arg) if g is None else g
        for (name, arg), g in zip(floats.items(), gradients, strict=True)
    }


def _wrong(expected: Outcome, outcome: Outcome) -> bool:
    return bool(
        outcome.error or outcome.changed or difference(expected.value, outcome.value) is not None
    )


def _judge(exercise: Exercise, answer: Answer, outcomes: list[Outcome], result: Result) -> None:
    expected = _expected(exercise.name)
    failing = [i for i, (e, o) in enumerate(zip(expected, outcomes, strict=True)) if _wrong(e, o)]
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
    found, result.throughout = _known_mistake(exercise, first, outcomes)
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


@cache
def _expected(name: str) -> list[Outcome]:
    exercise = find(name)
    return [expected_outcome(exercise, case) for case in exercise.cases]


@cache
def _mistakes(name: str) -> list[tuple[Misconception, dict[int, Outcome]]]:
    """Every listed mistake with its outcomes in the cases (by number) in which it shows."""
    exercise, found = find(name), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mistake may be what a library warns of
        for mistake in exercise.misconceptions:
            theirs = [attempt(exercise, fresh(mistake.answer), case) for case in exercise.cases]
            pairs = enumerate(zip(_expected(name), theirs, strict=True))
            found.append((mistake, {i: o for i, (e, o) in pairs if _wrong(e, o)}))
    return found


def _known_mistake(
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
    expected = _expected(exercise.name)
    for mistake, shows in _mistakes(exercise.name):
        if first not in shows or not _same(shows[first], outcomes[first], expected[first]):
            continue
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


def _ended_early(exercise: Exercise, result: Result, ran: Ran, done: int) -> Result:
    result.status = "timeout"
    case = exercise.cases[min(done, len(exercise.cases) - 1)]
    result.case, result.expected = case, expected_outcome(exercise, case).value
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
        signature = inspect.signature(answer)
        signature.bind(*exercise.cases[0].args)
    except TypeError:
        asked = ", ".join(exercise.parameter_names())
        return (
            f"{exercise.name} is called with ({asked}); "
            f"yours takes {signature}. Give it the parameters that the exercise names."
        )
    except ValueError:
        pass
    return None
