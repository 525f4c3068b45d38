"""Pictures of lesson 01, its text, and the keyboard that suggests."""

import math
import re
from collections import Counter

import pytest
import torch
from seen import place, plain, shapes, texts

from gpt2course.bigram import Words, bigram_probs, count_bigrams
from gpt2course.drawing.colours import GREY
from gpt2course.lessons.language_models.figures import (
    HABITS,
    Model,
    circle,
    model_sizes,
    robot_text,
    short,
    smoothing_curves,
    suggestion_row,
)
from gpt2course.lessons.language_models.widgets import AT_ONCE, going_round, keyboard

STORY = robot_text(400)
WORDS = Words(STORY)
PROBS = bigram_probs(count_bigrams(torch.tensor(WORDS.encode(STORY)), WORDS.vocab_size))


# The text


def test_the_same_seed_writes_the_same_text():
    assert robot_text(50, seed=3) == robot_text(50, seed=3) != robot_text(50, seed=4)
    assert STORY.startswith(robot_text(30))


def test_every_thing_makes_its_own_sound_and_no_other():
    found = re.findall(r"the (\w+) (?:of the \w+ )?because it (\w+) \.", STORY)
    assert len(found) > 100
    assert set(found) == set(HABITS.items())


def test_every_sentence_ends_with_a_full_stop_of_its_own():
    assert STORY.count(" .") == 400
    assert all(token == "." or token.isalpha() for token in STORY.split())


def test_the_first_suggestions_of_the_lessons_story_go_round():
    story = robot_text(2000)
    words = Words(story)
    best = count_bigrams(torch.tensor(words.encode(story)), words.vocab_size).argmax(dim=1)
    for start in range(words.vocab_size):
        here = start
        for _ in range(words.vocab_size):
            here = best[here].item()
        ring = [words.words[here]]
        while (here := best[here].item()) != words.encode(ring[0])[0]:
            ring.append(words.words[here])
        assert set(ring) == {"the", "captain", "of"}


# The pictures


def test_suggestions_are_told_with_their_probabilities():
    picture = suggestion_row("a robot", [("must", 0.75), ("beeps", 0.25)], "Said.")
    assert picture.alt == "written: a robot▏ suggestions: must 75.0 %, beeps 25.0 %. Said."
    assert plain(picture.html) == "a robot must 75.0 % beeps 25.0 % Said."


def test_what_is_written_does_not_become_markup():
    assert "<i>" not in suggestion_row("<i>", [("<i>", 1.0)], "<i>").html
    assert "<i>" not in circle(["<i>", "a", "<i>"]).html


def test_the_circle_leads_back_to_the_word_that_came_twice():
    picture = circle(["we", "hear", "the", "captain", "of", "the"])
    assert picture.alt == "we → hear → the → captain → of → back to the"
    words = ["we", "hear", "the", "captain", "of"]
    assert texts(picture) == [*words, "and round again"]
    assert len(shapes(picture, "path", fill=GREY)) == 4 + 1  # the tips on, and the one back
    back = shapes(picture, "path", fill="none")[-1].points
    assert (back[0][0], back[-1][0]) == (place(picture, "of")[0], place(picture, "the")[0])
    assert len(shapes(picture, "rect", stroke_width="2")) == 3  # the words of the circle


def test_a_word_that_follows_itself_is_a_circle_too():
    assert circle(["a", "a"]).alt == "a → back to a"


def test_smoothing_tells_every_value():
    alt = smoothing_curves([0.01, 1.0], {"old": [2.0, 8.0], "new": [4.5, 9.25]}, 30).alt
    assert alt == (
        "Perplexity over alpha, uniform 30. old: 2.00 at 0.01, 8.00 at 1; "
        "new: 4.50 at 0.01, 9.25 at 1"
    )


def test_without_smoothing_an_infinite_perplexity_is_marked_in_words():
    alt = smoothing_curves([0, 0.1], {"old": [2.0, 8.0], "new": [math.inf, 9.25]}, 30).alt
    assert "new: infinite at 0, 9.25 at 0.1" in alt
    assert "old: 2.00 at 0, 8.00 at 0.1" in alt


