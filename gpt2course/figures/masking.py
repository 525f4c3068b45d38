"""Pictures of lesson 06: one sequence as many examples, and the usual loss beside the honest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from gpt2course.figures.colours import FILLS
from gpt2course.figures.picture import Picture, from_figure, from_svg

INK, READ, ASKED = "#1b1b1b", FILLS[2], FILLS[0]


def training_examples(words: Sequence[str]) -> Picture:
    """One sequence as a staircase: in row i the words up to i are read and the next is predicted."""
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
        fill, edge, text, ink = "none", 'stroke="#868e96" stroke-dasharray="4 4"', "", INK
    return (
        f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" {edge}/>'
        f'<text x="{x + wide / 2}" y="{y + 20}" text-anchor="middle" fill="{ink}">{escape(text)}</text>'
    )


def two_losses(losses: Mapping[str, tuple[float, float]], floor: float) -> Picture:
    """The usual and the honest loss of each variant, and the line that no honest one can cross.

    Args:
        losses: for each variant the usual and the honest loss, in nats per token.
        floor: the least loss that is possible without reading the future, in nats per token.
    """
    import matplotlib.pyplot as plt

    most = 4 * floor
    figure, axis = plt.subplots(figsize=(8, 0.75 * len(losses) + 1.3))
    for row, (variant, (usual, honest)) in enumerate(losses.items()):
        _bar(axis, row - 0.19, usual, most, "#1c7ed6", "", "usual" if row == 0 else None)
        _bar(axis, row + 0.19, honest, most, "#ffa94d", "//", "honest" if row == 0 else None)
    axis.axvline(floor, color="black", linestyle="--", label=f"floor, {floor:.3f}")
    axis.set_yticks(range(len(losses)), list(losses))
    axis.invert_yaxis()
    axis.set_xlim(0, most * 1.12)
    axis.set_xlabel("loss (nats per token)")
    axis.set_title("Too good to be true: left of the line, the future was read")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    told = [f"{name}: usual {usual:.2f}, honest {honest:.2f}" for name, (usual, honest) in losses.items()]
    return from_figure(figure, f"Loss in nats per token, floor {floor:.2f}. " + "; ".join(told))


def _bar(axis, y: float, value: float, most: float, colour: str, hatch: str, label: str | None):
    axis.barh(y, min(value, most), 0.36, color=colour, hatch=hatch, edgecolor="white", label=label)
    text = f" {value:.2f}" + (" (beyond the axis)" if value > most else "")
    inside = value > most
    axis.text(min(value, most), y, text, va="center", ha="right" if inside else "left",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1} if inside else None)  # fmt: skip


def loss_curves(curves: Mapping[str, Sequence[float]], floor: float) -> Picture:
    """The usual loss of each variant over the training steps, and the honest floor."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.4))
    for (variant, curve), style in zip(curves.items(), ("-", "--", "-.", ":", (0, (1, 1))), strict=False):
        axis.plot(curve, linestyle=style, label=f"{variant}, {curve[-1]:.2f} at the end")
    axis.axhline(floor, color="black", linewidth=1, label=f"floor, {floor:.2f}")
    axis.legend(loc="upper right")
    axis.set_xlabel("training step")
    axis.set_ylabel("usual loss (nats per token)")
    axis.set_title("Four of the five fall below what is possible")
    told = [f"{name} ends at {curve[-1]:.2f}" for name, curve in curves.items()]
    return from_figure(figure, f"Usual loss over {len(next(iter(curves.values())))} steps: " + ", ".join(told))
