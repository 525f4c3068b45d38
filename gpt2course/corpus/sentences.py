"""Sentences whose next word hangs on an earlier one, each marked with which word hangs on which."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gpt2course.corpus.lexicon import (
    AFTER,
    DAYS,
    FEELINGS,
    GOODS,
    NOTICED,
    NUMBERS,
    PEOPLE,
    PLACES,
    SENSES,
    THINGS,
    Person,
    Thing,
    a,
)  # fmt: skip

Item = TypeVar("Item")
KEPT_BACK = 8  # one sentence in so many is never put into the training text


@dataclass(frozen=True)
class Probe:
    """A text that stops before a word which an earlier word decides.

    Attributes:
        kind: what has to be understood ("it", "they", "latter", …).
        text: ends before the blank in front of the word.
        answers: the words that are right; any of them will do.
        hangs_on: where in the text the deciding word stands, as (start, end).
    """

    kind: str
    text: str
    answers: tuple[str, ...]
    hangs_on: tuple[int, int]

    @property
    def clue(self) -> str:
        """The deciding word."""
        return self.text[slice(*self.hangs_on)]


@dataclass(frozen=True)
class Line:
    """One or two sentences of a story; `probe` where a word of them can be asked."""

    text: str
    probe: Probe | None = None


def pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """One of the items, all alike. (Of Python's draws only random() is promised to stay.)"""
    return items[int(rng.random() * len(items))]


def pick_known(rng: random.Random, items: Sequence[Item]) -> Item:
    """One of the items, the first ones more often."""
    return items[int(rng.random() ** 1.6 * len(items))]


def several(rng: random.Random, items: Sequence[Item], n: int) -> list[Item]:
    """n different items."""
    found: list[Item] = []
    while len(found) < n:
        item = pick(rng, items)
        if item not in found:
            found.append(item)
    return found


def two_people(rng: random.Random) -> list[Person]:
    """Two people, the well-known ones more often."""
    first = second = pick_known(rng, PEOPLE)
    while second is first:
        second = pick_known(rng, PEOPLE)
    return [first, second]


def marked(kind: str, text: str, answers: Sequence[str]) -> Line:
    """A line from a text with [the deciding word] in brackets and ^ before the word to be said."""
    start, end = text.index("["), text.index("]")
    plain = re.sub(r"[][^]", "", text)
    asked = text[: text.index("^")].rstrip(" ")
    asked = re.sub(r"[][]", "", asked)
    return Line(plain, Probe(kind, asked, tuple(answers), (start, end - 1)))


def kept_back(text: str) -> bool:
    """Whether a sentence is one of those that the training text never shows."""
    return zlib.crc32(text.encode()) % KEPT_BACK == 0


def draw(rng: random.Random, make: Callable[..., Line], *cast: object, held: bool) -> Line:
    """A line by `make` that is among those kept back (held), or is not."""
    while True:
        line = make(rng, *cast)
        if line.probe is None or kept_back(line.text) == held:
            return line


# One function for each kind ---------------------------------------------------------------------


def because_it(rng: random.Random, who: Person, thing: Thing) -> Line:
    """One thing, and people or things in the plural around it, which "it" cannot mean."""
    others = pick(rng, [t for t in THINGS if t is not thing])
    pair, place, verb = f"the [{thing.name}]", pick(rng, PLACES), pick(rng, NOTICED)
    tail = f"it ^{pick(rng, thing.habits)}{pick(rng, AFTER)}."
    frame = pick(
        rng,
        (
            f"{who.name} {verb} {pair} because {tail}",
            f"{who.name} {verb} {pair} {place} because {tail}",
            f"{who.name} {verb} {pair} among the {others.plural} because {tail}",
            f"{pair.capitalize()} stood {place}, and {who.inside} heard how {tail}",
            f"The {others.plural} moved away from {pair} when {tail}",
            f"{who.name} led the {others.plural} past {pair} because {tail}",
            f"Nobody {place} could sleep near {pair} when {tail}",
            f"{who.name} kept {pair} {place} although {tail}",
        ),
    )
    return marked("it", frame, thing.habits)


def because_they(rng: random.Random, who: Person, thing: Thing) -> Line:
    """Several of one kind, beside one of another, which "they" cannot mean."""
    other = pick(rng, [t for t in THINGS if t is not thing])
    many, place, verb = f"the [{thing.plural}]", pick(rng, PLACES), pick(rng, NOTICED)
    tail = f"they ^{pick(rng, thing.habits)}{pick(rng, AFTER)}."
    frame = pick(
        rng,
        (
            f"{who.name} {verb} {many} because {tail}",
            f"{who.name} {verb} {many} {place} because {tail}",
            f"{who.name} {verb} {many} around the {other.name} because {tail}",
            f"The {other.name} moved away from {many} when {tail}",
            f"{who.name} led the {other.name} past {many} because {tail}",
        ),
    )
    return marked("they", frame, thing.habits)


def latter(rng: random.Random, who: Person, thing: Thing) -> Line:
    """Two things, of which the next sentence names one by its place."""
    other = pick(rng, [t for t in THINGS if t is not thing])
    seen = pick(rng, ("saw", "owned", "drew", "met", "sold"))
    first, second, which = (
        (other, thing, "latter") if rng.random() < 0.5 else (thing, other, "former")
    )
    named = [
        f"{'an' if t.name[0] in 'aeiou' else 'a'} {f'[{t.name}]' if t is thing else t.name}"
        for t in (first, second)
    ]
    scene = f"{who.name} {seen} {named[0]} and {named[1]} {pick(rng, PLACES)}."
    text = f"{scene} The {which} ^{pick(rng, thing.habits)}{pick(rng, AFTER)}."
    return marked("latter", text, thing.habits)


def agreement(rng: random.Random, who: Person, thing: Thing) -> Line:
    """A verb that agrees with a noun, across another noun of the other number."""
    other = pick(rng, [t for t in THINGS if t is not thing])
    one = rng.random() < 0.5
    subject, distractor = (thing.name, other.plural) if one else (thing.plural, other.name)
    link = pick(
        rng,
        (
            f"near the {distractor}",
            f"behind the {distractor}",
            f"that {who.inside} had placed beside the {distractor}",
            f"that belonged with the {distractor}",
        ),
    )
    verb = "was" if one else "were"
    text = f"The [{subject}] {link} ^{verb} {pick(rng, thing.adjectives)}."
    return marked("agreement", text, (verb,))


def gift(rng: random.Random, who: Person, thing: Thing, other: Person | None = None) -> Line:
    """Two people, of whom one gives something, so that the other gets it."""
    other = other or pick(rng, [p for p in PEOPLE if p is not who])
    gives, gets = (who, other) if rng.random() < 0.5 else (other, who)
    names = [f"[{p.name}]" if p is gets else p.name for p in (who, other)]
    met = pick(rng, ("met", "chatted", "rested", "sang", "waited"))
    gave = pick(rng, ("gave", "showed", "sold", "lent", "brought"))
    text = f"{names[0]} and {names[1]} {met} {pick(rng, PLACES)}. "
    return marked(
        "names", f"{text}{gives.name} {gave} the {thing.name} to ^{gets.name}.", (gets.name,)
    )


def order(rng: random.Random, who: Person, thing: Thing) -> Line:
    """Three come one after the other; then one is asked for by its number."""
    cast = several(rng, [t for t in THINGS if t is not thing], 2)
    which = pick(rng, (0, 1, 2))
    cast.insert(which, thing)
    names = [f"[{t.name}]" if t is thing else t.name for t in cast]
    came = pick(rng, ("came", "crossed the bridge", "entered the barn", "left", "reached the gate"))
    text = f"First the {names[0]} {came}, then the {names[1]}, and then the {names[2]}. "
    number = ("first", "second", "third")[which]
    return marked("order", f"{text}The {number} of them was the ^{thing.name}.", (thing.name,))


def next_day(rng: random.Random, who: Person) -> Line:
    """The days of the week go on in their order."""
    today = int(rng.random() * 7)
    did = pick(rng, ("left", "arrived", "began", "called", "wrote", "fell ill", "came home"))
    step, said = pick(
        rng, ((1, "The next day was"), (2, "Two days later it was"), (-1, "The day before was"))
    )
    answer = DAYS[(today + step) % 7]
    return marked("days", f"{who.name} {did} on [{DAYS[today]}]. {said} ^{answer}.", (answer,))


def count(rng: random.Random, who: Person) -> Line:
    """A few, and one or two more or less."""
    goods, had = pick(rng, GOODS), 3 + int(rng.random() * 5)
    change = pick(rng, (1, 2))
    more = rng.random() < 0.5
    now = NUMBERS[had + change if more else had - change]
    what = "found" if more else "lost"
    some = f"{NUMBERS[change]} more" if more else f"{NUMBERS[change]} of them"
    text = f"{who.name} had [{NUMBERS[had]}] {goods} and {what} {some}. Now {who.she} had ^{now}."
    return marked("count", text, (now,))


def at_work(rng: random.Random, who: Person) -> Line:
    """A person does what people of their trade do."""
    trade, place, feeling = who.trade, pick(rng, PLACES), pick(rng, FEELINGS)
    a_baker = a(trade.name).replace(trade.name, f"[{trade.name}]")
    since = pick(rng, ("since dawn", "all day", "for hours", "the whole week", "until noon"))
    frame = pick(
        rng,
        (
            f"{who.name} the [{trade.name}] was {feeling} because {who.she} had ^",
            f"{who.name}, {a_baker}, came home {feeling}, since {who.she} had ^",
            f"People {place} knew that [{who.name}] had ^",
            f"[{who.name}] was {feeling} because {who.she} had ^",
            f"That day [{who.name}] was {feeling} and ^",
        ),
    )
    return marked("trade", f"{frame}{trade.verb} {trade.what} {since}.", (trade.verb,))


def noise(rng: random.Random, who: Person, thing: Thing) -> Line:
    """A thing is known by what it does."""
    verb = pick(rng, thing.verbs)
    where = pick(rng, PLACES)
    said = pick(rng, ("It was the", f"{who.name} knew that it was the", "It had to be the"))
    return marked("noise", f"Something [{verb.past}] {where}. {said} ^{thing.name}.", (thing.name,))


def sense(rng: random.Random) -> Line:
    """A word with two meanings, of which what stands before it chooses one."""
    word = pick(rng, tuple(SENSES))
    scene, adjectives = pick(rng, SENSES[word])
    *before, clue = scene.split()
    first, second = several(rng, adjectives, 2)
    when = pick(rng, ("", " that day", " as usual", " once more", " this year", " at last"))
    text = f"{' '.join(before)} [{clue}] the {word}{when} was ^{first} and {second}."
    return marked("sense", text, adjectives)


KINDS: dict[str, Callable[..., Line]] = {
    "it": because_it,
    "they": because_they,
    "latter": latter,
    "agreement": agreement,
    "names": gift,
    "order": order,
    "days": next_day,
    "count": count,
    "trade": at_work,
    "noise": noise,
    "sense": sense,
}
