"""One call of an answer with the arguments of a case, and what came of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gpt2course.checks.compare import difference
from gpt2course.checks.exercise import Answer, Case, Exercise


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
            value = _gradients(value, floats)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
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


def is_wrong(expected: Outcome, outcome: Outcome) -> bool:
    """Whether a call went otherwise than expected: another value, an error, an argument changed."""
    return bool(
        outcome.error or outcome.changed or difference(expected.value, outcome.value) is not None
    )


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
