"""The Explorer of lesson 00: what it draws, and what its buttons do to the text."""

import math
import re
from html import unescape

import pytest
import torch
from torch.testing import assert_close

from gpt2course.bigram import Words, bigram_probs, count_bigrams
from gpt2course.config import GPT2Config
from gpt2course.drawing.explorer import (
    BAR,
    SHOWN,
    Candidate,
    bar,
    explorer_picture,
    next_tokens,
    percent,
    rest_of,
    text_so_far,
    text_table,
)
from gpt2course.drawing.explorer_widget import (
    DRAWS,
    TOP,
    GrowingText,
    explorer,
    next_logits_of,
    translate,
)
from gpt2course.inspection import head_weights
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer

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
        ["rank", "token", "id", "probability"],
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


def test_every_token_of_the_text_has_its_id():
    picture = text_so_far([b"robot", b"must"], [None, 0.875], [17, 4])
    assert picture.alt == "robot (id 17, given) must (id 4, 87.5 %)"
    assert 'aria-label="robot (id 17, given) must (id 4, 87.5 %)"' in picture.html
    assert "id 17\ngiven" in picture.html and "id 4\n87.5 %" in picture.html


def test_the_text_is_a_table_too():
    picture = text_table([b"robot", b" must"], [None, 0.875], [17, 4])
    cells = [re.findall(r">([^<>]+)<", row) for row in re.findall(r"<tr>(.*?)</tr>", picture.html)]
    assert cells == [
        ["place", "token", "id", "how it came"],
        ["0", "robot", "17", "given"],
        ["1", "␣must", "4", "87.5 %"],
    ]
    assert picture.html.count('scope="col"') == 4
    assert picture.alt == "the text so far: 0 robot (id 17) given; 1 ␣must (id 4) 87.5 %"


def test_a_frame_shows_what_the_model_says_where_something_else_is_drawn_by():
    html = bar(0.8, own=0.5)
    assert f"width:{0.8 * BAR:.1f}px" in html and f"width:{0.5 * BAR:.1f}px;border" in html
    assert "80.0 %, was 50.0 %" in html
    assert "dashed" not in bar(0.8)
    assert "cut off, was 50.0 %" in bar(0.0, own=0.5, cut=True)


def test_a_token_that_is_cut_off_says_so_in_its_row():
    found = [Candidate(2, b"obey", 1.0, 0.6), Candidate(6, b"boil", 0.0, 0.3, True)]
    picture = next_tokens(found, "after must")
    assert picture.alt == (
        "after must: obey (id 2) 100 %, was 60.0 %; boil (id 6) cut off, was 30.0 %; "
        "all others together 0.0 %, was 10.0 %"
    )
    assert picture.html.count("line-through") == 1


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
    obey, boil = growing.candidates(0.0)
    assert obey == Candidate(2, b"obey", 1.0, own=pytest.approx(2 / 3))
    assert boil == Candidate(6, b"boil", 0.0, own=pytest.approx(1 / 3), cut=True)
    growing.draw(0.0)
    assert growing.text == "robot must obey"


def test_top_k_keeps_the_likeliest_and_shares_out_the_rest(growing):
    probs = growing.next_probs(1.0, 1)
    assert_close(probs[WORDS.encode("obey boil")], torch.tensor([1.0, 0.0]))
    assert_close(growing.next_probs(1.0, 2), growing.next_probs())
    obey, boil = growing.candidates(top_k=1)
    assert obey == Candidate(2, b"obey", 1.0, own=pytest.approx(2 / 3))
    assert (boil.cut, boil.prob, boil.own) == (True, 0.0, pytest.approx(1 / 3))
    assert growing.candidates(top_k=2) == growing.candidates()


def test_temperature_comes_before_top_k_as_when_sampling():
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0])
    growing = GrowingText(lambda ids: logits, Words("a b c d e"), "a")
    expected = (logits[:3] / 0.5).softmax(-1)
    assert_close(growing.next_probs(0.5, 3), torch.cat([expected, torch.zeros(2)]))
    found = growing.candidates(0.5, top_k=3)
    assert [c.cut for c in found] == [False, False, False, True, True]
    assert [c.own for c in found] == pytest.approx(logits.softmax(-1).tolist())


