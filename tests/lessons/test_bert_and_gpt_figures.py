"""Pictures and the widget of lesson 16: what they draw is what was measured."""

import pytest
import torch
from seen import plain, shapes

from gpt2course.drawing.colours import BAR, NEW, OTHER_BAR
from gpt2course.drawing.explorer import Candidate
from gpt2course.lessons.bert_and_gpt.figures import (
    Model,
    candidates,
    family,
    filled,
    padded,
    trained,
    word_of,
)
from gpt2course.lessons.bert_and_gpt.widgets import LONGEST, fill_to_play, gap_picture
from gpt2course.tokenizer import Tokenizer


def rects(picture, fill):
    return shapes(picture, "rect", fill=fill)


# Figures


def test_what_was_measured_in_training_stands_side_by_side_each_on_its_own_scale():
    picture = trained({"loss": [(20, 6.5), (40, 1.0)], "share": [(0, 0.0), (40, 0.97)]}, "a claim")
    assert picture.alt == (
        "a claim. loss: 6.50 at step 20, 1.00 at step 40; share: 0.00 at step 0, 0.97 at step 40"
    )
    loss, share = (one.points for one in shapes(picture, "path", **{"class": "curve"}))
    assert loss[0][1] < loss[-1][1] and share[0][1] > share[-1][1]  # y grows downwards
    assert max(x for x, _ in loss) < min(x for x, _ in share)
    assert {"loss", "share", "1.00", "0.97"} <= set(plain(picture).split())


def test_every_kind_has_a_bar_from_both_sides_and_one_from_the_left_on_one_scale():
    found = {"it": (0.9, 0.03), "days": (0.2, 0.1)}
    picture = filled(found, {"it": 0.03, "days": 0.14}, "a claim")
    assert [one.width for one in rects(picture, BAR)] == pytest.approx([324, 72], abs=0.1)
    assert [one.width for one in rects(picture, OTHER_BAR)] == pytest.approx([10.8, 36], abs=0.1)
    assert picture.alt.startswith("a claim. it: 90% from both sides, 3% from the left, guessing 3%")
    assert "a claim" in plain(picture)


def test_padding_is_what_is_left_of_the_width():
    picture = padded([3, 9, 6], 20, unit=10)
    widths = [one.width for one in shapes(picture, "rect")]
    assert widths == [30, 170, 90, 110, 60, 140]
    assert "Filled up to 20, 70.0% of a batch is padding" in picture.alt
    assert "Filled up to the longest, 9: 33%" in picture.alt


def test_the_family_says_sizes_and_what_each_reads():
    both = Model("ONE", 2018, 2, 100_000_000, "both sides")
    models = [both, Model("TWO", 2019, 4, 250_000_000, "left side")]
    picture = family(models)
    assert "TWO has 2.5 times the parameters of ONE" in picture.alt
    assert "ONE, 2018: 100 million, 2 layers, reads both sides" in picture.alt
    (one,), (two,) = rects(picture, BAR), rects(picture, OTHER_BAR)
    assert two.width == pytest.approx(2.5 * one.width, abs=0.1)


def test_the_hidden_word_is_framed_and_found_among_the_candidates():
    both = [Candidate(1, b" dog", 0.7), Candidate(2, b" cat", 0.2)]
    left = [Candidate(3, b" hat", 0.5)]
    picture = candidates(["the", "dog", "ran"], 1, both, left)
    assert picture.alt == (
        "the ___ ran. Hidden: dog. BERT, from both sides: dog 70.0 %, cat 20.0 %. "
        "GPT-2, from the left: hat 50.0 %"
    )
    assert "✓ dog" in plain(picture) and "✓ hat" not in plain(picture)
    assert len(rects(picture, NEW)) == 1


def test_a_long_text_stays_within_the_page():
    words = ["a"] + ["kettle"] * 50
    (page,) = shapes(candidates(words, 3, *[[Candidate(1, b"x", 1.0)]] * 2), "svg")
    assert page.width <= 860


# The widget


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train("the robot ran because the robot must run", 270)


class Reader:
    """A model that remembers what it was given, and always expects the same token."""

    def __init__(self, vocab_size, expects):
        self.vocab_size, self.expects, self.read = vocab_size, expects, []

    def __call__(self, idx):
        self.read.append(idx.tolist()[0])
        logits = torch.zeros(*idx.shape, self.vocab_size)
        logits[..., self.expects] = 5.0
        return logits


@pytest.fixture
def models(tokenizer):
    V, (ran,) = tokenizer.vocab_size, tokenizer.encode("r")
    return Reader(V + 1, ran), Reader(V, tokenizer.encode("t")[0])


def test_the_encoder_reads_a_mask_and_the_decoder_what_is_before_it(tokenizer, models):
    encoder, decoder = models
    ids = tokenizer.encode("the robot ran")
    picture = gap_picture(encoder, decoder, tokenizer, tokenizer.vocab_size, "the robot ran", 1)
    assert encoder.read == [[ids[0], tokenizer.vocab_size, *ids[2:]]]
    assert decoder.read == [[tokenizer.end_of_text, ids[0]]]
    assert "from both sides: r " in picture.alt and "from the left: t " in picture.alt


def played(tokenizer, models, texts=("the robot ran", "the robot must run")):
    pieces = [word_of(tokenizer.token_bytes(i)) for i in tokenizer.encode(texts[0])]
    widget = fill_to_play(*models, tokenizer, tokenizer.vocab_size, texts, hidden=pieces[1])
    return widget, pieces


def test_pressing_a_word_hides_it_and_shows_the_one_before(tokenizer, models):
    widget, pieces = played(tokenizer, models)
    _, _, _, words, _, shown = widget.widget.children
    assert [button.value for button in words.children].index(True) == 1
    assert f"Hidden: {pieces[1]}" in widget.twin.alt
    words.children[0].value = True
    assert [button.value for button in words.children].index(True) == 0
    assert sum(button.value for button in words.children) == 1
    assert f"Hidden: {pieces[0]}" in shown.value
    words.children[0].value = False  # one is always hidden
    assert words.children[0].value


def test_another_sentence_has_buttons_of_its_own(tokenizer, models):
    widget, _ = played(tokenizer, models)
    menu, text, _, words, said, shown = widget.widget.children
    menu.value = "the robot must run"
    assert text.value == menu.value
    assert len(words.children) == len(tokenizer.encode(menu.value))
    text.value = "run"
    assert len(words.children) == len(tokenizer.encode("run")) and not said.value
    assert sum(button.value for button in words.children) == 1


@pytest.mark.parametrize("typed", ["", "the robot " * 80])
def test_what_cannot_be_read_is_said_and_the_picture_stays(tokenizer, models, typed):
    widget, _ = played(tokenizer, models)
    _, text, _, _, said, shown = widget.widget.children
    before = shown.value
    text.value = typed
    assert f"a sentence has 1 to {LONGEST} tokens" in said.value and shown.value == before
