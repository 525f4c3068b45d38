"""Small stories and their summaries, made by seeded dice. Standard library only.

A story is about one person, who does one thing with one object in one place, and ends in some mood.
Other people, objects, places and moods stand around it, so that a summary has to choose.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, fields

from gpt2course.corpus.lexicon import (
    FEELINGS,
    PLACES,
    SEASONS,
    THINGS,
    VILLAGES,
    WEATHER,
    a,
)
from gpt2course.corpus.sentences import pick, several, two_people

DEEDS = ("found", "sold", "hid", "forgot", "drew")


@dataclass(frozen=True)
class Facts:
    """What a summary says: who, from where, did what, with which thing, where, and how it ended."""

    who: str
    home: str
    deed: str
    thing: str
    place: str
    mood: str

    def summary(self) -> str:
        """All facts in one sentence, as the first sentence of an encyclopaedia article has them."""
        return (
            f"{self.who} of {self.home} {self.deed} the {self.thing} {self.place} "
            f"and was {self.mood} in the end."
        )


FACTS = tuple(field.name for field in fields(Facts))
_SUMMARY = re.compile(
    rf"(?P<who>\w+) of (?P<home>\w+) (?P<deed>{'|'.join(DEEDS)}) the (?P<thing>\w+) "
    r"(?P<place>\w+ the \w+) and was (?P<mood>\w+) in the end\."
)


@dataclass(frozen=True)
class Story:
    """A story and its facts."""

    text: str
    facts: Facts


def stories(seed: int, n: int) -> list[Story]:
    """n stories, the same for the same seed."""
    rng = random.Random(f"summaries {seed}")
    return [_story(rng) for _ in range(n)]


def _story(rng: random.Random) -> Story:
    hero, friend = two_people(rng)
    thing, other = several(rng, THINGS, 2)
    place, elsewhere = several(rng, PLACES, 2)
    mood, another = several(rng, FEELINGS, 2)
    facts = Facts(hero.name, pick(rng, VILLAGES), pick(rng, DEEDS), thing.name, place, mood)
    begin = pick(
        rng,
        (
            f"One {pick(rng, WEATHER)} {pick(rng, SEASONS)}, {hero.name} came to {facts.home} "
            f"with {a(thing.name)}.",
            f"{hero.name} lived in {facts.home} and owned {a(thing.name)}.",
            f"This is the story of {hero.name} and {a(thing.name)} from {facts.home}.",
        ),
    )
    around = [
        f"{friend.name} was {another}.",
        f"The {other.name} {pick(rng, other.habits)} {elsewhere}.",
        f"{friend.name} {pick(rng, DEEDS)} the {other.name} {elsewhere}.",
    ]
    first, second = several(rng, around, 2)
    did = f"{hero.name} {facts.deed} the {thing.name} {place}."
    end = pick(rng, (f"{hero.name} went home {mood}.", f"That night, {hero.name} was {mood}."))
    return Story(" ".join([begin, first, did, second, end]), facts)


def facts_of(summary: str) -> Facts | None:
    """The facts that a summary states, or None where it is not built like one.

    >>> facts_of("Mina of Oakham sold the robot at the mill and was sad in the end.").thing
    'robot'
    """
    found = _SUMMARY.fullmatch(summary.strip())
    return Facts(**found.groupdict()) if found else None


def verdicts(story: Story, summary: str) -> dict[str, str]:
    """For each fact "right", "mixed up" (the story has it, of someone or something else) or
    "invented" (the story does not have it); of a text that is no summary all are "missing"."""
    told = facts_of(summary)
    if told is None:
        return dict.fromkeys(FACTS, "missing")
    said = {name: (getattr(told, name), getattr(story.facts, name)) for name in FACTS}
    return {
        name: "right" if got == want else "mixed up" if got in story.text else "invented"
        for name, (got, want) in said.items()
    }
