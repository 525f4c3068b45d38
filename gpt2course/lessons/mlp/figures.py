"""Pictures of lesson 08: hidden units, the bend and its two forms, where the parameters are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.colours import BLUE, FILLS, GREEN, ORANGE, PURPLE
from gpt2course.drawing.matrix import matrix_svg, matrix_text, value_range
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY = "#1b1b1b", "#868e96"
SIDE = 300  # a drawn plane or chart, in pixels

Function = Callable[[Tensor], Tensor]


def unit_plane(
    points: Mapping[str, tuple[float, float]],
    direction: tuple[float, float],
    bias: float,
    axes: tuple[str, str],
) -> Picture:
    """Where one hidden unit's answer is above 0: words as points, that side of its line hatched.

    Args:
        points: a place with coordinates from 0 to 1 for each word.
        direction, bias: the unit's answer is direction · place + bias.
        axes: what the two coordinates say.
    """
    unit, left, floor = 180, 96, SIDE + 6

    def at(x: float, y: float) -> tuple[float, float]:
        return left + unit * x, floor - unit * y

    side = " ".join(
        f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in _half_plane(direction, bias, -0.22, 1.28))
    )
    corners = _half_plane(direction, bias, -0.22, 1.28)
    border = [p for p in corners if abs(direction[0] * p[0] + direction[1] * p[1] + bias) < 1e-9]
    parts = [
        '<defs><pattern id="gpt2course-unit" width="8" height="8" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="8" height="8" fill="{FILLS[4]}"/>'
        f'<path d="M0 0V8" stroke="{GREY}" stroke-width="2"/></pattern></defs>',
        f'<polygon points="{side}" fill="url(#gpt2course-unit)" stroke="none"/>',
    ]
    if len(border) == 2:
        (x0, y0), (x1, y1) = at(*border[0]), at(*border[1])
        parts.append(
            f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{ORANGE}" stroke-width="3"/>'
        )
    (x0, y0), (x1, _), (_, y1) = at(0, 0), at(1.25, 0), at(0, 1.25)
    parts.append(f'<path d="M{x0} {y0}H{x1}M{x0} {y0}V{y1}" stroke="{GREY}" fill="none"/>')
    parts.append(_text(x1 + 6, y0 + 4, f"{axes[0]} →", "start", 12))
    parts.append(_text(x0 - 10, y1 + 8, f"↑ {axes[1]}", "end", 12))
    told = []
    for word, (x, y) in points.items():
        answer = direction[0] * x + direction[1] * y + bias
        px, py = at(x, y)
        shown = f"{word}: {answer:+.1f}"
        parts.append(f'<circle cx="{px}" cy="{py}" r="7" fill="{FILLS[2]}" stroke="{INK}"/>')
        parts.append(_box(px - 56, py + 11, 112, 19, "#ffffff", GREY))
        parts.append(_text(px, py + 25, shown, fill=INK, weight=700 if answer > 0 else 400))
        told.append(f"{shown}, {'inside' if answer > 0 else 'outside'}")
    title = "hatched: where the unit’s answer is above 0"
    parts.append(_text(10, 14, title, "start", weight=600))
    alt = f"{title}. Words with direction · place + bias: " + "; ".join(told)
    return from_svg(_svg(SIDE + 100, SIDE + 56, parts), alt)


def _half_plane(direction, bias, low: float, high: float) -> list[tuple[float, float]]:
    """The corners of the part of a square in which direction · place + bias is positive."""
    square = [(low, low), (high, low), (high, high), (low, high)]
    values = [direction[0] * x + direction[1] * y + bias for x, y in square]
    corners = []
    for i in range(4):
        (x, y), (u, w), here, there = square[i - 1], square[i], values[i - 1], values[i]
        if (here > 0) != (there > 0):  # the line crosses this edge
            share = here / (here - there)
            corners.append((x + share * (u - x), y + share * (w - y)))
        if there > 0:
            corners.append((u, w))
    return corners


def read_bend_write(
    x: Float[Tensor, "T C"],
    wide: Float[Tensor, "T H"],
    bent: Float[Tensor, "T H"],
    y: Float[Tensor, "T C"],
    words: Sequence[str],
    columns: Sequence[str],
    units: Sequence[str],
) -> Picture:
    """The MLP's stages side by side: what comes in, what the units answer, bent, written."""
    stages = (
        ("x", x, columns),
        ("answers", wide, units),
        ("bent", bent, units),
        ("written", y, columns),
    )
    reach = max(abs(bound) for _, m, _ in stages for bound in value_range(m))
    arrows = ("read", "bend", "write")
    pieces = []
    for i, (title, m, tops) in enumerate(stages):
        T, width = m.shape
        drawn = matrix_svg(m, words, tops, f"{title} ({T}, {width})", scale=(-reach, reach))
        pieces.append(f"<div>{drawn}</div>")
        if i < len(arrows):
            pieces.append(
                '<div style="align-self:center;text-align:center;font-size:13px">'
                f"{arrows[i]}<br>⟶</div>"
            )
    style = "display:flex;gap:12px;flex-wrap:wrap;align-items:flex-start;margin:8px 0"
    alt = "\n".join(f"{title}\n{matrix_text(m, words, tops)}" for title, m, tops in stages)
    return from_svg(f'<div style="{style}">{"".join(pieces)}</div>', alt)


