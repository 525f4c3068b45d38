"""Pictures of lesson 13: shifted rows, curves over the steps, a model at five moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor, nn

from gpt2course.drawing.colours import FILLS
from gpt2course.drawing.matrix import matrix_svg, matrix_text
from gpt2course.drawing.picture import Picture, from_svg
from gpt2course.tokenizer import Tokenizer

INK, GREY = "#1b1b1b", "#868e96"
# Seen on white and on black; every curve also has dashes of its own and its name at its end.
COLOURS = ("#1c7ed6", "#e8590c", "#2f9e44", "#ae3ec9", "#c2255c", "#868e96")
DASHES = ("", "7 4", "2 4", "9 3 2 3", "12 5", "4 2")

# One row and its targets --------------------------------------------------------------------------


def shifted(words: Sequence[str], start: int, n_ctx: int) -> Picture:
    """A text, and cut out of it one row of inputs with the row of its targets one place later.

    Args:
        words: the text, a word for each token.
        start: where the inputs begin.
        n_ctx: how many inputs there are.
    """
    wide, high, left = max(map(len, words)) * 9 + 18, 30, 76
    rows = (("text", 0, len(words), "none"), ("inputs", start, n_ctx, FILLS[2]))
    rows += (("targets", start + 1, n_ctx, FILLS[0]),)
    parts = []
    for i, (name, begin, n, fill) in enumerate(rows):
        y = 26 + i * (high + 14)
        parts.append(_text(left - 10, y + 20, name, "end", weight=600))
        for j in range(begin, begin + n):
            x = left + j * (wide + 6)
            ink = "currentColor" if fill == "none" else INK
            parts.append(
                f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" '
                f'stroke="currentColor"/>{_text(x + wide / 2, y + 20, words[j], fill=ink)}'
            )
    for j in range(len(words)):
        parts.append(_text(left + j * (wide + 6) + wide / 2, 16, str(j), size=11))
    for t in range(n_ctx):  # a target stands one column to the right of its input
        x, y = left + (start + t) * (wide + 6), 26 + high + 14
        parts.append(
            f'<path d="M{x + wide * 0.75:.1f} {y + high}L{x + wide + 6 + wide * 0.25:.1f} '
            f'{y + high + 13}" stroke="currentColor" stroke-width="1.5"/>'
        )
    told = [f"“{words[start + t]}” → “{words[start + t + 1]}”" for t in range(n_ctx)]
    alt = f"start {start}, {n_ctx} inputs and their targets: {', '.join(told)}"
    return from_svg(_svg(left + len(words) * (wide + 6) + 8, 26 + 3 * (high + 14), parts), alt)


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" font-family="system-ui, sans-serif" font-size="13" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


# Curves -------------------------------------------------------------------------------------------

Curve = Sequence[tuple[float, float]]  # pairs of step and value
PLOT_WIDTH, PLOT_HEIGHT, LEFT, TOP = 460, 210, 78, 30


@dataclass(frozen=True)
class Axes:
    """From values to pixels."""

    x_end: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return LEFT + value / self.x_end * PLOT_WIDTH

    def y(self, value: float) -> float:
        """What lies outside of the axes is drawn at their edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return TOP + (1 - share) * PLOT_HEIGHT


def curves(
    series: Mapping[str, Curve],
    title: str,
    y_label: str,
    lines: Mapping[str, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_label: str = "training step",
    decimals: int = 2,
) -> Picture:
    """Curves over the training steps, each with its name and last value at its end.

    Args:
        series: pairs (step, value) by name. nan and infinite values are left out.
        lines: values for horizontal dashed lines, by name.
        y_range: what the vertical axis shows; by default all values and lines, from 0 on where
            none lies below.
        decimals: of the values at the ends.
    """
    lines = dict(lines or {})
    series = {name: _finite(curve) for name, curve in series.items()}
    values = [y for curve in series.values() for _, y in curve] + list(lines.values())
    low, high = y_range or (min(0.0, *values), max(values) * 1.05 or 1.0)
    axes = Axes(max(x for curve in series.values() for x, _ in curve) or 1, low, high)
    parts = [_text(LEFT, 16, title, "start", 14, 600), *_frame(axes, x_label, y_label)]
    for value in lines.values():
        y = axes.y(value)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="currentColor" stroke-dasharray="3 3"/>'
        )
    for i, curve in enumerate(series.values()):
        points = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in _thinned(curve))
        dash = f'stroke-dasharray="{DASHES[i % 6]}"' if DASHES[i % 6] else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[i % 6]}" '
            f'stroke-width="2" {dash}/>'
        )
    ends = {
        f"{n}, {c[-1][1]:.{decimals}f}": (c[-1][1], i) for i, (n, c) in enumerate(series.items())
    }
    ends |= {f"{name}, {value:.{decimals}f}": (value, None) for name, value in lines.items()}
    parts += _names(ends, axes)
    width = LEFT + PLOT_WIDTH + 34 + 7.2 * max(map(len, ends))
    alt = f"{title}. {y_label} by {x_label}: " + "; ".join(
        [_told(name, curve, decimals) for name, curve in series.items()]
        + [f"dashed line {name} at {value:.{decimals}f}" for name, value in lines.items()]
    )
    return from_svg(_svg(width, TOP + PLOT_HEIGHT + 46, parts), alt)


