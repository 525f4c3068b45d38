"""The exercises of lesson 09: layer_norm, Block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
from gpt2course.mlp import MLP
from gpt2course.multihead import CausalSelfAttention, merge_heads, split_heads

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
    lesson="09_block",
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


def _norm(x, eps=1e-5):
    """The vectors with mean 0 and variance 1, as they should be before weight and bias."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def _centred(x, dim=-1):
    return x - x.mean(dim, keepdim=True)


# The mean and the variance


@layer_norm.misconception(
    "The variance was divided by C - 1. That is the unbiased one, and what `x.var()` and `x.std()` "
    "do unless told otherwise. LayerNorm takes the plain mean of the squares: `correction=0` "
    "(or `unbiased=False`)."
)
def divides_the_variance_by_one_less(x, weight, bias, eps=1e-5):
    return _centred(x) / torch.sqrt(x.var(-1, keepdim=True) + eps) * weight + bias


@layer_norm.misconception(
    "The divisor is `x.std()`, which divides the squares by C - 1 unless told otherwise, and eps "
    "is not under its root. It should be √(variance + eps), with the plain mean of the squares."
)
def divides_by_std_plus_eps(x, weight, bias, eps=1e-5):
    return _centred(x) / (x.std(-1, keepdim=True) + eps) * weight + bias


@layer_norm.variant(divides_by_std_plus_eps)
def divides_by_std(x, weight, bias, eps=1e-5):
    return _centred(x) / x.std(-1, keepdim=True) * weight + bias


@layer_norm.misconception(
    "eps was added outside the root. It belongs to the variance, under the root: "
    "√(variance + eps). Where the numbers hardly differ, the two are far apart."
)
def adds_eps_outside_the_root(x, weight, bias, eps=1e-5):
    return _centred(x) / (x.std(-1, keepdim=True, correction=0) + eps) * weight + bias


@layer_norm.misconception(
    "eps is missing. It keeps the divisor away from 0: where all numbers of a vector are equal, "
    "their variance is 0, and 0 divided by 0 is nan. Add it to the variance, under the root."
)
def forgets_eps(x, weight, bias, eps=1e-5):
    return _centred(x) / x.std(-1, keepdim=True, correction=0) * weight + bias


@layer_norm.misconception(
    "eps stands still at 1e-5. That is only its default: whoever calls with another one means it. "
    "Use the argument `eps`."
)
def ignores_the_eps_that_is_given(x, weight, bias, eps=1e-5):
    return _norm(x) * weight + bias


@layer_norm.misconception(
    "eps was squared before it was added. It goes to the variance as it is: √(variance + eps)."
)
def squares_eps(x, weight, bias, eps=1e-5):
    return _norm(x, eps**2) * weight + bias


@layer_norm.misconception(
    "eps was not added: the division by 0 is kept away by a lower limit, or by a case of its own "
    "for it. eps is added to the variance, always: √(variance + eps)."
)
def keeps_0_away_without_adding_eps(x, weight, bias, eps=1e-5):
    deviation = x.std(-1, keepdim=True, correction=0)
    return _centred(x) / deviation.clamp(min=eps) * weight + bias


@layer_norm.variant(keeps_0_away_without_adding_eps)
def limits_the_variance(x, weight, bias, eps=1e-5):
    variance = x.var(-1, keepdim=True, correction=0)
    return _centred(x) / variance.clamp(min=eps).sqrt() * weight + bias


@layer_norm.variant(keeps_0_away_without_adding_eps)
def has_a_case_for_deviation_0(x, weight, bias, eps=1e-5):
    deviation = x.std(-1, keepdim=True, correction=0)
    return torch.where(deviation == 0, 0, _centred(x) / deviation) * weight + bias


@layer_norm.misconception(
    "The numbers were divided by the variance. The variance is in squares; the size of the numbers "
    "is its root: divide by √(variance + eps)."
)
def forgets_the_root(x, weight, bias, eps=1e-5):
    return _centred(x) / (x.var(-1, keepdim=True, correction=0) + eps) * weight + bias


@layer_norm.misconception(
    "The root was taken twice: `std` is a root already. Either √(variance + eps), or the deviation "
    "without another root."
)
def takes_the_root_of_the_deviation(x, weight, bias, eps=1e-5):
    deviation = x.std(-1, keepdim=True, correction=0)
    return _centred(x) / torch.sqrt(deviation + eps) * weight + bias


