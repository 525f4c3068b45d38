"""The exercises of lesson 07: split_heads, merge_heads, CausalSelfAttention."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor

from gpt2course import multihead
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import (
    GRADIENTS,
    OUTPUT,
    PARAMETERS,
    ModuleExercise,
    build,
    built_once,
    fill,
    fill_what_fits,
    own_parameters,
)

WORDS = ("robot", "must", "obey", "orders")
# Each number says where it stands: 23 is the third column of the second word.
_NUMBERED = 10 * torch.arange(1.0, 5)[None, :, None] + torch.arange(1.0, 7)
_NUMBERED_HEADS = multihead.split_heads(_NUMBERED, 2).contiguous()


def _asked(reference, claim: str, asks, *args) -> Property:
    """asks(result, *args), of the answer's result for these arguments and of that on the card.

    A result in another shape than the reference's is not asked.
    """

    def of_result(got, *args) -> bool | None:
        same_shape = getattr(got, "shape", None) == reference(*args).shape
        return bool(asks(got, *args)) if same_shape else None

    return Property(claim, lambda f: of_result(f(*copy.deepcopy(args)), *args), of_result)


_of_split = partial(_asked, multihead.split_heads)
_of_merge = partial(_asked, multihead.merge_heads)


def _same_numbers(one: Tensor, other: Tensor, dim: int = 0, other_dim: int = 0) -> bool:
    """Whether two tensors, cut along an axis each, hold the same numbers in every piece."""
    pairs = zip(one.unbind(dim), other.unbind(other_dim), strict=True)
    return all(torch.equal(a.flatten().sort()[0], b.flatten().sort()[0]) for a, b in pairs)


split_heads = Exercise(
    multihead.split_heads,
    cases=[
        Case("the four words, six columns, two heads", (_NUMBERED, 2), rows=WORDS),
        Case("other numbers of the same sizes", (normal(1, 4, 6, seed=12), 2)),
        Case("one word, two heads", (normal(1, 1, 6, seed=1), 2)),
        Case("one head keeps everything", (normal(1, 4, 5, seed=2), 1)),
        Case("as many heads as columns", (normal(2, 4, 3, seed=3), 3)),
        Case("a batch of two, three heads", (normal(2, 5, 21, seed=4), 3)),
        Case("a batch of three, seven heads", (normal(3, 2, 28, seed=5), 7)),
        Case("three of everything", (normal(3, 3, 9, seed=6), 3)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 3, 768, seed=7), 12)),
        Case("float64 stays float64", (normal(2, 5, 12, seed=8, dtype=torch.float64), 3)),
        Case("float64 is not rounded", (normal(2, 3, 8, seed=13, dtype=torch.float64), 4),
             fine=True),
        Case("an argument that does not lie in one piece in memory",
             (strided(normal(2, 5, 6, seed=9)), 3)),
        Case("a batch whose sequences lie interleaved in memory",
             (normal(5, 2, 6, seed=10).transpose(0, 1), 2)),
        Case("the gradients reach x", (normal(2, 4, 6, seed=11), 3), gradients=True),
    ],
    properties=[
        _of_split("every number of x is there once",
               lambda y, x, n: _same_numbers(y[None], x[None]), _NUMBERED, 2),
        _of_split("row t of every head holds numbers of word t",
               lambda y, x, n: _same_numbers(y, x, 2, 1), _NUMBERED, 2),
        _of_split("the first head holds the first hs columns",
               lambda y, x, n: torch.equal(y[:, 0], x[..., : x.shape[-1] // n]), _NUMBERED, 2),
        _of_split("each sequence of a batch is on its own",
               lambda y, x, n: _same_numbers(y, x), normal(2, 5, 6, seed=4), 3),
    ],
)  # fmt: skip

merge_heads = Exercise(
    multihead.merge_heads,
    cases=[
        Case("the four words, two heads of three columns", (_NUMBERED_HEADS,), rows=WORDS),
        Case("other numbers of the same sizes", (normal(1, 2, 4, 3, seed=12),)),
        Case("one word, two heads", (normal(1, 2, 1, 3, seed=1),)),
        Case("one head", (normal(1, 1, 4, 5, seed=2),)),
        Case("heads of one column", (normal(2, 3, 4, 1, seed=3),)),
        Case("a batch of two, three heads", (normal(2, 3, 5, 7, seed=4),)),
        Case("a batch of three, seven heads", (normal(3, 7, 2, 4, seed=5),)),
        Case("three of everything", (normal(3, 3, 3, 3, seed=6),)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 12, 3, 64, seed=7),)),
        Case("float64 stays float64", (normal(2, 3, 5, 4, seed=8, dtype=torch.float64),)),
        Case("float64 is not rounded", (normal(2, 4, 3, 2, seed=13, dtype=torch.float64),),
             fine=True),
        Case("heads as split_heads makes them, a view of another tensor",
             (multihead.split_heads(normal(2, 5, 6, seed=9), 3),)),
        Case("an argument that does not lie in one piece in memory",
             (strided(normal(2, 3, 5, 4, seed=10)),)),
        Case("the gradients reach x", (normal(2, 3, 4, 2, seed=11),), gradients=True),
    ],
    properties=[
        _of_merge("every number of x is there once",
               lambda y, x: _same_numbers(y[None], x[None]), _NUMBERED_HEADS),
        _of_merge("row t holds the numbers of word t, from all heads",
               lambda y, x: _same_numbers(y, x, 1, 2), _NUMBERED_HEADS),
        _of_merge("the first hs columns come from the first head",
               lambda y, x: torch.equal(y[..., : x.shape[-1]], x[:, 0]), _NUMBERED_HEADS),
        _of_merge("each sequence of a batch is on its own",
               lambda y, x: _same_numbers(y, x), normal(2, 3, 5, 7, seed=4)),
    ],
)  # fmt: skip

REFERENCE = multihead.CausalSelfAttention
SECOND_CALL = "called twice"
KEYS = {f"with keys of {size:,}": size for size in (0, 2_000)}
KEYS_OF_0, KEYS_OF_2000 = KEYS


def _filled(answer, sizes: tuple, x: Tensor):
    module = build(answer, sizes)
    fill(module, built_once(REFERENCE, sizes), x.dtype)
    return module


def _second_call(answer, sizes: tuple, x: Tensor) -> Tensor:
    """What forward gives for the first two words after a call with all of them."""
    module = _filled(answer, sizes, x)
    module(x)
    return module.forward(x[:, :2])  # by its name: the exercise does not ask for a __call__


def _with_keys(size: float, answer, sizes: tuple, x: Tensor) -> Tensor:
    """What comes out where all numbers of all keys are `size`: the scores of a row are equal."""
    module, C = _filled(answer, sizes, x), sizes[0]
    parameters = own_parameters(module)
    with torch.no_grad():
        parameters["c_attn.weight"][C : 2 * C] = 0
        parameters["c_attn.bias"][C : 2 * C] = size
    return module(x)


CausalSelfAttention = ModuleExercise(
    REFERENCE,
    other_asks={
        SECOND_CALL: _second_call,
        **{what: partial(_with_keys, size) for what, size in KEYS.items()},
    },
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2), None)),
        # Not the sizes of the notebook, whose c_attn and c_proj may be used in place of its own.
        Case("three words, two heads of four", (OUTPUT, (8, 2), normal(1, 3, 8, seed=1)),
             rows=WORDS[:3]),
        Case("the four words, two heads of three", (OUTPUT, (6, 2), normal(1, 4, 6, seed=14)),
             rows=WORDS),
        Case("one word alone", (OUTPUT, (6, 2), normal(1, 1, 6, seed=2))),
        Case("one head", (OUTPUT, (5, 1), normal(1, 3, 5, seed=3))),
        Case("as many heads as columns", (OUTPUT, (3, 3), normal(2, 4, 3, seed=5))),
        Case("scores that are all 0: every word so far counts the same",
             (KEYS_OF_0, (6, 2), normal(1, 4, 6, seed=6))),
        Case("rows of scores that lie thousands apart",
             (KEYS_OF_2000, (6, 3), normal(1, 4, 6, seed=0, dtype=torch.float64))),
        Case("a batch of two, three heads of four", (OUTPUT, (12, 3), normal(2, 5, 12, seed=4))),
        Case("three of everything", (OUTPUT, (9, 3), normal(3, 3, 9, seed=7))),
        Case("600 words", (OUTPUT, (4, 2), normal(1, 600, 4, seed=8))),
        Case("numbers that hardly differ", (OUTPUT, (6, 3), normal(1, 4, 6, seed=9, scale=1e-2))),
        Case("float64 stays float64",
             (OUTPUT, (12, 3), normal(2, 5, 12, seed=10, dtype=torch.float64))),
        Case("float64 is not rounded",
             (OUTPUT, (6, 3), normal(2, 4, 6, seed=15, dtype=torch.float64)), fine=True),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (8, 4), strided(normal(2, 5, 8, seed=11)))),
        Case("a second call, with the first two words alone",
             (SECOND_CALL, (6, 2), normal(1, 5, 6, seed=12))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=13))),
    ],
    properties=[
        Property(
            "all numbers are finite",
            lambda f: _output(f).isfinite().all(),
            of_result=lambda y, *args: y.isfinite().all() if isinstance(y, Tensor) else True,
        ),
        Property("later words do not change an earlier result",
                 lambda f: _near(_output(f)[:, :3], _output(f, _moved(3, 4))[:, :3])),
        Property("earlier words do change a later result", lambda f: _past_is_read(f)),
        Property("where all words are alike, so are the results",
                 lambda f: _near(*_output(f, _X[:, :1].repeat(1, 5, 1))[:, [0, 4]].unbind(1))),
        Property("each sequence of a batch is on its own",
                 lambda f: _near(_output(f)[1:], _output(f, _X[1:]))),
    ],
)  # fmt: skip

_X = normal(2, 5, 12, seed=4)


def _output(answer, x: Tensor = _X) -> Tensor:
    """For properties: whatever the parameters are called, where they fit they are a case's."""
    module = build(answer, (12, 3))
    fill_what_fits(module, built_once(REFERENCE, (12, 3)), torch.float32)
    return module(x.clone()).detach()


def _moved(*positions: int) -> Tensor:
    x = _X.clone()
    x[:, list(positions)] += 1
    return x


def _near(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def _past_is_read(answer) -> bool:
    moved = (_output(answer) - _output(answer, _moved(0))).abs()
    return bool((moved[:, 1:].amax(-1) > 1e-4).all())


EXERCISES = [split_heads, merge_heads, CausalSelfAttention]
