"""Lesson 11's checks on answers that are not listed there, and on draws with many seeds."""

import bisect
import heapq
import math
from collections import deque
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gpt2course import checks
from gpt2course.checks.compare import difference
from gpt2course.lessons.sampling import exercises as lesson
from gpt2course.sampling import keep_top_k

REWRITTEN = (
    "the lesson compares draws in another way than this test asks for; it has to be rewritten"
)
INF = math.inf


def run(name, answer):
    return checks.run(name, answer)


def assert_passes(name, answer):
    result = run(name, answer)
    assert result.passed, result.message


def assert_fails(name, answer, misconception):
    result = run(name, answer)
    assert result.status in ("failed", "error"), result.status
    if misconception is not None:
        assert result.misconception == misconception, result.message


# apply_temperature


def divides_by_column(logits, temperature):
    return torch.stack([column / temperature for column in logits.unbind(-1)], dim=-1)


def fills_an_empty_tensor(logits, temperature):
    scaled = torch.empty_like(logits)
    for b in range(len(logits)):
        for v in range(logits.shape[1]):
            scaled[b, v] = logits[b, v] / temperature
    return scaled


RIGHT_TEMPERATURES = [
    lambda x, t: x.div(t),
    lambda x, t: x * t**-1,
    lambda x, t: x if t == 1 else x / t,
    lambda x, t=1.0: torch.true_divide(x, t),
    lambda x, t: (x.double() / t).to(x.dtype),
    lambda x, t: x.clone().div_(t),
    lambda x, t: x / torch.full_like(x, t),
    lambda x, t: torch.func.vmap(lambda row: row / t)(x),
    divides_by_column,
    fills_an_empty_tensor,
]


@pytest.mark.parametrize("answer", RIGHT_TEMPERATURES)
def test_every_way_to_divide_passes(answer):
    assert_passes("apply_temperature", answer)


WRONG_TEMPERATURES = [
    (lambda x, t: torch.mul(x, t), "multiplies by the temperature"),
    (lambda x, t: x * 1.0, "leaves the scores as they were"),
    (lambda x, t: F.softmax(x / t, -1), "takes the softmax as well"),
    (lambda x, t: F.softmax(x / t, -1).log(), "takes the log of the softmax as well"),
    (lambda x, t: F.softmax(x, -1).div(t), "divides the probabilities"),
    (lambda x, t: x / t**0.5, "divides by the root of the temperature"),
    (lambda x, t: x / t**2, "divides twice"),
    (lambda x, t: torch.floor(x / t), "rounds down"),
    (lambda x, t: torch.div(x, t, rounding_mode="floor"), "rounds down"),
    (lambda x, t: t / x, "divides the temperature by the scores"),
    (lambda x, t: x / (t + 1e-6), "adds a small number to the temperature"),
    (lambda x, t: x.float() / t, "has another dtype"),
    (lambda x, t: torch.tensor((x / t).tolist()), None),
    (lambda x, t: x.div_(t), "changes its argument"),
    (lambda x, t: x.data / t, "cuts the gradient"),
    (lambda x, t: torch.tensor(x.tolist(), dtype=x.dtype) / t, "cuts the gradient"),
    (lambda x, t: (x / t).clamp(-100, 100), None),
    (lambda x, t: (x / t).round(decimals=2), None),
    (lambda x, t: x / max(t, 0.02), None),
    (lambda x, t: x / (t if t > 1 else 1), "raises temperatures below 1 to 1"),
    (lambda x, t: (x / t).sort(dim=-1).values, None),
    (lambda x, t: torch.nan_to_num(x / t), None),
    (lambda x, t: x / t if len(x) > 1 else x, None),
    (lambda x, t: None, None),
]


@pytest.mark.parametrize(("answer", "misconception"), WRONG_TEMPERATURES)
def test_no_other_temperature_passes(answer, misconception):
    assert_fails("apply_temperature", answer, misconception)


# keep_top_k


def by_kthvalue(logits, k):
    k = min(k, logits.shape[-1])
    border = logits.kthvalue(logits.shape[-1] - k + 1, dim=-1, keepdim=True).values
    return logits.masked_fill(logits < border, -INF)


def by_a_mask_of_places(logits, k):
    ids = logits.topk(min(k, logits.shape[-1]), dim=-1).indices
    stays = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)
    return torch.where(stays, logits, torch.tensor(-INF, dtype=logits.dtype))


def by_taking_the_best_k_times(logits, k):
    left, stays = logits.detach().clone(), torch.zeros_like(logits, dtype=torch.bool)
    for _ in range(min(k, logits.shape[-1])):
        best = left.argmax(dim=-1, keepdim=True)
        stays.scatter_(-1, best, True)
        left.scatter_(-1, best, -INF)
    return logits.masked_fill(~stays, -INF)


def by_numpy(logits, k):
    scores = logits.detach().numpy()
    if k >= scores.shape[1]:
        return logits
    goes = np.argpartition(scores, -k, axis=1)[:, :-k]
    mask = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(mask, goes, True, axis=1)
    return logits.masked_fill(torch.from_numpy(mask), -INF)


def by_heap(logits, k):
    rows = []
    for row in logits:
        best = heapq.nlargest(k, range(len(row)), key=lambda v: row[v].item())
        kept = torch.full_like(row, -INF)
        kept[best] = row[best]
        rows.append(kept)
    return torch.stack(rows)


def by_adding(logits, k):
    border = logits.sort(dim=-1, descending=True).values[:, : k + 0][:, -1:]
    return logits + torch.zeros_like(logits).masked_fill(logits < border, -INF)


def by_log_of_the_mask(logits, k):
    rank = (-logits).argsort(dim=-1, stable=True).argsort(dim=-1)
    return logits + (rank < k).to(logits.dtype).log()


def by_assigning_to_a_copy(logits, k):
    out = logits.clone()
    for b in range(out.shape[0]):
        goes = out[b].argsort(descending=True)[k:]
        out[b, goes] = float("-inf")
    return out


def with_a_default(logits, k=40):
    k = max(1, min(k, logits.size(-1)))
    values, _ = torch.topk(logits, k)
    return torch.where(logits < values[:, [-1]], torch.full_like(logits, -INF), logits)


@pytest.mark.parametrize(
    "answer",
    [
        by_kthvalue,
        by_a_mask_of_places,
        by_taking_the_best_k_times,
        by_numpy,
        by_heap,
        by_adding,
        by_log_of_the_mask,
        by_assigning_to_a_copy,
        with_a_default,
    ],
)
def test_every_way_to_keep_the_best_k_passes(answer):
    assert_passes("keep_top_k", answer)


def keeps_with(border, rest=-INF, goes=torch.lt):
    """A filter with the border of its own."""
    return lambda x, k: x.masked_fill(goes(x, border(x, k)), rest)