@layer_norm.variant(takes_the_root_of_the_deviation)
def takes_the_root_of_the_unbiased_deviation(x, weight, bias, eps=1e-5):
    return _centred(x) / torch.sqrt(x.std(-1, keepdim=True) + eps) * weight + bias


@layer_norm.misconception(
    "The numbers were multiplied by the root where they should be divided by it: large ones grow "
    "larger. (`rsqrt` is 1 divided by the root, so that one is multiplied.)"
)
def multiplies_by_the_root(x, weight, bias, eps=1e-5):
    return _centred(x) * torch.sqrt(x.var(-1, keepdim=True, correction=0) + eps) * weight + bias


@layer_norm.misconception(
    "The mean was not subtracted: the vectors are divided by their deviation and keep their mean. "
    "First x - mean, then the division."
)
def forgets_to_subtract_the_mean(x, weight, bias, eps=1e-5):
    return x / torch.sqrt(x.var(-1, keepdim=True, correction=0) + eps) * weight + bias


@layer_norm.misconception(
    "This is RMSNorm: it divides by the root of the mean square and leaves the mean in place. "
    "Later models use it; GPT-2 subtracts the mean first."
)
def divides_by_the_root_mean_square(x, weight, bias, eps=1e-5):
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


@layer_norm.misconception(
    "The mean is subtracted above the line, but not below it: what was taken for the variance is "
    "the mean of x². The variance is the mean of (x - mean)²."
)
def takes_the_mean_square_for_the_variance(x, weight, bias, eps=1e-5):
    return _centred(x) / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


@layer_norm.misconception(
    "The mean was subtracted and nothing was divided: the vectors lie around 0, each with its old "
    "size. The division by √(variance + eps) is missing."
)
def forgets_to_divide(x, weight, bias, eps=1e-5):
    return _centred(x) * weight + bias


@layer_norm.misconception(
    "The squares were added up and not averaged: the sum is C times the variance. Divide it by C, "
    "or take `.mean(-1, keepdim=True)`."
)
def sums_the_squares(x, weight, bias, eps=1e-5):
    squares = _centred(x).square().sum(-1, keepdim=True)
    return _centred(x) / torch.sqrt(squares + eps) * weight + bias


@layer_norm.misconception(
    "Only the length was brought to 1 (`F.normalize`, or a division by `x.norm()`). LayerNorm "
    "subtracts the mean and brings the variance to 1."
)
def brings_the_length_to_one(x, weight, bias, eps=1e-5):
    return F.normalize(x, dim=-1) * weight + bias


@layer_norm.misconception(
    "The numbers were divided by their mean distance from the mean. The deviation is the root of "
    "the mean square, which weighs the far ones more."
)
def divides_by_the_mean_distance(x, weight, bias, eps=1e-5):
    distance = _centred(x).abs().mean(-1, keepdim=True)
    return _centred(x) / (distance + eps) * weight + bias


@layer_norm.misconception(
    "The numbers were stretched to lie between 0 and 1, by the smallest and the largest. LayerNorm "
    "uses the mean and the variance."
)
def stretches_from_the_smallest_to_the_largest(x, weight, bias, eps=1e-5):
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    return (x - low) / (high - low + eps) * weight + bias


@layer_norm.misconception(
    "The variance was computed as the mean of x² minus the square of the mean. On paper that is "
    "the same; in float32 it subtracts two large numbers that are nearly equal, and the digits are "
    "gone. Take the mean of (x - mean)²."
)
def subtracts_the_squared_mean(x, weight, bias, eps=1e-5):
    variance = x.square().mean(-1, keepdim=True) - x.mean(-1, keepdim=True).square()
    return _centred(x) / torch.sqrt(variance + eps) * weight + bias


# The axes


@layer_norm.misconception(
    "Mean and variance were taken along axis 0, down the columns: over the words, or over the "
    "sequences of a batch. Every word is on its own; its C numbers lie on the last axis, dim=-1."
)
def normalises_along_axis_0(x, weight, bias, eps=1e-5):
    variance = x.var(0, keepdim=True, correction=0)
    return _centred(x, 0) / torch.sqrt(variance + eps) * weight + bias


@layer_norm.misconception(
    "Mean and variance were taken along axis 1. That is the last axis of a matrix only: of a batch "
    "it holds the words, and a single vector has none. Count from the end: dim=-1."
)
def normalises_along_axis_1(x, weight, bias, eps=1e-5):
    variance = x.var(1, keepdim=True, correction=0)
    return _centred(x, 1) / torch.sqrt(variance + eps) * weight + bias


