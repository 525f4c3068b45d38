"""Stories that begin with facts and ask for them later."""

import random

import pytest
import torch
from torch.nn import functional as F

from gpt2course.corpus.far_facts import (
    OPTIONS,
    QUESTIONS,
    WORDS,
    FarFacts,
    batch_of,
    far_facts,
    right_by_distance,
)

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


# Batches, and the share of right answers in them


def test_a_batch_holds_ids_answers_and_distances():
    stories = [
        FarFacts(["the", "cellar", "key?", "."], {"key?": 1}),
        FarFacts(["red", ".", "again", "door?"], {"door?": 0}),
    ]
    idx, targets, distance = batch_of(stories)
    assert [[WORDS[i] for i in row] for row in idx] == [story.words for story in stories]
    asked = WORDS.index("cellar"), WORDS.index("red")
    assert targets.tolist() == [[-100, -100, asked[0], -100], [-100, -100, -100, asked[1]]]
    assert distance.tolist() == [[0, 0, 1, 0], [0, 0, 0, 3]]


def test_answers_are_counted_by_the_distance_of_their_fact():
    def always_red(idx):
        return F.one_hot(torch.full_like(idx, WORDS.index("red")), len(WORDS)).float()

    near = FarFacts(["red", "door?", "."], {"door?": 0})
    at_the_edge = FarFacts(["blue", ".", "door?"], {"door?": 0})
    far = FarFacts(["red", ".", ".", ".", "door?"], {"door?": 0})
    batches = [batch_of([near, at_the_edge]), batch_of([far])]
    assert right_by_distance(always_red, batches, [1, 2, 4, 8]) == [
        (2**0.5, 1.0), (8**0.5, 0.0), (32**0.5, 1.0),
    ]  # fmt: skip
    assert right_by_distance(always_red, batches, [1, 4, 5, 9]) == [(2.0, 0.5), (20**0.5, 1.0)]
