"""Pictures of lesson 11, the judge of what its model writes, and the three sliders."""

import math
import re
from html import escape

import pytest
import torch
from seen import curves, plain, shapes, texts
from torch.testing import assert_close

from gpt2course.corpus import documents, heldout_documents
from gpt2course.corpus.judge import fits, judged, known_patterns, sentences_of
from gpt2course.drawing.explorer import drawn_with, percent
from gpt2course.lessons.sampling.figures import (
    FULL,
    dice_strip,
    filtered,
    kept_along,
    moving_window,
    outside_first,
    right_and_different,
    tail_curves,
    word_at,
    writing,
)
from gpt2course.lessons.sampling.widgets import sampling_desk
from gpt2course.sampling import keep_top_k, keep_top_p

FOUR = ["orders", "the", "nobody", "cheese"]
PROBS = [0.6, 0.25, 0.14, 0.01]


# The judge


@pytest.fixture(scope="module")
def known():
    return known_patterns(documents(0, 1500))


def test_a_text_falls_into_its_complete_sentences():
    text = (
        'Mina sang. "Did you hear it?" asked Tom. "It beeps. I like it." "Stop beeping!" Mina '
        "said. But why?<|endoftext|>Once there was a robot.<|endoftext|>The"
    )
    assert sentences_of(text) == [
        "Mina sang.", '"Did you hear it?" asked Tom.', '"It beeps.', 'I like it."',
        '"Stop beeping!" Mina said.', "But why?", "Once there was a robot.",
    ]  # fmt: skip


def test_sentences_put_together_again_are_the_story():
    for story in heldout_documents()[:50]:
        assert " ".join(sentences_of(story)) == story


def test_nearly_all_sentences_that_were_not_counted_fit(known):
    sentences = [s for story in heldout_documents()[:100] for s in sentences_of(story)]
    assert sum(fits(sentence, known) for sentence in sentences) > 0.95 * len(sentences)


@pytest.mark.parametrize(
    ("sentence", "right"),
    [
        ("Then Olga lost the kettle.", True),
        ("In Foxwick, Tom met Ada.", True),
        ("Something beeped in the shed.", True),
        ("Then Olga lost the the kettle.", False),
        ("Then Olga lost the Foxwick.", False),
        ("Foxwick, Tom met Ada.", False),
        ("Then Olga lost.", False),
        ("Somethingbeeped in the shed.", False),
        ("Once there was a owl in Foxwick.", False),
        (".", False),
    ],
)
def test_a_sentence_fits_if_each_three_of_its_words_are_known_by_their_kind(known, sentence, right):
    assert fits(sentence, known) is right


def test_texts_are_judged_by_what_fits_and_by_what_is_new():
    good, bad = "Then Olga lost it.", "It it."
    known = known_patterns(["Then Tom lost it."])
    assert judged([f"{good} {bad}", good, good], known) == (3 / 4, 2 / 4)
    assert judged([f"{good} {good} {bad}"], known, n=2) == (1.0, 1 / 2)


# The pictures


def test_a_number_hits_the_word_whose_piece_holds_it():
    hits = [word_at(FOUR, PROBS, number) for number in (0.0, 0.59, 0.6, 0.84, 0.86, 0.995)]
    assert hits == ["orders", "orders", "the", "the", "nobody", "cheese"]
    assert word_at(["a", "b"], [0.3, 0.3], 0.9) == "b"


def test_the_strip_cuts_the_line_at_the_running_sums():
    picture = dice_strip(FOUR, PROBS, [0.7])
    assert picture.alt == (
        "orders from 0.000 to 0.600; the from 0.600 to 0.850; nobody from 0.850 to 0.990; "
        "cheese from 0.990 to 1.000; the random number 0.70 hits the"
    )
    widths = [piece.width for piece in shapes(picture, "rect")]
    assert_close([w / sum(widths) for w in widths], PROBS, rtol=0, atol=1e-3)
    for text in ("orders", "60.0 %", "the", "cheese 1.0 %", "0.70", "→ the", "0.85"):
        assert text in texts(picture)
    (arrow,) = shapes(picture, "path", fill="currentColor")
    assert arrow.points[-1][0] == pytest.approx(0.7 * sum(widths))


def test_the_share_outside_the_first_ones_falls_to_nothing():
    assert_close(outside_first([0.25, 0.01, 0.6, 0.14]), [0.4, 0.15, 0.01, 0.0])