def test_what_a_small_temperature_rounds_to_nothing_is_not_cut_off():
    logits = torch.tensor([50.0, 10.0, 0.0])
    growing = GrowingText(lambda ids: logits, Words("a b c"), "a")
    assert growing.next_probs(0.1)[1] == 0
    assert not any(c.cut for c in growing.candidates(0.1))


def test_draws_with_top_k_never_give_what_is_cut_off():
    logits = torch.zeros(8).index_fill(0, torch.tensor([1, 5]), 0.5)
    growing = GrowingText(lambda ids: logits, Words("a b c d e f g h"), "a")
    for _ in range(60):
        growing.draw(2.0, 2)
    assert set(growing.ids[1:]) == {1, 5}
    assert growing.probs[1:] == pytest.approx([0.5] * 60)


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
    assert "obey id 2 66.7 %" in shown(panel)
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


def prose(panel):
    """The text as it can be read and pressed, without what tells equal words apart."""
    return "".join(word for word, _ in button(panel, "text:").options).replace("\u2060", "")


def test_the_text_is_prose_and_a_press_on_a_word_goes_back_there(panel):
    assert prose(panel) == "robot must "
    for word in ("obey", "orders"):
        button(panel, word).click()
    first = shown(panel)
    assert prose(panel) == "robot must obey orders "
    assert "added: " in first and button(panel, "text:").tooltips[2].startswith(
        "chosen with 66.7 %"
    )
    button(panel, "text:").index = 2
    assert prose(panel) == "robot must obey " and "went back by 1 token" in shown(panel)
    assert button(panel, "text:").index is None  # so that it can be pressed again
    button(panel, "orders").click()
    button(panel, "text:").index = 0  # given words stay
    assert prose(panel) == "robot must "


def test_the_words_that_the_model_chose_are_marked(panel):
    assert ":nth-child(n+3){background" in shown(panel)


def test_a_word_says_what_it_read_most():
    model = small_gpt2(0)
    panel = explorer(model, Tokenizer([]), "boils")
    mean = head_weights(model, torch.tensor([list(b"boils")])).mean((0, 1))
    best = int(mean[4].argmax())
    said = button(panel, "text:").tooltips[4]
    assert f"read most: {'boils'[best]} {percent(float(mean[4, best]), 0)}" in said
    assert button(panel, "text:").tooltips[0].count("%") == 1  # the first has only itself to read


def test_what_is_drawn_is_written_word_by_word(panel):
    seen = []
    button(panel, "text:").observe(
        lambda change: seen.append(len(change["new"])), "_options_labels"
    )
    button(panel, f"draw {DRAWS}").click()
    assert set(range(3, 3 + DRAWS)) <= set(seen)


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
    assert "kettle id 5 given must id 1 given obey id 2 given" in shown(panel)
    button(panel, "start:").value = "kettle must sing"
    assert "got 'sing'" in shown(panel).replace("&#x27;", "'")
    assert "kettle id 5 given must id 1 given obey id 2 given" in shown(panel)


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
    assert panel.twin.alt.startswith(
        "text so far: a (id 97, given) ␣ (id 32, given) r (id 114, given)"
    )
    button(panel, f"draw {DRAWS}").click()
    button(panel, f"draw {DRAWS}").click()
    assert "given" in shown(panel)


def test_top_k_cuts_what_is_shown_and_what_can_be_pressed(panel):
    button(panel, "top-k").value = 1
    assert "top-k 1" in shown(panel)
    assert "100 %, was 66.7 %" in shown(panel) and "cut off, was 33.3 %" in shown(panel)
    boil = button(panel, "boil")
    assert boil.disabled and boil.tooltip == "boil, cut off, was 33.3 %"
    boil.click()  # a press that comes late
    assert "boil id 6" not in shown(panel)
    button(panel, "top-k").value = 0
    assert "was" not in shown(panel)
    assert not any(row.children[0].disabled for row in rows(panel))


