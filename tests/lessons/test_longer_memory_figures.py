"""The pictures and the sliders of lesson 20 say what is true of the masks and the numbers."""

import re

import pytest
from seen import curves, shapes, texts

from gpt2course.lessons.longer_memory.figures import (
    CELL,
    LENGTH,
    PLACES,
    STACKS,
    costs,
    four_masks,
    reach,
    receptive_field,
    shares,
)
from gpt2course.lessons.longer_memory.widgets import field_to_play
from gpt2course.memory import n_scores, reachable, read_mask


def of_kind(picture, kind):
    return shapes(picture, "rect", **{"class": kind})


# Masks


def test_the_masks_draw_a_cell_for_each_key_that_is_read():
    picture = four_masks(4)
    read = sum(int(read_mask(kind, LENGTH, 4).sum()) for kind in ("full", "local", "recurrent"))
    cells = [cell for cell in of_kind(picture, "read") if cell.width == CELL]
    compressed = int(read_mask("compressed", LENGTH, 4).sum())
    assert len(cells) == read + compressed
    assert len(of_kind(picture, "group")) == compressed // 4


def test_the_masks_are_told_with_their_scores_and_their_reach():
    told = four_masks(3).alt.splitlines()[1:]
    assert [int(re.search(r"(\d+) scores", line)[1]) for line in told] == [
        n_scores(kind, LENGTH, 3) for kind in ("full", "local", "compressed", "recurrent")
    ]
    assert [int(re.search(r"farthest (\d+) before", line)[1]) for line in told] == [11, 2, 11, 5]


# Curves

LINES = {"full": [1.0, 16.0, 256.0], "local": [1.0, 4.0, 16.0]}


def test_costs_draw_every_measure_and_tell_how_much_it_grows():
    picture = costs([256, 1024, 4096], ("million scores", LINES), ("MB kept", LINES))
    assert len(curves(picture)) == 4
    assert {"million scores", "MB kept", "positions T", "256", "4,096"} <= set(texts(picture))
    assert "MB kept, local: 16-fold from 256 to 4,096 positions" in picture.alt


SEEDS = {
    "full": [[(16, 1.0), (128, 0.9)], [(16, 0.8), (128, 0.7)]],
    "local": [[(16, 0.5), (128, 0.2)], [(16, 0.7), (128, 0.0)]],
}


def test_reach_draws_a_curve_of_means_and_a_dot_for_each_seed():
    picture = reach(SEEDS, {64: "end of the block"}, chance=1 / 8)
    assert len(curves(picture)) == 2
    dots = [circle for circle in shapes(picture, "circle") if circle.look["r"] == "1.8"]
    assert len(dots) == 8 and "end of the block" in texts(picture)
    assert "full: 0.90 at 16 (0.80 to 1.00), 0.80 at 128 (0.70 to 0.90)" in picture.alt
    assert "guessing 0.125" in picture.alt


def test_the_dots_of_reach_surround_its_curves():
    picture = reach(SEEDS, {}, chance=1 / 8)
    dots = [c.y for c in shapes(picture, "circle") if c.look["r"] == "1.8"]
    first = [curve.points[0][1] for curve in curves(picture)]
    assert first[0] == pytest.approx((dots[0] + dots[2]) / 2, abs=0.1)
    assert first[1] == pytest.approx((dots[4] + dots[6]) / 2, abs=0.1)


def test_shares_tell_mean_and_spread():
    picture = shares({"full": [0.9, 1.0], "compressed": [0.2, 0.4]}, "A title", 1 / 8)
    assert picture.alt.splitlines() == [
        "A title", "full: 0.95 (0.90 to 1.00)", "compressed: 0.30 (0.20 to 0.40)",
    ]  # fmt: skip
    assert "30% (20% to 40%)" in texts(picture)


# The receptive field


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("size, n_layer, query", [(8, 3, 43), (3, 2, 0), (48, 4, 47)])
def test_the_field_lights_what_can_be_known(stack, size, n_layer, query):
    kinds = [STACKS[stack][i % len(STACKS[stack])] for i in range(n_layer)]
    rows = reachable([read_mask(kind, PLACES, size) for kind in kinds], query)
    picture = receptive_field(stack, size, n_layer, query)
    assert len(of_kind(picture, "known")) == sum(int(row.sum()) for row in rows)
    known = int(rows[-1].sum())
    assert f"position {query} can know of {known} of the {query + 1}" in picture.alt


def test_the_field_tells_its_cost():
    picture = receptive_field("local", 8, 2, 20)
    assert "At 4,096 positions 65,536 scores, 0.2% of full attention" in picture.alt


def test_the_sliders_redraw_the_field():
    playing = field_to_play()
    stack, size, n_layer, query, shown = playing.widget.children
    assert playing.twin.html == shown.value == receptive_field("recurrent", 8, 3, 43).html
    stack.value, size.value, n_layer.value, query.value = "local", 12, 4, 30
    assert shown.value == receptive_field("local", 12, 4, 30).html
