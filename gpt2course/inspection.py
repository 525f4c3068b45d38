"""Everything that a model computes on the way, kept for looking at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2course.attention import attention_scores, attention_weights, causal_mask
from gpt2course.block import layer_norm
from gpt2course.model import config_of, output_logits
from gpt2course.multihead import split_heads
from gpt2course.tokenizer import Tokenizer


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


def activations(model: nn.Module, idx: Int[Tensor, "B T"]) -> Activations:
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
    config = config_of(model)
    blocks = [_block(heard, f"h.{i}", config.n_head) for i in range(config.n_layer)]
    return Activations(
        tokens=model.get_submodule("wte")(idx),
        positions=model.get_parameter("wpe.weight")[: idx.shape[1]],
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
        def hear(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            heard[name] = (inputs[0], output)

        return model.get_submodule(name).register_forward_hook(hear)

    parts = ["", ".attn", ".attn.c_attn", ".ln_2", ".mlp", ".mlp.c_fc"]
    names = ["ln_f", *(f"h.{i}{part}" for i in range(config_of(model).n_layer) for part in parts)]
    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(listen(name))
        yield


# Stage by stage -------------------------------------------------------------------------------


def stages(model: nn.Module, idx: Int[Tensor, "B T"]) -> dict[str, Float[Tensor, "B T _"]]:
    """What a model computes from ids to logits, in the order of the data.

    The names are "embedding", then for each block "h.0.ln_1", "h.0.attn", "h.0.ln_2", "h.0.mlp" and
    "h.0" (the stream behind it), then "ln_f" and "logits". Any model with the names of the
    checkpoint will do. A part that is never called as a module can't be heard, and is left out.
    """
    heard: dict[str, tuple[Tensor, Tensor]] = {}
    with _listening(model, heard):
        logits = model(idx)
    found = {"embedding": heard.get("h.0", (None, None))[0]}
    for i in range(config_of(model).n_layer):
        attn_in, attn_out = heard.get(f"h.{i}.attn", (None, None))
        mlp_in, mlp_out = heard.get(f"h.{i}.mlp", (None, None))
        found |= {f"h.{i}.ln_1": attn_in, f"h.{i}.attn": attn_out}
        found |= {f"h.{i}.ln_2": mlp_in, f"h.{i}.mlp": mlp_out}
        found[f"h.{i}"] = heard.get(f"h.{i}", (None, None))[1]
    found |= {"ln_f": heard.get("ln_f", (None, None))[1], "logits": logits}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def first_difference(
    mine: Sequence[Tensor], reference: Sequence[Tensor], tolerance: float | int
) -> int | None:
    """The place of the first tensor that is not the reference's; None where all are.

    One differs by its shape, or where any entry is further away than tolerance. A NaN is far from
    every number.

    >>> first_difference([torch.zeros(2), torch.ones(2)], [torch.zeros(2), torch.zeros(2)], 0.1)
    1
    """
    if len(mine) != len(reference):
        raise ValueError(
            f"both must hold as many tensors, got {len(mine)} and {len(reference)}; compare the "
            f"stages that both have"
        )
    for place, (ours, theirs) in enumerate(zip(mine, reference, strict=True)):
        if ours.shape != theirs.shape or not ((ours - theirs).abs() <= tolerance).all():
            return place
    return None


Heard = dict[int, tuple[Tensor, Tensor]]  # for each block, a module's input and its output

# The climb ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Climb:
    """How the vectors of one text climb through a model.

    Stage 0 is the embedding; each block adds two, after its attention and after its MLP.

    Attributes:
        stream: the residual stream at every stage, (2L + 1, T, C).
        weights: the attention weights of each block, (nh, T, T); None where its attention has no
            `c_attn` to compute them from.
        logits: the model's own, (T, V).
        lens: from vectors (S, C) to the logits (S, V) that the model would give if it ended there.
    """

    stream: Float[Tensor, "S T C"]
    weights: list[Float[Tensor, "nh T T"] | None]
    logits: Float[Tensor, "T V"]
    lens: Callable[[Tensor], Tensor]

    def ends(self, token: int) -> Float[Tensor, "S V"]:
        """The probabilities of the next token if the model ended at each stage.

        The last stage is the end of the model, and has the model's own logits.
        """
        logits = self.lens(self.stream[:-1, token])
        return torch.cat([logits, self.logits[None, token]]).softmax(dim=-1)


@torch.no_grad()
def climb(model: nn.Module, idx: Int[Tensor, "1 T"], off: Iterable[tuple[int, int]] = ()) -> Climb:
    """Run a model once on one text and keep the residual stream at every stage.

    Of the model it needs `config`, `wte`, `wpe`, `h` and `ln_f`, and of each block `attn` and
    `ln_2`, so that one of a learner's own parts will do.

    Args:
        off: pairs of layer and head that are switched off; see `without_heads`.
    """
    blocks = list(model.get_submodule("h").children())
    mids: Heard = {}
    outs: Heard = {}
    qkv: Heard = {}
    with ExitStack() as hooks:
        hooks.enter_context(without_heads(model, off))
        for i, block in enumerate(blocks):
            for part, kept in ((block.get_submodule("ln_2"), mids), (block, outs)):
                hooks.enter_context(part.register_forward_hook(_keeper(kept, i)))
            if "attn.c_attn" in dict(block.named_modules()):
                c_attn = block.get_submodule("attn.c_attn")
                hooks.enter_context(c_attn.register_forward_hook(_keeper(qkv, i)))
        logits = model(idx)
    stream = [outs[0][0]]
    for i in range(len(blocks)):
        stream += [mids[i][0], outs[i][1]]
    ln_f, wte = model.get_submodule("ln_f"), model.get_parameter("wte.weight")
    n_head = config_of(model).n_head
    return Climb(
        stream=torch.cat(stream),
        weights=[_weights(qkv[i][1], n_head)[0] if i in qkv else None for i in range(len(blocks))],
        logits=logits[0],
        lens=torch.no_grad()(lambda x: output_logits(ln_f(x[None]), wte)[0]),
    )


def _keeper(kept: Heard, i: int) -> Callable[..., None]:
    """A hook that puts down a module's input and output."""

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        kept[i] = inputs[0], output

    return keep


