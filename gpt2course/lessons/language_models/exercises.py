"""The exercises of lesson 01: count_bigrams, perplexity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpt2course import bigram
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal

WORDS = ("robot", "must", "obey")


# count_bigrams ----------------------------------------------------------------------------------


def _ids(n: int, vocab_size: int, seed: int) -> Tensor:
    """n ids, the same on every run."""
    return torch.randint(vocab_size, (n,), generator=torch.Generator().manual_seed(seed))


def _counted(answer, idx, vocab_size):
    """The counts as float32, where they are floats of 32 or 64 bits: either is an answer.

    What `torch.empty` gives is filled with nan meanwhile, or chance would make it pass. The keys of
    a dict come back as text, since a tensor as a key is equal to nothing but itself.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        counts = answer(idx, vocab_size)
    finally:
        torch.set_deterministic_debug_mode(mode)
    if isinstance(counts, dict):
        return {str(pair): n for pair, n in counts.items()}
    is_double = isinstance(counts, Tensor) and counts.dtype == torch.float64
    return counts.float() if is_double else counts


def _rows_add_up(counts, idx, vocab_size) -> bool:
    return torch.equal(counts.sum(1), torch.bincount(idx[:-1], minlength=vocab_size).float())


def _columns_add_up(counts, idx, vocab_size) -> bool:
    return torch.equal(counts.sum(0), torch.bincount(idx[1:], minlength=vocab_size).float())


def _of_two_texts(holds):
    """Whether a claim holds of the counts of two texts."""
    texts = (torch.tensor([0, 1, 2, 0, 1]), 4), (_ids(60, 5, seed=8), 5)
    return lambda f: all(bool(holds(f(idx.clone(), V).float(), idx, V)) for idx, V in texts)


LAST_OF_MANY = torch.cat([_ids(600, 200, seed=4), 188 + _ids(200, 12, seed=5)])

count_bigrams = Exercise(
    bigram.count_bigrams,
    call=_counted,
    cases=[
        Case("robot must obey robot must", (torch.tensor([0, 1, 2, 0, 1]), 3), rows=WORDS,
             columns=WORDS),
        Case("a token that follows itself", (torch.tensor([1, 1, 1, 0]), 2)),
        Case("the same two tokens in both orders", (torch.tensor([1, 0, 1, 0, 0]), 2)),
        Case("tokens of the vocabulary that the text does not use",
             (torch.tensor([2, 0, 2, 0]), 5)),
        Case("two tokens", (torch.tensor([2, 0]), 3)),
        Case("one token", (torch.tensor([1]), 3)),
        Case("a vocabulary of one", (torch.tensor([0, 0, 0]), 1)),
        Case("two hundred tokens, seven kinds", (_ids(200, 7, seed=1), 7)),
        Case("three hundred tokens, sixty kinds", (_ids(300, 60, seed=2), 60)),
        Case("one pair 2,099 times", (torch.ones(2100, dtype=torch.int64), 2)),
        Case("two hundred kinds, the last ones often", (LAST_OF_MANY, 200)),
        Case("ids that are not contiguous in memory", (_ids(60, 4, seed=3)[::2], 4)),
    ],
    properties=[
        Property(
            "a row and a column for each token of the vocabulary",
            lambda f: f(torch.tensor([2, 0, 2, 0]), 5).shape == (5, 5),
            of_result=lambda counts, idx, vocab_size: counts.shape == (vocab_size, vocab_size),
        ),
        Property(
            "N tokens have N - 1 pairs in all",
            _of_two_texts(lambda counts, idx, V: counts.sum() == len(idx) - 1),
            of_result=lambda counts, idx, vocab_size: counts.sum() == len(idx) - 1,
        ),
        Property(
            "each row sums to how often its token has one after it",
            _of_two_texts(_rows_add_up),
            of_result=_rows_add_up,
        ),
        Property(
            "each column sums to how often its token has one before it",
            _of_two_texts(_columns_add_up),
            of_result=_columns_add_up,
        ),
    ],
    hints={
        "has another dtype": "The counts are right, but the exercise asks for floats of 32 bits, "
        "since they are divided next: `.float()`, or begin with `torch.zeros`, which holds them.",
    },
)  # fmt: skip


# perplexity -------------------------------------------------------------------------------------

NEARLY_CERTAIN = torch.tensor([0.00001, 0.00007])
LARGE = torch.tensor([199.0, 200.0, 204.0, 197.0], dtype=torch.float64)  # their mean is exact


def _surprises(n: int, seed: int, dtype=torch.float32) -> Tensor:
    """n positive numbers, 3 on average."""
    return (3 + normal(n, seed=seed, dtype=dtype)).clamp(min=0.1)


def _is_the_typical_factor(result, nll) -> bool:
    """Whether its N-th power is one over the probability of the text, to five digits."""
    factor = nll.double().mean().exp().item()
    return result == factor or abs(result - factor) <= 1e-5 * (1 + factor)


perplexity = Exercise(
    bigram.perplexity,
    cases=[
        Case("two tokens that were given 1/2 and 1/8", (torch.tensor([2.0, 8.0]).double().log(),)),
        Case("three tokens", (torch.tensor([0.25, 1.5, 3.0]),)),
        Case("certain tokens, and equal ones", (torch.tensor([1.0, 1.0, 2.0, 2.0, 8.0]).log(),)),
        Case("every token one of seven equally likely", (torch.full((5,), math.log(7)),)),
        Case("one token", (torch.tensor([0.7]),)),
        Case("every token was certain", (torch.zeros(4),)),
        Case("every token was nearly certain", (NEARLY_CERTAIN,)),
        Case("a token of probability 0", (torch.tensor([1.0, math.inf, 0.5]),)),
        Case("surprises as large as at the start of training", (_surprises(6, seed=4) + 8,)),
        Case("surprises of two hundred nats, in float64", (LARGE,)),
        Case("four hundred tokens", (_surprises(400, seed=1),)),
        Case("float64", (_surprises(11, 2, torch.float64),), fine=True),
        Case("numbers that are not contiguous in memory", (_surprises(20, seed=3)[::2],)),
    ],
    properties=[
        Property(
            "its N-th power is one over the probability of the whole text, to five digits",
            lambda f: all(
                _is_the_typical_factor(f(nll.clone()), nll)
                for nll in (_surprises(9, seed=5), NEARLY_CERTAIN)
            ),
            of_result=_is_the_typical_factor,
        ),
        Property(
            "where V tokens are equally likely, it is V",
            lambda f: all(
                math.isclose(f(torch.full((n,), math.log(V))), V, rel_tol=1e-4)
                for n, V in ((1, 2), (4, 7), (11, 50))
            ),
        ),
        Property(
            "where every token was certain, it is 1",
            lambda f: math.isclose(f(torch.zeros(4)), 1, rel_tol=1e-4),
        ),
        Property(
            "one impossible token makes it infinite",
            lambda f: f(torch.tensor([1.0, math.inf, 0.5])) == math.inf,
        ),
        Property(
            "the order of the tokens does not matter",
            lambda f: math.isclose(
                f(_surprises(9, seed=5)), f(_surprises(9, seed=5).flip(0)), rel_tol=1e-4
            ),
        ),
    ],
)


EXERCISES = [count_bigrams, perplexity]
