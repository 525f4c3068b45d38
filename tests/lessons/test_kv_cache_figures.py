"""The pictures and the slider of lesson 12 say what is true of the numbers."""

import math
import re
from dataclasses import replace

import pytest
from seen import curves, shapes, texts

from gpt2course.config import COURSE, GPT2Config
from gpt2course.drawing.colours import NEW
from gpt2course.lessons.kv_cache.figures import (
    AGAIN,
    CELL,
    COLUMNS,
    KEPT,
    costs,
    differences,
    last_path,
    runs,
    two_grids,
)
from gpt2course.lessons.kv_cache.widgets import cache_slider

WORDS = ["robot", "must", "obey", "orders"]


def count(config, n_new, n_all):
    """Easy to tell apart: no real count of anything."""
    return n_new * 1_000_000 + n_all * 1_000


def of_kind(picture, kind):
    return shapes(picture, "rect", **{"class": kind})


# Runs


@pytest.mark.parametrize("cached, says, cells", [(False, "again", 30), (True, "k  v", 12)])
def test_runs_draw_a_new_column_and_say_what_becomes_of_the_old_ones(cached, says, cells):
    picture = runs(WORDS, n_layer=3, cached=cached)
    shown = texts(picture)
    assert shown.count("new") == 4 * 3  # one column in each of four runs
    assert shown.count(says) == (0 + 1 + 2 + 3) * 3
    computed = [int(n) for n in re.findall(r"run \d: (\d+) cell", picture.alt)]
    assert sum(computed) == cells
    heads = [re.fullmatch(r"run \d: (\d+) cells?", text) for text in shown]
    assert [int(found[1]) for found in heads if found] == computed


def test_runs_read_one_word_more_each_time():
    shown = texts(runs(WORDS, n_layer=2))
    assert [shown.count(word) for word in WORDS] == [4, 3, 2, 1]
    assert "again: robot, must, obey" in runs(WORDS, 2).alt.splitlines()[3]
    assert "kept: nothing" in runs(WORDS, 2, cached=True).alt.splitlines()[0]


def test_a_single_cell_is_one_cell():
    assert "run 1: 1 cell computed" in runs(["robot"], n_layer=1).alt


def test_the_last_path_has_queries_in_the_new_column_alone():
    picture = last_path(WORDS, n_layer=3)
    shown = texts(picture)
    assert shown.count("q  k  v") == 3 and shown.count("k") == shown.count("v") == 3 * 3
    assert "orders (new)" in shown and "robot" in shown and "logits" in shown
    assert "orders is new" in picture.alt and "robot, must, obey" in picture.alt


def test_nothing_of_the_last_path_lies_outside_the_drawing():
    picture = last_path(WORDS, n_layer=3)
    left, top, width, height = map(float, shapes(picture, "svg")[0].look["viewBox"].split())
    boxes = shapes(picture, "rect")
    assert len(boxes) == 1 + 3 * (1 + 3 * 3)
    for box in boxes:
        assert left <= box.x and box.x + box.width <= left + width
        assert top <= box.y and box.y + box.height <= top + height


def test_words_are_escaped():
    assert "<b>" not in last_path(["<b>", "a"], 1).html and "<b>" not in runs(["<b>"], 1).html


# Curves


def test_differences_tell_how_large_they_are_and_where_the_text_parts():
    found = {"right": [1e-6, 2e-6], "position 0": [0.0, 0.5]}
    picture = differences(found, {"right": None, "position 0": 2}, tolerance=1e-4)
    right, wrong = picture.alt.splitlines()
    assert right == "right: largest difference 2e-06, same text throughout"
    assert wrong == "position 0: largest difference 0.5, other text from token 2 on"
    assert "<svg" in picture.html


def test_where_two_texts_part_the_labels_stay_inside_and_apart():
    found = {"right": [1e-6] * 50, "early": [0.5] * 4, "late": [0.5] * 41}
    picture = differences(found, {"right": None, "early": 4, "late": 41}, tolerance=1e-4)
    early, late = (
        shape for shape in shapes(picture, "text") if "other text from token" in shape.text
    )
    assert (early.look["text-anchor"], late.look["text-anchor"]) == ("start", "end")
    _, beyond, _ = (curve.points[-1][0] for curve in curves(picture))
    assert early.x > beyond and late.x < curves(picture)[2].points[-1][0]
    assert late.y - early.y >= 12


def test_the_curves_take_the_text_colour_of_the_notebook_and_have_no_ground_of_their_own():
    work = {"without a cache": [1e6, 5e8], "with a cache": [1e6, 2e6]}
    for picture in (differences({"a": [0.1]}, {"a": 1}, 1e-4), costs([1, 512], work, work)):
        assert "currentColor" in picture.html
        assert "#ffffff" not in picture.html and not shapes(picture, "rect")
        assert {text.look["fill"] for text in shapes(picture, "text")} == {"currentColor"}


def test_differences_of_zero_can_be_drawn_on_their_scale():
    assert "largest difference 0," in differences({"a": [0.0]}, {"a": None}, 1e-4).alt