def test_tail_curves_tell_the_first_and_the_kth():
    outside = {"here": outside_first(PROBS), "there": [0.25, 0.00001, 0.0, 0.0]}
    picture = tail_curves(outside, k=2)
    assert picture.alt == (
        "here: 40.0 % outside the first, 15.0 % outside the 2 best; "
        "there: 25.0 % outside the first, < 0.1 % outside the 2 best"
    )
    assert escape(picture.alt) in picture.html
    here, there = curves(picture)
    assert here.points[0][1] < there.points[0][1] < there.points[1][1]  # 40 % above 25 %
    assert len(there.points) == 2  # nothing is drawn of a share of 0


def test_the_number_kept_is_told_for_every_word():
    picture = kept_along(["the", "old", "fox"], [1, 12, 41], p=0.9, k=40)
    heights = [column.height for column in shapes(picture, "rect")]
    assert [height / heights[0] for height in heights] == pytest.approx([1, 12, 41], rel=0.01)
    assert (
        picture.alt
        == "Tokens kept by top_p = 0.9 (top_k keeps 40 everywhere): the 1, old 12, fox 41"
    )


def test_the_window_drops_the_oldest_word_once_it_is_full():
    picture = moving_window(["a", "robot", "must", "obey", "it"], n_ctx=3, first=2)
    assert picture.alt == (
        "step 1: in view “a robot”, drawn “must”; step 2: in view “a robot must”, drawn “obey”; "
        "step 3: in view “robot must obey”, drawn “it”, out of view “a”"
    )
    boxes = shapes(picture, "rect")
    assert len(boxes) == 3 + 4 + 5
    assert sum("stroke-dasharray" in box.look for box in boxes) == 1  # what is out of view
    assert sum(box.look.get("stroke-width") == "3" for box in boxes) == 3  # one drawn in each row


def test_both_shares_of_every_way_are_told():
    alt = right_and_different({"greedy": (1.0, 0.012), "T = 2": (0.15, 0.98)}).alt
    assert alt == "greedy: 100 % fit, 1 % differ; T = 2: 15 % fit, 98 % differ"


def test_kept_and_removed_words_carry_signs_and_numbers():
    picture = filtered(FOUR, PROBS, [0.75, 0.25, 0.0, 0.0], "heading", "Said.", most=3)
    assert picture.alt == (
        "heading: kept orders: 60.0 % → 75.0 %; kept the: 25.0 % → 25.0 %; "
        "out nobody: 14.0 % → 0.0 %; 1 other, 0 of them kept: 1.0 % → 0.0 %. Said."
    )
    text = plain(picture.html)
    assert "✓ orders 60.0 % 75.0 %" in text and "✗ nobody 14.0 % 0.0 %" in text
    assert f"width:{0.75 * FULL:.1f}px" in picture.html and text.endswith("Said.")


def test_what_is_drawn_does_not_become_markup():
    assert "<i>" not in filtered(["<i>"], [1.0], [1.0], "<i>", "<i>").html
    assert "<i>" not in dice_strip(["<i>", "b"], [0.5, 0.5], [0.1]).html
    assert "<i>" not in moving_window(["<i>", "<i>"], 1, 1).html


# The sliders


LOGITS = {
    "sure": torch.tensor([0.0, 9.0, 1.0, -2.0, 0.5, -1.0]),
    "unsure": torch.tensor([1.0, 1.2, 1.1, 0.9, 1.3, 0.8]),
}
SIX = ["zero", "one", "two", "three", "four", "five"]


@pytest.fixture
def desk():
    return sampling_desk(LOGITS, SIX)


def controls(playable):
    *sliders, shown = playable.widget.children
    return (*sliders, shown)


def kept(shown):
    """The words with a tick, in the order of the rows."""
    return re.findall(r"✓ (\w+) ", plain(shown.value))


@pytest.mark.parametrize(("temperature", "k", "p"), [(1.0, 6, 1.0), (0.5, 3, 1.0), (2.0, 5, 0.8)])
@pytest.mark.parametrize("place", LOGITS)
def test_what_is_drawn_with_is_temperature_then_top_k_then_top_p(place, temperature, k, p):
    scores = LOGITS[place].double() / temperature
    filtered_scores = keep_top_p(keep_top_k(scores[None], k), p)[0]
    after, kept = drawn_with(LOGITS[place].double(), temperature, k, p)
    assert_close(after, filtered_scores.softmax(-1))
    assert kept.equal(filtered_scores > -math.inf)
    desk = sampling_desk(LOGITS, SIX, temperature, k, p)
    controls(desk)[0].value = place
    held = percent(scores.softmax(-1)[kept].sum().item())
    assert f"held {held} of the probability" in plain(controls(desk)[-1].value)


