"""Pictures and widgets of lesson 15: what they draw is what the model computes."""

import re

import pytest
import torch
from seen import place, plain, shapes
from torch import nn
from torch.testing import assert_close

from gpt2course.config import GPT2Config
from gpt2course.drawing.colours import fill_for, ink_on
from gpt2course.drawing.numbers import percent
from gpt2course.inspection import without_heads
from gpt2course.lessons.looking_inside.figures import (
    against_chance,
    best_head,
    lens_table,
    stage_lines,
    stage_names,
    weight_and_effect,
)
from gpt2course.lessons.looking_inside.widgets import heads_to_switch, lens_of, lens_to_play
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer

TEXTS = ["the robot ran", "it"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train("the robot ran because the robot must run", 270)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(2)
    config = GPT2Config(n_layer=2, n_head=3, n_embd=12, n_ctx=32, vocab_size=tokenizer.vocab_size)
    model = GPT2(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.requires_grad_(False)


def piece(token_id):
    return [b"a", b" robot", b" beeps", b"<x>"][token_id]


# Figures


def test_stages_are_the_start_and_one_after_each_block():
    assert stage_names(5)[0] == "before block 0" and stage_names(5)[-1] == "after block 3"
    assert len(stage_names(5)) == 5


@pytest.fixture
def lens():
    """Three stages, two tokens, four words; the likeliest: a, <x> / beeps, <x> / beeps, robot."""
    probs = torch.tensor([[[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.1, 0.6]],
                          [[0.2, 0.1, 0.6, 0.1], [0.1, 0.2, 0.2, 0.5]],
                          [[0.1, 0.1, 0.8, 0.0], [0.2, 0.4, 0.3, 0.1]]])  # fmt: skip
    return (probs + 1e-9).log()


def test_the_lens_table_names_the_likeliest_word_of_every_stage_and_token(lens):
    picture = lens_table([0, 1], lens, piece)
    assert picture.alt.splitlines()[1:] == [
        "before block 0: a → a 70.0 % ↺; ␣robot → <x> 60.0 %",
        "after block 0: a → ␣beeps 60.0 % ✓; ␣robot → <x> 50.0 %",
        "after block 1: a → ␣beeps 80.0 %; ␣robot → ␣robot 40.0 % ↺",
    ]
    cells = re.findall(r"<td [^>]*>(.*?)<br>", picture.html)
    assert cells == ["␣beeps", "␣robot ↺", "␣beeps ✓", "&lt;x&gt;", "a ↺", "&lt;x&gt;"]
    assert picture.html.count('scope="row"') == 3 and picture.html.count('scope="col"') == 3


def test_every_cell_of_the_lens_table_is_filled_by_its_probability_and_can_be_read(lens):
    html = lens_table([0, 1], lens, piece).html
    fills = re.findall(r"background:(#\w+);color:inherit", html)
    assert fills[-2:] == [fill_for(0.7, 0.0, 1.0), fill_for(0.6, 0.0, 1.0)] and len(fills) == 6
    assert all(ink_on(fill) == "currentColor" for fill in fills)


def test_the_lens_table_scrolls_by_keyboard_and_is_named(lens):
    html = lens_table([0, 1], lens, piece, "my title").html
    assert 'tabindex="0"' in html and 'role="region"' in html and "my title</caption>" in html


def test_stage_lines_tell_every_number():
    picture = stage_lines({"was": [1.0, 0.5], "bank": [1.0, 0.9]}, "Title", "cosine")
    assert picture.alt.startswith("Title. cosine. was: before block 0 1.00, after block 0 0.50; ")
    assert "bank: before block 0 1.00, after block 0 0.90" in picture.alt and "<svg" in picture.html


def test_weight_and_effect_tell_every_head_and_whether_it_is_missed():
    weight = torch.tensor([[0.9, 0.1], [0.2, 0.0]])
    effect = torch.tensor([[0.5, -0.001], [-0.25, 0.01]])
    picture = weight_and_effect({"it": (weight, effect), "was": (effect.abs(), weight)})
    assert "it, L0·H0: weight 0.90, loss 0.50; it, L0·H1: weight 0.10, loss 0.00" in picture.alt
    assert "it, L1·H0: weight 0.20, gain 0.25" in picture.alt
    assert "was, L0·H0: weight 0.50, loss 0.90" in picture.alt
    assert picture.alt.count("weight 0.") == 8 and "<svg" in picture.html


def test_against_chance_tells_measured_and_even():
    picture = against_chance(["before", "first"], [0.5, 0.25], [0.06, 0.1], "Habits")
    assert picture.alt == (
        "Habits. before: 0.50, even attention 0.06; first: 0.25, even attention 0.10"
    )


def test_the_bars_of_habits_are_measured_by_the_largest_and_marked_where_chance_is():
    picture = against_chance(["before", "first"], [0.2, 0.1], [0.06, 0.1], "Habits")
    bars = shapes(picture, "rect")
    marks = shapes(picture, "path", **{"class": "mark"})
    assert [bar.width for bar in bars] == pytest.approx([360, 180], abs=0.01)
    assert [mark.x for mark in marks] == pytest.approx([360 * 0.3, 180], abs=0.01)


def test_best_head_is_the_place_of_the_largest_score():
    assert best_head(torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.9, 0.4]])) == (1, 1)
    assert best_head(torch.tensor([[0.5, 0.2, 0.3], [0.0, 0.1, 0.4]])) == (0, 0)


