"""Attention as pictures: lines from one token, a map of all pairs, and all heads at a glance."""

from __future__ import annotations

import base64
import struct
import unicodedata
import zlib
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gpt2course.drawing.colours import NEUTRAL, VIRIDIS, blend, fill_for, ink_on
from gpt2course.drawing.explorer import CELL, percent
from gpt2course.drawing.picture import Picture, from_svg
from gpt2course.drawing.tokens import INK, MONO, piece_text

LINE, LIT = "#1c7ed6", "#e8590c"  # a line, and the one under the pointer; on dark and on light
WARM = ("#ffffff", "#ffd8a8", "#ff922b")  # a token's fill, from not read to read alone
GREY = "#868e96"
LETTER = 7.9  # width of one letter of MONO at 13 pixels
WIDTH = 940  # where a line of tokens wraps
BOX, GAP, ALONE = 38, 46, 84  # a token's height; room for lines between rows, and above one row
SEEN = 0.005  # a weight below this has no line
NUMBERED = 14  # a map of at most so many tokens has numbers in its cells
EVERY_CELL = 32  # in a map of more tokens only cells of at least HOVERED answer the pointer
HOVERED = 0.01
MEAN = "all heads averaged"
HOVER = (
    "<style>.gpt2course-lit{visibility:hidden;pointer-events:none}"
    ".gpt2course-read:hover .gpt2course-lit,.gpt2course-row:hover .gpt2course-lit"
    "{visibility:visible}"
    f".gpt2course-read:hover .gpt2course-line{{stroke:{LIT};stroke-opacity:1}}"
    f".gpt2course-cell:hover{{stroke:{LIT};stroke-width:2}}</style>"
)


def attention_lines(
    pieces: Sequence[bytes | str],
    weights: Float[Tensor, "T T"],
    query: int,
    title: str = "",
) -> Picture:
    """A text with lines from one token to those that it reads, as wide as their weights.

    The pointer on a token or a line shows query, key and weight. A long text wraps.

    Args:
        pieces: the tokens, as bytes or as text.
        weights: row = query, column = key; of one head, or the mean of several.
        query: the place of the token that reads, from 0.
    """
    names, row = labels_of(pieces), _settled(weights)[query].tolist()
    places, bottom = _laid_out(names)
    lines = [_read(places, names, query, key, share) for key, share in enumerate(row)]
    said = f"{names[query]} ({query}) reads" + (f", {title}" if title else "")
    parts = [HOVER, _text(4, 15, said, "start", weight=600), *(line.below for line in lines)]
    parts += [line.above for line in lines]
    order = sorted(range(len(row)), key=lambda key: -row[key])
    told = [f"{names[key]} ({key}) {percent(row[key])}" for key in order if row[key] >= SEEN]
    width = max(places[i].x + places[i].width for i in range(len(places))) + 6
    svg = _svg(max(width, 480, len(said) * 8.2), bottom + 8, parts)
    return from_svg(svg, f"{said}: {', '.join(told)}")


class _Place(NamedTuple):
    """Where a token is drawn: its left, its top, its width, and the line that it stands in."""

    x: float
    y: float
    width: float
    line: int

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


class _Drawn(NamedTuple):
    """What lies below all tokens, and what lies above them."""

    below: str
    above: str


def labels_of(pieces: Sequence[bytes | str], most: int = 18) -> list[str]:
    """Tokens as they are drawn, with signs for blanks; a very long one is cut.

    >>> labels_of([b" robot", "it"])
    ['␣robot', 'it']
    """
    names = [piece_text(p if isinstance(p, bytes) else p.encode()) for p in pieces]
    return [name if len(name) <= most else name[: most - 1] + "…" for name in names]


