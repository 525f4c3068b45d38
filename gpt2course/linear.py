"""One matrix product, quick also where there are few rows to multiply."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FEW_ROWS = 4  # more are worth a product of matrices
LARGE = 2**19  # numbers in the matrix, 2 MB; smaller ones lie in a core's own cache
SLICES = 8  # at least, so that the cores get even shares
ENOUGH = 0.25  # seconds of measuring, where the machine is busy
WORTH_IT = 0.9  # of the plain product's time, which another way must stay under


def linear(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "D C"],
    bias: Float[Tensor, " D"] | None = None,
) -> Float[Tensor, "... D"]:
    """x @ weight.T + bias.

    A model that writes one token at a time multiplies a few rows with every matrix that it has,
    and can be no faster than these are read from memory. Which of torch's products reads fastest
    differs between processors, so `quickest` measures them where it runs.
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
    rows = x.reshape(-1, C)
    way = WAYS[quickest(len(rows), torch.get_num_threads())]
    y = way(rows, weight).reshape(*x.shape[:-1], D)
    return y if bias is None else y + bias


def _plain(rows: Tensor, weight: Tensor) -> Tensor:
    return F.linear(rows, weight)


def _vector(rows: Tensor, weight: Tensor) -> Tensor:
    return torch.mv(weight, rows[0])[None]


def _slices(rows: Tensor, weight: Tensor) -> Tensor:
    """As a batch of products with slices of the matrix, which the cores share among them."""
    (n_rows, C), D = rows.shape, len(weight)
    n = _divisor(D)
    columns = rows.T.expand(n, C, n_rows)
    return torch.bmm(weight.view(n, D // n, C), columns).view(D, n_rows).T


@cache
def _divisor(n: int) -> int:
    """The smallest divisor of n from SLICES on; of GPT-2's vocabulary, 29 · 1,733, it is 29."""
    return next((d for d in range(SLICES, n) if n % d == 0), n)


# The same numbers, but for the rounding of float32.
WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plain": _plain,
    "vector": _vector,
    "slices": _slices,
}


@cache
def quickest(n_rows: int, n_threads: int) -> str:
    """Which of WAYS multiplies n_rows with a large matrix the fastest here, in n_threads threads.

    Measured once in a process, in some 50 ms, on more matrices than the processor's caches hold;
    "plain" unless another way needs less than WORTH_IT of its time.
    """
    matrices, rows = torch.ones(8, 2048, 1024), torch.ones(n_rows, 1024)  # 64 MB
    ways = [way for way in WAYS if way != "vector" or n_rows == 1]
    seconds = dict.fromkeys(ways, math.inf)
    begun = perf_counter()
    for _ in range(3):  # in turns, so that whatever else the machine does meets all of them
        for way in ways:
            start = perf_counter()
            for matrix in matrices:
                WAYS[way](rows, matrix)
            seconds[way] = min(seconds[way], perf_counter() - start)
        if perf_counter() - begun > ENOUGH:
            break
    best = min(ways, key=seconds.__getitem__)
    return best if seconds[best] < WORTH_IT * seconds["plain"] else "plain"


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