def _finite(curve: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in curve if math.isfinite(y)]


def _told(name: str, curve: Curve, decimals: int) -> str:
    """A curve in words: where it begins, where it ends, and its extremes in between."""
    values = [y for _, y in curve]
    said = f"{name} from {values[0]:.{decimals}f} to {values[-1]:.{decimals}f}"
    lowest, highest = min(values), max(values)
    if lowest < min(values[0], values[-1]):
        said += f", lowest {lowest:.{decimals}f} at {curve[values.index(lowest)][0]:g}"
    if highest > max(values[0], values[-1]):
        said += f", highest {highest:.{decimals}f} at {curve[values.index(highest)][0]:g}"
    return said


def _thinned(curve: Curve, most: int = 400) -> list[tuple[float, float]]:
    """Means of neighbours where there are more points than pixels to tell them apart."""
    if len(curve) <= most:
        return list(curve)
    n = math.ceil(len(curve) / most)
    groups = [curve[i : i + n] for i in range(0, len(curve), n)]
    return [(group[0][0], sum(y for _, y in group) / len(group)) for group in groups]


def _frame(axes: Axes, x_label: str, y_label: str) -> list[str]:
    bottom = TOP + PLOT_HEIGHT
    parts = [
        f'<path d="M{LEFT} {TOP}V{bottom}H{LEFT + PLOT_WIDTH}" fill="none" stroke="currentColor"/>',
        _text(LEFT + PLOT_WIDTH / 2, bottom + 38, x_label, size=12),
        f'<g transform="translate(14 {TOP + PLOT_HEIGHT / 2}) rotate(-90)">'
        f"{_text(0, 0, y_label, size=12)}</g>",
    ]
    for value in _ticks(0, axes.x_end):
        x = axes.x(value)
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="currentColor"/>')
        parts.append(_text(x, bottom + 19, f"{value:,g}", size=11))
    for value in _ticks(axes.low, axes.high):
        y = axes.y(value)
        parts.append(
            f'<path d="M{LEFT - 5} {y:.1f}h5" stroke="currentColor"/>'
            f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="{GREY}" stroke-opacity="0.25"/>'
        )
        parts.append(_text(LEFT - 9, y + 4, f"{value:g}", "end", 11))
    return parts


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _names(ends: Mapping[str, tuple[float, int | None]], axes: Axes) -> list[str]:
    """The names at the right, moved apart where they would lie over one another."""
    places = sorted(((axes.y(value), name, i) for name, (value, i) in ends.items()))
    gap, ys = 17.0, [y for y, _, _ in places]
    for j in range(1, len(ys)):
        ys[j] = max(ys[j], ys[j - 1] + gap)
    over = max(0.0, ys[-1] - (TOP + PLOT_HEIGHT + 4))
    ys[-1] -= over
    for j in range(len(ys) - 2, -1, -1):
        ys[j] = min(ys[j], ys[j + 1] - gap)
    parts, x = [], LEFT + PLOT_WIDTH
    for y, (at, name, i) in zip(ys, places, strict=True):
        colour = "currentColor" if i is None else COLOURS[i % 6]
        dash = "3 3" if i is None else DASHES[i % 6]
        parts.append(
            f'<path d="M{x + 2} {at:.1f}L{x + 9} {y:.1f}H{x + 26}" fill="none" stroke="{colour}" '
            f'stroke-width="2" stroke-dasharray="{dash or "none"}"/>'
        )
        parts.append(_text(x + 31, y + 4, name, "start", 12))
    return parts