def test_the_largest_step_is_that_between_neighbours():
    sizes = {"A": 10**6, "B": 10**8, "C": 10**9, "D": 2 * 10**9}
    models = [Model(name, 2018, n, "one kind", 2) for name, n in sizes.items()]
    assert model_sizes(models).alt.startswith("The largest step: from A to B, 100 times")


@pytest.mark.parametrize(
    ("n", "text"),
    [(93_600_000, "93.6M"), (124_439_808, "124M"), (1_557_611_200, "1.56B"), (175 * 10**9, "175B")],
)
def test_large_numbers_are_told_to_three_digits(n, text):
    assert short(n) == text


def test_model_sizes_tells_every_model_with_its_kind():
    models = [Model("A", 2018, 10**8, "one kind", 2), Model("B", 2020, 5 * 10**9, "another", 24)]
    assert model_sizes(models).alt == (
        "The largest step: from A to B, 50 times the parameters. "
        "A (2018), one kind: 100M parameters, 2 layers; B (2020), another: 5B parameters, 24 layers"
    )


# The keyboard


@pytest.fixture
def keys():
    return keyboard(PROBS, WORDS, "we hear the")


def parts(playable):
    """The text, the three keys, the three others, and what is said."""
    text, suggestions, others, said = playable.widget.children
    return text, suggestions.children, others.children, said


def test_the_three_likeliest_words_are_on_the_keys(keys):
    _, suggestions, _, _ = parts(keys)
    after = Counter(b for a, b in zip(STORY.split(), STORY.split()[1:], strict=False) if a == "the")
    likeliest = [word for word, _ in after.most_common(3)]
    assert [key.description.split(" · ")[0] for key in suggestions] == likeliest
    share = after[likeliest[0]] / after.total()
    assert suggestions[0].description.endswith(f" · {share:.1%}".replace("%", " %"))


def test_pressing_a_key_appends_its_word_and_asks_anew(keys):
    text, suggestions, _, _ = parts(keys)
    word = suggestions[1].description.split(" · ")[0]
    suggestions[1].click()
    assert plain(text.value) == f"we hear the {word}"
    likeliest = WORDS.words[PROBS[WORDS.encode(word)[0]].argmax()]
    assert suggestions[0].description.startswith(f"{likeliest} · ")


def test_a_key_without_a_word_shows_none_and_does_nothing():
    text, suggestions, _, _ = parts(keyboard(PROBS, WORDS, "a robot must"))
    assert [key.description for key in suggestions] == ["obey · 100 %", "–", "–"]
    suggestions[2].click()
    assert plain(text.value) == "a robot must"


def test_step_back_and_start_again_lead_back(keys):
    text, suggestions, (_, back, again), _ = parts(keys)
    suggestions[0].click()
    suggestions[0].click()
    back.click()
    assert len(plain(text.value).split()) == 4
    again.click()
    back.click()  # what was given stays
    assert plain(text.value) == "we hear the"


def test_always_the_first_goes_round_and_is_told_so(keys):
    text, _, (many, _, again), said = parts(keys)
    assert plain(said.value) == ""
    many.click()
    assert len(plain(text.value).split()) == 3 + AT_ONCE
    assert "came twice in a row" in said.value
    again.click()
    assert plain(said.value) == ""


def test_the_twin_is_the_first_state(keys):
    text, suggestions, _, _ = parts(keys)
    assert keys.twin.alt.startswith("written: we hear the▏ suggestions: ")
    for key in suggestions:
        assert key.description.replace(" · ", " ") in keys.twin.alt


@pytest.mark.parametrize(
    ("ids", "run"),
    [
        ([], []),
        ([1], []),
        ([1, 1], [1]),
        ([1, 2, 3], []),
        ([9, 1, 2, 1, 2], [1, 2]),
        ([5, 6, 7, 5, 6, 7], [5, 6, 7]),
        ([1, 2, 1], []),
    ],
)
def test_the_shortest_run_that_came_twice_is_found(ids, run):
    assert going_round(ids) == run
