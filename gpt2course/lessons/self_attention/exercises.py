"""The exercises of lesson 05: attention_scores, attention_weights, blend_values."""

from __future__ import annotations

import math

import numpy as np
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
    lesson="05_self_attention",
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
        Property("float64 keeps its fifteen digits on the way", lambda f: _keeps_float64(f)),
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


def _keeps_float64(f) -> bool:
    """A wrong answer keeps its digits where float64 in gives another result than float32 in."""
    q, k = _qk(3, 4, 5, seed=19, dtype=torch.float64)
    got, right = f(q, k), q @ k.T / math.sqrt(5)
    if got.shape == right.shape and torch.allclose(got.double(), right, atol=1e-4):
        return torch.allclose(got.double(), right, rtol=0, atol=1e-12)
    rounded = f(q.float(), k.float()).double()
    return got.dtype == q.dtype and not torch.allclose(got, rounded, rtol=0, atol=1e-12)


def _scores_batch_is_alone(f) -> bool:
    q, k = _qk(5, 4, 7, 2, seed=11)
    return torch.allclose(f(q, k)[1], f(q[1], k[1]), atol=1e-5)


@attention_scores.misconception(
    "The dot products are right, but they are not divided by √hs. The longer the vectors, the "
    "larger the scores grow, and the softmax turns large scores into all or nothing."
)
def forgets_the_scale(q, k):
    return q @ k.mT


@attention_scores.misconception(
    "The scores are divided by hs itself; it should be its square root. The variance of a dot "
    "product is hs, so its usual size is √hs."
)
def divides_by_hs(q, k):
    return q @ k.mT / q.shape[-1]


@attention_scores.misconception(
    "The scores are divided by the root of the number of keys. How many keys there are does not "
    "change the size of one dot product; how many numbers a key has (hs, the last axis) does."
)
def divides_by_the_root_of_the_number_of_keys(q, k):
    return q @ k.mT / math.sqrt(k.shape[-2])


@attention_scores.misconception(
    "The scores are divided by the root of the number of queries. The root belongs to hs, the "
    "length of one query: `q.shape[-1]`."
)
def divides_by_the_root_of_the_number_of_queries(q, k):
    return q @ k.mT / math.sqrt(q.shape[-2])


@attention_scores.misconception(
    "hs was read from axis 1, `q.shape[1]`. That is right for a single sequence; with a batch in "
    "front, axis 1 is something else. Count from the end: `q.shape[-1]`."
)
def reads_hs_from_axis_1(q, k):
    return q @ k.mT / math.sqrt(q.shape[1])


@attention_scores.misconception(
    "hs was read from axis 0, `q.shape[0]` or `len(q)`. That is the number of queries, or of "
    "sequences in a batch. The length of one query is `q.shape[-1]`."
)
def reads_hs_from_axis_0(q, k):
    return q @ k.mT / math.sqrt(len(q))


@attention_scores.misconception(
    "The scores are multiplied by √hs where they should be divided by it. That makes them hs times "
    "too large: √hs for the division that is missing, and √hs for the product."
)
def multiplies_by_the_root(q, k):
    return q @ k.mT * math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "The divisor is always 8. That is √64, right for GPT-2's heads of 64 and for no other size. "
    "Take the size from the argument: `q.shape[-1]`."
)
def divides_by_eight_always(q, k):
    return q @ k.mT / 8


@attention_scores.misconception(
    "The divisor is always √2, the one of the lesson's small example. Take the size from the "
    "argument: `q.shape[-1]`."
)
def divides_by_the_root_of_two_always(q, k):
    return q @ k.mT / math.sqrt(2)


@attention_scores.misconception(
    "`hs ** 1 / 2` is (hs to the power 1) divided by 2, because ** comes before /. The root is "
    "`hs ** 0.5` or `math.sqrt(hs)`."
)
def halves_where_a_root_was_meant(q, k):
    return q @ k.mT / (q.shape[-1] ** 1 / 2)


@attention_scores.misconception(
    "`/ hs ** 1 / 2` divides by hs and then by 2, because ** comes before /. The root is "
    "`hs ** 0.5` or `hs ** (1 / 2)` with its brackets, or `math.sqrt(hs)`."
)
def divides_by_hs_and_then_by_two(q, k):
    return q @ k.mT / q.shape[-1] ** 1 / 2


