"""Arguments for cases: seeded, and laid out in memory as real ones may be."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(
    *shape: int, seed: int, dtype: torch.dtype = torch.float32, scale: float = 1.0
) -> Tensor:
    """Normal numbers, the same on every run."""
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


def strided(x: Tensor) -> Tensor:
    """The same values, not contiguous: the last two axes lie the other way round in memory."""
    return x.transpose(-2, -1).contiguous().transpose(-2, -1)
