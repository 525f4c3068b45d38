"""Attention to play with: choose layer, head and token; lines, map and table follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.drawing.attention_maps import (
    MEAN,
    attention_heat,
    attention_lines,
    attention_table,
    head_grid,
    labels_of,
)
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, slider, switch, toggle
from gpt2course.inspection import head_weights
from gpt2course.model import GPT2

MOST = 256  # tokens whose attention is shown; a map of more is no longer read
READ_BY_LISTENING = ("wte", "wpe", "h.0.attn.c_attn", "h.0.ln_2", "h.0.mlp.c_fc", "ln_f")


class Coder(Protocol):
    """What turns text into ids and back; `Tokenizer` and `bigram.Words` do."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def token_bytes(self, token_id: int) -> bytes: ...


def has_attention(model: Any) -> bool:
    """Whether a model has the parts, under the checkpoint's names, whose attention can be shown."""
    if not isinstance(model, nn.Module) or not hasattr(model, "config"):
        return False
    names = {name for name, _ in model.named_modules()}
    return names.issuperset(READ_BY_LISTENING)


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device


def weights_in_view(
    model: GPT2, coder: Coder, ids: Sequence[int]
) -> tuple[list[bytes], Float[Tensor, "L nh T T"]]:
    """The last n_ctx of the tokens, and how every layer and head reads them.

    Raises:
        ValueError: there are more than MOST, which no map shows well.
    """
    in_view = list(ids)[-model.config.n_ctx :]
    if len(in_view) > MOST:
        raise ValueError(
            f"attention is shown for at most {MOST} tokens, got {len(in_view)}; take a shorter text"
        )
    idx = torch.tensor([in_view], device=device_of(model))
    weights = head_weights(model, idx).float().cpu()
    return [coder.token_bytes(token_id) for token_id in in_view], weights


def ids_of(coder: Coder, text: str) -> list[int]:
    """The tokens of a text; of an empty one <|endoftext|>, or ValueError where there is none."""
    ids = coder.encode(text)
    if not ids and hasattr(coder, "end_of_text"):
        ids = [coder.end_of_text]
    if not ids:
        raise ValueError("the start must hold at least one token, got none")
    return ids


def attention_to_play(
    model: GPT2, tokenizer: Coder, text: str, layer: int = 0, head: int | None = None,
    token: int | None = None,
) -> Playable:  # fmt: skip
    """Choose layer, head and token; lines from the token, and the map of all pairs, follow.

    Args:
        model: a GPT2, or a model of a learner's own with the checkpoint's names.
        text: what is read; its last n_ctx tokens are shown.
        layer, head: where to begin, from 0; head None is the mean of all.
        token: the place of the token that reads, from 0; None is the last.
    """
    panel = AttentionPanel(layer, head)
    panel.read(*weights_in_view(model, tokenizer, ids_of(tokenizer, text)), token)
    return Playable(panel.widget, panel.picture())


