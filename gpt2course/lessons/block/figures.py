"""Pictures of lesson 09: norming by hand, the wiring of a block, what happens through the depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.colours import CURVES, FILLS
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY = "#1b1b1b", "#868e96"
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P")


def norm_steps(steps: Mapping[str, Sequence[float]]) -> Picture:
    """The same few numbers on one number line for each step of a norm.

    Args:
        steps: the numbers after each step, in their order, under what the step is called.
    """
    every = [number for numbers in steps.values() for number in numbers]
    low, high = math.floor(min(every)) - 1, math.ceil(max(every)) + 1
    unit, left, apart = 520 / (high - low), 190, 74
    parts, told = [], []
    for i, (name, numbers) in enumerate(steps.items()):
        y = 42 + i * apart
        parts.append(_text(left - 16, y + 5, name, "end"))
        parts.append(f'<path d="M{left} {y}H{left + 520}" stroke="{GREY}"/>')
        for tick in range(low, high + 1):
            x = left + (tick - low) * unit
            parts.append(f'<path d="M{x:.1f} {y - 4}V{y + 4}" stroke="{GREY}"/>')
            parts.append(_text(x, y + 19, str(tick), size=11))
        zero = left - low * unit
        parts.append(
            f'<path d="M{zero:.1f} {y - 24}V{y + 6}" stroke="currentColor" stroke-dasharray="3 3"/>'
        )
        for j, number in enumerate(numbers):
            x = left + (number - low) * unit
            close = any(abs(number - other) * unit < 40 for other in numbers[:j])
            above = 26 if close else 13
            fill = FILLS[j % len(FILLS)]
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y}" r="8" fill="{fill}" stroke="{INK}"/>'
                + _text(x, y + 4, str(j + 1), size=11, weight=700, fill=INK)
                + _text(x, y - above, f"{number:z.2f}", size=12)
            )
        told.append(f"{name}: " + ", ".join(f"{number:z.2f}" for number in numbers))
    height = 42 + len(steps) * apart - 44
    return from_svg(_svg(left + 550, height, parts), "\n".join(told))


# How the parts of a block hang together: what the stream passes through, and what the parts read.
WIRINGS = {
    "pre-norm": "x + attn(ln_1(x)), then x + mlp(ln_2(x)): the stream runs through untouched",
    "post-norm": "ln_1(x + attn(x)), then ln_2(x + mlp(x)): each norm takes in the whole stream",
}


def wiring(*kinds: str) -> Picture:
    """One line for each kind of block: where the norms stand, and where the stream passes.

    Args:
        kinds: "pre-norm", "post-norm".
    """
    parts = [
        '<defs><marker id="gpt2course-block-tip" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" '
        f'fill="{GREY}"/></marker></defs>'
    ]
    for i, kind in enumerate(kinds):
        draw = {"pre-norm": _pre_norm, "post-norm": _post_norm}[kind]
        inside = "".join([_text(14, 26, kind, "start", 15, 700), *draw()])
        parts.append(f'<g transform="translate(0 {i * 160})">{inside}</g>')
    told = "\n".join(f"{kind}: {WIRINGS[kind]}" for kind in kinds)
    return from_svg(_svg(830, 160 * len(kinds), parts), told)


def _pre_norm() -> list[str]:
    return [
        _stream("M46 112H300"), _stream("M324 112H648"), _stream("M672 112H776"),
        _arrow("M70 112V60H84"), _arrow("M160 60H174"), _arrow("M274 60H312V98"),
        _arrow("M372 112V60H386"), _arrow("M462 60H476"), _arrow("M576 60H660V98"),
        _box(86, "ln_1", FILLS[4], 72), _box(176, "attn", FILLS[0], 96), _plus(312, 112),
        _box(388, "ln_2", FILLS[4], 72), _box(478, "mlp", FILLS[1], 96), _plus(660, 112),
        _text(24, 117, "x", weight=700), _text(798, 117, "x", weight=700),
        _text(504, 132, "the residual stream: nothing stands in its way", size=12),
    ]  # fmt: skip


def _post_norm() -> list[str]:
    on_stream = 88
    return [
        _stream("M46 112H228"), _stream("M252 112H276"), _stream("M350 112H566"),
        _stream("M590 112H614"), _stream("M688 112H776"),
        _arrow("M70 112V60H112"), _arrow("M212 60H240V98"),
        _arrow("M392 112V60H436"), _arrow("M536 60H578V98"),
        _box(114, "attn", FILLS[0], 96), _plus(240, 112),
        _box(278, "ln_1", FILLS[4], 72, on_stream),
        _box(438, "mlp", FILLS[1], 96), _plus(578, 112),
        _box(616, "ln_2", FILLS[4], 72, on_stream),
        _text(24, 117, "x", weight=700), _text(798, 117, "x", weight=700),
        _text(452, 152, "the stream goes through every norm", size=12),
    ]  # fmt: skip


def through_depth(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    first: int = 0,
    log: bool = False,
) -> Picture:
    """Curves over the number of the block, in one panel for each quantity.

    Args:
        panels: for each quantity (it labels the axis) the curves by name, one number a block;
            nan where there is none.
        first: the number of the first block; 0 where a curve begins before the first one.
        log: each step of the vertical axis is ten times as much.
    """
    import matplotlib.pyplot as plt

    wide = 8 if len(panels) == 1 else 11
    figure, axes = plt.subplots(1, len(panels), figsize=(wide, 3.6), squeeze=False)
    told = []
    for axis, (quantity, curves) in zip(axes[0], panels.items(), strict=True):
        longest = max(map(len, curves.values()))
        for i, (name, curve) in enumerate(curves.items()):
            axis.plot(
                range(first, first + len(curve)), curve, linestyle=STYLES[i % 6],
                color=CURVES[i % 6], marker=MARKERS[i % 6], markersize=4.5,
                markevery=max(1, longest // 12), label=name,
            )  # fmt: skip
            told.append(f"{quantity}, {name}: {_told(curve, first)}")
        if log:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.set_xlabel("blocks passed" if first == 0 else "block")
        axis.set_ylabel(quantity)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=9)
    figure.suptitle(title)
    figure.tight_layout()
    return from_figure(figure, f"{title}\n" + "\n".join(told))


def _told(curve: Sequence[float], first: int) -> str:
    known = [i for i, value in enumerate(curve) if math.isfinite(value)]
    places = sorted({known[0], known[len(known) // 2], known[-1]})
    return ", ".join(f"{curve[i]:.3g} at {first + i}" for i in places)


def learning_curves(
    curves: Mapping[str, Sequence[float]], floor: float, guess: float, title: str
) -> Picture:
    """The loss of each kind of block over the training steps, as the mean of ten steps.

    Args:
        curves: the loss at every step, in nats per token.
        floor: the least loss that is possible.
        guess: the loss of someone who knows how often each word occurs, and nothing else.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.8))
    told = []
    for i, (name, curve) in enumerate(curves.items()):
        means = [sum(curve[s : s + 10]) / 10 for s in range(0, len(curve) - 9, 10)]
        axis.plot(
            range(5, 5 + 10 * len(means), 10), means, linestyle=STYLES[i % 6],
            color=CURVES[i % 6], marker=MARKERS[i % 6], markersize=5,
            label=f"{name}, {means[-1]:.2f} at the end",
        )  # fmt: skip
        told.append(f"{name}: {means[0]:.2f} in the first ten steps, {means[-1]:.2f} in the last")
    axis.axhline(guess, color=GREY, linewidth=1, label=f"guessing by frequency, {guess:.2f}")
    axis.axhline(floor, color="black", linewidth=1, linestyle="--", label=f"floor, {floor:.2f}")
    axis.set_xlabel("training step")
    axis.set_ylabel("loss (nats per token)")
    axis.set_title(title)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    lines = f"guessing by frequency {guess:.2f}, floor {floor:.2f}"
    return from_figure(figure, f"{title}\n{lines}\n" + "\n".join(told))


