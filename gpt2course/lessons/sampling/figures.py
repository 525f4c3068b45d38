"""Pictures of lesson 11, and a judge of what the course model writes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape

from gpt2course.corpus import lexicon
from gpt2course.drawing.colours import FILLS
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.picture import Picture, from_figure, from_svg
from gpt2course.drawing.tables import CELL

INK, GREY = "#1b1b1b", "#868e96"
BLUE, ORANGE = "#1c7ed6", "#e8590c"

# The judge ----------------------------------------------------------------------------------------

# Between sentences: after a full stop or question mark, also in quotes, or where a story ends.
BETWEEN = re.compile(r"""(?:(?<=[.?])|(?<=[.?]"))\s+(?=["A-Z])|<\|endoftext\|>""")


def sentences_of(text: str) -> list[str]:
    """The complete sentences of a text, each with its full stop or question mark.

    >>> sentences_of('Mina sang. "It beeps," said Tom.<|endoftext|>On a')
    ['Mina sang.', '"It beeps," said Tom.']
    """
    parts = (part.strip() for part in BETWEEN.split(text))
    return [part for part in parts if part.endswith((".", "?", '."', '?"'))]


def known_patterns(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Every three neighbouring words of the sentences, one word standing for all of its kind."""
    return {
        three for text in texts for sentence in sentences_of(text) for three in _threes(sentence)
    }


def fits(sentence: str, known: set[tuple[str, ...]]) -> bool:
    """Whether the sentence is made of known patterns alone.

    >>> known = known_patterns(["Mina saw the robot in Oakham."])
    >>> fits("Tom saw the kettle in Foxwick.", known), fits("Tom saw the in Foxwick.", known)
    (True, False)
    """
    return _threes(sentence) <= known


def judged(texts: Sequence[str], known: set[tuple[str, ...]], n: int = 150) -> tuple[float, float]:
    """Of the first n sentences: the share that fits, and the share that is no repetition."""
    sentences = [sentence for text in texts for sentence in sentences_of(text)][:n]
    fitting = sum(fits(sentence, known) for sentence in sentences)
    return fitting / len(sentences), len(set(sentences)) / len(sentences)


def _threes(sentence: str) -> set[tuple[str, ...]]:
    kinds = _kinds()
    words = ["", *re.sub(r"\w+", lambda word: kinds.get(word[0], word[0]), sentence).split(), ""]
    return set(zip(words, words[1:], words[2:], strict=False))


@cache
def _kinds() -> dict[str, str]:
    """For each word of the stories that others could replace, one of its kind.

    What takes "an" and what takes "a" are two kinds.
    """
    things, trades = lexicon.THINGS, lexicon.TRADES
    listed: list[Sequence[str]] = [
        lexicon.VILLAGES,
        [person.name for person in lexicon.PEOPLE],
        lexicon.DAYS,
        [thing.name for thing in things if thing.name[0] not in lexicon.VOWELS],
        [thing.name for thing in things if thing.name[0] in lexicon.VOWELS],
        [thing.plural for thing in things],
        *([getattr(verb, form) for thing in things for verb in thing.verbs]
          for form in ("past", "third", "ing", "base")),
        *([getattr(trade, part) for trade in trades] for part in ("name", "verb", "what")),
        [word for words in lexicon.ADJECTIVES.values() for word in words if word != "old"]
        + list(lexicon.FEELINGS),
        lexicon.GOODS,
        lexicon.NUMBERS,
        lexicon.WEATHER,
        lexicon.SEASONS,
    ]  # fmt: skip
    found: dict[str, str] = {}
    for words in listed:
        for word in words:
            found.setdefault(word, words[0])
    return found


# The pictures -------------------------------------------------------------------------------------


