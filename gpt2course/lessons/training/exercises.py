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
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.lessons.sampling.exercises import Drawing, Seed, _fits, _without_chance

# What can be said of a batch ----------------------------------------------------------------------

ROWS = 600  # rows of one call whose starts are counted
CALLS = 40  # calls with one generator, to see how the rows of one call go together
IT_RETURNED = "it returned"
STARTS = "the share of each start, chance taken out"


def _form(returned: Any) -> str:
    """How a value is put together, such as "(tensor, tensor)"."""
    if isinstance(returned, Tensor):
        return "one tensor"
    if isinstance(returned, tuple | list):
        kinds = ["tensor" if isinstance(x, Tensor) else type(x).__name__ for x in returned[:3]]
        inside = ", ".join(kinds + ["…"] * (len(returned) > 3))
        return f"({inside})" if isinstance(returned, tuple) else f"[{inside}]"
    return type(returned).__name__


def _places(found: Tensor, ids: Tensor) -> Tensor:
    """Where each found id stands in ids, whose ids are all different; -1 where it is none."""
    place = torch.full((int(ids.max()) + 2,), -1)
    place[ids] = torch.arange(len(ids))
    inside = (found >= 0) & (found <= ids.max())
    return torch.where(inside, place[torch.where(inside, found, len(place) - 1)], -1)


def _side_by_side(places: Tensor) -> Tensor:
    """For each row whether its places follow one another."""
    return (places >= 0).all(dim=-1) & (places.diff(dim=-1) == 1).all(dim=-1)


def _of_inputs(places: Tensor) -> str:
    if _side_by_side(places).all():
        return "tokens that stand side by side in ids"
    if (places < 0).any():
        return "numbers that are no ids of the text"
    return "tokens of ids that do not stand side by side"


def _of_targets(inputs: Tensor, targets: Tensor) -> str:
    """How the places of the targets lie to those of the inputs."""
    if (targets < 0).any():
        return "numbers that are no ids of the text"
    by = (targets - inputs).unique()
    if len(by) > 1:
        return "not all at one distance from their inputs"
    names = {0: "the inputs themselves", 1: "each the token after its input"}
    return names.get(int(by), f"{abs(by)} {'later' if by > 0 else 'earlier'} than their inputs")


def _batch_says(returned: Any, ids: Tensor, batch_size: int, n_ctx: int) -> dict[str, Any]:
    """Form, types and shapes of a batch; where those are right, how its rows lie in the text.

    The ids of the text must all be different.
    """
    said: dict[str, Any] = {IT_RETURNED: _form(returned)}
    if said[IT_RETURNED] != "(tensor, tensor)":
        return said
    for name, part in zip(("inputs", "targets"), returned, strict=True):
        said[name] = f"{str(part.dtype).removeprefix('torch.')} of shape {tuple(part.shape)}"
    if any(t.dtype != torch.int64 or t.shape != (batch_size, n_ctx) for t in returned):
        return said
    inputs, targets = (_places(part, ids) for part in returned)
    said["the rows of inputs"] = _of_inputs(inputs)
    said["the targets"] = _of_targets(inputs, targets)
    return said


def _is_a_batch(said: dict[str, Any]) -> bool:
    """Whether the rows of inputs are cut from the text, so that they have a start."""
    return said.get("the rows of inputs") == _of_inputs(torch.zeros(1, 1))


def _itself(answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed) -> Any:
    """The batch as it is, where there is one start and so nothing to choose."""
    return answer(ids, batch_size, n_ctx, seed.generator())


def _rows(answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed) -> Any:
    """What can be said of one batch."""
    before = ids.clone()
    returned = answer(ids, batch_size, n_ctx, seed.generator())
    return None if returned is None else _batch_says(returned, before, batch_size, n_ctx)