def _laid_out(names: Sequence[str]) -> tuple[list[_Place], float]:
    """A place for every token, in lines that wrap, and where the last line ends."""
    widths = [max(40.0, _wide(name) * LETTER + 12) for name in names]
    wraps = sum(widths) + 4 * len(widths) > WIDTH
    x, line, places = 4.0, 0, []
    top = 44 + (GAP if wraps else ALONE)
    for width in widths:
        if x > 4 and x + width > WIDTH:
            x, line = 4.0, line + 1
        places.append(_Place(x, top + line * (BOX + GAP), width, line))
        x += width + 4
    return places, places[-1].y + BOX


def _wide(name: str) -> int:
    """The width of a text in letters; Chinese and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name)


def _read(
    places: Sequence[_Place], names: Sequence[str], query: int, key: int, share: float
) -> _Drawn:
    """One token as the query sees it, and the line to it."""
    later = key > query and share == 0
    said = (
        f"{names[key]} ({key}) comes later and is not read"
        if later
        else f"{names[query]} ({query}) → {names[key]} ({key}): {percent(share)}"
    )
    path, drawn = _path(places[query], places[key]), ""
    if share >= SEEN:
        stroke = f'stroke="{LINE}" stroke-width="{0.8 + 13 * share:.1f}" stroke-opacity=".7"'
        drawn = (
            f'<g class="gpt2course-read"><title>{escape(said)}</title>'
            f'<path class="gpt2course-line" d="{path}" fill="none" {stroke}/></g>'
        )
    place = places[key]
    number = "later" if later else _whole(share)
    fill = "none" if later else blend(WARM, share)
    ink = "currentColor" if later else INK
    edge = f'stroke="{GREY}" stroke-dasharray="3 3"' if later else f'stroke="{GREY}"'
    if key == query:
        edge = f'stroke="{LIT}" stroke-width="3"'
    lit = (
        ""
        if later
        else f'<path class="gpt2course-lit" d="{path}" fill="none" stroke="{LIT}" '
        f'stroke-width="{2 + 13 * share:.1f}"/>'
    )
    box = (
        f'<g class="gpt2course-read"><title>{escape(said)}</title>{lit}'
        f'<rect x="{place.x:.1f}" y="{place.y}" width="{place.width:.1f}" height="{BOX}" rx="4" '
        f'fill="{fill}" pointer-events="all" {edge}/>'
        + _text(place.middle, place.y + 17, names[key], fill=ink, family=MONO)
        + _text(place.middle, place.y + 32, number, size=11, fill=ink)
        + f'<g class="gpt2course-lit">{_text(4, 34, said, "start", weight=600)}</g></g>'
    )
    return _Drawn(drawn, box)


def _path(query: _Place, key: _Place) -> str:
    """From the query over the tokens between them to the key; to itself a loop."""
    start, end = query.middle, key.middle
    if query == key:
        y = query.y
        return (
            f"M{start - 7:.1f} {y}C{start - 22:.1f} {y - 34} {start + 22:.1f} {y - 34} "
            f"{start + 7:.1f} {y}"
        )
    if query.line == key.line:
        room = ALONE + 20 if query.line == 0 else GAP + 8
        top = query.y - min(room, 22 + 0.16 * abs(start - end))
        return f"M{start:.1f} {query.y}C{start:.1f} {top:.1f} {end:.1f} {top:.1f} {end:.1f} {key.y}"
    ends = (query.y, key.y + BOX) if key.line < query.line else (query.y + BOX, key.y)
    half = (ends[0] + ends[1]) / 2
    return f"M{start:.1f} {ends[0]}C{start:.1f} {half} {end:.1f} {half} {end:.1f} {ends[1]}"


# The map of all pairs ---------------------------------------------------------------------------


def attention_heat(
    pieces: Sequence[bytes | str],
    weights: Float[Tensor, "T T"],
    query: int | None = None,
    title: str = "",
) -> Picture:
    """The weights of one head as a map: row = the token that reads, column = the one that is read.

    The pointer on a cell shows query, key and weight. What comes later and has no weight is left
    empty.

    Args:
        pieces: the tokens, as bytes or as text.
        query: a row to mark.
    """
    names, T, weights = labels_of(pieces, most=14), len(pieces), _settled(weights)
    cell = 30 if T <= NUMBERED else 19 if T <= EVERY_CELL else 12 if T <= 64 else 8
    size = min(12, cell)
    letter = LETTER * size / 13
    left = max(map(_wide, names)) * letter + 30
    top = 56 + 0.77 * max(map(_wide, names)) * letter
    parts = [
        HOVER,
        _text(4, 15, title or "what every token reads", "start", weight=600),
        _text(4, 33, "row: the token that reads; column: the token that is read", "start", 12),
        _picture_of(weights, left, top, T * cell),
    ]
    parts += [_column_name(left + (s + 0.62) * cell, top - 5, names[s], size) for s in range(T)]
    values = weights.tolist()
    for t in range(T):
        parts.append(_heat_row(names, values[t], t, (left, top + t * cell, cell, size), t == query))
    parts.append(_scale(left, top + T * cell + 12, T))
    width = max(left + T * cell + 0.6 * top, left + 400, len(title) * 8.2)
    svg = _svg(width, top + T * cell + 50, parts)
    return from_svg(svg, _heat_alt(names, weights, query, title))


def _heat_row(
    names: Sequence[str],
    row: Sequence[float],
    t: int,
    where: tuple[float, float, int, int],
    is_query: bool,
) -> str:
    left, y, cell, size = where
    T = len(row)
    bold = 700 if is_query else 400
    name = f"▶ {names[t]}" if is_query else names[t]
    label = _text(left - 6, y + 0.5 * cell + 0.35 * size, name, "end", size, bold, family=MONO)
    floor = 0.0 if T <= EVERY_CELL else HOVERED
    cells, numbers = [], []
    for s, share in enumerate(row):
        if (s > t and share == 0) or share < floor:
            continue
        x = left + s * cell
        cells.append(
            f'<rect class="gpt2course-cell" x="{x:.0f}" y="{y:.0f}" width="{cell}" '
            f'height="{cell}"><title>{escape(names[t])} ({t}) → {escape(names[s])} ({s}): '
            f"{percent(share)}</title></rect>"
        )
        if T <= NUMBERED and share >= SEEN:
            ink = ink_on(fill_for(share, 0.0, 1.0))
            place = x + cell / 2, y + 0.66 * cell
            numbers.append(_text(*place, f"{100 * share:.0f}", size=11, fill=ink))
    shape = f'x="{left:.0f}" y="{y:.0f}" width="{T * cell}" height="{cell}" fill="none"'
    chosen = f'<rect {shape} stroke="{LIT}" stroke-width="2.5" pointer-events="none"/>' * is_query
    lit = f'<rect class="gpt2course-lit" {shape} stroke="{LIT}" stroke-width="1"/>'
    return (
        f'<g class="gpt2course-row">{label}<g pointer-events="none">{"".join(numbers)}</g>'
        f'<g fill="transparent">{"".join(cells)}</g>{chosen}{lit}</g>'
    )


def _column_name(x: float, y: float, name: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate(-50 {x:.1f} {y:.1f})" '
        f'font-size="{size}" font-family="{MONO}" fill="currentColor">{escape(name)}</text>'
    )


def _scale(x: float, y: float, T: int) -> str:
    """What the colours stand for in a map of T tokens."""
    steps = torch.linspace(0, 1, 128)[None]
    drawn = (
        f'<image x="{x:.1f}" y="{y:.1f}" width="160" height="12" preserveAspectRatio="none" '
        f'href="{_image(steps**2 if T > EVERY_CELL else steps, T, causal=False)}"/>'
    )
    middle = "25 %" if T > EVERY_CELL else "50 %"
    ticks = ((0, "0 %"), (80, middle), (160, "100 %"))
    return (
        drawn
        + "".join(_text(x + place, y + 25, said, size=11) for place, said in ticks)
        + _text(x + 176, y + 11, "of the attention; empty: comes later", "start", 11)
    )


def _heat_alt(
    names: Sequence[str], weights: Float[Tensor, "T T"], query: int | None, title: str
) -> str:
    """How the head reads on the whole, and what each token reads most; of many, the query alone."""
    T = len(names)
    rows = range(T) if T <= EVERY_CELL else [T - 1 if query is None else query]
    most = []
    for t in rows:
        key = int(weights[t].argmax())
        most.append(f"{names[t]} ({t}) {names[key]} ({key}) {percent(float(weights[t, key]))}")
    said = f"{title}: " if title else ""
    return f"{said}{T} tokens; {reading_of(weights)}. Read most by each: {'; '.join(most)}"


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
    pieces: Sequence[bytes | str],
    weights: Float[Tensor, "L nh T T"],
    chosen: tuple[int, int | None] | None = None,
) -> Picture:
    """The maps of every layer (row) and head (column), small, on one scale.

    The pointer on a map says how that head reads.

    Args:
        pieces: the tokens of the text, as bytes or as text.
        chosen: layer and head of a map to frame; head None frames the layer's whole row.
    """
    weights = _settled(weights)
    L, nh, T, _ = weights.shape
    side = max(52, min(120, WIDTH // nh - 14))
    step, left, top = side + 10, 66, 48
    said = f"all {L} × {nh} heads on “{_quoted(pieces)}”"
    parts, told = [HOVER, _text(4, 15, said, "start", weight=600)], []
    parts += [_text(left + h * step + side / 2, top - 6, f"head {h}", size=12) for h in range(nh)]
    for layer in range(L):
        y = top + layer * step
        parts.append(_text(left - 8, y + side / 2 + 4, f"layer {layer}", "end", 12))
        for h in range(nh):
            said_of = f"layer {layer}, head {h}: {reading_of(weights[layer, h])}"
            told.append(said_of)
            marked = chosen is not None and chosen[0] == layer and chosen[1] in (None, h)
            place = left + h * step, y, side
            parts.append(_small_map(weights[layer, h], place, said_of, marked))
    bottom = top + L * step
    parts.append(_scale(left, bottom + 4, T))
    width = max(left + nh * step + 4, left + 400, len(said) * 8.2)
    return from_svg(_svg(width, bottom + 36, parts), f"{said}. " + "; ".join(told))


def _quoted(pieces: Sequence[bytes | str], most: int = 60) -> str:
    """The text of the pieces, its end left out where it is long."""
    whole = b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces)
    text = " ".join(whole.decode(errors="replace").split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _small_map(
    weights: Float[Tensor, "T T"], place: tuple[float, float, int], said: str, marked: bool
) -> str:
    x, y, side = place
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{side}" height="{side}"'
    edge = f'stroke="{LIT}" stroke-width="4"' if marked else f'stroke="{GREY}"'
    return (
        f'<g class="gpt2course-row"><title>{escape(said)}</title>{_picture_of(weights, *place)}'
        f'<rect {shape} fill="transparent" {edge}/>'
        f'<rect class="gpt2course-lit" {shape} fill="none" stroke="{LIT}" stroke-width="2"/></g>'
    )


# The table --------------------------------------------------------------------------------------


def attention_table(
    pieces: Sequence[bytes | str],
    weights: Float[Tensor, "nh T T"],
    query: int,
    layer: int,
) -> Picture:
    """What one token reads in one layer, as a table: a row for each token, a column for each head.

    Args:
        pieces: the tokens, as bytes or as text.
        weights: of all heads of the layer.
        query: the place of the token that reads, from 0.
    """
    names, nh, weights = labels_of(pieces), len(weights), _settled(weights)
    rows = torch.cat([weights[:, query], weights[:, query].mean(0, keepdim=True)]).T.tolist()
    seen = [key for key in range(len(names)) if key <= query or any(rows[key])]
    heading = f"what {names[query]} ({query}) reads in layer {layer}"
    heads = ["place", "token", *(f"head {h}" for h in range(nh)), MEAN]
    head = "".join(f'<th scope="col" style="{CELL.format("right")}">{name}</th>' for name in heads)
    body = ""
    for key in seen:
        cells = "".join(f'<td style="{CELL.format("right")}">{percent(p)}</td>' for p in rows[key])
        body += (
            f'<tr><td style="{CELL.format("right")}">{key}</td><th scope="row" '
            f'style="{CELL.format("left")};font-family:{MONO}">{escape(names[key])}</th>{cells}</tr>'
        )
    html = (
        '<div tabindex="0" role="region" aria-label="table of the weights, scrolls" '
        'style="overflow:auto;max-height:420px"><table style="border-collapse:collapse;'
        'margin:6px 0;font-size:13px"><caption style="caption-side:top;text-align:left;'
        f'font-weight:600;color:inherit">{escape(heading)}</caption>'
        f"<tr>{head}</tr>{body}</table></div>"
    )
    told = "; ".join(f"{names[key]} ({key}) {percent(rows[key][-1])}" for key in seen)
    return Picture(html, f"{heading}, {MEAN}: {told}")


# Small drawings ---------------------------------------------------------------------------------


def _settled(weights: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Numbers to be read off: without gradients, in 32 bits, in the machine's own memory."""
    return weights.detach().float().cpu()