@attention_scores.misconception(
    "The divisor is always 16. That is √256, for the longest vectors of the lesson's experiment. "
    "Take the size from the argument: `q.shape[-1]`."
)
def divides_by_sixteen_always(q, k):
    return q @ k.mT / 16


@attention_scores.misconception(
    "A name in your function belongs to nothing: the last line of the error says which. If it is "
    "`hs`, `T` or `S`: the shapes in the signature are a description and make no variables. Read "
    "the size from the argument: `q.shape[-1]`."
)
def uses_a_name_that_is_not_defined(q, k):
    return q @ k.mT / math.sqrt(hs)


@attention_scores.misconception(
    "The root was rounded to a whole number on the way (an int, or a `//`). √3 is 1.732, not 1."
)
def rounds_the_root_down(q, k):
    return q @ k.mT / math.isqrt(q.shape[-1])


@attention_scores.misconception(
    "Queries and keys have changed places: a row belongs to a key and a column to a query. It "
    "should be the other way round: q comes first, k is turned."
)
def swaps_queries_and_keys(q, k):
    return k @ q.mT / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "k was not turned. `q @ k` lets the rows of q meet the columns of k; a query has to meet a "
    "whole key, which is a row. Exchange the last two axes of k first."
)
def multiplies_without_turning_k(q, k):
    return q @ k / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`reshape` and `view` give k the right shape, but keep its numbers in reading order and only "
    "break the lines elsewhere: a column then holds pieces of several keys. `transpose(-2, -1)` "
    "makes each key a column."
)
def reshapes_k_where_it_should_be_turned(q, k):
    turned = k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2])
    return q @ turned / math.sqrt(q.shape[-1])


@attention_scores.variant(reshapes_k_where_it_should_be_turned)
def views_k_in_another_shape(q, k):
    return q @ k.view(*k.shape[:-2], k.shape[-1], k.shape[-2]) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "It is right for one sequence, two axes, and knows nothing else. With a batch in front, a loop "
    "over q runs over sequences, and q.shape has more than two sizes. `@` carries leading axes "
    "along; `q.shape[-1]` and `transpose(-2, -1)` count from the end."
)
def knows_one_sequence_only(q, k):
    return torch.stack([k @ one_query for one_query in q]) / math.sqrt(q.shape[-1])


@attention_scores.variant(knows_one_sequence_only)
def unpacks_two_sizes(q, k):
    T, hs = q.shape
    return q @ k.transpose(-2, -1) / math.sqrt(hs)


@attention_scores.misconception(
    "q was turned and k was not: that multiplies numbers of different queries and sums over the "
    "positions. Each query must meet each key: k is the one to turn."
)
def turns_q_and_not_k(q, k):
    return q.mT @ k / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`*` multiplies entry by entry: the first query with the first key only, the second with the "
    "second. Every query has to meet every key, and the products of a pair are summed: that is "
    "`@` with k turned."
)
def multiplies_entry_by_entry(q, k):
    return q * k / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "Each query met only the key at its own position. A query is held against all the keys: T "
    "rows and S columns come out."
)
def scores_only_the_pairs_of_one_position(q, k):
    return (q * k).sum(-1) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`.T` (or a permutation of everything) turned all axes round, the batch too. It is right for "
    "one sequence; for more, exchange only the last two: `k.transpose(-2, -1)`."
)
def turns_all_axes_round(q, k):
    return q @ k.permute(*range(k.ndim)[::-1]) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`transpose(0, 1)` counts axes from the front. With a batch in front, axes 0 and 1 are no "
    "longer position and size. Count from the end: `k.transpose(-2, -1)`."
)
def exchanges_the_first_two_axes(q, k):
    return q @ k.transpose(0, 1) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`transpose(1, 2)` fits a batch of sequences and nothing else: a single sequence has no axis "
    "2, and with heads the last axis is 3. Count from the end: `k.transpose(-2, -1)`."
)
def exchanges_axes_1_and_2(q, k):
    return q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`torch.mm` takes two matrices and nothing with a batch in front. `@` and `torch.matmul` do "
    "the same and carry the leading axes along."
)
def multiplies_with_mm(q, k):
    return torch.mm(q, k.mT) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "`torch.bmm` takes a batch of matrices, exactly three axes. `@` and `torch.matmul` do the same "
    "for none, one or several leading axes."
)
def multiplies_with_bmm(q, k):
    return torch.bmm(q, k.mT) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "These are weights already: the softmax has been taken. Here only the scores are asked, which "
    "may be negative and sum to anything; the softmax is the next exercise."
)
def takes_the_softmax_as_well(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


@attention_scores.misconception(
    "This is the cosine: each vector was divided by its own length. Attention divides everything "
    "by the same √hs, so that a longer query or key gives larger scores."
)
def takes_the_cosine(q, k):
    return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT


@attention_scores.misconception(
    "This is the cosine divided by √hs. The lengths of query and key belong to the score; only √hs "
    "is divided away."
)
def scales_the_cosine(q, k):
    return takes_the_cosine(q, k) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "This measures how far a query is from a key. Attention asks how well they point the same "
    "way: the dot product, the sum of the products entry by entry."
)
def measures_distance(q, k):
    return -((q[..., :, None, :] - k[..., None, :, :]) ** 2).sum(-1) / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "Every number was made positive (`abs`). A negative score is a message too: this key is the "
    "opposite of what the query asks for."
)
def drops_the_sign(q, k):
    return (q @ k.mT).abs() / math.sqrt(q.shape[-1])


