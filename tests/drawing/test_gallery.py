"""What holds for every picture of the course: it is told in words, read on light and dark, inside
its frame, wide enough to be read and no wider than a notebook."""

import inspect
import re

import pytest
import seen
from gallery import GALLERY, MODULES, drawn

from gpt2course.drawing.colours import _linear, is_clear
from gpt2course.drawing.picture import LONGEST, Picture
from gpt2course.drawing.svg import WIDTH, wide

EVERY = pytest.mark.parametrize("name", GALLERY)
HIDDEN = {"gpt2course-lit", "gpt2course-cell"}  # seen under the pointer alone


def test_every_function_that_draws_a_picture_hangs_in_the_gallery():
    found = set()
    for module in MODULES:
        *_, lesson, kind = module.__name__.split(".")
        prefix = f"{lesson}." if kind == "figures" else ""
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and function.__annotations__.get("return") in ("Picture", Picture):
                found.add(prefix + name)
    assert found == {name.partition(", ")[0] for name in GALLERY}


def light(colour):
    """Relative luminance, by the definition of WCAG."""
    r, g, b = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    brighter, darker = sorted((light(one), light(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def box_of(shape):
    """Left, top, right, bottom."""
    if shape.tag == "text":
        look = shape.look
        size, mono, bold = float(look["font-size"]), "font-family" in look, "font-weight" in look
        length = wide(shape.text, size, bold, mono)
        left = shape.x - length * {"start": 0, "middle": 0.5, "end": 1}[look["text-anchor"]]
        return left, shape.y - 0.75 * size, left + length, shape.y + 0.2 * size
    if shape.tag in ("rect", "image"):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    if shape.tag == "path":
        (left, right), (top, bottom) = (
            (min(values), max(values)) for values in zip(*shape.points, strict=True)
        )
        return left, top, right, bottom
    if shape.tag == "circle":
        r = float(shape.look["r"])
        return shape.x - r, shape.y - r, shape.x + r, shape.y + r
    return None  # of a group


@EVERY
def test_it_is_told_in_words(name):
    picture = drawn(name)
    assert len(picture.alt) > 20 and repr(picture) == picture.alt
    for svg in seen.drawings(picture):
        assert svg.get("aria-hidden") == "true"  # what is told is told once
    if seen.drawings(picture):
        assert picture.html.count('role="figure"') >= 1
        first = re.search('role="figure" aria-label="([^"]*)"', picture.html)[1]
        assert first and len(first) <= LONGEST + 2


@EVERY
def test_it_brings_no_id_no_script_and_no_foreign_ground(name):
    html = drawn(name).html
    assert not re.search(r'\bid="|<script|url\(|xlink|http', html)
    assert "#000000" not in html.replace("color:#000000", "").replace('fill="#000000"', "")


@EVERY
def test_it_lies_inside_its_frame(name):
    for svg in seen.drawings(drawn(name)):
        left, top, width, height = map(float, svg.get("viewBox").split())
        shapes = [shape for shape in seen.walk(svg) if shape.points and shape.tag != "svg"]
        assert shapes
        for shape in shapes:
            corners = box_of(shape) if "transform" not in shape.look else None
            points = [corners[:2], corners[2:]] if corners else shape.points
            assert all(left - 1 <= x <= left + width + 1 for x, _ in points), shape
            assert all(top - 1 <= y <= top + height + 1 for _, y in points), shape


@EVERY
def test_it_is_no_wider_than_a_notebook_and_its_words_are_large_enough(name):
    for svg in seen.drawings(drawn(name)):
        assert float(svg.get("width")) <= WIDTH + 10
        assert "max-width:none" in svg.get("style")  # it scrolls and never shrinks
        words = [shape for shape in seen.walk(svg) if shape.tag == "text" and shape.text != "✗"]
        assert min((float(shape.look["font-size"]) for shape in words), default=12) >= 12


@EVERY
def test_no_two_texts_lie_over_each_other(name):
    for svg in seen.drawings(drawn(name)):
        found = [s for s in seen.walk(svg, HIDDEN) if s.tag == "text" and s.text.strip()]
        boxes = [(box_of(s), s.text) for s in found if "transform" not in s.look]
        for i, (one, text) in enumerate(boxes):
            for other, also in boxes[:i]:
                across = min(one[2], other[2]) - max(one[0], other[0])
                down = min(one[3], other[3]) - max(one[1], other[1])
                assert across < 4 or down < 3, (text, also)


@EVERY
def test_every_text_can_be_read_on_a_light_and_on_a_dark_page(name):
    for svg in seen.drawings(drawn(name)):
        shapes = list(seen.walk(svg, HIDDEN))
        for i, text in enumerate(shapes):
            if text.tag != "text" or "transform" in text.look or not text.text.strip():
                continue
            left, top, right, bottom = box_of(text)
            middle = (left + right) / 2, (top + bottom) / 2
            below = [s for s in shapes[:i] if _covers(s, middle)]
            ink, ground = text.look["fill"], below[-1].look.get("fill") if below else None
            if below and below[-1].tag == "image":
                continue  # the numbers on a map; their colour is tested with the map
            if ground is None or is_clear(ground):  # how dense it may be: test_matrix.py
                assert ink == "currentColor", text
            else:
                assert ink != "currentColor" and contrast(ink, ground) >= 4.5, (text, ground)


def _covers(shape, point):
    if shape.tag not in ("rect", "circle", "image", "path"):
        return False
    if shape.look.get("fill") in ("none", "transparent") or "opacity" in shape.look:
        return False
    left, top, right, bottom = box_of(shape)
    return left <= point[0] <= right and top <= point[1] <= bottom