def _whole(share: float) -> str:
    """A weight in whole per cent, as it fits under a token."""
    return "< 1 %" if 0 < share < SEEN else f"{100 * share:.0f} %"


EMPTY, UNKNOWN = 255, 254  # places in the palette


@cache
def _palette() -> bytes:
    """254 colours from weight 0 to weight 1, one for nan, one for a cell that is left empty."""
    colours = [blend(VIRIDIS, i / 253) for i in range(254)] + [NEUTRAL, "#ffffff"]
    return b"".join(bytes.fromhex(colour[1:]) for colour in colours)


def _picture_of(weights: Float[Tensor, "T T"], x: float, y: float, side: float) -> str:
    """A map as a square, one pixel for each weight."""
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{side}" height="{side}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{_image(weights, len(weights))}"/>'
    )


def _image(weights: Float[Tensor, "R C"], T: int, causal: bool = True) -> str:
    """Weights as a picture with one pixel each, small enough to stand in the page itself.

    Among many tokens most weights are small: there the colour follows the square root.
    """
    shown = weights.nan_to_num(0.0).clamp(0, 1)
    levels = ((shown.sqrt() if T > EVERY_CELL else shown) * 253).round().to(torch.uint8)
    levels[weights.isnan()] = UNKNOWN
    if causal:
        levels[torch.ones_like(weights, dtype=torch.bool).triu(1) & (weights == 0)] = EMPTY
    return "data:image/png;base64," + base64.b64encode(_png(levels)).decode()


def _png(levels: UInt8[Tensor, "R C"]) -> bytes:
    """A PNG file of places in the palette (W3C, Portable Network Graphics, section 11)."""
    R, C = levels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data)
        )  # fmt: skip

    lines = b"".join(b"\0" + bytes(line) for line in levels.tolist())  # 0: as it is, no filter
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", C, R, 8, 3, 0, 0, 0)),  # 8 bits, a palette
            chunk(b"PLTE", _palette()),
            chunk(b"tRNS", b"\xff" * EMPTY + b"\0"),  # all opaque but the last
            chunk(b"IDAT", zlib.compress(lines)),
            chunk(b"IEND", b""),
        ]
    )


def _text(
    x: float, y: float, text: str, anchor: str = "middle", size: float = 13, weight: int = 400,
    fill: str = "currentColor", family: str = "",
) -> str:  # fmt: skip
    family = f' font-family="{family}"' if family else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}"{family}>{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" font-family="system-ui, sans-serif">'
        f"{''.join(parts)}</svg>"
    )
