"""The exercises of lesson 07: split_heads, merge_heads, CausalSelfAttention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
_NUMBERED = torch.tensor([[[10.0 * t + c for c in range(1, 7)] for t in range(1, 5)]])


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows something else."""
    return lambda got, *args: not isinstance(got, Tensor) or bool(holds(got, *args))


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.flatten().sort().values, other.flatten().sort().values)


split_heads = Exercise(
    multihead.split_heads,
    cases=[
        Case("the four words, six columns, two heads", (_NUMBERED, 2), rows=WORDS),
        Case("one word, two heads", (normal(1, 1, 6, seed=1), 2)),
        Case("one head keeps everything", (normal(1, 4, 5, seed=2), 1)),
        Case("as many heads as columns", (normal(2, 4, 3, seed=3), 3)),
        Case("a batch of two, three heads", (normal(2, 5, 21, seed=4), 3)),
        Case("a batch of three, seven heads", (normal(3, 2, 28, seed=5), 7)),
        Case("three of everything", (normal(3, 3, 9, seed=6), 3)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 3, 768, seed=7), 12)),
        Case("float64 stays float64", (normal(2, 5, 12, seed=8, dtype=torch.float64), 3)),
        Case(
            "an argument that does not lie in one piece in memory",
            (strided(normal(2, 5, 6, seed=9)), 3),
        ),
        Case(
            "a batch whose sequences lie interleaved in memory",
            (normal(5, 2, 6, seed=10).transpose(0, 1), 2),
        ),
        Case("the gradients reach x", (normal(2, 4, 6, seed=11), 3), gradients=True),
    ],
    properties=[
        Property(
            "the result has the shape (B, nh, T, hs)",
            lambda f: f(normal(2, 5, 21, seed=4), 3).shape == (2, 3, 5, 7),
            of_result=_of_tensor(
                lambda y, x, n: y.shape == (len(x), n, x.shape[1], x.shape[2] // n)
            ),
        ),
        Property(
            "every number of x is there once",
            lambda f: _same_numbers(f(_NUMBERED, 2), _NUMBERED),
            of_result=_of_tensor(lambda y, x, n: _same_numbers(y, x)),
        ),
        Property(
            "row t of every head holds numbers of word t",
            lambda f: _words_keep_their_numbers(f(_NUMBERED, 2), _NUMBERED),
            of_result=_of_tensor(lambda y, x, n: _words_keep_their_numbers(y, x)),
        ),
        Property(
            "the first head holds the first hs columns",
            lambda f: torch.equal(f(_NUMBERED, 2)[:, 0], _NUMBERED[..., :3]),
            of_result=_of_tensor(
                lambda y, x, n: torch.equal(y[:, 0], x[..., : x.shape[-1] // n])
            ),
        ),
        Property("each sequence of a batch is on its own", lambda f: _split_batch_is_alone(f)),
        Property("merge_heads gives x again", lambda f: _merging_undoes(f)),
    ],
)  # fmt: skip


def _words_keep_their_numbers(heads: Tensor, x: Tensor) -> bool:
    """Whether row t of the heads, taken together, holds the numbers of x's position t."""
    pairs = zip(heads.unbind(2), x.unbind(1), strict=True)
    return all(_same_numbers(of_heads, of_x) for of_heads, of_x in pairs)


def _split_batch_is_alone(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(f(x, 3)[1], f(x[1:], 3)[0])


def _merging_undoes(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(multihead.merge_heads(f(x, 3)), x)


_NUMBERED_HEADS = multihead.split_heads(_NUMBERED, 2).contiguous()

merge_heads = Exercise(
    multihead.merge_heads,
    cases=[
        Case("the four words, two heads of three columns", (_NUMBERED_HEADS,), rows=WORDS),
        Case("one word, two heads", (normal(1, 2, 1, 3, seed=1),)),
        Case("one head", (normal(1, 1, 4, 5, seed=2),)),
        Case("heads of one column", (normal(2, 3, 4, 1, seed=3),)),
        Case("a batch of two, three heads", (normal(2, 3, 5, 7, seed=4),)),
        Case("a batch of three, seven heads", (normal(3, 7, 2, 4, seed=5),)),
        Case("three of everything", (normal(3, 3, 3, 3, seed=6),)),
        Case("the sizes of GPT-2: twelve heads of 64", (normal(1, 12, 3, 64, seed=7),)),
        Case("float64 stays float64", (normal(2, 3, 5, 4, seed=8, dtype=torch.float64),)),
        Case(
            "heads as split_heads makes them, a view of another tensor",
            (multihead.split_heads(normal(2, 5, 6, seed=9), 3),),
        ),
        Case(
            "an argument that does not lie in one piece in memory",
            (strided(normal(2, 3, 5, 4, seed=10)),),
        ),
        Case("the gradients reach x", (normal(2, 3, 4, 2, seed=11),), gradients=True),
    ],
    properties=[
        Property(
            "the result has the shape (B, T, C), with C = nh · hs",
            lambda f: f(normal(2, 3, 5, 7, seed=4)).shape == (2, 5, 21),
            of_result=_of_tensor(
                lambda y, x: y.shape == (len(x), x.shape[2], x.shape[1] * x.shape[3])
            ),
        ),
        Property(
            "every number of x is there once",
            lambda f: _same_numbers(f(_NUMBERED_HEADS), _NUMBERED_HEADS),
            of_result=_of_tensor(_same_numbers),
        ),
        Property(
            "row t holds the numbers of word t, from all heads",
            lambda f: _words_keep_their_numbers(_NUMBERED_HEADS, f(_NUMBERED_HEADS)),
            of_result=_of_tensor(lambda y, x: _words_keep_their_numbers(x, y)),
        ),
        Property(
            "the first hs columns come from the first head",
            lambda f: torch.equal(f(_NUMBERED_HEADS)[..., :3], _NUMBERED_HEADS[:, 0]),
            of_result=_of_tensor(lambda y, x: torch.equal(y[..., : x.shape[-1]], x[:, 0])),
        ),
        Property("each sequence of a batch is on its own", lambda f: _merge_batch_is_alone(f)),
        Property("what split_heads has cut is whole again", lambda f: _undoes_splitting(f)),
    ],
)


def _merge_batch_is_alone(f) -> bool:
    x = normal(2, 3, 5, 7, seed=4)
    return torch.equal(f(x)[1], f(x[1:])[0])


def _undoes_splitting(f) -> bool:
    x = normal(2, 5, 6, seed=4)
    return torch.equal(f(multihead.split_heads(x, 3)), x)


# What the module is asked beside its parameters, output and gradients.
SECOND_CALL, KEYS_OF_ZEROS = "called twice", "with keys of zeros"
REFERENCE = multihead.CausalSelfAttention


def _second_call(answer, sizes, x: Tensor) -> Tensor:
    """What comes out for the first two words after a call with all of them."""
    module = build(answer, sizes)
    fill(module, built_once(REFERENCE, sizes), x.dtype)
    module(x)
    return module(x[:, :2])


def _keys_of_zeros(answer, sizes, x: Tensor) -> Tensor:
    """What comes out where every key is 0, and so every score."""
    module, C = build(answer, sizes), sizes[0]
    fill(module, built_once(REFERENCE, sizes), x.dtype)
    parameters = own_parameters(module)
    with torch.no_grad():
        parameters["c_attn.weight"][C : 2 * C] = 0
        parameters["c_attn.bias"][C : 2 * C] = 0
    return module(x)


_SIZES, _SEVERAL = (12, 3), normal(2, 5, 12, seed=4)  # a batch of two, for properties too
_SMALL = (6, 2)  # the sizes of the lesson

CausalSelfAttention = ModuleExercise(
    REFERENCE,
    other_asks={SECOND_CALL: _second_call, KEYS_OF_ZEROS: _keys_of_zeros},
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2), None)),
        Case("the four words, two heads of three", (OUTPUT, (6, 2), normal(1, 4, 6, seed=1)),
             rows=WORDS),
        Case("one word alone", (OUTPUT, (6, 2), normal(1, 1, 6, seed=2))),
        Case("one head", (OUTPUT, (5, 1), normal(1, 3, 5, seed=3))),
        Case("as many heads as columns", (OUTPUT, (3, 3), normal(2, 4, 3, seed=5))),
        Case("scores that are all 0: every word so far counts the same",
             (KEYS_OF_ZEROS, (6, 2), normal(1, 4, 6, seed=6))),
        Case("a batch of two, three heads of four", (OUTPUT, _SIZES, _SEVERAL)),
        Case("three of everything", (OUTPUT, (9, 3), normal(3, 3, 9, seed=7))),
        Case("forty words", (OUTPUT, (8, 2), normal(1, 40, 8, seed=8))),
        Case("numbers that hardly differ", (OUTPUT, (6, 3), normal(1, 4, 6, seed=9, scale=1e-2))),
        Case("words with scores near -200",
             (OUTPUT, (8, 2), normal(1, 3, 8, seed=175, scale=15.0, dtype=torch.float64))),
        Case("float64 stays float64",
             (OUTPUT, (12, 3), normal(2, 5, 12, seed=10, dtype=torch.float64))),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6, 2), strided(normal(2, 5, 6, seed=11)))),
        Case("a second call, with the first two words alone",
             (SECOND_CALL, (6, 2), normal(1, 5, 6, seed=12))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=13))),
    ],
    properties=[
        Property(
            "its parameters are c_attn and c_proj, each a weight and a bias, in these shapes",
            lambda f: _parameters(f) == _parameters(REFERENCE),
        ),
        Property(
            "all numbers are finite",
            lambda f: _output(f).isfinite().all(),
            of_result=_of_tensor(lambda y, what, sizes, x: y.isfinite().all()),
        ),
        Property("later words do not change an earlier result", lambda f: _future_is_hidden(f)),
        Property("earlier words do change a later result", lambda f: _past_is_read(f)),
        Property("the order of the earlier words does not matter", lambda f: _past_is_a_set(f)),
        Property(
            "where all words are alike, so are the results", lambda f: _alike_words_give_alike(f)
        ),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property("a second call knows nothing of the first", lambda f: _calls_are_alone(f)),
        Property(
            "it works for any number of columns and heads",
            lambda f: all(_runs(f, sizes) for sizes in (_SIZES, _SMALL, (5, 1))),
        ),
    ],
)  # fmt: skip


