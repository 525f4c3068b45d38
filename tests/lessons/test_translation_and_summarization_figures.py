"""Pictures and widgets of lesson 17: what they draw is what was measured."""

import pytest
import torch
from seen import shapes

from gpt2course.corpus.translation import words_of
from gpt2course.lessons.translation_and_summarization.figures import (
    accuracy,
    beams_drawn,
    crossing,
    facts_drawn,
)
from gpt2course.lessons.translation_and_summarization.widgets import (
    DOES,
    FORMS,
    PEOPLE,
    THINGS,
    TIMES,
    composed,
    translation_to_play,
)

SOURCE, TARGET = ["Anna", "lost", "it"], ["Anna", "hat", "es", "verloren"]
WEIGHTS = torch.tensor([[0.9, 0.0, 0.0], [0.01, 0.6, 0.0], [0.0, 0.0, 0.5], [0.02, 0.7, 0.1]])


def lines_of(picture):
    return picture.html.count('class="gpt2course-line"')


def test_a_line_is_drawn_for_each_weight_that_can_be_seen():
    assert lines_of(crossing(SOURCE, TARGET, WEIGHTS, "all")) == int((WEIGHTS >= 0.04).sum()) == 5


def test_the_text_says_what_each_target_word_reads():
    alt = crossing(SOURCE, TARGET, WEIGHTS, "all").alt
    assert "verloren reads lost 70.0 %, it 10.0 %" in alt and "hat reads lost 60.0 %" in alt


def test_a_lit_word_says_its_weights_above_the_source_and_alone_in_the_text():
    picture = crossing(SOURCE, TARGET, WEIGHTS, "one", lit=3)
    assert ">70%</text>" in picture.html and ">60%</text>" not in picture.html
    assert "hat reads" not in picture.alt


def test_a_word_that_reads_no_source_word_is_said_to():
    assert "a reads no source word" in crossing(["x"], ["a"], torch.zeros(1, 1), "none").alt


def test_bars_are_as_long_as_the_fractions():
    picture = accuracy({"one": 0.5, "other": 0.25}, "title")
    assert picture.alt == "title: one 50.0%, other 25.0%"
    one, other = [shape.width for shape in shapes(picture, "rect") if shape.width > 1]
    assert one == 2 * other


def test_the_candidates_that_are_kept_are_filled_and_said():
    picture = beams_drawn([[("the", 0.6, True), ("an", 0.4, False)]], "title")
    assert "step 1 keeps the 0.600" in picture.alt and "an 0.4" not in picture.alt
    assert picture.html.count("#a5d8ff") == 1 and picture.html.count("stroke-dasharray") == 1


def test_facts_are_drawn_in_their_proportions():
    counts = {"who": {"right": 3, "invented": 1}, "mood": {"mixed up": 4}}
    picture = facts_drawn(counts, "title")
    assert picture.alt == "title. who: 3 right, 1 invented; mood: 4 mixed up"
    widths = [shape.width for shape in shapes(picture, "rect")]
    assert widths[:3] == [315, 105, 420]


@pytest.mark.parametrize("form", FORMS)
def test_any_choice_of_parts_is_a_sentence_in_both_languages(form):
    for when in TIMES:
        for who in PEOPLE:
            english, german = composed(when, who, next(iter(DOES)), next(iter(THINGS)), form)
            assert english[0].isupper() and english.endswith(".") and german.endswith(".")
            assert who in english.lower() or who in english


def test_the_slider_writes_the_translation_word_by_word_and_says_whether_it_is_right():
    german = composed("yesterday", "Anna", "throw away", "the red bicycle", "time first")[1]

    def translate(english):
        source, target = words_of(english), words_of(german)
        return source, target, torch.ones(len(target), len(source)) / 20

    played = translation_to_play(translate)
    assert "5 German" not in played.twin.html and "“das” reads" not in played.twin.alt
    *_, word, shown = played.widget.children
    word.value = 1
    assert "“Gestern” reads" in shown.value and ">Anna<" in shown.value
    word.value = 16
    assert "as it should be" in shown.value
    played.widget.children[1].value = "the man"
    assert "should be: Gestern hat der Mann" in shown.value
