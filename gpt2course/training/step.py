"""What a step of training is made of: a batch, its loss, the learning rate and the optimiser.

The three functions at the top are the idea, and what lesson 13 builds.

Sources: Radford et al. 2019, section 2.3; Loshchilov and Hutter 2017, "SGDR" (the cosine);
Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization" (AdamW).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.model import GPT2, device_of
from gpt2course.training.chunked_loss import loss_of_hidden
from gpt2course.training.settings import Settings


def next_token_batch(
    ids: Int[Tensor, " N"],
    batch_size: int,
    n_ctx: int,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "{batch_size} {n_ctx}"], Int[Tensor, "{batch_size} {n_ctx}"]]:
    """Rows cut out of a long text anywhere, and for each of their tokens the one that follows.

    >>> next_token_batch(torch.arange(4), batch_size=1, n_ctx=3)
    (tensor([[0, 1, 2]]), tensor([[1, 2, 3]]))
    """
    if len(ids) <= n_ctx:
        raise ValueError(
            f"ids must hold more than n_ctx={n_ctx} tokens, a row and the one after it, "
            f"got {len(ids)}; give more text, or shorter rows"
        )
    starts = torch.randint(len(ids) - n_ctx, (batch_size, 1), generator=generator)
    rows = ids[starts + torch.arange(n_ctx + 1)].long()  # (B, n_ctx + 1)
    return rows[:, :-1], rows[:, 1:]


def next_token_loss(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per token: -ln of the probability that each target was given; ln V by guessing."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def learning_rate(
    step: int, max_lr: float, min_lr: float, warmup_steps: int, max_steps: int
) -> float:
    """Up in a straight line to max_lr, down along half a cosine to min_lr; steps count from 0.

    >>> [round(learning_rate(step, 1.0, 0.1, 2, 6), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    share = (step - warmup_steps) / (max_steps - warmup_steps)  # of the way down
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * share)) / 2


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """For AdamW: only matrices shrink. A bias or a LayerNorm's scale is no weight on an input."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def adamw(model: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW over the groups of `parameter_groups`, all in one kernel where the device has it."""
    fused = device_of(model).type in ("cpu", "cuda")
    groups = parameter_groups(model, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.max_lr, betas=settings.betas, fused=fused)


class BatchLoss(nn.Module):
    """From a batch to its loss, the model within: what processes share."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.pass_through: Callable[[Tensor], Tensor] = lambda idx: model(idx)
        self.loss_of: Callable[[Tensor, Tensor], Tensor] = next_token_loss
        # Only of a model with this very `forward` is it known what lies behind `hidden`.
        if isinstance(model, GPT2) and type(model).forward is GPT2.forward:
            self.pass_through = model.hidden
            self.loss_of = lambda x, targets: loss_of_hidden(x, model.wte.weight, targets)

    def forward(self, idx: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        return self.loss_of(self.pass_through(idx), targets)

    def compile(self, shape: tuple[int, int], autocast: torch.autocast) -> None:
        """Let torch make kernels of the model; where it can't, say so and go on without."""
        plain = self.pass_through
        self.pass_through = torch.compile(plain)
        self.train()  # the mode in which it will be used
        idx = torch.zeros(shape, dtype=torch.int64, device=device_of(self.model))
        try:
            with autocast:
                loss = self(idx, idx)
            loss.backward()
        except Exception as error:  # of many kinds: no compiler, a model that it can't follow
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"training without torch.compile, which failed: {reason}", file=sys.stderr)
            self.pass_through = plain
        self.zero_grad(set_to_none=True)


@torch.no_grad()
def heldout_loss(
    model: nn.Module,
    ids: Int[Tensor, " N"],
    n_ctx: int,
    max_tokens: int | None = None,
    batch_size: int = 32,
) -> float:
    """Mean nats per token over rows that lie evenly in a text, the same ones each time.

    The model is in eval mode meanwhile.

    Args:
        ids: at least two; n_ctx or fewer make one shorter row.
        max_tokens: look at no more than these; None is all, but for a last row that is not full.
    """
    T = min(n_ctx, len(ids) - 1)
    n_rows = (len(ids) - 1) // T
    wanted = n_rows if max_tokens is None else min(n_rows, max(1, max_tokens // T))
    starts = torch.arange(wanted) * n_rows // wanted * T
    loss_of, training, total = BatchLoss(model), model.training, 0.0
    model.eval()
    for some in starts.split(batch_size):
        rows = ids[some[:, None] + torch.arange(T + 1)].long().to(device_of(model))
        total += loss_of(rows[:, :-1], rows[:, 1:]).item() * len(rows)
    model.train(training)
    return total / wanted
