"""Exercises whose answer is a class: built, given the reference's weights, and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from gpt2course.checks.attempt import gradients_of
from gpt2course.checks.exercise import Answer, Case, Exercise
from gpt2course.checks.inputs import normal

PARAMETERS, OUTPUT, GRADIENTS = "parameters", "output", "gradients"  # what a case asks for
TRAINING, BESIDE = "in training mode", "beside another"  # added to every exercise of a class


class WrongParameters(Exception):
    """The module has other parameters than the exercise names."""


@dataclass(eq=False)
class ModuleExercise(Exercise):
    """An exercise whose answer is a class of nn.Module.

    The arguments of a case are (what, sizes, x): what is asked for, the arguments of the class,
    and the argument of `forward`. The value is, for PARAMETERS, their shapes by name; for OUTPUT,
    what forward gives once the weights are the reference's; for GRADIENTS, the gradient of x
    (where it holds floats) and of every parameter. The module works in the dtype of x (`dtype_of`
    says otherwise), in eval mode. `other_asks` adds whats of its own, each called with
    (answer, sizes, x).
    """

    dtype_of: Callable[[Any], torch.dtype] = lambda x: x.dtype
    other_asks: dict[str, Callable[..., Any]] | None = None

    def __post_init__(self):
        self.call = self._call
        outputs = [case.args for case in self.cases if case.args[0] == OUTPUT]
        _, sizes, x = outputs[0]
        others = [args[1] for args in outputs if args[1] != sizes]
        self.cases += [Case("in training mode, after another call", (TRAINING, sizes, x))]
        if others:
            label = f"while another one of the sizes {others[-1]} exists"
            self.cases += [Case(label, (BESIDE, (sizes, others[-1]), x))]

    def parameter_names(self) -> list[str]:
        return ["what", "sizes", "x"]

    def called_with(self, case: Case) -> tuple[list[str], tuple]:
        sizes = case.args[1]
        sizes = sizes[0] if case.args[0] == BESIDE else sizes
        return list(inspect.signature(self.reference).parameters), sizes

    def call_text(self, case: Case) -> str:
        what, sizes, x = case.args
        sizes = sizes[0] if what == BESIDE else sizes
        words = ", ".join(str(size) for size in sizes)
        built = f"{self.name}({words})"
        if what == PARAMETERS:
            return f"{built}.named_parameters()"
        if what in (self.other_asks or {}):
            built = f"{what}: {built}"
        if x is None:
            return built
        x_name = "idx" if isinstance(x, Tensor) and not x.is_floating_point() else "x"
        shape = f"<{tuple(x.shape)}>" if isinstance(x, Tensor) else str(x)
        return f"{built}({x_name}={shape})"

    def _call(self, answer: Answer, what: str, sizes: tuple, x: Any) -> Any:
        if what in (self.other_asks or {}):
            return self.other_asks[what](answer, sizes, x)
        if what == BESIDE:
            sizes, other = sizes
        module = build(answer, sizes)
        if what == PARAMETERS:
            return {name: tuple(p.shape) for name, p in own_parameters(module).items()}
        dtype = self.dtype_of(x)
        fill(module, built_once(self.reference, sizes), dtype)
        if getattr(module.forward, "__func__", None) is nn.Module.forward:
            raise TypeError(f"{type(module).__name__} has no method `forward`")
        if what == BESIDE:
            build(answer, other)
        if what == TRAINING:
            module.train()
            module(x.flip(-1))
        if what != GRADIENTS:
            return module(x)
        return gradients(module, x)


def build(answer: Answer, sizes: tuple) -> nn.Module:
    """The module, in eval mode; what its constructor draws is the same on every run."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed also notes itself for a GPU
        module = answer(*sizes)
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"the answer must be a class of nn.Module; calling it with {sizes} gave "
            f"{type(module).__name__}"
        )
    return module.eval()


built_once = cache(build)  # for references, whose names and shapes are read and never changed


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter under its first name; a tied one counts once, as wte.weight where it is that.

    The blocks in `h` may be called anything: they are numbered in their order.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    blocks = [f"h.{name}." for name, _ in blocks_of(module)]
    named = module.named_parameters(remove_duplicate=False)
    for name, parameter in sorted(named, key=lambda item: item[0] != "wte.weight"):
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        for number, prefix in enumerate(blocks):
            if name.startswith(prefix):
                name = f"h.{number}.{name.removeprefix(prefix)}"
                break
        found[name] = parameter
    return found


def blocks_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The blocks in `h` in their order, each with its name in there; they may lie deeper.

    Where h is no module, or nothing in it looks like a block, whatever it holds directly.
    """
    h = getattr(module, "h", None)
    if not isinstance(h, nn.Module):
        return [(str(i), part) for i, part in enumerate(h)] if isinstance(h, list | tuple) else []
    inside = h.named_modules(remove_duplicate=False)
    return [(name, m) for name, m in inside if hasattr(m, "ln_1")] or list(h.named_children())


def fill(module: nn.Module, reference: nn.Module, dtype: torch.dtype) -> None:
    """Give the module weights that depend only on the reference's names and shapes.

    They are so large that every one of them shows in the output, biases and LayerNorm's too.

    Raises:
        WrongParameters: a parameter is missing, extra or of another shape.
    """
    expected, own = own_parameters(reference), own_parameters(module)
    for name, parameter in expected.items():
        if name not in own:
            raise WrongParameters(
                f"{name} is missing; the module has {', '.join(sorted(own)) or 'none'}"
            )
        if own[name].shape != parameter.shape:
            shapes = f"{tuple(own[name].shape)}, the exercise asks for {tuple(parameter.shape)}"
            raise WrongParameters(f"{name} has shape {shapes}")
    if extra := [name for name in own if name not in expected]:
        raise WrongParameters(f"{extra[0]} is a parameter that the exercise does not name")
    fill_what_fits(module, reference, dtype)


def fill_what_fits(module: nn.Module, reference: nn.Module, dtype: torch.dtype) -> None:
    """As `fill`, and where the names or the shapes are others, these stay as they are.

    For properties, which are asked of modules with the wrong parameters too.
    """
    module.to(dtype)
    own = own_parameters(module)
    with torch.no_grad():
        for name, weights in _weights_for(reference).items():
            if name in own and own[name].shape == weights.shape:
                own[name].copy_(weights)


@lru_cache(maxsize=64)
def _weights_for(reference: nn.Module) -> dict[str, Tensor]:
    weights = {}
    for seed, (name, parameter) in enumerate(own_parameters(reference).items()):
        centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        scale = 0.3 if parameter.ndim == 1 else 1 / parameter.shape[-1] ** 0.5
        weights[name] = centre + normal(*parameter.shape, seed=100 + seed, scale=scale)
    return weights


def gradients(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The gradients of a fixed weighted sum of the output: of x, and of every parameter."""
    leaves = dict(own_parameters(module))
    if x.is_floating_point():
        leaves = {"x": x.requires_grad_(), **leaves}
    return gradients_of(module(x), leaves)
