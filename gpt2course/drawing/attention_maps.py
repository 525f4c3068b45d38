"""Attention as pictures: lines from one token, a map of all pairs, and all heads at a glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpt2course.drawing import pixels
from gpt2course.drawing.colours import GREY, ORANGE, PALEST, READ, SHARE, tint
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import MONO, WIDTH, Drawing, Point, wide
from gpt2course.drawing.tables import table
from gpt2course.drawing.tokens import piece_text

LINE, LIT = SHARE, ORANGE  # a line; what is under the pointer, and the token that reads
WARM = ("#ffffff", READ, "#6cb5e6")  # a fill under black text, from not read to read alone
BOX, GAP, ALONE = 38, 46, 84  # a token's height; room for lines between rows, and above one row
SEEN = 0.005  # a weight below this has no line
NUMBERED = 14  # a map of at most so many tokens has numbers in its cells
EVERY_CELL = 32  # in a map of more tokens only cells of at least HOVERED answer the pointer
HOVERED = 0.01
ROOM_ACROSS, ROOM_DOWN = 17, 12  # pixels from one name to the next: turned, and one below another
MEAN = "all heads averaged"
HOVER = (
    "<style>.gpt2course-lit{visibility:hidden;pointer-events:none}"
    ".gpt2course-read rect{pointer-events:all}"
    ".gpt2course-read:hover .gpt2course-lit,.gpt2course-row:hover .gpt2course-lit"
    "{visibility:visible}"
    f".gpt2course-read:hover .gpt2course-line{{stroke:{LIT};opacity:1}}"
    f".gpt2course-cell:hover{{stroke:{LIT};stroke-width:2}}</style>"
)
Pieces = Sequence[bytes | str]


def weights_of(attend: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor) -> Tensor:
    """The weights (T, S) of any attention function: y, with the identity as values.

    The identity has S columns; it is handed over hs columns at a time, as wide as real values are.
    """
    S, hs = k.shape
    one_hot = torch.eye(S, -(-S // hs) * hs, dtype=q.dtype)  # zeros fill up the last hs columns
    return torch.cat([attend(q, k, v) for v in one_hot.split(hs, dim=-1)], dim=-1)[:, :S]


def labels_of(pieces: Pieces, most: int = 18) -> list[str]:
    """Tokens as they are drawn, with signs for spaces; a very long one is cut.

    >>> labels_of([b" robot", "it"])
    ['␣robot', 'it']
    """
    names = [piece_text(p if isinstance(p, bytes) else p.encode()) for p in pieces]
    return [name if len(name) <= most else name[: most - 1] + "…" for name in names]


# Lines from one token -----------------------------------------------------------------------------


def attention_lines(
    pieces: Pieces, weights: Float[Tensor, "T T"], query: int, title: str = ""
) -> Picture:
    """A text with lines from one token to those that it reads, as wide as their weights.

    The pointer on a token or a line shows query, key and weight. A long text wraps.

    Args:
        pieces: the tokens, as bytes or as text.
        weights: row = query, column = key; of one head, or the mean of several.
        query: the place of the token that reads, from 0.
    """
    names, shares = labels_of(pieces), _settled(weights)[query].tolist()
    drawn, places = Drawing(), _laid_out(names)
    said = f"{names[query]} ({query}) reads" + (f", {title}" if title else "")
    top = -30 - (GAP if places[-1].line else ALONE)
    drawn.parts.append(HOVER)
    drawn.text(0, top, said, bold=True)
    tips = [_tip(names, query, key, share) for key, share in enumerate(shares)]
    for key, share in enumerate(shares):
        if share >= SEEN:
            with drawn.group("gpt2course-read", tips[key]):
                drawn.line(*_path(places[query], places[key]), stroke=LINE, thick=0.8 + 13 * share,
                           opacity=0.85, curved=True, kind="gpt2course-line")  # fmt: skip
    for key, share in enumerate(shares):
        later, place = key > query and share == 0, places[key]
        look = {"edge": GREY, "dash": "3 3" * later}
        look |= {"edge": LIT, "thick": 3} if key == query else {}
        number = "later" if later else "< 1 %" if 0 < share < SEEN else f"{100 * share:.0f} %"
        fill = "none" if later else tint(SHARE, share, PALEST)
        with drawn.group("gpt2course-read", tips[key]):
            if not later:
                drawn.line(*_path(places[query], place), stroke=LIT, thick=2 + 13 * share,
                           curved=True, kind="gpt2course-lit")  # fmt: skip
            drawn.rect(place.x, place.y, place.width, BOX, fill, rx=4, **look)
            drawn.text(place.middle, place.y + 17, names[key], "middle", mono=True)
            drawn.text(place.middle, place.y + 32, number, "middle", 12)
            with drawn.group("gpt2course-lit"):
                drawn.text(0, top + 19, tips[key], bold=True)
    order = sorted(range(len(shares)), key=lambda key: -shares[key])
    told = [f"{names[key]} ({key}) {percent(shares[key])}" for key in order if shares[key] >= SEEN]
    return drawn.picture(f"{said}: {', '.join(told)}")


class _Place(NamedTuple):
    """Where a token is drawn: its left, its top, its width, and the line that it stands in."""

    x: float
    y: float
    width: float
    line: int

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def _laid_out(names: Sequence[str]) -> list[_Place]:
    """A place for every token, in lines that wrap."""
    x, line, places = 0.0, 0, []
    for name in names:
        width = max(40.0, wide(name, mono=True) + 12)
        if x and x + width > WIDTH:
            x, line = 0.0, line + 1
        places.append(_Place(x, line * (BOX + GAP), width, line))
        x += width + 4
    return places


def _tip(names: Sequence[str], query: int, key: int, share: float) -> str:
    """What the pointer shows."""
    if key > query and share == 0:
        return f"{names[key]} ({key}) comes later and is not read"
    return f"{names[query]} ({query}) → {names[key]} ({key}): {percent(share)}"


def _path(query: _Place, key: _Place) -> tuple[Point, ...]:
    """From the query over the tokens between them to the key; to itself a loop."""
    start, end, y = query.middle, key.middle, query.y
    if query == key:
        return (start - 7, y), (start - 22, y - 34), (start + 22, y - 34), (start + 7, y)
    if query.line == key.line:
        room = ALONE + 20 if query.line == 0 else GAP + 8
        top = y - min(room, 22 + 0.16 * abs(start - end))
        return (start, y), (start, top), (end, top), (end, y)
    ends = (y, key.y + BOX) if key.line < query.line else (y + BOX, key.y)
    half = (ends[0] + ends[1]) / 2
    return (start, ends[0]), (start, half), (end, half), (end, ends[1])


# The map of all pairs ---------------------------------------------------------------------------


def heat(
    names: Sequence[str], weights: Float[Tensor, "T T"], query: int | None = None, cell: int = 0,
    beside: bool = True,
) -> Drawing:  # fmt: skip
    """The weights of one head: row = the token that reads, column = the one that is read.

    Args:
        query: a row to mark.
        cell: pixels of one cell; without it as the number of tokens allows.
        beside: whether the names stand beside the rows.
    """
    T, weights = len(names), _settled(weights)
    cell = cell or (30 if T <= NUMBERED else 19 if T <= EVERY_CELL else 12 if T <= 58 else 700 // T)
    # Where the cells are smaller than letters only every so many names are written.
    across, down = ceil(ROOM_ACROSS / cell), ceil(ROOM_DOWN / cell)
    drawn = Drawing()
    drawn.parts.append(HOVER)
    drawn.image(0, 0, T * cell, T * cell, _image(weights))
    if T > NUMBERED and _later(weights).any():  # where the future begins
        corners = [(s * cell, t * cell) for t in range(T) for s in (t, t + 1)]
        drawn.line(
            *corners[1:], (T * cell, T * cell), (T * cell, 0), thick=1, dash="3 3", closed=True
        )
    for s in range(0, T, across):
        drawn.text((s + 0.62) * cell, -5, names[s], "start", 12, mono=True, turn=-50)
    for t, shares in enumerate(weights.tolist()):
        y = t * cell
        with drawn.group("gpt2course-row"):
            near = query is not None and 0 < abs(t - query) * cell < ROOM_DOWN
            if beside and (t == query or (t % down == 0 and not near)):
                name = f"▶ {names[t]}" if t == query else names[t]
                drawn.text(-6, y + 0.5 * cell + 4.2, name, "end", 12, t == query, mono=True)
            for s, share in enumerate(shares):
                if T <= NUMBERED and share >= SEEN:
                    drawn.text(
                        (s + 0.5) * cell, y + cell / 2 + 4, f"{100 * share:.0f}", "middle", 12
                    )
                elif T <= NUMBERED and s > t and share == 0:
                    drawn.rect(s * cell + 2, y + 2, cell - 4, cell - 4, "none", GREY, dash="3 3",
                               kind="masked")  # fmt: skip
            drawn.parts.append(_cells(names, shares, t, cell))
            drawn.rect(0, y, T * cell, cell, edge=LIT, kind="gpt2course-lit")
            if t == query:
                drawn.rect(0, y, T * cell, cell, edge=LIT, thick=2.5, kind="gpt2course-query")
    return drawn


def _cells(names: Sequence[str], shares: Sequence[float], t: int, cell: int) -> str:
    """Cells that are not seen but answer the pointer; there may be thousands, hence short."""
    floor = 0.0 if len(shares) <= EVERY_CELL else HOVERED
    cells = [
        f'<rect class="gpt2course-cell" x="{s * cell}" y="{t * cell}" width="{cell}" '
        f'height="{cell}"><title>{escape(_tip(names, t, s, share))}</title></rect>'
        for s, share in enumerate(shares)
        if share >= floor and not (s > t and share == 0)
    ]
    return f'<g fill="transparent">{"".join(cells)}</g>'


def attention_heat(
    pieces: Pieces, weights: Float[Tensor, "T T"], query: int | None = None, title: str = ""
) -> Picture:
    """The weights of one head as a map: row = the token that reads, column = the one that is read.

    The pointer on a cell shows query, key and weight. What comes later and has no weight is left
    empty.

    Args:
        pieces: the tokens, as bytes or as text.
        query: a row to mark.
    """
    names, weights = labels_of(pieces, most=14), _settled(weights)
    drawn, T = heat(names, weights, query), len(names)
    _scale(drawn, drawn.bottom + 10, T)
    note = "row: the token that reads; column: the token that is read"
    drawn.head(title or "what every token reads", note)
    rows = range(T) if T <= EVERY_CELL else [T - 1 if query is None else query]
    most = [
        f"{names[t]} ({t}) {names[key]} ({key}) {percent(float(weights[t, key]))}"
        for t, key in ((t, int(weights[t].argmax())) for t in rows)
    ]
    said = f"{title}: " if title else ""
    told = f"{said}{T} tokens; {reading_of(weights)}. Read most by each: {'; '.join(most)}"
    return drawn.picture(told)


def _scale(drawn: Drawing, y: float, T: int) -> None:
    """What the colours stand for in a map of T tokens."""
    steps = torch.linspace(0, 1, 128)[None]
    root = T > EVERY_CELL
    drawn.image(0, y, 160, 12, pixels.shares(steps**2 if root else steps, root))
    for at, said in ((0, "0 %"), (80, "25 %" if root else "50 %"), (160, "100 %")):
        drawn.text(at, y + 26, said, "middle", 12)
    drawn.text(176, y + 11, "of the attention; empty: comes later, masked", size=12)


def reading_of(weights: Float[Tensor, "T T"]) -> str:
    """A head in a sentence: the mean weight on the token before, on the first, on the token itself.

    >>> reading_of(torch.tensor([[1.0, 0.0], [0.25, 0.75]]))
    'on average 25.0 % to the token before, 62.5 % to the first, 87.5 % to itself'
    """
    first, itself = weights[:, 0].mean(), weights.diagonal().mean()
    before = weights.diagonal(-1).mean() if len(weights) > 1 else torch.zeros(())
    return (
        f"on average {percent(float(before))} to the token before, "
        f"{percent(float(first))} to the first, {percent(float(itself))} to itself"
    )


# All heads at a glance --------------------------------------------------------------------------


def head_grid(
    pieces: Pieces, weights: Float[Tensor, "L nh T T"], chosen: tuple[int, int | None] | None = None
) -> Picture:
    """The maps of every layer (row, the last on top) and head (column), small, on one scale.

    The pointer on a map says how that head reads.

    Args:
        pieces: the tokens of the text, as bytes or as text.
        chosen: layer and head of a map to frame; head None frames the layer's whole row.
    """
    weights = _settled(weights)
    L, nh, T, _ = weights.shape
    side = max(44, min(120, (WIDTH - 70) // nh - 10))
    drawn, step, told = Drawing(), side + 10, []
    drawn.parts.append(HOVER)
    for h in range(nh):
        drawn.text(h * step + side / 2, -6, f"head {h}", "middle", 12)
    for layer in range(L):
        y = (L - 1 - layer) * step
        drawn.text(-8, y + side / 2 + 4, f"layer {layer}", "end", 12)
        for h in range(nh):
            x, one = h * step, weights[layer, h]
            told.append(f"layer {layer}, head {h}: {reading_of(one)}")
            marked = chosen is not None and chosen[0] == layer and chosen[1] in (None, h)
            look = {"edge": LIT, "thick": 4} if marked else {"edge": GREY}
            with drawn.group("gpt2course-row", told[-1]):
                drawn.image(x, y, side, side, _image(one))
                drawn.rect(x, y, side, side, "transparent", **look)
                drawn.rect(x, y, side, side, edge=LIT, thick=2, kind="gpt2course-lit")
    _scale(drawn, drawn.bottom + 8, T)
    said = f"all {L} × {nh} heads on “{_quoted(pieces)}”"
    drawn.head(said)
    return drawn.picture(f"{said}. " + "; ".join(told))


def _quoted(pieces: Pieces, most: int = 60) -> str:
    """The text of the pieces, its end left out where it is long."""
    whole = b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces)
    text = " ".join(whole.decode(errors="replace").split())
    return text if len(text) <= most else text[: most - 1] + "…"


def attention_table(
    pieces: Pieces, weights: Float[Tensor, "nh T T"], query: int, layer: int
) -> Picture:
    """What one token reads in one layer, as a table: a row for each token, a column for each head.

    Args:
        pieces: the tokens, as bytes or as text.
        weights: of all heads of the layer.
        query: the place of the token that reads, from 0.
    """
    names, weights = labels_of(pieces), _settled(weights)
    found = torch.cat([weights[:, query], weights[:, query].mean(0, keepdim=True)]).T.tolist()
    seen = [key for key in range(len(names)) if key <= query or any(found[key])]
    heading = f"what {names[query]} ({query}) reads in layer {layer}"
    heads = [("place", "right"), ("token", "left")]
    heads += [(name, "right") for name in (*(f"head {h}" for h in range(len(weights))), MEAN)]
    mono = f'<span style="font-family:{MONO}">{{}}</span>'
    rows = [[str(key), mono.format(escape(names[key])), *map(percent, found[key])] for key in seen]
    html = table(heading, heads, rows, names=1, scrolls="table of the weights")
    told = "; ".join(f"{names[key]} ({key}) {percent(found[key][-1])}" for key in seen)
    return Picture(html, f"{heading}, {MEAN}: {told}")


def _settled(weights: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Numbers to be read off: without gradients, in 32 bits, in the machine's own memory."""
    return weights.detach().float().cpu()


def _image(weights: Float[Tensor, "T T"]) -> str:
    """A map, one pixel for each weight; what comes later and has none is empty."""
    return pixels.shares(weights, len(weights) > EVERY_CELL, _later(weights))


def _later(weights: Float[Tensor, "T T"]) -> Bool[Tensor, "T T"]:
    """True where a token comes later and has no weight."""
    return torch.ones_like(weights, dtype=torch.bool).triu(1) & (weights == 0)
