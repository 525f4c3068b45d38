"""The checks of lesson 01: right answers that pass, wrong ones that do not, what they are told."""

import math
import statistics
from collections import Counter, defaultdict
from itertools import pairwise
from types import FunctionType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gpt2course import checks
from gpt2course.checks.card import SHOWN_ANSWERS

# count_bigrams: right answers that the check does not list


def tensor_indices(idx, vocab_size):
    counts = torch.zeros((vocab_size, vocab_size))
    for i in range(idx.shape[0] - 1):
        counts[idx[i], idx[i + 1]] = counts[idx[i], idx[i + 1]] + 1.0
    return counts


def enumerated_from_the_second(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size, dtype=torch.int64)
    for place, token in enumerate(idx[1:].tolist()):
        counts[idx[place]][token] += 1
    return counts.to(torch.float32)


def bincount_folded(idx, vocab_size):
    cell = idx[1:] + vocab_size * idx[:-1]
    return torch.bincount(cell, minlength=vocab_size * vocab_size).reshape(vocab_size, -1) * 1.0


def in_float64(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size, dtype=torch.float64)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
    return counts


def scatter_add_on_a_line(idx, vocab_size):
    line = torch.zeros(vocab_size**2)
    places = idx[:-1] * vocab_size + idx[1:]
    return line.scatter_add_(0, places, torch.ones(len(places))).view(vocab_size, vocab_size)


