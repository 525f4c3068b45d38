"""The course's colours: one hue for each part of the model, one scale for each kind of number."""

from __future__ import annotations

import math

PAGE = "currentColor"  # of the page's text, on a light page and on a dark one
INK, GREY = "#1b1b1b", "#868e96"  # what is written on a fill; lines that carry no number
FAINT = "#86868655"  # lines between cells, on a light page and on a dark one
NEUTRAL = "#c9c9c9"  # for what is no number

# The parts of a model (hues by Okabe and Ito, told apart in every kind of colour blindness).
# Each as a line or a bar, and as a fill under black text.
STREAM, ATTENTION, MLP, TABLES = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
READ, ATTENTION_FILL, MLP_FILL, TABLES_FILL = "#a9d4f0", "#f2b48c", "#8fd6bf", "#e6b8d1"
POSITIONS_FILL, NORM_FILL = "#f4dcea", "#d5d7da"
NEW = "#ffe68a"  # a token that is asked for or written

# A scale for what is neither a weight nor a probability nor of both signs, such as loudness.
VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")

# Eight fills for things that stand side by side (tokens, heads), light enough for black text.
# Colour is never the only sign: what is filled also carries its text or number.
FILLS = ("#f7bd5f", "#6fdda0", "#57c2ff", "#a595c8", "#fbf29b", "#f3fef8", "#ef8a6a", "#f292c0")
BAR, OTHER_BAR = STREAM, ATTENTION  # a share, and one that it is compared with

# Curves and points: a contrast of 3 or more on a white page and on JupyterLab's dark one.
BLUE, ORANGE, GREEN, PURPLE = STREAM, ATTENTION, MLP, "#b5649a"
CURVES = (BLUE, ORANGE, GREEN, PURPLE, "#997404", "#0c8599")
DASHES = ("", "7 4", "2 4", "9 3 2 3", "12 5", "4 2")

# Numbers: the hue of a cell, which is the denser the larger the number. The page shows through, so
# that 0 has the colour of the page, and the page's own text can be read on the densest one.
NEGATIVE, POSITIVE, SHARE, COUNT = "#2166ac", "#c9302c", STREAM, GREY
DENSEST, PALEST = 0.8, 0.1  # of the page at most a fifth is seen; a share of 0 is not masked


def tint(hue: str, strength: float, least: float = 0.0) -> str:
    """A hue that lets the page show through, as "#rrggbbaa"; 1 is the densest, 0 is `least`."""
    strength = min(max(strength, 0.0), 1.0)
    return f"{hue}{round(255 * (least + (DENSEST - least) * strength)):02x}"


def fill_for(value: float, low: float, high: float) -> str:
    """The fill of one matrix entry on a scale from low to high.

    From below 0: of both signs, blue below 0 and red above. From 0 to 1: shares, in blue. From 0
    to more: counts, in grey. "none" for what has no place on the scale, and on a scale without
    length, such as (0, 0) for ids.
    """
    if not math.isfinite(value) or low == high:
        return "none"
    if low < 0:
        return tint(NEGATIVE if value < 0 else POSITIVE, abs(value) / max(-low, high))
    return tint(SHARE, value, PALEST) if high == 1 else tint(COUNT, 0.8 * value / high, PALEST)


def blend(stops: tuple[str, ...], t: float) -> str:
    """The colour at t (0 to 1) along evenly spaced stops, as "#rrggbb"; NEUTRAL for nan.

    >>> blend(("#000000", "#ffffff"), 0.5)
    '#808080'
    """
    if math.isnan(t):
        return NEUTRAL
    place = min(max(t, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(place), len(stops) - 2)
    left, right = (bytes.fromhex(stop[1:]) for stop in stops[i : i + 2])
    mixed = (round(a + (b - a) * (place - i)) for a, b in zip(left, right, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def is_clear(fill: str) -> bool:
    """Whether the page shows through a fill."""
    return fill == "none" or len(fill) == 9


PARTS = {"mlp": MLP_FILL, "att": ATTENTION_FILL, "wte": TABLES_FILL, "wpe": POSITIONS_FILL,
         "embedding": TABLES_FILL, "norm": NORM_FILL, "ln_": NORM_FILL}  # fmt: skip


def part_fill(name: str) -> str:
    """The fill of a part of the model, found by its name.

    >>> part_fill("the MLPs") == MLP_FILL
    True
    """
    return next((fill for part, fill in PARTS.items() if part in name.lower()), FILLS[5])


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on the colour; on a clear one the page's own."""
    if is_clear(colour):
        return PAGE
    r, g, b = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return "#000000" if luminance > 0.179 else "#ffffff"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
