"""Pictures and the switch of lesson 06, and the matrix that all lessons draw."""

import re

import pytest
import torch

from gpt2course.attention import attention_scores, masked_attention
from gpt2course.drawing.attention_maps import weights_of
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.twin import HIDE_TWINS
from gpt2course.lessons.masking.figures import training_examples, two_losses
from gpt2course.lessons.masking.widgets import mask_switch

WORDS = ["robot", "must", "obey", "orders"]


def attend_all(q, k, v):
    return attention_scores(q, k).softmax(-1) @ v


@pytest.fixture
def qk():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)


def test_one_sequence_shows_every_question_with_its_answer():
    picture = training_examples(WORDS)
    assert picture.alt.count("reads") == 3
    assert "row 2: reads “robot must”, predicts “obey”" in picture.alt
    assert re.findall(r">(\w+) \?</text>", picture.html) == ["must", "obey", "orders"]


def test_loss_pictures_tell_their_numbers():
    losses = {"causal": (1.12, 1.12), "no mask": (0.1, 3.61)}
    assert "no mask: usual 0.10, honest 3.61" in two_losses(losses, 1.1).alt
    assert "<svg" in two_losses(losses, 1.1).html


@pytest.mark.parametrize(("S", "hs"), [(4, 2), (4, 3), (5, 8), (3, 3)])
def test_weights_of_recovers_the_weights_whatever_the_width(S, hs):
    q, k = torch.randn(S, hs), torch.randn(S, hs)
    assert torch.allclose(weights_of(attend_all, q, k), attention_scores(q, k).softmax(-1))

    def as_wide_as_q(q, k, v):
        y = torch.zeros_like(q)
        y[:] = masked_attention(q, k, v)
        return y

    assert torch.allclose(weights_of(as_wide_as_q, q, k), weights_of(masked_attention, q, k))


def test_the_switch_redraws_weights_and_losses(qk):
    variants = {"causal": masked_attention, "no mask": attend_all}
    losses = {"causal": (1.12, 1.13), "no mask": (0.1, 3.61)}
    playable = mask_switch(variants, *qk, WORDS, losses, 1.1)
    switch, shown = playable.widget.children
    assert "no attention goes to the future" in shown.value and "✗" not in shown.value
    assert playable.twin.html == shown.value
    switch.value = "no mask"
    future = weights_of(attend_all, *qk).triu(1).sum().item() / 4
    assert f"{percent(future, 0)} of all attention goes to the future" in shown.value
    assert shown.value.count("✗</text>") == 6 and "3.61" in shown.value


def test_a_playable_shows_its_twin_and_the_widget_that_hides_it(qk, monkeypatch):
    shown = []
    monkeypatch.setattr("gpt2course.drawing.twin.display", lambda *a, **kw: shown.append(a[0]))
    losses = {"causal": (1.0, 1.0)}
    playable = mask_switch({"causal": masked_attention}, *qk, WORDS, losses, 1.1)
    playable._ipython_display_()
    _, twin, live = shown
    assert playable.twin.html in twin["text/html"] and twin["text/plain"] == playable.twin.alt
    assert live.children[0].value == HIDE_TWINS and live.children[1] is playable.widget
