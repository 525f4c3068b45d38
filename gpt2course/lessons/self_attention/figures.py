"""Pictures of lesson 05: the filing cabinet, keys as arrows, scores to weights to blend."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course import attention
from gpt2course.drawing.colours import (
    BLUE,
    FILLS,
    GREEN,
    GREY,
    INK,
    NEGATIVE,
    ORANGE,
    PAGE,
    POSITIVE,
    PURPLE,
    SHARE,
)
from gpt2course.drawing.curves import Axis, panels, plot
from gpt2course.drawing.matrix import Panel, matrices, matrix_row, matrix_text, signed_scale
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, column, row

STROKES = (ORANGE, GREEN, BLUE, PURPLE)  # one for each word
SIDE, REACH = 250, 3.6  # a plane's side in pixels, and the number at its edge
LONGEST = 8.0  # the longest query that the cabinet is drawn for


def filing_cabinet(
    note: str, labels: Words, contents: Words, weights: Sequence[float] = ()
) -> Picture:
    """The idea: a note is held against every folder's label; each folder gives according to its weight.

    Note, labels and contents are query, keys and values; without weights each folder shows a ?.
    """
    drawn, middle, told = Drawing(), 26 * len(labels), [f"note: {note}".replace("\n", " ")]
    drawn.text(314, -12, "key: the label", "middle", 12)
    drawn.text(500, -12, "value: what is inside", "middle", 12)
    drawn.text(95, middle - 50, "query: a note", "middle", 12)
    drawn.box(0, middle - 42, 190, 84, note, "#fff3bf", 14, True, rx=5)
    for i, (label, inside) in enumerate(zip(labels, contents, strict=True)):
        y, share = 52 * i, weights[i] if weights else 0.25
        gives = f"gives {percent(share, 0)}" if weights else "gives ?"
        drawn.line((190, middle), (240, y + 22), thick=1 + 9 * share, opacity=0.75)
        _folder(drawn, 242, y, 370, FILLS[i % len(FILLS)])
        drawn.text(254, y + 26, label, "start", 14, True, INK)
        drawn.box(398, y + 13, 204, 22, inside, "#ffffff", rx=2)
        drawn.text(626, y + 27, gives)
        told.append(f"folder “{label}” holds {inside}, {gives}")
    return drawn.picture("\n".join(told))


def key_arrows(
    words: Words, k: Float[Tensor, "S 2"], query: Sequence[float] = (), asker: str = ""
) -> Picture:
    """The keys as arrows from the origin, and the query of the word that asks across them."""
    pairs = zip(words, k.tolist(), strict=True)
    told = [f"key of {word}: ({x:g}, {y:g})" for word, (x, y) in pairs]
    if query:
        told.append(f"query of {asker}: ({query[0]:.3g}, {query[1]:.3g})")
    return _plane(words, k, list(query), asker).picture("\n".join(told))


def scores_weights_blend(
    scores: Float[Tensor, "T S"],
    weights: Float[Tensor, "T S"],
    y: Float[Tensor, "T hs"],
    words: Words,
) -> Picture:
    """The three stages as matrices side by side: a row is a query, a column a key."""
    stages = (
        Panel("scores", scores, words, words, signed_scale(scores)),
        Panel("weights: rows sum to 1", weights, words, words, (0.0, 1.0)),
        Panel("blend", y, words, scale=signed_scale(y)),
    )
    return matrices(stages, between=("softmax\nof each row", f"times v\n{tuple(y.shape)}"))


def projections(
    x: Float[Tensor, "T C"], weights: Mapping[str, Float[Tensor, "C hs"]], words: Words,
    columns: Words,
) -> Picture:  # fmt: skip
    """x times each matrix, such as {"q": W_q}: one line for q, one for k, one for v."""
    made = {name: x @ w for name, w in weights.items()}
    scale = signed_scale(x, *weights.values(), *made.values())

    def panel(label: str, m: Tensor, rows: Words, tops: Words = ()) -> Panel:
        return Panel(f"{label}, {len(m)} × {len(m[0])}", m, rows, tops, scale)

    lines = [
        matrix_row(
            (panel("x", x, words, columns), panel(f"W_{name}", w, columns),
             panel(name, made[name], words)), "@=", decimals=0,
        )
        for name, w in weights.items()
    ]  # fmt: skip
    told = [f"{n} = x @ W_{n}\n{matrix_text(m, words, decimals=0)}" for n, m in made.items()]
    return column(lines).picture("\n".join(told))


def dot_product_statistics(hs: int, n_key: int = 8, n_query: int = 4000) -> dict[str, float]:
    """What unit-variance queries and keys of hs numbers give, without and with the division by √hs.

    For each of "raw" and "scaled": the scores' variance, the mean of the largest of n_key weights,
    and the mean of w·(1 - w), which is how much a weight moves when its own score moves.
    """
    generator = torch.Generator().manual_seed(hs)
    q = torch.randn(n_query, 1, hs, generator=generator)
    k = torch.randn(n_query, n_key, hs, generator=generator)
    raw, found = (q @ k.mT).squeeze(1), {}
    for name, scores in (("raw", raw), ("scaled", raw / math.sqrt(hs))):
        weights = attention.attention_weights(scores)
        found[f"{name} variance"] = scores.var().item()
        found[f"{name} largest"] = weights.amax(-1).mean().item()
        found[f"{name} slope"] = (weights * (1 - weights)).mean().item()
    return found


def saturation(sizes: Sequence[int]) -> Picture:
    """Why √hs: variance of the scores, the largest weight and the softmax's slope over hs."""
    found = {hs: dot_product_statistics(hs) for hs in sizes}
    kinds = {"raw": "q · k", "scaled": "q · k / √hs"}
    labels = {
        "variance": "variance",
        "largest": "largest of 8 weights (mean)",
        "slope": "slope w·(1 - w) (mean)",
    }
    across = Axis("hs, entries of a query", log=True, ticks={hs: str(hs) for hs in sizes})
    plots = []
    for what, label in labels.items():
        series = {
            name: [(hs, found[hs][f"{kind} {what}"]) for hs in sizes]
            for kind, name in kinds.items()
        }
        plots.append(plot(series, across, Axis(label), names={}, marks=True, size=(200, 170)))
    title = "Without √hs, the longer the vectors, the more one weight takes, and the less slope"
    told = [
        f"hs {hs}: " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        for hs, numbers in found.items()
    ]
    return panels(plots, kinds.values(), f"{title} is left", True).picture("\n".join(told))


