"""Attention that reads further back for less work.

Full attention over T positions computes T · T scores. Each function here computes fewer, and says
which keys it leaves out, blurs or reads only by way of others. B is the batch, nh counts heads of
width hs, T counts queries, S keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.attention import (
    attention_scores,
    attention_weights,
    blend_values,
    causal_mask,
    masked_attention,
)
from gpt2course.multihead import CausalSelfAttention, Past, merge_heads, split_heads

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # q, k, v (B, nh, T, hs) to y of the same shape


def check_divides(part: str, size: int, whole: str, length: int) -> None:
    """Raise ValueError unless a length can be cut into whole parts of a size."""
    if size < 1:
        raise ValueError(f"{part} must be at least 1, got {size}; {part}=1 is the smallest")
    if length % size:
        raise ValueError(
            f"{whole} must be a multiple of {part}, got {length} and {size}; "
            f"pad the positions to {math.ceil(length / size) * size}, or try {part}="
            f"{max(d for d in range(1, size) if length % d == 0)}"
        )


def local_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh T hs"],
    v: Float[Tensor, "B nh T hs"],
    block: int,
) -> Float[Tensor, "B nh T hs"]:
    """Causal attention within the query's own block: T · block scores.

    However many layers are stacked, nothing before the block is ever read.

    Raises:
        ValueError: T is not a multiple of block.

    Source: Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences", section 4.2.4.
    """
    T = q.shape[-2]
    check_divides("block", block, "T", T)
    q, k, v = (x.unflatten(2, (T // block, block)) for x in (q, k, v))  # T in two axes
    return masked_attention(q, k, v).flatten(2, 3)  # (B, nh, T, hs)


def compress_memory(
    x: Float[Tensor, "B nh S hs"], weight: Float[Tensor, "hs hs r"], bias: Float[Tensor, " hs"]
) -> Float[Tensor, "B nh S//r hs"]:
    """One vector for each group of r neighbours: a convolution of width and stride r.

    The layout of weight is torch's: out, in, place in the group. All heads share it.

    Raises:
        ValueError: S is not a multiple of r.

    Source: Liu et al. 2018, section 4.2.4, where r is 3.
    """
    S, r = x.shape[-2], weight.shape[-1]
    check_divides("r", r, "S", S)
    groups = x.unflatten(2, (S // r, r))  # (B, nh, S/r, r, hs)
    return torch.einsum("bhsri,oir->bhso", groups, weight) + bias


def compressed_mask(n_query: int, n_key: int, r: int) -> Bool[Tensor, "{n_query} {n_key}//{r}"]:
    """True where all r keys of a group are at or before the query.

    The queries are the last n_query of n_key positions. The first ones may find no complete group:
    their rows hold nothing but False.

    Raises:
        ValueError: n_key is not a multiple of r, or smaller than n_query.

    >>> compressed_mask(4, 6, 2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    check_divides("r", r, "n_key", n_key)
    return causal_mask(n_query, n_key)[:, r - 1 :: r]  # the column of each group's last key


def compressed_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh S hs"],
    v: Float[Tensor, "B nh S hs"],
    r: int,
) -> Float[Tensor, "B nh T hs"]:
    """Attention to S compressed keys, each of them made of r: T · (S + 1) scores.

    In front stands an empty slot, a key and a value of zeros, which every query may read. Without
    it a query before the end of the first group has nothing to read, and its softmax is nan.

    Args:
        q: the queries of the last T of r · S positions.
        k, v: as `compress_memory` makes them.

    Raises:
        ValueError: there are more than r · S queries.
    """
    T, S = q.shape[-2], k.shape[-2]
    k, v = (F.pad(x, (0, 0, 1, 0)) for x in (k, v))  # (B, nh, 1 + S, hs)
    may_read = F.pad(compressed_mask(T, r * S, r), (1, 0), value=True).to(q.device)
    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)
    return blend_values(attention_weights(scores), v)


