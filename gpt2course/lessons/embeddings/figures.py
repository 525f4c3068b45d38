"""Pictures of lesson 03: one-hot times table, directions, learning, and a map of words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2course.drawing.colours import CURVES
from gpt2course.drawing.matrix import matrix_svg, matrix_text, value_range
from gpt2course.drawing.picture import Picture, from_figure, from_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STROKES = ("#1971c2", "#c2255c", "#e67700", "#2b8a3e")  # told apart by their labels too
MARKERS = "osD^vPX*<p"
LINES = ("-", "--", "-.", ":")
FONT = 'font-family="system-ui, sans-serif" font-size="13"'


class Panel(NamedTuple):
    """A matrix with its title and what stands beside its rows and above its columns."""

    title: str
    values: Tensor
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()


def side_by_side(panels: Sequence[Panel], signs: Sequence[str] = (), decimals: int = 1) -> Picture:
    """Matrices of any sizes in one line; those of floats share one scale of colours.

    Args:
        signs: what stands between two neighbours; a gap without it.
    """
    ranges = [value_range(p.values) for p in panels if p.values.is_floating_point()] or [(0.0, 1.0)]
    scale = min(low for low, _ in ranges), max(high for _, high in ranges)
    drawn = []
    for i, (title, values, rows, columns) in enumerate(panels):
        own = scale if values.is_floating_point() else None
        svg = matrix_svg(values, rows, columns, title, decimals=decimals, scale=own)
        drawn.append(f'<div style="min-width:0">{svg}</div>')
        if i < len(signs):
            drawn.append(f'<div style="font-size:20px">{escape(signs[i])}</div>')
    told = (
        f"{p.title}\n{matrix_text(p.values, p.rows, p.columns, decimals=decimals)}" for p in panels
    )
    style = f"display:flex;gap:{12 if signs else 36}px;align-items:center;margin:6px 0"
    return Picture(f'<div style="{style}">{"".join(drawn)}</div>', "\n".join(told))


def one_hot_product(
    one_hot: Int[Tensor, "T V"],
    wte: Float[Tensor, "V C"],
    words: Sequence[str],
    vocabulary: Sequence[str],
    columns: Sequence[str],
) -> Picture:
    """One-hot vectors times the table, and the rows that come out.

    Args:
        words: the tokens that are read.
        vocabulary: the words of the table's rows.
        columns: what each column of the table stands for.
    """
    (T, V), C = one_hot.shape, wte.shape[1]
    panels = (
        Panel(f"one-hot, {T} × {V}", one_hot, words, vocabulary),
        Panel(f"wte, {V} × {C}", wte, vocabulary, columns),
        Panel(f"x, {T} × {C}", one_hot.to(wte.dtype) @ wte, words, columns),
    )
    return side_by_side(panels, signs="@=")


def arrows(rows: Mapping[str, Sequence[float]], asker: str) -> Picture:
    """Rows of two numbers as arrows; how each compares with the one that asks.

    Args:
        rows: two numbers for each name.
        asker: the name that all others are compared with.
    """
    own, unit, edge = rows[asker], 46, 26  # pixels for 1, and around the arrows
    left, right = (f(0, *(x for x, _ in rows.values())) for f in (min, max))
    low, high = (f(0, *(y for _, y in rows.values())) for f in (min, max))
    wide, tall = unit * (right - left) + 2 * edge, unit * (high - low) + 2 * edge
    zero = edge - unit * left, edge + unit * high
    parts = [
        f'<path d="M0 {zero[1]}H{wide}M{zero[0]} 0V{tall}" stroke="#868e96" '
        'stroke-width="1" stroke-dasharray="3 4"/>'
    ]
    told, drawn = [], []
    for i, (name, (x, y)) in enumerate(rows.items()):
        tip = zero[0] + unit * x, zero[1] - unit * y
        length = math.hypot(x, y)
        drawn.append((-length, _arrow(zero, tip, STROKES[i % len(STROKES)], name)))
        said = f"{name}: ({x:g}, {y:g}), length {length:.2f}"
        if name != asker:
            dot, far = x * own[0] + y * own[1], math.dist((x, y), own)
            cosine = dot / (length * math.hypot(*own))
            said += (
                f"; with {asker}: dot product {dot:z.2f}, distance {far:.2f}, cosine {cosine:z.2f}"
            )
        told.append(said)
        parts.append(
            f'<text x="{wide + 24}" y="{20 + 26 * i}" fill="currentColor">{escape(said)}</text>'
        )
    parts += [arrow for _, arrow in sorted(drawn)]  # the short ones over the long ones
    size = wide + 560, max(tall, 26 * len(rows) + 10)
    svg = (
        f'<svg width="{size[0]}" height="{size[1]}" viewBox="0 0 {size[0]} {size[1]}" '
        f'style="max-width:100%;height:auto" {FONT} aria-hidden="true">{"".join(parts)}</svg>'
    )
    return from_svg(svg, "\n".join(told))


def _arrow(start: tuple, tip: tuple, stroke: str, name: str) -> str:
    """An arrow, its name beside the tip."""
    x, y = tip
    angle = math.atan2(y - start[1], x - start[0])
    head = "".join(
        f"M{x:.1f} {y:.1f}L{x - 10 * math.cos(angle + turn):.1f} "
        f"{y - 10 * math.sin(angle + turn):.1f}"
        for turn in (0.4, -0.4)
    )
    side_x, side_y = x + 13 * math.sin(angle), y - 13 * math.cos(angle) + 5
    return (
        f'<path d="M{start[0]:.1f} {start[1]:.1f}L{x:.1f} {y:.1f}{head}" fill="none" '
        f'stroke="{stroke}" stroke-width="3"/><text x="{side_x:.1f}" y="{side_y:.1f}" '
        f'text-anchor="middle" font-weight="600" fill="currentColor">{escape(name)}</text>'
    )


def loss_lines(
    curves: Mapping[str, Sequence[float]],
    lines: Mapping[str, float],
    title: str,
    unit: str = "nats per token",
) -> Picture:
    """Loss over the training steps, one curve each, and levels to hold them against.

    Args:
        curves: the loss at every step.
        lines: levels by name.
        unit: what the loss is measured in.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.6))
    for (name, curve), style, stroke in zip(curves.items(), LINES, STROKES, strict=False):
        end = sum(curve[-20:]) / len(curve[-20:])
        label = f"{name}, {end:.2f} at the end"
        axis.plot(curve, linestyle=style, color=stroke, linewidth=1.6, label=label)
    for name, level in lines.items():
        axis.axhline(level, color="black", linewidth=1)
        axis.annotate(f"{name}, {level:.2f}", (1, level), xycoords=("axes fraction", "data"),
                      xytext=(4, 0), textcoords="offset points", va="center")  # fmt: skip
    axis.set_xlim(0, max(map(len, curves.values())))
    axis.set_ylim(0, 1.12 * max(*lines.values(), *(curve[0] for curve in curves.values())))
    axis.set_xlabel("training step")
    axis.set_ylabel(f"loss ({unit})")
    axis.set_title(title)
    axis.legend(loc="best")
    told = [
        f"{name} begins at {curve[0]:.2f} and ends at {sum(curve[-20:]) / len(curve[-20:]):.2f}"
        for name, curve in curves.items()
    ]
    told += [f"{name} {level:.2f}" for name, level in lines.items()]
    return from_figure(figure, f"{title}. Loss in {unit}: " + "; ".join(told))


