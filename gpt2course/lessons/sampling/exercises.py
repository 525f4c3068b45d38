"""The exercises of lesson 11: apply_temperature, keep_top_k, keep_top_p, sample_next, generate.

Draws differ from one right answer to the next, so what is compared is not the ids but what can be
said of them: how often each came, whether the rows draw for themselves, whether a seed repeats
its draws.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import sampling
from gpt2course.checks.compare import distance
from gpt2course.checks.draws import Seed, global_generator_kept
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

F64, INF = torch.float64, math.inf

# apply_temperature ------------------------------------------------------------------------------

_SCORES = torch.tensor([[1.0, 2.0, 4.0], [0.0, -2.0, 3.0]])


def _same_order(got: Tensor, scores: Tensor, temperature: float) -> bool:
    return torch.equal(got.argsort(dim=-1), scores.argsort(dim=-1))


apply_temperature = Exercise(
    sampling.apply_temperature,
    cases=[
        Case("temperature 0.5, two rows of three scores", (_SCORES, 0.5)),
        Case("temperature 2", (_SCORES, 2.0)),
        Case("temperature 1 changes nothing", (normal(3, 4, seed=1), 1.0)),
        Case("one row", (normal(1, 5, seed=2), 0.8)),
        Case("one token", (normal(3, 1, seed=3), 0.7)),
        Case("temperature 0.01, scores in the tens", (normal(2, 3, seed=4, scale=30.0), 0.01)),
        Case("temperature 10, scores in the hundreds", (normal(4, 3, seed=5, scale=300.0), 10.0)),
        Case("a score of -∞ stays one", (torch.tensor([[1.0, -INF, 2.0, 0.5]]), 0.25)),
        Case("temperature 0.0001, scores in float64", (normal(2, 5, seed=6, dtype=F64), 1e-4)),
        Case("the digits of float64", (normal(2, 4, seed=9, dtype=F64), 0.03), fine=True),
        Case("scores not in one piece in memory", (strided(normal(3, 4, seed=7)), 1.5)),
        Case("the gradient reaches the scores", (normal(2, 3, seed=8), 0.6), gradients=True),
    ],
    properties=[
        Property(
            "the order of the scores stays",
            lambda f: _same_order(f(_SCORES, 0.5), _SCORES, 0.5),
            _same_order,
        ),
        Property(
            "a score of 0 stays 0",
            lambda f: f(_SCORES, 0.5)[1, 0] == 0,
            lambda y, x, t: (y[x == 0] == 0).all() if (x == 0).any() else None,
        ),
        Property(
            "half the temperature, twice the distances",
            lambda f: torch.allclose(f(_SCORES, 0.5).diff(), 2 * f(_SCORES, 1.0).diff(), atol=1e-5),
        ),
    ],
)


# keep_top_k and keep_top_p ----------------------------------------------------------------------


def _kept(scores: Tensor) -> Tensor:
    return scores > -INF


def _settling_equals(reference: Answer, fewest: Callable[[Tensor, Any, Tensor], Any], exact: bool):
    """How a filter is called: where equals at the border may stay, the result is the reference's.

    `fewest` says from scores, limit and right result how many tokens of a row have to stay; if
    `exact`, of the equals either so many may stay or all.
    """

    def call(answer: Answer, logits: Tensor, limit: Any) -> Any:
        scores = logits.clone()
        got, right = answer(logits, limit), reference(scores, limit)
        if not isinstance(got, Tensor) or (got.shape, got.dtype) != (right.shape, right.dtype):
            return got
        border = right.masked_fill(~_kept(right), INF).amin(dim=-1, keepdim=True)
        stay, least = _kept(got).sum(dim=-1, keepdim=True), fewest(scores, limit, right)
        enough = stay >= least
        if exact:
            every_equal = (_kept(got) | (scores != border)).all(dim=-1, keepdim=True)
            enough &= (stay == least) | every_equal
        free = (scores == border) & enough & ((got == scores) | (got == -INF))
        return torch.where(free, right, got)

    return call


_BATCH = normal(4, 6, seed=20, scale=2.0)


def _filters(claim: str, holds: Callable[[Tensor, Tensor, Any], bool], limit: Any) -> Property:
    """A property of what a filter makes of scores and limit, asked of a batch too."""
    return Property(claim, lambda f: holds(f(_BATCH.clone(), limit), _BATCH, limit), holds)


def _alone(limit: Any) -> Property:
    def holds(f: Answer) -> bool:
        rows = [f(row[None].clone(), limit) for row in _BATCH]
        return torch.equal(f(_BATCH.clone(), limit), torch.cat(rows))

    return Property("each row is filtered by itself", holds)


def _stays_or_goes(got: Tensor, scores: Tensor, limit: Any) -> bool:
    return bool(((got == scores) | (got == -INF)).all())


def _at_least_k(got: Tensor, scores: Tensor, k: int) -> bool:
    return bool((_kept(got).sum(dim=-1) >= min(k, scores.shape[-1])).all())


def _at_most_k(got: Tensor, scores: Tensor, k: int) -> bool:
    kth = scores.topk(min(k, scores.shape[-1]), dim=-1).values[:, -1:]
    return bool((_kept(got).sum(dim=-1) < k + (scores == kth).sum(dim=-1)).all())


def _mass(got: Tensor, scores: Tensor) -> Tensor:
    return scores.double().softmax(dim=-1).masked_fill(~_kept(got), 0).sum(dim=-1)


def _none_too_many(got: Tensor, scores: Tensor, p: float) -> bool | None:
    """Without the least likely of those that stayed, equals included, the mass does not suffice."""
    least = scores.masked_fill(~_kept(got), INF).amin(dim=-1, keepdim=True)
    fewer = torch.where(scores > least, got, -INF)
    return bool((_mass(fewer, scores) < p + 1e-6).all()) if p else None


def _shares(*percent: float) -> Tensor:
    """Scores whose softmax is these shares."""
    return torch.tensor([percent]).div(100).log()


WORDS = ("orders", "robots", "me", "the", "and")
_NEXT_WORDS = torch.tensor([[2.0, -1.0, 3.0, 0.5, -2.0]])
_FIVE_SHARES = _shares(15, 4, 50, 25, 6)
_STEEP_AND_FLAT = torch.cat([_FIVE_SHARES, _shares(22, 21, 19, 18, 20)])

keep_top_k = Exercise(
    sampling.keep_top_k,
    call=_settling_equals(sampling.keep_top_k, lambda x, k, right: min(k, x.shape[-1]), False),
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
        Case("equal scores above the border", (torch.tensor([[1.0, 3.0, 3.0, 2.0, 0.0]]), 2)),
        Case("nothing but equal scores", (torch.full((2, 4), 1.5), 2)),
        Case("scores so far apart that e to their power is 0", (_NEXT_WORDS * 100, 3)),
        Case("scores of -20,000", (normal(3, 5, seed=24) - 20_000, 2)),
        Case("40 of 500", (normal(2, 500, seed=25, scale=3.0), 40)),
        Case("float64 stays float64", (normal(3, 5, seed=26, dtype=F64), 2)),
        Case("the digits of float64", (normal(2, 4, seed=28, dtype=F64), 3), fine=True),
        Case("scores not in one piece in memory", (strided(normal(3, 5, seed=27)), 3)),
    ],
    properties=[
        _filters("what goes becomes -∞, what stays keeps its score", _stays_or_goes, 2),
        _filters("at least k tokens of each row stay", _at_least_k, 2),
        _filters("no more than k stay, but for equals at the border", _at_most_k, 2),
        _alone(2),
    ],
)

keep_top_p = Exercise(
    sampling.keep_top_p,
    call=_settling_equals(
        sampling.keep_top_p, lambda x, p, right: _kept(right).sum(dim=-1, keepdim=True), True
    ),
    cases=[
        Case("p = 0.7 of 15, 4, 50, 25 and 6 %", (_FIVE_SHARES, 0.7), columns=WORDS),
        Case("p = 0.8 of 15, 4, 50, 25 and 6 %", (_FIVE_SHARES, 0.8), columns=WORDS),
        Case("p = 0.3: the first alone has more", (_FIVE_SHARES, 0.3), columns=WORDS),
        Case("p = 0 keeps one token", (_FIVE_SHARES, 0.0), columns=WORDS),
        Case("p = 0 keeps one token of each row", (_STEEP_AND_FLAT, 0.0), columns=WORDS),
        Case("p = 0.99 needs all of them", (_FIVE_SHARES, 0.99), columns=WORDS),
        Case("p = 0.7, and two tokens hold 0.69996", (_shares(20, 24.996, 45, 10.004), 0.7)),
        Case("a steep and a flat row, p = 0.4", (_STEEP_AND_FLAT, 0.4), columns=WORDS),
        Case("four rows of six", (_BATCH, 0.9)),
        Case("scores in the thousands", (normal(3, 5, seed=30) + 3000, 0.6)),
        Case("scores of -20,000", (normal(3, 5, seed=31) - 20_000, 0.6)),
        Case("one token alone", (normal(3, 1, seed=32), 0.5)),
        Case("two of three equals are needed", (torch.tensor([[0.0, 2.0, 2.0, -1.0, 2.0]]), 0.4)),
        # Shares of 1/4 and 1/8 and all their sums have no rounding, in whatever order.
        Case("p = 0.5, and two of four equals hold exactly that", (torch.zeros(1, 4), 0.5)),
        Case("p = 0.25, and two of eight equals hold exactly that", (torch.zeros(2, 8), 0.25)),
        # 41 times the rounded 1/41 is less than 1, in float32 and in float64.
        Case("p = 1 keeps all, though their rounded sum misses 1", (torch.zeros(2, 41), 1.0)),
        Case(
            "after top-k, with -∞ among the scores",
            (sampling.keep_top_k(normal(2, 6, seed=33), 4), 0.75),
        ),
        Case("p = 0.9 of 500 tokens", (normal(2, 500, seed=34, scale=3.0), 0.9)),
        Case("float64 stays float64", (normal(3, 5, seed=35, dtype=F64), 0.8)),
        Case("the digits of float64", (normal(2, 4, seed=38, dtype=F64), 0.7), fine=True),
        Case("scores not in one piece in memory", (strided(normal(3, 5, seed=36)), 0.6)),
    ],
    properties=[
        _filters("what goes becomes -∞, what stays keeps its score", _stays_or_goes, 0.9),
        _filters("at least one token of each row stays", lambda y, x, p: _at_least_k(y, x, 1), 0.0),
        _filters(
            "what stays holds at least p of the probability",
            lambda y, x, p: (_mass(y, x) >= p - 1e-6).all(),
            0.9,
        ),
        _filters("without the least likely that stays it would hold less", _none_too_many, 0.9),
        _alone(0.9),
    ],
)


# What can be said of draws ----------------------------------------------------------------------

DRAWS = 1000  # rows of one call whose draws are counted
TEXTS = 600  # the same of generate, whose answers take longer
# A right answer's count strays farther than this with a probability of at most 2 · exp(-SURPRISE)
# (Chernoff's bound). The cases of an exercise hold fewer than 150 counts, so that a right answer
# is refused with a probability below 300 · exp(-21) = 3e-7. As the seeds stay the same, that is
# once for each way of using the generator, and not at each check.
SURPRISE = 21.0
SAME_MISTAKE = 12.0  # the same for two counts that may come from one mistake


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


class Shares:
    """How often each of several things came, (K, V) counts; all that fit the right probs are equal.

    Others are equal where chance tells them not apart: so one mistake is one, however it draws.
    """

    travels = ("names", "counts")  # from a process that is not trusted with the probs

    def __init__(self, names: tuple[str, ...], counts: Tensor, probs: Tensor | None = None):
        self.names, self.counts, self.probs = names, counts, probs
        self.right = probs is not None and _fits(counts, probs)
        self.shares = probs if self.right else counts / counts.sum(dim=-1, keepdim=True)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Shares) or self.counts.shape != other.counts.shape:
            return False
        if other.probs is None:
            other = Shares(other.names, other.counts, self.probs)
        if self.right or other.right:
            return self.right and other.right
        both = self.counts + other.counts
        probs = both / both.sum(dim=-1, keepdim=True)
        apart = _surprise(self.counts, probs) + _surprise(other.counts, probs)
        return bool((apart <= SAME_MISTAKE).all())

    def __repr__(self) -> str:
        rows = (zip(self.names, row, strict=True) for row in self.shares.tolist())
        return "; ".join(", ".join(f"{name} {share:.0%}" for name, share in row) for row in rows)


def _seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def _call_with_seed(answer: Answer, *args: Any) -> Any:
    """Put the question of the seed; torch's global generator is afterwards where it was."""
    with global_generator_kept():
        return args[-1].ask(answer, *args)