def kth(x, k):
    return x.topk(min(k, x.shape[-1])).values[:, -1:]


def sorted_kth(x, k):
    return x.sort(dim=-1, descending=True).values


def overwrites_with_k_ids(x, k):
    ids = x.topk(min(k, x.shape[-1])).indices
    kept = torch.full_like(x, -INF)
    kept[:, ids[0]] = x[:, ids[0]]
    return kept


def cuts_off_a_column(x, k):
    out = x.clone()
    out[:, k:] = -INF
    return out


def writes_into_rows(x, k):
    out = torch.full_like(x, -INF)
    for row, new in zip(x, out, strict=True):
        for place in sorted(range(len(row)), key=lambda v: -row[v])[:k]:
            new[place] = row[place]
    return out


WRONG_TOP_K = [
    (lambda x, k: keeps_with(lambda x, k: sorted_kth(x, k)[:, k : k + 1])(x, k), None),
    (
        lambda x, k: x.masked_fill(
            x < sorted_kth(x, k)[:, min(k, x.shape[-1] - 1)].unsqueeze(-1), -INF
        ),
        "keeps one too many",
    ),
    (lambda x, k: torch.where(x > kth(x, k), x, -INF), "keeps one too few"),
    (keeps_with(kth, 0.0), "gives the rest a score of 0"),
    (lambda x, k: x * (x >= kth(x, k)), "gives the rest a score of 0"),
    (keeps_with(kth, -1e9), "gives the rest a large negative number"),
    (keeps_with(kth, torch.finfo(torch.float32).min), "gives the rest a large negative number"),
    (keeps_with(kth, -1e20), None),
    (keeps_with(kth, -1.0), None),
    (keeps_with(kth, math.nan), None),
    (keeps_with(kth, goes=torch.ge), "removes the best"),
    (keeps_with(lambda x, k: x.sort().values[:, min(k, x.shape[-1]) - 1, None], goes=torch.gt),
     "keeps the lowest"),
    (lambda x, k: torch.topk(x, min(k, x.shape[1])).values, "returns the k scores alone"),
    (lambda x, k: torch.topk(x, min(k, x.shape[1])), None),
    (lambda x, k: torch.topk(x, min(k, x.shape[1])).indices, "returns the ids"),
    (cuts_off_a_column, "keeps the first columns"),
    (keeps_with(lambda x, k: torch.topk(x, k).values[:, -1:]), "asks for more scores than there are"),
    (keeps_with(lambda x, k: kth(x, k)[0, 0]), "uses the border of the first row for all"),
    (keeps_with(lambda x, k: kth(x, k).amin()), "uses the lowest border for all"),
    (keeps_with(lambda x, k: kth(x, k).amax()), None),
    (keeps_with(lambda x, k: kth(x, k).squeeze(-1)), "forgets the axis of the borders"),
    (keeps_with(lambda x, k: x.topk(k).values[:, -1]), "forgets the axis of the borders"),
    (keeps_with(lambda x, k: x.amax(-1, keepdim=True)), "takes the best score for the border"),
    (keeps_with(lambda x, k: x.topk(k).values[:, :1]), "takes the best score for the border"),
    (keeps_with(lambda x, k: kth(x, k).mean()), None),
    (overwrites_with_k_ids, None),
    (lambda x, k: torch.where(x >= kth(x, k), x, x * -INF), None),
    (lambda x, k: x >= kth(x, k), "returns the mask"),
    (lambda x, k: x.softmax(-1) * (x >= kth(x, k)), None),
    (lambda x, k: x.masked_fill_(x < kth(x, k), -INF), "changes its argument"),
    (lambda x, k: keeps_with(kth)(x.float(), k), "has another dtype"),
    (lambda x, k: keeps_with(kth)(x.half(), k).to(x.dtype), None),
    (lambda x, k: keeps_with(kth)(x, k) if k < x.shape[1] else torch.full_like(x, -INF), None),
    (lambda x, k: keeps_with(kth)(x, max(k, 2)), None),
    (lambda x, k: keeps_with(lambda x, k: x.mean(-1, keepdim=True))(x, k), None),
    (lambda x, k: x.masked_fill(x.abs() < x.abs().topk(min(k, x.shape[1])).values[:, -1:], -INF),
     None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "misconception"), WRONG_TOP_K)
def test_no_other_set_of_k_passes(answer, misconception):
    assert_fails("keep_top_k", answer, misconception)


def test_of_equals_at_the_border_any_may_stay_and_all_may():
    scores = torch.tensor([[1.0, 3.0, 2.0, 2.0, 0.0, 2.0]])

    def with_equals(which):
        def answer(logits, k):
            if not torch.equal(logits, scores):
                return by_a_mask_of_places(logits, k)
            kept = torch.full_like(logits, -INF)
            for v in (1, *which):
                kept[0, v] = logits[0, v]
            return kept

        return answer

    for which in [(2,), (3,), (5,), (2, 5), (2, 3, 5)]:
        assert_passes("keep_top_k", with_equals(which))
    for which in [(), (0,), (2, 0), (2, 4)]:
        assert not run("keep_top_k", with_equals(which)).passed


# keep_top_p


def shifting_the_mask(logits, p):
    ordered, ids = torch.sort(logits, descending=True)
    remove = torch.cumsum(F.softmax(ordered, dim=-1), dim=-1) >= p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = 0
    return logits.masked_fill(remove.scatter(1, ids, remove), -INF)


def from_the_tail(logits, p):
    ordered, ids = torch.sort(logits, descending=False)
    remove = ordered.softmax(dim=-1).cumsum(dim=-1) <= (1 - p)
    remove[..., -1:] = 0
    return logits.masked_fill(remove.scatter(1, ids, remove), -INF)


def with_the_smallest_k_that_suffices(logits, p):
    rows = []
    for row in logits:
        for k in range(1, len(row) + 1):
            border = row.topk(k).values[-1]
            if row.softmax(-1)[row >= border].sum() >= p or k == len(row):
                break
        rows.append(row.masked_fill(row < border, -INF))
    return torch.stack(rows)


def in_double_precision(logits, p):
    probs = logits.detach().double().softmax(-1)
    ordered, ids = probs.sort(-1, descending=True)
    before = F.pad(ordered.cumsum(-1), (1, 0))[:, :-1]
    stays = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, before < p)
    stays.scatter_(-1, ids[:, :1], True)
    return torch.where(stays, logits, -INF)


def with_numpy_for_the_mask(logits, p):
    probs = logits.detach().softmax(-1).numpy()
    order = np.argsort(-probs, axis=-1)
    held = np.cumsum(np.take_along_axis(probs, order, -1), axis=-1)
    needed = 1 + (held < p).sum(-1, keepdims=True)
    goes = np.argsort(order, axis=-1) >= needed
    return logits.masked_fill(torch.from_numpy(goes), -INF)


