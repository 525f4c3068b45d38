"""The exercises of lesson 13: next_token_batch, next_token_loss, learning_rate.

A batch is drawn, and draws differ from one right answer to the next. So what is compared is not
the ids but what can be said of them: that every row is cut from the text, which starts come how
often, whether the rows draw for themselves, whether a seed repeats them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
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
    lesson="13_training",
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


def _cut(ids: Tensor, starts: Tensor, n_ctx: int, later: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs that begin at the starts, and targets so many places later."""
    places = starts[:, None] + torch.arange(n_ctx)
    return ids[places], ids[places + later]


def _starting(draw: Callable[..., Tensor]) -> Answer:
    """Decorator: an answer that draws its starts like this and cuts them as it should."""

    @wraps(draw)
    def answer(ids, batch_size, n_ctx, generator):
        return _cut(ids, draw(len(ids), batch_size, n_ctx, generator), n_ctx)

    return answer


def _draw_starts(N: int, batch_size: int, n_ctx: int, generator) -> Tensor:
    return torch.randint(N - n_ctx, (batch_size,), generator=generator)


@next_token_batch.misconception(
    "The targets are the inputs themselves: nothing is to be predicted, and the loss falls to "
    "almost 0 by copying. A target is the token one place later: begin them at start + 1."
)
def forgets_to_shift_the_targets(ids, batch_size, n_ctx, generator):
    inputs, _ = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs, inputs.clone()


@next_token_batch.misconception(
    "The targets lie two places later, so each token is asked for the one after the next. A target "
    "is the very next token."
)
def shifts_the_targets_by_two(ids, batch_size, n_ctx, generator):
    starts = _draw_starts(len(ids) - 1, batch_size, n_ctx, generator)
    return _cut(ids, starts, n_ctx, later=2)


@next_token_batch.variant(shifts_the_targets_by_two)
def slices_that_begin_two_later(ids, batch_size, n_ctx, generator):
    starts = _draw_starts(len(ids), batch_size, n_ctx, generator).tolist()
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    return inputs, torch.stack([ids[s + 2 : s + n_ctx + 2] for s in starts])


@next_token_batch.misconception(
    "Inputs and targets have changed places: each token is asked for the one before it, which it "
    "has read already. The inputs come first, the targets are one later."
)
def exchanges_inputs_and_targets(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return targets, inputs


@next_token_batch.misconception(
    "The targets were made by turning each row of inputs round by one (roll), so the last target "
    "is the first input again. The last target is the token of ids that follows the row: cut "
    "n_ctx + 1 tokens, or cut the targets from ids too."
)
def rolls_the_inputs(ids, batch_size, n_ctx, generator):
    inputs, _ = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs, inputs.roll(-1, dims=1)


@next_token_batch.misconception(
    "The last target of each row is made up (a 0, or the last input again): n_ctx tokens hold only "
    "n_ctx - 1 pairs. Its true target is the next token of ids: cut n_ctx + 1 tokens for each row."
)
def fills_the_last_target_with_zero(ids, batch_size, n_ctx, generator):
    inputs, _ = training.next_token_batch(ids, batch_size, n_ctx, generator)
    targets = inputs.roll(-1, dims=1)
    targets[:, -1] = 0
    return inputs, targets


@next_token_batch.variant(fills_the_last_target_with_zero)
def repeats_the_last_input(ids, batch_size, n_ctx, generator):
    inputs, _ = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs, torch.cat([inputs[:, 1:], inputs[:, -1:]], dim=1)


@next_token_batch.misconception(
    "The rows are one token too short: n_ctx tokens were cut, and n_ctx - 1 pairs came out. For "
    "n_ctx inputs and their targets it takes n_ctx + 1 tokens."
)
def cuts_one_token_too_few(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs[:, :-1], targets[:, :-1]


@next_token_batch.misconception(
    "The rows are one token too long: n_ctx + 1 tokens have to be cut, but the inputs are the "
    "first n_ctx of them, and the targets the last n_ctx."
)
def gives_one_token_too_many(ids, batch_size, n_ctx, generator):
    starts = _draw_starts(len(ids), batch_size, n_ctx, generator).tolist()
    inputs = torch.stack([ids[s : s + n_ctx + 1] for s in starts])
    return inputs, torch.stack([ids[s + 1 : s + n_ctx + 1] for s in starts])


@next_token_batch.misconception(
    "The last start is never drawn: torch.randint(high) stops before high by itself. A row needs "
    "n_ctx + 1 tokens, so the starts are 0 to len(ids) - n_ctx - 1, and "
    "high = len(ids) - n_ctx."
)
@_starting
def leaves_out_the_last_start(N, batch_size, n_ctx, generator):
    return torch.randint(N - n_ctx - 1, (batch_size,), generator=generator)


@next_token_batch.misconception(
    "The first start is never drawn: the text begins at 0, and the row that begins there is as "
    "good as any."
)
@_starting
def leaves_out_the_first_start(N, batch_size, n_ctx, generator):
    return torch.randint(1, N - n_ctx, (batch_size,), generator=generator)


@next_token_batch.misconception(
    "Some rows run past the end of the text: the last start leaves room for the inputs, but not "
    "for the last target. The starts are 0 to len(ids) - n_ctx - 1."
)
@_starting
def leaves_no_room_for_the_last_target(N, batch_size, n_ctx, generator):
    return torch.randint(N - n_ctx + 1, (batch_size,), generator=generator)


@next_token_batch.variant(leaves_no_room_for_the_last_target)
def leaves_no_room_for_the_last_target_of_slices(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx + 1, (batch_size,), generator=generator).tolist()
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    return inputs, torch.stack([ids[s + 1 : s + n_ctx + 1] for s in starts])


@next_token_batch.misconception(
    "Some rows run past the end of the text: a row may not begin at just any token, since n_ctx "
    "more have to follow. The starts are 0 to len(ids) - n_ctx - 1."
)
@_starting
def begins_anywhere(N, batch_size, n_ctx, generator):
    return torch.randint(N, (batch_size,), generator=generator)


@next_token_batch.variant(begins_anywhere)
def begins_anywhere_with_slices(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids), (batch_size,), generator=generator).tolist()
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    return inputs, torch.stack([ids[s + 1 : s + n_ctx + 1] for s in starts])


@next_token_batch.misconception(
    "A row that reaches the end of the text goes on at its beginning (a remainder, roll, or "
    "a negative place), so that words become neighbours which are none. Leave out the starts "
    "that have no n_ctx tokens behind them."
)
def wraps_round_the_end(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids), (batch_size,), generator=generator)
    places = starts[:, None] + torch.arange(n_ctx + 1)
    rows = ids[places % len(ids)]
    return rows[:, :-1], rows[:, 1:]


