"""The exercises of lesson 11: apply_temperature, keep_top_k, keep_top_p, sample_next, generate.

Draws differ from one right answer to the next, so what is compared is not the ids but what can be
said of them: how often each token came, whether the rows draw for themselves, whether a seed
repeats its draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import sampling
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# apply_temperature ------------------------------------------------------------------------------

_SCORES = torch.tensor([[1.0, 2.0, 4.0], [0.0, -2.0, 3.0]])


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows gradients."""
    return lambda got, *args: not isinstance(got, Tensor) or holds(got, *args)


def _like(got: Tensor, scores: Tensor) -> bool:
    return got.shape == scores.shape and got.dtype == scores.dtype


def _same_order(got: Tensor, scores: Tensor) -> bool:
    return torch.equal(got.argsort(dim=-1), scores.argsort(dim=-1))


apply_temperature = Exercise(
    sampling.apply_temperature,
    lesson="11_sampling",
    cases=[
        Case("temperature 0.5, two rows of three scores", (_SCORES, 0.5)),
        Case("temperature 2", (_SCORES, 2.0)),
        Case("temperature 1 changes nothing", (normal(3, 4, seed=1), 1.0)),
        Case("one row", (normal(1, 5, seed=2), 0.8)),
        Case("one token", (normal(3, 1, seed=3), 0.7)),
        Case("temperature 0.01, scores in the tens", (normal(2, 3, seed=4, scale=30.0), 0.01)),
        Case("temperature 10, scores in the hundreds", (normal(4, 3, seed=5, scale=300.0), 10.0)),
        Case("a score of -∞ stays one", (torch.tensor([[1.0, -math.inf, 2.0, 0.5]]), 0.25)),
        Case("float64 stays float64", (normal(2, 5, seed=6, dtype=torch.float64), 0.03)),
        Case("scores not in one piece in memory", (strided(normal(3, 4, seed=7)), 1.5)),
        Case("the gradient reaches the scores", (normal(2, 3, seed=8), 0.6), gradients=True),
    ],
    properties=[
        Property(
            "as many scores, of the same type",
            lambda f: _like(f(_SCORES, 0.5), _SCORES),
            of_result=_of_tensor(lambda y, x, t: _like(y, x)),
        ),
        Property(
            "the order of the scores stays",
            lambda f: _same_order(f(_SCORES, 0.5), _SCORES),
            of_result=_of_tensor(lambda y, x, t: _same_order(y, x)),
        ),
        Property("a score of 0 stays 0", lambda f: f(_SCORES, 0.5)[1, 0] == 0),
        Property(
            "temperature 1 changes nothing",
            lambda f: torch.allclose(f(_SCORES.clone(), 1.0), _SCORES),
            of_result=_of_tensor(lambda y, x, t: t != 1 or torch.allclose(y, x)),
        ),
        Property(
            "half the temperature, twice the distances",
            lambda f: torch.allclose(
                f(_SCORES.clone(), 0.5).diff(), 2 * f(_SCORES.clone(), 1.0).diff(), atol=1e-5
            ),
        ),
    ],
)


@apply_temperature.misconception(
    "The scores are multiplied by the temperature. It should be the other way round: a low "
    "temperature, below 1, draws the scores apart, and that is what dividing by it does."
)
def multiplies_by_the_temperature(logits, temperature):
    return logits * temperature


@apply_temperature.misconception(
    "The scores come back as they were. Dividing makes a new tensor, which has to be returned: "
    "`return logits / temperature`."
)
def leaves_the_scores_as_they_were(logits, temperature):
    return logits


@apply_temperature.misconception(
    "These are probabilities. The softmax comes later, after top-k and top-p, which need the "
    "scores; here it is the division alone."
)
def takes_the_softmax_as_well(logits, temperature):
    return (logits / temperature).softmax(dim=-1)


@apply_temperature.misconception(
    "These are logarithms of probabilities. They would lead to the same draws, but the exercise "
    "asks for the division alone: exactly `logits / temperature`."
)
def takes_the_logarithm_of_the_softmax_as_well(logits, temperature):
    return (logits / temperature).log_softmax(dim=-1)


@apply_temperature.misconception(
    "The probabilities were divided. That makes all of them larger or smaller by the same factor, "
    "and their ratio stays what it was. The scores, before the softmax, have to be divided."
)
def divides_the_probabilities(logits, temperature):
    return logits.softmax(dim=-1) / temperature


@apply_temperature.misconception(
    "The temperature was subtracted. All scores move by the same amount then, and the softmax, "
    "which looks at distances alone, gives the same as before. Divide."
)
def subtracts_the_temperature(logits, temperature):
    return logits - temperature


@apply_temperature.misconception(
    "The largest score of each row was subtracted as well. The softmax does not mind, but the "
    "exercise asks for the division alone; the softmax takes care of large numbers by itself."
)
def subtracts_the_largest_score_as_well(logits, temperature):
    return (logits - logits.amax(dim=-1, keepdim=True)) / temperature


@apply_temperature.misconception(
    "The scores were raised to the power 1 / temperature. That is done to probabilities (which "
    "then have to be shared out anew); for scores, their logarithms, the power becomes a division. "
    "A root of a negative score is nan."
)
def raises_to_the_power(logits, temperature):
    return logits ** (1 / temperature)


@apply_temperature.misconception(
    "Divided the wrong way round: this is the temperature over the score, large where the score "
    "was small. It is the score over the temperature."
)
def divides_the_temperature_by_the_scores(logits, temperature):
    return temperature / logits


@apply_temperature.misconception(
    "`//` divides and rounds down. Scores that differ by little become the same. Use `/`."
)
def rounds_down(logits, temperature):
    return logits // temperature


@apply_temperature.misconception(
    "The scores were divided by the root of the temperature. The root belongs to attention, where "
    "scores are divided by √hs; a temperature divides as it is."
)
def divides_by_the_root(logits, temperature):
    return logits / math.sqrt(temperature)


@apply_temperature.misconception(
    "The scores were divided by the temperature twice: by its square, in the end."
)
def divides_twice(logits, temperature):
    return logits / temperature / temperature


@apply_temperature.misconception(
    "A small number was added to the temperature to keep it from 0. This exercise is asked for "
    "temperatures above 0 alone, and for the exact quotient; temperature 0 is `sample_next`'s case."
)
def adds_a_small_number_to_the_temperature(logits, temperature):
    return logits / (temperature + 1e-8)


@apply_temperature.variant(adds_a_small_number_to_the_temperature)
def adds_a_millionth(logits, temperature):
    return logits / (temperature + 1e-6)


@apply_temperature.variant(adds_a_small_number_to_the_temperature)
def adds_a_less_small_number(logits, temperature):
    return logits / (temperature + 1e-5)


@apply_temperature.variant(adds_a_small_number_to_the_temperature)
def adds_a_number_that_is_hardly_small(logits, temperature):
    return logits / (temperature + 1e-3)


@apply_temperature.misconception(
    "Temperatures above 1 were taken for 1. They are allowed: above 1 the scores draw together, "
    "and rarer tokens get a chance."
)
def takes_more_than_one_for_one(logits, temperature):
    return logits / min(temperature, 1.0)


@apply_temperature.misconception(
    "Temperatures below 1 were taken for 1. They are allowed: below 1 the scores draw apart, and "
    "the likely becomes likelier. Divide by the temperature as it is."
)
def takes_less_than_one_for_one(logits, temperature):
    return logits / max(temperature, 1.0)


@apply_temperature.misconception(
    "Low temperatures were raised to a least one. 0.01 is asked, and divides as any other."
)
def raises_low_temperatures(logits, temperature):
    return logits / max(temperature, 0.1)


@apply_temperature.misconception(
    "The temperature was made a whole number. 0.8 is a common one, and `int(0.8)` is 0."
)
def makes_the_temperature_whole(logits, temperature):
    return logits / int(temperature)


@apply_temperature.misconception(
    "These are the exponentials of the scores, one half of a softmax. The exercise asks for the "
    "scores, divided; the softmax comes later."
)
def takes_the_exponentials(logits, temperature):
    return (logits / temperature).exp()


@apply_temperature.misconception(
    "Only one row of the batch came back. Each row is a text of its own, and all are divided."
)
def keeps_the_first_row_alone(logits, temperature):
    return logits[0] / temperature


@apply_temperature.variant(keeps_the_first_row_alone)
def keeps_the_last_row_alone(logits, temperature):
    return logits[-1] / temperature


@apply_temperature.misconception(
    "The scores were divided in place (`/=`, `div_`): the caller's scores are other ones "
    "afterwards. `logits / temperature` makes new ones."
)
def divides_in_place(logits, temperature):
    logits /= temperature
    return logits


@apply_temperature.misconception(
    "Somewhere a .detach(), no_grad, .data, .tolist() or numpy cut the result off from the scores: "
    "the numbers are right, but no gradient comes through."
)
def cuts_the_gradient(logits, temperature):
    return (logits / temperature).detach()


@apply_temperature.misconception(
    "The result is float32 whatever came in. Let it have the type of the scores."
)
def always_float32(logits, temperature):
    return logits.float() / temperature


@apply_temperature.also_right
def torch_div(logits, temperature):
    return torch.div(logits, temperature)


@apply_temperature.also_right
def times_the_inverse(logits, temperature):
    return logits * (1 / temperature)


@apply_temperature.also_right
def row_by_row(logits, temperature):
    return torch.stack([row / temperature for row in logits])


@apply_temperature.also_right
def on_a_copy(logits, temperature):
    scaled = logits.clone()
    scaled /= temperature
    return scaled


# keep_top_k and keep_top_p ----------------------------------------------------------------------


def _settling_equals(
    reference: Answer, fewest: Callable[[Tensor, Any, Tensor], Any], some_too_many: bool = True
):
    """How a filter is called, so that all right answers give the same.

    Of equal scores at the border any may stay: where enough do, the result is the package's.
    -inf may be filled in or added, and the gradients at what went differ; behind the softmax,
    which comes next, they do not.

    Args:
        fewest: from scores, limit and the right result, how many tokens of a row have to stay.
        some_too_many: whether of the equals more may stay than have to, and yet not all of them.
    """

    def call(answer: Answer, logits: Tensor, limit: Any) -> Any:
        scores = logits.detach().clone()
        got = answer(logits, limit)
        right = reference(scores, limit)
        if not isinstance(got, Tensor) or got.shape != right.shape or got.dtype != right.dtype:
            return got
        if logits.requires_grad:
            return got.softmax(dim=-1)
        lowest = right.masked_fill(right == -math.inf, math.inf).amin(dim=-1, keepdim=True)
        stay, least = _stays(got).sum(dim=-1, keepdim=True), fewest(scores, limit, right)
        enough = stay >= least
        if not some_too_many:
            every_equal = (_stays(got) | (scores != lowest)).all(dim=-1, keepdim=True)
            enough &= (stay == least) | every_equal
        free = (scores == lowest) & enough & ((got == scores) | (got == -math.inf))
        return torch.where(free, right, got)

    return call


def _stays(scores: Tensor) -> Tensor:
    return scores > -math.inf


def _every_score_stays_or_goes(got: Tensor, scores: Tensor, limit: Any) -> bool:
    return got.shape == scores.shape and bool(((got == scores) | (got == -math.inf)).all())


def _nothing_better_went(got: Tensor, scores: Tensor, limit: Any) -> bool:
    """No score that went is above one that stayed (what did not go to -inf counts as kept)."""
    best_gone = scores.masked_fill(_stays(got), -math.inf).amax(dim=-1)
    worst_kept = scores.masked_fill(~_stays(got), math.inf).amin(dim=-1)
    return bool((best_gone <= worst_kept).all())


def _one_row_or_many(f, scores: Tensor, limit: Any) -> bool:
    """Whether each row of a batch comes out as it does alone."""
    alone = [f(row[None].clone(), limit) for row in scores]
    return torch.equal(f(scores.clone(), limit), torch.cat(alone))


WORDS = ("orders", "robots", "me", "the", "and")
_NEXT_WORDS = torch.tensor([[2.0, -1.0, 3.0, 0.5, -2.0]])
_BATCH = normal(4, 6, seed=20, scale=2.0)


def _at_least_k_stay(got: Tensor, scores: Tensor, k: int) -> bool:
    return bool((_stays(got).sum(dim=-1) >= min(k, scores.shape[-1])).all())


def _at_most_k_stay(got: Tensor, scores: Tensor, k: int) -> bool:
    """Asked of scores without equals at the border."""
    kth = scores.topk(min(k, scores.shape[-1]), dim=-1).values[:, -1:]
    at_border = (scores == kth).sum(dim=-1)
    return bool((_stays(got).sum(dim=-1) <= k + at_border - 1).all())


