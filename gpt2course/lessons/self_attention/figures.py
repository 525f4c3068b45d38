"""Pictures of lesson 05: the filing cabinet, keys as arrows, scores to weights to blend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course import attention
from gpt2course.drawing.colours import BLUE, FILLS, ORANGE
from gpt2course.drawing.matrix import matrix_svg, matrix_text, value_range
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY = "#1b1b1b", "#868e96"
STROKES = ("#e8590c", "#2f9e44", "#1c7ed6", "#ae3ec9")  # one for each word, on dark and light
SIDE, REACH = 270, 3.6  # a plane's side in pixels, and the number at its edge
LONGEST = 8.0  # the longest query that the cabinet is drawn for


def filing_cabinet(
    note: str, labels: Sequence[str], contents: Sequence[str], shares: Sequence[float] = ()
) -> Picture:
    """The idea: a note is held against every folder's label; each folder gives its share.

    Args:
        note: the query, in words.
        labels, contents: the key and the value of each folder, in words.
        shares: the part that each folder gives, summing to 1; left out where it is not known yet.
    """
    middle = 30 + 26 * len(labels)
    parts = [
        _box(8, middle - 42, 190, 84, "#fff3bf"),
        _text(103, middle - 18, "query: a note", size=12, fill=INK),
        *(
            _text(103, middle + 4 + 18 * i, line, size=14, weight=600, fill=INK)
            for i, line in enumerate(note.split("\n"))
        ),
        _text(322, 20, "key: the label", size=12),
        _text(508, 20, "value: what is inside", size=12),
    ]
    told = [f"note: {note}".replace("\n", " ")]
    for i, (label, inside) in enumerate(zip(labels, contents, strict=True)):
        y = 32 + 52 * i
        gives = f"gives {shares[i]:.0%}" if shares else "gives ?"
        parts.append(_line(198, middle, 248, y + 22, GREY, 1 + 9 * (shares[i] if shares else 0.25)))
        parts.append(_folder(250, y, label, inside, FILLS[i % len(FILLS)]))
        parts.append(_text(634, y + 27, gives, "start"))
        told.append(f"folder “{label}” holds {inside}, {gives}")
    return from_svg(_svg(730, 40 + 52 * len(labels), parts), "\n".join(told))


def key_arrows(
    words: Sequence[str], k: Float[Tensor, "S 2"], query: Sequence[float] = (), asker: str = ""
) -> Picture:
    """The keys as arrows from the origin, and a query across them.

    Args:
        query: two numbers; left out where there is none yet.
        asker: the word whose query it is.
    """
    pairs = zip(words, k.tolist(), strict=True)
    told = [f"key of {word}: ({x:g}, {y:g})" for word, (x, y) in pairs]
    if query:
        told.append(f"query of {asker}: ({query[0]:.3g}, {query[1]:.3g})")
    plane = _plane(words, k, list(query), asker)
    return from_svg(_svg(SIDE + 20, SIDE + 30, [plane]), "\n".join(told))


def scores_weights_blend(
    scores: Float[Tensor, "T S"],
    weights: Float[Tensor, "T S"],
    y: Float[Tensor, "T hs"],
    words: Sequence[str],
) -> Picture:
    """The three stages as matrices side by side: a row is a query, a column a key."""
    stages = (("scores", scores), ("weights: rows sum to 1", weights), ("blend", y))
    drawn = []
    for title, m in stages:
        reach = max(map(abs, value_range(m)))
        scale = (0.0, 1.0) if m is weights else (-reach, reach)
        drawn.append(f"<div>{matrix_svg(m, words, words, title, scale=scale)}</div>")
    arrows = [_between("softmax", "of each row"), _between("times v", f"{tuple(y.shape)}")]
    pieces = [drawn[0], arrows[0], drawn[1], arrows[1], drawn[2]]
    alt = "\n".join(f"{title}\n{matrix_text(m, words, words)}" for title, m in stages)
    return Picture(_row(pieces), alt)


def projections(
    x: Float[Tensor, "T C"], matrices: dict[str, Float[Tensor, "C hs"]], words: Sequence[str],
    columns: Sequence[str],
) -> Picture:  # fmt: skip
    """x times each matrix: one line for q, one for k, one for v.

    Args:
        matrices: the weight matrix of each, such as {"q": W_q, "k": W_k, "v": W_v}.
        columns: what each column of x stands for.
    """
    made = {name: x @ matrix for name, matrix in matrices.items()}
    everything = (x, *matrices.values(), *made.values())
    reach = max(abs(bound) for m in everything for bound in value_range(m))

    def drawn(label: str, m: Tensor, rows: Sequence[str], tops: Sequence[str]) -> str:
        title = f"{label}, {len(m)} × {len(m[0])}"
        return f"<div>{matrix_svg(m, rows, tops, title, decimals=0, scale=(-reach, reach))}</div>"

    lines = [
        _row(
            [
                drawn("x", x, words, columns),
                _between("@", ""),
                drawn(f"W_{name}", matrix, columns, ()),
                _between("=", ""),
                drawn(name, made[name], words, ()),
            ]
        )
        for name, matrix in matrices.items()
    ]
    told = [f"{n} = x @ W_{n}\n{matrix_text(m, words, decimals=0)}" for n, m in made.items()]
    return Picture("".join(lines), "\n".join(told))


def dot_product_statistics(hs: int, n_key: int = 8, n_query: int = 4000) -> dict[str, float]:
    """What unit-variance queries and keys of hs numbers give, without and with the division by √hs.

    Returns:
        For each of "raw" and "scaled": the scores' variance, the mean of the largest of n_key
        weights, and the mean of w·(1 - w), which is how much a weight moves when its own score
        moves by a little.
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
    import matplotlib.pyplot as plt

    found = {hs: dot_product_statistics(hs) for hs in sizes}
    panels = {
        "variance": "variance",
        "largest": "largest of 8 weights (mean)",
        "slope": "slope w·(1 - w) (mean)",
    }
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.1))
    for axis, (what, label) in zip(axes, panels.items(), strict=True):
        for kind, style, marker, colour in (
            ("raw", "-", "o", ORANGE),
            ("scaled", "--", "s", BLUE),
        ):
            line = [found[hs][f"{kind} {what}"] for hs in sizes]
            name = "q · k" if kind == "raw" else "q · k / √hs"
            axis.plot(sizes, line, style, marker=marker, color=colour, label=name)
        axis.set_xscale("log", base=4)
        axis.set_xticks(list(sizes), [str(hs) for hs in sizes])
        axis.set_xlabel("hs, numbers in a query")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[0].legend()
    figure.suptitle(
        "Without √hs, the longer the vectors, the more one weight takes, and the less slope is left"
    )
    figure.tight_layout()
    told = [
        f"hs {hs}: " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        for hs, numbers in found.items()
    ]
    return from_figure(figure, "\n".join(told))


