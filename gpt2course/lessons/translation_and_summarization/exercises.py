"""The exercises of lesson 17: join_pair, pad_rows, target_loss, beam_search."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2course import tasks
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# join_pair --------------------------------------------------------------------------------------

_PAIR = ([5, 6, 7], [8, 9], 1, 2)


def _asks_for_target_and_end(row: Any, source, target, separator, end) -> bool:
    ids, asked = row
    return [i for i, one in zip(ids, asked, strict=True) if one] == [*target, end]


join_pair = Exercise(
    tasks.join_pair,
    cases=[
        Case("one id on each side", ([5], [8], 1, 2)),
        Case("three ids and two", _PAIR),
        Case("two ids and four", ([3, 4], [9, 8, 7, 6], 1, 0)),
        Case("an empty target", ([5, 6], [], 1, 2)),
        Case("an empty source", ([], [8, 9, 7], 1, 2)),
        Case("both empty", ([], [], 1, 2)),
        Case("a target that ends with end", ([5, 6, 7], [8, 2], 1, 2)),
        Case("a source that ends with the separator", ([5, 6, 1], [8, 9], 1, 2)),
        Case("separator and end among the ids", ([2, 5, 1], [1, 8, 2, 9, 1], 1, 2)),
        Case("one id as separator and end", ([5, 6], [7, 8, 9], 4, 4)),
        Case("the same ids on both sides", ([5, 6], [5, 6], 1, 2)),
        Case("GPT-2's end of a text", ([464, 26741], [1, 2, 3], 796, 50_256)),
        Case("forty ids and thirty", ([*range(10, 50)], [*range(50, 80)], 3, 4)),
    ],
    properties=[
        Property(
            "both lists are of the same length",
            lambda f: len({*map(len, f(*deepcopy(_PAIR)))}) == 1,
            lambda row, *args: len(row[0]) == len(row[1]),
        ),
        Property(
            "source, separator, target and end follow each other",
            lambda f: f(*deepcopy(_PAIR))[0] == [5, 6, 7, 1, 8, 9, 2],
            lambda row, source, target, separator, end: (
                row[0] == [*source, separator, *target, end]
            ),
        ),
        Property(
            "True stands at the target and at end, and nowhere else",
            lambda f: _asks_for_target_and_end(f(*deepcopy(_PAIR)), *_PAIR),
            _asks_for_target_and_end,
        ),
    ],
    hints={
        "changes its argument": "The row is right, but a list that was given is changed: `append`, "
        "`extend` and `+=` write into it. Build a new list: `[*source, separator, *target, end]`."
    },
)

# pad_rows ---------------------------------------------------------------------------------------

_ROWS = [[7, 8, 9, 4], [5, 6], [3]]


def _padded(label: str, rows: list[list[int]], pad_id: int) -> Case:
    return Case(label, (rows, pad_id))


def _begins_with(idx: Any, rows: list[list[int]]) -> bool:
    return [row[: len(own)] for row, own in zip(idx.tolist(), rows, strict=True)] == rows


def _is_real(real: Any, rows: list[list[int]], pad_id: int) -> bool:
    return [sum(row) for row in real.tolist()] == [len(row) for row in rows]


pad_rows = Exercise(
    tasks.pad_rows,
    cases=[
        _padded("a row of two and one of one", [[7, 8], [9]], 0),
        _padded("the longest row is the last", [[5], [6, 4], [7, 8, 9]], 1),
        _padded("the longest row is the first", _ROWS, 0),
        _padded("the longest row is in the middle", [[5, 6], [7, 8, 9, 4, 3], [1]], 2),
        _padded("one row", [[5, 6, 7]], 0),
        _padded("one id", [[5]], 3),
        _padded("rows of one length", [[5, 6], [7, 8], [9, 4]], 0),
        _padded("rows that hold the padding's id", [[0, 5, 0, 0], [0, 0], [6, 0, 7]], 0),
        _padded("an empty row", [[5, 6, 7], [], [8]], 0),
        _padded("the first row is empty", [[], [5, 6]], 9),
        _padded("a padding of -100", [[5, 6, 7, 8], [9, 3]], -100),
        _padded("GPT-2's end of a text as padding", [[50_256, 11], [11, 12, 50_256]], 50_256),
        _padded("twelve rows of one to twelve ids", [[*range(n)] for n in range(1, 13)], 7),
    ],
    properties=[
        Property(
            "all rows become as long as the longest",
            lambda f: f(deepcopy(_ROWS), 0)[0].shape == (3, 4),
            lambda y, rows, pad_id: y[0].shape == (len(rows), max(map(len, rows))),
        ),
        Property(
            "each row begins with its own ids",
            lambda f: _begins_with(f(deepcopy(_ROWS), 0)[0], _ROWS),
            lambda y, rows, pad_id: _begins_with(y[0], rows),
        ),
        Property(
            "as many entries are True as the rows have ids",
            lambda f: _is_real(f(deepcopy(_ROWS), 0)[1], _ROWS, 0),
            lambda y, rows, pad_id: _is_real(y[1], rows, pad_id),
        ),
    ],
    hints={
        "changes its argument": "The tensors are right, but a row that was given is changed: "
        "`row += …`, `append` and `extend` write into it. `row + [pad_id] * n` is a new list.",
        "has another dtype": "The values are right, but ids are int64 and the mask is bool. "
        "`torch.tensor([])` of an empty row is float32, and `torch.zeros(…)` too: give a `dtype=`.",
    },
)

# target_loss ------------------------------------------------------------------------------------


def _batch(B: int, T: int, V: int, seed: int, scale=2.0, dtype=torch.float32) -> tuple:
    """Logits, ids, and True behind a place in each row that differs from row to row."""
    logits = normal(B, T, V, seed=seed, scale=scale, dtype=dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    idx = torch.randint(V, (B, T), generator=generator)
    cut = torch.randint(1, T, (B, 1), generator=generator)
    length = cut + 1 + torch.randint(T, (B, 1), generator=generator)
    places = torch.arange(T)
    return logits, idx, (places >= cut) & (places < length)


def _with_asked(args: tuple, asked: list[list[int]]) -> tuple:
    return *args[:2], torch.tensor(asked, dtype=torch.bool)


def _near(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


# Three ids, of which the last two are asked: after id 0 comes 2 (logits of position 0), then 1.
_BY_HAND = (
    torch.tensor([[[0.0, 0.0, 1.0], [2.0, 1.0, 0.0], [9.0, 0.0, 0.0]]]),
    torch.tensor([[0, 2, 1]]),
    torch.tensor([[False, True, True]]),
)
_SMALL = _batch(2, 5, 7, seed=3)
_WIDE = torch.float64
# One row asks for five ids, one for one: the mean over ids is not the mean of the rows' means.
_UNEVEN = _with_asked(_batch(2, 6, 4, seed=5, scale=3.0), [[0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 0]])
_FIRST_TRUE = _with_asked(_batch(2, 4, 3, seed=7, scale=3.0), [[1, 0, 0, 1], [1, 1, 0, 0]])
_NONE = _with_asked(_batch(2, 4, 3, seed=9), [[0] * 4] * 2)
_ONLY_FIRST = _with_asked(_batch(2, 3, 5, seed=11), [[1, 0, 0], [1, 0, 0]])
_ALL = _with_asked(_batch(3, 4, 6, seed=13), [[1] * 4] * 3)
_APART = _with_asked(_batch(3, 6, 5, seed=15), [[0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 0, 0], [0] * 6])
# Scores of a thousand, and each asked id is the likeliest, a middling one or the least likely.
_LARGE = (
    torch.tensor([[[1e3, -1e3, 0.0, 5.0], [-1e3, 0.0, 1e3, 990.0], [0.0, 1e3, 1.0, -1e3]]] * 2),
    torch.tensor([[2, 1, 3], [1, 0, 2]]),
    torch.tensor([[False, True, True], [False, True, True]]),
)

target_loss = Exercise(
    tasks.target_loss,
    cases=[
        Case("three ids, the last two asked", _BY_HAND),
        Case("two rows of five ids", _SMALL),
        Case("one row asks for five ids, the other for one", _UNEVEN),
        Case("asked[:, 0] is True", _FIRST_TRUE),
        Case("every id is asked", _ALL),
        Case("asked ids that do not stand side by side", _APART),
        Case("none is asked", _NONE),
        Case("none but the first ids", _ONLY_FIRST),
        Case("rows of one id", _with_asked(_batch(2, 2, 3, seed=17), [[1, 1]] * 2)),
        Case("one row", _batch(1, 6, 3, seed=19)),
        Case("as many rows as ids and words", _batch(4, 4, 4, seed=21)),
        Case("logits of ±1000", _LARGE),
        Case("a vocabulary of 300", _batch(3, 9, 300, seed=23)),
        Case("not contiguous in memory", tuple(map(strided, _batch(3, 5, 4, seed=25)))),
        Case("float64 stays float64", _batch(2, 5, 3, seed=27, dtype=_WIDE)),
        Case("none is asked, in float64", (_NONE[0].double(), *_NONE[1:])),
        Case("float64 keeps its digits", _batch(2, 4, 5, seed=29, dtype=_WIDE), fine=True),
        Case("the gradients reach the logits", _batch(2, 5, 4, seed=31), gradients=True),
        Case("none is asked: the gradients are zero", _NONE, gradients=True),
    ],
    properties=[
        Property(
            "logits after the last id do not matter",
            lambda f: _near(f(*_SMALL), f(_changed(_SMALL[0], (slice(None), -1)), *_SMALL[1:])),
        ),
        Property(
            "ids that are not asked do not matter as targets",
            lambda f: _near(
                f(*_APART), f(_APART[0], (_APART[1] + (~_APART[2]).long()) % 5, _APART[2])
            ),
        ),
        Property(
            "equal logits give ln V for any asked ids",
            lambda f: _near(f(torch.zeros(2, 5, 7), *_SMALL[1:]), torch.tensor(7.0).log()),
        ),
        Property(
            "a row that asks for five ids counts five times as much as one that asks for one",
            lambda f: _near(
                f(*_UNEVEN),
                (5 * f(*(x[:1] for x in _UNEVEN)) + f(*(x[1:] for x in _UNEVEN))) / 6,
            ),
        ),
    ],
)


def _changed(logits: Tensor, place: tuple) -> Tensor:
    other = logits.clone()
    other[place] += torch.arange(logits.shape[-1]) * 3.0
    return other


# beam_search ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """What beam_search may read of a model, and nothing else."""

    n_ctx: int

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"beam_search calls model(idx) and may read model.config.n_ctx; {name!r} is not there"
        )


@dataclass(frozen=True)
class Model:
    """A model to search with.

    `_chances` are for each last id the probabilities of the next one. Without them the scores are
    random numbers that depend on every id in view and on its place.
    """

    _V: int
    config: Config
    _chances: tuple[tuple[float, ...], ...] = ()
    _seed: int = 0
    _sharp: float = 2.0

    __getattr__ = Config.__getattr__

    def __repr__(self) -> str:
        return f"<a model of {self._V} ids, n_ctx {self.config.n_ctx}>"

    def __call__(self, idx: Tensor) -> Tensor:
        n_ctx, shape = self.config.n_ctx, tuple(idx.shape)
        if len(shape) != 2 or idx.is_floating_point():
            raise ValueError(f"a model takes whole numbers (B, T), got {idx.dtype} of {shape}")
        if not 1 <= shape[1] <= n_ctx or shape[0] < 1:
            raise ValueError(f"a model takes 1 or more rows of 1 to n_ctx={n_ctx} ids, got {shape}")
        if self._chances:
            # The scores are not log-probabilities yet: each row is shifted by its last id.
            return torch.tensor(self._chances).log()[idx] + idx[..., None]
        rows = [
            [self._scores(tuple(row[: t + 1])) for t in range(len(row))] for row in idx.tolist()
        ]
        return torch.tensor(rows)

    def _scores(self, ids: tuple[int, ...]) -> list[float]:
        mixed = self._seed
        for token_id in ids:  # Python's hash may differ from run to run
            mixed = (mixed * 6_364_136_223 + 1_442_695_041 * (token_id + 7)) % 2**48
        scores = normal(self._V, seed=mixed, scale=self._sharp)
        return (scores + 3 * (mixed % 5)).tolist()


def _table(*chances: tuple[float, ...], n_ctx: int = 12) -> Model:
    return Model(len(chances), Config(n_ctx), chances)


def _random(V: int, seed: int, n_ctx: int = 20, sharp: float = 2.0) -> Model:
    return Model(V, Config(n_ctx), (), seed, sharp)


# Ids: 0 end, 1 start, 2 "the" (0.6, then anything), 3 "an" (0.4, then nearly always 4).
_GREEDY_MISLED = _table(
    (0.32, 0.28, 0.22, 0.12, 0.06),
    (1e-4, 1e-4, 0.6, 0.4 - 3e-4, 1e-4),
    (0.26, 0.25, 0.24, 0.24, 0.01),
    (0.02, 0.01, 0.01, 0.01, 0.95),
    (0.97, 0.01, 0.01, 0.005, 0.005),
)
# After the start: end with 0.3, "yes" 0.7. After "yes" (2): end with 0.9.
_SHORT_OR_LONG = _table((0.4, 0.3, 0.3), (0.3, 0.01, 0.69), (0.9, 0.04, 0.06))
# End comes at once with 0.35; any longer text is less likely than that.
_SHORT_WINS = _table((0.05, 0.05, 0.9), (0.35, 0.05, 0.6), (0.1, 0.4, 0.5))


def _flat(V: int, seed: int, n_ctx: int) -> Model:
    """Many nearly even chances, and a text that hardly ever ends: its probability soon is tiny."""
    scores = normal(V, V, seed=seed, scale=0.45)
    scores[:, 0] -= 6
    chances = ((round(p, 5) for p in row) for row in scores.softmax(dim=-1).tolist())
    return _table(*map(tuple, chances), n_ctx=n_ctx)


def _even(V: int, n_ctx: int) -> Model:
    """Chances of little more than 1 in V, of which the likeliest lead through all ids but `end`."""
    small = 0.97 / V
    return _table(
        *(
            tuple(1 - small * (V - 1) if i == last % (V - 1) + 1 else small for i in range(V))
            for last in range(V)
        ),
        n_ctx=n_ctx,
    )


def _searched(label: str, model: Model, prompt: list[int], width: int, n: int, end: int) -> Case:
    return Case(label, (model, prompt, width, n, end))


def _log_prob(model: Model, prompt: list[int], new: list[int]) -> float:
    total = 0.0
    for t, token_id in enumerate(new):
        after = model(torch.tensor([prompt + new[:t]]))[0, -1].double().log_softmax(-1)
        total += after[token_id].item()
    return total


def _greedy(model: Model, prompt: list[int], n: int, end: int) -> list[int]:
    new: list[int] = []
    while len(new) < n and new[-1:] != [end]:
        new.append(int(model(torch.tensor([prompt + new]))[0, -1].argmax()))
    return new


def _ends_at_the_end(new: Any, model, prompt, width, max_new_tokens, end) -> bool:
    return end not in new[:-1] and (len(new) == max_new_tokens or new[-1:] == [end])


_TRIED = [
    (_GREEDY_MISLED, [1], 2, 3, 0),
    (_SHORT_WINS, [1], 2, 5, 0),
    *((_random(6, seed=s), [1, 3], 3, 5, 0) for s in range(4)),
]

beam_search = Exercise(
    tasks.beam_search,
    cases=[
        _searched("two steps, two beams: the second choice leads further", _GREEDY_MISLED,
                  [1], 2, 2, 0),
        _searched("the same with one beam: greedy", _GREEDY_MISLED, [1], 1, 2, 0),
        _searched("three steps, two beams", _GREEDY_MISLED, [1], 2, 3, 0),
        _searched("end is reached, and belongs to the text", _SHORT_OR_LONG, [1], 2, 5, 0),
        _searched("an ended beam beats all longer ones", _SHORT_WINS, [1], 2, 5, 0),
        _searched("the prompt holds end", _SHORT_OR_LONG, [0, 2, 1], 2, 4, 0),
        _searched("the prompt ends with end", _GREEDY_MISLED, [1, 0], 3, 3, 0),
        _searched("no new ids", _SHORT_OR_LONG, [1, 2], 3, 0, 0),
        _searched("one new id", _random(5, seed=1), [2, 3], 3, 1, 4),
        _searched("more beams than ids", _SHORT_OR_LONG, [1], 7, 3, 0),
        _searched("five ids, three beams, a longer prompt", _random(5, seed=2), [4, 1, 3], 3, 6, 0),
        _searched("end is the last id of the vocabulary",
                  _random(6, seed=204), [1, 2], 2, 6, 5),
        _searched("the likeliest text ends late", _random(5, seed=323, sharp=1.2), [1, 2], 2, 6, 0),
        _searched("three beams, some of them ended",
                  _random(6, seed=253, sharp=1.2), [4, 1, 2], 3, 6, 3),
        _searched("three beams, up to seven ids",
                  _random(5, seed=248, sharp=1.2), [2], 3, 7, 4),
        _searched("two beams, up to six ids", _random(5, seed=128, sharp=1.2), [1, 2], 2, 6, 0),
        _searched("four beams, even chances", _random(7, seed=230, sharp=1.0), [3], 4, 4, 6),
        _searched("a vocabulary of forty, five beams", _random(40, seed=5), [7, 30, 2], 5, 6, 11),
        _searched("one beam, a vocabulary of twelve", _random(12, seed=6), [5, 5], 1, 7, 3),
        # Its probability, e^-124, is 0 in float32. Noise of 1e-3 in each score changes nothing.
        _searched("fifty new ids", _flat(24, seed=3, n_ctx=60), [1], 3, 50, 0),
        # Its probability is 0 in float64 too.
        _searched("320 new ids", _even(24, n_ctx=330), [1], 1, 320, 0),
    ],
    properties=[
        Property(
            "nothing follows end, and a text without it has max_new_tokens ids",
            lambda f: all(_ends_at_the_end(f(*args), *args) for args in _TRIED),
            _ends_at_the_end,
        ),
        Property(
            "width 1 takes the likeliest id at each step",
            lambda f: all(
                f(model, [*prompt], 1, n, end) == _greedy(model, prompt, n, end)
                for model, prompt, _, n, end in _TRIED
            ),
        ),
        Property(
            "where all texts fit among the beams, the likeliest of all is found",
            lambda f: _log_prob(_SHORT_OR_LONG, [1], f(_SHORT_OR_LONG, [1], 27, 3, 0))
            > _log_prob(_SHORT_OR_LONG, [1], [2, 0]) - 1e-6,
        ),
        Property(
            "a text that reached end keeps its score",
            lambda f: f(_SHORT_WINS, [1], 2, 5, 0) == [0],
        ),
    ],
)  # fmt: skip

EXERCISES = [join_pair, pad_rows, target_loss, beam_search]
