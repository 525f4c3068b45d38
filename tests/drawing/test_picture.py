"""A drawing grows with what it holds, and stands on a page with its text alternative."""

import pytest
import seen

from gpt2course.drawing.colours import CURVES, INK
from gpt2course.drawing.picture import Picture, from_svg, stacked
from gpt2course.drawing.svg import WIDTH, Drawing, column, row


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


def square(size=100.0):
    drawn = Drawing()
    drawn.rect(0, 0, size, size, "#ffffff", "none")
    return drawn


def test_the_text_alternative_is_said_once_and_escaped():
    picture = square().picture('a "b" < c')
    assert picture.alt == repr(picture) == 'a "b" < c'
    assert picture.html.startswith('<div role="figure" aria-label="a &quot;b&quot; &lt; c"')
    assert picture.html.count('aria-hidden="true"') == 1
    bundle = picture._repr_mimebundle_()
    assert bundle == {"text/html": picture.html, "text/plain": picture.alt}


def test_a_drawing_alone_says_its_own_alternative():
    (svg,) = seen.drawings(square().svg('"so"'))
    assert svg.get("role") == "img" and svg.get("aria-label") == '"so"'


def test_the_frame_holds_all_that_is_drawn_also_left_of_and_above_its_body():
    drawn = square()
    drawn.text(-10, 50, "a label", "end")
    drawn.line((50, -40), (180, 20))
    left, top, width, height = map(float, seen.drawings(drawn.svg())[0].get("viewBox").split())
    assert left < -10 - 40 and top <= -40 and left + width >= 180 and top + height >= 100


def test_a_page_that_is_too_narrow_scrolls_instead_of_shrinking_the_words():
    picture = square(600.0).picture("wide")
    (svg,) = seen.drawings(picture)
    assert "max-width:none" in svg.get("style") and "overflow-x:auto" in picture.html
    assert 'tabindex="0"' in picture.html  # scrolled with keys too
    assert "tabindex" not in square().picture("narrow").html


def test_words_take_the_colour_of_the_page_and_those_on_a_fill_do_not():
    drawn = Drawing()
    drawn.text(0, 0, "page")
    drawn.box(0, 10, 60, 20, "empty")
    drawn.box(0, 40, 60, 20, "filled\nbox", "#ffd8a8")
    fills = {text.text: text.look["fill"] for text in seen.shapes(drawn.svg(), "text")}
    assert fills == {"page": "currentColor", "empty": "currentColor", "filled": INK, "box": INK}
    assert [box.look["stroke"] for box in seen.shapes(drawn.svg(), "rect")] == ["currentColor", INK]


def test_the_tip_of_an_arrow_is_where_it_points_to():
    drawn = Drawing()
    drawn.arrow((0, 0), (50, 0), (50, 40), head=10)
    line, tip = seen.shapes(drawn.svg(), "path")
    assert line.points == [(0, 0), (50, 0), (50, 30)] and tip.points[0] == (50, 40)
    assert {y for _, y in tip.points[1:]} == {30}


def test_a_title_stands_above_everything_in_as_many_lines_as_it_needs():
    drawn = square()
    drawn.head("a long title " * 20, "a note")
    lines = seen.shapes(drawn.svg(), "text")
    assert len(lines) >= 3 and lines[-1].text == "a note" and lines[-1].y < 0
    assert drawn.width <= WIDTH + 30


def test_drawings_side_by_side_stand_on_one_line_and_those_that_do_not_fit_below():
    three = seen.shapes(row([square(), square(), square()]).svg(), "rect")
    assert [box.y for box in three] == [0, 0, 0] and three[0].x < three[1].x < three[2].x
    wrapped = seen.shapes(row([square(300.0)] * 3).svg(), "rect")
    assert [box.y > 0 for box in wrapped] == [False, False, True]
    assert [box.x for box in seen.shapes(column([square(), square()]).svg(), "rect")] == [0, 0]


def test_what_leads_from_one_to_the_next_stands_between_them():
    line = row([square(), square(), square()], between=("=", "times v\n(4, 2)")).svg()
    boxes = seen.shapes(line, "rect")
    for said, left, right in (("=", 0, 1), ("times v", 1, 2), ("(4, 2)", 1, 2)):
        assert boxes[left].x + 100 < seen.place(line, said)[0] < boxes[right].x
    assert [box.y for box in boxes] == [0, 0, 0]


def test_steps_that_do_not_fit_in_one_line_lead_down():
    below = row([square(500.0)] * 2, between=("read\n",)).svg()
    boxes = seen.shapes(below, "rect")
    assert boxes[0].x == boxes[1].x
    tip = seen.shapes(below, "path")[-1].points[0]
    assert boxes[0].y + 500 < seen.place(below, "read ")[1] < boxes[1].y and tip[1] < boxes[1].y


def test_stacked_pictures_keep_both_texts():
    both = stacked(from_svg("<svg>1</svg>", "one"), Picture("<b>2</b>", "two"))
    assert "<svg>1</svg>" in both.html and "<b>2</b>" in both.html and both.alt == "one\ntwo"
