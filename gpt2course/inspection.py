"""Everything that a model computes on the way, kept for looking at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2course.attention import attention_scores, attention_weights, causal_mask
from gpt2course.model import GPT2
from gpt2course.multihead import split_heads


@dataclass(frozen=True)
class BlockActivations:
    """What one block computes; B rows of T tokens, C columns, nh heads of hs.

    Attributes:
        x: the residual stream that comes in, (B, T, C).
        attn_in: x after ln_1, (B, T, C).
        q, k, v: queries, keys and values, (B, nh, T, hs).
        scores: q kᵀ / √hs, and -inf where a query may not read, (B, nh, T, T); row = query.
        weights: the softmax of the scores, (B, nh, T, T); each row sums to 1.
        attn_out: what attention adds to the stream, (B, T, C).
        x_mid: the stream between the two halves, x + attn_out, (B, T, C).
        mlp_in: x_mid after ln_2, (B, T, C).
        mlp_hidden: the MLP's inner layer before the GELU, (B, T, 4C).
        mlp_out: what the MLP adds to the stream, (B, T, C).
        x_out: the residual stream that goes on, x_mid + mlp_out, (B, T, C).
    """

    x: Float[Tensor, "B T C"]
    attn_in: Float[Tensor, "B T C"]
    q: Float[Tensor, "B nh T hs"]
    k: Float[Tensor, "B nh T hs"]
    v: Float[Tensor, "B nh T hs"]
    scores: Float[Tensor, "B nh T T"]
    weights: Float[Tensor, "B nh T T"]
    attn_out: Float[Tensor, "B T C"]
    x_mid: Float[Tensor, "B T C"]
    mlp_in: Float[Tensor, "B T C"]
    mlp_hidden: Float[Tensor, "B T D"]
    mlp_out: Float[Tensor, "B T C"]
    x_out: Float[Tensor, "B T C"]


@dataclass(frozen=True)
class Activations:
    """What a model computes from ids to logits.

    Attributes:
        tokens: rows of wte, (B, T, C).
        positions: rows of wpe, (T, C).
        blocks: one BlockActivations for each layer, the first reading tokens + positions.
        final: the stream after ln_f, (B, T, C).
        logits: a score for every token of the vocabulary, (B, T, V).
    """

    tokens: Float[Tensor, "B T C"]
    positions: Float[Tensor, "T C"]
    blocks: list[BlockActivations]
    final: Float[Tensor, "B T C"]
    logits: Float[Tensor, "B T V"]

    @property
    def stream(self) -> list[Float[Tensor, "B T C"]]:
        """The residual stream before the first block and after each: n_layer + 1 tensors."""
        return [self.blocks[0].x, *(block.x_out for block in self.blocks)]


def activations(model: GPT2, idx: Int[Tensor, "B T"]) -> Activations:
    """Run the model once and keep everything on the way.

    The model itself knows nothing of this: its modules are listened to for this one call, and run
    at full speed otherwise. Scores and weights are computed again from q and k, since the fused
    attention never holds them. Nothing is detached: gradients of any part by any other can be
    taken (under torch.no_grad() there are none).

    Any model with the names of the checkpoint will do, one of a learner's own parts too.
    """
    heard: dict[str, tuple[Tensor, Tensor]] = {}
    with _listening(model, heard):
        logits = model(idx)
    n_head = model.config.n_head
    blocks = [_block(heard, f"h.{i}", n_head) for i in range(model.config.n_layer)]
    return Activations(
        tokens=model.wte(idx),
        positions=model.wpe.weight[: idx.shape[1]],
        blocks=blocks,
        final=heard["ln_f"][1],
        logits=logits,
    )


def _block(heard: dict[str, tuple[Tensor, Tensor]], name: str, n_head: int) -> BlockActivations:
    x, x_out = heard[name]
    attn_in, qkv = heard[f"{name}.attn.c_attn"]
    q, k, v = (split_heads(part, n_head) for part in qkv.chunk(3, dim=-1))
    may_read = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    scores = attention_scores(q, k).masked_fill(~may_read, -torch.inf)
    mlp_in, mlp_hidden = heard[f"{name}.mlp.c_fc"]
    return BlockActivations(
        x=x,
        attn_in=attn_in,
        q=q,
        k=k,
        v=v,
        scores=scores,
        weights=attention_weights(scores),
        attn_out=heard[f"{name}.attn"][1],
        x_mid=heard[f"{name}.ln_2"][0],
        mlp_in=mlp_in,
        mlp_hidden=mlp_hidden,
        mlp_out=heard[f"{name}.mlp"][1],
        x_out=x_out,
    )


@contextmanager
def _listening(model: nn.Module, heard: dict[str, tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Put down the first input and the output of every module with parameters, by its name."""

    def listen(name: str) -> torch.utils.hooks.RemovableHandle:
        def hear(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            heard[name] = (inputs[0], output)

        return model.get_submodule(name).register_forward_hook(hear)

    parts = ["", ".attn", ".attn.c_attn", ".ln_2", ".mlp", ".mlp.c_fc"]
    names = ["ln_f", *(f"h.{i}{part}" for i in range(len(model.h)) for part in parts)]
    handles = [listen(name) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
