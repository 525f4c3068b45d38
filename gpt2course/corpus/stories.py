"""Small stories of people and things, put together scene by scene from seeded dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from gpt2course.corpus.lexicon import (
    AFTER,
    CUSTOMS,
    DAYS,
    FEELINGS,
    NOTICED,
    NUMBERS,
    PLACES,
    SEASONS,
    THINGS,
    TIMES,
    VILLAGES,
    WEATHER,
    Person,
    Thing,
    a,
)  # fmt: skip
from gpt2course.corpus.sentences import (
    KINDS,
    Line,
    Probe,
    at_work,
    because_it,
    because_they,
    count,
    draw,
    gift,
    next_day,
    pick,
    sense,
    several,
    two_people,
)  # fmt: skip

TRAINING_STORIES, HELDOUT_STORIES = 16_000, 600
TRAINING_SEED, HELDOUT_SEED, PROBE_SEED = 0, 1, 2


Choice = TypeVar("Choice")
JOINTS = ("Then", "Later,", "Meanwhile,", "Soon", "The same day,", "After a while,")


@dataclass(frozen=True)
class Cast:
    """Who and what a story is about, and whether it may use the sentences kept back."""

    rng: random.Random
    hero: Person
    friend: Person
    thing: Thing
    other: Thing
    home: str
    held: bool

    @classmethod
    def drawn(cls, rng: random.Random, held: bool) -> Cast:
        hero, friend = two_people(rng)
        thing, other = several(rng, THINGS, 2)
        return cls(rng, hero, friend, thing, other, pick(rng, VILLAGES), held)

    def pick(self, *choices: Choice) -> Choice:
        return pick(self.rng, choices)

    def ask(self, make: Callable[..., Line], *cast: object) -> Line:
        return draw(self.rng, make, *cast, held=self.held)


def told(*sentences: str) -> list[Line]:
    return [Line(sentence) for sentence in sentences]


# Openings and endings ---------------------------------------------------------------------------


def opening(c: Cast) -> list[Line]:
    """Where, when and who."""
    weather, season, day = pick(c.rng, WEATHER), pick(c.rng, SEASONS), pick(c.rng, DAYS)
    hero, home, adjective = c.hero.name, c.home, pick(c.rng, c.thing.adjectives)
    return told(
        c.pick(
            f"It was a {weather} {day} in {home}.",
            f"One {weather} {season}, {hero} came to {home} with {c.thing.a}.",
            f"{hero} lived in {home} and owned {a(adjective)} {c.thing.name}.",
            f"Once there was {a(adjective)} {c.thing.name} in {home}.",
            f"{hero} and {c.friend.name} were neighbours in {home}.",
            f"On a {weather} {day}, {hero} woke up early.",
            f"Everyone in {home} knew the {adjective} {c.thing.name} of {hero}.",
            f"{hero}, {a(c.hero.trade.name)} from {home}, {c.hero.trade.verb} "
            f"{c.hero.trade.what} every {season}.",
            f"In {home} lived {hero} the {c.hero.trade.name} and {c.friend.name} "
            f"the {c.friend.trade.name}.",
            f"There was no {c.thing.name} in {home} until {hero} brought one.",
            f"{hero} had never left {home} before that {season}.",
            f"This is the story of {hero} and {c.thing.a} from {home}.",
        )
    )


def ending(c: Cast) -> list[Line]:
    """How they parted."""
    hero, feeling, when = c.hero.name, pick(c.rng, FEELINGS), pick(c.rng, TIMES)
    return told(
        c.pick(
            f"{hero} went home {feeling}.",
            f"That was the end of a long {pick(c.rng, DAYS)}.",
            f"From then on, {hero} and {c.friend.name} met every {pick(c.rng, DAYS)}.",
            f"{when.capitalize()}, everyone in {c.home} was {feeling}.",
            f"Then {c.friend.name} took {c.hero.her} back to {c.home}.",
            f"And the {c.thing.name} stayed with {hero} for the rest of {c.hero.own} life.",
            f'"What a day," said {c.friend.name}, and {hero} laughed.',
            f"In the end, {hero} slept well, and the {c.thing.name} was quiet.",
        )
    )


# Scenes -----------------------------------------------------------------------------------------


def cause(c: Cast) -> list[Line]:
    """Something is done because of what a thing does."""
    who, when = pick(c.rng, (c.hero, c.friend)), pick(c.rng, TIMES)
    if c.rng.random() < 0.6:
        before = c.pick(
            f"{who.name} walked out {when}.",
            f"{when.capitalize()}, {who.name} was {pick(c.rng, FEELINGS)}.",
            f"{who.name} had nothing to do {when}.",
            f"{who.name} woke from a dream.",
            f"{who.name} came back {when}.",
            f"{who.name} had {who.trade.verb} {who.trade.what} {when}.",
        )
        who = who.pronoun
    else:
        before = c.pick(
            f"{c.friend.name} had brought {c.other.a} {when}.",
            f"The {c.other.name} of {c.friend.name} was {pick(c.rng, c.other.adjectives)}.",
            f"Everybody was {pick(c.rng, FEELINGS)} {when}.",
        )
    return [*told(before), c.ask(because_it, who, c.thing)]


def two_causes(c: Cast) -> list[Line]:
    """One thing after the other, each with its own habit."""
    first, second = (c.thing, c.other) if c.rng.random() < 0.5 else (c.other, c.thing)
    between = c.pick(
        f"After that, {c.friend.name} arrived.",
        "After that, nobody spoke.",
        f"Then {c.hero.name} sat down {pick(c.rng, PLACES)}.",
        f"But {c.friend.name} was {pick(c.rng, FEELINGS)}.",
    )
    pause = told(between) if c.rng.random() < 0.5 else []
    return [c.ask(because_it, c.hero, first), *pause, c.ask(because_it, c.friend, second)]


def habit(c: Cast) -> list[Line]:
    """What a thing does, said of itself."""
    verb, after, thing = pick(c.rng, c.thing.verbs), pick(c.rng, AFTER), c.thing
    other, their = c.other, pick(c.rng, c.other.verbs)
    return told(
        c.pick(
            f"The {thing.name} {verb.past}{after}.",
            f"The {thing.name} {verb.past}, and the {other.name} {their.past}{after}.",
            f"Every {pick(c.rng, DAYS)} the {thing.name} {verb.past}{after}.",
            f"While the {thing.name} {verb.past}, the {other.plural} {their.past}.",
            f"The {pick(c.rng, thing.adjectives)} {thing.name} {verb.past}{after}.",
            f"{pick(c.rng, PLACES).capitalize()}, the {thing.plural} {verb.past}{after}.",
        )
    )


def crowd(c: Cast) -> list[Line]:
    """Many of a kind."""
    crowd = c.pick(
        f"There were {c.thing.plural} {pick(c.rng, PLACES)}.",
        f"{c.hero.name} counted the {c.thing.plural} {pick(c.rng, PLACES)}.",
        f"The {c.other.plural} had gone, and only {c.thing.plural} were left.",
    )
    return [*told(crowd), c.ask(because_they, c.hero, c.thing)]


def talk(c: Cast) -> list[Line]:
    """Question and answer about a thing."""
    thing, habit, after = c.thing, pick(c.rng, c.thing.habits), pick(c.rng, AFTER)
    hero, friend, place = c.hero.name, c.friend.name, pick(c.rng, PLACES)
    return told(
        *c.pick(
            (
                f'"Did you hear the {thing.name}?" asked {hero}.',
                f'"Yes, it {habit}{after}," said {friend}.',
            ),
            (
                f'"What did the {thing.name} do?" asked {hero}.',
                f'"It {habit}, so I {pick(c.rng, NOTICED)} it," said {friend}.',
            ),
            (
                f'"Why is the {thing.name} {place}?" asked {hero}.',
                f'"I left it there because it {habit}{after}," said {friend}.',
            ),
            (
                f'"Do you like the {thing.name}?" asked {hero}.',
                f'"Not when it {pick(c.rng, thing.verbs).third}," said {friend}.',
            ),
            (
                f'"I had {thing.a} once," said {friend}.',
                f'"I sold it {place} because it {habit}{after}."',
            ),
        )
    )


def rule(c: Cast) -> list[Line]:
    """What holds for every thing of a kind."""
    verb, other = pick(c.rng, c.thing.verbs), pick(c.rng, c.other.verbs)
    must = {
        "machine": ("obey the orders given it", "do the work given it"),
        "animal": ("follow the trail shown it", "obey the orders given it"),
        "object": ("keep the place given it", "serve the people around it"),
    }[c.thing.group]
    task, name, many = pick(c.rng, must), c.thing.a, c.thing.plural
    return told(
        c.pick(
            f"{name.capitalize()} must {task}, and it {verb.third}{pick(c.rng, AFTER)}.",
            f"{name.capitalize()} must {task} because it {verb.third}.",
            f"{name.capitalize()} {verb.third}, but {c.other.a} {other.third}.",
            f"{many.capitalize()} {verb.base}, and {c.other.plural} {other.base}.",
            f'"{name.capitalize()} must {task}," said {c.friend.name}, "even if it {verb.third}."',
            f"All {many} {verb.base}, said {c.hero.name}, and then they {verb.base} again.",
            f"{c.hero.name} could not stop {c.thing.a} from {verb.ing}.",
            f"{name.capitalize()} that {verb.third} is a happy {c.thing.name}.",
        )
    )


def carry(c: Cast) -> list[Line]:
    """A thing is taken from one place to another, or left to itself."""
    hero, her, verb = c.hero.name, c.hero.own, pick(c.rng, c.thing.verbs)
    thing, adjective = c.thing.name, pick(c.rng, c.thing.adjectives)
    return told(
        c.pick(
            f"{hero} took the {adjective} {thing} to {c.friend.name} and left it there.",
            f"{hero} could not find {her} {thing}, and looked for it {pick(c.rng, PLACES)}.",
            f"{hero} gave the {thing} a name and never sold it.",
            f"The {thing} was {adjective}, but {hero} did not want to lose it.",
            f"All day the {thing} went on {verb.ing}, and {hero} {pick(c.rng, NOTICED)} it.",
            f'"Stop {verb.ing}!" {hero} said to the {thing}, and put it {pick(c.rng, PLACES)}.',
            f"{c.friend.name} borrowed the {thing} and brought it back on {pick(c.rng, DAYS)}.",
        )
    )


def custom(c: Cast) -> list[Line]:
    """Every day of the week has something that all villages do on it."""
    day, home = pick(c.rng, DAYS), c.home
    did = CUSTOMS[day]
    return told(
        c.pick(
            f"It was {day}, and everyone in {home} {did}.",
            f"On {day} the people of {home} {did}.",
            f"Every {day} {c.hero.name} and {c.friend.name} {did}.",
            f"On {day}, when people {did}, {c.friend.name} came to {home}.",
        )
    )


def lost(c: Cast) -> list[Line]:
    """A thing is gone, and gives itself away."""
    hero, thing, verb = c.hero, c.thing, pick(c.rng, c.thing.verbs)
    first, second = several(c.rng, PLACES, 2)
    return told(
        c.pick(
            f"One day the {thing.name} was gone.",
            f"Then {hero.name} lost the {thing.name}.",
            f"But where was the {thing.name}?",
        ),
        c.pick(
            f"{hero.name} searched {first} and {second}.",
            f"{c.friend.name} looked {first}, and {hero.name} looked {second}.",
            f"It was not {first}, and it was not {second}.",
        ),
        c.pick(
            f"At last something {verb.past} in the dark, and there was the {thing.name}.",
            f"They only found it because it {verb.past}.",
            f"Nobody could find it until it {verb.past}.",
        ),
    )


def bargain(c: Cast) -> list[Line]:
    """A price is asked, and paid or not."""
    price, purse = 3 + int(c.rng.random() * 5), 3 + int(c.rng.random() * 5)
    buyer, seller, thing = c.friend.name, c.hero.name, c.thing.name
    paid = f"{buyer} had {NUMBERS[purse]} coins, so {c.friend.she}"
    return told(
        f"{buyer} wanted to buy the {thing}, and {seller} asked for {NUMBERS[price]} coins.",
        f"{paid} bought it." if purse >= price else f"{paid} could not buy it.",
    )


def rain(c: Cast) -> list[Line]:
    """The weather turns."""
    what = c.pick("rain", "snow", "storm", "hail")
    return told(
        c.pick(
            f"It began to {what}, so {c.hero.name} brought the {c.thing.name} inside.",
            f"When it began to {what}, {c.hero.name} and {c.friend.name} ran home.",
            f"It did not {what} that {pick(c.rng, SEASONS)}, and everyone was "
            f"{pick(c.rng, FEELINGS)}.",
        )
    )


def journey(c: Cast) -> list[Line]:
    """From one village to another."""
    there = pick(c.rng, VILLAGES)
    return told(
        c.pick(
            f"{c.hero.name} travelled from {c.home} to {there}, and from {there} back to {c.home}.",
            f"The road to {there} was {pick(c.rng, ('long', 'steep', 'empty', 'narrow'))}.",
            f"{c.hero.name} asked the way to {there}, but nobody in {c.home} knew {there}.",
            f"In {there}, {c.hero.name} met {c.friend.name}.",
        )
    )


def asked(kind: str) -> Callable[[Cast], list[Line]]:
    """A scene that is one marked line."""
    make = KINDS[kind]
    cast = {
        at_work: lambda c: (pick(c.rng, (c.hero, c.friend)),),
        next_day: lambda c: (c.hero,),
        count: lambda c: (pick(c.rng, (c.hero, c.friend)),),
        sense: lambda c: (),
        gift: lambda c: (c.hero, c.thing, c.friend),
        because_it: lambda c: (c.hero, c.thing),
        because_they: lambda c: (c.hero, c.thing),
    }.get(make, lambda c: (c.hero, c.other))
    return lambda c: [c.ask(make, *cast(c))]


# How often each scene comes, beside the others.
SCENES: list[tuple[Callable[[Cast], list[Line]], int]] = [
    (cause, 9), (two_causes, 5), (habit, 6), (crowd, 3), (talk, 4), (rule, 3), (carry, 3),
    (journey, 2), (custom, 3), (lost, 3), (bargain, 2), (rain, 2),
    *((asked(kind), 5) for kind in ("latter", "names", "days")),
    *((asked(kind), 3) for kind in ("order", "count", "noise", "trade")),
    (asked("agreement"), 2), (asked("sense"), 1),
]  # fmt: skip
_DECK = [scene for scene, times in SCENES for _ in range(times)]
PLAIN = (habit, talk, rule, carry, journey, custom, lost, bargain, rain)  # those without a mark


def story(rng: random.Random, held: bool = False) -> list[Line]:
    """The lines of one story."""
    c = Cast.drawn(rng, held)
    lines = opening(c)
    for scene in several(rng, _DECK, 3 + int(rng.random() * 3)):
        lines += joined(c, scene(c))
    return lines + ending(c)


def joined(c: Cast, lines: list[Line]) -> list[Line]:
    """A scene tied to the one before it by a word of time, if it begins with a name."""
    first = lines[0].text.split()[0]
    if first not in (c.hero.name, c.friend.name) or c.rng.random() < 0.7:
        return lines
    return [Line(f"{pick(c.rng, JOINTS)} {lines[0].text}", lines[0].probe), *lines[1:]]


def written(lines: list[Line]) -> str:
    return " ".join(line.text for line in lines)


def documents(seed: int, n: int, held: bool = False) -> list[str]:
    """n stories, the same for the same seed.

    Args:
        held: whether the sentences that hold a probe are those which the training text never
            shows, or all others.
    """
    rng = random.Random(seed)
    return [written(story(rng, held)) for _ in range(n)]


@cache
def training_documents() -> list[str]:
    """What the course model learns from: 16,000 stories, about 8 MB."""
    return documents(TRAINING_SEED, TRAINING_STORIES)


@cache
def heldout_documents() -> list[str]:
    """Stories that no model of the course has read; what it is measured by."""
    return documents(HELDOUT_SEED, HELDOUT_STORIES, held=True)


def probes(kind: str, n: int = 200, seed: int = PROBE_SEED) -> list[Probe]:
    """n questions of one kind, each at the end of a short story that the training text lacks.

    Args:
        kind: one of KINDS.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    rng = random.Random(f"{kind} {seed}")
    return [_probe(rng, kind) for _ in range(n)]


def _probe(rng: random.Random, kind: str) -> Probe:
    c = Cast.drawn(rng, held=True)
    lines = opening(c)
    for scene in several(rng, PLAIN, pick(rng, (0, 1, 1, 2))):
        lines += scene(c)
    before = written(lines) + " "
    probe = next(line.probe for line in asked(kind)(c) if line.probe)
    start, end = (len(before) + at for at in probe.hangs_on)
    return Probe(kind, before + probe.text, probe.answers, (start, end))
