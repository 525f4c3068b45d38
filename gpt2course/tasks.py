"""One language model, other work: translation, summaries, options, fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.model import GPT2, device_of


@torch.no_grad()
def option_score(model: Callable[[Tensor], Tensor], prompt: list[int], option: list[int]) -> float:
    """ln of the probability that the option follows the prompt.

    The sum over the option's tokens of ln p(token | all before it), in nats. A longer option has
    more factors below 1, so options of one length compare best.

    Args:
        model: from ids (B, T) to logits (B, T, V).

    Raises:
        ValueError: the prompt or the option holds no token.
    """
    for name, ids in (("prompt", prompt), ("option", option)):
        if not ids:
            raise ValueError(
                f"{name} must hold at least one token, got none; a prompt may be "
                f"<|endoftext|> alone"
            )
    idx = torch.tensor([prompt + option], device=device_of(model))  # (1, P + S)
    asked = model(idx)[0, len(prompt) - 1 : -1]  # (S, V): each token is predicted one place earlier
    log_probs = asked.log_softmax(dim=-1).gather(-1, idx[0, len(prompt) :, None])  # (S, 1)
    return log_probs.double().sum().item()


def freeze(model: GPT2, n_frozen: int) -> GPT2:
    """Keep both tables and the first n_frozen blocks as they are: they take no gradient.

    Everything else takes one, whatever was set before. wte makes the logits too and stays frozen.

    Returns:
        The model itself.

    Raises:
        ValueError: the model has fewer blocks, or n_frozen is negative.
    """
    if not 0 <= n_frozen <= len(model.h):
        raise ValueError(
            f"n_frozen must be between 0 and the model's {len(model.h)} blocks, got {n_frozen}; "
            f"0 freezes the tables alone"
        )
    model.requires_grad_(True)
    for part in (model.wte, model.wpe, *model.h[:n_frozen]):
        part.requires_grad_(False)
    return model


class LowRank(nn.Module):
    """A frozen linear layer and a small update of its matrix: linear(x) + scale · B A x.

    B starts at 0, so that the outputs are the layer's own at first (Hu et al. 2021, section 4.1).

    Args:
        linear: kept, and not copied; its parameters take no gradient from here on.
        rank: rows of A and columns of B.
        scale: what the update is multiplied by; the paper's alpha / r.

    Raises:
        ValueError: rank is below 1, or above the smaller side of the matrix.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float):
        super().__init__()
        n_out, n_in = linear.weight.shape
        if not 1 <= rank <= min(n_in, n_out):
            raise ValueError(
                f"rank must be between 1 and {min(n_in, n_out)}, the smaller side of the "
                f"({n_out}, {n_in}) matrix, got {rank}; 4 is a usual one"
            )
        self.linear, self.scale = linear.requires_grad_(False), scale
        new = linear.weight.new_empty  # of its dtype, on its device
        self.A = nn.Parameter(new(rank, n_in).normal_(std=1 / math.sqrt(n_in)))
        self.B = nn.Parameter(new(n_out, rank).zero_())

    def forward(self, x: Float[Tensor, "... n_in"]) -> Float[Tensor, "... n_out"]:
        update = F.linear(F.linear(x, self.A), self.B)  # two thin products, never the whole matrix
        return self.linear(x) + self.scale * update

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A new layer with the same outputs, which costs what the layer alone costs."""
        n_out, n_in = self.linear.weight.shape
        layer = nn.Linear(n_in, n_out, self.linear.bias is not None).to(self.linear.weight)
        layer.weight.copy_(self.linear.weight + self.scale * self.B @ self.A)
        if self.linear.bias is not None:
            layer.bias.copy_(self.linear.bias)
        return layer
