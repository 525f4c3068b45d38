"""The exercises of lesson 20: local and compressed attention."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gpt2course import memory
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided


def _qkv(T: int, S: int, hs: int, B: int, nh: int, seed: int, dtype=torch.float32) -> tuple:
    """q (B, nh, T, hs), k and v (B, nh, S, hs)."""
    sizes = enumerate((T, S, S))
    return tuple(normal(B, nh, n, hs, seed=seed + i, dtype=dtype) for i, n in sizes)


def _one_head(*rows: list, dtype=torch.float32) -> tuple[Tensor, ...]:
    """Rows of numbers as tensors of one sequence with one head."""
    return tuple(torch.tensor(r, dtype=dtype)[None, None] for r in rows)


# Scores near -2,000, 0 and 2,000, hidden ones too; in blocks of two.
_FAR_APART = _one_head(
    [[-4000.0, 1, 0, 2], [0, 2, 1, -1], [4000, 0, 2, 1], [-4000, 3, 0, 1]],
    [[1.0, 1, 0, 2], [1, 0, 3, 0], [1, 2, 1, -1], [1, 0, 1, 1]],
    [[1.0, 2, 4, 0], [3, -1, 0, 1], [0, 5, 1, 2], [2, 2, -3, 1]],
    dtype=torch.float64,
)
_SCORES_OF_ZERO = _one_head(
    [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 1.0]],
    [[1.0, 0.0], [0.0, 2.0], [-1.0, 2.0], [3.0, 0.0]],
    [[1.0, 2.0], [3.0, -1.0], [0.0, 5.0], [4.0, 4.0]],
)
_OTHERS_ARE_LARGE = (
    *_SCORES_OF_ZERO[:2],
    _one_head([[1e9, -1e9], [3.0, -1.0], [1.0, 2.0], [-1e9, 1e9]])[0],
)

# local_attention --------------------------------------------------------------------------------

_six = partial(_qkv, 6, 6, 5, 1, 1, seed=20)  # made anew, since an answer may change them


def _rows_alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def _with_other(make, *places: int) -> tuple:
    """q, k and v whose keys and values at these positions are other ones."""
    q, k, v = make()
    for x in (k, v):
        x[:, :, list(places)] += 5
    return q, k, v


local_attention = Exercise(
    memory.local_attention,
    cases=[
        Case("two blocks of two", (*_SCORES_OF_ZERO, 2)),
        Case("two blocks of three", (*_six(), 3)),
        Case("three blocks of two", (*_qkv(6, 6, 4, 1, 1, seed=23), 2)),
        Case("one block: causal attention", (*_qkv(4, 4, 3, 1, 1, seed=26), 4)),
        Case("blocks of one: the values", (*_qkv(3, 3, 5, 1, 1, seed=29), 1)),
        Case("one token alone", (*_qkv(1, 1, 3, 1, 1, seed=32), 1)),
        Case("other blocks hold values of a billion", (*_OTHERS_ARE_LARGE, 1)),
        Case("scores near -2,000, near 0 and near 2,000", (*_FAR_APART, 2)),
        Case("three heads", (*_qkv(8, 8, 5, 1, 3, seed=35), 4)),
        Case("a batch of two with three heads", (*_qkv(10, 10, 4, 2, 3, seed=38), 5)),
        Case("as many blocks as tokens in one", (*_qkv(9, 9, 3, 3, 3, seed=41), 3)),
        Case("1,000 tokens in blocks of 250", (*_qkv(1000, 1000, 2, 1, 1, seed=44), 250)),
        Case("float64 stays float64", (*_qkv(6, 6, 5, 2, 1, 47, torch.float64), 2)),
        Case("float64 is not rounded", (*_qkv(6, 6, 4, 1, 2, 50, torch.float64), 3), fine=True),
        Case("arguments that do not lie in one piece in memory",
             (*map(strided, _qkv(6, 6, 5, 2, 3, seed=53)), 2)),
        Case("the gradients reach q, k and v", (*_qkv(6, 6, 4, 1, 2, seed=56), 3),
             gradients=True),
    ],
    properties=[
        Property("the first token of a block, which sees only itself, gets its own value",
                 lambda f: _firsts_read_themselves(f(*_six(), 3), *_six(), 3),
                 of_result=lambda *args: _firsts_read_themselves(*args)),
        Property("the second block does not read the first",
                 lambda f: _rows_alike(f(*_six(), 3)[:, :, 3:],
                                       f(*_with_other(_six, 0, 1, 2), 3)[:, :, 3:])),
        Property("later keys and values of the block do not change an earlier result",
                 lambda f: _rows_alike(f(*_six(), 3)[:, :, :4],
                                       f(*_with_other(_six, 4, 5), 3)[:, :, :4])),
        Property("the last token of a block reads the whole block",
                 lambda f: all(_moves(f, place) for place in (3, 4, 5))),
    ],
)  # fmt: skip


def _firsts_read_themselves(y: Tensor, q: Tensor, k: Tensor, v: Tensor, block: int) -> bool:
    return torch.allclose(y[:, :, ::block], v[:, :, ::block], atol=1e-4)


def _moves(f, place: int) -> bool:
    """Whether the last of six tokens sees another key and value at a place."""
    moved = f(*_with_other(_six, place), 3) - f(*_six(), 3)
    return bool(moved[0, 0, 5].abs().amax() > 1e-3)


# compress_memory --------------------------------------------------------------------------------


def _conv(S: int, hs: int, r: int, B: int, nh: int, seed: int, dtype=torch.float32) -> tuple:
    """x (B, nh, S, hs), weight (hs, hs, r) and bias (hs)."""
    return (
        normal(B, nh, S, hs, seed=seed, dtype=dtype),
        normal(hs, hs, r, seed=seed + 1, dtype=dtype),
        normal(hs, seed=seed + 2, dtype=dtype),
    )


def _lifted(x: Tensor, weight: Tensor, bias: Tensor, place: int, by: float = 1.0) -> tuple:
    x = x.clone()
    x[:, :, place] += by
    return x, weight, bias


_BY_HAND = (
    *_one_head([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [1.0, 3.0]]),
    torch.tensor([[[1.0, 10.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 100.0]]]),
    torch.tensor([0.5, -0.5]),
)
_groups = partial(_conv, 6, 4, 3, 1, 1, seed=70)

compress_memory = Exercise(
    memory.compress_memory,
    cases=[
        Case("two groups of two", _BY_HAND),
        Case("two groups of three", _groups()),
        Case("one group of four", _conv(4, 3, 4, 1, 1, seed=73)),
        Case("groups of one", _conv(3, 4, 1, 1, 1, seed=76)),
        Case("one number a key", _conv(6, 1, 2, 1, 1, seed=79)),
        Case("three heads", _conv(4, 5, 2, 1, 3, seed=82)),
        Case("a batch of two with three heads", _conv(12, 5, 4, 2, 3, seed=85)),
        Case("three of everything", _conv(3, 3, 3, 3, 3, seed=88)),
        Case("300 groups of five", _conv(1500, 2, 5, 1, 1, seed=91)),
        Case("numbers near a million", (1e6 + normal(1, 2, 4, 3, seed=94, dtype=torch.float64),
             *_conv(4, 3, 2, 1, 2, 95, torch.float64)[1:])),
        Case("float64 stays float64", _conv(6, 3, 2, 2, 1, 98, torch.float64)),
        Case("float64 is not rounded", _conv(6, 4, 3, 1, 2, 101, torch.float64), fine=True),
        Case("arguments that do not lie in one piece in memory",
             (strided(_conv(6, 5, 3, 2, 4, seed=104)[0]),
              strided(_conv(6, 5, 3, 2, 4, seed=104)[1]), _conv(6, 5, 3, 2, 4, seed=104)[2])),
        Case("the gradients reach x, weight and bias", _conv(6, 4, 3, 1, 2, seed=107),
             gradients=True),
    ],
    properties=[
        Property("there is one vector for each group",
                 lambda f: _one_for_each_group(f(*_groups()), *_groups()),
                 of_result=lambda *args: _one_for_each_group(*args)),
        Property("a group does not depend on the others",
                 lambda f: _rows_alike(f(*_groups())[:, :, 0],
                                       f(*_lifted(*_groups(), place=3))[:, :, 0])
                 and _rows_alike(f(*_groups())[:, :, 1],
                                 f(*_lifted(*_groups(), place=2))[:, :, 1])),
        Property("every position of a group counts",
                 lambda f: all(not _rows_alike(f(*_groups()), f(*_lifted(*_groups(), place=i)))
                               for i in range(6))),
        Property("x of zeros gives the bias",
                 lambda f: _rows_alike(f(torch.zeros(1, 1, 6, 4), *_groups()[1:]),
                                       _groups()[2].expand(1, 1, 2, 4))),
    ],
)  # fmt: skip


def _one_for_each_group(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> bool:
    B, nh, S, hs = x.shape
    return y.shape == (B, nh, S // weight.shape[-1], hs)


# compressed_mask --------------------------------------------------------------------------------

SIZES = ((6, 6, 3), (4, 8, 2), (2, 12, 4), (7, 10, 5), (3, 3, 1))


def _of_masks(claim: str, asks) -> Property:
    """asks(mask, past, r) of masks (n_query, n_key / r) with past = n_key - n_query."""

    def of_result(mask: Tensor, n_query: int, n_key: int, r: int) -> bool | None:
        fits = mask.shape == (n_query, n_key // r)
        return bool(asks(mask, n_key - n_query, r)) if fits else None

    def holds(answer) -> bool | None:
        said = [of_result(answer(*size), *size) for size in SIZES]
        return None if None in said else all(said)

    return Property(claim, holds, of_result)


def _last_keys(mask: Tensor, r: int) -> Tensor:
    """The position of the last key of each group."""
    return torch.arange(mask.shape[1]) * r + r - 1


def _asking(mask: Tensor, past: int) -> Tensor:
    """The position of each query, in a column."""
    return past + torch.arange(mask.shape[0])[:, None]


compressed_mask = Exercise(
    memory.compressed_mask,
    cases=[
        Case("four tokens in groups of two", (4, 4, 2),
             rows=("query 0", "query 1", "query 2", "query 3"), columns=("keys 0–1", "2–3")),
        Case("six tokens in groups of three", (6, 6, 3),
             rows=tuple(f"query {i}" for i in range(6)), columns=("keys 0–2", "3–5")),
        Case("three queries on top of five earlier keys", (3, 8, 2),
             rows=("query 5", "query 6", "query 7"), columns=("keys 0–1", "2–3", "4–5", "6–7")),
        Case("one query after eleven keys", (1, 12, 3)),
        Case("groups of one: the causal mask", (3, 5, 1)),
        Case("one group", (4, 4, 4)),
        Case("one token alone", (1, 1, 1)),
        Case("seven queries, ten keys, groups of five", (7, 10, 5)),
        Case("two queries, groups of four", (2, 20, 4)),
        Case("twelve queries, 1,200 keys", (12, 1200, 6)),
    ],
    properties=[
        _of_masks("no query reads a group with a key after it",
                  lambda mask, past, r: not (mask & (_last_keys(mask, r) > _asking(mask, past)))
                  .any()),
        _of_masks("a query reads every group that is complete",
                  lambda mask, past, r: (mask | (_last_keys(mask, r) > _asking(mask, past))).all()),
        _of_masks("the last query reads every group", lambda mask, past, r: mask[-1].all()),
    ],
    hints={
        "has another dtype": "The pattern is right, but it holds numbers. The exercise asks for "
        "booleans: `dtype=torch.bool`, `== 1` or `.bool()`."
    },
)  # fmt: skip


# compressed_attention ---------------------------------------------------------------------------

# The stride is the last argument; there are fewer keys than queries.
_on_two = partial(_qkv, 6, 2, 5, 1, 1, seed=120)
_LARGE_LATER = (
    *_one_head([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]],
               [[1.0, 2.0], [1e9, -1e9]]),
    2,
)  # fmt: skip
_LOW_SCORES = (
    *_one_head([[-4000.0, 1], [4000, 2], [-4000, 0], [3000, 1]], [[1.0, 1], [1, 0]],
               [[1.0, 2], [3, -1]], dtype=torch.float64),
    2,
)  # fmt: skip


def _alone(y: Tensor, q: Tensor, k: Tensor, v: Tensor, r: int) -> bool | None:
    """Whether the queries that find no complete group get zeros."""
    n = r - 1 - (r * k.shape[-2] - q.shape[-2])
    return bool((y[:, :, :n].abs() < 1e-4).all()) if n > 0 else None


def _half_and_half(f) -> bool:
    """A query of zeros scores the empty slot and one group alike."""
    q, k, v = _qkv(2, 1, 4, 1, 1, seed=5)
    return torch.allclose(f(q * 0, k, v, 2)[:, :, 1], v[:, :, 0] / 2, atol=1e-4)


compressed_attention = Exercise(
    memory.compressed_attention,
    cases=[
        Case("four queries, two groups of two", (*_qkv(4, 2, 3, 1, 1, seed=111), 2)),
        Case("six queries, two groups of three", (*_on_two(), 3)),
        Case("a query of zeros",
             (*_one_head([[0.0, 0], [0, 0], [1, 2]], [[1.0, 0], [0, 2], [1, 1]],
                         [[4.0, 8], [2, -2], [1, 3]]), 1)),
        Case("a later value of a billion", _LARGE_LATER),
        Case("scores near -2,800 and near 2,800", _LOW_SCORES),
        Case("groups of one", (*_qkv(4, 4, 3, 1, 1, seed=114), 1)),
        Case("one group, which only the last query may read", (*_qkv(5, 1, 3, 1, 1, seed=117), 5)),
        Case("two queries on top of seven earlier keys", (*_qkv(2, 3, 4, 1, 1, seed=123), 3)),
        Case("one query alone", (*_qkv(1, 4, 3, 1, 1, seed=126), 2)),
        Case("three heads", (*_qkv(8, 4, 5, 1, 3, seed=129), 2)),
        Case("a batch of two with three heads", (*_qkv(12, 3, 5, 2, 3, seed=132), 4)),
        Case("300 queries, 100 groups", (*_qkv(300, 100, 2, 1, 1, seed=135), 3)),
        Case("float64 stays float64", (*_qkv(6, 3, 5, 2, 1, 138, torch.float64), 2)),
        Case("float64 is not rounded", (*_qkv(6, 2, 4, 1, 2, 141, torch.float64), 3), fine=True),
        Case("arguments that do not lie in one piece in memory",
             (*map(strided, _qkv(6, 3, 5, 2, 4, seed=144)), 2)),
        Case("the gradients reach q, k and v", (*_qkv(6, 3, 4, 1, 2, seed=147), 2),
             gradients=True),
    ],
    properties=[
        Property("all numbers are finite", lambda f: f(*_on_two(), 3).isfinite().all(),
                 of_result=lambda y, q, k, v, r: y.isfinite().all()),
        Property("a query that finds no complete group gets zeros",
                 lambda f: _alone(f(*_on_two(), 3), *_on_two(), 3),
                 of_result=lambda *args: _alone(*args)),
        Property("a group that is not complete does not count",
                 lambda f: _rows_alike(f(*_on_two(), 3)[:, :, :5],
                                       f(*_with_other(_on_two, 1), 3)[:, :, :5])),
        Property("a query of zeros gives the empty slot as much weight as each group",
                 _half_and_half),
    ],
)  # fmt: skip


EXERCISES = [local_attention, compress_memory, compressed_mask, compressed_attention]
