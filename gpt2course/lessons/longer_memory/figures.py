"""Pictures of lesson 20: what each kind of attention reads, how far, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from torch import Tensor

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import CURVES, FILLS, GREY, NEW, PAGE, READ
from gpt2course.drawing.curves import Axis, Curve, panels, plot
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, row
from gpt2course.memory import n_scores, reachable, read_mask

KINDS = ("full", "local", "compressed", "recurrent")
CELL, LENGTH = 11, 12  # of the small masks: pixels, positions
WIDE, HIGH, PLACES = 13, 20, 48  # of the strips of the slider, and how many positions they have
COSTED = 4096  # positions for which the slider counts scores
STACKS = {  # what the layers of each model are, the first one first
    "full": ("full",),
    "local": ("local",),
    "compressed": ("compressed",),
    "local, compressed, …": ("local", "compressed"),
    "recurrent": ("recurrent",),
}


def four_masks(size: int = 4) -> Picture:
    """What one layer of each kind reads of LENGTH positions: row = query, column = key."""
    drawn, told = [], []
    for kind in KINDS:
        one, mask = Drawing(), read_mask(kind, LENGTH, size)
        for i in range(LENGTH):
            for j in range(LENGTH):
                if mask[i, j]:
                    one.rect(j * CELL, i * CELL, CELL, CELL, READ, thick=0.6, kind="read")
        if kind == "compressed":
            _group_edges(one, mask, size)
        one.rect(0, 0, LENGTH * CELL, LENGTH * CELL, edge=PAGE, thick=1)
        one.text(LENGTH * CELL / 2, LENGTH * CELL + 18, "key →", "middle", 12)
        if kind == "full":
            one.text(-8, LENGTH * CELL / 2, "query ↓", "end", 12)
        count = n_scores(kind, LENGTH, size)
        one.head(f"{kind}: {count} scores", size=13)
        drawn.append(one)
        far = LENGTH - int(mask[-1].nonzero()[0])
        told.append(
            f"{kind}: {count} scores computed; the last query reads {int(mask[-1].sum())} of "
            f"{LENGTH} positions, the farthest {far - 1} before it"
        )
    both = row(drawn, gap=46)
    title = (
        f"Local attention forgets, compressed attention blurs, "
        f"segments look one step back ({LENGTH} positions, blocks, groups and segments of {size})"
    )
    both.head(title)
    return both.picture("\n".join([title, *told]))


def _group_edges(drawn: Drawing, mask: Tensor, size: int) -> None:
    """An outline around the cells that are one key."""
    for i in range(mask.shape[0]):
        for j in range(0, mask.shape[1], size):
            if mask[i, j]:
                drawn.rect(j * CELL, i * CELL, size * CELL, CELL, FILLS[4], thick=1, kind="group")


def costs(lengths: Sequence[int], *measured: tuple[str, Mapping[str, Sequence[float]]]) -> Picture:
    """Several costs over the length, one plot each, both axes in equal factors.

    Args:
        measured: what is measured, with its unit, and a value for each length by kind.
    """
    plots, told = [], []
    ticks = {n: f"{n:,}" for n in lengths[::2]}
    for label, lines in measured:
        series = {name: list(zip(lengths, line, strict=True)) for name, line in lines.items()}
        axes = Axis("positions T", lengths[0], lengths[-1], True, ticks), Axis(label, log=True)
        plots.append(plot(series, *axes, names={}, marks=True, size=(190, 200)))
        told += [
            f"{label}, {name}: {line[-1] / line[0]:.3g}-fold from {lengths[0]:,} to "
            f"{lengths[-1]:,} positions"
            for name, line in lines.items()
        ]
    title = "Full attention grows with the square of the length, local and segments in proportion"
    return panels(plots, measured[0][1], title, True).picture("\n".join([title, *told]))


def reach(
    curves: Mapping[str, Sequence[Curve]], edges: Mapping[float, str], chance: float
) -> Picture:
    """Accuracy over the distance of the fact: the mean of several seeds, and each as a mark.

    Args:
        curves: for each model a curve of pairs (distance, share of right answers) per seed.
        edges: what is written at which vertical lines, such as the block's end.
        chance: the share that guessing gets.
    """
    means = {
        name: [(d, mean(one[i][1] for one in seeds)) for i, (d, _) in enumerate(seeds[0])]
        for name, seeds in curves.items()
    }
    points = [d for d, _ in next(iter(means.values()))]
    ticks = {d: f"{d:g}" for d in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)}
    ticks = {d: said for d, said in ticks.items() if points[0] <= d <= points[-1]}
    percent = {share / 4: f"{25 * share} %" for share in range(5)}
    x = Axis("words between the fact and the question", points[0], points[-1], True, ticks, 520)
    y = Axis("share of right answers", 0, 1.2, ticks=percent, pixels=270)  # room above for notes
    drawn = plot(
        means, x, y, "", {"guessing": chance}, marks=True, verticals=edges, size=(520, 270)
    )
    for i, seeds in enumerate(curves.values()):
        for d, share in (point for one in seeds for point in one):
            drawn.circle(x(d), y.pixels - y(share), 1.8, CURVES[i % 6], "none")
    title = "Local attention ends at its block, segments two further on; compression reaches all"
    drawn.head(title)
    told = [
        f"{name}: "
        + ", ".join(
            f"{share:.2f} at {d:g} ({min(one[i][1] for one in curves[name]):.2f} to "
            f"{max(one[i][1] for one in curves[name]):.2f})"
            for i, (d, share) in enumerate(line)
        )
        for name, line in means.items()
    ]
    return drawn.picture("\n".join([f"{title}; guessing {chance:.3f}.", *told]))


def shares(rows: Mapping[str, Sequence[float]], title: str, chance: float) -> Picture:
    """Shares of right answers as bars: the mean over seeds, lowest and highest behind it."""
    drawn = bars(
        [
            Bar(name, mean(found), f"{mean(found):.0%} ({min(found):.0%} to {max(found):.0%})",
                FILLS[2], chance)
            for name, found in rows.items()
        ],
        title, full=1, marked=f"guessing, {chance:.1%}",
    )  # fmt: skip
    told = [f"{n}: {mean(f):.2f} ({min(f):.2f} to {max(f):.2f})" for n, f in rows.items()]
    return drawn.picture("\n".join([title, *told]))


def receptive_field(stack: str, size: int, n_layer: int, query: int) -> Picture:
    """Which positions a query can know of through the layers, and what that costs.

    Args:
        stack: one of STACKS.
        size: the block, the group and the segment.
    """
    kinds = [STACKS[stack][i % len(STACKS[stack])] for i in range(n_layer)]
    rows = reachable([read_mask(kind, PLACES, size) for kind in kinds], query)
    drawn = Drawing()
    for depth, known in enumerate(rows):
        y = depth * (HIGH + 12)
        layer = n_layer - depth
        name = f"after layer {layer - 1}, {kinds[layer - 1]}" if layer else "the tokens"
        drawn.text(-10, y + 14, name, "end", 12)
        for j in range(PLACES):
            fill = NEW if j == query else READ if known[j] else "none"
            look = {"kind": "known", "thick": 1} if known[j] else {"edge": GREY, "thick": 0.5}
            drawn.rect(j * WIDE, y, WIDE - 2, HIGH, fill, **look)
        if depth < n_layer:
            for j in range(0, PLACES + 1, size):
                drawn.line((j * WIDE - 1, y + HIGH + 1), (j * WIDE - 1, y + HIGH + 11), thick=1)
    foot = n_layer * (HIGH + 12) + HIGH
    for j in range(0, PLACES, 8):
        drawn.text(j * WIDE + WIDE / 2 - 1, foot + 16, str(j), "middle", 12)
    known = int(rows[-1].sum())
    said = f"position {query} can know of {known} of the {query + 1} positions up to itself"
    drawn.head(said, size=13)
    full = n_layer * n_scores("full", COSTED, size)
    cost = sum(n_scores(kind, COSTED, size) for kind in kinds)
    share = [
        Bar("full attention", full, f"{full / 1e6:,.1f} million scores", FILLS[6]),
        Bar(stack, cost, f"{cost / 1e6:,.1f} million, {cost / full:.1%}", FILLS[1]),
    ]
    drawn.text(0, foot + 48, f"scores of one head in all layers, {COSTED:,} positions", bold=True)
    drawn.put(bars(share, full=full, length=420), 120, foot + 58)
    return drawn.picture(
        f"{stack}, size {size}, {n_layer} layers: {said}; lit from the top down: "
        + "; ".join(f"{int(known.sum())}" for known in rows)
        + f". At {COSTED:,} positions {cost:,} scores, {cost / full:.1%} of full attention."
    )
