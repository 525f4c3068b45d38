"""From token ids to vectors: what the token is, plus where it stands."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def embed_tokens(idx: Int[Tensor, "B T"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T C"]:
    """Row wte[id] of the token table for every id: a one-hot vector times wte, without the zeros.

    F.embedding and not wte[idx], since it refuses ids below 0 and its backward pass is faster.
    On a GPU the refusal is a failed assertion of the device, without the words below; a check
    there would make every forward pass wait for the ids.
    """
    try:
        return F.embedding(idx, wte)
    except IndexError:
        raise IndexError(
            f"token ids must lie in 0 to {len(wte) - 1}, got {idx.min()} to {idx.max()}; "
            f"encode with the tokenizer that belongs to this table"
        ) from None


def nearest_tokens(token_id: int, wte: Float[Tensor, "V C"], k: int) -> list[int]:
    """The k other ids whose rows point most nearly the same way (cosine), nearest first.

    >>> nearest_tokens(0, torch.tensor([[1.0, 0.0], [-1.0, 0.0], [9.0, 1.0], [0.0, 2.0]]), k=2)
    [2, 3]
    """
    if not 1 <= k < len(wte):
        raise ValueError(f"k must lie in 1 to {len(wte) - 1}, the other tokens, got {k}")
    direction = wte / wte.norm(dim=-1, keepdim=True)
    similarity = direction @ direction[token_id]
    similarity[token_id] = -torch.inf
    return similarity.topk(k).indices.tolist()


def embed(
    idx: Int[Tensor, "B T"],
    wte: Float[Tensor, "V C"],
    wpe: Float[Tensor, "n_ctx C"],
    start: int = 0,
) -> Float[Tensor, "B T C"]:
    """Token vector plus position vector; the first token stands at position `start`."""
    T, n_ctx = idx.shape[1], len(wpe)
    if not 0 <= start <= n_ctx - T:
        raise ValueError(
            f"positions {start} to {start + T - 1} must lie in 0 to {n_ctx - 1}; "
            f"keep the last n_ctx={n_ctx} tokens and let start be 0"
        )
    return embed_tokens(idx, wte) + wpe[start : start + T]


def sinusoidal_positions(n_ctx: int, n_embd: int) -> Float[Tensor, "{n_ctx} {n_embd}"]:
    """Positions by rule instead of learned: sines in even columns, cosines in odd ones.

    Wavelengths grow from 2π towards 10,000 · 2π (Vaswani et al. 2017, section 3.5). The angles
    are taken in float64, since float32 loses a digit of a large position.
    """
    if n_embd % 2:
        raise ValueError(
            f"n_embd must be even, half sines and half cosines, got {n_embd}; try {n_embd + 1}"
        )
    position = torch.arange(n_ctx, dtype=torch.float64)[:, None]
    rate = 10_000.0 ** (-torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd)
    angle = position * rate
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()
