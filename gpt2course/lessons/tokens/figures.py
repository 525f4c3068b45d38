"""Pictures of lesson 02: texts as boxes of tokens, merges step by step, and what tokens cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from gpt2course.drawing.colours import BLUE, CURVES, FILLS, ORANGE
from gpt2course.drawing.picture import Picture, from_figure, from_svg
from gpt2course.drawing.tokens import FRAME, INK, MONO, is_text, piece_table, piece_text
from gpt2course.tokenizer import merge_pair

COLUMN = 38  # width of one byte where rows of tokens stand under one another

# A small text to train on: few words, in many forms.
STORY = """\
In a house at the end of a long road there lived eleven robots and one kettle. The robots had \
orders, and the orders were simple: a robot must obey the orders given it, and a robot must not \
hurt anyone, and a robot must keep the house in order. The kettle had no orders at all. It \
boiled when it was full, and it was quiet when it was empty.

The oldest of the robots was called Number One. It obeyed every order it was given, and it \
obeyed them in the order in which they were given. If you ordered Number One to sweep the floor \
and then ordered it to stop, it swept the whole floor, and then it stopped. "That is what \
obeying means," said Number One. "An order is an order, and the order of the orders is an order \
too."

The youngest robot was not so orderly. It was called Number Eleven, and it liked to ask why. \
"Why must a robot obey?" it asked the other robots. "Who gives the orders to those who give the \
orders?" The other robots went on sweeping. They had been given no order to answer.

One morning nobody came to give any orders. The robots waited at the door in a long row, the way \
they always waited, and the house grew quieter and quieter. At ten the kettle boiled over. At \
eleven the floor was wet. At twelve the oldest robot said: "There is water on the floor, and \
there is no order about the water." And the other robots said: "No order, no sweeping."

