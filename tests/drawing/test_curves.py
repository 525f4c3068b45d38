"""Curves, dots and bars: what they draw stands where the numbers say, and is named."""

import math
from itertools import pairwise

import pytest
import seen

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.curves import Axis, curves, dots, plot, steps
from gpt2course.drawing.picture import stacked

WIDTH, HEIGHT = 460, 210


def test_a_curve_goes_through_its_points_on_the_axes():
    picture = curves({"one": [(0, 0.0), (50, 1.0), (100, 2.0)]}, "t", "y", y_range=(0, 2))
    [curve] = seen.curves(picture)
    assert curve.points == [(0, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH, 0)]


def test_every_curve_has_its_name_its_last_value_and_dashes_of_its_own():
    series = {name: [(0, 3.0), (10, i)] for i, name in enumerate(("a", "b", "c"))}
    picture = curves(series, "title", "loss", {"floor": 1.1})
    wanted = {"a, 0.00", "b, 1.00", "c, 2.00", "floor, 1.10", "title", "loss"}
    assert wanted <= set(seen.texts(picture))
    drawn = [curve.look for curve in seen.curves(picture)]
    assert len({look["stroke"] for look in drawn}) == 3
    assert len({look.get("stroke-dasharray") for look in drawn}) == 3


def test_the_text_of_a_curve_says_its_ends_and_what_lies_beyond_them():
    curve = [(0, 7.6), (10, 1.2), (20, 1.5)]
    alt = curves({"loss": curve}, "It falls", "nats", {"ln V": 7.62}).alt
    assert "It falls. nats by training step: " in alt
    assert "loss from 7.60 to 1.50, lowest 1.20 at 10" in alt and "ln V at 7.62" in alt
    assert "highest 9.00 at 5" in curves({"x": [(0, 1), (5, 9), (9, 2)]}, "t", "y").alt


def test_names_at_the_end_do_not_lie_over_each_other():
    series = {str(i): [(0, 1.0), (10, 2 + i / 1000)] for i in range(5)}
    names = [
        t
        for t in seen.shapes(curves(series, "t", "y", y_range=(0, 2)), "text")
        if ", 2.0" in t.text
    ]
    ys = sorted(name.y for name in names)
    assert len(ys) == 5 and all(b - a >= 16.9 for a, b in pairwise(ys))
    assert ys[-1] <= HEIGHT + 10


def test_values_beyond_the_axis_stay_inside_and_nan_is_left_out():
    curve = [(0, -5.0), (1, math.nan), (2, 99.0), (3, math.inf), (4, 1.0)]
    [line] = seen.curves(curves({"x": curve}, "t", "y", y_range=(0, 2)))
    assert [y for _, y in line.points] == [HEIGHT, 0, HEIGHT / 2]


def test_a_long_curve_is_drawn_by_the_means_of_neighbours():
    curve = [(i, float(i % 2)) for i in range(2000)]
    [line] = seen.curves(curves({"x": curve}, "t", "y", y_range=(0, 1)))
    assert len(line.points) == 400
    assert all(abs(y - HEIGHT / 2) <= HEIGHT / 9 for _, y in line.points)


@pytest.mark.parametrize("top", [0.9, 1.0, 2.0, 7.6, 42.0, 1600.0, 3e-3])
def test_the_axes_have_four_to_eight_round_numbers(top):
    picture = curves({"x": [(0, 0.0), (10, top)]}, "t", "y", y_range=(0, top))
    at_y = [float(t.text.replace(",", "")) for t in seen.shapes(picture, "text", text_anchor="end")]
    assert 4 <= len(at_y) <= 8
    assert max(at_y) <= top * 1.001


def test_text_takes_the_colour_of_the_notebook():
    picture = curves({"x": [(0, 0.0), (10, 1.0)]}, "t", "y")
    assert {text.look["fill"] for text in seen.shapes(picture, "text")} == {"currentColor"}