def _weights(qkv: Float[Tensor, "B T D"], n_head: int) -> Float[Tensor, "B nh T T"]:
    q, k, _ = (split_heads(part, n_head) for part in qkv.chunk(3, dim=-1))
    may_read = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    return attention_weights(attention_scores(q, k).masked_fill(~may_read, -torch.inf))


# Attention ------------------------------------------------------------------------------------


def head_weights(model: nn.Module, idx: Int[Tensor, "1 T"]) -> Float[Tensor, "L nh T T"]:
    """The attention weights of every layer and head for one text; row = query, column = key.

    Raises:
        ValueError: idx holds several texts.
    """
    if len(idx) != 1:
        raise ValueError(
            f"idx must hold one text, (1, T), got {tuple(idx.shape)}; take them one by one: "
            f"[head_weights(model, row[None]) for row in idx]"
        )
    with torch.no_grad():
        return torch.stack([block.weights[0] for block in activations(model, idx).blocks])


def previous_token_score(weights: Float[Tensor, "L nh T T"]) -> Float[Tensor, "L nh"]:
    """For every layer and head the mean weight that a token gives to the one right before it.

    The first token has none before it and is left out: a mean over T - 1 tokens.
    """
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=-1)


def mean_attention(
    weights: list[Float[Tensor, "L nh _ _"]], queries: list[int], keys: list[list[int]]
) -> Float[Tensor, "L nh"]:
    """For every layer and head the weight from one token to one word, a mean over sentences.

    Args:
        weights: one tensor for each sentence, (L, nh, T, T); T may differ between sentences.
        queries: the position that reads, one for each sentence.
        keys: the positions of the word that is read, of which there are several where the word
            is more than one token; their weights are added.
    """
    found = [
        sentence[:, :, query, positions].sum(dim=-1)
        for sentence, query, positions in zip(weights, queries, keys, strict=True)
    ]
    return torch.stack(found).mean(dim=0)


@contextmanager
def without_heads(model: nn.Module, heads: Iterable[tuple[int, int]]) -> Iterator[None]:
    """Within the with block the model runs without some heads: zeros stand for what they found.

    The heads lie side by side in what c_proj reads, so a head is hs of its columns.

    Args:
        heads: pairs of layer and head.
    """
    config = config_of(model)
    hs = config.n_embd // config.n_head
    silent: dict[int, list[int]] = {}
    for layer, head in heads:
        silent.setdefault(layer, []).append(head)

    def silence(layer: int) -> torch.utils.hooks.RemovableHandle:
        def zeros(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            found = inputs[0].clone()
            for head in silent[layer]:
                found[..., head * hs : (head + 1) * hs] = 0
            return (found, *inputs[1:])

        c_proj = model.get_submodule(f"h.{layer}.attn.c_proj")
        return c_proj.register_forward_pre_hook(zeros)

    with ExitStack() as hooks:
        for layer in silent:
            hooks.enter_context(silence(layer))
        yield


@runtime_checkable
class Marked(Protocol):
    """A text in which a word is marked, such as a `corpus.Probe`; its place is (start, end)."""

    @property
    def text(self) -> str: ...

    @property
    def hangs_on(self) -> tuple[int, int]: ...


def find(probe: Marked, tokenizer: Tokenizer) -> tuple[int, list[int]]:
    """Where a probe's tokens are: the last one's position, and those of the word it hangs on.

    A token belongs to the word if it holds any of its characters: a blank before it comes along.
    """
    start, end = (len(probe.text[:at].encode()) for at in probe.hangs_on)
    ids = tokenizer.encode(probe.text)
    positions, stop = [], 0
    for position, token_id in enumerate(ids):
        begin, stop = stop, stop + len(tokenizer.token_bytes(token_id))
        if begin < end and stop > start:
            positions.append(position)
    return len(ids) - 1, positions


# The residual stream --------------------------------------------------------------------------


def logit_lens(
    stream: Float[Tensor, "S T C"],
    weight: Float[Tensor, " C"],
    bias: Float[Tensor, " C"],
    wte: Float[Tensor, "V C"],
) -> Float[Tensor, "S T V"]:
    """What the model would say if it ended here, asked at every stage of the residual stream.

    Each stage goes through the final LayerNorm (weight, bias) and the output table, as only the
    last one does in the model; the last stage gives the model's own logits.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """
    return output_logits(layer_norm(stream, weight, bias), wte)  # (S, T, V)
