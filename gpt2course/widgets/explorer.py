"""The Explorer: a text that grows token by token, by your choice or by the model's dice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.figures.explorer import (
    Candidate,
    bar,
    explorer_picture,
    next_tokens,
    percent,
    rest_of,
    text_so_far,
)
from gpt2course.figures.picture import Picture
from gpt2course.figures.tokens import piece_text
from gpt2course.model import GPT2
from gpt2course.sampling import apply_temperature
from gpt2course.widgets.twin import Playable

NextLogits = Callable[[list[int]], Float[Tensor, " V"]]
TOP = 10
DRAWS = 10  # tokens that one press of "draw 10" adds
LINE = 28  # pixels, the height of a button


class Coder(Protocol):
    """What turns text into ids and back; `Tokenizer` and `bigram.Words` do."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def token_bytes(self, token_id: int) -> bytes: ...


def next_logits_of(model: GPT2) -> NextLogits:
    """A GPT-2 as a function from the ids so far to the logits of the next token."""

    @torch.no_grad()
    def next_logits(ids: list[int]) -> Float[Tensor, " V"]:
        in_view = torch.tensor([ids[-model.config.n_ctx :]], device=model.device)
        return model.next_logits(in_view)[0]

    return next_logits


class GrowingText:
    """A text under a model: what was given, what was chosen, and what may come next.

    Args:
        next_logits: the model, from ids to logits (V,).
        coder: encode, decode and token_bytes.
        start: the text to begin with; it must hold at least one token, or coder.end_of_text exist.
        seed: of the draws.

    Attributes:
        ids: the whole text.
        probs: for each token the probability that it had when chosen; None where it was given.
    """

    def __init__(self, next_logits: NextLogits, coder: Coder, start: str, seed: int = 0):
        self.next_logits, self.coder = next_logits, coder
        self.generator = torch.Generator().manual_seed(seed)
        self.restart(start)

    def restart(self, start: str) -> None:
        """Begin anew; ValueError, and no change, where the text cannot be encoded or is empty."""
        ids = self.coder.encode(start)
        if not ids and hasattr(self.coder, "end_of_text"):
            ids = [self.coder.end_of_text]
        if not ids:
            raise ValueError("the start must hold at least one token, got none")
        self.ids, self.probs = ids, [None] * len(ids)
        self._think()

    def next_probs(self, temperature: float = 1.0) -> Float[Tensor, " V"]:
        """The probability of every token; temperature 0 is sure of the likeliest."""
        if temperature == 0:
            return torch.zeros_like(self._logits).index_fill(0, self._logits.argmax(), 1.0)
        logits = self._logits - self._logits.max()  # so that a small temperature is no inf
        return apply_temperature(logits[None], temperature)[0].softmax(dim=-1)

    def candidates(self, temperature: float = 1.0, k: int = TOP) -> list[Candidate]:
        """The k likeliest next tokens, without those of probability 0."""
        probs = self.next_probs(temperature)
        values, ids = probs.sort(descending=True, stable=True)  # equals in the order of their ids
        pairs = zip(ids[:k].tolist(), values[:k].tolist(), strict=True)
        return [Candidate(i, self.coder.token_bytes(i), p) for i, p in pairs if p > 0]

    def choose(self, token_id: int, temperature: float = 1.0) -> None:
        """Put a token at the end."""
        self.probs.append(self.next_probs(temperature)[token_id].item())
        self.ids.append(token_id)
        self._think()

    def draw(self, temperature: float = 1.0) -> None:
        """Let the probabilities choose."""
        drawn = torch.multinomial(self.next_probs(temperature), 1, generator=self.generator)
        self.choose(drawn.item(), temperature)

    def step_back(self) -> None:
        """Take the last token off, unless it was given."""
        if self.probs[-1] is not None:
            self.ids.pop()
            self.probs.pop()
            self._think()

    @property
    def text(self) -> str:
        return self.coder.decode(self.ids)

    def _think(self) -> None:
        self._logits = self.next_logits(list(self.ids)).detach().float().cpu()

    def picture(self, temperature: float = 1.0) -> Picture:
        """The tokens so far, and the table of what may come next."""
        heading = heading_of(temperature)
        return explorer_picture(self._pieces(), self.probs, self.candidates(temperature), heading)

    def drawn_text(self) -> Picture:
        """The tokens so far alone."""
        return text_so_far(self._pieces(), self.probs)

    def _pieces(self) -> list[bytes]:
        return [self.coder.token_bytes(token_id) for token_id in self.ids]


def heading_of(temperature: float) -> str:
    """The caption of the bars."""
    likeliest = f"the {TOP} likeliest next tokens"
    return likeliest if temperature == 1 else f"{likeliest}, at temperature {temperature:.1f}"


