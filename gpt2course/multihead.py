"""Several heads look at once, each with its own share of the columns."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.attention import fused_attention
from gpt2course.config import check_heads
from gpt2course.linear import Linear


def split_heads(x: Float[Tensor, "B T C"], n_head: int) -> Float[Tensor, "B {n_head} T hs"]:
    """Head h gets columns h·hs to (h+1)·hs of every position.

    A reshape to (B, nh, T, hs) alone would mix positions: T must stay beside C until C is cut.
    """
    B, T, C = x.shape
    check_heads(C, n_head)
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)  # (B, nh, T, hs)


def merge_heads(x: Float[Tensor, "B nh T hs"]) -> Float[Tensor, "B T C"]:
    """The heads side by side again: undoes split_heads, with C = nh · hs."""
    B, nh, T, hs = x.shape
    return x.transpose(1, 2).reshape(B, T, nh * hs)


@runtime_checkable
class Past(Protocol):
    """What attention needs to know of earlier tokens; `kv_cache` has it."""

    def append(
        self, k: Float[Tensor, "B nh T hs"], v: Float[Tensor, "B nh T hs"]
    ) -> tuple[Float[Tensor, "B nh S hs"], Float[Tensor, "B nh S hs"]]:
        """Keep the new keys and values, and return all S of them, the oldest first."""


class CausalSelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself and its past.

    c_attn makes query, key and value in one product, in this order; c_proj mixes the heads. In
    between stands masked_attention, by way of `fused_attention`.
    """

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        check_heads(n_embd, n_head)
        self.n_head = n_head
        self.c_attn = Linear(n_embd, 3 * n_embd)
        self.c_proj = Linear(n_embd, n_embd)

    def forward(
        self, x: Float[Tensor, "B T C"], past: Past | None = None
    ) -> Float[Tensor, "B T C"]:
        q, k, v = self.c_attn(x).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.n_head) for part in (q, k, v))  # (B, nh, T, hs)
        if past is not None:
            k, v = past.append(k, v)  # (B, nh, S, hs)
        y = fused_attention(q, k, v)
        return self.c_proj(merge_heads(y))  # (B, T, C)