def with_logarithms(logits, p):
    ordered, ids = logits.log_softmax(-1).sort(-1, descending=True)
    held = torch.logcumsumexp(ordered, dim=-1).exp()
    short = held < p
    stays = torch.cat([torch.ones_like(short[:, :1]), short[:, :-1]], dim=-1)
    return torch.where(stays.gather(-1, ids.argsort(-1)), logits, -INF)


def dropping_the_least_likely_while_it_can(logits, p):
    rows = []
    for row in logits:
        probs = row.softmax(-1).tolist()
        kept = sorted(range(len(row)), key=probs.__getitem__, reverse=True)
        while len(kept) > 1 and sum(probs[v] for v in kept[:-1]) >= p:
            kept.pop()
        mask = torch.ones(len(row), dtype=torch.bool)
        mask[kept] = False
        rows.append(row.masked_fill(mask, -INF))
    return torch.stack(rows)


def by_a_border_of_scores(logits, p):
    ordered = logits.sort(-1, descending=True).values
    held = ordered.softmax(-1).cumsum(-1)
    last = torch.searchsorted(held, torch.full_like(held[:, :1], p)).clamp(max=held.shape[1] - 1)
    return torch.where(logits < ordered.gather(-1, last), -INF, logits)


@pytest.mark.parametrize(
    "answer",
    [
        shifting_the_mask,
        from_the_tail,
        with_the_smallest_k_that_suffices,
        in_double_precision,
        with_numpy_for_the_mask,
        with_logarithms,
        dropping_the_least_likely_while_it_can,
        by_a_border_of_scores,
    ],
)
def test_every_way_to_keep_the_nucleus_passes(answer):
    assert_passes("keep_top_p", answer)


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_no_case_of_top_p_hangs_on_rounding():
    """Sums lie so far from p that no order of adding decides, or are p without any rounding."""
    for case in lesson.keep_top_p.cases:
        logits, p = case.args
        if "exactly" in case.label:
            share = 1 / logits.shape[-1]
            assert torch.equal(logits.softmax(-1), torch.full_like(logits, share))
            assert share in (1 / 4, 1 / 8) and p in (1 / 4, 1 / 2)
            continue
        held = logits.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1)
        margin = 1e-3 if logits.shape[-1] < 500 else 1e-5
        assert (held - p).abs().amin() > margin or logits.shape[-1] == 1, case.label


def nucleus(goes, rest=-INF, dim=-1, back="scatter"):
    """A filter that removes what `goes` says of the sorted probabilities and their sums."""

    def answer(logits, p):
        ordered, ids = logits.sort(-1, descending=True)
        probs = ordered.softmax(dim)
        drop = goes(probs, probs.cumsum(-1), p)
        if back == "scatter":
            drop = drop.scatter(-1, ids, drop)
        return logits.masked_fill(drop, rest)

    return answer


def except_first(mask):
    mask[:, 0] = False
    return mask


def right_goes(probs, held, p):
    return except_first(held - probs >= p)


def by_indices_in_every_row(logits, p):
    ordered, ids = logits.sort(-1, descending=True)
    drop = right_goes(ordered.softmax(-1), ordered.softmax(-1).cumsum(-1), p)
    out = logits.clone()
    out[:, ids[drop]] = -INF
    return out


def by_where_on_sorted(logits, p):
    ordered, ids = logits.sort(-1, descending=True)
    drop = right_goes(ordered.softmax(-1), ordered.softmax(-1).cumsum(-1), p)
    return ordered.masked_fill(drop, -INF)


WRONG_TOP_P = [
    (nucleus(lambda probs, held, p: held > p), "leaves out the token that crosses p"),
    (nucleus(lambda probs, held, p: held >= p), "leaves out the token that crosses p"),
    (
        nucleus(lambda probs, held, p: except_first(held > p)),
        "leaves out the token that crosses p unless it is the first",
    ),
    (nucleus(lambda probs, held, p: held - probs >= p), "keeps nothing for p = 0"),
    (nucleus(lambda probs, held, p: except_first(held - 2 * probs >= p)), None),
    (
        nucleus(lambda probs, held, p: held - probs > p),
        "keeps one too many where the sum is exactly p",
    ),
    (
        nucleus(lambda probs, held, p: F.pad(held, (1, -1)) > p),
        "keeps one too many where the sum is exactly p",
    ),
    (nucleus(right_goes, back=None), "forgets to undo the sorting"),
    (by_where_on_sorted, "leaves the scores sorted"),
    (by_indices_in_every_row, "removes in every row what one row removes"),
    (nucleus(right_goes, rest=0.0), "gives the rest a score of 0"),
    (nucleus(right_goes, rest=-1e9), "gives the rest a large negative number"),
    (nucleus(right_goes, rest=-1e30), None),
    (nucleus(right_goes, dim=0), "takes the softmax down the columns"),
    (nucleus(lambda probs, held, p: probs < p), "asks each token for p"),
    (nucleus(lambda probs, held, p: probs < 1 - p), "asks each token for 1 - p"),
    (nucleus(lambda probs, held, p: probs < p * probs[:, :1]), "compares with the likeliest"),
    (
        nucleus(lambda probs, held, p: except_first(held - probs >= 1 - p)),
        "keeps 1 - p",
    ),
    (nucleus(lambda probs, held, p: ~right_goes(probs, held, p)), "removes the likeliest"),
    (lambda x, p: by_a_border_of_scores(x, p).softmax(-1), "returns probabilities"),
    (lambda x, p: by_a_border_of_scores(x, p).isfinite(), "returns the mask"),
    (lambda x, p: x.clone(), "keeps everything"),
    (lambda x, p: keeps_with(kth)(x, 1), "keeps only the likeliest"),
    (lambda x, p: by_a_border_of_scores(x, max(p, 0.5)), None),
    (lambda x, p: by_a_border_of_scores(x, p / 100), "keeps only the likeliest"),
    (lambda x, p: by_a_border_of_scores(x.float(), p), "has another dtype"),
    (lambda x, p: x.masked_fill_(by_a_border_of_scores(x, p) == -INF, -INF), "changes its argument"),
    (lambda x, p: by_a_border_of_scores(x[:1], p).expand(x.shape), None),
    (lambda x, p: by_a_border_of_scores(x, p) - x.amax(-1, keepdim=True), None),
    (lambda x, p: keeps_with(kth)(x, math.ceil(p * x.shape[1]) or 1), None),
]


@pytest.mark.parametrize(("answer", "misconception"), WRONG_TOP_P)
def test_no_other_nucleus_passes(answer, misconception):
    assert_fails("keep_top_p", answer, misconception)


