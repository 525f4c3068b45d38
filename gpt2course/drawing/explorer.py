"""Pictures of the Explorer: a text as tokens, and the likeliest next ones as bars in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from gpt2course.drawing.colours import FILLS, INK, NEW, READ, SHARE
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import MONO
from gpt2course.drawing.tables import table
from gpt2course.drawing.tokens import boxes, piece_text
from gpt2course.sampling import Sampling, next_scores

BAR = 260  # pixels of a bar that stands for 100 %
SHOWN = 128  # tokens of a long text that are drawn, the last ones
LONG = 40  # a text of more tokens scrolls in a box of its own


class Candidate(NamedTuple):
    """A token that may come next: its id, its bytes, its probability.

    Attributes:
        prob: with which it is drawn; 0 where it is cut off.
        own: the model's own probability, where temperature or top-k make another one of it.
        cut: whether top-k, or temperature 0, takes it out.
    """

    token_id: int
    piece: bytes
    prob: float
    own: float | None = None
    cut: bool = False


def drawn_with(
    logits: Float[Tensor, " V"], temperature: float = 1.0, top_k: int | None = None,
    top_p: float = 1.0,
) -> tuple[Float[Tensor, " V"], Bool[Tensor, " V"]]:  # fmt: skip
    """The probability that every token is drawn with, and which tokens may be drawn.

    What a small temperature rounds to 0 is not cut off by that. top_p 0 keeps one token.
    """
    sampling = Sampling(temperature, top_k, max(top_p, 1e-9))
    scores = next_scores(logits[None], sampling)[0]
    return scores.softmax(dim=-1), scores > -math.inf


def chance(prob: float, own: float | None = None, cut: bool = False) -> str:
    """A probability, and what it was before temperature and top-k.

    >>> chance(0.8, 0.6667), chance(0.0, 0.3333, cut=True)
    ('80.0 %, was 66.7 %', 'cut off, was 33.3 %')
    """
    now = "cut off" if cut else percent(prob)
    return now if own is None else f"{now}, was {percent(own)}"


def text_so_far(
    pieces: Sequence[bytes], probs: Sequence[float | None], ids: Sequence[int] = ()
) -> Picture:
    """The tokens of a text as boxes; under each its id, and the probability that it was chosen by.

    Args:
        probs: None for a token that was given at the start.
        ids: left out without it.
    """
    below = ["given" if prob is None else percent(prob) for prob in probs]
    if ids:
        below = [f"id {i}\n{said}" for i, said in zip(ids, below, strict=True)]
    return _tokens(pieces, below, [READ if prob is None else NEW for prob in probs])


def read_as(pieces: Sequence[bytes], ids: Sequence[int]) -> Picture:
    """The tokens that another tokenizer makes of the text, with their ids."""
    drawn = _tokens(pieces, [f"id {i}" for i in ids], [FILLS[3]] * len(ids))
    said = f"its own tokenizer makes {len(ids)} token{'s' * (len(ids) != 1)} of the text"
    return Picture(f"<div>{said}:</div>{drawn.html}", f"{said}: {drawn.alt}")


def _tokens(pieces: Sequence[bytes], below: Sequence[str], fills: Sequence[str]) -> Picture:
    """The last tokens as boxes; a long text lies in a box that shows its end and scrolls."""
    left_out = max(0, len(pieces) - SHOWN)
    drawn = boxes(pieces[left_out:], below[left_out:], fills[left_out:])
    alt = drawn.alt.replace("\n", ", ")
    html = drawn.html.replace(escape(drawn.alt), escape(alt))
    if left_out:
        said = f"… {left_out} tokens before these"
        html, alt = f"<div>{said}</div>{html}", f"{said}: {alt}"
    if len(pieces) > LONG:  # a reversed column begins at its end
        html = (
            '<div tabindex="0" role="region" aria-label="text so far, scrolls" '
            'style="display:flex;flex-direction:column-reverse;max-height:260px;overflow:auto">'
            f"<div>{html}</div></div>"
        )
    return Picture(html, alt)


def text_table(
    pieces: Sequence[bytes], probs: Sequence[float | None], ids: Sequence[int]
) -> Picture:
    """The tokens of a text as a table: place, token, id, and the probability it was chosen by."""
    said = ["given" if prob is None else percent(prob) for prob in probs]
    found = list(zip(pieces, ids, said, strict=True))
    heads = (("place", "right"), ("token", "left"), ("id", "right"), ("how it came", "left"))
    rows = [(f"{at}", _box(piece), f"{i}", how) for at, (piece, i, how) in enumerate(found)]
    told = [f"{at} {piece_text(piece)} (id {i}) {how}" for at, (piece, i, how) in enumerate(found)]
    scrolls = "table of the text" if len(rows) > LONG else ""
    html = table("the text so far", heads, rows, scrolls=scrolls)
    return Picture(html, "the text so far: " + "; ".join(told))


def next_tokens(candidates: Sequence[Candidate], heading: str, full: int = BAR) -> Picture:
    """A table of the likeliest next tokens: rank, token, id, probability as a bar and a number.

    Args:
        candidates: the likeliest first; what they leave of the probability is the last row.
        heading: the table's caption.
        full: pixels of a bar that stands for 100 %.
    """
    rows, told = [], []
    for rank, (token_id, piece, prob, own, cut) in enumerate(candidates, 1):
        drawn = bar(prob, own=own, cut=cut, full=full)
        rows.append((f"{rank}", _box(piece, cut), f"{token_id}", drawn))
        told.append(f"{piece_text(piece)} (id {token_id}) {chance(prob, own, cut)}")
    rest, own_rest = rest_of(candidates), own_rest_of(candidates)
    if rest or own_rest:
        rows.append(("", "all others", "", bar(rest, own=own_rest, full=full)))
        told.append(f"all others together {chance(rest, own_rest)}")
    heads = (("rank", "right"), ("token", "left"), ("id", "right"), ("probability", "left"))
    return Picture(table(heading, heads, rows), f"{heading}: " + "; ".join(told))


def rest_of(candidates: Sequence[Candidate]) -> float:
    """What the candidates leave of the probability; 0 where that is rounding."""
    rest = 1 - sum(c.prob for c in candidates)
    return rest if rest > 1e-4 else 0.0


def own_rest_of(candidates: Sequence[Candidate]) -> float | None:
    """What they leave of the model's own; None where it is what is drawn by."""
    if not candidates or candidates[0].own is None:
        return None
    return rest_of([c._replace(prob=c.own) for c in candidates])


