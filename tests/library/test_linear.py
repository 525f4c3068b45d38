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


WAYS_AND_ROWS = [("vector", 1)] + [
    (way, n_rows) for way in ("plain", "slices") for n_rows in (1, 2, 3, 4, 5, 40)
]


@pytest.mark.parametrize(("way", "n_rows"), WAYS_AND_ROWS)
@pytest.mark.parametrize("D", [1, 2, 7, 12, 29 * 5])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_the_product_for_any_number_of_rows(monkeypatch, way, n_rows, D, with_bias):
    monkeypatch.setattr(module, "quickest", lambda n_rows, n_threads: way)
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


def test_few_rows_of_large_matrices_without_gradients_go_the_quickest_way(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "quickest", lambda n_rows, _: asked.append(n_rows) or "slices")
    weight = torch.randn(56, 11)
    with torch.no_grad():
        linear(torch.randn(1, 11), weight)
        linear(torch.randn(2, 2, 11), weight)
        linear(torch.randn(5, 11), weight)
        linear(torch.randn(1, 11).double(), weight.double())
        linear(torch.randn(1, 11), torch.randn(56, 11, requires_grad=True))
    linear(torch.randn(1, 11), torch.randn(56, 11, requires_grad=True))
    monkeypatch.setattr(module, "LARGE", 56 * 11 + 1)
    with torch.no_grad():
        linear(torch.randn(1, 11), weight)
    assert asked == [1, 4, 1]


@pytest.fixture
def seconds(monkeypatch):
    """What each way takes, in seconds of a clock that stands still otherwise."""
    module.quickest.cache_clear()
    now, takes = [0.0], dict.fromkeys(module.WAYS, 0.001)

    def way(name):
        def multiply(rows, matrix):
            now[0] += takes[name]

        return multiply

    monkeypatch.setattr(module, "WAYS", {name: way(name) for name in takes})
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    yield takes
    module.quickest.cache_clear()


@pytest.mark.parametrize("name", ["vector", "slices"])
def test_the_way_that_took_least_is_chosen_once(seconds, name):
    seconds[name] = 0.0005
    assert module.quickest(1, 2) == name
    seconds[name] = 9
    assert module.quickest(1, 2) == name
    assert module.quickest(1, 1) == "plain"


def test_a_hairs_breadth_is_no_reason_to_leave_the_plain_product(seconds):
    seconds["slices"] = 0.00095
    assert module.quickest(1, 2) == "plain"


def test_only_one_row_is_a_vector(seconds):
    seconds["vector"] = 0.0001
    assert module.quickest(2, 2) == "plain"


def test_measuring_ends_where_the_machine_is_busy(seconds):
    seconds.update(dict.fromkeys(seconds, 1.0), slices=0.5)
    assert module.quickest(1, 2) == "slices"
    assert module.perf_counter() == 8 * 2.5  # one turn


def test_this_machine_has_a_quickest_way():
    assert module.quickest(1, 1) in module.WAYS


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