class AttentionPanel:
    """Controls and pictures for the attention of one text; `read` gives it another.

    Args:
        layer, head: where to begin, from 0; head None is the mean of all.
    """

    def __init__(self, layer: int = 0, head: int | None = None):
        self._first = layer, head
        self._quiet = False  # while several controls change at once
        self.pieces: list[bytes] = []
        self.weights = torch.empty(0, 0, 0, 0)
        self.layer, self.head = switch("layer:", []), switch("head:", [])
        self.token = slider("token:", 0, 0, 1)
        self.tokens = switch("or press one:", [])
        self.tokens.layout.display = None  # there may be many: they stand below their description
        self.as_grid, self.as_table = toggle("all heads at once"), toggle("attention as a table")
        self.lines, self.heat, self.grid, self.table = (ipywidgets.HTML() for _ in range(4))
        switches = ipywidgets.HBox([self.as_grid, self.as_table])
        self.widget = ipywidgets.VBox(
            [self.layer, self.head, self.token, self.tokens, switches]
            + [self.grid, self.table, self.lines, self.heat]
        )
        for control in (self.layer, self.head):
            control.observe(self._show, names="index")
        for control in (self.as_grid, self.as_table):
            control.observe(self._show, names="value")
        self.token.observe(self._follow_slider, names="value")
        self.tokens.observe(self._follow_buttons, names="index")

    def read(
        self, pieces: Sequence[bytes], weights: Float[Tensor, "L nh T T"], token: int | None = None
    ) -> None:
        """Show another text, or another model's reading; layer and head stay where they can.

        Args:
            token: the place of the token that reads; None is the last.
        """
        self._quiet = True
        is_first = not self.pieces
        L, nh, T, _ = weights.shape
        layer, head = self._first if is_first else (self.layer.index, self.chosen_head)
        self.pieces, self.weights = list(pieces), weights
        _offer(self.layer, [str(i) for i in range(L)], [f"layer {i}" for i in range(L)])
        _offer(self.head, [MEAN, *map(str, range(nh))], [MEAN, *(f"head {i}" for i in range(nh))])
        self.layer.index = _inside(layer, L)
        self.head.index = 0 if head is None else 1 + _inside(head, nh)
        place = T - 1 if token is None else _inside(token, T)
        self.token.max, self.token.disabled = max(1, T - 1), T == 1
        self.token.value = place
        names = labels_of(pieces)
        _offer(
            self.tokens, told_apart(names), [f"token {i}: {name}" for i, name in enumerate(names)]
        )
        self.tokens.index = place
        self._quiet = False
        self._show()

    @property
    def chosen_head(self) -> int | None:
        """The head that is shown; None for the mean of all."""
        return self.head.index - 1 if self.head.index else None

    @property
    def title(self) -> str:
        """Layer and head in words."""
        head = MEAN if self.chosen_head is None else f"head {self.chosen_head}"
        return f"layer {self.layer.index}, {head}"

    def picture(self) -> Picture:
        """The lines above the map, as they are now."""
        lines, heat = self._lines(), self._heat()
        return Picture(lines.html + heat.html, f"{lines.alt}\n{heat.alt}")

    def _shown(self) -> Float[Tensor, "T T"]:
        layer = self.weights[self.layer.index]
        return layer.mean(0) if self.chosen_head is None else layer[self.chosen_head]

    def _lines(self) -> Picture:
        return attention_lines(self.pieces, self._shown(), self.token.value, self.title)

    def _heat(self) -> Picture:
        return attention_heat(self.pieces, self._shown(), self.token.value, self.title)

    def _show(self, _: Any = None) -> None:
        if self._quiet:
            return
        self.lines.value, self.heat.value = self._lines().html, self._heat().html
        layer, query = self.layer.index, self.token.value
        chosen = layer, self.chosen_head
        grid, table = self.as_grid.value, self.as_table.value
        self.grid.value = head_grid(self.pieces, self.weights, chosen).html if grid else ""
        self.table.value = (
            attention_table(self.pieces, self.weights[layer], query, layer).html if table else ""
        )

    def _follow_slider(self, change: dict) -> None:
        if not self._quiet:
            place = min(change["new"], len(self.pieces) - 1)
            self._quiet = True
            self.tokens.index = self.token.value = place
            self._quiet = False
            self._show()

    def _follow_buttons(self, change: dict) -> None:
        if not self._quiet and change["new"] is not None:
            self.token.value = change["new"]


def _offer(control: ipywidgets.ToggleButtons, labels: list[str], tooltips: list[str]) -> None:
    """Offer other choices, where they are others."""
    options = [(label, i) for i, label in enumerate(labels)]
    if [*control.options] != options:
        control.options = options
        control.tooltips = tooltips


def told_apart(names: Sequence[str]) -> list[str]:
    """Names that differ though they look alike: JupyterLab knows a pressed button by its name."""
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        apart.append(name + "\u2060" * seen[name])  # word joiners, which take no room
        seen[name] += 1
    return apart


def _inside(place: int, count: int) -> int:
    """The place, or the last there is; a negative one counts from the end."""
    return min(place if place >= 0 else max(0, count + place), count - 1)
