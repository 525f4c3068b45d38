"""Sentences with a word taken out: what follows tells it, and no model has read them."""

import pytest

from gpt2course import corpus
from gpt2course.corpus.gaps import CHOICES, gap_texts, gaps
from gpt2course.corpus.lexicon import DAYS, NUMBERS, THINGS

TRAINING = "\n".join(corpus.training_documents())
OF_VERB = {verb.past: thing.name for thing in THINGS for verb in thing.verbs}
STEPS = {"The next day was": 1, "Two days later it was": 2, "The day before was": -1}


def told_by_what_follows(gap):
    """The word as someone finds it who reads the right side alone."""
    words = gap.after.replace(".", "").split()
    if gap.kind == "it":
        return OF_VERB[words[words.index("it") + 1]]
    if gap.kind == "days":
        step = next(by for said, by in STEPS.items() if said in gap.after)
        return DAYS[(DAYS.index(words[-1]) - step) % 7]
    if gap.kind == "count":
        change = NUMBERS.index(words[words.index("and") + 2])
        return NUMBERS[NUMBERS.index(words[-1]) + (change if "lost" in words else -change)]
    return words[-1]


@pytest.mark.parametrize("kind", CHOICES)
def test_what_follows_tells_the_word_and_what_is_before_does_not(kind):
    asked = gaps(kind)
    assert len(asked) == 100
    for gap in asked:
        assert gap.word in CHOICES[kind]
        assert told_by_what_follows(gap) == gap.word
        assert gap.word not in gap.before.split() and gap.before


@pytest.mark.parametrize("kind", CHOICES)
def test_no_training_text_holds_a_sentence_with_a_gap(kind):
    learned = "\n".join(gap_texts(4000))
    assert all(gap.text not in TRAINING and gap.text not in learned for gap in gaps(kind))


def test_the_same_seed_gives_the_same_gaps_and_texts():
    assert gaps("it", 5) == gaps("it", 9)[:5] != gaps("it", 5, seed=1)
    assert gap_texts(5) == gap_texts(9)[:5] != gap_texts(5, seed=1)


def test_texts_are_of_all_kinds():
    said = ("it ", "day", "Now ", " to ")
    assert all(part in text for part, text in zip(said, gap_texts(4), strict=True))


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="kind must be one of it, days, count, names, got 'noun'"):
        gaps("noun")
