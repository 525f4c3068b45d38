"""The checks of lesson 08, on answers that they do not list."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gpt2course import checks
from gpt2course.mlp import gelu

ROOT = math.sqrt(2 / math.pi)


# gelu


def test_a_caret_is_an_error_and_not_an_untouched_exercise():
    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(ROOT * (x + 0.044715 * x ^ 3)))

    result = checks.run("gelu", gelu)
    assert (result.status, result.misconception) == ("error", "writes ^ for the power")
    assert "0.044715 * x ^ 3" in result.message


def test_an_untouched_gelu_is_not_started():
    def gelu(x):
        raise NotImplementedError("your turn")

    result = checks.run("gelu", gelu)
    assert result.status == "not_started"
    assert "-0.05  -0.16  0.00  0.84  1.95" in result.message


def test_a_function_of_nearly_the_right_shape_is_told_where_the_lowest_point_lies():
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


def module_with(function):
    """A class that differs from Plain in the function between its layers."""

    class MLP(Plain):
        def forward(self, x):
            return self.c_proj(function(self.c_fc(x)))

    return MLP


class MixesPositions(Plain):
    def forward(self, x):
        return super().forward(x - x.mean(1, keepdim=True))


def test_an_mlp_that_mixes_positions_is_told_so():
    held = dict(checks.run("MLP", MixesPositions).properties)
    assert not held["each position is on its own"]
    assert held["each sequence of a batch is on its own"]


def test_layers_in_a_row_without_a_non_linearity_show_in_a_property():
    held = dict(checks.run("MLP", module_with(lambda wide: 3 * wide)).properties)
    assert not held["it is not linear: twice x does not give twice the change"]


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
