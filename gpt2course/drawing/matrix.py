"""A matrix as an SVG drawing and as plain text; the cards and the lessons share both."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from torch import Tensor

from gpt2course.drawing.colours import fill_for, ink_on
from gpt2course.drawing.picture import Picture

MOST = 12  # rows and columns that are drawn; a larger matrix shows its first ones
CELL_HEIGHT = 28
CHARACTER = 7.4  # width of one character of a label


def entry_text(value: Tensor, decimals: int = 2) -> str:
    """One entry as it is written into its cell."""
    number = value.item()
    if isinstance(number, bool):
        return "✓" if number else "·"
    if isinstance(number, int):
        return str(number)
    if number in (float("inf"), float("-inf")):
        return "∞" if number > 0 else "-∞"
    if number and abs(number) >= 1e5:
        return f"{number:.1e}"
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def matrix_text(
    values: Tensor,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    wrong: Tensor | None = None,
    decimals: int = 2,
) -> str:
    """A matrix (R, C) in aligned plain text; a wrong entry carries a star."""
    values, rows, columns, wrong, cut = _fitted(values, rows, columns, wrong)
    table = [[""] * bool(rows) + list(columns)] if columns else []
    for i, row in enumerate(values):
        marks = ["*" if wrong is not None and wrong[i, j] else "" for j in range(len(row))]
        texts = [entry_text(x, decimals) + m for x, m in zip(row, marks, strict=True)]
        table.append(([rows[i]] if rows else []) + texts)
    widths = [max(len(line[j]) for line in table) for j in range(len(table[-1]))]
    lines = ["  ".join(t.rjust(w) for t, w in zip(line, widths, strict=True)) for line in table]
    return "\n".join(lines + ([cut] if cut else []))


def matrix_svg(
    values: Tensor,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    wrong: Tensor | None = None,
    decimals: int = 2,
    scale: tuple[float, float] | None = None,
) -> str:
    """A matrix (R, C) as a drawing: a filled cell with its number for every entry.

    Args:
        rows, columns: what stands beside the rows and above the columns.
        wrong: True (R, C) where an entry gets a frame and a cross.
        scale: the values at the two ends of the colours; the matrix's own without it.
    """
    alt = f"{title}: " + matrix_text(values, rows, columns, wrong, decimals).replace("\n", "; ")
    values, rows, columns, wrong, cut = _fitted(values, rows, columns, wrong)
    low, high = scale or value_range(values)
    texts = [[entry_text(x, decimals) for x in row] for row in values]
    longest = max(len(t) for row in [*texts, columns or [""]] for t in row)
    width = max(34.0, longest * CHARACTER + 14)
    left = max((len(r) for r in rows), default=0) * CHARACTER + (8 if rows else 1)
    top = 20 * bool(title) + 18 * bool(columns) + 1
    R, C = values.shape
    parts = [
        _label(left, 13, title, "start", weight=600) if title else "",
        *(_label(left + (j + 0.5) * width, top - 6, c) for j, c in enumerate(columns)),
        *(_label(left - 6, top + (i + 0.66) * CELL_HEIGHT, r, "end") for i, r in enumerate(rows)),
    ]
    for i in range(R):
        for j in range(C):
            x, y = left + j * width, top + i * CELL_HEIGHT
            fill = fill_for(float(values[i, j]), low, high)
            bad = wrong is not None and bool(wrong[i, j])
            parts.append(_cell(x, y, width, texts[i][j], fill, bad))
    bottom = top + R * CELL_HEIGHT + 3
    if cut:
        parts.append(_label(left, bottom + 12, cut, "start"))
    total = max(
        left + C * width + 3, left + (len(title) + 1) * CHARACTER, 40 + len(cut) * CHARACTER
    )
    height = bottom + 18 * bool(cut)
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{total:.0f}" height="{height}" '
        f'viewBox="0 0 {total:.0f} {height}" style="max-width:100%;height:auto" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">'
        f"<title>{escape(alt)}</title>{''.join(parts)}</svg>"
    )


def value_range(values: Tensor) -> tuple[float, float]:
    """The smallest (0 at most) and the largest finite entry."""
    finite = values.detach().double()
    finite = finite[finite.isfinite()]
    if not finite.numel():
        return 0.0, 1.0
    return min(0.0, finite.min().item()), max(0.0, finite.max().item())


def _fitted(values: Tensor, rows: Sequence[str], columns: Sequence[str], wrong: Tensor | None):
    """Detached, 2-D, and cut to what can be drawn, with a sentence that says so."""
    values = values.detach().cpu()
    values = values.reshape(1, -1) if values.ndim < 2 else values
    R, C = values.shape
    cut = f"the first of {R} × {C}" if max(R, C) > MOST else ""
    rows, columns = (labels if len(labels) == n else () for labels, n in ((rows, R), (columns, C)))
    if wrong is not None:
        wrong = wrong.reshape(values.shape)[:MOST, :MOST]
    return values[:MOST, :MOST], rows[:MOST], columns[:MOST], wrong, cut


def _label(x: float, y: float, text: str, anchor: str = "middle", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _cell(x: float, y: float, width: float, text: str, fill: str, bad: bool) -> str:
    ink = ink_on(fill)
    cell = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{CELL_HEIGHT}" fill="{fill}" '
        f'stroke="#ffffff"/><text x="{x + width / 2:.1f}" y="{y + CELL_HEIGHT * 0.66:.1f}" '
        f'text-anchor="middle" fill="{ink}">{escape(text)}</text>'
    )
    if bad:
        cell += (
            f'<rect x="{x + 1.5:.1f}" y="{y + 1.5:.1f}" width="{width - 3:.1f}" '
            f'height="{CELL_HEIGHT - 3}" fill="none" stroke="#e03131" stroke-width="3"/>'
            f'<text x="{x + width - 4:.1f}" y="{y + 10:.1f}" text-anchor="end" font-size="10" '
            f'font-weight="700" fill="{ink}">✗</text>'
        )
    return cell


def as_matrix(values: Tensor, leading: Sequence[int] = ()) -> Tensor:
    """The (R, C) slice of a tensor at the leading indices; a vector becomes one row."""
    for i in leading:
        values = values[i]
    return values.reshape(1, -1) if values.ndim < 2 else values


def matrices(
    panels: Sequence[tuple[str, Tensor]],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
) -> Picture:
    """Matrices side by side under their titles, on one scale of colours.

    Args:
        panels: a title and a matrix (R, C) each.
        rows, columns: what stands beside and above every matrix it fits.
        scale: the values at the ends of the colours; from all the panels together without it.
    """
    ranges = [value_range(values) for _, values in panels]
    scale = scale or (min(low for low, _ in ranges), max(high for _, high in ranges))
    drawn = "".join(
        f"<div>{matrix_svg(values, rows, columns, title, scale=scale)}</div>"
        for title, values in panels
    )
    alt = "\n".join(f"{title}\n{matrix_text(values, rows, columns)}" for title, values in panels)
    style = "display:flex;gap:36px;flex-wrap:wrap;align-items:flex-start;margin:6px 0"
    return Picture(f'<div style="{style}">{drawn}</div>', alt)