def attention_of(reader: int, words: Words, weights: Float[Tensor, " S"]) -> Picture:
    """Whom one word of a sentence reads: an arc and a bar for every word."""
    wide, here = 84, (reader + 0.5) * 84
    drawn, told = Drawing(), []
    for i, (word, share) in enumerate(zip(words, weights.tolist(), strict=True)):
        x, fill = (i + 0.5) * wide, BLUE if share >= 0.01 else GREY
        said = percent(share, 0 if share >= 0.01 else 1)
        side, top = (18, -72) if i == reader else (0, -46 - 20 * abs(here - x) / 84)
        ends = (here - side / 2, -26), (here - side, top), (x + side, top), (x + side / 2, -26)
        drawn.line(*ends, stroke=fill, thick=max(0.6, 16 * share), curved=True)
        drawn.text(x, 0, word, "middle", 15, i == reader)
        height = max(1.0, 90 * share)
        drawn.rect(x - 17, 14, 34, height, fill, "none")
        drawn.text(x, 32 + height, said, "middle", 12)
        told.append(f"{word} {said}")
    title = f"“{words[reader]}” takes most from “{words[int(weights.argmax())]}”"
    drawn.head(title)
    return drawn.picture(f"{title}: " + ", ".join(told))


def cabinet(words: Words, query: Sequence[float], k: Float[Tensor, "S 2"],
            v: Float[Tensor, "S 2"], asker: str, scaled: bool = True) -> Picture:  # fmt: skip
    """One query at work: arrows, folders with score and weight, and the blend among the values."""
    scores = k @ torch.tensor(query, dtype=k.dtype) / (math.sqrt(2) if scaled else 1.0)
    weights = attention.attention_weights(scores[None])[0]
    blend = (attention.blend_values(weights[None], v))[0].tolist()
    drawn = Drawing()
    drawn.put(_plane(words, k, list(query), asker))
    drawn.put(_folders(words, k, scores, weights, scaled), SIDE + 22)
    drawn.put(_map(words, v, weights, blend), SIDE + 326)
    table = [
        f"{w}: key ({a:g}, {b:g}), score {s:z.2f}, weight {p:.3f}, value ({c:g}, {d:g})"
        for w, (a, b), s, p, (c, d) in zip(
            words, k.tolist(), scores.tolist(), weights.tolist(), v.tolist(), strict=True
        )
    ]
    how = "divided by √2" if scaled else "as they are"
    told = [f"query of {asker}: ({query[0]:z.2f}, {query[1]:z.2f}), scores {how}", *table]
    return drawn.picture("\n".join([*told, f"blend: ({blend[0]:z.2f}, {blend[1]:z.2f})"]))