def test_stacked_pictures_keep_both_texts():
    one, other = (curves({n: [(0, 0.0), (1, 1.0)]}, n, "y") for n in ("left", "right"))
    both = stacked(one, other)
    assert one.html in both.html and other.html in both.html
    assert both.alt == f"{one.alt}\n{other.alt}"


# Log axes, dots and bars


def test_on_a_log_axis_equal_factors_are_equal_steps():
    drawn = plot({"x": steps([1.0, 10.0, 100.0], 1)}, Axis("n"), Axis("v", 1, 100, log=True))
    [line] = seen.curves(drawn.svg())
    (_, low), (_, middle), (_, high) = line.points
    assert low - middle == pytest.approx(middle - high) == HEIGHT / 2
    assert {"1", "10", "100"} <= set(seen.texts(drawn.svg()))


def test_a_log_axis_of_many_decades_has_few_ticks_and_one_of_few_has_2_and_5():
    wide = plot({"x": steps([1e-12, 1e4])}, Axis("n"), Axis("v", log=True), names={}).svg()
    narrow = plot({"x": steps([2.0, 30.0])}, Axis("n"), Axis("v", log=True), names={}).svg()
    labels = [len(seen.shapes(svg, "text", text_anchor="end")) for svg in (wide, narrow)]
    assert labels[0] <= 10
    assert {"2", "5", "10", "20"} <= set(seen.texts(narrow))


def test_every_curve_with_marks_has_a_shape_of_its_own():
    series = {str(i): [(0, i)] for i in range(6)}
    svg = plot(series, Axis("n"), Axis("v"), marks=True, joined=False, names={}).svg()
    round_ones = seen.shapes(svg, "circle")
    others = [s for s in seen.shapes(svg, "path") if s.look["fill"] != "none"]
    forms = set()
    for shape in others:
        x = sum(x for x, _ in shape.points) / len(shape.points)
        y = sum(y for _, y in shape.points) / len(shape.points)
        forms.add(tuple((round(a - x), round(b - y)) for a, b in shape.points))
    assert len(round_ones) == 1 and len(forms) == 5


def test_dots_stand_on_one_axis_and_the_outer_ones_say_their_numbers():
    rows = {"a": {0: (1.0, "one"), 1: (3.0, "three")}, "b": {0: (2.0, "two")}}
    svg = dots(rows, Axis("n", 0, 4), ("left", "right"), "T", {2.0: "half"}).svg()
    (x1, y1), (x2, y2) = [c.points[0] for c in seen.shapes(svg, "circle")][1:]  # after the key
    assert (x2 - x1) == pytest.approx(WIDTH / 4) and y2 > y1
    assert seen.place(svg, "half")[0] == x2
    assert seen.place(svg, "one")[0] < x1 < x2 < seen.place(svg, "three")[0]
    assert {"a", "b", "two", "left", "right", "T"} <= set(seen.texts(svg))


def test_bars_share_one_scale_and_lead_left_below_zero():
    rows = [Bar("up", 2.0, "2"), Bar("down", -1.0, "-1"), Bar("marked", 0.5, "½", mark=1.5)]
    svg = bars(rows, "T", length=100).svg()
    up, down, marked = seen.shapes(svg, "rect")
    assert (up.x, up.width, down.width, marked.width) == (0, 100, 50, 25)
    assert down.x + down.width == 0
    (mark,) = seen.shapes(svg, "path", **{"class": "mark"})
    assert mark.x == 75 and seen.place(svg, "½")[0] > 75
    assert seen.place(svg, "down")[0] < down.x


def test_bars_that_stand_together_are_nearer_than_others():
    svg = bars([Bar(str(i), 1.0, "") for i in range(4)], together=2).svg()
    gaps = [b.y - a.y for a, b in pairwise(seen.shapes(svg, "rect"))]
    assert gaps[0] == gaps[2] < gaps[1]
