"""A matplotlib figure stands on a light and on a dark page, alone and among others."""

import re

import matplotlib.pyplot as plt
import pytest

from gpt2course.drawing.colours import CURVES
from gpt2course.drawing.picture import from_figure


def drawing(numbers=(1, 3, 2), name="a curve", **text):
    """A figure with everything that may need the page's colour, or an id."""
    figure, axis = plt.subplots()
    axis.plot(numbers, color=CURVES[0], label=name)
    axis.axhline(2, color="black", label="a level")
    axis.bar([0], [1], facecolor="black", edgecolor="black")
    axis.text(1, 1, "said", **text)
    axis.set_title("Title")
    axis.legend()
    return from_figure(figure, "what is to be seen")


def test_black_takes_the_colour_of_the_page_and_other_colours_stay():
    html = drawing(color="#1b1b1b").html
    assert "#000000" not in html and "stroke: currentColor" in html
    root = re.search(r'<svg style="([^"]*)"', html)[1]
    assert "fill:currentColor" in root  # that of black text, for which matplotlib writes none
    assert 'style="fill: #1b1b1b"' in html and f"stroke: {CURVES[0]}" in html


def test_no_ground_is_drawn_and_the_legend_hides_nothing():
    html = drawing().html
    assert not re.search(r"fill: #f{3,6}|fill: white", html)
    assert 'id="legend_1"' in re.sub(r'id="f\w+-', 'id="', html)  # there is one


def test_the_drawing_brings_no_rules_and_no_notes_for_the_page():
    html = drawing().html
    for word in ("<style", "<metadata", "<!--", "<?xml", "<!DOCTYPE"):
        assert word not in html
    assert "stroke-linejoin:round" in re.search(r'<svg style="([^"]*)"', html)[1]


def test_the_same_drawing_is_the_same_text_and_its_figure_is_closed():
    before = plt.get_fignums()
    assert drawing() == drawing()
    assert plt.get_fignums() == before


def test_two_drawings_share_no_id_and_each_finds_all_of_its_own():
    ids = []
    for picture in (drawing(), drawing((1, 3, 2.5)), drawing(name="another")):
        found = re.findall(r'\bid="([^"]+)"', picture.html)
        named = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', picture.html))
        assert len(found) == len(set(found))
        assert named and {first or second for first, second in named} <= set(found)
        assert "clipPath" in picture.html and "<pattern" not in picture.html
        ids.append(set(found))
    assert not (ids[0] & ids[1] or ids[0] & ids[2] or ids[1] & ids[2])


def test_the_text_alternative_is_said_once_and_escaped():
    figure, _ = plt.subplots()
    picture = from_figure(figure, 'a "b" < c')
    assert picture.alt == 'a "b" < c'
    assert picture.html.startswith('<div role="figure" aria-label="a &quot;b&quot; &lt; c"><svg ')
    assert picture.html.count('aria-hidden="true"') == 1


def light(colour):
    """Relative luminance, by the definition of WCAG."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", CURVES)
def test_curves_are_seen_on_white_and_on_the_dark_page(colour):
    for ground in ("#ffffff", "#111111", "#212121"):
        brighter, darker = sorted((light(colour), light(ground)), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= 3


def test_every_curve_has_another_colour():
    assert len(set(CURVES)) == len(CURVES) == 6