def test_costs_tell_both_ends_of_every_line_in_their_units():
    work = {"without a cache": [1e6, 5e8], "with a cache": [1e6, 2e6]}
    seconds = {"without a cache": [0.001, 0.04], "with a cache": [0.001, 0.002]}
    told = costs([1, 512], work, seconds).alt.splitlines()
    assert told[0] == (
        "million multiply-adds (counted), without a cache: 1 for token 1, 5e+02 for token 512"
    )
    assert "milliseconds (measured here), with a cache: 1 for token 1, 2 for" in told[3]
    assert told[4].endswith("grows 5e+02-fold without a cache, 2-fold with a cache")


def test_both_scales_of_the_costs_have_equally_many_decades_and_ticks_at_1_2_and_5():
    work = {"without a cache": [1e6, 5e8], "with a cache": [1e6, 2e6]}
    seconds = {"without a cache": [0.001, 0.04], "with a cache": [0.001, 0.002]}
    picture = costs([1, 512], work, seconds)
    lines = [[y for _, y in curve.points] for curve in curves(picture)]
    counted, _, timed, _ = [start - end for start, end in lines]
    assert counted / math.log10(500) == pytest.approx(timed / math.log10(40), rel=1e-3)
    right = max(shape.x for shape in shapes(picture, "path", stroke_width="2"))
    ticks = {t.text for t in shapes(picture, "text", text_anchor="end") if t.x > right / 2}
    assert {"1", "2", "5", "10", "20"} <= ticks


# The slider


def test_the_slider_redraws_grids_and_counts():
    playable = cache_slider(count)
    slider, switch, shown = playable.widget.children
    assert playable.twin.html == shown.value and "token 6 is new" in shown.value
    slider.value = 16
    assert "without a cache: 16 positions" in shown.value
    assert "with a cache: 1 position computed" in shown.value
    assert "16,016,000 multiply-adds without a cache, 1,016,000 with it" in shown.value
    switch.value = 64
    assert "token 1,024 is new" in shown.value
    assert f"{1_025_024_000 / 2_024_000:.1f} times fewer" in shown.value


def test_at_the_first_position_both_ways_cost_the_same():
    picture = two_grids(count, GPT2Config(), 1, 1)
    assert "1.0 times fewer" in picture.alt
    assert "computed again" not in picture.html and "k and v kept" not in picture.html
    assert "k and v kept" in two_grids(count, GPT2Config(), 1, 64).html


def test_of_a_column_of_many_tokens_the_picture_says_that_one_is_new():
    said = "one of the last column’s 64 tokens is new"
    assert two_grids(count, GPT2Config(), 16, 64).html.count(said) == 2
    assert "tokens is new" not in two_grids(count, GPT2Config(), 16, 1).html


@pytest.mark.parametrize("column, width", [(1, 1), (1, 64), (7, 1), (7, 64), (16, 1), (16, 64)])
def test_the_grids_show_as_many_cells_as_there_are_columns(column, width):
    config = GPT2Config()
    picture = two_grids(count, config, column, width)
    cells = of_kind(picture, "cell")
    fills = [cell.look["fill"] for cell in cells]
    assert fills.count(AGAIN) == fills.count(KEPT) == column * config.n_layer
    assert fills.count("none") == 2 * (COLUMNS - column) * config.n_layer
    starts = sorted({cell.x for cell in cells})
    assert len(starts) == 2 * COLUMNS
    newest = of_kind(picture, "newest")
    for one, begin in zip(newest, (starts[column - 1], starts[COLUMNS + column - 1]), strict=True):
        assert one.width == (CELL[0] - 2 if width == 1 else 8.0)
        assert one.x + one.width == pytest.approx(begin + CELL[0] - 2)  # at the column's end
    assert picture.html.count(NEW) == 2


def test_the_bars_are_on_one_scale_and_stay_in_the_drawing():
    picture = two_grids(count, GPT2Config(), 8, 64)
    without, with_cache = shapes(picture, "rect")[-2:]
    assert without.width == pytest.approx(480 * 512_512_000 / 1_025_024_000, abs=0.1)
    assert with_cache.width == pytest.approx(480 * 1_512_000 / 1_025_024_000, abs=0.1)
    (page,) = shapes(picture, "svg")
    assert page.width <= 830 and without.x + 480 + 100 < page.width


def test_the_alternative_says_what_is_seen():
    alt = two_grids(count, GPT2Config(), 4, 64).alt
    assert "12 layers, 64 tokens to a column, column 4 of 16" in alt
    assert "token 256" in alt and "all 256 positions" in alt and "the last one alone" in alt


def test_another_model_has_its_own_layers_and_its_own_columns():
    slider, switch, shown = cache_slider(count, COURSE).widget.children
    assert [value for _, value in switch.options] == [1, 8]
    assert "layer 3" in shown.value and "layer 4" not in shown.value
    assert len({cell.y for cell in of_kind(shown.value, "cell")}) == 4


def test_a_model_with_too_few_positions_is_refused():
    with pytest.raises(ValueError, match="n_ctx must be at least 32, got 8"):
        cache_slider(count, replace(COURSE, n_ctx=8))