@layer_norm.misconception(
    "Mean and variance were taken along axis 2, which only a batch (B, T, C) has. Vectors can come "
    "with any number of axes in front: count from the end, dim=-1."
)
def normalises_along_axis_2(x, weight, bias, eps=1e-5):
    variance = x.var(2, keepdim=True, correction=0)
    return _centred(x, 2) / torch.sqrt(variance + eps) * weight + bias


@layer_norm.misconception(
    "Mean and variance were taken along the last axis but one, over the words of a sequence. "
    "Every word is on its own; its C numbers lie on the last axis, dim=-1."
)
def normalises_over_the_words(x, weight, bias, eps=1e-5):
    if x.ndim == 1:
        return _norm(x, eps) * weight + bias
    variance = x.var(-2, keepdim=True, correction=0)
    return _centred(x, -2) / torch.sqrt(variance + eps) * weight + bias


@layer_norm.misconception(
    "There is one mean and one variance for all numbers together, because `x.mean()` was not told "
    "an axis. Every word has its own: `x.mean(-1, keepdim=True)`."
)
def takes_one_mean_for_everything(x, weight, bias, eps=1e-5):
    return (x - x.mean()) / torch.sqrt(x.var(correction=0) + eps) * weight + bias


@layer_norm.variant(takes_one_mean_for_everything)
def takes_one_unbiased_variance_for_everything(x, weight, bias, eps=1e-5):
    return (x - x.mean()) / torch.sqrt(x.var() + eps) * weight + bias


@layer_norm.misconception(
    "There is one mean and one variance for a whole sequence. Every word has its own, over its C "
    "numbers alone: the last axis, dim=-1."
)
def takes_one_mean_for_a_sequence(x, weight, bias, eps=1e-5):
    if x.ndim == 1:
        return _norm(x, eps) * weight + bias
    return F.layer_norm(x, x.shape[-2:], eps=eps) * weight + bias


@layer_norm.variant(takes_one_mean_for_a_sequence)
def takes_one_mean_for_each_of_axis_0(x, weight, bias, eps=1e-5):
    if x.ndim < 3:
        return _norm(x, eps) * weight + bias
    return F.layer_norm(x, x.shape[1:], eps=eps) * weight + bias


@layer_norm.misconception(
    "Without `keepdim=True` the mean of (T, C) has the shape (T,), and x - mean sets it beside the "
    "C columns instead of the T rows. `x.mean(-1, keepdim=True)` keeps an axis of size 1 there."
)
def forgets_keepdim(x, weight, bias, eps=1e-5):
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


@layer_norm.variant(forgets_keepdim)
def forgets_keepdim_of_the_variance(x, weight, bias, eps=1e-5):
    return _centred(x) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


@layer_norm.variant(forgets_keepdim)
def forgets_keepdim_of_the_mean(x, weight, bias, eps=1e-5):
    variance = x.var(-1, correction=0, keepdim=True)
    return (x - x.mean(-1)) / torch.sqrt(variance + eps) * weight + bias


# Weight and bias


@layer_norm.misconception(
    "The vectors were normed twice. After the first time they have mean 0 and variance 1; the "
    "second time undoes what eps did to those whose numbers hardly differ. Once is enough."
)
def normalises_twice(x, weight, bias, eps=1e-5):
    return _norm(_norm(x, eps), eps) * weight + bias


@layer_norm.misconception(
    "The vectors have mean 0 and variance 1, and there it ended: weight and bias were not used. "
    "They let the model choose another size and another centre: `... * weight + bias`."
)
def forgets_weight_and_bias(x, weight, bias, eps=1e-5):
    return _norm(x, eps)


@layer_norm.misconception("The weight was not used: multiply by it before the bias is added.")
def forgets_the_weight(x, weight, bias, eps=1e-5):
    return _norm(x, eps) + bias


@layer_norm.misconception("The bias was not added: it comes last, after the weight.")
def forgets_the_bias(x, weight, bias, eps=1e-5):
    return _norm(x, eps) * weight


@layer_norm.misconception(
    "Weight and bias have changed places: the weight multiplies, the bias is added."
)
def exchanges_weight_and_bias(x, weight, bias, eps=1e-5):
    return _norm(x, eps) * bias + weight