def _plane(words: Words, k: Tensor, query: list[float], asker: str) -> Drawing:
    drawn, middle = Drawing(), SIDE / 2
    drawn.text(0, 0, "which keys point the query’s way?", bold=True, size=12)
    drawn.line((0, middle + 20), (SIDE, middle + 20), thick=1)
    drawn.line((middle, 20), (middle, SIDE + 20), thick=1)
    drawn.text(SIDE, middle + 36, "thing →", "end", 12)
    drawn.text(middle + 6, 32, "↑ action", size=12)
    for i, (word, (x, y)) in enumerate(zip(words, k.tolist(), strict=True)):
        _arrow(drawn, x, y, word, stroke=STROKES[i % 4], thick=3)
    if query:
        _arrow(drawn, *query, stroke=PAGE, thick=4, dash="7 4")
        said = f"- - ▸ query ({asker}): ({query[0]:z.2f}, {query[1]:z.2f})"
        drawn.text(middle, SIDE + 38, said, "middle", 12, True)
    return drawn


def _arrow(drawn: Drawing, x: float, y: float, label: str = "", **look) -> None:
    """An arrow from the middle of the plane, cut at its edge, with its label at the tip."""
    cut = min(1.0, REACH / (max(abs(x), abs(y)) or 1.0))
    unit, middle, origin = cut * SIDE / 2 / REACH, SIDE / 2, SIDE / 2 + 20
    tip = middle + unit * x, origin - unit * y
    if math.hypot(x, y) < 1e-6:
        return drawn.circle(middle, origin, 5, look["stroke"], "none")
    drawn.arrow((middle, origin), tip, head=min(10.0, unit * math.hypot(x, y)), **look)
    upright = abs(x) < 0.1 * math.hypot(x, y)
    anchor = "end" if upright or unit * x > SIDE / 4 else "middle"
    at = tip[0] - 6 if upright else tip[0], max(tip[1] - 8 if y >= 0 else tip[1] + 18, 34)
    said = label or "cut off" * (cut < 1)
    return drawn.text(*at, said, anchor, 12, True) if said else None


def _folder(drawn: Drawing, x: float, y: float, width: float, fill: str) -> None:
    """A folder with its tab."""
    tab = min(width - 14, 150)
    outline = ((0, 40), (0, 0), (tab - 6, 0), (tab, 8), (width, 8), (width, 40))
    places = [(x + dx, y + dy) for dx, dy in outline]
    drawn.line(*places, stroke=INK, thick=1, fill=fill, closed=True)


def _folders(words: Words, k: Tensor, scores: Tensor, weights: Tensor, scaled: bool) -> Drawing:
    drawn, zero, bar = Drawing(), 140, 184
    for x, head in ((45, "key"), (zero, "score" if scaled else "dot product"), (234, "weight")):
        drawn.text(x, 0, head, "middle", 12, True)
    reach = LONGEST * k.norm(dim=-1).max().item()  # the largest dot product, so bars compare
    rows = zip(words, k.tolist(), scores.tolist(), weights.tolist(), strict=True)
    for i, (word, (a, b), score, weight) in enumerate(rows):
        y, end = 14 + 64 * i, 44 * score / reach
        _folder(drawn, 0, y, 90, FILLS[i % 8])
        drawn.text(45, y + 19, word, "middle", 13, True, INK)
        drawn.text(45, y + 35, f"({a:g}, {b:g})", "middle", 12, fill=INK)
        drawn.rect(zero + min(0.0, end), y + 16, abs(end), 14, GREY, "none", kind="score")
        drawn.line((zero, y + 8), (zero, y + 38), stroke=PAGE, thick=1)
        drawn.text(zero, y + 54, f"{score:z.2f}", "middle", 12)
        drawn.rect(bar, y + 16, max(0.5, 100 * weight), 14, SHARE, "none", kind="weight")
        drawn.rect(bar, y + 16, 100, 14, edge=GREY)
        drawn.text(bar + 50, y + 54, percent(weight), "middle", 12, True)
    return drawn


