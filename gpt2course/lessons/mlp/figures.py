"""Pictures of lesson 08: hidden units, GELU and its two forms, where the parameters are."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import (
    BLUE,
    FILLS,
    GREEN,
    GREY,
    INK,
    MLP,
    ORANGE,
    PAGE,
    READ,
    part_fill,
)
from gpt2course.drawing.curves import Axis, Series, panels, plot, steps
from gpt2course.drawing.matrix import Panel, matrices, signed_scale
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Point, Words, row

Function = Callable[[Tensor], Tensor]


def unit_plane(
    points: Mapping[str, tuple[float, float]],
    direction: tuple[float, float],
    bias: float,
    axes: tuple[str, str],
) -> Picture:
    """Where one hidden unit's pre-activation is above 0: that side of its line is hatched.

    Words are points with coordinates from 0 to 1. The pre-activation at a point is
    direction · point + bias.
    """
    unit, drawn, told = 180, Drawing(), []

    def at(x: float, y: float) -> Point:
        return unit * x, unit * (1 - y)

    def pre_activation(x: float, y: float) -> float:
        return direction[0] * x + direction[1] * y + bias

    low, high = -0.22, 1.28  # what is drawn of the plane
    square = ((low, low), (high, low), (high, high), (low, high))
    corners = _positive_part(square, pre_activation)
    if corners:
        drawn.line(*(at(*p) for p in corners), stroke="none", fill=FILLS[4], closed=True,
                   kind="side")  # fmt: skip
    for total in (2 * low + 0.06 * i for i in range(1, 50)):  # the hatching: lines x + y = total
        ends = [(x, total - x) for x in (max(low, total - high), min(high, total - low))]
        if part := _positive_part(ends, pre_activation):
            drawn.line(*(at(*p) for p in part), thick=1)
    border = [p for p in corners if abs(pre_activation(*p)) < 1e-9]
    if len(border) == 2:
        drawn.line(*(at(*p) for p in border), stroke=ORANGE, thick=3)
    drawn.line(at(1.25, 0), at(0, 0), at(0, 1.25), thick=1)
    drawn.text(at(1.28, 0)[0], unit + 4, f"{axes[0]} →", size=12)
    drawn.text(-10, at(0, 1.25)[1] + 8, f"↑ {axes[1]}", "end", 12)
    for word, place in points.items():
        x, y = at(*place)
        value = pre_activation(*place)
        shown = f"{word}: {value:+.1f}"
        drawn.circle(x, y, 7, READ)
        drawn.box(x - 52, y + 11, 104, 19, shown, "#ffffff", bold=value > 0, edge=GREY)
        told.append(f"{shown}, {'inside' if value > 0 else 'outside'}")
    above = [word for word, place in points.items() if pre_activation(*place) > 0]
    title = f"Hatched: pre-activation above 0, as for {', '.join(above) or 'no word'}"
    drawn.head(title)
    alt = f"{title}. Pre-activations: " + "; ".join(told)
    return drawn.picture(alt)


def _positive_part(shape: Sequence[Point], value: Callable[[float, float], float]) -> list[Point]:
    """The corners of the part of a shape in which the value is positive."""
    corners = []
    for i, (u, w) in enumerate(shape):
        x, y = shape[i - 1]
        here, there = value(x, y), value(u, w)
        if (here > 0) != (there > 0):  # the line crosses this edge
            share = here / (here - there)
            corners.append((x + share * (u - x), y + share * (w - y)))
        if there > 0:
            corners.append((u, w))
    return corners


def mlp_stages(
    x: Float[Tensor, "T C"], before: Float[Tensor, "T H"], after: Float[Tensor, "T H"],
    y: Float[Tensor, "T C"], words: Words, columns: Words, units: Words,
) -> Picture:  # fmt: skip
    """The MLP's stages side by side: input, pre-activations, activations, what is written."""
    stages = {"x": (x, columns), "pre-activations": (before, units), "activations": (after, units)}
    stages["written"] = (y, columns)
    scale = signed_scale(x, before, after, y)
    made = [
        Panel(f"{name} {tuple(m.shape)}", m, words, tops, scale)
        for name, (m, tops) in stages.items()
    ]
    return matrices(made, between=("read\n", "ReLU\n", "write\n"))


