"""Pictures and sliders of lesson 13."""

import math
import re

import pytest
import torch

from gpt2course.config import GPT2Config
from gpt2course.lessons.training.figures import (
    LEFT,
    PLOT_HEIGHT,
    PLOT_WIDTH,
    TOP,
    Moment,
    curves,
    moment_of,
    moment_picture,
    shifted,
    stacked,
)
from gpt2course.lessons.training.widgets import moments_to_play, schedule_to_play
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.training import learning_rate

WORDS = "a robot must obey the orders given it".split()


def lines_of(picture):
    """The drawn curves as lists of points."""
    found = re.findall(r'<polyline points="([^"]+)"', picture.html)
    return [[tuple(map(float, p.split(","))) for p in points.split()] for points in found]


def texts_of(picture):
    return re.findall(r">([^<>]+)</text>", picture.html)


# Rows and their targets


def test_targets_are_drawn_one_word_later_than_their_inputs():
    picture = shifted(WORDS, start=2, n_ctx=4)
    told = "“must” → “obey”, “obey” → “the”, “the” → “orders”, “orders” → “given”"
    assert picture.alt == f"start 2, 4 inputs and their targets: {told}"
    words = [text for text in texts_of(picture) if text in WORDS]
    assert words == [*WORDS, *WORDS[2:6], *WORDS[3:7]]
    assert picture.html.count("<path") == 4


def test_the_words_of_one_place_stand_below_each_other():
    html = shifted(WORDS, start=1, n_ctx=3).html
    x = [float(x) for x in re.findall(r'<text x="([\d.]+)"[^>]*>obey<', html)]
    assert len(x) == 3 and len(set(x)) == 1


# Curves


def test_a_curve_goes_through_its_points_on_the_axes():
    picture = curves({"one": [(0, 0.0), (50, 1.0), (100, 2.0)]}, "t", "y", y_range=(0, 2))
    [points] = lines_of(picture)
    assert points == [
        (LEFT, TOP + PLOT_HEIGHT),
        (LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT / 2),
        (LEFT + PLOT_WIDTH, TOP),
    ]


def test_every_curve_has_its_name_its_last_value_and_dashes_of_its_own():
    series = {name: [(0, 3.0), (10, i)] for i, name in enumerate(("a", "b", "c"))}
    picture = curves(series, "title", "loss", {"floor": 1.1})
    assert {"a, 0.00", "b, 1.00", "c, 2.00", "floor, 1.10", "title", "loss"} <= set(
        texts_of(picture)
    )
    drawn = re.findall(r"<polyline[^>]+>", picture.html)
    assert len({re.sub(r'points="[^"]+"', "", line) for line in drawn}) == 3
    dashes = [re.findall(r'stroke-dasharray="([^"]*)"', line) for line in drawn]
    assert len({str(dash) for dash in dashes}) == 3


def test_the_text_of_a_curve_says_its_ends_and_what_lies_beyond_them():
    curve = [(0, 7.6), (10, 1.2), (20, 1.5)]
    alt = curves({"loss": curve}, "It falls", "nats", {"ln V": 7.62}).alt
    assert "It falls. nats by training step: " in alt
    assert "loss from 7.60 to 1.50, lowest 1.20 at 10" in alt and "ln V at 7.62" in alt
    assert "highest 9.00 at 5" in curves({"x": [(0, 1), (5, 9), (9, 2)]}, "t", "y").alt


def test_names_at_the_end_do_not_lie_over_each_other():
    series = {str(i): [(0, 1.0), (10, 2 + i / 1000)] for i in range(5)}
    html = curves(series, "t", "y", y_range=(0, 2)).html
    ys = sorted(float(y) for y in re.findall(r'y="([\d.-]+)"[^>]*>\d, 2\.0', html))
    assert len(ys) == 5 and all(b - a >= 16.9 for a, b in zip(ys, ys[1:], strict=False))
    assert ys[-1] <= TOP + PLOT_HEIGHT + 10


def test_values_beyond_the_axis_stay_inside_and_nan_is_left_out():
    curve = [(0, -5.0), (1, math.nan), (2, 99.0), (3, math.inf), (4, 1.0)]
    [points] = lines_of(curves({"x": curve}, "t", "y", y_range=(0, 2)))
    assert [y for _, y in points] == [TOP + PLOT_HEIGHT, TOP, TOP + PLOT_HEIGHT / 2]


def test_a_long_curve_is_drawn_by_the_means_of_neighbours():
    curve = [(i, float(i % 2)) for i in range(2000)]
    [points] = lines_of(curves({"x": curve}, "t", "y", y_range=(0, 1)))
    assert len(points) == 400
    assert all(abs(y - (TOP + PLOT_HEIGHT / 2)) <= PLOT_HEIGHT / 9 for _, y in points)


@pytest.mark.parametrize("top", [0.9, 1.0, 2.0, 7.6, 42.0, 1600.0, 3e-3])
def test_the_axes_have_four_to_eight_round_numbers(top):
    picture = curves({"x": [(0, 0.0), (10, top)]}, "t", "y", y_range=(0, top))
    at_y = re.findall(r'text-anchor="end" font-size="11"[^>]*>([\d.e+-]+)<', picture.html)
    assert 4 <= len(at_y) <= 8
    assert max(map(float, at_y)) <= top * 1.001


