"""GPT-2: token ids in, a score for every possible next token out."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2course.block import Block, LayerNorm
from gpt2course.config import GPT2Config
from gpt2course.embedding import embed


def output_logits(x: Float[Tensor, "B T C"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
    """One score for each token of the vocabulary: the dot product with its row of wte.

    The table that turned ids into vectors turns vectors back into scores ("tied").
    """
    return x @ wte.T


def count_parameters(config: GPT2Config) -> int:
    """How many numbers the model learns; wte, which also makes the logits, counts once.

    >>> count_parameters(GPT2Config())
    124439808
    """
    C = config.n_embd
    tables = (config.vocab_size + config.n_ctx) * C  # wte, wpe
    attn = (C * 3 * C + 3 * C) + (C * C + C)  # c_attn, c_proj
    mlp = (C * 4 * C + 4 * C) + (4 * C * C + C)  # c_fc, c_proj
    layer_norm = C + C  # weight, bias
    return tables + config.n_layer * (2 * layer_norm + attn + mlp) + layer_norm


def check_idx(idx: Int[Tensor, "B T"], n_ctx: int) -> None:
    """Raise where idx is not a batch of token ids that fits into n_ctx positions."""
    if not isinstance(idx, Tensor) or idx.dtype not in (torch.int64, torch.int32):
        kind = idx.dtype if isinstance(idx, Tensor) else type(idx).__name__
        raise TypeError(
            f"idx must be a tensor of int64 token ids, got {kind}; try torch.tensor([ids])"
        )
    if idx.ndim != 2:
        raise ValueError(f"idx must be (B, T), got {tuple(idx.shape)}; try idx[None] for one text")
    if idx.shape[1] > n_ctx:
        raise ValueError(
            f"at most n_ctx={n_ctx} tokens fit, got {idx.shape[1]}; try idx[:, -{n_ctx}:]"
        )


class GPT2(nn.Module):
    """Decoder-only transformer (Radford et al. 2019), with the checkpoint's own names.

    Raises, when called:
        TypeError: idx does not hold int64 (or int32) ids.
        ValueError: idx is not (B, T), or T is more than n_ctx.
        IndexError: an id lies outside the vocabulary (on a GPU: a failed device assertion).
    """

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        blocks = (Block(config.n_embd, config.n_head) for _ in range(config.n_layer))
        self.h = nn.ModuleList(blocks)
        self.ln_f = LayerNorm(config.n_embd)
        self.initialise()

    def initialise(self) -> None:
        """Draw new weights: matrices normal with deviation 0.02, biases 0, LayerNorm the identity.

        Each of the 2 · n_layer additions to the residual stream is scaled down by 1/√(2 · n_layer),
        so that the stream does not grow with depth (Radford et al. 2019, section 2.3).
        """
        residual = 1 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = residual if name.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)
            elif name.endswith("weight"):
                nn.init.ones_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        check_idx(idx, self.config.n_ctx)
        x = embed(idx, self.wte.weight, self.wpe.weight)  # (B, T, C)
        for block in self.h:
            x = block(x)
        return output_logits(self.ln_f(x), self.wte.weight)  # (B, T, V)
