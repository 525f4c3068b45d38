"""Three blocks to compare: change one input word, and see which results move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.matrix import matrix_svg, matrix_text
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable
from gpt2course.lessons.block.figures import who_moves


def blocks_to_play(
    reads: Mapping[str, Float[Tensor, "T S"]], outputs: Sequence[str], sources: Sequence[str]
) -> Playable:
    """Pick a block and the word that is changed; lines lead to the results that move.

    Args:
        reads: for each block how far result i moves when input j is changed. The inputs are the
            words of the source, then the block's own.
        outputs: the block's own words, one for each result.
        sources: the words of the other text.
    """
    inputs = [*sources, *outputs]

    def draw(block: str, changed: int) -> Picture:
        lines = who_moves(reads[block], changed, block, outputs, sources)
        seen = reads[block] > 0
        title = f"{block}: ✓ = the result (row) moves with the input (column)"
        table = matrix_svg(seen, outputs, inputs, title)
        alt = f"{lines.alt}\n{title}\n{matrix_text(seen, outputs, inputs)}"
        return Picture(f'{lines.html}<div style="margin-top:10px">{table}</div>', alt)

    wide = {"description_width": "110px"}
    controls = {
        "block": ipywidgets.ToggleButtons(
            options=list(reads), description="block:", style=wide | {"button_width": "230px"}
        ),
        "changed": ipywidgets.SelectionSlider(
            options=[(f"{i + 1}: {word}", i) for i, word in enumerate(inputs)],
            value=len(sources), description="change input:", style=wide,
            layout=ipywidgets.Layout(width="560px"),
        ),
    }  # fmt: skip
    return playable(draw, **controls)