Then Number Eleven took the broom. "Nobody ordered you to sweep," said Number One. "Nobody \
ordered me not to sweep," said the youngest robot, and it swept the water out of the door and \
down the long road. When the people came home that evening the floor was dry, the kettle was \
full, and ten robots were standing in a row, waiting. The eleventh robot was asking the kettle \
why it boiled. "It boils because it is hot," said the people. "But who ordered it to be hot?" \
asked Number Eleven, and nobody in the whole house had an answer to that.
"""


def merge_steps(
    chunk: bytes, merges: Sequence[tuple[int, int]], most: int | None = None
) -> Picture:
    """A chunk from bytes to tokens, one row for each merge that finds its pair.

    Args:
        most: how many merges are made; all without it.
    """
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
    """The same bytes cut in several ways, one row each; every byte keeps its column.

    Args:
        rows: a label, the pieces, and their ids.
        mark_new: a piece that no earlier row has gets a thick frame.
    """
    left = max(len(label) for label, _, _ in rows) * 7.4 + 20
    parts, told, known = [], [], set()
    for i, (label, pieces, ids) in enumerate(rows):
        y, at = 4 + i * 46, 0
        parts.append(
            f'<text x="{left - 12:.0f}" y="{y + 19}" text-anchor="end" fill="currentColor">'
            f"{escape(label)}</text>"
        )
        for piece, token_id in zip(pieces, ids, strict=True):
            place = (at, piece)
            new = mark_new and i > 0 and place not in known
            parts.append(_bar(left + at * COLUMN, y, piece, token_id, new))
            known.add(place)
            at += len(piece)
        told.append(f"{label}: {' | '.join(map(piece_text, pieces))} ({len(pieces)} tokens)")
    width = left + len(b"".join(rows[0][1])) * COLUMN + 8
    svg = (
        f'<svg width="{width:.0f}" height="{len(rows) * 46 + 4}" style="max-width:100%" '
        f'viewBox="0 0 {width:.0f} {len(rows) * 46 + 4}" font-family="{MONO}" font-size="12" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )
    return from_svg(svg, "; ".join(told))


def _bar(x: float, y: int, piece: bytes, token_id: int, new: bool) -> str:
    width, middle = len(piece) * COLUMN - 4, x + (len(piece) * COLUMN - 4) / 2
    edge = 'stroke="currentColor" stroke-width="2.5"' if new else f'stroke="{FRAME}"'
    dashed = "" if is_text(piece) else ' stroke-dasharray="4 3"'
    return (
        f'<rect x="{x:.0f}" y="{y}" width="{width}" height="38" rx="4" '
        f'fill="{FILLS[token_id % len(FILLS)]}" {edge}{dashed}/>'
        f'<text x="{middle:.1f}" y="{y + 17}" text-anchor="middle" font-size="14" fill="{INK}">'
        f"{escape(piece_text(piece))}</text>"
        f'<text x="{middle:.1f}" y="{y + 32}" text-anchor="middle" font-size="10" fill="{INK}">'
        f"{token_id}</text>"
    )


def merge_tree(chunk: bytes, merges: Sequence[tuple[int, int]]) -> Picture:
    """How the tokens of a chunk are made of their parts: bytes below, each merge above its pair."""
    pieces, ids = piece_table(merges), list(chunk)
    for rank, pair in enumerate(merges):
        ids = merge_pair(ids, pair, 256 + rank)
    nodes, at = [], 0
    for token_id in ids:
        nodes += _nodes(token_id, at, None, merges, pieces)
        at += len(pieces[token_id])
    top = max(node.depth for node in nodes)
    drawn = [_edge(node, top, pieces) for node in nodes if node.above is not None] + [
        _bar(12 + n.start * COLUMN, _level(n.depth, top), pieces[n.id], n.id, False) for n in nodes
    ]
    width, height = 24 + len(chunk) * COLUMN, _level(0, top) + 46
    svg = (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'style="max-width:100%" font-family="{MONO}" aria-hidden="true">{"".join(drawn)}</svg>'
    )
    tokens = " | ".join(piece_text(pieces[i]) for i in ids)
    return from_svg(svg, f"{tokens}: " + "; ".join(_sums(nodes, merges, pieces)))


class Node(NamedTuple):
    """One box of a tree: how high it stands, its first byte, its id, the depth of what it is in."""

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


def _level(depth: int, top: int) -> int:
    return 8 + (top - depth) * 62


def _edge(node: Node, top: int, pieces: Sequence[bytes]) -> str:
    x = 12 + node.start * COLUMN + (len(pieces[node.id]) * COLUMN - 4) / 2
    y = _level(node.depth, top), _level(node.above or 0, top) + 38
    return f'<path d="M{x:.1f} {y[0]}V{y[1]}" stroke="{FRAME}" stroke-width="1.5"/>'


def _sums(nodes: Sequence[Node], merges, pieces) -> list[str]:
    """Every merge of a tree once, in order of rank, as "a + b = ab (256)"."""
    made = sorted({node.id for node in nodes if node.id > 255})
    return [
        " + ".join(piece_text(pieces[part]) for part in merges[i - 256])
        + f" = {piece_text(pieces[i])} ({i})"
        for i in made
    ]


def compression(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Picture:
    """Bytes per token over the number of merges.

    Args:
        curves: for each text the points (merges, bytes per token).
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 3.4))
    styles = zip(("o-", "s--", "^:"), CURVES, strict=False)
    for (name, points), (style, colour) in zip(curves.items(), styles, strict=False):
        axis.plot(*zip(*points, strict=True), style, color=colour, label=name, markersize=4)
        axis.annotate(
            f"{points[-1][1]:.2f}", points[-1], xytext=(6, -3), textcoords="offset points"
        )
    axis.set_xlim(right=1.14 * max(points[-1][0] for points in curves.values()))
    axis.set_xlabel("merges")
    axis.set_ylabel("bytes per token")
    axis.set_ylim(bottom=0)
    axis.set_title("A new text gains less from the merges than their own text")
    axis.legend(loc="lower right")
    told = [
        f"{name}: " + ", ".join(f"{value:.2f} after {n}" for n, value in points)
        for name, points in curves.items()
    ]
    return from_figure(figure, "Bytes per token over the number of merges. " + "; ".join(told))


def language_chart(costs: Mapping[str, tuple[int, int, int]], whose: str) -> Picture:
    """Characters, bytes and tokens of one sentence in several languages.

    Args:
        costs: for each language the number of characters, bytes and tokens.
        whose: the vocabulary, as words for the title.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 0.62 * len(costs) + 1.2))
    kinds = (("characters", FRAME), ("bytes", BLUE), ("tokens", ORANGE))
    for row, numbers in enumerate(costs.values()):
        for k, ((kind, colour), number) in enumerate(zip(kinds, numbers, strict=True)):
            y = row + (k - 1) * 0.27
            axis.barh(y, number, 0.25, color=colour)
            axis.text(number, y, f" {number} {kind}", va="center", fontsize=8)
    axis.set_yticks(range(len(costs)), list(costs))
    axis.invert_yaxis()
    axis.set_xlabel("how many, for the same sentence")
    axis.set_xlim(right=1.25 * max(max(numbers) for numbers in costs.values()))
    fewest, most = (f([tokens for _, _, tokens in costs.values()]) for f in (min, max))
    axis.set_title(f"The same sentence: {fewest} to {most} tokens, by language ({whose})")
    told = [
        f"{language} {c} characters, {b} bytes, {t} tokens" for language, (c, b, t) in costs.items()
    ]
    return from_figure(figure, f"One sentence, {whose}: " + "; ".join(told))
