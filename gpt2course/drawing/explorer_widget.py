"""The Explorer: a text that grows token by token, by your choice or by the model's dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.drawing.attention_maps import labels_of
from gpt2course.drawing.attention_widget import (
    MOST,
    AttentionPanel,
    Coder,
    device_of,
    has_attention,
    ids_of,
    told_apart,
    weights_in_view,
)
from gpt2course.drawing.colours import INK, NEW
from gpt2course.drawing.explorer import (
    BAR,
    SHOWN,
    Candidate,
    bar,
    chance,
    drawn_with,
    explorer_picture,
    next_tokens,
    own_rest_of,
    read_as,
    rest_of,
    text_so_far,
    text_table,
)
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tokens import counted, is_text, piece_text
from gpt2course.drawing.twin import Playable, named, slider, stops, switch, toggle
from gpt2course.model import GPT2

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


def candidates_of(
    logits: Float[Tensor, " V"], coder: Coder, temperature: float = 1.0,
    top_k: int | None = None, k: int = TOP,
) -> list[Candidate]:  # fmt: skip
    """The k tokens likeliest to the model, without the impossible; those cut off are marked."""
    own, (probs, kept) = logits.softmax(-1), drawn_with(logits, temperature, top_k)
    changed = temperature != 1 or bool((own[~kept] > 0).any())
    order = own.argsort(descending=True, stable=True)[:k].tolist()  # equals in the order of ids
    return [
        Candidate(i, coder.token_bytes(i), probs[i].item(), own[i].item() if changed else None,
                  not bool(kept[i]))
        for i in order if own[i] > 0
    ]  # fmt: skip


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
        return drawn_with(self._logits, temperature, top_k)[0]

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
        self.go_back(len(self.ids) - 1)

    def go_back(self, length: int) -> None:
        """Take off what was chosen after the first `length` tokens; what was given stays."""
        length = max(length, sum(prob is None for prob in self.probs))
        if length < len(self.ids):
            del self.ids[length:], self.probs[length:]
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

    @property
    def pieces(self) -> list[bytes]:
        """The bytes of every token."""
        return [self.coder.token_bytes(token_id) for token_id in self.ids]


class Follower:
    """A second model that reads the text of the first, in tokens of its own.

    Attributes:
        ids: what its tokenizer makes of the text, and what it has written of its own.
        written: how many of the ids are its own.
        trouble: why it cannot read the text; "" where it can.
    """

    def __init__(self, name: str, next_logits: NextLogits, coder: Coder, first: Coder):
        self.name, self.next_logits, self.coder, self.first = name, next_logits, coder, first
        self.shares_tokens = _same_tokens(coder, first)
        self.ids: list[int] = []
        self.written, self.trouble = 0, ""

    def follow(self, ids: Sequence[int]) -> None:
        """Read the text that the first model's ids stand for."""
        self.ids, self.written, self.trouble = [], 0, ""
        try:
            self.ids = list(ids) if self.shares_tokens else translate(ids, self.first, self.coder)
            self._logits = self.next_logits(list(self.ids)).detach().float().cpu()
        except (ValueError, IndexError) as error:
            self.trouble = f"cannot read this text: {error}"

    def draw(self, temperature: float, top_k: int | None, generator: torch.Generator) -> None:
        """Write a token of its own."""
        if not self.trouble:
            probs = drawn_with(self._logits, temperature, top_k)[0]
            self.ids.append(torch.multinomial(probs, 1, generator=generator).item())
            self.written += 1
            self._logits = self.next_logits(list(self.ids)).detach().float().cpu()

    def prose(self) -> str:
        """What it has read and written, in HTML."""
        read = self.ids[: len(self.ids) - self.written]
        new = self.coder.decode(self.ids).removeprefix(start := self.coder.decode(read))
        marked = f'<span style="background:{NEW};color:{INK}">{escape(new)}</span>'
        return f'<div style="font-size:15px;line-height:1.7">{escape(start)}{marked}</div>'

    def picture(self, temperature: float, top_k: int | None, full: int = BAR) -> Picture:
        """Its own tokens where they differ, and its table of what may come next."""
        if self.trouble:
            said = f"{self.name} {self.trouble}"
            return Picture(f"<div>{escape(said)}</div>", said)
        found = candidates_of(self._logits, self.coder, temperature, top_k)
        heading = f"{self.name}: {heading_of(temperature, top_k)}"
        table = next_tokens(found, heading, full)
        if self.written:
            said = f"{self.name} writes: {self.coder.decode(self.ids)}"
            return Picture(self.prose() + table.html, f"{said}\n{table.alt}")
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
    next_logits: NextLogits | GPT2, coder: Coder, start: str, seed: int = 0,
    beside: Mapping[str, Any] | None = None, attention: bool = False, name: str = "this model",
) -> Playable:  # fmt: skip
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
    models, followers = {name: next_logits}, []
    for other, given in (beside or {}).items():
        if other in models:
            raise ValueError(f"every model must have a name of its own, got {other!r} twice")
        models[other], its_coder = given if isinstance(given, tuple) else (given, coder)
        followers.append(Follower(other, _as_function(models[other]), its_coder, coder))
    seen = {n: model for n, model in models.items() if has_attention(model)}
    looks = _Attention(growing, followers, seen, attention) if seen else None
    panel = _Panel(growing, start, followers, looks, name)
    return Playable(panel.widget, panel.picture())