def recurrent_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh T hs"],
    v: Float[Tensor, "B nh T hs"],
    segment: int,
) -> Float[Tensor, "B nh T hs"]:
    """Causal attention to the query's own segment and to all of the one before.

    Equal to reading segment after segment with the keys and values of the one before as the past;
    2 · segment scores for each query. Each layer reaches one segment further back.

    Raises:
        ValueError: T is not a multiple of segment.

    Source: Dai et al. 2019, "Transformer-XL", section 3.2. There no gradient flows into the segment
    before, since its activations are those of an earlier training step.
    """
    T = q.shape[-2]
    check_divides("segment", segment, "T", T)
    q, k, v = (x.unflatten(2, (T // segment, segment)) for x in (q, k, v))
    k, v = (torch.cat((F.pad(x[:, :, :-1], (0, 0, 0, 0, 1, 0)), x), dim=-2) for x in (k, v))
    may_read = causal_mask(segment, 2 * segment).repeat(T // segment, 1, 1)
    may_read[0, :, :segment] = False  # nothing is before the first segment
    scores = attention_scores(q, k).masked_fill(~may_read.to(q.device), -math.inf)
    return blend_values(attention_weights(scores), v).flatten(2, 3)  # (B, nh, T, hs)


class CompressedMemory(nn.Module):
    """compressed_attention with one convolution for the keys and one for the values.

    Both begin as the sum of a group, so that a key is as loud among others as it was alone.
    """

    def __init__(self, head_size: int, r: int):
        super().__init__()
        self.r = r
        add_up = torch.eye(head_size)[..., None].repeat(1, 1, r)  # (hs, hs, r)
        self.k_weight, self.v_weight = nn.Parameter(add_up), nn.Parameter(add_up.clone())
        self.k_bias = nn.Parameter(torch.zeros(head_size))
        self.v_bias = nn.Parameter(torch.zeros(head_size))

    def forward(
        self,
        q: Float[Tensor, "B nh T hs"],
        k: Float[Tensor, "B nh T hs"],
        v: Float[Tensor, "B nh T hs"],
    ) -> Float[Tensor, "B nh T hs"]:
        k = compress_memory(k, self.k_weight, self.k_bias)  # (B, nh, T/r, hs)
        v = compress_memory(v, self.v_weight, self.v_bias)
        return compressed_attention(q, k, v, self.r)


class PatternedSelfAttention(CausalSelfAttention):
    """CausalSelfAttention in which another function reads: `block.attn` of a GPT-2 with it.

    Args:
        attend: from q, k and v to the blend, such as partial(local_attention, block=64), or a
            module, whose parameters then belong to this one.
    """

    def __init__(self, n_embd: int, n_head: int, attend: Attend):
        super().__init__(n_embd, n_head)
        self.attend = attend

    def forward(
        self, x: Float[Tensor, "B T C"], past: Past | None = None
    ) -> Float[Tensor, "B T C"]:
        if past is not None:
            raise ValueError(
                "a cache is not supported here, since the keys of a text are cut into groups; "
                "call the model with idx alone"
            )
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        return self.c_proj(merge_heads(self.attend(q, k, v)))  # (B, T, C)


def n_scores(kind: str, T: int, size: int) -> int:
    """How many scores one head of one layer computes for T positions.

    Args:
        kind: "full", "local", "compressed" or "recurrent".
        size: the block, the stride r or the segment; full attention has none.
    """
    found = {
        "full": lambda: T * T,
        "local": lambda: T * size,
        "compressed": lambda: T * (T // size + 1),  # and the empty slot
        "recurrent": lambda: T * 2 * size,
    }
    if kind not in found:
        raise ValueError(f"kind must be one of {', '.join(found)}, got {kind!r}; try 'full'")
    return found[kind]()


def reachable(layers: list[Bool[Tensor, "T T"]], query: int) -> list[Bool[Tensor, " T"]]:
    """Which positions one query can know of, from the last layer down to the input.

    Args:
        layers: for each layer, the first one first, True where row may read column.

    Returns:
        one row more than layers: the query alone; the positions of the last layer's input that it
        reads, itself included (the residual connection); and so on down to the tokens.
    """
    known = torch.zeros(layers[0].shape[0], dtype=torch.bool)
    known[query] = True
    rows = [known]
    for may_read in reversed(layers):
        known = known | may_read[known].any(dim=0)
        rows.append(known)
    return rows


def read_mask(kind: str, T: int, size: int) -> Bool[Tensor, "{T} {T}"]:
    """True where something of position j (column) reaches query i (row) in one layer.

    In a compressed layer that is each key whose group the query may read, itself included.
    """
    i, j = torch.arange(T)[:, None], torch.arange(T)
    found = {
        "full": lambda: j <= i,
        "local": lambda: (j <= i) & (j // size == i // size),
        "compressed": lambda: compressed_mask(T, T, size).repeat_interleave(size, dim=1),
        "recurrent": lambda: (j <= i) & (j // size >= i // size - 1),
    }
    if kind not in found:
        raise ValueError(f"kind must be one of {', '.join(found)}, got {kind!r}; try 'full'")
    return found[kind]()
