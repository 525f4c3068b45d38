"""Pictures of lesson 09: LayerNorm by hand, the wiring of a block, its numbers through the depth."""

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.colours import (
    ATTENTION_FILL,
    FILLS,
    INK,
    MLP_FILL,
    NEW,
    NORM_FILL,
    ORANGE,
    PAGE,
    READ,
    STREAM,
)
from gpt2course.drawing.curves import Axis, Series, panels, plot, steps
from gpt2course.drawing.matrix import matrix, matrix_text
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, column, row


def norm_steps(numbers_after: Series) -> Picture:
    """The same few numbers after each step of LayerNorm, on one number line for each step."""
    every = [number for numbers in numbers_after.values() for number in numbers]
    low, high = math.floor(min(every)) - 1, math.ceil(max(every)) + 1
    across = Axis("", low, high, ticks={n: str(n) for n in range(low, high + 1)}).fitted([0], 520)
    drawn, told = Drawing(), []
    for i, (name, numbers) in enumerate(numbers_after.items()):
        y = 74 * i
        drawn.text(-16, y + 5, name, "end")
        drawn.line((0, y), (520, y), thick=1)
        across.below(drawn, y)
        drawn.line((across(0), y - 24), (across(0), y), stroke=PAGE, thick=1, dash="3 3")
        for j, number in enumerate(numbers):
            x = across(number)
            close = any(abs(x - across(other)) < 40 for other in numbers[:j])
            drawn.circle(x, y, 8, FILLS[j % len(FILLS)])
            drawn.text(x, y + 4, str(j + 1), "middle", 12, True, INK)
            drawn.text(x, y - (26 if close else 13), f"{number:z.2f}", "middle", 12)
        told.append(f"{name}: " + ", ".join(f"{number:z.2f}" for number in numbers))
    return drawn.picture("\n".join(told))


# How the parts of a block are connected: what the stream passes through, and what the parts read.
WIRINGS = {
    "pre-norm": "x + attn(ln_1(x)), then x + mlp(ln_2(x)): the residual stream bypasses the norms",
    "post-norm": "ln_1(x + attn(x)), then ln_2(x + mlp(x)): the stream goes through each norm",
}
# Of each: pieces of the stream, arrows beside it, additions on it, boxes (x, y, text), words below.
BESIDE, ON = 0, 50
PARTS = {
    "pre-norm": (
        ((22, 276), (300, 624), (648, 752)),
        (((46, 74), (46, 22), (61, 22)), ((136, 22), (151, 22)), ((250, 22), (288, 22), (288, 60)),
         ((348, 74), (348, 22), (363, 22)), ((438, 22), (453, 22)),
         ((552, 22), (636, 22), (636, 60))),
        (288, 636),
        ((62, BESIDE, "ln_1"), (152, BESIDE, "attn"), (364, BESIDE, "ln_2"), (454, BESIDE, "mlp")),
        "the residual stream goes through no norm",
    ),
    "post-norm": (
        ((22, 204), (228, 252), (326, 542), (566, 590), (664, 752)),
        (((46, 74), (46, 22), (89, 22)), ((188, 22), (216, 22), (216, 60)),
         ((368, 74), (368, 22), (413, 22)), ((512, 22), (554, 22), (554, 60))),
        (216, 554),
        ((90, BESIDE, "attn"), (254, ON, "ln_1"), (414, BESIDE, "mlp"), (592, ON, "ln_2")),
        "the residual stream goes through every norm",
    ),
}  # fmt: skip
LOOKS = {"ln": (NORM_FILL, 72), "at": (ATTENTION_FILL, 96), "ml": (MLP_FILL, 96)}  # fill and width


def wiring(*kinds: str) -> Picture:
    """One line for each kind of block: where the norms are, and where the stream passes."""
    lines = []
    for kind in kinds:
        stream, arrows, additions, boxes, said = PARTS[kind]
        drawn = Drawing()
        for start, end in stream:
            drawn.line((start, 74), (end, 74), stroke=STREAM, thick=5)
        for points in arrows:
            drawn.arrow(*points, thick=2)
        for x, y, text in boxes:
            fill, width = LOOKS[text[:2]]
            drawn.box(x, y, width, 46, text, fill, bold=True, rx=6)
        for x in additions:
            drawn.plus(x, 74, 12)
        for x in (0, 766):
            drawn.text(x, 79, "x", bold=True)
        drawn.text(428, 112, said, "middle", 12)
        drawn.head(kind)
        lines.append(drawn)
    return column(lines).picture("\n".join(f"{kind}: {WIRINGS[kind]}" for kind in kinds))


