"""Pictures and the switch of lesson 06, and the matrix that all lessons draw."""

import re

import pytest
import torch

from gpt2course.attention import attention_scores, masked_attention
from gpt2course.drawing.attention_maps import weights_of
from gpt2course.drawing.colours import DIVERGING, VIRIDIS, fill_for, ink_on
from gpt2course.drawing.matrix import matrices, matrix_svg, matrix_text
from gpt2course.drawing.pipeline import BLOCK, LIT, STAGES, pipeline
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


# The pipeline


@pytest.mark.parametrize("stage", [*STAGES, BLOCK], ids=lambda stage: stage.lesson)
def test_the_pipeline_lights_the_stage_of_a_lesson_and_no_other(stage):
    picture = pipeline(stage.lesson)
    assert picture.html.count("▶") == 1 and picture.html.count(f'fill="{LIT}"') == 1
    assert f"Lit: {stage.label} ({stage.number})" in picture.alt


def test_the_pipeline_of_the_whole_lights_nothing():
    assert "▶" not in pipeline().html and LIT not in pipeline("00_welcome").html


# Lesson 06


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
    assert f"{future:.0%} of all attention goes to the future" in shown.value
    assert shown.value.count("✗</text>") == 6 and "3.61" in shown.value


def test_a_playable_shows_its_twin_and_the_widget_that_hides_it(qk, monkeypatch):
    shown = []
    monkeypatch.setattr("gpt2course.drawing.twin.display", lambda *a, **kw: shown.append(a[0]))
    losses = {"causal": (1.0, 1.0)}
    playable = mask_switch({"causal": masked_attention}, *qk, WORDS, losses, 1.1)
    playable._ipython_display_()
    twin, live = shown
    assert playable.twin.html in twin["text/html"] and twin["text/plain"] == playable.twin.alt
    assert live.children[0].value == HIDE_TWINS and live.children[1] is playable.widget
