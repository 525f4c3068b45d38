"""The pictures and the slider of lesson 12 say what is true of the numbers."""

import math
import re
from dataclasses import replace

import pytest

from gpt2course.config import COURSE, GPT2Config
from gpt2course.lessons.kv_cache import figures as kv_cache
from gpt2course.lessons.kv_cache.figures import (
    AGAIN,
    KEPT,
    NEW,
    costs,
    differences,
    last_path,
    runs,
)
from gpt2course.lessons.kv_cache.widgets import COLUMNS, TOP, WIDE, cache_slider, two_grids

WORDS = ["robot", "must", "obey", "orders"]


def count(config, n_new, n_all):
    """Easy to tell apart: no real count of anything."""
    return n_new * 1_000_000 + n_all * 1_000


def texts(html):
    return re.findall(r">([^<>]+)</text>", html)


# Runs


@pytest.mark.parametrize("cached, says, cells", [(False, "again", 30), (True, "k  v", 12)])
def test_runs_draw_a_new_column_and_say_what_becomes_of_the_old_ones(cached, says, cells):
    picture = runs(WORDS, n_layer=3, cached=cached)
    shown = texts(picture.html)
    assert shown.count("new") == 4 * 3  # one column in each of four runs
    assert shown.count(says) == (0 + 1 + 2 + 3) * 3
    computed = [int(n) for n in re.findall(r"run \d: (\d+) cell", picture.alt)]
    assert sum(computed) == cells
    assert [int(n) for n in re.findall(r">run \d: (\d+) cells?<", picture.html)] == computed


def test_runs_read_one_word_more_each_time():
    shown = texts(runs(WORDS, n_layer=2).html)
    assert [shown.count(word) for word in WORDS] == [4, 3, 2, 1]
    assert "again: robot, must, obey" in runs(WORDS, 2).alt.splitlines()[3]
    assert "kept: nothing" in runs(WORDS, 2, cached=True).alt.splitlines()[0]


def test_a_single_cell_is_one_cell():
    assert "run 1: 1 cell computed" in runs(["robot"], n_layer=1).alt


def test_the_last_path_has_queries_in_the_new_column_alone():
    picture = last_path(WORDS, n_layer=3)
    shown = texts(picture.html)
    assert shown.count("q  k  v") == 3 and shown.count("k") == shown.count("v") == 3 * 3
    assert "orders (new)" in shown and "robot" in shown and "logits" in shown
    assert "orders is new" in picture.alt and "robot, must, obey" in picture.alt


def test_nothing_of_the_last_path_lies_outside_the_drawing():
    html = last_path(WORDS, n_layer=3).html
    width, height = map(float, re.search(r'width="(\d+)" height="(\d+)"', html).groups())
    for x, y, wide, high in re.findall(
        r'<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"', html
    ):
        assert float(x) >= 0 and float(x) + float(wide) <= width
        assert float(y) >= 0 and float(y) + float(high) <= height


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


def test_where_two_texts_part_the_labels_stay_inside_and_apart(monkeypatch):
    drawn = []
    monkeypatch.setattr(kv_cache, "from_figure", lambda figure, alt: drawn.extend(figure.axes))
    found = {"right": [1e-6] * 50, "early": [0.5] * 4, "late": [0.5] * 41}
    differences(found, {"right": None, "early": 4, "late": 41}, tolerance=1e-4)
    early, late = drawn[0].texts
    assert (early.get_ha(), late.get_ha()) == ("left", "right")
    assert early.get_position()[0] > 4 and late.get_position()[0] < 41
    assert late.get_position()[1] > 2 * early.get_position()[1] > 2e-4


def test_the_curves_take_the_text_colour_of_the_notebook_and_have_no_ground_of_their_own():
    work = {"without a cache": [1e6, 5e8], "with a cache": [1e6, 2e6]}
    for picture in (differences({"a": [0.1]}, {"a": 1}, 1e-4), costs([1, 512], work, work)):
        assert "currentColor" in picture.html
        assert "#ffffff" not in picture.html and "<?xml" not in picture.html


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


def test_both_scales_of_the_costs_have_equally_many_decades_and_ticks_at_1_2_and_5(monkeypatch):
    drawn = []
    monkeypatch.setattr(kv_cache, "from_figure", lambda figure, alt: drawn.extend(figure.axes))
    work = {"without a cache": [1e6, 5e8], "with a cache": [1e6, 2e6]}
    costs([1, 512], work, {"without a cache": [0.001, 0.04], "with a cache": [0.001, 0.002]})
    counted, timed = ([math.log10(end) for end in axis.get_ylim()] for axis in drawn)
    assert counted[1] - counted[0] == pytest.approx(timed[1] - timed[0])
    ticks = [f"{tick:g}" for tick in drawn[1].get_yticks()]
    assert {"1", "2", "5", "10", "20"} <= set(ticks)


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
    said = "of the last column's 64 tokens one is new".replace("'", "&#x27;")
    assert two_grids(count, GPT2Config(), 16, 64).html.count(said) == 2
    assert "tokens one is new" not in two_grids(count, GPT2Config(), 16, 1).html


@pytest.mark.parametrize("column, width", [(1, 1), (1, 64), (7, 1), (7, 64), (16, 1), (16, 64)])
def test_the_grids_show_as_many_cells_as_there_are_columns(column, width):
    config = GPT2Config()
    html = two_grids(count, config, column, width).html
    cells = re.findall(r'<rect x="[\d.]+" y="\d+" width="22" height="13" fill="([^"]+)"', html)
    assert cells.count(AGAIN) == cells.count(KEPT) == column * config.n_layer
    assert cells.count("none") == 2 * (COLUMNS - column) * config.n_layer
    for x, wide in re.findall(r'class="newest" x="([\d.]+)" y="\d+" width="([\d.]+)"', html):
        left = float(x) - WIDE * (column - 1)
        assert float(wide) == (22.0 if width == 1 else 8.0)
        assert any(start <= left <= start + WIDE for start in (68, 68 + COLUMNS * WIDE + 60))
    assert html.count('class="newest"') == 2 and html.count(NEW) == 3  # two columns, one bar


def test_the_bars_are_on_one_scale_and_stay_in_the_drawing():
    html = two_grids(count, GPT2Config(), 8, 64).html
    without, with_cache = map(
        float, re.findall(r'class="bar" x="116" y="\d+" width="([\d.]+)"', html)
    )
    assert without == pytest.approx(560 * 512_512_000 / 1_025_024_000, abs=0.1)
    assert with_cache == pytest.approx(max(1.0, 560 * 1_512_000 / 1_025_024_000), abs=0.1)
    assert float(re.search(r'viewBox="0 0 (\d+)', html).group(1)) > 116 + 560 + 120


def test_the_alternative_says_what_is_seen():
    alt = two_grids(count, GPT2Config(), 4, 64).alt
    assert "12 layers, 64 tokens to a column, column 4 of 16" in alt
    assert "token 256" in alt and "all 256 positions" in alt and "the last one alone" in alt


def test_another_model_has_its_own_layers_and_its_own_columns():
    slider, switch, shown = cache_slider(count, COURSE).widget.children
    assert [value for _, value in switch.options] == [1, 8]
    assert "layer 4" in shown.value
    foot = TOP + 4 * 15
    assert (
        max(int(y) for y in re.findall(r'<rect x="[\d.]+" y="(\d+)" width="22"', shown.value))
        < foot
    )


def test_a_model_with_too_few_positions_is_refused():
    with pytest.raises(ValueError, match="n_ctx must be at least 32, got 8"):
        cache_slider(count, replace(COURSE, n_ctx=8))
