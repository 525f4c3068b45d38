"""Lesson 15 to play with: the lens at any token, and heads that can be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.figures.attention_maps import labels_of
from gpt2course.figures.explorer import Candidate, next_tokens
from gpt2course.figures.looking_inside import stage_names
from gpt2course.figures.picture import Picture
from gpt2course.figures.tokens import piece_text
from gpt2course.inspection import activations, logit_lens, without_heads
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.widgets.twin import Playable, playable

TOP = 4  # words shown for each stage
FULL = 150  # pixels of a bar that stands for 100 %


@torch.no_grad()
def lens_of(model: GPT2, ids: list[int]) -> Float[Tensor, "S T V"]:
    """The logit lens of one text."""
    found = activations(model, torch.tensor([ids]))
    stream = torch.stack(found.stream)[:, 0]  # (S, T, C)
    return logit_lens(stream, model.ln_f.weight, model.ln_f.bias, model.wte.weight)


def lens_to_play(
    model: GPT2, tokenizer: Tokenizer, texts: list[str], token: int | None = None
) -> Playable:
    """Choose a text and a token; the likeliest next ones at every stage follow.

    Args:
        token: the place to begin with, from 0; None is the last of the first text.
    """
    read = {text: tokenizer.encode(text) for text in texts}
    lenses: dict[str, Tensor] = {}
    longest = max(map(len, read.values()))

    def draw(text: str, token: int) -> Picture:
        if text not in lenses:
            lenses[text] = lens_of(model, read[text])
        place = min(token, len(read[text]) - 1)
        pieces = [tokenizer.token_bytes(i) for i in read[text]]
        return _stages(pieces, place, lenses[text][:, place], tokenizer)

    first = len(read[texts[0]]) - 1 if token is None else token
    style, wide = {"description_width": "50px"}, {"width": "560px"}
    return playable(
        draw,
        text=ipywidgets.Dropdown(options=texts, description="text:", layout=wide, style=style),
        token=ipywidgets.IntSlider(
            first, 0, longest - 1, description="token:", layout=wide, style=style
        ),
    )


def _stages(
    pieces: list[bytes], place: int, scores: Float[Tensor, "S V"], tokenizer: Tokenizer
) -> Picture:
    """The text with one token marked, and under it a table of the likeliest for each stage."""
    marked = " ".join(
        f'<b style="border-bottom:3px solid #e8590c">{escape(name)}</b>'
        if i == place
        else escape(name)
        for i, name in enumerate(labels_of(pieces))
    )
    tables = []
    for name, stage in zip(stage_names(len(scores)), scores, strict=True):
        best = stage.softmax(-1).topk(TOP)
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        candidates = [Candidate(i, tokenizer.token_bytes(i), p) for i, p in found]
        tables.append(next_tokens(candidates, name, FULL))
    said = f"after {piece_text(pieces[place])} ({place})"
    html = (
        f'<div style="margin:6px 0;line-height:1.8">{marked}</div>'
        '<div style="display:flex;gap:26px;flex-wrap:wrap">'
        + "".join(f"<div>{table.html}</div>" for table in tables)
        + "</div>"
    )
    return Picture(html, "\n".join([said, *(table.alt for table in tables)]))


def heads_to_switch(
    model: GPT2, tokenizer: Tokenizer, texts: list[str], off: tuple[tuple[int, int], ...] = ()
) -> Playable:
    """A switch for every head; the ten likeliest next tokens follow, beside those of the whole.

    Args:
        off: the heads, as (layer, head), that are switched off at the start.
    """
    config = model.config
    places = [(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]
    whole = {text: _next_probs(model, tokenizer, text) for text in texts}

    def draw(text: str, silent: frozenset) -> Picture:
        with without_heads(model, sorted(silent)):
            now = _next_probs(model, tokenizer, text)
        order = whole[text].argsort(descending=True, stable=True)[:10].tolist()
        before = whole[text] if silent else None
        candidates = [
            Candidate(
                i,
                tokenizer.token_bytes(i),
                now[i].item(),
                None if before is None else before[i].item(),
            )
            for i in order
        ]
        named = ", ".join(f"{layer}.{head}" for layer, head in sorted(silent)) or "none"
        said = f"after “{text}”; off (layer.head): {named}"
        return next_tokens(candidates, said)

    chosen = ipywidgets.Dropdown(
        options=texts, description="text:", layout={"width": "560px"},
        style={"description_width": "50px"},
    )  # fmt: skip
    switches = {
        place: ipywidgets.ToggleButton(
            value=place not in off,
            description=_switch_text(place, place not in off),
            tooltip=f"layer {place[0]}, head {place[1]}",
            layout={"width": "92px"},
        )
        for place in places
    }
    return _Switchboard(chosen, switches, draw).playable()


def _switch_text(place: tuple[int, int], is_on: bool) -> str:
    return f"{place[0]}.{place[1]} {'on' if is_on else 'OFF'}"


@torch.no_grad()
def _next_probs(model: GPT2, tokenizer: Tokenizer, text: str) -> Float[Tensor, " V"]:
    return model(torch.tensor([tokenizer.encode(text)]))[0, -1].softmax(-1)


class _Switchboard:
    """A button for each head and one that switches all on; the picture follows."""

    def __init__(
        self,
        text: ipywidgets.Dropdown,
        switches: Mapping[tuple[int, int], ipywidgets.ToggleButton],
        draw,
    ):
        self.text, self.switches, self.draw = text, switches, draw
        self.all_on = ipywidgets.Button(description="all on", layout={"width": "92px"})
        self.shown = ipywidgets.HTML()
        self.quiet = False
        for place, switch in switches.items():
            switch.observe(lambda change, place=place: self._name(place, change), names="value")
        text.observe(self._show, names="value")
        self.all_on.on_click(self._switch_all_on)

    @property
    def silent(self) -> frozenset:
        return frozenset(place for place, switch in self.switches.items() if not switch.value)

    def playable(self) -> Playable:
        layers = sorted({layer for layer, _ in self.switches})
        rows = [
            ipywidgets.HBox(
                [
                    ipywidgets.Label(f"layer {layer}", layout={"width": "60px"}),
                    *(s for (at, _), s in self.switches.items() if at == layer),
                ]
            )
            for layer in layers
        ]
        picture = self.draw(self.text.value, self.silent)
        self.shown.value = picture.html
        widget = ipywidgets.VBox([self.text, *rows, self.all_on, self.shown])
        return Playable(widget, picture)

    def _name(self, place: tuple[int, int], change: dict) -> None:
        self.switches[place].description = _switch_text(place, change["new"])
        self._show()

    def _show(self, _: object = None) -> None:
        if not self.quiet:
            self.shown.value = self.draw(self.text.value, self.silent).html

    def _switch_all_on(self, _: object) -> None:
        self.quiet = True
        for switch in self.switches.values():
            switch.value = True
        self.quiet = False
        self._show()
