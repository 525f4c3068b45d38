"""Numbers as pixels: a PNG file that is small enough to stand in the page itself."""

from __future__ import annotations

import base64
import struct
import zlib
from functools import cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gpt2course.drawing.colours import NEUTRAL, fill_for

STEPS = 254  # colours from the lowest number to the highest
UNKNOWN, EMPTY = 254, 255  # the places behind them in the palette


def shares(weights: Float[Tensor, "R C"], root: bool = False, empty: Tensor | None = None) -> str:
    """Numbers from 0 to 1 as an image's address, one pixel each; nan is grey, 0 nearly nothing.

    Args:
        root: the colour follows the square root, so that small numbers can be told apart.
        empty: True where no colour is wanted.
    """
    shown = weights.nan_to_num(0.0).clamp(0, 1)
    levels = ((shown.sqrt() if root else shown) * (STEPS - 1)).round().to(torch.uint8)
    levels[weights.isnan()] = UNKNOWN
    if empty is not None:
        levels[empty] = EMPTY
    return _address(levels, 0.0)


def signed(values: Float[Tensor, "R C"]) -> str:
    """Numbers of both signs as an image's address: blue below 0, red above, nothing at 0."""
    reach = values.abs().max().item() or 1.0
    levels = (values / reach + 1) / 2 * (STEPS - 1)
    return _address(levels.round().to(torch.uint8), -1.0)


def barcode(values: Float[Tensor, " C"], reach: float) -> str:
    """Numbers of both signs in a row, one pixel each: blue below 0, red above, nothing at 0.

    Args:
        reach: the size at which the colour is full; larger numbers look the same.
    """
    levels = ((values / (reach or 1.0)).clamp(-1, 1) + 1) / 2 * (STEPS - 1)
    return _address(levels.round().to(torch.uint8)[None], -1.0)


def _address(levels: UInt8[Tensor, "R C"], low: float) -> str:
    """A PNG file, its palette from low to 1 (W3C, Portable Network Graphics, section 11)."""
    R, C = levels.shape
    lines = b"".join(b"\0" + bytes(line) for line in levels.tolist())  # 0: as it is, no filter
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", C, R, 8, 3, 0, 0, 0)),  # 8 bits, a palette
        (b"PLTE", b"".join(colour[:3] for colour in _palette(low))),
        (b"tRNS", bytes(colour[3] for colour in _palette(low))),  # the page shows through
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ):
        file += struct.pack(">I", len(data)) + kind + data
        file += struct.pack(">I", zlib.crc32(kind + data))
    return "data:image/png;base64," + base64.b64encode(file).decode()


@cache
def _palette(low: float) -> list[bytes]:
    """Red, green, blue and opacity of every place."""
    steps = (low + (1 - low) * i / (STEPS - 1) for i in range(STEPS))
    colours = [*(fill_for(step, low, 1.0) for step in steps), f"{NEUTRAL}ff", "#00000000"]
    return [bytes.fromhex(colour[1:]) for colour in colours]
