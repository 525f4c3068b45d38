"""Pictures and the widget of lesson 21: what they draw is what was computed."""

import math
import re

import pytest
import torch
from seen import plain

from gpt2course.inspection import stages
from gpt2course.lessons.your_gpt2.figures import LIT, apart_bars, built
from gpt2course.lessons.your_gpt2.widgets import BREAKS, Break, _attention, _run, parts_to_break
from gpt2course.model import GPT2
from gpt2course.sampling import generate
from gpt2course.weights import load_tokenizer

OWN = {"embed": True, "gelu": False, "MLP": True, "my_other": False, "causal_mask": True}


def test_the_tower_lights_the_learners_parts_and_shows_every_part_once():
    picture = built(OWN, {"gelu": "08_mlp", "embed": "04_positions"})
    assert picture.html.count(LIT) == 3
    for name in OWN:
        boxes = re.findall(rf'"middle"[^>]*>(?:\d\d )?{name}<', picture.html)
        assert len(boxes) == 1, name
    assert ">08 gelu<" in picture.html and ">04 embed<" in picture.html
    assert "3 of 5 parts are yours" in picture.html
    assert picture.alt == (
        "3 of the 5 parts in the file are yours; yours: embed, MLP, causal_mask; "
        "the package's: gelu, my_other."
    )


def test_a_tower_without_parts_of_ones_own_says_so():
    picture = built(dict.fromkeys(OWN, False))
    assert LIT not in picture.html and "0 of 5 parts are yours" in picture.html
    assert "yours:" not in picture.alt.replace("are yours", "")


def test_bars_are_powers_of_ten_and_what_is_behind_the_first_difference_has_another_colour():
    apart = {"embedding": 1e-7, "h.0.ln_1": 0.0, "h.0.attn": 0.1, "h.0": math.inf, "ln_f": math.nan}
    picture = apart_bars(apart, "h.0.attn", 1e-3)
    widths = [float(w) for w in re.findall(r'<rect [^>]*?width="([\d.]+)"', picture.html)]
    unit = 420 / 12
    assert widths == pytest.approx([2 * unit, 0.5, 8 * unit, 420, 420])
    fills = re.findall(r'<rect [^>]*?fill="(#\w+)"', picture.html)
    assert fills[0] == fills[1] != fills[2] == fills[3] == fills[4]
    assert "The first difference is at h.0.attn" in picture.html
    told = "embedding rounding, h.0.ln_1 rounding, h.0.attn 0.1, h.0 another shape, ln_f NaN"
    assert told in picture.alt


def test_where_nothing_differs_the_title_says_so():
    assert "No stage differs" in apart_bars({"ln_f": 1e-9}, None, 1e-3).alt


@pytest.fixture(scope="module")
def course():
    return GPT2.from_pretrained("course").requires_grad_(False), load_tokenizer("course")


# Where each break shows first; None: nowhere.
FIRST = {
    "nothing": None,
    "scores not divided by √hs": "h.0.attn",
    "no mask": "h.0.attn",
    "future scores 0, not -inf": "h.0.attn",
    "softmax over the columns": "h.0.attn",
    "queries and keys swapped": "h.0.attn",
    "heads cut without a transpose": "h.0.attn",
    "GELU in its exact form": "h.0.mlp",
    "ReLU in place of GELU": "h.0.mlp",
    "LayerNorm behind the additions": "h.0.ln_1",
    "no final LayerNorm": "ln_f",
    "no positions": "embedding",
    "positions counted from 1": "embedding",
    "one c_proj not transposed": "h.2.attn",
}


def test_every_break_shows_first_where_it_is(course):
    assert list(FIRST) == [one.name for one in BREAKS]
    before = {name: p.clone() for name, p in course[0].named_parameters()}
    playing = parts_to_break(*course)
    control, shown = playing.widget.children
    for name, first in FIRST.items():
        control.value = name
        said = f"first difference is at {first}<" if first else "No stage differs"
        assert said in shown.value, name
    for name, parameter in course[0].named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_the_texts_of_the_widget_are_those_of_the_models(course):
    model, tokenizer = course
    playing = parts_to_break(*course, prompt="A robot must", chosen="no positions")
    idx = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode("A robot must")]])
    right = " ".join(tokenizer.decode(generate(model, idx, 24, temperature=0)[0, 1:]).split())
    assert right in plain(playing.twin.html)
    control, shown = playing.widget.children
    control.value = "GELU in its exact form"
    assert plain(shown.value).count(right) == 2  # the text does not tell
    control.value = "no mask"
    assert plain(shown.value).count(right) == 1


def test_the_right_attention_of_the_widget_is_the_models(course):
    model, tokenizer = course
    idx = torch.tensor([[2047, *tokenizer.encode("Mina looked at the robot because it")]])
    rebuilt, _ = _run(model, tokenizer, idx, Break("nothing", _attention("")))
    for name, expected in stages(model, idx).items():
        torch.testing.assert_close(rebuilt[name], expected, atol=1e-4, rtol=1e-4)


def test_an_unknown_break_is_refused(course):
    with pytest.raises(ValueError, match="chosen must be one of nothing, .* got 'the clock'"):
        parts_to_break(*course, chosen="the clock")
