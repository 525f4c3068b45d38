"""The exam: what the one file computes, stage by stage, against the package's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2course.checks import engine
from gpt2course.inspection import first_difference, stages
from gpt2course.model import GPT2

# The components that make each stage, in the order of the course.
MADE_BY = {
    "embedding": ("embed_tokens", "embed"),
    "ln_1": ("layer_norm", "Block"),
    "attn": (
        "attention_scores", "attention_weights", "blend_values", "causal_mask", "masked_attention",
        "split_heads", "merge_heads", "CausalSelfAttention",
    ),
    "ln_2": ("layer_norm", "Block"),
    "mlp": ("gelu", "MLP"),
    "block": ("Block",),
    "ln_f": ("layer_norm", "GPT2"),
    "logits": ("output_logits", "GPT2"),
}  # fmt: skip
LOADING = ("read_safetensors", "load_released")  # what may be wrong at any stage
# Rounding alone: float32 keeps 7 digits, float64 keeps 16.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}


@dataclass(frozen=True)
class Compared:
    """Two runs of the same ids through two models with the same weights.

    Attributes:
        apart: the largest distance at every stage that both have; NaN where one is NaN, inf where
            the shapes differ.
        first: the first stage that differs by more than tolerance, or None.
    """

    apart: dict[str, float]
    tolerance: float
    first: str | None

    @property
    def same(self) -> bool:
        return self.first is None

    def __str__(self) -> str:
        if self.first is None:
            largest = max(self.apart.values())
            digits = "tolerance" if largest else "no difference at all, tolerance"
            return f"all {len(self.apart)} stages agree ({digits} {self.tolerance:g})"
        return f"the first difference is at {self.first}, off by {self.apart[self.first]:.2g}"


def compare(
    mine: nn.Module, reference: nn.Module, idx: Tensor, tolerance: float | None = None
) -> Compared:
    """Run both models on the same ids and compare every stage that both let us hear.

    Args:
        tolerance: largest distance of an entry; None takes that of the reference's dtype.
    """
    with torch.no_grad():
        ours, theirs = stages(mine, idx), stages(reference, idx)
    names = [name for name in theirs if name in ours]
    tolerance = TOLERANCE[theirs["logits"].dtype] if tolerance is None else tolerance
    place = first_difference([ours[n] for n in names], [theirs[n] for n in names], tolerance)
    apart = {name: _distance(ours[name], theirs[name]) for name in names}
    return Compared(apart, tolerance, None if place is None else names[place])


def _distance(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item() if ours.shape == theirs.shape else float("inf")


def kind_of(stage: str) -> str:
    """The key of MADE_BY: "attn" for "h.3.attn", "block" for "h.3"."""
    last = stage.rpartition(".")[2]
    return "block" if last.isdigit() else last


def mends(stage: str, parts: Mapping[str, Any]) -> str:
    """Which lesson mends a stage: that of the first of its components that fails its own check.

    Args:
        parts: the components by name, such as `vars(assembled.module())`.
    """
    names = [name for name in MADE_BY[kind_of(stage)] if name in parts]
    for name in [*names, *(name for name in LOADING if name in parts)]:
        result = engine.run(name, parts[name])
        if not result.passed:
            named = f" ({result.misconception})" if result.misconception else ""
            return (
                f"{name} does not pass its check{named}; lesson {result.exercise.lesson} mends it"
            )
    lessons = sorted({engine.find(name).lesson for name in names})
    return (
        f"each of {', '.join(names)} passes its check; look at how they are put together, "
        f"in {' and '.join(lessons)}"
    )


def examine(module: ModuleType, folder: Path, text: str = "A robot must obey the orders") -> str:
    """The exam in words: the model in a folder, in the one file and in the package.

    Args:
        module: the one file, `Assembled.module()`.
        folder: of the weights and the tokenizer.
    """
    lines = []
    ids = torch.tensor([module.Tokens(folder).encode(text)])
    for dtype in TOLERANCE:
        reference = GPT2.from_pretrained(folder, dtype=dtype)
        compared = compare(module.load_model(folder).to(dtype), reference, ids)
        lines.append(f"{str(dtype).removeprefix('torch.')}: {compared}")
        if compared.first:
            return "\n".join([*lines, mends(compared.first, vars(module))])
    return "\n".join(lines)
