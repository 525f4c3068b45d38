"""The Explorer: a text that grows token by token, by your choice or by the model's dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gpt2course.drawing.attention_widget import (
    AttentionPanel,
    Coder,
    choice,
    device_of,
    has_attention,
    ids_of,
    weights_in_view,
)
from gpt2course.drawing.explorer import (
    BAR,
    Candidate,
    bar,
    chance,
    explorer_picture,
    next_tokens,
    own_rest_of,
    read_as,
    rest_of,
    text_so_far,
    text_table,
)
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tokens import piece_text
from gpt2course.drawing.twin import Playable
from gpt2course.model import GPT2
from gpt2course.sampling import apply_temperature, keep_top_k

NextLogits = Callable[[list[int]], Float[Tensor, " V"]]
TOP = 10
DRAWS = 10  # tokens that one press of "draw 10" adds
LINE = 28  # pixels, the height of a button
CUTS = (*range(1, TOP + 1), 20, 50, 100)  # what top-k can be set to, beside "all"


def next_logits_of(model: GPT2) -> NextLogits:
    """A GPT-2 as a function from the ids so far to the logits of the next token.

    Args:
        model: the package's, or one of a learner's own: `model(idx)` and `model.config.n_ctx`.
    """

    @torch.no_grad()
    def next_logits(ids: list[int]) -> Float[Tensor, " V"]:
        in_view = torch.tensor([ids[-model.config.n_ctx :]], device=device_of(model))
        return model.next_logits(in_view)[0] if isinstance(model, GPT2) else model(in_view)[0, -1]

    return next_logits


def probs_of(
    logits: Float[Tensor, " V"], temperature: float = 1.0, top_k: int | None = None
) -> Float[Tensor, " V"]:
    """The probability that every token is drawn with; temperature 0 is sure of the likeliest."""
    if temperature == 0:
        return torch.zeros_like(logits).index_fill(0, logits.argmax(), 1.0)
    logits = logits - logits.max()  # so that a small temperature is no inf
    scores = apply_temperature(logits[None], temperature)
    return (scores if top_k is None else keep_top_k(scores, top_k))[0].softmax(dim=-1)


def kept_by(
    logits: Float[Tensor, " V"], temperature: float = 1.0, top_k: int | None = None
) -> Bool[Tensor, " V"]:
    """Which tokens may be drawn; what a small temperature rounds to 0 is not cut off by that."""
    if temperature == 0:
        return probs_of(logits, 0) > 0
    if top_k is None:
        return torch.ones_like(logits, dtype=torch.bool)
    return keep_top_k(logits[None], top_k)[0] == logits


def candidates_of(
    logits: Float[Tensor, " V"],
    coder: Coder,
    temperature: float = 1.0,
    top_k: int | None = None,
    k: int = TOP,
) -> list[Candidate]:
    """The k tokens likeliest to the model, without the impossible; those cut off are marked."""
    own, probs = probs_of(logits), probs_of(logits, temperature, top_k)
    kept = kept_by(logits, temperature, top_k)
    changed = temperature != 1 or bool((own[~kept] > 0).any())
    order = own.argsort(descending=True, stable=True)[:k].tolist()  # equals in the order of ids
    return [
        Candidate(
            i,
            coder.token_bytes(i),
            probs[i].item(),
            own[i].item() if changed else None,
            not bool(kept[i]),
        )
        for i in order
        if own[i] > 0
    ]


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
        ids = ids_of(self.coder, start)
        self.ids, self.probs = ids, [None] * len(ids)
        self._think()

    def next_probs(self, temperature: float = 1.0, top_k: int | None = None) -> Float[Tensor, " V"]:
        """The probability that every token is drawn with; at temperature 0 one is certain."""
        return probs_of(self._logits, temperature, top_k)

    def candidates(
        self, temperature: float = 1.0, k: int = TOP, top_k: int | None = None
    ) -> list[Candidate]:
        """The k likeliest next tokens, without those that the model thinks impossible."""
        return candidates_of(self._logits, self.coder, temperature, top_k, k)

    def choose(self, token_id: int, temperature: float = 1.0, top_k: int | None = None) -> None:
        """Put a token at the end."""
        self.probs.append(self.next_probs(temperature, top_k)[token_id].item())
        self.ids.append(token_id)
        self._think()

    def draw(self, temperature: float = 1.0, top_k: int | None = None) -> None:
        """Let the probabilities choose."""
        probs = self.next_probs(temperature, top_k)
        drawn = torch.multinomial(probs, 1, generator=self.generator)
        self.choose(drawn.item(), temperature, top_k)

    def step_back(self) -> None:
        """Take the last token off, unless it was given."""
        if self.probs[-1] is not None:
            self.ids.pop()
            self.probs.pop()
            self._think()

    @property
    def text(self) -> str:
        return self.coder.decode(self.ids)

    @property
    def vocab_size(self) -> int:
        """Tokens that the model chooses from."""
        return len(self._logits)

    def _think(self) -> None:
        self._logits = self.next_logits(list(self.ids)).detach().float().cpu()

    def picture(self, temperature: float = 1.0, top_k: int | None = None) -> Picture:
        """The tokens so far, and the table of what may come next."""
        found, heading = self.candidates(temperature, top_k=top_k), heading_of(temperature, top_k)
        return explorer_picture(self.pieces, self.probs, found, heading, self.ids)

    def drawn_text(self) -> Picture:
        """The tokens so far alone."""
        return text_so_far(self.pieces, self.probs, self.ids)

    def as_table(self) -> Picture:
        """The tokens so far as a table."""
        return text_table(self.pieces, self.probs, self.ids)

    @property
    def pieces(self) -> list[bytes]:
        """The bytes of every token."""
        return [self.coder.token_bytes(token_id) for token_id in self.ids]


class Follower:
    """A second model that reads the text of the first, in tokens of its own.

    Attributes:
        ids: what its tokenizer makes of the text.
        trouble: why it cannot read the text; "" where it can.
    """

    def __init__(self, name: str, next_logits: NextLogits, coder: Coder, first: Coder):
        self.name, self.next_logits, self.coder, self.first = name, next_logits, coder, first
        self.shares_tokens = _same_tokens(coder, first)
        self.ids: list[int] = []
        self.trouble = ""

    def follow(self, ids: Sequence[int]) -> None:
        """Read the text that the first model's ids stand for."""
        self.ids, self.trouble = [], ""
        try:
            self.ids = list(ids) if self.shares_tokens else translate(ids, self.first, self.coder)
            self._logits = self.next_logits(list(self.ids)).detach().float().cpu()
        except (ValueError, IndexError) as error:
            self.trouble = f"cannot read this text: {error}"

    def picture(self, temperature: float, top_k: int | None, full: int = BAR) -> Picture:
        """Its own tokens where they differ, and its table of what may come next."""
        if self.trouble:
            said = f"{self.name} {self.trouble}"
            return Picture(f"<div>{escape(said)}</div>", said)
        found = candidates_of(self._logits, self.coder, temperature, top_k)
        heading = f"{self.name}: {heading_of(temperature, top_k)}"
        table = next_tokens(found, heading, full)
        if self.shares_tokens:
            return table
        own = read_as([self.coder.token_bytes(i) for i in self.ids], self.ids)
        return Picture(table.html + own.html, f"{table.alt}\n{own.alt}")


