"""A judge of what a model writes: is a sentence made as those of the stories are?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from gpt2course.corpus import lexicon

# Between sentences: after a full stop or question mark, also in quotes, or where a story ends.
BETWEEN = re.compile(r"""(?:(?<=[.?])|(?<=[.?]"))\s+(?=["A-Z])|<\|endoftext\|>""")


def sentences_of(text: str) -> list[str]:
    """The complete sentences of a text, each with its full stop or question mark.

    >>> sentences_of('Mina sang. "It beeps," said Tom.<|endoftext|>On a')
    ['Mina sang.', '"It beeps," said Tom.']
    """
    parts = (part.strip() for part in BETWEEN.split(text))
    return [part for part in parts if part.endswith((".", "?", '."', '?"'))]


def known_patterns(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Every three neighbouring words of the sentences, one word standing for all of its kind."""
    return {
        three for text in texts for sentence in sentences_of(text) for three in _threes(sentence)
    }


def fits(sentence: str, known: set[tuple[str, ...]]) -> bool:
    """Whether the sentence is made of known patterns alone.

    >>> known = known_patterns(["Mina saw the robot in Oakham."])
    >>> fits("Tom saw the kettle in Foxwick.", known), fits("Tom saw the in Foxwick.", known)
    (True, False)
    """
    return _threes(sentence) <= known


def judged(texts: Sequence[str], known: set[tuple[str, ...]], n: int = 150) -> tuple[float, float]:
    """Of the first n sentences: the share that fits, and the share that is no repetition."""
    sentences = [sentence for text in texts for sentence in sentences_of(text)][:n]
    fitting = sum(fits(sentence, known) for sentence in sentences)
    return fitting / len(sentences), len(set(sentences)) / len(sentences)


def _threes(sentence: str) -> set[tuple[str, ...]]:
    kinds = _kinds()
    words = ["", *re.sub(r"\w+", lambda word: kinds.get(word[0], word[0]), sentence).split(), ""]
    return set(zip(words, words[1:], words[2:], strict=False))


@cache
def _kinds() -> dict[str, str]:
    """For each word of the stories that others could replace, one of its kind.

    What takes "an" and what takes "a" are two kinds.
    """
    things, trades = lexicon.THINGS, lexicon.TRADES
    listed: list[Sequence[str]] = [
        lexicon.VILLAGES,
        [person.name for person in lexicon.PEOPLE],
        lexicon.DAYS,
        [thing.name for thing in things if thing.name[0] not in lexicon.VOWELS],
        [thing.name for thing in things if thing.name[0] in lexicon.VOWELS],
        [thing.plural for thing in things],
        *([getattr(verb, form) for thing in things for verb in thing.verbs]
          for form in ("past", "third", "ing", "base")),
        *([getattr(trade, part) for trade in trades] for part in ("name", "verb", "what")),
        [word for words in lexicon.ADJECTIVES.values() for word in words if word != "old"]
        + list(lexicon.FEELINGS),
        lexicon.GOODS,
        lexicon.NUMBERS,
        lexicon.WEATHER,
        lexicon.SEASONS,
    ]  # fmt: skip
    found: dict[str, str] = {}
    for words in listed:
        for word in words:
            found.setdefault(word, words[0])
    return found