def attention_of(reader: int, words: Sequence[str], weights: Float[Tensor, " S"]) -> Picture:
    """Whom one word of a sentence reads: an arc and a bar for every word."""
    wide, base, tall = 84, 178, 90
    here = 12 + (reader + 0.5) * wide
    parts, told = [], []
    for i, (word, share) in enumerate(zip(words, weights.tolist(), strict=True)):
        x = 12 + (i + 0.5) * wide
        fill = STROKES[2] if share >= 0.01 else GREY
        parts.append(_arc(here, x, base - 26, share, fill))
        parts.append(_text(x, base, word, size=15, weight=700 if i == reader else 400))
        height = max(1.0, tall * share)
        parts.append(_box(x - 17, base + 14, 34, height, fill, rx=0, edge=fill))
        parts.append(_text(x, base + 32 + height, _percent(share), size=12))
        told.append(f"{word} {_percent(share)}")
    height = base + 44 + tall * float(weights.max())
    title = f"“{words[reader]}” takes most from “{words[int(weights.argmax())]}”"
    parts.insert(0, _text(12, 16, title, "start", weight=600))
    width = 24 + wide * len(words)
    return from_svg(_svg(width, height, parts), f"{title}: " + ", ".join(told))


def cabinet(words: Sequence[str], query: Sequence[float], k: Float[Tensor, "S 2"],
            v: Float[Tensor, "S 2"], asker: str, scaled: bool = True) -> Picture:  # fmt: skip
    """One query at work: arrows, folders with score and weight, and the blend among the values.

    Args:
        query: two numbers.
        asker: whose query it is.
        scaled: divide the scores by √2.
    """
    scores = k @ torch.tensor(query, dtype=k.dtype) / (math.sqrt(2) if scaled else 1.0)
    weights = attention.attention_weights(scores[None])[0]
    blend = (attention.blend_values(weights[None], v))[0].tolist()
    folders = _folders(words, k, scores, weights, scaled)
    parts = [
        _plane(words, k, list(query), asker),
        f'<g transform="translate({SIDE + 34} 0)">{folders}</g>',
        f'<g transform="translate({SIDE + 394} 0)">{_map(words, v, weights, blend)}</g>',
    ]
    table = [
        f"{w}: key ({a:g}, {b:g}), score {s:z.2f}, weight {p:.3f}, value ({c:g}, {d:g})"
        for w, (a, b), s, p, (c, d) in zip(
            words, k.tolist(), scores.tolist(), weights.tolist(), v.tolist(), strict=True
        )
    ]
    alt = (
        f"query of {asker}: ({query[0]:z.2f}, {query[1]:z.2f}), scores "
        f"{'divided by √2' if scaled else 'as they are'}\n" + "\n".join(table)
        + f"\nblend: ({blend[0]:z.2f}, {blend[1]:z.2f})"
    )  # fmt: skip
    return from_svg(_svg(2 * SIDE + 414, SIDE + 30, parts), alt)