@attention_scores.misconception(
    "Later keys are hidden already. That is lesson 06; here every query may read every key."
)
def hides_the_future(q, k):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -math.inf)


@attention_scores.misconception(
    "q was divided in place (`q /= ...`): the caller's q is smaller afterwards. `q / ...` makes a "
    "new one."
)
def scales_q_in_place(q, k):
    q /= math.sqrt(q.shape[-1])
    return q @ k.mT


@attention_scores.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the scores off from q "
    "and k: the numbers are right, but no gradient comes through, and nothing before could learn."
)
def cuts_the_gradient(q, k):
    return attention.attention_scores(q, k).detach()


@attention_scores.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses as soon as q or k "
    "is to learn. The same operations exist in torch."
)
def goes_through_numpy(q, k):
    turned = np.swapaxes(k.numpy(), -1, -2)
    return torch.from_numpy(q.numpy() @ turned / math.sqrt(q.shape[-1]))


@attention_scores.misconception(
    "The result is float32 whatever came in (`torch.zeros(T, S)` and `.float()` do that). Let the "
    "result have the type of q."
)
def always_float32(q, k):
    return attention.attention_scores(q.float(), k.float())


@attention_scores.also_right
def the_formula_in_one_line(q, k):
    return q @ k.mT / q.shape[-1] ** 0.5


@attention_scores.also_right
def einsum_names_the_axes(q, k):
    return torch.einsum("...th,...sh->...ts", q, k) / math.sqrt(q.size(-1))


@attention_scores.also_right
def one_query_and_one_key_at_a_time(q, k):
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    rows = []
    for t in range(T):
        row = [(q[..., t, :] * k[..., s, :]).sum(-1) for s in range(S)]
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2) / hs**0.5


@attention_scores.also_right
def scaling_the_queries_first(q, k):
    scaled = q * q.shape[-1] ** -0.5
    return torch.matmul(scaled, k.transpose(-2, -1))


@attention_scores.also_right
def a_share_of_the_scale_for_each(q, k):
    fourth_root = q.shape[-1] ** 0.25
    return (q / fourth_root) @ (k / fourth_root).transpose(-1, -2)


@attention_scores.also_right
def all_pairs_by_broadcasting(q, k):
    products = q.unsqueeze(-2) * k.unsqueeze(-3)  # (..., T, S, hs)
    return products.sum(-1) / math.sqrt(q.shape[-1])


