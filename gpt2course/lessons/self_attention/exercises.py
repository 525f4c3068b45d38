"""The exercises of lesson 05: attention_scores, attention_weights, blend_values."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import attention
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

WORDS = ("robot", "must", "obey", "orders")


def _qk(T: int, S: int, hs: int, *leading: int, seed: int, scale=1.0, dtype=torch.float32) -> tuple:
    """q (..., T, hs) and k (..., S, hs)."""
    return tuple(
        normal(*leading, n, hs, seed=seed + i, scale=scale, dtype=dtype)
        for i, n in enumerate((T, S))
    )


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows gradients."""
    return lambda got, *args: not isinstance(got, Tensor) or holds(got, *args)


_BY_HAND = (
    torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 1.0, 2.0]]),
    torch.tensor([[2.0, 0.0, 0.0, 2.0], [1.0, 1.0, 3.0, 1.0], [0.0, 4.0, 2.0, 0.0]]),
)

attention_scores = Exercise(
    attention.attention_scores,
    cases=[
        Case("two queries, three keys, four numbers each", _BY_HAND),
        Case("the four words, two numbers each", _qk(4, 4, 2, seed=1), rows=WORDS, columns=WORDS),
        Case("one query, five keys", _qk(1, 5, 3, seed=3)),
        Case("one number in every query and key", _qk(2, 3, 1, seed=5)),
        Case("numbers in the hundreds", _qk(3, 2, 5, seed=7, scale=200.0)),
        Case("a batch of one with one head", _qk(4, 4, 3, 1, 1, seed=9)),
        Case("a batch of two", _qk(5, 4, 7, 2, seed=11)),
        Case("a batch of two with three heads", _qk(5, 4, 6, 2, 3, seed=13)),
        Case("three of everything", _qk(3, 3, 3, 3, seed=15)),
        Case("three leading axes", _qk(3, 4, 5, 2, 1, 6, seed=17)),
        Case("float64 stays float64", _qk(3, 4, 5, 2, seed=19, dtype=torch.float64)),
        Case("float64 keeps its digits", _qk(3, 4, 5, seed=25, dtype=torch.float64), fine=True),
        Case(
            "arguments that do not lie in one piece in memory",
            tuple(map(strided, _qk(4, 3, 5, 2, seed=21))),
        ),
        Case("the gradients reach q and k", _qk(3, 4, 5, seed=23), gradients=True),
    ],
    properties=[
        Property(
            "one row for each query, one column for each key",
            lambda f: f(*_BY_HAND).shape == (2, 3),
            of_result=_of_tensor(lambda y, q, k: y.shape == (*q.shape[:-1], k.shape[-2])),
        ),
        Property("twice the query gives twice the scores", lambda f: _scores_are_linear(f)),
        Property("a query of zeros scores 0 with every key", lambda f: _zero_query(f)),
        Property("queries and keys at right angles score 0", lambda f: _right_angle(f)),
        Property(
            "for q and k of unit variance the scores have variance 1, however long the vectors",
            lambda f: _variance_is_one(f),
        ),
        Property("each sequence of a batch is on its own", lambda f: _scores_batch_is_alone(f)),
    ],
)


def _scores_are_linear(f) -> bool:
    q, k = _BY_HAND
    return torch.allclose(f(2 * q, k), 2 * f(q, k), atol=1e-5)


def _zero_query(f) -> bool:
    q, k = _BY_HAND
    return bool((f(torch.zeros_like(q), k) == 0).all())


def _right_angle(f) -> bool:
    q, k = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    return bool((f(q, k) == 0).all())


def _variance_is_one(f) -> bool:
    variances = [f(*_qk(200, 200, hs, seed=31)).var().item() for hs in (4, 64)]
    return all(0.8 < v < 1.2 for v in variances)


def _scores_batch_is_alone(f) -> bool:
    q, k = _qk(5, 4, 7, 2, seed=11)
    return torch.allclose(f(q, k)[1], f(q[1], k[1]), atol=1e-5)


def _logs(*rows: list[float]) -> Tensor:
    """Scores whose exponentials are the given numbers; 0 becomes -inf."""
    return torch.tensor(rows).log()


def _one_beside_hidden_ones(n_hidden: int) -> Tensor:
    """Two rows, float64: two finite scores each, and n_hidden of -inf after them."""
    finite = torch.tensor([[0.5, 1.5], [2.0, 1.0]], dtype=torch.float64)
    return F.pad(finite, (0, n_hidden), value=-math.inf)