@next_token_batch.misconception(
    "Every row begins at the start of the text: the model would see the same n_ctx tokens in each "
    "step. Draw a start for each row."
)
@_starting
def always_begins_at_the_beginning(N, batch_size, n_ctx, generator):
    return torch.zeros(batch_size, dtype=torch.int64)


@next_token_batch.misconception(
    "Rows begin at multiples of n_ctx alone, as if the text came in blocks. Then a token that "
    "begins a block never has anything before it. Every place from which n_ctx + 1 tokens can be "
    "read is a start."
)
@_starting
def cuts_the_text_into_blocks(N, batch_size, n_ctx, generator):
    n_blocks = math.ceil((N - n_ctx) / n_ctx)
    return n_ctx * torch.randint(n_blocks, (batch_size,), generator=generator)


@next_token_batch.variant(cuts_the_text_into_blocks)
@_starting
def begins_at_whole_blocks(N, batch_size, n_ctx, generator):
    n_blocks = (N - 1) // n_ctx
    return n_ctx * torch.randint(n_blocks, (batch_size,), generator=generator)


@next_token_batch.misconception(
    "One start was drawn for the whole batch, so that all rows are the same and the batch says no "
    "more than one row. Draw batch_size starts: `torch.randint(high, (batch_size,), …)`."
)
@_starting
def draws_one_start_for_all_rows(N, batch_size, n_ctx, generator):
    return _draw_starts(N, 1, n_ctx, generator).expand(batch_size)


@next_token_batch.misconception(
    "The rows of a batch hang together: one start was drawn, and the others lie at a fixed "
    "distance from it. Each row draws a start of its own."
)
@_starting
def cuts_the_rows_one_after_the_other(N, batch_size, n_ctx, generator):
    room = N - batch_size * n_ctx
    return torch.randint(room, (1,), generator=generator) + n_ctx * torch.arange(batch_size)


@next_token_batch.variant(cuts_the_rows_one_after_the_other)
@_starting
def begins_each_row_one_token_later(N, batch_size, n_ctx, generator):
    start = torch.randint(N - n_ctx - batch_size + 1, (1,), generator=generator)
    return start + torch.arange(batch_size)


@next_token_batch.variant(cuts_the_rows_one_after_the_other)
@_starting
def begins_each_row_one_token_later_and_round(N, batch_size, n_ctx, generator):
    start = torch.randint(N - n_ctx, (1,), generator=generator)
    return (start + torch.arange(batch_size)) % (N - n_ctx)


@next_token_batch.misconception(
    "Nothing is drawn: the first rows of the text come out, at every call the same. Each call "
    "draws new starts."
)
@_starting
def takes_the_first_rows_of_the_text(N, batch_size, n_ctx, generator):
    return n_ctx * torch.arange(batch_size)


@next_token_batch.variant(takes_the_first_rows_of_the_text)
@_starting
def takes_the_first_starts(N, batch_size, n_ctx, generator):
    return torch.arange(batch_size)


@next_token_batch.variant(takes_the_first_rows_of_the_text)
def reshapes_the_beginning(ids, batch_size, n_ctx, generator):
    n = batch_size * n_ctx
    return ids[:n].reshape(batch_size, n_ctx), ids[1 : n + 1].reshape(batch_size, n_ctx)


@next_token_batch.misconception(
    "No start comes twice in a batch (randperm, or sample). The rows are to be drawn "
    "independently: a start that was drawn may be drawn again, and there may be more rows than "
    "starts. torch.randint does that."
)
@_starting
def draws_without_putting_back(N, batch_size, n_ctx, generator):
    return torch.randperm(N - n_ctx, generator=generator)[:batch_size]


@next_token_batch.misconception(
    "The starts were sorted: the first row always comes from further ahead in the text than the "
    "last. Rows that are drawn independently come in any order."
)
@_starting
def sorts_the_starts(N, batch_size, n_ctx, generator):
    return _draw_starts(N, batch_size, n_ctx, generator).sort().values


@next_token_batch.misconception(
    "The first and the last start come half as often as the others: that is what rounding to the "
    "nearest number does to the two ends. Draw whole numbers with torch.randint, or round down."
)
@_starting
def rounds_to_the_nearest_start(N, batch_size, n_ctx, generator):
    return (torch.rand(batch_size, generator=generator) * (N - n_ctx - 1)).round().long()


@next_token_batch.misconception(
    "Tokens were drawn, and not places to start from: each token of a row comes from somewhere "
    "else, so that there is no text to learn from. Draw one start for each row and take the n_ctx "
    "tokens from there on."
)
def draws_every_token_by_itself(ids, batch_size, n_ctx, generator):
    places = torch.randint(len(ids) - 1, (batch_size, n_ctx), generator=generator)
    return ids[places], ids[places + 1]


@next_token_batch.variant(draws_every_token_by_itself)
def shuffles_the_tokens(ids, batch_size, n_ctx, generator):
    shuffled = ids[torch.randperm(len(ids), generator=generator)]
    return training.next_token_batch(shuffled, batch_size, n_ctx, generator)


@next_token_batch.misconception(
    "The places in the text came back, and not the ids that stand there: `ids[places]`."
)
def returns_the_places(ids, batch_size, n_ctx, generator):
    return training.next_token_batch(torch.arange(len(ids)), batch_size, n_ctx, generator)