keep_top_k = Exercise(
    sampling.keep_top_k,
    lesson="11_sampling",
    call=_settling_equals(sampling.keep_top_k, lambda scores, k, right: min(k, scores.shape[-1])),
    cases=[
        Case("the two best of five words", (_NEXT_WORDS, 2), columns=WORDS),
        Case("the best of five words", (_NEXT_WORDS, 1), columns=WORDS),
        Case(
            "two rows, three of four stay",
            (torch.tensor([[1.0, 4.0, 3.0, 2.0], [-5.0, -7.0, -6.0, -9.0]]), 3),
        ),
        Case("four rows of six", (_BATCH, 2)),
        Case("k = V keeps all", (normal(2, 3, seed=21), 3)),
        Case("k above V keeps all", (normal(2, 3, seed=22), 7)),
        Case("one token alone", (normal(3, 1, seed=23), 1)),
        Case("equal scores at the border", (torch.tensor([[1.0, 3.0, 2.0, 2.0, 0.0, 2.0]]), 2)),
        Case("nothing but equal scores", (torch.full((2, 4), 1.5), 2)),
        Case("scores of -20,000", (normal(3, 5, seed=24) - 20_000, 2)),
        Case("40 of 500", (normal(2, 500, seed=25, scale=3.0), 40)),
        Case("float64 stays float64", (normal(3, 5, seed=26, dtype=torch.float64), 2)),
        Case("scores not in one piece in memory", (strided(normal(3, 5, seed=27)), 3)),
        Case(
            "the gradient reaches what stays (behind a softmax)",
            (normal(2, 5, seed=28), 3),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "as many scores, of the same type",
            lambda f: _like(f(_BATCH.clone(), 2), _BATCH),
            of_result=_of_tensor(lambda y, x, k: _like(y, x)),
        ),
        Property(
            "what goes becomes -∞, what stays keeps its score",
            lambda f: _every_score_stays_or_goes(f(_BATCH.clone(), 2), _BATCH, 2),
            of_result=_of_tensor(_every_score_stays_or_goes),
        ),
        Property(
            "at least k tokens of each row stay",
            lambda f: _at_least_k_stay(f(_BATCH.clone(), 2), _BATCH, 2),
            of_result=_of_tensor(_at_least_k_stay),
        ),
        Property(
            "no more than k stay, but for equals at the border",
            lambda f: _at_most_k_stay(f(_BATCH.clone(), 2), _BATCH, 2),
            of_result=_of_tensor(_at_most_k_stay),
        ),
        Property(
            "no score that goes is above one that stays",
            lambda f: _nothing_better_went(f(_BATCH.clone(), 2), _BATCH, 2),
            of_result=_of_tensor(_nothing_better_went),
        ),
        Property(
            "each row is filtered by itself",
            lambda f: _one_row_or_many(f, _BATCH, 2),
        ),
    ],
)


def _kth(logits, k):
    """The k-th highest score of each row; the lowest where k goes beyond the row."""
    return logits.topk(min(k, logits.shape[-1]), dim=-1).values[:, -1:]


@keep_top_k.misconception(
    "One token too many stays. Counting begins at 0, so in a sorted row the k-th score is the one "
    "with number k - 1: `ordered[:, k - 1]`."
)
def keeps_one_too_many(logits, k):
    return sampling.keep_top_k(logits, k + 1)


@keep_top_k.misconception(
    "One token too few stays: what equals the k-th score went, too (`<=`, or `>` where `>=` was "
    "meant). The k-th itself belongs to the k."
)
def keeps_one_too_few(logits, k):
    if k > logits.shape[-1]:
        return logits
    return logits.masked_fill(logits <= _kth(logits, k), -math.inf)


@keep_top_k.variant(keeps_one_too_few)
def keeps_one_too_few_of_all(logits, k):
    return logits.masked_fill(logits <= _kth(logits, k), -math.inf)


@keep_top_k.misconception(
    "What goes was set to 0. A score of 0 is an ordinary score, e⁰ = 1, and above every negative "
    "one: those tokens would still be drawn, perhaps more often than before. Only -inf becomes a "
    "probability of 0."
)
def gives_the_rest_a_score_of_zero(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), 0.0)


@keep_top_k.misconception(
    "What goes was set to a large negative number. It does its work as long as the other scores "
    "are not as low themselves; the exercise asks for -inf, literally: `float('-inf')` or "
    "`-math.inf`."
)
def gives_the_rest_a_large_negative_number(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), -1e9)


@keep_top_k.variant(gives_the_rest_a_large_negative_number)
def gives_the_rest_minus_ten_thousand(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), -1e4)


@keep_top_k.variant(gives_the_rest_a_large_negative_number)
def gives_the_rest_the_least_number(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), torch.finfo(logits.dtype).min)


@keep_top_k.variant(gives_the_rest_a_large_negative_number)
def gives_the_rest_minus_ten_to_the_ten(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), -1e10)


@keep_top_k.misconception(
    "What goes was set to plus infinity: the largest score there is. It has to be minus infinity."
)
def gives_the_rest_plus_infinity(logits, k):
    return logits.masked_fill(logits < _kth(logits, k), math.inf)


@keep_top_k.misconception(
    "The k lowest scores stayed. A sorted row begins with the lowest, unless `descending=True` is "
    "said, and `topk` takes the largest as long as `largest` is left alone."
)
def keeps_the_lowest(logits, k):
    border = logits.topk(min(k, logits.shape[-1]), dim=-1, largest=False).values[:, -1:]
    return logits.masked_fill(logits > border, -math.inf)


@keep_top_k.misconception(
    "The other way round: the k best are gone and the rest stayed. masked_fill fills where its "
    "mask is True, so the mask has to say what goes."
)
def removes_the_best(logits, k):
    return logits.masked_fill(logits >= _kth(logits, k), -math.inf)


@keep_top_k.misconception("k tokens were removed, and the rest stayed. k says how many stay.")
def removes_k_tokens(logits, k):
    return sampling.keep_top_k(logits, max(1, logits.shape[-1] - k))


@keep_top_k.misconception(
    "These are the k best scores alone, without the places that they came from. A token's id is "
    "its place: the result has as many columns as came in, with -inf where a token went."
)
def returns_the_k_scores_alone(logits, k):
    return logits.topk(min(k, logits.shape[-1]), dim=-1).values


@keep_top_k.misconception(
    "These are the ids of the k best. The exercise asks for the scores, with -inf where a token "
    "went."
)
def returns_the_ids(logits, k):
    return logits.topk(min(k, logits.shape[-1]), dim=-1).indices


@keep_top_k.misconception(
    "The row came back sorted, best first: a score now stands in another token's place. Sort to "
    "find the border, and leave the scores where they are."
)
def leaves_the_scores_sorted(logits, k):
    ordered = logits.sort(dim=-1, descending=True).values
    return ordered.masked_fill(torch.arange(logits.shape[-1]) >= k, -math.inf)


@keep_top_k.misconception(
    "The first k columns stayed. The best scores can be anywhere: the order of the columns is that "
    "of the vocabulary."
)
def keeps_the_first_columns(logits, k):
    return logits.masked_fill(torch.arange(logits.shape[-1]) >= k, -math.inf)


@keep_top_k.misconception(
    "`topk` was asked for more scores than a row has, and refuses. Where k is above the number of "
    "tokens, all of them stay: `min(k, logits.shape[-1])`."
)
def asks_for_more_than_there_are(logits, k):
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[:, -1:], -math.inf)


@keep_top_k.misconception(
    "The borders have lost their axis: `values[:, -1]` is (B,), and beside (B, V) torch holds it "
    "for one number for each *column*. `values[:, -1:]`, or `keepdim=True`, makes a column (B, 1), "
    "one number for each row."
)
def forgets_the_axis_of_the_borders(logits, k):
    return logits.masked_fill(logits < _kth(logits, k)[:, 0], -math.inf)


@keep_top_k.variant(forgets_the_axis_of_the_borders)
def forgets_the_axis_and_that_k_may_be_too_large(logits, k):
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[:, -1], -math.inf)


@keep_top_k.misconception(
    "The border was read from the first column of what `topk` returns: that is the best score, and "
    "only the best one stays then. The k-th best stands in the last column: `values[:, -1:]`."
)
def takes_the_best_score_for_the_border(logits, k):
    return logits.masked_fill(logits < _kth(logits, 1), -math.inf)


@keep_top_k.variant(takes_the_best_score_for_the_border)
def takes_the_best_of_k_that_may_be_too_many(logits, k):
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[:, :1], -math.inf)


@keep_top_k.misconception(
    "One border was used for all rows: that of the first. Each row is a text of its own, with a "
    "border of its own: `values[:, -1:]` keeps one for each."
)
def uses_the_border_of_the_first_row(logits, k):
    return logits.masked_fill(logits < _kth(logits, k)[0], -math.inf)


@keep_top_k.misconception(
    "One border was used for all rows: the lowest of them (`values.min()`). Each row has a border "
    "of its own: `values[:, -1:]`."
)
def uses_the_lowest_border_for_all(logits, k):
    return logits.masked_fill(logits < _kth(logits, k).min(), -math.inf)


@keep_top_k.misconception(
    "The k best were looked for in the whole batch. Each row is a text of its own: search along "
    "the last axis, `dim=-1`."
)
def looks_in_the_whole_batch(logits, k):
    border = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < border, -math.inf)


@keep_top_k.misconception(
    "The k best of each column were kept. A column is a token, a row is a text; the tokens of one "
    "text compete with each other: `dim=-1`."
)
def looks_down_the_columns(logits, k):
    border = logits.topk(min(k, logits.shape[0]), dim=0).values[-1:]
    return logits.masked_fill(logits < border, -math.inf)


@keep_top_k.misconception(
    "The tokens that one row keeps were kept in every row: `logits[:, ids]` takes these columns in "
    "all rows. `scatter`, or a border for each row, keeps the rows apart."
)
def keeps_in_every_row_what_one_row_keeps(logits, k):
    ids = logits.topk(min(k, logits.shape[-1]), dim=-1).indices.flatten()
    kept = torch.full_like(logits, -math.inf)
    kept[:, ids] = logits[:, ids]
    return kept


@keep_top_k.misconception(
    "-inf was multiplied: 0 · -inf is nan. masked_fill, or torch.where, puts -inf in without "
    "multiplying."
)
def multiplies_by_infinity(logits, k):
    return logits + (logits < _kth(logits, k)) * -math.inf


@keep_top_k.variant(multiplies_by_infinity)
def multiplies_both_sides(logits, k):
    stays = logits >= _kth(logits, k)
    return logits * stays + ~stays * -math.inf


@keep_top_k.misconception(
    "This is the mask. It still has to be used: the result is the scores, with -inf where the mask "
    "says that a token goes."
)
def returns_the_mask(logits, k):
    return logits >= _kth(logits, k)


@keep_top_k.misconception(
    "These are probabilities. The softmax comes later; here the scores that stay keep their values."
)
def takes_the_softmax_as_well_(logits, k):
    return sampling.keep_top_k(logits, k).softmax(dim=-1)


@keep_top_k.misconception(
    "Nothing went: the scores came back as they were. `masked_fill` returns a new tensor, which "
    "has to be kept."
)
def keeps_everything(logits, k):
    return logits


@keep_top_k.misconception(
    "The scores were changed in place (`logits[...] = `, `masked_fill_`): the caller's scores are "
    "gone afterwards. `masked_fill`, without the last underscore, makes new ones."
)
def fills_in_place(logits, k):
    logits[logits < _kth(logits, k)] = -math.inf
    return logits


@keep_top_k.misconception(
    "The numbers are right, but the check also asks for the gradient, and torch refuses: `for new "
    "in out` gives rows that may not be written into while gradients are recorded. Loop over their "
    "numbers and write into the whole tensor: `out[b, place] = logits[b, place]`."
)
def writes_into_rows_that_a_loop_hands_out(logits, k):
    kept = torch.full_like(logits, -math.inf)
    for row, new in zip(logits, kept, strict=True):
        for place in row.argsort(descending=True)[:k].tolist():
            new[place] = row[place]
    return kept


@keep_top_k.misconception(
    "Somewhere a .detach(), no_grad, .data, .tolist() or numpy cut the result off from the scores: "
    "the numbers are right, but no gradient comes through."
)
def cuts_the_gradient_(logits, k):
    return sampling.keep_top_k(logits, k).detach()


@keep_top_k.misconception(
    "The result is float32 whatever came in. Let it have the type of the scores: "
    "`torch.full_like(logits, ...)`, `masked_fill`."
)
def always_float32_(logits, k):
    return sampling.keep_top_k(logits.float(), k)


@keep_top_k.misconception(
    "A new tensor was made without asking for the type of the scores (`torch.zeros`, `torch.full` "
    "are float32), and does not take float64. `torch.full_like(logits, ...)` has their type."
)
def scatters_into_float32(logits, k):
    best, ids = logits.topk(min(k, logits.shape[-1]), dim=-1)
    return torch.full(logits.shape, -math.inf).scatter(-1, ids, best)


