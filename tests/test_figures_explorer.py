"""The Explorer of lesson 00: what it draws, and what its buttons do to the text."""

import math
import re

import pytest
import torch
from torch.testing import assert_close

from gpt2course.bigram import Words, bigram_probs, count_bigrams
from gpt2course.config import GPT2Config
from gpt2course.figures.explorer import (
    BAR,
    SHOWN,
    Candidate,
    bar,
    explorer_picture,
    next_tokens,
    percent,
    rest_of,
    text_so_far,
)
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.widgets.explorer import DRAWS, TOP, GrowingText, explorer, next_logits_of

TEXT = "robot must obey orders . robot must obey . kettle must boil ."
WORDS = Words(TEXT)
PROBS = bigram_probs(count_bigrams(torch.tensor(WORDS.encode(TEXT)), WORDS.vocab_size))


def by_counts(ids):
    return PROBS[ids[-1]].log()


@pytest.fixture
def growing():
    return GrowingText(by_counts, WORDS, "robot must")


@pytest.fixture
def panel():
    return explorer(by_counts, WORDS, "robot must")


def button(playable, name):
    """The live button of that description."""
    todo = [playable.widget]
    while todo:
        widget = todo.pop(0)
        if getattr(widget, "description", None) == name:
            return widget
        todo += getattr(widget, "children", ())
    raise AssertionError(f"no button {name!r}")


def shown(playable):
    """All HTML that the live widget shows, as one text without tags."""
    todo, found = [playable.widget], []
    while todo:
        widget = todo.pop(0)
        if widget.layout.display == "none":
            continue
        if type(widget).__name__ == "HTML":
            found.append(re.sub("<[^>]*>", " ", widget.value))
        todo = [*getattr(widget, "children", ()), *todo]
    return " ".join(" ".join(found).split())


# The pictures


@pytest.mark.parametrize(
    ("prob", "text"),
    [
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.0006, "0.1 %"),
        (0.25, "25.0 %"),
        (0.9994, "99.9 %"),
        (0.9999, "> 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_what_is_not_certain_is_not_written_as_certain(prob, text):
    assert percent(prob) == text


def test_every_candidate_has_its_row_with_token_id_and_number():
    picture = next_tokens([Candidate(2, b" obey", 0.6), Candidate(6, b"boil", 0.3)], "after must")
    assert picture.alt == "after must: ␣obey (id 2) 60.0 %; boil (id 6) 30.0 %; " + (
        "all others together 10.0 %"
    )
    rows = re.findall(r"<tr>(.*?)</tr>", picture.html)
    cells = [re.findall(r">([^<>]+)<", row) for row in rows]
    assert cells == [
        ["token", "id", "probability"],
        ["1", "␣obey", "2", "60.0 %"],
        ["2", "boil", "6", "30.0 %"],
        ["all others", "10.0 %"],
    ]


def test_bars_are_as_long_as_their_probability():
    widths = [float(re.search(r"width:([\d.]+)px", bar(p)).group(1)) for p in (0.0, 0.25, 1.0)]
    assert widths == [0, BAR / 4, BAR]


def test_what_rounding_leaves_is_no_row():
    certain = [Candidate(0, b"a", 0.7), Candidate(1, b"b", 0.29999999)]
    assert rest_of(certain) == 0.0
    assert "others" not in next_tokens(certain, "").html


def test_given_tokens_are_told_from_chosen_ones():
    picture = text_so_far([b"robot", b"must"], [None, 0.875])
    assert picture.alt == "robot (given) must (87.5 %)"


def test_of_a_long_text_the_end_is_drawn_and_the_rest_counted():
    pieces = [str(i).encode() for i in range(SHOWN + 7)]
    picture = text_so_far(pieces, [None] * len(pieces))
    assert picture.alt.startswith("… 7 tokens before these: 7 (given)")
    assert f"{SHOWN + 6} (given)" in picture.alt


def test_what_a_token_holds_does_not_become_markup():
    picture = explorer_picture([b"<b>"], [None], [Candidate(0, b"<b>", 0.5)], "<b>")
    assert "<b>" not in picture.html and picture.html.count("&lt;b&gt;") >= 3


# The text that grows


def test_the_probabilities_are_the_softmax_of_the_models_logits(growing):
    assert_close(growing.next_probs(), PROBS[WORDS.encode("must")[0]])
    sharper = growing.next_probs(0.5)  # squares, shared out again
    assert_close(sharper[WORDS.encode("obey boil")], torch.tensor([0.8, 0.2]))


def test_at_temperature_0_the_likeliest_token_is_certain(growing):
    assert growing.candidates(0.0) == [Candidate(2, b"obey", 1.0)]
    growing.draw(0.0)
    assert growing.text == "robot must obey"


def test_a_tiny_temperature_does_not_overflow(growing):
    assert growing.next_probs(1e-4).isfinite().all()


def test_candidates_come_likeliest_first_and_without_the_impossible(growing):
    found = growing.candidates()
    assert [c.piece for c in found] == [b"obey", b"boil"]
    assert math.isclose(sum(c.prob for c in found), 1, rel_tol=1e-6)


def test_choosing_and_stepping_back_lead_to_the_same_place(growing):
    before = growing.picture().alt
    growing.choose(2)
    assert (growing.text, growing.probs[-1]) == ("robot must obey", pytest.approx(2 / 3))
    growing.step_back()
    assert growing.picture().alt == before


def test_given_tokens_cannot_be_taken_back(growing):
    growing.step_back()
    growing.step_back()
    assert growing.text == "robot must"


def test_draws_follow_the_probabilities(growing):
    drawn = []
    for _ in range(600):
        growing.draw()
        drawn.append(growing.ids[-1])
        growing.step_back()
    assert drawn.count(2) / 600 == pytest.approx(2 / 3, abs=0.06)


def test_equal_seeds_write_equal_texts():
    texts = []
    for seed in (1, 1, 2):
        growing = GrowingText(by_counts, WORDS, "robot", seed)
        for _ in range(40):
            growing.draw()
        texts.append(growing.text)
    assert texts[0] == texts[1] != texts[2]


def test_a_start_that_cannot_be_read_is_refused_and_changes_nothing(growing):
    growing.choose(2)
    for start in ("robots must", ""):
        with pytest.raises(ValueError, match="one of the 7 known|at least one token"):
            growing.restart(start)
    assert growing.text == "robot must obey"


def test_a_gpt2_is_asked_for_the_last_token_with_n_ctx_in_view():
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, n_ctx=4, vocab_size=11)
    torch.manual_seed(0)
    model = GPT2(config)
    logits = next_logits_of(model)([9, 9, 1, 2, 3, 4])
    assert_close(logits, model(torch.tensor([[1, 2, 3, 4]]))[0, -1])
    assert not logits.requires_grad


def test_an_empty_start_begins_with_the_end_of_text_where_there_is_one():
    tokenizer = Tokenizer([])
    model = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=8, n_ctx=8, vocab_size=257))
    growing = GrowingText(next_logits_of(model), tokenizer, "")
    assert growing.ids == [256]
    assert len(growing.candidates()) == TOP
    growing.draw()
    assert len(growing.ids) == 2


