"""Stories that begin with a few facts and ask for them much later, and how many a model answers.

A fact is told in a sentence such as "the key is in the cellar ."; as a telegram it is the one word
"cellar". Then come filler sentences, in which no fact occurs, and questions such as "key?". A
question stands for the answer that a reader has to give; the answer itself is never written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

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


def batch_of(
    stories: Sequence[FarFacts],
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Ids, targets and distances to the facts, in words, of stories of one length.

    Ids are places in `WORDS`. A target is the id of the answer where a question stands, and -100
    elsewhere; a distance is 0 there.
    """
    ids = {word: i for i, word in enumerate(WORDS)}
    idx = torch.tensor([[ids[word] for word in story.words] for story in stories])
    targets, distance = torch.full_like(idx, -100), torch.zeros_like(idx)
    for b, story in enumerate(stories):
        for t, word in enumerate(story.words):
            if word in OPTIONS:
                targets[b, t] = ids[story.answer(word)]
                distance[b, t] = t - story.facts[word]
    return idx, targets, distance


@torch.no_grad()
def right_by_distance(
    model: Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T words"]],
    batches: Sequence[tuple[Tensor, Tensor, Tensor]],
    edges: Sequence[int],
) -> list[tuple[float, float]]:
    """The share of questions answered right, by the distance of the fact.

    Args:
        model: from ids to logits.
        batches: as `batch_of` makes them.
        edges: distances in words, in ascending order.

    Returns:
        for any two neighbouring edges (the first included) in which something is asked: their
        geometric mean, and the share.
    """
    right = torch.cat(
        [(model(idx).argmax(dim=-1) == targets)[targets >= 0] for idx, targets, _ in batches]
    )
    distance = torch.cat([back[targets >= 0] for _, targets, back in batches])
    found = []
    for low, high in zip(edges, edges[1:], strict=False):
        here = (distance >= low) & (distance < high)
        if here.any():
            found.append((sqrt(low * high), right[here].float().mean().item()))
    return found
