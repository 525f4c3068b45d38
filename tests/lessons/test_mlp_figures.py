"""The pictures and the sliders of lesson 08 say what is true of the numbers."""

import math
import re
import time

import pytest
import torch
from seen import place, shapes, texts
from torch.nn import functional as F

from gpt2course.drawing.colours import GREY
from gpt2course.lessons.mlp import figures
from gpt2course.lessons.mlp.widgets import MOST, fit_units, gelu_slider, unit_slider
from gpt2course.mlp import gelu

WORDS = ["robot", "must", "obey", "orders"]
PLACES = {"robot": (1.0, 0.0), "must": (0.0, 0.0), "obey": (0.0, 1.0), "orders": (1.0, 1.0)}


def numbers(text):
    return [float(n) for n in re.findall(r"-?\d+\.\d+", text)]


# One hidden unit


@pytest.mark.parametrize(
    ("direction", "bias", "inside"),
    [
        ((1.0, 1.0), -1.5, {"orders"}),
        ((-1.0, -1.0), 0.5, {"must"}),
        ((1.0, -1.0), -0.5, {"robot"}),
        ((1.0, 0.0), -0.5, {"robot", "orders"}),
        ((1.0, 1.0), 9.0, set(WORDS)),
        ((1.0, 1.0), -9.0, set()),
    ],
)
def test_the_hatched_part_holds_the_words_with_a_positive_pre_activation(direction, bias, inside):
    picture = figures.unit_plane(PLACES, direction, bias, ("thing", "action"))
    side = [shape.points for shape in shapes(picture, "path", **{"class": "side"})]
    polygon = side[0] if side else []
    circles = [circle.points[0] for circle in shapes(picture, "circle")]
    for word, (x, y) in zip(PLACES, circles, strict=True):
        assert is_inside(x, y, polygon) == (word in inside), word
        value = sum(a * b for a, b in zip(direction, PLACES[word], strict=True)) + bias
        side = "inside" if word in inside else "outside"
        assert f"{word}: {value:+.1f}, {side}" in picture.alt
        assert f"{word}: {value:+.1f}" in texts(picture)
    assert f"as for {', '.join(w for w in WORDS if w in inside) or 'no word'}. " in picture.alt
    hatching = [line.points for line in shapes(picture, "path", stroke=GREY)[:-1]]
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b, *_ in hatching]
    assert bool(middles) == bool(inside)
    assert all(is_inside(x + 0.1, y, polygon) or is_inside(x - 0.1, y, polygon) for x, y in middles)


@pytest.mark.parametrize(("direction", "bias"), [((1.0, 1.0), -1.5), ((1.0, -3.0), 0.8)])
def test_the_hatched_part_ends_on_the_line_of_the_unit(direction, bias):
    picture = figures.unit_plane(PLACES, direction, bias, ("thing", "action"))
    _, (x0, y0), _, (x1, y1) = (circle.points[0] for circle in shapes(picture, "circle"))
    # must lies at (0, 0), orders at (1, 1)
    (side,) = shapes(picture, "path", **{"class": "side"})
    values = [
        direction[0] * (x - x0) / (x1 - x0) + direction[1] * (y - y0) / (y1 - y0) + bias
        for x, y in side.points
    ]
    assert sum(abs(value) < 0.01 for value in values) == 2 and min(values) > -0.01


