"""Self-attention: every position reads from the positions that it may see.

A query is a note with a question, a key the label on a folder, a value what the folder holds.
T counts queries, S keys and values, hs is the width of one head.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def attention_scores(
    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T S"]:
    """How well each query (row) matches each key (column).

    The dot product of hs products of unit variance has variance hs; division by √hs makes it 1
    again (Vaswani et al. 2017, section 3.2.1).
    """
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def attention_weights(scores: Float[Tensor, "... T S"]) -> Float[Tensor, "... T S"]:
    """Shares of attention: each row is positive and sums to 1; a score of -inf gets 0."""
    return scores.softmax(dim=-1)


def blend_values(
    weights: Float[Tensor, "... T S"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """The values, each by its share."""
    return weights @ v


def causal_mask(n_query: int, n_key: int) -> Bool[Tensor, "{n_query} {n_key}"]:
    """True where query i may read key j; the queries are the last n_query of n_key positions.

    Counting from the lower right corner says the same for training (n_query = n_key) and for
    one new token on top of earlier keys (n_query = 1); openai/gpt-2, `attention_mask`.

    >>> causal_mask(2, 4).int().tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    """
    if n_query > n_key:
        raise ValueError(
            f"n_query must be at most n_key, got {n_query} and {n_key}; "
            f"keys hold the queries' own positions too"
        )
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)


def masked_attention(
    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """Causal attention: softmax(q kᵀ / √hs + mask) v, with T at most S."""
    may_read = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)
    return blend_values(attention_weights(scores), v)


def fused_attention(
    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"], v: Float[Tensor, "... S hs"]
) -> Float[Tensor, "... T hs"]:
    """masked_attention in one call of torch, which never holds all T × S weights at once.

    torch's own `is_causal` counts from the upper left corner, so it serves where T = S alone.
    """
    T, S = q.shape[-2], k.shape[-2]
    if T == S:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if T == 1:  # the newest position may read all
        return F.scaled_dot_product_attention(q, k, v)
    may_read = causal_mask(T, S).to(q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)
