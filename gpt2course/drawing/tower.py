"""The tower: one token's vector climbing through a whole model, with the model's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from html import escape

import torch
from torch import nn

from gpt2course.drawing import pixels
from gpt2course.drawing.attention_widget import Coder, ids_of
from gpt2course.drawing.colours import GREY, INK, PAGE
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, short, wide
from gpt2course.drawing.tokens import counted
from gpt2course.drawing.tower_reading import DEEP, Reading, View

# What each part of the model looks like, here and in the map of the lessons.
STREAM, ATTENTION, MLP, TABLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
TOKEN_FILL, ATTENTION_FILL, MLP_FILL, TABLE_FILL = "#cfe6f6", "#fbd9c2", "#c5ebdf", "#f3dbe8"
NEW, LIT = "#ffe68a", "#ffd43b"

LEFT, RIGHT = 72, 502  # the columns of the tokens
NUMBERS, WORDS, END = 548, 678, 806  # where barcodes begin and end, and the words beside them
LANE, OPEN = 28, 60  # the height of an open head, and of the rest of an open floor
PLAIN, LEAST, THIN = 84, 56, 24  # of a floor: as it is, beside an open one, in a deep model
BAR, ROW = 330, 21  # pixels of a bar of 100 %, and from one bar to the next
STARRED = ("embed", "CausalSelfAttention", "MLP", "output_logits")
SEEN = 0.03  # a weight below this has no arc
MOVES = (
    "<style>@keyframes gpt2course-climb{from{transform:translateY(var(--from))}}"
    "@keyframes gpt2course-arrive{from{stroke-dasharray:1;stroke-dashoffset:1}"
    "to{stroke-dasharray:1;stroke-dashoffset:0}}"
    ".gpt2course-climber{animation:gpt2course-climb .3s ease-out}"
    ".gpt2course-arc{animation:gpt2course-arrive .3s ease-out}"
    "[onclick]{cursor:pointer}"
    "@media (prefers-reduced-motion:reduce)"
    "{.gpt2course-climber,.gpt2course-arc{animation:none}}</style>"
)


def tower_of(
    model: nn.Module, coder: Coder, text: str, token: int | None = None, floor: int | None = None,
    lit: str = "", yours: Sequence[str] = (),
) -> Picture:  # fmt: skip
    """A token's vector climbing through a model, from its embedding to what comes next.

    Args:
        model: a GPT2, or one of a learner's own: `wte`, `wpe`, `h`, `ln_f`, and in each block
            `ln_1`, `attn`, `ln_2` and `mlp`.
        text: what is read; the last tokens of a long one have a column each.
        token: the place of the token that climbs, from 0; the last without it.
        floor: a block whose heads are open. A deep model has one open in any case.
        lit: a lesson, such as "11_sampling", whose part is lit.
        yours: exercises that the learner has solved; their parts have a star.
    """
    reading = Reading(model, coder, ids_of(coder, text))
    return drawn(reading, replace(reading.view(token, floor), lit=lit), yours)


def drawn(reading: Reading, view: View, yours: Sequence[str] = ()) -> Picture:
    """The tower of one view."""
    return _Tower(reading, view, yours).picture()


class _Tower:
    """One tower while it is drawn; y = 0 is the upper edge of the chips, and up is negative."""

    def __init__(self, reading: Reading, view: View, yours: Sequence[str]):
        self.reading, self.view, self.yours = reading, view, yours
        self.to = Drawing()
        self.to.parts.append(MOVES)
        first = reading.first
        self.names = [f"… {first}"] * bool(first) + reading.names[first:]
        self.chosen = view.token - first + bool(first)  # its column
        self.xs, self.widths, self.rows = _columns(self.names)
        self.x = self.xs[self.chosen]
        self.floors = _floors(reading.n_layer, _heads(reading), view.floor)
        self.reach = reading.climb.stream[:, view.token].float().abs().quantile(0.98).item()
        self.told: list[str] = []

    def picture(self) -> Picture:
        self._grounds()
        self._cached()
        self._streams()
        self._embedding()
        for block in range(self.reading.n_layer):
            self._floor(block)
        self._end()
        self._chips()
        self._marker()
        self._legend()
        title = self._title()
        note = "Orange arcs: what the token reads, as wide as the largest weight of any head. "
        note += "Right: its numbers, and the word that would be predicted if the model ended there."
        self.to.head(title, note)
        told = "; ".join([f"The tokens are {' '.join(self.reading.names)}", *self.told])
        return self.to.picture(f"{title}. {told}.")

    def _title(self) -> str:
        """What is seen, in a sentence."""
        view, L = self.view, self.reading.n_layer
        name = self.reading.names[view.token]
        word = self.reading.likeliest(view.token, min(view.at, 2 * L))
        if view.at <= 2 * L:
            block, part = (view.at - 1) // 2, "the MLP" if view.at % 2 == 0 else "the attention"
            where = f"after {part} of block {block}" if view.at else "as it enters block 0"
            return f"{name} climbs: {where} it would predict {word.name}, {percent(word.prob)}"
        off = f" without {counted(len(view.off), 'head')}" if view.off else ""
        blocks = counted(L, "block") + off
        said = f"likeliest next token: {word.name}, {percent(word.prob)}"
        return f"{name} climbs through {blocks}; {said}"

    # The ground, and the lines that carry the vectors

    def _grounds(self) -> None:
        for block in range(self.reading.n_layer):
            bottom, top = self.floors[block], self.floors[block + 1]
            ground(self.to, LEFT - 6, top + 2, RIGHT + 36, bottom - 2, PAGE, 0.06)
            look = {"bold": True, "size": 12}
            middle = (bottom + top) / 2 + 4 if bottom - top < LEAST else top + 17
            with self._pressed("floor", block, f"block {block}: open its heads"):
                self.to.rect(0, top + 2, LEFT - 8, bottom - top - 4, "transparent", "none")
                sign = "▾" if block == self.view.floor else "▸"
                self.to.text(2, middle, f"{sign} block {block}", **look)

    def _streams(self) -> None:
        top, chosen = self.floors[-1], self.chosen
        for t, x in enumerate(self.xs):
            if t == chosen:
                continue
            later = t > chosen
            marks = [y for b in range(self.reading.n_layer) for y in self._label_gaps(b, t)]
            ends = [self._chip_top(t), *marks, top]
            for low, high in zip(ends[::2], ends[1::2], strict=True):
                self.to.line((x, low), (x, high), stroke=STREAM, thick=2 if later else 2.5,
                             dash="2 5" * later, opacity=0.5)  # fmt: skip
        x, reached = self.x, self._y(self.view.at)
        self.to.line((x, self._chip_top(chosen)), (x, reached), stroke=STREAM, thick=7)
        if self.view.at <= 2 * self.reading.n_layer:
            self.to.line((x, reached), (x, top), stroke=STREAM, thick=2, opacity=0.5)

    def _label_gaps(self, block: int, t: int) -> list[float]:
        """Where a label of an arc stands on a token's line: its lower and upper edge."""
        bottom = self.floors[block]
        named = {key for key, *_ in self._labels(block)}
        return [bottom - 3, bottom - 17] if t in named else []

    def _labels(self, block: int) -> list[tuple[int, float, int]]:
        """The arcs of a floor that have a label: token, weight, head."""
        height = self.floors[block] - self.floors[block + 1]
        if height < LEAST or block == self.view.floor or not self._is_reached(2 * block + 1):
            return []
        read = self._read_by_column(block)
        found: list[tuple[int, float, int]] = []
        for column in sorted(range(self.chosen), key=lambda column: -read[column][0]):
            near = [other for other, *_ in found if abs(self.xs[column] - self.xs[other]) < 84]
            if read[column][0] >= 0.2 and self.x - self.xs[column] > 80 and not near:
                found.append((column, *read[column]))
        return found[:3]

    def _read(self, block: int) -> list[tuple[float, int]]:
        """For every token up to the chosen one the largest weight of a head that is on, and which.

        Empty where the weights are unknown.
        """
        weights = self.reading.reads(block, self.view.token)
        if weights is None:
            return []
        on = torch.tensor([(block, h) not in self.view.off for h in range(len(weights))])
        most, heads = (weights * on[:, None]).max(0)
        return list(zip(most.tolist(), heads.tolist(), strict=True))

    def _read_by_column(self, block: int) -> list[tuple[float, int]]:
        return self._by_column(self._read(block)) or [(0.0, 0)] * (self.chosen + 1)

    def _by_column(self, each: list) -> list:
        """What there is for each token, for each column; of several in one the largest."""
        first = self.reading.first
        return [max(each[:first]), *each[first:]] if first and each else each

    def _cached(self) -> None:
        """The columns whose keys and values a cache keeps."""
        right, top = self.x - 45, self.floors[-1]
        if not self.view.lit.startswith("12") or right < LEFT:
            return
        ground(self.to, LEFT - 6, top - 26, right, self.floors[0], LIT, 0.3)
        self.to.text(LEFT, top - 10, "the cache keeps k and v of these tokens", size=12)

    # From the embedding through the blocks

    def _embedding(self) -> None:
        self.to.text(2, -16, "wte + wpe" + self._star("embed"), size=12)
        self._beside(0, -20)

    def _floor(self, block: int) -> None:
        bottom, top = self.floors[block], self.floors[block + 1]
        if block == self.view.floor:
            self._open(block)
        elif bottom - top < LEAST:
            self._thin(block)
        else:
            self._plain(block)
        self._tell(block)

    def _plain(self, block: int) -> None:
        x, (at_a, at_m) = self.x, self._additions(block)
        base = self.floors[block] - 18
        if self._is_reached(2 * block + 1):
            self._arcs(block, base, at_a - 9, self.floors[block + 1] + 8)
            for column, weight, head in self._labels(block):
                said = f"{_whole(weight)} · head {head}"
                self.to.text(max(self.xs[column], LEFT + 34), base + 13, said, "middle", 12)
        self._attention_box(x - 27, at_a, block)
        self._mlp_box(x + 27, at_m, block)

    def _thin(self, block: int) -> None:
        x, (at_a, at_m) = self.x, self._additions(block)
        if self._is_reached(2 * block + 1):
            self._arcs(block, self.floors[block] - 3, at_a - 4, self.floors[block + 1] + 3, x - 11)
        with self._pressed("floor", block, f"attention of block {block}: open its heads"):
            self.to.rect(x - 16, at_a - 4.5, 9, 9, ATTENTION_FILL, ATTENTION, rx=2)
        self.to.circle(x + 11, at_m, 5, MLP_FILL, MLP)

    def _open(self, block: int) -> None:
        """A floor whose attention fans into heads, one lane each."""
        x, (at_a, at_m) = self.x, self._additions(block)
        reads, lane = self.reading.reads(block, self.view.token), self._lane()
        bottom = self.floors[block]
        for h in range(0 if reads is None else len(reads)):
            middle = bottom - 8 - lane * (len(reads) - h - 0.5)
            is_on = (block, h) not in self.view.off
            state = "on" if is_on else "off"
            if self._is_reached(2 * block + 1):
                self._head(reads[h].tolist(), middle, lane, is_on)
            with self._pressed("head", h, f"block {block} head {h} is {state}: switch it"):
                self.to.rect(0, middle - lane / 2, LEFT - 8, lane, "transparent", "none")
                self.to.text(18, middle + 4, f"head {h}", size=12)
                if is_on:
                    self.to.rect(x - 38, middle - lane / 2 + 2, 22, lane - 4, ATTENTION_FILL,
                                 ATTENTION, rx=4)  # fmt: skip
                    self.to.text(x - 27, middle + 4, f"{h}", "middle", 12, True, INK)
                else:
                    self.to.rect(x - 38, middle - lane / 2 + 2, 22, lane - 4, "none", GREY,
                                 dash="3 3", rx=4)  # fmt: skip
                    self.to.text(x - 27, middle + 4, "✗", "middle", 12, True)
        low = bottom - 8 - lane / 2
        self.to.line((x - 16, low), (x - 11, low), (x - 11, at_a), (x - 8, at_a), stroke=ATTENTION,
                     thick=2)  # fmt: skip
        self.to.plus(x, at_a, 8)
        self._mlp_box(x + 27, at_m, block)

    def _head(self, reads: list[float], middle: float, lane: float, is_on: bool) -> None:
        """The arcs of one head, and in words the token that it reads most."""
        key = max(range(len(reads)), key=reads.__getitem__)
        said = f"reads {self.reading.names[key]}, {percent(reads[key])}" if is_on else "off"
        self.to.text(NUMBERS, middle + 4, said, size=12)
        if is_on:
            low, high = middle + lane / 2 - 4, middle - lane / 2 + 3
            for column, weight in enumerate(self._by_column(reads)[:-1]):
                self._arc(column, weight, low, middle, high, self.x - 38, most=0.36 * lane)

    def _attention_box(self, x: float, y: float, block: int) -> None:
        with self._pressed("floor", block, f"attention of block {block}: open its heads"):
            own = self._read_by_column(block)[-1][0] if self._is_reached(2 * block + 1) else 0.0
            start = self.floors[block] - 2
            self.to.line((self.x, start), (x + 6, start), (x, y + 20), (x, y + 8),
                         stroke=ATTENTION, thick=max(1, 9 * own), curved=True)  # fmt: skip
            self.to.line((x, y), (self.x, y), stroke=ATTENTION, thick=2)
            self.to.box(x - 11, y - 9, 22, 18, "A", ATTENTION_FILL, 12, True, edge=ATTENTION, rx=4)
        self.to.plus(self.x, y, 8)

    def _mlp_box(self, x: float, y: float, block: int) -> None:
        from_ = y + min(24, self._additions(block)[0] - y - 10)
        self.to.line((self.x, from_), (x, from_), (x, y), (self.x, y), stroke=MLP, thick=2)
        self.to.box(x - 11, y - 9, 22, 18, "M", MLP_FILL, 12, True, edge=MLP, rx=9)
        self.to.plus(self.x, y, 8)

    def _arcs(
        self, block: int, base: float, end: float, top: float, x: float | None = None
    ) -> None:
        for column, (weight, _) in enumerate(self._read_by_column(block)[:-1]):
            self._arc(column, weight, base, end, top, self.x - 30 if x is None else x)

    def _arc(
        self, column: int, weight: float, base: float, end: float, top: float, x: float,
        most: float = 13,
    ) -> None:  # fmt: skip
        """From a token over those between to the box at x; the farther, the higher."""
        if weight < SEEN:
            return
        start = self.xs[column]
        share = min(1.0, 0.45 + 0.55 * abs(self.x - start) / (RIGHT - LEFT))
        peak = base - (base - top) * share * 4 / 3  # a curve reaches three quarters of its handles
        tail = x - min(14.0, abs(x - start) / 3)
        path = f"M{short(start)} {short(base)}C{short(start)} {short(peak)} {short(tail)} "
        path += f"{short(peak)} {short(x)} {short(end)}"
        self.to.room((start, base - (base - top) * share), (x, end))
        strength = 0.35 + 0.5 * min(1.0, 2 * weight)
        self.to.parts.append(
            f'<path d="{path}" fill="none" stroke="{ATTENTION}" opacity="{strength:.2f}" '
            f'stroke-width="{short(max(1, most * weight))}" pathLength="1"{self._arriving}>'
            f"<title>{escape(f'{self.names[column]} {percent(weight)}')}</title></path>"
        )

    # What stands beside the floors

    def _beside(self, stage: int, y: float, high: float = 14) -> None:
        """The numbers of a stage, and the word that would be predicted if the model ended there."""
        if not self._is_reached(stage):
            return
        x, edge = self.x, RIGHT + 36
        numbers = self.reading.climb.stream[stage, self.view.token].float().cpu()
        if high > 8:
            start = min(x + (42 if stage else 6), edge)  # right of the MLP
            self.to.line((start, y), (NUMBERS - 2, y), stroke=STREAM, dash="2 4")
        self.to.image(NUMBERS, y - high / 2, WORDS - NUMBERS - 12, high,
                      pixels.barcode(numbers, self.reach))  # fmt: skip
        self.to.rect(NUMBERS, y - high / 2, WORDS - NUMBERS - 12, high, edge=GREY, thick=0.8)
        word, last = self.reading.likeliest(self.view.token, stage), 2 * self.reading.n_layer
        self.to.text(WORDS, y + 4, word.name, size=12, bold=stage == last)
        self.to.text(END, y + 4, _whole(word.prob), "end", 12, stage == last)

    def _tell(self, block: int) -> None:
        at_a, at_m = self._additions(block)
        height = self.floors[block] - self.floors[block + 1]
        middle = (self.floors[block] + self.floors[block + 1]) / 2
        self._beside(2 * block + 2, middle if height < LEAST else at_m, 14 if height > 20 else 8)
        if self.view.at == 2 * block + 1:
            self._beside(2 * block + 1, middle if height < LEAST else at_a)
        if not self._is_reached(2 * block + 1):
            return
        said, read = f"block {block}", self._read(block)
        if read:
            (weight, head), best = max((one, key) for key, one in enumerate(read))
            said += f" reads {self.reading.names[best]} {percent(weight)} (head {head})"
        if self._is_reached(2 * block + 2):
            word = self.reading.likeliest(self.view.token, 2 * block + 2)
            said += f", then would predict {word.name} {percent(word.prob)}"
        self.told.append(said)

    # The end, and the start again

    def _end(self) -> None:
        """Above the floors: ln_f, wte, and the likeliest next tokens as bars."""
        L, view, top = self.reading.n_layer, self.view, self.floors[-1]
        reached = self._is_reached(2 * L + 1)
        self.to.box(self.x - 24, top - 32, 48, 20, "ln_f", TOKEN_FILL, 12, edge=STREAM, rx=5)
        self.to.line((self.x, top - 32), (self.x, top - 46), stroke=STREAM, thick=7)
        C = self.reading.climb.stream.shape[-1]
        self.to.text(NUMBERS, top - 10, f"its {C} numbers", size=12, bold=True)
        self.to.text(WORDS, top - 10, "if it ended here", size=12, bold=True)
        found = self.reading.next(view.token, view.before)
        bars_top = top - 52 - ROW * len(found)
        drawn_to = LEFT + 60
        label = f"after {self.reading.names[view.token]}:" + self._star("output_logits")
        if view.lit.startswith(("10", "11")):
            ground(self.to, 0, bars_top - 22, END, top - 50, LIT, 0.3)
        self.to.text(0, bars_top - 6, label, bold=True, size=12)
        if not reached:
            return
        for rank, one in enumerate(found):
            y = bars_top + ROW * rank
            self.to.text(drawn_to - 8, y + ROW / 2 + 4, one.name, "end", 12)
            self.to.rect(drawn_to, y + 3, max(1, BAR * one.prob), ROW - 6, STREAM, "none")
            said, longest = percent(one.prob), one.prob
            if one.own is not None:
                said, longest = f"{said}, was {percent(one.own)}", max(one.prob, one.own)
                self.to.rect(drawn_to, y + 3, max(1, BAR * one.own), ROW - 6, "none", dash="3 3")
            self.to.text(drawn_to + BAR * longest + 8, y + ROW / 2 + 4, said, size=12)
            if one.is_best:
                self.bar_top, self.bar_end = y, drawn_to + BAR * longest + 16 + wide(said, 12)
        listed = ", ".join(f"{one.name} {percent(one.prob)}" for one in found)
        self.told.append(f"after {self.reading.names[view.token]} come {listed}")

    def _chips(self) -> None:
        each = zip(self.names, self.xs, self.widths, strict=True)
        for column, (name, x, width) in enumerate(each):
            is_chosen, y = column == self.chosen, self._chip_top(column)
            look = {"edge": PAGE, "thick": 2.5} if is_chosen else {"edge": STREAM}
            several = bool(self.reading.first)
            shared = several and column == 0
            number = column - several  # of those that have a column of their own
            with self._pressed("" if shared else "token", number, f"let {name} climb"):
                self.to.box(x - width / 2, y, width, 24, name, "none" if shared else TOKEN_FILL, 12,
                            is_chosen, True, rx=6, **look)  # fmt: skip
            if not max(self.rows):
                self.to.text(x, y + 38, f"{self.reading.ids[column]}", "middle", 12)
        if not max(self.rows):
            self.to.text(LEFT - 8, 38, "ids", "end", 12)
        self.to.room((END + 14, 0))
        if self.chosen == len(self.xs) - 1 and self._is_reached(2 * self.reading.n_layer + 1):
            self._drop()

    def _drop(self) -> None:
        """The likeliest word goes to the end of the row."""
        best = self.reading.likeliest(self.view.token, 2 * self.reading.n_layer)
        x, y = self.xs[-1] + self.widths[-1] / 2 + 14, 0
        width = wide(best.name, 12, True, True) + 18
        side, top = END + 12, self.bar_top + ROW / 2
        look = {"stroke": ATTENTION, "thick": 3} if self.view.lit.startswith("11") else {"thick": 2}
        way = (self.bar_end, top), (side, top), (side, y + 12), (x + width + 4, y + 12)
        self.to.arrow(*way, dash="6 4", **look)
        self.to.text(END + 4, y + 30, "joins the text", "end", 12)
        self.to.box(x, y, width, 24, best.name, NEW, 12, True, True, rx=6, edge=PAGE, thick=3)

    def _marker(self) -> None:
        """Where the climb is, unless it is over."""
        at = self.view.at
        if at > 2 * self.reading.n_layer:
            return
        y = self._y(at)
        below = self._chip_top(self.chosen) if at == 0 else self._y(at - 1)
        with _group(self.to, f'class="gpt2course-climber" style="--from:{below - y:.0f}px"'):
            self.to.circle(self.x, y, 8, NEW, PAGE, 2.5)

    def _legend(self) -> None:
        a, m = (self._star(name) for name in ("CausalSelfAttention", "MLP"))
        said = f"line: residual stream · A: attention{a} · M: MLP{m} · ⊕: added to the stream"
        said += " · thick frame: new" * (self.view.at > 2 * self.reading.n_layer)
        said += " · dotted: comes later, not read" * (self.chosen < len(self.xs) - 1)
        said += " · ★ yours" * any(self._star(name) for name in STARRED)
        self.to.text(0, self.to.bottom + 20, said, size=12)

    # Places

    @property
    def _arriving(self) -> str:
        """While the climb goes on, arcs come in one by one."""
        return ' class="gpt2course-arc"' * (self.view.at <= 2 * self.reading.n_layer)

    def _additions(self, block: int) -> tuple[float, float]:
        """Where attention and MLP of a block are added."""
        bottom, top = self.floors[block], self.floors[block + 1]
        if block == self.view.floor:
            return bottom - 18 - self._lane() * _heads(self.reading), top + 20
        if bottom - top < LEAST:
            return bottom - 0.35 * (bottom - top), bottom - 0.65 * (bottom - top)
        tight = bottom - top < 72
        return bottom - (18 if tight else 26), top + (14 if tight else 18)

    def _lane(self) -> float:
        return _lane(_heads(self.reading))

    def _y(self, stage: int) -> float:
        """Where a stage of the stream is."""
        if stage == 0:
            return -20
        if stage > 2 * self.reading.n_layer:
            return self.floors[-1] - 12
        return self._additions((stage - 1) // 2)[(stage - 1) % 2]

    def _chip_top(self, t: int) -> float:
        return 30.0 * self.rows[t]

    def _is_reached(self, stage: int) -> bool:
        return stage <= self.view.at

    def _star(self, name: str) -> str:
        return " ★" * (name in self.yours)

    def _pressed(self, what: str, number: int, tip: str) -> AbstractContextManager[None]:
        """What is drawn within answers a click, where it does."""
        return _group(self.to, self.view.click(what, number), tip)


def _whole(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.005 else "< 1 %"


def ground(
    to: Drawing, left: float, top: float, right: float, bottom: float, fill: str, opacity: float
) -> None:
    """A field that shines through, behind what belongs together."""
    to.room((left, top), (right, bottom))
    to.parts.append(
        f'<rect x="{short(left)}" y="{short(top)}" width="{short(right - left)}" '
        f'height="{short(bottom - top)}" rx="8" fill="{fill}" opacity="{opacity:g}"/>'
    )


@contextmanager
def _group(to: Drawing, attributes: str, tip: str = "") -> Iterator[None]:
    """What is drawn within has attributes and a text for the pointer, or none of both."""
    told = f"<title>{escape(tip)}</title>" if tip else ""
    to.parts.append(f"<g {attributes}>{told}" if attributes else "<g>")
    yield
    to.parts.append("</g>")


def _heads(reading: Reading) -> int:
    weights = next((one for one in reading.climb.weights if one is not None), ())
    return len(weights)


def _lane(n_head: int) -> float:
    return min(LANE, max(17, 200 / max(1, n_head)))


def _floors(n_layer: int, n_head: int, floor: int | None) -> list[float]:
    """Where every floor begins, and the last one ends, from the bottom up.

    A tower keeps its height when another floor is opened.
    """
    opened = _lane(n_head) * n_head + OPEN
    if n_layer > DEEP:
        least = THIN if n_layer <= 24 else 18
        total = opened + (n_layer - 1) * least
    else:
        total = max(n_layer * PLAIN, opened + (n_layer - 1) * LEAST)
    others = total / n_layer if floor is None else (total - opened) / max(1, n_layer - 1)
    y, found = -40.0, [-40.0]
    for block in range(n_layer):
        y -= opened if block == floor else others
        found.append(y)
    return found


def _columns(names: Sequence[str]) -> tuple[list[float], list[float], list[int]]:
    """The middle of every chip, its width, and the row that it stands in.

    Words that do not fit beside each other stand in several rows.
    """
    widths = [max(38.0, wide(name, 12, mono=True) + 11) for name in names]
    room = RIGHT - LEFT
    if sum(widths) + 6 * (len(names) - 1) <= room:
        gap = min(14.0, (room - sum(widths)) / max(1, len(names) - 1))
        x, xs = LEFT, []
        for width in widths:
            xs.append(x + width / 2)
            x += width + gap
        return xs, widths, [0] * len(names)
    pitch = (room - 40) / (len(names) - 1)
    xs = [LEFT + 24 + pitch * t for t in range(len(names))]
    for rows in range(2, len(names) + 1):
        clear = all((a + b) / 2 + 4 <= rows * pitch for a, b in zip(widths, widths[rows:]))  # noqa: B905
        if clear:
            break
    return xs, widths, [t % rows for t in range(len(names))]
