"""Pictures and sliders of lesson 13."""

import re

import pytest
import torch
from seen import curves, shapes, texts

from gpt2course.config import GPT2Config
from gpt2course.drawing.curves import SIZE
from gpt2course.lessons.training.figures import Moment, moment_of, moment_picture, shifted, valley
from gpt2course.lessons.training.widgets import moments_to_play, schedule_to_play
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.training import learning_rate

WORDS = "a robot must obey the orders given it".split()


# Rows and their targets


def test_targets_are_drawn_one_word_later_than_their_inputs():
    picture = shifted(WORDS, start=2, n_ctx=4)
    told = "“must” → “obey”, “obey” → “the”, “the” → “orders”, “orders” → “given”"
    assert picture.alt == f"start 2, 4 inputs and their targets: {told}"
    words = [text for text in texts(picture) if text in WORDS]
    assert words == [*WORDS, *WORDS[2:6], *WORDS[3:7]]
    assert len(shapes(picture, "path")) == 4


def test_the_words_of_one_place_stand_below_each_other():
    found = shapes(shifted(WORDS, start=1, n_ctx=3), "text")
    x = [shape.x for shape in found if shape.text == "obey"]
    assert len(x) == 3 and len(set(x)) == 1


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
    assert {"✓ howled", "was", "✓ prowled", "60 %", "25 %", "10 %"} <= set(texts(picture))
    assert "✓ howled 60 %, was 25 %, ✓ prowled 10 %" in picture.alt


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
    bars = shapes(moment_picture(moment(0), "it", ("howled",)), "rect")[:3]
    assert [bar.width for bar in bars] == pytest.approx([120.0, 50.0, 20.0], abs=0.01)


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
    ((width, height), [curve]) = SIZE, curves(schedule_to_play(learning_rate).twin)
    points, heights = curve.points, [height - y for _, y in curve.points]
    top = heights.index(max(heights))
    assert points[top][0] == pytest.approx(width * 100 / 1495, abs=3)
    assert heights[:top] == sorted(heights[:top])
    assert heights[top:] == sorted(heights[top:], reverse=True)
    assert heights[-1] == heights[-60] > 0


@pytest.mark.parametrize("ends", [("min", "min"), ("max", "min"), ("min", "max"), ("max", "max")])
def test_every_slider_can_stand_at_both_ends(ends):
    *sliders, shown = schedule_to_play(learning_rate).widget.children
    for i, slider in enumerate(sliders):
        slider.value = getattr(slider, ends[i % 2])
    assert len(curves(shown.value)) == 1 and "nan" not in shown.value


def test_the_warm_up_is_never_longer_than_the_run():
    *sliders, shown = schedule_to_play(learning_rate).widget.children
    _, _, warmup, steps = sliders
    warmup.value, steps.value = warmup.max, steps.min
    assert "steps up: 499, steps down: 1" in shown.value


def test_the_steps_down_the_valley_are_those_of_gradient_descent():
    rates = {"creeps": 0.05, "arrives": 0.4, "jumps out": 1.05}
    picture = valley(rates, -2.0, 5)
    for said, rate in rates.items():
        weight = torch.tensor(-2.0, requires_grad=True)
        for _ in range(5):
            (slope,) = torch.autograd.grad(weight**2, weight)
            weight = (weight - rate * slope).detach().requires_grad_()
        assert f"{rate:g}, {said}: loss from 4.00 to {weight.item() ** 2:.2f}" in picture.alt
    paths = shapes(picture, "path", **{"class": "path"})
    assert [len(path.points) for path in paths] == [6, 6, 6]
    ends = [path.points[-1][1] - path.points[0][1] for path in paths]
    assert 0 < ends[0] < ends[1] and ends[2] < 0  # y points down
