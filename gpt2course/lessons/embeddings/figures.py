"""Pictures of lesson 03: one-hot vectors times wte, directions, rows, a map of words."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import CURVES
from gpt2course.drawing.curves import Axis, Series, free_place, key, mark
from gpt2course.drawing.matrix import Panel, side_by_side
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.pixels import signed
from gpt2course.drawing.svg import Drawing, Words, column, row, wide

UNIT, SIDE = 46, 330  # pixels for 1 along an arrow; of a map of words
TABS = (0, 170, 310, 390)  # columns of the table beside the arrows


def one_hot_product(
    one_hot: Int[Tensor, "T V"], wte: Float[Tensor, "V C"], words: Words, vocabulary: Words,
    columns: Words,
) -> Picture:  # fmt: skip
    """One-hot vectors times the embedding matrix, and the rows that come out."""
    (T, V), C = one_hot.shape, wte.shape[1]
    panels = (
        Panel(f"one-hot, {T} × {V}", one_hot, words, vocabulary),
        Panel(f"wte, {V} × {C}", wte, vocabulary, columns),
        Panel(f"x, {T} × {C}", one_hot.to(wte.dtype) @ wte, words, columns),
    )
    return side_by_side(panels, signs="@=")


def arrows(rows: Series, asker: str) -> Picture:
    """Rows of two numbers as arrows; how each compares with the one that asks."""
    own, drawn, table, told = rows[asker], Drawing(), Drawing(), []
    xs, ys = zip((0, 0), *rows.values(), strict=True)
    drawn.line((UNIT * min(xs) - 20, 0), (UNIT * max(xs) + 20, 0), dash="3 4")
    drawn.line((0, 20 - UNIT * min(ys)), (0, -20 - UNIT * max(ys)), dash="3 4")
    lengths = {name: math.hypot(*place) for name, place in rows.items()}
    for name in sorted(rows, key=lengths.get, reverse=True):  # the short ones over the long ones
        (x, y), length, colour = rows[name], lengths[name], CURVES[[*rows].index(name) % 6]
        drawn.arrow((0, 0), (UNIT * x, -UNIT * y), stroke=colour, thick=3, head=12)
        beside = UNIT * x - 13 * y / length, -UNIT * y - 13 * x / length + 5
        drawn.text(*beside, name, "middle", bold=True)
    for at, head in zip(TABS[1:], (f"dot product with {asker}", "distance", "cosine"), strict=True):
        table.text(at, 0, head, size=12, bold=True)
    for i, (name, (x, y)) in enumerate(rows.items(), 1):
        said = f"{name}: ({x:g}, {y:g}), length {lengths[name]:.2f}"
        table.text(0, 26 * i, said)
        if name != asker:
            dot, far = x * own[0] + y * own[1], math.dist((x, y), own)
            cosine = dot / (lengths[name] * lengths[asker])
            cells = [f"{value:z.2f}" for value in (dot, far, cosine)]
            for at, cell in zip(TABS[1:], cells, strict=True):
                table.text(at, 26 * i, cell)
            said += "; with {}: dot product {}, distance {}, cosine {}".format(asker, *cells)
        told.append(said)
    both = Drawing()
    both.put(drawn)
    both.put(table, drawn.right + 40, drawn.top + 20)
    return both.picture("\n".join(told))


def row_strips(
    tables: Mapping[str, Float[Tensor, "R C"]], words: Words, heading: str = ""
) -> Picture:
    """The same rows of several matrices, each number a coloured cell, blue below 0 and red above.

    Beside every second row: in how many columns it has the sign of the row before it.
    """
    strips, told = [], [heading] * bool(heading)
    for title, rows in tables.items():
        strip, (high, wide_) = Drawing(), (22 * len(words), 700)
        strip.image(0, 0, wide_, high, signed(rows))
        for i, word in enumerate(words):
            strip.text(-8, 22 * i + 16, word, "end")
        axis = Axis("column", 0, rows.shape[1], ticks={c: str(c) for c in range(0, 9999, 20)
                                                       if c < rows.shape[1]})  # fmt: skip
        axis.fitted([0], wide_).below(strip, high)
        same = []
        for i in range(0, len(words) - 1, 2):
            agreed = percent((rows[i] * rows[i + 1] > 0).float().mean().item(), 0)
            strip.text(wide_ + 8, 22 * i + 27, agreed)
            same.append(f"{words[i]} and {words[i + 1]} {agreed}")
        strip.head(title)
        strips.append(strip)
        told.append(f"{title}, columns in which two rows have the same sign: {', '.join(same)}")
    whole = column(strips)
    if heading:
        whole.head(heading, "on the right: in how many columns two rows have the same sign")
    return whole.picture("\n".join(told))


def flattened(table: Float[Tensor, "V C"]) -> tuple[Float[Tensor, "V 2"], float]:
    """The rows in the two directions in which they differ most, and the share that these hold.

    The share is of the squared distances from the mean row (principal component analysis).
    """
    centred = table - table.mean(dim=0)
    _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
    squares = strengths**2
    return centred @ directions[:2].T, (squares[:2].sum() / squares.sum()).item()


def word_map(
    tables: Mapping[str, Float[Tensor, "V C"]],
    words: Words,
    groups: Mapping[str, Words],
    heading: str = "",
) -> Picture:
    """A map of the words for each matrix, its rows projected to two numbers; groups share a marker."""
    maps, told = [], [heading] * bool(heading)
    for title, table in tables.items():
        places, share = flattened(table)
        at = dict(zip(words, places.tolist(), strict=True))
        drawn = _one_map(at, groups)
        drawn.head(f"{title}: {percent(share, 0)} of all differences")
        maps.append(drawn)
        said = "; ".join(
            f"{name}: " + ", ".join(f"{w} ({at[w][0]:z.2f}, {at[w][1]:z.2f})" for w in members)
            for name, members in groups.items()
        )
        told.append(f"{title}, two directions with {percent(share, 0)} of all differences. {said}")
    whole = column([row(maps, gap=20), key(groups, marks=True, joined=False)])
    if heading:
        whole.head(heading, "each map has axes of its own")
    return whole.picture("\n".join(told))


def _one_map(at: Series, groups: Mapping[str, Words]) -> Drawing:
    """Words in a square of which both sides have one scale."""
    lows, highs = ([f(ends) for ends in zip(*at.values(), strict=True)] for f in (min, max))
    reach = 1.3 * max(high - low for low, high in zip(lows, highs, strict=True)) or 1.0
    drawn, axes = Drawing(), []
    for low, high, which in zip(lows, highs, ("first", "second"), strict=True):
        middle = (low + high) / 2
        ends = middle - reach / 2, middle + reach / 2
        axes.append(Axis(f"{which} direction", *ends).fitted([0], SIDE))
    across, up = axes
    drawn.rect(0, 0, SIDE, SIDE, "none", "currentColor")
    across.below(drawn, SIDE)
    up.beside(drawn, 0)
    points = {word: (across(x), SIDE - up(y)) for word, (x, y) in at.items()}
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points.values()]
    for word, (x, y) in points.items():
        box = free_place(x, y, wide(word, 12), 13, taken, (0, 0, SIDE, SIDE))
        taken.append(box)
        near = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        drawn.line((x, y), near, thick=0.6)
    for box, word in zip(taken[len(points) :], points, strict=True):
        drawn.text(box[0], box[3] - 3, word, size=12)
    for i, members in enumerate(groups.values()):
        for word in members:
            mark(drawn, *points[word], i)
    return drawn


def similarities(
    token_id: int, table: Float[Tensor, "V C"], measure: str = "cosine"
) -> Float[Tensor, " V"]:
    """Every row against one: the cosine of the two, or the dot product."""
    dots = table @ table[token_id]
    if measure == "dot product":
        return dots
    lengths = table.norm(dim=-1)
    return dots / (lengths * lengths[token_id])


def neighbour_bars(
    word: str, words: Words, table: Float[Tensor, "V C"], measure: str = "cosine", most: int = 8,
    title: str = "",
) -> Picture:  # fmt: skip
    """The words most like one word by cosine or dot product, each with a bar from 0."""
    token_id = words.index(word)
    values = similarities(token_id, table, measure)
    reach = 1.0 if measure == "cosine" else values.abs().max().item()
    others = values.clone()
    others[token_id] = -math.inf
    nearest = others.topk(min(most, len(words) - 1)).indices.tolist()
    rows = [Bar(words[i], values[i].item(), f"{values[i]:z.2f}") for i in nearest]
    drawn = bars(rows, full=reach, length=300)
    drawn.text(0, drawn.bottom + 18, f"{measure} with “{word}”, bars up to {reach:.3g}")
    title += f": nearest to “{word}” is “{words[nearest[0]]}”"
    drawn.head(title)
    told = ", ".join(f"{one.label} {one.said}" for one in rows)
    return drawn.picture(f"{title}, {measure} with “{word}”: {told}")