@attention_scores.also_right
def filling_a_matrix(q, k):
    scores = q.new_zeros(*q.shape[:-1], k.shape[-2])
    for s in range(k.shape[-2]):
        scores[..., s] = (q * k[..., s : s + 1, :]).sum(dim=-1)
    return scores / math.sqrt(k.shape[-1])


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
    lesson="05_self_attention",
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
        Case("scores that do not lie in one piece in memory", (strided(normal(3, 5, seed=11)),)),
        Case("the gradients reach the scores", (normal(3, 4, seed=12),), gradients=True),
        Case("the gradients stay finite around 10,000", (_FAR_APART,), gradients=True),
    ],
    properties=[
        Property(
            "one weight for each score",
            lambda f: f(normal(2, 5, seed=1)).shape == (2, 5),
            of_result=_of_tensor(lambda y, scores: y.shape == scores.shape),
        ),
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


@attention_weights.misconception(
    "The softmax ran down the columns, so that each key shares itself out among the queries. Each "
    "query shares its attention among the keys: a row sums to 1, the last axis, `dim=-1`."
)
def softmax_over_the_queries(scores):
    return scores.softmax(-2)


@attention_weights.misconception(
    "The whole matrix sums to 1. Every query has a whole attention of its own to share out: each "
    "row sums to 1."
)
def softmax_over_the_whole_matrix(scores):
    return scores.flatten(-2).softmax(-1).view(scores.shape)


@attention_weights.misconception(
    "`dim=1` is the last axis of a single matrix only. With leading axes in front it is another "
    "one. Count from the end: `dim=-1`."
)
def softmax_over_axis_1(scores):
    return scores.softmax(1)


@attention_weights.misconception(
    "`dim=0` is the axis of the queries, or of the batch: each column sums to 1 where each row "
    "should. The keys are the last axis: `dim=-1`."
)
def softmax_over_axis_0(scores):
    return scores.softmax(0)


@attention_weights.misconception(
    "`dim=2` exists only where there is one leading axis. Count from the end: `dim=-1` is the last "
    "axis however many there are."
)
def softmax_over_axis_2(scores):
    return scores.softmax(2)


@attention_weights.misconception(
    "No `dim` was given, and the library guessed: axis 1 of a matrix, axis 0 of a batch of them. "
    "Say which: `dim=-1`."
)
def lets_the_library_guess_the_axis(scores):
    return scores.softmax(0 if scores.ndim == 3 else 1)


@attention_weights.misconception(
    "The formula is right, but e to the power 10,000 is too large for any float: inf divided by "
    "inf is nan. Subtract the largest score of the row first; the weights stay the same."
)
def overflows(scores):
    powers = scores.exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "Two things. e to the power 10,000 is too large for any float, and inf divided by inf is nan: "
    "subtract the largest score of the row first. And `dim=1` is the last axis of a single matrix "
    "only: count from the end, `dim=-1`."
)
def overflows_and_sums_over_axis_1(scores):
    powers = scores.exp()
    return powers / powers.sum(1, keepdim=True)


@attention_weights.misconception(
    "The largest score of everything was subtracted. A row that lies far below it then holds "
    "nothing but e to a very negative number, which is 0: 0 divided by 0 is nan. Each row needs "
    "its own largest score."
)
def subtracts_the_largest_of_all(scores):
    powers = (scores - scores.max()).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "The largest score of each column was subtracted, not of each row. The numbers of a row are "
    "then shifted by different amounts, and its shares change."
)
def subtracts_the_largest_of_each_column(scores):
    return (scores - scores.amax(-2, keepdim=True)).softmax(-1)