def index_add_of_one_hot_rows(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    return counts.index_add_(0, idx[:-1], F.one_hot(idx[1:], vocab_size).float())


def unique_pairs(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    if len(idx) > 1:
        pairs, n = torch.stack([idx[:-1], idx[1:]]).unique(dim=1, return_counts=True)
        counts[pairs[0], pairs[1]] = n.float()
    return counts


def einsum_of_one_hot(idx, vocab_size):
    hot = torch.eye(vocab_size)[idx]
    return torch.einsum("na,nb->ab", hot[:-1], hot[1:])


def nested_lists_made_a_tensor(idx, vocab_size):
    rows = [[0.0] * vocab_size for _ in range(vocab_size)]
    for a, b in pairwise(idx.tolist()):
        rows[a][b] += 1
    return torch.tensor(rows)


def every_cell_asked(idx, vocab_size):
    now, later = idx[:-1], idx[1:]
    rows = [
        [((now == a) & (later == b)).sum().item() for b in range(vocab_size)]
        for a in range(vocab_size)
    ]
    return torch.tensor(rows, dtype=torch.float32)


def numpy_histogram(idx, vocab_size):
    edges = np.arange(vocab_size + 1) - 0.5
    counts, _, _ = np.histogram2d(idx[:-1].numpy(), idx[1:].numpy(), bins=(edges, edges))
    return torch.tensor(counts).float()


def sorted_cells(idx, vocab_size):
    cell = (idx[:-1] * vocab_size + idx[1:]).sort().values
    ends = torch.searchsorted(cell, torch.arange(vocab_size**2), right=True)
    return torch.diff(ends, prepend=torch.zeros(1)).view(vocab_size, vocab_size).float()


def a_dict_of_dicts(idx, vocab_size):
    after = defaultdict(Counter)
    for a, b in zip(idx.tolist(), idx.tolist()[1:], strict=False):
        after[a][b] += 1
    return torch.tensor(
        [[after[a][b] for b in range(vocab_size)] for a in range(vocab_size)], dtype=torch.float
    )


COUNTED = [
    tensor_indices, enumerated_from_the_second, bincount_folded, in_float64,
    scatter_add_on_a_line, index_add_of_one_hot_rows, unique_pairs, einsum_of_one_hot,
    nested_lists_made_a_tensor, every_cell_asked, numpy_histogram, sorted_cells, a_dict_of_dicts,
]  # fmt: skip


@pytest.mark.parametrize("answer", COUNTED, ids=lambda f: f.__name__)
def test_right_counts_pass(answer):
    result = checks.run("count_bigrams", answer)
    assert result.passed, result.message


# count_bigrams: mistakes in other code than the listed one


def index_put_without_accumulate(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    return counts.index_put_((idx[:-1], idx[1:]), torch.tensor(1.0))


def sets_to_one(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] = 1
    return counts


def numpy_fancy_indexing(idx, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), dtype=np.float32)
    counts[idx[:-1].numpy(), idx[1:].numpy()] += 1
    return torch.from_numpy(counts)


def column_is_current(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for now, later in pairwise(idx.tolist()):
        counts[later, now] += 1
    return counts


def bincount_the_other_way(idx, vocab_size):
    cell = idx[:-1] + idx[1:] * vocab_size
    return torch.bincount(cell, minlength=vocab_size**2).view(vocab_size, vocab_size).float()


def made_symmetric(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
        counts[b, a] += 1
    return counts


def loop_from_the_last(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(len(idx)):
        counts[idx[i - 1], idx[i]] += 1
    return counts


def range_two_short(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(len(idx) - 2):
        counts[idx[i], idx[i + 1]] += 1
    return counts


def loop_from_one(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(1, len(idx) - 1):
        counts[idx[i], idx[i + 1]] += 1
    return counts


def every_second(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(0, len(idx) - 1, 2):
        counts[idx[i], idx[i + 1]] += 1
    return counts


def ones_first(idx, vocab_size):
    counts = torch.ones(vocab_size, vocab_size)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
    return counts


def ints(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size, dtype=torch.int64)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
    return counts


def softly_normalised(idx, vocab_size):
    counts = in_float64(idx, vocab_size)
    return counts / counts.sum(1)[:, None]


def size_of_the_text(idx, vocab_size):
    V = len(set(idx.tolist()))
    return bincount_folded(idx, V)


def no_minlength(idx, vocab_size):
    return torch.bincount(vocab_size * idx[:-1] + idx[1:]).reshape(vocab_size, vocab_size).float()


def one_dimension(idx, vocab_size):
    return torch.bincount(vocab_size * idx[:-1] + idx[1:], minlength=vocab_size**2).float()


def one_step_too_far(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for place in range(idx.numel()):
        counts[idx[place], idx[place + 1]] += 1.0
    return counts


def multiplied_in_place(idx, vocab_size):
    later = idx[1:].clone()
    places = idx[:-1].mul_(vocab_size).add_(later)
    return torch.bincount(places, minlength=vocab_size**2).view(vocab_size, vocab_size).float()


def size_of_the_text_in_a_loop(idx, vocab_size):
    V = idx.unique().numel()
    counts = torch.zeros(V, V)
    for i in range(len(idx) - 1):
        counts[idx[i], idx[i + 1]] += 1
    return counts


def one_list_many_times(idx, vocab_size):
    counts = [[0] * vocab_size] * vocab_size
    ids = idx.tolist()
    for i in range(1, len(ids)):
        counts[ids[i - 1]][ids[i]] += 1
    return torch.tensor(counts, dtype=torch.float32)


def empty_and_a_loop(idx, vocab_size):
    counts = torch.empty((vocab_size, vocab_size))
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
    return counts


def empty_of_float64(idx, vocab_size):
    counts = torch.empty(vocab_size, vocab_size, dtype=torch.float64)
    for a, b in pairwise(idx.tolist()):
        counts[a, b] += 1
    return counts


def rows_picked_before_they_are_written(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size, dtype=torch.float64)
    for i in range(len(idx) - 1):
        counts[idx[i : i + 1]][:, idx[i + 1]] += 1
    return counts


def all_later_words(idx, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(len(idx)):
        for j in range(i + 1, len(idx)):
            counts[idx[i], idx[j]] += 1
    return counts


def half_of_the_bits(idx, vocab_size):
    return in_float64(idx, vocab_size).to(torch.float16)


NAMED_COUNTS = [
    (size_of_the_text_in_a_loop, "takes the size from the text"),
    (one_list_many_times, "puts one row into the table again and again"),
    (empty_and_a_loop, "begins with what lay in the memory"),
    (empty_of_float64, "begins with what lay in the memory"),
    (rows_picked_before_they_are_written, "leaves the table at zero"),
    (all_later_words, "pairs everything with everything"),
    (half_of_the_bits, "has another dtype"),
    (index_put_without_accumulate, "counts every pair once"),
    (sets_to_one, "counts every pair once"),
    (numpy_fancy_indexing, "counts every pair once"),
    (column_is_current, "swaps rows and columns"),
    (bincount_the_other_way, "swaps rows and columns"),
    (made_symmetric, "counts both directions"),
    (loop_from_the_last, "joins the end to the beginning"),
    (range_two_short, "forgets the last pair"),
    (loop_from_one, "forgets the first pair"),
    (every_second, "takes the tokens two by two"),
    (ones_first, "begins at one"),
    (ints, "has another dtype"),
    (softly_normalised, "divides each row by its sum"),
    (no_minlength, "lets bincount end too early"),
    (one_dimension, "leaves the counts in one row"),
    (one_step_too_far, "looks past the end"),
    (multiplied_in_place, "changes its argument"),
]


@pytest.mark.parametrize(("answer", "name"), NAMED_COUNTS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_mistake_of_counting_in_other_code_has_its_name(answer, name):
    assert checks.run("count_bigrams", answer).misconception == name


def counts_of(idx, vocab_size):
    return checks.find("count_bigrams").reference(idx, vocab_size)


UNLISTED_COUNTS = {
    "nothing comes back": lambda idx, V: None,
    "the vocabulary is what the text uses": size_of_the_text,
    "how often each token occurs": lambda idx, V: torch.bincount(idx, minlength=V).float(),
    "an array": lambda idx, V: counts_of(idx, V).numpy(),
    "bfloat16 cannot count that far": lambda idx, V: counts_of(idx, V).bfloat16().float(),
    "eight bits cannot either": lambda idx, V: counts_of(idx, V).to(torch.uint8).float(),
    "a pair counts from its second time on": lambda idx, V: (counts_of(idx, V) - 1).clamp(min=0),
    "at most two of each": lambda idx, V: counts_of(idx, V).clamp(max=2),
    "True where a pair occurs": lambda idx, V: counts_of(idx, V) > 0,
    "logarithms": lambda idx, V: (counts_of(idx, V) + 1).log(),
    "booleans for one token": lambda idx, V: counts_of(idx, V) if len(idx) > 1 else False,
    "an error for one token": lambda idx, V: counts_of(idx, V) if idx[1] >= 0 else None,
    "right for small tables": lambda idx, V: counts_of(idx, V) if V < 50 else torch.zeros(V, V),
    "the ids in order of size": lambda idx, V: counts_of(idx.sort().values, V),
    "the text backwards and turned": lambda idx, V: counts_of(idx.flip(0), V),
    "a list of tensors": lambda idx, V: list(counts_of(idx, V)),
    "a table and its sum": lambda idx, V: (counts_of(idx, V), len(idx) - 1),
    "rows in the order of the largest": lambda idx, V: counts_of(idx, V).sort(1).values,
}


@pytest.mark.parametrize("what", UNLISTED_COUNTS)
def test_wrong_counts_that_nobody_listed_do_not_pass(what):
    assert checks.run("count_bigrams", UNLISTED_COUNTS[what]).status in ("failed", "error")


def test_unknown_wrong_counts_are_told_what_holds_of_them():
    def first_row_missing(idx, vocab_size):
        counts = counts_of(idx, vocab_size)
        counts[0] = 0
        return counts

    held = dict(checks.run("count_bigrams", first_row_missing).properties)
    assert held["the counts are floats"]
    assert not held["N tokens have N - 1 pairs in all"]


def test_the_memory_is_as_it_was_after_a_check():
    before = torch.get_deterministic_debug_mode()
    checks.run("count_bigrams", empty_and_a_loop)
    checks.run("count_bigrams", looks_at_a_key_that_is_not_there)
    assert torch.get_deterministic_debug_mode() == before


def looks_at_a_key_that_is_not_there(idx, vocab_size):
    return {}[vocab_size]


def test_the_untouched_count_shows_the_words_beside_the_rows():
    def count_bigrams(idx, vocab_size):
        raise NotImplementedError("your turn")

    message = checks.run("count_bigrams", count_bigrams).message
    assert "robot must obey robot must" in message
    assert "robot   0.00  2.00  0.00" in message


# perplexity: right answers that the check does not list


def exp_of_mean(nll):
    return torch.exp(nll.mean()).item()


def float_of_it(nll):
    return float(nll.mean().exp())


def fmean(nll):
    return math.exp(statistics.fmean(nll.tolist()))


def sum_by_length(nll):
    return math.e ** (nll.sum() / len(nll)).item()


def numpy_float64(nll):
    return np.exp(nll.double().numpy().mean())


def power_of_e(nll):
    return math.pow(math.e, sum(nll.tolist()) / nll.numel())


def ten_to_the_power(nll):
    return 10 ** (nll.double().mean().item() / math.log(10))


def shares_added_up(nll):
    mean = 0.0
    for nats in nll.tolist():
        mean += nats / len(nll)
    return math.exp(mean)


def dot_with_even_weights(nll):
    even = torch.full_like(nll, 1 / len(nll))
    return (nll @ even).exp().item()


def one_over_the_mean_probability(nll):
    mean_probability = math.exp(-nll.double().mean())
    return 1 / mean_probability if mean_probability else math.inf


def exp_in_two_steps(nll):
    half = nll.mean().item() / 2
    return math.exp(half) * math.exp(half)


def cross_entropy_of_logs(nll):
    total = torch.cumsum(nll.double(), 0)[-1]
    return (total / nll.shape[0]).exp().tolist()


MEASURED = [
    exp_of_mean, float_of_it, fmean, sum_by_length, numpy_float64, power_of_e, ten_to_the_power,
    shares_added_up, dot_with_even_weights, one_over_the_mean_probability, exp_in_two_steps,
    cross_entropy_of_logs,
]  # fmt: skip


@pytest.mark.parametrize("answer", MEASURED, ids=lambda f: f.__name__)
def test_right_perplexities_pass(answer):
    result = checks.run("perplexity", answer)
    assert result.passed, result.message


# perplexity: mistakes in other code


def sum_of_all(nll):
    return math.exp(sum(nll.tolist()))


def product_of_exps(nll):
    return nll.double().exp().prod().item()


def mean_alone(nll):
    return float(nll.sum() / nll.numel())


def mean_of_exps(nll):
    return statistics.fmean(math.exp(nats) for nats in nll.tolist())


def one_over_mean_of_probabilities(nll):
    probs = torch.exp(-nll)
    return float(1 / probs.mean())


def base_two(nll):
    return float(torch.pow(2, nll.mean()))


def minus_in_the_exponent(nll):
    return torch.exp(-nll.mean()).item()


def logs_again(nll):
    return math.exp(-sum(math.log(p) if p else -math.inf for p in nll.tolist()) / len(nll))


def one_fewer(nll):
    return (nll.sum() / (len(nll) - 1)).exp().item()


def one_more(nll):
    return math.exp(nll.double().sum().item() / (len(nll) + 1))


def tensor_left(nll):
    return torch.exp(torch.mean(nll))


def tensor_of_one(nll):
    return torch.exp(nll.mean(dim=0, keepdim=True))


def finite_ones(nll):
    kept = [nats for nats in nll.tolist() if nats != math.inf]
    return math.exp(sum(kept) / len(kept))


def product_then_root(nll):
    product = 1.0
    for nats in nll.tolist():
        product *= math.exp(-nats)
    return product ** (-1 / len(nll))


def to_whole_number(nll):
    return float(np.round(nll.double().mean().exp().item()))


def perplexity_of_each(nll):
    return torch.exp(nll)


def in_place(nll):
    nll *= -1
    return math.exp(-nll.mean())


def four_digits(nll):
    return round(math.exp(nll.mean().item()), 4)


def three_digits(nll):
    return round(measured(nll), 3)


def two_digits_as_text(nll):
    return float(f"{nll.mean().exp().item():.2f}")


def short_e(nll):
    return 2.718 ** nll.mean().item()


def short_e_rounded_up(nll):
    return pow(2.7183, float(nll.sum()) / len(nll))


def always_by_three(nll):
    return math.exp(sum(nll.tolist()) / 3)


def always_by_two(nll):
    return (nll.sum() / 2).exp().item()


def e_to_the_sum_and_its_root(nll):
    total = 0.0
    for nats in nll.tolist():
        total += nats
    return math.exp(total) ** (1 / len(nll))


def the_worst(nll):
    return math.exp(max(nll.tolist()))


NAMED_MEASURES = [
    (four_digits, None),
    (three_digits, None),
    (two_digits_as_text, None),
    (short_e, "writes e with too few digits"),
    (short_e_rounded_up, None),
    (always_by_three, "divides by a fixed number"),
    (always_by_two, None),
    (e_to_the_sum_and_its_root, "forgets the mean"),
    (the_worst, "looks at the most surprising token alone"),
    (sum_of_all, "forgets the mean"),
    (product_of_exps, "forgets the mean"),
    (mean_alone, "forgets the exp"),
    (mean_of_exps, "takes the mean after the exp"),
    (one_over_mean_of_probabilities, "averages the probabilities"),
    (base_two, "raises two instead of e"),
    (minus_in_the_exponent, "turns the sign round"),
    (one_fewer, "divides by one too few"),
    (one_more, "divides by one too many"),
    (tensor_left, "gives back a tensor"),
    (finite_ones, "leaves out the impossible tokens"),
    (product_then_root, "multiplies the probabilities"),
    (to_whole_number, "rounds the result"),
    (perplexity_of_each, "gives one for each token"),
    (in_place, "changes its argument"),
]


@pytest.mark.parametrize(
    ("answer", "name"), NAMED_MEASURES, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_mistake_of_measuring_in_other_code_has_its_name(answer, name):
    result = checks.run("perplexity", answer)
    assert (result.passed, result.misconception) == (False, name)


def measured(nll):
    return checks.find("perplexity").reference(nll)


UNLISTED_MEASURES = {
    "nothing comes back": lambda nll: None,
    "a logarithm too many": logs_again,
    "a tensor with an axis": tensor_of_one,
    "the least surprise": lambda nll: nll.min().exp().item(),
    "an int": lambda nll: 4,
    "always four": lambda nll: 4.0,
    "a text": lambda nll: str(measured(nll)),
    "a large number for infinity": lambda nll: min(measured(nll), 1e30),
    "nan for infinity": lambda nll: measured(nll) if nll.isfinite().all() else math.nan,
    "an error for infinity": lambda nll: float(int(measured(nll) * 1e9)) / 1e9,
    "the first hundred tokens": lambda nll: measured(nll[:100]),
    "the first token left out": lambda nll: measured(nll[1:]),
    "the last token left out": lambda nll: measured(nll[:-1]),
    "four digits, cut off": lambda nll: measured(nll) // 1e-4 / 1e4,
    "one more": lambda nll: measured(nll) + 1,
    "an approximation": lambda nll: 1 + nll.mean().item(),
    "twice the exp": lambda nll: math.exp(min(measured(nll), 700)),
    "a softmax": lambda nll: nll.softmax(0).mean().exp().item(),
    "float32 of numpy": lambda nll: np.exp(nll.float().numpy().mean()),
    "the mean squared": lambda nll: nll.square().mean().sqrt().exp().item(),
}


@pytest.mark.parametrize("what", UNLISTED_MEASURES)
def test_wrong_perplexities_that_nobody_listed_do_not_pass(what):
    assert checks.run("perplexity", UNLISTED_MEASURES[what]).status in ("failed", "error")


def test_a_number_is_not_taken_for_infinity():
    result = checks.run("perplexity", finite_ones)
    assert result.case.label == "a token that was thought impossible"
    assert "Expected inf, got" in result.message


def test_unknown_wrong_perplexities_are_told_what_holds_of_them():
    held = dict(checks.run("perplexity", lambda nll: measured(nll) + 1).properties)
    assert held["the order of the tokens does not matter"]
    assert not held["where every token was certain, it is 1"]


@pytest.mark.parametrize("answer", [four_digits, the_worst, lambda nll: nll.min().exp().item()])
def test_no_wrong_perplexity_has_every_property_of_a_right_one(answer):
    assert not all(prop.holds(answer) for prop in checks.find("perplexity").properties)
    assert all(prop.holds(exp_of_mean) for prop in checks.find("perplexity").properties)


def test_the_untouched_perplexity_shows_a_number_that_can_be_worked_out():
    def perplexity(nll):
        raise NotImplementedError("your turn")

    message = checks.run("perplexity", perplexity).message
    assert "two tokens that were given 1/2 and 1/8" in message
    assert "expected  4.0" in message or "expected  3.99999999" in message
