"""One matrix product, quick also where there are few rows to multiply."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FEW_ROWS = 4  # up to here slices were faster than one product, on the machines measured


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
    D, C = weight.shape
    n_rows = x.numel() // C
    if not (
        0 < n_rows <= FEW_ROWS
        and weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.is_contiguous()
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    ):
        return F.linear(x, weight, bias)
    n_slices = _smallest_divisor(D)
    columns = x.reshape(n_rows, C).T.expand(n_slices, C, n_rows)
    y = torch.bmm(weight.view(n_slices, D // n_slices, C), columns)
    y = y.view(D, n_rows).T.reshape(*x.shape[:-1], D)
    return y if bias is None else y + bias


def _smallest_divisor(n: int) -> int:
    """The smallest divisor above 1; the vocabulary of GPT-2, 50,257, is 29 · 1,733."""
    return next((d for d in range(2, int(n**0.5) + 1) if n % d == 0), n)


class Linear(nn.Linear):
    """nn.Linear by way of `linear`."""

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... D"]:
        return linear(x, self.weight, self.bias)
