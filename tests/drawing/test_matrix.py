"""The matrix that cards and lessons draw."""

import pytest
import torch
from seen import place, shapes, texts

from gpt2course.drawing.colours import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    SHARE,
    VIRIDIS,
    blend,
    fill_for,
    ink_on,
)
from gpt2course.drawing.matrix import Panel, matrices, matrix_svg, matrix_text, scale_of

WORDS = ["robot", "must", "obey", "orders"]


# Matrices


def test_every_entry_and_label_is_written_into_the_drawing_and_into_its_text():
    values = torch.tensor([[0.25, 0.75, 0.0], [-1.5, float("-inf"), 2.0]])
    svg = matrix_svg(values, ["q0", "q1"], ["a", "b", "c"], "title")
    for text in ("0.25", "0.75", "-1.50", "-∞", "2.00", "q0", "q1", "a", "b", "c", "title"):
        assert f">{text}</text>" in svg
    lines = matrix_text(values, ["q0", "q1"], ["a", "b", "c"]).splitlines()
    assert [line.split() for line in lines] == [
        ["a", "b", "c"],
        ["q0", "0.25", "0.75", "0.00"],
        ["q1", "-1.50", "-∞", "2.00"],
    ]


def test_what_rounds_to_zero_has_no_sign():
    assert matrix_text(torch.tensor([[-0.001, -0.01]])).split() == ["0.00", "-0.01"]


def test_wrong_entries_are_framed_and_starred_and_no_others():
    wrong = torch.tensor([[True, False], [False, True]])
    svg = matrix_svg(torch.zeros(2, 2), wrong=wrong)
    assert svg.count("✗</text>") == 2 and svg.count('stroke-width="3"') == 2
    assert matrix_text(torch.zeros(2, 2), wrong=wrong).count("0.00*") == 2


def test_a_large_matrix_is_cut_and_says_so():
    svg = matrix_svg(torch.zeros(30, 5))
    assert "the first of 30 × 5" in svg and svg.count("<rect") == 12 * 5


def test_labels_that_do_not_fit_are_left_out():
    assert "robot" not in matrix_svg(torch.zeros(2, 2), WORDS, WORDS)


def luminance(channels):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def over(colour, ground):
    """The channels (0 to 1) of a colour "#rrggbbaa" on a ground."""
    r, g, b, a = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5, 7))
    return [a * top + (1 - a) * below for top, below in zip((r, g, b), ground, strict=True)]


@pytest.mark.parametrize(("page", "ink"), [("#ffffffff", "#000000de"), ("#111111ff", "#ffffffde")])
def test_the_ink_of_the_page_can_be_read_on_every_fill(page, ink):
    fills = [fill_for(i / 50, 0.0, 1.0) for i in range(51)]
    fills += [fill_for(i / 25 - 1, -1.0, 1.0) for i in range(51)]
    fills += [fill_for(float(i), 0.0, 50.0) for i in range(51)]
    for fill in fills:
        assert ink_on(fill) == "currentColor"
        ground = over(fill, over(page, (0, 0, 0)))
        light, dark = sorted((luminance(ground), luminance(over(ink, ground))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, fill


def test_signed_numbers_are_clear_at_zero_and_shares_are_never_quite():
    assert fill_for(0.0, -2.0, 1.0).endswith("00")
    assert fill_for(-1.0, -2.0, 1.0).startswith(NEGATIVE)
    assert fill_for(1.0, -2.0, 1.0).startswith(POSITIVE)
    assert fill_for(0.0, 0.0, 1.0).startswith(SHARE) and fill_for(0.0, 0.0, 1.0)[-2:] > "00"
    assert fill_for(7.0, 0.0, 0.0) == "none"  # an id


def test_a_scale_of_its_own_runs_through_its_stops():
    assert blend(VIRIDIS, 0.0) == VIRIDIS[0] and blend(VIRIDIS, 1.0) == VIRIDIS[-1]
    assert blend(("#000000", "#ff8000"), 0.5) == "#804000"
    assert blend(VIRIDIS, float("nan")) == NEUTRAL


def test_a_quantity_has_the_same_colours_wherever_it_is_drawn():
    positive, mixed = torch.tensor([[1.0, 3.0]]), torch.tensor([[-3.0, 3.0]])
    assert scale_of(positive) == scale_of(mixed) == (-3.0, 3.0)
    assert scale_of(torch.tensor([[0.2, 0.8], [0.5, 0.5]])) == (0.0, 1.0)
    assert scale_of(torch.tensor([[0, 7]])) == (0.0, 7.0)


def test_what_is_masked_is_an_empty_dashed_cell_and_zero_is_not():
    scores = torch.tensor([[1.0, float("-inf")], [0.0, 2.0]])
    assert len(shapes(matrix_svg(scores), "rect", **{"class": "masked"})) == 1
    svg = matrix_svg(scores.softmax(-1))
    (gone,) = shapes(svg, "rect", **{"class": "masked"})
    assert gone.look["fill"] == "none" and gone.look["stroke-dasharray"]
    assert "0.00" not in texts(svg)
    zero = torch.tensor([[0.0, 1.0], [0.5, 0.5]])  # below the diagonal, so nothing is masked
    assert "0.00" in texts(matrix_svg(zero)) and "masked" not in matrix_svg(zero)
    assert matrix_svg(torch.tensor([[True, False]])).count("masked") == 1


def test_panels_share_one_scale():
    small, large = torch.tensor([[0.5]]), torch.tensor([[1.0]])
    html = matrices([("one", small), ("two", large)]).html
    assert fill_for(0.5, -1.0, 1.0) in html and fill_for(1.0, -1.0, 1.0) in html


def test_a_row_of_matrices_that_is_too_long_keeps_its_labels_once_or_breaks():
    wide = [(f"{i}", torch.randn(4, 4)) for i in range(3)]
    once = matrices([Panel(*panel, WORDS, WORDS) for panel in wide], between=["read\n", "bend\n"])
    assert texts(once).count("robot") == 1 + 3  # beside the first, and above all
    assert len({place(once, title)[1] for title in "012"}) == 1
    apart = matrices([(f"{i}", torch.randn(4, 8)) for i in range(4)], WORDS)
    assert texts(apart).count("robot") == 4 and len({cell.y for cell in shapes(apart, "rect")}) > 4
