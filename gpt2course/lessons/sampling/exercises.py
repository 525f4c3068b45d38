"""The exercises of lesson 11: apply_temperature, keep_top_k, keep_top_p, sample_next, generate.

Draws differ from one right answer to the next, so what is compared is not the ids but what can be
said of them: how often each token came, whether the rows draw for themselves, whether a seed
repeats its draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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


EXERCISES = [apply_temperature, keep_top_k, keep_top_p, sample_next, generate]
