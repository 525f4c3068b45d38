"""Drawings in SVG: shapes and words put down one by one, on a canvas as large as they need."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from math import cos, hypot, inf, radians, sin

from gpt2course.drawing.colours import GREY, INK, PAGE, is_clear
from gpt2course.drawing.picture import Picture, from_svg, heard

SANS = "system-ui, sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
WIDTH = 820  # of the widest drawing, in pixels at full size
SCROLLS = 500  # pixels; a wider drawing may have to scroll, which a key must be able to do

Point = tuple[float, float]
Words = Sequence[str]


def wide(text: str, size: float = 13, bold: bool = False, mono: bool = False) -> float:
    """How much room a line of text takes in a wide font; Chinese and emoji take two letters."""
    if mono:
        return 0.605 * size * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    ems = (
        0.97 if unicodedata.east_asian_width(c) in "WF" or c in "mwMW%@…—→↑"
        else 0.37 if c in "iljtfr.,:;'’|!()[] " else 0.63 for c in text
    )  # fmt: skip
    return size * sum(ems) * (1.12 if bold else 1.0)


def short(number: float) -> str:
    """A coordinate, written with as few characters as a hundredth of a pixel needs."""
    return f"{number:z.2f}".rstrip("0").rstrip(".")


class Drawing:
    """Shapes and words in the order in which they lie over each other; y points down.

    The body of a drawing begins at (0, 0), so that drawings can stand side by side; titles and
    labels may lie above and left of it. No shape has an id: an id counts for the whole page.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = self.top = inf
        self.right = self.bottom = -inf

    @property
    def width(self) -> float:
        return self.right - self.left

    def room(self, *points: Point) -> None:
        """Make the canvas large enough for these points."""
        xs, ys = zip(*points, strict=True)
        self.left, self.right = min(self.left, *xs), max(self.right, *xs)
        self.top, self.bottom = min(self.top, *ys), max(self.bottom, *ys)

    def text(
        self, x: float, y: float, text: str, anchor: str = "start", size: float = 13,
        bold: bool = False, fill: str = PAGE, mono: bool = False, turn: float = 0,
    ) -> None:  # fmt: skip
        """A line of text at its baseline, turned clockwise by some degrees."""
        length = wide(text, size, bold, mono)
        start = -length * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        c, s = cos(radians(turn)), sin(radians(turn))
        ends = [
            (along, up) for along in (start, start + length) for up in (-0.8 * size, 0.3 * size)
        ]
        self.room(*((x + a * c - b * s, y + a * s + b * c) for a, b in ends))
        look = f' font-family="{MONO}"' * mono + ' font-weight="700"' * bold
        look += ' style="white-space:pre"' * ("  " in text)
        turned = f' transform="rotate({turn:g} {short(x)} {short(y)})"' if turn else ""
        self.parts.append(
            f'<text x="{short(x)}" y="{short(y)}" text-anchor="{anchor}" font-size="{size:g}"'
            f'{look} fill="{fill}"{turned}>{escape(text)}</text>'
        )

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str = "none",
        edge: str = INK, thick: float = 1, dash: str = "", rx: float = 0, kind: str = "",
    ) -> None:  # fmt: skip
        """A rectangle; without a fill, an edge in INK takes the colour of the page.

        Args:
            kind: a class, for rules of style.
        """
        self.room((x - thick / 2, y - thick / 2), (x + width + thick / 2, y + height + thick / 2))
        marked = f' rx="{rx:g}"' * bool(rx) + f' class="{kind}"' * bool(kind)
        self.parts.append(
            f'<rect x="{short(x)}" y="{short(y)}" width="{short(width)}" height="{short(height)}" '
            f'fill="{fill}"{_pen(PAGE if is_clear(fill) and edge == INK else edge, thick, dash)}'
            f"{marked}/>"
        )

    def box(
        self, x: float, y: float, width: float, height: float, text: str, fill: str = "none",
        size: float = 13, bold: bool = False, mono: bool = False, ink: str = "", **look,
    ) -> None:  # fmt: skip
        """A rectangle with lines of text in its middle.

        Args:
            ink: the colour of the text, where it is neither INK nor the page's.
            look: as in `rect`.
        """
        self.rect(x, y, width, height, fill, **look)
        lines = text.split("\n") if text else []
        for i, line in enumerate(lines):
            middle = y + height / 2 + 0.36 * size + (i - (len(lines) - 1) / 2) * 1.3 * size
            ink = ink or (PAGE if is_clear(fill) else INK)
            self.text(x + width / 2, middle, line, "middle", size, bold, ink, mono)

    def circle(
        self, x: float, y: float, r: float, fill: str = "none", edge: str = INK, thick: float = 1
    ) -> None:
        """A circle; without a fill, an edge in INK takes the colour of the page."""
        self.room((x - r - thick / 2, y - r - thick / 2), (x + r + thick / 2, y + r + thick / 2))
        edge = PAGE if fill == "none" and edge == INK else edge
        self.parts.append(
            f'<circle cx="{short(x)}" cy="{short(y)}" r="{r:g}" fill="{fill}"{_pen(edge, thick)}/>'
        )

    def line(
        self, *points: Point, stroke: str = GREY, thick: float = 1.5, dash: str = "",
        fill: str = "none", closed: bool = False, opacity: float = 1, curved: bool = False,
        kind: str = "",
    ) -> None:  # fmt: skip
        """A line through points; closed it is a polygon, curved a Bézier curve of four points.

        Args:
            kind: a class, for rules of style.
        """
        self.room(*points)
        first, *others = (f"{short(x)} {short(y)}" for x, y in points)
        path = f"M{first}" + (
            "C" + " ".join(others) if curved else "".join(f"L{p}" for p in others)
        )
        faint = f' opacity="{opacity:g}"' * (opacity != 1) + f' class="{kind}"' * bool(kind)
        self.parts.append(
            f'<path d="{path}{"z" * closed}" fill="{fill}"{_pen(stroke, thick, dash)}{faint}/>'
        )

    def arrow(
        self, *points: Point, stroke: str = GREY, thick: float = 1.5, dash: str = "",
        head: float = 8,
    ) -> None:  # fmt: skip
        """A line through points with a tip at the last one."""
        (x0, y0), (x, y) = points[-2:]
        length = hypot(x - x0, y - y0) or 1.0
        ux, uy = (x - x0) / length, (y - y0) / length
        back = x - head * ux, y - head * uy
        wing = head * 0.45
        self.line(*points[:-1], back, stroke=stroke, thick=thick, dash=dash)
        tip = (back[0] - wing * uy, back[1] + wing * ux), (back[0] + wing * uy, back[1] - wing * ux)
        self.line((x, y), *tip, stroke="none", fill=stroke, closed=True)

    def image(self, x: float, y: float, width: float, height: float, href: str) -> None:
        """An image, its pixels stretched to rectangles."""
        self.room((x, y), (x + width, y + height))
        self.parts.append(
            f'<image x="{short(x)}" y="{short(y)}" width="{short(width)}" '
            f'height="{short(height)}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="{href}"/>'
        )

    def plus(self, x: float, y: float, r: float = 10) -> None:
        """An addition: + in a circle."""
        self.circle(x, y, r, "#ffffff", INK, 1.5)
        self.text(x, y + r / 2, "+", "middle", 1.5 * r, True, INK)

    def head(self, title: str, note: str = "", size: float = 14) -> None:
        """A title above all that is drawn so far, in as many lines as it needs, and a note."""
        most = int(WIDTH / (0.62 * size))
        lines = [(line, size, True) for line in textwrap.wrap(title, most)]
        lines += [(line, 12, False) for line in textwrap.wrap(note, most)]
        x, y = self.left, self.top - 8 - 18 * len(lines)
        for i, (line, height, bold) in enumerate(lines, 1):
            self.text(x, y + 18 * i, line, "start", height, bold)

    @contextmanager
    def group(self, kind: str = "", tip: str = "") -> Iterator[None]:
        """What is drawn within has a class and a text for the pointer in common."""
        told = f"<title>{escape(tip)}</title>" if tip else ""
        self.parts.append(f'<g class="{kind}">{told}')
        yield
        self.parts.append("</g>")

    def put(self, other: Drawing, x: float = 0, y: float = 0) -> None:
        """Another drawing, its (0, 0) at this place."""
        self.room((other.left + x, other.top + y), (other.right + x, other.bottom + y))
        inside = "".join(other.parts)
        self.parts.append(f'<g transform="translate({short(x)} {short(y)})">{inside}</g>')

    def svg(self, alt: str = "") -> str:
        """The drawing as an <svg>, which is passed over by readers unless it has an alt text."""
        x, y, width, height = (
            self.left - 2,
            self.top - 2,
            self.width + 4,
            self.bottom - self.top + 4,
        )
        said = f'role="img" aria-label="{escape(heard(alt))}"' if alt else 'aria-hidden="true"'
        return (
            f'<svg {said} width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="{x:.0f} {y:.0f} {width:.0f} {height:.0f}" style="max-width:none" '
            f'font-family="{SANS}">{"".join(self.parts)}</svg>'
        )

    def picture(self, alt: str, said: str = "") -> Picture:
        """The drawing with its text alternative, for a notebook.

        Args:
            said: what is read out, where the alternative is too long to listen to.
        """
        return from_svg(self.svg(), alt, said, self.width > SCROLLS)


