"""Pictures of lesson 07: columns cut into heads, and what each head reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from jaxtyping import Float, Shaped
from torch import Tensor

from gpt2course.drawing.colours import BLUE, FILLS, GREEN, ORANGE, fill_for, ink_on
from gpt2course.drawing.matrix import entry_text, matrix_text, value_range
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK = "#1b1b1b"
WIDE, HIGH = 34, 26  # one block, in pixels
PART_FILLS = FILLS[2:5]  # q, k and v; the first two fills are those of head 0 and head 1
LETTER = 7.6  # width of one letter of a word beside a row


def cut_in_three(
    qkv: Float[Tensor, "T D"], words: Sequence[str], names: Sequence[str] = ("q", "k", "v")
) -> Picture:
    """What c_attn gives: one wide matrix, with a band over the columns of q, of k and of v."""
    T, D = qkv.shape
    C, low, high = D // 3, *value_range(qkv)
    left, top, gap = _label_width(words), 44, 10
    parts = []
    for i, name in enumerate(names):
        band = left + i * (C * WIDE + gap)
        parts.append(_box(band, 2, C * WIDE, 20, PART_FILLS[i]))
        said = f"{name}: columns {i * C} to {(i + 1) * C - 1}"
        parts.append(_text(band + C * WIDE / 2, 16, said, weight=600, fill=INK))
    places = [left + c * WIDE + c // C * gap for c in range(D)]
    for c, x in enumerate(places):
        parts.append(_text(x + WIDE / 2, 38, str(c), size=11))
    for t, word in enumerate(words):
        y = top + t * HIGH
        parts.append(_text(left - 8, y + 0.68 * HIGH, word, "end"))
        for number, x in zip(qkv[t], places, strict=True):
            fill = fill_for(float(number), low, high)
            parts.append(_block(x, y, entry_text(number, 1), fill))
    thirds = zip(names, qkv.split(C, dim=-1), strict=True)
    told = [
        f"{name}, columns {i * C} to {(i + 1) * C - 1}\n{matrix_text(third, words, decimals=1)}"
        for i, (name, third) in enumerate(thirds)
    ]
    return from_svg(_svg(places[-1] + WIDE + 4, top + T * HIGH + 4, parts), "\n".join(told))


def in_memory(x: Shaped[Tensor, "T C"], words: Sequence[str], n_head: int) -> Picture:
    """A matrix, and below it the single line in which its numbers lie in memory."""
    T, C = x.shape
    left = _label_width(words)
    line_top = 40 + T * HIGH + 54
    size = 28  # narrower blocks, so that the whole line fits
    parts = [_text(left, 14, f"{T} rows of {C}", "start", weight=600)]
    parts += _group(x, x, left, 40, words, n_head)
    for h in range(n_head):
        middle = left + (h + 0.5) * (C // n_head) * WIDE
        parts.append(_text(middle, 34, f"head {h}", size=12))
    parts.append(_text(2, line_top - 26, "the same numbers in memory", "start", weight=600))
    for i, number in enumerate(x.flatten()):
        fill = FILLS[i % C * n_head // C]
        parts.append(_block(2 + i * size, line_top, entry_text(number, 0), fill, size))
        if i % C == 0:
            parts.append(_text(2 + i * size, line_top - 8, words[i // C], "start", 12))
    told = " ".join(entry_text(number, 0) for number in x.flatten())
    alt = f"{matrix_text(x, words, decimals=0)}\nin memory: {told}"
    return from_svg(_svg(2 + T * C * size + 4, line_top + HIGH + 4, parts), alt)


def split_steps(x: Shaped[Tensor, "T C"], words: Sequence[str], n_head: int) -> Picture:
    """From (T, C) to one matrix (T, hs) for each head, in two steps.

    Args:
        x: numbers that are all different, such as 23 for word 2, column 3.
    """
    T, C = x.shape
    hs = C // n_head
    cut = x.reshape(T, n_head, hs)
    heads = cut.transpose(0, 1)
    left = _label_width(words)
    parts = [_text(left, 14, f"(T, C) = ({T}, {C})", "start", weight=600)]
    parts += _group(x, x, left, 46, words, n_head)
    at = left + C * WIDE
    parts += _step(at, "1. cut each row", "reshape")
    at += 150 + left
    parts.append(_text(at, 14, f"(T, nh, hs) = ({T}, {n_head}, {hs})", "start", weight=600))
    numbers = [f"head {h}" for h in range(n_head)]
    for t, word in enumerate(words):
        y = 46 + t * (n_head * HIGH + 26)
        parts.append(_text(at, y - 6, word, "start", size=12))
        parts += _group(cut[t], x, at, y, numbers, n_head)
    at += hs * WIDE
    parts += _step(at, "2. exchange", "transpose")
    at += 150 + left
    parts.append(_text(at, 14, f"(nh, T, hs) = ({n_head}, {T}, {hs})", "start", weight=600))
    for h in range(n_head):
        y = 46 + h * (T * HIGH + 30)
        parts.append(_text(at, y - 6, f"head {h}", "start", size=12))
        parts += _group(heads[h], x, at, y, words, n_head)
    height = 46 + max(T * (n_head * HIGH + 26), n_head * (T * HIGH + 30))
    width = at + max(hs * WIDE, 200) + 4
    told = [f"(T, C)\n{matrix_text(x, words, decimals=0)}"]
    told += [f"cut, {w}\n{matrix_text(cut[t], numbers, decimals=0)}" for t, w in enumerate(words)]
    told += [
        f"exchanged, head {h}\n{matrix_text(heads[h], words, decimals=0)}" for h in range(n_head)
    ]
    return from_svg(_svg(width, height, parts), "\n".join(told))


def heads_side_by_side(
    x: Shaped[Tensor, "T C"], heads: Shaped[Tensor, "nh T hs"], words: Sequence[str], title: str
) -> Picture:
    """What each head got; beside every row the words of x from which its numbers come.

    Args:
        x: numbers that are all different.
        heads: the same numbers in another arrangement.
    """
    nh, T, hs = heads.shape
    labels = [[_words_of(row, x, words) for row in head] for head in heads]
    left = max(_label_width(rows) for rows in labels)
    apart = left + hs * WIDE + 40
    parts, told = [_text(2, 14, title, "start", weight=600)], [title]
    for h in range(nh):
        at = left + h * apart
        parts.append(_text(at, 40, f"head {h}", "start", size=12))
        parts += _group(heads[h], x, at, 48, labels[h], nh)
        told.append(f"head {h}\n{matrix_text(heads[h], labels[h], decimals=0)}")
    width = max(nh * apart, len(title) * 8.4)
    return from_svg(_svg(width, 52 + T * HIGH, parts), "\n".join(told))


def head_maps(
    weights: Float[Tensor, "nh T S"], words: Sequence[str], names: Sequence[str]
) -> Picture:
    """The weights of several heads side by side, in per cent."""
    pairs = list(zip(names, weights, strict=True))
    drawn = "".join(f"<div>{map_svg(one, words, name)}</div>" for name, one in pairs)
    alt = "\n".join(
        f"{name}, per cent\n{matrix_text((100 * one).round(), words, words, decimals=0)}"
        for name, one in pairs
    )
    style = "display:flex;gap:16px;flex-wrap:wrap;margin:6px 0"
    return from_svg(f'<div style="{style}">{drawn}</div>', alt)


def map_svg(weights: Float[Tensor, "T S"], words: Sequence[str], title: str, cell=27) -> str:
    """One head's weights as a heat map: row = reader, column = word read, numbers in per cent."""
    left, top = _label_width(words), 26 + 0.75 * _label_width(words)
    S = len(words)
    parts = [_text(2, 14, title, "start", weight=600)]
    for s, word in enumerate(words):
        x, y = left + (s + 0.6) * cell, top - 5
        parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate(-50 {x:.1f} {y:.1f})" '
            f'fill="currentColor">{escape(word)}</text>'
        )
    for t, word in enumerate(words):
        parts.append(_text(left - 8, top + (t + 0.68) * HIGH, word, "end"))
        for s in range(S):
            share = float(weights[t, s])
            number = f"{100 * share:.0f}" if share >= 0.005 else ""
            fill = fill_for(share, 0.0, 1.0)
            parts.append(_block(left + s * cell, top + t * HIGH, number, fill, cell))
    return _svg(left + S * cell + 20, top + S * HIGH + 4, parts)