def _as_prose(piece: bytes) -> str:
    """A piece of text as it is read, its line breaks as signs."""
    return piece.decode().replace("\n", "↵") if is_text(piece) else piece_text(piece)


def prose_style(given: int) -> str:
    """Buttons that look like a running text, those after the given ones marked as new."""
    own = ".gpt2course-prose .jupyter-button"
    return (
        f"<style>{own}{{all:unset;cursor:pointer;white-space:pre;font-size:15px;line-height:1.7}}"
        f"{own}:hover{{text-decoration:underline}}{own}:focus-visible{{outline:2px solid}}"
        f"{own}:nth-child(n+{given + 1}){{background:{NEW};color:{INK}}}</style>"
    )


def _as_function(model: NextLogits | GPT2) -> NextLogits:
    is_gpt2 = isinstance(model, nn.Module) and hasattr(model, "config")
    return next_logits_of(model) if is_gpt2 else model


class _Panel:
    """The Explorer's controls; what they show is always the state of one GrowingText."""

    def __init__(
        self, growing: GrowingText, start: str, followers: Sequence[Follower],
        looks: _Attention | None, name: str,
    ):  # fmt: skip
        self.growing, self.followers, self.looks, self.name = growing, followers, looks, name
        self.full, wide = (BAR // 2, "150px") if followers else (BAR, "190px")
        self.start = ipywidgets.Text(start, continuous_update=False, **named("start:"))
        narrow = {"layout": {"width": "360px"}}
        self.temperature = slider("temperature", 1.0, 0.0, 2.0, 0.1, readout_format=".1f", **narrow)
        cuts = [(str(k), k) for k in CUTS if k < growing.vocab_size]
        self.top_k = stops("top-k", [*cuts, ("all", 0)], 0, **narrow)
        self.as_table = toggle("the same as a table")
        self.apart = toggle("each writes its own", tooltip="draw a text with every model")
        self.prose = switch("text:", [])
        self.prose.layout = {"min_height": "84px", "width": "auto"}
        self.prose.add_class("gpt2course-prose")
        self.marks = ipywidgets.HTML()  # which words of the prose are the model's
        self.quiet = False  # while the words are changed, not pressed
        self.text = ipywidgets.HTML(layout={"min_height": "116px"})  # two lines, so that rows stay
        self.heading = ipywidgets.HTML(layout={"min_height": "48px"})
        self.said = ipywidgets.HTML(layout={"min_height": "28px"})
        self.table = ipywidgets.HTML()
        self.tokens = [ipywidgets.Button(layout={"width": wide}) for _ in range(TOP)]
        self.bars = [ipywidgets.HTML() for _ in range(TOP + 1)]
        others = ipywidgets.Label("all others", layout={"width": wide})
        pairs = zip([*self.tokens, others], self.bars, strict=True)
        self.rows = [ipywidgets.HBox(pair) for pair in pairs]
        self.columns = [ipywidgets.HTML(layout={"width": "460px"}) for _ in followers]
        self.widget = self._laid_out()
        for rank, button in enumerate(self.tokens):
            button.on_click(lambda _, rank=rank: self._choose(rank))
        self.prose.observe(self._go_back, names="index")
        self.start.observe(lambda _: self._start_again(), names="value")
        self.apart.observe(lambda _: self.show(moved=True), names="value")
        for control in (self.temperature, self.top_k, self.as_table):
            control.observe(lambda _: self.show(), names="value")
        self.show(moved=True)

    def _laid_out(self) -> ipywidgets.VBox:
        actions = {
            "draw one": lambda: self._draw(1),
            f"draw {DRAWS}": lambda: self._draw(DRAWS),
            "step back": self._step_back,
            "start again": self._start_again,
        }
        steps = [ipywidgets.Button(description=name, layout={"width": "auto"}) for name in actions]
        for button in steps:
            button.on_click(lambda pressed: actions[pressed.description]())
        width = {"width": "440px"} if self.columns else {}
        found = ipywidgets.VBox([self.heading, *self.rows], layout=width)
        wraps = {"flex_flow": "row wrap", "align_items": "flex-start"}
        return ipywidgets.VBox(
            [
                self.start,
                ipywidgets.HBox([self.temperature, self.top_k], layout=wraps),
                ipywidgets.HBox([*steps, *([self.apart] if self.followers else [])], layout=wraps),
                self.marks,
                self.prose,
                self.said,
                self.text,
                ipywidgets.HBox([found, *self.columns], layout=wraps),
                self.as_table,
                self.table,
                *([self.looks.widget] if self.looks else []),
            ]
        )

    @property
    def settings(self) -> tuple[float, int | None]:
        """Temperature and top-k as they are set."""
        return self.temperature.value, self.top_k.value or None

    def found(self) -> list[Candidate]:
        """What may come next, as it is set."""
        temperature, top_k = self.settings
        return self.growing.candidates(temperature, top_k=top_k)

    def show(self, said: str = "", moved: bool = False) -> None:
        """Draw anew.

        Args:
            said: a sentence for the learner.
            moved: whether the text has changed.
        """
        growing, found = self.growing, self.found()
        if moved:
            self._show_text(self._read_by_each())
            for follower in self.followers:
                if not self.apart.value:
                    follower.follow(growing.ids)
            if self.looks:
                self.looks.show()
        own = " A dashed frame: what the model says." * (found[0].own is not None)
        press = f": press one (Tab moves, Enter presses).{own}"
        self.heading.value = f"<b>{escape(self._heading())}</b>{press}"
        self._show_rows(found)
        for column, follower in zip(self.columns, self.followers, strict=True):
            column.value = follower.picture(*self.settings, self.full).html
        table = ""
        if self.as_table.value:
            table = text_table(growing.pieces, growing.probs, growing.ids).html
            table += next_tokens(found, self._heading(), self.full).html
        self.table.value = table
        self.said.value = f'<div role="status">{escape(said)}</div>'

    def _show_text(self, read: Mapping[int, str] = MappingProxyType({})) -> None:
        """The text as prose, of which every word can be pressed, and as tokens.

        Args:
            read: what the pointer shows of a word beside its probability, by its place.
        """
        growing = self.growing
        self.text.value = text_so_far(growing.pieces, growing.probs, growing.ids).html
        first = max(0, len(growing.ids) - SHOWN)
        together = b"".join(growing.pieces).decode(errors="replace") == growing.text
        words = [_as_prose(piece) + " " * (not together) for piece in growing.pieces[first:]]
        how = ["given" if p is None else f"chosen with {percent(p)}" for p in growing.probs[first:]]
        given = sum(one == "given" for one in how)
        self.quiet = True
        self.prose.options = [(word, i) for i, word in enumerate(told_apart(words), first)]
        self.prose.tooltips = [
            f"{one}{read.get(i, '')}; press to go back here" for i, one in enumerate(how, first)
        ]
        self.prose.index = None
        self.quiet = False
        self.marks.value = prose_style(given)

    def _read_by_each(self) -> dict[int, str]:
        """What every token in view read most, where the model's attention can be seen."""
        if not (self.looks and self.name in self.looks.seen and len(self.growing.ids) <= MOST):
            return {}
        pieces, weights = weights_in_view(
            self.looks.seen[self.name], self.growing.coder, self.growing.ids
        )
        names, mean = labels_of(pieces), weights.mean((0, 1))
        first, k = len(self.growing.ids) - len(pieces), min(3, len(pieces))
        best = [(row.topk(k).values.tolist(), row.topk(k).indices.tolist()) for row in mean]
        return {
            first + i: "; read most: "
            + ", ".join(f"{names[j]} {percent(w, 0)}" for w, j in zip(*found, strict=True) if w > 0)
            for i, found in enumerate(best)
        }

    def _go_back(self, change: dict) -> None:
        if not self.quiet and change["new"] is not None:
            before = len(self.growing.ids)
            self.growing.go_back(self.prose.options[change["new"]][1] + 1)
            gone = before - len(self.growing.ids)
            self.show(f"went back by {counted(gone, 'token')}", moved=True)

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
        self.bars[-1].value = bar(rest_of(found), LINE, own_rest_of(found), full=self.full)

    def _heading(self) -> str:
        heading = heading_of(*self.settings)
        return f"{self.name}: {heading}" if self.followers else heading

    def picture(self) -> Picture:
        """All that is shown, as it is now."""
        growing = self.growing
        parts = growing.pieces, growing.probs, self.found(), self._heading(), growing.ids
        pictures = [explorer_picture(*parts)]
        pictures += [follower.picture(*self.settings) for follower in self.followers]
        if self.looks and self.looks.toggle.value:
            pictures.append(self.looks.picture())
        html = "".join(picture.html for picture in pictures)
        return Picture(html, "\n".join(picture.alt for picture in pictures))

    def _choose(self, rank: int) -> None:
        found, before = self.found(), len(self.growing.ids)
        if rank < len(found) and not found[rank].cut:
            self.growing.choose(found[rank].token_id, *self.settings)
        self.show(self._added(before), moved=True)

    def _draw(self, times: int) -> None:
        before = len(self.growing.ids)
        for _ in range(times):
            self.growing.draw(*self.settings)
            for follower in self.followers if self.apart.value else ():
                follower.draw(*self.settings, self.growing.generator)
            self._show_text()  # word by word, as it is written
        self.show(self._added(before), moved=True)

    def _added(self, before: int) -> str:
        """What was added after so many tokens, to be read out."""
        new = self.growing.pieces[before:]
        return f"added: {''.join(map(_as_prose, new))}" if new else ""

    def _step_back(self) -> None:
        self.growing.step_back()
        self.show(moved=True)

    def _start_again(self) -> None:
        try:
            self.growing.restart(self.start.value)
        except ValueError as error:
            self.show(str(error))
        else:
            for follower in self.followers if self.apart.value else ():
                follower.follow(self.growing.ids)  # else `show` does it
            self.show(moved=True)


class _Attention:
    """The attention below the Explorer, of one of its models; computed while it is open."""

    def __init__(
        self, growing: GrowingText, followers: Sequence[Follower], seen: Mapping[str, GPT2],
        is_open: bool,
    ):  # fmt: skip
        self.growing, self.seen, self.panel = growing, seen, AttentionPanel()
        self.followers = {follower.name: follower for follower in followers}
        self.toggle = toggle("attention", is_open, "which earlier tokens every token reads")
        self.whose = switch("model:", list(seen))
        self.whose.layout.display = "flex" if len(seen) > 1 else "none"
        self.trouble = ipywidgets.HTML()
        self.inside = ipywidgets.VBox([self.whose, self.trouble, self.panel.widget])
        self.widget = ipywidgets.VBox([self.toggle, self.inside])
        for control in (self.toggle, self.whose):
            control.observe(lambda _: self.show(), names="value")

    def picture(self) -> Picture:
        """The lines and the map as they are now, or why there are none."""
        if not self.panel.pieces:
            return Picture(self.trouble.value, "no attention to show")
        return self.panel.picture()

    def show(self) -> None:
        """Read the text of now, if open."""
        self.inside.layout.display = "" if self.toggle.value else "none"
        if not self.toggle.value:
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
