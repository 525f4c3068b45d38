"""The exercises of lesson 13: next_token_batch, next_token_loss, learning_rate.

A batch is drawn, and draws differ from one right answer to the next. So what is compared is not
the ids but what can be said of them: that every row is cut from the text, which starts come how
often, whether the rows draw for themselves, whether a seed repeats them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import training
from gpt2course.checks.draws import Seed, form, global_generator_kept
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# next_token_batch ---------------------------------------------------------------------------------

# Of a right answer a count strays farther than this with a probability of at most 2 · exp(-21),
# by Chernoff's bound. Fewer than 300 counts are taken, so that one way of using the generator is
# refused with a probability below 1e-6; and since the seeds are fixed, always or never.
SURPRISE = 21.0
CALLS = 40  # calls with one generator, to see how the rows of one call go together


def _with_seed(answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed) -> Any:
    """Put the question of the seed; torch's global generator is afterwards where it was."""
    before = ids.clone()
    with global_generator_kept():
        draw = lambda generator: answer(ids, batch_size, n_ctx, generator)  # noqa: E731
        return seed.ask(draw, seed, before, (batch_size, n_ctx))


def _wanted(shape: tuple[int, int]) -> str:
    return f"(int64 {shape}, int64 {shape})"


def _places(found: Tensor, ids: Tensor) -> Tensor:
    """Where each found id stands in ids, whose ids are all different; -1 where it is none."""
    in_order, order = ids.sort()
    place = order[torch.searchsorted(in_order, found.contiguous()).clamp(max=len(ids) - 1)]
    return torch.where(ids[place] == found, place, -1)


def _look(batch: Any, ids: Tensor, shape: tuple[int, int]) -> tuple[dict[str, Any], Tensor | None]:
    """What can be said of a batch, and the starts of its rows where all of that is right."""
    said: dict[str, Any] = {"it returned": form(batch)}
    if said["it returned"] != _wanted(shape):
        return said, None
    inputs, targets = (_places(part, ids) for part in batch)
    in_one_piece = (inputs >= 0).all() and (inputs.diff(dim=-1) == 1).all()
    said["the rows of inputs"] = f"{'' if in_one_piece else 'not '}cut from ids in one piece"
    later = (targets - inputs).unique()
    same = len(later) == 1 and (targets >= 0).all()
    said["how much later the targets stand"] = later.item() if same else "that varies"
    return said, inputs[:, 0] if in_one_piece and same and later == 1 else None


def _itself(draw: Callable, seed: Seed, ids: Tensor, shape: tuple[int, int]) -> Any:
    """The batch as it is, where there is one start and so nothing to choose."""
    return draw(seed.generator())


def _rows(draw: Callable, seed: Seed, ids: Tensor, shape: tuple[int, int]) -> dict[str, Any]:
    """What can be said of one batch."""
    return _look(draw(seed.generator()), ids, shape)[0]


def _surprise(counts: Tensor, share: float) -> Tensor:
    """-ln of Chernoff's bound on so large a distance of counts (..., n) from an equal share."""
    total = counts.sum(dim=-1, keepdim=True)
    got, xlogy = counts / total, torch.special.xlogy
    here, elsewhere = xlogy(got, got / share), xlogy(1 - got, (1 - got) / max(1 - share, 1e-9))
    return total * (here + elsewhere)


