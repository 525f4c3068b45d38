"""Temperature, top_k and top_p as sliders over a model's own probabilities."""

from collections.abc import Mapping
from functools import partial

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.explorer import drawn_with
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, menu, playable, slider, stops
from gpt2course.lessons.sampling.figures import filtered


def sampling_desk(
    logits: Mapping[str, Float[Tensor, " V"]], words: Words, temperature: float = 1.0,
    top_k: int | None = None, top_p: float = 1.0,
) -> Playable:  # fmt: skip
    """Three sliders; the bars of the likeliest tokens, and which of them are kept, follow.

    The scores of the next token are given for each of several beginnings; top_k None keeps all.
    """
    V = len(words)
    return playable(
        partial(_drawn, logits, words),
        beginning=menu("after", list(logits)),
        temperature=slider("temperature", temperature, 0.0, 3.0, 0.1, readout_format=".1f"),
        top_k=stops("top_k", _steps(V, top_k), top_k or V),
        top_p=slider("top_p", top_p, 0.0, 1.0, 0.01),
    )


def _steps(V: int, *also: int | None) -> list[int]:
    """The values of top_k that can be set: close together where it is small, and V."""
    steps = {*range(1, 11), *range(15, 100, 5), *range(100, 200, 10), 200, 300, 500, 1000, V}
    return sorted(k for k in steps | {k for k in also if k} if k <= V)


def _drawn(
    logits: Mapping[str, Float[Tensor, " V"]], words: Words, beginning: str, temperature: float,
    top_k: int, top_p: float,
) -> Picture:  # fmt: skip
    scores = logits[beginning].detach().double()  # small shares stay above 0
    before = scores.softmax(dim=-1)
    after, kept = drawn_with(scores, temperature, top_k, top_p)
    warmed = drawn_with(scores, temperature or 1.0)[0]  # before anything is cut off
    held = warmed[kept].sum().item()
    order = before.argsort(descending=True, stable=True)
    n = int(kept.sum())
    told = f"{n} of {len(words)} tokens {'is' if n == 1 else 'are'} kept"
    if temperature == 0:
        said = f"{told}: temperature 0 takes the likeliest, whatever the other two say."
    else:
        they, have = ("it", "has") if n == 1 else ("they", "have")
        of_the_best = ""
        if top_k < len(words):
            left = warmed[drawn_with(scores, temperature, top_k)[1]].sum().item()
            share = percent(held / left)
            of_the_best = f", and {share} of what top_k had left, of which top_p asks for its share"
        said = (
            f"{told}. At temperature {temperature:.1f} {they} held {percent(held)} of the "
            f"probability{of_the_best}; normalised again, {they} {have} all of it."
        )
    heading = f"after “{beginning}”: temperature {temperature:.1f}, top_k {top_k}, top_p {top_p:g}"
    ordered = [words[i] for i in order.tolist()]
    return filtered(ordered, before[order].tolist(), after[order].tolist(), heading, said)
