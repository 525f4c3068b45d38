"""Pictures of lesson 01: a text to count, suggestions and their circle, smoothing, sizes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from gpt2course.drawing.colours import CURVES, FILLS
from gpt2course.drawing.explorer import percent
from gpt2course.drawing.picture import Picture, from_figure, from_svg

INK, GREY = "#1b1b1b", "#868e96"
FONT = 'font-family="system-ui, sans-serif" font-size="14"'

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
    """Short sentences made from patterns, in words and full stops with blanks between them."""
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
    """A line of text above the three suggestions of a keyboard.

    Args:
        text: what has been written.
        suggestions: words with their probabilities, the likeliest first.
        said: a sentence below.
    """
    keys = "".join(
        f'<div style="flex:1;text-align:center;background:{FILLS[2]};color:{INK};'
        f'border-radius:6px;padding:6px 4px">{escape(word)}'
        f'<div style="font-size:11px">{percent(prob)}</div></div>'
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


def circle(path: Sequence[str]) -> Picture:
    """Words that lead from one to the next, and an arrow back where the last leads to an earlier.

    Args:
        path: the words in order; the last is the first that comes a second time.
    """
    *words, back_to = path
    start = words.index(back_to)
    x, boxes, centres = 10.0, [], []
    for i, word in enumerate(words):
        wide = 9.0 * len(word) + 22
        inside = i >= start
        edge = f'stroke="{INK}" stroke-width="2"' if inside else f'stroke="{GREY}"'
        boxes.append(
            f'<rect x="{x:.0f}" y="12" width="{wide:.0f}" height="32" rx="6" '
            f'fill="{FILLS[0] if inside else FILLS[2]}" {edge}/>'
            f'<text x="{x + wide / 2:.1f}" y="33" text-anchor="middle" fill="{INK}">'
            f"{escape(word)}</text>"
        )
        centres.append((x + wide / 2, x + wide))
        x += wide + 34
    arrows = [
        f'<path d="M{right + 3:.1f} 28H{right + 29:.1f}" {_ARROW}/>' for _, right in centres[:-1]
    ]
    (left, _), (last, _) = centres[start], centres[-1]
    arrows.append(f'<path d="M{last:.1f} 46V70H{left:.1f}V48" {_ARROW}/>')
    told = f"{' → '.join(words)} → back to {back_to}"
    svg = (
        f'<svg width="{x:.0f}" height="92" viewBox="0 0 {x:.0f} 92" style="max-width:100%" {FONT} '
        'aria-hidden="true"><defs><marker id="gpt2course-circle" viewBox="0 0 8 8" refX="7" '
        'refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{GREY}"/></marker></defs>{"".join(boxes + arrows)}'
        f'<text x="{(left + last) / 2:.1f}" y="86" text-anchor="middle" fill="currentColor" '
        'font-size="12">and round again</text></svg>'
    )
    return from_svg(svg, told)


_ARROW = f'fill="none" stroke="{GREY}" stroke-width="1.5" marker-end="url(#gpt2course-circle)"'


def smoothing_curves(
    alphas: Sequence[float], curves: Mapping[str, Sequence[float]], n_words: int
) -> Picture:
    """Perplexity over the number that is added to every count.

    Args:
        alphas: in order; a 0 among them stands at the left edge, off the axis of powers.
        curves: for each text its perplexity at every alpha; it may be infinite.
        n_words: size of the vocabulary, the perplexity of guessing evenly.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 4.0))
    above = [alpha for alpha in alphas if alpha > 0]
    places = [alpha or above[0] / 4 for alpha in alphas]
    top = n_words * 2.2
    styles = zip(("o-", "s--", "^:"), CURVES, (True, False, False), strict=False)
    for (name, values), (style, colour, below) in zip(curves.items(), styles, strict=False):
        axis.plot(places, values, style, color=colour, label=name, markersize=4)
        i = min(range(len(values)), key=lambda i: values[i])
        axis.annotate(f"{values[i]:.2f}", (places[i], values[i]), ha="center",
                      xytext=(0, -15 if below else 8), textcoords="offset points")  # fmt: skip
        for alpha, place, value in zip(alphas, places, values, strict=True):
            if value == float("inf"):
                axis.annotate("", (place, top), (place, n_words * 1.1),
                              arrowprops={"arrowstyle": "->"})  # fmt: skip
                axis.text(place * 1.2, n_words * 1.4, f"at {alpha:g}, {name}: infinite")
    axis.axhline(n_words, color="black", linewidth=1, label=f"an even guess, {n_words}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    least = min(min(values) for values in curves.values())
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 50, 100) if least / 1.5 <= tick <= 2 * n_words]
    axis.set_yticks(ticks, map(str, ticks))
    axis.minorticks_off()
    axis.set_ylim(least / 1.5, top)
    powers = [alpha for alpha in above if f"{alpha:e}".startswith("1.0")]
    if len(above) < len(alphas):
        powers = [0, *powers]
    axis.set_xticks([power or places[0] for power in powers], [f"{power:g}" for power in powers])
    axis.set_xlabel("alpha, added to every count (each step of the axis ten times as much)")
    axis.set_ylabel("perplexity")
    axis.set_title("A little smoothing saves a new text, much of it forgets what was counted")
    axis.legend(loc="upper left", bbox_to_anchor=(0, 0.78))
    told = [
        f"{name}: "
        + ", ".join(
            f"{'infinite' if v == float('inf') else format(v, '.2f')} at {a:g}"
            for a, v in zip(alphas, values, strict=True)
        )
        for name, values in curves.items()
    ]
    return from_figure(figure, f"Perplexity over alpha, even guess {n_words}. " + "; ".join(told))


