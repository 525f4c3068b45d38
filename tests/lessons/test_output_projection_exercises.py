"""Lesson 10: what the card says of an answer that no name fits, and other things beside a verdict.

The answers stand in tests/lessons/right and tests/lessons/wrong.
"""

from pathlib import Path

import pytest

from gpt2course import checks
from gpt2course.checks.room import read_answers, read_mistakes, reference_source

HERE, ROOM = Path(__file__).parent, "output_projection.md"


def wrong(name, title):
    """What a check says of a wrong answer in tests/lessons/wrong."""
    exercise = checks.find(name)
    answers = [*exercise.right_answers, *read_answers(HERE / "right" / ROOM, name)]
    source = reference_source(exercise.reference)
    listed = read_mistakes(HERE / "wrong" / ROOM, name, source, answers)
    way = next(mistake.ways[0] for mistake in listed if mistake.name == title)
    return checks.run(name, exercise.build(way))


def test_a_count_of_the_whole_model_built_in_memory_passes():
    def builds(config):
        reference = checks.find("GPT2").reference
        return sum(parameter.numel() for parameter in reference(config).parameters())

    assert checks.run("count_parameters", builds, time_limit=60).passed


def test_an_unlisted_count_is_told_which_part_is_wrong():
    held = dict(wrong("count_parameters", "four squares too many").properties)
    assert [claim for claim, holds in held.items() if not holds] == [
        "one block more adds 12 · n_embd² + 13 · n_embd"
    ]


@pytest.mark.parametrize(
    ("title", "claim"),
    [
        ("the sum of all positions", "the first block reads wte[idx] + wpe[position]"),
        ("blocks that add half of attention",
         "each block makes of what it reads what a right block makes of it"),
        ("each block halved", "each block reads what the block before it gave"),
        ("two thirds of the stream", "ln_f reads what the last block gave"),
        ("a head kept as a tensor", "the scores are what ln_f gives times the rows of wte"),
    ],
)  # fmt: skip
def test_an_unlisted_model_is_told_where_on_the_way_it_goes_wrong(title, claim):
    result = wrong("GPT2", title)
    assert result.misconception is None
    failed = [claim for claim, holds in result.properties if not holds]
    assert failed[0] == claim


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("a KeyError", "Expected 'ValueError', got 'KeyError'"),
        ("texts counted", "Expected 'no error', got 'ValueError'"),
        ("ids clamped", "Expected 'an error', got 'no error'"),
        ("another config kept", "expected 'the config that was given', got 'another config'"),
        ("a head that begins as a copy", "The key 'lm_head.weight' should not be there"),
        ("nothing drawn", "At the key 'the first loss': expected 'ln 1000 ± 0.5 nats'"),
        ("wte alone", "'wpe.weight': expected 'mean 0, deviation about 0.02', got"),
        ("the same seed for each", "got 'the same numbers as h.0.attn.c_attn.weight'"),
        ("norms drawn too", "'h.0.ln_1.weight': expected 'all 1', got 'drawn'"),
    ],
)  # fmt: skip
def test_a_model_that_differs_in_words_is_told_both(title, words):
    assert words in wrong("GPT2", title).message


def test_a_parameter_made_of_wte_is_said_to_cut_the_gradient():
    result = wrong("output_logits", "a layer with a parameter of its own")
    assert result.misconception == "cuts the gradient"
    assert "`nn.Parameter(wte)`" in result.why