def activation_functions(functions: Mapping[str, Function]) -> Picture:
    """Functions of one number from -4 to 4, and beside them their slopes."""
    told, values, slopes = [], {}, {}
    for name, function in functions.items():
        x = torch.linspace(-4, 4, 801, dtype=torch.float64, requires_grad=True)
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        x, y = x.detach(), y.detach()
        values[name] = list(zip(x.tolist(), y.tolist(), strict=True))
        slopes[name] = list(zip(x.tolist(), slope.tolist(), strict=True))
        told.append(
            f"{name}: smallest value {float(y.min()):.2f} at x = {float(x[y.argmin()]):.2f}, "
            f"slope from {float(slope.min()):.2f} to {float(slope.max()):.2f}"
        )
    plots = [
        plot(curves, Axis("x", -4, 4), Axis(label), names={}, size=(330, 200))
        for label, curves in (("value", values), ("slope", slopes))
    ]
    title = f"{' and '.join(functions)} agree far from 0 and differ around it"
    return panels(plots, functions, title).picture("; ".join(told))


def gelu_at(x: float) -> Picture:
    """One number going through GELU: the part of the bell below it, and its place on the curve."""

    def below(v: float) -> float:
        return 0.5 * (1 + math.erf(v / math.sqrt(2)))

    across, floor = Axis("x", -4, 4).fitted([0], 300), 190
    places = [-4 + i / 20 for i in range(161)]
    left, right = Drawing(), Drawing()
    bell = [(across(v), floor - 170 * math.exp(-v * v / 2)) for v in places]
    filled = [point for point, v in zip(bell, places, strict=True) if v <= x]
    ends = (filled[-1][0], floor), (filled[0][0], floor)
    left.line(*filled, *ends, stroke="none", fill=READ, closed=True, kind="below")
    left.line(*bell, stroke=BLUE, thick=2)
    left.line((across(x), floor), (across(x), 0), stroke=PAGE, dash="4 3")
    up = Axis("", -1, 4, ticks={v: str(v) for v in (0, 2, 4)}).fitted([0], floor)

    def point(v: float, w: float) -> Point:
        return across(v), floor - up(w)

    up.beside(right, 300)
    relu = [point(v, max(0.0, v)) for v in places]
    right.line(*relu, stroke=ORANGE, thick=2, dash="6 4")
    right.line(*(point(v, v * below(v)) for v in places), stroke=BLUE, thick=2.5)
    right.circle(*point(x, x * below(x)), 6, READ, INK, 2)
    right.line((14, 12), (38, 12), stroke=BLUE, thick=2.5)
    right.text(44, 16, "GELU", size=12)
    right.line((94, 12), (118, 12), stroke=ORANGE, thick=2, dash="6 4")
    right.text(124, 16, "ReLU", size=12)
    right.text(14, 36, f"ReLU(x) = {max(0.0, x):.3f}", size=12)
    for drawn in (left, right):
        across.below(drawn, floor)
    left.text(0, -10, f"part of the bell below x: Φ(x) = {below(x):.3f}", bold=True)
    right.text(0, -10, f"x · Φ(x) = {x * below(x):z.3f}", bold=True)
    alt = (
        f"x = {x:.2f}: part of the bell below x {below(x):.3f}, GELU {x * below(x):z.3f}, "
        f"ReLU {max(0.0, x):.3f}"
    )
    return row([left, right], gap=50).picture(alt)


def forms_apart(tanh_form: Function, exact: Function) -> Picture:
    """How far the tanh form lies above or below the exact one, for x from -6 to 6."""
    x = torch.linspace(-6, 6, 2401, dtype=torch.float64)
    gap = tanh_form(x) - exact(x)
    worst = int(gap.abs().argmax())
    place, most = float(x[worst]), float(gap[worst])
    curve = {"": list(zip(x[::6].tolist(), (1e4 * gap[::6]).tolist(), strict=True))}
    curve["the largest"] = [(place, 1e4 * most)]
    axes = Axis("x", -6, 6), Axis("tanh form − exact form (1e-4)")
    notes = [(place, 1e4 * most, f"{most:.1e} at x = {place:.1f}")]
    title = f"The two forms differ by at most {abs(most):.1e}"
    told = f"largest at x = {place:.1f}: {most:.1e}; at 0 and far out 0"
    drawn = plot(curve, *axes, title, names={}, notes=notes)
    return drawn.picture(f"Difference of the two forms, {told}")


def growth(lines: Series) -> Picture:
    """A relative difference after each layer and, last, in the logits, one line a cause."""
    n = len(next(iter(lines.values()))) - 1
    ticks = {i: str(i) for i in range(1, n + 1)} | {n + 1: "logits"}
    series = {name: steps(line, 1) for name, line in lines.items()}
    axes = Axis("after layer", 0.5, n + 1.2, ticks=ticks), Axis("relative difference", log=True)
    names = {name: f"{name}, {line[-1]:.1e}" for name, line in lines.items()}
    title = "The other form is visible in the logits, far above rounding"
    told = [
        f"{name}: after layer 1 {line[0]:.1e}, after layer {n} {line[-2]:.1e}, "
        f"in the logits {line[-1]:.1e}"
        for name, line in lines.items()
    ]
    drawn = plot(series, *axes, title, names=names, marks=True)
    return drawn.picture("Relative difference. " + "; ".join(told))


