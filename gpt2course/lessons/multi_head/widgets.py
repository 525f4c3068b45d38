"""Heads to choose from: what each of them reads, in one sentence or another."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, menu, playable, switch
from gpt2course.lessons.multi_head.figures import head_map


def head_switch(maps: Mapping[str, Mapping[str, Float[Tensor, "T T"]]]) -> Playable:
    """Choose a head and a sentence; the heat map of its weights follows.

    `maps` has for each sentence (words with spaces between them) the weights of each head.
    """

    def draw(head: str, sentence: str) -> Picture:
        return head_map(maps[sentence][head], sentence.split(), f"weights of {head}")

    heads = switch("head:", list(next(iter(maps.values()))))
    return playable(draw, head=heads, sentence=menu("sentence:", list(maps)))
