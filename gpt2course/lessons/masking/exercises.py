"""The exercises of lesson 06: causal_mask, masked_attention."""

from __future__ import annotations

import torch
from torch import Tensor

from gpt2course import attention
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

WORDS = ("robot", "must", "obey", "orders")
SIZES = ((3, 3), (2, 5), (1, 4), (7, 11))


def _of_masks(claim: str, asks) -> Property:
    """asks(mask, past) of masks (n_query, n_key) with past = n_key - n_query earlier keys."""

    def of_result(mask: Tensor, n_query: int, n_key: int) -> bool | None:
        return bool(asks(mask, n_key - n_query)) if mask.shape == (n_query, n_key) else None

    def holds(answer) -> bool | None:
        said = [of_result(answer(*size), *size) for size in SIZES]
        return None if None in said else all(said)

    return Property(claim, holds, of_result)


causal_mask = Exercise(
    attention.causal_mask,
    cases=[
        Case("three tokens read each other", (3, 3)),
        Case("the four words", (4, 4), rows=WORDS, columns=WORDS),
        Case("two new queries on top of three earlier keys", (2, 5),
             rows=("query 3", "query 4"), columns=("key 0", "1", "2", "3", "4")),
        Case("one new query on top of three earlier keys", (1, 4)),
        Case("one token alone", (1, 1)),
        Case("five tokens read each other", (5, 5)),
        Case("seven queries, eleven keys", (7, 11)),
        Case("three queries on top of 1,100 keys", (3, 1103)),
    ],
    properties=[
        _of_masks("every query may read its own position",
                  lambda mask, past: mask.diagonal(past).all()),
        _of_masks("no query may read a later position",
                  lambda mask, past: not mask.triu(past + 1).any()),
        _of_masks("the last query may read every key", lambda mask, past: mask[-1].all()),
    ],
    hints={
        "has another dtype": "The triangle has the right form, but it holds numbers. The exercise "
        "asks for booleans, which masked_fill and ~ need (~1 is -2): `dtype=torch.bool`, `== 1` or "
        "`.bool()`."
    },
)  # fmt: skip


def _qkv(T: int, S: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """q (..., T, hs), k and v (..., S, hs)."""
    sizes = enumerate((T, S, S))
    return tuple(normal(*leading, n, hs, seed=seed + i, dtype=dtype) for i, n in sizes)


_FOUR = _qkv(4, 4, 3, seed=2)
_BY_HAND = tuple(map(torch.tensor, (
    [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]],
    [[1.0, 0.0], [0.0, 2.0], [-1.0, 2.0]],
    [[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]],
)))  # fmt: skip
# Row by row the scores lie near -2,000, 0 and 2,000, hidden ones too.
_FAR_APART = tuple(t.double() for t in map(torch.tensor, (
    [[-4000.0, 1, 0, 2], [0, 2, 1, -1], [4000, 0, 2, 1]],
    [[1.0, 1, 0, 2], [1, 0, 3, 0], [1, 2, 1, -1]],
    [[1.0, 2, 4, 0], [3, -1, 0, 1], [0, 5, 1, 2]],
)))  # fmt: skip
_LATER_IS_LARGE = (*_BY_HAND[:2], torch.tensor([[1.0, 2.0], [3.0, -1.0], [1e9, -1e9]]))

masked_attention = Exercise(
    attention.masked_attention,
    cases=[
        Case("three tokens, some scores exactly 0", _BY_HAND),
        Case("the four words", _FOUR, rows=WORDS),
        Case("scores near -2,000, near 0 and near 2,000", _FAR_APART),
        Case("a later value of a billion", _LATER_IS_LARGE),
        Case("two queries on top of three earlier keys", _qkv(2, 5, 3, seed=3)),
        Case("one new query, four keys", _qkv(1, 4, 3, seed=4)),
        Case("one token alone", _qkv(1, 1, 3, seed=5)),
        Case("forty tokens", _qkv(40, 40, 2, seed=12)),
        Case("three queries on top of 1,100 keys", _qkv(3, 1103, 2, seed=15)),
        Case("a batch of one with one head", _qkv(4, 4, 3, 1, 1, seed=6)),
        Case("a batch of two with three heads", _qkv(5, 5, 7, 2, 3, seed=7)),
        Case("a batch with fewer queries than keys", _qkv(2, 5, 7, 3, seed=8)),
        Case("float64 stays float64", _qkv(3, 4, 5, 2, seed=9, dtype=torch.float64)),
        Case("float64 is not rounded", _qkv(3, 5, 4, seed=14, dtype=torch.float64), fine=True),
        Case("arguments that do not lie in one piece in memory",
             tuple(map(strided, _qkv(4, 4, 3, 2, seed=10)))),
        Case("the gradients reach q, k and v", _qkv(4, 4, 3, seed=11), gradients=True),
    ],
    properties=[
        Property("all numbers are finite", lambda f: f(*_FOUR).isfinite().all(),
                 of_result=lambda y, q, k, v: y.isfinite().all()),
        Property(
            "the first token, which sees only itself, gets its own value",
            lambda f: torch.allclose(f(*_FOUR)[0], _FOUR[2][0], atol=1e-4),
            of_result=lambda y, q, k, v: (
                torch.allclose(y[..., 0, :], v[..., 0, :], atol=1e-4)
                if q.shape == k.shape else None
            ),
        ),
        Property("later keys and values do not change an earlier result",
                 lambda f: _future_does_not_matter(f)),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property(
            "where all values are equal, the result is that value",
            lambda f: torch.allclose(
                f(*_FOUR[:2], torch.full((4, 3), 2.5)), torch.tensor(2.5), atol=1e-4
            ),
        ),
    ],
)  # fmt: skip


def _future_does_not_matter(f) -> bool:
    q, k, v = (t.clone() for t in _FOUR)
    before = f(q, k, v)[:2]
    k[2:], v[2:] = k[2:] + 5, v[2:] - 3
    return torch.allclose(before, f(q, k, v)[:2], atol=1e-5)


def _batch_is_alone(f) -> bool:
    q, k, v = _qkv(4, 4, 3, 2, seed=6)
    return torch.allclose(f(q, k, v)[1], f(q[1], k[1], v[1]), atol=1e-5)


EXERCISES = [causal_mask, masked_attention]
