"""Lesson 08 to play with: one number through GELU, and a curve made of hidden units."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable, slider, switch
from gpt2course.lessons.mlp.figures import curve_of_units, gelu_at

MOST = 8  # hidden units
Function = Callable[[Tensor], Tensor]


def gelu_slider(first: float = 1.0) -> Playable:
    """Move x; the part of the bell below it, GELU and ReLU follow."""
    return playable(gelu_at, x=slider("x", first, -4.0, 4.0, 0.05))


@dataclass(frozen=True)
class Units:
    """Hidden units on one number: activation(x · read + bias) · write, summed, plus level."""

    read: Float[Tensor, " n"]
    bias: Float[Tensor, " n"]
    write: Float[Tensor, " n"]
    level: float

    def __call__(self, x: Float[Tensor, " P"], activation: Function) -> Float[Tensor, " P"]:
        return activation(x[:, None] * self.read + self.bias) @ self.write + self.level

    @property
    def thresholds(self) -> list[float]:
        """Where on x each unit's pre-activation is 0, from left to right."""
        return sorted((-self.bias / self.read).tolist())


def fit_units(
    x: Float[Tensor, " P"], wanted: Float[Tensor, " P"], activation: Function, most: int = MOST
) -> list[Units]:
    """Layers of 1, 2, … units that imitate a curve, each with one unit more than the one before.

    Each step adds the unit that helps most, out of both directions and 31 thresholds, and then fits
    by least squares what all of them write.
    """
    reads = torch.tensor([2.0, -2.0], dtype=x.dtype)
    thresholds = torch.linspace(float(x[0]) + 0.25, float(x[-1]) - 0.25, 31, dtype=x.dtype)
    read, bias = reads.repeat_interleave(31), (-reads[:, None] * thresholds).flatten()
    activations = activation(x[:, None] * read + bias)  # (P, candidates)
    chosen: list[int] = []
    layers = []
    for _ in range(most):
        known = torch.cat([torch.ones_like(x)[:, None], activations[:, chosen]], dim=1)
        tried = torch.cat([known.expand(len(read), -1, -1), activations.T[:, :, None]], dim=2)
        write = _least_squares(tried, wanted)
        error = ((tried @ write[..., None])[..., 0] - wanted).square().mean(-1)
        best = int(error.argmin())
        chosen.append(best)
        layers.append(Units(read[chosen], bias[chosen], write[best, 1:], float(write[best, 0])))
    return layers


def _least_squares(a: Float[Tensor, "D P n"], wanted: Float[Tensor, " P"]) -> Float[Tensor, "D n"]:
    """For each a the w with a @ w closest to wanted; small where several are equally close."""
    gram = a.mT @ a + 1e-3 * torch.eye(a.shape[-1], dtype=a.dtype)
    return torch.linalg.solve(gram, (a.mT @ wanted)[..., None])[..., 0]


def unit_slider(
    x: Float[Tensor, " P"], wanted: Float[Tensor, " P"], functions: Mapping[str, Function]
) -> Playable:
    """Choose an activation function and how many hidden units; the curve that they make follows."""
    layers = {name: fit_units(x, wanted, function) for name, function in functions.items()}

    def draw(activation: str, n: int) -> Picture:
        units = layers[activation][n - 1]
        made = units(x, functions[activation])
        return curve_of_units(x, wanted, made, units.thresholds, activation)

    chosen = switch("activation:", list(functions))
    return playable(draw, activation=chosen, n=slider("hidden units", 4, 1, MOST))