class Drawing(Exercise):
    """An exercise whose answer draws: the last of its parameters is the generator."""

    def __init__(self, reference: Answer, **parts: Any):
        super().__init__(reference, call=_call_with_seed, **parts)

    def parameter_names(self) -> list[str]:
        names = super().parameter_names()
        return names[: names.index("generator") + 1]


def _ids_say(ids: Any, vocab_size: int) -> str:
    """Type and shape of ids, and whether all of them are ids."""
    if not isinstance(ids, Tensor):
        return f"a {type(ids).__name__}, and not a tensor"
    said = f"{str(ids.dtype).removeprefix('torch.')} of shape {tuple(ids.shape)}"
    if not ids.numel() or 0 <= ids.min() and ids.max() < vocab_size:
        return said
    return f"{said}, some of them not in 0 to {vocab_size - 1}"


def _are_ids(ids: Any, logits: Tensor) -> bool:
    return _ids_say(ids, logits.shape[-1]) == f"int64 of shape {(len(logits), 1)}"


def _draws_say(drawn: Tensor, names: tuple[str, ...], probs: Tensor) -> dict[str, Any]:
    """What draws (n, K), each a place in names, say beside the right probabilities (K, V)."""
    if names == _GROUPS:
        drawn = torch.bucketize(drawn.contiguous(), torch.tensor(_BORDERS), right=True)
        probs = torch.stack([group.sum(-1) for group in probs.tensor_split(_BORDERS, -1)], -1)
    n = len(drawn) // 2
    shares = Shares(names, F.one_hot(drawn, len(names)).sum(dim=0).double(), probs)
    if not shares.right and (shares.shares.amax(-1) == 1).all() and not (probs.amax(-1) == 1).all():
        return {"the rows": "all draw the same"}
    agree = (drawn[0 : 2 * n : 2] == drawn[1 : 2 * n : 2]).sum(dim=0).double()
    chance = (shares.shares**2).sum(dim=-1)
    alone = _fits(torch.stack([agree, n - agree], -1), torch.stack([chance, 1 - chance], -1))
    rows = "each draws for itself" if alone else "they follow one another"
    return {"the rows": rows, "how often each came": shares}