def bends(functions: Mapping[str, Function]) -> Picture:
    """Functions of one number from -4 to 4, and beside them their slopes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.5))
    told = []
    styles = zip(("-", "--", ":"), (BLUE, ORANGE, PURPLE), strict=True)
    for (name, function), (style, colour) in zip(functions.items(), styles, strict=False):
        x = torch.linspace(-4, 4, 801, dtype=torch.float64, requires_grad=True)
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        x, y = x.detach(), y.detach()
        for axis, values in zip(axes, (y, slope), strict=True):
            axis.plot(x, values, style, color=colour, linewidth=2, label=name)
        told.append(
            f"{name}: smallest value {float(y.min()):.2f} at x = {float(x[y.argmin()]):.2f}, "
            f"slope from {float(slope.min()):.2f} to {float(slope.max()):.2f}"
        )
    for axis, label in zip(axes, ("value", "slope"), strict=True):
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_xlabel("x")
        axis.set_ylabel(label)
    axes[0].legend()
    figure.suptitle(f"{' and '.join(functions)}: alike far out, different around 0")
    figure.tight_layout()
    return from_figure(figure, "; ".join(told))


def gelu_at(x: float) -> Picture:
    """One number going through GELU: the share of the bell below it, and its place on the curve."""
    share = 0.5 * (1 + math.erf(x / math.sqrt(2)))
    wide, high, floor = 300, 190, 216
    heading = [
        _text(10, 14, f"share of the bell below x: Φ(x) = {share:.3f}", "start", weight=600),
        _text(wide + 90, 14, f"x · Φ(x) = {x * share:z.3f}", "start", weight=600),
    ]

    def across(v: float, left: float) -> float:
        return left + (v + 4) / 8 * wide

    steps = [-4 + i / 20 for i in range(161)]
    bell = [(across(v, 20), floor - 170 * math.exp(-v * v / 2)) for v in steps]
    below = [p for p, v in zip(bell, steps, strict=True) if v <= x]
    filled = _path(below) + f"L{below[-1][0]:.1f} {floor}L{below[0][0]:.1f} {floor}z"
    parts = [
        f'<path d="{filled}" fill="{FILLS[2]}" stroke="none"/>',
        f'<path d="{_path(bell)}" fill="none" stroke="{BLUE}" stroke-width="2"/>',
        f'<path d="M{across(x, 20):.1f} {floor}V34" stroke="currentColor" stroke-dasharray="4 3"/>',
    ]
    left, scale = wide + 80, high / 5  # the right chart shows -1 to 4
    zero = floor - scale

    def curve(function: Callable[[float], float]) -> str:
        return _path([(across(v, left), zero - scale * function(v)) for v in steps])

    parts += [
        f'<path d="M{left} {zero}H{left + wide}" stroke="{GREY}"/>',
        f'<path d="{curve(lambda v: max(0.0, v))}" fill="none" stroke="{ORANGE}" '
        'stroke-width="2" stroke-dasharray="6 4"/>',
        f'<path d="{curve(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))}" fill="none" '
        f'stroke="{BLUE}" stroke-width="2.5"/>',
        f'<circle cx="{across(x, left):.1f}" cy="{zero - scale * x * share:.1f}" r="6" '
        f'fill="{FILLS[2]}" stroke="{INK}" stroke-width="2"/>',
        _text(left + 14, 50, "— GELU   - - ReLU", "start", 12),
        _text(left + 14, 70, f"ReLU(x) = {max(0.0, x):.3f}", "start", 12),
    ]
    for tick in (0, 2, 4):
        parts.append(_text(left - 6, zero - scale * tick + 4, str(tick), "end", 12))
    for start in (20, left):
        for tick in (-4, -2, 0, 2, 4):
            parts.append(_text(across(tick, start), floor + 18, str(tick), size=12))
        parts.append(_text(start + wide / 2, floor + 36, "x", size=12))
    alt = (
        f"x = {x:.2f}: share of the bell below x {share:.3f}, GELU {x * share:z.3f}, "
        f"ReLU {max(0.0, x):.3f}"
    )
    return from_svg(_svg(left + wide + 24, floor + 46, heading + parts), alt)


def forms_apart(tanh_form: Function, exact: Function) -> Picture:
    """How far the tanh form lies above or below the exact one, for x from -6 to 6."""
    import matplotlib.pyplot as plt

    x = torch.linspace(-6, 6, 2401, dtype=torch.float64)
    gap = tanh_form(x) - exact(x)
    worst = int(gap.abs().argmax())
    place, most = float(x[worst]), float(gap[worst])
    figure, axis = plt.subplots(figsize=(8, 3.2))
    axis.plot(x, gap * 1e4, color=BLUE, linewidth=2)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.plot(place, most * 1e4, "o", color=ORANGE)
    axis.annotate(f"{most:.1e} at x = {place:.1f}", (place, most * 1e4), xytext=(10, 4),
                  textcoords="offset points")  # fmt: skip
    axis.set_ylim(top=1.2 * float(gap.max()) * 1e4)
    axis.set_xlabel("x")
    axis.set_ylabel("tanh form − exact form (1e-4)")
    axis.set_title(f"The two forms differ by at most {abs(most):.1e}")
    return from_figure(
        figure,
        f"Difference of the two forms, largest at x = {place:.1f}: {most:.1e}; at 0 and far out 0",
    )


def growth(lines: Mapping[str, Sequence[float]]) -> Picture:
    """A relative difference after each layer and in the logits, one line a cause.

    Args:
        lines: for each cause the difference after layer 1, 2, … and, last, in the logits.
    """
    import matplotlib.pyplot as plt

    n = len(next(iter(lines.values()))) - 1
    figure, axis = plt.subplots(figsize=(8, 3.4))
    styles = zip(("-", "--", ":"), ("o", "s", "^"), (BLUE, ORANGE, PURPLE), strict=True)
    for (name, line), (style, mark, colour) in zip(lines.items(), styles, strict=False):
        axis.plot(range(1, n + 1), line[:-1], style, marker=mark, color=colour)
        axis.plot(n + 1, line[-1], mark, color=colour, markersize=9)
        axis.annotate(name, (1, line[0]), xytext=(0, -18), textcoords="offset points")
    axis.set_yscale("log")
    low = min(min(line) for line in lines.values())
    axis.set_ylim(low / 6, 5 * max(max(line) for line in lines.values()))
    axis.set_xticks(range(1, n + 2), [*map(str, range(1, n + 1)), "logits"])
    axis.set_xlabel("after layer")
    axis.set_ylabel("relative difference")
    axis.set_title("The other form is visible in the logits, far above rounding")
    told = [
        f"{name}: after layer 1 {line[0]:.1e}, after layer {n} {line[-2]:.1e}, "
        f"in the logits {line[-1]:.1e}"
        for name, line in lines.items()
    ]
    return from_figure(figure, "Relative difference. " + "; ".join(told))


def loss_lines(curves: Mapping[str, Sequence[float]], floor: float) -> Picture:
    """The loss over the training steps, and the least that a matrix alone can reach."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.2))
    styles = zip(("-", "--", ":"), (BLUE, ORANGE, PURPLE), strict=True)
    for (name, curve), (style, colour) in zip(curves.items(), styles, strict=False):
        axis.plot(
            curve, style, color=colour, linewidth=2, label=f"{name}: {curve[-1]:.4f} at the end"
        )
    axis.axhline(floor, color="black", linewidth=1, label=f"one matrix at best: {floor:.4f}")
    axis.set_ylim(bottom=-0.01)
    axis.set_xlabel("training step")
    axis.set_ylabel("mean squared error")
    axis.set_title("Without the bend the loss stays at what one matrix can do")
    axis.legend(loc="upper right")
    told = [f"{name} ends at {curve[-1]:.4f}" for name, curve in curves.items()]
    return from_figure(figure, f"Loss, one matrix at best {floor:.4f}: " + ", ".join(told))


