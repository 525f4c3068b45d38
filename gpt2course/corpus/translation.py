"""English sentences and their German translations, made by seeded dice. Standard library only.

The German follows these rules of its grammar, each of which a translation word by word breaks:

- The finite verb is the second element of a main clause. Where an adverb or a clause stands first,
  the subject follows the verb: *Gestern hat Anna …*
- Participles, infinitives and the particle of a separable verb end the main clause: *holt … ab*.
- After *weil* and *dass* the finite verb ends the clause, and a separable verb is a word: *abholt*.
- The English past becomes the perfect, as in spoken German, with *haben*, or with *sein* for verbs
  of movement and change: *ist angekommen*.
- Articles and adjectives agree with the gender and the case of their noun: *der alte Hut*, *einen
  alten Hut*, *ein altes Buch*.
- Between the verb's two parts stand first the time, then the place and the object: a definite
  object before the place, an indefinite one behind it.

Verbs are combined only with times, places and modal verbs that suit them. Both sides are built from
the same parts, each by its own rules. How the German was judged: these rules, of which the tests
check word order and agreement, and more than two hundred sentences read one by one.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import cache

from gpt2course.corpus.sentences import pick

WORDS = re.compile(r"\w+|[.,]")  # a token is a word, a comma or a full stop
KEPT_BACK = 8  # one combination of words in so many is never put into the training text
TRAINING_PAIRS, TRAINING_SEED, HELDOUT_SEED = 24_000, 0, 1

Phrase = tuple[str, str]  # in English and in German


@dataclass(frozen=True)
class Pair:
    """A sentence in both languages.

    Attributes:
        new: the combinations of words in it that the training text lacks, such as ("red", "hat").
    """

    english: str
    german: str
    new: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Noun:
    """A thing or a person. Gender: m, f or n."""

    english: str
    german: str
    gender: str


@dataclass(frozen=True)
class Verb:
    """A verb in the forms that the sentences use.

    Attributes:
        particle: of a separable verb ("ab" of "abholen"); `third` is without it.
        auxiliary: "hat" or "ist".
        places: where this is done; none where a place would not suit the verb.
        now: whether English says "is doing" for the present moment.
    """

    base: str
    third_en: str
    ing: str
    past: str
    infinitive: str
    third: str
    participle: str
    particle: str
    auxiliary: str
    places: tuple[Phrase, ...]
    now: bool


def _nouns(listed: str) -> tuple[Noun, ...]:
    return tuple(Noun(*line.split()) for line in listed.split(", "))


def _phrases(listed: str) -> tuple[Phrase, ...]:
    return tuple((one, other) for one, other in (line.split(" / ") for line in listed.split(", ")))


THINGS = _nouns(
    "hat Hut m, umbrella Schirm m, coat Mantel m, ball Ball m, key Schlüssel m, suitcase Koffer m, "
    "letter Brief m, chair Stuhl m, carpet Teppich m, lamp Lampe f, bag Tasche f, clock Uhr f, "
    "cup Tasse f, guitar Gitarre f, blanket Decke f, candle Kerze f, bottle Flasche f, "
    "bicycle Fahrrad n, book Buch n, picture Bild n, radio Radio n, shirt Hemd n, knife Messer n, "
    "dress Kleid n"
)
ANYONE = _nouns("man Mann m, woman Frau f, boy Junge m, girl Mädchen n, child Kind n, king König m")
FAMILY = _nouns(
    "aunt Tante f, uncle Onkel m, grandmother Großmutter f, grandfather Großvater m, "
    "queen Königin f"
)
SHE, HE = ("Anna", "Clara", "Emma", "Laura", "Nina"), ("Ben", "David", "Felix", "Max", "Paul")
OF_THINGS = _phrases(
    "old / alt, new / neu, red / rot, blue / blau, green / grün, small / klein, big / groß, "
    "beautiful / schön, strange / seltsam, cheap / billig"
)
OF_PEOPLE = _phrases("friendly / freundlich, famous / berühmt, strange / seltsam, tall / groß")

TRADE = _phrases(
    "at the market / auf dem Markt, in the city / in der Stadt, in the village / im Dorf"
)
PLACES = TRADE + _phrases(
    "in the garden / im Garten, in the kitchen / in der Küche, at the station / am Bahnhof, "
    "in the park / im Park, at school / in der Schule, in the cellar / im Keller"
)
HABIT = _phrases("every day / jeden Tag, every morning / jeden Morgen, every week / jede Woche")
NOW = _phrases("today / heute, now / jetzt")
PAST = _phrases(
    "yesterday / gestern, this morning / heute Morgen, last week / letzte Woche, "
    "on Monday / am Montag"
)
FUTURE = _phrases("tomorrow / morgen, next week / nächste Woche")
MODALS = _phrases("must / muss, can / kann, should / sollte, wants to / will, will / wird")
HOPED = _phrases("can / kann, will / wird")
ONLY_WILL = ("lose", "forget", "arrive")  # no other modal verb suits these
MOODS = _phrases("is sad / ist traurig, is happy / ist froh, is angry / ist wütend, laughs / lacht")
CLAIMS = _phrases("knows / weiß, says / sagt, hopes / hofft, thinks / glaubt")

# By gender, nominative and accusative: the German for "the" and "a", and an adjective's ending.
THE = {"m": ("der", "den"), "f": ("die", "die"), "n": ("das", "das")}
A = {"m": ("ein", "einen"), "f": ("eine", "eine"), "n": ("ein", "ein")}
AFTER_THE = {"m": ("e", "en"), "f": ("e", "e"), "n": ("e", "e")}
AFTER_A = {"m": ("er", "en"), "f": ("e", "e"), "n": ("es", "es")}


def _verbs(
    listed: str, auxiliary: str = "hat", places: tuple[Phrase, ...] = (), now: bool = True
) -> tuple[Verb, ...]:
    """From lines: base, third, -ing, past / infinitive, third, participle, particle."""
    found = []
    for line in listed.strip().splitlines():
        english, german = line.split(" / ")
        base, third_en, ing, past = (form.replace("_", " ") for form in english.split())
        infinitive, third, participle, particle = [*german.split(), ""][:4]
        forms = base, third_en, ing, past, infinitive, third, participle, particle
        found.append(Verb(*forms, auxiliary, places, now))
    return tuple(found)


TRANSITIVE = (
    *_verbs(
        """
        see sees seeing saw / sehen sieht gesehen
        find finds finding found / finden findet gefunden
        lose loses losing lost / verlieren verliert verloren
        forget forgets forgetting forgot / vergessen vergisst vergessen
        """,
        places=PLACES,
        now=False,
    ),
    *_verbs(
        """
        look_for looks_for looking_for looked_for / suchen sucht gesucht
        draw draws drawing drew / zeichnen zeichnet gezeichnet
        hide hides hiding hid / verstecken versteckt versteckt
        """,
        places=PLACES,
    ),
    *_verbs(
        """
        buy buys buying bought / kaufen kauft gekauft
        sell sells selling sold / verkaufen verkauft verkauft
        """,
        places=TRADE,
    ),
    *_verbs(
        """
        pick_up picks_up picking_up picked_up / abholen holt abgeholt ab
        bring_along brings_along bringing_along brought_along / mitbringen bringt mitgebracht mit
        take_along takes_along taking_along took_along / mitnehmen nimmt mitgenommen mit
        throw_away throws_away throwing_away threw_away / wegwerfen wirft weggeworfen weg
        put_away puts_away putting_away put_away / wegräumen räumt weggeräumt weg
        give_back gives_back giving_back gave_back / zurückgeben gibt zurückgegeben zurück
        pack packs packing packed / einpacken packt eingepackt ein
        """
    ),
)
INTRANSITIVE = (
    *_verbs(
        """
        sing sings singing sang / singen singt gesungen
        dance dances dancing danced / tanzen tanzt getanzt
        cook cooks cooking cooked / kochen kocht gekocht
        work works working worked / arbeiten arbeitet gearbeitet
        """,
        places=PLACES,
    ),
    *_verbs(
        """
        swim swims swimming swam / schwimmen schwimmt geschwommen
        set_off sets_off setting_off set_off / aufbrechen bricht aufgebrochen auf
        arrive arrives arriving arrived / ankommen kommt angekommen an
        leave leaves leaving left / weggehen geht weggegangen weg
        come_back comes_back coming_back came_back / zurückkommen kommt zurückgekommen zurück
        """,
        auxiliary="ist",
    ),
)


@dataclass(frozen=True)
class Subject:
    """Who does it, and the pronoun that may stand for them (None where German wavers)."""

    english: str
    german: str
    pronoun: tuple[str, str] | None = None


def noun_phrase(
    noun: Noun, adjective: Phrase | None, definite: bool, accusative: bool
) -> tuple[str, str]:
    """A noun with its article and perhaps an adjective, in both languages.

    >>> noun_phrase(Noun("hat", "Hut", "m"), ("old", "alt"), definite=False, accusative=True)
    ('an old hat', 'einen alten Hut')
    """
    article = (THE if definite else A)[noun.gender][accusative]
    english, german = [noun.english], [article, noun.german]
    if adjective:
        ending = (AFTER_THE if definite else AFTER_A)[noun.gender][accusative]
        english.insert(0, adjective[0])
        german.insert(1, adjective[1] + ending)
    the = "the" if definite else "an" if english[0][0] in "aeiou" else "a"
    return " ".join([the, *english]), " ".join(german)


def _person(rng: random.Random) -> Subject:
    """A name, or a person with an article; "das Mädchen" and "das Kind" get no pronoun."""
    if rng.random() < 0.45:
        names, pronoun = pick(rng, ((SHE, ("she", "sie")), (HE, ("he", "er"))))
        name = pick(rng, names)
        return Subject(name, name, pronoun)
    noun, definite = pick(rng, ANYONE + FAMILY), True
    if noun in ANYONE:
        definite = rng.random() < 0.7
    adjective = pick(rng, OF_PEOPLE) if rng.random() < 0.25 else None
    if adjective and noun.german.lower().startswith(adjective[1]):
        adjective = None  # nobody says "die große Großmutter"
    phrase = noun_phrase(noun, adjective, definite, accusative=False)
    return Subject(*phrase, {"m": ("he", "er"), "f": ("she", "sie"), "n": None}[noun.gender])


@dataclass(frozen=True)
class Clause:
    """Someone does something: its parts, from which both languages build their own order.

    Attributes:
        time: empty or an adverb of time, which may also stand first.
        english: verb and object and place, in this order in any clause.
        middle, end: what German has between and behind; `finite` is the verb that moves.
        last: the verbs at the end of a clause with "weil" or "dass".
    """

    subject: Subject
    time: Phrase
    english: str
    finite: str
    middle: str
    end: str
    last: str
    combined: tuple[tuple[str, str], ...]

    def main(self, time_first: bool) -> tuple[str, str]:
        """As a sentence of its own; the German verb is second."""
        time_en, time_de = self.time
        who, wer = self.subject.english, self.subject.german
        if time_first:
            return (
                _joined(time_en, who, self.english),
                _joined(time_de, self.finite, wer, self.middle, self.end),
            )
        return (
            _joined(who, self.english, time_en),
            _joined(wer, self.finite, time_de, self.middle, self.end),
        )

    def subordinate(self) -> tuple[str, str]:
        """Behind "because" or "that"; the German verb is last."""
        time_en, time_de = self.time
        who, wer = self.subject.english, self.subject.german
        return (
            _joined(who, self.english, time_en),
            _joined(wer, time_de, self.middle, self.last),
        )


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


TENSES = ("past", "habit", "now", "modal")
NOTHING: Phrase = ("", "")


def _forms(verb: Verb, tense: str, modal: Phrase) -> tuple[str, str, str, str]:
    """The English verb, and in German the finite verb, the end, and the verbs of a last place."""
    if tense == "past":
        last = f"{verb.participle} {verb.auxiliary}"
        return verb.past, verb.auxiliary, verb.participle, last
    if tense == "modal":
        return (
            f"{modal[0]} {verb.base}",
            modal[1],
            verb.infinitive,
            f"{verb.infinitive} {modal[1]}",
        )
    english = f"is {verb.ing}" if tense == "now" else verb.third_en
    return english, verb.third, verb.particle, verb.particle + verb.third


def clause(
    subject: Subject,
    verb: Verb,
    tense: str,
    time: Phrase = NOTHING,
    place: Phrase = NOTHING,
    thing: Noun | None = None,
    adjective: Phrase | None = None,
    definite: bool = True,
    modal: Phrase = ("will", "wird"),
) -> Clause:
    """Someone does something, from its words; `tense` is one of TENSES."""
    does, finite, end, last = _forms(verb, tense, modal)
    if thing is None:
        return Clause(subject, time, _joined(does, place[0]), finite, place[1], end, last, ())
    what, was = noun_phrase(thing, adjective, definite, accusative=True)
    middle = _joined(was, place[1]) if definite else _joined(place[1], was)
    combined = [(verb.base, thing.english)]
    if adjective:
        combined.append((adjective[0], thing.english))
    english = _joined(does, what, place[0])
    return Clause(subject, time, english, finite, middle, end, last, tuple(combined))


def in_frame(subject: Subject, frame: Phrase, said: Clause, because_first: bool = False) -> Phrase:
    """Somebody's claim that, or mood because, something is so; `frame` is of CLAIMS or MOODS.

    Args:
        because_first: whether the reason stands before the mood.
    """
    what, was = said.subordinate()
    who, wer = subject.english, subject.german
    if frame in CLAIMS:
        return f"{who} {frame[0]} that {what}", f"{wer} {frame[1]}, dass {was}"
    if not because_first:
        return f"{who} {frame[0]} because {what}", f"{wer} {frame[1]}, weil {was}"
    verb, _, rest = frame[1].partition(" ")
    return f"because {what}, {who} {frame[0]}", f"weil {was}, {_joined(verb, wer, rest)}"


def written(phrase: str) -> str:
    """A sentence as it is written: a capital letter in front, a full stop behind."""
    return phrase[0].upper() + phrase[1:] + "."


def _clause(rng: random.Random, subject: Subject, modals: tuple[Phrase, ...] = MODALS) -> Clause:
    verb = pick(rng, TRANSITIVE if rng.random() < 0.8 else INTRANSITIVE)
    kind, often = rng.random(), rng.random() < 0.7
    if kind < 0.4:
        tense, times = "past", PAST
    elif kind < 0.65:
        tense, times = "modal", FUTURE
    elif kind < 0.85 and verb.now:
        tense, times, often = "now", NOW, True
    else:
        tense, times = "habit", HABIT
    time = pick(rng, times) if often else NOTHING
    modal = pick(rng, MODALS[-1:] if verb.base in ONLY_WILL else modals)
    place = pick(rng, verb.places) if verb.places and rng.random() < 0.4 else NOTHING
    if verb in INTRANSITIVE:
        return clause(subject, verb, tense, time, place, modal=modal)
    adjective = pick(rng, OF_THINGS) if rng.random() < 0.5 else None
    definite = rng.random() < 0.55
    return clause(subject, verb, tense, time, place, pick(rng, THINGS), adjective, definite, modal)


def _sentence(rng: random.Random) -> tuple[Phrase, tuple[tuple[str, str], ...]]:
    subject, kind = _person(rng), rng.random()
    if kind < 0.45:
        if subject.pronoun and rng.random() < 0.2:
            subject = Subject(*subject.pronoun)
        said = _clause(rng, subject)
        return said.main(said.time != NOTHING and rng.random() < 0.6), said.combined
    other = subject
    while other.german.split()[-1] == subject.german.split()[-1]:
        other = _person(rng)
    if subject.pronoun and rng.random() < 0.3:
        other = Subject(*subject.pronoun)
    frame = pick(rng, CLAIMS if kind < 0.7 else MOODS)
    said = _clause(rng, other, HOPED if frame[0] == "hopes" else MODALS)
    return in_frame(subject, frame, said, because_first=kind >= 0.87), said.combined


def words_of(sentence: str) -> list[str]:
    """The words and signs of a sentence.

    >>> words_of("Anna weiß, dass Ben lacht.")
    ['Anna', 'weiß', ',', 'dass', 'Ben', 'lacht', '.']
    """
    return WORDS.findall(sentence)


def sentence_of(words: list[str]) -> str:
    """The sentence of such words.

    >>> sentence_of(["Anna", "weiß", ",", "dass", "Ben", "lacht", "."])
    'Anna weiß, dass Ben lacht.'
    """
    return re.sub(r" (?=[.,])", "", " ".join(words))


def kept_back(combined: tuple[str, str]) -> bool:
    """Whether these two words never stand together in the training text."""
    return zlib.crc32(" ".join(combined).encode()) % KEPT_BACK == 0


def pairs(seed: int, n: int, new: bool = False) -> list[Pair]:
    """n sentences and their translations, the same for the same seed.

    Args:
        new: whether each holds a combination that the training text lacks, or none does.
    """
    rng = random.Random(seed)
    found: list[Pair] = []
    while len(found) < n:
        (english, german), combined = _sentence(rng)
        unseen = tuple(filter(kept_back, combined))
        if bool(unseen) == new:
            found.append(Pair(written(english), written(german), unseen))
    return found


@cache
def training_pairs() -> list[Pair]:
    """What the lesson's model learns from."""
    return pairs(TRAINING_SEED, TRAINING_PAIRS)


def heldout_pairs(n: int, new: bool) -> list[Pair]:
    """n different sentences that the training text lacks.

    Args:
        new: whether they hold a combination of words that it lacks as well.
    """
    known = {pair.english for pair in training_pairs()}
    found: list[Pair] = []
    for pair in pairs(HELDOUT_SEED, 3 * n + 100, new):
        if pair.english not in known:
            known.add(pair.english)
            found.append(pair)
    return found[:n]
