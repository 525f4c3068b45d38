"""Pictures of lesson 17: words that cross, beams that compete, facts that are right or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.attention_maps import HOVER, LINE, LIT, WARM
from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BLUE, GREY, INK, ORANGE, PAGE, blend
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, wide

BOX, GAP = 30, 100  # the height of a word, and the room for lines between the two languages
SEEN = 0.04  # a weight below this has no line
Words = Sequence[str]
VERDICTS = {"right": BLUE, "mixed up": ORANGE, "invented": "#fcc419", "missing": GREY}


def crossing(
    source: Words, target: Words, weights: Float[Tensor, "N S"], title: str, lit: int | None = None
) -> Picture:
    """A sentence above its translation; lines show what each target word read in the source.

    The pointer on a target word lights its lines.

    Args:
        weights: row = target word, column = source word.
        lit: the place of a target word whose lines stand out, with the weights in the source.
    """
    drawn, shares = Drawing(), weights.tolist()
    drawn.parts.append(HOVER)
    above, below = _row(source), _row(target)
    # A translation that is still being written stays where it is, on the left.
    ends = [sum(row[-1]) if row else 0.0 for row in (above, below)]
    shift = (ends[0] - ends[1]) / 2 if lit is None else 0.0
    above = [(x + max(0.0, -shift), width) for x, width in above]
    below = [(x + max(0.0, shift), width) for x, width in below]
    low = BOX + GAP
    told = []
    for row, (x, width) in enumerate(below):
        own = lit is None or row == lit
        tip = _reads(source, target[row], shares[row])
        if lit is None or row == lit:
            told.append(tip)
        with drawn.group("gpt2course-read", tip):
            for column, share in enumerate(shares[row]):
                if share < SEEN:
                    continue
                left, wide_ = above[column]
                start, end = (x + width / 2, low), (left + wide_ / 2, BOX)
                bend = (start[0], low - GAP / 2), (end[0], BOX + GAP / 2)
                drawn.line(start, *bend, end, stroke=LIT if lit == row else LINE,
                           thick=0.8 + 8 * share, opacity=0.75 if own else 0.18, curved=True,
                           kind="gpt2course-line")  # fmt: skip
            edge = {"edge": LIT, "thick": 3} if row == lit else {"edge": GREY}
            drawn.box(x, low, width, BOX, target[row], rx=4, **edge)
    for column, (x, width) in enumerate(above):
        share = 0.0 if lit is None else shares[lit][column]
        fill = "none" if lit is None else blend(WARM, share)
        ink = PAGE if lit is None else INK
        drawn.box(x, 0, width, BOX, source[column], fill, rx=4, edge=GREY, ink=ink)
        if share >= SEEN:
            drawn.text(x + width / 2, -6, f"{share:.0%}", "middle", 12)
    drawn.room((0, -16))
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))


def _row(words: Words) -> list[tuple[float, float]]:
    """Left and width of each word."""
    x, places = 0.0, []
    for word in words:
        width = max(26.0, wide(word) + 14)
        places.append((x, width))
        x += width + 8
    return places


def _reads(source: Words, word: str, shares: Sequence[float]) -> str:
    order = sorted(range(len(shares)), key=lambda i: -shares[i])[:3]
    seen = [f"{source[i]} {percent(shares[i])}" for i in order if shares[i] >= SEEN]
    return f"{word} reads {', '.join(seen) or 'no source word'}"


def accuracy(rows: Mapping[str, float], title: str) -> Picture:
    """Fractions of sentences as bars."""
    drawn = bars([Bar(name, value, f"{value:.1%}") for name, value in rows.items()], title, 1.0)
    told = ", ".join(f"{name} {value:.1%}" for name, value in rows.items())
    return drawn.picture(f"{title}: {told}")


def beams_drawn(steps: Sequence[Sequence[tuple[str, float, bool]]], title: str) -> Picture:
    """Candidates of each step as columns, the likeliest on top; those kept are filled.

    Args:
        steps: for each step the text, its probability, and whether it is kept.
    """
    drawn, told, x = Drawing(), [], 0.0
    for i, candidates in enumerate(steps, 1):
        width = max(wide(text) for text, _, _ in candidates) + 70
        drawn.text(x, -8, f"step {i}", bold=True)
        if i < len(steps):
            drawn.arrow((x + wide(f"step {i}") + 16, -13), (x + width + 34, -13))
        for row, (text, probability, kept) in enumerate(candidates):
            y = row * 34
            look = {"fill": "#a5d8ff", "ink": INK} if kept else {"dash": "4 3", "edge": GREY}
            drawn.box(x, y, width, 28, f"{text}   {probability:.3f}", rx=4, **look)
        kept_texts = [f"{text} {p:.3f}" for text, p, kept in candidates if kept]
        told.append(f"step {i} keeps {', '.join(kept_texts)}")
        x += width + 42
    below = 34 * max(map(len, steps)) + 14
    drawn.text(0, below, "filled: kept; dashed: dropped", size=12)
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))


def facts_drawn(counts: Mapping[str, Mapping[str, int]], title: str) -> Picture:
    """For each kind of fact how many are right, mixed up, invented or missing, as one bar.

    Args:
        counts: by fact the number of each verdict.
    """
    drawn, told, length = Drawing(), [], 420
    for row, (fact, verdicts) in enumerate(counts.items()):
        total, x, y = sum(verdicts.values()), 0.0, row * 30
        drawn.text(-8, y + 19, fact, "end")
        said = []
        for verdict, colour in VERDICTS.items():
            if n := verdicts.get(verdict, 0):
                drawn.rect(x, y, length * n / total, 24, colour, thick=0.6)
                x += length * n / total
                said.append(f"{n} {verdict}")
        drawn.text(length + 8, y + 17, ", ".join(said), size=12)
        told.append(f"{fact}: {', '.join(said)}")
    x = 0.0
    for verdict, colour in VERDICTS.items():
        drawn.rect(x, -26, 12, 12, colour, thick=0.6)
        drawn.text(x + 17, -15, verdict, size=12)
        x += 40 + wide(verdict, 12)
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))