def test_the_buttons_draw_with_temperature_and_top_k():
    logits = torch.zeros(7).index_fill(0, torch.tensor(WORDS.encode("obey")), 0.1)
    panel = explorer(lambda ids: logits, WORDS, "robot")  # seven words, almost equally likely
    for setting, value in (("top-k", 1), ("temperature", 0)):
        button(panel, setting).value = value
        button(panel, f"draw {DRAWS}").click()
        for _ in range(DRAWS):
            button(panel, "draw one").click()
        assert shown(panel).count("obey id 2 100 %") == 2 * DRAWS
        button(panel, "start again").click()
        button(panel, "top-k").value = 0


def test_every_control_has_a_name_and_a_place_in_the_tab_order(panel):
    controls = [
        w
        for w in everything(panel)
        if hasattr(w, "description") and type(w).__name__ not in ("HTML", "Label")
    ]
    tokens = [w for w in controls if type(w).__name__ == "Button"][-TOP:]
    unnamed = [w for w in controls if not w.description]
    assert len(controls) - len(unnamed) == 11  # start, text, sliders, steps, 2 tokens, the table
    assert set(unnamed) == set(tokens[2:])  # in rows that are not shown: two tokens may follow
    assert all(getattr(w, "tabbable", None) is not False for w in controls)


def everything(playable):
    """All live widgets."""
    todo, found = [playable.widget], []
    while todo:
        found.append(todo.pop(0))
        todo += getattr(found[-1], "children", ())
    return found


def rows(playable):
    """The rows of tokens that are shown."""
    return [
        w
        for w in everything(playable)
        if type(w).__name__ == "HBox"
        and w.layout.display != "none"
        and getattr(w.children[0], "tooltip", None)
        and "choose" in str(w.children[0].tooltip)
    ]


def test_the_table_holds_the_text_and_what_may_come_next(panel):
    button(panel, "boil").click()
    button(panel, "the same as a table").value = True
    assert "place token id how it came 0 robot 0 given 1 must 1 given 2 boil 6 33.3 %" in (
        shown(panel)
    )
    assert "token id probability 1 . 4 100 %" in shown(panel)


# A second model


OTHER = Words("kettle . robot must boil obey orders")
EVEN = torch.zeros(7)


def test_a_second_model_follows_the_first_ones_text():
    heard = []

    def second(ids):
        heard.append(OTHER.decode(ids))
        return EVEN.index_fill(0, torch.tensor(OTHER.encode("boil")), 5.0)

    panel = explorer(by_counts, WORDS, "robot must", beside={"yours": (second, OTHER)})
    assert heard == ["robot must"]
    assert "yours: the 10 likeliest next tokens" in shown(panel)
    assert "1 boil 4 96.1 %" in shown(panel)
    assert "yours: the 10 likeliest next tokens: boil (id 4) 96.1 %" in panel.twin.alt
    button(panel, "obey").click()
    assert heard[-1] == "robot must obey"
    button(panel, "step back").click()
    assert heard[-1] == "robot must"
    button(panel, "start:").value = "kettle must"
    assert heard[-1] == "kettle must"
    button(panel, "temperature").value = 0.5
    assert "yours: the 10 likeliest next tokens, at temperature 0.5" in shown(panel)
    button(panel, "top-k").value = 1
    assert "1 boil 4 100 %, was 96.1 %" in shown(panel)
    assert heard[-1] == "kettle must" and len(heard) == 4  # settings do not ask the model again


