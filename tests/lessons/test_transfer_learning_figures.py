"""The pictures of lesson 18 and the field to write in say what is true of the numbers."""

import pytest
import torch
from seen import shapes, texts

from gpt2course.lessons.transfer_learning.figures import (
    answers_side_by_side,
    forgetting,
    learning_curves,
    two_thin_matrices,
    what_is_trained,
)
from gpt2course.lessons.transfer_learning.widgets import SHOWN, ask_to_play, likeliest
from gpt2course.model import GPT2
from gpt2course.weights import load_tokenizer

FOUND = {
    "one way": {10: [0.5, 0.75, 1.0], 100: [1.0, 1.0, 1.0]},
    "another": {10: [0.25, 0.25, 0.4], 100: [0.5, 0.6, 0.7]},
}


@pytest.fixture(scope="module")
def course():
    return GPT2.from_pretrained("course"), load_tokenizer("course")


def test_the_curves_tell_means_and_spreads():
    picture = learning_curves(FOUND, 0.5, "A title")
    assert "A title" in texts(picture)
    assert "one way: 10 examples 75% (50% to 100%), 100 examples 100% (100% to 100%)" in picture.alt
    assert "another: 10 examples 30% (25% to 40%)" in picture.alt
    assert "Guessing gives 50%" in picture.alt


def spreads(picture):
    """For each spread its height in pixels, and where it stands."""
    found = []
    for line in shapes(picture, "path", **{"class": "spread"}):
        (x1, y1), (x2, y2) = line.points
        assert x1 == x2
        found.append((x1, abs(y1 - y2)))
    return found


def test_each_spread_reaches_from_the_worst_seed_to_the_best():
    drawn = spreads(learning_curves(FOUND, 0.5, "A title"))
    heights = [height for _, height in drawn]
    assert len(set(x for x, _ in drawn)) == 4  # side by side
    assert heights[1] == pytest.approx(0, abs=0.1)
    assert heights[0] / heights[3] == pytest.approx(0.5 / 0.2, rel=0.02)


def test_the_two_thin_matrices_are_drawn_to_scale():
    picture = two_thin_matrices(n_out=384, n_in=128, rank=4)
    wide, thin, flat = ((one.width, one.height) for one in shapes(picture, "rect")[:3])
    assert wide[1] == thin[1] and wide[0] == flat[0]
    assert wide[1] / wide[0] == pytest.approx(3, rel=0.02)
    assert "49,152 numbers" in picture.alt and "4.2%" in picture.alt
    assert 4 * (384 + 128) / (384 * 128) == pytest.approx(0.042, abs=5e-4)


def test_what_is_trained_counts_four_numbers_of_four_bytes():
    picture = what_is_trained({"all": 1_000_000, "few": 20_000}, "A title")
    assert "all: 1,000,000 numbers, 16.0 MB" in picture.alt and "few: 20,000" in picture.alt


def test_forgetting_marks_the_loss_before():
    picture = forgetting({"all": 1.5, "few": 1.0}, 0.9, "A title")
    assert "all 1.50 (+0.60)" in picture.alt and "Before: 0.90" in picture.alt
    assert "before fine-tuning, 0.90 nats per token" in texts(picture)
    assert len(shapes(picture, "path", **{"class": "mark"})) == 2


def test_answers_stand_side_by_side():
    picture = answers_side_by_side("It =", {"before": [("owl", 0.25)], "after": [("bell", 0.5)]})
    assert {"before", "after", "owl", "bell", "25%", "50%", "after “It =”"} <= set(texts(picture))


def test_the_likeliest_are_the_models_own(course):
    model, tokenizer = course
    text = "Mina watched the robot because it"
    found = likeliest({"one": model}, tokenizer, text)["one"]
    ids = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(text)]])
    with torch.no_grad():
        probs = model(ids)[0, -1].softmax(-1)
    assert len(found) == SHOWN
    assert found[0] == (tokenizer.decode([probs.argmax().item()]).strip(), probs.max().item())
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)


def test_an_empty_text_and_one_beyond_the_context_are_answered(course):
    model, tokenizer = course
    for text in ("", "The robot beeped. " * 100):
        assert len(likeliest({"one": model}, tokenizer, text)["one"]) == SHOWN


def test_another_text_gives_another_picture(course):
    model, tokenizer = course
    played = ask_to_play({"before": model}, tokenizer, "The owl")
    field, shown = played.widget.children
    first = shown.value
    field.value = "The robot"
    assert shown.value != first and "The robot" in shown.value
    assert "The owl" in played.twin.alt
