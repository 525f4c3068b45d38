"""Heads to choose from: what each of them reads, in one sentence or another."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable
from gpt2course.lessons.multi_head.figures import head_map


def head_switch(maps: Mapping[str, Mapping[str, Float[Tensor, "T T"]]]) -> Playable:
    """Choose a head and a sentence; the heat map of its weights follows.

    Args:
        maps: for each sentence (words with blanks between them) the weights of each head by name.
    """
    heads = list(next(iter(maps.values())))

    def draw(head: str, sentence: str) -> Picture:
        return head_map(maps[sentence][head], sentence.split(), f"weights of {head}")

    switch = ipywidgets.ToggleButtons(
        options=heads, description="head:", style={"button_width": "150px"}
    )
    sentences = ipywidgets.Dropdown(
        options=list(maps), description="sentence:", layout=ipywidgets.Layout(width="480px")
    )
    return playable(draw, head=switch, sentence=sentences)
