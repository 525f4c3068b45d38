"""Curves, points and dots on axes, each with its name beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, isfinite, log10, pi, radians, sin

from gpt2course.drawing.colours import CURVES, DASHES, PAGE
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, column, row, wide

Curve = Sequence[tuple[float, float]]  # pairs (x, y)
Series = Mapping[str, Sequence[float]]  # values by name
SIZE = (460, 210)  # of a plot without what is written around it
Rect = tuple[float, float, float, float]  # left, top, right, bottom
GAP = 17  # between the names of two curves
CORNERS = ((0, 0), (4, 45), (3, -90), (4, 0), (3, 90), (5, -90))  # of the marks, and their turn


@dataclass(frozen=True)
class Axis:
    """From values to pixels; what is left out comes from the data.

    Args:
        label: what is measured, with its unit.
        low, high: the values at both ends; what lies outside is drawn at the end.
        log: equal steps are equal factors.
        ticks: what is written at which values.
    """

    label: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    ticks: Mapping[float, str] | None = None
    pixels: float = 0

    def fitted(self, values: Iterable[float], pixels: float, room: float = 0.05) -> Axis:
        """Both ends as the values need them, and some room above, so many pixels apart."""
        least, most = min(values := [*values]), max(values)
        low, high = (least / 1.4, most * 1.4) if self.log else (min(0.0, least), most)
        if not self.log:
            high = high + room * (high - low) or 1.0
        low, high = (b if a is None else a for a, b in ((self.low, low), (self.high, high)))
        return Axis(self.label, low, high, self.log, self.ticks or _ticks(low, high, self.log),
                    pixels)  # fmt: skip

    def __call__(self, value: float) -> float:
        """How many pixels from the low end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return self.pixels * log10(value / self.low) / log10(self.high / self.low)
        return self.pixels * (value - self.low) / (self.high - self.low)

    def below(self, drawn: Drawing, y: float) -> None:
        """The ticks and the label below a plot that ends at y."""
        for value, said in self.ticks.items():
            drawn.line((self(value), y), (self(value), y + 5), stroke=PAGE, thick=1)
            for i, line in enumerate(said.split("\n")):
                drawn.text(self(value), y + 18 + 14 * i, line, "middle", 12)
        if self.label:
            drawn.text(self.pixels / 2, drawn.bottom + 14, self.label, "middle", 12)

    def beside(self, drawn: Drawing, width: float) -> None:
        """The ticks left of a plot of this width, faint lines across, and the label."""
        for value, said in self.ticks.items():
            y = self.pixels - self(value)
            drawn.line((-5, y), (0, y), stroke=PAGE, thick=1)
            drawn.line((0, y), (width, y), thick=1, opacity=0.25)
            drawn.text(-9, y + 4, said, "end", 12)
        for i, line in enumerate(reversed(self.label.split("\n"))):
            drawn.text(drawn.left - 6 - 2 * bool(i), self.pixels / 2, line, "middle", 12, turn=-90)


