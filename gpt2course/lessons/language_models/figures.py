"""Pictures of lesson 01: a text to count, suggestions and their circle, smoothing, sizes."""

import random
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from gpt2course.drawing.colours import GREY, INK, NEW, PAGE, READ
from gpt2course.drawing.curves import Axis, Series, dots, plot
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words

# What each thing does when it is heard; what follows "it" depends on the thing.
HABITS = {
    "robot": "beeps",
    "kettle": "boils",
    "dog": "barks",
    "clock": "ticks",
    "bell": "rings",
    "door": "creaks",
}
PATTERNS = {  # each with how often it is drawn
    "we hear the {thing} because it {does} .": 4,
    "the captain hears the {thing} of the {place} because it {does} .": 3,
    "the captain of the {place} hears the {thing} .": 2,
    "the {thing} of the captain {does} .": 2,
    "a {servant} must obey the orders of the captain .": 2,
    "a {servant} must obey the orders given it .": 1,
    "the captain of the {place} gives orders .": 2,
}


def robot_text(n_sentences: int, seed: int = 0) -> str:
    """Short sentences made from patterns: words and full stops, separated by spaces."""
    draw = random.Random(seed)
    patterns, weights = list(PATTERNS), list(PATTERNS.values())
    sentences = []
    for _ in range(n_sentences):
        thing, place = draw.choice(list(HABITS)), draw.choice(["house", "ship", "school"])
        pattern, servant = draw.choices(patterns, weights)[0], draw.choice(["robot", "dog"])
        sentences.append(
            pattern.format(thing=thing, does=HABITS[thing], place=place, servant=servant)
        )
    return " ".join(sentences)


def suggestion_row(text: str, suggestions: Sequence[tuple[str, float]], said: str = "") -> Picture:
    """A line of text above the three suggestions of a keyboard, and a sentence below."""
    keys = "".join(
        f'<div style="flex:1;text-align:center;background:{READ};color:{INK};'
        f'border-radius:6px;padding:6px 4px">{escape(word)}'
        f'<div style="font-size:12px">{percent(prob)}</div></div>'
        for word, prob in suggestions
    )
    html = (
        f'<div style="max-width:560px;margin:8px 0">{written(text)}'
        f'<div style="display:flex;gap:6px">{keys}</div>'
        f'<div style="margin-top:4px">{escape(said)}</div></div>'
    )
    told = ", ".join(f"{word} {percent(prob)}" for word, prob in suggestions)
    return Picture(html, f"written: {text}▏ suggestions: {told}. {said}".strip())


def written(text: str) -> str:
    """What has been written, with a cursor, in a frame as on a phone."""
    return (
        f'<div style="border:1px solid {GREY};border-radius:8px;padding:8px 12px;margin:0 0 6px;'
        f'max-width:560px;min-height:1.4em;line-height:1.5">{escape(text)}'
        '<span aria-hidden="true">▏</span></div>'
    )


def circle(path: Words) -> Picture:
    """Words that lead from one to the next; the last is the first that comes a second time."""
    *words, back_to = path
    start, x, ends = words.index(back_to), 0.0, []
    drawn = Drawing()
    for i, word in enumerate(words):
        width, within = 9 * len(word) + 22, i >= start
        fill, thick = (NEW, 2) if within else (READ, 1)
        drawn.box(x, 0, width, 32, word, fill, size=14, edge=PAGE, thick=thick, rx=6)
        ends.append((x + width / 2, x + width))
        x += width + 34
    for _, right in ends[:-1]:
        drawn.arrow((right + 3, 16), (right + 31, 16))
    left, last = ends[start][0], ends[-1][0]
    drawn.arrow((last, 34), (last, 58), (left, 58), (left, 36))
    drawn.text((left + last) / 2, 74, "and round again", "middle", 12)
    return drawn.picture(f"{' → '.join(words)} → back to {back_to}")


def smoothing_curves(alphas: Sequence[float], curves: Series, n_words: int) -> Picture:
    """Perplexity over the number that is added to every count, which may be 0; it may be infinite.

    Beside it the number of words, which is the perplexity of a uniform model.
    """
    places = [alpha or min(a for a in alphas if a) / 4 for alpha in alphas]
    series = {name: list(zip(places, values, strict=True)) for name, values in curves.items()}
    infinite = {
        place: f"at {alpha:g}, {name}: infinite"
        for name, values in curves.items()
        for alpha, place, value in zip(alphas, places, values, strict=True)
        if value == float("inf")
    }
    lowest = [min(points, key=lambda point: point[1]) for points in series.values()]
    ticks = {p: f"{a:g}" for p, a in zip(places, alphas, strict=True) if f"{a:e}"[:3] in "1.0,0.0"}
    x_label = "alpha, added to every count (logarithmic axis, with 0 at its left end)"
    drawn = plot(
        series,
        Axis(x_label, min(places) / 1.4, log=True, ticks=ticks),
        Axis("perplexity", min(v for _, v in lowest) / 1.5, n_words * 2.2, log=True),
        "A little smoothing helps on a new text, a lot hurts",
        {"uniform": n_words},
        marks=True,
        verticals=infinite,
        notes=[(place, value, f"{value:.2f}") for place, value in lowest],
    )
    told = [
        f"{name}: "
        + ", ".join(
            f"{'infinite' if v == float('inf') else format(v, '.2f')} at {a:g}"
            for a, v in zip(alphas, values, strict=True)
        )
        for name, values in curves.items()
    ]
    return drawn.picture(f"Perplexity over alpha, uniform {n_words}. " + "; ".join(told))


class Model(NamedTuple):
    """One model of the history."""

    name: str
    year: int
    parameters: int
    kind: str
    layers: int


def model_sizes(models: Sequence[Model]) -> Picture:
    """Parameters of the models, one row each, on an axis of powers of ten; a sign for each kind."""
    kinds = list(dict.fromkeys(model.kind for model in models))
    rows = {
        f"{m.name} ({m.year})": {
            kinds.index(m.kind): (m.parameters, f"{short(m.parameters)}, {m.layers} layers")
        }
        for m in models
    }
    before, after = max(pairwise(models), key=lambda two: two[1].parameters / two[0].parameters)
    times = after.parameters / before.parameters
    title = f"The largest step: from {before.name} to {after.name}, {times:,.0f} times"
    title += " the parameters"
    least, most = (f(model.parameters for model in models) for f in (min, max))
    powers = {10**n: short(10**n) for n in range(6, 13) if least / 2 < 10**n < most * 2}
    axis = Axis("parameters (logarithmic axis)", log=True, ticks=powers)
    told = [
        f"{m.name} ({m.year}), {m.kind}: {short(m.parameters)} parameters, {m.layers} layers"
        for m in models
    ]
    return dots(rows, axis, kinds, title).picture(f"{title}. {'; '.join(told)}")


def short(n: int) -> str:
    """A large number in millions or billions, to three digits.

    >>> short(124439808), short(1557611200)
    ('124M', '1.56B')
    """
    return f"{n / 1e9:.3g}B" if n >= 1e9 else f"{n / 1e6:.3g}M"