def _starts(draw: Callable, seed: Seed, ids: Tensor, shape: tuple[int, int]) -> dict[str, Any]:
    """Which starts come, and whether they come equally often; of a long text its tenths."""
    said, starts = _look(draw(seed.generator()), ids, shape)
    if starts is None:
        return said
    n = len(ids) - shape[1]
    what, parts = ("starts", n) if n < 20 else ("tenths of the text", 10)
    counts = torch.bincount(starts * parts // n, minlength=parts).double()
    come = counts.nonzero().flatten()
    strays = _surprise(counts[come], 1 / len(come)) > SURPRISE
    seldom = counts[come] < counts[come].mean()
    return {
        **said,
        f"{what} that never come": (counts == 0).nonzero().flatten().tolist(),
        f"{what} that come too seldom": come[strays & seldom].tolist(),
        f"{what} that come too often": come[strays & ~seldom].tolist(),
    }


def _calls(draw: Callable, seed: Seed, ids: Tensor, shape: tuple[int, int]) -> dict[str, Any]:
    """How the starts of one call go together, and the calls with one generator."""
    generator, starts = seed.generator(), []
    for _ in range(CALLS):
        said, found = _look(draw(generator), ids, shape)
        if found is None:
            return said
        starts.append(found)
    drawn = torch.stack(starts)  # (calls, rows)
    return {
        **said,
        "the starts of one call": _together(drawn, len(ids) - shape[1]),
        "the calls": "differ" if (drawn != drawn[:1]).any() else "are always the same",
    }


def _together(starts: Tensor, n_starts: int) -> str:
    """How the starts (calls, rows) of one call go together."""
    distances = starts.diff(dim=-1)
    if starts.shape[1] == 1:
        return "one alone"
    if (distances == distances[:1]).all():
        return "are all the same" if (distances == 0).all() else "lie at fixed distances"
    if (distances >= 0).all():
        return "are always in order"
    if (starts.sort(dim=-1).values.diff(dim=-1) > 0).all():
        return "never come twice"
    one, other = (starts[:, i] for i in torch.triu_indices(starts.shape[1], starts.shape[1], 1))
    for both in (one + other, one - other):  # of any two rows as even as chance has them
        counts = F.one_hot(both % n_starts, n_starts).sum(dim=0).double()  # (pairs, n_starts)
        if (_surprise(counts, 1 / n_starts) > SURPRISE).any():
            return "follow one another"
    return "are drawn each for itself"


def _repeats(draw: Callable, seed: Seed, ids: Tensor, shape: tuple[int, int]) -> Any:
    """Whether the rows depend on the generator's state, and on nothing else."""
    first, again = draw(seed.generator()), draw(generator := seed.generator())
    further, other = draw(generator), draw(seed.generator(further=1))
    if (said := _look(first, ids, shape))[1] is None:
        return said[0]
    rows = {True: "the same rows", False: "other rows"}
    how = "torch.manual_seed, then generator=None" if seed.number is None else "a generator"
    return {
        f"with the same seed ({how})": rows[torch.equal(first[0], again[0])],
        "with another seed": rows[torch.equal(first[0], other[0])],
        "drawing on, without a new seed": rows[torch.equal(first[0], further[0])],
    }


def _text(n: int) -> Tensor:
    """n ids, all different, in no order; none of them is the number of its place."""
    return 2 * n + torch.randperm(n, generator=torch.Generator().manual_seed(n))


@dataclass(eq=False)
class Drawing(Exercise):
    """An exercise whose answer draws: of the arguments of a case the last is a Seed."""

    def __post_init__(self):
        self.call = _with_seed


def _drawn(label: str, n: int, batch_size: int, n_ctx: int, ask: Callable, seed: int | None):
    return Case(label, (_text(n), batch_size, n_ctx, Seed(seed, ask)))


def _said_of(f: Answer) -> dict[str, Any]:
    """What can be said of six rows of four tokens."""
    return _look(f(_text(20), 6, 4, torch.Generator().manual_seed(21)), _text(20), (6, 4))[0]


_FOUR, _TWICE = torch.tensor([50, 10, 40, 20]), torch.tensor([7, 3, 7, 7, 1, 3])
_SPREAD = torch.stack([_text(17), torch.zeros(17).long()], dim=1)[:, 0]

next_token_batch = Drawing(
    training.next_token_batch,
    cases=[
        Case("four ids, rows of three: there is one start", (_FOUR, 3, 3, Seed(1, _itself)),
             rows=("row 0", "row 1", "row 2")),
        Case("an id that comes twice", (_TWICE, 2, 5, Seed(2, _itself))),
        _drawn("six rows from a text of twenty tokens", 20, 6, 4, _rows, 3),
        _drawn("rows of one token", 9, 7, 1, _rows, 4),
        _drawn("a batch of one", 11, 1, 6, _rows, 5),
        _drawn("600 rows, two starts", 5, 600, 3, _starts, 6),
        _drawn("2,000 rows, three starts", 7, 2000, 4, _starts, 15),
        _drawn("6,000 rows, five starts", 7, 6000, 2, _starts, 7),
        _drawn("600 rows, eleven starts", 14, 600, 3, _starts, 8),
        _drawn("300 rows from a long text", 40_005, 300, 5, _starts, 9),
        _drawn("40 calls for five rows, five starts", 8, 5, 3, _calls, 10),
        _drawn("40 calls for a batch of one", 30, 1, 3, _calls, 11),
        _drawn("40 calls for nine rows, four starts", 11, 9, 7, _calls, 12),
        _drawn("rows with seeds", 400, 16, 3, _repeats, 13),
        _drawn("rows with torch's own generator", 400, 16, 3, _repeats, None),
        Case("ids that do not lie in one piece in memory", (_SPREAD, 6, 4, Seed(14, _rows))),
    ],
    properties=[
        Property("it returns a tuple of two int64 tensors, (batch_size, n_ctx) each",
                 lambda f: _said_of(f)["it returned"] == _wanted((6, 4))),
        Property("every row of inputs is cut from ids in one piece",
                 lambda f: _said_of(f)["the rows of inputs"] == "cut from ids in one piece"),
        Property("every target is the token after its input",
                 lambda f: _said_of(f)["how much later the targets stand"] == 1),
    ],
)  # fmt: skip


# next_token_loss ----------------------------------------------------------------------------------


def _scored(B: int, T: int, V: int, seed: int, scale: float = 1.0, dtype=torch.float32) -> tuple:
    """Logits (B, T, V) and targets (B, T)."""
    targets = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(100 + seed))
    return normal(B, T, V, seed=seed, dtype=dtype, scale=scale), targets