def _map(words: Words, v: Tensor, weights: Tensor, blend: list[float]) -> Drawing:
    """The values as places, and the blend among them, tied to each as strongly as its weight."""
    drawn, unit, low = Drawing(), 32, SIDE - 56
    places = [(72 + unit * a, low - unit * b) for a, b in v.tolist()]
    here = x, y = 72 + unit * blend[0], low - unit * blend[1]
    # Three values at a time: together the triangles cover all that a blend can reach.
    for three in combinations(places, 3):
        drawn.line(*three, stroke="none", fill=GREY, closed=True, opacity=0.12, kind="reach")
    title = f"blend of the values: ({blend[0]:z.2f}, {blend[1]:z.2f})"
    drawn.text(0, 0, title, size=12, bold=True)
    for i, (place, weight) in enumerate(zip(places, weights.tolist(), strict=True)):
        drawn.line(here, place, stroke=STROKES[i % 4], thick=0.5 + 9 * weight, opacity=0.75)
        drawn.circle(*place, 7, FILLS[i])
        (a, b), up = v[i].tolist(), place[1] < low - 2 * unit
        below = place[1] + (-13 if up else 22)
        drawn.text(place[0], below, f"{words[i]} ({a:g}, {b:g})", "middle", 12)
    diamond = (x, y - 9), (x + 9, y), (x, y + 9), (x - 9, y)
    drawn.line(*diamond, stroke=INK, thick=2, fill="#ffffff", closed=True, kind="blend")
    return drawn


COLUMN, TALL = 44, 120  # from one column to the next, and of the largest, in pixels


def softmax_columns(scores: Sequence[float], words: Words) -> Picture:
    """One row of scores as columns, e to the power of each, and their shares of the sum."""
    powers = [math.exp(score) for score in scores]
    shares = [power / sum(powers) for power in powers]
    stages = (
        ("scores", scores, [f"{s:z.2f}" for s in scores]),
        ("e to the score", powers, [f"{p:.2f}" for p in powers]),
        ("weights: their sum is 1", shares, [percent(s, 0) for s in shares]),
    )
    drawn = [_columns(title, values, said, words) for title, values, said in stages]
    told = [
        f"{title}: " + ", ".join(f"{w} {n}" for w, n in zip(words, said, strict=True))
        for title, _, said in stages
    ]
    return row(drawn, ("e to the power\nof each", "divided\nby their sum")).picture("\n".join(told))


def _columns(title: str, values: Sequence[float], said: Words, words: Words) -> Drawing:
    """Columns that stand on a line of zeros, or hang from it."""
    drawn, shares = Drawing(), title.startswith("weights")
    depth = 0.5 * TALL  # below the line there is half as much room in all three, so they line up
    unit = TALL if shares else min(TALL / max(*values, 1e-9), depth / max(-min(values), 1e-9))
    for i, (value, number, word) in enumerate(zip(values, said, words, strict=True)):
        x, height = i * COLUMN, unit * abs(value)
        fill = SHARE if shares else GREY if min(values) > 0 else POSITIVE if value > 0 else NEGATIVE
        y = TALL if value < 0 else TALL - height
        drawn.rect(x + 5, y, COLUMN - 10, max(height, 0.5), fill, "none", kind="column")
        at = TALL + height + 13 if value < 0 else y - 4
        drawn.text(x + COLUMN / 2, at, number, "middle", 12)
        drawn.text(x + COLUMN / 2, TALL + depth + 32, word, "middle", 12)
    drawn.line((0, TALL), (len(words) * COLUMN, TALL), stroke=PAGE, thick=1)
    drawn.text(0, -24, title, size=12, bold=True)
    return drawn
