"""The exercises of lesson 09: layer_norm, Block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gpt2course import block
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import (
    GRADIENTS,
    OUTPUT,
    PARAMETERS,
    ModuleExercise,
    build,
    fill_what_fits,
    own_parameters,
)

WORDS = ("robot", "must", "obey", "orders")


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows parameters or gradients."""
    return lambda got, *args: not isinstance(got, Tensor) or holds(got, *args)


def _xwb(*shape: int, seed: int, scale: float = 3.0, dtype=torch.float32) -> tuple:
    """x (..., C), weight (C,) around 1 and bias (C,) around 0; eps hardly shows at this scale."""
    C = shape[-1]
    weight = 1 + normal(C, seed=seed + 1, scale=0.5, dtype=dtype)
    return normal(*shape, seed=seed, scale=scale, dtype=dtype), weight, normal(C, seed=seed + 2)


def _as(dtype: torch.dtype, *tensors: Tensor) -> tuple:
    return tuple(t.to(dtype) for t in tensors)


# Mean 3 and biased variance 5; the weight and the bias leave the numbers as they are.
_BY_HAND = (torch.tensor([0.0, 2.0, 4.0, 6.0]), torch.ones(4), torch.zeros(4))
_SCALED = (torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, -2.0, 0.5, 3.0]),
           torch.tensor([10.0, 0.0, -1.0, 2.0]))  # fmt: skip
# Deviation 1 around 1000, in steps of 1/8: float32 holds the numbers and their mean exactly. The
# weight is small, since there F.layer_norm, which is right, is off by 1e-4 of a deviation.
_FAR_FROM_0 = (
    1000 + torch.tensor([[1.0, -1.5, 0.25, 0.75, -0.5, 1.25, -1.75, 0.5],
                         [0.125, 0.875, -0.625, 1.625, -1.375, -0.875, 1.125, -0.875]]),
    torch.tensor([0.1, 0.2, -0.1, 0.15, -0.2, 0.05, 0.1, -0.15]),
    normal(8, seed=31),
)  # fmt: skip

layer_norm = Exercise(
    block.layer_norm,
    cases=[
        Case("one vector of mean 3 and variance 5", _BY_HAND),
        Case("one vector, scaled and shifted", _SCALED),
        Case("the four words, four numbers each", _xwb(4, 4, seed=1), rows=WORDS),
        Case("two words, three numbers each", _xwb(2, 3, seed=4)),
        Case("another eps, 0.5", (*_xwb(2, 3, seed=7), 0.5)),
        Case("four equal numbers", (torch.full((2, 4), 2.0), *_xwb(4, seed=10)[1:])),
        Case("numbers that hardly differ", _xwb(3, 5, seed=13, scale=1e-3)),
        Case("numbers in the thousands", _xwb(3, 5, seed=16, scale=5e3)),
        Case("numbers around 1000 that differ by 1", _FAR_FROM_0),
        Case("a batch of one", _xwb(1, 4, 6, seed=19)),
        Case("a batch of two", _xwb(2, 3, 5, seed=22)),
        Case("three of everything", _xwb(3, 3, 3, seed=25)),
        Case("three leading axes", _xwb(2, 1, 4, 3, seed=28)),
        Case("float64 stays float64", _as(torch.float64, *_xwb(2, 3, 5, seed=31))),
        Case("float64 keeps its digits", _as(torch.float64, *_xwb(2, 3, 5, seed=41)), fine=True),
        Case(
            "arguments that do not lie in one piece in memory",
            (strided(normal(2, 3, 5, seed=34)), *normal(5, 2, seed=35).unbind(1)),
        ),
        Case(
            "the gradients reach x, weight and bias",
            _as(torch.float64, *_xwb(2, 3, 5, seed=37)),
            gradients=True,
        ),
    ],
    properties=[
        Property(
            "the result has the shape of x",
            lambda f: f(*_xwb(2, 3, 5, seed=22)).shape == (2, 3, 5),
            of_result=_of_tensor(lambda y, x, *rest: y.shape == x.shape),
        ),
        Property(
            "all numbers are finite, also where all of x are equal",
            lambda f: f(torch.full((2, 4), 2.0), torch.ones(4), torch.zeros(4)).isfinite().all(),
            of_result=_of_tensor(lambda y, *args: y.isfinite().all()),
        ),
        Property(
            "with weight 1 and bias 0 every vector has mean 0",
            lambda f: _plain(f).mean(-1).abs().max() < 1e-4,
            of_result=_of_tensor(
                lambda y, x, weight, bias, *eps: (
                    _do_something(weight, bias) or y.mean(-1).abs().max() < 1e-4
                )
            ),
        ),
        Property(
            "with weight 1 and bias 0 every vector has variance 1, divided by C",
            lambda f: (_plain(f).var(-1, correction=0) - 1).abs().max() < 1e-3,
            of_result=_of_tensor(
                lambda y, x, weight, bias, *eps: (
                    _do_something(weight, bias) or (y.var(-1, correction=0) - 1).abs().max() < 1e-3
                )
            ),
        ),
        Property("the same number added to all of x changes nothing", lambda f: _ignores_shift(f)),
        Property("x made ten times as large gives the same", lambda f: _ignores_size(f)),
        Property("each vector is on its own", lambda f: _vectors_are_alone(f)),
        Property(
            "weight multiplies and bias is added, number by number, at the very end",
            lambda f: _scales_then_shifts(f),
        ),
    ],
)


