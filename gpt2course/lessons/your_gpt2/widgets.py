"""What lesson 21 lets you play with: break one part, see where it shows and what it then writes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.attention import attention_scores, causal_mask
from gpt2course.drawing.picture import Picture, stacked
from gpt2course.drawing.svg import Drawing
from gpt2course.drawing.twin import Playable, menu, playable
from gpt2course.inspection import first_difference, stages
from gpt2course.lessons.your_gpt2.figures import apart_bars
from gpt2course.model import GPT2
from gpt2course.multihead import merge_heads, split_heads
from gpt2course.sampling import generate
from gpt2course.tokenizer import Tokenizer

TOLERANCE = 1e-3
WRITTEN = 24  # tokens


@dataclass(frozen=True)
class Break:
    """One thing wrong: what it is called, and how it gets into a model, which it changes."""

    name: str
    into: Callable[[GPT2], None]


class _Attention(nn.Module):
    """The parts of an attention, put together with one of them wrong."""

    def __init__(self, right: nn.Module, wrong: str):
        super().__init__()
        self.c_attn, self.c_proj = right.c_attn, right.c_proj
        self.n_head, self.wrong = right.n_head, wrong

    def forward(self, x: Tensor, past: object = None) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.c_attn(x).chunk(3, dim=-1)
        if self.wrong == "order":
            q, k, v = k, q, v
        cut = self._reshaped if self.wrong == "reshape" else split_heads
        q, k, v = (cut(part, self.n_head) for part in (q, k, v))
        scores = attention_scores(q, k) * (math.sqrt(q.shape[-1]) if self.wrong == "scale" else 1)
        hidden = ~causal_mask(T, T)
        if self.wrong == "zero":
            scores = scores.masked_fill(hidden, 0.0)
        elif self.wrong != "mask":
            scores = scores.masked_fill(hidden, -math.inf)
        y = scores.softmax(dim=-2 if self.wrong == "columns" else -1).nan_to_num() @ v
        return self.c_proj(y.reshape(B, T, C) if self.wrong == "reshape" else merge_heads(y))

    @staticmethod
    def _reshaped(x: Tensor, n_head: int) -> Tensor:
        B, T, C = x.shape
        return x.reshape(B, n_head, T, C // n_head)


class _MLP(nn.Module):
    def __init__(self, right: nn.Module, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.c_fc, self.c_proj, self.activation = right.c_fc, right.c_proj, activation

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.activation(self.c_fc(x)))


class _PostNorm(nn.Module):
    """GPT's block of 2018: the stream is normalised behind each addition."""

    def __init__(self, right: nn.Module):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = right.ln_1, right.attn, right.ln_2, right.mlp

    def forward(self, x: Tensor, past: object = None) -> Tensor:
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))


def _attention(wrong: str) -> Callable[[GPT2], None]:
    def put(model: GPT2) -> None:
        for block in model.h:
            block.attn = _Attention(block.attn, wrong)

    return put


def _activation(activation: Callable[[Tensor], Tensor]) -> Callable[[GPT2], None]:
    def put(model: GPT2) -> None:
        for block in model.h:
            block.mlp = _MLP(block.mlp, activation)

    return put


def _post_norm(model: GPT2) -> None:
    model.h = nn.ModuleList(_PostNorm(block) for block in model.h)


def _no_positions(model: GPT2) -> None:
    model.wpe.weight.zero_()


def _shifted_positions(model: GPT2) -> None:
    model.wpe.weight.copy_(model.wpe.weight.roll(-1, 0))


def _without_final_norm(model: GPT2) -> None:
    model.ln_f = nn.Identity()


def _untransposed(model: GPT2) -> None:
    weight = model.h[2].attn.c_proj.weight
    weight.copy_(weight.T.clone())


BREAKS = (
    Break("nothing", lambda model: None),
    Break("scores not divided by √hs", _attention("scale")),
    Break("no mask", _attention("mask")),
    Break("future scores 0, not -inf", _attention("zero")),
    Break("softmax over the columns", _attention("columns")),
    Break("queries and keys swapped", _attention("order")),
    Break("heads cut without a transpose", _attention("reshape")),
    Break("GELU in its exact form", _activation(F.gelu)),
    Break("ReLU in place of GELU", _activation(F.relu)),
    Break("LayerNorm behind the additions", _post_norm),
    Break("no final LayerNorm", _without_final_norm),
    Break("no positions", _no_positions),
    Break("positions counted from 1", _shifted_positions),
    Break("one c_proj not transposed", _untransposed),
)


def parts_to_break(
    model: GPT2, tokenizer: Tokenizer, prompt: str = "A robot must", chosen: str = "no mask"
) -> Playable:
    """A list of things to break; the stages that differ and the text that comes out follow."""
    names = [one.name for one in BREAKS]
    if chosen not in names:
        raise ValueError(f"chosen must be one of {', '.join(names)}, got {chosen!r}")
    idx = torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(prompt)]])
    right = _run(model, tokenizer, idx, None)

    def draw(broken: str) -> Picture:
        one = next(one for one in BREAKS if one.name == broken)
        return _drawn(one.name, right, _run(model, tokenizer, idx, one))

    return playable(draw, broken=menu("break:", names, chosen))


@torch.no_grad()
def _run(
    model: GPT2, tokenizer: Tokenizer, idx: Tensor, one: Break | None
) -> tuple[dict[str, Tensor], str]:
    """Every stage of a model with one thing broken, and what it writes."""
    broken = copy.deepcopy(model)
    if one is not None:
        one.into(broken)
    written = generate(_Called(broken), idx, WRITTEN, temperature=0)
    return stages(broken, idx), tokenizer.decode(written[0, 1:])


class _Called:
    """A model that reads all tokens anew, as its parts may know no cache."""

    def __init__(self, model: GPT2):
        self.model, self.config = model, model.config

    def __call__(self, idx: Tensor) -> Tensor:
        return self.model(idx)


def _drawn(name: str, right: tuple[dict, str], broken: tuple[dict, str]) -> Picture:
    names = [stage for stage in right[0] if stage in broken[0]]
    pairs = [(broken[0][stage], right[0][stage]) for stage in names]
    place = first_difference(*map(list, zip(*pairs, strict=True)), TOLERANCE)
    first = None if place is None else names[place]
    apart = {n: (a - b).abs().max().item() for n, (a, b) in zip(names, pairs, strict=True)}
    title = f"Broken: {name}. " if first else "Nothing is broken. "
    title += f"The first difference is at {first}" if first else "No stage differs"
    texts = Drawing()
    for i, (whose, text) in enumerate((("right", right[1]), ("broken", broken[1]))):
        texts.text(0, 22 * i, whose, "start", 13, True)
        texts.text(60, 22 * i, " ".join(text.split()), "start", 13)
    told = texts.picture(f"Written by the right model: {right[1]} By the broken one: {broken[1]}")
    return stacked(apart_bars(apart, first, TOLERANCE, title), told)