def test_where_the_tokens_differ_the_second_models_own_are_shown():
    panel = explorer(by_counts, WORDS, "robot must", beside={"yours": (lambda ids: EVEN, OTHER)})
    assert "its own tokenizer makes 2 tokens of the text: robot id 2 must id 3" in shown(panel)
    same = explorer(by_counts, WORDS, "robot must", beside={"yours": lambda ids: EVEN})
    assert "its own tokenizer" not in shown(same) and "yours: the 10" in shown(same)
    equal = explorer(by_counts, WORDS, "robot", beside={"it": (lambda ids: EVEN, Words(TEXT))})
    assert "its own tokenizer" not in shown(equal)


def test_a_text_that_the_second_model_cannot_read_is_no_error():
    few = Words("robot must")
    panel = explorer(by_counts, WORDS, "robot must", beside={"yours": (lambda i: EVEN[:2], few)})
    button(panel, "obey").click()
    assert "yours cannot read this text: every word must be one of the 2 known, got" in shown(panel)
    button(panel, "step back").click()
    assert "cannot read" not in shown(panel)


def test_a_text_goes_from_one_tokenizer_to_another():
    bytes_alone, merged = Tokenizer([]), Tokenizer.train("aab aab aab", 259)
    text = "aab€ a"
    assert translate(bytes_alone.encode(text), bytes_alone, merged) == merged.encode(text)
    assert translate(merged.encode(text), merged, bytes_alone) == bytes_alone.encode(text)
    ids = [bytes_alone.end_of_text, *b"aab", bytes_alone.end_of_text]
    assert translate(ids, bytes_alone, merged) == [258, *merged.encode("aab"), 258]
    assert translate([*b"robot", bytes_alone.end_of_text], bytes_alone, WORDS) == [0]


def test_two_models_of_one_name_are_refused():
    with pytest.raises(ValueError, match="a name of its own, got 'this model'"):
        explorer(by_counts, WORDS, "robot", beside={"this model": by_counts})


# Attention


def small_gpt2(seed, vocab_size=257, n_layer=2):
    config = GPT2Config(n_layer=n_layer, n_head=2, n_embd=8, n_ctx=16, vocab_size=vocab_size)
    torch.manual_seed(seed)
    model = GPT2(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.8)
    return model


def whole_percent(weights, names):
    """What stands in the boxes of the lines: names and whole per cent."""
    shares = ["< 1 %" if 0 < p < 0.005 else f"{100 * p:.0f} %" for p in weights.tolist()]
    return " ".join(f"{name} {share}" for name, share in zip(names, shares, strict=True))


def without_titles(playable):
    """All that is seen without the pointer, as one text."""
    seen = []
    for widget in everything(playable):
        if type(widget).__name__ == "HTML":
            text = re.sub(
                r'<title>[^<]*</title>|<g class="gpt2course-lit">.*?</g>', "", widget.value
            )
            seen.append(unescape(re.sub("<[^>]*>", " ", text)))
    return " ".join(" ".join(seen).split())


def test_attention_opens_below_a_gpt2_and_equals_the_models():
    model, tokenizer = small_gpt2(0), Tokenizer([])
    panel = explorer(model, tokenizer, "boils")
    assert "reads" not in shown(panel)
    button(panel, "attention").value = True
    weights = head_weights(model, torch.tensor([list(b"boils")]))
    assert "s (4) reads, layer 0, all heads averaged" in shown(panel)
    assert whole_percent(weights[0].mean(0)[4], "boils") in without_titles(panel)
    button(panel, "layer:").index = 1
    button(panel, "head:").index = 2
    assert whole_percent(weights[1, 1, 4], "boils") in without_titles(panel)
    button(panel, "attention").value = False
    assert "reads" not in shown(panel)


def test_attention_follows_the_text_and_its_last_token():
    model = small_gpt2(0)
    panel = explorer(model, Tokenizer([]), "boils", attention=True)
    assert "s (4) reads, layer 0, all heads averaged" in panel.twin.alt
    button(panel, "token:").value = 1
    assert "o (1) reads" in shown(panel)
    button(panel, "draw one").click()
    assert "(5) reads" in shown(panel)
    button(panel, "step back").click()
    assert "s (4) reads" in shown(panel)
    button(panel, "start:").value = "a"
    assert "a (0) reads" in shown(panel)