def curve_of_units(
    x: Float[Tensor, " P"], wanted: Float[Tensor, " P"], result: Float[Tensor, " P"],
    thresholds: Sequence[float], activation: str,
) -> Picture:  # fmt: skip
    """A wanted curve, and the one that some hidden units make together.

    Each unit's pre-activation is 0 at its threshold.
    """
    n, error = len(thresholds), float(((result - wanted) ** 2).mean())
    ends = math.floor(x[0]), math.ceil(x[-1])
    across = Axis("x", *map(float, (x[0], x[-1])), ticks={v: str(v) for v in range(*ends, 2)}
                  | {ends[1]: str(ends[1])}).fitted([0], 560)  # fmt: skip
    up, drawn = Axis("", -0.6, 1.3, ticks={0: "0", 1: "1"}).fitted([0], 200), Drawing()
    up.beside(drawn, 560)
    for values, look in ((wanted, {"stroke": GREEN, "dash": "8 5"}), (result, {"stroke": BLUE})):
        pairs = zip(x.tolist(), values.tolist(), strict=True)
        drawn.line(*((across(a), 200 - up(b)) for a, b in pairs), thick=3, **look)
    for at in thresholds:
        drawn.line((across(at), 200), (across(at), 186), stroke=ORANGE, thick=4, kind="threshold")
    across.below(drawn, 200)
    y = drawn.bottom + 18
    for left, look, said in (
        (0, {"stroke": BLUE}, "what the units make"),
        (170, {"stroke": GREEN, "dash": "8 5"}, "wanted"),
    ):
        drawn.line((left, y - 4), (left + 24, y - 4), thick=3, **look)
        drawn.text(left + 30, y, said, size=12)
    drawn.line((258, y + 2), (258, y - 12), stroke=ORANGE, thick=4)
    drawn.text(266, y, "where a unit’s pre-activation is 0", size=12)
    title = f"{n} hidden unit{'s' * (n != 1)}, {activation}: mean squared error {error:.4f}"
    drawn.head(title)
    told = ", ".join(f"{t:z.2f}" for t in thresholds)
    return drawn.picture(f"{title}; the pre-activations are 0 at x = {told}")


def parameter_bars(parts: Mapping[str, int], title: str) -> Picture:
    """How many parameters each part of a model has, the largest first."""
    total, rows = sum(parts.values()), []
    for name, count in sorted(parts.items(), key=lambda part: -part[1]):
        rows.append(Bar(name, count, f"{count:,} ({percent(count / total)})", part_fill(name)))
    told = "; ".join(f"{one.label} {one.said}" for one in rows)
    return bars(rows, title).picture(f"{title}: {told}")


def fan(
    x: Float[Tensor, "T C"], activations: Float[Tensor, "T H"], written: Float[Tensor, "T C"],
    words: Words,
) -> Picture:  # fmt: skip
    """For each token C entries that fan out to H units and come together again; units with an
    activation above 0 are lit, and only they write."""
    fans, told = [], []
    for word, entries, units, out in zip(words, x, activations, written, strict=True):
        one, (C, H) = Drawing(), (len(entries), len(units))
        tall = 22 * H
        ends = [(i + 0.5) * tall / C for i in range(C)]
        lit = [u for u in range(H) if units[u] > 0]
        for u in range(H):
            look = {"stroke": MLP, "thick": 1.4} if u in lit else {"thick": 0.5, "opacity": 0.5}
            for y in ends:
                one.line((14, y), (106, 22 * u + 11), **look)
                if u in lit:
                    one.line((122, 22 * u + 11), (216, y), **look)
        for u in range(H):
            look = {"kind": "lit"} if u in lit else {"edge": GREY, "dash": "2 2"}
            one.rect(106, 22 * u + 3, 16, 16, MLP if u in lit else "none", rx=8, **look)
        for side, numbers in ((0, entries), (204, out)):
            for y, number in zip(ends, numbers.tolist(), strict=True):
                one.box(side, y - 12, 42, 24, f"{number:z.1f}", READ, 12, mono=True, rx=4)
        one.head(word, f"{len(lit)} of {H} units lit", 13)
        fans.append(one)
        told.append(f"{word}: {len(lit)} of {H} units have an activation above 0 and write")
    return row(fans, gap=24).picture("; ".join(told))
