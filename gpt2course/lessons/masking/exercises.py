"""The exercises of lesson 06: causal_mask, masked_attention."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from gpt2course import attention
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

WORDS = ("robot", "must", "obey", "orders")
SIZES = ((3, 3), (4, 4), (2, 5), (1, 4), (1, 1), (7, 11), (3, 1003))

causal_mask = Exercise(
    attention.causal_mask,
    lesson="06_masking",
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


@causal_mask.misconception(
    "The triangle is upside down: row i is True from i on, so a token reads itself and everything "
    "after it. It should read itself and everything before it: the lower triangle."
)
def reads_the_future(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query)


@causal_mask.variant(reads_the_future)
def reads_the_future_from_the_upper_left(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).triu()


@causal_mask.misconception(
    "The diagonal is missing: no token may read itself. A token is allowed to know itself, and the "
    "first of a text would have nothing to read at all, which the softmax turns into nan."
)
def may_not_read_itself(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query - 1)


@causal_mask.misconception(
    "True and False have changed places. Here True means: may read. Some libraries let True "
    "mean: hide this, which is the same picture with the colours swapped."
)
def true_where_it_should_hide(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1)


@causal_mask.misconception(
    "It is right for a square and wrong for a rectangle: the rows were counted from the upper left "
    "corner. The queries are the last n_query positions, so the first of them already has "
    "n_key - n_query positions behind it."
)
def counts_from_the_upper_left(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril()


@causal_mask.misconception(
    "Every query may read every key: this hides nothing, as in lesson 05. Here a token must not "
    "read what it is about to predict."
)
def hides_nothing(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool)


@causal_mask.misconception(
    "The triangle reaches one column too far: each token may read the one after it, and that is "
    "exactly the token which it has to predict."
)
def reads_one_ahead(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query + 1)


@causal_mask.misconception(
    "Rows and columns have changed places, which turns the triangle upside down: a row belongs to "
    "a query, a column to a key."
)
def swaps_rows_and_columns(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query).T.contiguous()


@causal_mask.misconception(
    "The triangle has the right form, but it holds numbers. The exercise asks for booleans: "
    "masked_fill and ~ need them, and True says what is meant."
)
def holds_ones_and_zeros(n_query, n_key):
    return torch.ones(n_query, n_key).tril(n_key - n_query)


@causal_mask.misconception(
    "The triangle has the right form, but it holds integers. The exercise asks for booleans: "
    "masked_fill and ~ need them (~1 is -2), and True says what is meant."
)
def holds_integers(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.int64).tril(n_key - n_query)


@causal_mask.variant(holds_integers)
def holds_small_integers(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.int32).tril(n_key - n_query)


@causal_mask.misconception(
    "This is the mask that is added to the scores: 0 where reading is allowed and -inf elsewhere. "
    "It does the same work later; the exercise asks for the plain statement, True or False."
)
def holds_what_is_added(n_query, n_key):
    hidden = ~attention.causal_mask(n_query, n_key)
    return torch.zeros(n_query, n_key).masked_fill(hidden, -math.inf)


@causal_mask.misconception(
    "There is a row for every key. Only the last n_query positions ask; the rows of the earlier "
    "ones have to go."
)
def has_a_row_for_every_key(n_query, n_key):
    return torch.ones(n_key, n_key, dtype=torch.bool).tril()


@causal_mask.misconception(
    "Each token may read itself and nothing else. What came before it is exactly what it should "
    "learn from."
)
def reads_only_itself(n_query, n_key):
    mask = torch.zeros(n_query, n_key, dtype=torch.bool)
    mask.diagonal(n_key - n_query).fill_(True)
    return mask


@causal_mask.misconception(
    "The keys before the first query are hidden. They are the past, and the past may be read: the "
    "first query sits at position n_key - n_query and reads everything up to there."
)
def forgets_the_earlier_keys(n_query, n_key):
    mask = torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)
    mask[:, : n_key - n_query] = False
    return mask


@causal_mask.also_right
def comparing_positions(n_query, n_key):
    query = torch.arange(n_key - n_query, n_key)
    key = torch.arange(n_key)
    return query[:, None] >= key[None, :]


@causal_mask.also_right
def the_last_rows_of_a_square(n_query, n_key):
    square = torch.tril(torch.ones(n_key, n_key)) == 1
    return square[n_key - n_query :]


@causal_mask.also_right
def two_loops(n_query, n_key):
    mask = torch.zeros(n_query, n_key, dtype=torch.bool)
    for i in range(n_query):
        for j in range(n_key):
            mask[i, j] = j <= i + n_key - n_query
    return mask


@causal_mask.also_right
def the_opposite_of_the_upper_triangle(n_query, n_key):
    return ~torch.triu(torch.ones(n_query, n_key), diagonal=n_key - n_query + 1).bool()


@causal_mask.also_right
def with_numpy(n_query, n_key):
    return torch.from_numpy(np.tri(n_query, n_key, n_key - n_query, dtype=bool))


@causal_mask.also_right
def from_a_list_of_rows(n_query, n_key):
    past = n_key - n_query
    return torch.tensor([[j <= past + i for j in range(n_key)] for i in range(n_query)])


def _qkv(T: int, S: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """q (..., T, hs), k and v (..., S, hs)."""
    return tuple(
        normal(*leading, n, hs, seed=seed + i, dtype=dtype) for i, n in enumerate((T, S, S))
    )


masked_attention = Exercise(
    attention.masked_attention,
    lesson="06_masking",
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


def _hidden(q, k):
    return ~attention.causal_mask(q.shape[-2], k.shape[-2])


@masked_attention.misconception(
    "Nothing is masked: every token reads the whole sequence, its own future included. (If there "
    "is a masked_fill: it belongs on the scores, and it returns a new tensor that has to be kept.)"
)
def forgets_the_mask(q, k, v):
    return attention.attention_scores(q, k).softmax(-1) @ v


@masked_attention.misconception(
    "The hidden scores were set to 0 and not to -inf. A score of 0 is an ordinary score: e⁰ = 1, "
    "so the future still gets a share, often a large one. Only -inf becomes a weight of 0."
)
def hides_with_a_score_of_zero(q, k, v):
    scores = attention.attention_scores(q, k).masked_fill(_hidden(q, k), 0)
    return scores.softmax(-1) @ v


@masked_attention.misconception(
    "The mask came after the softmax, and the rows were not shared out again: the weights that are "
    "left no longer sum to 1. The hidden ones had their share by then. Mask before the softmax."
)
def masks_after_the_softmax(q, k, v):
    weights = attention.attention_scores(q, k).softmax(-1)
    return weights.masked_fill(_hidden(q, k), 0) @ v


@masked_attention.misconception(
    "The mask was used the wrong way round: what may be read is hidden. masked_fill fills where "
    "its mask is True, and causal_mask is True where reading is allowed; ~ turns it."
)
def hides_what_may_be_read(q, k, v):
    scores = attention.attention_scores(q, k).masked_fill(~_hidden(q, k), -math.inf)
    return scores.softmax(-1) @ v


@masked_attention.misconception(
    "The scores are not divided by √hs. The larger the head, the larger the scores, and the "
    "softmax turns large scores into all or nothing."
)
def forgets_the_scale(q, k, v):
    scores = (q @ k.transpose(-2, -1)).masked_fill(_hidden(q, k), -math.inf)
    return scores.softmax(-1) @ v


@masked_attention.misconception(
    "In the end the scores are divided by hs, and not by its root: the weights come out too even. "
    "(`attention_scores` has divided by √hs already; doing it again gives this, too.)"
)
def divides_by_hs(q, k, v):
    scores = q @ k.transpose(-2, -1) / q.shape[-1]
    return scores.masked_fill(_hidden(q, k), -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "The scores are divided by the root of the number of keys. What has to be undone is the size "
    "of a dot product of hs numbers, so it is √hs."
)
def divides_by_the_root_of_the_length(q, k, v):
    scores = q @ k.transpose(-2, -1) / math.sqrt(k.shape[-2])
    return scores.masked_fill(_hidden(q, k), -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "The softmax ran down the columns, so that each key shares itself out among the queries. Each "
    "query shares its attention among the keys: the last axis, dim=-1."
)
def softmax_over_the_queries(q, k, v):
    scores = attention.attention_scores(q, k).masked_fill(_hidden(q, k), -math.inf)
    return scores.softmax(-2) @ v


@masked_attention.misconception(
    "Each token also reads the one after it: the mask is one column too wide. That is the token "
    "which it has to predict."
)
def reads_one_ahead_(q, k, v):
    T, S = q.shape[-2], k.shape[-2]
    may_read = torch.ones(T, S, dtype=torch.bool).tril(S - T + 1)
    return attention.attention_scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "No token may read itself, so that the first one has nothing to read at all, and the softmax "
    "of nothing but -inf is nan."
)
def may_not_read_itself_(q, k, v):
    T, S = q.shape[-2], k.shape[-2]
    may_read = torch.ones(T, S, dtype=torch.bool).tril(S - T - 1)
    return attention.attention_scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "It is right where there are as many queries as keys, and wrong where there are fewer: the "
    "mask was counted from the upper left. The queries are the last T of the S positions."
)
def counts_from_the_upper_left_(q, k, v):
    may_read = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    return attention.attention_scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "The weights went onto the keys. A key is the label on the folder; what is handed over is the "
    "value inside."
)
def blends_the_keys(q, k, v):
    return attention.masked_attention(q, k, k)


@masked_attention.misconception(
    "These are the weights. They still have to blend the values: weights @ v."
)
def returns_the_weights(q, k, v):
    return attention.attention_scores(q, k).masked_fill(_hidden(q, k), -math.inf).softmax(-1)


@masked_attention.misconception(
    "q was divided by √hs in place: the caller's q is smaller afterwards. q / √hs makes a new one."
)
def scales_q_in_place(q, k, v):
    q /= math.sqrt(q.shape[-1])
    return (q @ k.transpose(-2, -1)).masked_fill(_hidden(q, k), -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy) cut the tensors off from their "
    "past: the value is right, but no gradient comes through, and nothing before it could learn."
)
def cuts_the_gradient(q, k, v):
    return attention.masked_attention(q, k, v).detach()


@masked_attention.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the input's type."
)
def always_float32(q, k, v):
    return attention.masked_attention(q.float(), k.float(), v.float())


@masked_attention.misconception(
    "Masked and scaled in the wrong order: the division came after the softmax, where it makes "
    "every weight smaller, so that a row no longer sums to 1."
)
def scales_after_the_softmax(q, k, v):
    scores = (q @ k.transpose(-2, -1)).masked_fill(_hidden(q, k), -math.inf)
    return scores.softmax(-1) / math.sqrt(q.shape[-1]) @ v


@masked_attention.misconception(
    "The number in the hidden places is negative, but not small enough: where the visible scores "
    "lie as low as that, the future gets a share again. -inf is below every score."
)
def hides_with_a_number_that_is_not_small_enough(q, k, v):
    return attention.attention_scores(q, k).masked_fill(_hidden(q, k), -100.0).softmax(-1) @ v


@masked_attention.variant(hides_with_a_number_that_is_not_small_enough)
def hides_with_minus_ten(q, k, v):
    return attention.attention_scores(q, k).masked_fill(_hidden(q, k), -10.0).softmax(-1) @ v


@masked_attention.misconception(
    "The mask was added to the scores: True counts as 1, so the visible scores grew by 1, and the "
    "hidden ones stayed. Fill the hidden places with -inf instead."
)
def adds_the_mask(q, k, v):
    return (attention.attention_scores(q, k) + ~_hidden(q, k)).softmax(-1) @ v


@masked_attention.misconception(
    "-inf was multiplied: where the mask is 0, 0 · -inf is nan, and one nan spoils its whole row. "
    "masked_fill, or torch.where, puts -inf in without multiplying."
)
def multiplies_by_infinity(q, k, v):
    scores = attention.attention_scores(q, k) + _hidden(q, k) * -math.inf
    return scores.softmax(-1) @ v


@masked_attention.misconception(
    "The hidden scores were set to plus infinity: the largest score there is takes everything, and "
    "infinity divided by infinity is nan. It has to be minus infinity."
)
def hides_with_plus_infinity(q, k, v):
    return attention.attention_scores(q, k).masked_fill(_hidden(q, k), math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "-inf was put among the weights, after the softmax. A weight multiplies a value, and -inf "
    "times anything is no share. Mask the scores, before the softmax."
)
def puts_infinity_among_the_weights(q, k, v):
    weights = attention.attention_scores(q, k).softmax(-1)
    return weights.masked_fill(_hidden(q, k), -math.inf) @ v


@masked_attention.misconception(
    "The softmax ran twice: the shares were taken for scores and shared out again, which makes "
    "them nearly even, and gives the hidden ones e⁰ again."
)
def takes_the_softmax_twice(q, k, v):
    scores = attention.attention_scores(q, k).masked_fill(_hidden(q, k), -math.inf)
    return scores.softmax(-1).softmax(-1) @ v


@masked_attention.misconception(
    "Queries and keys have changed places: each key asks and each query is read. In the scores a "
    "row belongs to a query, so q comes first."
)
def exchanges_queries_and_keys(q, k, v):
    scores = attention.attention_scores(k, q)
    return scores.masked_fill(_hidden(k, q), -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "The mask needs a row for each query and a column for each key: causal_mask(T, S). A square "
    "one, or the two sizes the other way round, fits only where there are as many queries as keys."
)
def asks_for_a_mask_of_another_size(q, k, v):
    T = q.shape[-2]
    scores = attention.attention_scores(q, k)
    return scores.masked_fill(~attention.causal_mask(T, T), -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "The sizes were read from the first axes. In a batch these count sequences; the tokens are on "
    "the last axis but one: `q.shape[-2]` and `k.shape[-2]`."
)
def reads_the_length_from_axis_0(q, k, v):
    may_read = torch.ones(q.shape[0], k.shape[0], dtype=torch.bool).tril(k.shape[0] - q.shape[0])
    return attention.attention_scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v


@masked_attention.misconception(
    "Scores were hidden for being 0, and not for lying in the future. A visible score can be "
    "exactly 0 too. Ask the mask where to hide, not the scores."
)
def hides_scores_that_are_zero(q, k, v):
    scores = attention.attention_scores(q, k).masked_fill(_hidden(q, k), 0)
    return scores.masked_fill(scores == 0, -math.inf).softmax(-1) @ v


@masked_attention.also_right
def in_three_lines(q, k, v):
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    scores = q @ k.transpose(-2, -1) / hs**0.5
    return scores.masked_fill(hidden, -1e9).softmax(-1) @ v


@masked_attention.also_right
def by_adding_minus_infinity(q, k, v):
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    added = torch.full((T, S), -torch.inf, dtype=q.dtype).triu(S - T + 1)
    weights = F.softmax(torch.einsum("...th,...sh->...ts", q, k) / hs**0.5 + added, dim=-1)
    return torch.einsum("...ts,...sh->...th", weights, v)


@masked_attention.also_right
def one_query_at_a_time(q, k, v):
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    rows = []
    for t in range(T):
        seen = S - T + t + 1
        scores = (k[..., :seen, :] @ q[..., t, :, None])[..., 0] / hs**0.5
        weights = torch.softmax(scores, dim=-1)
        rows.append((weights[..., None] * v[..., :seen, :]).sum(-2))
    return torch.stack(rows, dim=-2)


@masked_attention.also_right
def masking_the_weights_and_sharing_out_again(q, k, v):
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    may_read = torch.ones(T, S).tril(S - T) == 1
    weights = torch.softmax(q @ k.mT / hs**0.5, dim=-1) * may_read
    return weights / weights.sum(-1, keepdim=True) @ v


@masked_attention.also_right
def the_library_call(q, k, v):
    may_read = torch.arange(k.shape[-2]) <= torch.arange(k.shape[-2])[-q.shape[-2] :, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)


EXERCISES = [causal_mask, masked_attention]
