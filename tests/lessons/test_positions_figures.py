"""Pictures of lesson 04 and its slider."""

import math
import re

import pytest
import torch
from seen import shapes

from gpt2course.embedding import sinusoidal_positions
from gpt2course.lessons.positions.figures import RADIUS, clocks, row_of_both, wavelengths, waves
from gpt2course.lessons.positions.widgets import position_slider


@pytest.fixture
def learned():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def numbers_in(svg):
    return re.findall(r">(-?\d+\.\d+)</text>", svg)


def test_a_turn_of_the_first_clock_takes_2_pi_positions_and_each_is_longer_by_one_factor():
    turns = wavelengths(6)
    assert turns[0] == pytest.approx(2 * math.pi) and len(turns) == 3
    assert turns[1] / turns[0] == pytest.approx(turns[2] / turns[1]) == 10_000 ** (2 / 6)


def test_the_angle_of_a_whole_turn_brings_sine_and_cosine_back():
    for pair, turn in enumerate(wavelengths(8)[:2]):
        angle = torch.atan2(*sinusoidal_positions(2, 8)[1, 2 * pair : 2 * pair + 2]).item()
        assert turn * angle == pytest.approx(2 * math.pi, rel=1e-5)


def test_clocks_write_what_their_hands_show():
    picture = clocks(3, n_embd=4)
    row = sinusoidal_positions(4, 4)[3].tolist()
    assert f"sine {row[0]:.2f}, cosine {row[1]:.2f}" in picture.html
    assert picture.alt == (
        f"position 3: columns 0 and 1, sine {row[0]:.2f}, cosine {row[1]:.2f}, one turn in 6.3 "
        f"positions; columns 2 and 3, sine {row[2]:.2f}, cosine {row[3]:.2f}, one turn in 628.3 "
        "positions"
    )


@pytest.mark.parametrize("position", [0, 1, 7])
def test_a_hand_points_right_by_the_sine_and_up_by_the_cosine(position):
    hands = shapes(clocks(position, 4), "path", **{"class": "hand"})
    found = [(*hand.points[0], *hand.points[1]) for hand in hands]
    row = sinusoidal_positions(position + 1, 4)[-1].view(-1, 2)
    assert len(found) == 2
    for (x, y, tip_x, tip_y), (sine, cosine) in zip(found, row.tolist(), strict=True):
        assert tip_x - x == pytest.approx(RADIUS * sine, abs=0.1)
        assert y - tip_y == pytest.approx(RADIUS * cosine, abs=0.1)


def test_waves_tell_how_often_a_column_changes_its_sign():
    picture = waves(sinusoidal_positions(64, 32))
    column = sinusoidal_positions(64, 32)[:, 0]
    changes = sum(a * b < 0 for a, b in zip(column[1:-1], column[2:], strict=True)) + 1
    assert f"column 0 changes its sign {changes} times" in picture.alt
    assert "column 31 changes its sign 0 times" in picture.alt
    assert picture.alt.startswith("64 positions and 32 columns, from -1.00 to 1.00")
    assert "<svg" in picture.html and len(picture.html) < 200_000


def test_both_rows_of_a_position_are_drawn(learned):
    picture = row_of_both(2, learned)
    rows = [*sinusoidal_positions(3, 4)[2].tolist(), *learned[2].tolist()]
    assert numbers_in(picture.html) == [f"{number:z.2f}" for number in rows]
    assert "learned, row 2" in picture.alt and "by rule, row 2" in picture.alt
    assert f"learned, row 2: {' '.join(f'{n:z.2f}' for n in learned[2].tolist())}" in picture.alt


@pytest.mark.parametrize("position", [5, 40])
def test_beyond_the_learned_table_its_row_is_said_to_be_missing(learned, position):
    picture = row_of_both(position, learned)
    said = f"learned: there is no row {position}, the matrix ends with row 4"
    assert said in picture.html and picture.alt.endswith(said)
    assert len(numbers_in(picture.html)) == 4


def test_the_slider_moves_the_clocks_and_both_rows(learned):
    played = position_slider(learned, first=2)
    slider, shown = played.widget.children
    assert (slider.min, slider.max, slider.value) == (0, 14, 2)
    assert shown.value == played.twin.html == row_of_both(2, learned).html
    slider.value = 4
    assert shown.value == row_of_both(4, learned).html
    slider.value = 5
    assert "there is no row 5" in shown.value and "position 5" in shown.value


def test_the_slider_may_end_elsewhere(learned):
    assert position_slider(learned, last=7).widget.children[0].max == 7