def test_text_takes_the_colour_of_the_notebook():
    html = curves({"x": [(0, 0.0), (10, 1.0)]}, "t", "y").html
    assert set(re.findall(r'<text[^>]*fill="([^"]+)"', html)) == {"currentColor"}


def test_stacked_pictures_keep_both_texts():
    one, other = (curves({n: [(0, 0.0), (1, 1.0)]}, n, "y") for n in ("left", "right"))
    both = stacked(one, other)
    assert one.html in both.html and other.html in both.html
    assert both.alt == f"{one.alt}\n{other.alt}"


# Moments


def moment(step, loss=1.5):
    weights = torch.tensor([[0.1, 0.2, 0.05], [0.0, 0.91, 0.3]])
    likeliest = [("howled", 0.6), ("was", 0.25), ("prowled", 0.1)]
    return Moment(step, loss, f"It said <this> after {step} steps.", likeliest, weights)


def test_a_moment_shows_its_sample_its_words_and_its_heads():
    picture = moment_picture(moment(400), "the wolf, because it", ("howled", "prowled"))
    for text in ("after 400 steps", "1.50", "the wolf, because it", "0.91", "layer 1", "head 2"):
        assert text in picture.html and text in picture.alt
    assert "It said &lt;this&gt; after 400 steps." in picture.html
    assert {"✓ howled", "was", "✓ prowled", "60 %", "25 %", "10 %"} <= set(texts_of(picture))
    assert "✓ howled 60%, was 25%, ✓ prowled 10%" in picture.alt


def test_a_moment_is_what_the_model_writes_and_says():
    tokenizer = Tokenizer.train("the wolf howled. the wolf was there. " * 9, 270)
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=8, n_ctx=64, vocab_size=270))
    asked = []

    def write(model, idx, max_new_tokens, temperature, top_k, generator):
        asked.append((idx.tolist(), temperature, top_k))
        new = tokenizer.encode(" wolf") * max_new_tokens
        return torch.cat([idx, torch.tensor([new[:max_new_tokens]])], dim=1)

    weights = torch.zeros(1, 1)
    seen = moment_of(model, tokenizer, write, "the wolf", 7, 1.25, weights)
    assert asked == [([[tokenizer.end_of_text]], 0.8, 40)]
    assert (seen.step, seen.loss) == (7, 1.25) and seen.weights is weights
    assert seen.sample.startswith(" wolf wolf") and "endoftext" not in seen.sample
    idx = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode("the wolf")]])
    best, ids = model(idx)[0, -1].softmax(-1).topk(5)
    assert [p for _, p in seen.likeliest] == pytest.approx(best.tolist())
    assert [w for w, _ in seen.likeliest] == [tokenizer.decode([i]).strip() for i in ids.tolist()]


def test_the_bars_are_as_long_as_their_probabilities():
    html = moment_picture(moment(0), "it", ("howled",)).html
    widths = [float(w) for w in re.findall(r'<rect x="124" y="\d+" width="([\d.]+)"', html)]
    assert widths == [120.0, 50.0, 20.0]


def test_the_slider_shows_the_moment_it_stands_at_and_begins_at_the_last():
    playable = moments_to_play([moment(0, 7.6), moment(100), moment(400)], "it", ("howled",))
    slider, shown = playable.widget.children
    assert [value for _, value in slider.options] == [0, 100, 400]
    assert "after 400 steps" in shown.value and playable.twin.html == shown.value
    slider.value = 0
    assert "after 0 steps" in shown.value and "7.60" in shown.value
    assert "after 400 steps" not in shown.value


# The schedule


def end_of(shown):
    return re.search(r"the rate, ([\d.]+)", shown).group(1)


def test_the_sliders_draw_the_schedule_of_the_given_function():
    playable = schedule_to_play(learning_rate)
    highest, lowest, warmup, steps, shown = playable.widget.children
    assert playable.twin.html == shown.value
    assert "steps up: 100, steps down: 900" in shown.value
    assert end_of(shown.value) == "0.0005"
    lowest.value = 0.4
    assert end_of(shown.value) == "0.0020"
    highest.value = 0.01
    assert end_of(shown.value) == "0.0040" and "max_lr, 0.0100" in shown.value
    warmup.value, steps.value = 0, 500
    assert "steps up: 0, steps down: 500" in shown.value


def test_the_drawn_schedule_rises_and_falls_and_stays():
    [points] = lines_of(schedule_to_play(learning_rate).twin)
    heights = [TOP + PLOT_HEIGHT - y for _, y in points]
    top = heights.index(max(heights))
    assert points[top][0] == pytest.approx(LEFT + PLOT_WIDTH * 100 / 1495, abs=3)
    assert heights[:top] == sorted(heights[:top])
    assert heights[top:] == sorted(heights[top:], reverse=True)
    assert heights[-1] == heights[-60] > 0


@pytest.mark.parametrize("ends", [("min", "min"), ("max", "min"), ("min", "max"), ("max", "max")])
def test_every_slider_can_stand_at_both_ends(ends):
    *sliders, shown = schedule_to_play(learning_rate).widget.children
    for i, slider in enumerate(sliders):
        slider.value = getattr(slider, ends[i % 2])
    assert "<polyline" in shown.value and "nan" not in shown.value


def test_the_warm_up_is_never_longer_than_the_run():
    *sliders, shown = schedule_to_play(learning_rate).widget.children
    _, _, warmup, steps = sliders
    warmup.value, steps.value = warmup.max, steps.min
    assert "steps up: 499, steps down: 1" in shown.value