def _ticks(low: float, high: float, log: bool) -> dict[float, str]:
    """Round numbers from low to high, about five of them; powers of ten on a log axis."""
    if log:
        ends = floor(log10(low)), ceil(log10(high))
        powers = [10.0**n for n in range(*ends, ceil((ends[1] - ends[0]) / 9))] + [10.0 ** ends[1]]
        parts = (1, 2, 5) if high / low < 2000 else (1,)
        found = [part * power for power in powers for part in parts]
        return {v: f"{v:g}" for v in found if low * 0.999 <= v <= high * 1.001}
    raw = (high - low) / 5
    power = 10.0 ** floor(log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    places = range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    return {round(i * step, 12): f"{round(i * step, 12):,g}" for i in places}


def steps(values: Sequence[float], first: float = 0, every: float = 1) -> list[tuple[float, float]]:
    """Values as a curve over their places, which begin at `first`."""
    return [(first + every * i, value) for i, value in enumerate(values)]


def plot(
    series: Mapping[str, Curve], x: Axis, y: Axis, title: str = "",
    lines: Mapping[str, float] | None = None, names: Mapping[str, str] | None = None,
    marks: bool = False, joined: bool = True, verticals: Mapping[float, str] | None = None,
    notes: Iterable[tuple[float, float, str]] = (), size: tuple[float, float] = SIZE,
    decimals: int = 2,
) -> Drawing:  # fmt: skip
    """Curves, each with its name and last value at its end.

    Args:
        series: the curves by name; values that are nan or infinite are left out.
        lines: values for horizontal dashed lines, by name; one called "" is not named.
        names: what stands at the ends instead, under the curve's name; {} for nothing.
        marks: whether every point has a mark, of another shape for each curve.
        joined: whether lines lead from point to point.
        verticals: what stands at which vertical lines.
        notes: texts beside a point each, where there is room.
        decimals: of the values at the ends.
    """
    lines, verticals = dict(lines or {}), dict(verticals or {})
    series = {name: [p for p in curve if isfinite(p[1])] for name, curve in series.items()}
    points = [point for curve in series.values() for point in curve]
    x = x.fitted([*(p[0] for p in points), *verticals], size[0], 0)
    y = y.fitted([*(p[1] for p in points), *lines.values()], size[1])
    drawn, (width, height) = Drawing(), size
    y.beside(drawn, width)
    drawn.line((0, 0), (0, height), (width, height), stroke=PAGE, thick=1)
    x.below(drawn, height)
    for value in lines.values():
        at = height - y(value)
        drawn.line((0, at), (width, at), stroke=PAGE, thick=1, dash="3 3")
    for i, (value, said) in enumerate(verticals.items()):
        drawn.line((x(value), 0), (x(value), height), stroke=PAGE, thick=1, dash="3 3")
        late = x(value) > width / 2
        drawn.text(
            x(value) + (-6 if late else 6), 12 + 16 * i, said, "end" if late else "start", 12
        )
    for i, curve in enumerate(series.values()):
        places = [(x(a), height - y(b)) for a, b in (curve if x.log else thinned(curve))]
        places = [*{round(place[0]): place for place in places}.values()] if x.log else places
        if joined and places:
            drawn.line(*places, stroke=CURVES[i % 6], thick=2, dash=DASHES[i % 6], kind="curve")
        for place in places if marks else places[-1:] * (len(places) == 1):
            mark(drawn, *place, i)
    taken = [(x(a) - 4, height - y(b) - 4, x(a) + 4, height - y(b) + 4) for a, b in points]
    for a, b, said in notes:
        at = x(a), height - y(b)
        taken.append(free_place(*at, wide(said, 12), 12, taken, (0, -16, width + 80, height)))
        drawn.text(taken[-1][0], taken[-1][3] - 2, said, size=12)
    if names is None:
        names = {name: f"{name}, {c[-1][1]:.{decimals}f}" for name, c in series.items() if c}
    ends = [(height - y(series[n][-1][1]), said, [*series].index(n)) for n, said in names.items()]
    ends += [(height - y(v), f"{n}, {_written(v, decimals)}", -1) for n, v in lines.items() if n]
    _names(drawn, sorted(ends), width, height)
    if title:
        drawn.head(title)
    return drawn


def free_place(
    x: float, y: float, width: float, height: float, taken: Sequence[Rect], frame: Rect
) -> Rect:
    """The rectangle of this size nearest to (x, y) that lies in the frame and overlaps no other."""
    for distance in range(8, 160, 4):
        for eighth in range(16):
            angle = (eighth - 3) * pi / 8  # above and to the right at first
            left = x + (distance + width / 2) * cos(angle) - width / 2
            top = y + (distance + height / 2) * sin(angle) - height / 2
            box = left, top, left + width, top + height
            inside = all(a > b for a, b in zip(box[:2], frame[:2], strict=True))
            inside = inside and all(a < b for a, b in zip(box[2:], frame[2:], strict=True))
            if inside and not any(_overlap(box, other) for other in taken):
                return box
    return x, y, x + width, y + height


def _overlap(one: Rect, other: Rect) -> bool:
    across = one[0] - 1 < other[2] and other[0] < one[2] + 1
    return across and one[1] - 1 < other[3] and other[1] < one[3] + 1


def _names(
    drawn: Drawing, ends: Sequence[tuple[float, str, int]], width: float, height: float
) -> None:
    """The names at the right, moved apart where they would lie over one another."""
    ys = [y for y, _, _ in ends]
    for j in range(1, len(ys)):
        ys[j] = max(ys[j], ys[j - 1] + GAP)
    for j in reversed(range(len(ys))):
        ys[j] = min(ys[j], height + 4 - GAP * (len(ys) - 1 - j))
    for y, (at, said, i) in zip(ys, ends, strict=True):
        colour, dash = (PAGE, "3 3") if i < 0 else (CURVES[i % 6], DASHES[i % 6])
        drawn.line((width + 2, at), (width + 9, y), (width + 26, y), stroke=colour, thick=2,
                   dash=dash)  # fmt: skip
        drawn.text(width + 31, y + 4, said, size=12)


def mark(drawn: Drawing, x: float, y: float, i: int, r: float = 4.5) -> None:
    """The mark of the curve of this number."""
    corners, turn = CORNERS[(i + i // 6) % 6]  # another one where the colours begin anew
    if not corners:
        return drawn.circle(x, y, r - 0.5, CURVES[i % 6], "none")
    angles = [radians(turn + 360 * k / corners) for k in range(corners)]
    places = [(x + 1.1 * r * cos(angle), y + 1.1 * r * sin(angle)) for angle in angles]
    return drawn.line(*places, stroke="none", fill=CURVES[i % 6], closed=True)


def thinned(curve: Curve, most: int = 400) -> list[tuple[float, float]]:
    """Means of neighbours where there are more points than pixels to tell them apart."""
    n = ceil(len(curve) / most) or 1
    groups = [curve[i : i + n] for i in range(0, len(curve), n)]
    return [(group[0][0], sum(y for _, y in group) / len(group)) for group in groups]


def key(names: Iterable[str], marks: bool = False, joined: bool = True) -> Drawing:
    """What the lines and marks of a plot stand for, in one line."""
    drawn, at = Drawing(), 0.0
    for i, name in enumerate(names):
        if joined:
            drawn.line((at, 0), (at + 30, 0), stroke=CURVES[i % 6], thick=2, dash=DASHES[i % 6])
        if marks:
            mark(drawn, at + 15, 0, i)
        drawn.text(at + 36, 4, name, size=12)
        at += 56 + wide(name, 12)
    return drawn


def panels(plots: Sequence[Drawing], names: Iterable[str], title: str, marks=False, joined=True):
    """Plots of the same curves side by side, under a title and a key of their names."""
    drawn = column([key(names, marks, joined), row(plots, gap=22)], gap=10)
    drawn.head(title)
    return drawn


def curves(
    series: Mapping[str, Curve], title: str, y_label: str, lines: Mapping[str, float] | None = None,
    y_range: tuple[float, float] | None = None, x_label: str = "training step", decimals: int = 2,
) -> Picture:  # fmt: skip
    """Curves over the training steps, each with its name and last value at its end.

    Args:
        series: pairs (step, value) by name. nan and infinite values are left out.
        lines: values for horizontal dashed lines, by name.
        y_range: what the vertical axis shows; by default all values and lines, from 0 on where
            none lies below.
        decimals: of the values at the ends.
    """
    lines, (low, high) = dict(lines or {}), y_range or (None, None)
    drawn = plot(series, Axis(x_label), Axis(y_label, low, high), "", lines, decimals=decimals)
    drawn.room((-66, 0), (-66, 1))  # so that stacked curves stand over the same steps
    drawn.head(title)
    told = [_told(name, curve, decimals) for name, curve in series.items()]
    told += [f"dashed line {name} at {_written(value, decimals)}" for name, value in lines.items()]
    return drawn.picture(f"{title}. {y_label} by {x_label}: " + "; ".join(told))


def _written(value: float, decimals: int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.{decimals}f}"


def _told(name: str, curve: Curve, decimals: int) -> str:
    """A curve in words: where it begins, where it ends, and its extremes in between."""
    curve = [point for point in curve if isfinite(point[1])]
    values = [y for _, y in curve]
    said = f"{name} from {values[0]:.{decimals}f} to {values[-1]:.{decimals}f}"
    for most, extreme in (("lowest", min(values)), ("highest", max(values))):
        if extreme not in (values[0], values[-1]):
            said += f", {most} {extreme:.{decimals}f} at {curve[values.index(extreme)][0]:g}"
    return said


def loss_lines(
    series: Series, lines: Mapping[str, float], title: str, unit: str = "nats per token",
    decimals: int = 2,
) -> Picture:  # fmt: skip
    """Loss over the training steps, one curve each, and levels by name to hold them against."""
    lines = {name: float(level) for name, level in lines.items()}
    ends = {name: sum(losses[-20:]) / len(losses[-20:]) for name, losses in series.items()}
    names = {name: f"{name}, {end:.{decimals}f} at the end" for name, end in ends.items()}
    data = {name: steps(losses) for name, losses in series.items()}
    high = 1.12 * max(*lines.values(), *(losses[0] for losses in series.values()))
    axes, levels = (Axis("training step"), Axis(f"loss ({unit})", 0, high)), lines.items()
    told = [
        f"{name} begins at {series[name][0]:.{decimals}f} and ends at {end:.{decimals}f}"
        for name, end in ends.items()
    ] + [f"{name} {level:.{decimals}f}" for name, level in levels]
    drawn = plot(data, *axes, title, lines, names, decimals=decimals)
    return drawn.picture(f"{title}. Loss in {unit}: " + "; ".join(told))


def dots(
    rows: Mapping[str, Mapping[int, tuple[float, str]]], axis: Axis, kinds: Sequence[str],
    title: str, verticals: Mapping[float, str] | None = None, width: float = 460,
) -> Drawing:  # fmt: skip
    """A row for each name with dots on one axis, the smallest and the largest with their texts.

    Args:
        rows: for each name its dots: under the number of its kind the value and the text.
        kinds: what the marks stand for.
        verticals: what stands at which vertical lines.
    """
    values = [value for found in rows.values() for value, _ in found.values()]
    axis = axis.fitted([*values, *(verticals or {})], width)
    drawn, high, bottom = Drawing(), 30, 30 * len(rows)
    drawn.line((0, bottom), (width, bottom), stroke=PAGE, thick=1)
    for value, said in (verticals or {}).items():
        drawn.line((axis(value), -4), (axis(value), bottom), stroke=PAGE, dash="4 3")
        drawn.text(axis(value), -9, said, "middle", 12)
    for i, found in enumerate(rows.values()):
        y = (i + 0.5) * high
        places = sorted((axis(value), said, kind) for kind, (value, said) in found.items())
        if len(places) > 1:
            drawn.line((places[0][0], y), (places[-1][0], y), thick=3)
            drawn.text(places[0][0] - 10, y + 4, places[0][1], "end", 12)
        for at, _, kind in sorted(places, key=lambda one: one[2]):
            mark(drawn, at, y, kind, 5 if kind else 7)  # one may lie over the other
        drawn.text(places[-1][0] + 10, y + 4, places[-1][1], size=12)
    names = min(drawn.left, 0) - 10
    for i, name in enumerate(rows):
        drawn.text(names, (i + 0.5) * high + 4, name, "end")
    axis.below(drawn, bottom)
    return panels([drawn], kinds, title, marks=True, joined=False)