def _shares_of_starts(n_groups: int | None = None) -> Callable[..., Any]:
    """A question: how often each start is drawn; with n_groups, each of so many equal parts."""

    def ask(answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed) -> Any:
        before, n_starts = ids.clone(), len(ids) - n_ctx
        returned = answer(ids, batch_size, n_ctx, seed.generator())
        if returned is None:
            return None
        said = _batch_says(returned, before, batch_size, n_ctx)
        if not _is_a_batch(said):
            return said
        starts = _places(returned[0][:, 0], before)
        n = n_groups or n_starts
        counts = F.one_hot(starts * n // n_starts, n + 1)[:, :n].sum(dim=0).double()
        even = torch.full((1, n), 1 / n, dtype=torch.float64)
        shares = _without_chance(counts[None], even, lambda: _uneven(n_starts, n, n_ctx))
        if shares is None:
            return {**said, "the starts of the rows": "are all the same"}
        return {**said, "the starts of the rows": "differ", STARTS: shares}

    return ask


def _uneven(n_starts: int, n_groups: int, n_ctx: int) -> list[Tensor]:
    """Shares (1, n_groups) of the starts that mistakes lead to."""
    start = torch.arange(n_starts)
    weights = [
        start < n_starts - 1,
        start > 0,
        (start > 0) & (start < n_starts - 1),
        start < n_starts - 2,
        start % n_ctx == 0,
        (start % n_ctx == 0) & (start < n_starts - 1),
        1 - 0.5 * ((start == 0) | (start == n_starts - 1)).double(),
        start < n_ctx,
    ]
    group = F.one_hot(start * n_groups // n_starts, n_groups).double()
    return [(w.double() / w.sum() @ group)[None] for w in weights if w.sum() > 0]


def _rows_of_one_call(
    answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed
) -> dict[str, Any] | None:
    """How the starts of one call go together, and the calls with one generator."""
    before, generator, starts = ids.clone(), seed.generator(), []
    for _ in range(CALLS):
        returned = answer(ids, batch_size, n_ctx, generator)
        if returned is None:
            return None
        said = _batch_says(returned, before, batch_size, n_ctx)
        if not _is_a_batch(said):
            return said
        starts.append(_places(returned[0][:, 0], before))
    drawn = torch.stack(starts)  # (calls, rows)
    return {
        **said,
        "the starts of one call": _together(drawn, len(before) - n_ctx),
        "the calls": "differ" if (drawn != drawn[:1]).any() else "are always the same",
    }


def _together(starts: Tensor, n_starts: int) -> str:
    """How the starts (calls, rows) of one call go together."""
    distances = starts.diff(dim=-1)
    if starts.shape[1] == 1:
        return "one alone"
    if (distances == 0).all():
        return "are the same in all rows"
    if (distances == distances[:1]).all():
        return "lie at fixed distances"
    if (distances >= 0).all():
        return "are always in order"
    in_order = starts.sort(dim=-1).values.diff(dim=-1)
    if (in_order > 0).all():
        return "never come twice"
    return "are drawn each for itself" if _alone(starts, n_starts) else "follow one another"


def _alone(starts: Tensor, n_starts: int) -> bool:
    """Whether sum and difference of any two of the rows' starts are as even as chance has them."""
    one, other = torch.triu_indices(starts.shape[1], starts.shape[1], 1)
    for both in (starts[:, one] + starts[:, other], starts[:, one] - starts[:, other]):
        counts = F.one_hot(both % n_starts, n_starts).sum(dim=0).double()  # (pairs, n_starts)
        if not _fits(counts, torch.full_like(counts, 1 / n_starts)):
            return False
    return True


def _equal(one: Any, other: Any) -> str:
    """Whether two batches are the same."""
    same = all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    return "the same rows" if same else "other rows"


def _repeats(answer: Answer, ids: Tensor, batch_size: int, n_ctx: int, seed: Seed) -> Any:
    """Whether the rows depend on the generator's state, and on nothing else."""

    def draw(generator: torch.Generator | None) -> Any:
        return answer(ids, batch_size, n_ctx, generator)

    first = draw(seed.generator())
    if not (isinstance(first, tuple) and all(isinstance(part, Tensor) for part in first)):
        return None if first is None else {IT_RETURNED: _form(first)}
    again = draw(generator := seed.generator())
    further = draw(generator)
    other = draw(seed.generator(further=1))
    how = "torch.manual_seed, then generator=None" if seed.number is None else "a generator"
    return {
        f"with the same seed ({how})": _equal(first, again),
        "with another seed": _equal(first, other),
        "drawing on, without a new seed": _equal(first, further),
    }


def _text(n: int) -> Tensor:
    """n ids, all different, in no order; none of them is the number of its place."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    return 2 * n + order


def _drawn(
    label: str, n: int, batch_size: int, n_ctx: int, ask: Callable, seed: int | None
) -> Case:
    return Case(label, (_text(n), batch_size, n_ctx, Seed(seed, ask)))


def _counted(label: str, n: int, n_ctx: int, seed: int) -> Case:
    columns = tuple(f"start {i}" for i in range(n - n_ctx))
    args = (_text(n), ROWS, n_ctx, Seed(seed, _shares_of_starts()))
    return Case(label, args, rows=("every row",), columns=columns)


# next_token_batch ---------------------------------------------------------------------------------

next_token_batch = Drawing(
    training.next_token_batch,
    cases=[
        Case(
            "four ids, rows of three: there is one start",
            (torch.tensor([50, 10, 40, 20]), 3, 3, Seed(1, _itself)),
            rows=("row 0", "row 1", "row 2"),
        ),
        Case("an id that comes twice", (torch.tensor([7, 3, 7, 7, 1, 3]), 2, 5, Seed(2, _itself))),
        _drawn("six rows from a text of twenty tokens", 20, 6, 4, _rows, seed=3),
        _drawn("rows of one token", 9, 7, 1, _rows, seed=4),
        _drawn("a batch of one", 11, 1, 6, _rows, seed=5),
        _counted("600 rows, two starts", 7, 5, seed=6),
        _counted("600 rows, three starts", 12, 9, seed=15),
        _counted("600 rows, five starts", 8, 3, seed=7),
        _counted("600 rows, eleven starts", 13, 2, seed=8),
        Case(
            "600 rows from a long text",
            (_text(9005), ROWS, 5, Seed(9, _shares_of_starts(3))),
            rows=("every row",),
            columns=("starts in the first third", "in the second", "in the last"),
        ),
        _drawn("40 calls for five rows, five starts", 8, 5, 3, _rows_of_one_call, seed=10),
        _drawn("40 calls for a batch of one", 30, 1, 3, _rows_of_one_call, seed=11),
        _drawn("40 calls for nine rows, four starts", 11, 9, 7, _rows_of_one_call, seed=12),
        _drawn("rows with seeds", 400, 16, 3, _repeats, seed=13),
        _drawn("rows with torch's own generator", 400, 16, 3, _repeats, seed=None),
        Case(
            "ids that do not lie in one piece in memory",
            (torch.stack([_text(17), torch.zeros(17).long()], dim=1)[:, 0], 6, 4, Seed(14, _rows)),
        ),
    ],
    properties=[
        Property(
            "it returns a tuple of two int64 tensors, (batch_size, n_ctx) each",
            lambda f: _says(f)["targets"] == _says(f)["inputs"] == "int64 of shape (6, 4)",
            of_result=lambda got, *args: _form(got) == "(tensor, tensor)" if _raw(got) else True,
        ),
        Property(
            "every row of inputs is cut from ids in one piece",
            lambda f: _is_a_batch(_says(f)),
            of_result=lambda got, *args: (
                "the rows of inputs" not in got or _is_a_batch(got) if not _raw(got) else True
            ),
        ),
        Property(
            "every target is the token after its input",
            lambda f: _says(f)["the targets"] == _AFTER,
            of_result=lambda got, *args: (
                got.get("the targets", _AFTER) == _AFTER if not _raw(got) else True
            ),
        ),
        Property("the first and the last start are both drawn", lambda f: _reaches_both_ends(f)),
        Property("all starts are drawn equally often", lambda f: _draws_evenly(f)),
        Property("the same seed, the same rows", lambda f: _seed_decides(f)),
    ],
)

_AFTER = "each the token after its input"


def _raw(got: Any) -> bool:
    return not isinstance(got, dict)


def _says(f: Answer) -> dict[str, Any]:
    return _rows(f, _text(20), 6, 4, Seed(21, _rows))


def _counts(f: Answer, n: int, n_ctx: int) -> Tensor:
    ids = _text(n)
    inputs, _ = f(ids.clone(), ROWS, n_ctx, torch.Generator().manual_seed(22))
    return F.one_hot(_places(inputs[:, 0], ids), n)[:, : n - n_ctx].sum(dim=0).double()


def _reaches_both_ends(f: Answer) -> bool:
    counts = _counts(f, 8, 3)
    return bool(counts[0] > 0 and counts[-1] > 0)


def _draws_evenly(f: Answer) -> bool:
    texts = [_counts(f, 8, 3), _counts(f, 12, 9)]
    return all(c.sum() == ROWS and _fits(c, torch.full((len(c),), 1 / len(c))) for c in texts)


def _seed_decides(f: Answer) -> bool:
    said = _repeats(f, _text(400), 16, 3, Seed(23, _repeats))
    return list(said.values()) == ["the same rows", "other rows", "other rows"]


# next_token_loss ----------------------------------------------------------------------------------


def _scored(B: int, T: int, V: int, seed: int, dtype=torch.float32, scale: float = 1.0) -> tuple:
    """Logits (B, T, V) and targets (B, T)."""
    generator = torch.Generator().manual_seed(100 + seed)
    return (
        normal(B, T, V, seed=seed, dtype=dtype, scale=scale),
        torch.randint(V, (B, T), generator=generator),
    )


def _scored_by(logits: list, targets: list, dtype=torch.float32) -> tuple:
    return torch.tensor(logits, dtype=dtype), torch.tensor(targets)


_LARGE = [
    [[1000.0, -1000.0, 0.0, 500.0], [-1000.0, 1000.0, 999.0, 3.0]],
    [[0.0, 1.0, 2.0, -1000.0], [1000.0, 1000.0, -1000.0, -1000.0]],
]

# As wide as GPT-2's vocabulary, which takes float64 to be summed in any order.
_END_OF_TEXT = torch.zeros(1, 2, 50257, dtype=torch.float64)
_END_OF_TEXT[0, 0, 7], _END_OF_TEXT[0, 1, 50256] = 9.0, 3.0


@dataclass(eq=False)
class Loss(Exercise):
    """An exercise whose smallest calls show their numbers."""

    def call_text(self, case: Case) -> str:
        logits, targets = case.args
        if logits.numel() > SHOWN_NUMBERS:
            return super().call_text(case)
        return f"{self.name}(logits={logits.tolist()}, targets={targets.tolist()})"


SHOWN_NUMBERS = 8

next_token_loss = Loss(
    training.next_token_loss,
    cases=[
        Case(
            "one text of two tokens, three tokens in the vocabulary",
            _scored_by([[[2.0, 0.0, 1.0], [0.5, -1.0, 3.0]]], [[0, 1]]),
        ),
        Case("all scores equal: ln 5", (torch.full((2, 3, 5), 0.7), torch.tensor([[0, 4, 2]] * 2))),
        Case("two texts of four tokens", _scored(2, 4, 6, seed=1)),
        Case("a text of one token", _scored(1, 1, 4, seed=2)),
        Case("three texts of one token", _scored(3, 1, 5, seed=3)),
        Case("as many texts as tokens as ids", _scored(3, 3, 3, seed=4)),
        Case("as many positions as ids", _scored(2, 5, 5, seed=5)),
        Case("every target is id 0", (normal(2, 3, 5, seed=6), torch.zeros(2, 3).long())),
        Case("every target is the last id", (normal(2, 3, 5, seed=7), torch.full((2, 3), 4))),
        Case(
            "half of the targets are id 0",
            (normal(1, 4, 3, seed=8), torch.tensor([[0, 2, 0, 1]])),
        ),
        Case("one token in the vocabulary", _scored(2, 3, 1, seed=9)),
        Case("thirty texts of forty tokens", _scored(30, 40, 7, seed=10)),
        Case("scores of ±1,000", _scored_by(_LARGE, [[0, 2], [3, 2]])),
        Case("scores of ±1,000 in float64", _scored_by(_LARGE, [[1, 0], [0, 3]], torch.float64)),
        Case("scores near 1,000", (1000 + normal(2, 3, 4, seed=11), _scored(2, 3, 4, 11)[1])),
        Case("scores near -1,000", (normal(2, 3, 4, seed=12) - 1000, _scored(2, 3, 4, 12)[1])),
        Case("probabilities that are almost 0", _scored(2, 4, 6, seed=13, scale=12.0)),
        Case("a text that ends with id 50256", (_END_OF_TEXT, torch.tensor([[7, 50256]]))),
        Case("float64 stays float64", _scored(2, 3, 5, seed=14, dtype=torch.float64)),
        Case(
            "arguments that do not lie in one piece in memory",
            tuple(map(strided, _scored(3, 4, 5, seed=15))),
        ),
        Case(
            "targets that were cut from longer rows",
            (normal(3, 4, 5, seed=16), _scored(3, 5, 5, seed=16)[1][:, 1:]),
        ),
        Case("the gradients reach the scores", _scored(2, 3, 5, seed=17), gradients=True),
        Case(
            "the gradients of scores of ±1,000",
            _scored_by(_LARGE, [[1, 0], [0, 3]]),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "one number, in a tensor of shape ()",
            lambda f: f(*_scored(2, 4, 6, seed=1)).shape == (),
            of_result=lambda loss, *args: loss.shape == () if _is_loss(loss) else True,
        ),
        Property(
            "it is finite, however large the scores",
            lambda f: f(*_scored_by(_LARGE, [[1, 0], [0, 3]])).isfinite(),
            of_result=lambda loss, *args: loss.isfinite().all() if _is_loss(loss) else True,
        ),
        Property(
            "where all scores are equal it is ln V",
            lambda f: _near(f(torch.zeros(2, 3, 5), torch.ones(2, 3).long()), math.log(5)),
        ),
        Property(
            "the same texts twice in a batch: the same loss",
            lambda f: _twice_is_the_same(f),
        ),
        Property(
            "raising all scores by the same does not change it",
            lambda f: _height_does_not_matter(f),
        ),
        Property(
            "it is 0 where each target has all of the probability",
            lambda f: _near(f(200 * F.one_hot(_SURE, 4).float(), _SURE), 0.0),
        ),
    ],
)

_SURE = torch.tensor([[1, 3, 0]])


def _is_loss(loss: Any) -> bool:
    return isinstance(loss, Tensor)  # and not the gradients, which are a dict


def _near(loss: Tensor, value: float) -> bool:
    return loss.numel() == 1 and abs(float(loss) - value) < 1e-4


def _twice_is_the_same(f: Answer) -> bool:
    logits, targets = _scored(2, 4, 6, seed=1)
    twice = f(torch.cat([logits, logits]), torch.cat([targets, targets]))
    return torch.allclose(f(logits, targets), twice, atol=1e-5)


def _height_does_not_matter(f: Answer) -> bool:
    logits, targets = _scored(2, 4, 6, seed=1)
    return torch.allclose(f(logits, targets), f(logits + 3, targets), atol=1e-5)


# learning_rate ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps:
    """Stands for `step` in a case: the answer is called once for each of them, in this order."""

    steps: tuple[int, ...]

    def __repr__(self) -> str:
        shown = [str(step) for step in self.steps]
        return ", ".join(shown if len(shown) < 8 else [*shown[:2], "…", shown[-1]])


def _at_steps(answer: Answer, steps: Steps, *rest: Any) -> Any:
    """The learning rates by step; None where the answer returns nothing."""
    rates = {f"step {step}": _shown(answer(step, *rest)) for step in steps.steps}
    return None if all(rate is None for rate in rates.values()) else rates


def _shown(rate: Any) -> Any:
    """A float with as many digits as a card has room for; anything else as it is."""
    return round(float(rate), 7) if isinstance(rate, float) else rate


@dataclass(eq=False)
class Schedule(Exercise):
    """An exercise that is called step by step."""

    def called_with(self, case: Case) -> tuple[list[str], tuple]:
        return self.parameter_names(), (case.args[0].steps[0], *case.args[1:])


_FIRST = (Steps(tuple(range(10))), 0.8, 0.1, 4, 8)

learning_rate = Schedule(
    training.learning_rate,
    call=_at_steps,
    cases=[
        Case("four steps of warm-up, eight steps in all", _FIRST),
        Case("no warm-up", (Steps((0, 1, 2, 3, 4, 5, 6, 7)), 2.0, 0.5, 0, 6)),
        Case("one step of warm-up", (Steps((0, 1, 2, 3, 4, 5, 6)), 2.0, 0.5, 1, 5)),
        Case("down to 0", (Steps((0, 2, 3, 7, 11, 12)), 3.0, 0.0, 3, 11)),
        Case(
            "the sizes of a real run, times 1,000",
            (Steps((0, 1, 99, 100, 101, 350, 1050, 1999, 2000, 2001)), 0.6, 0.06, 100, 2000),
        ),
        Case(
            "large rates, so that small differences show",
            (Steps((0, 1, 18, 19, 20, 21, 57, 98, 99, 100)), 6000.0, 70.0, 20, 100),
        ),
        Case("long after the end", (Steps((30, 31, 39, 50, 60, 90, 10_000)), 2.0, 0.5, 10, 30)),
        Case("after the end, without warm-up", (Steps((5, 6, 10, 11)), 2.0, 0.5, 0, 5)),
        Case("all but one step of warm-up", (Steps((0, 5, 6, 7, 8)), 1.5, 0.25, 7, 8)),
        Case("max_lr and min_lr the same", (Steps((0, 1, 2, 3, 6, 9)), 0.7, 0.7, 2, 8)),
        Case("asked out of order", (Steps((11, 5, 0, 7, 5, 3)), 0.8, 0.1, 4, 10)),
        Case(
            "a million steps", (Steps((0, 1999, 2000, 501_000, 1_000_000)), 5.0, 1.0, 2000, 10**6)
        ),
        Case("as small as they are", (Steps((0, 49, 50, 175, 300, 301)), 6e-4, 6e-5, 50, 300)),
    ],
    properties=[
        Property(
            "it returns a number of Python's own, a float",
            lambda f: all(type(rate) is float or isinstance(rate, float) for rate in _ten(f)),
            of_result=lambda got, *args: all(isinstance(rate, float) for rate in got.values()),
        ),
        Property(
            "it rises by max_lr / warmup_steps in each step of the warm-up",
            lambda f: all(_equals(rate, 0.2 * (i + 1)) for i, rate in enumerate(_ten(f)[:4])),
        ),
        Property(
            "it is never above max_lr, and after the warm-up never below min_lr",
            lambda f: max(_ten(f)) < 0.80001 and min(_ten(f)[4:]) > 0.09999,
            of_result=lambda got, steps, max_lr, min_lr, warmup_steps, max_steps: all(
                rate < max_lr + 1e-5 and (step < warmup_steps or rate > min_lr - 1e-5)
                for step, rate in zip(steps.steps, got.values(), strict=True)
            ),
        ),
        Property(
            "after the warm-up it begins with max_lr",
            lambda f: _equals(f(4, 0.8, 0.1, 4, 8), 0.8) and _equals(f(0, 2.0, 0.5, 0, 6), 2.0),
        ),
        Property(
            "half-way from there to max_steps it is the mean of max_lr and min_lr",
            lambda f: _equals(f(6, 0.8, 0.1, 4, 8), 0.45) and _equals(f(3, 2.0, 0.5, 0, 6), 1.25),
        ),
        Property(
            "from max_steps on it is min_lr",
            lambda f: all(_equals(f(step, 0.8, 0.1, 4, 8), 0.1) for step in (8, 9, 16, 1000)),
        ),
    ],
)


def _ten(f: Answer) -> list[float]:
    return [f(step, *_FIRST[1:]) for step in _FIRST[0].steps]


def _equals(rate: float, value: float) -> bool:
    return abs(rate - value) < 1e-6


EXERCISES = [next_token_batch, next_token_loss, learning_rate]
