"""The loss of many tokens, without the logits of all of them at any time."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CPU_ROWS = 512  # of logits at a time; with a small vocabulary they stay in the cache
GPU_ROWS = 4096  # a GPU is idle in small products


def loss_of_hidden(
    x: Float[Tensor, "B T C"], wte: Float[Tensor, "V C"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per token of what `hidden` gives, as `training.next_token_loss` of the logits.

    Of 4 × 1024 tokens and GPT-2's vocabulary the logits alone take 823 MB, and their gradient as
    much again. Those of the course model would fit, and chunks are quicker all the same. Under
    autocast the softmax is of float32.

    Args:
        wte: the output matrix.
    """
    x, targets = x.flatten(0, 1), targets.flatten()
    n_rows = CPU_ROWS if x.device.type == "cpu" else GPU_ROWS
    if torch.is_grad_enabled():
        return _ChunkedLoss.apply(x, wte, targets, n_rows)
    parts = zip(x.split(n_rows), targets.split(n_rows), strict=True)
    sums = [F.cross_entropy(F.linear(rows, wte), at, reduction="sum") for rows, at in parts]
    return torch.stack(sums).sum() / len(targets)


class _ChunkedLoss(torch.autograd.Function):
    """Loss and gradient in one pass.

    The gradient of a row of logits is its probabilities, less 1 at the target. It is turned into
    those of x and wte while it is at hand, so that nothing is kept and nothing computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "N C"],
        wte: Float[Tensor, "V C"],
        targets: Int[Tensor, " N"],
        n_rows: int,
    ) -> Float[Tensor, ""]:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else wte.dtype
        exact = torch.promote_types(dtype, torch.float32)
        total = torch.zeros((), dtype=exact, device=x.device)
        x_grad, wte_grad = torch.empty_like(x), torch.zeros_like(wte)
        with torch.autocast(kind, enabled=False):
            table = wte.to(dtype)
            parts = (t.split(n_rows) for t in (x.to(dtype), targets[:, None], x_grad))
            for rows, at, rows_grad in zip(*parts, strict=True):
                logs = F.linear(rows, table).log_softmax(-1, dtype=exact)  # (n_rows, V)
                total -= logs.gather(1, at).sum()
                grad = logs.exp_()
                grad.scatter_add_(1, at, grad.new_full(at.shape, -1))
                if dtype == wte.dtype:
                    torch.mm(grad, table, out=rows_grad)
                    wte_grad.addmm_(grad.T, rows)
                else:
                    grad = grad.to(dtype)
                    rows_grad.copy_(grad @ table)
                    wte_grad += grad.T @ rows
        ctx.grads = x_grad, wte_grad  # of the sum; not saved as copies, since wte is large
        ctx.n_tokens = len(x)
        return total / len(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.grads is None:
            raise RuntimeError("the loss in chunks goes backward once; compute it again")
        x_grad, wte_grad = ctx.grads
        ctx.grads = None
        scale = grad / ctx.n_tokens
        return x_grad.mul_(scale), wte_grad.mul_(scale), None, None
