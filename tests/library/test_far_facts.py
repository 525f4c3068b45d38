"""Stories that begin with facts and ask for them later."""

import random

import pytest

from gpt2course.corpus.far_facts import OPTIONS, QUESTIONS, WORDS, far_facts

STORIES = [far_facts(96, random.Random(seed), telegram=seed % 2 == 1) for seed in range(40)]


def test_the_same_dice_give_the_same_story():
    assert far_facts(64, random.Random(5)) == far_facts(64, random.Random(5))
    assert far_facts(64, random.Random(5)) != far_facts(64, random.Random(6))


def test_every_story_has_its_length_and_known_words():
    assert all(len(story.words) == 96 and set(story.words) <= set(WORDS) for story in STORIES)
    assert len(set(WORDS)) == len(WORDS)


def test_every_fact_is_told_exactly_once_and_before_the_first_question():
    for story in STORIES:
        first = min(i for i, word in enumerate(story.words) if word in QUESTIONS)
        for question, place in story.facts.items():
            options = [i for i, word in enumerate(story.words) if word in OPTIONS[question]]
            assert options == [place] and place < first


def test_options_belong_to_one_question_each():
    options = [option for group in OPTIONS.values() for option in group]
    assert len(set(options)) == len(options) == 4 * 4


def test_a_telegram_holds_nothing_but_the_facts_at_first():
    for story in STORIES[1::2]:
        assert sorted(story.facts.values()) == [0, 1, 2, 3]
    for story in STORIES[::2]:
        places = sorted(story.facts.values())
        assert min(b - a for a, b in zip(places, places[1:], strict=False)) >= 5


def test_every_question_and_every_option_is_used():
    asked = {word for story in STORIES for word in story.words if word in QUESTIONS}
    told = {(q, story.answer(q)) for story in STORIES for q in QUESTIONS}
    assert asked == set(QUESTIONS) and len(told) == 4 * 4


def test_one_word_in_four_is_a_question():
    behind = [word for story in STORIES[1::2] for word in story.words[4:]]
    assert sum(word in QUESTIONS for word in behind) / len(behind) == pytest.approx(0.25, abs=0.03)


def test_a_story_too_short_for_its_facts_is_refused():
    with pytest.raises(ValueError, match=r"length must be at least \d+, .* got 10; telegram"):
        far_facts(10, random.Random(0))