# The live widget


def test_the_twin_is_the_first_state(panel):
    assert panel.twin.alt == GrowingText(by_counts, WORDS, "robot must").picture().alt
    assert "obey (id 2) 66.7 %" in panel.twin.alt
    assert "66.7 %" in shown(panel) and "33.3 %" in shown(panel)


def test_pressing_a_token_appends_it_and_shows_what_may_follow(panel):
    button(panel, "obey").click()
    assert "obey 66.7 %" in shown(panel)
    assert button(panel, "orders").tooltip == "choose orders, 50.0 %"


def test_step_back_and_start_again_undo(panel):
    first = shown(panel)
    button(panel, "boil").click()
    button(panel, ".").click()
    assert shown(panel) != first
    button(panel, "step back").click()
    assert button(panel, ".").tooltip == "choose ., 100 %"
    button(panel, "start again").click()
    assert shown(panel) == first


def test_drawing_adds_one_or_ten(panel):
    def chosen():
        return len(re.findall(r"%", shown(panel).partition("the 10 likeliest")[0]))

    button(panel, "draw one").click()
    assert chosen() == 1
    button(panel, f"draw {DRAWS}").click()
    assert chosen() == 1 + DRAWS


def test_the_temperature_moves_the_bars(panel):
    button(panel, "temperature").value = 0.5
    assert "at temperature 0.5" in shown(panel)
    assert "80.0 %" in shown(panel) and "20.0 %" in shown(panel)
    button(panel, "temperature").value = 0
    assert "100 %" in shown(panel) and "20.0 %" not in shown(panel)


def test_writing_a_start_begins_there_and_a_wrong_one_says_why(panel):
    button(panel, "start:").value = "kettle must obey"
    assert "kettle given must given obey given" in shown(panel)
    button(panel, "start:").value = "kettle must sing"
    assert "got 'sing'" in shown(panel).replace("&#x27;", "'")
    assert "kettle given must given obey given" in shown(panel)


def test_the_table_opens_and_closes(panel):
    assert "probability" not in shown(panel)
    button(panel, "the same as a table").value = True
    assert "token id probability 1 obey 2 66.7 %" in shown(panel)
    button(panel, "the same as a table").value = False
    assert "probability" not in shown(panel)


def test_the_explorer_takes_a_gpt2_and_a_tokenizer():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=1, n_head=2, n_embd=8, n_ctx=16, vocab_size=257))
    panel = explorer(model, Tokenizer([]), "a robot")
    assert panel.twin.alt.startswith("text so far: a (given) ␣ (given) r (given)")
    button(panel, f"draw {DRAWS}").click()
    button(panel, f"draw {DRAWS}").click()
    assert "given" in shown(panel)
