"""Tables in HTML, which a reader can go through cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

CELL = "padding:2px 10px;text-align:{};border:0;background:none;color:inherit"


def table(
    heading: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]],
    names: int | None = None, scrolls: str = "", wraps: bool = True,
) -> str:  # fmt: skip
    """A table under its caption, if it has one.

    Args:
        heads: for each column its name and the side that it keeps to.
        rows: for each row the HTML within its cells.
        names: the column that names the rows.
        scrolls: what a table is called that is too large, and scrolls in a box of its own.
        wraps: whether a long caption may take several lines.
    """
    sides = [CELL.format(side) for _, side in heads]
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row" style="{style};font-weight:400">{cell}</th>'
            if j == names
            else f'<td style="{style}">{cell}</td>'
            for j, (cell, style) in enumerate(zip(row, sides, strict=True))
        )
        + "</tr>"
        for row in rows
    )
    head = "".join(
        f'<th scope="col" style="{style}">{escape(name)}</th>'
        if name
        else f'<td style="{style}"></td>'
        for (name, _), style in zip(heads, sides, strict=True)
    )
    caption = (
        '<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit'
        f'{"" if wraps else ";white-space:nowrap"}">{escape(heading)}</caption>'
    )
    drawn = (
        '<table style="border-collapse:collapse;margin:6px 0;font-size:13px">'
        f"{caption if heading else ''}<tr>{head}</tr>{body}</table>"
    )
    if not scrolls:
        return drawn
    return (
        f'<div tabindex="0" role="region" aria-label="{escape(scrolls)}, scrolls" '
        f'style="overflow:auto;max-height:420px">{drawn}</div>'
    )