def row_strips(tables: Mapping[str, Float[Tensor, "R C"]], words: Sequence[str]) -> Picture:
    """The same rows of several tables, each number a coloured cell, blue below 0 and red above.

    Args:
        words: one for each row; the text tells how much every second row agrees with the one
            before it.
    """
    import matplotlib.pyplot as plt

    high = 0.36 * len(words) * len(tables) + 0.5
    figure, axes = plt.subplots(len(tables), 1, figsize=(9, high), squeeze=False)
    figure.subplots_adjust(hspace=0.35)
    told = []
    for axis, (title, rows) in zip(axes.flat, tables.items(), strict=True):
        reach = rows.abs().max().item()
        axis.imshow(
            rows.numpy(),
            cmap="RdBu_r",
            vmin=-reach,
            vmax=reach,
            aspect="auto",
            interpolation="none",
        )
        axis.set_title(title)
        axis.set_yticks(range(len(words)), words)
        same = [
            f"{words[i]} and {words[i + 1]} {(rows[i] * rows[i + 1] > 0).float().mean():.0%}"
            for i in range(0, len(words) - 1, 2)
        ]
        told.append(f"{title}, columns in which two rows have the same sign: {', '.join(same)}")
    axis.set_xlabel("column")
    return from_figure(figure, "\n".join(told))


def flattened(table: Float[Tensor, "V C"]) -> tuple[Float[Tensor, "V 2"], float]:
    """The rows in the two directions in which they differ most, and the share that these hold.

    The share is of the squared distances from the mean row (principal components).
    """
    centred = table - table.mean(dim=0)
    _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
    squares = strengths**2
    return centred @ directions[:2].T, (squares[:2].sum() / squares.sum()).item()