def _plane(words: Sequence[str], k: Tensor, query: list[float], asker: str) -> str:
    title = _text(SIDE / 2 + 10, 14, "which keys point the query's way?", weight=600)
    parts = [_axes("thing", "action"), title]
    for i, (word, (x, y)) in enumerate(zip(words, k.tolist(), strict=True)):
        parts.append(_arrow(x, y, STROKES[i % 4], word))
    if query:
        legend = f"- - ▸ query ({asker}): ({query[0]:z.2f}, {query[1]:z.2f})"
        parts.append(_arrow(*query, "currentColor", "", width=4, dashed=True))
        parts.append(_text(SIDE / 2 + 10, SIDE + 26, legend, weight=700))
    return "".join(parts)


def _folders(words: Sequence[str], k: Tensor, scores: Tensor, weights: Tensor, scaled) -> str:
    parts = [_text(45, 14, "key", weight=600), _text(262, 14, "weight", weight=600),
             _text(154, 14, "score" if scaled else "dot product", weight=600)]  # fmt: skip
    reach = LONGEST * k.norm(dim=-1).max().item()  # the largest dot product, so bars compare
    rows = zip(words, k.tolist(), scores.tolist(), weights.tolist(), strict=True)
    for i, (word, (a, b), score, weight) in enumerate(rows):
        y = 26 + 64 * i
        parts.append(_folder(0, y, word, f"({a:g}, {b:g})", FILLS[i % 8], width=90))
        end = 154 + 44 * score / reach
        parts.append(_box(min(154, end), y + 16, abs(end - 154), 14, GREY, rx=0, edge=GREY))
        parts.append(f'<path d="M154 {y + 8}V{y + 38}" stroke="currentColor"/>')
        parts.append(_text(154, y + 54, f"{score:z.2f}", size=12))
        parts.append(_box(214, y + 16, max(0.5, 100 * weight), 14, STROKES[i % 4], 0, "none"))
        parts.append(_box(214, y + 16, 100, 14, "none", 0, GREY))
        parts.append(_text(264, y + 54, f"{weight:.1%}", size=12, weight=700))
    return "".join(parts)


def _map(words: Sequence[str], v: Tensor, weights: Tensor, blend: list[float]) -> str:
    """The values as places, and the blend among them, tied to each as strongly as its weight."""
    unit, x0, y0 = 38, 96, SIDE - 66
    places = [(x0 + unit * a, y0 - unit * b) for a, b in v.tolist()]
    here = (x0 + unit * blend[0], y0 - unit * blend[1])
    # Three values at a time: together the triangles cover all that a blend can reach.
    triangles = "".join(
        f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in three)}"/>'
        for three in combinations(places, 3)
    )
    parts = [f'<g class="reach" fill="{GREY}" opacity=".2">{triangles}</g>']
    parts += [
        _text(150, 14, f"blend of the values: ({blend[0]:z.2f}, {blend[1]:z.2f})", weight=600)
    ]
    for i, ((x, y), weight) in enumerate(zip(places, weights.tolist(), strict=True)):
        parts.append(_line(*here, x, y, STROKES[i % 4], 0.5 + 9 * weight))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{FILLS[i]}" stroke="{INK}"/>')
        a, b = v[i].tolist()
        up = y < y0 - 2 * unit
        parts.append(_text(x, y - 13 if up else y + 22, f"{words[i]} ({a:g}, {b:g})", size=12))
    x, y = here
    diamond = f"M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9z"
    parts.append(f'<path d="{diamond}" fill="#ffffff" stroke="{INK}" stroke-width="2"/>')
    return "".join(parts)


def _axes(across: str, up: str) -> str:
    mid, low, high = SIDE / 2 + 10, 10, SIDE + 10
    return (
        f'<path d="M{low} {mid + 10}H{high}M{mid} {low + 14}V{high}" stroke="{GREY}"/>'
        + _text(high, mid + 24, f"{across} →", "end", size=11)
        + _text(mid + 5, low + 24, f"↑ {up}", "start", size=11)
    )