@attention_weights.misconception(
    "The smallest score was subtracted. Then the others are positive and may be as large as "
    "before: e to that power overflows, and with -inf in the row everything is nan. Subtract the "
    "largest."
)
def subtracts_the_smallest(scores):
    powers = (scores - scores.amin(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "The mean was subtracted. What lies far above the mean still overflows, and with -inf in the "
    "row the mean is -inf and everything nan. Subtract the largest."
)
def subtracts_the_mean(scores):
    powers = (scores - scores.mean(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "Large scores were cut off before the exponential. It no longer overflows, but 10,000 and "
    "9,999 become the same. Subtract the largest score of the row: that loses nothing."
)
def cuts_large_scores_off(scores):
    return scores.clamp(-50, 50).softmax(-1)


@attention_weights.misconception(
    "The scores were divided by their sum, without the exponential. Scores may be negative and sum "
    "to 0, so shares of them can be negative or infinite; with `abs`, a key that is the opposite "
    "of what is asked gets as much as one that fits. e to the power of a score is always positive, "
    "and keeps the order."
)
def divides_by_the_sum_without_exp(scores):
    return scores / scores.sum(-1, keepdim=True)


@attention_weights.variant(divides_by_the_sum_without_exp)
def divides_the_absolute_values(scores):
    return scores.abs() / scores.abs().sum(-1, keepdim=True)


@attention_weights.misconception(
    "The scores were divided by the largest of their row; it should be subtracted. A shift leaves "
    "the weights as they are; a division changes the differences between scores, and those count."
)
def divides_by_the_largest(scores):
    return (scores / scores.amax(-1, keepdim=True)).softmax(-1)


@attention_weights.misconception(
    "`scores.max(dim=-1, keepdim=True)` returns two things, the largest values and where they "
    "stand, and a pair can't be subtracted. Take `.values` of it, or `scores.amax(...)`, which "
    "returns the values alone."
)
def takes_max_for_a_tensor(scores):
    powers = (scores - scores.max(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "The same constant was subtracted everywhere. Where the scores lie far below it, every power "
    "is 0, and 0 divided by 0 is nan. Each row needs its own largest score."
)
def subtracts_a_constant(scores):
    powers = (scores - 10_000).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "Low scores were cut off after the largest was subtracted, so that a key with -inf keeps a "
    "small share. One is hardly seen; 2,000 of them take a visible part. e to the power -inf is "
    "exactly 0 already: no `clamp` is needed."
)
def leaves_a_rest_for_minus_infinity(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).clamp(min=-14).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.variant(leaves_a_rest_for_minus_infinity)
def leaves_a_larger_rest(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).clamp(min=-10).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "It is right to six digits or so and then no more: the two numbers may look alike on the card. "
    "Something small was added to the sum (it needs no protection: it is at least 1 once the "
    "largest score is subtracted), or a `clamp` leaves a rest where the weight should be exactly "
    "0, or float64 went through float32 on the way."
)
def loses_digits_on_the_way(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / (powers.sum(-1, keepdim=True) + 1e-6)


@attention_weights.variant(loses_digits_on_the_way)
def goes_through_float32(scores):
    return scores.float().softmax(-1).to(scores.dtype)


@attention_weights.variant(loses_digits_on_the_way)
def clamps_at_minus_twenty(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).clamp(min=-20).exp()
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "-inf was replaced by -10,000 (or something near). Beside scores of that size it is no longer "
    "low, and the key gets a share. Leave -inf as it is: its exponential is 0."
)
def takes_minus_infinity_for_minus_ten_thousand(scores):
    return scores.clamp(min=-10_000).softmax(-1)


@attention_weights.misconception(
    "The exponentials were not divided by their sum: these are not shares of a whole yet. Divide "
    "each row by its sum."
)
def forgets_to_divide(scores):
    return scores.exp()


@attention_weights.misconception(
    "The exponentials are relative to the row's largest, and were not divided by their sum: the "
    "largest is always 1. Divide each row by its sum."
)
def forgets_to_divide_after_subtracting(scores):
    return (scores - scores.amax(-1, keepdim=True)).exp()


@attention_weights.misconception(
    "The sums lost an axis, and broadcasting lined them up with the columns. `keepdim=True` keeps "
    "each sum beside its own row."
)
def forgets_keepdim(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1)


@attention_weights.misconception(
    "The largest of each row and the sums lost an axis, and broadcasting lined them up with the "
    "columns. `keepdim=True`, both times, keeps each beside its own row."
)
def forgets_keepdim_twice(scores):
    powers = (scores - scores.amax(-1)).exp()
    return powers / powers.sum(-1)


@attention_weights.misconception(
    "These are the logarithms of the weights (log_softmax). Logarithms of shares are negative and "
    "do not sum to 1; here the shares themselves are asked."
)
def takes_the_log_softmax(scores):
    return scores.log_softmax(-1)


@attention_weights.misconception(
    "A sigmoid squeezes each score alone into 0 to 1, so that a row need not sum to 1. The keys "
    "have to compete: a share for one is taken from the others."
)
def takes_the_sigmoid(scores):
    return scores.sigmoid()


@attention_weights.misconception(
    "The whole attention went to the largest score. The softmax is softer: every key gets some, "
    "and that is why it has a gradient to learn from."
)
def gives_all_to_the_largest(scores):
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


@attention_weights.misconception(
    "The smallest score got the largest weight: a minus sign too many. The better a key matches, "
    "the more it gets."
)
def prefers_the_smallest(scores):
    return (-scores).softmax(-1)


@attention_weights.misconception(
    "The scores were divided by a root once more. attention_scores has done that already; a second "
    "time makes the weights too even."
)
def scales_once_more(scores):
    return (scores / math.sqrt(scores.shape[-1])).softmax(-1)


@attention_weights.misconception(
    "The base is 2 and not e. That is a softmax too, of scores times 0.69: too even for this one."
)
def takes_powers_of_two(scores):
    powers = 2 ** (scores - scores.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


@attention_weights.misconception(
    "The softmax was taken twice. The first turned scores into weights between 0 and 1; the second "
    "took those for scores, and they differ so little that every key gets almost the same."
)
def takes_the_softmax_twice(scores):
    return scores.softmax(-1).softmax(-1)


@attention_weights.misconception(
    "-inf was replaced by 0 before the softmax. A score of 0 is an ordinary score: e⁰ = 1, so the "
    "key gets a share after all. Leave -inf as it is: its exponential is 0."
)
def takes_minus_infinity_for_zero(scores):
    return scores.masked_fill(scores == -math.inf, 0.0).softmax(-1)


@attention_weights.misconception(
    "Later keys are hidden already. That is lesson 06; here every query may read every key."
)
def hides_the_future_(scores):
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -math.inf).softmax(-1)


@attention_weights.misconception(
    "The weights were rounded. The rounding error travels on, and rounding has no gradient."
)
def rounds_the_weights(scores):
    return scores.softmax(-1).round(decimals=2)


@attention_weights.misconception(
    "The scores were changed in place (`-=`, `exp_` or `[...] =`): the caller's scores are gone "
    "afterwards. Build something new."
)
def changes_the_scores_in_place(scores):
    scores -= scores.amax(-1, keepdim=True)
    return scores.softmax(-1)


@attention_weights.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the weights off from "
    "the scores: the numbers are right, but no gradient comes through."
)
def cuts_the_gradient_(scores):
    return scores.softmax(-1).detach()