def who_moves(
    reads: Float[Tensor, "T S"],
    changed: int,
    name: str,
    outputs: Sequence[str],
    sources: Sequence[str],
) -> Picture:
    """One input word is changed: which results of a block move, and how far.

    Args:
        reads: how far result i moves when input j is changed; inputs are the source, then the own
            words, which are the outputs' own.
        changed: the input that is changed.
        outputs: the block's own words, one for each result.
        sources: the words of the other text, which an encoder may have read.
    """
    inputs, wide, high, top = [*sources, *outputs], 92, 34, 42
    gap, n = 28, len(sources)

    def x_of(j: int) -> float:
        return 12 + j * (wide + 6) + gap * (j >= n)

    moved = reads[:, changed].tolist()
    parts = [
        _text(x_of(0), 20, "the other text", "start", 12, 600),
        _text(x_of(n), 20, "the block's own words", "start", 12, 600),
        _text(x_of(n) - 14, 196, "what comes out:", "end", 13, 600),
    ]
    for i, amount in enumerate(moved):
        if amount > 0:
            x1, x2 = x_of(changed) + wide / 2, x_of(n + i) + wide / 2
            width = 1.5 + 5 * amount / max(*moved, 1e-9)
            parts.append(
                f'<path d="M{x1:.1f} {top + high}C{x1:.1f} 130 {x2:.1f} 118 {x2:.1f} 172" '
                f'fill="none" stroke="#e8590c" stroke-width="{width:.1f}" stroke-opacity=".8"/>'
            )
    for j, word in enumerate(inputs):
        parts.append(_word(x_of(j), top, wide, high, word, FILLS[2], j == changed))
    for i, (word, amount) in enumerate(zip(outputs, moved, strict=True)):
        fill = FILLS[0] if amount > 0 else "#f1f3f5"
        parts.append(_word(x_of(n + i), 174, wide, high, word, fill, False))
        said = f"moves by {amount:.2f}" if amount > 0 else "stays"
        parts.append(_text(x_of(n + i) + wide / 2, 226, said, size=12))
    shown = [f"{w} moves by {a:.2f}" for w, a in zip(outputs, moved, strict=True) if a > 0]
    stays = [w for w, a in zip(outputs, moved, strict=True) if not a > 0]
    alt = f"{name}: changed is {inputs[changed]!r}, input {changed + 1} of {len(inputs)}. "
    alt += "; ".join(shown or ["nothing moves"]) + (f"; unmoved: {', '.join(stays)}" * bool(stays))
    return from_svg(_svg(x_of(len(inputs)) + 10, 236, parts), alt)


def _word(x: float, y: float, wide: float, high: float, word: str, fill: str, thick: bool) -> str:
    edge = f'stroke="{INK}" stroke-width="{4 if thick else 1}"'
    marked = f"{word} ✎" if thick else word
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" {edge}/>'
        + _text(x + wide / 2, y + 22, marked, weight=700 if thick else 400, fill=INK)
    )


def _stream(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#1c7ed6" stroke-width="5"/>'


def _arrow(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="2" '
        'marker-end="url(#gpt2course-block-tip)"/>'
    )


def _box(x: float, label: str, fill: str, width: float, y: float = 38) -> str:
    height = 44 if y < 60 else 48
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" '
        f'stroke="{INK}"/>'
        + _text(x + width / 2, y + height / 2 + 5, label, weight=600, fill=INK)
    )  # fmt: skip


def _plus(x: float, y: float) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="12" fill="#ffffff" stroke="{INK}" stroke-width="1.5"/>'
        + _text(x, y + 6, "+", size=18, weight=700, fill=INK)
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )
