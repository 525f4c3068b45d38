"""Numbers as pixels: a PNG file that is small enough to stand in the page itself."""

from __future__ import annotations

import base64
import struct
import zlib
from functools import cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gpt2course.drawing.colours import DIVERGING, NEUTRAL, VIRIDIS, blend

STEPS = 254  # colours from the lowest number to the highest
BELOW_AND_ABOVE = ("#2b83ba", "#2b83ba", "#d7301f", "#d7301f")  # seen on white and on black
UNKNOWN, EMPTY = 254, 255  # the places behind them in the palette


def shares(weights: Float[Tensor, "R C"], root: bool = False, empty: Tensor | None = None) -> str:
    """Numbers from 0 to 1 as an image's address, one pixel each; nan is grey.

    Args:
        root: the colour follows the square root, so that small numbers can be told apart.
        empty: True where no colour is wanted.
    """
    shown = weights.nan_to_num(0.0).clamp(0, 1)
    levels = ((shown.sqrt() if root else shown) * (STEPS - 1)).round().to(torch.uint8)
    levels[weights.isnan()] = UNKNOWN
    if empty is not None:
        levels[empty] = EMPTY
    return _address(levels, VIRIDIS)


def signed(values: Float[Tensor, "R C"]) -> str:
    """Numbers of both signs as an image's address: blue below 0, red above, white at 0."""
    reach = values.abs().max().item() or 1.0
    levels = (values / reach + 1) / 2 * (STEPS - 1)
    return _address(levels.round().to(torch.uint8), DIVERGING)


def barcode(values: Float[Tensor, " C"], reach: float) -> str:
    """Numbers of both signs in a row, one pixel each: blue below 0, red above, clear at 0.

    Args:
        reach: the size at which the colour is full; larger numbers look the same.
    """
    levels = ((values / (reach or 1.0)).clamp(-1, 1) + 1) / 2 * (STEPS - 1)
    clear = bytes(round(255 * abs(2 * i / (STEPS - 1) - 1) ** 0.8) for i in range(STEPS))
    return _address(levels.round().to(torch.uint8)[None], BELOW_AND_ABOVE, clear + b"\xff")


def _address(
    levels: UInt8[Tensor, "R C"], stops: tuple[str, ...], opacity: bytes = b"\xff" * EMPTY
) -> str:
    """A PNG file of places in a palette (W3C, Portable Network Graphics, section 11)."""
    R, C = levels.shape
    lines = b"".join(b"\0" + bytes(line) for line in levels.tolist())  # 0: as it is, no filter
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", C, R, 8, 3, 0, 0, 0)),  # 8 bits, a palette
        (b"PLTE", _palette(stops)),
        (b"tRNS", opacity + b"\0"),  # the last is clear
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ):
        file += struct.pack(">I", len(data)) + kind + data
        file += struct.pack(">I", zlib.crc32(kind + data))
    return "data:image/png;base64," + base64.b64encode(file).decode()


@cache
def _palette(stops: tuple[str, ...]) -> bytes:
    colours = [blend(stops, i / (STEPS - 1)) for i in range(STEPS)] + [NEUTRAL, "#ffffff"]
    return bytes.fromhex("".join(colour[1:] for colour in colours))