# sample_next


def filtered_probs(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is not None:
        scores = keeps_with(kth)(scores, top_k)
    return scores.softmax(-1)


def drawing(draw):
    """A right answer with its own way of drawing an id (B, 1) from probabilities (B, V)."""

    def sample_next(logits, temperature, top_k, generator):
        if temperature == 0:
            return logits.argmax(-1, keepdim=True)
        return draw(filtered_probs(logits, temperature, top_k), generator)

    sample_next.__name__ = draw.__name__
    return sample_next


def multinomial(probs, generator):
    return torch.multinomial(probs, 1, generator=generator)


def inverse_of_the_sums(probs, generator):
    held = probs.double().cumsum(-1)
    point = torch.rand(len(probs), 1, generator=generator, dtype=torch.float64) * held[:, -1:]
    return torch.searchsorted(held, point, right=True)


def gumbel_noise(probs, generator):
    uniform = torch.rand(probs.shape, generator=generator, dtype=torch.float64)
    return (probs.log() - (-uniform.log()).log()).argmax(-1, keepdim=True)


def exponential_race(probs, generator):
    times = torch.empty_like(probs).exponential_(generator=generator)
    return (probs / times).argmax(-1, keepdim=True)


def row_by_row(probs, generator):
    return torch.stack([torch.multinomial(row, 1, generator=generator) for row in probs])


def bisection_in_python(probs, generator):
    ids = []
    for row in probs.double().cumsum(-1).tolist():
        point = torch.rand((), generator=generator, dtype=torch.float64).item() * row[-1]
        ids.append([bisect.bisect_right(row, point)])
    return torch.tensor(ids)


def numpy_with_a_drawn_seed(probs, generator):
    seed = torch.randint(2**62, (), generator=generator).item()
    numbers = np.random.default_rng(seed)
    probs = probs.double().numpy()
    probs = probs / probs.sum(-1, keepdims=True)
    return torch.tensor([[int(numbers.choice(len(row), p=row))] for row in probs])


def odds_that_do_not_sum_to_one(probs, generator):
    return torch.multinomial(probs * 17, num_samples=1, replacement=True, generator=generator)


def rejection(probs, generator):
    ids = torch.full((len(probs), 1), -1)
    while (waiting := (ids < 0)[:, 0]).any():
        guess = torch.randint(probs.shape[1], (len(probs), 1), generator=generator)
        height = torch.rand(len(probs), 1, generator=generator) * probs.amax(-1, keepdim=True)
        takes = waiting[:, None] & (height < probs.gather(-1, guess))
        ids = torch.where(takes, guess, ids)
    return ids


def among_the_sorted(probs, generator):
    ordered, ids = probs.sort(-1, descending=True)
    return ids.gather(-1, torch.multinomial(ordered, 1, generator=generator))


WAYS = [
    multinomial,
    inverse_of_the_sums,
    gumbel_noise,
    exponential_race,
    row_by_row,
    bisection_in_python,
    numpy_with_a_drawn_seed,
    odds_that_do_not_sum_to_one,
    rejection,
    among_the_sorted,
]
WAYS = {way.__name__: drawing(way) for way in WAYS}
QUICK = ["multinomial", "inverse_of_the_sums", "gumbel_noise", "exponential_race", "rejection"]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_draw_passes(way):
    assert_passes("sample_next", WAYS[way])


def with_seed(case, number):
    *args, seed = case.args
    if seed.number is None:
        return case.args
    return (*args, replace(seed, number=number))


@pytest.mark.parametrize("way", QUICK)
def test_no_seed_makes_a_right_way_to_draw_fail(way):
    exercise = lesson.sample_next
    for case in exercise.cases:
        expected = exercise.call(exercise.reference, *case.args)
        for number in range(1000, 1040):
            got = exercise.call(WAYS[way], *with_seed(case, number))
            assert difference(expected, got) is None, (case.label, number)


def chance_of_refusal(n, p):
    """The probability that the count of a token drawn n times with p is refused, exactly."""
    if p in (0, 1):
        return 0.0
    counts = torch.arange(n + 1, dtype=torch.float64)
    log_ways = math.lgamma(n + 1) - torch.lgamma(counts + 1) - torch.lgamma(n - counts + 1)
    probs = (log_ways + counts * math.log(p) + (n - counts) * math.log1p(-p)).exp()
    both = torch.stack([counts, n - counts], dim=-1)
    surprise = lesson._surprise(both, torch.tensor([p, 1 - p], dtype=torch.float64))
    return probs[surprise[:, 0] > lesson.SURPRISE].sum().item()


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
@pytest.mark.parametrize(("exercise", "rows"), [("sample_next", 1000), ("generate", 600)])
def test_a_right_answer_is_refused_by_chance_less_than_once_in_a_million(exercise, rows):
    exercise = getattr(lesson, exercise)
    total, counted = 0.0, 0
    for case in exercise.cases:
        value = exercise.call(exercise.reference, *case.args)
        if isinstance(value, dict) and lesson.SHARES in value:
            shares = value[lesson.SHARES]
            kinds = len(shares) if exercise is lesson.sample_next else 1
            rows = len(case.args[0]) if exercise is lesson.sample_next else rows
            n, probs = rows // kinds, shares.reshape(kinds, -1)
            total += sum(chance_of_refusal(n, p) for p in probs.flatten().tolist())
            agree = (probs**2).sum(-1).clamp(max=1)
            total += sum(2 * chance_of_refusal(n // 2, p) for p in agree.tolist())
            counted += probs.numel() + kinds
    assert 40 < counted < 150
    assert 0 < total < 1e-6


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_listed_wrong_probabilities_are_the_right_ones_or_far_from_them():
    """So far that a count hardly ever hides them: over twice what is allowed to chance."""
    shown = dict.fromkeys(lesson._WRONG_CHANCES, 0)
    for case in lesson.sample_next.cases:
        logits, temperature, top_k, _ = case.args
        if not case.rows or case.columns not in (lesson._FOUR_WORDS, lesson._GROUPS):
            continue
        kinds = len(case.rows)
        right = lesson._chances(logits[:kinds], temperature, top_k)
        borders = lesson._BORDERS if case.columns == lesson._GROUPS else ()
        right = lesson._shares_of_groups(right, borders)
        for chances in lesson._WRONG_CHANCES:
            wrong = lesson._shared(chances(logits, temperature, top_k)[:kinds])
            wrong = lesson._shares_of_groups(wrong, borders)
            if wrong.isfinite().all() and not torch.allclose(wrong, right, atol=1e-4):
                shown[chances] += 1
                distance = lesson._surprise(wrong * (len(logits) // kinds), right).amax()
                assert distance > 2 * lesson.SURPRISE, (case.label, chances.__name__)
    assert all(shown.values()), [c.__name__ for c, times in shown.items() if not times]


def sampling_with(probs_of, draw=multinomial, at_zero=None):
    """An answer with probabilities of its own."""

    def sample_next(logits, temperature, top_k, generator):
        if temperature == 0:
            return at_zero(logits) if at_zero else logits.argmax(-1, keepdim=True)
        return draw(probs_of(logits, temperature, top_k), generator)

    return sample_next


def divides_only_above_zero(logits, temperature, top_k, generator):
    if temperature > 0:
        logits = logits / temperature
    if top_k:
        logits = keeps_with(kth)(logits, top_k)
    return gumbel_noise(logits.softmax(-1), generator)


def one_point_for_all(probs, generator):
    return torch.searchsorted(
        probs.cumsum(-1), torch.rand(1, generator=generator).repeat(len(probs), 1)
    )


def one_noise_for_all(probs, generator):
    noise = -(-torch.rand(probs.shape[-1], generator=generator).log()).log()
    return (probs.log() + noise).argmax(-1, keepdim=True)


def pairs_of_rows_share_a_point(probs, generator):
    points = torch.rand((len(probs) + 1) // 2, 1, generator=generator).repeat_interleave(2, dim=0)
    return torch.searchsorted(probs.cumsum(-1), points[: len(probs)]).clamp(max=probs.shape[1] - 1)


def points_on_a_grid(probs, generator):
    B = len(probs)
    points = (torch.arange(B)[:, None] + torch.rand(1, generator=generator)) / B
    return torch.searchsorted(probs.cumsum(-1), points).clamp(max=probs.shape[1] - 1)


def forgets_to_look_up(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    best, _ids = logits.topk(min(top_k or logits.shape[1], logits.shape[1]))
    return exponential_race((best / temperature).softmax(-1), generator)


def draws_with_a_distribution_object(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    probs = filtered_probs(logits, temperature, top_k)
    return torch.distributions.Categorical(probs=probs).sample()[:, None]


def sets_the_global_seed(logits, temperature, top_k, generator):
    torch.manual_seed(0)
    return WAYS["exponential_race"](logits, temperature, top_k, None)


def seeds_what_it_is_given(logits, temperature, top_k, generator):
    (generator or torch.default_generator).manual_seed(7)
    return WAYS["multinomial"](logits, temperature, top_k, generator)


def copies_the_generator(logits, temperature, top_k, generator):
    if generator is not None:
        copied = torch.Generator()
        copied.set_state(generator.get_state())
        generator = copied
    return WAYS["multinomial"](logits, temperature, top_k, generator)


def zeros_for_the_rest(logits, temperature, top_k):
    scores = logits / temperature
    if top_k is None:
        return scores.softmax(-1)
    best, ids = scores.topk(min(top_k, scores.shape[-1]))
    return torch.zeros_like(scores).scatter(-1, ids, best).softmax(-1)


def overflowing(logits, temperature, top_k):
    odds = torch.exp(logits / temperature)
    if top_k is not None:
        odds = torch.where(odds < kth(odds, top_k), 0.0, odds)
    return odds / odds.sum(-1, keepdim=True)


WRONG_DRAWS = [
    (
        sampling_with(lambda x, t, k: filtered_probs(x, 1.0, k), gumbel_noise),
        "forgets the temperature",
    ),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, 1.0, k) / t, exponential_race),
        "forgets the temperature",
    ),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, 1 / t, k), exponential_race),
        "multiplies by the temperature",
    ),
    (sampling_with(lambda x, t, k: filtered_probs(x, t, None), gumbel_noise), "forgets top_k"),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, t, k and k + 1), exponential_race),
        "lets one token too many in",
    ),
    (sampling_with(zeros_for_the_rest, exponential_race), "gives the rest a score of 0"),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, t, k).softmax(-1), exponential_race),
        "takes the softmax twice",
    ),
    (
        sampling_with(lambda x, t, k: filtered_probs(x.softmax(-1), t, k), exponential_race),
        "takes the softmax first",
    ),
    (
        sampling_with(lambda x, t, k: (filtered_probs(x, t, k) > 0).float(), exponential_race),
        "draws evenly",
    ),
    (forgets_to_look_up, "returns the place in the sorted row"),
    (lambda x, t, k, g: x.topk(1).indices, "always takes the likeliest"),
    (drawing(one_point_for_all), "draws once for all rows"),
    (drawing(one_noise_for_all), "draws once for all rows"),
    (divides_only_above_zero, "takes temperature 0 for no temperature"),
    (
        lambda x, t, k, g: gumbel_noise(filtered_probs(x, t + 1e-5, k), g),
        "puts a small number in place of 0",
    ),
    (
        lambda x, t, k, g: exponential_race(filtered_probs(x, t or 1e-3, k), g),
        "puts a small number in place of 0",
    ),
    (lambda x, t, k, g: multinomial(filtered_probs(x, t, k), g), "divides by zero"),
    (draws_with_a_distribution_object, "ignores the generator"),
    (sets_the_global_seed, "sets a seed of its own"),
    (seeds_what_it_is_given, "sets a seed of its own"),
    (copies_the_generator, "begins again from the first seed"),
    (lambda *a: WAYS["multinomial"](*a).view(-1), "forgets the last axis"),
    (lambda *a: WAYS["gumbel_noise"](*a).squeeze(), "squeezes the ids"),
    (lambda *a: WAYS["multinomial"](*a).double(), None),
    (lambda *a: WAYS["multinomial"](*a).tolist(), "returns list instead of a tensor"),
    (lambda *a: WAYS["multinomial"](*a).T, None),
    (
        sampling_with(filtered_probs, at_zero=lambda x: x.argmax(-1)),
        "forgets the last axis",
    ),
    (
        sampling_with(filtered_probs, at_zero=lambda x: (-x).argmax(-1, keepdim=True)),
        "takes the least likely at temperature 0",
    ),
    (
        sampling_with(filtered_probs, at_zero=lambda x: x.amax(-1, keepdim=True)),
        "returns the score at temperature 0",
    ),
    (sampling_with(overflowing), "takes the exponentials of large scores"),
    (
        sampling_with(lambda x, t, k: filtered_probs(x[:1], t, k).expand(x.shape), gumbel_noise),
        "draws every row from the first",
    ),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, max(t, 0.05), k), exponential_race),
        None,
    ),
    (
        sampling_with(lambda x, t, k: filtered_probs(x, t, 40 if k is None else k), gumbel_noise),
        "filters at 40 unasked",
    ),
    (sampling_with(lambda x, t, k: filtered_probs(x, t, k or 100), gumbel_noise), None),
    (sampling_with(lambda x, t, k: filtered_probs(x, t, k or 200), gumbel_noise), None),
    (sampling_with(lambda x, t, k: filtered_probs(x, t**0.5, k), gumbel_noise), None),
    (sampling_with(lambda x, t, k: filtered_probs(x, t, k) ** 1.4), None),
    (drawing(pairs_of_rows_share_a_point), None),
    (drawing(points_on_a_grid), None),
    (lambda x, t, k, g: WAYS["multinomial"](x, t if t else 1e-2, k, g),
     "puts a small number in place of 0"),
    (lambda x, t, k, g: WAYS["multinomial"](x.div_(t) if t else x, 1.0 if t else t, k, g),
     "changes its argument"),
    (lambda x, t, k, g: (WAYS["multinomial"](x, t, k, g) + 1) % x.shape[-1], None),
    (lambda x, t, k, g: None, None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "misconception"), WRONG_DRAWS)
