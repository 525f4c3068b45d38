"""The exercises of lesson 15: previous_token_score, mean_attention, logit_lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2course import inspection
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

SHOWN_NUMBERS = 18


@dataclass(eq=False)
class Told(Exercise):
    """An exercise whose small arguments are told by their numbers, so that one can follow them."""

    def call_text(self, case: Case) -> str:
        tensors = [t for arg in case.args for t in (arg if isinstance(arg, list) else [arg])]
        if any(isinstance(t, Tensor) and t.numel() > SHOWN_NUMBERS for t in tensors):
            return super().call_text(case)
        named = zip(self.parameter_names(), map(_numbers, case.args), strict=True)
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in named)})"


def _numbers(value: Any) -> str:
    """A value as nested lists, its numbers without the noise of float32."""
    if isinstance(value, Tensor):
        return _numbers(value.tolist())
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return f"{value:.3g}"


def _weights(L: int, nh: int, T: int, seed: int, dtype=torch.float32) -> Tensor:
    """Causal attention weights (L, nh, T, T), as a model makes them."""
    scores = normal(L, nh, T, T, seed=seed, scale=1.5, dtype=torch.float64)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1).to(dtype)


def _named(L: int, nh: int) -> dict:
    """What stands beside a drawn result: a row for each layer, a column for each head."""
    rows = tuple(f"layer {i}" for i in range(L))
    return {"rows": rows, "columns": tuple(f"head {h}" for h in range(nh))}


def _near(one: Tensor, other: Tensor, atol: float = 1e-5) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=atol)


def _between_0_and_1(scores: Tensor) -> bool:
    return bool(((scores > -1e-6) & (scores < 1 + 1e-6)).all())


# Two heads of one layer, three tokens: the first head looks back, the second at the first token.
_BY_HAND = torch.tensor([[[[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.1, 0.6, 0.3]],
                          [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.9, 0.0, 0.1]]]])  # fmt: skip
_WIDE = torch.float64

# previous_token_score ---------------------------------------------------------------------------

previous_token_score = Told(
    inspection.previous_token_score,
    cases=[
        Case("three tokens, one layer of two heads", (_BY_HAND,), **_named(1, 2)),
        Case("two layers of three heads", (_weights(2, 3, 5, seed=1),), **_named(2, 3)),
        Case("two tokens", (_weights(3, 2, 2, seed=2),), **_named(3, 2)),
        Case("one layer, one head", (_weights(1, 1, 4, seed=3),)),
        Case("as many layers as heads", (_weights(3, 3, 4, seed=4),), **_named(3, 3)),
        Case("forty tokens", (_weights(4, 2, 40, seed=5),)),
        Case("three of everything", (_weights(3, 3, 3, seed=6),)),
        Case("not contiguous in memory", (strided(_weights(2, 3, 5, seed=8)),)),
        Case("float64 stays float64", (_weights(2, 3, 6, 7, _WIDE),)),
        Case("float64 keeps its digits", (_weights(2, 3, 4, 10, _WIDE),), fine=True),
        Case("the gradients reach the weights", (_weights(2, 3, 4, seed=9),), gradients=True),
    ],
    properties=[
        Property(
            "every number lies between 0 and 1",
            lambda f: _between_0_and_1(f(_weights(2, 3, 5, seed=1))),
            of_result=lambda y, weights: _between_0_and_1(y),
        ),
        Property(
            "a head that gives all its weight to the token before gets 1",
            lambda f: _score_of(f, lambda i: max(0, i - 1)) == 1,
        ),
        Property(
            "a head that gives all its weight to the token itself gets 0",
            lambda f: _score_of(f, lambda i: i) == 0,
        ),
        Property(
            "what the first token reads does not matter",
            lambda f: _near(*map(f, _two_first_rows())),
        ),
    ],
)


def _score_of(f: Answer, reads: Callable[[int], int]) -> float:
    """The score of one head in which token i reads token reads(i) alone; six tokens."""
    weights = torch.zeros(1, 1, 6, 6)
    for i in range(6):
        weights[0, 0, i, reads(i)] = 1
    return round(f(weights).item(), 5)


def _two_first_rows() -> tuple[Tensor, Tensor]:
    """The same weights with another first row."""
    weights = _weights(2, 3, 5, seed=1)
    other = weights.clone()
    other[:, :, 0] = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1])
    return weights, other


# mean_attention ---------------------------------------------------------------------------------


def _sentences(L: int, nh: int, *lengths: int, seed: int, dtype=torch.float32) -> list[Tensor]:
    return [_weights(L, nh, T, seed + i, dtype) for i, T in enumerate(lengths)]


_TWO_SENTENCES = [_BY_HAND, torch.tensor([[[[1.0, 0.0], [0.2, 0.8]], [[1.0, 0.0], [0.7, 0.3]]]])]
_THREE = (_sentences(2, 3, 5, 7, 4, seed=12), [4, 6, 3], [[1], [2, 3, 4], [0, 1]])
_THIRTY = [4 + i % 5 for i in range(30)]

# label, the weights, the queries, the keys
_PROBES = [
    ("two sentences, a word of one token each, one layer of two heads",
     _TWO_SENTENCES, [2, 1], [[1], [0]]),
    ("one sentence, a word of two tokens", _sentences(2, 3, 6, seed=11), [5], [[1, 2]]),
    ("three sentences of 5, 7 and 4 tokens, words of one to three tokens", *_THREE),
    ("the token that reads is not always the last",
     _sentences(3, 2, 6, 8, seed=15), [3, 5], [[2], [1, 2]]),
    ("a word may be the first token", _sentences(2, 4, 3, 6, seed=17), [2, 5], [[0], [0]]),
    ("tokens that do not stand side by side",
     _sentences(2, 3, 9, 6, seed=19), [8, 4], [[6, 0, 3], [2]]),
    ("the token reads itself", _sentences(2, 3, 4, 5, seed=21), [3, 2], [[3], [1, 2]]),
    ("sentences of one length", _sentences(3, 2, 4, 4, 4, seed=23), [3, 2, 3], [[0], [1], [2]]),
    ("one layer, one head", _sentences(1, 1, 5, 3, seed=26), [4, 2], [[2, 3], [1]]),
    ("four of everything",
     _sentences(4, 4, 4, 4, 4, 4, seed=28), [3, 3, 2, 1], [[0], [1], [2], [0]]),
    ("thirty sentences", _sentences(2, 3, *_THIRTY, seed=32), [T - 1 for T in _THIRTY],
     [[0, 1] if i % 3 else [2] for i in range(30)]),
    ("not contiguous in memory",
     [strided(w) for w in _sentences(2, 3, 5, 4, seed=73)], [4, 3], [[1, 2], [0]]),
    ("float64 stays float64", _sentences(2, 3, 5, 4, seed=71, dtype=_WIDE), [4, 3], [[1, 2], [0]]),
]  # fmt: skip

mean_attention = Told(
    inspection.mean_attention,
    cases=[
        *(Case(label, tuple(args), **_named(*args[0][0].shape[:2])) for label, *args in _PROBES),
        Case(
            "float64 keeps its digits",
            (_sentences(2, 3, 5, 4, seed=75, dtype=_WIDE), [4, 3], [[1, 2], [0]]),
            fine=True,
        ),
    ],
    properties=[
        Property(
            "every number lies between 0 and 1",
            lambda f: _between_0_and_1(f(*_THREE)),
            of_result=lambda y, *args: _between_0_and_1(y),
        ),
        Property(
            "a token that is asked for everything it may read gives 1",
            lambda f: _near(
                f(*_THREE[:2], [list(range(q + 1)) for q in _THREE[1]]), torch.ones(2, 3)
            ),
        ),
        Property(
            "the same sentence twice gives what it gives once",
            lambda f: _near(
                f([_THREE[0][1]] * 2, [6, 6], [[2, 3]] * 2), f([_THREE[0][1]], [6], [[2, 3]])
            ),
        ),
        Property(
            "a word of two tokens gets what its tokens get together",
            lambda f: _near(_of_one(f, [1, 2]), _of_one(f, [1]) + _of_one(f, [2])),
        ),
        Property(
            "a long sentence counts as much as a short one",
            lambda f: _near(
                f(*_THREE), sum(f(*([part[i]] for part in _THREE)) for i in range(3)) / 3
            ),
        ),
    ],
    hints={
        "changes its argument": "The result is right, but an argument is changed, and the code that "
        "called the function still needs it. `sentence[:, :, query, key]` with two plain numbers "
        "is no copy, so `+=` writes into the weights; `pop` and `sort` change a list of keys."
    },
)


def _of_one(f: Answer, keys: list[int]) -> Tensor:
    return f([_THREE[0][0]], [4], [keys])


# logit_lens -------------------------------------------------------------------------------------


def _lens(S: int, T: int, C: int, V: int, seed: int, scale=2.0, dtype=torch.float32) -> tuple:
    """A stream that grows from stage to stage, the final LayerNorm's two rows, and wte."""
    stream = normal(S, T, C, seed=seed, scale=scale, dtype=_WIDE).cumsum(0) + 0.3 * scale
    weight = 1 + normal(C, seed=seed + 1, scale=0.5, dtype=_WIDE)
    bias, wte = normal(C, seed=seed + 2, dtype=_WIDE), normal(V, C, seed=seed + 3, dtype=_WIDE)
    return tuple(part.to(dtype) for part in (stream, weight, bias, wte))


