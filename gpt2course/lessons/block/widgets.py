"""Three blocks to compare: change one input token, and see which outputs move."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, playable, stops, switch
from gpt2course.lessons.block.figures import who_moves


def blocks_to_play(
    reads: Mapping[str, Float[Tensor, "T S"]], outputs: Words, sources: Words
) -> Playable:
    """Pick a block and the token that is changed; lines lead to the outputs that move.

    `reads`, by block, and the words are those of `who_moves`.
    """

    def draw(block: str, changed: int) -> Picture:
        return who_moves(reads[block], changed, block, outputs, sources)

    inputs = [(f"{i + 1}: {word}", i) for i, word in enumerate([*sources, *outputs])]
    changed = stops("change input:", inputs, len(sources))
    return playable(draw, block=switch("block:", list(reads)), changed=changed)