def test_no_other_draw_passes(answer, misconception):
    assert_fails("sample_next", answer, misconception)


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
@pytest.mark.parametrize("way", QUICK[:4])
def test_a_wrong_probability_is_named_however_it_is_drawn(way):
    draw = globals()[way]
    for listed in ("forgets_top_k", "takes_the_softmax_twice", "lets_one_too_many_in"):
        chances = next(c for c in lesson._WRONG_CHANCES if c.__name__ == listed)
        result = run("sample_next", sampling_with(chances, draw))
        assert result.misconception == listed.replace("_", " "), result.message
        assert result.throughout


# generate


def grown(model, idx, n, draw):
    for _ in range(n):
        idx = torch.cat((idx, draw(model(idx[:, -model.config.n_ctx :])[:, -1, :])), dim=1)
    return idx


def generating(way):
    return lambda model, idx, n, t, k, g: grown(model, idx, n, lambda x: WAYS[way](x, t, k, g))


@torch.no_grad()
def without_gradients(model, idx, max_new_tokens, temperature, top_k, generator):
    return generating("multinomial")(model, idx, max_new_tokens, temperature, top_k, generator)


@torch.inference_mode()
def in_inference_mode(model, idx, max_new_tokens, temperature, top_k, generator):
    return generating("multinomial")(model, idx, max_new_tokens, temperature, top_k, generator)


