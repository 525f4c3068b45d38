"""The merge slider: a text falls into tokens, fewer and longer ones with every merge."""

from collections.abc import Sequence
from html import escape

import ipywidgets

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tokens import counted, piece_table, piece_text, token_boxes
from gpt2course.drawing.twin import Playable, named, playable, slider
from gpt2course.tokenizer import GPT2_PATTERN, apply_merges, split_text

Merges = Sequence[tuple[int, int]]


def merge_slider(
    merges: Merges, text: str, n_merges: int | None = None, pattern: str = GPT2_PATTERN
) -> Playable:
    """A text to type and a slider over the merges; the tokens, their ids and number follow."""

    def draw(text: str, n_merges: int) -> Picture:
        return tokens_after(text, merges, n_merges, pattern)

    start = len(merges) if n_merges is None else n_merges
    field = ipywidgets.Text(text, **named("text:"))
    return playable(draw, text=field, n_merges=slider("merges:", start, 0, len(merges)))


def tokens_after(text: str, merges: Merges, n_merges: int, pattern: str = GPT2_PATTERN) -> Picture:
    """The tokens of a text with the first n_merges merges, and how many there are."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges[:n_merges])}
    ids = [i for chunk in split_text(whole, pattern) for i in apply_merges(list(chunk), new_ids)]
    n_bytes = len(whole.encode())
    cut = f"{counted(n_bytes, 'byte')} in {counted(len(ids), 'token')}"
    said = f"{counted(n_merges, 'merge')}: {cut}"
    if ids:
        said += f", {n_bytes / len(ids):.2f} bytes per token"
    drawn = token_boxes(ids, merges)
    last = _last_merge(merges, n_merges)
    return Picture(
        f"{drawn.html}<div>{escape(said)}</div>"
        f'<div style="opacity:.8">{escape(last)}</div>'
        '<div style="opacity:.8">␣ is a space; a dashed box holds bytes, written in hex, that are '
        "no whole character</div>",
        f"{said}. {last}. {drawn.alt}",
    )


def _last_merge(merges: Merges, n_merges: int) -> str:
    if n_merges == 0:
        return "no merge yet: every byte is a token"
    pieces = piece_table(merges[:n_merges])
    left, right = merges[n_merges - 1]
    parts = f"{piece_text(pieces[left])} + {piece_text(pieces[right])}"
    return f"the last merge made {255 + n_merges}: {parts} = {piece_text(pieces[-1])}"