def _same_tokens(one: Coder, other: Coder) -> bool:
    """Whether every id stands for the same bytes in both."""
    if one is other:
        return True
    sizes = {getattr(coder, "vocab_size", None) for coder in (one, other)}
    if len(sizes) > 1 or None in sizes:
        return False
    return all(one.token_bytes(i) == other.token_bytes(i) for i in range(sizes.pop()))


def translate(ids: Sequence[int], source: Coder, target: Coder) -> list[int]:
    """The ids of one tokenizer's text in another's; <|endoftext|> stays one token where it can."""
    ends, ours = (getattr(coder, "end_of_text", None) for coder in (source, target))
    runs: list[list[int]] = [[]]
    for token_id in ids:
        if token_id == ends:
            runs.append([])
        else:
            runs[-1].append(token_id)
    found = target.encode(source.decode(runs[0]))
    for run in runs[1:]:
        found += ([] if ours is None else [ours]) + target.encode(source.decode(run))
    return found or ids_of(target, "")


def heading_of(temperature: float, top_k: int | None = None) -> str:
    """The caption of the bars."""
    said = f"the {TOP} likeliest next tokens"
    if temperature != 1:
        said += f", at temperature {temperature:.1f}"
    return said if top_k is None else f"{said}, top-k {top_k}"


