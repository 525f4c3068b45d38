"""What the cards of lesson 09 say, on answers that the checks do not list."""

import pytest
import torch.nn.functional as F
from torch import nn

from gpt2course import checks
from gpt2course.mlp import MLP
from gpt2course.multihead import CausalSelfAttention


def held_by(name, answer):
    return dict(checks.run(name, answer).properties)


# layer_norm


def test_unlisted_norm_is_told_which_property_fails():
    def minus_the_bias(x, weight, bias, eps=1e-5):
        return F.layer_norm(x, x.shape[-1:], eps=eps) * weight - bias

    held = held_by("layer_norm", minus_the_bias)
    assert held["with weight 1 and bias 0 every vector has mean 0"]
    assert not held["weight multiplies and bias is added, number by number, at the very end"]


def test_a_norm_without_the_parameter_eps_is_shown_the_call_that_has_it():
    message = checks.run("layer_norm", lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b)).message
    assert "another eps, 0.5" in message and "TypeError" in message


# Block


class Parts(nn.Module):
    """A right answer, of which those below change one line."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn, self.mlp = CausalSelfAttention(n_embd, n_head), MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class OtherNames(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn, self.ffn = CausalSelfAttention(n_embd, n_head), MLP(n_embd)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class HalfOfAttention(Parts):
    def forward(self, x):
        x = x + self.attn(self.ln_1(x)) / 2
        return x + self.mlp(self.ln_2(x))


class Backwards(Parts):
    """Attention reads the words backwards and gives them back in order."""

    def forward(self, x):
        x = x + self.attn(self.ln_1(x).flip(1)).flip(1)
        return x + self.mlp(self.ln_2(x))


class Fresh(Parts):
    def __init__(self, n_embd, n_head):
        super().__init__(n_embd, n_head)
        nn.init.zeros_(self.ln_1.weight), nn.init.zeros_(self.ln_2.weight)


FUTURE = "later words do not change an earlier result"
ATTENTION = "with mlp.c_proj at 0 it gives x + attn(ln_1(x))"
THE_MLP = "with attn.c_proj at 0 it gives x + mlp(ln_2(x))"


@pytest.mark.parametrize(
    ("answer", "holds", "fails"),
    [
        (HalfOfAttention, THE_MLP, ATTENTION),
        (Backwards, THE_MLP, FUTURE),
    ],
)
def test_an_unlisted_block_is_told_which_property_fails(answer, holds, fails):
    held = held_by("Block", answer)
    assert held[holds] and not held[fails]


def test_parameters_of_other_names_are_told_which_one_is_missing():
    assert "The key 'ln_1.weight' is missing" in checks.run("Block", OtherNames).message


def test_norms_that_begin_with_weight_0_are_shown_as_they_are_built():
    result = checks.run("Block", Fresh)
    assert result.misconception == "starts the norms with other numbers"
    assert "norms as built: Block(4, 2)" in result.message
    assert (
        "ln_2.weight: expected [1.0, 1.0, 1.0, 1.0], yours [0.0, 0.0, 0.0, 0.0]" in result.message
    )