class Model(NamedTuple):
    """One model of the history."""

    name: str
    year: int
    parameters: int
    kind: str
    layers: int


def model_sizes(models: Sequence[Model]) -> Picture:
    """Parameters of the models, one row each, on an axis of powers of ten; a sign for each kind."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.42 * len(models) + 1.3))
    kinds = list(dict.fromkeys(model.kind for model in models))
    signs = dict(zip(kinds, ("o", "s", "^", "D"), strict=False))
    colours = dict(zip(kinds, CURVES, strict=False))
    for kind in kinds:
        rows = [i for i, model in enumerate(models) if model.kind == kind]
        sizes = [models[i].parameters for i in rows]
        axis.scatter(sizes, rows, s=70, marker=signs[kind], color=colours[kind], label=kind)
    for row, model in enumerate(models):
        axis.annotate(f"{short(model.parameters)}, {model.layers} layers", (model.parameters, row),
                      xytext=(9, 0), textcoords="offset points", va="center")  # fmt: skip
    axis.set_xscale("log")
    sizes = [model.parameters for model in models]
    axis.set_xlim(min(sizes) / 2, max(sizes) * 20)
    axis.set_ylim(len(models) - 0.5, -0.5)
    axis.set_yticks(range(len(models)), [f"{m.name} ({m.year})" for m in models])
    axis.set_xlabel("parameters (each step of the axis ten times as many)")
    before, after = max(pairwise(models), key=lambda two: two[1].parameters / two[0].parameters)
    times = after.parameters / before.parameters
    message = (
        f"The largest step: from {before.name} to {after.name}, {times:,.0f} times the parameters"
    )
    axis.set_title(message)
    axis.legend(loc="upper right", fontsize=9)
    told = [
        f"{m.name} ({m.year}), {m.kind}: {short(m.parameters)} parameters, {m.layers} layers"
        for m in models
    ]
    return from_figure(figure, f"{message}. {'; '.join(told)}")


def short(n: int) -> str:
    """A large number in millions or billions, to three digits.

    >>> short(124439808), short(1557611200)
    ('124M', '1.56B')
    """
    return f"{n / 1e9:.3g}B" if n >= 1e9 else f"{n / 1e6:.3g}M"
