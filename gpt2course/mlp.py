"""The half of a block that works on each position alone."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.linear import Linear


def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x · Φ(x), with Φ, the normal distribution, approximated through tanh.

    GPT-2 was trained with this form; the exact one differs by up to 5e-4 (Hendrycks and Gimpel
    2016, section 2).
    """
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class MLP(nn.Module):
    """Widen four times, apply GELU, and come back: C → 4C → C.

    F.gelu is `gelu` in one pass over memory instead of eight.
    """

    def __init__(self, n_embd: int):
        super().__init__()
        self.c_fc = Linear(n_embd, 4 * n_embd)
        self.c_proj = Linear(4 * n_embd, n_embd)

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