def is_inside(x, y, polygon):
    """Whether a horizontal ray from the point crosses the polygon's edge an odd number of times."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            crossings += 1
    return crossings % 2 == 1


def test_all_four_stages_of_an_mlp_are_shown_in_order():
    x, before = torch.full((4, 3), 1.25), torch.full((4, 2), -2.5)
    after, y = torch.full((4, 2), 0.75), torch.full((4, 3), 4.5)
    picture = figures.mlp_stages(
        x, before, after, y, WORDS, ["thing", "action", "both"], ["one", "two"]
    )
    assert numbers(picture.alt) == [1.25] * 12 + [-2.5] * 8 + [0.75] * 8 + [4.5] * 12
    titles = ["x (4, 3)", "pre-activations (4, 2)", "activations (4, 2)", "written (4, 3)"]
    in_order = [titles[0], "read", titles[1], "ReLU", titles[2], "write", titles[3]]
    assert [place(picture, text)[0] for text in in_order] == sorted(
        place(picture, text)[0] for text in in_order
    )  # all in one line


# Activation functions


def test_the_activation_functions_tell_where_they_are_lowest_and_how_steep():
    picture = figures.activation_functions({"ReLU": torch.relu, "GELU": F.gelu})
    assert picture.html.startswith('<div role="figure" aria-label=')
    relu, gelu_text = picture.alt.split("; ")
    assert "smallest value 0.00" in relu and "slope from 0.00 to 1.00" in relu
    assert "smallest value -0.17 at x = -0.75" in gelu_text
    assert "slope from -0.13 to 1.13" in gelu_text


@pytest.mark.parametrize("x", [-4.0, -0.75, 0.0, 1.0, 4.0])
def test_one_number_goes_through_gelu_as_torch_has_it(x):
    picture = figures.gelu_at(x)
    below, value = 0.5 * math.erfc(-x / math.sqrt(2)), F.gelu(torch.tensor(x)).item()
    assert f"part of the bell below x {below:.3f}, GELU {value:z.3f}" in picture.alt
    assert f"Φ(x) = {below:.3f}" in picture.html and f"x · Φ(x) = {value:z.3f}" in picture.html
    assert f"ReLU(x) = {max(0.0, x):.3f}" in picture.html
    assert "-0.000" not in picture.html


def test_the_point_moves_along_the_curve_and_the_filled_part_grows():
    points, ends = [], []
    for x in (-2.0, 0.0, 2.0):
        picture = figures.gelu_at(x)
        points += [circle.points[0] for circle in shapes(picture, "circle")]
        (filled,) = shapes(picture, "path", **{"class": "below"})
        ends.append(max(x for x, _ in filled.points))
    assert points[2][0] - points[1][0] == pytest.approx(points[1][0] - points[0][0])
    per_unit = (points[1][0] - points[0][0]) / 2
    high, low = (F.gelu(torch.tensor(x)).item() for x in (2.0, -2.0))
    rise = (points[1][1] - points[2][1]) / high
    assert rise == pytest.approx(per_unit, rel=0.05)  # both axes have one scale
    assert (points[1][1] - points[0][1]) / low == pytest.approx(rise, rel=0.05)
    assert ends[0] < ends[1] < ends[2]
    assert ends[2] - ends[1] == pytest.approx(ends[1] - ends[0], abs=0.5)


def test_the_slider_redraws_and_the_twin_is_its_first_setting():
    playable = gelu_slider(first=0.5)
    x, shown = playable.widget.children
    assert playable.twin == figures.gelu_at(0.5) and shown.value == playable.twin.html
    x.value = -1.5
    assert shown.value == figures.gelu_at(-1.5).html


def test_the_distance_of_the_two_forms_is_told_and_those_of_equal_forms_is_none():
    told = numbers(figures.forms_apart(gelu, F.gelu).alt)
    x = torch.linspace(-6, 6, 200_001, dtype=torch.float64)
    largest = (gelu(x) - F.gelu(x)).abs().max().item()
    assert f"{largest:.1e}" in figures.forms_apart(gelu, F.gelu).alt
    assert abs(told[0]) == pytest.approx(2.7)
    shifted = figures.forms_apart(lambda x: F.gelu(x) + 2e-4 * torch.exp(-((x - 1) ** 2)), F.gelu)
    assert "largest at x = 1.0: 2.0e-04" in shifted.alt


# Lines


def test_the_growth_tells_its_first_and_last_numbers():
    picture = figures.growth({"form": [1e-4, 2e-4, 3e-4], "rounding": [1e-7, 2e-7, 4e-7]})
    assert (
        "form: after layer 1 1.0e-04, after layer 2 2.0e-04, in the logits 3.0e-04" in picture.alt
    )
    assert "rounding: after layer 1 1.0e-07" in picture.alt


# Curves made of units


@pytest.fixture(scope="module")
def hills():
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    return x, torch.exp(-1.2 * (x + 1.7) ** 2) + 0.6 * torch.exp(-1.5 * (x - 1.5) ** 2)


def squared_error(one, other):
    return ((one - other) ** 2).mean().item()


@pytest.mark.parametrize("function", [torch.relu, gelu])
def test_each_unit_more_comes_nearer(hills, function):
    x, wanted = hills
    layers = fit_units(x, wanted, function)
    errors = [squared_error(units(x, function), wanted) for units in layers]
    assert len(layers) == MOST and [len(units.read) for units in layers] == [*range(1, MOST + 1)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 40


def test_without_a_non_linearity_any_number_of_units_gives_the_best_straight_line(hills):
    x, wanted = hills
    with_ones = torch.stack([x, torch.ones_like(x)], dim=1)
    line = with_ones @ torch.linalg.lstsq(with_ones, wanted[:, None]).solution[:, 0]
    for units in fit_units(x, wanted, lambda x: x):
        assert torch.allclose(units(x, lambda x: x), line, atol=1e-3)


def test_a_unit_bends_the_line_at_its_threshold_and_nowhere_else(hills):
    x, wanted = hills
    units = fit_units(x, wanted, torch.relu)[2]
    slopes = units(x, torch.relu).diff()
    bends = x[1:-1][slopes.diff().abs() > 1e-6]
    assert all(min(abs(bend - t) for t in units.thresholds) < 0.1 + 1e-6 for bend in bends.tolist())
    assert len(units.thresholds) == 3 and units.thresholds == sorted(units.thresholds)


def test_the_curve_tells_its_error_and_marks_every_threshold(hills):
    x, wanted = hills
    picture = figures.curve_of_units(x, wanted, wanted + 0.1, [-2.0, 0.0, 1.5], "gelu")
    assert "3 hidden units, gelu: mean squared error 0.0100" in picture.alt
    assert picture.alt.endswith("at x = -2.00, 0.00, 1.50")
    marks = [mark.x for mark in shapes(picture, "path", **{"class": "threshold"})]
    assert marks == pytest.approx([560 * (t + 4) / 8 for t in (-2.0, 0.0, 1.5)], abs=0.1)


def test_the_unit_slider_follows_both_controls(hills):
    x, wanted = hills
    playable = unit_slider(x, wanted, {"gelu": gelu, "ReLU": torch.relu})
    activation, n, shown = playable.widget.children
    assert "4 hidden units, gelu" in shown.value and playable.twin.html == shown.value
    n.value = 1
    assert "1 hidden unit, gelu" in shown.value
    activation.value, n.value = "ReLU", 8
    units = fit_units(x, wanted, torch.relu)[7]
    error = squared_error(units(x, torch.relu), wanted)
    assert f"8 hidden units, ReLU: mean squared error {error:.4f}" in shown.value


def test_the_sliders_draw_in_less_than_a_tenth_of_a_second(hills):
    x, wanted = hills
    started = time.perf_counter()
    for _ in range(5):
        figures.gelu_at(1.0)
        figures.curve_of_units(x, wanted, wanted, [0.0], "gelu")
    assert (time.perf_counter() - started) / 5 < 0.1


# Parameters


def test_the_largest_part_comes_first_and_the_bars_are_in_proportion():
    picture = figures.parameter_bars({"small": 25, "large": 1000, "tiny": 0}, "a model")
    assert picture.alt.startswith("a model: large 1,000 (97.6 %); small 25 (2.4 %); tiny 0")
    assert picture.alt.endswith("tiny 0 (0.0 %)")
    bars = [bar.width for bar in shapes(picture, "rect")]
    assert bars[1] == pytest.approx(bars[0] * 25 / 1000) and bars[2] == 0.5  # so that it is seen


def test_only_units_above_zero_are_lit_and_write():
    units = torch.tensor([[0.5, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.1]])
    picture = figures.fan(torch.ones(2, 3), units, torch.ones(2, 3), ["a", "b"])
    assert picture.alt.startswith("a: 2 of 4 units have an activation above 0")
    assert "b: 1 of 4" in picture.alt
    assert len(shapes(picture, "rect", **{"class": "lit"})) == 3
    lines = shapes(picture, "path")
    assert len(lines) == 2 * 4 * 3 + 3 * 3  # every entry is read by every unit; three units write
