"""Exercises whose answers draw: a generator among the arguments, and what is asked of draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seed:
    """Stands for `generator` in the arguments of a case, and says what is asked of the answer.

    Draws differ from one right answer to the next, so a case compares what can be said of them.

    Args:
        number: what the generator is seeded with; None for torch's global one.
        ask: called by the exercise with whatever it needs to draw, and gives the case's value.
    """

    number: int | None
    ask: Callable[..., Any]

    def __repr__(self) -> str:
        return "None" if self.number is None else f"seeded with {self.number}"

    def generator(self, further: int = 0) -> torch.Generator | None:
        """A generator in its first state; `further` tells other seeds apart."""
        if self.number is None:
            torch.default_generator.manual_seed(further)
            return None
        return torch.Generator().manual_seed(self.number + further)


@contextmanager
def global_generator_kept() -> Iterator[None]:
    """torch's global generator in a state of its own; afterwards it is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def form(value: Any) -> str:
    """Types and shapes, such as "(int64 (2, 3), int64 (2, 3))"."""
    if isinstance(value, tuple):
        return f"({', '.join(map(form, value))})"
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"a {type(value).__name__}"
