"""Pictures of lesson 06: one sequence as many examples, the usual loss and the honest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from gpt2course.drawing.colours import BLUE, CURVES, FILLS, ORANGE
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY, READ, ASKED = "#1b1b1b", "#868e96", FILLS[2], FILLS[0]


def training_examples(words: Sequence[str]) -> Picture:
    """One sequence as a staircase: row i reads the words up to i and predicts the next."""
    wide, high = max(map(len, words)) * 9 + 26, 30
    parts, told = [], []
    for i in range(len(words) - 1):
        y = 22 + i * (high + 8)
        for j, word in enumerate(words):
            parts.append(_word_box(10 + j * (wide + 6), y, wide, high, word, i, j))
        read = " ".join(words[: i + 1])
        told.append(f"row {i + 1}: reads “{read}”, predicts “{words[i + 1]}”")
    height = 22 + (len(words) - 1) * (high + 8)
    width = 20 + len(words) * (wide + 6)
    legend = "filled: read   ·   thick frame with ?: to predict   ·   dashed: not there yet"
    svg = (
        f'<svg width="{max(width, 520)}" height="{height}" style="max-width:100%" '
        'font-family="system-ui, sans-serif" font-size="14" aria-hidden="true">'
        f'<text x="10" y="14" font-size="12" fill="currentColor">{legend}</text>'
        f"{''.join(parts)}</svg>"
    )
    return from_svg(svg, "; ".join(told))


def _word_box(x: int, y: int, wide: int, high: int, word: str, i: int, j: int) -> str:
    if j <= i:
        fill, edge, text, ink = READ, f'stroke="{INK}"', word, INK
    elif j == i + 1:
        fill, edge, text, ink = ASKED, f'stroke="{INK}" stroke-width="3"', f"{word} ?", INK
    else:
        fill, edge, text, ink = "none", f'stroke="{GREY}" stroke-dasharray="4 4"', "", INK
    return (
        f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" {edge}/>'
        f'<text x="{x + wide / 2}" y="{y + 20}" text-anchor="middle" fill="{ink}">'
        f"{escape(text)}</text>"
    )


def two_losses(losses: Mapping[str, tuple[float, float]], floor: float) -> Picture:
    """The usual and the honest loss of each variant, and the line that no honest one can cross.

    Args:
        losses: for each variant the usual and the honest loss, in nats per token.
        floor: the least loss that is possible without reading the future, in nats per token.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.5 * len(losses) + 1.4))
    rows = range(len(losses))
    usual, honest = zip(*losses.values(), strict=True)
    axis.hlines(rows, usual, honest, color=GREY, linewidth=3, zorder=1)
    axis.scatter(usual, rows, s=90, marker="o", color=BLUE, label="usual loss", zorder=2)
    axis.scatter(honest, rows, s=90, marker="D", color=ORANGE, label="honest loss", zorder=2)
    for row in rows:
        sides = ((usual[row], -10, "right"), (honest[row], 10, "left"))
        for value, shift, side in sides:
            axis.annotate(f"{value:.2f}", (value, row), xytext=(shift, 0), ha=side, va="center",
                          textcoords="offset points")  # fmt: skip
    axis.axvline(floor, color="black", linestyle="--", label=f"floor, {floor:.2f}")
    axis.set_xscale("log")
    axis.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axis.set_xlim(min(usual) / 2, max(honest) * 2)
    axis.set_ylim(len(losses) - 0.5, -0.5)
    axis.set_yticks(rows, list(losses))
    axis.set_xlabel("loss (nats per token, each step of the axis ten times as much)")
    axis.set_title("Too good to be true: left of the line, the future was read")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    told = [
        f"{name}: usual {usual:.2f}, honest {honest:.2f}"
        for name, (usual, honest) in losses.items()
    ]
    return from_figure(figure, f"Loss in nats per token, floor {floor:.2f}. " + "; ".join(told))


def loss_curves(curves: Mapping[str, Sequence[float]], floor: float) -> Picture:
    """The usual loss of each variant over the training steps, and the honest floor."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.4))
    styles = zip(("-", "--", "-.", ":", (0, (1, 1))), CURVES, strict=False)
    for (variant, curve), (style, colour) in zip(curves.items(), styles, strict=False):
        axis.plot(
            curve, linestyle=style, color=colour, label=f"{variant}, {curve[-1]:.2f} at the end"
        )
    axis.axhline(floor, color="black", linewidth=1, label=f"floor, {floor:.2f}")
    axis.legend(loc="upper right")
    axis.set_xlabel("training step")
    axis.set_ylabel("usual loss (nats per token)")
    axis.set_title("Four of the five fall below what is possible")
    told = [f"{name} ends at {curve[-1]:.2f}" for name, curve in curves.items()]
    return from_figure(
        figure, f"Usual loss over {len(next(iter(curves.values())))} steps: " + ", ".join(told)
    )
