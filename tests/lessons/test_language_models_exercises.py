"""What the checks of lesson 01 show, and that they leave torch as it was."""

import math
from collections import Counter

import pytest
import torch

from gpt2course import checks
from gpt2course.checks.card import SHOWN_ANSWERS

REFERENCES = {name: checks.find(name).reference for name in ("count_bigrams", "perplexity")}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_answers_that_are_shown_run_with_what_lesson_01_imports(name):
    for other in checks.find(name).right_answers[:SHOWN_ANSWERS]:
        pasted = {"math": math, "torch": torch, "Counter": Counter}
        exec(other.source, pasted)
        assert checks.run(name, pasted[name]).passed, other.title


@pytest.mark.parametrize(
    "body", ["torch.empty(vocab_size, vocab_size)", "{}[vocab_size]"], ids=["value", "error"]
)
def test_torch_fills_no_memory_after_a_check(body):
    before = torch.get_deterministic_debug_mode()
    source = f"def count_bigrams(idx, vocab_size):\n    return {body}"
    checks.run("count_bigrams", checks.find("count_bigrams").build(source))
    assert torch.get_deterministic_debug_mode() == before


def test_an_unnamed_wrong_count_is_told_what_holds_of_it():
    def last_row_missing(idx, vocab_size):
        counts = REFERENCES["count_bigrams"](idx, vocab_size)
        counts[-1] = 0
        return counts

    held = dict(checks.run("count_bigrams", last_row_missing).properties)
    assert held["a row and a column for each token of the vocabulary"]
    assert not held["N tokens have N - 1 pairs in all"]


def test_an_unnamed_wrong_perplexity_is_told_what_holds_of_it():
    result = checks.run("perplexity", lambda nll: REFERENCES["perplexity"](nll) + 1)
    held = dict(result.properties)
    assert held["the order of the tokens does not matter"]
    assert not held["where every token was certain, it is 1"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda nll: round(math.exp(nll.mean()), 4),
        lambda nll: nll.max().exp().item(),
        lambda nll: nll.min().exp().item(),
    ],
    ids=["rounded", "largest", "smallest"],
)
def test_no_wrong_perplexity_has_every_property_of_a_right_one(answer):
    assert not all(prop.holds(answer) for prop in checks.find("perplexity").properties)


def test_a_number_is_not_taken_for_infinity():
    def finite_ones(nll):
        return nll[nll.isfinite()].mean().exp().item()

    result = checks.run("perplexity", finite_ones)
    assert result.case.label == "a token of probability 0"
    assert "Expected inf, got" in result.message


def test_the_untouched_count_shows_the_words_beside_the_rows():
    def count_bigrams(idx, vocab_size):
        raise NotImplementedError("your turn")

    message = checks.run("count_bigrams", count_bigrams).message
    assert "robot must obey robot must" in message
    assert "robot   0.00  2.00  0.00" in message


def test_the_untouched_perplexity_shows_a_number_that_can_be_worked_out():
    def perplexity(nll):
        raise NotImplementedError("your turn")

    message = checks.run("perplexity", perplexity).message
    assert "two tokens that were given 1/2 and 1/8" in message
    assert "expected  4.0" in message or "expected  3.99999999" in message
