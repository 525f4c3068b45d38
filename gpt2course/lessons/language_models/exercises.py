"""The exercises of lesson 01: count_bigrams, perplexity."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
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

    Floats of 16 bits are left as they are, and fail: they cannot hold the counts of a long text.
    What `torch.empty` gives is filled with nan meanwhile, or chance would make it pass.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        counts = answer(idx, vocab_size)
    finally:
        torch.set_deterministic_debug_mode(mode)
    is_double = isinstance(counts, Tensor) and counts.dtype == torch.float64
    return counts.float() if is_double else counts


def _rows_add_up(counts, idx, vocab_size) -> bool:
    return torch.equal(counts.sum(1), torch.bincount(idx[:-1], minlength=vocab_size).float())


def _columns_add_up(counts, idx, vocab_size) -> bool:
    return torch.equal(counts.sum(0), torch.bincount(idx[1:], minlength=vocab_size).float())


def _of_some_texts(holds):
    """Whether a claim holds of the counts of two texts."""

    def of_both(f) -> bool:
        texts = ((torch.tensor([0, 1, 2, 0, 1]), 4), (_ids(60, 5, seed=8), 5))
        return all(bool(holds(f(idx.clone(), V).float(), idx, V)) for idx, V in texts)

    return of_both


count_bigrams = Exercise(
    bigram.count_bigrams,
    lesson="01_language_models",
    call=_counted,
    cases=[
        Case(
            "robot must obey robot must",
            (torch.tensor([0, 1, 2, 0, 1]), 3),
            rows=WORDS,
            columns=WORDS,
        ),
        Case("a token that follows itself", (torch.tensor([1, 1, 1, 0]), 2)),
        Case("the same two tokens in both orders", (torch.tensor([1, 0, 1, 0, 0]), 2)),
        Case(
            "tokens of the vocabulary that the text does not use", (torch.tensor([2, 0, 2, 0]), 5)
        ),
        Case("two tokens", (torch.tensor([2, 0]), 3)),
        Case("one token", (torch.tensor([1]), 3)),
        Case("a vocabulary of one", (torch.tensor([0, 0, 0]), 1)),
        Case("two hundred tokens, seven kinds", (_ids(200, 7, seed=1), 7)),
        Case("three hundred tokens, sixty kinds", (_ids(300, 60, seed=2), 60)),
        Case("one pair 299 times", (torch.ones(300, dtype=torch.int64), 2)),
        Case("ids that do not lie in one piece in memory", (_ids(60, 4, seed=3)[::2], 4)),
    ],
    properties=[
        Property(
            "a row and a column for each token of the vocabulary",
            lambda f: f(torch.tensor([2, 0, 2, 0]), 5).shape == (5, 5),
            of_result=lambda counts, idx, vocab_size: counts.shape == (vocab_size, vocab_size),
        ),
        Property(
            "the counts are floats",
            lambda f: f(torch.tensor([0, 1, 2, 0, 1]), 3).is_floating_point(),
            of_result=lambda counts, idx, vocab_size: counts.is_floating_point(),
        ),
        Property(
            "N tokens have N - 1 pairs in all",
            _of_some_texts(lambda counts, idx, V: counts.sum() == len(idx) - 1),
            of_result=lambda counts, idx, vocab_size: counts.sum() == len(idx) - 1,
        ),
        Property(
            "each row sums to how often its token has one after it",
            _of_some_texts(_rows_add_up),
            of_result=lambda counts, idx, vocab_size: _rows_add_up(counts, idx, vocab_size),
        ),
        Property(
            "each column sums to how often its token has one before it",
            _of_some_texts(_columns_add_up),
            of_result=lambda counts, idx, vocab_size: _columns_add_up(counts, idx, vocab_size),
        ),
    ],
)


def _count(current: Tensor, following: Tensor, vocab_size: int) -> Tensor:
    counts = torch.zeros(vocab_size, vocab_size)
    return counts.index_put_((current, following), torch.tensor(1.0), accumulate=True)


@count_bigrams.misconception(
    "Each pair that occurs has the count 1, however often it occurs. Two ways lead there: `= 1` "
    "in a loop, where it should be `+= 1`; and `counts[idx[:-1], idx[1:]] += 1`, all pairs at "
    "once, which reads every place, adds 1, and writes back: a place that is listed twice is "
    "written twice with the same 1. Adding up needs a loop, `index_put_` with `accumulate=True`, "
    "or `bincount`."
)
def counts_every_pair_once(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    counts[idx[:-1], idx[1:]] += 1
    return counts


@count_bigrams.misconception(
    "Rows and columns have changed places: these are the counts of what came before. The row is "
    "the current token, the column the next one, so that a row can become the probabilities of "
    "what comes next."
)
def swaps_rows_and_columns(idx, vocab_size):
    return _count(idx[1:], idx[:-1], vocab_size)


@count_bigrams.misconception(
    "Each pair was counted in both directions, so the table is the same when it is turned. "
    "Order is all in a text: “must obey” says nothing about “obey must”."
)
def counts_both_directions(idx, vocab_size):
    counts = _count(idx[:-1], idx[1:], vocab_size)
    return counts + counts.T


@count_bigrams.misconception(
    "There is one pair too many: the last token with the first. `torch.roll` brings the first "
    "token to the end, and `idx[i - 1]` with i = 0 is the last one. A text has two ends and does "
    "not close into a ring."
)
def joins_the_end_to_the_beginning(idx, vocab_size):
    return _count(idx, idx.roll(-1), vocab_size)


@count_bigrams.misconception(
    "The last pair is missing. Of N tokens the last pair begins at position N - 2, so a loop runs "
    "over `range(len(idx) - 1)`, and a slice of current tokens is `idx[:-1]`."
)
def forgets_the_last_pair(idx, vocab_size):
    return _count(idx[:-1][:-1], idx[1:][:-1], vocab_size)


@count_bigrams.misconception(
    "The first pair is missing: the counting begins one token too late. The first pair is "
    "(idx[0], idx[1])."
)
def forgets_the_first_pair(idx, vocab_size):
    return _count(idx[1:-1], idx[2:], vocab_size)


@count_bigrams.misconception(
    "Each token was paired with the one after the next. The next token is one place further: "
    "`idx[:-1]` with `idx[1:]`."
)
def pairs_with_the_one_after_next(idx, vocab_size):
    return _count(idx[:-2], idx[2:], vocab_size)


@count_bigrams.misconception(
    "The tokens were taken two by two: first and second, third and fourth. Every token but the "
    "last has a next one: after (first, second) comes (second, third)."
)
def takes_the_tokens_two_by_two(idx, vocab_size):
    pairs = idx[: len(idx) // 2 * 2].reshape(-1, 2)
    return _count(pairs[:, 0], pairs[:, 1], vocab_size)


@count_bigrams.misconception(
    "Every token was paired with every later one. What is asked for is what comes next: "
    "neighbours, nothing in between."
)
def pairs_everything_with_everything(idx, vocab_size):
    one_hot = F.one_hot(idx, vocab_size).float()
    earlier = one_hot.cumsum(0) - one_hot
    return earlier.T @ one_hot


@count_bigrams.misconception(
    "A token that follows itself was left out. It is a pair like any other, and stands on the "
    "diagonal of the table."
)
def leaves_out_a_token_that_follows_itself(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).fill_diagonal_(0)


@count_bigrams.misconception(
    "Single tokens were counted: the table holds on its diagonal how often each occurs. What is "
    "asked for is how often each token follows each: current token and next token."
)
def counts_single_tokens(idx, vocab_size):
    return _count(idx, idx, vocab_size)


@count_bigrams.misconception(
    "Every count is one too large: the table began with ones. Nothing has been counted at first, "
    "so it begins with zeros. (Adding something to every count comes later in the lesson, and on "
    "purpose.)"
)
def begins_at_one(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size) + 1


@count_bigrams.misconception(
    "These are probabilities: the rows were divided by their sums. That is the next step; here "
    "the plain counts are asked for."
)
def divides_each_row_by_its_sum(idx, vocab_size):
    counts = _count(idx[:-1], idx[1:], vocab_size)
    return counts / counts.sum(dim=1, keepdim=True)


@count_bigrams.misconception(
    "All counts were divided by the number of pairs. The plain counts are asked for."
)
def divides_by_the_number_of_pairs(idx, vocab_size):
    counts = _count(idx[:-1], idx[1:], vocab_size)
    return counts / counts.sum()


@count_bigrams.misconception(
    "The counts are right, but they are integers. The exercise asks for floats, as they are "
    "divided next and everything after it computes with floats: `.float()`, or begin with "
    "`torch.zeros`, which holds floats by itself."
)
def holds_integers(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).long()


@count_bigrams.misconception(
    "The size of the table was taken from the text: its largest id plus one, or the number of its "
    "different tokens. A vocabulary may hold tokens that this text does not use, and they need "
    "their rows and columns too: vocab_size."
)
def takes_the_size_from_the_text(idx, vocab_size):
    return _count(idx[:-1], idx[1:], int(idx.max()) + 1)


@count_bigrams.variant(takes_the_size_from_the_text)
def takes_the_number_of_different_tokens(idx, vocab_size):
    return _count(idx[:-1], idx[1:], len(set(idx.tolist())))


@count_bigrams.variant(takes_the_size_from_the_text)
def takes_the_number_of_different_tokens_for_bincount(idx, vocab_size):
    size = len(set(idx.tolist()))
    return torch.bincount(idx[:-1] * size + idx[1:], minlength=size**2).view(size, size).float()


@count_bigrams.variant(takes_the_size_from_the_text)
def takes_the_number_of_different_tokens_for_lists(idx, vocab_size):
    rows = [[0.0] * len(set(idx.tolist())) for _ in set(idx.tolist())]
    for current, following in pairwise(idx.tolist()):
        rows[current][following] += 1
    return torch.tensor(rows)


@count_bigrams.misconception(
    "All rows are equal: `[[0.0] * V] * V` makes one row and puts it into the list V times, so "
    "whatever is added to one row is added to all. `[[0.0] * V for _ in range(V)]` makes V rows; "
    "`torch.zeros(V, V)` makes a tensor at once. (V stands for vocab_size.)"
)
def puts_one_row_into_the_table_again_and_again(idx, vocab_size):
    rows = [[0.0] * vocab_size] * vocab_size
    for current, following in pairwise(idx.tolist()):
        rows[current][following] += 1
    return torch.tensor(rows)


@count_bigrams.misconception(
    "`torch.empty` reserves the places and leaves in them what lay in the memory before, often "
    "zeros and sometimes anything. (This check puts nan there, “not a number”, so that it shows.) "
    "Counting begins at 0: `torch.zeros`."
)
def begins_with_what_lay_in_the_memory(idx, vocab_size):
    counts = torch.empty(vocab_size, vocab_size)
    return counts.index_put_((idx[:-1], idx[1:]), torch.tensor(1.0), accumulate=True)


@count_bigrams.misconception(
    "The table is still all zeros: nothing was ever added to it. Two pairs of brackets lead there, "
    "`counts[idx[:-1]][:, idx[1:]] += 1`: the first pair picks rows and makes a copy of them, and "
    "the 1 is added to the copy. One pair of brackets holds both, `counts[current, following]`."
)
def leaves_the_table_at_zero(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    counts[idx[:-1]][:, idx[1:]] += 1
    return counts


@count_bigrams.misconception(
    "The counts are floats of 16 bits, which cannot count far: float16 holds every whole number "
    "up to 2,048 only, bfloat16 up to 256. Leave them at 32 bits, as `.float()` and `torch.zeros` "
    "make them."
)
def holds_floats_of_sixteen_bits(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).half()


@count_bigrams.variant(holds_floats_of_sixteen_bits)
def holds_floats_of_bfloat16(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).bfloat16()


@count_bigrams.misconception(
    "The table has one row and one column too many. Ids begin at 0, so vocab_size of them end at "
    "vocab_size - 1."
)
def makes_the_table_one_too_large(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size + 1)


@count_bigrams.misconception(
    "`bincount` ends with the largest number that it finds, so there were fewer counts than the "
    "table has places. `minlength=vocab_size**2` fills up with zeros."
)
def lets_bincount_end_too_early(idx, vocab_size):
    cell = idx[:-1] * vocab_size + idx[1:]
    return torch.bincount(cell).view(vocab_size, vocab_size).float()


@count_bigrams.misconception(
    "The counts are right, but they stand in one long row. Fold it into a table: "
    "`.view(vocab_size, vocab_size)`."
)
def leaves_the_counts_in_one_row(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).flatten()


@count_bigrams.misconception(
    "Several pairs share one place: the two ids were only added, so (0, 2) and (2, 0) and (1, 1) "
    "all have the number 2. Numbered row by row, the place of a pair is "
    "`current * vocab_size + following`."
)
def adds_the_two_ids(idx, vocab_size):
    cell = idx[:-1] + idx[1:]
    return torch.bincount(cell, minlength=vocab_size**2).view(vocab_size, vocab_size).float()


@count_bigrams.misconception(
    "The counts are right, but they are a list of lists. A tensor is asked for, since what follows "
    "computes with whole rows: `torch.tensor(…)`, with floats in it."
)
def returns_a_list_of_lists(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).tolist()


@count_bigrams.variant(returns_a_list_of_lists)
def returns_a_list_of_lists_of_integers(idx, vocab_size):
    return _count(idx[:-1], idx[1:], vocab_size).long().tolist()


@count_bigrams.misconception(
    "The pairs were counted in a dict. A tensor with a row for every current token and a column "
    "for every next one is asked for, zeros included."
)
def returns_a_dict(idx, vocab_size):
    return dict(Counter(pairwise(idx.tolist())))


@count_bigrams.misconception(
    "The `return` stands inside the loop, so the function ends after the first pair. Move it to "
    "the left, to the height of the `for`."
)
def returns_after_the_first_pair(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for current, following in pairwise(idx.tolist()):
        counts[current, following] += 1
        return counts


@count_bigrams.misconception(
    "The loop looks one token past the end: the last token has no next one. Stop one earlier, at "
    "`range(len(idx) - 1)`."
)
def looks_past_the_end(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(len(idx)):
        counts[idx[i], idx[i + 1]] += 1
    return counts


@count_bigrams.misconception(
    "The counts are right, but the ids that came in are not what they were before: `*=` and "
    "functions that end in `_` work in place, and a slice is no copy. Whoever called still needs "
    "the ids. `idx[:-1] * vocab_size` makes something new."
)
def changes_the_ids(idx, vocab_size):
    following = idx[1:].clone()
    cell = idx[:-1]
    cell *= vocab_size
    cell += following
    return torch.bincount(cell, minlength=vocab_size**2).view(vocab_size, vocab_size).float()


@count_bigrams.also_right
def index_put_that_adds_up(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    return counts.index_put_((idx[:-1], idx[1:]), torch.tensor(1.0), accumulate=True)


@count_bigrams.also_right
def a_loop_over_the_pairs(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    ids = idx.tolist()
    for current, following in zip(ids[:-1], ids[1:], strict=True):
        counts[current, following] += 1
    return counts


@count_bigrams.also_right
def one_hot_times_one_hot(idx, vocab_size):
    one_hot = torch.eye(vocab_size)[idx]
    return one_hot[:-1].T @ one_hot[1:]


@count_bigrams.also_right
def a_counter_written_into_a_table(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for pair, n in Counter(pairwise(idx.tolist())).items():
        counts[pair] = n
    return counts


@count_bigrams.also_right
def with_numpy(idx, vocab_size):
    counts = np.zeros((vocab_size, vocab_size))
    np.add.at(counts, (idx[:-1].numpy(), idx[1:].numpy()), 1)
    return torch.from_numpy(counts)


@count_bigrams.also_right
def one_row_after_the_other(idx, vocab_size):
    current, following = idx[:-1], idx[1:]
    rows = [
        torch.bincount(following[current == i], minlength=vocab_size) for i in range(vocab_size)
    ]
    return torch.stack(rows).float()


# perplexity -------------------------------------------------------------------------------------


def _surprises(n: int, seed: int, dtype=torch.float32) -> Tensor:
    """n positive numbers, 3 on average."""
    return (3 + normal(n, seed=seed, dtype=dtype)).clamp(min=0.1)


NEARLY_CERTAIN = torch.tensor([0.00001, 0.00007])


def _is_the_typical_factor(result, nll) -> bool:
    """Whether its N-th power is one over the probability of the text, as near as a check asks."""
    factor = nll.double().mean().exp().item()
    return result == factor or abs(result - factor) <= 1e-5 * (1 + factor)


def _lies_between(result, nll) -> bool:
    low, high = nll.double().min().exp().item(), nll.double().max().exp().item()
    return low * (1 - 1e-5) <= result <= high * (1 + 1e-5)


perplexity = Exercise(
    bigram.perplexity,
    lesson="01_language_models",
    cases=[
        Case("two tokens that were given 1/2 and 1/8", (torch.tensor([2.0, 8.0]).double().log(),)),
        Case("three tokens", (torch.tensor([0.25, 1.5, 3.0]),)),
        Case("every token one of seven equally likely", (torch.full((5,), math.log(7)),)),
        Case("one token", (torch.tensor([0.7]),)),
        Case("every token was certain", (torch.zeros(4),)),
        Case("every token was nearly certain", (NEARLY_CERTAIN,)),
        Case("a token that was thought impossible", (torch.tensor([1.0, math.inf, 0.5]),)),
        Case("surprises as large as at the start of training", (_surprises(6, seed=4) + 8,)),
        Case("four hundred tokens", (_surprises(400, seed=1),)),
        Case("float64", (_surprises(9, seed=2, dtype=torch.float64),)),
        Case("numbers that do not lie in one piece in memory", (_surprises(20, seed=3)[::2],)),
    ],
    properties=[
        Property(
            "its N-th power is one over the probability of the whole text, to five digits",
            lambda f: all(
                _is_the_typical_factor(f(nll.clone()), nll)
                for nll in (_surprises(9, seed=5), NEARLY_CERTAIN)
            ),
            of_result=lambda got, nll: _is_the_typical_factor(got, nll),
        ),
        Property(
            "it lies between those of the least and of the most surprising token",
            lambda f: _lies_between(f(_surprises(9, seed=5)), _surprises(9, seed=5)),
            of_result=lambda got, nll: _lies_between(got, nll),
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
        Property(
            "the same text twice over is as surprising as once",
            lambda f: math.isclose(
                f(_surprises(9, seed=5)), f(_surprises(9, seed=5).repeat(2)), rel_tol=1e-4
            ),
        ),
    ],
)


@perplexity.misconception(
    "The surprises were added up and not averaged. A sum grows with every token, so a long text "
    "would look worse than a short one. The mean says what one token costs: exp of the mean."
)
def forgets_the_mean(nll):
    return math.exp(nll.sum())


@perplexity.misconception(
    "This is the mean in nats per token. Perplexity undoes the logarithm: e to the power of it, "
    "`math.exp` or `.exp()`."
)
def forgets_the_exp(nll):
    return nll.mean().item()


@perplexity.misconception(
    "e was raised to every number first, and the mean came after. One token that was thought "
    "very unlikely then outweighs all others. The mean comes first, then one exp."
)
def takes_the_mean_after_the_exp(nll):
    return nll.exp().mean().item()


@perplexity.misconception(
    "The probabilities were averaged, and then turned over. A token with a tiny probability hardly "
    "counts in such a mean, although it is what a model should fear most. Average the nats that "
    "came in, then one exp."
)
def averages_the_probabilities(nll):
    return 1 / (-nll).exp().mean().item()


@perplexity.misconception(
    "2 was raised to the mean. That fits where surprise is measured in bits, with the logarithm to "
    "base 2. Nats have the natural logarithm, which e undoes: `math.exp`."
)
def raises_two_instead_of_e(nll):
    return 2 ** nll.mean().item()


def _power_of(base):
    def answer(nll):
        return base ** nll.double().mean().item()

    return answer


@perplexity.misconception(
    "Too few digits of e: it begins 2.7182818, and the power makes the difference grow. `math.e` "
    "holds all that a float can, and `math.exp(x)` is e to the power of x."
)
def writes_e_with_too_few_digits(nll):
    return 2.718 ** nll.double().mean().item()


for _base in (2.7, 2.71, 2.72, 2.7182, 2.7183):
    perplexity.variant(writes_e_with_too_few_digits)(_power_of(_base))


@perplexity.misconception(
    "The nats were turned into bits, and then e was raised to them. Bits belong to 2, nats to e: "
    "leave the nats as they are, and take exp."
)
def raises_e_to_bits(nll):
    return math.exp(nll.mean().item() / math.log(2))


@perplexity.misconception(
    "The sign was turned round: this is a probability, the one that a token was given on average, "
    "and it is at most 1. The numbers that came in have their minus already, they are "
    "-ln(probability). Perplexity is exp of their mean as it is."
)
def turns_the_sign_round(nll):
    return math.exp(-nll.mean())


@perplexity.misconception(
    "The numbers that came in were taken for probabilities, and a logarithm was taken of them. "
    "They are -ln(probability) already. What is left to do is the mean and exp."
)
def takes_the_logarithm_once_more(nll):
    return math.exp(-nll.log().mean())


@perplexity.misconception(
    "The sum was divided by N - 1. Every number that came in belongs to a token that was "
    "predicted, so there are N. (Of a text with N tokens only N - 1 can be predicted; but then "
    "only N - 1 numbers come in.)"
)
def divides_by_one_too_few(nll):
    return nll.double().sum().div(len(nll) - 1).exp().item()


@perplexity.misconception(
    "The sum was divided by N + 1. There are N numbers, one for each token that was predicted."
)
def divides_by_one_too_many(nll):
    return nll.double().sum().div(len(nll) + 1).exp().item()


@perplexity.misconception(
    "exp came before the division by N. Between the sum and exp has to stand the division, so "
    "that exp gets the mean."
)
def divides_after_the_exp(nll):
    return nll.double().sum().exp().item() / len(nll)


def _exp_of_sum_divided(n):
    def answer(nll):
        return math.exp(nll.sum().item() / n)

    return answer


@perplexity.misconception(
    "The sum was divided by the same number every time. Texts have different lengths: divide by "
    "`len(nll)`, or take `.mean()`, which does both."
)
def divides_by_a_fixed_number(nll):
    return math.exp(nll.sum().item() / 3)


for _n in (2, 4, 12):
    perplexity.variant(divides_by_a_fixed_number)(_exp_of_sum_divided(_n))


@perplexity.misconception("The sum was divided by the root of N. The mean divides it by N.")
def divides_by_the_root_of_n(nll):
    return nll.double().sum().div(math.sqrt(len(nll))).exp().item()


@perplexity.misconception(
    "The value is right, but it is a tensor with one number in it. A Python float is asked for: "
    "`.item()`, or `float(…)`."
)
def gives_back_a_tensor(nll):
    return nll.mean().exp()


@perplexity.misconception(
    "The probabilities were multiplied first, and the root was taken of the product. That is the "
    "right formula, but such a product becomes 0: where one probability is 0, and also where "
    "there are hundreds of them, for then it is smaller than the smallest number of the computer. "
    "(One over it, e to the power of the sum, becomes larger than the largest.) Logarithms are "
    "there to avoid that: average what came in, then one exp."
)
def multiplies_the_probabilities(nll):
    return ((-nll).exp().prod() ** (-1 / len(nll))).item()


@perplexity.variant(multiplies_the_probabilities)
def multiplies_the_probabilities_as_floats(nll):
    return math.prod((-nll).exp().tolist()) ** (-1 / len(nll))


@perplexity.variant(multiplies_the_probabilities)
def multiplies_the_probabilities_and_divides(nll):
    return 1 / math.prod((-nll).exp().tolist()) ** (1 / len(nll))


@perplexity.variant(multiplies_the_probabilities)
def multiplies_what_the_probabilities_are_one_over(nll):
    return (nll.exp().prod() ** (1 / len(nll))).item()


@perplexity.variant(multiplies_the_probabilities)
def takes_the_root_of_e_to_the_sum(nll):
    return math.exp(nll.sum().item()) ** (1 / len(nll))


@perplexity.misconception(
    "The tokens that were thought impossible were left out, or given some large number. A model "
    "that rules out what then comes has failed in a way that no good guess makes up for: the mean "
    "is infinite, and the perplexity with it."
)
def leaves_out_the_impossible_tokens(nll):
    return nll[nll.isfinite()].mean().exp().item()


@perplexity.misconception(
    "The median was taken, the number in the middle. The mean is asked for, in which every "
    "token has its part."
)
def takes_the_median(nll):
    return nll.median().exp().item()


@perplexity.misconception(
    "The result was rounded. Perplexity is no whole number in general, and what one more step of "
    "training gains is often seen in late digits only. Return it as it is; round where you print."
)
def rounds_the_result(nll):
    value = nll.double().mean().exp().item()
    return float(round(value)) if math.isfinite(value) else value


def _rounded_to(digits):
    def answer(nll):
        return round(nll.double().mean().exp().item(), digits)

    return answer


for _digits in (1, 2, 3, 4):
    perplexity.variant(rounds_the_result)(_rounded_to(_digits))


@perplexity.misconception(
    "A whole number was made of the result. Perplexity is a float: leave the digits behind the "
    "point where they are."
)
def makes_a_whole_number_of_it(nll):
    value = nll.double().mean().exp().item()
    return int(value)


@perplexity.misconception(
    "This is the perplexity of the last token alone. All tokens count alike: take the mean over "
    "all of them first."
)
def looks_at_the_last_token_alone(nll):
    return nll[-1].exp().item()


@perplexity.misconception(
    "This is the perplexity of the most surprising token alone. All tokens count alike: take the "
    "mean over all of them first."
)
def looks_at_the_most_surprising_token_alone(nll):
    return nll.max().exp().item()


@perplexity.misconception(
    "There is a perplexity for every token. One number for the whole text is asked for: the mean "
    "first, then one exp."
)
def gives_one_for_each_token(nll):
    return nll.exp()


@perplexity.variant(gives_one_for_each_token)
def gives_a_list_with_one_for_each_token(nll):
    return nll.exp().tolist()


@perplexity.misconception(
    "The value is right, but the numbers that came in are not what they were before: functions "
    "that end in `_`, and `+=`, work in place. Whoever called still needs them. Leave the `_` out."
)
def changes_the_numbers(nll):
    return nll.neg_().mean().neg().exp().item()


@perplexity.also_right
def mean_then_exp(nll):
    return math.exp(nll.mean().item())


@perplexity.also_right
def the_product_of_the_roots(nll):
    return (nll.double() / len(nll)).exp().prod().item()


@perplexity.also_right
def the_geometric_mean(nll):
    from statistics import geometric_mean

    if nll.isinf().any():
        return math.inf
    return geometric_mean(nll.double().exp().tolist())


@perplexity.also_right
def a_loop_that_adds_up(nll):
    total = 0.0
    for nats in nll.tolist():
        total += nats
    return math.exp(total / len(nll))


@perplexity.also_right
def through_bits(nll):
    bits = nll.double() / math.log(2)
    return (2 ** bits.mean()).item()


@perplexity.also_right
def the_mean_with_numpy(nll):
    return float(np.exp(np.mean(nll.numpy())))


EXERCISES = [count_bigrams, perplexity]
