"""A matrix as a drawing and as plain text; the cards and the lessons share both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gpt2course.drawing.colours import FAINT, GREY, PAGE, fill_for
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import WIDTH, Drawing, line_up, row, wide

MOST = 12  # rows and columns that are drawn; a larger matrix shows its first ones
CELL_HEIGHT = 28
Labels = Sequence[str]


class Panel(NamedTuple):
    """A matrix with its title, its labels, and the values at the two ends of its colours."""

    title: str
    values: Tensor
    rows: Labels = ()
    columns: Labels = ()
    scale: tuple[float, float] | None = None


def entry_text(value: Tensor, decimals: int = 2) -> str:
    """One entry as it is written into its cell."""
    number = value.item()
    if isinstance(number, bool):
        return "✓" if number else "·"
    if isinstance(number, int):
        return str(number)
    if number in (float("inf"), float("-inf")):
        return "∞" if number > 0 else "-∞"
    return f"{number:.1e}" if abs(number) >= 1e5 else f"{number:z.{decimals}f}"


def matrix_text(
    values: Tensor, rows: Labels = (), columns: Labels = (), wrong: Tensor | None = None,
    decimals: int = 2,
) -> str:  # fmt: skip
    """A matrix (R, C) in aligned plain text; a wrong entry carries a star."""
    values, rows, columns, wrong, cut = _fitted(values, rows, columns, wrong)
    table = [[""] * bool(rows) + list(columns)] if columns else []
    for i, line in enumerate(values):
        marks = ["*" if wrong is not None and wrong[i, j] else "" for j in range(len(line))]
        texts = [entry_text(x, decimals) + m for x, m in zip(line, marks, strict=True)]
        table.append(([rows[i]] if rows else []) + texts)
    widths = [max(len(line[j]) for line in table) for j in range(len(table[-1]))]
    lines = ["  ".join(t.rjust(w) for t, w in zip(line, widths, strict=True)) for line in table]
    return "\n".join(lines + ([cut] if cut else []))


def matrix(
    values: Tensor, rows: Labels = (), columns: Labels = (), title: str = "",
    wrong: Tensor | None = None, decimals: int = 2, scale: tuple[float, float] | None = None,
    masked: Tensor | None = None,
) -> Drawing:  # fmt: skip
    """A matrix (R, C) as a drawing: a filled cell with its number for every entry.

    What is masked has an empty dashed cell, which no number has: False, -inf, and the future of
    attention weights, where all of it is exactly 0.

    Args:
        rows, columns: what stands beside the rows and above the columns.
        wrong: True (R, C) where an entry gets a frame and a cross.
        scale: the values at the two ends of the colours, as `fill_for` takes them; (0, 0) for ids,
            which have no colour. From the values without it.
        masked: True (R, C) where weights are masked, if it is not the future.
    """
    low, high = scale or scale_of(values)
    values, rows, columns, wrong, cut = _fitted(values, rows, columns, wrong)
    masked = _masked(values) if masked is None else masked[:MOST, :MOST]
    texts = [
        ["" if gone and entry_text(x) != "-∞" else entry_text(x, decimals)
         for x, gone in zip(line, gones, strict=True)]
        for line, gones in zip(values, masked, strict=True)
    ]  # fmt: skip
    longest = max((t for line in [*texts, columns or [""]] for t in line), key=len)
    width = max(34.0, wide(longest, 12, mono=True) + 10)
    drawn, (R, C) = Drawing(), values.shape
    for j, label in enumerate(columns):
        drawn.text((j + 0.5) * width, -6, label, "middle", 12, mono=True)
    for i in range(R):
        y = i * CELL_HEIGHT
        if rows:
            drawn.text(-6, y + 0.66 * CELL_HEIGHT, rows[i], "end", 12, mono=True)
        for j in range(C):
            cell(drawn, j * width, y, width, CELL_HEIGHT, texts[i][j],
                 fill_for(float(values[i, j]), low, high), bool(masked[i, j]))  # fmt: skip
            if wrong is not None and wrong[i, j]:
                x = j * width
                drawn.rect(x + 1.5, y + 1.5, width - 3, CELL_HEIGHT - 3, "none", "#e03131", 3)
                drawn.text(x + width - 4, y + 10, "✗", "end", 10, True)
    if cut:
        drawn.text(0, drawn.bottom + 15, cut, size=12)
    if title:
        drawn.text(0, -7 - 18 * bool(columns), title, size=12, bold=True, mono=True)
    return drawn


def cell(
    drawn: Drawing, x: float, y: float, width: float, height: float, text: str, fill: str,
    masked: bool = False,
) -> None:  # fmt: skip
    """One cell of a matrix; a masked one is dashed and has no fill."""
    if masked:
        drawn.rect(x + 2, y + 2, width - 4, height - 4, "none", GREY, dash="3 3", kind="masked")
        return drawn.box(x, y, width, height, text, "none", 12, mono=True, edge="none")
    return drawn.box(x, y, width, height, text, fill, 12, mono=True, ink=PAGE, edge=FAINT)


def _masked(values: Tensor) -> Tensor:
    """True where nothing is to be seen."""
    if values.dtype == torch.bool:
        return ~values
    R, C = values.shape
    future = torch.ones(R, C, dtype=torch.bool).triu(C - R + 1)
    if 1 < R <= C and _sums_to_one(values) and not values[future].any():
        return future
    return values == -torch.inf


def matrix_svg(
    values: Tensor, rows: Labels = (), columns: Labels = (), title: str = "",
    wrong: Tensor | None = None, decimals: int = 2, scale: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """A matrix as an <svg> of its own, which says what it is where it is read out."""
    said = _heard(title, values, decimals)
    if wrong is not None:
        said += f", {int(wrong.sum())} of {wrong.numel()} entries are wrong"
    return matrix(values, rows, columns, title, wrong, decimals, scale).svg(said)


def value_range(*tensors: Tensor) -> tuple[float, float]:
    """The smallest (0 at most) and the largest finite entry of all."""
    finite = [t.detach().double() for t in tensors]
    finite = [t[t.isfinite()] for t in finite]
    found = [bound.item() for t in finite if t.numel() for bound in t.aminmax()]
    return (min(0.0, *found), max(0.0, *found)) if found else (0.0, 1.0)


def signed_scale(*tensors: Tensor) -> tuple[float, float]:
    """One scale for numbers of both signs: as far below 0 as above."""
    reach = max(map(abs, value_range(*tensors)))
    return -reach, reach


def scale_of(*tensors: Tensor) -> tuple[float, float]:
    """The scale of matrices that are compared: shares from 0 to 1, other floats as far below 0
    as above, whole numbers from 0 on."""
    if all(map(_sums_to_one, tensors)):
        return 0.0, 1.0
    if any(t.is_floating_point() for t in tensors):
        return signed_scale(*tensors)
    low, high = value_range(*tensors)
    return (low, max(high, 2.0)) if low == 0 and high else signed_scale(*tensors)


def _sums_to_one(values: Tensor) -> bool:
    """Whether these are shares: no number below 0, no row above 1, and at least one that is 1."""
    if not values.is_floating_point() or not values.numel() or values.shape[-1:] in ((), (1,)):
        return False
    sums = values.detach().sum(-1)
    at_most_one = bool((values >= 0).all()) and bool((sums < 1.001).all())
    return at_most_one and bool((sums > 0.999).any())


def _fitted(values: Tensor, rows: Labels, columns: Labels, wrong: Tensor | None):
    """Detached, 2-D, and cut to what can be drawn, with a sentence that says so."""
    values = as_matrix(values.detach().cpu())
    R, C = values.shape
    cut = f"the first of {R} × {C}" if max(R, C) > MOST else ""
    rows, columns = (labels if len(labels) == n else () for labels, n in ((rows, R), (columns, C)))
    if wrong is not None:
        wrong = wrong.reshape(values.shape)[:MOST, :MOST]
    return values[:MOST, :MOST], rows[:MOST], columns[:MOST], wrong, cut


def as_matrix(values: Tensor, leading: Sequence[int] = ()) -> Tensor:
    """The (R, C) slice of a tensor at the leading indices; a vector becomes one row."""
    for i in leading:
        values = values[i]
    return values.reshape(1, -1) if values.ndim < 2 else values


def matrix_row(panels: Sequence[Panel], between: Sequence[str] = (), decimals: int = 2) -> Drawing:
    """Matrices side by side; shares, other floats and whole numbers have one scale each.

    Where the line would be too long, labels that all panels share stand beside the first alone.
    """

    def kind(p: Panel) -> tuple[bool, bool]:
        return _sums_to_one(p.values), p.values.is_floating_point()

    ranges = {
        one: scale_of(*(p.values for p in panels if kind(p) == one)) for one in map(kind, panels)
    }

    def drawn(labels: Sequence[Labels]) -> list[Drawing]:
        return [
            matrix(p.values, beside, p.columns, p.title, decimals=decimals,
                   scale=p.scale or ranges[kind(p)])
            for p, beside in zip(panels, labels, strict=True)
        ]  # fmt: skip

    whole = drawn([p.rows for p in panels])
    if all(p.rows == panels[0].rows for p in panels) and line_up(whole, between).width > WIDTH:
        once = line_up(drawn([panels[0].rows, *[()] * (len(panels) - 1)]), between)
        if once.width <= WIDTH:
            return once
    return row(whole, between)


def matrices(
    panels: Sequence[Panel | tuple[str, Tensor]], rows: Labels = (), columns: Labels = (),
    scale: tuple[float, float] | None = None, between: Sequence[str] = (), decimals: int = 2,
) -> Picture:  # fmt: skip
    """Matrices side by side under their titles.

    Args:
        panels: a title and a matrix (R, C) each; a Panel may have labels and a scale of its own.
        rows, columns: what stands beside and above every other matrix that it fits.
        scale: the values at the ends of the colours; from all the panels together without it.
        between: signs between two neighbours, or words for an arrow from one to the next.
    """
    panels = [Panel(*panel) for panel in panels]
    panels = [
        p._replace(rows=p.rows or rows, columns=p.columns or columns, scale=p.scale or scale)
        for p in panels
    ]
    told = [
        f"{p.title}\n{matrix_text(p.values, p.rows, p.columns, decimals=decimals)}" for p in panels
    ]
    said = "; ".join(_heard(p.title, p.values, decimals) for p in panels)
    return matrix_row(panels, between, decimals).picture("\n".join(told), said)


def _heard(title: str, values: Tensor, decimals: int) -> str:
    """A matrix in a phrase: its title, its shape, its smallest and its largest entry."""
    shown = as_matrix(values.detach().cpu())
    said = f"{title}, {' by '.join(map(str, shown.shape))}"
    if shown.dtype == torch.bool:
        return f"{said}, {int(shown.sum())} entries are true"
    low, high = (entry_text(bound, decimals) for bound in (shown.min(), shown.max()))
    return f"{said}, all {low}" if low == high else f"{said}, from {low} to {high}"


def side_by_side(panels: Sequence[Panel], signs: Sequence[str] = (), decimals: int = 1) -> Picture:
    """Matrices with labels of their own in one line, and the signs between them."""
    return matrices(panels, between=signs, decimals=decimals)