def lists_of_ids(model, idx, max_new_tokens, temperature, top_k, generator):
    texts = idx.tolist()
    for _ in range(max_new_tokens):
        view = torch.tensor([text[-model.config.n_ctx :] for text in texts])
        drawn = WAYS["multinomial"](model(idx=view)[:, -1], temperature, top_k, generator)
        texts = [text + new for text, new in zip(texts, drawn.tolist(), strict=True)]
    return torch.tensor(texts)


def a_window_that_moves(model, idx, max_new_tokens, temperature, top_k, generator):
    columns = [*idx.unbind(dim=1)]
    window = deque(columns, maxlen=model.config.n_ctx)
    for _ in range(max_new_tokens):
        logits = model(torch.stack(tuple(window), dim=1))
        new = WAYS["inverse_of_the_sums"](logits[:, -1], temperature, top_k, generator)[:, 0]
        columns.append(new), window.append(new)
    return torch.stack(columns, dim=1)


def padded_and_filled(model, idx, max_new_tokens, temperature, top_k, generator):
    T, n_ctx = idx.shape[1], model.config.n_ctx
    text = F.pad(idx, (0, max_new_tokens))
    for t in range(T, T + max_new_tokens):
        view = text[:, :t] if t <= n_ctx else text[:, t - n_ctx : t]
        text[:, t : t + 1] = WAYS["gumbel_noise"](model(view)[:, -1], temperature, top_k, generator)
    return text


def each_row_alone(model, idx, max_new_tokens, temperature, top_k, generator):
    rows = [
        generating("multinomial")(model, row, max_new_tokens, temperature, top_k, generator)
        for row in idx.split(1)
    ]
    return torch.cat(rows)


def asking_the_model_once_more_than_needed(model, idx, n, temperature, top_k, generator):
    model(idx[:, -1:])
    for _ in range(n):
        logits = model(idx[:, max(0, idx.shape[1] - model.config.n_ctx) :])
        idx = torch.hstack([idx, WAYS["multinomial"](logits[:, -1], temperature, top_k, generator)])
    return idx.clone()


def with_a_while_loop_and_defaults(
    model, idx, max_new_tokens=20, temperature=1.0, top_k=None, generator=None
):
    length = idx.size(1) + max_new_tokens
    while idx.size(1) < length:
        view = idx if idx.size(1) <= model.config.n_ctx else idx[:, -model.config.n_ctx :]
        drawn = WAYS["multinomial"](model(view)[:, -1, :], temperature, top_k, generator)
        idx = torch.cat([idx, drawn], dim=-1)
    return idx


RIGHT_TEXTS = {
    "multinomial": generating("multinomial"),
    "inverse": generating("inverse_of_the_sums"),
    "gumbel": generating("gumbel_noise"),
    "race": generating("exponential_race"),
    "without_gradients": without_gradients,
    "in_inference_mode": in_inference_mode,
    "lists_of_ids": lists_of_ids,
    "a_window_that_moves": a_window_that_moves,
    "padded_and_filled": padded_and_filled,
    "each_row_alone": each_row_alone,
    "asking_once_more": asking_the_model_once_more_than_needed,
    "while": with_a_while_loop_and_defaults,
}


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
@pytest.mark.parametrize("name", RIGHT_TEXTS)
def test_every_way_to_generate_passes(name):
    assert_passes("generate", RIGHT_TEXTS[name])


@pytest.mark.parametrize("name", ["multinomial", "inverse", "gumbel", "race"])
def test_no_seed_makes_a_right_way_to_generate_fail(name):
    exercise = lesson.generate
    for case in exercise.cases:
        expected = exercise.call(exercise.reference, *case.args)
        for number in range(1000, 1030):
            got = exercise.call(RIGHT_TEXTS[name], *with_seed(case, number))
            assert difference(expected, got) is None, (case.label, number)


def loop(view=None, pick=None, settings=None, way="multinomial"):
    """The usual loop with one thing changed."""

    def generate(model, idx, n, temperature, top_k, generator):
        t, k, g = (settings or (lambda *s: s))(temperature, top_k, generator)
        n_ctx, prompt = model.config.n_ctx, idx
        for _ in range(n):
            seen = view(idx, n_ctx, prompt) if view else idx[:, -n_ctx:]
            logits = model(seen)
            logits = pick(logits) if pick else logits[:, -1]
            idx = torch.cat([idx, WAYS[way](logits, t, k, g)], dim=1)
        return idx

    return generate


