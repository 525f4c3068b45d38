"""Sentences of the stories with one word taken out that only what follows can tell.

A probe asks for a word that an earlier word decides. Turned round, the earlier word is taken out
and the later one stands there: "the ___ because it whistled".
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gpt2course.corpus.lexicon import DAYS, NUMBERS, PEOPLE, THINGS
from gpt2course.corpus.sentences import Line
from gpt2course.corpus.stories import Cast, asked

NAMES = tuple(person.name for person in PEOPLE)
# Kinds whose earlier word follows from the later one, each with all words that could stand there.
CHOICES = {
    "it": tuple(thing.name for thing in THINGS),
    "days": DAYS,
    "count": NUMBERS[3:8],
    "names": NAMES,
}


@dataclass(frozen=True)
class Gap:
    """A text with one word taken out.

    Attributes:
        kind: one of CHOICES.
        before, after: the text on both sides, without the space in front of the word.
        word: what stood there.
    """

    kind: str
    before: str
    word: str
    after: str

    @property
    def text(self) -> str:
        """The whole text."""
        return f"{self.before} {self.word}{self.after}".strip()


def gaps(kind: str, n: int = 100, seed: int = 0) -> list[Gap]:
    """n sentences that the training text lacks, with a word taken out that what follows tells.

    Raises:
        ValueError: kind is none of CHOICES.
    """
    if kind not in CHOICES:
        raise ValueError(f"kind must be one of {', '.join(CHOICES)}, got {kind!r}")
    rng = random.Random(f"gap {kind} {seed}")
    found: list[Gap] = []
    while len(found) < n:
        line = _line(rng, kind, held=True)
        start, end = line.probe.hangs_on  # type: ignore[union-attr]
        if start:  # at the beginning of a text there is no left side to read
            text = line.text
            found.append(Gap(kind, text[: start - 1], text[start:end], text[end:]))
    return found


def gap_texts(n: int, seed: int = 0) -> list[str]:
    """n sentences of the training text's kinds and words, whole: what a model learns gaps from."""
    rng = random.Random(f"gap texts {seed}")
    kinds = list(CHOICES)
    return [_line(rng, kinds[i % len(kinds)], held=False).text for i in range(n)]


def _line(rng: random.Random, kind: str, held: bool) -> Line:
    return next(line for line in asked(kind)(Cast.drawn(rng, held)) if line.probe)
