"""Tokens as boxes, and the pieces of text that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gpt2course.drawing.colours import FILLS, GREY, INK, NEW, PAGE, READ
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import MONO, Drawing

SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}


def piece_table(merges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of every id: 256 bytes, then one piece for each merge."""
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return pieces


def piece_text(piece: bytes) -> str:
    """A piece as it can be drawn: spaces as signs, bytes that are no whole character as hex."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return piece.hex(" ")
    return "".join(SIGNS.get(c, c if c.isprintable() else f"U+{ord(c):04X}") for c in text)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 token, 2 tokens."""
    return f"{number} {noun}{'s' * (number != 1)}"


def is_text(piece: bytes) -> bool:
    """Whether the piece consists of whole characters."""
    return "\ufffd" not in piece.decode(errors="replace") or piece == "\ufffd".encode()


def token_boxes(
    ids: Sequence[int], merges: Sequence[tuple[int, int]] = (), title: str = "", most: int = 400
) -> Picture:
    """Tokens as boxes in a line that wraps: the piece of text, and its id under it.

    Args:
        ids: the tokens, as `encode_chunk` numbers them.
        merges: what made them.
        most: how many are drawn.
    """
    pieces = piece_table(merges)
    return boxes([pieces[i] for i in ids], [str(i) for i in ids], ids, title, most)


def boxes(
    pieces: Sequence[bytes], below: Sequence[str] = (), colours: Sequence[int | str] = (),
    title: str = "", most: int = 400,
) -> Picture:  # fmt: skip
    """Pieces of text as boxes in a line that wraps, with a small text under each.

    Args:
        below: a text under each piece; nothing without it.
        colours: a fill for each piece, or a number; equal numbers have equal fills. By place
            without it.
    """
    below, colours = below or [""] * len(pieces), colours or range(len(pieces))
    drawn = "".join(map(_box, pieces[:most], below, colours))
    told = " ".join(
        piece_text(p) + (f" ({b})" if b else "") for p, b in zip(pieces, below, strict=True)
    )
    left = f"<div>… and {len(pieces) - most:,} more</div>" if len(pieces) > most else ""
    heading = f'<div style="font-weight:600;margin-bottom:4px">{escape(title)}</div>' * bool(title)
    row = f'<div style="display:flex;flex-wrap:wrap;gap:4px 3px">{drawn}</div>'
    alt = f"{title}: {told}" if title else told
    return Picture(
        f'<div role="figure" aria-label="{escape(alt)}" style="margin:8px 0;max-width:62em">'
        f"{heading}{row}{left}</div>",
        alt,
    )


def _box(piece: bytes, below: str, colour: int | str) -> str:
    frame = f"1px solid {GREY}" if is_text(piece) else f"2px dashed {INK}"
    fill = colour if isinstance(colour, str) else FILLS[colour % len(FILLS)]
    return chip(piece, below, fill, INK, f";border:{frame}")


def chip(piece: bytes, below: str, fill: str, ink: str, more: str = "") -> str:
    """One piece of text as a filled box, with a small text under it, in HTML."""
    small = f'<div style="font-size:12px;line-height:1.2">{escape(below)}</div>' if below else ""
    return (
        f'<div style="background:{fill};color:{ink}{more};'
        f"border-radius:4px;padding:1px 5px;text-align:center;font-family:{MONO};font-size:13px;"
        f'line-height:1.45;white-space:pre">{escape(piece_text(piece))}{small}</div>'
    )


# How a word of a row looks: read, a target, to be predicted or new, out of view, as it is.
LOOKS = {
    "read": {"fill": READ},
    "target": {"fill": NEW},
    "new": {"fill": NEW, "edge": PAGE, "thick": 3},
    "gone": {"edge": GREY, "dash": "4 4"},
    "": {},
}


def word_width(words: Sequence[str]) -> float:
    """How wide the boxes of these words are, all alike."""
    return max(map(len, words)) * 9 + 22


def word_row(
    drawn: Drawing, words: Sequence[str], looks: Sequence[str], y: float, width: float,
    first: int = 0, high: float = 30, gap: float = 6,
) -> None:  # fmt: skip
    """Words as boxes in a row, every place in a column of its own.

    Args:
        looks: one of LOOKS for each word.
        first: the column of the first word.
    """
    for j, (word, look) in enumerate(zip(words, looks, strict=True), first):
        drawn.box(j * (width + gap), y, width, high, word, rx=5, size=14, **LOOKS[look])
