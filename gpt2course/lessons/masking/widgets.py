"""The mask that can be switched: what it does to the weights and to the two losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import torch
from torch import Tensor

from gpt2course.drawing.matrix import matrix_svg, matrix_text
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def mask_switch(
    variants: Mapping[str, Attention],
    q: Tensor,
    k: Tensor,
    words: Sequence[str],
    losses: Mapping[str, tuple[float, float]],
    floor: float,
) -> Playable:
    """A switch over the variants of masking; the weights and the two losses follow.

    Args:
        variants: functions (q, k, v) -> y by name.
        q, k: queries and keys (T, hs) of the words.
        losses: usual and honest loss (nats per token) that a model trained with the variant has.
        floor: the least loss possible without reading the future.
    """

    def draw(variant: str) -> Picture:
        weights = weights_of(variants[variant], q, k)
        return _picture(variant, weights, words, losses[variant], floor)

    wide = {"button_width": "170px", "description_width": "60px"}
    switch = ipywidgets.ToggleButtons(options=list(variants), description="mask:", style=wide)
    return playable(draw, variant=switch)


def weights_of(attend: Attention, q: Tensor, k: Tensor) -> Tensor:
    """The weights (T, S) of any attention function: y, with the identity as values.

    The identity has S columns; it is handed over hs columns at a time, as wide as real values are.
    """
    S, hs = k.shape
    one_hot = torch.eye(S, -(-S // hs) * hs, dtype=q.dtype)  # zeros fill up the last hs columns
    return torch.cat([attend(q, k, v) for v in one_hot.split(hs, dim=-1)], dim=-1)[:, :S]


def _picture(variant: str, weights: Tensor, words: Sequence[str], losses, floor: float) -> Picture:
    T = len(words)
    future = torch.ones(T, T, dtype=torch.bool).triu(1) & (weights > 1e-6)
    leak = float((weights * future).sum() / T)
    sums = ", ".join(f"{s:.2f}" for s in weights.sum(-1).tolist())
    said = [
        f"{leak:.0%} of all attention goes to the future (red frames)"
        if leak
        else "no attention goes to the future",
        f"the rows sum to {sums}",
    ]
    html = (
        '<div style="display:flex;gap:40px;flex-wrap:wrap;margin:8px 0;line-height:1.6"><div>'
        + matrix_svg(weights, words, words, f"weights, {variant}", future, scale=(0.0, 1.0))
        + f"</div><div>{_bars(losses, floor)}<div>{'<br>'.join(said)}</div></div></div>"
    )
    usual, honest = losses
    alt = (
        f"mask: {variant}\n{matrix_text(weights, words, words)}\n{'; '.join(said)}\n"
        f"usual loss {usual:.2f}, honest loss {honest:.2f}, floor {floor:.2f} nats per token"
    )
    return Picture(html, alt)


def _bars(losses: tuple[float, float], floor: float) -> str:
    """Two bars on an axis from 0 to four times the floor."""
    scale = 330 / (4 * floor)
    parts = []
    for i, (name, value, fill) in enumerate(
        zip(("usual", "honest"), losses, ("#4dabf7", "#ffa94d"), strict=True)
    ):
        y, width = 26 + i * 34, min(value * scale, 330)
        beyond = ", longer than the axis" if value * scale > 330 else ""
        parts.append(
            f'<text x="56" y="{y + 17}" text-anchor="end" fill="currentColor">{name}</text>'
            f'<rect x="62" y="{y}" width="{width:.1f}" height="24" fill="{fill}"/>'
            f'<text x="{68 + width:.1f}" y="{y + 17}" fill="currentColor">'
            f"{value:.2f}{beyond}</text>"
        )
    x = 62 + floor * scale
    parts.append(
        f'<path d="M{x:.1f} 20V96" stroke="currentColor" stroke-dasharray="4 3"/>'
        f'<text x="{x:.1f}" y="14" text-anchor="middle" fill="currentColor">'
        f"floor {floor:.2f}</text>"
    )
    return (
        '<svg width="570" height="100" font-family="system-ui, sans-serif" font-size="13" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
        '<div style="font-size:12px">nats per token, of the model trained with this mask</div>'
    )
