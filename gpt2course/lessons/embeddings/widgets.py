"""Neighbours to play with: pick a word, a table and a measure; the nearest words follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable
from gpt2course.lessons.embeddings.figures import neighbour_bars

MEASURES = ("cosine", "dot product")


def neighbours_to_play(
    tables: Mapping[str, Float[Tensor, "V C"]], words: Sequence[str], first: str
) -> Playable:
    """Pick a word, a table and a measure; its nearest words follow as bars.

    Args:
        tables: tables of the same words by name.
        words: one for each row.
        first: the word that is shown at first.
    """

    def draw(word: str, table: str, measure: str) -> Picture:
        return neighbour_bars(word, words, tables[table], measure, title=f"{table} table")

    left = {"description_width": "70px"}
    wide = {**left, "button_width": "110px"}
    return playable(
        draw,
        word=ipywidgets.Dropdown(
            options=sorted(words), value=first, description="word:", style=left
        ),
        table=ipywidgets.ToggleButtons(options=list(tables), description="table:", style=wide),
        measure=ipywidgets.ToggleButtons(options=MEASURES, description="measure:", style=wide),
    )