# Each stage has mean 3; deviations 1 and 2. Two words, two numbers each.
_LENS_BY_HAND = (
    torch.tensor([[[2.0, 4.0]], [[5.0, 1.0]]]),
    torch.tensor([2.0, 1.0]),
    torch.tensor([0.0, 1.0]),
    torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
)
_SMALL = _lens(3, 4, 5, 7, seed=81)
_WORDS = {"rows": ("token 0",), "columns": ("word 0", "word 1", "word 2")}

logit_lens = Told(
    inspection.logit_lens,
    cases=[
        Case("two stages of one token, three words to say", _LENS_BY_HAND, **_WORDS),
        Case("three stages, four tokens, five numbers each, seven words", _SMALL),
        Case("vectors whose numbers hardly differ", _lens(3, 2, 6, 5, seed=101, scale=2e-3)),
        Case("one stage", _lens(1, 3, 4, 6, seed=85)),
        Case("one token", _lens(4, 1, 3, 5, seed=89)),
        Case("as many words as numbers in a vector", _lens(2, 3, 4, 4, seed=93)),
        Case("three of everything", _lens(3, 3, 3, 3, seed=97)),
        Case("numbers in the hundreds", _lens(2, 3, 6, 5, seed=105, scale=200.0)),
        Case(
            "not contiguous in memory",
            (strided(_SMALL[0]), *normal(5, 2, seed=113).unbind(1), strided(_SMALL[3])),
        ),
        Case("float64 stays float64", _lens(2, 3, 5, 7, seed=109, dtype=_WIDE)),
        Case("float64 keeps its digits", _lens(2, 3, 4, 5, seed=121, dtype=_WIDE), fine=True),
        Case(
            "the gradients reach the stream, weight, bias and wte",
            _lens(2, 3, 4, 5, seed=117, dtype=_WIDE),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "every stage is treated alike: two equal stages give equal scores",
            lambda f: _near(*f(torch.cat([_SMALL[0][1:2]] * 2), *_SMALL[1:]), atol=1e-4),
        ),
        Property(
            "a stream that is ten times as large gives the same scores",
            lambda f: _near(f(10 * _SMALL[0], *_SMALL[1:]), f(*_SMALL), atol=1e-3),
        ),
        Property(
            "each token is on its own",
            lambda f: _near(f(*_SMALL)[:, 2:3], f(_SMALL[0][:, 2:3], *_SMALL[1:]), atol=1e-4),
        ),
        Property(
            "with weight 0 every token of every stage gets the same scores, those of the bias",
            lambda f: _near(
                f(_SMALL[0], torch.zeros(5), *_SMALL[2:]),
                (_SMALL[3] @ _SMALL[2]).expand(3, 4, 7),
                atol=1e-4,
            ),
        ),
    ],
)

EXERCISES = [previous_token_score, mean_attention, logit_lens]