def _arrow(x: float, y: float, colour: str, label: str, width: float = 3, dashed=False) -> str:
    """An arrow from the origin, cut at the plane's edge, with its label at the tip."""
    cut = min(1.0, REACH / (max(abs(x), abs(y)) or 1.0))
    scale = SIDE / 2 / REACH
    mid_x, mid_y = SIDE / 2 + 10, SIDE / 2 + 20
    dx, dy = x * cut * scale, -y * cut * scale
    length = math.hypot(dx, dy)
    if length < 1e-6:
        return f'<circle cx="{mid_x}" cy="{mid_y}" r="5" fill="{colour}"/>'
    ux, uy = dx / length, dy / length
    tip_x, tip_y = mid_x + dx, mid_y + dy
    head = min(10.0, length)
    back_x, back_y = tip_x - head * ux, tip_y - head * uy
    wing = head / 2
    points = (
        f"{tip_x:.1f},{tip_y:.1f} {back_x - wing * uy:.1f},{back_y + wing * ux:.1f} "
        f"{back_x + wing * uy:.1f},{back_y - wing * ux:.1f}"
    )
    dash = ' stroke-dasharray="7 4"' if dashed else ""
    anchor = "end" if abs(ux) < 0.1 or dx > SIDE / 4 else "middle"
    label_x = tip_x - 6 if abs(ux) < 0.1 else tip_x
    label_y = tip_y - 8 if dy <= 0 else tip_y + 18
    edge = "goes on" if cut < 1 else ""
    stem = f"M{mid_x} {mid_y}L{back_x:.1f} {back_y:.1f}"
    return (
        f'<path d="{stem}" stroke="{colour}" stroke-width="{width}"{dash}/>'
        f'<polygon points="{points}" fill="{colour}"/>'
        + _text(label_x, max(label_y, 36), label or edge, anchor, size=12, weight=700, fill=colour)
    )


def _folder(x: float, y: float, label: str, inside: str, fill: str, width: float = 370) -> str:
    """A folder with its label on the tab; what is inside stands on a sheet where there is room."""
    tab = min(width - 14, 150)
    outline = f"M{x} {y + 40}V{y + 4}q0 -4 4 -4H{x + tab - 6}l6 8H{x + width}V{y + 40}z"
    drawn = f'<path d="{outline}" fill="{fill}" stroke="{INK}"/>'
    if width < 200:
        return (
            drawn
            + _text(x + width / 2, y + 17, label, size=13, weight=700, fill=INK)
            + _text(x + width / 2, y + 34, inside, size=12, fill=INK)
        )
    return (
        drawn
        + _text(x + 12, y + 26, label, "start", size=14, weight=700, fill=INK)
        + _box(x + tab + 6, y + 13, width - tab - 16, 22, "#ffffff", rx=2)
        + _text(x + tab + 14, y + 28, inside, "start", size=13, fill=INK)
    )


def _arc(start: float, end: float, y: float, share: float, colour: str) -> str:
    width = max(0.6, 16 * share)
    if start == end:
        loop = f"M{start - 8} {y}C{start - 26} {y - 46} {start + 26} {y - 46} {start + 8} {y}"
        return f'<path d="{loop}" fill="none" stroke="{colour}" stroke-width="{width:.1f}"/>'
    top = y - 20 - 20 * abs(start - end) / 84
    return (
        f'<path d="M{start:.1f} {y}C{start:.1f} {top:.1f} {end:.1f} {top:.1f} {end:.1f} {y}" '
        f'fill="none" stroke="{colour}" stroke-width="{width:.1f}"/>'
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"


def _between(upper: str, lower: str) -> str:
    """What stands between two matrices: an operation and an arrow, or a sign."""
    arrow = "<br>⟶<br>" if lower else ""
    return (
        '<div style="align-self:center;text-align:center;font-size:13px;line-height:1.5">'
        f"{escape(upper)}{arrow}{escape(lower)}</div>"
    )


def _row(pieces: Sequence[str]) -> str:
    style = "display:flex;gap:16px;flex-wrap:wrap;align-items:flex-start;margin:8px 0"
    return f'<div style="{style}">{"".join(pieces)}</div>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def _box(x, y, width, height, fill, rx=5, edge=INK) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{rx}" '
        f'fill="{fill}" stroke="{edge}"/>'
    )


def _line(x1, y1, x2, y2, colour, width) -> str:
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:.1f}" stroke-opacity=".75"/>'
    )
