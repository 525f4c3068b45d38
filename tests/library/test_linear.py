"""linear: the same product by whichever way."""

from inspect import unwrap

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from gpt2course import linear as module
from gpt2course.linear import Linear, linear


@pytest.fixture(autouse=True)
def every_matrix_counts_as_large(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 40])
@pytest.mark.parametrize("D", [1, 2, 7, 12, 29 * 5])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_the_product_for_any_number_of_rows(n_rows, D, with_bias):
    torch.manual_seed(0)
    x, weight = torch.randn(n_rows, 11), torch.randn(D, 11)
    bias = torch.randn(D) if with_bias else None
    with torch.no_grad():
        y = linear(x, weight, bias)
    expected = x.double() @ weight.double().T + (bias if with_bias else 0)
    assert_close(y.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(11,), (1, 11), (1, 1, 11), (2, 1, 11), (1, 2, 2, 11), (0, 11)])
def test_leading_axes_stay(shape):
    x, weight = torch.randn(shape), torch.randn(6, 11)
    with torch.no_grad():
        y = linear(x, weight)
    assert y.shape == (*shape[:-1], 6)
    assert_close(y, x @ weight.T)


def test_strided_inputs_and_tables_give_the_same():
    x, weight = torch.randn(11, 3).T, torch.randn(11, 6).T
    with torch.no_grad():
        assert_close(linear(x, weight), x @ weight.T)
        assert_close(linear(x, weight.contiguous()), x @ weight.T)


def test_few_rows_without_gradients_go_through_in_slices(monkeypatch):
    calls = []
    monkeypatch.setattr(
        module.torch, "bmm", lambda a, b, bmm=torch.bmm: calls.append(a.shape) or bmm(a, b)
    )
    weight = torch.randn(56, 11)
    with torch.no_grad():
        linear(torch.randn(1, 11), weight)
        linear(torch.randn(5, 11), weight)
        linear(torch.randn(1, 11).double(), weight.double())
        linear(torch.randn(1, 11), torch.randn(56, 11, requires_grad=True))
    linear(torch.randn(1, 11), torch.randn(56, 11, requires_grad=True))
    monkeypatch.setattr(module, "LARGE", 56 * 11 + 1)
    with torch.no_grad():
        linear(torch.randn(1, 11), weight)
    assert calls == [(8, 7, 11), (8, 7, 11)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_stay_as_they_are(dtype):
    x, weight, bias = (torch.randn(*s).to(dtype) for s in ((1, 11), (6, 11), (6,)))
    with torch.no_grad():
        y = linear(x, weight, bias)
    assert y.dtype == dtype
    assert torch.equal(y, F.linear(x, weight, bias))


def test_gradients_flow_as_through_nn_linear():
    torch.manual_seed(0)
    ours = Linear(11, 6)
    theirs = nn.Linear(11, 6)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 11, requires_grad=True)
    grads = [
        torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
        for layer in (ours, theirs)
    ]
    for ours, theirs in zip(*grads, strict=True):
        assert_close(ours, theirs)


def test_widths_that_do_not_fit_are_torchs_own_error():
    with torch.no_grad(), pytest.raises((RuntimeError, TypeError), match="shape|C"):
        unwrap(linear)(torch.randn(1, 22), torch.randn(6, 11))
