"""Pictures of lesson 06: one sequence as many examples, the usual loss and the honest loss."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BAR, OTHER_BAR, PAGE
from gpt2course.drawing.curves import Axis, dots
from gpt2course.drawing.matrix import matrix, matrix_text
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, row
from gpt2course.drawing.tokens import word_row, word_width

Losses = Mapping[str, tuple[float, float]]


def training_examples(words: Words) -> Picture:
    """One sequence as a staircase: row i reads the words up to i and predicts the next."""
    drawn, told, last = Drawing(), [], len(words) - 1
    for i in range(last):
        shown = [*words[: i + 1], f"{words[i + 1]} ?", *[""] * (last - i - 1)]
        looks = ["read"] * (i + 1) + ["new"] + ["gone"] * (last - i - 1)
        word_row(drawn, shown, looks, 38 * i, word_width(words))
        read = " ".join(words[: i + 1])
        told.append(f"row {i + 1}: reads “{read}”, predicts “{words[i + 1]}”")
    drawn.head("", "filled: read   ·   thick frame with ?: to predict   ·   dashed: hidden")
    return drawn.picture("; ".join(told))


def two_losses(losses: Losses, floor: float) -> Picture:
    """The usual and the honest loss of each variant, and the floor of every honest loss."""
    rows = {
        name: {kind: (loss, f"{loss:.2f}") for kind, loss in enumerate(both)}
        for name, both in losses.items()
    }
    axis = Axis("loss (nats per token, logarithmic axis)", log=True,
                ticks={0.1: "0.1", 1: "1", 10: "10"})  # fmt: skip
    title = "Too good to be true: a loss left of the line has read the future"
    drawn = dots(rows, axis, ("usual loss", "honest loss"), title, {floor: f"floor, {floor:.2f}"})
    told = [
        f"{name}: usual {usual:.2f}, honest {honest:.2f}"
        for name, (usual, honest) in losses.items()
    ]
    return drawn.picture(f"Loss in nats per token, floor {floor:.2f}. " + "; ".join(told))


def masked_weights(
    variant: str, weights: Float[Tensor, "T T"], words: Words, losses: tuple[float, float],
    floor: float,
) -> Picture:  # fmt: skip
    """What a mask does to the weights, and the two losses of a model trained with it."""
    T = len(words)
    future = torch.ones(T, T, dtype=torch.bool).triu(1) & (weights > 1e-6)
    leak = float((weights * future).sum() / T)
    sums = ", ".join(f"{s:.2f}" for s in weights.sum(-1).tolist())
    said = [
        f"{percent(leak, 0)} of all attention goes to the future (red frames)"
        if leak
        else "no attention goes to the future",
        f"the rows sum to {sums}",
    ]
    left = matrix(weights, words, words, f"weights, {variant}", future, scale=(0.0, 1.0),
                  masked=weights == 0)  # fmt: skip
    right = _two_bars(losses, floor)
    for i, line in enumerate(said):
        right.text(0, right.bottom + 20 + 4 * (not i), line)
    usual, honest = losses
    alt = (
        f"mask: {variant}\n{matrix_text(weights, words, words)}\n{'; '.join(said)}\n"
        f"usual loss {usual:.2f}, honest loss {honest:.2f}, floor {floor:.2f} nats per token"
    )
    return row([left, right]).picture(alt)


def _two_bars(losses: tuple[float, float], floor: float) -> Drawing:
    """Two bars on an axis from 0 to four times the floor."""
    full, length = 4 * floor, 260
    kinds = zip(("usual", "honest"), losses, (BAR, OTHER_BAR), strict=True)
    drawn = bars(
        [Bar(name, min(loss, full), f"{loss:.2f}{'  beyond the axis' * (loss > full)}", fill)
         for name, loss, fill in kinds],
        full=full, length=length,
    )  # fmt: skip
    drawn.line((length / 4, -6), (length / 4, drawn.bottom + 4), stroke=PAGE, dash="4 3")
    drawn.text(length / 4, -11, f"floor {floor:.2f}", "middle", 12)
    note = "nats per token, of the model trained with this mask"
    drawn.text(0, drawn.bottom + 16, note, size=12)
    return drawn