def same_noise_at_every_step(model, idx, n, temperature, top_k, generator):
    state = (generator or torch.default_generator).get_state()

    def draw(logits):
        (generator or torch.default_generator).set_state(state)
        return WAYS["inverse_of_the_sums"](logits, temperature, top_k, generator)

    return grown(model, idx, n, draw)


def ends_with_the_context(model, idx, n, temperature, top_k, generator):
    for _ in range(n):
        if idx.shape[1] == model.config.n_ctx:
            break
        drawn = WAYS["multinomial"](model(idx)[:, -1], temperature, top_k, generator)
        idx = torch.cat([idx, drawn], dim=1)
    return idx


def ends_with_the_text(model, idx, n, temperature, top_k, generator):
    for _ in range(n):
        logits = model(idx[:, -model.config.n_ctx :])[:, -1]
        idx = torch.cat([idx, WAYS["multinomial"](logits, temperature, top_k, generator)], dim=1)
        if 50256 in idx[:, -1]:
            break
    return idx


def grows_up_to(model, idx, n, temperature, top_k, generator):
    while idx.shape[1] < n:
        logits = model(idx[:, -model.config.n_ctx :])[:, -1]
        idx = torch.cat([idx, WAYS["multinomial"](logits, temperature, top_k, generator)], dim=1)
    return idx


def draws_everything_at_once(model, idx, n, temperature, top_k, generator):
    logits = model(idx[:, -model.config.n_ctx :])[:, -1]
    if temperature == 0 or n == 0:
        return torch.cat([idx, logits.argmax(-1, keepdim=True).expand(-1, n)], dim=1)
    probs = filtered_probs(logits, temperature, top_k)
    drawn = torch.multinomial(probs, n, replacement=True, generator=generator)
    return torch.cat([idx, drawn], dim=1)


