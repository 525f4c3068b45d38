"""A row held against the table of tokens, and the four released sizes, to play with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.config import GPT2Config
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable
from gpt2course.lessons.output_projection.figures import parameter_map, row_against_table


def scores_to_play(
    words: Sequence[str],
    x: Float[Tensor, "T C"],
    vocabulary: Sequence[str],
    wte: Float[Tensor, "V C"],
    columns: Sequence[str],
) -> Playable:
    """Pick a token, and stretch its row; scores and probabilities follow.

    Args:
        words: one for each row of x.
        vocabulary: one for each row of wte.
        columns: what each number of a row stands for.
    """

    def draw(token: int, length: float) -> Picture:
        row = length * x[token]
        title = f"{words[token]}, {length:g} times as long"
        return row_against_table(words[token], row, vocabulary, wte, columns, title)

    wide = {"description_width": "100px"}
    controls = {
        "token": ipywidgets.ToggleButtons(
            options=[(word, i) for i, word in enumerate(words)], value=0, description="x after:",
            style=wide | {"button_width": "90px"},
        ),
        "length": ipywidgets.FloatSlider(
            1.0, min=0.0, max=4.0, step=0.25, description="times as long", style=wide,
            layout=ipywidgets.Layout(width="480px"),
        ),
    }  # fmt: skip
    return playable(draw, **controls)


def sizes_to_play(configs: Mapping[str, GPT2Config]) -> Playable:
    """Pick a size; the map of its parameters and their table are drawn anew.

    Args:
        configs: the sizes by the model's name.
    """

    def draw(size: str) -> Picture:
        return parameter_map(size, configs[size])

    wide = {"description_width": "60px", "button_width": "130px"}
    switch = ipywidgets.ToggleButtons(options=list(configs), description="size:", style=wide)
    return playable(draw, size=switch)