def stacked(*pictures: Picture) -> Picture:
    """Several pictures below each other; the steps of curves stand over the same steps."""
    html = "".join(f"<div>{picture.html}</div>" for picture in pictures)
    return Picture(f"<div>{html}</div>", "\n".join(picture.alt for picture in pictures))


# A model at five moments --------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """What a model in training can do after some steps.

    Attributes:
        step: how often its weights were moved.
        loss: nats per token on held-out text.
        sample: a text that it writes.
        likeliest: the words that it would say next after the question, with their probabilities.
        weights: from *it* to its noun, for every layer and head, (L, nh).
    """

    step: int
    loss: float
    sample: str
    likeliest: Sequence[tuple[str, float]]
    weights: Tensor


@torch.no_grad()
def moment_of(
    model: nn.Module,
    tokenizer: Tokenizer,
    generate: Callable[..., Tensor],
    question: str,
    step: int,
    loss: float,
    weights: Tensor,
) -> Moment:
    """Let the model write a text and answer the question.

    Args:
        generate: as in the exercise of that name.
        question: a text that breaks off before a word.
        step, loss, weights: as in Moment.
    """
    start = [tokenizer.end_of_text]
    scores = model(torch.tensor([start + tokenizer.encode(question)]))[0, -1]
    best, ids = scores.softmax(dim=-1).topk(5)
    words = [tokenizer.decode([token_id]).strip() for token_id in ids.tolist()]
    dice = torch.Generator().manual_seed(3)
    written = generate(model, torch.tensor([start]), SAMPLE_LENGTH, 0.8, 40, dice)[0, 1:].tolist()
    likeliest = list(zip(words, best.tolist(), strict=True))
    return Moment(step, loss, tokenizer.decode(written), likeliest, weights)


SAMPLE_LENGTH = 60  # tokens


def moment_picture(moment: Moment, question: str, right: Sequence[str]) -> Picture:
    """What the model writes, what it says after the question, and which head looks at the noun.

    Args:
        question: a text that breaks off before a word.
        right: the words that would be right there; they carry a check mark.
    """
    L, nh = moment.weights.shape
    layers, heads = [f"layer {i}" for i in range(L)], [f"head {i}" for i in range(nh)]
    heading = f"after {moment.step:,} steps: held-out loss {moment.loss:.2f} nats per token"
    title = "weight from it to its noun"
    bars = _bars(moment.likeliest, right)
    html = (
        f'<div style="font-weight:600">{escape(heading)}</div>'
        '<div style="max-width:820px;margin:6px 0;padding:8px 12px;border-left:3px solid '
        f'{COLOURS[0]};line-height:1.5">{escape(moment.sample)}</div>'
        '<div style="display:flex;gap:36px;flex-wrap:wrap;align-items:flex-start">'
        f'<div><div style="max-width:430px">“{escape(question)} …”</div>{bars}</div>'
        f"<div>{matrix_svg(moment.weights, layers, heads, title, scale=(0.0, 1.0))}</div></div>"
    )
    said = ", ".join(f"{_mark(word, right)}{word} {p:.0%}" for word, p in moment.likeliest)
    alt = (
        f"{heading}\nIt writes: {moment.sample}\n“{question} …”: {said}\n"
        f"{title}\n{matrix_text(moment.weights, layers, heads)}"
    )
    return Picture(f'<div role="figure" aria-label="{escape(alt)}">{html}</div>', alt)


def _mark(word: str, right: Sequence[str]) -> str:
    return "✓ " if word in right else ""


def _bars(likeliest: Sequence[tuple[str, float]], right: Sequence[str]) -> str:
    parts = []
    for i, (word, probability) in enumerate(likeliest):
        y, width = 4 + i * 24, 200 * probability
        fill = FILLS[1] if word in right else FILLS[2]
        parts.append(_text(118, y + 14, f"{_mark(word, right)}{word}", "end"))
        parts.append(
            f'<rect x="124" y="{y}" width="{max(width, 1):.1f}" height="18" fill="{fill}" '
            'stroke="currentColor" stroke-width="0.5"/>'
        )
        parts.append(_text(130 + width, y + 14, f"{probability:.0%}".replace("%", " %"), "start"))
    return _svg(390, 6 + 24 * len(likeliest), parts)