_LARGE = torch.tensor([[1e4, 9980.0, 9960.0], [9960.0, 1e4, 9980.0]])
# Differences near 1 at 10,000 in float64: there float32 itself is only right to a thousandth, and
# right answers that go through the logarithm feel that.
_HIDDEN_LOW = torch.tensor([[-math.inf, -9999.0, -1e4], [-1e4, -math.inf, -1e4]]).double()
_FAR_APART = torch.tensor([[1e4, 9999.0, 9998.0], [-1e4, -1e4, -9999.0]], dtype=torch.float64)

attention_weights = Exercise(
    attention.attention_weights,
    cases=[
        Case("scores whose exponentials are 1 1 2 and 3 1 1", (_logs([1, 1, 2], [3, 1, 1]),)),
        Case("the four words", (normal(4, 4, seed=1),), rows=WORDS, columns=WORDS),
        Case("one query, five keys", (normal(1, 5, seed=2),)),
        Case("three queries, one key", (normal(3, 1, seed=3),)),
        Case("scores that are all equal", (torch.full((2, 5), 0.7),)),
        Case("scores that hardly differ", (normal(2, 5, seed=4, scale=1e-3),)),
        Case("scores of ten or so", (normal(3, 4, seed=5, scale=8.0),)),
        Case("a key that is out of the question: -inf", (_logs([1, 0, 3], [2, 1, 0]),)),
        Case("two keys beside 2,000 that are -inf", (_one_beside_hidden_ones(2000),)),
        Case("scores around 10,000", (_LARGE,)),
        Case("scores around -10,000", (_LARGE - 19960,)),
        Case("-inf beside scores around -10,000", (_HIDDEN_LOW,)),
        Case("a row around 10,000 above a row around -10,000, in float64", (_FAR_APART,)),
        Case(
            "10,000 and -10,000 in one row",
            (torch.tensor([[1e4, -1e4, 0.0], [-1e4, 0.0, 1.0], [-math.inf, 1e4, 9980.0]]),),
        ),
        Case("a batch of one with one head", (normal(1, 1, 4, 4, seed=6),)),
        Case("a batch of two", (normal(2, 3, 5, seed=7),)),
        Case("a batch of two with three heads", (normal(2, 3, 5, 4, seed=8),)),
        Case("three leading axes", (normal(2, 1, 3, 5, 4, seed=9),)),
        Case("float64 stays float64", (normal(2, 3, 4, seed=10, dtype=torch.float64),)),
        Case("float64 keeps its digits", (normal(3, 4, seed=13, dtype=torch.float64),), fine=True),
        Case("forty keys", (normal(2, 40, seed=14, scale=3.0),)),
        Case("scores that do not lie in one piece in memory", (strided(normal(3, 5, seed=11)),)),
        Case("the gradients reach the scores", (normal(3, 4, seed=12),), gradients=True),
        Case("the gradients stay finite around 10,000", (_FAR_APART,), gradients=True),
    ],
    properties=[
        Property(
            "all numbers are finite, for scores of ±10,000 too",
            lambda f: f(_WIDE).isfinite().all(),
            of_result=_of_tensor(lambda y, scores: y.isfinite().all()),
        ),
        Property(
            "no weight is negative",
            lambda f: not (f(normal(4, 4, seed=1)) < 0).any(),
            of_result=_of_tensor(lambda y, scores: not (y < 0).any()),
        ),
        Property(
            "each row sums to 1",
            lambda f: _rows_sum_to_one(f(normal(3, 4, seed=1))),
            of_result=_of_tensor(lambda y, scores: _rows_sum_to_one(y)),
        ),
        Property(
            "the larger the score, the larger the weight",
            lambda f: _in_order(f(normal(3, 4, seed=1)), normal(3, 4, seed=1)),
            of_result=_of_tensor(lambda y, scores: _in_order(y, scores)),
        ),
        Property(
            "a score of -inf gets weight 0, and exactly 0",
            lambda f: _hides(f(_HIDDEN_LOW), _HIDDEN_LOW),
            of_result=_of_tensor(lambda y, scores: _hides(y, scores)),
        ),
        Property("a constant added to a row changes nothing", lambda f: _shift_does_not_matter(f)),
        Property("each query is on its own", lambda f: _rows_are_alone(f)),
    ],
)  # fmt: skip

_WIDE = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -9999.0]])


def _rows_sum_to_one(weights: Tensor) -> bool:
    sums = weights.sum(-1)
    return torch.allclose(sums, torch.ones_like(sums), atol=1e-5)


def _in_order(weights: Tensor, scores: Tensor) -> bool:
    """Along the rising scores no weight falls, and it rises where the softmax does."""
    order = scores.argsort(-1)
    steps, right = (w.gather(-1, order).diff() for w in (weights, scores.softmax(-1)))
    return bool(((steps > 0) | ((right < 1e-5) & (steps >= -1e-6))).all())


