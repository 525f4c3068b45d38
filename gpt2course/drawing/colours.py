"""The course's colours: viridis for weights, blue to red through white for signed numbers."""

from __future__ import annotations

import math

PAGE = "currentColor"  # of the page's text, on a light page and on a dark one
INK, GREY = "#1b1b1b", "#868e96"  # what is written on a fill; lines that carry no number

VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
DIVERGING = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
NEUTRAL = "#c9c9c9"  # for what has no place on a scale: -inf, nan

# Eight fills for things that stand side by side (tokens, heads), light enough for black text.
# Colour is never the only sign: what is filled also carries its text or number.
FILLS = ("#ffd8a8", "#b2f2bb", "#a5d8ff", "#eebefa", "#ffec99", "#99e9f2", "#ffc9c9", "#d8f5a2")
NEW, READ = FILLS[0], FILLS[2]  # a token that is asked for or written; one that is read
BAR, OTHER_BAR = "#4dabf7", "#ffa94d"

# Curves and points: a contrast of 3 or more on a white page and on JupyterLab's dark one.
BLUE, ORANGE, GREEN, PURPLE = "#1c7ed6", "#e8590c", "#2f9e44", "#ae3ec9"
CURVES = (BLUE, ORANGE, GREEN, PURPLE, "#997404", "#0c8599")
DASHES = ("", "7 4", "2 4", "9 3 2 3", "12 5", "4 2")


def blend(stops: tuple[str, ...], t: float) -> str:
    """The colour at t (0 to 1) along evenly spaced stops, as "#rrggbb"."""
    if math.isnan(t):
        return NEUTRAL
    place = min(max(t, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(place), len(stops) - 2)
    left, right = (_channels(stop) for stop in stops[i : i + 2])
    return "#" + "".join(
        f"{round(a + (b - a) * (place - i)):02x}" for a, b in zip(left, right, strict=True)
    )


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on the colour."""
    r, g, b = (_linear(channel / 255) for channel in _channels(colour))
    luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return "#000000" if luminance > 0.179 else "#ffffff"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def fill_for(value: float, low: float, high: float) -> str:
    """The fill of one matrix entry on a scale from low to high; diverging where low is below 0."""
    if not math.isfinite(value):
        return NEUTRAL
    if low < 0:
        reach = max(-low, high) or 1.0
        return blend(DIVERGING, 0.5 + value / (2 * reach))
    return blend(VIRIDIS, value / high if high else 0.0)