def explorer(
    next_logits: NextLogits | GPT2,
    coder: Coder,
    start: str,
    seed: int = 0,
    beside: Mapping[str, Any] | None = None,
    attention: bool = False,
    name: str = "this model",
) -> Playable:
    """Explore what a model expects: choose the next token, draw it, step back, start again.

    Where the model is a GPT-2, its attention can be opened below.

    Args:
        next_logits: a GPT2, one of a learner's own, or any function from ids (list) to logits (V,).
        coder: turns text into ids and back: a `Tokenizer`, or `bigram.Words`.
        start: what stands there at first.
        seed: of the draws.
        beside: by name, other models that read the same text; each a model that shares the
            tokens, or a pair (model, coder).
        attention: whether the attention is open at first.
        name: what the first model is called where there are others.
    """
    growing = GrowingText(_as_function(next_logits), coder, start, seed)
    models, followers = {name: (next_logits, coder)}, []
    for other, given in (beside or {}).items():
        if other in models:
            raise ValueError(f"every model must have a name of its own, got {other!r} twice")
        model, its_coder = given if isinstance(given, tuple) else (given, coder)
        models[other] = model, its_coder
        followers.append(Follower(other, _as_function(model), its_coder, coder))
    seen = {n: model for n, (model, _) in models.items() if has_attention(model)}
    panel = _Panel(growing, start, followers, seen, name, attention)
    return Playable(panel.widget, panel.picture())


def _as_function(model: NextLogits | GPT2) -> NextLogits:
    is_gpt2 = isinstance(model, nn.Module) and hasattr(model, "config")
    return next_logits_of(model) if is_gpt2 else model


