"""One block: two sub-layers, each of which reads the residual stream and adds to it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.mlp import MLP
from gpt2course.multihead import CausalSelfAttention, Past


def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, " C"],
    bias: Float[Tensor, " C"],
    eps: float = 1e-5,
) -> Float[Tensor, "... C"]:
    """Each vector with mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).

    The variance is the biased one, a mean over C and not over C - 1.
    """
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


class LayerNorm(nn.Module):
    """layer_norm with its own weight and bias; F.layer_norm is the same in one pass over memory."""

    def __init__(self, n_embd: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.bias = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


class Block(nn.Module):
    """Pre-norm block: the stream x passes through unnormed, only what sub-layers read is normed.

    GPT (2018) normed the stream after each addition; GPT-2 moved the norm to the front of each
    sub-layer (Radford et al. 2019, section 2.3).
    """

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        self.ln_1 = LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head)
        self.ln_2 = LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(
        self, x: Float[Tensor, "B T C"], past: Past | None = None
    ) -> Float[Tensor, "B T C"]:
        x = x + self.attn(self.ln_1(x), past)
        x = x + self.mlp(self.ln_2(x))
        return x
