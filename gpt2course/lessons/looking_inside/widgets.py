"""Lesson 15 to play with: the lens at any token, and heads that can be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.attention_maps import labels_of
from gpt2course.drawing.explorer import Candidate, next_tokens
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tokens import piece_text
from gpt2course.drawing.twin import Playable, playable
from gpt2course.inspection import activations, logit_lens, without_heads
from gpt2course.lessons.looking_inside.figures import head_name, stage_names
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer

TOP = 4  # words shown for each stage
BEFORE, NOW = 10, 5  # likeliest words of the whole model, and of the one without some heads
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

    Another text is asked at its last token, until the slider moves.

    Args:
        token: the place to begin with, from 0; None is the last of the first text.
    """
    read = {text: tokenizer.encode(text) for text in texts}
    lenses: dict[str, Tensor] = {}

    def draw(text: str, token: int) -> Picture:
        if text not in lenses:
            lenses[text] = lens_of(model, read[text])
        place = min(token, len(read[text]) - 1)  # the slider follows the text a moment later
        pieces = [tokenizer.token_bytes(i) for i in read[text]]
        return _stages(pieces, place, lenses[text][:, place], tokenizer)

    last = len(read[texts[0]]) - 1
    style, wide = {"description_width": "50px"}, {"width": "560px"}
    chosen = ipywidgets.Dropdown(options=texts, description="text:", layout=wide, style=style)
    slider = ipywidgets.IntSlider(
        last if token is None else token, 0, last, description="token:", layout=wide, style=style
    )

    def move_to_the_last(change: dict) -> None:
        slider.max = slider.value = len(read[change["new"]]) - 1

    played = playable(draw, text=chosen, token=slider)
    chosen.observe(move_to_the_last, names="value")
    return played


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
    """A switch for every head; the likeliest next tokens with and without them follow.

    One table has the ten likeliest of the whole model and what is left of each, the other the
    likeliest of the model without the heads that are off.

    Args:
        off: the heads, as (layer, head), that are switched off at the start.
    """
    config = model.config
    places = [(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]
    whole = {text: _next_probs(model, tokenizer, text) for text in texts}

    def draw(text: str, silent: frozenset) -> Picture:
        with without_heads(model, sorted(silent)):
            now = _next_probs(model, tokenizer, text)
        if not silent:
            said = f"after “{text}”, all heads on"
            return next_tokens(_candidates(tokenizer, whole[text], now, BEFORE, None), said)
        named = ", ".join(head_name(*place) for place in sorted(silent))
        left = _candidates(tokenizer, whole[text], now, BEFORE, whole[text])
        instead = _candidates(tokenizer, now, now, NOW, whole[text])
        return _side_by_side(
            next_tokens(left, f"after “{text}” without {named}: what is left of the likeliest"),
            next_tokens(instead, f"the likeliest without {named}"),
        )

    chosen = ipywidgets.Dropdown(
        options=texts, description="text:", layout={"width": "560px"},
        style={"description_width": "50px"},
    )  # fmt: skip
    switches = {
        place: ipywidgets.ToggleButton(
            value=place not in off,
            description=_switch_text(place, place not in off),
            tooltip=f"layer {place[0]}, head {place[1]}",
            layout={"width": "108px"},
        )
        for place in places
    }
    return _Switchboard(chosen, switches, draw).playable()


def _switch_text(place: tuple[int, int], is_on: bool) -> str:
    return f"{head_name(*place)} {'on' if is_on else 'OFF'}"


def _candidates(
    tokenizer: Tokenizer,
    order_of: Float[Tensor, " V"],
    probs: Float[Tensor, " V"],
    most: int,
    before: Float[Tensor, " V"] | None,
) -> list[Candidate]:
    """The tokens that are likeliest by `order_of`, with their probabilities now and before."""
    order = order_of.argsort(descending=True, stable=True)[:most].tolist()
    was = {} if before is None else {i: before[i].item() for i in order}
    return [Candidate(i, tokenizer.token_bytes(i), probs[i].item(), was.get(i)) for i in order]


def _side_by_side(*pictures: Picture) -> Picture:
    drawn = "".join(f"<div>{picture.html}</div>" for picture in pictures)
    html = f'<div style="display:flex;gap:26px;flex-wrap:wrap">{drawn}</div>'
    return Picture(html, "\n".join(picture.alt for picture in pictures))


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
