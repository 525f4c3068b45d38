"""Stories that begin with a few facts and ask for them much later.

A fact is told in a sentence such as "the key is in the cellar ."; as a telegram it is the one word
"cellar". Then come filler sentences, in which no fact occurs, and questions such as "key?". A
question stands for the answer that a reader has to give; the answer itself is never written.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# Each question has options of its own, so that an answer tells which fact it was taken from.
OPTIONS = {
    "key?": "cellar attic garden kitchen".split(),
    "cat?": "Minka Tiger Smoky Pepper".split(),
    "door?": "red blue green yellow".split(),
    "soup?": "potatoes onions carrots lentils".split(),
}
TOLD = {
    "key?": "the key is in the {} .",
    "cat?": "the cat is called {} .",
    "door?": "the door is painted {} .",
    "soup?": "the soup is made with {} .",
}
WHO = "rain wind child river".split()
DID = "waited turned sang slept".split()
WHEN = "again slowly today".split()

QUESTIONS = list(OPTIONS)
_TEXTS = [*QUESTIONS, *(t.format("") for t in TOLD.values()), *WHO, *DID, *WHEN, "the", "."]
WORDS = sorted({word for text in _TEXTS for word in text.split()} | set(sum(OPTIONS.values(), [])))


@dataclass(frozen=True)
class FarFacts:
    """One story.

    Attributes:
        words: its words, all of them in `WORDS`.
        facts: for each question the place of the word that answers it.
    """

    words: list[str]
    facts: dict[str, int]

    def answer(self, question: str) -> str:
        return self.words[self.facts[question]]


def far_facts(
    length: int, dice: random.Random, telegram: bool = False, ask_every: int = 4
) -> FarFacts:
    """A story of `length` words: the facts in any order, then filler and questions.

    Args:
        telegram: the facts are told in one word each, side by side.
        ask_every: one of so many words behind the facts is a question, on average.

    Raises:
        ValueError: the facts alone take more than length words.
    """
    words: list[str] = []
    facts: dict[str, int] = {}
    for question in dice.sample(QUESTIONS, len(QUESTIONS)):
        option = dice.choice(OPTIONS[question])
        told = [option] if telegram else TOLD[question].format(option).split()
        facts[question] = len(words) + told.index(option)
        words += told
    if len(words) > length:
        raise ValueError(
            f"length must be at least {len(words)}, which the facts take, got {length}; "
            f"telegram=True makes them shorter"
        )
    filler: list[str] = []
    while len(words) < length:
        if dice.randrange(ask_every) == 0:
            words.append(dice.choice(QUESTIONS))
            continue
        filler = filler or ["the", dice.choice(WHO), dice.choice(DID), dice.choice(WHEN), "."]
        words.append(filler.pop(0))
    return FarFacts(words, facts)
