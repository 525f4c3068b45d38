"""Numbers as bars, each with its name before it and its number behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpt2course.drawing.colours import BAR, ORANGE, PAGE
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing

HIGH = 26  # from one bar to the next


class Bar(NamedTuple):
    """One bar.

    Attributes:
        said: what stands behind it.
        fill: its colour; "none" for a dashed outline.
        mark: a value that is marked across the bar.
    """

    label: str
    value: float
    said: str
    fill: str = BAR
    mark: float | None = None


def bars(
    rows: Sequence[Bar], title: str = "", full: float | None = None, length: float = 360,
    marked: str = "", high: float = HIGH, together: int = 0,
) -> Drawing:  # fmt: skip
    """Bars below each other; those of negative values lead to the left.

    Args:
        full: the value of a bar that is as long as possible; the largest of all without it.
        length: of that bar, in pixels.
        marked: what the marks stand for.
        high: from one bar to the next, in pixels.
        together: how many bars stand together, with room between them and the next.
    """
    unit = length / (full or max(abs(one.value) for one in rows) or 1.0)
    lowest = min(0.0, *(one.value * unit for one in rows))
    drawn = Drawing()
    for i, (label, value, said, fill, mark) in enumerate(rows):
        y = i * high + 12 * (i // together if together else 0)
        end = min(max(value * unit, -length), length)
        drawn.text(lowest - 8, y + high / 2 + 4.5, label, "end")
        look = {"dash": "4 3"} if fill == "none" else {"edge": "none"}
        drawn.rect(min(0.0, end), y + 2, max(abs(end), 0.5), high - 4, fill, **look)
        ends = [0.0, end]
        if mark is not None:
            at = mark * unit
            drawn.line((at, y), (at, y + high), stroke=ORANGE, thick=4, kind="mark")
            ends.append(at)
        drawn.text(max(ends) + 8, y + high / 2 + 4.5, said, size=12)
    if lowest < 0:
        drawn.line((0, -3), (0, drawn.bottom + 3), stroke=PAGE, thick=1)
    if marked:
        drawn.line((4, -20), (4, -6), stroke=ORANGE, thick=4)
        drawn.text(12, -9, marked, size=12)
    if title:
        drawn.head(title)
    return drawn


def next_words(
    after: str, words: Sequence[str], probs: Sequence[float], shares: Sequence[float] = ()
) -> Picture:
    """The words that may come next as bars, the likeliest first as they are given.

    Args:
        after: the text that they follow.
        words, probs: each word and its probability.
        shares: how often each word does come there, drawn as a mark across its bar.
    """
    rows = [Bar(word, p, percent(p)) for word, p in zip(words, probs, strict=True)]
    told = [f"{one.label} {one.said}" for one in rows]
    if shares:
        rows = [one._replace(mark=share) for one, share in zip(rows, shares, strict=True)]
        told = [f"{t} (comes {percent(share)})" for t, share in zip(told, shares, strict=True)]
    title, marked = f"after “{after}”", "how often it does come there" if shares else ""
    return bars(rows, title, full=1, marked=marked).picture(f"{title}: " + ", ".join(told))