def test_temperature_zero_is_certain_of_the_likeliest():
    after, kept = drawn_with(LOGITS["sure"], 0, 6, 1.0)
    assert after.tolist() == kept.tolist() == [0, 1, 0, 0, 0, 0]


def test_at_first_everything_is_kept_and_the_twin_shows_the_same(desk):
    *_, shown = controls(desk)
    assert kept(shown) == ["one", "two", "four", "zero", "five", "three"]
    assert "6 of 6 tokens are kept" in shown.value and "✗" not in shown.value
    assert desk.twin.html == shown.value
    assert "kept one: " in desk.twin.alt


def test_top_k_and_top_p_take_words_out_and_give_their_share_to_the_others(desk):
    beginning, _, top_k, top_p, shown = controls(desk)
    beginning.value = "unsure"
    top_k.value = 2
    assert kept(shown) == ["four", "one"] and "2 of 6 tokens are kept" in shown.value
    before = percent(LOGITS["unsure"].softmax(-1)[4].item())
    after = percent(math.exp(1.3) / (math.exp(1.3) + math.exp(1.2)))
    assert f"✓ four {before} {after} ✓ one" in plain(shown.value)
    top_k.value, top_p.value = 6, 0.5
    assert kept(shown) == ["four", "one", "two"] and "3 of 6" in shown.value
    beginning.value = "sure"
    assert kept(shown) == ["one"] and "1 of 6 tokens is kept" in shown.value
    assert "it held" in shown.value and "it has all of it" in shown.value


def test_the_desk_says_that_top_p_is_measured_on_what_top_k_has_left(desk):
    beginning, _, top_k, top_p, shown = controls(desk)
    beginning.value, top_p.value = "unsure", 0.6
    assert "of what top_k had left" not in shown.value
    top_k.value = 3
    assert kept(shown) == ["four", "one"]
    four, one, two = math.exp(1.3), math.exp(1.2), math.exp(1.1)
    left = percent((four + one) / (four + one + two))
    held = percent(LOGITS["unsure"].softmax(-1)[[4, 1]].sum().item())
    assert f"they held {held} of the probability, and {left} of what top_k had left" in shown.value


def test_top_k_can_be_set_finely_where_it_is_small_and_to_everything():
    many = {"here": torch.zeros(2048)}
    desk = sampling_desk(many, [str(i) for i in range(2048)], top_k=42)
    top_k = controls(desk)[2]
    assert top_k.value == 42 and {*range(1, 11), 40, 42, 100, 2048} <= {*top_k.options}
    assert list(top_k.options) == sorted(top_k.options) and len(top_k.options) < 60


def test_temperature_moves_the_shares_and_takes_nothing_out(desk):
    _, temperature, _, _, shown = controls(desk)
    before = shown.value
    temperature.value = 3.0
    assert percent(torch.softmax(LOGITS["sure"] / 3, -1)[1].item()) in shown.value
    assert shown.value != before
    assert "6 of 6 tokens are kept" in shown.value


@pytest.mark.parametrize("temperature", [0.1, 3.0])
def test_a_kept_word_is_never_shown_as_gone_however_unlikely(temperature):
    far = {"far": torch.tensor([20.0, -15.0, 0.0])}
    desk = sampling_desk(far, ["a", "b", "c"], temperature=temperature)
    assert "3 of 3 tokens are kept" in desk.twin.html and "✗" not in desk.twin.html


def test_both_ends_of_every_slider_can_be_drawn(desk):
    _, temperature, top_k, top_p, shown = controls(desk)
    assert top_k.options == (1, 2, 3, 4, 5, 6)
    ends = [(temperature, (3, 0)), (top_k, (6, 1)), (top_p, (1, 0))]
    for slider, values in ends:
        for value in values:
            slider.value = value
            assert "kept" in shown.value
    assert kept(shown) == ["one"]
    temperature.value = 1.0
    assert kept(shown) == ["one"]


def test_what_is_written_moves_in_turn_and_stands_still_where_that_is_asked_for():
    words = ["a", "robot", "must", "obey", "orders"]
    picture = writing(words, given=3)
    assert picture.alt == (
        "reads “a robot must”, draws “obey”; then reads “a robot must obey”, draws “orders”"
    )
    rules, still = picture.html.split("@media (prefers-reduced-motion:reduce)")
    starts = [float(s) for s in re.findall(r"0%,([\d.]+)%{opacity:0", rules)]
    assert len(starts) == 2 and starts[0] < starts[1] < 100
    assert rules.count("infinite") == still.count("animation:none") == 2
    boxes = shapes(picture, "rect")[1:]
    assert [box.x for box in boxes] == sorted(box.x for box in boxes) and len(boxes) == 5