def _hides(weights: Tensor, scores: Tensor) -> bool:
    return bool((weights[scores.isneginf()] == 0).all())


def _shift_does_not_matter(f) -> bool:
    scores = normal(3, 4, seed=1, dtype=torch.float64)
    shift = torch.tensor([[1.0], [-2000.0], [3000.0]], dtype=torch.float64)
    return torch.allclose(f(scores), f(scores + shift), atol=1e-5)


def _rows_are_alone(f) -> bool:
    scores = normal(3, 4, seed=1)
    return torch.allclose(f(scores)[1:2], f(scores[1:2]), atol=1e-5)


def _wv(T: int, S: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """weights (..., T, S) whose rows sum to 1, and v (..., S, hs)."""
    scores = normal(*leading, T, S, seed=seed, scale=1.5, dtype=dtype)
    return scores.softmax(-1), normal(*leading, S, hs, seed=seed + 1, dtype=dtype)


_SHARES = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
_FOLDERS = torch.tensor([[4.0, 0.0, 8.0, 2.0], [0.0, 4.0, 4.0, 2.0], [2.0, 2.0, 6.0, 8.0]])

blend_values = Exercise(
    attention.blend_values,
    cases=[
        Case("two queries, three folders, four numbers each", (_SHARES, _FOLDERS)),
        Case("the four words, two numbers each", _wv(4, 4, 2, seed=1), rows=WORDS),
        Case("everything from one folder", (torch.eye(3)[[2, 0]], normal(3, 4, seed=3))),
        Case("one query, five folders", _wv(1, 5, 3, seed=5)),
        Case("three queries, one folder", _wv(3, 1, 2, seed=7)),
        Case("as many queries as folders and numbers", _wv(3, 3, 3, seed=9)),
        Case(
            "weights that do not sum to 1 are taken as they are",
            (torch.tensor([[0.5, 0, 0], [0, 0, 0], [1, 2, 1]]), normal(3, 4, seed=11)),
        ),
        Case("a batch of one with one head", _wv(4, 4, 3, 1, 1, seed=13)),
        Case("a batch of two", _wv(5, 4, 7, 2, seed=15)),
        Case("a batch of two with three heads", _wv(5, 4, 6, 2, 3, seed=17)),
        Case("three of everything", _wv(3, 3, 3, 3, seed=19)),
        Case("three leading axes", _wv(3, 4, 5, 2, 1, 6, seed=21)),
        Case("float64 stays float64", _wv(3, 4, 5, 2, seed=23, dtype=torch.float64)),
        Case("float64 keeps its digits", _wv(3, 4, 5, seed=29, dtype=torch.float64), fine=True),
        Case(
            "arguments that do not lie in one piece in memory",
            tuple(map(strided, _wv(4, 3, 5, 2, seed=25))),
        ),
        Case("the gradients reach weights and v", _wv(3, 4, 5, seed=27), gradients=True),
    ],
    properties=[
        Property(
            "one row for each query, as long as a value",
            lambda f: f(_SHARES, _FOLDERS).shape == (2, 4),
            of_result=_of_tensor(lambda y, w, v: y.shape == (*w.shape[:-1], v.shape[-1])),
        ),
        Property("a weight of 1 hands over that folder's value", lambda f: _hands_over(f)),
        Property("where all values are equal, that is the result", lambda f: _equal_values(f)),
        Property("a folder with weight 0 has no say", lambda f: _zero_has_no_say(f)),
        Property("twice the weights give twice the result", lambda f: _blend_is_linear(f)),
        Property("each sequence of a batch is on its own", lambda f: _blend_batch_is_alone(f)),
    ],
)  # fmt: skip


def _hands_over(f) -> bool:
    return torch.allclose(f(torch.eye(3)[[2, 0]], _FOLDERS), _FOLDERS[[2, 0]])


def _equal_values(f) -> bool:
    return torch.allclose(f(_SHARES, torch.full((3, 4), 2.5)), torch.full((2, 4), 2.5))


def _zero_has_no_say(f) -> bool:
    changed = _FOLDERS.clone()
    changed[2] += 9
    return torch.allclose(f(_SHARES, _FOLDERS)[0], f(_SHARES, changed)[0])


def _blend_is_linear(f) -> bool:
    return torch.allclose(f(2 * _SHARES, _FOLDERS), 2 * f(_SHARES, _FOLDERS))


def _blend_batch_is_alone(f) -> bool:
    weights, v = _wv(5, 4, 7, 2, seed=15)
    return torch.allclose(f(weights, v)[1], f(weights[1], v[1]), atol=1e-5)


EXERCISES = [attention_scores, attention_weights, blend_values]