# The lens to play with


def test_the_lens_of_a_text_ends_with_the_models_logits(model, tokenizer):
    ids = tokenizer.encode(TEXTS[0])
    lens = lens_of(model, ids)
    assert lens.shape == (3, len(ids), tokenizer.vocab_size)
    assert_close(lens[-1], model(torch.tensor([ids]))[0], atol=1e-4, rtol=1e-4)


def test_the_lens_follows_text_and_token(model, tokenizer):
    played = lens_to_play(model, tokenizer, TEXTS)
    text, token, shown = played.widget.children
    stages = [place(shown.value, name) for name in stage_names(3)]
    assert played.twin.html == shown.value
    assert stages[0][1] > stages[1][1] > stages[2][1]  # the last stage is on top
    before = shown.value
    token.value = 0
    assert shown.value != before
    best = lens_of(model, tokenizer.encode(TEXTS[0]))[1, 0].softmax(-1).max()
    assert percent(best) in shown.value


def test_another_text_is_asked_at_its_last_token(model, tokenizer):
    text, token, shown = lens_to_play(model, tokenizer, TEXTS, token=1).widget.children
    for chosen in reversed(TEXTS):  # a shorter one, and a longer one again
        ids = tokenizer.encode(chosen)
        text.value = chosen
        assert token.value == token.max == len(ids) - 1
        best = lens_of(model, ids)[-1, -1].softmax(-1).max()
        assert percent_of(best) in plain(shown.value) and shown.value.count("<b ") == 1


def test_the_lens_begins_at_the_last_token_or_at_the_one_given(model, tokenizer):
    last = len(tokenizer.encode(TEXTS[0])) - 1
    assert lens_to_play(model, tokenizer, TEXTS).widget.children[1].value == last
    assert lens_to_play(model, tokenizer, TEXTS, token=1).widget.children[1].value == 1
    assert f"({last})" in lens_to_play(model, tokenizer, TEXTS).twin.alt


# Heads to switch off


def switches_of(played):
    """Text, the switches by their names, the button that switches all on, and the picture."""
    text, *rows, all_on, shown = played.widget.children
    switches = [switch for row in rows for switch in row.children[1:]]
    return text, {s.description.split()[0]: s for s in switches}, all_on, shown


def next_probs(model, tokenizer, text):
    return model(torch.tensor([tokenizer.encode(text)]))[0, -1].softmax(-1)


def percent_of(prob):
    return percent(prob)


def test_there_is_a_switch_for_every_head_and_it_says_its_state(model, tokenizer):
    _, switches, _, _ = switches_of(heads_to_switch(model, tokenizer, TEXTS, off=((1, 2),)))
    assert [*switches] == ["L0·H0", "L0·H1", "L0·H2", "L1·H0", "L1·H1", "L1·H2"]
    assert switches["L1·H2"].description == "L1·H2 OFF"
    assert switches["L0·H1"].description == "L0·H1 on"
    switches["L1·H2"].value = True
    assert switches["L1·H2"].description == "L1·H2 on"
    assert switches["L1·H0"].tooltip == "layer 1, head 0"


def test_switching_a_head_off_shows_what_is_left_beside_what_was(model, tokenizer):
    played = heads_to_switch(model, tokenizer, TEXTS)
    _, switches, all_on, shown = switches_of(played)
    whole = next_probs(model, tokenizer, TEXTS[0])
    assert played.twin.html == shown.value and percent_of(whole.max()) in shown.value
    assert ", was" not in shown.value
    assert "all heads on" in shown.value and shown.value.count("<table") == 2
    switches["L0·H1"].value = False
    with without_heads(model, [(0, 1)]):
        now = next_probs(model, tokenizer, TEXTS[0])
    left, instead = shown.value.split("the most likely without L0·H1")
    assert f"{percent_of(now[whole.argmax()])}, was {percent_of(whole.max())}" in left
    assert "without L0·H1: what is left" in left
    for likely in now.topk(5).indices:
        assert f"{percent_of(now[likely])}, was {percent_of(whole[likely])}" in instead
    assert left.count("</tr>") == 12 and instead.count("</tr>") == 7  # a head, the words, the rest
    all_on.click()
    assert shown.value == played.twin.html and switches["L0·H1"].value


def test_another_text_is_asked_with_the_same_heads_off(model, tokenizer):
    text, switches, _, shown = switches_of(heads_to_switch(model, tokenizer, TEXTS, off=((0, 0),)))
    text.value = TEXTS[1]
    assert "“it” without L0·H0" in shown.value and not switches["L0·H0"].value


def test_the_model_is_whole_again_after_every_redraw(model, tokenizer):
    before = next_probs(model, tokenizer, TEXTS[0])
    _, switches, _, _ = switches_of(heads_to_switch(model, tokenizer, TEXTS, off=((0, 0),)))
    switches["L1·H1"].value = False
    assert torch.equal(next_probs(model, tokenizer, TEXTS[0]), before)
    assert not any(module._forward_pre_hooks for module in model.modules())