def _pen(stroke: str, thick: float, dash: str = "") -> str:
    """The attributes of an outline."""
    if stroke == "none":
        return ""
    thickness = f' stroke-width="{short(thick)}"' if thick != 1 else ""
    return f' stroke="{stroke}"{thickness}' + f' stroke-dasharray="{dash}"' * bool(dash)


def line_up(drawings: Sequence[Drawing], between: Sequence[str] = (), gap: float = 30) -> Drawing:
    """Drawings in one line, however long, with what leads from each to the next."""
    drawn, x = Drawing(), 0.0
    middle = min(one.bottom for one in drawings) / 2
    for i, one in enumerate(drawings):
        drawn.put(one, x - one.left, 0)
        x += one.width + (0 if between else gap)
        if i < len(between) and i < len(drawings) - 1:
            x += _step(drawn, x, middle, between[i])
    return drawn


def row(drawings: Sequence[Drawing], between: Sequence[str] = (), gap: float = 30) -> Drawing:
    """Drawings side by side, their bodies on one line; what does not fit goes below.

    Args:
        between: what leads from each to the next: a sign such as "=", or the words above an arrow
            and, after a line break, below it. Drawings that hang together like this stand all in
            one line or all below each other.
    """
    line = line_up(drawings, between, gap)
    if line.width <= WIDTH or len(drawings) == 1:
        return line
    if between:
        return _below(drawings, between, gap)
    fitting = next(n for n in range(len(drawings) - 1, 0, -1)
                   if n == 1 or line_up(drawings[:n], (), gap).width <= WIDTH)  # fmt: skip
    return column([line_up(drawings[:fitting], (), gap), row(drawings[fitting:], (), gap)])