def _repeats(answer: Answer, *args: Any) -> dict[str, str]:
    """Whether the draws depend on the generator's state, and on nothing else."""
    *rest, seed = args

    def draw(generator: torch.Generator | None) -> Any:
        return answer(*copy.deepcopy(rest), generator)

    first, again = draw(seed.generator()), draw(generator := seed.generator())
    how = "torch.manual_seed, then generator=None" if generator is None else "a generator"
    others = {
        f"with the same seed ({how})": again,
        "drawing on, without a new seed": draw(generator),
        "with another seed": draw(seed.generator(further=1)),
    }
    same = {how: distance(first, ids) == 0 for how, ids in others.items()}
    return {how: "the same" if is_same else "others" for how, is_same in same.items()}


# Nearly alike, so that all of them are drawn; the first are the best by a hair, so that a filter
# which nobody asked for shows. Their draws are counted in groups.
_MANY = 1 - 2e-6 * torch.arange(300.0)
_BORDERS = (20, 40, 100)
_GROUPS = ("ids 0 to 19", "20 to 39", "40 to 99", "100 to 299")


def _chances(logits: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """The right probabilities, (B, V) in float64."""
    return sampling.next_probs(logits.double(), sampling.Sampling(temperature, top_k))


# sample_next ------------------------------------------------------------------------------------


def _ids(answer: Answer, logits: Tensor, temperature: float, top_k: int | None, seed: Seed) -> Any:
    """The ids themselves, where there is nothing to choose but among equals."""
    best, scores = logits.argmax(dim=-1, keepdim=True), logits.clone()
    ids = answer(logits, temperature, top_k, seed.generator())
    if not _are_ids(ids, scores):
        return ids
    return torch.where(scores.gather(-1, ids) == scores.gather(-1, best), best, ids)


def _counts(kinds: int, names: tuple[str, ...]) -> Callable[..., Any]:
    """A question: how often each id is drawn in the rows 0, kinds, 2 · kinds, … and so on."""

    def ask(answer: Answer, logits: Tensor, temperature: float, top_k: int | None, seed: Seed):
        scores = logits.clone()
        ids = answer(logits, temperature, top_k, seed.generator())
        if ids is None:
            return None
        if not _are_ids(ids, scores):
            return {"the ids": _ids_say(ids, scores.shape[-1])}
        drawn, probs = ids.view(-1, kinds), _chances(scores[:kinds], temperature, top_k)
        return {"the ids": _ids_say(ids, scores.shape[-1])} | _draws_say(drawn, names, probs)

    return ask


def _small_batches(answer: Answer, logits: Tensor, temperature: float, top_k, seed: Seed) -> dict:
    """Whether rows of one call differ, and calls with one generator."""
    generator = seed.generator()
    calls = [answer(logits.clone(), temperature, top_k, generator) for _ in range(30)]
    if bad := [ids for ids in calls if not _are_ids(ids, logits)]:
        return {"the ids": _ids_say(bad[0], logits.shape[-1])}
    ids = torch.stack(calls).flatten(1)  # (calls, rows)
    differ = {"the rows of one call": ids != ids[:, :1], "the calls": ids != ids[:1]}
    return {what: "differ" if any_.any() else "are all the same" for what, any_ in differ.items()}


def _form(answer: Answer, logits: Tensor, temperature: float, top_k, seed: Seed) -> dict:
    ids = answer(logits, temperature, top_k, seed.generator())
    return {"the ids": _ids_say(ids, logits.shape[-1])}


_FOUR_WORDS = ("robots", "orders", "and", "me")
_FOUR_SCORES = torch.tensor([[1.5, 4.2, 0.3, 2.4]])
_THREE_ROWS = torch.tensor([[1.2, 3.0, -0.4, 1.8], [0.4, -1.0, 0.9, 0.1], [2.5, -2.0, -1.0, 0.5]])
# So far apart that no draw takes another. An answer that draws where it should not is found where
# draws are counted.
_FAR_APART = torch.tensor(
    [[10.0, 60.0, -30.0, 25.0], [5.0, -90.0, -40.0, 70.0], [0.0, -40.0, -20.0, -70.0]]
)
_EQUALS = torch.tensor([[-30.0, 60.0, 60.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
_NEARLY_EQUAL = torch.tensor([[0.5, -3.0, 0.500002, -4.0]])
_NEAR_MINUS_80 = torch.tensor([[-80.02, -80.00, -80.1, -80.01]])


def _asked(label: str, scores: Tensor, temperature: float, top_k, seed, ask, **drawn) -> Case:
    return Case(label, (scores, temperature, top_k, Seed(seed, ask)), **drawn)


def _counted(
    label: str, scores: Tensor, temperature: float, top_k, seed: int, names=_FOUR_WORDS
) -> Case:
    """A case whose draws are counted; the rows of scores come by turns."""
    K = len(scores)
    rows = scores.repeat(DRAWS // (2 if names == _GROUPS else K), 1)
    return _asked(label, rows, temperature, top_k, seed, _counts(K, names))


def _takes_the_likeliest(f: Answer, temperature: float, top_k: int | None) -> bool:
    ids = f(_THREE_ROWS.repeat(20, 1), temperature, top_k, _seeded(1))
    return torch.equal(ids.flatten(), _THREE_ROWS.argmax(dim=-1).repeat(20))


sample_next = Drawing(
    sampling.sample_next,
    cases=[
        _asked(
            "temperature 0: the likeliest of each row", _FAR_APART, 0.0, None, 1, _ids,
            rows=("text 0", "text 1", "text 2"), columns=("next id",),
        ),
        _counted("1,000 rows with the same four scores", _FOUR_SCORES, 1.0, None, 2),
        _counted("temperature 3", _FOUR_SCORES, 3.0, None, 3),
        _counted("temperature 0.5", _FOUR_SCORES, 0.5, None, 4),
        _counted("temperature 0: no chance at all", _THREE_ROWS, 0.0, None, 5),
        _counted("the best two of four", _FOUR_SCORES, 1.0, 2, 6),
        _counted("top_k = 1 leaves the likeliest alone", _FOUR_SCORES, 1.5, 1, 7),
        _counted("the best three of four, temperature 2", _FOUR_SCORES, 2.0, 3, 8),
        _counted("top_k above V keeps all", _FOUR_SCORES, 1.0, 9, 9),
        _counted("three rows by turns, the best two, temperature 0.4", _THREE_ROWS, 0.4, 2, 10),
        _counted(
            "temperature 0.01, scores near -80 that differ by hundredths",
            _NEAR_MINUS_80, 0.01, None, 11,
        ),
        _counted("temperature 0 with top_k", _THREE_ROWS, 0.0, 3, 12),
        _counted("temperature 0, two scores almost equal", _NEARLY_EQUAL, 0.0, None, 13),
        _asked("temperature 0, equal scores: any of them", _EQUALS, 0.0, None, 14, _ids),
        _asked("one row, temperature 0", _FAR_APART[1:2], 0.0, None, 15, _ids),
        _asked("one row, temperature 0.8", _FAR_APART[1:2], 0.8, 2, 16, _ids),
        _asked("one token alone", normal(3, 1, seed=44), 1.0, None, 17, _ids),
        _asked("thirty calls for six rows", torch.zeros(6, 5), 1.0, None, 18, _small_batches),
        _asked("draws with seeds", torch.zeros(64, 5), 1.0, 4, 19, _repeats),
        _asked("draws from everything", torch.zeros(64, 5), 1.0, None, 23, _repeats),
        _asked(
            "draws with torch's own generator", torch.zeros(64, 5), 1.0, None, None, _repeats
        ),
        _counted("scores in float64", _FOUR_SCORES.double(), 1.0, 3, 20),
        _counted("top_k None: any of 300 tokens can be drawn", _MANY[None], 1.0, None, 22, _GROUPS),
        # The 46th number of this seed is the last below 1, and the rounded shares sum to no more.
        _asked("a random number just below 1", torch.zeros(48, 41), 1.0, None, 28_086, _form),
        _asked(
            "scores not in one piece in memory", strided(_FOUR_SCORES.repeat(DRAWS, 1)), 1.0, 2,
            21, _counts(1, _FOUR_WORDS),
        ),
    ],
    properties=[
        Property("temperature 0 takes the likeliest", lambda f: _takes_the_likeliest(f, 0.0, None)),
        Property("top_k = 1 takes the likeliest", lambda f: _takes_the_likeliest(f, 1.0, 1)),
        Property(
            "rows with the same scores draw for themselves",
            lambda f: len(f(torch.zeros(64, 5), 1.0, None, _seeded(1)).unique()) > 1,
        ),
    ],
)  # fmt: skip


# generate ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """What generate may read of a model, and nothing else."""

    n_ctx: int

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"generate calls model(idx) and reads model.config.n_ctx; {name!r} is not there for it"
        )


@dataclass(frozen=True)
class Model:
    """A model to try generate with.

    `_chances` are for each last token the probabilities of the next one, or one row for any.
    Without them the next id is certain, and depends on every token in view and on its place.
    """

    _V: int
    config: Config
    _chances: tuple[tuple[float, ...], ...] = ()
    _dtype: torch.dtype = torch.float32

    __getattr__ = Config.__getattr__

    def __repr__(self) -> str:
        return f"<a model of {self._V} tokens, n_ctx {self.config.n_ctx}>"

    def __call__(self, idx: Tensor) -> Tensor:
        n_ctx, shape = self.config.n_ctx, tuple(idx.shape)
        if len(shape) != 2 or idx.is_floating_point():
            raise ValueError(f"a model takes whole numbers (B, T), got {idx.dtype} of {shape}")
        if not 1 <= shape[1] <= n_ctx:
            raise ValueError(f"a model takes 1 to n_ctx={n_ctx} tokens, got {shape[1]}")
        if self._chances:
            return _after_each(self)[idx]
        place = torch.arange(1, shape[1] + 1)
        likeliest = (3 * (idx * place).cumsum(dim=-1) + 1) % self._V
        apart = (torch.arange(self._V) - likeliest[..., None]).abs()
        return -30 * apart.to(self._dtype)  # even at temperature 2 the next one has e⁻¹⁵


def _model(V: int, n_ctx: int, *chances: tuple[float, ...], dtype=torch.float32) -> Model:
    return Model(V, Config(n_ctx), chances, dtype)


@functools.cache
def _after_each(model: Model) -> Tensor:
    """Scores (V, V): a row for each last token."""
    return torch.tensor(model._chances, dtype=model._dtype).log().expand(model._V, model._V)


def _text(answer: Answer, model: Model, idx: Tensor, n: int, temperature: float, top_k, seed: Seed):
    """The ids themselves, where there is nothing to choose."""
    if answer is sampling.generate and idx.shape[1] > model.config.n_ctx:  # which it refuses
        for _ in range(n):
            idx = torch.cat([idx, _likeliest(model, idx)[:, None]], dim=1)
        return idx
    return answer(model, idx, n, temperature, top_k, seed.generator())


def _new_ids(
    answer: Answer, model: Model, idx: Tensor, n: int, temperature: float, top_k, seed: Seed
):
    """How often each new id, or pair of new ids, comes, where all rows have one prompt."""
    prompt, V, (B, T) = idx.clone(), model._V, idx.shape
    text = answer(model, idx, n, temperature, top_k, seed.generator())
    if text is None:
        return None
    said = {"the ids": _ids_say(text, V)}
    if said["the ids"] != f"int64 of shape {(B, T + n)}":
        return said
    said["the prompt"] = "comes first" if torch.equal(text[:, :T], prompt) else "is not there"
    after = _chances(_after_each(model), temperature, top_k)
    drawn, probs = text[:, T:], after[prompt[0, -1], None]
    names = _GROUPS if V == len(_MANY) else tuple(map(str, range(V)))
    if n == 2:
        drawn, probs = V * drawn[:, :1] + drawn[:, 1:], (probs.T * after).view(1, -1)
        names = tuple(f"{one}, {other}:" for one in range(V) for other in range(V))
    return said | _draws_say(drawn, names, probs)


_STEEP = _model(3, 4, (0.1, 0.6, 0.3), (0.05, 0.02, 0.93), (0.25, 0.7, 0.05))
_EVEN = _model(4, 8, (0.25,) * 4)
_WIDE = _model(11, 20)
_PROMPTS = torch.tensor([[3, 1, 4], [1, 5, 9]])
_EVERY_ID = torch.arange(3)[:, None].repeat(40, 1)  # prompts of the steep model: a draw would show
_AFTER_ANY = _model(len(_MANY), 4, tuple((_MANY / _MANY.sum()).tolist()))


def _certain(label: str, model: Model, prompts: list[list[int]], n: int) -> Case:
    """Texts at temperature 0."""
    places = [f"prompt {t}" for t in range(len(prompts[0]))] + [f"new {t}" for t in range(n)]
    args = (model, torch.tensor(prompts), n, 0.0, None, Seed(1, _text))
    return Case(label, args, columns=tuple(places))


def _counted_texts(
    label: str,
    model: Model,
    n: int,
    temperature: float,
    top_k,
    seed: int,
    prompt: int = 1,
    texts: int = TEXTS,
) -> Case:
    """Many texts from one prompt, whose new ids are counted."""
    prompts = torch.full((texts, 1), prompt)
    return Case(label, (model, prompts, n, temperature, top_k, Seed(seed, _new_ids)))


def _repeated_texts(label: str, top_k: int | None, seed: int | None) -> Case:
    prompts = torch.zeros(32, 2, dtype=torch.int64)
    return Case(label, (_EVEN, prompts, 3, 1.0, top_k, Seed(seed, _repeats)))


def _written(f: Answer, n: int, model: Model = _WIDE, prompts: Tensor = _PROMPTS) -> Tensor:
    return f(model, prompts.clone(), n, 0.0, None, _seeded(1))


def _likeliest(model: Model, idx: Tensor) -> Tensor:
    return model(idx[:, -model.config.n_ctx :])[:, -1].argmax(dim=-1)


def _each_follows(text: Tensor, model: Model, T: int) -> bool:
    """Whether each id from place T on is the likeliest after those before it."""
    places = range(T, text.shape[1])
    return all(torch.equal(text[:, t], _likeliest(model, text[:, :t])) for t in places)


generate = Drawing(
    sampling.generate,
    cases=[
        _certain("three new tokens", _model(7, 8), [[3, 1]], 3),
        _certain("two texts", _model(11, 9), [[3, 1, 4], [2, 9, 5]], 4),
        _certain("one new token", _model(7, 8), [[6], [2], [3]], 1),
        _certain("no new token", _model(7, 8), [[3, 1], [4, 4]], 0),
        _certain(
            "more tokens than the context of four holds", _model(11, 4), [[3, 1], [0, 5], [7, 2]], 6
        ),
        _certain("a prompt that fills the context", _model(11, 3), [[3, 1, 4], [1, 5, 9]], 5),
        _certain("a context of one token", _model(7, 1), [[5]], 4),
        _counted_texts("600 texts from one prompt, all ids alike", _EVEN, 2, 1.0, None, 3),
        _counted_texts("600 texts from one prompt", _STEEP, 2, 1.0, None, 4),
        _counted_texts("temperature 0.4", _STEEP, 1, 0.4, None, 5, prompt=0),
        _counted_texts("temperature 2.2, the best two of three", _STEEP, 1, 2.2, 2, 6),
        _counted_texts("temperature 0: no chance at all", _STEEP, 1, 0.0, None, 7, texts=120),
        _counted_texts("top_k = 1 leaves the likeliest alone", _STEEP, 2, 2.0, 1, 8, texts=120),
        _counted_texts("top_k above V keeps all", _STEEP, 1, 1.0, 9, 9),
        _counted_texts("top_k None: any of 300 tokens can come", _AFTER_ANY, 1, 1.0, None, 11, 7),
        _repeated_texts("texts with seeds", 3, 10),
        _repeated_texts("texts with torch's own generator", None, None),
        # The second new token is the last of the vocabulary, <|endoftext|>.
        _certain("GPT-2's end of a text, and writing goes on", _model(50_257, 16), [[4786]], 4),
        _certain("the stories' end of a text, and writing goes on", _model(2048, 16), [[1560]], 4),
        _certain("forty new tokens", _model(101, 16), [[50, 3], [7, 100]], 40),
        Case(
            "ids not in one piece in memory, scores in float64",
            (_model(11, 4, dtype=F64), strided(_PROMPTS), 4, 0.0, None, Seed(1, _text)),
        ),
        _certain("a prompt longer than the context", _model(11, 3), [[3, 1, 4, 1, 5]], 2),
    ],
    properties=[
        Property(
            "the prompt comes first",
            lambda f: torch.equal(_written(f, 3)[:, :3], _PROMPTS),
            lambda y, model, idx, *rest: torch.equal(y[:, : idx.shape[1]], idx),
        ),
        Property(
            "at temperature 0 every new token is the likeliest after those before it",
            lambda f: (
                _each_follows(_written(f, 4), _WIDE, 3)
                and _each_follows(_written(f, 2, _STEEP, _EVERY_ID), _STEEP, 1)
            ),
            lambda y, model, idx, *rest: _each_follows(y, model, idx.shape[1]),
        ),
        Property(
            "where the context is full, the last n_ctx tokens are in view",
            lambda f: _each_follows(_written(f, 6, _model(11, 4)), _model(11, 4), 3),
        ),
        Property(
            "each text is on its own",
            lambda f: torch.equal(_written(f, 4)[1:], _written(f, 4, prompts=_PROMPTS[1:])),
        ),
    ],
)  # fmt: skip

EXERCISES = [apply_temperature, keep_top_k, keep_top_p, sample_next, generate]