@next_token_batch.misconception(
    "Rows and positions have changed places: the result has to be (batch_size, n_ctx), a text in "
    "each row."
)
def puts_the_texts_into_columns(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs.T, targets.T


@next_token_batch.misconception(
    "The rows were joined to one long row. Keep the batch: (batch_size, n_ctx)."
)
def joins_the_rows(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs.flatten(), targets.flatten()


@next_token_batch.misconception(
    "Only the token after the whole row came back as a target. Every position predicts: a row of "
    "n_ctx inputs has n_ctx targets."
)
def asks_for_the_last_token_alone(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs, targets[:, -1]


@next_token_batch.variant(asks_for_the_last_token_alone)
def asks_for_the_last_token_in_a_column(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs, targets[:, -1:]


@next_token_batch.misconception(
    "One tensor came back. The exercise asks for two, inputs and targets: `return inputs, targets`."
)
def returns_the_rows_uncut(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return torch.cat([inputs, targets[:, -1:]], dim=1)


@next_token_batch.variant(returns_the_rows_uncut)
def returns_the_inputs_alone(ids, batch_size, n_ctx, generator):
    return training.next_token_batch(ids, batch_size, n_ctx, generator)[0]


@next_token_batch.variant(returns_the_rows_uncut)
def stacks_both(ids, batch_size, n_ctx, generator):
    return torch.stack(training.next_token_batch(ids, batch_size, n_ctx, generator))


@next_token_batch.misconception(
    "Inputs and targets came back in a list. The exercise asks for a tuple: `return inputs, "
    "targets`."
)
def returns_a_list(ids, batch_size, n_ctx, generator):
    return list(training.next_token_batch(ids, batch_size, n_ctx, generator))


@next_token_batch.misconception(
    "The rows are in lists. torch.stack makes one tensor (batch_size, n_ctx) of them."
)
def leaves_the_rows_in_lists(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return list(inputs), list(targets)


@next_token_batch.variant(leaves_the_rows_in_lists)
def makes_lists_of_the_ids(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs.tolist(), targets.tolist()


@next_token_batch.misconception(
    "The ids have become floats. They are names and not quantities, and nn.Embedding takes none "
    "but whole numbers: let them be int64."
)
def makes_floats_of_the_ids(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs.float(), targets.float()


@next_token_batch.misconception(
    "The ids have become int32. The exercise asks for int64, as ids are."
)
def makes_the_ids_smaller(ids, batch_size, n_ctx, generator):
    inputs, targets = training.next_token_batch(ids, batch_size, n_ctx, generator)
    return inputs.int(), targets.int()


@next_token_batch.misconception(
    "The generator was not used, so a run cannot be repeated. Pass it on: "
    "`torch.randint(high, (batch_size,), generator=generator)`."
)
@_starting
def ignores_the_generator(N, batch_size, n_ctx, generator):
    return torch.randint(N - n_ctx, (batch_size,))


@next_token_batch.variant(ignores_the_generator)
@_starting
def asks_pythons_own_random(N, batch_size, n_ctx, generator):
    return torch.tensor([random.randrange(N - n_ctx) for _ in range(batch_size)])


@next_token_batch.misconception(
    "The draws begin anew at every call: a seed is set inside. Then every step of the training "
    "gets the same rows; whoever calls sets the seed, once."
)
def sets_a_seed_of_its_own(ids, batch_size, n_ctx, generator):
    generator = torch.Generator().manual_seed(42)
    return training.next_token_batch(ids, batch_size, n_ctx, generator)


@next_token_batch.misconception(
    "Every call begins anew from the generator's first seed, and every step of the training gets "
    "the same rows. Use the generator as it is: each draw moves it on."
)
def begins_again_from_the_first_seed(ids, batch_size, n_ctx, generator):
    if generator is not None:
        generator = torch.Generator().manual_seed(generator.initial_seed())
    return training.next_token_batch(ids, batch_size, n_ctx, generator)


@next_token_batch.misconception(
    "Without a generator one was made with a fixed seed, so every call draws the same. "
    "generator=None is torch's global generator: pass None on."
)
def makes_a_generator_where_there_is_none(ids, batch_size, n_ctx, generator):
    generator = generator or torch.Generator().manual_seed(0)
    return training.next_token_batch(ids, batch_size, n_ctx, generator)


@next_token_batch.misconception(
    "The caller's ids were changed (shuffled, rolled or sorted in place). They are the text, and "
    "the next call needs it as it is."
)
def changes_the_ids(ids, batch_size, n_ctx, generator):
    batch = training.next_token_batch(ids, batch_size, n_ctx, generator)
    ids.copy_(ids.roll(-1))
    return batch


@next_token_batch.also_right
def slice_by_slice(ids, batch_size, n_ctx, generator):
    starts = torch.randint(len(ids) - n_ctx, (batch_size,), generator=generator)
    inputs = torch.stack([ids[s : s + n_ctx] for s in starts])
    targets = torch.stack([ids[s + 1 : s + 1 + n_ctx] for s in starts])
    return inputs, targets


@next_token_batch.also_right
def all_windows_first(ids, batch_size, n_ctx, generator):
    windows = ids.unfold(0, n_ctx + 1, 1)  # one row for each start, and no copy
    drawn = torch.randint(len(windows), (batch_size,), generator=generator)
    rows = windows[drawn]
    return rows[:, :-1], rows[:, 1:]


@next_token_batch.also_right
def one_row_at_a_time(ids, batch_size, n_ctx, generator):
    inputs = torch.empty(batch_size, n_ctx, dtype=torch.int64)
    targets = torch.empty_like(inputs)
    for b in range(batch_size):
        start = int(torch.randint(len(ids) - n_ctx, (1,), generator=generator))
        inputs[b] = ids[start : start + n_ctx]
        targets[b] = ids[start + 1 : start + n_ctx + 1]
    return inputs, targets


@next_token_batch.also_right
def two_texts_one_shifted(ids, batch_size, n_ctx, generator):
    n_starts = len(ids) - n_ctx
    starts = (torch.rand(batch_size, 1, generator=generator) * n_starts).long()
    places = starts.clamp(max=n_starts - 1) + torch.arange(n_ctx)
    return ids[:-1][places], ids[1:][places]


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
    lesson="13_training",
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


def _nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Nats for each token, (B, T)."""
    return -logits.log_softmax(dim=-1).gather(-1, targets[..., None])[..., 0]


def _probs(logits: Tensor, targets: Tensor) -> Tensor:
    """The probability of each target, (B, T)."""
    return logits.softmax(dim=-1).gather(-1, targets[..., None])[..., 0]


@next_token_loss.misconception(
    "The losses of all tokens were added up. Then the loss grows with the batch and the length of "
    "the rows, and so does every step. Take the mean: nats per token."
)
def adds_up_the_losses(logits, targets):
    return _nll(logits, targets).sum()


@next_token_loss.misconception(
    "It was averaged over the texts, but added up along each text. Divide by the number of all "
    "tokens, B · T."
)
def averages_over_the_texts_alone(logits, targets):
    return _nll(logits, targets).sum() / len(logits)


@next_token_loss.misconception(
    "It was averaged over the positions, but added up over the texts of the batch. Divide by the "
    "number of all tokens, B · T."
)
def averages_over_the_positions_alone(logits, targets):
    return _nll(logits, targets).sum() / logits.shape[1]


@next_token_loss.misconception(
    "It was divided by the size of the vocabulary as well (a mean over all V entries, of which "
    "all but the target's are 0). Divide by the number of tokens, B · T."
)
def averages_over_the_vocabulary_as_well(logits, targets):
    return _nll(logits, targets).mean() / logits.shape[-1]


@next_token_loss.misconception(
    "There is one loss for each token. Training needs one number that is to fall: their mean."
)
def gives_each_token_its_loss(logits, targets):
    return _nll(logits, targets)


@next_token_loss.variant(gives_each_token_its_loss)
def gives_each_token_its_loss_in_one_row(logits, targets):
    return _nll(logits, targets).flatten()


@next_token_loss.misconception(
    "There is one loss for each text. Training needs one number that is to fall: the mean over all "
    "tokens of all texts."
)
def gives_each_text_its_loss(logits, targets):
    return _nll(logits, targets).mean(dim=1)


@next_token_loss.misconception(
    "The largest score of the whole batch was taken out. Where a row's own largest lies far below "
    "that, all of its powers become 0, and their logarithm infinite. Take out the largest of each "
    "row: amax(dim=-1, keepdim=True), or log_softmax, which does."
)
def takes_the_largest_of_the_whole_batch_out(logits, targets):
    powers = (logits - logits.max()).exp()
    probs = powers / powers.sum(dim=-1, keepdim=True)
    return -probs.gather(-1, targets[..., None]).log().mean()


@next_token_loss.variant(takes_the_largest_of_the_whole_batch_out)
def takes_the_largest_of_the_whole_batch_out_and_subtracts_a_logarithm(logits, targets):
    shifted = logits - logits.max()
    log_sum = shifted.exp().sum(dim=-1, keepdim=True).log()
    return -(shifted - log_sum).gather(-1, targets[..., None]).mean()


@next_token_loss.misconception(
    "The loss stands in a tensor of shape (1,) or the like. One number is a tensor of shape (): "
    ".mean() over everything gives that."
)
def keeps_an_axis(logits, targets):
    return _nll(logits, targets).mean()[None]


@next_token_loss.variant(keeps_an_axis)
def keeps_all_axes(logits, targets):
    return _nll(logits, targets).mean(dim=(0, 1), keepdim=True)


@next_token_loss.misconception(
    "The softmax was taken before cross_entropy, which takes it itself: twice makes the "
    "probabilities almost even, so that the loss can fall only a little. Give it the scores."
)
def takes_the_softmax_first(logits, targets):
    return _nll(logits.softmax(dim=-1), targets).mean()


@next_token_loss.misconception(
    "The sign is missing: the logarithm of a probability is never above 0, and training makes the "
    "loss small. Without the minus it would make the right tokens unlikely."
)
def forgets_the_minus(logits, targets):
    return -_nll(logits, targets).mean()


@next_token_loss.misconception(
    "The logarithm is missing: this is the mean probability of the targets, with a minus. "
    "(nll_loss takes logarithms of probabilities, log_softmax, and not the probabilities.)"
)
def forgets_the_logarithm(logits, targets):
    return -_probs(logits, targets).mean()


@next_token_loss.variant(forgets_the_logarithm)
def how_much_is_missing_to_certainty(logits, targets):
    return (1 - _probs(logits, targets)).mean()


@next_token_loss.variant(forgets_the_logarithm)
def the_mean_probability(logits, targets):
    return _probs(logits, targets).mean()


@next_token_loss.misconception(
    "The mean was taken before the logarithm: it is the logarithm of the mean probability. Each "
    "token has its own surprise, -ln of its probability; the mean comes last."
)
def averages_before_the_logarithm(logits, targets):
    return -_probs(logits, targets).mean().log()


@next_token_loss.misconception(
    "The softmax is missing: the scores of the targets were averaged as they are. Nothing keeps "
    "them from growing for ever; ln of a probability is needed, log_softmax."
)
def forgets_the_softmax(logits, targets):
    return -logits.gather(-1, targets[..., None]).mean()


@next_token_loss.misconception(
    "The targets were shifted once more (`logits[:, :-1]`, `targets[:, 1:]`). They come from "
    "next_token_batch one later already: position t of targets belongs to position t of logits."
)
def shifts_once_more(logits, targets):
    return _nll(logits[:, :-1], targets[:, 1:]).mean()


@next_token_loss.misconception(
    "The scores were compared with the targets of the position before (`logits[:, 1:]`, "
    "`targets[:, :-1]`). Position t of targets belongs to position t of logits."
)
def shifts_the_other_way(logits, targets):
    return _nll(logits[:, 1:], targets[:, :-1]).mean()


@next_token_loss.misconception(
    "Only the last position of each text counts here. All T positions predict, and all are "
    "examples to learn from."
)
def takes_the_last_position_alone(logits, targets):
    return _nll(logits[:, -1:], targets[:, -1:]).mean()


@next_token_loss.misconception(
    "Only the first text of the batch counts here. Flatten the batch, or let the functions run "
    "over it: all B texts are examples."
)
def takes_the_first_text_alone(logits, targets):
    return _nll(logits[:1], targets[:1]).mean()


@next_token_loss.misconception(
    "The softmax ran over the positions, so that they share 1 among themselves. Each position "
    "shares 1 among the tokens of the vocabulary: the last axis, dim=-1."
)
def takes_the_softmax_over_the_positions(logits, targets):
    return -logits.log_softmax(dim=1).gather(-1, targets[..., None]).mean()


@next_token_loss.misconception(
    "The softmax ran over the texts of the batch. Each position shares 1 among the tokens of the "
    "vocabulary: the last axis, dim=-1."
)
def takes_the_softmax_over_the_texts(logits, targets):
    return -logits.log_softmax(dim=0).gather(-1, targets[..., None]).mean()


@next_token_loss.misconception(
    "The softmax ran over all tokens of the batch (dim=0 of the flattened scores). Each position "
    "shares 1 among the tokens of the vocabulary: the last axis, dim=-1."
)
def takes_the_softmax_over_all_tokens(logits, targets):
    flat = logits.flatten(0, 1).log_softmax(dim=0)
    return -flat.gather(-1, targets.reshape(-1, 1)).mean()


@next_token_loss.misconception(
    "One softmax ran over everything, all positions and all tokens together. Each position shares "
    "1 among the tokens of the vocabulary: the last axis, dim=-1."
)
def takes_one_softmax_over_everything(logits, targets):
    flat = logits.flatten().log_softmax(dim=0).view(logits.shape)
    return -flat.gather(-1, targets[..., None]).mean()


@next_token_loss.misconception(
    "cross_entropy looks for the vocabulary on axis 1, and there the positions are. Flatten both "
    "to (B · T, V) and (B · T), or move the axis: logits.transpose(1, 2)."
)
def hands_the_axes_over_as_they_are(logits, targets):
    return F.cross_entropy(logits, targets)


@next_token_loss.misconception(
    "The numbers were cut anew into (B, V, T), which puts scores of different positions together. "
    "reshape and view do not exchange axes; transpose(1, 2) does."
)
def reshapes_where_it_should_transpose(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B, V, T), targets)


@next_token_loss.misconception(
    "The scores were flattened position by position and the targets text by text (or the other way "
    "round), so that they no longer belong together. Flatten both in the same order."
)
def flattens_in_two_orders(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.T.reshape(-1))


@next_token_loss.misconception(
    "One of the two was flattened and the other not. cross_entropy takes (N, V) with (N), here "
    "with N = B · T."
)
def flattens_the_scores_alone(logits, targets):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)


@next_token_loss.variant(flattens_the_scores_alone)
def flattens_the_targets_alone(logits, targets):
    return F.cross_entropy(logits, targets.reshape(-1))


@next_token_loss.misconception(
    "The arguments have changed places: cross_entropy takes the scores first, then the targets."
)
def gives_the_targets_first(logits, targets):
    return F.cross_entropy(targets.reshape(-1), logits.reshape(-1, logits.shape[-1]))


@next_token_loss.variant(gives_the_targets_first)
def gives_the_targets_first_as_they_are(logits, targets):
    return F.cross_entropy(targets, logits)


@next_token_loss.misconception(
    "gather needs an index with as many axes as the scores have: targets[..., None], or "
    "targets.unsqueeze(-1), and the axis goes again afterwards."
)
def gathers_with_an_axis_too_few(logits, targets):
    return -logits.log_softmax(dim=-1).gather(-1, targets).mean()


@next_token_loss.misconception(
    "The scores were indexed with the targets alone (`[..., targets]`, `[:, :, targets]`), which "
    "takes all targets at every position. Each position wants its own: gather(-1, targets[..., "
    "None])."
)
def takes_every_target_at_every_position(logits, targets):
    return -logits.log_softmax(dim=-1)[..., targets].mean()


@next_token_loss.misconception(
    "Whatever the scores say is likeliest was taken for the right answer. What counts is the "
    "probability of the token that really came, the target."
)
def takes_the_likeliest_for_the_target(logits, targets):
    return _nll(logits, logits.argmax(dim=-1)).mean()


@next_token_loss.misconception(
    "The logarithm has base 2, so this counts bits. The exercise asks for nats, the natural "
    "logarithm: torch.log."
)
def counts_in_bits(logits, targets):
    return _nll(logits, targets).mean() / math.log(2)


@next_token_loss.misconception(
    "The logarithm has base 10. The exercise asks for nats, the natural logarithm: torch.log."
)
def counts_in_powers_of_ten(logits, targets):
    return _nll(logits, targets).mean() / math.log(10)


@next_token_loss.misconception(
    "This is the perplexity, e raised to the loss. The loss itself is asked for, in nats per token."
)
def returns_the_perplexity(logits, targets):
    return _nll(logits, targets).mean().exp()


@next_token_loss.misconception(
    "exp of scores as large as these is infinite, and infinity divided by infinity is nan; exp of "
    "very low ones is 0, and its logarithm is not finite. log_softmax and cross_entropy subtract "
    "the largest score before."
)
def takes_the_exponentials_of_large_scores(logits, targets):
    e = logits.exp()
    return -(e / e.sum(dim=-1, keepdim=True)).gather(-1, targets[..., None]).log().mean()


@next_token_loss.variant(takes_the_exponentials_of_large_scores)
def takes_the_logarithm_of_the_sum_of_large_exponentials(logits, targets):
    total = logits.exp().sum(dim=-1).log()
    return (total - logits.gather(-1, targets[..., None])[..., 0]).mean()


@next_token_loss.misconception(
    "The probability was rounded to 0 before the logarithm, and -ln 0 is infinite. log_softmax "
    "(and cross_entropy) takes the logarithm without ever holding the small probability."
)
def takes_the_logarithm_of_a_rounded_probability(logits, targets):
    return -_probs(logits, targets).log().mean()


@next_token_loss.misconception(
    "A small number was added to the probability (or put below it) to keep the logarithm finite. "
    "Then the loss of a very unlikely token is too small, and its gradient is gone. log_softmax "
    "needs no such help."
)
def adds_a_small_number_to_the_probability(logits, targets):
    return -(_probs(logits, targets) + 1e-9).log().mean()


def _other_small_numbers() -> None:
    """List the same mistake with the other numbers that people choose, added and put below."""
    for small in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-20, 1e-30):

        def added(logits, targets, small=small):
            return -(_probs(logits, targets) + small).log().mean()

        def put_below(logits, targets, small=small):
            return -_probs(logits, targets).clamp(min=small).log().mean()

        next_token_loss.variant(adds_a_small_number_to_the_probability)(added)
        next_token_loss.variant(adds_a_small_number_to_the_probability)(put_below)


_other_small_numbers()


@next_token_loss.misconception(
    "Id 0 was left out, as if it were filling. Here it is a token like any other, and nothing is "
    "left out of the mean."
)
def leaves_out_id_zero(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)


@next_token_loss.misconception(
    "The last id was left out, as if it were filling. The end of a text has to be predicted too, "
    "and nothing is left out of the mean."
)
def leaves_out_the_last_id(logits, targets):
    last = logits.shape[-1] - 1
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=last)


@next_token_loss.variant(leaves_out_the_last_id)
def leaves_out_the_end_of_a_text(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=50256)


@next_token_loss.misconception(
    "The targets were smoothed: a part of the probability was asked for from all tokens. Only the "
    "token that came counts here."
)
def smooths_the_targets(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1)


@next_token_loss.misconception(
    "The squares of differences were averaged, as for quantities. Tokens are names; the loss is "
    "-ln of the probability that the model gave to the right one."
)
def takes_squares(logits, targets):
    wanted = F.one_hot(targets, logits.shape[-1]).to(logits)
    return ((logits.softmax(dim=-1) - wanted) ** 2).mean()


@next_token_loss.variant(takes_squares)
def takes_squares_of_the_scores(logits, targets):
    return ((logits - F.one_hot(targets, logits.shape[-1]).to(logits)) ** 2).mean()


@next_token_loss.misconception(
    "Each token of the vocabulary was asked for a yes or no of its own. They compete: one softmax "
    "shares 1 among all of them, and -ln of the target's share is the loss."
)
def asks_every_token_for_yes_or_no(logits, targets):
    wanted = F.one_hot(targets, logits.shape[-1]).to(logits)
    return F.binary_cross_entropy_with_logits(logits, wanted)


@next_token_loss.misconception(
    "This is the share of wrong guesses. It jumps and has no slope, so nothing could learn from "
    "it; the loss is -ln of the target's probability."
)
def counts_wrong_guesses(logits, targets):
    return (logits.argmax(dim=-1) != targets).to(logits.dtype).mean()


@next_token_loss.misconception(
    "The scores were cut off to keep them small. Whoever is sure and wrong has to pay for it; "
    "log_softmax handles large scores as they are."
)
def cuts_off_large_scores(logits, targets):
    return _nll(logits.clamp(-100, 100), targets).mean()


@next_token_loss.variant(cuts_off_large_scores)
def cuts_off_scores_beyond_fifty(logits, targets):
    return _nll(logits.clamp(-50, 50), targets).mean()


@next_token_loss.variant(cuts_off_large_scores)
def cuts_off_scores_beyond_thirty(logits, targets):
    return _nll(logits.clamp(-30, 30), targets).mean()


@next_token_loss.variant(cuts_off_large_scores)
def cuts_off_scores_beyond_eighty_for_a_softmax_of_its_own(logits, targets):
    powers = logits.clamp(-80, 80).exp()
    probs = powers / powers.sum(dim=-1, keepdim=True)
    return -probs.gather(-1, targets[..., None]).log().mean()


@next_token_loss.misconception(
    "view needs numbers that lie in one piece in memory, and a slice such as rows[:, 1:] does not. "
    "reshape and flatten take both."
)
def asks_for_a_view(logits, targets):
    return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


@next_token_loss.misconception(
    "A number of Python's came back (.item(), float(…)), which knows nothing of how it was "
    "computed: there is nothing to call .backward() on. Return the tensor."
)
def returns_a_plain_number(logits, targets):
    return _nll(logits, targets).mean().item()


@next_token_loss.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy, torch.tensor) cut the loss off "
    "from the scores: the value is right, but no gradient comes through, and nothing would learn."
)
def cuts_the_gradient(logits, targets):
    return _nll(logits, targets).mean().detach()


@next_token_loss.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the type of the scores."
)
def always_float32(logits, targets):
    return _nll(logits.float(), targets).mean()


@next_token_loss.misconception(
    "The caller's scores were changed in place (`-=`, `/=`). `logits - …` makes new ones."
)
def changes_the_scores(logits, targets):
    loss = _nll(logits, targets).mean()
    with torch.no_grad():
        logits -= logits.amax(dim=-1, keepdim=True)
    return loss


@next_token_loss.also_right
def flattening_both(logits, targets):
    V = logits.shape[-1]
    return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))


@next_token_loss.also_right
def from_its_definition(logits, targets):
    log_probs = torch.log_softmax(logits, dim=-1)
    at_targets = log_probs.gather(-1, targets[..., None])
    return -at_targets.mean()


@next_token_loss.also_right
def what_the_others_hold_against_the_target(logits, targets):
    all_of_them = logits.logsumexp(dim=-1)
    target = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return (all_of_them - target).mean()


@next_token_loss.also_right
def moving_the_vocabulary_to_axis_1(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets)


@next_token_loss.also_right
def one_token_at_a_time(logits, targets):
    losses = []
    for scores, wanted in zip(logits.flatten(0, 1), targets.flatten(), strict=True):
        highest = scores.max()
        losses.append(highest + (scores - highest).exp().sum().log() - scores[wanted])
    return torch.stack(losses).mean()


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
    lesson="13_training",
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


_right = training.learning_rate


def _warming(rate: Callable[..., float]) -> Answer:
    """Decorator: an answer that warms up like this, rate(step, max_lr, min_lr, warmup_steps)."""

    @wraps(rate)
    def answer(step, max_lr, min_lr, warmup_steps, max_steps):
        if step < warmup_steps:
            return rate(step, max_lr, min_lr, warmup_steps)
        return _right(step, max_lr, min_lr, warmup_steps, max_steps)

    return answer


def _falling(rate: Callable[..., float]) -> Answer:
    """Decorator: an answer that falls like this, rate(progress, max_lr, min_lr)."""

    @wraps(rate)
    def answer(step, max_lr, min_lr, warmup_steps, max_steps):
        if step < warmup_steps or step >= max_steps:
            return _right(step, max_lr, min_lr, warmup_steps, max_steps)
        return rate((step - warmup_steps) / (max_steps - warmup_steps), max_lr, min_lr)

    return answer


def _cosine(p: float) -> float:
    """From 1 to 0 while p goes from 0 to 1."""
    return (1 + math.cos(math.pi * p)) / 2


@learning_rate.misconception(
    "The warm-up begins with 0: the first step, step 0, would change nothing. It has had one of "
    "its steps by then: max_lr · (step + 1) / warmup_steps."
)
@_warming
def begins_with_zero(step, max_lr, min_lr, warmup_steps):
    return max_lr * step / warmup_steps


@learning_rate.misconception(
    "The warm-up rises too slowly: divided by warmup_steps + 1, it stops short of max_lr. The last "
    "step of the warm-up, warmup_steps - 1, has max_lr itself."
)
@_warming
def divides_the_warm_up_into_one_part_more(step, max_lr, min_lr, warmup_steps):
    return max_lr * (step + 1) / (warmup_steps + 1)


@learning_rate.misconception(
    "The warm-up goes one step too far (`<=`), and so above max_lr. Its steps are 0 to "
    "warmup_steps - 1: `step < warmup_steps`."
)
def warms_up_one_step_too_long(step, max_lr, min_lr, warmup_steps, max_steps):
    if step <= warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    return _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.variant(warms_up_one_step_too_long)
def warms_up_one_step_too_long_if_at_all(step, max_lr, min_lr, warmup_steps, max_steps):
    if warmup_steps and step <= warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    return _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.misconception(
    "The warm-up begins at min_lr. min_lr is where the cosine ends; the warm-up starts with "
    "max_lr / warmup_steps."
)
@_warming
def warms_up_from_min_lr(step, max_lr, min_lr, warmup_steps):
    return min_lr + (max_lr - min_lr) * (step + 1) / warmup_steps


@learning_rate.variant(warms_up_from_min_lr)
@_warming
def warms_up_from_min_lr_at_step_0(step, max_lr, min_lr, warmup_steps):
    return min_lr + (max_lr - min_lr) * step / warmup_steps


@learning_rate.misconception(
    "The warm-up never rises: `//` divides whole numbers and drops the rest, so that 1 // 4 is 0. "
    "Use `/`."
)
@_warming
def divides_whole_numbers(step, max_lr, min_lr, warmup_steps):
    return max_lr * ((step + 1) // warmup_steps)


@learning_rate.misconception(
    "There is no warm-up: the first steps, when the weights are random and the gradients large, "
    "get the largest rate. For step < warmup_steps it is max_lr · (step + 1) / warmup_steps."
)
def forgets_the_warm_up(step, max_lr, min_lr, warmup_steps, max_steps):
    return min_lr + (max_lr - min_lr) * _cosine(min(step / max_steps, 1))


@learning_rate.variant(forgets_the_warm_up)
def stays_at_max_lr_instead_of_warming_up(step, max_lr, min_lr, warmup_steps, max_steps):
    return _right(max(step, warmup_steps), max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.misconception(
    "The cosine counts from step 0, so that it has come some of its way when the warm-up ends, and "
    "the rate jumps. It begins at the end of the warm-up: (step - warmup_steps) / (max_steps - "
    "warmup_steps)."
)
def counts_the_cosine_from_step_0(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    return min_lr + (max_lr - min_lr) * _cosine(min(step / max_steps, 1))


@learning_rate.misconception(
    "The cosine is too long: it was divided by max_steps, but max_steps - warmup_steps steps are "
    "left after the warm-up. So it has not come down to min_lr when the run ends."
)
def divides_by_all_steps(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps or step >= max_steps:
        return _right(step, max_lr, min_lr, warmup_steps, max_steps)
    return min_lr + (max_lr - min_lr) * _cosine((step - warmup_steps) / max_steps)


@learning_rate.variant(divides_by_all_steps)
def divides_by_all_steps_and_goes_on(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    progress = min((step - warmup_steps) / max_steps, 1)
    return min_lr + (max_lr - min_lr) * _cosine(progress)


@learning_rate.misconception(
    "The cosine begins one step too early: with step = warmup_steps its progress is still 0, so "
    "that this step has max_lr."
)
def begins_to_fall_one_step_early(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps or step >= max_steps:
        return _right(step, max_lr, min_lr, warmup_steps, max_steps)
    progress = (step - warmup_steps + 1) / (max_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * _cosine(progress)


@learning_rate.misconception(
    "min_lr is reached one step too early, at max_steps - 1. The exercise asks for it at "
    "max_steps: divide by max_steps - warmup_steps."
)
def arrives_one_step_early(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps or step >= max_steps - 1:
        return min_lr if step >= max_steps - 1 else max_lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (max_steps - 1 - warmup_steps)
    return min_lr + (max_lr - min_lr) * _cosine(progress)


@learning_rate.misconception(
    "With warmup_steps = 0 something is divided by 0. No warm-up means that there is no such step: "
    "ask `step < warmup_steps` first, and divide after that."
)
def divides_by_no_warm_up(step, max_lr, min_lr, warmup_steps, max_steps):
    warm = max_lr * (step + 1) / warmup_steps
    return warm if step < warmup_steps else _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.variant(divides_by_no_warm_up)
def divides_whole_numbers_by_no_warm_up(step, max_lr, min_lr, warmup_steps, max_steps):
    warm = min(1, (step + 1) / warmup_steps)
    return max_lr * warm if warm < 1 else _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.misconception(
    "After max_steps the cosine goes on, and the rate rises again. From max_steps on it is min_lr."
)
def rises_again_after_the_end(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * _cosine(progress)


@learning_rate.misconception(
    "After max_steps the rate is 0, so that nothing is learned any more. From max_steps on it is "
    "min_lr."
)
def stops_at_the_end(step, max_lr, min_lr, warmup_steps, max_steps):
    return 0.0 if step >= max_steps else _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.variant(stops_at_the_end)
def stops_after_the_end(step, max_lr, min_lr, warmup_steps, max_steps):
    return 0.0 if step > max_steps else _right(step, max_lr, min_lr, warmup_steps, max_steps)


@learning_rate.misconception(
    "min_lr is missing from the cosine: it goes down to 0. It goes from max_lr to min_lr: "
    "min_lr + (max_lr - min_lr) · (1 + cos) / 2."
)
def falls_to_zero(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    progress = min((step - warmup_steps) / (max_steps - warmup_steps), 1)
    return max_lr * _cosine(progress)


@learning_rate.variant(falls_to_zero)
@_falling
def falls_to_zero_and_jumps_up(progress, max_lr, min_lr):
    return max_lr * _cosine(progress)


@learning_rate.misconception(
    "The cosine goes down to 0 and was cut off at min_lr. It should reach min_lr at max_steps and "
    "not before: min_lr + (max_lr - min_lr) · (1 + cos) / 2."
)
def cuts_the_cosine_off(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    progress = min((step - warmup_steps) / (max_steps - warmup_steps), 1)
    return max(min_lr, max_lr * _cosine(progress))


@learning_rate.misconception(
    "min_lr was added on top: the cosine begins at max_lr + min_lr. What shrinks is the distance "
    "between the two, max_lr - min_lr."
)
@_falling
def adds_min_lr_on_top(progress, max_lr, min_lr):
    return min_lr + max_lr * _cosine(progress)


@learning_rate.misconception(
    "It falls in a straight line. The exercise asks for half a wave of the cosine, which leaves "
    "max_lr slowly and arrives slowly: (1 + cos(π · progress)) / 2."
)
@_falling
def falls_in_a_straight_line(progress, max_lr, min_lr):
    return max_lr - (max_lr - min_lr) * progress


@learning_rate.misconception(
    "The half is missing: 1 + cos goes from 2 to 0, so that the rate begins far above max_lr. "
    "(1 + cos(π · progress)) / 2 goes from 1 to 0."
)
@_falling
def forgets_the_half(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * 2 * _cosine(progress)


@learning_rate.misconception(
    "The cosine itself was used as the share: it goes from 1 to -1, and the rate falls below "
    "min_lr. (1 + cos) / 2 goes from 1 to 0."
)
@_falling
def lets_the_cosine_go_below_zero(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * math.cos(math.pi * progress)


@learning_rate.variant(lets_the_cosine_go_below_zero)
@_falling
def halves_the_cosine_alone(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * 0.5 * math.cos(math.pi * progress)


@learning_rate.misconception(
    "A quarter of the wave was used, cos(π/2 · progress): it falls steeply where it should arrive "
    "slowly. Half a wave is (1 + cos(π · progress)) / 2."
)
@_falling
def takes_a_quarter_of_the_wave(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * math.cos(math.pi / 2 * progress)


@learning_rate.misconception(
    "π is missing: the cosine of a progress between 0 and 1 comes down to 0.54 and no further. "
    "cos(π · progress) goes from 1 to -1."
)
@_falling
def forgets_pi(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * (1 + math.cos(progress)) / 2


@learning_rate.misconception(
    "A whole wave was used, cos(2π · progress): the rate falls and is back at max_lr in the end. "
    "Half a wave is cos(π · progress)."
)
@_falling
def takes_the_whole_wave(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * _cosine(2 * progress)


@learning_rate.misconception(
    "A sine was used where the cosine belongs: it begins in the middle, at (max_lr + min_lr) / 2."
)
@_falling
def takes_the_sine(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * (1 + math.sin(math.pi * progress)) / 2


@learning_rate.misconception(
    "The cosine is upside down: the rate rises from min_lr to max_lr after the warm-up. It begins "
    "at max_lr, so it takes 1 + cos and not 1 - cos (and max_lr - min_lr in this order)."
)
@_falling
def turns_the_cosine_upside_down(progress, max_lr, min_lr):
    return max_lr - (max_lr - min_lr) * _cosine(progress)


@learning_rate.misconception(
    "After the warm-up the rate stays at max_lr. It has to come down to min_lr, by a cosine."
)
def never_falls(step, max_lr, min_lr, warmup_steps, max_steps):
    return max_lr * (step + 1) / warmup_steps if step < warmup_steps else max_lr


@learning_rate.variant(never_falls)
def falls_at_once_in_the_end(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    return max_lr if step < max_steps else min_lr


@learning_rate.misconception(
    "Warm-up and cosine were multiplied, both counted from step 0. They come one after the other: "
    "the cosine begins where the warm-up ends."
)
def multiplies_warm_up_and_cosine(step, max_lr, min_lr, warmup_steps, max_steps):
    warm = min((step + 1) / warmup_steps, 1) if warmup_steps else 1
    return warm * (min_lr + (max_lr - min_lr) * _cosine(min(step / max_steps, 1)))


@learning_rate.misconception(
    "This is the share of max_lr, a number between 0 and 1. The exercise asks for the rate itself: "
    "times max_lr."
)
def returns_a_share_of_max_lr(step, max_lr, min_lr, warmup_steps, max_steps):
    return _right(step, max_lr, min_lr, warmup_steps, max_steps) / max_lr


@learning_rate.misconception(
    "A tensor came back. The exercise asks for a number of Python's own: math.cos instead of "
    "torch.cos, or float(…) around it."
)
@_falling
def returns_a_tensor(progress, max_lr, min_lr):
    return torch.tensor(min_lr + (max_lr - min_lr) * _cosine(progress))


@learning_rate.variant(returns_a_tensor)
def returns_a_tensor_at_every_step(step, max_lr, min_lr, warmup_steps, max_steps):
    return torch.tensor(_right(step, max_lr, min_lr, warmup_steps, max_steps))


@learning_rate.misconception(
    "math.cos was given a tensor, or torch.cos a number. For one number math.cos(math.pi · "
    "progress) is the one."
)
@_falling
def asks_torch_for_the_cosine_of_a_number(progress, max_lr, min_lr):
    return min_lr + (max_lr - min_lr) * (1 + torch.cos(torch.pi * progress)) / 2


@learning_rate.also_right
def three_phases(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps * max_lr
    elif step < max_steps:
        progress = (step - warmup_steps) / (max_steps - warmup_steps)
        share = 0.5 * (1 + math.cos(math.pi * progress))
        return share * max_lr + (1 - share) * min_lr
    else:
        return min_lr


@learning_rate.also_right
def the_middle_and_how_far_from_it(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr - max_lr / warmup_steps * (warmup_steps - 1 - step)
    progress = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps))
    middle, reach = (max_lr + min_lr) / 2, (max_lr - min_lr) / 2
    return middle + reach * math.cos(math.pi * progress)


@learning_rate.also_right
def the_square_of_half_the_angle(step, max_lr, min_lr, warmup_steps, max_steps):
    if warmup_steps > step:
        return max_lr * (step + 1) / warmup_steps
    left = max(0, max_steps - step) / (max_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * math.sin(math.pi / 2 * left) ** 2


@learning_rate.also_right
def with_tensors_and_item(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return torch.linspace(0, max_lr, warmup_steps + 1, dtype=torch.float64)[step + 1].item()
    here = torch.tensor(min(step, max_steps), dtype=torch.float64)
    share = (1 + torch.cos(torch.pi * (here - warmup_steps) / (max_steps - warmup_steps))) / 2
    return (min_lr + (max_lr - min_lr) * share).item()


EXERCISES = [next_token_batch, next_token_loss, learning_rate]
