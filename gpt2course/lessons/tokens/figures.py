"""Pictures of lesson 02: bytes of characters, merges step by step, and what tokens cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BAR, FILLS, GREY, INK, OTHER_BAR, PAGE, READ
from gpt2course.drawing.curves import Axis, plot
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing
from gpt2course.drawing.tokens import counted, is_text, piece_table, piece_text
from gpt2course.tokenizer import merge_pair

COLUMN = 38  # width of one byte where rows of tokens stand under one another

# A small text to train on: few words, in many forms.
STORY = (Path(__file__).parent / "story.txt").read_text(encoding="utf-8")


def merge_steps(
    chunk: bytes, merges: Sequence[tuple[int, int]], most: int | None = None
) -> Picture:
    """A chunk from bytes to tokens, one row for each merge that finds its pair."""
    pieces, ids = piece_table(merges), list(chunk)
    rows = [("bytes", ids)]
    for rank, pair in enumerate(merges[:most]):
        merged = merge_pair(ids, pair, 256 + rank)
        if merged != ids:
            ids = merged
            parts = " + ".join(piece_text(pieces[i]) for i in pair)
            rows.append((f"merge {rank}: {parts}", ids))
    return cuts([(label, [pieces[i] for i in row], row) for label, row in rows], mark_new=True)


def cuts(
    rows: Sequence[tuple[str, Sequence[bytes], Sequence[int]]], mark_new: bool = False
) -> Picture:
    """The same bytes cut in several ways, one row (label, pieces, ids) each, in common columns.

    `mark_new` gives a thick frame to a piece that no earlier row has.
    """
    drawn, told, known = Drawing(), [], set()
    for i, (label, pieces, ids) in enumerate(rows):
        y, at = i * 46, 0
        drawn.text(-12, y + 23, label, "end", 12, mono=True)
        for piece, token_id in zip(pieces, ids, strict=True):
            new = mark_new and i > 0 and (at, piece) not in known
            _piece(drawn, at * COLUMN, y, piece, token_id, new)
            known.add((at, piece))
            at += len(piece)
        told.append(
            f"{label}: {' | '.join(map(piece_text, pieces))} ({counted(len(pieces), 'token')})"
        )
    return drawn.picture("; ".join(told))


def _piece(
    drawn: Drawing, x: float, y: float, piece: bytes, token_id: int, new: bool = False
) -> None:
    width, fill = len(piece) * COLUMN - 4, FILLS[token_id % len(FILLS)]
    look = {"edge": PAGE, "thick": 2.5} if new else {"edge": GREY}
    drawn.rect(x, y, width, 38, fill, dash="" if is_text(piece) else "4 3", rx=4, **look)
    drawn.text(x + width / 2, y + 17, piece_text(piece), "middle", 14, fill=INK, mono=True)
    drawn.text(x + width / 2, y + 32, str(token_id), "middle", 12, fill=INK, mono=True)


def merge_tree(chunk: bytes, merges: Sequence[tuple[int, int]]) -> Picture:
    """How the tokens of a chunk are made of their parts: bytes below, each merge above its pair."""
    pieces, ids = piece_table(merges), list(chunk)
    for rank, pair in enumerate(merges):
        ids = merge_pair(ids, pair, 256 + rank)
    nodes, at = [], 0
    for token_id in ids:
        nodes += _nodes(token_id, at, None, merges, pieces)
        at += len(pieces[token_id])
    drawn, top = Drawing(), max(node.depth for node in nodes)
    for node in nodes:
        if node.above is not None:
            x = node.start * COLUMN + (len(pieces[node.id]) * COLUMN - 4) / 2
            drawn.line((x, 62 * (top - node.depth)), (x, 62 * (top - node.above) + 38))
    for node in nodes:
        y = 62 * (top - node.depth)
        _piece(drawn, node.start * COLUMN, y, pieces[node.id], node.id)
    sums = [
        " + ".join(piece_text(pieces[part]) for part in merges[i - 256])
        + f" = {piece_text(pieces[i])} ({i})"
        for i in sorted({node.id for node in nodes if node.id > 255})
    ]
    tokens = " | ".join(piece_text(pieces[i]) for i in ids)
    return drawn.picture(f"{tokens}: " + "; ".join(sums))


class Node(NamedTuple):
    """One box of a tree: its depth, its first byte, its id, the depth of what it is in."""

    depth: int
    start: int
    id: int
    above: int | None


def _nodes(token_id: int, start: int, above: int | None, merges, pieces) -> list[Node]:
    """A token and all its parts."""
    depth = _depth(token_id, merges)
    found = [Node(depth, start, token_id, above)]
    if token_id > 255:
        left, right = merges[token_id - 256]
        found += _nodes(left, start, depth, merges, pieces)
        found += _nodes(right, start + len(pieces[left]), depth, merges, pieces)
    return found


def _depth(token_id: int, merges) -> int:
    return 0 if token_id < 256 else 1 + max(_depth(i, merges) for i in merges[token_id - 256])


def compression(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Picture:
    """Bytes per token over the number of merges, for each text."""
    title = "A new text gains less from the merges than their own text"
    drawn = plot(curves, Axis("merges"), Axis("bytes per token"), title, marks=True)
    told = [
        f"{name}: " + ", ".join(f"{value:.2f} after {n}" for n, value in points)
        for name, points in curves.items()
    ]
    return drawn.picture("Bytes per token over the number of merges. " + "; ".join(told))


def language_chart(costs: Mapping[str, tuple[int, int, int]], whose: str) -> Picture:
    """Characters, bytes and tokens of one sentence in several languages, by some vocabulary."""
    kinds = (("character", GREY), ("byte", BAR), ("token", OTHER_BAR))
    rows = [
        Bar(language if kind == "byte" else "", number, counted(number, kind), fill)
        for language, numbers in costs.items()
        for (kind, fill), number in zip(kinds, numbers, strict=True)
    ]
    fewest, most = (f([tokens for _, _, tokens in costs.values()]) for f in (min, max))
    title = f"The same sentence: {fewest} to {most} tokens, by language ({whose})"
    told = [
        f"{language} {counted(c, 'character')}, {counted(b, 'byte')}, {counted(t, 'token')}"
        for language, (c, b, t) in costs.items()
    ]
    drawn = bars(rows, title, length=460, high=17, together=3)
    return drawn.picture(f"One sentence, {whose}: " + "; ".join(told))


def bytes_under(text: str) -> Picture:
    """The characters of a text, and under each the bytes that UTF-8 stores it as."""
    drawn, at, told = Drawing(), 0, []
    for character in text:
        stored = list(character.encode())
        width, x = len(stored) * COLUMN - 4, at * COLUMN
        drawn.box(x, 0, width, 36, character, READ, 17, rx=5)
        for i, byte in enumerate(stored):
            left = x + i * COLUMN
            middle = left + (COLUMN - 4) / 2
            drawn.line((x + width / 2, 36), (middle, 54))
            drawn.box(left, 54, COLUMN - 4, 28, str(byte), "none", 12, mono=True, rx=4)
        at += len(stored)
        told.append(f"{character} {' '.join(map(str, stored))}")
    drawn.head("", f"{counted(len(text), 'character')}, {counted(at, 'byte')}")
    return drawn.picture("; ".join(told))
