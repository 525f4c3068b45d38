"""Pictures of lesson 11: dice, tails of probability, a moving window, what is kept."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from gpt2course.drawing.colours import BAR, FILLS, INK, NORM_FILL, PAGE, READ
from gpt2course.drawing.curves import Axis, Series, dots, plot, steps
from gpt2course.drawing.explorer import bar
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, wide
from gpt2course.drawing.tables import table
from gpt2course.drawing.tokens import LOOKS, word_row, word_width


def dice_strip(words: Words, probs: Sequence[float], draws: Sequence[float]) -> Picture:
    """A line from 0 to 1, cut into one piece for each word, and random numbers that point at it."""
    length, end, crowded, drawn, told = 680, 0.0, 0, Drawing(), []
    for i, (word, prob) in enumerate(zip(words, probs, strict=True)):
        begin, end = end, end + prob
        x, width = begin * length, prob * length
        drawn.rect(x, 0, width, 44, FILLS[i % len(FILLS)], PAGE)
        if width > wide(word, 13, True) + 8:
            drawn.text(x + width / 2, 19, word, "middle", 13, True, INK)
            drawn.text(x + width / 2, 36, percent(prob), "middle", 12, fill=INK)
        else:  # labels that do not fit into their pieces stand above them
            crowded += 1
            drawn.text(x + width / 2, 6 - 18 * crowded, f"{word} {percent(prob)}", "end")
            drawn.line((x + width / 2, 10 - 18 * crowded), (x + width / 2, 0), stroke=PAGE, thick=1)
        # A narrow piece leaves no room for both of its ends side by side.
        drawn.text(x, 60, f"{begin:.3g}", "end" if i and width < 30 else "middle", 12)
        told.append(f"{word} from {begin:.3f} to {end:.3f}")
    drawn.text(length, 60, "1", "start" if width < 30 else "middle", 12)
    for number in draws:
        x, hit = number * length, word_at(words, probs, number)
        drawn.line((x - 6, 86), (x + 6, 86), (x, 70), stroke="none", fill=PAGE, closed=True)
        drawn.text(x, 100, f"{number:.2f}", "middle")
        drawn.text(x, 117, f"→ {hit}", "middle", 12)
        told.append(f"the random number {number:.2f} hits {hit}")
    return drawn.picture("; ".join(told))


def word_at(words: Words, probs: Sequence[float], number: float) -> str:
    """The word whose piece of the line from 0 to 1 holds the number."""
    total = 0.0
    for word, prob in zip(words, probs, strict=True):
        total += prob
        if number < total:
            return word
    return words[-1]  # the probabilities sum to a little less than 1


def tail_curves(outside: Series, k: int) -> Picture:
    """The probability outside the likeliest 1, 2, 3, … tokens, with a mark at k."""
    series = {
        place: [point for point in steps(shares, 1) if point[1] >= 1e-5]
        for place, shares in outside.items()
    }
    at_k = {place: percent(shares[k - 1]) for place, shares in outside.items()}
    across = "k, the number of likeliest tokens (each tick ten times as many)"
    up = "probability outside them\n(each step ten times as much)"
    shares = {1e-4: "0.01 %", 1e-3: "0.1 %", 1e-2: "1 %", 0.1: "10 %", 1: "100 %"}
    drawn = plot(
        series,
        Axis(across, 1, log=True, ticks={n: str(n) for n in (1, 10, k, 100, 1000)}),
        Axis(up, 1e-5, 1.5, log=True, ticks=shares),
        f"Outside the {k} likeliest tokens there is still probability",
        names={place: f"{place}: {share} outside {k}" for place, share in at_k.items()},
        verticals={k: ""},
    )
    told = [
        f"{place}: {percent(shares[0])} outside the first, {at_k[place]} outside the {k} best"
        for place, shares in outside.items()
    ]
    return drawn.picture("; ".join(told))


def kept_along(words: Words, kept: Sequence[int], p: float, k: int) -> Picture:
    """How many tokens top_p keeps at each place of a text, beside the k of top_k."""
    step, height = min(30, 720 / len(words)), 190
    drawn, unit = Drawing(), height / max(*kept, k)
    for i, (word, n) in enumerate(zip(words, kept, strict=True)):
        x, y = (i + 0.5) * step, height - n * unit
        drawn.rect(x - 0.4 * step, y, 0.8 * step, n * unit, BAR, "none")
        drawn.text(x, y - 4, str(n), "middle", 12)
        drawn.text(x + 3, height + 14, word, "end", 12, turn=-50)
    drawn.line((0, height), (len(words) * step, height), stroke=PAGE, thick=1)
    level = height - k * unit
    drawn.line((0, level), (len(words) * step, level), stroke=PAGE, dash="5 4")
    drawn.text(len(words) * step + 6, level + 4, f"top_k = {k}", size=12)
    drawn.text(-10, height / 2, "tokens kept", "middle", 12, turn=-90)
    note = f"bars: kept by top_p = {p:g}; below each the token that came at this place"
    drawn.head("top_p keeps few tokens where the model is sure, many where it is not", note)
    told = ", ".join(f"{word} {n}" for word, n in zip(words, kept, strict=True))
    return drawn.picture(f"Tokens kept by top_p = {p:g} (top_k keeps {k} everywhere): {told}")


def moving_window(words: Words, n_ctx: int, first: int) -> Picture:
    """A text that grows by one word a row from the first ones on; what the model sees is filled."""
    drawn, told = Drawing(), []
    for row, end in enumerate(range(first, len(words))):
        begin = max(0, end - n_ctx)
        looks = ["gone"] * begin + ["read"] * (end - begin) + ["new"]
        word_row(drawn, words[: end + 1], looks, 36 * row, word_width(words), high=28)
        seen, gone = " ".join(words[begin:end]), " ".join(words[:begin])
        told.append(
            f"step {row + 1}: in view “{seen}”, drawn “{words[end]}”"
            + (f", out of view “{gone}”" if gone else "")
        )
    note = f"filled: in view, at most {n_ctx}   ·   thick frame: drawn   ·   dashed: out of view"
    drawn.head("", note)
    return drawn.picture("; ".join(told))


def right_and_different(results: Mapping[str, tuple[float, float]]) -> Picture:
    """For each setting, the share of sentences that fit, and of those that are different."""
    rows = {
        name: {kind: (share, _whole(share)) for kind, share in enumerate(shares)}
        for name, shares in results.items()
    }
    quarters = {n / 4: f"{25 * n} %" for n in range(5)}
    axis = Axis("share of the sentences", -0.06, 1.06, ticks=quarters)
    kinds = ("fit the patterns", "are different from each other")
    drawn = dots(rows, axis, kinds, "Too little randomness repeats, too much writes nonsense")
    told = [f"{name}: {_whole(a)} fit, {_whole(b)} differ" for name, (a, b) in results.items()]
    return drawn.picture("; ".join(told))


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


FULL = 300  # pixels of a bar that stands for 100 %


def filtered(
    words: Words, before: Sequence[float], after: Sequence[float], heading: str, said: str,
    most: int = 14,
) -> Picture:  # fmt: skip
    """The likeliest words as bars: what the model gave them, and what they are drawn with.

    A word that is drawn with 0 is out. Beyond the `most` likeliest the words are summed up.
    """
    rows, told = [], []
    for word, old, new in list(zip(words, before, after, strict=True))[:most]:
        rows.append(("✓" if new else "✗", word, old, new))
        told.append(f"{'kept' if new else 'out'} {word}: {percent(old)} → {percent(new)}")
    if others := max(0, len(words) - most):
        kept, old, new = sum(p > 0 for p in after[most:]), sum(before[most:]), sum(after[most:])
        label = f"{others} other{'s' * (others > 1)}"
        rows.append((f"✓ {kept}" if kept else "✗", label, old, new))
        told.append(f"{label}, {kept} of them kept: {percent(old)} → {percent(new)}")
    heads = (("kept", "right"), ("token", "left"), ("before", "right"), ("drawn with", "left"))
    cells = [
        (sign, escape(word), percent(old), bar(new, 20, old, full=FULL, said=percent(new)))
        for sign, word, old, new in rows
    ]
    html = table(heading, heads, cells, wraps=False)
    status = f'<div role="status" style="font-size:13px">{escape(said)}</div>'
    return Picture(html + status, f"{heading}: {'; '.join(told)}. {said}")


def outside_first(probs: Sequence[float]) -> list[float]:
    """The share of the probability outside the 1, 2, 3, … likeliest; never below 0.

    >>> outside_first([0.25, 0.5, 0.25])
    [0.5, 0.25, 0.0]
    """
    ordered = sorted(probs, reverse=True)
    return [max(0.0, math.fsum(ordered[k:])) for k in range(1, len(ordered) + 1)]


SECONDS = 1.4  # that one word takes in `writing`


def writing(words: Words, given: int) -> Picture:
    """A model that writes, in motion: it reads the row, and the word that it draws joins the row.

    Where a reader has asked for less motion, the whole row stands still.

    Args:
        given: how many of the words were there at first.
    """
    drawn, width, total = Drawing(), word_width(words), SECONDS * (len(words) - given + 1)
    kinds = [f"gpt2course-write-{given}-{len(words)}-{j}" for j in range(len(words))]
    step, y, rules = width + 6, 96, []
    middle = (len(words) * step - 6) / 2
    drawn.box(middle - 70, 0, 140, 40, "model", NORM_FILL, 14, True, rx=6)
    drawn.line((0, y - 8), (0, y - 18), (middle, y - 18), (middle, 52), dash="3 3")
    drawn.line((len(words) * step - 6, y - 8), (len(words) * step - 6, y - 18), (middle, y - 18),
               dash="3 3")  # fmt: skip
    drawn.arrow((middle, 60), (middle, 44))
    for j, word in enumerate(words):
        x = j * step
        if j < given:
            drawn.box(x, y, width, 30, word, READ, rx=5, size=14)
            continue
        begins = 100 * SECONDS * (j - given + 0.4) / total
        arrives = 100 * SECONDS * (j - given + 0.9) / total
        start = f"translate({middle - x - width / 2:.0f}px,-{y - 44}px)"
        rules.append(
            f"@keyframes {kinds[j]}{{0%,{begins:.1f}%{{opacity:0;transform:{start}}}"
            f"{begins + 1:.1f}%{{opacity:1;transform:{start}}}{arrives:.1f}%,100%{{opacity:1;transform:none}}}}"
            f".{kinds[j]}{{animation:{kinds[j]} {total:.1f}s infinite}}"
        )
        with drawn.group(kinds[j]):
            drawn.box(x, y, width, 30, word, rx=5, size=14, **LOOKS["new"])
    drawn.text(0, y + 52, "blue: given   ·   yellow: drawn, one word a run", size=12)
    still = "".join(f".{kind}{{animation:none}}" for kind in kinds[given:])
    rule = f"{''.join(rules)}@media (prefers-reduced-motion:reduce){{{still}}}"
    drawn.parts.append(f"<style>{rule}</style>")
    row, told = " ".join(words[:given]), []
    for word in words[given:]:
        told.append(f"reads “{row}”, draws “{word}”")
        row = f"{row} {word}"
    return drawn.picture("; then ".join(told))
