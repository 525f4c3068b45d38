"""Pictures of lesson 18: what is trained, what it costs, what it brings, and what is forgotten."""

from collections.abc import Mapping, Sequence
from statistics import mean

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import CURVES, FILLS, NEW, PAGE
from gpt2course.drawing.curves import Axis, key, plot
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, column, row

FROZEN, TRAINED = FILLS[2], NEW
ADAM = 4  # numbers held for each one that is trained: itself, its gradient, m and v
Accuracies = Mapping[str, Mapping[int, Sequence[float]]]  # way, number of examples, seeds


def learning_curves(
    found: Accuracies, chance: float, title: str, y_label: str = "right answers"
) -> Picture:
    """Accuracy over the number of examples: the mean of the seeds, and a line from worst to best.

    Args:
        found: for each way and number of examples the accuracy with every seed.
        chance: what guessing gives.
    """
    sizes = [*next(iter(found.values()))]
    ticks = {size: f"{size:,}" for size in sizes}
    x = Axis("examples to learn from", min(sizes) / 1.4, max(sizes) * 1.4, True, ticks)
    y = Axis(y_label, 0, 1.05, ticks={v / 4: f"{v * 25}%" for v in range(5)})
    size = (520, 260)
    means = {way: [(n, mean(seeds)) for n, seeds in by.items()] for way, by in found.items()}
    drawn = plot(means, x, y, "", {"guessing": chance}, {}, marks=True, size=size)
    x, y = x.fitted(sizes, size[0], 0), y.fitted([0, 1], size[1])
    for i, by in enumerate(found.values()):
        for n, seeds in by.items():
            at = x(n) + 5 * (i - (len(found) - 1) / 2)  # side by side, not over one another
            ends = (at, size[1] - y(min(seeds))), (at, size[1] - y(max(seeds)))
            drawn.line(*ends, stroke=CURVES[i % 6], thick=3, kind="spread")
    drawn = column([key(found, marks=True), drawn], gap=10)
    drawn.head(title)
    told = [
        f"{way}: "
        + ", ".join(
            f"{n:,} examples {mean(seeds):.0%} ({min(seeds):.0%} to {max(seeds):.0%})"
            for n, seeds in by.items()
        )
        for way, by in found.items()
    ]
    return drawn.picture("\n".join([f"{title}. Guessing gives {chance:.0%}.", *told]))


def two_thin_matrices(n_out: int, n_in: int, rank: int) -> Picture:
    """A matrix and its low-rank update, drawn to scale, each with the numbers that it holds."""
    unit = 200 / max(n_out, n_in)
    shapes = {"W, frozen": (n_out, n_in), "B": (n_out, rank), "A": (rank, n_in)}
    parts, told = [], []
    for name, (rows, columns) in shapes.items():
        one, (wide, high) = Drawing(), (columns * unit, rows * unit)
        fill = FROZEN if name.startswith("W") else TRAINED
        one.rect(0, 0, max(wide, 3), max(high, 3), fill, PAGE, 1)
        one.text(0, -26, name, bold=True)
        one.text(0, -8, f"({rows}, {columns})", size=12)
        one.text(0, max(high, 3) + 18, f"{rows * columns:,} numbers", size=12)
        one.room((110, 0), (110, 1))
        parts.append(one)
        told.append(f"{name}: {rows} × {columns} = {rows * columns:,} numbers")
    share = rank * (n_out + n_in) / (n_out * n_in)
    title = f"B · A has the shape of W and is made of {share:.1%} of its numbers"
    drawn = row(parts, gap=26)
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))


def what_is_trained(trained: Mapping[str, int], title: str) -> Picture:
    """For each way the numbers that are trained, and the bytes that this takes in training."""
    rows, told = [], []
    for way, count in trained.items():
        said = f"{count:,} numbers, {ADAM * 4 * count / 1e6:.1f} MB with gradient, m and v"
        rows.append(Bar(way, count, said, TRAINED))
        told.append(f"{way}: {said}")
    return bars(rows, title, length=240).picture(f"{title}. " + "; ".join(told))


def forgetting(losses: Mapping[str, float], before: float, title: str) -> Picture:
    """The loss on the old task for each way, with a mark at the loss before fine-tuning."""
    rows = [
        Bar(way, loss, f"{loss:.2f} ({loss - before:+.2f})", FROZEN, before)
        for way, loss in losses.items()
    ]
    told = [f"{one.label} {one.said}" for one in rows]
    drawn = bars(rows, title, length=300, marked=f"before fine-tuning, {before:.2f} nats per token")
    return drawn.picture(f"{title}. Before: {before:.2f} nats per token. " + "; ".join(told))


def answers_side_by_side(text: str, found: Mapping[str, Sequence[tuple[str, float]]]) -> Picture:
    """The likeliest next tokens after a text, for each model beside the others."""
    drawn, told = [], []
    for name, words in found.items():
        rows = [Bar(word, p, f"{p:.0%}") for word, p in words]
        drawn.append(bars(rows, name, full=1, length=110))
        told.append(f"{name}: " + ", ".join(f"{word} {p:.0%}" for word, p in words))
    shown = row(drawn, gap=30)
    shown.head(f"after “{text}”")
    return shown.picture(f"after “{text}”: " + "; ".join(told))
