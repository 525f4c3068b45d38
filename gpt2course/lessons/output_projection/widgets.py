"""A row held against the table of tokens, and the four released sizes, to play with."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from gpt2course.config import GPT2Config
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, playable, slider, switch
from gpt2course.lessons.output_projection.figures import parameter_map, row_against_table


def scores_to_play(
    words: Words, x: Float[Tensor, "T C"], vocabulary: Words, wte: Float[Tensor, "V C"],
    columns: Words,
) -> Playable:  # fmt: skip
    """Pick a token, and stretch its row; scores and probabilities follow."""

    def draw(token: int, length: float) -> Picture:
        title = f"{words[token]}, {length:g} times as long"
        return row_against_table(words[token], length * x[token], vocabulary, wte, columns, title)

    return playable(
        draw,
        token=switch("x after:", [(word, i) for i, word in enumerate(words)]),
        length=slider("times as long", 1.0, 0.0, 4.0, 0.25),
    )


def sizes_to_play(configs: Mapping[str, GPT2Config]) -> Playable:
    """Pick a size; the map of its parameters and their table are drawn anew."""
    size = switch("size:", list(configs))
    return playable(lambda size: parameter_map(size, configs[size]), size=size)
