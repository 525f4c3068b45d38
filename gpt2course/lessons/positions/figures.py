"""Pictures of lesson 04: positions as clocks, as waves, and row by row beside a learned table."""

from __future__ import annotations

import math
from html import escape

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.matrix import matrix_svg, matrix_text
from gpt2course.drawing.picture import Picture, from_figure, from_svg
from gpt2course.embedding import sinusoidal_positions

FONT = 'font-family="system-ui, sans-serif" font-size="12"'
RADIUS, STEP = 46, 190  # of one clock, and from one clock to the next, in pixels


def wavelengths(n_embd: int) -> list[float]:
    """For each pair of columns, how many positions one turn takes."""
    return [2 * math.pi * 10_000 ** (2 * i / n_embd) for i in range(n_embd // 2)]


def clocks(position: int, n_embd: int = 8) -> Picture:
    """A sinusoidal position as clocks: each pair (sine, cosine) is the tip of a hand."""
    row = sinusoidal_positions(position + 1, n_embd)[-1].view(-1, 2).tolist()
    parts, told = [], []
    for i, ((sine, cosine), wave) in enumerate(zip(row, wavelengths(n_embd), strict=True)):
        parts.append(_clock(STEP * (i + 0.5), 74, sine, cosine))
        lines = (
            f"columns {2 * i} and {2 * i + 1}",
            f"sine {sine:z.2f}, cosine {cosine:z.2f}",
            f"one turn in {wave:,.1f} positions",
        )
        parts += [
            f'<text x="{STEP * (i + 0.5)}" y="{146 + 17 * j}" text-anchor="middle" '
            f'fill="currentColor">{line}</text>'
            for j, line in enumerate(lines)
        ]
        told.append(", ".join(lines))
    width = STEP * len(row)
    svg = (
        f'<svg width="{width}" height="190" viewBox="0 0 {width} 190" {FONT} '
        f'style="max-width:100%;height:auto" aria-hidden="true">{"".join(parts)}'
        f'<text x="4" y="14" font-weight="600" fill="currentColor">position {position}</text></svg>'
    )
    return from_svg(svg, f"position {position}: " + "; ".join(told))


def _clock(x: float, y: float, sine: float, cosine: float) -> str:
    """A dial whose hand starts at the top and turns clockwise: sine to the right, cosine up."""
    tip = x + RADIUS * sine, y - RADIUS * cosine
    return (
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="none" stroke="#868e96"/>'
        f'<path d="M{x} {y - RADIUS}v7M{x + RADIUS} {y}h-7M{x} {y + RADIUS}v-7M{x - RADIUS} {y}h7" '
        f'stroke="#868e96"/><path d="M{x} {y}L{tip[0]:.1f} {tip[1]:.1f}" stroke="currentColor" '
        f'stroke-width="3"/><circle cx="{tip[0]:.1f}" cy="{tip[1]:.1f}" r="5" fill="#e8590c"/>'
    )


def waves(table: Float[Tensor, "n_ctx C"]) -> Picture:
    """A table of positions as a picture: one row of pixels for each position."""
    import matplotlib.pyplot as plt

    n_ctx, n_embd = table.shape
    reach = table.abs().max().item()
    figure, axis = plt.subplots(figsize=(8, 4.2))
    image = axis.imshow(
        table.numpy(),
        cmap="RdBu_r",
        vmin=-reach,
        vmax=reach,
        aspect="auto",
        interpolation="nearest",
    )
    axis.set_xlabel("column (even: sine, odd: cosine)")
    axis.set_ylabel("position")
    axis.set_title("The left columns change fast, the right ones hardly at all")
    figure.colorbar(image, label="value")
    told = []
    for column in (0, n_embd // 2, n_embd - 1):
        changes = int((table[1:, column].sign() != table[:-1, column].sign()).sum())
        told.append(f"column {column} changes its sign {changes} times")
    return from_figure(
        figure,
        f"Table of {n_ctx} positions and {n_embd} columns, from {table.min():.2f} to "
        f"{table.max():.2f}: " + ", ".join(told),
    )


def row_of_both(position: int, learned: Float[Tensor, "n_ctx C"]) -> Picture:
    """One position by rule, as clocks and as a row, beside the same row of a learned table."""
    n_ctx, n_embd = learned.shape
    by_rule = sinusoidal_positions(position + 1, n_embd)[-1:]
    dials = clocks(position, n_embd)
    reach = max(1.0, learned.abs().max().item())
    title = f"by rule, row {position}"
    drawn = [matrix_svg(by_rule, title=title, scale=(-reach, reach))]
    told = [dials.alt, f"{title}: {_in_line(by_rule)}"]
    if position < n_ctx:
        title = f"learned, row {position}"
        drawn.append(matrix_svg(learned[[position]], title=title, scale=(-reach, reach)))
        told.append(f"{title}: {_in_line(learned[[position]])}")
    else:
        missing = f"learned: there is no row {position}, the table ends with row {n_ctx - 1}"
        drawn.append(
            '<div style="border:2px dashed #868e96;border-radius:4px;padding:12px 16px;'
            f'font-family:system-ui,sans-serif;font-size:13px">{escape(missing)}</div>'
        )
        told.append(missing)
    rows = "".join(f'<div style="margin:8px 0">{part}</div>' for part in drawn)
    return Picture(f"<div>{dials.html}{rows}</div>", "\n".join(told))


def _in_line(row: Tensor) -> str:
    return " ".join(matrix_text(row).split())
