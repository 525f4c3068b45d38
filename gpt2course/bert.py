"""Attention in both directions, and training on hidden words.

GPT-2 hides words by blocking attention: no token reads a later one. BERT changes some words to
[MASK] instead, lets every token read every other, and asks for the words that were there.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.attention import causal_mask
from gpt2course.block import LayerNorm
from gpt2course.config import GPT2Config, check_heads
from gpt2course.embedding import embed
from gpt2course.linear import Linear
from gpt2course.mlp import MLP
from gpt2course.model import check_idx, output_logits
from gpt2course.multihead import merge_heads, split_heads

NOT_ASKED = -100  # the target of a token whose prediction does not count, as in torch


def hide_tokens(
    idx: Int[Tensor, "B T"],
    mask_id: int,
    vocab_size: int,
    share: float,
    generator: torch.Generator | None,
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """What the model reads and what it is asked for (Devlin et al. 2019, section 3.1, task 1).

    Each token is chosen with probability `share`. Of the chosen, 80 % become mask_id, 10 % a
    random id below vocab_size, and 10 % stay as they are.

    Args:
        share: BERT's is 0.15.
        generator: makes all the draws; None for torch's global one.

    Returns:
        The ids with some changed, and the targets: the original id where a token was chosen, -100
        elsewhere.

    Raises:
        ValueError: share lies outside 0 to 1, or vocab_size is below 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in 0 to 1, got {share}; BERT's is 0.15")
    if vocab_size < 1:
        raise ValueError(
            f"vocab_size must be at least 1, got {vocab_size}; pass the tokenizer's vocab_size"
        )
    chosen = torch.rand(idx.shape, generator=generator, device=idx.device) < share
    fate = torch.rand(idx.shape, generator=generator, device=idx.device)
    anything = torch.randint(vocab_size, idx.shape, generator=generator, device=idx.device)
    read = idx.where(~chosen | (fate >= 0.9), anything)
    return read.masked_fill(chosen & (fate < 0.8), mask_id), idx.masked_fill(~chosen, NOT_ASKED)


def hidden_token_loss(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per asked token, of the whole batch; targets of -100 are not asked.

    Where none is asked it is 0, and so are its gradients.
    """
    asked = (targets != NOT_ASKED).sum()
    total = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=NOT_ASKED, reduction="sum"
    )
    return total / asked.clamp(min=1)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, in both directions or (causal) in one.

    c_attn and c_proj are those of CausalSelfAttention, so that either takes the other's weights.
    """

    def __init__(self, n_embd: int, n_head: int, causal: bool):
        super().__init__()
        check_heads(n_embd, n_head)
        self.n_head, self.causal = n_head, causal
        self.c_attn = Linear(n_embd, 3 * n_embd)
        self.c_proj = Linear(n_embd, n_embd)

    def forward(
        self, x: Float[Tensor, "B T C"], keep: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """What each token reads.

        Args:
            keep: False for padding, which no token reads. What comes out at a token with False is
                finite and means nothing.

        Raises:
            ValueError: keep is not a bool for each token, or leaves a text without any.
        """
        B, T, C = x.shape
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        may_read = torch.ones(1, 1, T, T, dtype=torch.bool, device=x.device)
        if self.causal:
            may_read = causal_mask(T, T).to(x.device)
        if keep is not None:
            check_keep(keep, B, T)
            may_read = may_read & keep[:, None, None, :]  # (B, 1, T, T): columns are keys
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)
        return self.c_proj(merge_heads(y))  # (B, T, C)


def check_keep(keep: Tensor, B: int, T: int) -> None:
    """Raise ValueError unless keep says of each token whether it may be read, True for some."""
    if keep.dtype != torch.bool or keep.shape != (B, T):
        raise ValueError(
            f"keep must be bool {(B, T)}, one for each token, got {keep.dtype} "
            f"{tuple(keep.shape)}; try idx != pad_id"
        )
    if not keep.any(dim=-1).all():
        empty = int((~keep.any(dim=-1)).nonzero()[0])
        raise ValueError(
            f"every text must keep at least one token, text {empty} of {B} is all padding; leave "
            f"it out of the batch"
        )


class EncoderBlock(nn.Module):
    """GPT-2's block with attention in both directions."""

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        self.ln_1 = LayerNorm(n_embd)
        self.attn = SelfAttention(n_embd, n_head, causal=False)
        self.ln_2 = LayerNorm(n_embd)
        self.mlp = MLP(n_embd)

    def forward(
        self, x: Float[Tensor, "B T C"], keep: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        x = x + self.attn(self.ln_1(x), keep)
        x = x + self.mlp(self.ln_2(x))
        return x


class BERT(nn.Module):
    """An encoder of GPT-2's parts that scores, at every place, the token that belongs there.

    What BERT has beyond this: segment embeddings, a second task (next-sentence prediction), a
    LayerNorm after each addition instead of before it, a LayerNorm on the embeddings, the exact
    GELU, dropout, and one more layer before the output matrix (Devlin et al. 2019, section 3).

    Args:
        config: sizes as of a GPT-2. vocab_size counts [MASK] and padding too, if they have ids of
            their own.
    """

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = nn.ModuleList(
            EncoderBlock(config.n_embd, config.n_head) for _ in range(config.n_layer)
        )
        self.ln_f = LayerNorm(config.n_embd)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:  # 0.02 in 768 columns; a sum over fewer comes out smaller
                nn.init.normal_(parameter, std=0.02 * (768 / config.n_embd) ** 0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self, idx: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T V"]:
        return output_logits(self.hidden(idx, keep), self.wte.weight)

    def hidden(
        self, idx: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """What the stack makes of every token, as the output matrix reads it."""
        check_idx(idx, self.config.n_ctx)
        x = embed(idx, self.wte.weight, self.wpe.weight)  # (B, T, C)
        for block in self.h:
            x = block(x, keep)
        return self.ln_f(x)
