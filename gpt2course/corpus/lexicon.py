"""The words of the made-up world: who lives in it, what stands in it, and what each of them does.

A thing is known by what it does, and so are people: no verb belongs to two of them. So whoever
reads "because it" can say the next word if they know what "it" stands for, and not otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

VOWELS = "aeiou"


@dataclass(frozen=True)
class Verb:
    """A verb in the four forms that the texts use."""

    base: str
    past: str
    third: str
    ing: str

    @classmethod
    def of(cls, spelling: str) -> Verb:
        """From "beep", or "whir/whirred/whirring" where the rules do not give past and -ing.

        >>> Verb.of("hurry")
        Verb(base='hurry', past='hurried', third='hurries', ing='hurrying')
        """
        base, *given = spelling.split("/")
        if base.endswith("y") and base[-2] not in VOWELS:
            past, third = base[:-1] + "ied", base[:-1] + "ies"
        else:
            past = base + ("d" if base.endswith("e") else "ed")
            third = base + ("es" if base.endswith(("s", "sh", "ch", "x", "z")) else "s")
        ing = base.removesuffix("e") + "ing"
        return cls(base, given[0] if given else past, third, given[1] if given[1:] else ing)


@dataclass(frozen=True)
class Thing:
    """Something that "it" can stand for, and what it does.

    Attributes:
        group: machine, animal or object; things of a group share their adjectives.
    """

    name: str
    plural: str
    group: str
    verbs: tuple[Verb, ...]
    adjectives: tuple[str, ...]

    @property
    def a(self) -> str:
        """With its article, as in "an owl"."""
        return a(self.name)

    @property
    def habits(self) -> tuple[str, ...]:
        return tuple(verb.past for verb in self.verbs)


@dataclass(frozen=True)
class Trade:
    """What people do all day: "had kneaded dough"."""

    name: str
    verb: str  # past and participle in one
    what: str


@dataclass(frozen=True)
class Person:
    """Someone with a trade, which stays the same from story to story."""

    name: str
    she: str  # or "he"
    trade: Trade

    @property
    def pronoun(self) -> Person:
        """The same person, called she or he at the start of a sentence."""
        return replace(self, name=self.she.capitalize())

    @property
    def inside(self) -> str:
        """As in the middle of a sentence."""
        return self.she if self.name == self.she.capitalize() else self.name

    @property
    def her(self) -> str:
        """The object form."""
        return "her" if self.she == "she" else "him"

    @property
    def own(self) -> str:
        """The possessive."""
        return "her" if self.she == "she" else "his"


def a(noun: str) -> str:
    """A noun with its article.

    >>> a("owl"), a("rusty robot")
    ('an owl', 'a rusty robot')
    """
    return f"an {noun}" if noun[0] in VOWELS else f"a {noun}"


ADJECTIVES = {
    "machine": ("rusty", "shiny", "broken", "brand new", "greasy", "dusty"),
    "animal": ("hungry", "sleepy", "young", "muddy", "timid", "proud"),
    "object": ("wooden", "old", "heavy", "painted", "crooked", "small"),
}

_THINGS = """
machine: robot robots: beep whir/whirred/whirring blink
machine: kettle kettles: whistle boil steam
machine: clock clocks: tick chime lag/lagged/lagging
machine: lamp lamps: flicker glow dim/dimmed/dimming
machine: radio radios: crackle hum/hummed/humming fizz
machine: engine engines: sputter cough stall
machine: pump pumps: gurgle squirt clog/clogged/clogging
machine: printer printers: click jam/jammed/jamming smudge
animal: dog dogs: bark growl whine
animal: cat cats: purr/purred/purring meow scratch
animal: cow cows: moo chew kick
animal: horse horses: neigh gallop snort
animal: duck ducks: quack waddle paddle
animal: goat goats: bleat nibble butt
animal: owl owls: hoot glide swoop
animal: wolf wolves: howl prowl snarl
animal: frog frogs: croak hop/hopped/hopping puff
animal: bee bees: buzz sting/stung/stinging swarm
animal: mouse mice: squeak scurry gnaw
animal: snake snakes: hiss slither coil
animal: rooster roosters: crow strut/strutted/strutting peck
animal: donkey donkeys: bray dawdle stumble
animal: pig pigs: grunt wallow snuffle
animal: lion lions: roar pounce yawn
animal: parrot parrots: talk screech mimic/mimicked/mimicking
object: bell bells: ring/rang/ringing toll clang
object: door doors: creak slam/slammed/slamming stick/stuck/sticking
object: cart carts: rattle wobble tip/tipped/tipping
object: boat boats: leak drift sink/sank/sinking
object: kite kites: soar flutter dive
object: balloon balloons: float pop/popped/popping shrink/shrank/shrinking
object: candle candles: melt drip/dripped/dripping smoke
object: wheel wheels: squeal skid/skidded/skidding spin/spun/spinning
object: drum drums: boom thump rumble
"""


def _thing(line: str) -> Thing:
    group, names, verbs = line.split(": ")
    name, plural = names.split()
    return Thing(name, plural, group, tuple(map(Verb.of, verbs.split())), ADJECTIVES[group])


THINGS = [_thing(line) for line in _THINGS.strip().splitlines()]

_TRADES = """
baker kneaded dough; smith hammered iron; fisher mended nets; tailor sewed coats
teacher corrected homework; painter mixed colours; gardener pulled weeds; miller ground wheat
carpenter sawed planks; weaver dyed cloth; cook peeled onions; miner dug coal
singer practised songs; nurse bandaged knees; sailor scrubbed decks; mason laid bricks
potter shaped clay; shepherd sheared sheep; barber trimmed beards; butcher sliced hams
writer typed pages; doctor prescribed pills; dancer rehearsed steps; hunter tracked deer
judge settled quarrels; librarian sorted books; florist tied bouquets; roofer replaced tiles
jeweller polished pearls; cobbler soled boots; plumber fixed pipes; farmer ploughed fields
"""
TRADES = [Trade(*trade.split()) for trade in re.split(r";|\n", _TRADES.strip())]

# The first are met most often: a few names do most of the work in any village.
_WOMEN = "Mina Ada Rosa Lena Ivy Nora Clara Hanna Petra Ruth Tilda Vera Edith Olga Kira Maud"
_MEN = "Tom Ben Otto Leo Felix Hugo Ivan Nils Omar Paul Theo Milo Viktor Remy Walter Udo"
_NAMES = [
    (name, she)
    for pair in zip(_WOMEN.split(), _MEN.split(), strict=True)
    for name, she in zip(pair, ("she", "he"), strict=True)
]
PEOPLE = [Person(*named, trade) for named, trade in zip(_NAMES, TRADES, strict=True)]

PLACES = tuple(
    "in the shed|in the kitchen|in the garden|on the bridge|behind the barn|at the market|"
    "near the well|in the square|by the pond|on the hill|under the oak|at the mill|by the gate|"
    "in the cellar|on the roof|beside the road|at the harbour|in the meadow|at the school|"
    "in the workshop".split("|")
)
# What a person may do to any thing at all.
NOTICED = tuple(
    "looked at|pointed at|waited for|ran to|listened to|walked around|stood beside|laughed at|"
    "watched|followed|noticed|liked|feared|found|touched|remembered|turned to|sat near|hid from|"
    "stayed with".split("|")
)
FEELINGS = tuple("tired happy sad proud busy worried cheerful hungry thirsty quiet".split())
WEATHER = tuple("warm cold windy rainy foggy sunny snowy stormy".split())
SEASONS = tuple("spring summer autumn winter".split())
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
# What every village does on each day of the week.
CUSTOMS = dict(
    zip(
        DAYS,
        "washed clothes|baked bread|swept floors|lit lanterns|ate fish|went dancing|rested".split(
            "|"
        ),
        strict=True,
    )
)
TIMES = tuple(
    "in the morning|at noon|in the evening|after lunch|before dawn|at sunset|late at night".split(
        "|"
    )
)
AFTER = ("", "", "", " again", " all night", " without a pause", " for an hour", " as always")
NUMBERS = tuple("zero one two three four five six seven eight nine ten".split())
GOODS = tuple(
    "apples pears eggs coins buttons plums ribbons carrots stones letters nuts shells".split()
)
VILLAGES = tuple(
    first + second
    for first in "Oak Mill Stone Ash Hazel Raven Winter Fox Copper Long Bram Thistle".split()
    for second in "ham ford wick dale bury field mouth stead ton well".split()
)

# One spelling, two meanings: what stands before says which, and what follows depends on it.
SENSES = {
    "bank": (
        ("By the river", ("muddy", "steep", "slippery")),
        ("In the town", ("closed", "guarded", "crowded")),
    ),
    "spring": (
        ("Inside the clock", ("bent", "worn", "snapped")),
        ("After the winter", ("mild", "early", "green")),
    ),
    "ring": (
        ("On her finger", ("golden", "thin", "precious")),
        ("At the circus", ("round", "sandy", "noisy")),
    ),
    "note": (
        ("On the piano", ("high", "low", "false")),
        ("Under the door", ("folded", "signed", "unread")),
    ),
}