@layer_norm.misconception(
    "The bias was added before the weight multiplied, so that the weight scales the bias too. "
    "`y * weight + bias`, without brackets."
)
def adds_the_bias_before_it_scales(x, weight, bias, eps=1e-5):
    return (_norm(x, eps) + bias) * weight


@layer_norm.misconception(
    "The weight was applied as 1 + weight. Some models store it that way; GPT-2 stores the factor "
    "itself, near 1 to begin with."
)
def adds_one_to_the_weight(x, weight, bias, eps=1e-5):
    return _norm(x, eps) * (1 + weight) + bias


@layer_norm.misconception(
    "x was scaled and shifted first and then brought to mean 0 and variance 1, which undoes part "
    "of it. Weight and bias come last."
)
def scales_before_it_normalises(x, weight, bias, eps=1e-5):
    return _norm(x * weight + bias, eps)


@layer_norm.misconception(
    "The weight went into a product of vectors (`@`), which adds the columns up. It multiplies "
    "number by number: `*`."
)
def multiplies_as_a_matrix(x, weight, bias, eps=1e-5):
    return _norm(x, eps) @ weight + bias


@layer_norm.misconception(
    "Weight and bias were set beside the rows, as (C, 1). They hold one number for each of the C "
    "columns, and that is how they fit as they are: `y * weight + bias`."
)
def sets_the_weight_beside_the_rows(x, weight, bias, eps=1e-5):
    return _norm(x, eps) * weight[:, None] + bias[:, None]


# What happens beside the value


@layer_norm.misconception(
    "x was changed in place (`-=`, `/=`, `sub_`): the caller's x is another one afterwards. In a "
    "block that is the residual stream itself. `x - mean` makes a new tensor."
)
def changes_x_in_place(x, weight, bias, eps=1e-5):
    x -= x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


@layer_norm.variant(changes_x_in_place)
def changes_x_all_the_way(x, weight, bias, eps=1e-5):
    x -= x.mean(-1, keepdim=True)
    x /= torch.sqrt(x.square().mean(-1, keepdim=True) + eps)
    return x * weight + bias


@layer_norm.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy) cut the tensors off from their "
    "past: the value is right, but no gradient comes through, and nothing before it could learn."
)
def cuts_the_gradient(x, weight, bias, eps=1e-5):
    return block.layer_norm(x, weight, bias, eps).detach()


@layer_norm.misconception(
    "Mean and variance were cut off from x (.detach(), .item() or no_grad): the value is right, "
    "but the gradient takes them for constants. They change whenever x does."
)
def holds_mean_and_variance_fixed(x, weight, bias, eps=1e-5):
    mean = x.detach().mean(-1, keepdim=True)
    variance = x.detach().var(-1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@layer_norm.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the input's type."
)
def always_float32(x, weight, bias, eps=1e-5):
    return block.layer_norm(x.float(), weight.float(), bias.float(), eps)


@layer_norm.misconception(
    "`.view` takes only tensors that lie in one piece in memory; this x does not. `.reshape` "
    "copies where it must. (A norm along dim=-1 needs neither.)"
)
def asks_for_one_piece_of_memory(x, weight, bias, eps=1e-5):
    return block.layer_norm(x.view(-1, x.shape[-1]), weight, bias, eps).view(x.shape)


@layer_norm.also_right
def step_by_step(x, weight, bias, eps=1e-5):
    difference = x - x.mean(dim=-1, keepdim=True)
    variance = (difference**2).mean(dim=-1, keepdim=True)
    return weight * difference * torch.rsqrt(variance + eps) + bias


@layer_norm.also_right
def the_library_call(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, (x.shape[-1],), weight, bias, eps)


@layer_norm.also_right
def one_vector_at_a_time(x, weight, bias, eps=1e-5):
    C = x.shape[-1]
    rows = []
    for row in x.reshape(-1, C):
        mean = sum(row) / C
        variance = sum((number - mean) ** 2 for number in row) / C
        rows.append((row - mean) / (variance + eps) ** 0.5 * weight + bias)
    return torch.stack(rows).reshape(x.shape)


@layer_norm.also_right
def by_var_mean(x, weight, bias, eps=1e-5):
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
    return torch.addcmul(bias, (x - mean) / torch.sqrt(variance + eps), weight)


