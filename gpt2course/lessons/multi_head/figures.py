"""Pictures of lesson 07: columns cut into heads, and what each head reads."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Shaped
from torch import Tensor

from gpt2course.drawing.attention_maps import heat
from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import ATTENTION_FILL, CURVES, FAINT, FILLS, fill_for, ink_on
from gpt2course.drawing.matrix import entry_text, matrix_text, signed_scale
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, column, line_up, row

WIDE, HIGH = 34, 26  # one block, in pixels


def cut_in_three(
    qkv: Float[Tensor, "T D"], words: Words, names: Words = ("q", "k", "v")
) -> Picture:
    """What c_attn gives: one wide matrix, with a band over the columns of q, of k and of v."""
    scale, C, drawn = signed_scale(qkv), qkv.shape[1] // 3, []
    thirds, told = qkv.split(C, dim=-1), []
    for i, (name, third) in enumerate(zip(names, thirds, strict=True)):
        part, said = Drawing(), f"{name}: columns {i * C} to {(i + 1) * C - 1}"
        part.box(0, -42, C * WIDE, 20, said, ATTENTION_FILL, bold=True)
        for c in range(C):
            part.text((c + 0.5) * WIDE, -6, str(i * C + c), "middle", 12)
        for t, numbers in enumerate(third):
            if i == 0:
                part.text(-8, (t + 0.68) * HIGH, words[t], "end", mono=True)
            for c, number in enumerate(numbers):
                fill = fill_for(float(number), *scale)
                _block(part, c * WIDE, t * HIGH, entry_text(number, 1), fill)
        drawn.append(part)
        told.append(f"{said.replace(':', ',')}\n{matrix_text(third, words, decimals=1)}")
    return line_up(drawn, gap=10).picture("\n".join(told))


def in_memory(x: Shaped[Tensor, "T C"], words: Words, n_head: int) -> Picture:
    """A matrix, and below it the single line in which its numbers lie in memory."""
    T, C = x.shape
    top, size = Drawing(), 28  # in memory the blocks are narrower, so that the whole line fits
    _group(top, x, x, words, n_head)
    for h in range(n_head):
        top.text((h + 0.5) * (C // n_head) * WIDE, -6, f"head {h}", "middle", 12)
    top.head(f"{T} rows of {C}")
    line = Drawing()
    for i, number in enumerate(x.flatten()):
        fill = FILLS[i % C * n_head // C]
        _block(line, i * size, 0, entry_text(number, 0), fill, size)
        if i % C == 0:
            line.text(i * size, -8, words[i // C], size=12, mono=True)
    line.head("the same numbers in memory")
    told = " ".join(entry_text(number, 0) for number in x.flatten())
    alt = f"{matrix_text(x, words, decimals=0)}\nin memory: {told}"
    return column([row([top]), line]).picture(alt)


def split_steps(x: Shaped[Tensor, "T C"], words: Words, n_head: int) -> Picture:
    """From (T, C) to one matrix (T, hs) for each head, in two steps; all numbers must differ."""
    T, C = x.shape
    hs = C // n_head
    cut = x.reshape(T, n_head, hs)
    heads, numbers = cut.transpose(0, 1), [f"head {h}" for h in range(n_head)]
    whole = Drawing()
    _group(whole, x, x, words, n_head)
    whole.head(f"(T, C) = ({T}, {C})", size=12)
    steps = [whole]
    for title, parts, names, rows in (
        (f"(T, nh, hs) = ({T}, {n_head}, {hs})", cut, words, numbers),
        (f"(nh, T, hs) = ({n_head}, {T}, {hs})", heads, numbers, words),
    ):
        drawn = [Drawing() for _ in names]
        for one, part, name in zip(drawn, parts, names, strict=True):
            _group(one, part, x, rows, n_head)
            one.text(0, -6, name, size=12, mono=True)
        below = column(drawn, gap=8)
        below.head(title, size=12)
        steps.append(below)
    told = [f"(T, C)\n{matrix_text(x, words, decimals=0)}"]
    told += [f"cut, {w}\n{matrix_text(cut[t], numbers, decimals=0)}" for t, w in enumerate(words)]
    told += [
        f"transposed, head {h}\n{matrix_text(heads[h], words, decimals=0)}" for h in range(n_head)
    ]
    between = ("1. cut each row\nreshape", "2. swap axes\ntranspose")
    return row(steps, between).picture("\n".join(told))


def heads_side_by_side(
    x: Shaped[Tensor, "T C"], heads: Shaped[Tensor, "nh T hs"], words: Words, title: str
) -> Picture:
    """What each head got; beside every row the tokens of x from which its numbers come.

    The numbers of x must differ; those of the heads are the same in another arrangement.
    """
    drawn, told = [], [title]
    for h, head in enumerate(heads):
        rows, one = [_words_of(numbers, x, words) for numbers in head], Drawing()
        _group(one, head, x, rows, len(heads))
        one.text(0, -6, f"head {h}", size=12, mono=True)
        drawn.append(one)
        told.append(f"head {h}\n{matrix_text(head, rows, decimals=0)}")
    whole = row(drawn)
    whole.head(title)
    return whole.picture("\n".join(told))


def head_maps(weights: Float[Tensor, "nh T S"], words: Words, names: Words) -> Picture:
    """The weights of several heads side by side, in per cent."""
    drawn, told = [], []
    for i, (name, one) in enumerate(zip(names, weights, strict=True)):
        drawn.append(heat(words, one, cell=27, beside=i == 0))
        drawn[-1].head(name)
        told.append(f"{name}, per cent\n{_per_cent(one, words)}")
    return row(drawn, gap=14).picture("\n".join(told))


def head_map(weights: Float[Tensor, "T S"], words: Words, title: str) -> Picture:
    """One head's weights, and beside them what each token reads most."""
    drawn, most = heat(words, weights, cell=34), Drawing()
    told = [
        f"{word} reads {words[int(row.argmax())]} ({percent(float(row.max()), 0)})"
        for word, row in zip(words, weights, strict=True)
    ]
    for t, line in enumerate(told):
        most.text(0, 34 * t + 22, line)
    most.text(0, -6, "What each token reads most", bold=True)
    whole = row([drawn, most])
    whole.head(title)
    return whole.picture(
        "\n".join([f"{title}, per cent", _per_cent(weights, words), "; ".join(told)])
    )


