"""Pictures of the Explorer: a text as tokens, and the likeliest next ones as bars in a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from gpt2course.figures.colours import FILLS
from gpt2course.figures.picture import Picture
from gpt2course.figures.tokens import INK, MONO, boxes, piece_text

BAR = 260  # pixels of a bar that stands for 100 %
SHOWN = 80  # tokens of a long text that are drawn, the last ones
CELL = "padding:2px 10px;text-align:{};border:0;background:none;color:inherit"


class Candidate(NamedTuple):
    """A token that may come next: its id, its bytes, its probability."""

    token_id: int
    piece: bytes
    prob: float


def percent(prob: float) -> str:
    """A probability as it is written beside its bar.

    >>> percent(0.97), percent(0.00004), percent(0.99998), percent(1.0)
    ('97.0 %', '< 0.1 %', '> 99.9 %', '100 %')
    """
    if 0 < prob < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= prob < 1:
        return "> 99.9 %"
    return f"{prob:.1%}".replace("100.0%", "100%").replace("%", " %")


def text_so_far(pieces: Sequence[bytes], probs: Sequence[float | None]) -> Picture:
    """The tokens of a text as boxes; under each the probability that it had when it was chosen.

    Args:
        probs: None for a token that was given at the start.
    """
    below = ["given" if prob is None else percent(prob) for prob in probs]
    colours = [0 if prob is None else 2 for prob in probs]
    left_out = max(0, len(pieces) - SHOWN)
    drawn = boxes(pieces[left_out:], below[left_out:], colours[left_out:])
    if not left_out:
        return drawn
    said = f"… {left_out} tokens before these"
    return Picture(f"<div>{said}</div>{drawn.html}", f"{said}: {drawn.alt}")


def next_tokens(candidates: Sequence[Candidate], heading: str) -> Picture:
    """A table of the likeliest next tokens: rank, token, id, probability as a bar and a number.

    Args:
        candidates: the likeliest first; what they leave of the probability is the last row.
        heading: the table's caption.
    """
    rows = [_row(str(rank), *c) for rank, c in enumerate(candidates, 1)]
    told = [f"{piece_text(c.piece)} (id {c.token_id}) {percent(c.prob)}" for c in candidates]
    rest = rest_of(candidates)
    if rest:
        rows.append(_row("", None, None, rest))
        told.append(f"all others together {percent(rest)}")
    head = "".join(
        f'<th scope="col" style="{CELL.format(side)}">{name}</th>'
        for name, side in (
            ("", "right"),
            ("token", "left"),
            ("id", "right"),
            ("probability", "left"),
        )
    )
    html = (
        '<table style="border-collapse:collapse;margin:6px 0;font-size:13px">'
        f'<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit">'
        f"{escape(heading)}</caption><tr>{head}</tr>{''.join(rows)}</table>"
    )
    return Picture(html, f"{heading}: " + "; ".join(told))


def rest_of(candidates: Sequence[Candidate]) -> float:
    """What the candidates leave of the probability; 0 where that is rounding."""
    rest = 1 - sum(c.prob for c in candidates)
    return rest if rest > 1e-4 else 0.0


def bar(prob: float, height: int = 22) -> str:
    """A probability as a bar with its number, in HTML; height is that of the line, in pixels."""
    return (
        f'<div style="display:flex;align-items:center;gap:8px;height:{height}px;line-height:1">'
        f'<div style="width:{prob * BAR:.1f}px;min-width:1px;height:16px;background:#1c7ed6"></div>'
        f'<div style="white-space:nowrap">{percent(prob)}</div></div>'
    )


def _row(rank: str, token_id: int | None, piece: bytes | None, prob: float) -> str:
    token = "all others" if piece is None else _box(piece)
    number = "" if token_id is None else f"{token_id}"
    cells = ((rank, "right"), (token, "left"), (number, "right"), (bar(prob), "left"))
    drawn = "".join(f'<td style="{CELL.format(side)}">{inside}</td>' for inside, side in cells)
    return f"<tr>{drawn}</tr>"


def _box(piece: bytes) -> str:
    return (
        f'<span style="background:{FILLS[2]};color:{INK};border-radius:4px;padding:1px 6px;'
        f'font-family:{MONO};white-space:pre">{escape(piece_text(piece))}</span>'
    )


def explorer_picture(
    pieces: Sequence[bytes],
    probs: Sequence[float | None],
    candidates: Sequence[Candidate],
    heading: str,
) -> Picture:
    """The text so far above the table of what may come next."""
    text, table = text_so_far(pieces, probs), next_tokens(candidates, heading)
    return Picture(text.html + table.html, f"text so far: {text.alt}\n{table.alt}")