def _parameters(answer) -> dict[str, tuple]:
    return {name: tuple(p.shape) for name, p in build(answer, (6, 2)).named_parameters()}


def _module(answer, sizes: tuple) -> nn.Module:
    """The module, whatever its parameters are called: where they fit, they are the case's."""
    module = build(answer, sizes)
    fill_what_fits(module, built_once(REFERENCE, sizes), torch.float32)
    return module


def _runs(answer, sizes: tuple) -> bool:
    """Whether a forward of that size raises nothing."""
    try:
        _module(answer, sizes)(_SEVERAL[..., : sizes[0]].clone())
    except Exception:
        return False
    return True


def _sizes_of(answer) -> tuple:
    """The sizes at which properties are asked: the lesson's where it runs with no others."""
    return _SIZES if _runs(answer, _SIZES) else _SMALL


def _output(answer, x: Tensor = _SEVERAL) -> Tensor:
    sizes = _sizes_of(answer)
    return _module(answer, sizes)(x[..., : sizes[0]].clone()).detach()


def _keeps_the_shape(answer) -> bool:
    return _output(answer).shape == (*_SEVERAL.shape[:2], _sizes_of(answer)[0])


def _moved(*positions: int) -> Tensor:
    """The words, those at some positions changed."""
    x = _SEVERAL.clone()
    x[:, list(positions)] += 1
    return x


