"""The exercises of lesson 06: causal_mask, masked_attention."""

from __future__ import annotations

import torch

from gpt2course import attention
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

WORDS = ("robot", "must", "obey", "orders")
SIZES = ((3, 3), (4, 4), (2, 5), (1, 4), (1, 1), (7, 11), (3, 1003))

causal_mask = Exercise(
    attention.causal_mask,
    cases=[
        Case("three tokens read each other", (3, 3)),
        Case("the four words", (4, 4), rows=WORDS, columns=WORDS),
        Case(
            "two new queries on top of three earlier keys",
            (2, 5),
            rows=("query 3", "query 4"),
            columns=("key 0", "1", "2", "3", "4"),
        ),
        Case("one new query on top of three earlier keys", (1, 4)),
        Case("one token alone", (1, 1)),
        Case("seven queries, eleven keys", (7, 11)),
        Case("three queries on top of a thousand keys", (3, 1003)),
    ],
    properties=[
        Property("the result is a tensor of booleans", lambda f: f(3, 3).dtype == torch.bool),
        Property(
            "n_query rows, n_key columns", lambda f: all(f(*size).shape == size for size in SIZES)
        ),
        Property(
            "every query may read its own position",
            lambda f: _of_every_size(f, lambda mask, past: mask.diagonal(past).all()),
        ),
        Property(
            "no query may read a later position",
            lambda f: _of_every_size(f, lambda mask, past: not mask.triu(past + 1).any()),
        ),
        Property(
            "the last query may read every key",
            lambda f: _of_every_size(f, lambda mask, past: mask[-1].all()),
        ),
    ],
)


def _of_every_size(f, holds) -> bool:
    """Whether a claim holds of all masks of the right shape and their numbers of earlier keys."""
    masks = ((f(n_query, n_key), n_query, n_key) for n_query, n_key in SIZES)
    return all(bool(holds(mask, S - T)) for mask, T, S in masks if mask.shape == (T, S))


def _qkv(T: int, S: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """q (..., T, hs), k and v (..., S, hs)."""
    return tuple(
        normal(*leading, n, hs, seed=seed + i, dtype=dtype) for i, n in enumerate((T, S, S))
    )


masked_attention = Exercise(
    attention.masked_attention,
    cases=[
        Case("three tokens, two numbers each", _qkv(3, 3, 2, seed=1)),
        Case("the four words", _qkv(4, 4, 3, seed=2), rows=WORDS),
        Case(
            "scores that are exactly 0",
            (
                torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]]),
                torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 2.0]]),
                torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]]),
            ),
        ),
        Case(
            "scores that all lie near -200",
            (
                torch.tensor([[200.0, 1.0], [200.0, 0.0], [200.0, 2.0]], dtype=torch.float64),
                torch.tensor([[-1.0, 1.0], [-1.0, 0.5], [-1.0, -1.0]], dtype=torch.float64)
                * 2**0.5,
                torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]], dtype=torch.float64),
            ),
        ),
        Case("two queries on top of three earlier keys", _qkv(2, 5, 3, seed=3)),
        Case("one new query, four keys", _qkv(1, 4, 3, seed=4)),
        Case("one token alone", _qkv(1, 1, 3, seed=5)),
        Case("forty tokens", _qkv(40, 40, 2, seed=12)),
        Case("a batch of one with one head", _qkv(4, 4, 3, 1, 1, seed=6)),
        Case("a batch of two with three heads", _qkv(5, 5, 7, 2, 3, seed=7)),
        Case("a batch with fewer queries than keys", _qkv(2, 5, 7, 3, seed=8)),
        Case("float64 stays float64", _qkv(3, 4, 5, 2, seed=9, dtype=torch.float64)),
        Case(
            "arguments that do not lie in one piece in memory",
            tuple(map(strided, _qkv(4, 4, 3, 2, seed=10))),
        ),
        Case("the gradients reach q, k and v", _qkv(4, 4, 3, seed=11), gradients=True),
    ],
    properties=[
        Property(
            "all numbers are finite",
            lambda f: f(*_qkv(4, 4, 3, seed=2)).isfinite().all(),
            of_result=lambda y, q, k, v: y.isfinite().all(),
        ),
        Property(
            "one row of hs numbers for each query",
            lambda f: f(*_qkv(2, 5, 3, seed=3)).shape == (2, 3),
            of_result=lambda y, q, k, v: y.shape == q.shape,
        ),
        Property(
            "the first token, which sees only itself, gets its own value",
            lambda f: _first_gets_its_value(f),
            of_result=lambda y, q, k, v: (
                q.shape[-2] < k.shape[-2] or torch.allclose(y[..., 0, :], v[..., 0, :], atol=1e-4)
            ),
        ),
        Property(
            "later keys and values do not change an earlier result",
            lambda f: _future_does_not_matter(f),
        ),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property(
            "where all values are equal, the result is that value", lambda f: _equal_values(f)
        ),
    ],
)


def _first_gets_its_value(f) -> bool:
    q, k, v = _qkv(4, 4, 3, seed=2)
    return torch.allclose(f(q, k, v)[0], v[0], atol=1e-5)


def _future_does_not_matter(f) -> bool:
    q, k, v = _qkv(4, 4, 3, seed=2)
    before = f(q, k, v)[:2]
    k[2:], v[2:] = k[2:] + 5, v[2:] - 3
    return torch.allclose(before, f(q, k, v)[:2], atol=1e-5)


def _batch_is_alone(f) -> bool:
    q, k, v = _qkv(4, 4, 3, 2, seed=6)
    return torch.allclose(f(q, k, v)[1], f(q[1], k[1], v[1]), atol=1e-5)


def _equal_values(f) -> bool:
    q, k, v = _qkv(4, 4, 3, seed=2)
    return torch.allclose(f(q, k, torch.full_like(v, 2.5)), torch.full_like(v, 2.5), atol=1e-4)


EXERCISES = [causal_mask, masked_attention]