@keep_top_k.also_right
def scattering_the_best_into_infinity(logits, k):
    best, ids = torch.topk(logits, min(k, logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, ids, best)


@keep_top_k.also_right
def where_a_score_reaches_the_border(logits, k):
    k = min(k, logits.shape[-1])
    border = torch.sort(logits, dim=-1).values[:, -k].unsqueeze(-1)
    return torch.where(logits >= border, logits, -torch.inf)


@keep_top_k.also_right
def counting_how_many_are_better(logits, k):
    better = (logits[:, None, :] > logits[:, :, None]).sum(dim=-1)
    return logits.masked_fill(better >= k, float("-inf"))


@keep_top_k.also_right
def a_row_at_a_time(logits, k):
    rows = []
    for row in logits:
        best = sorted(row.tolist(), reverse=True)[:k]
        rows.append(torch.where(row < best[-1], -torch.inf, row))
    return torch.stack(rows)


@keep_top_k.also_right
def by_rank(logits, k):
    rank = logits.argsort(dim=-1, descending=True).argsort(dim=-1)
    removed = torch.zeros_like(logits).masked_fill(rank >= k, -torch.inf)
    return logits + removed


def _shares(*percent: float) -> Tensor:
    """Scores whose softmax is these shares."""
    return torch.tensor([percent]).div(100).log()


_FIVE_SHARES = _shares(15, 4, 50, 25, 6)
_STEEP_AND_FLAT = torch.cat([_shares(15, 4, 50, 25, 6), _shares(22, 21, 19, 18, 20)])


def _mass(got: Tensor, scores: Tensor) -> Tensor:
    return scores.double().softmax(dim=-1).masked_fill(~_stays(got), 0).sum(dim=-1)


def _mass_suffices(got: Tensor, scores: Tensor, p: float) -> bool:
    return bool((_mass(got, scores) >= p - 1e-6).all())


def _none_too_many(got: Tensor, scores: Tensor, p: float) -> bool:
    """Without the least likely of those that stayed, equals included, the mass does not suffice."""
    least = scores.masked_fill(~_stays(got), math.inf).amin(dim=-1, keepdim=True)
    fewer = torch.where(scores > least, got, -math.inf)
    return bool(((_mass(fewer, scores) < max(p, 1e-9) + 1e-6) | (p == 0)).all())


keep_top_p = Exercise(
    sampling.keep_top_p,
    lesson="11_sampling",
    call=_settling_equals(
        sampling.keep_top_p,
        lambda scores, p, right: _stays(right).sum(dim=-1, keepdim=True),
        some_too_many=False,
    ),
    cases=[
        Case("p = 0.7 of 15, 4, 50, 25 and 6 %", (_FIVE_SHARES, 0.7), columns=WORDS),
        Case("p = 0.8 of 15, 4, 50, 25 and 6 %", (_FIVE_SHARES, 0.8), columns=WORDS),
        Case("p = 0.3: the first alone has more", (_FIVE_SHARES, 0.3), columns=WORDS),
        Case("p = 0 keeps one token", (_FIVE_SHARES, 0.0), columns=WORDS),
        Case("p = 0.99 needs all of them", (_FIVE_SHARES, 0.99), columns=WORDS),
        Case("a steep and a flat row, p = 0.4", (_STEEP_AND_FLAT, 0.4), columns=WORDS),
        Case("four rows of six", (_BATCH, 0.9)),
        Case("scores in the thousands", (normal(3, 5, seed=30) + 3000, 0.6)),
        Case("scores of -20,000", (normal(3, 5, seed=31) - 20_000, 0.6)),
        Case("one token alone", (normal(3, 1, seed=32), 0.5)),
        Case("two of three equals are needed", (torch.tensor([[0.0, 2.0, 2.0, -1.0, 2.0]]), 0.4)),
        # Shares of 1/4 and 1/8 and all their sums have no rounding, in whatever order.
        Case("p = 0.5, and two of four equals hold exactly that", (torch.zeros(1, 4), 0.5)),
        Case("p = 0.25, and two of eight equals hold exactly that", (torch.zeros(2, 8), 0.25)),
        Case(
            "after top-k, with -∞ among the scores",
            (sampling.keep_top_k(normal(2, 6, seed=33), 4), 0.75),
        ),
        Case("p = 0.9 of 500 tokens", (normal(2, 500, seed=34, scale=3.0), 0.9)),
        Case("float64 stays float64", (normal(3, 5, seed=35, dtype=torch.float64), 0.8)),
        Case("scores not in one piece in memory", (strided(normal(3, 5, seed=36)), 0.6)),
        Case(
            "the gradient reaches what stays (behind a softmax)",
            (normal(2, 5, seed=37), 0.8),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "as many scores, of the same type",
            lambda f: _like(f(_BATCH.clone(), 0.9), _BATCH),
            of_result=_of_tensor(lambda y, x, p: _like(y, x)),
        ),
        Property(
            "what goes becomes -∞, what stays keeps its score",
            lambda f: _every_score_stays_or_goes(f(_BATCH.clone(), 0.9), _BATCH, 0.9),
            of_result=_of_tensor(_every_score_stays_or_goes),
        ),
        Property(
            "at least one token of each row stays",
            lambda f: bool(_stays(f(_BATCH.clone(), 0.0)).any(dim=-1).all()),
            of_result=_of_tensor(lambda y, x, p: bool(_stays(y).any(dim=-1).all())),
        ),
        Property(
            "what stays holds at least p of the probability",
            lambda f: _mass_suffices(f(_BATCH.clone(), 0.9), _BATCH, 0.9),
            of_result=_of_tensor(_mass_suffices),
        ),
        Property(
            "without the least likely that stays it would hold less",
            lambda f: _none_too_many(f(_BATCH.clone(), 0.9), _BATCH, 0.9),
            of_result=_of_tensor(_none_too_many),
        ),
        Property(
            "each row is filtered by itself",
            lambda f: _one_row_or_many(f, _BATCH, 0.9),
        ),
    ],
)


def _by_rank(logits: Tensor, goes: Callable[[Tensor], Tensor]) -> Tensor:
    """-inf where `goes` says so of the probabilities, likeliest first."""
    ordered, order = logits.sort(dim=-1, descending=True)
    drop = goes(ordered.softmax(dim=-1))
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


@keep_top_p.misconception(
    "The token that crosses p went, too, so that those which stay hold less than p. It belongs to "
    "the set: a token goes where the sum *before* it reaches p already. (Where the first token "
    "alone has more than p, nothing is left at all.)"
)
def leaves_out_the_token_that_crosses_p(logits, p):
    return _by_rank(logits, lambda probs: probs.cumsum(dim=-1) > p)


@keep_top_p.misconception(
    "The token that crosses p went, too, so that those which stay hold less than p. Only the very "
    "first was saved. A token goes where the sum *before* it reaches p already."
)
def leaves_out_the_token_that_crosses_p_unless_it_is_the_first(logits, p):
    def goes(probs):
        goes = probs.cumsum(dim=-1) > p
        goes[:, 0] = False
        return goes

    return _by_rank(logits, goes)


@keep_top_p.misconception("One token too many stays: the set that holds p was complete before it.")
def keeps_one_token_too_many(logits, p):
    def goes(probs):
        before = probs.cumsum(dim=-1) - probs >= p
        before = before.roll(1, dims=-1)
        before[:, 0] = False
        if before.shape[-1] > 1:
            before[:, 1] = False
        return before

    return _by_rank(logits, goes)


@keep_top_p.misconception(
    "Where the sum before a token is p exactly, the token stayed all the same (`>` where `>=` is "
    "meant). Those before it hold p already, and the smallest set that holds p is asked for."
)
def keeps_one_too_many_where_the_sum_is_exactly_p(logits, p):
    return _by_rank(logits, lambda probs: probs.cumsum(dim=-1) - probs > p)


@keep_top_p.misconception(
    "It is right but for p = 0, where nothing stays, and nothing can be drawn. The likeliest token "
    "stays always."
)
def keeps_nothing_for_p_zero(logits, p):
    return _by_rank(logits, lambda probs: probs.cumsum(dim=-1) - probs >= p)


@keep_top_p.misconception(
    "What goes was found in the sorted row and then removed from the unsorted one: the first place "
    "of the sorted row is the likeliest token, the first place of `logits` is token 0. `scatter` "
    "with the order that `sort` returns brings the mask back."
)
def forgets_to_undo_the_sorting(logits, p):
    probs = logits.sort(dim=-1, descending=True).values.softmax(dim=-1)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop, -math.inf)


@keep_top_p.misconception(
    "The sorting was undone the wrong way round: `gather` (or `mask[order]`) sorts once more. "
    "`scatter` puts each entry back where `sort` took it from; `order.argsort()` is the way back "
    "for gather."
)
def undoes_the_sorting_the_wrong_way_round(logits, p):
    ordered, order = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(dim=-1)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop.gather(-1, order), -math.inf)


@keep_top_p.misconception(
    "The row came back sorted, likeliest first: a score now stands in another token's place. Undo "
    "the sorting with `scatter`."
)
def leaves_the_scores_sorted_(logits, p):
    return sampling.keep_top_p(logits, p).sort(dim=-1, descending=True).values


@keep_top_p.misconception(
    "Nothing was sorted: the sum runs over the tokens in the order of the vocabulary, and keeps "
    "the first ones. The smallest set begins with the likeliest."
)
def forgets_to_sort(logits, p):
    probs = logits.softmax(dim=-1)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop, -math.inf)


@keep_top_p.misconception(
    "The sum began with the least likely token, so the tail stayed and the head went. Sort with "
    "`descending=True`."
)
def begins_with_the_least_likely(logits, p):
    ordered, order = logits.sort(dim=-1)
    probs = ordered.softmax(dim=-1)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


@keep_top_p.misconception(
    "The scores were summed. p is a share of the probability: sum the softmax of the scores."
)
def sums_the_scores(logits, p):
    ordered, order = logits.sort(dim=-1, descending=True)
    drop = ordered.cumsum(dim=-1) - ordered >= p
    drop[:, 0] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


@keep_top_p.misconception(
    "Each token was asked whether it has p by itself. It is the tokens together, the likeliest "
    "first, that have to hold p."
)
def asks_each_token_for_p(logits, p):
    return logits.masked_fill(logits.softmax(dim=-1) < p, -math.inf)


@keep_top_p.misconception(
    "Each token was asked whether it has at least 1 - p by itself. It is the tokens together, the "
    "likeliest first, that have to hold p."
)
def asks_each_token_for_one_minus_p(logits, p):
    return logits.masked_fill(logits.softmax(dim=-1) < 1 - p, -math.inf)


@keep_top_p.misconception(
    "Each token was compared with p times the likeliest. That is another filter, called min-p. "
    "Here the likeliest tokens together have to hold p."
)
def compares_with_the_likeliest(logits, p):
    probs = logits.softmax(dim=-1)
    return logits.masked_fill(probs < p * probs.amax(dim=-1, keepdim=True), -math.inf)


@keep_top_p.misconception(
    "p was taken for a share of the tokens: p · V of them stayed. It is a share of the "
    "probability: few tokens where the model is sure, many where it is not."
)
def takes_a_share_of_the_tokens(logits, p):
    return sampling.keep_top_k(logits, max(1, round(p * logits.shape[-1])))


@keep_top_p.misconception(
    "The set holds 1 - p, where it should hold p: what was meant to go has stayed, or the other "
    "end was counted."
)
def keeps_one_minus_p(logits, p):
    return sampling.keep_top_p(logits, 1 - p)


@keep_top_p.misconception(
    "The other way round: the likeliest tokens, which hold p, are gone, and the rest stayed. "
    "masked_fill fills where its mask is True, so the mask has to say what goes."
)
def removes_the_likeliest(logits, p):
    stays = _stays(sampling.keep_top_p(logits, p))
    return logits.masked_fill(stays, -math.inf)


@keep_top_p.misconception(
    "What goes was set to 0. A score of 0 is an ordinary score, e⁰ = 1, and above every negative "
    "one: those tokens would still be drawn. Only -inf becomes a probability of 0."
)
def gives_the_rest_a_score_of_zero_(logits, p):
    return logits.masked_fill(~_stays(sampling.keep_top_p(logits, p)), 0.0)


@keep_top_p.misconception(
    "What goes was set to a large negative number. It does its work as long as the other scores "
    "are not as low themselves; the exercise asks for -inf, literally: `float('-inf')` or "
    "`-math.inf`."
)
def gives_the_rest_a_large_negative_number_(logits, p):
    return logits.masked_fill(~_stays(sampling.keep_top_p(logits, p)), -1e9)


@keep_top_p.variant(gives_the_rest_a_large_negative_number_)
def gives_the_rest_minus_ten_thousand_(logits, p):
    return logits.masked_fill(~_stays(sampling.keep_top_p(logits, p)), -1e4)


@keep_top_p.variant(gives_the_rest_a_large_negative_number_)
def gives_the_rest_minus_ten_to_the_ten_(logits, p):
    return logits.masked_fill(~_stays(sampling.keep_top_p(logits, p)), -1e10)


@keep_top_p.variant(gives_the_rest_a_large_negative_number_)
def gives_the_rest_the_least_number_(logits, p):
    least = torch.finfo(logits.dtype).min
    return logits.masked_fill(~_stays(sampling.keep_top_p(logits, p)), least)


@keep_top_p.misconception(
    "The softmax ran down the columns, so that each token was shared out among the rows. A row is "
    "a text, and its tokens share the probability: `dim=-1`."
)
def takes_the_softmax_of_the_columns(logits, p):
    ordered, order = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(dim=0)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


@keep_top_p.misconception(
    "The order of the first row was used for all rows. Each row is a text of its own."
)
def uses_the_order_of_the_first_row(logits, p):
    order = logits[0].argsort(descending=True)
    probs = logits.softmax(dim=-1)[:, order]
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop[:, order.argsort()], -math.inf)


@keep_top_p.misconception(
    "A token that goes in one row went in every row: `logits[:, ids] = -inf` means these columns "
    "in all rows. `scatter` keeps the rows apart."
)
def removes_in_every_row_what_one_row_removes(logits, p):
    stays = _stays(sampling.keep_top_p(logits, p)).all(dim=0)
    return logits.masked_fill(~stays, -math.inf)


