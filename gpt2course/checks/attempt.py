"""One call of an answer with the arguments of a case, and what came of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from threading import current_thread, main_thread
from typing import Any

import torch
from torch import Tensor

from gpt2course.checks.compare import difference, distance
from gpt2course.checks.exercise import Answer, Case, Exercise

STEP = 1e-8  # how far the arguments of a fine case move; float32 rounds such a step away
FINE_TOLERANCE = 1e-3  # a slope taken over STEP has some 1e-7 of float64's own rounding


@dataclass
class Outcome:
    """What one call gave: a value, or the exception that it raised."""

    value: Any = None
    error: BaseException | None = None
    changed: str | None = None  # the argument that the answer changed


@torch.enable_grad()  # a notebook may have switched gradients off
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
            value = gradients_of(value, floats)
        elif case.fine:
            moved = exercise.call(answer, *(_moved(arg) for arg in copy.deepcopy(case.args)))
            value = _slope(value, moved)
        value = _as_it_is_now(value)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # the stop button, and nothing that the answer did: it runs in another thread
        return Outcome(error=error)
    changed = [
        name
        for name, before, after in zip(exercise.parameter_names(), case.args, args, strict=False)
        if difference(before, after)
    ]
    return Outcome(value, changed=changed[0] if changed else None)


@cache
def expected_outcomes(exercise: Exercise) -> list[Outcome]:
    """What the reference gives, case by case."""
    return [attempt(exercise, exercise.reference, case) for case in exercise.cases]


def tolerance_of(exercise: Exercise, case: Case) -> float | None:
    """The tolerance of a case, where it is not that of the dtype (see `compare`)."""
    return FINE_TOLERANCE if case.fine else None


def how_wrong(exercise: Exercise, case: Case, expected: Outcome, outcome: Outcome) -> float:
    """The distance from what is expected in tolerances: above 1 is wrong, inf of another form."""
    if outcome.error or outcome.changed:
        return float("inf")
    tolerance = tolerance_of(exercise, case)
    return distance(expected.value, outcome.value, tolerance) / exercise.tolerance


def gradients_of(value: Any, leaves: dict[str, Tensor]) -> Any:
    """The gradients of a fixed weighted sum of the result, by name of what it was made from."""
    if not isinstance(value, Tensor):
        return value
    found: tuple = (None,) * len(leaves)
    if value.requires_grad:
        weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view(value.shape)
        total = (value * weights).sum()
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return {
        f"the gradient of {name}": torch.zeros_like(leaf)
        if gradient is None
        else (gradient.to_dense() if gradient.is_sparse else gradient)
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }


def is_gradients(value: Any) -> bool:
    """Whether a value is what `gradients_of` gives."""
    return isinstance(value, dict) and all(str(key).startswith("the gradient") for key in value)


def _as_it_is_now(value: Any) -> Any:
    """A list or dict copied, since a later call may add to it; anything else as it is."""
    if type(value) is list:
        return [_as_it_is_now(item) for item in value]
    return copy.copy(value) if isinstance(value, dict) else value


def _moved(value: Any) -> Any:
    """Every float64 tensor in it one small step away, each entry in a direction of its own.

    Python's own floats stay, since an answer may make them constants in float32.
    """
    if type(value) in (list, tuple):
        return type(value)(map(_moved, value))
    if not isinstance(value, Tensor) or value.dtype != torch.float64:
        return value
    directions = torch.cos(1 + torch.arange(value.numel(), dtype=value.dtype))
    return value + STEP * directions.view(value.shape)


def _slope(value: Any, moved: Any) -> Any:
    """How far a result moved, in steps; results in other forms stay as they are."""
    if isinstance(value, tuple | list) and type(value) is type(moved):
        return type(value)(map(_slope, value, moved))
    if isinstance(value, float) and isinstance(moved, float):
        return 0.0 if value == moved else (moved - value) / STEP
    same_form = isinstance(moved, Tensor) and getattr(value, "shape", None) == moved.shape
    if not isinstance(value, Tensor) or not same_form or not value.is_floating_point():
        return value
    return torch.where(value == moved, 0.0, (moved - value) / STEP)