def dice_strip(words: Sequence[str], probs: Sequence[float], draws: Sequence[float]) -> Picture:
    """A line from 0 to 1, cut into one piece for each word, and random numbers that point at it.

    Args:
        probs: one for each word; together 1.
        draws: random numbers from 0 to 1.
    """
    wide, left, top = 680, 14, 58
    parts, told, end = [], [], 0.0
    crowded = 0  # labels that did not fit into their piece
    for i, (word, prob) in enumerate(zip(words, probs, strict=True)):
        begin, end = end, end + prob
        x, width = left + begin * wide, prob * wide
        parts.append(
            f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="44" stroke="currentColor" '
            f'fill="{FILLS[i % len(FILLS)]}"/>'
        )
        middle = x + width / 2
        if width > 9 * len(word) + 8:
            parts.append(_text(middle, top + 19, word, fill=INK, weight=600))
            parts.append(_text(middle, top + 36, percent(prob), size=12, fill=INK))
        else:
            y, crowded = top - 12 - 18 * crowded, crowded + 1
            parts.append(_text(min(middle, left + wide), y, f"{word} {percent(prob)}", "end"))
            parts.append(f'<path d="M{middle:.1f} {y + 4}V{top}" stroke="currentColor"/>')
        if begin:  # a narrow piece leaves no room for both of its ends side by side
            side = "end" if width < 30 else "middle"
            parts.append(_text(x, top + 60, f"{begin:.3g}", side, size=11))
        told.append(f"{word} from {begin:.3f} to {end:.3f}")
    side = "start" if width < 30 else "middle"
    parts.append(_text(left, top + 60, "0", size=11))
    parts.append(_text(left + wide, top + 60, "1", side, size=11))
    for number in draws:
        x, hit = left + number * wide, word_at(words, probs, number)
        parts.append(
            f'<path d="M{x - 6:.1f} {top + 84}h12l-6 -14z" fill="currentColor"/>'
            + _text(x, top + 100, f"{number:.2f}")
            + _text(x, top + 117, f"→ {hit}", size=12)
        )
        told.append(f"the random number {number:.2f} hits {hit}")
    svg = (
        f'<svg width="{wide + 2 * left + 20}" height="{top + 126}" style="max-width:100%" '
        f'viewBox="0 0 {wide + 2 * left + 20} {top + 126}" font-size="14" '
        f'font-family="system-ui, sans-serif" aria-hidden="true">{"".join(parts)}</svg>'
    )
    return from_svg(svg, "; ".join(told))


def word_at(words: Sequence[str], probs: Sequence[float], number: float) -> str:
    """The word whose piece of the line from 0 to 1 holds the number."""
    total = 0.0
    for word, prob in zip(words, probs, strict=True):
        total += prob
        if number < total:
            return word
    return words[-1]  # the probabilities sum to a little less than 1


def _text(x, y, text, anchor="middle", size=13, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )


