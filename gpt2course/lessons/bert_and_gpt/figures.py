"""Pictures of lesson 16: gaps filled from one side and from both, padding, a family of models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BAR, FILLS, GREY, INK, NEW, OTHER_BAR, PAGE
from gpt2course.drawing.curves import Axis, Curve, plot
from gpt2course.drawing.explorer import Candidate, percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, row, wide
from gpt2course.drawing.tokens import piece_text

BOTH, LEFT = BAR, OTHER_BAR  # what reads both sides, and what reads the left one alone
HIGH = 16  # of a text in `padded`


def filled(
    found: Mapping[str, tuple[float, float]], chances: Mapping[str, float], title: str
) -> Picture:
    """For each kind of gap how many the encoder fills rightly, and how many the decoder.

    Args:
        found: by kind the two shares, of 1.
        chances: by kind the share that blind guessing gets.
    """
    rows, told = [], []
    for kind, (both, left) in found.items():
        for name, share, fill in ((f"{kind}: both sides", both, BOTH), ("left side", left, LEFT)):
            rows.append(Bar(name, share, f"{share:.0%}", fill, chances[kind]))
        told.append(
            f"{kind}: {both:.0%} from both sides, {left:.0%} from the left, guessing "
            f"{chances[kind]:.0%}"
        )
    drawn = bars(rows, "", 1.0, marked="guessing among the words of the kind", together=2)
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))


def padded(lengths: Sequence[int], width: int, unit: float) -> Picture:
    """A batch of texts filled up to one width: tokens, and padding behind them.

    Args:
        unit: pixels for one token.
    """
    drawn, most = Drawing(), max(lengths)
    for i, n in enumerate(lengths):
        y = i * (HIGH + 4)
        drawn.text(-8, y + HIGH - 3, f"{n} tokens", "end", 12)
        drawn.rect(0, y, n * unit, HIGH, FILLS[1], PAGE, 0.6)
        drawn.rect(n * unit, y, (width - n) * unit, HIGH, edge=GREY, dash="2 4")
    total, real = len(lengths) * width, sum(lengths)
    longest = sum(lengths) / (len(lengths) * most)
    title = f"Filled up to {width}, {1 - real / total:.1%} of a batch is padding"
    note = f"green: tokens; dashed: padding. Filled up to the longest, {most}: {1 - longest:.0%}"
    drawn.head(title, note)
    return drawn.picture(f"{title}. Tokens: {', '.join(map(str, lengths))}. {note}.")


def trained(series: Mapping[str, Curve], title: str) -> Picture:
    """What was measured during training, one plot for each, side by side over the same steps."""
    plots, told = [], []
    for name, curve in series.items():
        (first, before), (last, after) = curve[0], curve[-1]
        end = {name: f"{after:.2f}"}
        told.append(f"{name}: {before:.2f} at step {first:g}, {after:.2f} at step {last:g}")
        plots.append(plot({name: curve}, Axis("training step"), Axis(), name, names=end,
                          size=(250, 170)))  # fmt: skip
    drawn = row(plots, gap=30)
    drawn.head(title)
    return drawn.picture(f"{title}. " + "; ".join(told))


class Model(NamedTuple):
    """One member of the family."""

    name: str
    year: int
    layers: int
    parameters: int
    reads: str  # "both sides" or "left side", and how


def family(models: Sequence[Model]) -> Picture:
    """Each model's parameters as a bar, with its layers and what it reads."""
    rows, told = [], []
    for one in models:
        millions = f"{one.parameters / 1e6:,.0f} million, {one.layers} layers"
        fill = LEFT if one.reads.startswith("left") else BOTH
        rows.append(
            Bar(f"{one.name} ({one.year})", one.parameters, f"{millions}; {one.reads}", fill)
        )
        told.append(f"{one.name}, {one.year}: {millions}, reads {one.reads}")
    largest, before = models[-1], models[-2]
    times = largest.parameters / before.parameters
    title = f"{largest.name} has {times:.1f} times the parameters of {before.name}"
    drawn = bars(rows, "", length=300)
    drawn.head(title, "blue: reads both sides of a word; orange: only what is before it")
    return drawn.picture(f"{title}. " + "; ".join(told))


def candidates(
    words: Sequence[str], place: int, both: Sequence[Candidate], left: Sequence[Candidate]
) -> Picture:
    """A text with one token hidden, and what an encoder and a decoder would put there."""
    text, x = Drawing(), 0.0
    for i, word in enumerate(words):
        width = wide(word, 13) + 14
        if x + width > 840:
            text, x = _next_line(text), 0.0
        look = {"edge": PAGE, "thick": 2.5, "bold": True} if i == place else {"edge": GREY}
        fill = NEW if i == place else FILLS[2] if i > place else FILLS[1]
        text.box(x, 0, width, 26, word, fill, size=13, ink=INK, rx=4, **look)
        x += width + 4
    hidden = words[place]
    panels = []
    for title, found, fill in (
        ("BERT reads both sides", both, BOTH), ("GPT-2 reads the left side", left, LEFT),
    ):  # fmt: skip
        rows = [
            Bar(f"{'✓ ' * (_name(c) == hidden)}{_name(c)}", c.prob, percent(c.prob), fill)
            for c in found
        ]
        panels.append(bars(rows, title, full=1.0, length=200, high=22))
    drawn, tables = Drawing(), row(panels, gap=40)
    drawn.put(text, 0, 0)
    drawn.put(tables, -tables.left, text.bottom + 24 - tables.top)
    told = [
        f"{name}: " + ", ".join(f"{_name(c)} {percent(c.prob)}" for c in found)
        for name, found in (("BERT, from both sides", both), ("GPT-2, from the left", left))
    ]
    gap = " ".join("___" if i == place else word for i, word in enumerate(words))
    return drawn.picture(f"{gap}. Hidden: {hidden}. " + ". ".join(told))


def word_of(piece: bytes) -> str:
    """A token as a word, without the space before it, or as its bytes where it is none."""
    text = piece.decode(errors="replace").strip()
    return text if text and "\ufffd" not in text else piece_text(piece)


def _name(candidate: Candidate) -> str:
    return word_of(candidate.piece)


def _next_line(above: Drawing) -> Drawing:
    """What was drawn so far, moved up by a line."""
    moved = Drawing()
    moved.put(above, 0, -32)
    return moved
