"""Cases like the published ones with other numbers in them, so that knowing those helps nobody."""

from __future__ import annotations

import dataclasses
import random
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gpt2course.checks.attempt import attempt, how_wrong
from gpt2course.checks.exercise import Case, Exercise

OWN_KINDS = ("gpt2course.lessons.", "gpt2course.checks.")  # such as a Seed
CHANGE = 0.25  # by which share of itself a float may move


@cache
def fresh_cases(exercise: Exercise, seed: int) -> list[Case]:
    """Each case of an exercise with other numbers of the same form, where there can be any.

    Floats move by up to a quarter of themselves, so that zeros, infinities and signs stay; bytes
    and ids change places, the same ones wherever they occur. What is drawn with a generator stays.
    """
    found = []
    for number, case in enumerate(exercise.cases):
        if any(type(arg).__module__.startswith(OWN_KINDS) for arg in case.args):
            found.append(case)  # what such an argument asks may hold for these numbers alone
            continue
        args = tuple(_Other(f"{seed} {exercise.name} {number}").of(arg) for arg in case.args)
        if all(map(_is_scalar, case.args)):
            args = tuple(a + 1 if type(a) is int else a for a in case.args)
        other = dataclasses.replace(case, args=args)
        found.append(other if _is_asked(exercise, case, other) else case)
    return found


def _is_asked(exercise: Exercise, case: Case, other: Case) -> bool:
    """Whether other numbers still ask what the contract asks: all right answers agree on them."""
    was, now = (attempt(exercise, exercise.reference, one) for one in (case, other))
    if (was.error is None) != (now.error is None):
        return False
    outcomes = (attempt(exercise, exercise.build(a.source), other) for a in exercise.right_answers)
    return bool(now.error) or all(how_wrong(exercise, other, now, o) <= 0.1 for o in outcomes)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


class _Other:
    """Other numbers for the arguments of one case: equal bytes and ids stay equal to each other."""

    def __init__(self, seed: str):
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(self.random.getrandbits(60))
        order = random.Random(seed).sample(range(256), 256)
        self.bytes = dict(enumerate(order))

    def of(self, value: Any) -> Any:
        if isinstance(value, Tensor) and type(value) is Tensor:
            return self.tensor(value)
        if type(value) is bytes:
            return bytes(self.bytes[byte] for byte in value)
        if type(value) in (list, tuple) and all(type(v) is int for v in value):
            return type(value)(self.bytes.get(v, v) for v in value)
        if type(value) in (list, tuple):
            return type(value)(map(self.of, value))
        return value

    def tensor(self, value: Tensor) -> Tensor:
        if value.is_floating_point():
            draws = torch.rand(value.shape, generator=self.generator, dtype=torch.float64)
            factor = 1 + CHANGE * (2 * draws - 1).to(value.dtype)
            moved = torch.empty_like(value).copy_(value * factor)  # with the layout that it had
            return torch.where(value.isfinite(), moved, value) if not _all_finite(value) else moved
        if value.dtype == torch.int64 and value.numel():
            known = value[value >= 0].unique()
            other = known[torch.randperm(len(known), generator=self.generator)]
            places = torch.searchsorted(known, value.clamp(min=0).contiguous()).clamp(
                max=max(len(known) - 1, 0)
            )
            return torch.where(value >= 0, other[places], value) if len(known) else value
        return value


def _all_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())
