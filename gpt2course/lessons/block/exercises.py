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
    built_once,
    fill_what_fits,
    own_parameters,
)

WORDS = ("robot", "must", "obey", "orders")


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows parameters or gradients."""
    return lambda got, *args: not isinstance(got, Tensor) or bool(holds(got, *args))


def _xwb(*shape: int, seed: int, scale: float = 3.0, dtype=torch.float32) -> tuple:
    """x (..., C), weight (C,) around 1 and bias (C,) around 0; eps hardly shows at this scale."""
    C = shape[-1]
    weight = 1 + normal(C, seed=seed + 1, scale=0.5, dtype=dtype)
    bias = normal(C, seed=seed + 2, dtype=dtype)
    return normal(*shape, seed=seed, scale=scale, dtype=dtype), weight, bias


# Mean 3 and biased variance 5; the weight and the bias leave the numbers as they are.
_BY_HAND = (torch.tensor([0.0, 2.0, 4.0, 6.0]), torch.ones(4), torch.zeros(4))
_SCALED = (torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, -2.0, 0.5, 3.0]),
           torch.tensor([10.0, 0.0, -1.0, 2.0]))  # fmt: skip
# Deviation 1 around 1000, in steps of 1/8: float32 holds the numbers and their mean exactly. The
# weight is small, since F.group_norm, which is right, is off by 1e-4 of a deviation there.
_FAR_FROM_0 = (
    1000 + torch.tensor([[1.0, -1.5, 0.25, 0.75, -0.5, 1.25, -1.75, 0.5],
                         [0.125, 0.875, -0.625, 1.625, -1.375, -0.875, 1.125, -0.875]]),
    torch.tensor([0.05, 0.1, -0.05, 0.075, -0.1, 0.025, 0.05, -0.075]),
    normal(8, seed=31),
)  # fmt: skip
_ROWS, _SIX = _xwb(2, 3, 5, seed=22), normal(3, 6, seed=41, scale=4.0)

layer_norm = Exercise(
    block.layer_norm,
    cases=[
        Case("one vector of mean 3 and variance 5", _BY_HAND),
        Case("one vector, scaled and shifted", _SCALED),
        Case("the four words, four numbers each", _xwb(4, 4, seed=1), rows=WORDS),
        Case("two words, three numbers each", _xwb(2, 3, seed=4)),
        Case("another eps, 0.5", (*_xwb(2, 3, seed=7), 0.5)),
        Case("four equal numbers", (torch.full((2, 4), 0.5), *_xwb(4, seed=10)[1:])),
        Case("numbers that hardly differ", _xwb(3, 5, seed=13, scale=1e-3)),
        Case("numbers in the thousands", _xwb(3, 5, seed=16, scale=5e3)),
        Case("numbers around 1000 that differ by 1", _FAR_FROM_0),
        Case("a batch of one", _xwb(1, 4, 6, seed=19)),
        Case("a batch of two", _ROWS),
        Case("three of everything", _xwb(3, 3, 3, seed=25)),
        Case("three leading axes", _xwb(2, 1, 4, 3, seed=28)),
        Case("the width of GPT-2", _xwb(2, 768, seed=46)),
        Case("float64 stays float64", _xwb(2, 3, 5, seed=31, dtype=torch.float64)),
        Case("float64 keeps its digits", _xwb(2, 3, 5, seed=41, dtype=torch.float64), fine=True),
        Case("arguments that do not lie in one piece in memory",
             (strided(normal(2, 3, 5, seed=34)), *normal(5, 2, seed=35).unbind(1))),
        Case("the gradients reach x, weight and bias",
             _xwb(2, 3, 5, seed=37, dtype=torch.float64), gradients=True),
    ],
    properties=[
        Property("the result has the shape of x", lambda f: f(*_ROWS).shape == (2, 3, 5),
                 of_result=_of_tensor(lambda y, x, *rest: y.shape == x.shape)),
        Property("all numbers are finite, also where all of x are equal",
                 lambda f: _plain(f, torch.full((2, 6), 2.0)).isfinite().all(),
                 of_result=_of_tensor(lambda y, *args: y.isfinite().all())),
        Property("with weight 1 and bias 0 every vector has mean 0",
                 lambda f: _mean_is_0(_plain(f, _SIX)),
                 of_result=_of_tensor(lambda y, x, weight, bias, *eps:
                                      _do_something(weight, bias) or _mean_is_0(y))),
        Property("with weight 1 and bias 0 every vector has variance 1, divided by C",
                 lambda f: _variance_is_1(_plain(f, _SIX)),
                 of_result=_of_tensor(lambda y, x, weight, bias, *eps:
                                      _do_something(weight, bias) or _variance_is_1(y))),
        Property("the same number added to all of x changes nothing",
                 lambda f: _close(_plain(f, _SIX + 7), _plain(f, _SIX))),
        Property("x made ten times as large gives the same",
                 lambda f: _close(_plain(f, 10 * _SIX), _plain(f, _SIX))),
        Property("each vector is on its own",
                 lambda f: _close(f(*_ROWS)[1, 2], f(_ROWS[0][1, 2], *_ROWS[1:]))),
        Property("weight multiplies and bias is added, number by number, at the very end",
                 lambda f: _scales_then_shifts(f, *_xwb(3, 6, seed=43))),
    ],
)  # fmt: skip


def _plain(f, x: Tensor) -> Tensor:
    """What f makes of vectors of six numbers with weight 1 and bias 0."""
    return f(x.clone(), torch.ones(6), torch.zeros(6))


def _do_something(weight: Tensor, bias: Tensor) -> bool:
    return bool((weight != 1).any() or (bias != 0).any())


def _mean_is_0(y: Tensor) -> bool:
    return bool(y.mean(-1).abs().max() < 1e-4)


def _variance_is_1(y: Tensor) -> bool:
    return bool((y.var(-1, correction=0) - 1).abs().max() < 1e-3)


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


def _scales_then_shifts(f, x: Tensor, weight: Tensor, bias: Tensor) -> bool:
    return _close(f(x, weight, bias), _plain(f, x) * weight + bias)


# --- Block ---


NORMS = "norms as built"  # their weights and biases, before anything is trained or loaded


def _norms(answer, sizes: tuple, x: None) -> dict[str, list[float]]:
    own = own_parameters(build(answer, sizes)).items()
    return {name: p.tolist() for name, p in own if name.startswith("ln_")}


_SIZES, _SEVERAL = (12, 3), normal(2, 5, 12, seed=4)

Block = ModuleExercise(
    block.Block,
    other_asks={NORMS: _norms},
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2), None)),
        Case("the norms begin with weight 1 and bias 0", (NORMS, (4, 2), None)),
        Case("one word alone, two heads of two", (OUTPUT, (4, 2), normal(1, 1, 4, seed=1))),
        Case("the four words, two heads of three", (OUTPUT, (6, 2), normal(1, 4, 6, seed=2)),
             rows=WORDS),
        Case("one head", (OUTPUT, (5, 1), normal(1, 3, 5, seed=3))),
        Case("a batch of two, three heads of four", (OUTPUT, _SIZES, _SEVERAL)),
        Case("three of everything", (OUTPUT, (9, 3), normal(3, 3, 9, seed=5))),
        Case("seventy words, four heads of two", (OUTPUT, (8, 4), normal(1, 70, 8, seed=11))),
        Case("numbers that hardly differ", (OUTPUT, (6, 3), normal(1, 4, 6, seed=6, scale=1e-3))),
        Case("numbers around 1000 that differ by 1",
             (OUTPUT, (6, 3), 1000 + normal(1, 4, 6, seed=7))),
        Case("numbers of some 100,000",
             (OUTPUT, (6, 2), normal(2, 3, 6, seed=13, scale=1e5, dtype=torch.float64))),
        Case("float64 stays float64",
             (OUTPUT, _SIZES, normal(2, 5, 12, seed=8, dtype=torch.float64))),
        Case("float64 keeps its digits",
             (OUTPUT, (6, 2), normal(1, 3, 6, seed=12, dtype=torch.float64)), fine=True),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6, 2), strided(normal(2, 5, 6, seed=9)))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=10, dtype=torch.float64))),
    ],
    properties=[
        Property("the result has the shape of x",
                 lambda f: _output(f).shape == _SEVERAL.shape,
                 of_result=_of_tensor(lambda y, what, sizes, x: y.shape == x.shape)),
        Property("all numbers are finite", lambda f: _output(f).isfinite().all(),
                 of_result=_of_tensor(lambda y, what, sizes, x: y.isfinite().all())),
        Property("each sequence of a batch is on its own",
                 lambda f: _close(_output(f)[1:], _output(f, _SEVERAL[1:]))),
        Property("its parameters are those of ln_1, attn, ln_2 and mlp, in these shapes",
                 lambda f: _parameters(f) == _parameters(block.Block)),
        Property("with both c_proj at 0, so that nothing is added, x comes out as it went in",
                 lambda f: _close(_output(f, silent=("attn", "mlp")), _SEVERAL)),
        Property("with mlp.c_proj at 0 it gives x + attn(ln_1(x))",
                 lambda f: _as_the_reference(f, "mlp")),
        Property("with attn.c_proj at 0 it gives x + mlp(ln_2(x))",
                 lambda f: _as_the_reference(f, "attn")),
        Property("later words do not change an earlier result",
                 lambda f: _close(_output(f)[:, :3], _output(f, _FLIPPED_END)[:, :3])),
    ],
)  # fmt: skip

_FLIPPED_END = torch.cat((_SEVERAL[:, :3], _SEVERAL[:, 3:].flip(-1)), dim=1)


def _parameters(answer) -> dict[str, tuple]:
    return {name: tuple(p.shape) for name, p in own_parameters(build(answer, (6, 2))).items()}


@torch.no_grad()
def _output(answer, x: Tensor = _SEVERAL, silent: tuple[str, ...] = ()) -> Tensor:
    """What the module gives with the check's weights, as far as they fit; silent parts add 0."""
    module = build(answer, _SIZES)
    fill_what_fits(module, built_once(block.Block, _SIZES), torch.float32)
    own = own_parameters(module)
    for part in silent:
        nn.init.zeros_(own[f"{part}.c_proj.weight"])
        nn.init.zeros_(own[f"{part}.c_proj.bias"])
    return module(x.clone())


def _as_the_reference(answer, silent: str) -> bool:
    return _close(_output(answer, silent=(silent,)), _output(block.Block, silent=(silent,)))


EXERCISES = [layer_norm, Block]
