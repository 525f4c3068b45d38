"""Lesson 15 to play with: the lens at any token, and heads that can be switched off."""

from collections.abc import Callable

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.explorer import Candidate, next_tokens
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, playable, slider
from gpt2course.inspection import activations, logit_lens, without_heads
from gpt2course.lessons.looking_inside.figures import head_name, lens_stages
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer

SHORT = 3  # heads that are off and named in a heading
BEFORE, NOW = 10, 5  # most likely tokens of the whole model, and of the one without some heads
FULL = 90  # pixels of a bar of 100 %, so that two tables stand side by side


@torch.no_grad()
def lens_of(model: GPT2, ids: list[int]) -> Float[Tensor, "S T V"]:
    """The logit lens of one text."""
    found = activations(model, torch.tensor([ids]))
    stream = torch.stack(found.stream)[:, 0]  # (S, T, C)
    return logit_lens(stream, model.ln_f.weight, model.ln_f.bias, model.wte.weight)


def lens_to_play(
    model: GPT2, tokenizer: Tokenizer, texts: list[str], token: int | None = None
) -> Playable:
    """Choose a text and a token; the picture shows what each stage predicts.

    Another text starts at its last token, until the slider moves.
    """
    read = {text: tokenizer.encode(text) for text in texts}
    lenses: dict[str, Tensor] = {}

    def draw(text: str, token: int) -> Picture:
        if text not in lenses:
            lenses[text] = lens_of(model, read[text])
        place = min(token, len(read[text]) - 1)  # the slider follows the text a moment later
        pieces = [tokenizer.token_bytes(i) for i in read[text]]
        return lens_stages(pieces, place, lenses[text][:, place], tokenizer.token_bytes)

    last = len(read[texts[0]]) - 1
    chosen, at = menu("text:", texts), slider("token:", last if token is None else token, 0, last)

    def move_to_the_last(change: dict) -> None:
        at.max = at.value = len(read[change["new"]]) - 1

    played = playable(draw, text=chosen, token=at)
    chosen.observe(move_to_the_last, names="value")
    return played


def heads_to_switch(
    model: GPT2, tokenizer: Tokenizer, texts: list[str], off: tuple[tuple[int, int], ...] = ()
) -> Playable:
    """A switch for every head; the picture shows the most likely next tokens without them.

    `off` has (layer, head) of those that are off at first. One table has the whole model's ten
    most likely tokens and what is left of each, the other the most likely without these heads.
    """
    config = model.config
    places = [(layer, head) for layer in range(config.n_layer) for head in range(config.n_head)]
    whole = {text: _next_probs(model, tokenizer, text) for text in texts}

    def draw(text: str, silent: frozenset) -> Picture:
        with without_heads(model, sorted(silent)):
            now = _next_probs(model, tokenizer, text)
        before = whole[text] if silent else None
        left = _candidates(tokenizer, whole[text], now, BEFORE, before)
        instead = _candidates(tokenizer, now, now, NOW, before)
        heads = [head_name(*place) for place in sorted(silent)]
        named = f"without {', '.join(heads)}" if silent else "with all heads on"
        if len(heads) > SHORT:
            named = f"without {len(heads)} heads"
        heading = f"after “{text}” {named}: what is left of the most likely"
        tables = (  # two from the first on, so that nothing moves when a head goes
            next_tokens(left, heading, FULL),
            next_tokens(instead, f"the most likely {named}", FULL),
        )
        drawn = "".join(f"<div>{one.html}</div>" for one in tables)
        html = f'<div style="display:flex;gap:14px;overflow-x:auto" tabindex="0" role="region" aria-label="most likely tokens, scrolls">{drawn}</div>'
        return Picture(html, "\n".join(one.alt for one in tables))

    return _Switchboard(texts, places, off, draw).playable()


def _switch_text(place: tuple[int, int], is_on: bool) -> str:
    return f"{head_name(*place)} {'on' if is_on else 'OFF'}"


def _candidates(
    tokenizer: Tokenizer, order_of: Float[Tensor, " V"], probs: Float[Tensor, " V"], most: int,
    before: Float[Tensor, " V"] | None,
) -> list[Candidate]:  # fmt: skip
    """The most likely tokens by `order_of`, with their probabilities now and before."""
    order = order_of.argsort(descending=True, stable=True)[:most].tolist()
    was = {} if before is None else {i: before[i].item() for i in order}
    return [Candidate(i, tokenizer.token_bytes(i), probs[i].item(), was.get(i)) for i in order]


@torch.no_grad()
def _next_probs(model: GPT2, tokenizer: Tokenizer, text: str) -> Float[Tensor, " V"]:
    return model(torch.tensor([tokenizer.encode(text)]))[0, -1].softmax(-1)


class _Switchboard:
    """A button for each head and one that switches all on; the picture follows."""

    def __init__(
        self, texts: list[str], places: list[tuple[int, int]], off: tuple[tuple[int, int], ...],
        draw: Callable[[str, frozenset], Picture],
    ):  # fmt: skip
        self.draw, self.quiet, self.shown = draw, False, ipywidgets.HTML()
        self.text = menu("text:", texts)
        self.all_on = ipywidgets.Button(description="all on", layout={"width": "92px"})
        self.switches = {
            place: ipywidgets.ToggleButton(
                value=place not in off,
                description=_switch_text(place, place not in off),
                tooltip=f"layer {place[0]}, head {place[1]}",
                layout={"width": "108px"},
            )
            for place in places
        }
        for place, switch in self.switches.items():
            switch.observe(lambda change, place=place: self._name(place, change), names="value")
        self.text.observe(self._show, names="value")
        self.all_on.on_click(self._switch_all_on)

    @property
    def silent(self) -> frozenset:
        return frozenset(place for place, switch in self.switches.items() if not switch.value)

    def playable(self) -> Playable:
        rows = {}
        for (layer, _), switch in self.switches.items():
            label = ipywidgets.Label(f"layer {layer}", layout={"width": "60px"})
            rows.setdefault(layer, [label]).append(switch)
        picture = self.draw(self.text.value, self.silent)
        self.shown.value = picture.html
        boxes = [ipywidgets.HBox(row) for row in rows.values()]
        widget = ipywidgets.VBox([self.text, *boxes, self.all_on, self.shown])
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
