"""One matrix product, quick also where there are few rows to multiply."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FEW_ROWS = 4  # up to here slices were faster than one product
LARGE = 2**19  # numbers in the matrix, 2 MB; smaller ones lie in the core's own cache
SLICES = 8  # at least, so that the cores get even shares


def linear(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "D C"],
    bias: Float[Tensor, " D"] | None = None,
) -> Float[Tensor, "... D"]:
    """x @ weight.T + bias.

    A model that writes one token at a time multiplies a few rows with every matrix that it has,
    and can be no faster than these are read from memory. On a CPU, BLAS does that on one core;
    handed over as a batch of slices, the same product is read by all (`benchmarks/`).
    """
    if weight.numel() < LARGE or x.numel() > FEW_ROWS * weight.shape[1] or not x.numel():
        return F.linear(x, weight, bias)
    if not (
        weight.device.type == "cpu"
        and x.shape[-1] == weight.shape[1]
        and x.dtype == weight.dtype == torch.float32
        and weight.is_contiguous()
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    ):
        return F.linear(x, weight, bias)
    D, C = weight.shape
    n_rows = x.numel() // C
    n_slices = _slices(D)
    columns = x.reshape(n_rows, C).T.expand(n_slices, C, n_rows)
    y = torch.bmm(weight.view(n_slices, D // n_slices, C), columns)
    y = y.view(D, n_rows).T.reshape(*x.shape[:-1], D)
    return y if bias is None else y + bias


@cache
def _slices(n: int) -> int:
    """The smallest divisor of n from SLICES on; of GPT-2's vocabulary, 29 · 1,733, it is 29."""
    return next((d for d in range(SLICES, n) if n % d == 0), n)


class Linear(nn.Linear):
    """nn.Linear by way of `linear`."""

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... D"]:
        return linear(x, self.weight, self.bias)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads, and wait for them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