def _per_cent(weights: Tensor, words: Words) -> str:
    return matrix_text((100 * weights).round(), words, words, decimals=0)


def answers_right(
    right: Mapping[str, Sequence[float]], questions: Words, without_looking_back: Sequence[float],
    title: str = "With equally many parameters, three heads answer what one cannot",
) -> Picture:  # fmt: skip
    """The share of right answers to each question, for each model.

    Dashed: the best share for a model that sees only the token at which the question is asked.
    """
    rows = []
    for i, (question, floor) in enumerate(zip(questions, without_looking_back, strict=True)):
        for j, (name, shares) in enumerate(right.items()):
            label = question if j == len(right) // 2 else ""
            rows.append(Bar(label, shares[i], f"{name}: {percent(shares[i], 0)}", CURVES[j]))
        rows.append(Bar("", floor, f"the best without looking back: {percent(floor)}", "none"))
    drawn = bars(rows, title, 1.0, 420, high=22, together=len(right) + 1)
    told = [
        f"{name}: "
        + ", ".join(f"{q} {percent(share, 0)}" for q, share in zip(questions, shares, strict=True))
        for name, shares in right.items()
    ]
    floors = ", ".join(
        f"{q} {percent(share)}" for q, share in zip(questions, without_looking_back, strict=True)
    )
    alt = f"Right answers. The best without looking back: {floors}. " + "; ".join(told)
    return drawn.picture(alt)


def _group(drawn: Drawing, numbers: Tensor, x: Tensor, labels: Words, n_head: int) -> None:
    """Rows of blocks with labels beside them; a block has the colour of its column's head."""
    C = x.shape[1]
    for r, (line, label) in enumerate(zip(numbers, labels, strict=True)):
        drawn.text(-8, (r + 0.68) * HIGH, label, "end", mono=True)
        for c, number in enumerate(line):
            fill = FILLS[_place(number, x)[1] * n_head // C]
            _block(drawn, c * WIDE, r * HIGH, entry_text(number, 0), fill)


def _place(number: Tensor, x: Tensor) -> tuple[int, int]:
    """Row and column of x that hold the number."""
    return divmod(int((x.flatten() == number).int().argmax()), x.shape[1])


def _words_of(line: Tensor, x: Tensor, words: Words) -> str:
    places = {_place(number, x)[0]: None for number in line}  # a dict keeps their order
    return "+".join(words[t] for t in places)


def _block(drawn: Drawing, x: float, y: float, number: str, fill: str, width: float = WIDE) -> None:
    ink = ink_on(fill)
    drawn.box(x, y, width, HIGH, number, fill, 12, mono=True, ink=ink, edge=FAINT)
