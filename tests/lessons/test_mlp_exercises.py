"""The checks of lesson 08, on answers that they do not list."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes
from gpt2course.mlp import gelu

ROOT = math.sqrt(2 / math.pi)


def test_every_property_holds_of_right_answers_and_of_the_results_that_cards_show():
    for name in ("gelu", "MLP"):
        exercise = engine.find(name)
        answers = [exercise.reference, *(other.answer for other in exercise.other_answers)]
        for prop in exercise.properties:
            assert all(prop.holds(answer) for answer in answers), prop.claim
            if prop.of_result:
                for case, outcome in zip(exercise.cases, expected_outcomes(exercise), strict=True):
                    assert prop.of_result(outcome.value, *case.args), (prop.claim, case.label)


# gelu


def with_the_root_as_a_tensor(x):
    root = torch.sqrt(torch.tensor(2.0 / torch.pi))
    return 0.5 * x * (1 + torch.tanh(root * (x + 0.044715 * torch.pow(x, 3))))


def with_ten_digits_of_the_root(x):
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def with_eight_digits_of_the_root_and_x_drawn_out(x):
    return 0.5 * x * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))


def with_the_constant_of_erf(x):
    u = x * (1 + 0.044715 * x**2) * (2 / math.sqrt(math.pi)) / math.sqrt(2)
    return x - 0.5 * x * (1 - torch.tanh(u))


def with_a_bounded_exponential(x):
    u = ROOT * (x + 0.044715 * x**3)
    return x / (1 + torch.exp(-2 * u).clamp(max=1e30))


def on_a_copy_in_place(x):
    y = x.clone()
    y.pow_(3).mul_(0.044715).add_(x).mul_(ROOT).tanh_()
    return (y + 1).mul_(0.5) * x


def in_place_on_what_it_made(x):
    inner = x**3 * 0.044715 + x
    inner *= (2 / np.pi) ** 0.5
    share = inner.tanh() + 1
    share /= 2
    return x * share


def with_addcmul(x):
    return torch.addcmul(
        x / 2, x / 2, torch.tanh(ROOT * torch.addcmul(x, x * x, x, value=0.044715))
    )


def entry_by_entry(x):
    entries = []
    for entry in x.reshape(-1):
        u = ROOT * (entry + 0.044715 * entry * entry * entry)
        entries.append(entry * (torch.tanh(u) + 1) / 2)
    return torch.stack(entries).view(x.shape)


def by_the_sign(x):
    size = x.abs()
    u = ROOT * (size + 0.044715 * size**3)
    upper = 0.5 * size * (1 + torch.tanh(u))
    return torch.where(x >= 0, upper, upper - size)


@pytest.mark.parametrize(
    "answer",
    [
        with_the_root_as_a_tensor,
        with_ten_digits_of_the_root,
        with_eight_digits_of_the_root_and_x_drawn_out,
        with_the_constant_of_erf,
        with_a_bounded_exponential,
        on_a_copy_in_place,
        in_place_on_what_it_made,
        with_addcmul,
        entry_by_entry,
        by_the_sign,
        torch.compiler.disable(gelu),
    ],
)
def test_right_gelus_pass(answer):
    result = checks.run("gelu", answer)
    assert result.passed, result.message


def root_misspelt_as_two_powers(x):
    return 0.5 * x * (1 + torch.tanh((2 / math.pi) ** 1 / 2 * (x + 0.044715 * x**3)))


def through_numpy_and_back(x):
    numbers = np.array(x.tolist())
    bent = 0.5 * numbers * (1 + np.tanh(ROOT * (numbers + 0.044715 * numbers**3)))
    return torch.tensor(bent, dtype=x.dtype)


def exponentials_without_a_guard(x):
    u = ROOT * (x + 0.044715 * x**3)
    tanh = (u.exp() - (-u).exp()) / (u.exp() + (-u).exp())
    return x / 2 * (1 + tanh)


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (F.gelu, "takes the exact form"),
        (nn.GELU(), "takes the exact form"),
        (lambda x: x * torch.distributions.Normal(0, 1).cdf(x), "takes the exact form"),
        (F.relu, "takes relu"),
        (lambda x: x.clamp(min=0), "takes relu"),
        (F.silu, "takes silu"),
        (lambda x: x / (1 + torch.exp(-1.702 * x)), "takes the quick form"),
        (lambda x: torch.where(x > 0, gelu(x), 0 * x), "cuts off below zero"),
        (lambda x: x * (1 + torch.tanh(ROOT * (x + 0.044715 * x**3))), "forgets the half"),
        (lambda x: gelu(x) - 0.5 * x, "forgets the one"),
        (lambda x: 0.5 * (1 + torch.tanh(ROOT * (x + 0.044715 * x**3))), "forgets x in front"),
        (lambda x: 0.5 * x * (1 + torch.tanh(ROOT * x)), "forgets the cube"),
        (
            lambda x: 0.5 * x * (1 + torch.tanh(ROOT * (x + 0.044715 * x * x))),
            "squares where it should cube",
        ),
        (
            lambda x: 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3))),
            "forgets to take the root",
        ),
        (
            lambda x: 0.5 * x * (1 + torch.tanh(2**0.5 / math.pi * (x + 0.044715 * x**3))),
            "takes the root of two alone",
        ),
        (
            lambda x: 0.5 * x * (1 + torch.tanh((2 / math.pi * (x + 0.044715 * x**3)) ** 0.5)),
            "takes the root of everything",
        ),
        (
            lambda x: 0.5 * x * (1 + torch.tanh(0.7979 * (x + 0.0447 * x**3))),
            "keeps too few digits",
        ),
        (lambda x: F.gelu(x.float(), approximate="tanh").to(x.dtype), "keeps too few digits"),
        (exponentials_without_a_guard, "lets the exponentials overflow"),
        (lambda x: x / 2 * (1 + math.tanh(ROOT * (x + 0.044715 * x**3))), "uses math for a tensor"),
        (lambda x: gelu(x ^ 1), "writes a caret for the power"),
        (lambda x: x * (gelu(x) / x.where(x != 0, 1)).detach(), "holds the share fixed"),
        (through_numpy_and_back, "cuts the gradient"),
        (torch.no_grad()(gelu), "cuts the gradient"),
        (lambda x: torch.stack([F.gelu(v, approximate="tanh") for v in x]), "expects one axis"),
        (
            lambda x: 0.5 * x * torch.tanh(ROOT * (x + 0.044715 * x**3)).add_(1),
            "changes the tanh in place",
        ),
    ],
)  # fmt: skip
def test_wrong_gelus_are_named(answer, mistake):
    result = checks.run("gelu", answer)
    assert (result.passed, result.misconception) == (False, mistake), result.message


@pytest.mark.parametrize(
    "answer",
    [
        root_misspelt_as_two_powers,
        F.mish,
        F.hardswish,
        lambda x: x * torch.sigmoid(1.6 * x),
        lambda x: gelu(x) + 1e-3,
        lambda x: gelu(x - 0.01),
        lambda x: -gelu(-x),
        lambda x: gelu(x).clamp(max=6),
        lambda x: gelu(x).half().to(x.dtype),
        lambda x: gelu(x).bfloat16().to(x.dtype),
        lambda x: gelu(x).flatten(),
        lambda x: gelu(x).unsqueeze(0),
        lambda x: gelu(x).numpy(),
        lambda x: torch.where(x.abs() < 3, gelu(x), x.clamp(min=0)),
        lambda x: gelu(x) / x.shape[-1] * x.shape[-1] if x.ndim else x,
        lambda x: gelu(x / x.std()) if x.numel() > 5 else gelu(x),
        lambda x: gelu(x.mT) if x.ndim == 2 else gelu(x),
        lambda x: x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ],
)
def test_other_wrong_gelus_do_not_pass(answer):
    assert not checks.run("gelu", answer).passed


def test_a_caret_is_an_error_and_not_an_untouched_exercise():
    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(ROOT * (x + 0.044715 * x ^ 3)))

    result = checks.run("gelu", gelu)
    assert (result.status, result.misconception) == ("error", "writes a caret for the power")
    assert "0.044715 * x ^ 3" in result.message


def test_an_untouched_gelu_is_not_started():
    def gelu(x):
        raise NotImplementedError("your turn")

    result = checks.run("gelu", gelu)
    assert result.status == "not_started"
    assert "-0.05  -0.16  0.00  0.84  1.95" in result.message


def test_a_bend_of_nearly_the_right_shape_is_told_where_the_lowest_point_lies():
    held = dict(checks.run("gelu", lambda x: x * torch.sigmoid(1.6 * x)).properties)
    assert not held["the smallest result, -0.17, belongs to x = -0.75"]
    assert held["0 stays 0"]


def test_the_exact_form_is_shown_with_decimals_that_differ():
    message = checks.run("gelu", F.gelu).message
    assert "-0.0454  -0.1588  0.0000  0.8412  1.9546" in message
    assert "-0.1587*" in message


# MLP


class Plain(nn.Module):
    """A right answer in steps of its own, which the wrong ones below change."""

    def __init__(self, n_embd):
        super().__init__()
        self.c_fc = nn.Linear(n_embd, n_embd * 4)
        self.c_proj = nn.Linear(n_embd * 4, n_embd)

    def forward(self, x):
        x = self.c_fc(x)
        x = gelu(x)
        x = self.c_proj(x)
        return x


class WithDropout(Plain):
    def __init__(self, n_embd, dropout=0.1):
        super().__init__(n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(super().forward(x))


class BareParameters(nn.Module):
    class Layer(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(n_out, n_in))
            self.bias = nn.Parameter(torch.zeros(n_out))

        def forward(self, x):
            return x @ self.weight.T + self.bias

    def __init__(self, n_embd):
        super().__init__()
        self.c_fc, self.c_proj = self.Layer(n_embd, 4 * n_embd), self.Layer(4 * n_embd, n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class ParameterDicts(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        C, wide = n_embd, 4 * n_embd
        self.c_fc = nn.ParameterDict({"weight": torch.randn(wide, C), "bias": torch.randn(wide)})
        self.c_proj = nn.ParameterDict({"weight": torch.randn(C, wide), "bias": torch.randn(C)})

    def forward(self, x):
        wide = F.linear(x, self.c_fc["weight"], self.c_fc["bias"])
        return F.linear(gelu(wide), self.c_proj["weight"], self.c_proj["bias"])


class ANamedSequential(nn.Sequential):
    def __init__(self, n_embd):
        super().__init__()
        self.add_module("c_fc", nn.Linear(n_embd, 4 * n_embd))
        self.add_module("act", nn.GELU(approximate="tanh"))
        self.add_module("c_proj", nn.Linear(4 * n_embd, n_embd))


class Flattened(Plain):
    def forward(self, x):
        B, T, C = x.shape
        return super().forward(x.reshape(B * T, C)).view(B, T, C)


class SequenceBySequence(Plain):
    def forward(self, x):
        return torch.stack([super(SequenceBySequence, self).forward(words) for words in x])


class BendsInPlace(Plain):
    def forward(self, x):
        wide = self.c_fc(x)
        inner = (wide**3).mul_(0.044715).add_(wide).mul_(ROOT)
        share = (1 + torch.tanh(inner)).mul_(0.5)
        return self.c_proj(wide * share)


class RootAsATensor(Plain):
    def forward(self, x):
        wide = self.c_fc(x)
        root = torch.sqrt(torch.tensor(2.0 / math.pi))
        inner = root * (wide + 0.044715 * torch.pow(wide, 3))
        return self.c_proj(0.5 * wide * (1 + torch.tanh(inner)))


class TurnedAround(Plain):
    def forward(self, x):
        wide = self.c_fc.weight @ x.mT + self.c_fc.bias[:, None]
        return (self.c_proj.weight @ gelu(wide) + self.c_proj.bias[:, None]).mT


class NeuronByNeuron(Plain):
    def forward(self, x):
        y = torch.zeros_like(x) + self.c_proj.bias
        for row, bias, column in zip(
            self.c_fc.weight, self.c_fc.bias, self.c_proj.weight.T, strict=True
        ):
            y = y + gelu(x @ row + bias)[..., None] * column
        return y


class AsConvolutions(Plain):
    def forward(self, x):
        wide = F.conv1d(x.transpose(1, 2), self.c_fc.weight[..., None], self.c_fc.bias)
        y = F.conv1d(gelu(wide), self.c_proj.weight[..., None], self.c_proj.bias)
        return y.transpose(1, 2)


@pytest.mark.parametrize(
    "answer",
    [
        Plain,
        WithDropout,
        BareParameters,
        ParameterDicts,
        ANamedSequential,
        Flattened,
        SequenceBySequence,
        BendsInPlace,
        RootAsATensor,
        TurnedAround,
        NeuronByNeuron,
        AsConvolutions,
    ],
)
def test_right_modules_pass(answer):
    result = checks.run("MLP", answer)
    assert result.passed, result.message


def module_with(bend):
    """A class that differs from Plain in the function between its layers."""

    class MLP(Plain):
        def forward(self, x):
            return self.c_proj(bend(self.c_fc(x)))

    return MLP


def module_with_layers(**layers):
    """A class with layers of these names, each from (n_in, n_out) in units of n_embd."""

    class MLP(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            for name, (n_in, n_out) in layers.items():
                setattr(self, name, nn.Linear(n_in * n_embd, n_out * n_embd))

        def forward(self, x):
            return x

    return MLP


class WithoutBiases(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.c_fc = nn.Linear(n_embd, 4 * n_embd, bias=False)
        self.c_proj = nn.Linear(4 * n_embd, n_embd, bias=False)


class SizesOfTheSmallestGpt2(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.c_fc = nn.Linear(n_embd, 3072)
        self.c_proj = nn.Linear(3072, n_embd)


class NormsFirst(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.ln = nn.LayerNorm(n_embd)
        self.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.c_proj = nn.Linear(4 * n_embd, n_embd)


class InASequential(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd)
        )

    def forward(self, x):
        return self.net(x)


class BendsLast(Plain):
    def forward(self, x):
        return gelu(self.c_proj(self.c_fc(x)))


class BendsFirst(Plain):
    def forward(self, x):
        return self.c_proj(self.c_fc(gelu(x)))


class Residual(Plain):
    def forward(self, x):
        return super().forward(x) + x


class ResidualInPlace(Plain):
    def forward(self, x):
        return x.add_(super().forward(x))


class TanhInPlace(Plain):
    def forward(self, x):
        wide = self.c_fc(x)
        tanh = torch.tanh(ROOT * (wide + 0.044715 * wide**3))
        tanh += 1
        return self.c_proj(0.5 * wide * tanh)


class ForgetsCProj(Plain):
    def forward(self, x):
        return gelu(self.c_fc(x))


class MultipliesAsItLies(Plain):
    def forward(self, x):
        return self.c_proj(gelu(torch.matmul(x, self.c_fc.weight) + self.c_fc.bias))


class ForgetsSuper(nn.Module):
    def __init__(self, n_embd):
        self.c_proj = nn.Linear(4 * n_embd, n_embd)


class ForgetsSelf(Plain):
    def forward(self, x):
        return c_proj(gelu(c_fc(x)))


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (WithoutBiases, "leaves out the biases"),
        (SizesOfTheSmallestGpt2, "writes the width of gpt2"),
        (NormsFirst, "has a layer norm inside"),
        (InASequential, "puts its layers into a sequential"),
        (BendsLast, "bends at the end only"),
        (BendsFirst, "bends before c fc"),
        (Residual, "adds x to the result"),
        (ResidualInPlace, "changes x in place"),
        (ForgetsCProj, "forgets c proj"),
        (MultipliesAsItLies, "forgets to turn the weights"),
        (ForgetsSuper, "forgets to call super init"),
        (ForgetsSelf, "uses a name that is not defined"),
        (TanhInPlace, "changes the tanh in place"),
        (module_with(nn.GELU()), "takes the exact gelu"),
        (module_with(nn.ReLU()), "takes relu"),
        (module_with(nn.Identity()), "forgets the bend"),
        (module_with(nn.SiLU()), "takes silu"),
        (module_with(nn.Tanh()), "takes tanh"),
        (module_with(nn.Softmax(dim=-1)), "takes a softmax"),
        (module_with(lambda wide: gelu(wide.detach())), "cuts the gradient"),
        (module_with_layers(c_fc=(1, 4), c_proj=(4, 4)), "does not come back"),
        (module_with_layers(c_fc=(1, 1), c_proj=(1, 1)), "does not widen"),
        (module_with_layers(c_fc=(1, 2), c_proj=(2, 1)), "widens by another factor"),
        (module_with_layers(c_fc=(4, 1), c_proj=(1, 4)), "exchanges the names of the layers"),
        (module_with_layers(c_fc=(1, 4)), "has no c proj"),
        (module_with_layers(fc1=(1, 4), fc2=(4, 1)), "calls its layers otherwise"),
        (module_with_layers(), "hides its layers in a list"),
    ],
)
def test_wrong_modules_are_named(answer, mistake):
    result = checks.run("MLP", answer)
    assert (result.passed, result.misconception) == (False, mistake), result.message


class MixesPositions(Plain):
    def forward(self, x):
        return super().forward(x - x.mean(1, keepdim=True))


class ReversesPositions(Plain):
    def forward(self, x):
        return super().forward(x.flip(1))


class AlwaysDrops(Plain):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.1)


class FirstSequenceOnly(Plain):
    def forward(self, x):
        return super().forward(x[:1]).expand_as(x)


class ForgetsTheBiasOfCProj(Plain):
    def forward(self, x):
        return gelu(self.c_fc(x)) @ self.c_proj.weight.T


class Scales(Plain):
    def forward(self, x):
        return super().forward(x) * 0.999


class WithAGate(Plain):
    def forward(self, x):
        wide = self.c_fc(x)
        return self.c_proj(gelu(wide) * wide)


class HalfPrecision(Plain):
    def forward(self, x):
        return super().forward(x).bfloat16().to(x.dtype)


@pytest.mark.parametrize(
    "answer",
    [
        MixesPositions,
        ReversesPositions,
        AlwaysDrops,
        FirstSequenceOnly,
        ForgetsTheBiasOfCProj,
        Scales,
        WithAGate,
        HalfPrecision,
        nn.Identity,
        lambda n_embd: gelu,
        module_with(F.mish),
        module_with(lambda wide: gelu(wide).clamp(max=1)),
        module_with(lambda wide: gelu(wide.flip(-1))),
        module_with(lambda wide: gelu(wide) * 1.01),
        module_with_layers(c_fc=(1, 4), c_proj=(4, 1)),
        module_with_layers(c_fc=(1, 4), c_proj=(4, 1), extra=(1, 1)),
    ],
)
def test_other_wrong_modules_do_not_pass(answer):
    assert not checks.run("MLP", answer).passed


def test_an_mlp_that_mixes_positions_is_told_so():
    held = dict(checks.run("MLP", MixesPositions).properties)
    assert not held["each position is on its own"]
    assert held["each sequence of a batch is on its own"]


def test_layers_in_a_row_without_a_bend_show_in_a_property():
    held = dict(checks.run("MLP", module_with(lambda wide: 3 * wide)).properties)
    assert not held["it bends: twice x does not give twice the change"]


def test_an_untouched_class_shows_the_parameters_that_are_wanted():
    class MLP(nn.Module):
        def __init__(self, n_embd):
            raise NotImplementedError("your turn")

    result = checks.run("MLP", MLP)
    assert result.status == "not_started"
    assert "'c_fc.weight': (12, 3)" in result.message


def test_a_misspelt_forward_is_named():
    class MLP(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            self.c_fc, self.c_proj = nn.Linear(n_embd, 4 * n_embd), nn.Linear(4 * n_embd, n_embd)

        def foward(self, x):
            return self.c_proj(self.c_fc(x))

    assert checks.run("MLP", MLP).misconception == "has no forward"


def test_a_class_with_its_layers_and_no_forward_yet_shows_the_learners_line():
    class MLP(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            self.c_fc, self.c_proj = nn.Linear(n_embd, 4 * n_embd), nn.Linear(4 * n_embd, n_embd)

        def forward(self, x):
            raise NotImplementedError("your turn")

    result = checks.run("MLP", MLP)
    assert (result.status, result.misconception) == ("error", None)
    assert 'raise NotImplementedError("your turn")' in result.message