def _plain(f, x: Tensor | None = None) -> Tensor:
    """What f makes of vectors of six numbers with weight 1 and bias 0."""
    x = normal(3, 6, seed=41, scale=4.0) if x is None else x
    return f(x, torch.ones(6), torch.zeros(6))


def _do_something(weight: Tensor, bias: Tensor) -> bool:
    return bool((weight != 1).any() or (bias != 0).any())


def _ignores_shift(f) -> bool:
    x = normal(3, 6, seed=41, scale=4.0)
    return torch.allclose(_plain(f, x + 7), _plain(f, x), atol=1e-4)


def _ignores_size(f) -> bool:
    x = normal(3, 6, seed=41, scale=4.0)
    return torch.allclose(_plain(f, 10 * x), _plain(f, x), atol=1e-4)


def _vectors_are_alone(f) -> bool:
    x, weight, bias = _xwb(2, 3, 5, seed=22)
    return torch.allclose(f(x, weight, bias)[1, 2], f(x[1, 2], weight, bias), atol=1e-5)


def _scales_then_shifts(f) -> bool:
    x, weight, bias = _xwb(3, 6, seed=43)
    return torch.allclose(f(x, weight, bias), _plain(f, x) * weight + bias, atol=1e-5)


# The mean and the variance


# The axes


# Weight and bias


# What happens beside the value


# The block


_REFERENCE = block.Block
_SEVERAL = (_REFERENCE, (12, 3), normal(2, 5, 12, seed=4))

Block = ModuleExercise(
    _REFERENCE,
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2), None)),
        Case("one word alone, two heads of two", (OUTPUT, (4, 2), normal(1, 1, 4, seed=1))),
        Case("the four words, two heads of three", (OUTPUT, (6, 2), normal(1, 4, 6, seed=2)),
             rows=WORDS),
        Case("one head", (OUTPUT, (5, 1), normal(1, 3, 5, seed=3))),
        Case("a batch of two, three heads of four", (OUTPUT, *_SEVERAL[1:])),
        Case("three of everything", (OUTPUT, (9, 3), normal(3, 3, 9, seed=5))),
        Case("numbers that hardly differ", (OUTPUT, (6, 3), normal(1, 4, 6, seed=6, scale=1e-3))),
        Case("numbers around 1000 that differ by 1",
             (OUTPUT, (6, 3), 1000 + normal(1, 4, 6, seed=7))),
        Case("float64 stays float64",
             (OUTPUT, (12, 3), normal(2, 5, 12, seed=8, dtype=torch.float64))),
        Case("float64 keeps its digits",
             (OUTPUT, (6, 2), normal(1, 3, 6, seed=12, dtype=torch.float64)), fine=True),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6, 2), strided(normal(2, 5, 6, seed=9)))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=10, dtype=torch.float64))),
    ],
    properties=[
        Property(
            "the result has the shape of x",
            lambda f: _filled(f)(_SEVERAL[2].clone()).shape == _SEVERAL[2].shape,
            of_result=_of_tensor(lambda y, what, sizes, x: y.shape == x.shape),
        ),
        Property(
            "all numbers are finite",
            lambda f: _filled(f)(_SEVERAL[2].clone()).isfinite().all(),
            of_result=_of_tensor(lambda y, what, sizes, x: y.isfinite().all()),
        ),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property(
            "its parameters are those of ln_1, attn, ln_2 and mlp, in these shapes",
            lambda f: _parameters(f) == _parameters(_REFERENCE),
        ),
        Property(
            "with both c_proj at 0, so that nothing is added, x comes out as it went in",
            lambda f: _with_nothing_from(f, "attn", "mlp"),
        ),
        Property(
            "with mlp.c_proj at 0 it gives x + attn(ln_1(x))",
            lambda f: _with_nothing_from(f, "mlp"),
        ),
        Property(
            "with attn.c_proj at 0 it gives x + mlp(ln_2(x))",
            lambda f: _with_nothing_from(f, "attn"),
        ),
        Property("later words do not change an earlier result", lambda f: _future_is_hidden(f)),
    ],
)  # fmt: skip


def _parameters(answer) -> dict[str, tuple]:
    module = build(answer, (6, 2))
    return {name: tuple(p.shape) for name, p in own_parameters(module).items()}


def _filled(answer) -> nn.Module:
    """The module with the check's weights, as far as they fit, for float32 and (B, T, 12)."""
    module = build(answer, _SEVERAL[1])
    fill_what_fits(module, build(_REFERENCE, _SEVERAL[1]), torch.float32)
    return module.requires_grad_(False)


def _with_nothing_from(answer, *parts: str) -> bool:
    """Whether the block gives what the reference gives where some of its parts add only zeros."""
    results = []
    for module in (_filled(answer), _filled(_REFERENCE)):
        own = own_parameters(module)
        for part in parts:
            own[f"{part}.c_proj.weight"].zero_()
            own[f"{part}.c_proj.bias"].zero_()
        results.append(module(_SEVERAL[2].clone()))
    return torch.allclose(*results, atol=1e-4)


def _future_is_hidden(answer) -> bool:
    module, x = _filled(answer), _SEVERAL[2]
    moved = torch.cat((x[:, :3], x[:, 3:].flip(-1)), dim=1)
    return torch.allclose(module(x.clone())[:, :3], module(moved)[:, :3], atol=1e-4)


def _batch_is_alone(answer) -> bool:
    module, x = _filled(answer), _SEVERAL[2]
    return torch.allclose(module(x.clone())[1:], module(x[1:].clone()), atol=1e-4)


# Its parts


# Where the norms stand


# The residual stream


# Inside the parts


EXERCISES = [layer_norm, Block]
