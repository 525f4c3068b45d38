"""Pictures of lesson 12: what each new token makes the model compute, and what that costs."""

import math
from collections.abc import Callable, Mapping, Sequence

from gpt2course.config import GPT2Config
from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import ATTENTION_FILL, BAR, GREY, NEW, OTHER_BAR, PAGE
from gpt2course.drawing.curves import Axis, Series, panels, plot, steps
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, row

Count = Callable[[GPT2Config, int, int], int]
AGAIN, KEPT = "#c3c6ca", ATTENTION_FILL  # every cell also says which it is
WIDE, HIGH = 58, 30  # one cell of `runs` in pixels
COLUMNS, CELL = 16, (21, 15)  # of each grid of the slider
THIN = 8.0  # a single token in a column of many: wider than its share, so that it is seen
CELLS = {"new": NEW, "again": AGAIN, "k  v": KEPT}


def runs(words: Words, n_layer: int, cached: bool = False) -> Picture:
    """One grid of tokens and layers for each run: which cells are computed, and which again.

    Run i reads the first i tokens; cached, earlier columns keep their keys and values.
    """
    drawn, told = [], []
    for n in range(1, len(words) + 1):
        one, computed = Drawing(), n_layer * (1 if cached else n)
        for layer in range(n_layer if n == 1 else 0):
            one.text(-6, layer * HIGH + 20, f"layer {n_layer - 1 - layer}", "end", 12)
        for j, word in enumerate(words[:n]):
            state = "new" if j == n - 1 else "k  v" if cached else "again"
            look = {"edge": PAGE, "thick": 2.5, "bold": True} if state == "new" else {"edge": PAGE}
            for layer in range(n_layer):
                x, y = j * WIDE + 2, layer * HIGH + 2
                one.box(x, y, WIDE - 4, HIGH - 4, state, CELLS[state], rx=4, **look)
            one.text((j + 0.5) * WIDE, n_layer * HIGH + 16, word, "middle")
        title = f"run {n}: {computed} cell{'s' * (computed != 1)}"
        one.head(title, size=13)
        drawn.append(one)
        before = ", ".join(words[: n - 1]) or "nothing"
        told.append(
            f"{title} computed; new: {words[n - 1]}; {'kept' if cached else 'again'}: {before}"
        )
    return row(drawn).picture("\n".join(told))


def last_path(words: Words, n_layer: int) -> Picture:
    """The last token's way up through the layers, and what it reads of the others in each."""
    wide, high, drawn = 96, 58, Drawing()
    left = (len(words) - 1) * wide
    middle, bottom = left + wide / 2, n_layer * high
    look = {"edge": PAGE, "thick": 2.5, "bold": True, "rx": 4}
    drawn.text(-60, -44, "k and v: kept from earlier runs")
    drawn.text(-60, -24, "q, k, v: computed for the new token")
    drawn.box(left + 8, -54, wide - 16, 30, "logits", NEW, **look)
    drawn.arrow((middle, 10), (middle, -22), thick=2)
    for layer in range(n_layer):
        y = bottom - (layer + 1) * high
        drawn.text(-12, y + 34, f"layer {layer}", "end")
        drawn.arrow((wide / 2, y + 29), (left + 6, y + 29), thick=2)
        for j in range(len(words) - 1):  # what is left of an old cell: its key and its value
            drawn.rect(j * wide + 8, y + 10, wide - 16, 38, edge=GREY, dash="4 4", rx=4)
            for i, name in enumerate("kv"):
                x = j * wide + 12 + 38 * i
                drawn.box(x, y + 15, 34, 28, name, KEPT, edge=PAGE, rx=4)
        drawn.arrow((middle, y + high + 10), (middle, y + high - 8), thick=2)
        drawn.box(left + 8, y + 10, wide - 16, high - 20, "q  k  v", NEW, **look)
    for j, word in enumerate(words):
        last = j == len(words) - 1
        said = f"{word} (new)" if last else word
        drawn.text((j + 0.5) * wide, bottom + 26, said, "middle", 13, last)
    return drawn.picture(
        f"{words[-1]} is new: only its column is computed, from the token up through {n_layer} "
        f"layers to the logits. In each layer its query reads the kept keys and values of "
        f"{', '.join(words[:-1]) or 'nothing'}, and its own."
    )


def differences(found: Series, parted: Mapping[str, int | None], tolerance: float) -> Picture:
    """How far each version's logits lie from those of whole runs, step by step.

    Args:
        parted: the step from which on a version's text is another one, or None; its curve is
            expected to end there.
        tolerance: below it a difference is rounding.
    """
    lowest, told, verticals = tolerance / 1e4, [], {}
    for name, curve in found.items():
        said = "same text throughout"
        if (step := parted[name]) is not None:
            said = f"other text from token {step} on"
            verticals[step] = f"{name}: {said}"
        told.append(f"{name}: largest difference {max(curve):.1g}, {said}")
    series = {n: steps([max(v, lowest) for v in curve], 1) for n, curve in found.items()}
    lines, names = {"rounding, at most": tolerance}, {name: name for name in found}
    drawn = plot(
        series,
        Axis("tokens written"),
        Axis("largest difference of a logit", lowest / 2, log=True),
        "While the text is still the same, the logits show the mistake",
        lines,
        names,
        verticals=verticals,
        size=(440, 240),
        decimals=4,
    )
    return drawn.picture("\n".join(told))


