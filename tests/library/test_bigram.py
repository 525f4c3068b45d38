"""The bigram model against counts by hand, a Counter, and perplexities that can be said ahead."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from gpt2course.bigram import (
    Words,
    bigram_nll,
    bigram_probs,
    count_bigrams,
    perplexity,
    shift_targets,
)

TEXT = "robot must obey orders . robot must obey . kettle must boil ."


def random_ids(n, vocab_size, seed=0):
    return torch.randint(vocab_size, (n,), generator=torch.Generator().manual_seed(seed))


# targets


def test_every_target_is_the_id_after_its_input():
    ids = [4, 7, 7, 1, 9]
    inputs, targets = shift_targets(ids)
    assert list(zip(inputs, targets, strict=True)) == list(pairwise(ids))
    assert ids == [4, 7, 7, 1, 9]


@pytest.mark.parametrize("ids", [[], [3]])
def test_fewer_than_two_ids_have_no_target(ids):
    assert shift_targets(ids) == ([], [])


# counts


def test_counts_by_hand():
    words = Words(TEXT)
    assert words.words == ["robot", "must", "obey", "orders", ".", "kettle", "boil"]
    counts = count_bigrams(torch.tensor(words.encode(TEXT)), 7)
    assert counts.tolist() == [
        [0, 2, 0, 0, 0, 0, 0],
        [0, 0, 2, 0, 0, 0, 1],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]


@pytest.mark.parametrize(("n", "vocab_size"), [(2, 2), (50, 3), (3000, 5), (200, 40)])
def test_counts_are_those_of_a_counter(n, vocab_size):
    idx = random_ids(n, vocab_size)
    counts = count_bigrams(idx, vocab_size)
    found = Counter(pairwise(idx.tolist()))
    assert counts.dtype == torch.float32 and counts.shape == (vocab_size, vocab_size)
    assert counts.sum() == n - 1
    assert all(counts[a, b] == found[a, b] for a in range(vocab_size) for b in range(vocab_size))


def test_one_token_has_no_pair():
    assert torch.equal(count_bigrams(torch.tensor([2]), 3), torch.zeros(3, 3))


@pytest.mark.parametrize("wrong", [-1, 3, 50])
def test_an_id_outside_the_vocabulary_is_refused(wrong):
    with pytest.raises(ValueError, match=f"between 0 and vocab_size - 1 = 2, got {wrong}"):
        count_bigrams(torch.tensor([0, wrong, 1]), 3)


def test_counting_leaves_the_ids_as_they_were_and_takes_them_strided():
    idx = random_ids(60, 4)
    every_second, before = idx[::2], idx.clone()
    assert torch.equal(count_bigrams(every_second, 4), count_bigrams(every_second.clone(), 4))
    assert torch.equal(idx, before)


# probabilities


def test_probabilities_by_hand():
    counts = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    third = 1 / 3
    assert_close(
        bigram_probs(counts),
        torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5], [third, third, third]]),
    )
    assert_close(
        bigram_probs(counts, alpha=1.0),
        torch.tensor([[4 / 7, 2 / 7, 1 / 7], [1 / 7, 3 / 7, 3 / 7], [third, third, third]]),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0, 1e6])
def test_every_row_sums_to_one_whatever_is_added(alpha):
    probs = bigram_probs(count_bigrams(random_ids(30, 8), 8), alpha)
    assert_close(probs.sum(-1), torch.ones(8))
    assert (probs > 0).all() or alpha == 0


def test_smoothing_moves_every_row_towards_the_even_one():
    counts = count_bigrams(random_ids(30, 8), 8)
    far = [
        (bigram_probs(counts, alpha) - 1 / 8).abs().max() for alpha in (0.0, 0.1, 1.0, 10.0, 1e3)
    ]
    assert far == sorted(far, reverse=True) and far[-1] < 1e-2


def test_a_negative_alpha_is_refused():
    with pytest.raises(ValueError, match="alpha must be at least 0, got -1"):
        bigram_probs(torch.ones(2, 2), -1.0)


def test_probabilities_keep_the_dtype_of_the_counts_and_the_counts_themselves():
    counts = count_bigrams(random_ids(30, 4), 4).double()
    before = counts.clone()
    assert bigram_probs(counts, 0.5).dtype == torch.float64
    assert torch.equal(counts, before)


# surprise


def test_surprise_by_hand():
    probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    nll = bigram_nll(probs, torch.tensor([0, 1, 0, 0]))
    assert_close(nll, torch.tensor([2.0, 4.0, 2.0]).log())


def test_a_pair_that_was_never_seen_surprises_without_end_and_smoothed_it_does_not():
    words = Words(TEXT)
    counts = count_bigrams(torch.tensor(words.encode(TEXT)), words.vocab_size)
    idx = torch.tensor(words.encode("robot boil ."))
    assert bigram_nll(bigram_probs(counts), idx).tolist() == [math.inf, 0.0]
    assert bigram_nll(bigram_probs(counts, 1.0), idx).isfinite().all()


def test_a_text_of_one_token_has_nothing_to_predict():
    with pytest.raises(ValueError, match="at least two tokens, one to predict, got 1"):
        bigram_nll(torch.ones(1, 1), torch.tensor([0]))


def test_the_counts_of_a_text_are_the_model_that_is_least_surprised_by_it():
    idx = random_ids(400, 5, seed=1)
    best = bigram_nll(bigram_probs(count_bigrams(idx, 5)), idx).mean()
    for seed in range(20):
        other = torch.rand(5, 5, generator=torch.Generator().manual_seed(seed))
        assert bigram_nll(bigram_probs(other), idx).mean() > best


# perplexity


@pytest.mark.parametrize("vocab_size", [2, 7, 50257])
def test_an_even_model_has_the_perplexity_of_its_vocabulary(vocab_size):
    nll = torch.full((12,), math.log(vocab_size))
    assert perplexity(nll) == pytest.approx(vocab_size, rel=1e-6)


def test_perplexity_is_the_geometric_mean_of_one_over_the_probabilities():
    probs = [0.5, 0.1, 0.25]
    expected = (1 / math.prod(probs)) ** (1 / 3)
    nll = -torch.tensor(probs, dtype=torch.float64).log()
    assert perplexity(nll) == pytest.approx(expected, rel=1e-12)
    assert type(perplexity(nll)) is float


def test_perplexity_of_what_is_certain_is_one_and_of_the_impossible_infinite():
    assert perplexity(torch.zeros(5)) == 1.0
    assert perplexity(torch.tensor([1.0, math.inf, 0.0])) == math.inf


def test_perplexity_of_no_token_is_refused():
    with pytest.raises(ValueError, match="at least one token, got none"):
        perplexity(torch.tensor([]))


# words


def test_words_and_ids_go_there_and_back():
    words = Words(TEXT)
    assert words.decode(words.encode(TEXT)) == TEXT
    assert [words.token_bytes(i).decode() for i in words.encode(TEXT)] == TEXT.split()
    assert words.encode("") == []
    assert words.vocab_size == 7


def test_an_unknown_word_is_named_beside_the_nearest_known_ones():
    with pytest.raises(ValueError, match="one of the 7 known, got 'robots'; try robot"):
        Words(TEXT).encode("robots must obey")
    with pytest.raises(ValueError, match="got 'xyz'; try robot, must, obey"):
        Words(TEXT).encode("xyz")