@layer_norm.also_right
def as_a_matrix_that_centres(x, weight, bias, eps=1e-5):
    C = x.shape[-1]
    centring = torch.eye(C, dtype=torch.float64) - 1 / C
    centred = (x.double() @ centring).to(x.dtype)
    variance = torch.einsum("...c,...c->...", centred, centred) / C
    return centred / torch.sqrt(variance + eps)[..., None] * weight + bias


@layer_norm.also_right
def as_one_group(x, weight, bias, eps=1e-5):
    C = x.shape[-1]
    return F.group_norm(x.reshape(-1, C), 1, weight, bias, eps).reshape(x.shape)


# The block


_REFERENCE = block.Block
_SEVERAL = (_REFERENCE, (12, 3), normal(2, 5, 12, seed=4))

Block = ModuleExercise(
    _REFERENCE,
    lesson="09_block",
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
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (6, 2), strided(normal(2, 5, 6, seed=9)))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2), normal(2, 4, 6, seed=10, dtype=torch.float64))),
    ],
    properties=[
        Property(
            "its parameters are those of ln_1, attn, ln_2 and mlp, in these shapes",
            lambda f: _parameters(f) == _parameters(_REFERENCE),
        ),
        Property(
            "all numbers are finite",
            lambda f: _filled(f)(_SEVERAL[2].clone()).isfinite().all(),
            of_result=_of_tensor(lambda y, what, sizes, x: y.isfinite().all()),
        ),
        Property(
            "the result has the shape of x",
            lambda f: _filled(f)(_SEVERAL[2].clone()).shape == _SEVERAL[2].shape,
            of_result=_of_tensor(lambda y, what, sizes, x: y.shape == x.shape),
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
        Property("each sequence of a batch is on its own", lambda f: _batch_is_alone(f)),
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


class _Block(nn.Module):
    """The right parts, so that a mistake is one line that goes otherwise."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


# Its parts


@Block.misconception(
    "There is one LayerNorm where there should be two. What attention reads and what the MLP reads "
    "have different sizes, so each has a norm of its own: `ln_1` and `ln_2`."
)
class has_one_norm_for_both_parts(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        del self.ln_2

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_1(x))


@Block.variant(has_one_norm_for_both_parts)
class gives_one_norm_two_names(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.ln_2 = self.ln_1


@Block.misconception(
    "The norms have no weight and no bias (`elementwise_affine=False`, or a plain function). GPT-2 "
    "learns both, and its released weights will need a place to go: `nn.LayerNorm(n_embd)`."
)
class leaves_out_the_weights_of_the_norms(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.ln_1 = nn.LayerNorm(n_embd, elementwise_affine=False)
        self.ln_2 = nn.LayerNorm(n_embd, elementwise_affine=False)


@Block.misconception(
    "The norms have a weight and no bias. GPT-2's have both, and its released weights will need a "
    "place to go: `nn.LayerNorm(n_embd)`."
)
class leaves_out_the_biases_of_the_norms(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.ln_1 = nn.LayerNorm(n_embd, bias=False)
        self.ln_2 = nn.LayerNorm(n_embd, bias=False)


@Block.misconception(
    "The module has no parameters: its parts are not made yet, or lie in a plain Python list or "
    "dict, or are made anew in forward, and nothing could be trained or loaded. Make each part "
    "once, in `__init__`, as an attribute of its own: `self.ln_1 = …`."
)
class has_no_parts_that_the_module_sees(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.parts = [_Block(n_embd, n_head)]

    def forward(self, x):
        return self.parts[0](x)


@Block.misconception(
    "Attention was given one head, whatever `n_head` says. Pass it on: "
    "`CausalSelfAttention(n_embd, n_head)`."
)
class always_uses_one_head(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, 1)


@Block.misconception(
    "n_embd and n_head have changed places on their way into the attention. It is "
    "`CausalSelfAttention(n_embd, n_head)`: the width first."
)
class exchanges_n_embd_and_n_head(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_head, n_embd)


@Block.misconception(
    "The MLP was given 4·C as its width. It widens by itself, from C to 4·C and back: "
    "`MLP(n_embd)`."
)
class widens_twice(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.mlp = MLP(4 * n_embd)


@Block.misconception(
    "`super().__init__()` is missing, or comes too late. It sets up the place where a module keeps "
    "its parts, so it has to be the first line of `__init__`."
)
class forgets_to_set_up_the_module(nn.Module):
    def __init__(self, n_embd, n_head):
        self.ln_1 = nn.LayerNorm(n_embd)


# Where the norms stand


@Block.misconception(
    "This is post-norm, as in the transformer of 2017 and in GPT: the norm comes after the "
    "addition and takes in the stream itself. In GPT-2 only what a part reads is normed: "
    "`x = x + self.attn(self.ln_1(x))`."
)
class norms_after_the_addition(_Block):
    def forward(self, x):
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))


@Block.misconception(
    "The norm stands behind attention and MLP: what they give is normed, and not what they read. "
    "Pre-norm is `self.attn(self.ln_1(x))`."
)
class norms_what_the_parts_give(_Block):
    def forward(self, x):
        x = x + self.ln_1(self.attn(x))
        return x + self.ln_2(self.mlp(x))


@Block.misconception(
    "The normed x took the place of the stream (`x = self.ln_1(x)`), and the part was added to "
    "that. The stream has to pass by the norm: `x = x + self.attn(self.ln_1(x))`."
)
class adds_to_the_normed_stream(_Block):
    def forward(self, x):
        x = self.ln_1(x)
        x = x + self.attn(x)
        x = self.ln_2(x)
        return x + self.mlp(x)


@Block.misconception(
    "The norms are there, but forward does not use them: attention and MLP read the stream as it "
    "is, and that grows from block to block."
)
class does_not_use_its_norms(_Block):
    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)


@Block.misconception("Attention reads x as it is. It should read the normed x, `self.ln_1(x)`.")
class does_not_use_ln_1(_Block):
    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(self.ln_2(x))


@Block.misconception("The MLP reads x as it is. It should read the normed x, `self.ln_2(x)`.")
class does_not_use_ln_2(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(x)


@Block.misconception(
    "ln_1 was used in front of the MLP as well; ln_2 is there and has nothing to do. Each part has "
    "its own norm: `self.mlp(self.ln_2(x))`."
)
class uses_ln_1_twice(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_1(x))


@Block.misconception(
    "ln_2 was used in front of attention as well; ln_1 is there and has nothing to do. Each part "
    "has its own norm: `self.attn(self.ln_1(x))`."
)
class uses_ln_2_twice(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_2(x))
        return x + self.mlp(self.ln_2(x))


@Block.misconception(
    "The two norms have changed places: ln_1 belongs to attention, ln_2 to the MLP."
)
class exchanges_the_norms(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_2(x))
        return x + self.mlp(self.ln_1(x))


@Block.misconception(
    "The MLP reads through both norms: the normed x was normed again. One norm in front of each "
    "part is enough, ln_1 for attention and ln_2 for the MLP."
)
class norms_twice_before_the_mlp(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(self.ln_1(x)))


@Block.misconception(
    "The result was normed once more. A block hands the stream on as it is; the one norm at the "
    "end, ln_f, belongs to the model."
)
class norms_the_result_too(_Block):
    def forward(self, x):
        return self.ln_2(super().forward(x))


# The residual stream


@Block.misconception(
    "Nothing is added to x: what attention gives replaces the stream, and so does what the MLP "
    "gives. Each part adds to it: `x = x + …`."
)
class forgets_both_additions(_Block):
    def forward(self, x):
        x = self.attn(self.ln_1(x))
        return self.mlp(self.ln_2(x))


@Block.misconception(
    "What attention gives replaces the stream instead of being added to it: "
    "`x = x + self.attn(self.ln_1(x))`."
)
class forgets_to_add_around_attention(_Block):
    def forward(self, x):
        x = self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


@Block.misconception(
    "What the MLP gives replaces the stream instead of being added to it: "
    "`x = x + self.mlp(self.ln_2(x))`."
)
class forgets_to_add_around_the_mlp(_Block):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return self.mlp(self.ln_2(x))


@Block.misconception(
    "Attention and MLP read the same x, side by side. Some later models do that; in GPT-2 the MLP "
    "reads what attention has added: first one line, then the other."
)
class feeds_both_parts_the_same_x(_Block):
    def forward(self, x):
        return x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))


@Block.misconception(
    "The MLP reads the normed x that attention has read, normed once more. What attention added is "
    "in the result, but the MLP does not see it: it should read `self.ln_2(x)` of the new x."
)
class feeds_the_mlp_what_attention_reads(_Block):
    def forward(self, x):
        h = self.ln_1(x)
        return x + self.attn(h) + self.mlp(self.ln_2(h))


@Block.misconception(
    "What attention added got lost on the way out: the MLP reads it, but its result is added to "
    "the x from the beginning. Add it to the x that attention has changed."
)
class loses_what_attention_added(_Block):
    def forward(self, x):
        after = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(after))


@Block.misconception(
    "The x from the beginning was added twice, around attention and once more at the end. The sum "
    "after attention holds it already; the second line adds to that sum."
)
class adds_x_once_too_often(_Block):
    def forward(self, x):
        after = x + self.attn(self.ln_1(x))
        return x + after + self.mlp(self.ln_2(after))


@Block.misconception(
    "There is one addition around both parts together. Each part adds to the stream by itself: two "
    "lines, two additions."
)
class adds_only_once(_Block):
    def forward(self, x):
        return x + self.mlp(self.ln_2(self.attn(self.ln_1(x))))


@Block.misconception(
    "The MLP comes first and attention second. In a block words first look at each other, and then "
    "each thinks about what it has found."
)
class runs_the_mlp_first(_Block):
    def forward(self, x):
        x = x + self.mlp(self.ln_2(x))
        return x + self.attn(self.ln_1(x))


@Block.variant(runs_the_mlp_first)
class runs_the_mlp_first_with_the_norms_in_order(_Block):
    def forward(self, x):
        x = x + self.mlp(self.ln_1(x))
        return x + self.attn(self.ln_2(x))


@Block.misconception(
    "The attention half is all there is: the MLP is made, and forward does not call it. Its line "
    "is `x = x + self.mlp(self.ln_2(x))`."
)
class never_calls_the_mlp(_Block):
    def forward(self, x):
        return x + self.attn(self.ln_1(x))


@Block.misconception(
    "The MLP half is all there is: attention is made, and forward does not call it. Its line is "
    "`x = x + self.attn(self.ln_1(x))`."
)
class never_calls_the_attention(_Block):
    def forward(self, x):
        return x + self.mlp(self.ln_2(x))


@Block.misconception(
    "`x += …` changes x in place, and that is the caller's tensor: whoever still needs it finds "
    "another one, and autograd refuses it. `x = x + …` makes a new one."
)
class adds_in_place(_Block):
    def forward(self, x):
        x += self.attn(self.ln_1(x))
        x += self.mlp(self.ln_2(x))
        return x


@Block.variant(adds_in_place)
class adds_in_place_at_first(_Block):
    def forward(self, x):
        x += self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


# Inside the parts


@Block.misconception(
    "The norms use another eps than GPT-2, which has 1e-5. Where the numbers hardly differ, it "
    "decides how much they grow."
)
class uses_another_eps(_Block):
    eps = 1e-6

    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.ln_1 = nn.LayerNorm(n_embd, eps=self.eps)
        self.ln_2 = nn.LayerNorm(n_embd, eps=self.eps)


@Block.variant(uses_another_eps)
class uses_a_tiny_eps(uses_another_eps):
    eps = 1e-8


@Block.variant(uses_another_eps)
class uses_the_eps_of_bert(uses_another_eps):
    eps = 1e-12


@Block.variant(uses_another_eps)
class uses_a_large_eps(uses_another_eps):
    eps = 1e-3


class _Norm(nn.Module):
    """A LayerNorm written by hand, whose `scaled` goes otherwise."""

    def __init__(self, n_embd):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.bias = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x):
        return self.scaled(x) * self.weight + self.bias


class _UnbiasedNorm(_Norm):
    def scaled(self, x):
        return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5)


class _StdNorm(_Norm):
    def scaled(self, x):
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


class _StdNormWithSmallEps(_Norm):
    def scaled(self, x):
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)


class _RootMeanSquareNorm(_Norm):
    def scaled(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)


class _NormOverWords(_Norm):
    def scaled(self, x):
        variance = x.var(1, keepdim=True, correction=0)
        return (x - x.mean(1, keepdim=True)) / torch.sqrt(variance + 1e-5)


class _BlockWithNorm(_Block):
    norm = nn.LayerNorm

    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.ln_1, self.ln_2 = self.norm(n_embd), self.norm(n_embd)


@Block.misconception(
    "The norms divide the variance by C - 1, as `x.var()` and `x.std()` do unless told otherwise. "
    "GPT-2's is the plain mean of the squares, as in your layer_norm, or in nn.LayerNorm."
)
class norms_with_the_unbiased_variance(_BlockWithNorm):
    norm = _UnbiasedNorm


@Block.variant(norms_with_the_unbiased_variance)
class norms_with_the_unbiased_deviation(_BlockWithNorm):
    norm = _StdNorm


@Block.variant(norms_with_the_unbiased_variance)
class norms_with_the_unbiased_deviation_and_a_small_eps(_BlockWithNorm):
    norm = _StdNormWithSmallEps


@Block.misconception(
    "The norms are RMSNorm: they do not subtract the mean. Later models do that; GPT-2 has "
    "LayerNorm, which does."
)
class norms_without_the_mean(_BlockWithNorm):
    norm = _RootMeanSquareNorm


@Block.misconception(
    "The norms take mean and variance over the words of the sequence. Every word is normed on its "
    "own, over its C numbers: the last axis. (Besides, the mean over all words tells a word about "
    "those that come later.)"
)
class norms_over_the_words(_BlockWithNorm):
    norm = _NormOverWords


class _AttentionThatSeesAll(CausalSelfAttention):
    def forward(self, x):
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        return self.c_proj(merge_heads(F.scaled_dot_product_attention(q, k, v)))


@Block.misconception(
    "Attention hides nothing: every word reads the whole sequence, its own future included. The "
    "block needs the causal attention of lesson 07."
)
class reads_the_future(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.attn = _AttentionThatSeesAll(n_embd, n_head)


class _ExactMLP(MLP):
    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class _ReluMLP(MLP):
    def forward(self, x):
        return self.c_proj(F.relu(self.c_fc(x)))


@Block.misconception(
    "The MLP bends with the exact gelu, the default of nn.GELU and F.gelu. GPT-2 was trained with "
    'the tanh form: `approximate="tanh"`, or the gelu of lesson 08.'
)
class bends_with_the_exact_gelu(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.mlp = _ExactMLP(n_embd)


@Block.misconception("The MLP bends with relu. GPT-2 bends with gelu, in its tanh form.")
class bends_with_relu(_Block):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        self.mlp = _ReluMLP(n_embd)


@Block.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy) cut the result off from its past: "
    "the value is right, but no gradient comes through, and nothing could learn."
)
class cuts_the_gradient_(_Block):
    def forward(self, x):
        return super().forward(x).detach()


@Block.misconception(
    "The stream that passes by was cut off (.detach(), .data or no_grad on x): the value is right, "
    "but the gradient finds no way back along the stream, only through the parts."
)
class cuts_the_stream(_Block):
    def forward(self, x):
        x = x.detach() + self.attn(self.ln_1(x))
        return x.detach() + self.mlp(self.ln_2(x))


@Block.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the input's type."
)
class always_float32_(_Block):
    def forward(self, x):
        return super().forward(x).float()


@Block.also_right
class with_norms_from_the_library(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(self, x):
        after_attention = x + self.attn(self.ln_1(x))
        return after_attention + self.mlp(self.ln_2(after_attention))


@Block.also_right
class as_a_loop_over_its_halves(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn, self.mlp = CausalSelfAttention(n_embd, n_head), MLP(n_embd)

    def forward(self, x):
        for norm, part in ((self.ln_1, self.attn), (self.ln_2, self.mlp)):
            x = x + part(norm(x))
        return x


@Block.also_right
class from_torch_alone(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = nn.ModuleDict(
            {"c_attn": nn.Linear(n_embd, 3 * n_embd), "c_proj": nn.Linear(n_embd, n_embd)}
        )
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(n_embd, 4 * n_embd))
        self.mlp.add_module("gelu", nn.GELU(approximate="tanh"))
        self.mlp.add_module("c_proj", nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        qkv = self.attn["c_attn"](self.ln_1(x)).unflatten(-1, (3, self.n_head, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn["c_proj"](heads.transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln_2(x))


@Block.also_right
class on_a_copy_of_x(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1 = block.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = block.LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(self, x):
        stream = x.clone()
        stream += self.attn(self.ln_1(stream.clone()))
        stream += self.mlp(self.ln_2(stream.clone()))
        return stream


@Block.also_right
class with_layer_norm_as_a_function(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1, self.ln_2 = nn.Module(), nn.Module()
        for norm in (self.ln_1, self.ln_2):
            norm.weight = nn.Parameter(torch.ones(n_embd))
            norm.bias = nn.Parameter(torch.zeros(n_embd))
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.mlp = MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(block.layer_norm(x, self.ln_1.weight, self.ln_1.bias))
        return x + self.mlp(block.layer_norm(x, self.ln_2.weight, self.ln_2.bias))


EXERCISES = [layer_norm, Block]
