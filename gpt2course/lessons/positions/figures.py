"""Pictures of lesson 04: positions as clocks, as waves, and row by row beside a learned matrix."""

import math

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.colours import ORANGE, PAGE
from gpt2course.drawing.curves import Axis
from gpt2course.drawing.matrix import matrix, matrix_text
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.pixels import signed
from gpt2course.drawing.svg import Drawing, column
from gpt2course.embedding import sinusoidal_positions

RADIUS, STEP = 46, 190  # of one clock, and from one clock to the next, in pixels


def wavelengths(n_embd: int) -> list[float]:
    """For each pair of columns, how many positions one turn takes."""
    return [2 * math.pi * 10_000 ** (2 * i / n_embd) for i in range(n_embd // 2)]


def clocks(position: int, n_embd: int = 8) -> Picture:
    """A sinusoidal position as clocks: each pair (sine, cosine) is the tip of a hand."""
    drawn, alt = _clocks(position, n_embd)
    return drawn.picture(alt)


def _clocks(position: int, n_embd: int) -> tuple[Drawing, str]:
    row = sinusoidal_positions(position + 1, n_embd)[-1].view(-1, 2).tolist()
    drawn, told = Drawing(), []
    for i, ((sine, cosine), wave) in enumerate(zip(row, wavelengths(n_embd), strict=True)):
        x, y = STEP * (i + 0.5), RADIUS + 2
        _clock(drawn, x, y, sine, cosine)
        lines = (
            f"columns {2 * i} and {2 * i + 1}",
            f"sine {sine:z.2f}, cosine {cosine:z.2f}",
            f"one turn in {wave:,.1f} positions",
        )
        for j, line in enumerate(lines):
            drawn.text(x, y + 72 + 17 * j, line, "middle", 12)
        told.append(", ".join(lines))
    drawn.head(f"position {position}")
    return drawn, f"position {position}: " + "; ".join(told)


def _clock(drawn: Drawing, x: float, y: float, sine: float, cosine: float) -> None:
    """A dial whose hand starts at the top and turns clockwise: sine to the right, cosine up."""
    drawn.circle(x, y, RADIUS, edge="#868e96")
    for dx, dy in ((0, -1), (1, 0), (0, 1), (-1, 0)):
        rim, near = RADIUS, RADIUS - 7
        drawn.line((x + rim * dx, y + rim * dy), (x + near * dx, y + near * dy), thick=1)
    tip = x + RADIUS * sine, y - RADIUS * cosine
    drawn.line((x, y), tip, stroke=PAGE, thick=3, kind="hand")
    drawn.circle(*tip, 5, ORANGE, "none")


def waves(table: Float[Tensor, "n_ctx C"]) -> Picture:
    """A matrix of positions as a picture: one row of pixels for each position."""
    n_ctx, n_embd = table.shape
    drawn, width, height = Drawing(), 640, 300
    drawn.image(0, 0, width, height, signed(table))
    down = Axis("position", 0, n_ctx).fitted([n_ctx], height, 0)
    for value, said in down.ticks.items():
        drawn.text(-8, down(value) + 4, said, "end", 12)
    drawn.text(drawn.left - 6, height / 2, "position", "middle", 12, turn=-90)
    label = "column (even: sine, odd: cosine)"
    Axis(label, 0, n_embd).fitted([n_embd], width, 0).below(drawn, height)
    drawn.head("The left columns change fast, the right ones hardly at all")
    reach = table.abs().max().item()
    scale = f"from {-reach:.2f} (blue) through 0 (no colour) to {reach:.2f} (red)"
    drawn.text(0, drawn.bottom + 18, scale, size=12)
    told = []
    for place in (0, n_embd // 2, n_embd - 1):
        changes = int((table[1:, place].sign() != table[:-1, place].sign()).sum())
        told.append(f"column {place} changes its sign {changes} times")
    ends = f"from {table.min():.2f} to {table.max():.2f}"
    said = f"{n_ctx} positions and {n_embd} columns, {ends}: "
    return drawn.picture(said + ", ".join(told))


def row_of_both(position: int, learned: Float[Tensor, "n_ctx C"]) -> Picture:
    """One position by rule, as clocks and as a row, beside the same row of a learned matrix."""
    n_ctx, n_embd = learned.shape
    dials, alt = _clocks(position, n_embd)
    reach = max(1.0, learned.abs().max().item())
    rows = {f"by rule, row {position}": sinusoidal_positions(position + 1, n_embd)[-1:]}
    if position < n_ctx:
        rows[f"learned, row {position}"] = learned[[position]]
    parts = [matrix(row, title=title, scale=(-reach, reach)) for title, row in rows.items()]
    told = [alt, *(f"{title}: {' '.join(matrix_text(row).split())}" for title, row in rows.items())]
    if position >= n_ctx:
        told.append(f"learned: there is no row {position}, the matrix ends with row {n_ctx - 1}")
        missing = Drawing()
        missing.box(0, 0, 460, 40, told[-1], edge="#868e96", thick=2, dash="6 4", rx=4)
        parts.append(missing)
    return column([dials, *parts]).picture("\n".join(told))
