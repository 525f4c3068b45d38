"""The position slider: which cells of the model a new token computes, with a cache and without."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets

from gpt2course.config import GPT2Config
from gpt2course.drawing.picture import Picture, from_svg
from gpt2course.drawing.twin import Playable, playable
from gpt2course.lessons.kv_cache.figures import AGAIN, GREY, INK, KEPT, NEW

Count = Callable[[GPT2Config, int, int], int]
COLUMNS = 16  # of each grid
WIDE, HIGH, LEFT, TOP = 24, 15, 68, 44  # a cell, and where the grid begins
GAP = 60  # between the grids
THIN = 8.0  # a single token in a column of many: wider than its share, so that it is seen


def cache_slider(count: Count, config: GPT2Config | None = None) -> Playable:
    """A slider over the columns and a switch of their width; grids, counts and bars follow.

    Args:
        count: multiply-adds (config, new tokens, all tokens) -> int.
        config: the model whose layers are drawn; the smallest GPT-2 without it.
    """
    config = config or GPT2Config()
    most = config.n_ctx // COLUMNS
    if most < 2:
        raise ValueError(f"n_ctx must be at least {2 * COLUMNS}, got {config.n_ctx}")

    def draw(column: int, width: int) -> Picture:
        return two_grids(count, config, column, width)

    wide = ipywidgets.Layout(width="560px")
    slider = ipywidgets.IntSlider(6, 1, COLUMNS, description="column:", layout=wide)
    switch = ipywidgets.ToggleButtons(
        options=[("1 token", 1), (f"{most} tokens", most)],
        description="a column is",
        style={"button_width": "110px", "description_width": "80px"},
    )
    return playable(draw, column=slider, width=switch)


def two_grids(count: Count, config: GPT2Config, column: int, width: int) -> Picture:
    """What the token at the end of a column costs, without a cache and with one.

    Args:
        column: 1 to COLUMNS.
        width: tokens to a column.
    """
    token = column * width
    work = {"without a cache": count(config, token, token)}
    work["with a cache"] = count(config, 1, token)
    parts = []
    for i, name in enumerate(work):
        left = LEFT + i * (COLUMNS * WIDE + GAP)
        computed = token if i == 0 else 1
        said = f"{name}: {computed:,} position{'s' * (computed != 1)} computed"
        parts.append(_text(left, 16, said, weight=600))
        parts.append(_grid(left, config.n_layer, column, width, cached=bool(i)))
    foot = TOP + config.n_layer * HIGH
    parts += [_text(4, TOP + 11, f"layer {config.n_layer}"), _text(4, foot - 3, "layer 1")]
    parts.append(_bars(foot + 62, work, count(config, COLUMNS * width, COLUMNS * width)))
    without, with_cache = work.values()
    said = (
        f"token {token:,} is new: {without:,} multiply-adds without a cache, "
        f"{with_cache:,} with it, {without / with_cache:.1f} times fewer"
    )
    parts.append(_text(4, foot + 48, said, weight=600))
    grid_width = LEFT + 2 * COLUMNS * WIDE + GAP + 42
    svg = (
        f'<svg width="{grid_width}" height="{foot + 136}" viewBox="0 0 {grid_width} {foot + 136}" '
        'style="max-width:100%;height:auto" font-family="system-ui, sans-serif" font-size="13" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )
    alt = (
        f"{config.n_layer} layers, {width} token{'s' * (width != 1)} to a column, "
        f"column {column} of {COLUMNS}. {said}. Without a cache all {token:,} positions are "
        f"computed, with it the last one alone; the others keep their keys and values."
    )
    return from_svg(svg, alt)


def _grid(left: float, n_layer: int, column: int, width: int, cached: bool) -> str:
    """The cells: computed again or kept, new, and not there yet."""
    foot, thin = TOP + n_layer * HIGH, max(WIDE / width - 2, THIN)
    newest = left + column * WIDE - 2 - thin
    parts = []
    for j in range(COLUMNS):
        there = j < column
        fill = (KEPT if cached else AGAIN) if there else "none"
        edge = INK if there else GREY
        for layer in range(n_layer):
            x, y = left + j * WIDE, TOP + layer * HIGH
            dash = "" if there else ' stroke-dasharray="2 3"'
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{WIDE - 2}" height="{HIGH - 2}" fill="{fill}" '
                f'stroke="{edge}" stroke-width=".6"{dash}/>'
            )
    parts.append(
        f'<rect class="newest" x="{newest:.1f}" y="{TOP - 4}" width="{thin:.1f}" '
        f'height="{n_layer * HIGH + 6}" fill="{NEW}" stroke="currentColor" stroke-width="1.5"/>'
    )
    parts.append(_text(newest + thin / 2 - 5, TOP - 9, "▼ new"))
    if column * width > 1:
        old = "k and v kept" if cached else "computed again"
        last = f"; of the last column's {width} tokens one is new" if width > 1 else ""
        parts.append(_text(left, foot + 18, f"← {old}{last}", "start"))
    return "".join(parts)


def _bars(top: float, work: dict[str, int], most: int) -> str:
    """The two counts as bars on one scale, the most that this setting of the switch can show."""
    parts = []
    for i, ((name, value), fill) in enumerate(zip(work.items(), (AGAIN, NEW), strict=True)):
        y, length = top + i * 32, max(560 * value / most, 1.0)
        parts.append(_text(108, y + 17, name, "end"))
        parts.append(
            f'<rect class="bar" x="116" y="{y}" width="{length:.1f}" height="24" fill="{fill}" '
            f'stroke="{INK}" stroke-width=".6"/>'
        )
        parts.append(_text(124 + length, y + 17, f"{value / 1e6:,.0f} million"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="currentColor">{escape(text)}</text>'
    )
