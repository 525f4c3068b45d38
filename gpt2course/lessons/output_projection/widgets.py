"""A vector compared with every row of wte, and the four released sizes, to play with."""

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
    """Pick a token, and scale its vector; scores and probabilities follow."""

    def draw(token: int, scale: float) -> Picture:
        title = f"{words[token]}, x scaled by {scale:g}"
        return row_against_table(words[token], scale * x[token], vocabulary, wte, columns, title)

    return playable(
        draw,
        token=switch("x after:", [(word, i) for i, word in enumerate(words)]),
        scale=slider("scale x by", 1.0, 0.0, 4.0, 0.25),
    )


def sizes_to_play(configs: Mapping[str, GPT2Config]) -> Playable:
    """Pick a size; the map of its parameters and the list below it are drawn anew."""
    size = switch("size:", list(configs))
    return playable(lambda size: parameter_map(size, configs[size]), size=size)