def curve_of_units(
    x: Float[Tensor, " P"],
    wanted: Float[Tensor, " P"],
    result: Float[Tensor, " P"],
    thresholds: Sequence[float],
    bend: str,
) -> Picture:
    """A wanted curve, and the one that some hidden units make together.

    Args:
        thresholds: where on x each unit's answer is 0, before the bend.
        bend: the name of the bend.
    """
    n = len(thresholds)
    error = float(((result - wanted) ** 2).mean())
    wide, high, top = 560, 200, 30
    low, up = -0.6, 1.3

    def place(v: float, w: float) -> tuple[float, float]:
        share = (v - float(x[0])) / float(x[-1] - x[0])
        return 40 + wide * share, top + high * (up - w) / (up - low)

    def line(values: Tensor) -> str:
        return _path([place(v, w) for v, w in zip(x.tolist(), values.tolist(), strict=True)])

    parts = [
        '<defs><clipPath id="gpt2course-curves">'
        f'<rect x="40" y="{top}" width="{wide}" height="{high}"/></clipPath></defs>',
        f'<path d="M40 {place(0, 0)[1]:.1f}H{40 + wide}" stroke="{GREY}"/>',
        f'<g clip-path="url(#gpt2course-curves)"><path d="{line(wanted)}" fill="none" '
        f'stroke="{GREEN}" stroke-width="3" stroke-dasharray="8 5"/>',
        f'<path d="{line(result)}" fill="none" stroke="{BLUE}" stroke-width="3"/></g>',
    ]
    for at in thresholds:
        px = place(at, 0)[0]
        parts.append(f'<path d="M{px:.1f} {top + high}v-14" stroke="{ORANGE}" stroke-width="4"/>')
    for tick in range(int(x[0]), int(x[-1]) + 1, 2):
        parts.append(_text(place(tick, 0)[0], top + high + 18, str(tick), size=12))
    for tick in (0, 1):
        parts.append(_text(32, place(0, tick)[1] + 4, str(tick), "end", 12))
    plural = "unit" if n == 1 else "units"
    title = f"{n} hidden {plural}, {bend}: mean squared error {error:.4f}"
    legend = "— what the units make   - - wanted   ▌ where a unit’s answer is 0"
    parts.append(_text(10, 14, title, "start", weight=600))
    parts.append(_text(10, top + high + 40, legend, "start", 12))
    alt = f"{title}; the answers are 0 at x = " + ", ".join(f"{t:z.2f}" for t in thresholds)
    return from_svg(_svg(wide + 60, top + high + 52, parts), alt)


def parameter_bars(parts: Mapping[str, int], title: str) -> Picture:
    """How many parameters each part of a model has, the largest first."""
    total = sum(parts.values())
    rows = sorted(parts.items(), key=lambda part: -part[1])
    left, wide, longest = 220, 360, max(parts.values())
    drawn, told = [_text(10, 14, title, "start", weight=600)], []
    for i, (name, count) in enumerate(rows):
        y = 30 + 32 * i
        said = f"{count:,} ({_percent(count / total)})"
        length = max(1.0, wide * count / longest)
        drawn.append(_text(left - 10, y + 17, name, "end"))
        drawn.append(_box(left, y, length, 24, FILLS[i % len(FILLS)]))
        drawn.append(_text(left + length + 8, y + 17, said, "start", 12))
        told.append(f"{name} {said}")
    return from_svg(
        _svg(left + wide + 190, 36 + 32 * len(rows), drawn), f"{title}: " + "; ".join(told)
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "less than 0.1%"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _box(x: float, y: float, wide: float, high: float, fill: str, edge: str = INK) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}" '
        f'stroke="{edge}"/>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )
