"""Run an answer through the cases of its exercise and say what is wrong with it."""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import inspect
import io
import math
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from gpt2course.checks import rules
from gpt2course.checks.attempt import (
    Outcome,
    attempt,
    expected_outcomes,
    how_wrong,
    is_gradients,
    tolerance_of,
)
from gpt2course.checks.compare import difference, short_repr
from gpt2course.checks.exercise import ROOMS, Answer, Exercise
from gpt2course.checks.mistakes import known_mistake
from gpt2course.checks.result import Result
from gpt2course.checks.room import RoomFault, sections
from gpt2course.checks.sandbox import MEMORY_LIMIT, TIME_LIMIT, Ran, run_limited
from gpt2course.linear import one_torch_thread

# Files whose lines are not the learner's: ours, the standard library's, the installed packages'.
NOT_THEIRS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


# --- the lessons' rooms, found as plugins: the engine knows none of them by name ---


@functools.cache
def _lessons() -> dict[str, str]:
    """The lesson of every exercise, such as "06_masking", in course order."""
    stems = import_module("gpt2course.lessons").LESSONS
    return {
        name: f"{number:02d}_{stem}"
        for number, stem in enumerate(stems)
        for name in sections(ROOMS / stem / "mistakes.md")
    }


@functools.cache
def _exercises_of(lesson: str) -> dict[str, Exercise]:
    found = import_module(f"gpt2course.lessons.{lesson[3:]}.exercises").EXERCISES
    for exercise in found:
        exercise.lesson, exercise.find = lesson, _known
    return {exercise.name: exercise for exercise in found}


def names(lesson: str | None = None) -> list[str]:
    """The names of all exercises, or of those of a lesson ("06_masking"), in course order."""
    return [name for name, where in _lessons().items() if lesson in (None, where)]


def _known(name: str) -> Exercise | None:
    lesson = _lessons().get(name)
    return _exercises_of(lesson).get(name) if lesson else None


def find(name: str) -> Exercise:
    """The exercise of that name; ValueError with the nearest names where there is none."""
    if exercise := _known(name):
        return exercise
    near = difflib.get_close_matches(str(name), names(), n=2) or names()[:3]
    raise ValueError(
        f"there is no exercise named {name!r}; did you mean {' or '.join(near)}? "
        "If your function has another name, say which exercise it answers: "
        f"check(my_function, {near[0]!r})"
    )


def faults(stem: str) -> list[str]:
    """What is wrong with the exercises of a lesson's room, a sentence each; none where all is well.

    Every mistake must be refused, every right answer must pass, and the headings of mistakes.md
    must be the exercises of exercises.py.
    """
    listed, room = list(sections(ROOMS / stem / "mistakes.md")), f"gpt2course/lessons/{stem}"
    here = next((lesson for lesson in _lessons().values() if lesson[3:] == stem), f"00_{stem}")
    defined = _exercises_of(here)
    found = []
    if list(defined) != listed:
        found.append(
            f"{room}: mistakes.md has the headings {listed}, exercises.py the exercises "
            f"{list(defined)}; they must be the same, in the same order"
        )
    for exercise in defined.values():
        try:
            right, wrong = exercise.right_answers, exercise.mistakes
        except RoomFault as fault:
            found.append(f"{room}/{fault}")
            continue
        for answer in right:
            if said := _why_refused(exercise, answer.source):
                found.append(f"{room}/answers.md: {answer.title!r} of {exercise.name}: {said}")
        for mistake in wrong:
            for number, way in enumerate(mistake.ways, 1):
                if said := _why_no_mistake(exercise, way):
                    what = f"way {number} of {mistake.name!r} of {exercise.name}"
                    found.append(f"{room}/mistakes.md: {what} {said}")
    return found


def _why_refused(exercise: Exercise, source: str) -> str:
    """The finding about an answer that does not pass; empty where it passes."""
    try:
        result = run(exercise.name, exercise.build(source))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if result.passed else result.finding or result.status


def _why_no_mistake(exercise: Exercise, source: str) -> str:
    """Why a text can't be a way to make a mistake; empty where some case refuses it."""
    try:
        answer = exercise.build(source)
    except Exception as error:
        return f"is no answer ({type(error).__name__}: {error})"
    refused: list[bool] = []

    def try_until_wrong() -> None:
        for case, want in zip(exercise.cases, expected_outcomes(exercise), strict=True):
            if how_wrong(exercise, case, want, attempt(exercise, answer, case)) > 1:
                return refused.append(True)

    ran = run_limited(try_until_wrong)
    return "" if refused or ran.ending != "done" else "gives a right answer"


# --- a check ---


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
    if outcomes and rules.is_stub_error(outcomes[0].error) and rules.only_a_stub(answer):
        result.expected = expected_outcomes(exercise)[0].value
        return result
    if ran.ending != "done":
        return _ended_early(exercise, answer, result, ran, outcomes)
    _judge(exercise, answer, outcomes, result)
    return result


def _try_cases(exercise: Exercise, answer: Answer, outcomes: list[Outcome]) -> None:
    for case in exercise.cases:
        outcomes.append(attempt(exercise, answer, case))