def bar(
    prob: float, height: int = 22, own: float | None = None, cut: bool = False, full: int = BAR,
    said: str = "",
) -> str:  # fmt: skip
    """A probability as a bar with its number, in HTML; a dashed frame shows the model's own.

    Args:
        height: of the line, in pixels.
        own, cut: as a Candidate has them.
        full: pixels of a bar that stands for 100 %.
        said: what is written behind it; the probability, and what it was, without it.
    """
    filled = f'<div style="width:{prob * full:.1f}px;min-width:1px;height:16px;background:{SHARE}">'
    drawn = f"{filled}</div>"
    if own is not None:
        frame = (
            f'<div style="position:absolute;left:0;top:0;box-sizing:border-box;height:16px;'
            f'width:{own * full:.1f}px;border:1.5px dashed currentColor"></div>'
        )
        drawn = (
            f'<div style="position:relative;width:{max(prob, own) * full:.1f}px;height:16px">'
            f"{drawn}{frame}</div>"
        )
    return (
        f'<div style="display:flex;align-items:center;gap:8px;height:{height}px;line-height:1">'
        f'{drawn}<div style="white-space:nowrap">{said or chance(prob, own, cut)}</div></div>'
    )


def _box(piece: bytes, cut: bool = False) -> str:
    struck = ";text-decoration:line-through" if cut else ""
    return (
        f'<span style="background:{READ};color:{INK};border-radius:4px;padding:1px 6px;'
        f'font-family:{MONO};white-space:pre{struck}">{escape(piece_text(piece))}</span>'
    )


def explorer_picture(
    pieces: Sequence[bytes], probs: Sequence[float | None], candidates: Sequence[Candidate],
    heading: str, ids: Sequence[int] = (),
) -> Picture:  # fmt: skip
    """The text so far above the table of what may come next."""
    text, table = text_so_far(pieces, probs, ids), next_tokens(candidates, heading)
    return Picture(text.html + table.html, f"text so far: {text.alt}\n{table.alt}")