def tail_curves(outside: Mapping[str, Sequence[float]], k: int) -> Picture:
    """The share of the probability that lies outside the likeliest words, over their number.

    Args:
        outside: for each place of a text the share outside the first 1, 2, 3, … words.
        k: the number that is pointed out.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.6))
    colours = (BLUE, ORANGE, "#2f9e44", "#ae3ec9")
    told = []
    for (place, shares), style, colour in zip(
        outside.items(), ("-", "--", "-.", ":"), colours, strict=False
    ):
        shown = [max(share, 1e-5) for share in shares]
        at_k = percent(shares[k - 1])
        axis.plot(range(1, len(shown) + 1), shown, style, color=colour, label=f"{place}: {at_k}")
        axis.plot(k, shown[k - 1], "o", color=colour)
        told.append(f"{place}: {percent(shares[0])} outside the first, {at_k} outside the {k} best")
    axis.axvline(k, color="black", linewidth=1)
    axis.set_yscale("log")
    axis.set_ylim(1e-5, 1.5)
    axis.set_yticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
    axis.minorticks_off()
    axis.set_xscale("log")
    axis.set_xticks([1, 10, k, 100, 1000], ["1", "10", str(k), "100", "1000"])
    axis.minorticks_off()
    axis.set_xlabel("k, the number of likeliest tokens (each tick ten times as many)")
    axis.set_ylabel("probability outside them\n(each step ten times as much)")
    axis.set_title(f"Behind the {k} likeliest tokens there is still probability")
    axis.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), title=f"outside the {k} likeliest", fontsize=9
    )
    return from_figure(figure, "; ".join(told))


def kept_along(words: Sequence[str], kept: Sequence[int], p: float, k: int) -> Picture:
    """How many words top_p keeps at every place of a text, beside the same number everywhere.

    Args:
        words: the text; under each bar stands the word that came at this place.
        kept: how many words were kept there.
        k: what top_k keeps.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 3.4))
    bars = axis.bar(range(len(words)), kept, color=BLUE, label=f"top_p = {p:g}")
    axis.bar_label(bars, padding=1, fontsize=9)
    axis.axhline(k, color="black", linestyle="--", linewidth=1, label=f"top_k = {k}")
    axis.set_xticks(range(len(words)), words, rotation=50, ha="right", rotation_mode="anchor")
    axis.set_xlim(-0.7, len(words) - 0.3)
    axis.set_ylim(0, 1.25 * max(*kept, k))
    axis.set_xlabel("the token that came at this place")
    axis.set_ylabel("tokens kept")
    axis.set_title("top_p keeps few tokens where the model is sure, many where it is not")
    axis.legend(loc="upper right", ncols=2)
    told = ", ".join(f"{word} {n}" for word, n in zip(words, kept, strict=True))
    return from_figure(figure, f"Tokens kept by top_p = {p:g} (top_k keeps {k} everywhere): {told}")


def moving_window(words: Sequence[str], n_ctx: int, first: int) -> Picture:
    """A text that grows by one word a row; what the model is shown is filled.

    Args:
        words: the whole text.
        n_ctx: how many words the model is shown at most.
        first: how many words stand there at first.
    """
    wide, high = max(map(len, words)) * 8 + 16, 28
    parts, told = [], []
    for row, end in enumerate(range(first, len(words))):
        y, begin = 24 + row * (high + 8), max(0, end - n_ctx)
        for j, word in enumerate(words[: end + 1]):
            x, ink = 10 + j * (wide + 5), INK
            if j == end:
                look = f'fill="{FILLS[0]}" stroke="currentColor" stroke-width="3"'
            elif j >= begin:
                look = f'fill="{FILLS[2]}" stroke="currentColor"'
            else:
                look, ink = f'fill="none" stroke="{GREY}" stroke-dasharray="4 4"', "currentColor"
            parts.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" {look}/>')
            parts.append(_text(x + wide / 2, y + 19, word, fill=ink))
        seen, gone = " ".join(words[begin:end]), " ".join(words[:begin])
        told.append(
            f"step {row + 1}: in view “{seen}”, drawn “{words[end]}”"
            + (f", out of view “{gone}”" if gone else "")
        )
    width, height = 20 + len(words) * (wide + 5), 24 + (len(words) - first) * (high + 8)
    legend = f"filled: in view, at most {n_ctx}   ·   thick frame: drawn   ·   dashed: out of view"
    svg = (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'style="max-width:100%;height:auto" font-family="system-ui, sans-serif" aria-hidden="true">'
        f"{_text(10, 14, legend, 'start', 12)}{''.join(parts)}</svg>"
    )
    return from_svg(svg, "; ".join(told))