def through_depth(
    quantities: Mapping[str, Series], title: str, first: int = 0, log: bool = False
) -> Picture:
    """Curves over the blocks, in one panel for each quantity, which labels its axis.

    A curve has one number a block, nan where there is none, and begins at block `first`.
    """
    told, plots, alone = [], [], len(quantities) == 1
    for quantity, curves in quantities.items():
        series = {name: steps(curve, first) for name, curve in curves.items()}
        told += [f"{quantity}, {name}: {_told(curve, first)}" for name, curve in curves.items()]
        axes = Axis("blocks passed" if first == 0 else "block"), Axis(quantity, log=log)
        marks = max(map(len, curves.values())) <= 13
        if alone:
            plots.append(plot(series, *axes, title, names={n: n for n in curves}, marks=marks))
        else:
            plots.append(plot(series, *axes, names={}, marks=marks, size=(320, 200)))
    drawn = plots[0] if alone else panels(plots, curves, title, marks)
    return drawn.picture(f"{title}\n" + "\n".join(told))


def _told(curve: Sequence[float], first: int) -> str:
    known = [i for i, value in enumerate(curve) if math.isfinite(value)]
    places = sorted({known[0], known[len(known) // 2], known[-1]})
    return ", ".join(f"{curve[i]:.3g} at {first + i}" for i in places)


def learning_curves(curves: Series, floor: float, guess: float, title: str) -> Picture:
    """The loss (nats per token) of each kind of block over the training steps, as means of ten.

    The levels: the lowest loss possible, and that of knowing only how often each word occurs.
    """
    means = {
        name: [sum(curve[s : s + 10]) / 10 for s in range(0, len(curve) - 9, 10)]
        for name, curve in curves.items()
    }
    series = {name: steps(mean, 5, 10) for name, mean in means.items()}
    names = {name: f"{name}, {mean[-1]:.2f} at the end" for name, mean in means.items()}
    lines = {"guessing by frequency": guess, "floor": floor}
    axes = Axis("training step", 0), Axis("loss (nats per token)")
    told = [
        f"{name}: {mean[0]:.2f} in the first ten steps, {mean[-1]:.2f} in the last"
        for name, mean in means.items()
    ]
    drawn = plot(series, *axes, title, lines, names, marks=True, size=(440, 280))
    levels = f"guessing by frequency {guess:.2f}, floor {floor:.2f}"
    return drawn.picture("\n".join([title, levels, *told]))


def who_moves(
    reads: Float[Tensor, "T S"], changed: int, name: str, outputs: Words, sources: Words
) -> Picture:
    """One input token is changed: which outputs of a block move, and how far; below, all of them.

    Args:
        reads: how far output i moves when input j is changed; the inputs are the words of the
            source, which an encoder may have read, and then the block's own, the outputs.
    """
    inputs, n, moved = [*sources, *outputs], len(sources), reads[:, changed].tolist()
    drawn, lefts = Drawing(), [j * 90 + 16 * (j >= n) for j in range(len(inputs))]
    drawn.text(0, -10, "the other text", size=12, bold=True)
    drawn.text(lefts[n], -10, "the block’s own tokens", size=12, bold=True)
    drawn.text(lefts[n] - 14, 154, "what comes out:", "end", 13, True)
    drawn.text(lefts[n] - 14, 184, "how far it moves:", "end", 12)
    for left, amount in zip(lefts[n:], moved, strict=True):
        if amount > 0:
            start, end = lefts[changed] + 43, left + 43
            bend = (start, 34), (start, 88), (end, 76), (end, 130)
            thick = 1.5 + 5 * amount / max(*moved, 1e-9)
            drawn.line(*bend, stroke=ORANGE, thick=thick, opacity=0.8, curved=True)
    for j, (left, word) in enumerate(zip(lefts, inputs, strict=True)):
        look = {"edge": PAGE, "thick": 4, "bold": True} if j == changed else {}
        drawn.box(left, 0, 86, 34, word + " ✎" * (j == changed), READ, rx=5, **look)
    for left, word, amount in zip(lefts[n:], outputs, moved, strict=True):
        drawn.box(left, 132, 86, 34, word, NEW if amount > 0 else "none", rx=5)
        said = f"{amount:.2f}" if amount > 0 else "stays"
        drawn.text(left + 43, 184, said, "middle", 12)
    shown = [f"{w} moves by {a:.2f}" for w, a in zip(outputs, moved, strict=True) if a > 0]
    stays = [w for w, a in zip(outputs, moved, strict=True) if not a > 0]
    alt = f"{name}: changed is {inputs[changed]!r}, input {changed + 1} of {len(inputs)}. "
    alt += "; ".join(shown or ["nothing moves"]) + (f"; unmoved: {', '.join(stays)}" * bool(stays))
    title = f"{name}: ✓ = the output (row) moves with the input (column)"
    both = column([drawn, row([matrix(reads > 0, outputs, inputs, title)])], gap=24)
    return both.picture(f"{alt}\n{title}\n{matrix_text(reads > 0, outputs, inputs)}")
