"""Keys and values of earlier tokens, kept: a new token then costs one path through the model.

Under the causal mask no token is ever read again in the light of a later one, so its keys and
values stay what they are. Queries are used once, and not kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.attention import masked_attention
from gpt2course.config import GPT2Config
from gpt2course.model import config_of

Past = tuple[Float[Tensor, "B nh P hs"], Float[Tensor, "B nh P hs"]]  # keys, values
Pair = tuple[Float[Tensor, "B nh S hs"], Float[Tensor, "B nh S hs"]]


def append_to_cache(
    past: Past | None, k: Float[Tensor, "B nh T hs"], v: Float[Tensor, "B nh T hs"]
) -> Pair:
    """Earlier keys and values followed by the new ones, oldest first; the inputs stay."""
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


def cached_attention(
    q: Float[Tensor, "B nh T hs"],
    k: Float[Tensor, "B nh T hs"],
    v: Float[Tensor, "B nh T hs"],
    past: Past | None,
) -> tuple[Float[Tensor, "B nh T hs"], Pair]:
    """Causal attention of T new tokens to all earlier ones and to each other, and the new past."""
    k, v = past = append_to_cache(past, k, v)  # (B, nh, S, hs)
    return masked_attention(q, k, v), past


class LayerCache:
    """One layer's keys and values, each (B, nh, n_ctx, hs), filled up to the cache's length."""

    def __init__(self, cache: KVCache, keys: Tensor, values: Tensor):
        self._cache, self.keys, self.values = cache, keys, values

    def append(self, k: Float[Tensor, "B nh T hs"], v: Float[Tensor, "B nh T hs"]) -> Pair:
        """Write the new keys and values behind the old, without copying those.

        Raises:
            ValueError: they do not fit what is left, or are of another batch size, dtype or
                device than the cache, or carry gradients, which a cache does not keep.
        """
        start, end = self._cache.length, self._cache.length + k.shape[-2]
        self._check(k, end)
        self.keys[:, :, start:end] = k
        self.values[:, :, start:end] = v
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _check(self, k: Tensor, end: int) -> None:
        B, nh, n_ctx, hs = self.keys.shape
        if end > n_ctx:
            raise ValueError(
                f"the cache has room for {n_ctx} tokens, got number {end}; call clear() and read "
                f"the last tokens anew, or make it with a larger n_ctx"
            )
        if (k.shape[0], k.shape[1], k.shape[3]) != (B, nh, hs):
            raise ValueError(
                f"the cache is for batch size {B}, {nh} heads of {hs}, got {k.shape[0]}, "
                f"{k.shape[1]} of {k.shape[3]}; make one with KVCache.for_model(model, batch_size)"
            )
        if (k.dtype, k.device) != (self.keys.dtype, self.keys.device):
            raise ValueError(
                f"the cache holds {self.keys.dtype} on {self.keys.device}, got {k.dtype} on "
                f"{k.device}; make it with KVCache.for_model(model, batch_size)"
            )
        if k.requires_grad:
            raise ValueError(
                "a cache keeps no gradients; call the model under torch.no_grad(), or without it"
            )


class KVCache:
    """Memory for the keys and values of all layers, taken once.

    It goes to the model with every call::

        cache = KVCache.for_model(model)
        with torch.no_grad():
            logits = model(prompt, cache)       # any number of tokens ...
            logits = model(new_token, cache)    # ... on top of any past

    Args:
        config: the model's.
        batch_size: rows, which all hold equally many tokens.
        n_ctx: tokens to make room for, at most the model's, which is the default.

    Attributes:
        length: tokens held; the next one stands at this position.
        layers: one LayerCache for each block.

    Source: Pope et al. 2022, "Efficiently Scaling Transformer Inference", section 2.1.
    """

    def __init__(
        self,
        config: GPT2Config,
        batch_size: int = 1,
        *,
        n_ctx: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ):
        n_ctx = config.n_ctx if n_ctx is None else n_ctx
        if not 1 <= n_ctx <= config.n_ctx:
            raise ValueError(
                f"n_ctx must lie in 1 to {config.n_ctx}, the positions that the model has, "
                f"got {n_ctx}"
            )
        shape = (batch_size, config.n_head, n_ctx, config.n_embd // config.n_head)
        self.length = 0
        self.layers = [
            LayerCache(self, *(torch.empty(shape, dtype=dtype, device=device) for _ in "kv"))
            for _ in range(config.n_layer)
        ]

    @classmethod
    def for_model(
        cls, model: nn.Module, batch_size: int = 1, *, n_ctx: int | None = None
    ) -> KVCache:
        """A cache with the sizes, dtype and device of a model: the package's, or a learner's."""
        weight = next(model.parameters())
        return cls(
            config_of(model), batch_size, n_ctx=n_ctx, dtype=weight.dtype, device=weight.device
        )

    def clear(self) -> None:
        """Forget all tokens and keep the memory, for another prompt."""
        self.length = 0

    @property
    def nbytes(self) -> int:
        """Bytes taken: 2 · n_layer · batch_size · n_ctx · n_embd numbers."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)
