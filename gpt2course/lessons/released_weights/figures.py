"""Pictures of lesson 14: what a checkpoint holds, turned matrices, surprise, and wrong loads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import torch
from torch import Tensor

from gpt2course.drawing.colours import FILLS, fill_for, ink_on
from gpt2course.drawing.matrix import matrix_svg, matrix_text
from gpt2course.drawing.picture import Picture, from_svg
from gpt2course.drawing.tokens import MONO, piece_text

INK, GREY = "#1b1b1b", "#868e96"
BAR, OTHER = "#4dabf7", "#ffa94d"
GROUPS = {"token table": FILLS[0], "position table": FILLS[6], "attention": FILLS[2],
          "MLP": FILLS[1], "norms": FILLS[4], "masks": FILLS[3], "output matrix": FILLS[5],
          "others": FILLS[7]}  # fmt: skip
CORNER = 8  # rows and columns of a tensor that are shown
BINS = 24


# What is in the file ---------------------------------------------------------------------------


def group_of(name: str) -> str:
    """What a tensor of a GPT-2 checkpoint is for, by its name."""
    if name.endswith((".attn.bias", ".attn.masked_bias")):
        return "masks"
    parts = {"wte.": "token table", "wpe.": "position table", ".attn.": "attention",
             ".mlp.": "MLP", "ln_": "norms", "lm_head": "output matrix"}  # fmt: skip
    return next((group for part, group in parts.items() if part in name), "others")


def file_shares(shapes: Mapping[str, Sequence[int]], title: str = "") -> Picture:
    """How many bytes of a checkpoint each kind of tensor takes, as bars.

    Args:
        shapes: of every tensor by its name; a number takes four bytes.
    """
    n_bytes: dict[str, int] = {}
    for name, shape in shapes.items():
        n_bytes[group_of(name)] = n_bytes.get(group_of(name), 0) + 4 * math.prod(shape)
    total, left, unit, high = sum(n_bytes.values()), 120, 400 / max(n_bytes.values()), 28
    parts, told = [_text(left, 16, title, "start", 14, 600)], []
    for i, group in enumerate(g for g in GROUPS if g in n_bytes):
        y, count = 28 + i * high, n_bytes[group]
        share = f"{count / total:.1%}" if count >= total / 1000 else f"{count / total:.2%}"
        said = f"{count / 1e6:,.1f} MB, {share}"
        parts += [
            _text(left - 8, y + 15, group, "end"),
            _box(left, y, max(1.0, count * unit), 21, GROUPS[group]),
            _text(left + count * unit + 8, y + 15, said, "start"),
        ]
        told.append(f"{group} {said}")
    svg = _svg(left + 560, 36 + len(n_bytes) * high, parts)
    return from_svg(svg, f"{title}: " + "; ".join(told) if title else "; ".join(told))


def tensor_card(name: str, tensor: Tensor, in_model: Sequence[int] | None) -> Picture:
    """One tensor of a checkpoint: its shapes, its first numbers, and how they are spread.

    Args:
        in_model: the shape that the model's parameter of this name has; None where it has none.
    """
    flat = tensor.detach().float().flatten()
    ours = f"{tuple(in_model)}" if in_model is not None else "no such parameter"
    lines = [
        f"in the file: {tuple(tensor.shape)}, {flat.numel():,} "
        + ("number" if flat.numel() == 1 else "numbers"),
        f"in the model: {ours}",
        f"mean {flat.mean():z.3f}, deviation {flat.std(correction=0):.3f}, "
        f"from {flat.min():z.3f} to {flat.max():z.3f}",
    ]
    corner = tensor.detach().float()
    while corner.ndim > 2:
        corner = corner[0]
    corner = corner.reshape(1, -1) if corner.ndim < 2 else corner
    R, C = min(CORNER, corner.shape[0]), min(CORNER, corner.shape[1])
    heading = f"the first {R} × {C}"
    corner = corner[:R, :C]
    told = f"{name}\n" + "\n".join(lines) + f"\n{heading}\n{matrix_text(corner)}"
    html = (
        f'<div role="figure" aria-label="{escape(told)}" style="margin:8px 0;line-height:1.6">'
        f'<div style="font-weight:600;font-family:{MONO}">{escape(name)}</div>'
        f"<div>{'<br>'.join(map(escape, lines))}</div>"
        '<div style="display:flex;gap:36px;flex-wrap:wrap;align-items:flex-start;margin-top:6px">'
        f"<div>{matrix_svg(corner, title=heading)}</div><div>{_histogram(flat)}</div></div></div>"
    )
    return Picture(html, told)


def _histogram(values: Tensor) -> str:
    """How many of the numbers lie where, as columns on an axis that is centred at 0."""
    reach = values.abs().max().item() or 1.0
    counts = torch.histc(values, bins=BINS, min=-reach, max=reach)
    high, wide, left = 120, 12, 10
    parts = [_text(left, 13, "how many numbers lie where", "start", 12, 600)]
    for i, share in enumerate((counts / counts.max()).tolist()):
        y = 28 + high * (1 - share)
        parts.append(_box(left + i * wide, y, wide, high * share, BAR))
    base, right = 28 + high, left + BINS * wide
    parts.append(f'<path d="M{left} {base}H{right}" stroke="currentColor"/>')
    for x, value, side in ((left, -reach, "start"), (right, reach, "end")):
        parts.append(_text(x, base + 16, f"{value:.2f}", side, 12))
    parts.append(_text((left + right) / 2, base + 16, "0", size=12))
    return _svg(right + 10, base + 22, parts)


# Turned matrices -------------------------------------------------------------------------------


def four_matrices(shapes: Mapping[str, tuple[int, int]], title: str = "") -> Picture:
    """Matrices to scale, as they lie in the file and as nn.Linear holds them.

    Args:
        shapes: in the file (in, out), by name.
    """
    unit = 130 / max(max(shape) for shape in shapes.values())
    left, ours, y = 160.0, 400.0, 62.0
    parts = [
        _text(0, 16, title, "start", 14, 600),
        _text(left, 46, "in the file (in, out)", "start", weight=600),
        _text(ours, 46, "in nn.Linear (out, in)", "start", weight=600),
        _text(ours + 240, 46, "copied as it is", "start", weight=600),
    ]
    told = []
    for name, (n_in, n_out) in shapes.items():
        fits = n_in == n_out
        tall = max(n_in, n_out) * unit
        middle = y + tall / 2
        parts.append(_text(left - 12, middle + 4, name, "end"))
        for x, rows, columns, fill in (
            (left, n_in, n_out, FILLS[2]),
            (ours, n_out, n_in, FILLS[0]),
        ):
            width, height = columns * unit, rows * unit
            parts.append(_box(x, middle - height / 2, width, height, fill))
            parts.append(_text(x + width + 8, middle + 4, f"{rows} × {columns}", "start", 12))
        said = "fits, and is wrong" if fits else "raises an error"
        parts.append(_text(ours + 240, middle + 4, said, "start", weight=600 if fits else 400))
        told.append(f"{name}: {n_in} × {n_out} in the file, {n_out} × {n_in} in nn.Linear, {said}")
        y += tall + 14
    return from_svg(_svg(ours + 400, y, parts), "; ".join([title, *told] if title else told))


# What the model says ----------------------------------------------------------------------------


def surprise_text(pieces: Sequence[bytes], nll: Sequence[float], title: str = "") -> Picture:
    """A text as boxes of tokens, each coloured by how much it surprised the model.

    Args:
        nll: nats of surprise at each token, of which a number is written under it.
    """
    high = max(nll)
    drawn, told = [], []
    for piece, nats in zip(pieces, nll, strict=True):
        fill = fill_for(nats, 0.0, high)
        drawn.append(
            f'<div style="background:{fill};color:{ink_on(fill)};border-radius:4px;'
            f"padding:1px 5px;text-align:center;font-family:{MONO};font-size:13px;"
            f'line-height:1.45;white-space:pre">{escape(piece_text(piece))}'
            f'<div style="font-size:10px;line-height:1.2">{nats:.1f}</div></div>'
        )
        told.append(f"{piece_text(piece)} {nats:.1f}")
    legend = "nats under each token; dark: expected, yellow: surprising"
    alt = f"{title}, {legend}: " + ", ".join(told)
    return Picture(
        f'<div role="figure" aria-label="{escape(alt)}" style="margin:8px 0;max-width:62em">'
        f'<div style="font-weight:600">{escape(title)}</div>'
        f'<div style="font-size:12px;margin-bottom:4px">{legend}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 3px">{"".join(drawn)}</div></div>',
        alt,
    )


class Load(NamedTuple):
    """What a model does after one way of loading.

    Attributes:
        words, probs: the likeliest next words, the first ones first.
        perplexity: of a text.
        difference: the largest of a logit from what it should be.
    """

    words: Sequence[str]
    probs: Sequence[float]
    perplexity: float
    difference: float


def loads(found: Mapping[str, Load], title: str = "") -> Picture:
    """Several ways of loading one file: perplexity as a bar, and how far the logits are off.

    The axis of the bars begins at perplexity 1, and equal steps on it are equal factors.
    """
    left, high, wide = 260, 30, 300
    top = max(math.log(load.perplexity) for load in found.values()) or 1.0
    columns = (
        (left, "perplexity (equal steps: equal factors)", "start"),
        (left + 480, "logits off by", "end"),
    )
    parts = [_text(0, 16, title, "start", 14, 600)]
    parts += [_text(x, 42, said, side, 12, 600) for x, said, side in columns]
    parts.append(_text(left + 500, 42, "likeliest next word", "start", 12, 600))
    told = []
    for i, (name, load) in enumerate(found.items()):
        y = 50 + i * high
        width = max(1.0, wide * math.log(load.perplexity) / top)
        off, fill = _off_by(load.difference), BAR if load.difference < 1e-3 else OTHER
        parts += [
            _text(left - 10, y + 16, name, "end"),
            _box(left, y, width, 22, fill),
            _text(left + width + 6, y + 16, f"{load.perplexity:,.1f}", "start"),
            _text(left + 480, y + 16, off, "end"),
            _text(left + 500, y + 16, f"{load.words[0]} {load.probs[0]:.0%}", "start"),
        ]
        told.append(
            f"{name}: perplexity {load.perplexity:,.1f}, logits off by {off}, "
            f"likeliest {load.words[0]} {load.probs[0]:.0%}"
        )
    svg = _svg(left + 660, 58 + len(found) * high, parts)
    return from_svg(svg, "\n".join([title, *told] if title else told))


def _off_by(difference: float) -> str:
    return f"{difference:.2f}" if difference >= 0.01 or not difference else f"{difference:.0e}"


def two_lists(after: str, names: tuple[str, str], right: Load, other: Load) -> Picture:
    """The likeliest next words after two ways of loading, side by side.

    A word of the second list that is not in the first has a star.
    """
    step, left, unit, high = 420, 120, 200, 24
    parts = [_text(0, 16, f"after “{after}”", "start", 14, 600)]
    told = [f"after “{after}”"]
    for column, (name, load, fill) in enumerate(
        zip(names, (right, other), (BAR, OTHER), strict=True)
    ):
        x = left + column * step
        said = f"{name}: perplexity {load.perplexity:,.1f}"
        parts.append(_text(column * step + 30, 42, said, "start", 13, 600))
        lines = []
        for i, (word, p) in enumerate(zip(load.words, load.probs, strict=True)):
            y = 52 + i * high
            star = "" if word in right.words else " *"
            parts += [
                _text(x - 8, y + 15, word + star, "end"),
                _box(x, y, max(0.5, p * unit), 19, fill),
                _text(x + p * unit + 7, y + 15, f"{p:.1%}", "start", 12),
            ]
            lines.append(f"{word}{star} {p:.1%}")
        told.append(f"{said}, logits off by {_off_by(load.difference)}: " + ", ".join(lines))
    y = 62 + len(right.words) * high
    said = f"logits off by up to {_off_by(other.difference)}   ·   *: not among the ten on the left"
    parts.append(_text(0, y + 12, said, "start", 12))
    return from_svg(_svg(left + step + 280, y + 20, parts), "\n".join(told))


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="system-ui, sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="currentColor">{escape(text)}</text>'
    )


def _box(x, y, width, height, fill) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}" fill="{fill}" '
        f'stroke="{INK}" stroke-width="0.8"/>'
    )
