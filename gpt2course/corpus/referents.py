"""Questions with two options: which of two things does "it" stand for?

The stories that the course model learns from name one thing before "it". Here there are two, and
the verb decides, since no verb belongs to two things. The form of the question is left to the
caller: "It hooted. It =", or another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2course.corpus.lexicon import PEOPLE, PLACES, THINGS, Thing
from gpt2course.corpus.sentences import pick, several

DID = ("saw", "owned", "drew", "met", "sold")
# Every second thing, so that machines, animals and objects are on both sides.
FAMILIAR, NEW = tuple(THINGS[::2]), tuple(THINGS[1::2])


@dataclass(frozen=True)
class Question:
    """Two things and what one of them did.

    Attributes:
        scene: "Mina saw an owl and a bell at the mill."
        verb: what "it" did: "hooted".
        options: the two things in the order in which they are named: ("owl", "bell").
        answer: the one that "it" stands for.
    """

    scene: str
    verb: str
    options: tuple[str, str]
    answer: str


def questions(n: int, seed: int, things: Sequence[Thing] = tuple(THINGS)) -> list[Question]:
    """n questions about these things, the same for the same seed; two of them may be alike.

    Raises:
        ValueError: fewer than two things are given.
    """
    if len(set(things)) < 2:
        raise ValueError(f"things must hold at least two different ones, got {len(set(things))}")
    rng = random.Random(f"referents {seed}")
    return [_question(rng, things) for _ in range(n)]


def _question(rng: random.Random, things: Sequence[Thing]) -> Question:
    first, second = several(rng, things, 2)
    answer = pick(rng, (first, second))
    who, place = pick(rng, PEOPLE).name, pick(rng, PLACES)
    scene = f"{who} {pick(rng, DID)} {first.a} and {second.a} {place}."
    return Question(scene, pick(rng, answer.habits), (first.name, second.name), answer.name)
