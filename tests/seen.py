"""What a reader sees of a picture: its shapes and its words, where they stand on the page."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from html import unescape
from typing import NamedTuple

from PIL import Image

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Shape(NamedTuple):
    """One element: its tag, attributes, text, and the points that it is drawn from.

    The points are the corner of a rectangle, the middle of a circle, the place of a text, the
    points of a path, in the order in which they are drawn.
    """

    tag: str
    look: dict[str, str]
    text: str
    points: list[tuple[float, float]]

    @property
    def x(self) -> float:
        return self.points[0][0]

    @property
    def y(self) -> float:
        return self.points[0][1]

    @property
    def width(self) -> float:
        return float(self.look["width"])

    @property
    def height(self) -> float:
        return float(self.look["height"])


def html_of(picture) -> str:
    return getattr(picture, "html", picture)


def drawings(picture) -> list[ElementTree.Element]:
    """The <svg> elements of a picture; each must be well-formed by itself."""
    return [ElementTree.fromstring(svg) for svg in re.findall("<svg.*?</svg>", html_of(picture))]


def shapes(picture, tag: str, **look: str) -> list[Shape]:
    """All elements of a kind, with attributes as given (stroke_width for stroke-width)."""
    wanted = {name.replace("_", "-"): value for name, value in look.items()}
    return [
        shape
        for svg in drawings(picture)
        for shape in walk(svg)
        if shape.tag == tag and wanted.items() <= shape.look.items()
    ]


def walk(
    element: ElementTree.Element, without: Collection[str] = (), x: float = 0, y: float = 0
) -> Iterator[Shape]:
    """An element and all within it, but for those of some classes."""
    moved = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    look, tag = dict(element.attrib), element.tag.rpartition("}")[2]
    if look.get("class") in without:
        return
    numbers = [float(n) for n in NUMBER.findall(look.get("d", ""))]
    corner = {"circle": ("cx", "cy")}.get(tag, ("x", "y"))
    numbers = numbers or [float(look[name]) for name in corner if name in look]
    points = [(a + x, b + y) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    yield Shape(tag, look, "".join(element.itertext()), points)
    for child in element:
        yield from walk(child, without, x, y)


def texts(picture) -> list[str]:
    """The words that are drawn, one entry for each line."""
    return [shape.text for shape in shapes(picture, "text")]


def place(picture, text: str) -> tuple[float, float]:
    """Where a text stands, the first where there are several."""
    return next((shape.x, shape.y) for shape in shapes(picture, "text") if shape.text == text)


def curves(picture) -> list[Shape]:
    """The curves of a plot, in the order of their names."""
    return shapes(picture, "path", **{"class": "curve"})


def plain(html: str) -> str:
    """The words of some HTML, without its tags and without a cursor."""
    return " ".join(unescape(re.sub("<[^>]*>|▏", " ", html_of(html))).split())


def image_of(address: str) -> list[list[tuple[int, int, int, int]]]:
    """An image in the page, as rows of (red, green, blue, opacity)."""
    data = base64.b64decode(address.partition("base64,")[2])
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    return [[image.getpixel((x, y)) for x in range(image.width)] for y in range(image.height)]


def near(pixel: tuple[int, int, int, int], colour: str, within: int = 2) -> bool:
    """Whether a pixel has this colour, but for what 254 steps round away."""
    wanted = bytes.fromhex(f"{colour[1:]}ff")[:4]
    return all(abs(a - b) <= within for a, b in zip(pixel, wanted, strict=True))