def explorer(next_logits: NextLogits | GPT2, coder: Coder, start: str, seed: int = 0) -> Playable:
    """Explore what a model expects: choose the next token, draw it, step back, start again.

    Args:
        next_logits: a GPT2, or any function from ids (list) to logits (V,).
        coder: turns text into ids and back: a `Tokenizer`, or `bigram.Words`.
        start: what stands there at first.
        seed: of the draws.
    """
    if isinstance(next_logits, GPT2):
        next_logits = next_logits_of(next_logits)
    growing = GrowingText(next_logits, coder, start, seed)
    return Playable(_Panel(growing, start).widget, growing.picture())


class _Panel:
    """The Explorer's controls; what they show is always the state of one GrowingText."""

    def __init__(self, growing: GrowingText, start: str):
        self.growing = growing
        self.start = ipywidgets.Text(
            start, description="start:", continuous_update=False, layout={"width": "520px"}
        )
        self.temperature = ipywidgets.FloatSlider(
            1.0, min=0, max=2, step=0.1, description="temperature", readout_format=".1f",
            layout={"width": "360px"}, style={"description_width": "90px"},
        )  # fmt: skip
        self.text = ipywidgets.HTML(layout={"min_height": "92px"})  # two lines, so that rows stay
        self.heading, self.said, self.table = (ipywidgets.HTML() for _ in range(3))
        self.tokens = [ipywidgets.Button(layout={"width": "190px"}) for _ in range(TOP)]
        self.bars = [ipywidgets.HTML() for _ in range(TOP + 1)]
        self.rows = [ipywidgets.HBox(pair) for pair in zip(self.tokens, self.bars, strict=False)]
        self.widget = self._laid_out()
        self._connect()
        self.show()

    def _laid_out(self) -> ipywidgets.VBox:
        self.steps = {
            name: ipywidgets.Button(description=name, layout={"width": "auto"})
            for name in ("draw one", f"draw {DRAWS}", "step back", "start again")
        }
        others = ipywidgets.Label("all others", layout={"width": "190px"})
        rest = ipywidgets.HBox([others, self.bars[-1]])
        self.rows.append(rest)
        self.as_table = ipywidgets.ToggleButton(
            description="the same as a table", layout={"width": "190px"}
        )
        return ipywidgets.VBox(
            [
                self.start,
                ipywidgets.HBox([self.temperature, *self.steps.values()]),
                self.said,
                self.text,
                self.heading,
                *self.rows,
                self.as_table,
                self.table,
            ]
        )

    def _connect(self) -> None:
        for rank, button in enumerate(self.tokens):
            button.on_click(lambda _, rank=rank: self._choose(rank))
        actions = (self._draw, self._draw_many, self._step_back, self._start_again)
        for button, action in zip(self.steps.values(), actions, strict=True):
            button.on_click(lambda _, action=action: action())
        self.start.observe(lambda _: self._start_again(), names="value")
        for control in (self.temperature, self.as_table):
            control.observe(lambda _: self.show(), names="value")

    def show(self, said: str = "") -> None:
        temperature = self.temperature.value
        found = self.growing.candidates(temperature)
        heading = heading_of(temperature)
        self.text.value = self.growing.drawn_text().html
        self.heading.value = f"<b>{heading}</b>: press one (Tab moves, Enter presses)"
        self.table.value = next_tokens(found, heading).html if self.as_table.value else ""
        for rank, (button, line) in enumerate(zip(self.tokens, self.rows, strict=False)):
            line.layout.display = "" if rank < len(found) else "none"
            if rank < len(found):
                token = piece_text(found[rank].piece)
                button.description = token
                button.tooltip = f"choose {token}, {percent(found[rank].prob)}"
                self.bars[rank].value = bar(found[rank].prob, LINE)
        self.bars[-1].value = bar(rest_of(found), LINE)
        self.said.value = f'<div role="status">{escape(said)}</div>'

    def _choose(self, rank: int) -> None:
        found = self.growing.candidates(self.temperature.value)
        if rank < len(found):
            self.growing.choose(found[rank].token_id, self.temperature.value)
        self.show()

    def _draw(self) -> None:
        self.growing.draw(self.temperature.value)
        self.show()

    def _draw_many(self) -> None:
        for _ in range(DRAWS):
            self.growing.draw(self.temperature.value)
        self.show()

    def _step_back(self) -> None:
        self.growing.step_back()
        self.show()

    def _start_again(self) -> None:
        try:
            self.growing.restart(self.start.value)
        except ValueError as error:
            self.show(str(error))
        else:
            self.show()