@attention_weights.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses as soon as the "
    "scores are to learn. The same operations exist in torch."
)
def goes_through_numpy_(scores):
    numbers = scores.numpy()
    powers = np.exp(numbers - numbers.max(-1, keepdims=True))
    return torch.from_numpy(powers / powers.sum(-1, keepdims=True))


@attention_weights.misconception(
    "The result is float32 whatever came in. Let the result have the type of the scores."
)
def always_float32_(scores):
    return scores.float().softmax(-1)


@attention_weights.also_right
def by_hand_with_the_largest_subtracted(scores):
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@attention_weights.also_right
def the_library_call(scores):
    return F.softmax(scores, dim=-1)


@attention_weights.also_right
def through_the_logarithm(scores):
    return torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))


@attention_weights.also_right
def row_by_row(scores):
    rows = []
    for row in scores.reshape(-1, scores.shape[-1]):
        powers = torch.exp(row - row.max())
        rows.append(powers / powers.sum())
    return torch.stack(rows).reshape(scores.shape)


@attention_weights.also_right
def each_weight_from_differences(scores):
    differences = scores.unsqueeze(-2) - scores.unsqueeze(-1)  # (..., T, S, S)
    differences = differences.masked_fill(scores.isneginf().unsqueeze(-2), -math.inf)
    weights = 1 / differences.exp().sum(-1)
    return weights.masked_fill(scores.isneginf(), 0.0)


@attention_weights.also_right
def with_the_lowest_number_for_minus_infinity(scores):
    lowest = torch.finfo(scores.dtype).min
    return scores.clamp(min=lowest).softmax(dim=-1)


@attention_weights.also_right
def as_a_module(scores):
    return torch.nn.Softmax(dim=-1)(scores)


