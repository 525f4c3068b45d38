"""Neighbours to play with: choose a word, a matrix and a measure; the nearest words appear."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, menu, playable, switch
from gpt2course.lessons.embeddings.figures import neighbour_bars


def neighbours_to_play(
    tables: Mapping[str, Float[Tensor, "V C"]], words: Words, first: str
) -> Playable:
    """Choose a word, a matrix and a measure; its nearest words appear as bars."""

    def draw(word: str, table: str, measure: str) -> Picture:
        return neighbour_bars(word, words, tables[table], measure, title=f"{table} matrix")

    return playable(
        draw,
        word=menu("word:", sorted(words), first),
        table=switch("matrix:", list(tables)),
        measure=switch("measure:", ["cosine", "dot product"]),
    )