def head_map(weights: Float[Tensor, "T S"], words: Sequence[str], title: str) -> Picture:
    """One head's weights, and beside them what each word reads most."""
    most = [
        f"{word} reads {words[int(row.argmax())]} ({float(row.max()):.0%})"
        for word, row in zip(words, weights, strict=True)
    ]
    lines = "".join(f"<li>{escape(line)}</li>" for line in most)
    html = (
        '<div style="display:flex;gap:36px;flex-wrap:wrap;margin:8px 0"><div>'
        f"{map_svg(weights, words, title, 38)}</div><div>"
        '<div style="font-weight:600">Most of each word’s attention</div>'
        f'<ul style="line-height:1.7;margin:6px 0">{lines}</ul></div></div>'
    )
    table = matrix_text((100 * weights).round(), words, words, decimals=0)
    return from_svg(html, "\n".join([f"{title}, per cent", table, "; ".join(most)]))


def answers_right(
    right: Mapping[str, Sequence[float]],
    questions: Sequence[str],
    without_looking_back: Sequence[float],
) -> Picture:
    """How many answers to each question are right, for each model.

    Args:
        right: for each model one share (0 to 1) for each question.
        without_looking_back: for each question the share that is right for who sees only the word
            at which it is asked.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.62 * len(questions) * len(right) / 2 + 1.3))
    high = 0.62 / len(right)  # between the bars of two questions there is a line of text
    for i, (name, shares) in enumerate(right.items()):
        places = [row + (i - (len(right) - 1) / 2) * high for row in range(len(questions))]
        axis.barh(places, shares, high * 0.92, color=(ORANGE, BLUE, GREEN)[i])
        for place, share, floor in zip(places, shares, without_looking_back, strict=True):
            axis.text(share + 0.01, place, f"{name}: {share:.0%}", va="center")
            if not share < floor < share + 0.25:  # there the dashed line would cross the text
                axis.vlines(
                    floor, place - high / 2, place + high / 2, color="black", linestyle="--"
                )
    for row, share in enumerate(without_looking_back):
        axis.vlines(share, row - 0.62, row - 0.31, color="black", linestyle="--")
        line = f"the best without looking back: {share:.1%}"
        axis.text(share + 0.01, row - 0.35, line, va="bottom", fontsize=9)
    axis.set_yticks(range(len(questions)), list(questions))
    axis.set_ylim(len(questions) - 0.5, -0.8)
    axis.set_xlim(0, 1.25)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axis.set_xlabel("answers that are right")
    axis.set_title(
        "With equally many parameters, one row of weights does not serve three questions"
    )
    told = [
        f"{name}: "
        + ", ".join(f"{q} {share:.0%}" for q, share in zip(questions, shares, strict=True))
        for name, shares in right.items()
    ]
    floors = ", ".join(
        f"{q} {share:.1%}" for q, share in zip(questions, without_looking_back, strict=True)
    )
    alt = f"Right answers. The best without looking back: {floors}. " + "; ".join(told)
    return from_figure(figure, alt)


def _group(
    numbers: Tensor, x: Tensor, left: float, top: float, labels: Sequence[str], n_head: int
) -> list[str]:
    """Rows of blocks with labels beside them; a block has the colour of its column's head."""
    C = x.shape[1]
    parts = []
    for r, (row, label) in enumerate(zip(numbers, labels, strict=True)):
        parts.append(_text(left - 8, top + (r + 0.68) * HIGH, label, "end"))
        for c, number in enumerate(row):
            _, column = _place(number, x)
            fill = FILLS[column * n_head // C]
            parts.append(_block(left + c * WIDE, top + r * HIGH, entry_text(number, 0), fill))
    return parts


def _place(number: Tensor, x: Tensor) -> tuple[int, int]:
    """Row and column of x that hold the number."""
    i = int((x.flatten() == number).int().argmax())
    return i // x.shape[1], i % x.shape[1]


def _words_of(row: Tensor, x: Tensor, words: Sequence[str]) -> str:
    places = {_place(number, x)[0]: None for number in row}  # a dict keeps their order
    return "+".join(words[t] for t in places)


def _step(at: float, what: str, how: str) -> list[str]:
    """An arrow with the name of a step above it and the operation below."""
    return [
        _text(at + 75, 84, what, size=12),
        f'<path d="M{at + 24:.1f} 96H{at + 118:.1f}" stroke="currentColor" stroke-width="1.5"/>',
        f'<path d="M{at + 126:.1f} 96l-10 -5v10z" fill="currentColor"/>',
        _text(at + 75, 116, how, size=12, weight=600),
    ]


def _label_width(labels: Sequence[str]) -> float:
    return 16 + LETTER * max((len(label) for label in labels), default=0)


def _block(x: float, y: float, number: str, fill: str, wide: float = WIDE) -> str:
    return _box(x, y, wide, HIGH, fill, "#ffffff") + _text(
        x + wide / 2, y + 0.68 * HIGH, number, size=12, fill=ink_on(fill)
    )


def _box(x: float, y: float, wide: float, high: float, fill: str, edge: str = INK) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}" '
        f'stroke="{edge}"/>'
    )


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">'
        f"{''.join(parts)}</svg>"
    )
