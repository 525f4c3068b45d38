"""What a training run measured, step by step."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor

from gpt2course.files import write_whole

HISTORY = "history.json"


class Step(NamedTuple):
    """One step: its number, from 0, and the loss of its batch, before the weights were moved."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping


class Heldout(NamedTuple):
    """The loss on the held-out text after so many steps."""

    step: int
    loss: float


@dataclass
class History:
    """What was measured while a model was trained; losses in nats per token.

    Attributes:
        steps, heldout: in their order.
        seconds: of all sessions that led here, evaluation included.
        tokens: how many were learned from, each row's again where it came again.
    """

    steps: list[Step] = field(default_factory=list)
    heldout: list[Heldout] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, which `load` reads back as it was."""
        write_whole(Path(path), (json.dumps(asdict(self)) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote."""
        try:
            fields = json.loads(Path(path).read_bytes())
            steps = [Step(*row) for row in fields["steps"]]
            heldout = [Heldout(*row) for row in fields["heldout"]]
            return cls(steps, heldout, fields["seconds"], fields["tokens"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{os.fspath(path)} must be as History.save wrote it, but is not ({error!r})"
            ) from None


def history_tensors(history: History) -> dict[str, Tensor]:
    """The history in float64, which holds its numbers exactly."""
    return {
        "history.steps": torch.tensor(history.steps, dtype=torch.float64).view(-1, 4),
        "history.heldout": torch.tensor(history.heldout, dtype=torch.float64).view(-1, 2),
        "history.totals": torch.tensor([history.seconds, history.tokens], dtype=torch.float64),
    }


def history_of(tensors: dict[str, Tensor]) -> History:
    seconds, tokens = tensors["history.totals"].tolist()
    steps = [Step(int(step), *rest) for step, *rest in tensors["history.steps"].tolist()]
    heldout = [Heldout(int(step), loss) for step, loss in tensors["history.heldout"].tolist()]
    return History(steps, heldout, seconds, int(tokens))