def _wv(T: int, S: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """weights (..., T, S) whose rows sum to 1, and v (..., S, hs)."""
    scores = normal(*leading, T, S, seed=seed, scale=1.5, dtype=dtype)
    return scores.softmax(-1), normal(*leading, S, hs, seed=seed + 1, dtype=dtype)


_SHARES = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
_FOLDERS = torch.tensor([[4.0, 0.0, 8.0, 2.0], [0.0, 4.0, 4.0, 2.0], [2.0, 2.0, 6.0, 8.0]])

blend_values = Exercise(
    attention.blend_values,
    lesson="05_self_attention",
    cases=[
        Case("two queries, three folders, four numbers each", (_SHARES, _FOLDERS)),
        Case("the four words, two numbers each", _wv(4, 4, 2, seed=1), rows=WORDS),
        Case("everything from one folder", (torch.eye(3)[[2, 0]], normal(3, 4, seed=3))),
        Case("one query, five folders", _wv(1, 5, 3, seed=5)),
        Case("three queries, one folder", _wv(3, 1, 2, seed=7)),
        Case("as many queries as folders and numbers", _wv(3, 3, 3, seed=9)),
        Case(
            "weights that do not sum to 1 are taken as they are",
            (torch.tensor([[0.5, 0, 0], [0, 0, 0], [1, 2, -1]]), normal(3, 4, seed=11)),
        ),
        Case("a batch of one with one head", _wv(4, 4, 3, 1, 1, seed=13)),
        Case("a batch of two", _wv(5, 4, 7, 2, seed=15)),
        Case("a batch of two with three heads", _wv(5, 4, 6, 2, 3, seed=17)),
        Case("three of everything", _wv(3, 3, 3, 3, seed=19)),
        Case("three leading axes", _wv(3, 4, 5, 2, 1, 6, seed=21)),
        Case("float64 stays float64", _wv(3, 4, 5, 2, seed=23, dtype=torch.float64)),
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


@blend_values.misconception(
    "v was turned. It already lies right: the weights of a query (a row) run along the folders, "
    "and the folders are the rows of v. `k` was turned for the scores; `v` is not."
)
def turns_v(weights, v):
    return weights @ v.mT


@blend_values.misconception(
    "The weights were turned, so that each folder collects what the queries gave to it. A query "
    "collects from the folders: its own row of weights is used as it is."
)
def turns_the_weights(weights, v):
    return weights.mT @ v


@blend_values.misconception(
    "The product is the wrong way round: in `v @ weights` the numbers inside a value meet the "
    "weights. The weights come first: rows of weights meet columns of v."
)
def puts_v_first(weights, v):
    return v @ weights


@blend_values.misconception(
    "`*` multiplies entry by entry. Each query needs the sum over all folders of weight times "
    "value: a matrix product."
)
def multiplies_entry_by_entry_(weights, v):
    return weights * v


@blend_values.misconception(
    "Every folder was weighed, but the weighed values were not added up: there is still one for "
    "each folder. Sum over the axis of the folders."
)
def forgets_to_sum(weights, v):
    return weights.unsqueeze(-1) * v.unsqueeze(-3)


@blend_values.misconception(
    "The sum ran over the queries, so one row for each folder came out. Sum over the folders: one "
    "row for each query stays."
)
def sums_over_the_queries(weights, v):
    return (weights.unsqueeze(-1) * v.unsqueeze(-3)).sum(-3)


@blend_values.misconception(
    "The sum ran over the numbers inside a value. They stay apart: the first numbers of all the "
    "values are blended, then the second ones, and so on."
)
def sums_over_the_numbers(weights, v):
    return (weights.unsqueeze(-1) * v.unsqueeze(-3)).sum(-1)


@blend_values.misconception(
    "Every folder counted the same: this is the plain mean. The weights say how much each counts."
)
def takes_the_mean(weights, v):
    return v.mean(-2, keepdim=True).expand(*weights.shape[:-1], v.shape[-1]).clone()


@blend_values.misconception(
    "The blend was divided by the number of folders as well. The weights are shares already and "
    "sum to 1; a plain sum is what is left to do."
)
def takes_the_mean_of_the_weighed_values(weights, v):
    return (weights.unsqueeze(-1) * v.unsqueeze(-3)).mean(-2)


@blend_values.misconception(
    "Only the folder with the largest weight was opened. The others have a share too, and through "
    "it they can learn."
)
def opens_only_the_best_folder(weights, v):
    best = F.one_hot(weights.argmax(-1), weights.shape[-1]).to(v.dtype)
    return best @ v


@blend_values.misconception(
    "The result is turned: the numbers of a value run down, the queries across. One row for each "
    "query is asked."
)
def turns_the_result(weights, v):
    return (weights @ v).mT


@blend_values.misconception(
    "The weights were divided by their sum once more. The softmax did that already, and where a "
    "row does not sum to 1 somebody meant it so: take the weights as they are."
)
def shares_out_again(weights, v):
    return weights / weights.sum(-1, keepdim=True) @ v


@blend_values.misconception(
    "The softmax was taken once more. These are weights already, between 0 and 1; taken for scores "
    "they differ so little that every folder counts almost the same."
)
def takes_the_softmax_again(weights, v):
    return weights.softmax(-1) @ v


@blend_values.misconception("The result was divided by √hs. That belongs to the scores alone.")
def scales_the_blend(weights, v):
    return weights @ v / math.sqrt(v.shape[-1])


@blend_values.misconception(
    "Later folders are hidden already. That is lesson 06; here every query may read every one."
)
def hides_the_future__(weights, v):
    return weights.tril() @ v


@blend_values.misconception(
    "It is right for one sequence, two axes, and knows nothing else: with a batch in front, the "
    "loop runs over sequences where it should run over queries. `@` does the same for two axes and "
    "carries leading axes along."
)
def knows_one_sequence_only_(weights, v):
    blends = []
    for row_of_shares in weights:
        blends.append(sum(share * value for share, value in zip(row_of_shares, v)))  # noqa: B905
    return torch.stack(blends)


@blend_values.variant(knows_one_sequence_only_)
def unpacks_two_sizes_(weights, v):
    T, S = weights.shape
    return torch.stack([sum(weights[t, s] * v[s] for s in range(S)) for t in range(T)])


@blend_values.misconception(
    "`torch.mm` takes two matrices and nothing with a batch in front. `@` and `torch.matmul` do "
    "the same and carry the leading axes along."
)
def multiplies_with_mm_(weights, v):
    return torch.mm(weights, v)


@blend_values.misconception(
    "`torch.bmm` takes a batch of matrices, exactly three axes. `@` and `torch.matmul` do the same "
    "for none, one or several leading axes."
)
def multiplies_with_bmm_(weights, v):
    return torch.bmm(weights, v)


@blend_values.misconception(
    "The first sequence's values went to every sequence of the batch. Each one has a cabinet of "
    "its own; `@` keeps them apart."
)
def opens_the_first_cabinet_for_all(weights, v):
    first = v.reshape(-1, *v.shape[-2:])[0]
    return weights @ first


@blend_values.misconception(
    "The leading axes were flattened into one and not restored. The result needs the shape of the "
    "weights, with hs as its last size."
)
def loses_the_leading_axes(weights, v):
    return (weights @ v).reshape(-1, v.shape[-1])


@blend_values.misconception(
    "v was changed in place (`*=`, `/=`, `[...] =`): the caller's v is another one afterwards. "
    "Build something new."
)
def changes_v_in_place(weights, v):
    blended = weights @ v
    v *= weights.sum(-2).unsqueeze(-1)
    return blended


@blend_values.misconception(
    "Somewhere a .detach(), no_grad, .data, .item() or torch.tensor(...) cut the result off from "
    "weights and v: the numbers are right, but no gradient comes through."
)
def cuts_the_gradient__(weights, v):
    return (weights @ v).detach()


@blend_values.misconception(
    "The weights were detached: v learns, but what decides whom to read never does. The gradient "
    "has to reach both."
)
def lets_only_v_learn(weights, v):
    return weights.detach() @ v


@blend_values.misconception(
    "It goes through numpy, and numpy knows nothing of gradients: torch refuses as soon as one of "
    "them is to learn. The same operations exist in torch."
)
def goes_through_numpy__(weights, v):
    return torch.from_numpy(weights.numpy() @ v.numpy())


@blend_values.misconception(
    "The result is float32 whatever came in (`torch.zeros(T, hs)` and `.float()` do that). Let the "
    "result have the type of v."
)
def always_float32__(weights, v):
    return weights.float() @ v.float()


@blend_values.also_right
def a_matrix_product(weights, v):
    return torch.matmul(weights, v)


@blend_values.also_right
def einsum_names_the_axes_(weights, v):
    return torch.einsum("...ts,...sh->...th", weights, v)


@blend_values.also_right
def one_query_at_a_time(weights, v):
    rows = []
    for t in range(weights.shape[-2]):
        share = weights[..., t, :, None]  # (..., S, 1)
        rows.append((share * v).sum(dim=-2))
    return torch.stack(rows, dim=-2)


@blend_values.also_right
def folder_by_folder(weights, v):
    blended = weights[..., :1] * v[..., :1, :]
    for s in range(1, v.shape[-2]):
        blended = blended + weights[..., s : s + 1] * v[..., s : s + 1, :]
    return blended


@blend_values.also_right
def weighing_all_and_summing(weights, v):
    return (weights.unsqueeze(-1) * v.unsqueeze(-3)).sum(dim=-2)


EXERCISES = [attention_scores, attention_weights, blend_values]