def throws_half_of_the_context_away(text, n_ctx, prompt):
    over = text.shape[1] - n_ctx
    half = max(1, n_ctx // 2)
    return text if over <= 0 else text[:, -(-over // half) * half :]


def stops_at_zero(model, idx, n, temperature, top_k, generator):
    for _ in range(n):
        logits = model(idx[:, -model.config.n_ctx :])[:, -1]
        idx = torch.cat([idx, WAYS["multinomial"](logits, temperature, top_k, generator)], dim=1)
        if (idx[:, -1] == 0).all():
            break
    return idx


def reads_the_vocabulary_from_the_model(model, idx, n, temperature, top_k, generator):
    top_k = top_k or model.config.vocab_size
    return generating("multinomial")(model, idx, n, temperature, top_k, generator)


WRONG_TEXTS = [
    (lambda *a: generating("gumbel_noise")(*a)[:, a[1].shape[1] :], "leaves the prompt out"),
    (loop(pick=lambda x: x[:, 0]), "reads the scores of the first token"),
    (loop(view=lambda idx, n_ctx, prompt: idx), "shows more than the context holds"),
    (loop(view=lambda idx, n_ctx, prompt: idx[:, :n_ctx]), "shows the oldest tokens"),
    (
        loop(view=lambda idx, n_ctx, prompt: idx[:, -(n_ctx - 1) :] if n_ctx > 1 else idx[:, -1:]),
        "shows one token fewer than the context holds",
    ),
    (loop(view=lambda idx, n_ctx, prompt: idx[:, -1:]), "shows the last token alone"),
    (loop(view=lambda idx, n_ctx, prompt: prompt), "shows the prompt each time"),
    (
        loop(view=lambda idx, n_ctx, prompt: idx[:, -prompt.shape[1] :]),
        "keeps as many in view as the prompt has",
    ),
    (loop(view=throws_half_of_the_context_away), None),
    (lambda m, x, n, *s: generating("multinomial")(m, x, n + 1, *s), "writes one token too many"),
    (
        lambda m, x, n, *s: generating("multinomial")(m, x, n - 1, *s),
        "writes one token too few",
    ),
    (grows_up_to, "counts the prompt in"),
    (ends_with_the_context, "stops where the context is full"),
    (ends_with_the_text, "stops at the end of a text"),
    (stops_at_zero, None),
    (
        loop(settings=lambda t, k, g: (t and 1.0, k, g), way="gumbel_noise"),
        None,
    ),
    (loop(settings=lambda t, k, g: (1.0, k, g), way="gumbel_noise"), "forgets the temperature"),
    (loop(settings=lambda t, k, g: (t, None, g), way="exponential_race"), "forgets top_k"),
    (
        loop(settings=lambda t, k, g: (t or 1.0, k, g), way="gumbel_noise"),
        "takes temperature 0 for no temperature",
    ),
    (loop(settings=lambda t, k, g: (t, k or 40, g), way="gumbel_noise"), "filters at 40 unasked"),
    (loop(settings=lambda t, k, g: (t, k or 100, g)), None),
    (
        loop(settings=lambda t, k, g: (1.0, None, g), way="inverse_of_the_sums"),
        "forgets temperature and top_k",
    ),
    (loop(settings=lambda t, k, g: (t, k, None), way="gumbel_noise"), "forgets the generator"),
    (
        lambda m, x, n, t, k, g: grown(m, x, n, lambda z: z.argmax(-1, keepdim=True)),
        "always takes the likeliest",
    ),
    (same_noise_at_every_step, None),
    (
        loop(settings=lambda t, k, g: (t, k, torch.Generator().manual_seed(0)), way="gumbel_noise"),
        "sets a seed of its own",
    ),
    (loop(pick=lambda x: x[:, -1].softmax(-1), way="gumbel_noise"), "hands over probabilities"),
    (
        lambda m, x, n, *s: generating("multinomial")(m, x[:1], n, *s),
        "continues the first row alone",
    ),
    (lambda m, x, *s: x, "does not keep the longer text"),
    (lambda *a: generating("multinomial")(*a).tolist(), "returns list instead of a tensor"),
    (lambda *a: generating("multinomial")(*a).float(), "has another dtype"),
    (lambda *a: generating("multinomial")(*a)[0], None),
    (lambda *a: generating("multinomial")(*a).int(), None),
    (lambda *a: generating("multinomial")(*a).flip(-1), None),
    (lambda m, *a: generating("multinomial")(m.to("cpu"), *a), "asks the model for more"),
    (reads_the_vocabulary_from_the_model, None),
    (draws_everything_at_once, None),
    (lambda m, x, n, *s: [m(x[:, -m.config.n_ctx :])[:, -1] for _ in range(n)], None),
    (lambda m, x, n, *s: generating("multinomial")(m, x.add_(0), n, *s)[:, : m.config.n_ctx], None),
]


@pytest.mark.parametrize(("answer", "misconception"), WRONG_TEXTS)
def test_no_other_text_passes(answer, misconception):
    assert_fails("generate", answer, misconception)


def test_a_model_to_generate_with_refuses_what_gpt2_would():
    model = lesson.Model(lesson.Stub(7, 3))
    assert model(torch.tensor([[1, 2, 3]])).shape == (1, 3, 7)
    for bad in ([[1, 2, 3, 4]], [1, 2], [[1.0, 2.0]], [[]]):
        with pytest.raises(ValueError, match="a model takes"):
            model(torch.tensor(bad))
    for name in ("eval", "parameters", "device"):
        assert not hasattr(model, name)


def test_a_certain_model_depends_on_every_token_in_view_and_on_none_after_it():
    stub = lesson.Stub(11, 9)
    idx = torch.tensor([[3, 1, 4, 1, 5]])
    last = stub.logits(idx)[0, -1].argmax()
    for t in range(5):
        other = idx.clone()
        other[0, t] += 1
        assert stub.logits(other)[0, -1].argmax() != last
        assert torch.equal(stub.logits(other)[:, :t], stub.logits(idx)[:, :t])


# The cards


def listed(name, mistake):
    """A known mistake as an answer."""
    exercise = checks.find(name)
    return exercise.build(next(m.ways[0] for m in exercise.mistakes if m.name == mistake))


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_shares_are_drawn_as_probabilities_beside_their_words():
    result = run("sample_next", listed("sample_next", "forgets top_k"))
    assert "robots" in result.message and "0.80*" in result.message
    assert "expected: the share of each, chance taken out" in result.message


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_shares_that_nobody_has_listed_are_shown_as_they_were_counted():
    result = run("sample_next", sampling_with(lambda x, t, k: filtered_probs(x, t, k) ** 1.4))
    shares = result.got[lesson.SHARES]
    assert result.misconception is None
    assert shares.sum().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(shares, result.expected[lesson.SHARES])


def test_rows_that_draw_together_are_said_to():
    result = run("sample_next", drawing(points_on_a_grid))
    assert "they follow one another" in result.message


def test_wrong_parameters_are_held_against_those_of_the_contract():
    message = run("generate", lambda model, idx: idx).message
    assert "(model, idx, max_new_tokens, temperature, top_k, generator)" in message
    assert "yours takes (model, idx)" in message
    assert "(logits, temperature, top_k, generator)" in run("sample_next", lambda x: x).message


def test_a_view_that_is_too_long_shows_the_line_that_asked_for_it():
    message = run("generate", loop(view=lambda idx, n_ctx, prompt: idx)).message
    assert "logits = model(seen)" in message
    assert "a model takes 1 to n_ctx=4 tokens, got 5" in message


def test_a_prompt_that_was_written_into_is_said_to_be():
    def generate(model, idx, n, *settings):
        text = generating("multinomial")(model, idx, n, *settings)
        idx.zero_()
        return text

    assert "changes its argument idx" in run("generate", generate).message


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_properties_do_not_contradict_the_result_beside_them():
    def ids_in_front(model, idx, n, *settings):
        text = generating("multinomial")(model, idx, n, *settings)
        return text.roll(1, dims=1) if n == 6 else text

    result = run("generate", ids_in_front)
    assert result.misconception is None and result.properties
    claims = dict(result.properties)
    assert claims["T + max_new_tokens int64 ids in each row"]

    at_zero_it_draws = loop(settings=lambda t, k, g: (t or 2.0, k, g))
    claims = dict(run("generate", at_zero_it_draws).properties)
    assert claims and not any(held for claim, held in claims.items() if "temperature 0" in claim)

    result = run("keep_top_k", lambda x, k: x.masked_fill(x < 2.5, -INF))
    assert ("at least k tokens of each row stay", False) in result.properties
    assert ("what goes becomes -∞, what stays keeps its score", True) in result.properties


def test_a_check_leaves_the_global_generators_as_they_were():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    for name in ("sample_next", "generate"):
        run(name, lambda *a: 3)
        run(name, getattr(lesson, name).reference)
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_every_property_holds_of_every_right_answer():
    ways = {
        "apply_temperature": RIGHT_TEMPERATURES,
        "keep_top_k": [by_kthvalue, by_heap, by_adding, by_a_mask_of_places],
        "keep_top_p": [shifting_the_mask, from_the_tail, in_double_precision, with_logarithms],
        "sample_next": list(WAYS.values()),
        "generate": list(RIGHT_TEXTS.values()),
    }
    for exercise in lesson.EXERCISES:
        others = [o.answer for o in exercise.other_answers]
        for answer in [exercise.reference, *others, *ways[exercise.name]]:
            for prop in exercise.properties:
                assert prop.holds(answer), (exercise.name, answer, prop.claim)
            for case in exercise.cases:
                if case.gradients:
                    continue
                got = exercise.call(answer, *(fresh_argument(a) for a in case.args))
                for prop in exercise.properties:
                    if prop.of_result and isinstance(got, torch.Tensor):
                        args = [fresh_argument(a) for a in case.args]
                        assert prop.of_result(got, *args), (case.label, answer, prop.claim)


def fresh_argument(argument):
    return argument.clone() if isinstance(argument, torch.Tensor) else argument


def test_sizes_of_a_case_differ_so_that_no_swapped_axis_hides():
    for exercise in (lesson.keep_top_k, lesson.keep_top_p, lesson.apply_temperature):
        shapes = {case.args[0].shape for case in exercise.cases}
        assert all(B != V for B, V in shapes)
        assert {B for B, _ in shapes} >= {1, 2, 3}


@pytest.mark.xfail(reason=REWRITTEN, strict=False)
def test_names_of_mistakes_are_told_apart():
    for exercise in lesson.EXERCISES:
        names = sorted(m.name for m in exercise.misconceptions)
        for one, other in pairwise(names):
            whys = {m.why for m in exercise.misconceptions if m.name in (one, other)}
            assert len(whys) == len({one, other})


def test_a_generator_that_is_used_in_one_branch_alone_is_not_enough():
    def only_with_top_k(logits, temperature, top_k, generator):
        if temperature == 0:
            return logits.argmax(-1, keepdim=True)
        logits = logits / temperature
        if top_k is None:
            return torch.multinomial(logits.softmax(-1), 1)
        return torch.multinomial(keep_top_k(logits, top_k).softmax(-1), 1, generator=generator)

    def only_without(logits, temperature, top_k, generator):
        if temperature == 0:
            return logits.argmax(-1, keepdim=True)
        logits = logits / temperature
        if top_k is None:
            return torch.multinomial(logits.softmax(-1), 1, generator=generator)
        return torch.multinomial(keep_top_k(logits, top_k).softmax(-1), 1)

    for answer in (only_with_top_k, only_without):
        assert checks.run("sample_next", answer).status == "failed"