def column(drawings: Sequence[Drawing], gap: float = 18) -> Drawing:
    """Drawings below each other, their bodies above each other."""
    drawn, y = Drawing(), 0.0
    for i, one in enumerate(drawings):
        y += (gap - one.top) if i else 0.0
        drawn.put(one, 0, y)
        y += one.bottom
    return drawn


def _step(drawn: Drawing, x: float, y: float, said: str) -> float:
    """A sign or an arrow with its words at (x, y), and how much room it takes."""
    if len(said) == 1:
        drawn.text(x + 16, y + 6, said, "middle", 20)
        return 32
    upper, _, lower = said.partition("\n")
    room = 16 + max(34, wide(upper, 12), wide(lower, 12))
    drawn.text(x + room / 2, y - 9, upper, "middle", 12)
    drawn.arrow((x + 8, y), (x + room - 8, y))
    drawn.text(x + room / 2, y + 18, lower, "middle", 12)
    return room


def _below(drawings: Sequence[Drawing], between: Sequence[str], gap: float) -> Drawing:
    drawn, y = Drawing(), 0.0
    for i, one in enumerate(drawings):
        y -= one.top if i else 0.0
        drawn.put(one, 0, y)
        y += one.bottom + 10
        if i < len(drawings) - 1:
            said = between[i].replace("\n", " ")
            if len(said) > 1:
                drawn.arrow((20, y), (20, y + gap - 6))
            drawn.text(34, y + gap / 2, said)
            y += gap + 6
    return drawn
