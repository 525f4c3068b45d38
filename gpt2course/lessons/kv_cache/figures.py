"""Pictures of lesson 12: what each new token makes the model compute, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from gpt2course.drawing.colours import BLUE, FILLS, GREEN, ORANGE, PURPLE
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY = "#1b1b1b", "#868e96"
NEW, AGAIN, KEPT = FILLS[0], FILLS[6], FILLS[1]  # every cell also says which it is
WIDE, HIGH = 58, 30  # one cell in pixels


def runs(words: Sequence[str], n_layer: int, cached: bool = False) -> Picture:
    """One grid of words and layers for each run: which cells are computed, and which again.

    Args:
        words: run i reads the first i of them.
        n_layer: rows of the grids; the first layer is the lowest.
        cached: earlier columns keep their keys and values and are not computed again.
    """
    old = "kept" if cached else "again"
    drawn, told = [], []
    for n in range(1, len(words) + 1):
        states = [old] * (n - 1) + ["new"]
        computed = n_layer * (1 if cached else n)
        title = f"run {n}: {_cells(computed)}"
        drawn.append(_run(words[:n], n_layer, states, title))
        told.append(f"{title} computed; new: {words[n - 1]}; {old}: {_listed(words[: n - 1])}")
    style = "display:flex;gap:30px;flex-wrap:wrap;align-items:flex-end;margin:6px 0"
    alt = "\n".join(told)
    label = escape(alt)
    html = f'<div role="figure" aria-label="{label}" style="{style}">{"".join(drawn)}</div>'
    return Picture(html, alt)


def _cells(n: int) -> str:
    return f"{n} cell{'s' * (n != 1)}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "nothing"


def _run(words: Sequence[str], n_layer: int, states: Sequence[str], title: str) -> str:
    left, top = 52, 24
    width, height = max(left + len(words) * WIDE + 4, 150), top + n_layer * HIGH + 24
    parts = [_text(0, 14, title, "start", weight=600)]
    for layer in range(n_layer):
        y = top + (n_layer - 1 - layer) * HIGH
        parts.append(_text(left - 6, y + 20, f"layer {layer + 1}", "end", size=11))
        parts += [_cell(left + j * WIDE, y, state) for j, state in enumerate(states)]
    for j, word in enumerate(words):
        parts.append(_text(left + (j + 0.5) * WIDE, height - 8, word))
    return _svg(width, height, parts)


def _cell(x: float, y: float, state: str) -> str:
    fill = {"new": NEW, "again": AGAIN, "kept": KEPT}[state]
    says = {"new": "new", "again": "again", "kept": "k  v"}[state]
    thick = 2.5 if state == "new" else 1
    return _box(x + 2, y + 2, WIDE - 4, HIGH - 4, fill, thick) + _text(
        x + WIDE / 2, y + 20, says, fill=INK, weight=700 if state == "new" else 400
    )


def last_path(words: Sequence[str], n_layer: int) -> Picture:
    """The newest word's way up through the layers, and what it reads in each on its way.

    Args:
        words: all but the last were read earlier; of them only keys and values are there.
    """
    wide, high, left, top = 96, 58, 70, 62
    x_new = left + (len(words) - 1) * wide
    middle, bottom = x_new + wide / 2, top + n_layer * high
    parts = [
        _box(x_new + 8, 8, wide - 16, 30, NEW, 2.5),
        _text(middle, 28, "logits", fill=INK, weight=700),
        _arrow(middle, top + 10, middle, 40),
    ]
    for layer in range(n_layer):
        y = bottom - (layer + 1) * high
        parts.append(_text(left - 12, y + 34, f"layer {layer + 1}", "end"))
        parts.append(_arrow(left + wide / 2, y + 29, x_new + 6, y + 29))
        parts += [_drawers(left + j * wide, y, wide) for j in range(len(words) - 1)]
        parts.append(_arrow(middle, y + high + 10, middle, y + high - 8))
        parts.append(_box(x_new + 8, y + 10, wide - 16, high - 20, NEW, 2.5))
        parts.append(_text(middle, y + 34, "q  k  v", fill=INK, weight=700))
    for j, word in enumerate(words):
        last = j == len(words) - 1
        shown = f"{word} (new)" if last else word
        parts.append(_text(left + (j + 0.5) * wide, bottom + 26, shown, weight=700 * last or 400))
    parts.append(_text(12, 18, "k and v: kept from earlier runs", "start"))
    parts.append(_text(12, 38, "q, k, v: computed for the new word", "start"))
    alt = (
        f"{words[-1]} is new: its column alone is computed, from the word up through {n_layer} "
        f"layers to the logits. In each layer its query reads the kept keys and values of "
        f"{_listed(words[:-1])}, and its own."
    )
    return from_svg(_svg(left + len(words) * wide + 90, bottom + 36, parts), alt)


def _drawers(x: float, y: float, wide: float) -> str:
    """What is left of an old cell: its key and its value."""
    half = (wide - 28) / 2
    drawn = _box(x + 8, y + 10, wide - 16, 38, "none", 1, 'stroke-dasharray="4 4"')
    for i, name in enumerate("kv"):
        at = x + 12 + i * (half + 4)
        drawn += _box(at, y + 15, half, 28, KEPT, 1) + _text(at + half / 2, y + 34, name, fill=INK)
    return drawn


def differences(
    found: Mapping[str, Sequence[float]], parted: Mapping[str, int | None], tolerance: float
) -> Picture:
    """How far each version's logits lie from those of whole runs, step by step.

    Args:
        found: for each version the largest difference at every step.
        parted: the step from which on its text is another one; None where it stays the same.
            Its curve is expected to end there.
        tolerance: below it a difference is rounding.
    """
    import matplotlib.pyplot as plt

    lowest = tolerance / 1e4
    styles = (("o", BLUE), ("s", ORANGE), ("D", PURPLE), ("v", GREEN))
    longest = max(map(len, found.values()))
    told, line = [], 1.4 * tolerance
    figure, axis = plt.subplots(figsize=(8, 3.6))
    for (name, curve), (marker, colour) in zip(found.items(), styles, strict=False):
        steps = range(1, len(curve) + 1)
        shown = [max(value, lowest) for value in curve]
        axis.plot(steps, shown, marker=marker, markersize=3.5, color=colour, label=name)
        said = "same text throughout"
        if (step := parted[name]) is not None:
            said = f"other text from token {step} on"
            axis.axvline(step, color=colour, linestyle=":", linewidth=1.5)
            late = step > longest / 2  # then there is more room on the left of the line
            side = {"x": step - 0.6, "ha": "right"} if late else {"x": step + 0.6, "ha": "left"}
            axis.text(y=line, s=f"{name}: {said}", va="bottom", **side)
            line *= 5  # the next one stands a line higher
        told.append(f"{name}: largest difference {max(curve):.1g}, {said}")
    axis.axhline(tolerance, color="black", linestyle="--", linewidth=1, label="rounding, at most")
    axis.set_yscale("log")
    axis.set_xlabel("tokens written")
    axis.set_ylabel("largest difference of a logit")
    axis.set_title("While the text is still the same, the logits show the mistake")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return from_figure(figure, "\n".join(told))


def costs(
    tokens: Sequence[int],
    work: Mapping[str, Sequence[float]],
    seconds: Mapping[str, Sequence[float]],
) -> Picture:
    """Multiply-adds and measured time of one more token; the scales have equally many decades.

    Args:
        tokens: which token of the text it is, counted from 1.
        work, seconds: for each way to compute it, one number a token.
    """
    import matplotlib.pyplot as plt

    panels = (
        ("million multiply-adds (counted)", _in_units(work, 1e-6)),
        ("milliseconds (measured here)", _in_units(seconds, 1e3)),
    )
    decades = 1.1 * max(_decades(lines) for _, lines in panels)
    told = []
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    for axis, (label, lines) in zip(axes, panels, strict=True):
        styles = (("o", ORANGE), ("s", BLUE))
        for (name, line), (marker, colour) in zip(lines.items(), styles, strict=False):
            axis.plot(tokens, line, marker=marker, markersize=5, color=colour, label=name)
            told.append(
                f"{label}, {name}: {line[0]:.2g} for token {tokens[0]}, {line[-1]:.2g} for "
                f"token {tokens[-1]}"
            )
        _log_scale(axis, lines, decades)
        axis.set_xlabel("number of the new token")
        axis.set_ylabel(label)
        axis.grid(color=GREY, alpha=0.3)
    axes[0].legend(loc="center right")
    grown = [f"{line[-1] / line[0]:.2g}-fold {name}" for name, line in work.items()]
    title = f"From token {tokens[0]} to {tokens[-1]} the count grows {', '.join(grown)}"
    figure.suptitle(title)
    figure.tight_layout()
    return from_figure(figure, "\n".join([*told, title]))


def _in_units(lines: Mapping[str, Sequence[float]], unit: float) -> dict[str, list[float]]:
    return {name: [value * unit for value in line] for name, line in lines.items()}


def _ends(lines: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    values = [value for line in lines.values() for value in line]
    return min(values), max(values)


def _decades(lines: Mapping[str, Sequence[float]]) -> float:
    low, high = _ends(lines)
    return math.log10(high / low)


def _log_scale(axis, lines: Mapping[str, Sequence[float]], decades: float) -> None:
    """A scale of so many decades around the lines, with ticks as 1, 2, 5, 10, 20."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = _ends(lines)
    middle, half = math.sqrt(low * high), 10 ** (decades / 2)
    axis.set_yscale("log")
    axis.set_ylim(middle / half, middle * half)
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=99))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" font-family="system-ui, sans-serif" font-size="13" '
        'aria-hidden="true"><defs><marker id="gpt2course-kv" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" '
        f'fill="{GREY}"/></marker></defs>{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, text: str, anchor="middle", size=13, weight=400, fill="currentColor"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}" xml:space="preserve">{escape(text)}</text>'
    )


def _box(x: float, y: float, wide: float, high: float, fill: str, thick: float, more="") -> str:
    edge = GREY if fill == "none" else "currentColor"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="4" '
        f'fill="{fill}" stroke="{edge}" stroke-width="{thick}" {more}/>'
    )


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return (
        f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{GREY}" stroke-width="2" '
        'fill="none" marker-end="url(#gpt2course-kv)"/>'
    )