@keep_top_p.misconception(
    "e to the power of the scores was taken without care for large ones: e³⁰⁰⁰ is inf and e to the "
    "-20,000 is 0, and shares of these are nan. `softmax` subtracts the largest score first."
)
def takes_the_exponentials_of_large_scores(logits, p):
    ordered, order = logits.sort(dim=-1, descending=True)
    probs = ordered.exp() / ordered.exp().sum(dim=-1, keepdim=True)
    drop = probs.cumsum(dim=-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


@keep_top_p.misconception(
    "These are probabilities. The softmax is needed to find out what goes; what comes back is the "
    "scores, with -inf where a token went."
)
def returns_probabilities(logits, p):
    return sampling.keep_top_p(logits, p).softmax(dim=-1)


@keep_top_p.variant(returns_probabilities)
def returns_probabilities_that_are_not_shared_out_again(logits, p):
    return logits.softmax(dim=-1) * _stays(sampling.keep_top_p(logits, p))


@keep_top_p.misconception(
    "This is the mask. It still has to be used: the result is the scores, with -inf where the mask "
    "says that a token goes."
)
def returns_the_mask_(logits, p):
    return _stays(sampling.keep_top_p(logits, p))


@keep_top_p.misconception(
    "Nothing went: the scores came back as they were. `masked_fill` returns a new tensor, which "
    "has to be kept."
)
def keeps_everything_(logits, p):
    return logits


@keep_top_p.misconception("Only the likeliest token stayed, whatever p is.")
def keeps_the_likeliest_alone(logits, p):
    return sampling.keep_top_k(logits, 1)


@keep_top_p.misconception(
    "The scores were changed in place (`logits[...] = `, `masked_fill_`): the caller's scores are "
    "gone afterwards. `masked_fill`, without the last underscore, makes new ones."
)
def fills_in_place_(logits, p):
    logits[~_stays(sampling.keep_top_p(logits, p))] = -math.inf
    return logits


@keep_top_p.misconception(
    "Somewhere a .detach(), no_grad, .data, .tolist() or numpy cut the result off from the scores: "
    "the numbers are right, but no gradient comes through."
)
def cuts_the_gradient__(logits, p):
    return sampling.keep_top_p(logits, p).detach()


@keep_top_p.misconception(
    "The result is float32 whatever came in. Let it have the type of the scores."
)
def always_float32__(logits, p):
    return sampling.keep_top_p(logits.float(), p)


@keep_top_p.also_right
def masking_in_sorted_order(logits, p):
    ordered, ids = torch.sort(logits, dim=-1, descending=True)
    sums = torch.cumsum(torch.softmax(ordered, dim=-1), dim=-1)
    remove = sums >= p
    remove = torch.cat([torch.zeros_like(remove[:, :1]), remove[:, :-1]], dim=-1)
    ordered = ordered.masked_fill(remove, float("-inf"))
    return torch.zeros_like(logits).scatter(-1, ids, ordered)


@keep_top_p.also_right
def adding_tokens_until_they_suffice(logits, p):
    result = torch.full_like(logits, float("-inf"))
    for b, row in enumerate(logits):
        probs, mass = torch.softmax(row, dim=-1), 0.0
        for token in probs.argsort(descending=True).tolist():
            result[b, token] = row[token]
            mass += probs[token].item()
            if mass >= p:
                break
    return result


@keep_top_p.also_right
def removing_from_the_tail(logits, p):
    ordered, ids = logits.sort(dim=-1)  # the least likely first
    goes = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    goes[:, -1] = False
    return logits.masked_fill(goes.gather(-1, ids.argsort(dim=-1)), -torch.inf)


@keep_top_p.also_right
def asking_what_the_better_ones_hold(logits, p):
    probs = logits.softmax(dim=-1)
    better = probs[:, None, :] > probs[:, :, None]  # (B, V, V): is the last one better?
    held = (better * probs[:, None, :]).sum(dim=-1)
    stays = (held < p) | (probs == probs.amax(dim=-1, keepdim=True))
    return torch.where(stays, logits, -torch.inf)


@keep_top_p.also_right
def counting_how_many_are_needed(logits, p):
    ordered = logits.sort(dim=-1, descending=True).values
    short = ordered.softmax(dim=-1).cumsum(dim=-1) < p
    needed = short.sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return logits.masked_fill(logits < ordered.gather(-1, needed), -torch.inf)


# A model to generate with -----------------------------------------------------------------------


@dataclass(frozen=True)
class Stub:
    """Describes a model that generate is tried with; every attempt builds its `Model` anew.

    Args:
        chances: for each last token the probabilities of the next one, or one row for whatever
            token is the last. Without them the next id is certain, and depends on every token in
            view and on its place.
    """

    vocab_size: int
    n_ctx: int
    chances: tuple[tuple[float, ...], ...] = ()
    dtype: torch.dtype = torch.float32

    def __repr__(self) -> str:
        return f"<a model of {self.vocab_size} tokens, n_ctx {self.n_ctx}>"

    def scores_after_each(self) -> Tensor:
        """Scores (V, V): a row for each last token."""
        V = self.vocab_size
        return torch.tensor(self.chances, dtype=self.dtype).log().expand(V, V)

    def logits(self, idx: Tensor) -> Tensor:
        """Scores (B, T, V), each row from the tokens up to there alone."""
        if self.chances:
            return self.scores_after_each()[idx]
        place = torch.arange(1, idx.shape[1] + 1)
        likeliest = (3 * (idx * place).cumsum(dim=-1) + 1) % self.vocab_size
        distance = (torch.arange(self.vocab_size) - likeliest[..., None]).abs()
        return -30 * distance.to(self.dtype)  # even at temperature 2 the next one has e⁻¹⁵


class _Promised:
    """An object with nothing but what the exercise promises."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"generate calls model(idx) and reads model.config.n_ctx; {name!r} is not there for it"
        )


class Config(_Promised):
    """The one size that generate may read."""

    def __init__(self, n_ctx: int):
        self.n_ctx = n_ctx


class Model(_Promised):
    """What an answer is given for a Stub; it keeps the length of its longest view."""

    def __init__(self, stub: Stub):
        self.config, self._stub, self._longest = Config(stub.n_ctx), stub, 0

    def __call__(self, idx: Tensor) -> Tensor:
        n_ctx, shape = self._stub.n_ctx, tuple(idx.shape)
        if len(shape) != 2 or idx.is_floating_point():
            raise ValueError(f"a model takes whole numbers (B, T), got {idx.dtype} of {shape}")
        if not 1 <= shape[1] <= n_ctx:
            raise ValueError(f"a model takes 1 to n_ctx={n_ctx} tokens, got {shape[1]}")
        self._longest = max(self._longest, shape[1])
        return self._stub.logits(idx)


# What can be said of draws ----------------------------------------------------------------------

DRAWS = 1000  # rows of one call whose draws are counted
TEXTS = 600  # the same of generate, whose answers take longer
# A right answer's count strays farther than this with a probability of at most 2 · exp(-SURPRISE)
# (Chernoff's bound). The cases of an exercise hold fewer than 150 counts, so that a right answer
# is refused with a probability below 300 · exp(-21) = 3e-7. As the seeds stay the same, that is
# once for each way of using the generator, and not at each check.
SURPRISE = 21.0
# Where several mistakes explain counts, those whose ln-likelihood lies so near to the best one's
# can't be told apart: the first of them is taken, so that chance does not choose.
LIKE_ENOUGH = 8.0
ALL_THE_SAME = "all draw the same"
SHARES = "the share of each, chance taken out"  # the key under which shares are compared


@dataclass(frozen=True)
class Seed:
    """Stands for a generator in the arguments of a case; every call gets a new one.

    Args:
        number: what the generator is seeded with; None for torch's global one.
        ask: the question put to the answer; called with it and its other arguments.
    """

    number: int | None
    ask: Callable[..., Any]

    def __repr__(self) -> str:
        return "None" if self.number is None else f"seeded with {self.number}"

    def generator(self, further: int = 0) -> torch.Generator | None:
        """A generator in its first state; `further` tells other seeds apart."""
        number = (self.number or 0) + further
        if self.number is None:
            torch.default_generator.manual_seed(number)
            return None
        return torch.Generator().manual_seed(number)


@dataclass(eq=False)
class Drawing(Exercise):
    """An exercise whose answer draws: its last argument, a Seed, says what is asked of the draws.

    The parameters are those of the contract; the package's own component has further ones.
    """

    def __post_init__(self):
        self.call = _call_with_seed

    def parameter_names(self) -> list[str]:
        names = super().parameter_names()
        return names[: names.index("generator") + 1]


def _call_with_seed(answer: Answer, *args: Any) -> Any:
    """Put the question of the seed; torch's global generator is afterwards where it was."""
    *args, seed = args
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return seed.ask(answer, *args, seed)


def _surprise(counts: Tensor, probs: Tensor) -> Tensor:
    """-ln of Chernoff's bound on so large a distance of each count from its probability."""
    n = counts.sum(dim=-1, keepdim=True)
    share, probs = counts / n, probs.clamp(0, 1)
    xlogy = torch.special.xlogy
    seen = xlogy(share, share) - xlogy(share, probs)
    not_seen = xlogy(1 - share, 1 - share) - xlogy(1 - share, 1 - probs)
    return n * (seen + not_seen)


def _fits(counts: Tensor, probs: Tensor) -> bool:
    """Whether chance explains counts (..., n); a count where the probability is 0 never fits."""
    return bool((_surprise(counts, probs) <= SURPRISE).all())


def _without_chance(
    counts: Tensor, right: Tensor, wrong: Callable[[], list[Tensor]]
) -> Tensor | None:
    """The probabilities that counts (K, V) stand for, None where all rows of a kind drew the same.

    They are the right ones where chance explains the difference, those of a listed mistake where
    it is that; so one mistake gives one result, however it draws. Others are rounded shares.
    """
    if _fits(counts, right):
        return right
    shares = counts / counts.sum(dim=-1, keepdim=True)
    if (shares.amax(dim=-1) == 1).all() and not (right.amax(dim=-1) == 1).all():
        return None
    explained = [probs for probs in wrong() if _fits(counts, probs)]
    far = [(counts * (shares.log() - probs.log())).nansum().item() for probs in explained]
    for probs, distance in zip(explained, far, strict=True):
        if distance <= min(far) + LIKE_ENOUGH:
            return probs
    return shares.mul(100).round() / 100


def _rows_say(kinds: Tensor, probs: Tensor) -> str:
    """Whether rows that have the same scores draw for themselves.

    Args:
        kinds: ids (n, K); the rows of one column had the same scores.
        probs: (K, V), the probabilities that they stand for.
    """
    n = len(kinds) // 2
    agree = (kinds[0 : 2 * n : 2] == kinds[1 : 2 * n : 2]).sum(dim=0).double()
    counts = torch.stack([agree, n - agree], dim=-1)
    chance = (probs**2).sum(dim=-1)
    alone = _fits(counts, torch.stack([chance, 1 - chance], dim=-1))
    return "each draws for itself" if alone else "they follow one another"


def _ids_say(ids: Any, vocab_size: int) -> str:
    """Type and shape of ids, and whether all of them are ids."""
    if not isinstance(ids, Tensor):
        return f"a {type(ids).__name__}, and not a tensor"
    said = f"{str(ids.dtype).removeprefix('torch.')} of shape {tuple(ids.shape)}"
    if not ids.numel() or 0 <= ids.min() and ids.max() < vocab_size:
        return said
    return f"{said}, some of them not in 0 to {vocab_size - 1}"


def _equal(one: Any, other: Any) -> str:
    same = isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return "the same" if same else "others"


def _made_anew(argument: Any) -> Any:
    """A model of its own for every call, and a copy of a tensor."""
    if isinstance(argument, Stub):
        return Model(argument)
    return argument.clone() if isinstance(argument, Tensor) else argument


def _repeats(answer: Answer, *args: Any) -> dict[str, str]:
    """Whether the draws depend on the generator's state, and on nothing else."""
    *rest, seed = args

    def draw(generator: torch.Generator | None) -> Any:
        return answer(*map(_made_anew, rest), generator)

    first = draw(seed.generator())
    again = draw(generator := seed.generator())
    further = draw(generator)
    other = draw(seed.generator(further=1))
    how = "torch.manual_seed, then generator=None" if seed.number is None else "a generator"
    return {
        f"with the same seed ({how})": _equal(first, again),
        "with another seed": _equal(first, other),
        "drawing on, without a new seed": _equal(first, further),
    }


def _grouped(ids: Tensor, borders: tuple[int, ...]) -> Tensor:
    """For each id the number of its group; a group ends before each border."""
    return torch.bucketize(ids, torch.tensor(borders), right=True) if borders else ids


def _shares_of_groups(probs: Tensor, borders: tuple[int, ...]) -> Tensor:
    """The probabilities (…, V) summed over each group."""
    if not borders:
        return probs
    groups = probs.tensor_split(borders, dim=-1)
    return torch.stack([group.sum(dim=-1) for group in groups], dim=-1)


# Nearly alike, so that all of them are drawn; the first are the best by a hair, so that a filter
# which nobody asked for shows.
_MANY = 1 - 2e-6 * torch.arange(300.0)
_BORDERS = (20, 40, 100)
_GROUPS = ("ids 0 to 19", "20 to 39", "40 to 99", "100 to 299")


def _ids_are_ids(ids: Any, logits: Tensor) -> bool:
    return _ids_say(ids, logits.shape[-1]) == f"int64 of shape {(len(logits), 1)}"


# sample_next ------------------------------------------------------------------------------------

_WRONG_CHANCES: list[Callable[[Tensor, float, int | None], Tensor]] = []  # (B, V) each


def _chances(logits: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """The right probabilities, (B, V) in float64."""
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).double()
    scores = logits.double() / temperature
    return (scores if top_k is None else sampling.keep_top_k(scores, top_k)).softmax(dim=-1)


def _shared(chances: Tensor) -> Tensor:
    """As multinomial takes them: rows that sum to 1."""
    return chances.double() / chances.double().sum(dim=-1, keepdim=True)


def _ids(answer: Answer, logits: Tensor, temperature: float, top_k: int | None, seed: Seed):
    """The ids themselves, where there is nothing to choose but among equals."""
    best = logits.argmax(dim=-1, keepdim=True)
    scores = logits.detach().clone()
    ids = answer(logits, temperature, top_k, seed.generator())
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64 or ids.shape != best.shape:
        return ids
    if not 0 <= ids.min() <= ids.max() < logits.shape[-1]:
        return ids
    as_good = scores.gather(-1, ids) == scores.gather(-1, best)
    return torch.where(as_good, best, ids)


def _shares_of(kinds: int, borders: tuple[int, ...] = ()):
    """A question: how often each token is drawn in the rows 0, kinds, 2 · kinds, … and so on.

    With borders, how often each group of tokens is.
    """

    def ask(answer: Answer, logits: Tensor, temperature: float, top_k: int | None, seed: Seed):
        V, scores = logits.shape[-1], logits.clone()
        ids = answer(logits, temperature, top_k, seed.generator())
        if ids is None:
            return None
        said = {"the ids": _ids_say(ids, V)}
        if not _ids_are_ids(ids, scores):
            return said
        drawn = _grouped(ids.view(-1, kinds), borders)
        counts = F.one_hot(drawn, len(borders) + 1 if borders else V).sum(dim=0).double()
        right = _chances(scores[:kinds], temperature, top_k)

        def wrong() -> list[Tensor]:
            all_rows = [_shared(chances(scores, temperature, top_k)) for chances in _WRONG_CHANCES]
            return [_shares_of_groups(probs[:kinds], borders) for probs in all_rows]

        probs = _without_chance(counts, _shares_of_groups(right, borders), wrong)
        if probs is None:
            return {**said, "the rows": ALL_THE_SAME}
        return {**said, "the rows": _rows_say(drawn, probs), SHARES: probs}

    return ask


def _small_batches(answer: Answer, logits: Tensor, temperature: float, top_k, seed: Seed):
    """Whether rows of one call differ, and calls with one generator."""
    generator = seed.generator()
    calls = []
    for _ in range(30):
        calls.append(answer(logits.clone(), temperature, top_k, generator))
        if not _ids_are_ids(calls[-1], logits):
            return {"the ids": _ids_say(calls[-1], logits.shape[-1])}
    ids = torch.stack(calls).flatten(1)  # (calls, rows)
    return {
        "the rows of one call": "differ" if (ids != ids[:, :1]).any() else "are always the same",
        "the calls": "differ" if (ids != ids[:1]).any() else "are always the same",
    }


_FOUR_WORDS = ("robots", "orders", "and", "me")
_FOUR_SCORES = torch.tensor([[1.5, 4.2, 0.3, 2.4]])
_THREE_ROWS = torch.tensor([[1.2, 3.0, -0.4, 1.8], [0.4, -1.0, 0.9, 0.1], [2.5, -2.0, -1.0, 0.5]])
_FAR_APART = torch.tensor(
    [[10.0, 60.0, -30.0, 25.0], [5.0, -90.0, -40.0, 70.0], [0.0, -40.0, -20.0, -70.0]]
)
_EQUALS = torch.tensor([[-30.0, 60.0, 60.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
_NEARLY_EQUAL = torch.tensor([[0.5, -3.0, 0.500002, -4.0]])
_NEAR_MINUS_80 = torch.tensor([[-80.02, -80.00, -80.1, -80.01]])


def _counted(label: str, scores: Tensor, temperature: float, top_k: int | None, seed: int) -> Case:
    """A case whose draws are counted; the rows of scores come by turns."""
    K = len(scores)
    rows = ("every row",) if K == 1 else tuple(f"rows {i}, {i + K}, …" for i in range(K))
    args = (scores.repeat(DRAWS // K, 1), temperature, top_k, Seed(seed, _shares_of(K)))
    return Case(label, args, rows=rows, columns=_FOUR_WORDS)


sample_next = Drawing(
    sampling.sample_next,
    lesson="11_sampling",
    cases=[
        # Where ids are compared, scores lie so far apart that no draw takes another: an answer
        # that draws where it should not is found where draws are counted.
        Case(
            "temperature 0: the likeliest of each row",
            (_FAR_APART, 0.0, None, Seed(1, _ids)),
            rows=("text 0", "text 1", "text 2"),
            columns=("next id",),
        ),
        _counted("1,000 rows with the same four scores", _FOUR_SCORES, 1.0, None, seed=2),
        _counted("temperature 3", _FOUR_SCORES, 3.0, None, seed=3),
        _counted("temperature 0.5", _FOUR_SCORES, 0.5, None, seed=4),
        _counted("temperature 0: no chance at all", _THREE_ROWS, 0.0, None, seed=5),
        _counted("the best two of four", _FOUR_SCORES, 1.0, 2, seed=6),
        _counted("top_k = 1 leaves the likeliest alone", _FOUR_SCORES, 1.5, 1, seed=7),
        _counted("the best three of four, temperature 2", _FOUR_SCORES, 2.0, 3, seed=8),
        _counted("top_k above V keeps all", _FOUR_SCORES, 1.0, 9, seed=9),
        _counted(
            "three rows by turns, the best two, temperature 0.4", _THREE_ROWS, 0.4, 2, seed=10
        ),
        _counted(
            "temperature 0.01, scores near -80 that differ by hundredths",
            _NEAR_MINUS_80,
            0.01,
            None,
            seed=11,
        ),
        _counted("temperature 0 with top_k", _THREE_ROWS, 0.0, 3, seed=12),
        _counted("temperature 0, two scores almost equal", _NEARLY_EQUAL, 0.0, None, seed=13),
        Case("temperature 0, equal scores: any of them", (_EQUALS, 0.0, None, Seed(14, _ids))),
        Case("one row, temperature 0", (_FAR_APART[1:2], 0.0, None, Seed(15, _ids))),
        Case("one row, temperature 0.8", (_FAR_APART[1:2], 0.8, 2, Seed(16, _ids))),
        Case("one token alone", (normal(3, 1, seed=44), 1.0, None, Seed(17, _ids))),
        Case("thirty calls for six rows", (torch.zeros(6, 5), 1.0, None, Seed(18, _small_batches))),
        Case("draws with seeds", (torch.zeros(64, 5), 1.0, 4, Seed(19, _repeats))),
        Case("draws from everything", (torch.zeros(64, 5), 1.0, None, Seed(23, _repeats))),
        Case(
            "draws with torch's own generator",
            (torch.zeros(64, 5), 1.0, None, Seed(None, _repeats)),
        ),
        _counted("scores in float64", _FOUR_SCORES.double(), 1.0, 3, seed=20),
        Case(
            "top_k None: any of 300 tokens can be drawn",
            (_MANY.repeat(DRAWS // 2, 1), 1.0, None, Seed(22, _shares_of(1, _BORDERS))),
            rows=("every row",),
            columns=_GROUPS,
        ),
        Case(
            "scores not in one piece in memory",
            (strided(_FOUR_SCORES.repeat(DRAWS, 1)), 1.0, 2, Seed(21, _shares_of(1))),
            rows=("every row",),
            columns=_FOUR_WORDS,
        ),
    ],
    properties=[
        Property(
            "one int64 id for each row: shape (B, 1)",
            lambda f: _answers_have_shape(f),
            of_result=lambda got, logits, *rest: (
                not isinstance(got, Tensor) or _ids_are_ids(got, logits)
            ),
        ),
        Property("temperature 0 takes the likeliest", lambda f: _takes_the_likeliest(f, 0.0, None)),
        Property("top_k = 1 takes the likeliest", lambda f: _takes_the_likeliest(f, 1.0, 1)),
        Property("only the k likeliest are drawn", lambda f: _draws_the_best_two(f)),
        Property(
            "equal scores are drawn equally often, whatever the temperature",
            lambda f: _equals_are_equal(f),
        ),
        Property("the same seed, the same draws", lambda f: _seed_decides(f)),
        Property("rows with the same scores draw for themselves", lambda f: _rows_differ(f)),
    ],
)


def _seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def _answers_have_shape(f) -> bool:
    settings = ((0.0, None), (1.0, None), (0.7, 2))
    return all(_ids_are_ids(f(_THREE_ROWS.clone(), *s, _seeded(1)), _THREE_ROWS) for s in settings)


def _takes_the_likeliest(f, temperature: float, top_k: int | None) -> bool:
    rows = _THREE_ROWS.repeat(20, 1)
    ids = f(rows.clone(), temperature, top_k, _seeded(1))
    return torch.equal(ids.flatten(), rows.argmax(dim=-1))


def _draws_the_best_two(f) -> bool:
    ids = f(_FOUR_SCORES.repeat(200, 1), 1.0, 2, _seeded(1))
    return set(ids.flatten().tolist()) == {1, 3}


def _equals_are_equal(f) -> bool:
    for temperature in (0.5, 2.0):
        ids = f(torch.zeros(DRAWS, 4), temperature, None, _seeded(1))
        if not _fits(F.one_hot(ids.flatten(), 4).sum(dim=0).double(), torch.full((4,), 0.25)):
            return False
    return True


def _seed_decides(f) -> bool:
    one, same, other = (f(torch.zeros(64, 5), 1.0, None, _seeded(n)) for n in (1, 1, 2))
    return torch.equal(one, same) and not torch.equal(one, other)


def _rows_differ(f) -> bool:
    ids = f(torch.zeros(64, 5), 1.0, None, _seeded(1))
    return ids.unique().numel() > 1


def _drawing(chances: Callable[[Tensor, float, int | None], Tensor]) -> Answer:
    """Decorator: an answer that draws with these probabilities, (B, V) from scores and settings.

    They are also among those that counts are held against. At temperature 0 it is right.
    """

    @wraps(chances)
    def answer(logits, temperature, top_k, generator):
        if temperature == 0:
            return logits.argmax(dim=-1, keepdim=True)
        return torch.multinomial(chances(logits, temperature, top_k), 1, generator=generator)

    _WRONG_CHANCES.append(chances)
    return answer


def _drawing_even_at_zero(chances: Callable[[Tensor, float, int | None], Tensor]) -> Answer:
    """Decorator: the same, for a mistake that concerns temperature 0."""

    @wraps(chances)
    def answer(logits, temperature, top_k, generator):
        return torch.multinomial(chances(logits, temperature, top_k), 1, generator=generator)

    _WRONG_CHANCES.append(chances)
    return answer


def _filtered(scores, top_k):
    return scores if top_k is None else sampling.keep_top_k(scores, top_k)


@sample_next.misconception(
    "The temperature has no effect: the draws follow the scores as they came. Divide the scores by "
    "the temperature *before* the softmax, and keep the result; dividing the probabilities "
    "afterwards leaves their ratio, and so the draws, as they were."
)
@_drawing
def forgets_the_temperature(logits, temperature, top_k):
    return _filtered(logits, top_k).softmax(dim=-1)


@sample_next.misconception(
    "The scores were multiplied by the temperature. A low temperature then makes the draws wilder, "
    "and a high one tamer; it should be the other way round: divide."
)
@_drawing
def multiplies_by_the_temperature_(logits, temperature, top_k):
    return _filtered(logits * temperature, top_k).softmax(dim=-1)


@sample_next.misconception(
    "top_k has no effect: tokens beyond the k best were drawn, too. The filter returns new scores, "
    "and the softmax has to be taken of those."
)
@_drawing
def forgets_top_k(logits, temperature, top_k):
    return (logits / temperature).softmax(dim=-1)


@sample_next.misconception(
    "Neither the temperature nor top_k has an effect: the draws follow the scores as they came. "
    "Both give new scores, and the softmax has to be taken of those."
)
@_drawing
def forgets_temperature_and_top_k(logits, temperature, top_k):
    return logits.softmax(dim=-1)


@sample_next.misconception(
    "Where top_k is None, a number was put in its place, such as 40, and no token beyond that many "
    "can be drawn. None means: no filter. Ask `if top_k is not None:` before you filter."
)
@_drawing
def cuts_at_40_unasked(logits, temperature, top_k):
    return _filtered(logits / temperature, top_k or 40).softmax(dim=-1)


@sample_next.variant(cuts_at_40_unasked)
@_drawing
def cuts_at_50_unasked(logits, temperature, top_k):
    return _filtered(logits / temperature, top_k or 50).softmax(dim=-1)


@sample_next.misconception(
    "One token too many can be drawn. Counting begins at 0, so in a sorted row the k-th score is "
    "the one with number k - 1."
)
@_drawing
def lets_one_too_many_in(logits, temperature, top_k):
    return _filtered(logits / temperature, top_k and top_k + 1).softmax(dim=-1)


@sample_next.misconception(
    "One token too few can be drawn: what equals the k-th score went, too. The k-th itself belongs "
    "to the k. (With top_k = 1 nothing is left, and torch says that the probabilities are nan.)"
)
@_drawing
def lets_one_too_few_in(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is None or top_k > logits.shape[-1]:
        return scores.softmax(dim=-1)
    return scores.masked_fill(scores <= _kth(scores, top_k), -math.inf).softmax(dim=-1)


@sample_next.misconception(
    "The k lowest scores were kept. `topk` takes the largest as long as `largest` is left alone, "
    "and a sorted row begins with the lowest."
)
@_drawing
def draws_among_the_lowest(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is None:
        return scores.softmax(dim=-1)
    border = scores.topk(min(top_k, scores.shape[-1]), dim=-1, largest=False).values[:, -1:]
    return scores.masked_fill(scores > border, -math.inf).softmax(dim=-1)


@sample_next.misconception(
    "What is not among the k best got a score of 0. That is an ordinary score: e⁰ = 1, so these "
    "tokens are still drawn. Only -inf becomes a probability of 0. (Setting *probabilities* to 0 "
    "is right, if no softmax follows.)"
)
@_drawing
def gives_the_rest_a_score_of_zero__(logits, temperature, top_k):
    scores = logits / temperature
    stays = _stays(_filtered(scores, top_k))
    return scores.masked_fill(~stays, 0.0).softmax(dim=-1)


@sample_next.misconception(
    "The softmax was taken twice: probabilities were taken for scores and shared out again, which "
    "makes them nearly even. multinomial takes the probabilities as they are."
)
@_drawing
def takes_the_softmax_twice(logits, temperature, top_k):
    return _filtered(logits / temperature, top_k).softmax(dim=-1).softmax(dim=-1)


@sample_next.misconception(
    "The softmax was taken first, and then temperature, filter and a softmax again worked on the "
    "probabilities as if they were scores. Order: temperature, filter, softmax, draw."
)
@_drawing
def takes_the_softmax_first(logits, temperature, top_k):
    return _filtered(logits.softmax(dim=-1) / temperature, top_k).softmax(dim=-1)


@sample_next.misconception(
    "All tokens that are left were drawn equally often. How likely each one is stands in the "
    "softmax of the scores; multinomial draws with these probabilities."
)
@_drawing
def draws_evenly(logits, temperature, top_k):
    stays = _stays(_filtered(logits, top_k)).to(logits.dtype)
    return stays / stays.sum(dim=-1, keepdim=True)


@sample_next.misconception(
    "What came back is a place among the k best, and not an id: place 0 is the likeliest token, "
    "whatever its id. `ids.gather(-1, place)` looks the id up in what `topk` returned beside the "
    "scores."
)
@_drawing
def returns_the_place_among_the_best(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is None:
        return scores.softmax(dim=-1)
    best = scores.topk(min(top_k, scores.shape[-1]), dim=-1).values.softmax(dim=-1)
    return F.pad(best, (0, scores.shape[-1] - best.shape[-1]))


@sample_next.misconception(
    "What came back is a place in the sorted row, and not an id: place 0 is the likeliest token, "
    "whatever its id. `order.gather(-1, place)` looks the id up in what `sort`, or `topk`, gave "
    "beside the scores."
)
@_drawing
def returns_the_place_in_the_sorted_row(logits, temperature, top_k):
    probs = _filtered(logits / temperature, top_k).softmax(dim=-1)
    return probs.sort(dim=-1, descending=True).values


@sample_next.misconception(
    "The softmax ran down the columns, so that each token was shared out among the rows. A row is "
    "a text, and its tokens share the probability: `dim=-1`."
)
@_drawing
def takes_the_softmax_of_the_columns_(logits, temperature, top_k):
    return _filtered(logits / temperature, top_k).softmax(dim=0)


@sample_next.misconception(
    "All rows were drawn from the scores of the first one. Each row is a text of its own."
)
@_drawing
def draws_every_row_from_the_first(logits, temperature, top_k):
    first = _filtered(logits[:1] / temperature, top_k).softmax(dim=-1)
    return first.expand(logits.shape).contiguous()


@sample_next.misconception(
    "One border was used for all rows. What is the k-th best of one text says nothing about "
    "another: `values[:, -1:]` keeps a border for each row."
)
@_drawing
def uses_one_border_for_all_rows(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is None:
        return scores.softmax(dim=-1)
    return scores.masked_fill(scores < _kth(scores, top_k).min(), -math.inf).softmax(dim=-1)


@sample_next.misconception(
    "Low temperatures were raised to a least one. 0.01 is asked, and divides as any other; only 0 "
    "is a case of its own."
)
@_drawing
def raises_low_temperatures_(logits, temperature, top_k):
    return _filtered(logits / max(temperature, 0.1), top_k).softmax(dim=-1)


@sample_next.misconception(
    "Temperatures above 1 were taken for 1. They are allowed: above 1 the scores draw together, "
    "and rarer tokens get a chance."
)
@_drawing
def takes_more_than_one_for_one_(logits, temperature, top_k):
    return _filtered(logits / min(temperature, 1.0), top_k).softmax(dim=-1)


@sample_next.misconception(
    "The likeliest token was taken, always. That is right at temperature 0; above it, draw: "
    "`torch.multinomial(probs, num_samples=1, generator=generator)`."
)
def always_takes_the_likeliest(logits, temperature, top_k, generator):
    return logits.argmax(dim=-1, keepdim=True)


@sample_next.misconception(
    "All rows drew with the same random number, so that equal texts go on alike. Each row needs a "
    "draw of its own; multinomial draws for each row of a matrix."
)
def draws_once_for_all_rows(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    probs = _filtered(logits / temperature, top_k).softmax(dim=-1)
    u = torch.rand(1, generator=generator)
    return (probs.cumsum(dim=-1) <= u).sum(dim=-1, keepdim=True)


@sample_next.misconception(
    "Temperature 0 was not treated apart: dividing by 0 gives inf and nan, and no probabilities. "
    "At 0 there is nothing to draw: `logits.argmax(dim=-1, keepdim=True)`."
)
def divides_by_zero(logits, temperature, top_k, generator):
    probs = _filtered(logits / temperature, top_k).softmax(dim=-1)
    return torch.multinomial(probs, 1, generator=generator)


@sample_next.variant(divides_by_zero)
def asks_apply_temperature_for_zero(logits, temperature, top_k, generator):
    probs = _filtered(sampling.apply_temperature(logits, temperature), top_k).softmax(dim=-1)
    return torch.multinomial(probs, 1, generator=generator)


@sample_next.misconception(
    "At temperature 0 the draws followed the scores as they came. 0 means: no chance at all, the "
    "likeliest token, `logits.argmax(dim=-1, keepdim=True)`. (`if temperature:` is false for 0.)"
)
@_drawing_even_at_zero
def takes_zero_for_no_temperature(logits, temperature, top_k):
    return _filtered(logits / (temperature or 1.0), top_k).softmax(dim=-1)


@sample_next.misconception(
    "At temperature 0 a small number was put in its place. As long as the likeliest tokens are not "
    "nearly equal, that looks the same; where they are, chance decides again. Take the argmax."
)
@_drawing_even_at_zero
def puts_a_small_number_in_place_of_zero(logits, temperature, top_k):
    return _filtered(logits / max(temperature, 1e-6), top_k).softmax(dim=-1)


@sample_next.variant(puts_a_small_number_in_place_of_zero)
@_drawing_even_at_zero
def puts_a_hundred_thousandth_in_place_of_zero(logits, temperature, top_k):
    return _filtered(logits / max(temperature, 1e-5), top_k).softmax(dim=-1)


@sample_next.variant(puts_a_small_number_in_place_of_zero)
@_drawing_even_at_zero
def puts_a_thousandth_in_place_of_zero(logits, temperature, top_k):
    return _filtered(logits / max(temperature, 1e-3), top_k).softmax(dim=-1)


@sample_next.variant(puts_a_small_number_in_place_of_zero)
@_drawing_even_at_zero
def puts_a_hundredth_in_place_of_zero(logits, temperature, top_k):
    return _filtered(logits / max(temperature, 1e-2), top_k).softmax(dim=-1)


@sample_next.misconception(
    "At temperature 0 the least likely token came back: argmin, or the first of a sorted row."
)
def takes_the_least_likely_at_zero(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmin(dim=-1, keepdim=True)
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "At temperature 0 the maximum was looked for down the columns. A row is a text, its tokens are "
    "compared with each other: `dim=-1`."
)
def looks_for_the_likeliest_in_the_columns(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=0, keepdim=True)
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "At temperature 0 one place came back for the whole batch: `argmax()` without `dim` counts "
    "through all rows. Say `dim=-1, keepdim=True`."
)
def looks_for_one_likeliest_in_the_batch(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax()
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "At temperature 0 the score of the likeliest token came back, and not its id: `max` gives "
    "both, `values` and `indices`."
)
def returns_the_score_at_zero(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.max(dim=-1, keepdim=True).values
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "The ids came back with one axis: shape (B,). The exercise asks for (B, 1), which can be "
    "appended to texts (B, T) as it is: `keepdim=True`, and no squeeze."
)
def forgets_the_last_axis(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator)[:, 0]


@sample_next.variant(forgets_the_last_axis)
def forgets_the_last_axis_at_zero(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.variant(forgets_the_last_axis)
def forgets_the_last_axis_of_draws(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    return sampling.sample_next(logits, temperature, top_k, generator).flatten()


@sample_next.misconception(
    "All axes of size 1 were removed, so that a single row comes back without axes. Leave out the "
    "squeeze: the exercise asks for (B, 1)."
)
def squeezes_the_ids(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator).squeeze()


@sample_next.misconception(
    "`.item()` makes one number of one entry, and refuses where a batch has several rows. Keep the "
    "tensor: (B, 1)."
)
def makes_a_number_of_a_batch(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator).item()


@sample_next.misconception(
    "The ids are right, but they are no int64: ids are whole numbers of torch's usual type, so "
    "that an embedding takes them."
)
def returns_ids_of_another_type(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator).float()


@sample_next.variant(returns_ids_of_another_type)
def returns_ids_of_half_the_size(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator).int()


@sample_next.misconception("The ids came back as a list. The exercise asks for a tensor (B, 1).")
def returns_a_list(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k, generator).tolist()


@sample_next.misconception(
    "multinomial was given the scores. It needs probabilities, none below 0: the softmax of the "
    "scores."
)
def draws_from_the_scores(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    scores = _filtered(logits / temperature, top_k)
    return torch.multinomial(scores, 1, generator=generator)


@sample_next.misconception(
    "The filter worked on the probabilities and put -inf among them; multinomial refuses that. "
    "Filter the scores and take the softmax afterwards."
)
def puts_infinity_among_the_probabilities(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    probs = _filtered((logits / temperature).softmax(dim=-1), top_k)
    return torch.multinomial(probs, 1, generator=generator)


@sample_next.misconception(
    "e to the power of the scores was taken without care for large ones: at temperature 0.01 a "
    "score of -80 becomes e to the -8,000, which is 0, and the shares are nan. `softmax` subtracts "
    "the largest score first."
)
def takes_the_exponentials_of_large_scores_(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    odds = _filtered(logits / temperature, top_k).exp()
    return torch.multinomial(odds / odds.sum(dim=-1, keepdim=True), 1, generator=generator)


@sample_next.misconception(
    "`topk` was asked for more scores than there are tokens, and refuses. Where top_k is larger, "
    "all of them stay: `min(top_k, logits.shape[-1])`."
)
def asks_for_more_than_there_are_(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    if top_k is not None:
        logits = logits.masked_fill(logits < logits.topk(top_k, dim=-1).values[:, -1:], -math.inf)
    return torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator)


@sample_next.misconception(
    "top_k = None was passed on to the filter, which needs a number. None means: no filter."
)
def filters_with_none(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    scores = logits.masked_fill(logits < _kth(logits, top_k), -math.inf)
    return torch.multinomial((scores / temperature).softmax(dim=-1), 1, generator=generator)


@sample_next.variant(filters_with_none)
def asks_topk_for_none(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    scores = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -math.inf)
    return torch.multinomial((scores / temperature).softmax(dim=-1), 1, generator=generator)


@sample_next.variant(filters_with_none)
def asks_keep_top_k_for_none(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    scores = sampling.keep_top_k(logits, top_k)
    return torch.multinomial((scores / temperature).softmax(dim=-1), 1, generator=generator)


@sample_next.misconception(
    "The generator was not used, so the draws cannot be repeated. Pass it on: "
    "`torch.multinomial(probs, num_samples=1, generator=generator)`."
)
def ignores_the_generator(logits, temperature, top_k, generator):
    return sampling.sample_next(logits, temperature, top_k)


@sample_next.misconception(
    "The draws begin anew at every call: a seed is set inside. A text whose tokens are all drawn "
    "with the same random number repeats itself; whoever calls sets the seed, once."
)
def sets_a_seed_of_its_own(logits, temperature, top_k, generator):
    generator = torch.Generator().manual_seed(42)
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "Every call begins anew from the generator's first seed. Then all tokens of a text are drawn "
    "with the same random number. Use the generator as it is: each draw moves it on."
)
def begins_again_from_the_first_seed(logits, temperature, top_k, generator):
    if generator is not None:
        generator = torch.Generator().manual_seed(generator.initial_seed())
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "Without a generator one was made with a fixed seed, so every call draws the same. "
    "generator=None is torch's global generator: just pass None on."
)
def makes_a_generator_where_there_is_none(logits, temperature, top_k, generator):
    generator = generator or torch.Generator().manual_seed(0)
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception(
    "Without a generator a new one was made, seeded by chance, so that torch.manual_seed has no "
    "say. generator=None is torch's global generator: just pass None on."
)
def seeds_by_chance_where_there_is_no_generator(logits, temperature, top_k, generator):
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    return sampling.sample_next(logits, temperature, top_k, generator)


@sample_next.misconception("The probability of the drawn token came back, and not its id.")
def returns_the_probability(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    ids = sampling.sample_next(logits, temperature, top_k, generator)
    return logits.softmax(dim=-1).gather(-1, ids)


@sample_next.misconception(
    "The scores were divided in place (`/=`): the caller's scores are other ones afterwards. "
    "`logits / temperature` makes new ones."
)
def divides_the_scores_in_place(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    logits /= temperature
    return sampling.sample_next(logits, 1.0, top_k, generator)


@sample_next.misconception(
    "-inf was written into the caller's scores (`logits[...] = `, `masked_fill_`). `masked_fill`, "
    "without the last underscore, makes new ones."
)
def filters_in_place(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    ids = sampling.sample_next(logits, temperature, top_k, generator)
    if top_k is not None:
        logits[logits < _kth(logits, top_k)] = -math.inf
    return ids


@sample_next.also_right
def in_four_steps(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    scores = logits / temperature
    if top_k is not None:
        border = scores.topk(min(top_k, scores.shape[-1]), dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < border, -torch.inf)
    return torch.multinomial(scores.softmax(dim=-1), num_samples=1, generator=generator)


@sample_next.also_right
def drawing_among_the_best_and_looking_up_the_id(logits, temperature, top_k, generator):
    k = 1 if temperature == 0 else min(top_k or logits.shape[-1], logits.shape[-1])
    best, ids = logits.topk(k, dim=-1)
    if k == 1:
        return ids
    probs = torch.softmax(best / temperature, dim=-1)
    place = torch.multinomial(probs, num_samples=1, generator=generator)
    return ids.gather(-1, place)


@sample_next.also_right
def a_point_on_a_line(logits, temperature, top_k, generator):
    order = logits.argsort(dim=-1, descending=True)
    if temperature == 0:
        return order[:, :1]
    best = order[:, :top_k]  # [:None] is all of them
    ends = (logits.gather(-1, best) / temperature).softmax(dim=-1).cumsum(dim=-1)
    point = torch.rand(len(logits), 1, generator=generator) * ends[:, -1:]
    place = (ends <= point).sum(dim=-1, keepdim=True).clamp(max=best.shape[-1] - 1)
    return best.gather(-1, place)


@sample_next.also_right
def noise_on_the_scores_and_the_largest(logits, temperature, top_k, generator):
    scores = logits.clone()
    if top_k is not None and top_k < scores.shape[-1]:
        border = scores.sort(dim=-1).values[:, -top_k, None]
        scores[scores < border] = -torch.inf
    uniform = torch.rand(scores.shape, generator=generator).clamp(min=1e-30)
    gumbel = -torch.log(-torch.log(uniform))
    return (scores + temperature * gumbel).argmax(dim=-1, keepdim=True)


@sample_next.also_right
def one_row_at_a_time(logits, temperature, top_k, generator):
    ids = []
    for row in logits:
        best, where = row.topk(min(top_k or len(row), len(row)))
        if temperature == 0:
            ids.append(where[:1])
        else:
            probs = torch.softmax(best / temperature, dim=0)
            ids.append(where[torch.multinomial(probs, 1, generator=generator)])
    return torch.stack(ids)


# generate ---------------------------------------------------------------------------------------


def _text(answer: Answer, stub: Stub, idx: Tensor, n: int, temperature: float, top_k, seed: Seed):
    """The ids themselves, where there is nothing to choose."""
    return answer(Model(stub), idx, n, temperature, top_k, seed.generator())


def _text_and_view(answer: Answer, stub: Stub, idx: Tensor, n: int, temperature, top_k, seed: Seed):
    """The ids, and how many tokens the model was shown at most."""
    model = Model(stub)
    text = answer(model, idx, n, temperature, top_k, seed.generator())
    if not isinstance(text, Tensor):
        return text
    return {"the text": text, "tokens in view at most": model._longest}


def _new_ids(
    answer: Answer,
    stub: Stub,
    idx: Tensor,
    n: int,
    temperature: float,
    top_k: int | None,
    seed: Seed,
    borders: tuple[int, ...] = (),
):
    """How often each new id, or pair of new ids, comes, where all rows have one prompt.

    With borders, how often each group of ids comes.
    """
    prompt, V, (B, T) = idx.clone(), stub.vocab_size, idx.shape
    text = answer(Model(stub), idx, n, temperature, top_k, seed.generator())
    if text is None:
        return None
    said = {"the ids": _ids_say(text, V)}
    if said["the ids"] != f"int64 of shape {(B, T + n)}":
        return said
    said["the prompt"] = "comes first" if torch.equal(text[:, :T], prompt) else "is not there"
    drawn = _grouped(text[:, T:] @ V ** torch.arange(n).flip(0), borders)  # a pair as one number
    kinds = len(borders) + 1 if borders else V
    counts = F.one_hot(drawn, kinds**n).sum(dim=0, keepdim=True).double()
    last, scores = int(prompt[0, -1]), stub.scores_after_each()
    after = _chances(scores, temperature, top_k)
    right = _sequence(after[last], after, n)

    def wrong() -> list[Tensor]:
        others = [_shared(c(scores, temperature, top_k)) for c in _WRONG_CHANCES]
        without_the_first = after[last].expand(V, V)
        with_one_number = torch.eye(V).double()  # where all ids are equally likely
        found = [_sequence(probs[last], probs, n) for probs in others]
        second = (without_the_first, with_one_number)
        found += [_sequence(after[last], probs, n) for probs in second]
        return [_shares_of_groups(probs, borders) for probs in found]

    probs = _without_chance(counts, _shares_of_groups(right, borders), wrong)
    if probs is None:
        return {**said, "the rows": ALL_THE_SAME}
    return {**said, "the rows": _rows_say(drawn[:, None], probs), SHARES: probs.view(-1, kinds)}


def _new_ids_in_groups(answer: Answer, *args: Any) -> Any:
    """How often each group of new ids comes."""
    return _new_ids(answer, *args, borders=_BORDERS)


def _sequence(first: Tensor, after: Tensor, n: int) -> Tensor:
    """Probabilities (1, V) of one token, or (1, V · V) of two, the second after the first."""
    return (first if n == 1 else first[:, None] * after).reshape(1, -1)


_STEEP = Stub(3, 4, ((0.1, 0.6, 0.3), (0.05, 0.02, 0.93), (0.25, 0.7, 0.05)))
_EVEN = Stub(4, 8, ((0.25,) * 4,) * 4)
_AFTER_ANY = Stub(len(_MANY), 4, (tuple((_MANY / _MANY.sum()).tolist()),))
_END_OF_TEXT = 50_256


def _certain(label: str, stub: Stub, prompts: list[list[int]], n: int, ask=_text) -> Case:
    """Texts at temperature 0."""
    places = [f"prompt {t}" for t in range(len(prompts[0]))] + [f"new {t}" for t in range(n)]
    args = (stub, torch.tensor(prompts), n, 0.0, None, Seed(1, ask))
    return Case(label, args, columns=tuple(places))


def _counted_texts(
    label: str, stub: Stub, n: int, temperature: float, top_k, seed: int, prompt: int = 1
) -> Case:
    """Many texts from one prompt, whose new ids are counted."""
    V, prompts = stub.vocab_size, torch.full((TEXTS, 1), prompt)
    return Case(
        label,
        (stub, prompts, n, temperature, top_k, Seed(seed, _new_ids)),
        rows=("first new id",) if n == 1 else tuple(f"first {a}" for a in range(V)),
        columns=tuple(f"then {b}" if n == 2 else str(b) for b in range(V)),
    )


generate = Drawing(
    sampling.generate,
    lesson="11_sampling",
    cases=[
        _certain("three new tokens", Stub(7, 8), [[3, 1]], 3),
        _certain("two texts", Stub(11, 9), [[3, 1, 4], [2, 9, 5]], 4),
        _certain("one new token", Stub(7, 8), [[6], [2], [3]], 1),
        _certain("no new token", Stub(7, 8), [[3, 1], [4, 4]], 0),
        _certain(
            "more tokens than the context of four holds",
            Stub(11, 4),
            [[3, 1], [0, 5], [7, 2]],
            6,
            _text_and_view,
        ),
        _certain("a prompt that fills the context", Stub(11, 3), [[3, 1, 4], [1, 5, 9]], 5),
        _certain("a context of one token", Stub(7, 1), [[5]], 4),
        _counted_texts("600 texts from one prompt, all ids alike", _EVEN, 2, 1.0, None, seed=3),
        _counted_texts("600 texts from one prompt", _STEEP, 2, 1.0, None, seed=4),
        _counted_texts("temperature 0.4", _STEEP, 1, 0.4, None, seed=5, prompt=0),
        _counted_texts("temperature 2.2, the best two of three", _STEEP, 1, 2.2, 2, seed=6),
        _counted_texts("temperature 0: no chance at all", _STEEP, 1, 0.0, None, seed=7),
        _counted_texts("top_k = 1 leaves the likeliest alone", _STEEP, 2, 2.0, 1, seed=8),
        _counted_texts("top_k above V keeps all", _STEEP, 1, 1.0, 9, seed=9),
        Case(
            "top_k None: any of 300 tokens can come",
            (
                _AFTER_ANY,
                torch.full((TEXTS, 1), 7),
                1,
                1.0,
                None,
                Seed(11, _new_ids_in_groups),
            ),
            rows=("first new id",),
            columns=_GROUPS,
        ),
        Case("texts with seeds", (_EVEN, torch.zeros(32, 2).long(), 3, 1.0, 3, Seed(10, _repeats))),
        Case(
            "texts with torch's own generator",
            (_EVEN, torch.zeros(32, 2).long(), 3, 1.0, None, Seed(None, _repeats)),
        ),
        _certain(
            "the end of a text comes, and writing goes on",
            Stub(_END_OF_TEXT + 1, 16),
            [[4786]],
            4,
        ),
        _certain("forty new tokens", Stub(101, 16), [[50, 3], [7, 100]], 40),
        Case(
            "ids not in one piece in memory, scores in float64",
            (
                Stub(11, 4, dtype=torch.float64),
                strided(torch.tensor([[3, 1, 4], [1, 5, 9]])),
                4,
                0.0,
                None,
                Seed(1, _text),
            ),
        ),
    ],
    properties=[
        Property(
            "T + max_new_tokens int64 ids in each row",
            lambda f: _longer_by_n(_written(f, 3), _PROMPTS, 3),
            of_result=_of_tensor(lambda y, stub, idx, n, *rest: _longer_by_n(y, idx, n)),
        ),
        Property(
            "the prompt comes first",
            lambda f: torch.equal(_written(f, 3)[:, :3], _PROMPTS),
            of_result=_of_tensor(
                lambda y, stub, idx, *rest: torch.equal(y[:, : idx.shape[1]], idx)
            ),
        ),
        Property(
            "at temperature 0 the first new token is the likeliest after the prompt",
            lambda f: (
                torch.equal(_written(f, 3)[:, 3], _likeliest(_WIDE, _PROMPTS))
                and _each_follows(_written(f, 1, _STEEP, _EVERY_ID), _STEEP, 1)
            ),
            of_result=_of_tensor(
                lambda y, stub, idx, n, *rest: (
                    n == 0 or torch.equal(y[:, idx.shape[1]], _likeliest(stub, idx))
                )
            ),
        ),
        Property(
            "at temperature 0 every new token is the likeliest after those before it",
            lambda f: (
                _each_follows(_written(f, 4), _WIDE, 3)
                and _each_follows(_written(f, 2, _STEEP, _EVERY_ID), _STEEP, 1)
            ),
            of_result=_of_tensor(lambda y, stub, idx, *rest: _each_follows(y, stub, idx.shape[1])),
        ),
        Property(
            "where the context is full, the last n_ctx tokens are in view",
            lambda f: _each_follows(_written(f, 6, Stub(11, 4)), Stub(11, 4), 3),
        ),
        Property(
            "each text is on its own",
            lambda f: torch.equal(_written(f, 4)[1:], _written(f, 4, prompts=_PROMPTS[1:])),
        ),
        Property("the same seed, the same text; another seed, another text", lambda f: _seeds(f)),
    ],
)

_WIDE = Stub(11, 20)
_PROMPTS = torch.tensor([[3, 1, 4], [1, 5, 9]])
_EVERY_ID = torch.arange(3)[:, None].repeat(40, 1)  # prompts of the steep model: a draw would show


def _written(f, n: int, stub: Stub = _WIDE, prompts: Tensor = _PROMPTS) -> Tensor:
    return f(Model(stub), prompts.clone(), n, 0.0, None, _seeded(1))


def _longer_by_n(text: Tensor, idx: Tensor, n: int) -> bool:
    return text.shape == (len(idx), idx.shape[1] + n) and text.dtype == torch.int64


def _likeliest(stub: Stub, idx: Tensor) -> Tensor:
    return stub.logits(idx[:, -stub.n_ctx :])[:, -1].argmax(dim=-1)


def _each_follows(text: Tensor, stub: Stub, T: int) -> bool:
    """Whether each id from place T on is the likeliest after those before it."""
    places = range(T, text.shape[1])
    return all(torch.equal(text[:, t], _likeliest(stub, text[:, :t])) for t in places)


def _seeds(f) -> bool:
    prompts = torch.zeros(32, 2).long()
    one, same, other = (f(Model(_EVEN), prompts, 3, 1.0, None, _seeded(s)) for s in (1, 1, 2))
    return torch.equal(one, same) and not torch.equal(one, other)


def _grown(model, idx, n: int, draw, view=None) -> Tensor:
    """The usual loop; `view` says what the model is shown of the ids so far."""
    for _ in range(n):
        seen = view(idx) if view else idx[:, -model.config.n_ctx :]
        idx = torch.cat([idx, draw(model(seen)[:, -1])], dim=1)
    return idx


def _draw(temperature, top_k, generator):
    return lambda logits: sampling.sample_next(logits, temperature, top_k, generator)


@generate.misconception(
    "The prompt is gone: only the new tokens came back. A text is its prompt and what was written."
)
def leaves_the_prompt_out(model, idx, max_new_tokens, temperature, top_k, generator):
    text = sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator)
    return text[:, idx.shape[1] :]


@generate.misconception(
    "The scores after the first token were used. Each position predicts the one after it, so the "
    "next token stands in the scores of the last: `logits[:, -1]`."
)
def reads_the_scores_of_the_first_token(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        logits = model(idx[:, -model.config.n_ctx :])
        idx = torch.cat([idx, draw(logits[:, 0])], dim=1)
    return idx


@generate.misconception(
    "The scores of all positions went to the draw. Only the last one is needed: `logits[:, -1]`, "
    "of shape (B, V)."
)
def draws_from_the_scores_of_all_positions(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    for _ in range(max_new_tokens):
        logits = model(idx[:, -model.config.n_ctx :])
        idx = torch.cat([idx, logits.argmax(dim=-1)], dim=1)
    return idx


@generate.misconception(
    "The model was shown more tokens than its context holds. It has no positions beyond n_ctx: "
    "show it the last ones, `idx[:, -model.config.n_ctx:]`."
)
def shows_more_than_the_context_holds(model, idx, max_new_tokens, temperature, top_k, generator):
    return _grown(model, idx, max_new_tokens, _draw(temperature, top_k, generator), lambda t: t)


@generate.misconception(
    "Where the text is longer than the context, the model was shown its beginning. What comes next "
    "depends on the end: `idx[:, -n_ctx:]`, with the minus."
)
def shows_the_oldest_tokens(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    return _grown(model, idx, max_new_tokens, draw, lambda t: t[:, : model.config.n_ctx])


@generate.misconception(
    "Where the text is longer than the context, one token fewer than n_ctx was in view."
)
def shows_one_token_fewer_than_the_context_holds(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    draw = _draw(temperature, top_k, generator)
    most = max(1, model.config.n_ctx - 1)
    return _grown(model, idx, max_new_tokens, draw, lambda t: t[:, -most:])


@generate.misconception(
    "The model was shown the newest token alone. It remembers nothing from one call to the next "
    "(that takes the cache of lesson 12): show it the text so far."
)
def shows_the_last_token_alone(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    return _grown(model, idx, max_new_tokens, draw, lambda t: t[:, -1:])


@generate.misconception(
    "What was drawn was not shown to the model: it read the prompt each time. Every new token is "
    "appended before the next one is predicted."
)
def shows_the_prompt_each_time(model, idx, max_new_tokens, temperature, top_k, generator):
    prompt, draw = idx[:, -model.config.n_ctx :], _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        idx = torch.cat([idx, draw(model(prompt)[:, -1])], dim=1)
    return idx


@generate.misconception(
    "The new tokens were shown to the model without the prompt. It continues what it sees: the "
    "prompt and all that was written since."
)
def forgets_the_prompt_after_the_first_token(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    T, draw = idx.shape[1], _draw(temperature, top_k, generator)
    return _grown(
        model,
        idx,
        max_new_tokens,
        draw,
        lambda t: (t[:, T:] if t.shape[1] > T else t)[:, -model.config.n_ctx :],
    )


@generate.misconception(
    "As many tokens were kept in view as the prompt has: for each new one the oldest went. The "
    "model can see n_ctx tokens; the oldest goes when these are full, and not before."
)
def keeps_as_many_in_view_as_the_prompt_has(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    T, draw = idx.shape[1], _draw(temperature, top_k, generator)
    return _grown(model, idx, max_new_tokens, draw, lambda t: t[:, -T:])


@generate.misconception(
    "The text itself was cut to the context, so its beginning is gone from the result. Cut what "
    "the model is shown, under a name of its own, and keep the text whole."
)
def cuts_the_text_to_the_context(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        idx = idx[:, -model.config.n_ctx :]
        idx = torch.cat([idx, draw(model(idx)[:, -1])], dim=1)
    return idx


@generate.misconception(
    "A short text was filled up with zeros in front until the context was full. Token 0 is a token "
    "as any other, and all places move: show the text as it is."
)
def fills_the_context_with_zeros(model, idx, max_new_tokens, temperature, top_k, generator):
    def view(text):
        n_ctx = model.config.n_ctx
        return F.pad(text, (max(0, n_ctx - text.shape[1]), 0))[:, -n_ctx:]

    return _grown(model, idx, max_new_tokens, _draw(temperature, top_k, generator), view)


@generate.misconception(
    "One new token too many: the loop runs `max_new_tokens` times, `range(max_new_tokens)`."
)
def writes_one_token_too_many(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens + 1, temperature, top_k, generator)


@generate.misconception(
    "One new token too few: the loop runs `max_new_tokens` times, `range(max_new_tokens)`."
)
def writes_one_token_too_few(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max(0, max_new_tokens - 1), temperature, top_k, generator)


@generate.misconception(
    "At least one token was written, even where none was asked for. With max_new_tokens = 0 the "
    "prompt comes back."
)
def writes_at_least_one_token(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max(1, max_new_tokens), temperature, top_k, generator)


@generate.misconception(
    "The prompt was counted in: the whole text has max_new_tokens tokens. The exercise asks for so "
    "many *new* ones."
)
def counts_the_prompt_in(model, idx, max_new_tokens, temperature, top_k, generator):
    n = max(0, max_new_tokens - idx.shape[1])
    return sampling.generate(model, idx, n, temperature, top_k, generator)


@generate.misconception(
    "Writing stopped where the context was full. That is one way to end a text; this exercise asks "
    "for max_new_tokens, and goes on with the last n_ctx tokens in view."
)
def stops_where_the_context_is_full(model, idx, max_new_tokens, temperature, top_k, generator):
    n = max(0, min(max_new_tokens, model.config.n_ctx - idx.shape[1]))
    return sampling.generate(model, idx, n, temperature, top_k, generator)


@generate.misconception(
    "The text was written on until the context was full, however many tokens were asked for."
)
def fills_the_context(model, idx, max_new_tokens, temperature, top_k, generator):
    n = max(0, model.config.n_ctx - idx.shape[1])
    return sampling.generate(model, idx, n, temperature, top_k, generator)


@generate.misconception(
    "Writing stopped at `<|endoftext|>`, token 50256. That is what a reader wants; this exercise "
    "asks for max_new_tokens whatever they are, so that all rows stay equally long."
)
def stops_at_the_end_of_text(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx[:, -model.config.n_ctx :])[:, -1])
        idx = torch.cat([idx, drawn], dim=1)
        if (drawn == _END_OF_TEXT).all():
            break
    return idx


@generate.variant(stops_at_the_end_of_text)
def stops_before_the_end_of_text(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx[:, -model.config.n_ctx :])[:, -1])
        if (drawn == _END_OF_TEXT).all():
            break
        idx = torch.cat([idx, drawn], dim=1)
    return idx


@generate.misconception("The temperature was not passed on to `sample_next`.")
def forgets_the_temperature_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, 1.0, top_k, generator)


@generate.misconception(
    "Temperature 0 was taken for no temperature: `temperature or 1.0` is 1.0 for 0. Pass the "
    "temperature on as it is; `sample_next` knows that 0 means no chance at all."
)
def takes_zero_for_no_temperature_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature or 1.0, top_k, generator)


@generate.misconception(
    "Where top_k is None, a number was put in its place, such as 40, and no token beyond that many "
    "can come. None means: no filter. Pass top_k on to `sample_next` as it is."
)
def cuts_at_40_unasked_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k or 40, generator)


@generate.variant(cuts_at_40_unasked_)
def cuts_at_50_unasked_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k or 50, generator)


@generate.misconception(
    "top_k was not passed on to `sample_next`: tokens beyond the k best were drawn, too."
)
def forgets_top_k_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, None, generator)


@generate.misconception("Neither the temperature nor top_k was passed on to `sample_next`.")
def forgets_temperature_and_top_k_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, 1.0, None, generator)


@generate.misconception(
    "The generator was not passed on to `sample_next`, so the text cannot be repeated."
)
def forgets_the_generator(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k)


@generate.misconception(
    "The likeliest token was taken at every step, whatever temperature says. Draw with "
    "`sample_next`."
)
def always_takes_the_likeliest_(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, 0.0, None, generator)


@generate.misconception(
    "All tokens of a text were drawn with the same random number: a seed is set inside the loop. "
    "Whoever calls sets the seed, once; each draw moves the generator on."
)
def sets_a_seed_at_every_step(model, idx, max_new_tokens, temperature, top_k, generator):
    def draw(logits):
        anew = torch.Generator().manual_seed(42)
        return sampling.sample_next(logits, temperature, top_k, anew)

    return _grown(model, idx, max_new_tokens, draw)


@generate.variant(sets_a_seed_at_every_step)
def begins_again_at_every_step(model, idx, max_new_tokens, temperature, top_k, generator):
    generator = generator or torch.default_generator

    def draw(logits):
        generator.manual_seed(generator.initial_seed())
        return sampling.sample_next(logits, temperature, top_k, generator)

    return _grown(model, idx, max_new_tokens, draw)


@generate.misconception(
    "Each call begins with a seed of its own, so the text is always the same. Whoever calls sets "
    "the seed: use the generator that came in as it is."
)
def sets_a_seed_of_its_own_(model, idx, max_new_tokens, temperature, top_k, generator):
    generator = torch.Generator().manual_seed(42)
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator)


@generate.misconception(
    "Without a generator one was made with a fixed seed, so the text is always the same. "
    "generator=None is torch's global generator: just pass None on."
)
def makes_a_generator_where_there_is_none_(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    generator = generator or torch.Generator().manual_seed(0)
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator)


@generate.misconception(
    "The softmax was taken before `sample_next`, which takes it again: the draws are nearly even "
    "then. `sample_next` asks for the scores."
)
def hands_over_probabilities(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    return _grown(model, idx, max_new_tokens, lambda logits: draw(logits.softmax(dim=-1)))


@generate.misconception(
    "All rows went on with the token that was drawn for the first one. Each row has its own: "
    "(B, 1)."
)
def gives_every_row_the_token_of_the_first(
    model, idx, max_new_tokens, temperature, top_k, generator
):
    draw = _draw(temperature, top_k, generator)
    return _grown(model, idx, max_new_tokens, lambda z: draw(z)[:1].expand(len(z), 1))


@generate.misconception(
    "Only the first row was continued. Every row of the batch is a text: `torch.cat` with dim=1 "
    "appends a column to all of them."
)
def continues_the_first_row_alone(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx[:1], max_new_tokens, temperature, top_k, generator)


@generate.misconception(
    "`.item()` makes one number of one entry, and refuses where a batch has several rows. Keep the "
    "tensor (B, 1) and append it as a column."
)
def takes_one_number_from_the_batch(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx[:, -model.config.n_ctx :])[:, -1]).item()
        idx = torch.cat([idx, torch.tensor([[drawn]])], dim=1)
    return idx


@generate.misconception(
    "The new tokens were appended as rows. A row is a text, and grows to the right: dim=1, or "
    "dim=-1."
)
def appends_below(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx[:, -model.config.n_ctx :])[:, -1])
        idx = torch.cat([idx, drawn], dim=0)
    return idx


@generate.misconception(
    "The new token was put in front of the text. It comes after it: `torch.cat([idx, drawn], "
    "dim=1)`."
)
def appends_in_front(model, idx, max_new_tokens, temperature, top_k, generator):
    draw = _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx[:, -model.config.n_ctx :])[:, -1])
        idx = torch.cat([drawn, idx], dim=1)
    return idx


@generate.misconception(
    "`torch.cat` returns a new tensor, which has to be kept: `idx = torch.cat([idx, drawn], "
    "dim=1)`. Without that the prompt comes back."
)
def does_not_keep_the_longer_text(model, idx, max_new_tokens, temperature, top_k, generator):
    return idx


@generate.misconception(
    "Ids were put into a tensor of floats (`torch.zeros` without dtype). Ids are whole numbers: "
    "`dtype=idx.dtype`, or `torch.cat`, which keeps it."
)
def puts_the_ids_into_floats(model, idx, max_new_tokens, temperature, top_k, generator):
    text = torch.zeros(len(idx), idx.shape[1] + max_new_tokens)
    text[:, : idx.shape[1]] = idx
    draw = _draw(temperature, top_k, generator)
    for t in range(idx.shape[1], text.shape[1]):
        text[:, t] = draw(model(text[:, max(0, t - model.config.n_ctx) : t])[:, -1])[:, 0]
    return text


@generate.variant(puts_the_ids_into_floats)
def returns_floats(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator).float()


@generate.misconception(
    "The texts came back as lists. The exercise asks for a tensor of ids, (B, T + n)."
)
def returns_lists(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator).tolist()


@generate.misconception(
    "All axes of size 1 were removed from the result. A batch of one text is (1, T + n)."
)
def squeezes_the_text(model, idx, max_new_tokens, temperature, top_k, generator):
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator).squeeze()


@generate.misconception(
    "The ids were moved along in the caller's own tensor: the prompt is another one afterwards. "
    "`torch.cat` makes a new tensor, and the model is shown the last n_ctx tokens of that."
)
def moves_the_prompt_along_in_place(model, idx, max_new_tokens, temperature, top_k, generator):
    text, draw = idx.clone(), _draw(temperature, top_k, generator)
    for _ in range(max_new_tokens):
        drawn = draw(model(idx)[:, -1])
        text = torch.cat([text, drawn], dim=1)
        idx[:, :-1] = idx[:, 1:].clone()
        idx[:, -1:] = drawn
    return text


@generate.misconception(
    "The model was asked for something that the exercise does not promise. `model(idx)` and "
    "`model.config.n_ctx` are enough, and then any model will do: one that counts bigrams as well."
)
def asks_the_model_for_more(model, idx, max_new_tokens, temperature, top_k, generator):
    model.eval()
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator)


@generate.variant(asks_the_model_for_more)
def asks_the_config_for_more(model, idx, max_new_tokens, temperature, top_k, generator):
    torch.zeros(model.config.vocab_size)
    return sampling.generate(model, idx, max_new_tokens, temperature, top_k, generator)


@generate.also_right
def the_usual_loop(model, idx, max_new_tokens, temperature, top_k, generator):
    for _ in range(max_new_tokens):
        in_view = idx[:, -model.config.n_ctx :]
        logits = model(in_view)[:, -1]
        drawn = sampling.sample_next(logits, temperature, top_k, generator)
        idx = torch.cat([idx, drawn], dim=1)
    return idx


@generate.also_right
def into_a_tensor_of_the_final_size(model, idx, max_new_tokens, temperature, top_k, generator):
    B, T = idx.shape
    text = torch.zeros(B, T + max_new_tokens, dtype=idx.dtype)
    text[:, :T] = idx
    for end in range(T, T + max_new_tokens):
        begin = max(0, end - model.config.n_ctx)
        logits = model(text[:, begin:end])[:, -1]
        text[:, end : end + 1] = sampling.sample_next(logits, temperature, top_k, generator)
    return text


@generate.also_right
def a_token_and_then_the_rest(model, idx, max_new_tokens, temperature, top_k, generator):
    def continued(text, n):
        if n == 0:
            return text
        logits = model(text[:, -model.config.n_ctx :])[:, -1]
        drawn = sampling.sample_next(logits, temperature, top_k, generator)
        return continued(torch.cat([text, drawn], dim=1), n - 1)

    return continued(idx, max_new_tokens)


@generate.also_right
def columns_in_a_list(model, idx, max_new_tokens, temperature, top_k, generator):
    columns = list(idx.split(1, dim=1))
    while len(columns) < idx.shape[1] + max_new_tokens:
        logits = model(torch.cat(columns[-model.config.n_ctx :], dim=1))
        columns.append(sampling.sample_next(logits[:, -1], temperature, top_k, generator))
    return torch.cat(columns, dim=1)


@generate.also_right
def one_text_after_the_other(model, idx, max_new_tokens, temperature, top_k, generator):
    texts = []
    for row in idx:
        text = row[None]
        for _ in range(max_new_tokens):
            logits = model(text[:, -model.config.n_ctx :])[:, -1]
            drawn = sampling.sample_next(logits, temperature, top_k, generator)
            text = torch.cat([text, drawn], dim=1)
        texts.append(text)
    return torch.cat(texts)


EXERCISES = [apply_temperature, keep_top_k, keep_top_p, sample_next, generate]