def test_attention_of_a_text_longer_than_the_context_is_that_of_its_end():
    model = small_gpt2(0)
    panel = explorer(model, Tokenizer([]), "the kettle boils over", attention=True)
    weights = head_weights(model, torch.tensor([list(b"the kettle boils over"[-16:])]))
    names = list("the␣kettle␣boils␣over"[-16:])
    assert whole_percent(weights[0].mean(0)[15], names) in without_titles(panel)


def test_models_without_attention_have_none_to_open(panel):
    with pytest.raises(AssertionError, match="no button 'attention'"):
        button(panel, "attention")
    both = explorer(by_counts, WORDS, "robot", beside={"yours": small_gpt2(0, 7)}, attention=True)
    assert list(button(both, "model:").options) == ["yours"]
    assert "robot (0) reads" in shown(both)


def test_the_attention_of_either_model_can_be_looked_at():
    one, two = small_gpt2(0), small_gpt2(1, 259, n_layer=1)
    merged = Tokenizer.train("boils boils", 259)
    panel = explorer(one, Tokenizer([]), "boils", beside={"yours": (two, merged)}, attention=True)
    assert list(button(panel, "model:").options) == ["this model", "yours"]
    button(panel, "layer:").index = 1
    button(panel, "model:").index = 1
    ids = merged.encode("boils")
    assert len(ids) < 5
    weights = head_weights(two, torch.tensor([ids]))
    names = [merged.token_bytes(i).decode() for i in ids]
    assert whole_percent(weights[0].mean(0)[-1], names) in without_titles(panel)
    button(panel, "model:").index = 0
    assert "s (4) reads" in shown(panel)


def own_text_of(panel):
    """What the other model has written of its own; "" where it reads along."""
    columns = [w.value for w in everything(panel) if type(w).__name__ == "HTML"]
    found = [re.search(r'<div style="font-size:15px[^>]*>(.*?)</div>', html) for html in columns]
    return "".join(re.sub("<[^>]*>", "", match[1]) for match in found if match)


def test_two_models_write_side_by_side_each_its_own_text():
    even = torch.zeros(len(WORDS.words))
    panel = explorer(by_counts, WORDS, "robot", beside={"even": lambda ids: even})
    button(panel, f"draw {DRAWS}").click()
    assert own_text_of(panel) == ""  # the other reads what the first has written
    button(panel, "start again").click()
    button(panel, "each writes its own").value = True
    button(panel, f"draw {DRAWS}").click()
    own = own_text_of(panel)
    assert own.startswith("robot ") and len(own.split()) == 1 + DRAWS
    assert own.split() != prose(panel).split() and len(prose(panel).split()) == 1 + DRAWS
    button(panel, "start again").click()
    assert own_text_of(panel) == ""
    button(panel, "draw one").click()
    button(panel, "each writes its own").value = False
    assert own_text_of(panel) == ""


def test_one_model_has_no_text_of_its_own_beside(panel):
    with pytest.raises(AssertionError, match="no button 'each writes its own'"):
        button(panel, "each writes its own")


def test_attention_says_why_it_cannot_be_shown():
    model, few = small_gpt2(0, 2), Words("robot must")
    panel = explorer(by_counts, WORDS, "robot must", beside={"yours": (model, few)}, attention=True)
    assert "must (1) reads" in shown(panel)
    button(panel, "obey").click()
    assert "reads" not in shown(panel) and shown(panel).count("cannot read this text") == 2
    button(panel, "step back").click()
    assert "must (1) reads" in shown(panel)


def test_a_learners_model_that_has_only_forward_is_explored_too():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.config = small_gpt2(0), GPT2Config(n_ctx=16)

        def forward(self, idx):
            return self.inner(idx)

    panel = explorer(Own(), Tokenizer([]), "the kettle boils over and over")
    same = explorer(small_gpt2(0), Tokenizer([]), "the kettle boils over and over")
    assert panel.twin.alt == same.twin.alt