class _Panel:
    """The Explorer's controls; what they show is always the state of one GrowingText."""

    def __init__(
        self,
        growing: GrowingText,
        start: str,
        followers: Sequence[Follower],
        seen: Mapping[str, GPT2],
        name: str,
        attention: bool,
    ):
        self.growing, self.followers, self.name = growing, followers, name
        self.looks = _Attention(growing, followers, seen, attention) if seen else None
        self.full = BAR // 2 if followers else BAR
        self.start = ipywidgets.Text(
            start, description="start:", continuous_update=False, layout={"width": "520px"}
        )
        self._make_sliders()
        self.text = ipywidgets.HTML(layout={"min_height": "116px"})  # two lines, so that rows stay
        self.heading, self.said, self.table = (ipywidgets.HTML() for _ in range(3))
        wide = {"width": "150px" if followers else "190px"}
        self.tokens = [ipywidgets.Button(layout=wide) for _ in range(TOP)]
        self.bars = [ipywidgets.HTML() for _ in range(TOP + 1)]
        self.rows = [ipywidgets.HBox(pair) for pair in zip(self.tokens, self.bars, strict=False)]
        others = ipywidgets.Label("all others", layout=wide)
        self.rows.append(ipywidgets.HBox([others, self.bars[-1]]))
        self.columns = [ipywidgets.HTML(layout={"width": "460px"}) for _ in followers]
        self.widget = self._laid_out()
        self._connect()
        self.show(moved=True)

    def _make_sliders(self) -> None:
        style = {"description_width": "90px"}
        self.temperature = ipywidgets.FloatSlider(
            1.0, min=0, max=2, step=0.1, description="temperature", readout_format=".1f",
            layout={"width": "360px"}, style=style,
        )  # fmt: skip
        cuts = [(str(k), k) for k in CUTS if k < self.growing.vocab_size]
        self.top_k = ipywidgets.SelectionSlider(
            options=[*cuts, ("all", 0)], value=0, description="top-k",
            layout={"width": "360px"}, style=style,
        )  # fmt: skip

    def _laid_out(self) -> ipywidgets.VBox:
        self.steps = {
            name: ipywidgets.Button(description=name, layout={"width": "auto"})
            for name in ("draw one", f"draw {DRAWS}", "step back", "start again")
        }
        self.as_table = ipywidgets.ToggleButton(
            description="the same as a table", layout={"width": "190px"}
        )
        beside = {"flex_flow": "row wrap", "align_items": "flex-start"}
        width = {"width": "440px"} if self.columns else {}
        found = ipywidgets.VBox([self.heading, *self.rows], layout=width)
        return ipywidgets.VBox(
            [
                self.start,
                ipywidgets.HBox([self.temperature, self.top_k], layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([*self.steps.values()]),
                self.said,
                self.text,
                ipywidgets.HBox([found, *self.columns], layout=beside) if self.columns else found,
                self.as_table,
                self.table,
                *([self.looks.widget] if self.looks else []),
            ]
        )

    def _connect(self) -> None:
        for rank, button in enumerate(self.tokens):
            button.on_click(lambda _, rank=rank: self._choose(rank))
        actions = (self._draw, self._draw_many, self._step_back, self._start_again)
        for button, action in zip(self.steps.values(), actions, strict=True):
            button.on_click(lambda _, action=action: action())
        self.start.observe(lambda _: self._start_again(), names="value")
        for control in (self.temperature, self.top_k, self.as_table):
            control.observe(lambda _: self.show(), names="value")

    @property
    def settings(self) -> tuple[float, int | None]:
        """Temperature and top-k as they are set."""
        return self.temperature.value, self.top_k.value or None

    def show(self, said: str = "", moved: bool = False) -> None:
        """Draw anew.

        Args:
            said: a sentence for the learner.
            moved: whether the text has changed.
        """
        temperature, top_k = self.settings
        found = self.growing.candidates(temperature, top_k=top_k)
        if moved:
            self.text.value = self.growing.drawn_text().html
            for follower in self.followers:
                follower.follow(self.growing.ids)
            if self.looks:
                self.looks.show()
        heading = self._heading()
        own = " A dashed frame: what the model says." * (found[0].own is not None)
        press = f": press one (Tab moves, Enter presses).{own}"
        self.heading.value = f"<b>{escape(heading)}</b>{press}"
        self._show_rows(found)
        for column, follower in zip(self.columns, self.followers, strict=True):
            column.value = follower.picture(temperature, top_k, self.full).html
        self.table.value = self._as_table(found).html if self.as_table.value else ""
        self.said.value = f'<div role="status">{escape(said)}</div>'

    def _show_rows(self, found: Sequence[Candidate]) -> None:
        for rank, (button, line) in enumerate(zip(self.tokens, self.rows, strict=False)):
            line.layout.display = "" if rank < len(found) else "none"
            if rank < len(found):
                one = found[rank]
                token = button.description = piece_text(one.piece)
                button.disabled = one.cut
                said = chance(one.prob, one.own, one.cut)
                button.tooltip = f"{token}, {said}" if one.cut else f"choose {token}, {said}"
                self.bars[rank].value = bar(one.prob, LINE, one.own, one.cut, self.full)
        rest, own = rest_of(found), own_rest_of(found)
        self.bars[-1].value = bar(rest, LINE, own, full=self.full)

    def _heading(self) -> str:
        heading = heading_of(*self.settings)
        return f"{self.name}: {heading}" if self.followers else heading

    def _as_table(self, found: Sequence[Candidate]) -> Picture:
        text, table = self.growing.as_table(), next_tokens(found, self._heading(), self.full)
        return Picture(text.html + table.html, f"{text.alt}\n{table.alt}")

    def picture(self) -> Picture:
        """All that is shown, as it is now."""
        temperature, top_k = self.settings
        found = self.growing.candidates(temperature, top_k=top_k)
        pictures = [
            explorer_picture(
                self.growing.pieces, self.growing.probs, found, self._heading(), self.growing.ids
            ),
            *(follower.picture(temperature, top_k) for follower in self.followers),
        ]
        if self.looks and self.looks.is_open:
            pictures.append(self.looks.picture())
        return Picture(
            "".join(picture.html for picture in pictures),
            "\n".join(picture.alt for picture in pictures),
        )

    def _choose(self, rank: int) -> None:
        found = self.growing.candidates(self.temperature.value, top_k=self.settings[1])
        if rank < len(found) and not found[rank].cut:
            self.growing.choose(found[rank].token_id, *self.settings)
        self.show(moved=True)

    def _draw(self) -> None:
        self.growing.draw(*self.settings)
        self.show(moved=True)

    def _draw_many(self) -> None:
        for _ in range(DRAWS):
            self.growing.draw(*self.settings)
        self.show(moved=True)

    def _step_back(self) -> None:
        self.growing.step_back()
        self.show(moved=True)

    def _start_again(self) -> None:
        try:
            self.growing.restart(self.start.value)
        except ValueError as error:
            self.show(str(error))
        else:
            self.show(moved=True)


class _Attention:
    """The attention below the Explorer, of one of its models; computed while it is open."""

    def __init__(
        self,
        growing: GrowingText,
        followers: Sequence[Follower],
        seen: Mapping[str, GPT2],
        is_open: bool,
    ):
        self.growing, self.seen = growing, seen
        self.followers = {follower.name: follower for follower in followers}
        self.panel = AttentionPanel()
        self.toggle = ipywidgets.ToggleButton(
            is_open, description="attention", layout={"width": "190px"},
            tooltip="which earlier tokens every token reads",
        )  # fmt: skip
        self.whose = choice("model:")
        self.whose.options = list(seen)
        self.whose.index = 0
        self.whose.layout.display = "flex" if len(seen) > 1 else "none"
        self.trouble = ipywidgets.HTML()
        self.inside = ipywidgets.VBox([self.whose, self.trouble, self.panel.widget])
        self.widget = ipywidgets.VBox([self.toggle, self.inside])
        self.toggle.observe(lambda _: self.show(), names="value")
        self.whose.observe(lambda _: self.show(), names="value")

    @property
    def is_open(self) -> bool:
        return self.toggle.value

    def picture(self) -> Picture:
        """The lines and the map as they are now, or why there are none."""
        if not self.panel.pieces:
            return Picture(self.trouble.value, "no attention to show")
        return self.panel.picture()

    def show(self) -> None:
        """Read the text of now, if open."""
        self.inside.layout.display = "" if self.is_open else "none"
        if not self.is_open:
            return
        name, trouble = self.whose.value, ""
        reads = self.followers.get(name, self.growing)
        try:
            if getattr(reads, "trouble", ""):
                raise ValueError(f"{name} {reads.trouble}")
            self.panel.read(*weights_in_view(self.seen[name], reads.coder, reads.ids))
        except ValueError as error:
            trouble = str(error)
        self.trouble.value = f'<div role="status">{escape(trouble)}</div>'
        self.panel.widget.layout.display = "none" if trouble else ""