def right_and_different(results: Mapping[str, tuple[float, float]]) -> Picture:
    """For each way of drawing: how many sentences are right, and how many are not repetitions.

    Args:
        results: two shares from 0 to 1 for each way of drawing.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.42 * len(results) + 1.5))
    rows = range(len(results))
    right, different = zip(*results.values(), strict=True)
    axis.hlines(rows, right, different, color="#868e96", linewidth=3, zorder=1)
    for values, sign, colour, name in (
        (right, "o", BLUE, "fit the patterns"),
        (different, "D", ORANGE, "are different from each other"),
    ):
        axis.scatter(values, rows, s=80, marker=sign, color=colour, label=name, zorder=2)
    for row in rows:
        a, b = right[row], different[row]
        for value, other in ((a, b), (b, a)):
            outwards = value > other or (value == other and value is a)
            axis.annotate(_whole(value), (value, row), xytext=(9 if outwards else -9, 0),
                          textcoords="offset points", va="center",
                          ha="left" if outwards else "right", fontsize=9)  # fmt: skip
    axis.set_ylim(len(results) - 0.5, -0.5)
    axis.set_yticks(rows, list(results))
    axis.set_xlim(-0.13, 1.13)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.set_xlabel("share of the sentences")
    axis.set_title("Too little chance repeats, too much of it writes nonsense")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="sentences that …")
    told = [f"{name}: {_whole(a)} fit, {_whole(b)} differ" for name, (a, b) in results.items()]
    return from_figure(figure, "; ".join(told))


def _whole(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


BAR = 420  # pixels of a bar that stands for 100 %


def filtered(
    words: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    heading: str,
    said: str,
    most: int = 14,
) -> Picture:
    """The likeliest words as bars: what the model gave them, and what they are drawn with.

    Args:
        words: the likeliest first.
        before: the model's own probabilities.
        after: those that are drawn from; 0 for a word that cannot be drawn.
        heading: the table's caption.
        said: a sentence below.
        most: how many rows there are; the others are summed up.
    """
    rows, told = [], []
    for word, old, new in list(zip(words, before, after, strict=True))[:most]:
        rows.append(_row("✓" if new else "✗", word, old, new))
        told.append(f"{'kept' if new else 'out'} {word}: {percent(old)} → {percent(new)}")
    if others := max(0, len(words) - most):
        kept, old, new = sum(p > 0 for p in after[most:]), sum(before[most:]), sum(after[most:])
        rows.append(_row(f"✓ {kept}" if kept else "✗", f"{others} others", old, new))
        told.append(f"{others} others, {kept} of them kept: {percent(old)} → {percent(new)}")
    names = (("kept", "right"), ("token", "left"), ("before", "right"), ("drawn with", "left"))
    head = "".join(
        f'<th scope="col" style="{CELL.format(side)}">{name}</th>' for name, side in names
    )
    html = (
        '<table style="border-collapse:collapse;margin:6px 0;font-size:13px">'
        '<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit;'
        'white-space:nowrap">'
        f"{escape(heading)}</caption><tr>{head}</tr>{''.join(rows)}</table>"
        f'<div role="status" style="font-size:13px">{escape(said)}</div>'
    )
    return Picture(html, f"{heading}: {'; '.join(told)}. {said}")


def _row(sign: str, word: str, old: float, new: float) -> str:
    """One line: the outline is what the model gave, the filled bar what is drawn with."""
    outline = max(old, 0.0) * BAR
    bar = (
        f'<div style="width:{BAR + 70}px;display:flex;align-items:center;gap:8px;height:20px">'
        f'<div style="position:relative;height:16px;width:{max(outline, new * BAR, 1):.1f}px">'
        f'<div style="position:absolute;top:2px;height:12px;width:{new * BAR:.1f}px;'
        f'background:{BLUE}"></div><div style="position:absolute;top:0;height:14px;'
        f'width:{outline:.1f}px;border:{int(outline > 2)}px dashed currentColor"></div></div>'
        f'<div style="white-space:nowrap">{percent(new)}</div></div>'
    )
    cells = ((sign, "right"), (escape(word), "left"), (percent(old), "right"), (bar, "left"))
    drawn = "".join(f'<td style="{CELL.format(side)}">{inside}</td>' for inside, side in cells)
    return f"<tr>{drawn}</tr>"


def outside_first(probs: Sequence[float]) -> list[float]:
    """The share of the probability outside the 1, 2, 3, … likeliest; never below 0.

    >>> outside_first([0.25, 0.5, 0.25])
    [0.5, 0.25, 0.0]
    """
    ordered = sorted(probs, reverse=True)
    return [max(0.0, math.fsum(ordered[k:])) for k in range(1, len(ordered) + 1)]