def costs(tokens: Sequence[int], work: Series, seconds: Series) -> Picture:
    """Multiply-adds and measured time of one more token, one number for each of `tokens`.

    The two scales have equally many decades.
    """
    measured = (
        ("million multiply-adds (counted)", {n: [v * 1e-6 for v in w] for n, w in work.items()}),
        ("milliseconds (measured here)", {n: [v * 1e3 for v in s] for n, s in seconds.items()}),
    )
    ends = [
        [f(v for line in lines.values() for v in line) for f in (min, max)] for _, lines in measured
    ]
    half = max(high / low for low, high in ends) ** 0.55  # a tenth more than the larger one needs
    told, plots = [], []
    for (label, lines), (low, high) in zip(measured, ends, strict=True):
        middle = math.sqrt(low * high)
        series = {name: list(zip(tokens, line, strict=True)) for name, line in lines.items()}
        axes = Axis("number of the new token", 0), Axis(label, middle / half, middle * half, True)
        plots.append(plot(series, *axes, names={}, marks=True, size=(320, 220)))
        told += [
            f"{label}, {name}: {line[0]:.2g} for token {tokens[0]}, {line[-1]:.2g} for "
            f"token {tokens[-1]}"
            for name, line in lines.items()
        ]
    grown = [f"{line[-1] / line[0]:.2g}-fold {name}" for name, line in work.items()]
    title = f"From token {tokens[0]} to {tokens[-1]} the count grows {', '.join(grown)}"
    return panels(plots, work, title, True).picture("\n".join([*told, title]))


def two_grids(count: Count, config: GPT2Config, column: int, width: int) -> Picture:
    """What the token at the end of a column (1 to COLUMNS) costs, without a cache and with one.

    A column is `width` tokens; `count` gives multiply-adds from (config, new tokens, all tokens).
    """
    token = column * width
    work = {"without a cache": count(config, token, token), "with a cache": count(config, 1, token)}
    drawn, foot = Drawing(), config.n_layer * CELL[1]
    for i, name in enumerate(work):
        computed = 1 if i else token
        one = _grid(config.n_layer, column, width, cached=bool(i))
        said = f"{name}: {computed:,} position{'s' * (computed != 1)} computed"
        one.text(0, -28, said, size=12, bold=True)
        drawn.put(one, i * (COLUMNS * CELL[0] + 40))
    drawn.text(-8, 12, f"layer {config.n_layer - 1}", "end", 12)
    drawn.text(-8, foot - 3, "layer 0", "end", 12)
    without, with_cache = work.values()
    said = (
        f"token {token:,} is new: {without:,} multiply-adds without a cache, "
        f"{with_cache:,} with it, {without / with_cache:.1f} times fewer"
    )
    drawn.text(0, foot + 64, said, size=12, bold=True)
    both = [
        Bar(name, value, f"{value / 1e6:,.0f} million", fill)
        for (name, value), fill in zip(work.items(), (BAR, OTHER_BAR), strict=True)
    ]
    # The scale is the most that this setting of the switch can show.
    full = count(config, COLUMNS * width, COLUMNS * width)
    drawn.put(bars(both, full=full, length=480), 50, foot + 78)
    return drawn.picture(
        f"{config.n_layer} layers, {width} token{'s' * (width != 1)} to a column, "
        f"column {column} of {COLUMNS}. {said}. Without a cache all {token:,} positions are "
        f"computed, with it the last one alone; the others keep their keys and values."
    )


def _grid(n_layer: int, column: int, width: int, cached: bool) -> Drawing:
    """The cells: computed again or kept, new, and not there yet."""
    drawn, (wide, high) = Drawing(), CELL
    foot, thin = n_layer * high, max(wide / width - 2, THIN)
    there = {"fill": KEPT if cached else AGAIN, "thick": 0.6}
    for j in range(COLUMNS):
        look = there if j < column else {"edge": GREY, "thick": 0.6, "dash": "2 3"}
        for layer in range(n_layer):
            drawn.rect(j * wide, layer * high, wide - 2, high - 2, kind="cell", **look)
    newest = column * wide - 2 - thin
    drawn.rect(newest, -4, thin, foot + 6, NEW, PAGE, 1.5, kind="newest")
    drawn.text(newest + thin / 2 - 5, -9, "▼ new", size=12)
    if column * width > 1:
        old = "k and v kept" if cached else "computed again"
        drawn.text(0, foot + 18, f"← {old}", size=12)
        if width > 1:
            said = f"one of the last column’s {width} tokens is new"
            drawn.text(0, foot + 34, said, size=12)
    return drawn