def word_map(
    tables: Mapping[str, Float[Tensor, "V C"]],
    words: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    heading: str = "",
) -> Picture:
    """Each table as a map of its words, the rows flattened to two numbers.

    Args:
        words: one for each row.
        groups: words that share a marker, by the name of their group.
        heading: what the maps show, as one sentence.
    """
    import matplotlib.pyplot as plt

    figure, _ = plt.subplots(1, len(tables), figsize=(6.2 * len(tables), 6.4))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.17, top=0.89, wspace=0.12)
    figure.suptitle(heading)
    told = [heading] * bool(heading)
    for axis, (title, table) in zip(figure.axes, tables.items(), strict=True):
        places, share = flattened(table)
        for i, (name, members) in enumerate(groups.items()):
            at = places[[words.index(word) for word in members]]
            marker = MARKERS[i % len(MARKERS)]
            colour = CURVES[i % len(CURVES)]
            axis.scatter(*at.T, marker=marker, s=46, color=colour, label=name, zorder=2)
        axis.set_aspect("equal", adjustable="datalim")
        axis.margins(0.15)
        axis.set_xlabel("first direction")
        axis.set_ylabel("second direction")
        axis.set_title(f"{title}: {share:.0%} of all differences")
        figure.canvas.draw()  # so that the points lie where they will be
        _label(axis, places, words)
        said = "; ".join(
            f"{name}: {_places_text(places, words, members)}" for name, members in groups.items()
        )
        told.append(f"{title}, two directions with {share:.0%} of all differences. {said}")
    shown = axis.get_legend_handles_labels()
    figure.legend(*shown, loc="lower center", ncol=(len(groups) + 1) // 2, frameon=False)
    return from_figure(figure, "\n".join(told))


def _places_text(places: Tensor, words: Sequence[str], members: Sequence[str]) -> str:
    at = {word: places[words.index(word)].tolist() for word in members}
    return ", ".join(f"{word} ({x:z.2f}, {y:z.2f})" for word, (x, y) in at.items())


def _label(axis: Axes, places: Tensor, words: Sequence[str]) -> None:
    """Write each word beside its point, within the frame, where no other word stands yet."""
    points = axis.transData.transform(places.numpy())
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    for place, (x, y), word in zip(places.tolist(), points, words, strict=True):
        size = 7.2 * len(word) + 4, 13
        left, low, wide, high = _free_place(x, y, *size, taken, axis.bbox.extents)
        taken.append((left, low, left + wide, low + high))
        pixels = left + wide / 2 - x, low + high / 2 - y
        axis.annotate(
            word, place, xytext=[p * 72 / axis.figure.dpi for p in pixels], fontsize=8,
            textcoords="offset points", ha="center", va="center",
            arrowprops={"arrowstyle": "-", "color": "#868e96", "linewidth": 0.6, "shrinkA": 0},
        )  # fmt: skip


def _free_place(
    x: float, y: float, wide: float, high: float, taken: list, frame: Sequence[float]
) -> tuple:
    """The box of this size nearest to (x, y) that lies in the frame and overlaps none taken."""
    for distance in range(8, 160, 4):
        for eighth in range(16):
            angle = eighth * math.pi / 8
            middle_x = x + (distance + wide / 2) * math.cos(angle)
            middle_y = y + (distance + high / 2) * math.sin(angle)
            left, low = middle_x - wide / 2, middle_y - high / 2
            box = left - 1, low - 1, left + wide + 1, low + high + 1
            inside = box[0] > frame[0] and box[1] > frame[1]
            inside = inside and box[2] < frame[2] and box[3] < frame[3]
            if inside and not any(
                box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
                for other in taken
            ):
                return left, low, wide, high
    return x, y, wide, high


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
    word: str,
    words: Sequence[str],
    table: Float[Tensor, "V C"],
    measure: str = "cosine",
    most: int = 8,
    title: str = "",
) -> Picture:
    """The words most like one word, each with a bar from 0.

    Args:
        words: one for each row.
        measure: "cosine" or "dot product".
        most: how many are shown.
    """
    token_id = words.index(word)
    values = similarities(token_id, table, measure)
    reach = 1.0 if measure == "cosine" else values.abs().max().item()
    others = values.clone()
    others[token_id] = -math.inf
    most = min(most, len(words) - 1)
    nearest = others.topk(most).indices.tolist()
    zero, scale = 240, 130 / reach
    parts = [
        f'<text x="10" y="16" font-weight="600" fill="currentColor">{escape(title)}</text>',
        f'<path d="M{zero} 24V{34 + 26 * most}" stroke="currentColor"/>',
        *(
            f'<text x="{zero + at * 130}" y="{50 + 26 * most}" text-anchor="middle" '
            f'fill="currentColor">{at * reach:z.3g}</text>'
            for at in (-1, 0, 1)
        ),
        f'<text x="{zero}" y="{68 + 26 * most}" text-anchor="middle" fill="currentColor">'
        f"{measure} with “{escape(word)}”</text>",
    ]
    told = []
    for i, token in enumerate(nearest):
        value, y = values[token].item(), 32 + 26 * i
        left, wide = zero + min(0.0, value * scale), abs(value * scale)
        parts.append(
            f'<text x="104" y="{y + 15}" text-anchor="end" fill="currentColor">'
            f"{escape(words[token])}</text>"
            f'<rect x="{left:.1f}" y="{y}" width="{wide:.1f}" height="20" fill="#4dabf7"/>'
            f'<text x="{zero + 140}" y="{y + 15}" fill="currentColor">{value:z.2f}</text>'
        )
        told.append(f"{words[token]} {value:z.2f}")
    svg = (
        f'<svg width="440" height="{76 + 26 * most}" viewBox="0 0 440 {76 + 26 * most}" '
        f'style="max-width:100%;height:auto" {FONT} aria-hidden="true">{"".join(parts)}</svg>'
    )
    return from_svg(svg, f"{title}, {measure} with “{word}”: " + ", ".join(told))