def _future_is_hidden(answer) -> bool:
    return torch.allclose(_output(answer)[:, :3], _output(answer, _moved(3, 4))[:, :3], atol=1e-5)


def _past_is_read(answer) -> bool:
    moved = (_output(answer) - _output(answer, _moved(0))).abs()
    return bool((moved[:, 1:].amax(-1) > 1e-4).all())


def _past_is_a_set(answer) -> bool:
    shuffled = _SEVERAL[:, [2, 0, 3, 1, 4]]
    return torch.allclose(_output(answer)[:, -1], _output(answer, shuffled)[:, -1], atol=1e-5)


def _alike_words_give_alike(answer) -> bool:
    y = _output(answer, _SEVERAL[:, :1].repeat(1, 5, 1))
    return torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5)


def _batch_is_alone(answer) -> bool:
    return torch.allclose(_output(answer)[1:], _output(answer, _SEVERAL[1:]), atol=1e-5)


def _calls_are_alone(answer) -> bool:
    sizes = _sizes_of(answer)
    module, x = _module(answer, sizes), _SEVERAL[..., : sizes[0]]
    module(x.clone())
    return torch.allclose(module(x[:, :2].clone()), _output(answer, x[:, :2]), atol=1e-5)


# Its parameters


# The class itself


# Cutting q, k and v


# Splitting and merging


# Scores and weights


# Gradients, types, arguments


# Other right answers, the first three for who has passed


EXERCISES = [split_heads, merge_heads, CausalSelfAttention]
