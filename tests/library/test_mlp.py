"""GELU in GPT-2's form, and the MLP around it."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from gpt2course.mlp import MLP, gelu


def grid(dtype=torch.float64):
    return torch.linspace(-12, 12, 2401, dtype=dtype)


# gelu


def test_gelu_by_hand():
    for x in (-3.0, -1.0, -0.1, 0.0, 0.5, 2.0):
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)  # √(2/π)
        expected = x / 2 * (1 + math.tanh(inner))
        assert gelu(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(expected)


def test_gelu_equals_torchs_tanh_form():
    assert_close(gelu(grid()), F.gelu(grid(), approximate="tanh"), rtol=0, atol=1e-14)
    single = grid(torch.float32)
    assert_close(gelu(single), F.gelu(single, approximate="tanh"), rtol=0, atol=2e-6)


def test_gelu_differs_from_the_exact_form_by_almost_5e_minus_4():
    distance = (gelu(grid()) - F.gelu(grid())).abs().max().item()
    assert 4e-4 < distance < 5e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_gelu_keeps_its_dtype_and_is_finite_far_out(dtype):
    y = gelu(torch.tensor([-1e3, -60.0, 0.0, 60.0, 1e3], dtype=dtype))
    assert y.dtype == dtype
    assert y.tolist() == [0.0, 0.0, 0.0, 60.0, 1e3]


@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 5)])
def test_gelu_takes_any_shape_and_leaves_it_as_it_was(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    before = x.clone()
    assert gelu(x).shape == shape
    assert torch.equal(x, before)
    assert torch.equal(gelu(x.mT if x.ndim > 1 else x), gelu(x).mT if x.ndim > 1 else gelu(x))


def test_gelu_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(gelu, torch.randn(3, 5, dtype=torch.float64).requires_grad_())


# the module


def random_mlp(n_embd=6):
    torch.manual_seed(0)
    mlp = MLP(n_embd).double()
    for parameter in mlp.parameters():
        nn.init.normal_(parameter)
    return mlp, torch.randn(2, 5, n_embd, dtype=torch.float64)


def test_parameters_have_the_checkpoints_names_and_four_times_the_width():
    shapes = {name: tuple(p.shape) for name, p in MLP(6).named_parameters()}
    assert shapes == {
        "c_fc.weight": (24, 6),
        "c_fc.bias": (24,),
        "c_proj.weight": (6, 24),
        "c_proj.bias": (6,),
    }


def test_mlp_equals_two_products_around_torchs_gelu():
    mlp, x = random_mlp()
    wide = torch.einsum("btc,fc->btf", x, mlp.c_fc.weight) + mlp.c_fc.bias
    bent = F.gelu(wide, approximate="tanh")
    expected = torch.einsum("btf,cf->btc", bent, mlp.c_proj.weight) + mlp.c_proj.bias
    assert_close(mlp(x), expected)
    assert_close(mlp.float()(x.float()), expected.float(), rtol=0, atol=1e-4)


def test_mlp_looks_at_each_position_alone():
    mlp, x = random_mlp()
    alone = torch.stack([mlp(x[:, t : t + 1])[:, 0] for t in range(5)], dim=1)
    assert_close(mlp(x), alone)


def test_mlp_gradients_are_those_of_finite_differences():
    mlp, x = random_mlp(n_embd=3)
    assert torch.autograd.gradcheck(mlp, x.requires_grad_())


def test_mlp_input_may_be_non_contiguous_and_stays_as_it_was():
    mlp, x = random_mlp()
    strided = x.mT.contiguous().mT
    assert_close(mlp(strided), mlp(x))
    assert torch.equal(strided, x)