_SMALL = torch.tensor([[[2.0, 0.0, 1.0], [0.5, -1.0, 3.0]]])
_LARGE = torch.tensor([
    [[1000.0, -1000.0, 0.0, 500.0], [-1000.0, 1000.0, 999.0, 3.0]],
    [[0.0, 1.0, 2.0, -1000.0], [1000.0, 1000.0, -1000.0, -1000.0]],
])  # fmt: skip
_ZERO_ONE, _HALF_ARE_0 = torch.tensor([[0, 1]]), torch.tensor([[0, 2, 0, 1]])
_CUT = torch.arange(15).view(3, 5)[:, 1:] * 7 % 5
_LIKELY, _UNLIKELY = torch.tensor([[0, 2], [3, 2]]), torch.tensor([[1, 0], [0, 3]])

# As wide as GPT-2's vocabulary, which takes float64 to be summed in any order.
_END_OF_TEXT = torch.zeros(1, 2, 50257, dtype=torch.float64)
_END_OF_TEXT[0, 0, 7], _END_OF_TEXT[0, 1, 50256] = 9.0, 3.0


class Loss(Exercise):
    """An exercise whose smallest calls show their numbers."""

    def call_text(self, case: Case) -> str:
        logits, targets = case.args
        if logits.numel() > 8:
            return super().call_text(case)
        return f"{self.name}(logits={logits.tolist()}, targets={targets.tolist()})"


next_token_loss = Loss(
    training.next_token_loss,
    cases=[
        Case("one text of two tokens, three in the vocabulary", (_SMALL, _ZERO_ONE)),
        Case("all scores equal: ln 5", (torch.full((2, 3, 5), 0.7), torch.tensor([[0, 4, 2]] * 2))),
        Case("two texts of four tokens", _scored(2, 4, 6, 1)),
        Case("a text of one token", _scored(1, 1, 4, 2)),
        Case("three texts of one token", _scored(3, 1, 5, 3)),
        Case("as many texts as tokens as ids", _scored(3, 3, 3, 4)),
        Case("as many positions as ids", _scored(2, 5, 5, 5)),
        Case("every target is id 0", (normal(2, 3, 5, seed=6), torch.zeros(2, 3).long())),
        Case("every target is the last id", (normal(2, 3, 5, seed=7), torch.full((2, 3), 4))),
        Case("half of the targets are id 0", (normal(1, 4, 3, seed=8), _HALF_ARE_0)),
        Case("one token in the vocabulary", _scored(2, 3, 1, 9)),
        Case("thirty texts of forty tokens", _scored(30, 40, 7, 10)),
        Case("scores of ±1,000", (_LARGE, _LIKELY)),
        Case("scores of ±1,000 in float64", (_LARGE.double(), _UNLIKELY)),
        Case("scores near 1,000", (1000 + normal(2, 3, 4, seed=11), _scored(2, 3, 4, 11)[1])),
        Case("scores near -1,000", (normal(2, 3, 4, seed=12) - 1000, _scored(2, 3, 4, 12)[1])),
        Case("probabilities that are almost 0", _scored(2, 4, 6, 13, scale=12.0)),
        Case("a text that ends with id 50256", (_END_OF_TEXT, torch.tensor([[7, 50256]]))),
        Case("float64 stays float64", _scored(2, 3, 5, 14, dtype=torch.float64)),
        Case("how float64 scores move it", _scored(2, 3, 4, 18, dtype=torch.float64), fine=True),
        Case("arguments not in one piece in memory", tuple(map(strided, _scored(3, 4, 5, 15)))),
        Case("targets cut from longer rows", (normal(3, 4, 5, seed=16), _CUT)),
        Case("the gradients reach the scores", _scored(2, 3, 5, 17), gradients=True),
        Case("the gradients of scores of ±1,000", (_LARGE, _UNLIKELY), gradients=True),
    ],
    properties=[
        Property("one number, in a tensor of shape ()",
                 lambda f: f(*_scored(2, 4, 6, 1)).shape == (),
                 of_result=lambda loss, *_: loss.shape == ()),
        Property("it is finite, however large the scores",
                 lambda f: f(_LARGE.clone(), _UNLIKELY).isfinite(),
                 of_result=lambda loss, *_: loss.isfinite().all()),
        Property("where all scores are equal it is ln V",
                 lambda f: _near(f(torch.zeros(2, 3, 5), torch.ones(2, 3).long()), math.log(5))),
        Property("raising all scores by the same does not change it",
                 lambda f: _near(f(3 + _SMALL, _ZERO_ONE), f(_SMALL.clone(), _ZERO_ONE))),
    ],
    hints={
        "returns float instead of a tensor": "A number of Python's (`.item()`, `float(…)`) knows "
        "nothing of how it was computed: there is nothing to call `.backward()` on. Return the "
        "tensor."
    },
)  # fmt: skip