def _judge(exercise: Exercise, answer: Answer, outcomes: list[Outcome], result: Result) -> None:
    """Say what is wrong with the outcomes: of all cases, or up to a call that did not end."""
    expected = expected_outcomes(exercise)
    tried = zip(exercise.cases, expected, outcomes, strict=False)
    wrong_by = [how_wrong(exercise, case, want, got) for case, want, got in tried]
    result.distance = max(wrong_by)
    first = next((i for i, far in enumerate(wrong_by) if far > 1), None)
    if first is None:
        result.status, result.expected = "passed", expected[0].value
        return
    outcome = outcomes[first]
    result.case = exercise.cases[first]
    result.expected, result.got = expected[first].value, outcome.value
    result.status = "error" if outcome.error else "failed"
    result.finding = _finding(exercise, answer, result, outcome)
    seen = rules.Seen(exercise, answer, first, outcomes)
    named = rules.named_by_error(seen) if outcome.error else None
    if not named:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # what the mistakes themselves give rise to
            known, result.throughout = known_mistake(exercise, first, outcomes)
        by_rule = None if known and result.throughout else _ask(rules.named_by_value, seen)
        named = by_rule or known
        result.throughout = result.throughout or named is by_rule
    if named:
        result.misconception, result.why = named.name, named.why
    elif len(outcomes) < len(exercise.cases):
        pass  # properties would call what does not end
    elif not outcome.error and isinstance(result.got, type(result.expected)):
        result.properties = _probe(exercise, answer, result)


def _ask(rule: Callable[[rules.Seen], Any], seen: rules.Seen) -> Any:
    """What a rule says; it may call the answer again, so within the limits."""
    said: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(Exception):  # what the answer gave may not bear being looked at
            said.append(rule(seen))

    run_limited(ask)
    return said[0] if said else None


def _finding(exercise: Exercise, answer: Answer, result: Result, outcome: Outcome) -> str:
    if outcome.error:
        return learners_traceback(exercise, answer, outcome.error)
    tolerance = tolerance_of(exercise, result.case)
    found = difference(result.expected, outcome.value, tolerance, exercise.tolerance)
    if found is None:
        return (
            f"The value is right, but the answer changes its argument {outcome.changed}. "
            "Whoever called it still needs that: work on a copy, or build something new."
        )
    if result.case.fine:
        return f"Of how far the result moves where the argument moves by 1e-8: {found}"
    return found


def _probe(exercise: Exercise, answer: Answer, result: Result) -> list[tuple[str, bool]]:
    """Which properties of right answers hold; those that can't be asked are left out."""
    if result.case.fine or is_gradients(result.expected):
        return []  # the card shows slopes or gradients, of which no property speaks
    held: list[tuple[str, bool]] = []
    asked = answer if isinstance(answer, type) else _on_copies(answer)

    def probe_all() -> None:
        for prop in exercise.properties:
            shown: bool | None = True
            if prop.of_result:
                shown = _holds(prop.of_result, result.got, *copy.deepcopy(result.case.args))
            holds = _holds(prop.holds, asked) if shown else shown
            if holds is not None:
                held.append((prop.claim, holds))

    run_limited(probe_all)
    return held


def _on_copies(answer: Answer) -> Answer:
    """The answer, unable to change the tensors and lists of a property: later checks need them.

    A module that it is given to fill stays the same one.
    """

    @functools.wraps(answer)
    def answer_on_copies(*args: Any, **named: Any) -> Any:
        kept = {id(arg): arg for arg in args if isinstance(arg, torch.nn.Module)}
        return answer(*copy.deepcopy(args, kept), **named)

    return answer_on_copies


def _holds(holds: Callable[..., bool | None], *args: Any) -> bool | None:
    """Whether a property holds; None where it can't be asked."""
    try:
        said = holds(*args)
        return None if said is None else bool(said)
    except (Exception, SystemExit, KeyboardInterrupt):
        return None


def _ended_early(
    exercise: Exercise, answer: Answer, result: Result, ran: Ran, outcomes: list[Outcome]
) -> Result:
    """What to say where not all cases were tried: the first that was wrong, or the slow one."""
    if outcomes and not ran.still_running:
        _judge(exercise, answer, outcomes, result)
        if not result.passed:
            result.finding += f" (A later call had not ended after {ran.seconds:.0f} seconds.)"
            return result
    number = min(len(outcomes), len(exercise.cases) - 1)
    result.case, result.status, result.distance = exercise.cases[number], "timeout", math.inf
    result.expected = expected_outcomes(exercise)[number].value
    if ran.ending == "slow":
        reason = f"It had not ended after {ran.seconds:.0f} seconds and was stopped."
        hint = "Is there a loop whose counter does not move on every path?"
    else:
        reason = f"It took over {MEMORY_LIMIT / 2**30:.0f} GB of memory and was stopped."
        hint = "Is there a list that only grows, or a tensor far larger than the arguments?"
    result.finding = f"{reason} {hint}"
    if ran.still_running:
        result.finding += (
            " Code that could not be ended still runs behind the notebook:"
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
