"""Pictures of lesson 14: a checkpoint, transposed matrices, surprise, and wrong loads."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import torch
from torch import Tensor

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import (
    ATTENTION_FILL,
    BAR,
    FILLS,
    MLP_FILL,
    NEW,
    NORM_FILL,
    ORANGE,
    OTHER_BAR,
    PAGE,
    PALEST,
    POSITIONS_FILL,
    READ,
    TABLES_FILL,
    tint,
)
from gpt2course.drawing.matrix import as_matrix, matrix, matrix_text
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, row
from gpt2course.drawing.tokens import chip, piece_text

GROUPS = {"token embeddings": TABLES_FILL, "position embeddings": POSITIONS_FILL,
          "attention": ATTENTION_FILL, "MLP": MLP_FILL, "LayerNorms": NORM_FILL,
          "masks": FILLS[3], "output matrix": FILLS[4], "others": FILLS[5]}  # fmt: skip
SURPRISE = ORANGE
CORNER, BINS = 8, 24  # rows and columns shown of a tensor, and bins of its histogram


def group_of(name: str) -> str:
    """What a tensor of a GPT-2 checkpoint is for, by its name."""
    if name.endswith((".attn.bias", ".attn.masked_bias")):
        return "masks"
    parts = {"wte.": "token embeddings", "wpe.": "position embeddings", ".attn.": "attention",
             ".mlp.": "MLP", "ln_": "LayerNorms", "lm_head": "output matrix"}  # fmt: skip
    return next((group for part, group in parts.items() if part in name), "others")


def byte_map(length: int, header: Mapping[str, Mapping], lit: str) -> Picture:
    """A safetensors file from its first byte to its last, and its numbers tensor by tensor.

    Args:
        length: of the header, in bytes.
        header: by name, each tensor's entry with its `data_offsets`.
        lit: the tensor to mark.
    """
    places = {name: tuple(entry["data_offsets"]) for name, entry in header.items()
              if "data_offsets" in entry}  # fmt: skip
    size = max(end for _, end in places.values())
    parts = (("8", 8, NEW), (f"header: {length:,} bytes", length, NORM_FILL),
             (f"numbers: {size:,} bytes", size, READ))  # fmt: skip
    drawn, x, wide_ = Drawing(), 0.0, 780
    unit = (wide_ - 24 - 150) / (8 + length + size)  # the first part and the last are never narrow
    for (said, n, fill), least in zip(parts, (24, 0, 150), strict=True):
        width = least + n * unit
        drawn.box(x, 0, width, 34, said, fill)
        x += width
    last = x - width
    drawn.line((last, 34), (0, 70), dash="3 3")
    drawn.line((x, 34), (wide_, 70), dash="3 3")
    for name, (begin, end) in sorted(places.items(), key=lambda place: place[1]):
        left, width = wide_ * begin / size, wide_ * (end - begin) / size
        drawn.rect(left, 70, width, 34, GROUPS[group_of(name)], thick=0.5, kind="tensor")
    begin, end = places[lit]
    left, width = wide_ * begin / size, wide_ * (end - begin) / size
    drawn.rect(left, 66, width, 42, "none", thick=3, kind="lit")
    said = f"{lit}: bytes {begin:,} to {end:,} of the numbers"
    anchor, at = ("end", left + width) if left > wide_ / 2 else ("start", left)
    drawn.text(at, 126, said, anchor, 12, True)
    drawn.text(0, -8, "the length of the header, then the header, then the numbers", size=12)
    key = "pink: embeddings   ·   orange: attention   ·   green: MLP   ·   grey: LayerNorms"
    drawn.text(0, 148, key, size=12)
    told = f"8 bytes say how long the header is; header {length:,} bytes; numbers {size:,} bytes"
    return drawn.picture(f"{told}, in {len(places)} tensors; {said}")


def file_shares(shapes: Mapping[str, Sequence[int]], title: str = "") -> Picture:
    """The bytes of a checkpoint by kind of tensor, four per number, as bars."""
    n_bytes: dict[str, int] = {}
    for name, shape in shapes.items():
        n_bytes[group_of(name)] = n_bytes.get(group_of(name), 0) + 4 * math.prod(shape)
    total, rows = sum(n_bytes.values()), []
    for group in (g for g in GROUPS if g in n_bytes):
        share = n_bytes[group] / total
        said = percent(share, 1 if share >= 0.001 else 2)
        said = f"{n_bytes[group] / 1e6:,.1f} MB, {said}"
        rows.append(Bar(group, n_bytes[group], said, GROUPS[group]))
    told = "; ".join(f"{one.label} {one.said}" for one in rows)
    return bars(rows, title, length=400).picture(f"{title}: {told}" if title else told)


def tensor_card(name: str, tensor: Tensor, in_model: Sequence[int] | None) -> Picture:
    """One tensor of a checkpoint: its shapes, its first numbers, and their histogram.

    `in_model` is the shape of the model's parameter of this name, if there is one.
    """
    numbers = tensor.detach().float()
    flat = numbers.flatten()
    ours = f"{tuple(in_model)}" if in_model is not None else "no such parameter"
    lines = [
        f"in the file: {tuple(tensor.shape)}, {len(flat):,} number{'s' * (len(flat) != 1)}",
        f"in the model: {ours}",
        f"mean {flat.mean():z.3f}, standard deviation {flat.std(correction=0):.3f}, "
        f"from {flat.min():z.3f} to {flat.max():z.3f}",
    ]
    corner = as_matrix(numbers, [0] * (numbers.ndim - 2))[:CORNER, :CORNER]
    R, C = corner.shape
    drawn = row([matrix(corner, title=f"the first {R} × {C}"), _histogram(flat)])
    for line in reversed(lines):
        drawn.text(drawn.left, drawn.top - 6, line)
    drawn.head(name)
    told = "\n".join([name, *lines, f"the first {R} × {C}", matrix_text(corner)])
    return drawn.picture(told)


def _histogram(values: Tensor) -> Drawing:
    """A histogram of the numbers, on an axis centred at 0."""
    reach = values.abs().max().item() or 1.0
    counts = torch.histc(values, bins=BINS, min=-reach, max=reach)
    drawn, width = Drawing(), 12
    for i, share in enumerate((counts / counts.max()).tolist()):
        drawn.rect(i * width, 120 * (1 - share), width, 120 * share, BAR, thick=0.8)
    right = BINS * width
    drawn.line((0, 120), (right, 120), stroke=PAGE, thick=1)
    for x, said, side in ((0, f"{-reach:.2f}", "start"), (right / 2, "0", "middle"),
                          (right, f"{reach:.2f}", "end")):  # fmt: skip
        drawn.text(x, 136, said, side, 12)
    drawn.text(0, -7, "how the numbers are distributed", size=12, bold=True)
    return drawn


def four_matrices(shapes: Mapping[str, tuple[int, int]], title: str = "") -> Picture:
    """Matrices (in, out) to scale, as in the file and as nn.Linear stores them."""
    unit = 130 / max(max(shape) for shape in shapes.values())
    drawn, told, y = Drawing(), [], 0.0
    places = (
        (0, "in the file (in, out)"),
        (230, "in nn.Linear (out, in)"),
        (470, "copied as it is"),
    )
    for x, said in places:
        drawn.text(x, -16, said, bold=True)
    for name, (n_in, n_out) in shapes.items():
        tall, fits = max(n_in, n_out) * unit, n_in == n_out
        middle = y + tall / 2
        drawn.text(-12, middle + 4, name, "end")
        for x, rows, columns, fill in ((0, n_in, n_out, READ), (230, n_out, n_in, NEW)):
            width, height = columns * unit, rows * unit
            drawn.rect(x, middle - height / 2, width, height, fill, thick=0.8)
            drawn.text(x + width + 8, middle + 4, f"{rows} × {columns}", size=12)
        said = "fits, and is wrong" if fits else "raises an error"
        drawn.text(470, middle + 4, said, bold=fits)
        told.append(f"{name}: {n_in} × {n_out} in the file, {n_out} × {n_in} in nn.Linear, {said}")
        y += tall + 14
    if title:
        drawn.head(title)
    return drawn.picture("; ".join([title, *told] if title else told))


def surprise_text(pieces: Sequence[bytes], nll: Sequence[float], title: str = "") -> Picture:
    """A text as boxes of tokens, each coloured by its surprise in nats, the number under it."""
    drawn, told = [], []
    for piece, nats in zip(pieces, nll, strict=True):
        fill = tint(SURPRISE, 0.9 * nats / (max(nll) or 1.0), PALEST)
        drawn.append(chip(piece, f"{nats:.1f}", fill, "inherit"))
        told.append(f"{piece_text(piece)} {nats:.1f}")
    legend = "nats under each token; pale: expected, orange: surprising"
    alt = f"{title}, {legend}: " + ", ".join(told)
    return Picture(
        f'<div role="figure" aria-label="{escape(alt)}" style="margin:8px 0;max-width:62em">'
        f'<div style="font-weight:600">{escape(title)}</div>'
        f'<div style="font-size:12px;margin-bottom:4px">{legend}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 3px">{"".join(drawn)}</div></div>',
        alt,
    )


class Load(NamedTuple):
    """After one way of loading: the most likely next tokens, perplexity, how far logits are off."""

    words: Words
    probs: Sequence[float]
    perplexity: float
    difference: float


def loads(found: Mapping[str, Load], title: str = "") -> Picture:
    """Several ways of loading one file: perplexity as a bar, and how far the logits are off.

    The axis of the bars begins at perplexity 1, and equal steps on it are equal factors.
    """
    rows, told, drawn = [], [], Drawing()
    for i, (name, load) in enumerate(found.items()):
        fill = BAR if load.difference < 1e-3 else OTHER_BAR
        off, next_word = _off_by(load.difference), f"{load.words[0]} {percent(load.probs[0], 0)}"
        rows.append(Bar(name, math.log(load.perplexity), f"{load.perplexity:,.1f}", fill))
        drawn.text(330, 30 * i + 19, off, "end")
        drawn.text(356, 30 * i + 19, next_word)
        told.append(
            f"{name}: perplexity {load.perplexity:,.1f}, logits off by {off}, "
            f"most likely {next_word}"
        )
    drawn.text(330, -8, "logits off by", "end", 12, True)
    drawn.text(356, -8, "most likely next token", size=12, bold=True)
    both = bars(rows, length=190, high=30)
    both.text(0, -8, "perplexity", size=12, bold=True)
    drawn.put(both)
    drawn.head(title, "the bars begin at perplexity 1, and equal steps are equal factors")
    return drawn.picture("\n".join([title, *told] if title else told))


def _off_by(difference: float) -> str:
    return f"{difference:.2f}" if difference >= 0.01 or not difference else f"{difference:.0e}"


def two_lists(after: str, names: tuple[str, str], right: Load, other: Load) -> Picture:
    """The most likely next tokens after two ways of loading, side by side.

    A token of the second list that is not in the first has a star.
    """
    lists, told = [], [f"after “{after}”"]
    for name, load, fill in zip(names, (right, other), (BAR, OTHER_BAR), strict=True):
        words = [word if word in right.words else f"{word} *" for word in load.words]
        pairs = zip(words, load.probs, strict=True)
        rows = [Bar(word, p, percent(p), fill) for word, p in pairs]
        said = f"{name}: perplexity {load.perplexity:,.1f}"
        one = bars(rows, full=1, length=200, high=24)
        one.head(said, size=13)
        lists.append(one)
        shares = ", ".join(f"{bar.label} {bar.said}" for bar in rows)
        told.append(f"{said}, logits off by {_off_by(load.difference)}: {shares}")
    both = row(lists)
    off = _off_by(other.difference)
    said = f"logits off by up to {off}   ·   *: not among the {len(right.words)} on the left"
    both.text(0, both.bottom + 20, said, size=12)
    both.head(told[0])
    return both.picture("\n".join(told))
