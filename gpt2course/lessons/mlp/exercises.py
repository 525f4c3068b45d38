"""The exercises of lesson 08: gelu, MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gpt2course import mlp
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
)

WORDS = ("robot", "must", "obey", "orders")
_BY_HAND = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows something else."""
    return lambda got, *args: not isinstance(got, Tensor) or bool(holds(got, *args))


def _grid(dtype=torch.float32) -> Tensor:
    return torch.linspace(-6, 6, 97, dtype=dtype)


gelu = Exercise(
    mlp.gelu,
    tolerance=0.3,  # √(2/π) rounded to 0.7979 is wrong by 4e-6
    cases=[
        Case("five numbers", (_BY_HAND,), columns=("-2", "-1", "0", "1", "2")),
        Case("a single number, without axes", (torch.tensor(1.5),)),
        Case("97 numbers from -6 to 6", (_grid(),)),
        Case("numbers close to 0", (normal(7, seed=1, scale=1e-2),)),
        Case("numbers far out", (torch.tensor([-1000.0, -100.0, -20.0, 20.0, 100.0, 1000.0]),)),
        Case("one row", (normal(1, 6, seed=2),)),
        Case("a batch of two", (normal(2, 3, 5, seed=3),)),
        Case("four axes", (normal(2, 1, 4, 3, seed=4, scale=2.0),)),
        Case("float64 stays float64", (_grid(torch.float64),)),
        Case("float64 keeps its digits", (_grid(torch.float64),), fine=True),
        Case("an argument that does not lie in one piece in memory",
             (strided(normal(3, 4, seed=5)),)),
        Case("the gradient reaches x", (normal(3, 4, seed=6, scale=2.0),), gradients=True),
        Case("the gradient at 0 and far out", (torch.tensor([-1e3, -20.0, 0.0, 20.0, 1e3]),),
             gradients=True),
    ],
    properties=[
        Property(
            "all numbers are finite",
            lambda f: f(_grid()).isfinite().all(),
            of_result=_of_tensor(lambda y, x: y.isfinite().all()),
        ),
        Property("0 stays 0", lambda f: f(torch.zeros(3)).abs().max() < 1e-6),
        Property("the smallest result, -0.17, belongs to x = -0.75", lambda f: _lowest_point(f)),
        Property(
            "what x and -x give differs by x",
            lambda f: torch.allclose(f(_grid()) - f(-_grid()), _grid(), atol=1e-4),
        ),
        Property("each number is on its own", lambda f: _each_number_is_alone(f)),
    ],
)  # fmt: skip


def _lowest_point(f) -> bool:
    x = torch.linspace(-2, 0, 401)
    y = f(x)
    return abs(x[y.argmin()] + 0.7525) < 0.02 and abs(y.min() + 0.17) < 1e-3


def _each_number_is_alone(f) -> bool:
    return torch.allclose(f(_BY_HAND)[1:3], f(_BY_HAND[1:3]), atol=1e-5)


MLP = ModuleExercise(
    mlp.MLP,
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (3,), None)),
        Case("the four words, three numbers each", (OUTPUT, (3,), normal(1, 4, 3, seed=1)),
             rows=WORDS),
        Case("one word alone", (OUTPUT, (5,), normal(1, 1, 5, seed=2))),
        Case("one number for each word", (OUTPUT, (1,), normal(1, 3, 1, seed=3))),
        Case("a batch of two", (OUTPUT, (7,), normal(2, 5, 7, seed=4))),
        Case("four of everything", (OUTPUT, (4,), normal(4, 4, 4, seed=5))),
        Case("twelve words of 48 numbers", (OUTPUT, (48,), normal(1, 12, 48, seed=6))),
        Case("numbers that hardly differ", (OUTPUT, (6,), normal(1, 4, 6, seed=7, scale=1e-2))),
        Case("large numbers",
             (OUTPUT, (6,), normal(2, 3, 6, seed=8, scale=30.0, dtype=torch.float64))),
        Case("float64 stays float64",
             (OUTPUT, (6,), normal(2, 5, 6, seed=9, dtype=torch.float64))),
        Case("float64 keeps its digits",
             (OUTPUT, (6,), normal(2, 5, 6, seed=12, dtype=torch.float64)), fine=True),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6,), strided(normal(2, 5, 6, seed=10)))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6,), normal(2, 4, 6, seed=11))),
    ],
    properties=[
        Property(
            "its parameters are c_fc and c_proj, each a weight and a bias, in these shapes",
            lambda f: _parameters(f) == _parameters(mlp.MLP),
        ),
        Property(
            "the result has the shape of x",
            lambda f: _output(f).shape == _SEVERAL.shape,
            of_result=_of_tensor(lambda y, what, sizes, x: y.shape == x.shape),
        ),
        Property("each position is on its own", lambda f: _each_position_is_alone(f)),
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
        Property("it is not linear: twice x does not give twice the change",
                 lambda f: _is_not_linear(f)),
        Property("where c_proj is all zeros, so is the result", lambda f: _ends_in_c_proj(f)),
    ],
)  # fmt: skip

_SEVERAL = normal(2, 5, 7, seed=4)


def _parameters(answer) -> dict[str, tuple]:
    return {name: tuple(p.shape) for name, p in build(answer, (3,)).named_parameters()}


def _module(answer) -> nn.Module:
    """The module, whatever its parameters are called: where they fit, they are the case's."""
    module = build(answer, (7,))
    fill_what_fits(module, built_once(mlp.MLP, (7,)), torch.float32)
    return module


def _output(answer, x: Tensor = _SEVERAL) -> Tensor:
    return _module(answer)(x.clone()).detach()


def _each_position_is_alone(answer) -> bool:
    alone = torch.cat([_output(answer, _SEVERAL[:, t : t + 1]) for t in range(5)], dim=1)
    return torch.allclose(_output(answer), alone, atol=1e-5)


def _batch_is_alone(answer) -> bool:
    return torch.allclose(_output(answer)[1:], _output(answer, _SEVERAL[1:]), atol=1e-5)


def _is_not_linear(answer) -> bool:
    origin, once, twice = (_output(answer, factor * _SEVERAL) for factor in (0, 1, 2))
    return not torch.allclose(twice - origin, 2 * (once - origin), atol=1e-3)


def _ends_in_c_proj(answer) -> bool:
    module = _module(answer)
    with torch.no_grad():
        for parameter in module.c_proj.parameters():
            parameter.zero_()
    return bool((module(_SEVERAL.clone()) == 0).all())


EXERCISES = [gelu, MLP]
