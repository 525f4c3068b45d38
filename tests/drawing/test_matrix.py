"""The matrix that cards and lessons draw."""

import torch
from seen import place, shapes, texts

from gpt2course.drawing.colours import DIVERGING, VIRIDIS, fill_for, ink_on
from gpt2course.drawing.matrix import Panel, matrices, matrix_svg, matrix_text

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


def test_ink_can_be_read_on_every_fill():
    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    fills = [fill_for(i / 50, 0.0, 1.0) for i in range(51)]
    fills += [fill_for(i / 25 - 1, -1.0, 1.0) for i in range(51)]
    for fill in fills:
        light, dark = sorted((luminance(fill), luminance(ink_on(fill))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, fill


def test_signed_numbers_are_white_at_zero_and_weights_run_through_viridis():
    assert fill_for(0.0, -2.0, 1.0) == DIVERGING[2]
    assert fill_for(0.0, 0.0, 1.0) == VIRIDIS[0] and fill_for(1.0, 0.0, 1.0) == VIRIDIS[-1]


def test_panels_share_one_scale():
    small, large = torch.tensor([[0.5]]), torch.tensor([[1.0]])
    html = matrices([("one", small), ("two", large)]).html
    assert fill_for(0.5, 0.0, 1.0) in html and fill_for(1.0, 0.0, 1.0) in html


def test_a_row_of_matrices_that_is_too_long_keeps_its_labels_once_or_breaks():
    wide = [(f"{i}", torch.randn(4, 4)) for i in range(3)]
    once = matrices([Panel(*panel, WORDS, WORDS) for panel in wide], between=["read\n", "bend\n"])
    assert texts(once).count("robot") == 1 + 3  # beside the first, and above all
    assert len({place(once, title)[1] for title in "012"}) == 1
    apart = matrices([(f"{i}", torch.randn(4, 8)) for i in range(4)], WORDS)
    assert texts(apart).count("robot") == 4 and len({cell.y for cell in shapes(apart, "rect")}) > 4