def _near(loss: Tensor, value: Tensor | float) -> bool:
    return loss.numel() == 1 and abs(float(loss) - float(value)) < 1e-4


# learning_rate ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps:
    """Stands for `step` in a case: the answer is called once for each of them, in this order."""

    steps: tuple[int, ...]

    def __repr__(self) -> str:
        shown = [str(step) for step in self.steps]
        return ", ".join(shown if len(shown) < 8 else [*shown[:2], "…", shown[-1]])


def _at_steps(answer: Answer, steps: Steps, max_lr: float, *rest: Any) -> Any:
    """The learning rates by step, with as many digits as a card has room for."""
    rates = {f"step {step}": answer(step, max_lr, *rest) for step in steps.steps}
    if all(rate is None for rate in rates.values()):
        return None
    unit = max_lr if max_lr < 1e-6 else 1.0  # a comparison has no eyes for so small a number
    return {
        step: float(f"{rate / unit:.9g}") if isinstance(rate, float) else rate
        for step, rate in rates.items()
    }


class Schedule(Exercise):
    """An exercise that is called step by step."""

    def called_with(self, case: Case) -> tuple[list[str], tuple]:
        return self.parameter_names(), (case.args[0].steps[0], *case.args[1:])


def _called(label: str, steps: tuple[int, ...], *rest: float) -> Case:
    return Case(label, (Steps(steps), *rest))


_TEN = tuple(range(10))

learning_rate = Schedule(
    training.learning_rate,
    call=_at_steps,
    cases=[
        _called("four steps of warm-up, eight steps in all", _TEN, 0.8, 0.1, 4, 8),
        _called("no warm-up", tuple(range(8)), 2.0, 0.5, 0, 6),
        _called("one step of warm-up", tuple(range(7)), 2.0, 0.5, 1, 5),
        _called("down to 0", (0, 2, 3, 7, 11, 12), 3.0, 0.0, 3, 11),
        _called("the sizes of a real run, times 1,000",
                (0, 1, 99, 100, 101, 350, 1050, 1999, 2000, 2001), 0.6, 0.06, 100, 2000),
        _called("large rates, so that small differences show",
                (0, 1, 18, 19, 20, 21, 57, 98, 99, 100), 6000.0, 70.0, 20, 100),
        _called("long after the end", (30, 31, 39, 50, 60, 90, 10_000), 2.0, 0.5, 10, 30),
        _called("after the end, without warm-up", (5, 6, 10, 11), 2.0, 0.5, 0, 5),
        _called("all but one step of warm-up", (0, 5, 6, 7, 8), 1.5, 0.25, 7, 8),
        _called("max_lr and min_lr the same", (0, 1, 2, 3, 6, 9), 0.7, 0.7, 2, 8),
        _called("asked out of order", (11, 5, 0, 7, 5, 3), 0.8, 0.1, 4, 10),
        _called("a million steps", (0, 1999, 2000, 501_000, 1_000_000), 5.0, 1.0, 2000, 10**6),
        _called("as small as they are", (0, 49, 50, 175, 300, 301), 6e-4, 6e-5, 50, 300),
        _called("tiny rates, as multiples of max_lr", (0, 6, 7, 11, 19, 23), 3e-9, 7e-10, 7, 23),
    ],
    properties=[
        Property("it is never above max_lr, and after the warm-up never below min_lr",
                 lambda f: max(_rates(f, *_TEN)) < 0.80001 and min(_rates(f, *_TEN[4:])) > 0.09999),
        Property("after the warm-up it begins with max_lr",
                 lambda f: _equal(_rates(f, 3, 4), 0.8) and _equal([f(0, 2.0, 0.5, 0, 6)], 2.0)),
        Property("half-way down it is the mean of max_lr and min_lr",
                 lambda f: _equal(_rates(f, 6), 0.45)),
        Property("from max_steps on it is min_lr",
                 lambda f: _equal(_rates(f, 8, 9, 16, 1000), 0.1)),
    ],
)  # fmt: skip


def _rates(f: Answer, *steps: int) -> list[float]:
    return [f(step, 0.8, 0.1, 4, 8) for step in steps]


def _equal(rates: list[float], value: float) -> bool:
    return all(abs(rate - value) < 1e-6 for rate in rates)


EXERCISES = [next_token_batch, next_token_loss, learning_rate]
