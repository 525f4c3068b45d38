"""The numbers of a tower: a text under a model, and what of it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.drawing.attention_maps import labels_of
from gpt2course.drawing.attention_widget import Coder, device_of
from gpt2course.inspection import Climb, climb

TOP = 5  # likeliest next tokens that are shown
SHOWN = 25  # tokens that have a column; those before them share one
DEEP = 6  # a model of more blocks has thin floors, of which one is open


@dataclass(frozen=True)
class View:
    """What is looked at.

    Attributes:
        token: the place of the token that climbs, from 0.
        floor: the block whose heads are open; None for none.
        at: the stage that is reached, 0 to 2L + 1; 2L + 1 is the prediction.
        off: pairs of layer and head that are switched off.
        before: the probabilities after the token with all heads on, (V,), where some are off.
        click: from what is pressed ("token", "floor", "head") and its number to an attribute that
            answers a click; nothing answers without it.
        lit: the lesson whose part is lit.
    """

    token: int
    floor: int | None
    at: int
    off: frozenset[tuple[int, int]] = frozenset()
    before: Float[Tensor, " V"] | None = None
    click: Callable[[str, int], str] = lambda what, number: ""
    lit: str = ""


class Next(NamedTuple):
    """A token that may come next.

    Attributes:
        prob: its probability.
        own: that with all heads on, where some are off.
        is_best: whether it is the likeliest.
    """

    name: str
    prob: float
    own: float | None = None
    is_best: bool = True


class Reading:
    """A text under a model: all the numbers that a tower shows.

    Args:
        model: a GPT2, or one of a learner's own with parts of the same names.
        coder: encode and token_bytes.
        ids: the text, of which the last n_ctx tokens are read.
        off: heads that are switched off.
    """

    def __init__(
        self, model: nn.Module, coder: Coder, ids: Sequence[int],
        off: frozenset[tuple[int, int]] = frozenset(),
    ):  # fmt: skip
        self.coder, self.ids = coder, list(ids)[-model.config.n_ctx :]
        self.climb: Climb = climb(model, torch.tensor([self.ids], device=device_of(model)), off)
        self.names = labels_of([coder.token_bytes(i) for i in self.ids], most=12)
        self._ends: dict[int, Tensor] = {}

    @property
    def first(self) -> int:
        """The first token that has a column of its own."""
        return 0 if len(self.ids) <= SHOWN else len(self.ids) - SHOWN + 1

    @property
    def n_layer(self) -> int:
        return len(self.climb.weights)

    def ends(self, token: int) -> Float[Tensor, "S V"]:
        """The probabilities after a token if the model ended at each stage."""
        if token not in self._ends:
            self._ends[token] = self.climb.ends(token).float().cpu()
        return self._ends[token]

    def name(self, token_id: int, most: int = 12) -> str:
        return labels_of([self.coder.token_bytes(token_id)], most)[0]

    def likeliest(self, token: int, stage: int) -> Next:
        """The word that would be predicted if the model ended there."""
        prob, token_id = self.ends(token)[stage].max(-1)
        return Next(self.name(int(token_id)), prob.item())

    def next(self, token: int, before: Float[Tensor, " V"] | None = None) -> list[Next]:
        """The likeliest tokens after a token, now or with all heads on."""
        probs = self.ends(token)[-1]
        most = probs if before is None else torch.maximum(probs, before)
        order, best = most.topk(min(TOP, len(probs))).indices.tolist(), int(probs.argmax())
        own = {} if before is None else {i: before[i].item() for i in order}
        return [Next(self.name(i, 18), probs[i].item(), own.get(i), i == best) for i in order]

    def reads(self, block: int, token: int) -> Float[Tensor, "nh T"] | None:
        """The weights with which a token reads, of every head; None where they are unknown."""
        weights = self.climb.weights[block]
        return None if weights is None else weights[:, token, : token + 1].float().cpu()

    def turning_floor(self, token: int) -> int:
        """The block in which the predicted word gains most."""
        ends = self.ends(token)
        after_blocks = ends[::2, ends[-1].argmax()]
        return int(after_blocks.diff().argmax())

    def view(self, token: int | None = None, floor: int | None = None) -> View:
        """All of a tower; a deep one has a floor open."""
        last = len(self.ids) - 1
        token = last if token is None else min(max(token, self.first), last)
        if floor is None and self.n_layer > DEEP:
            floor = self.turning_floor(token)
        return View(token, floor, 2 * self.n_layer + 1)
