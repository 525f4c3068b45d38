"""The mask that can be switched: what it does to the weights and to the two losses."""

from collections.abc import Callable, Mapping

from torch import Tensor

from gpt2course.drawing.attention_maps import weights_of
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, playable, switch
from gpt2course.lessons.masking.figures import Losses, masked_weights


def mask_switch(
    variants: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]], q: Tensor, k: Tensor,
    words: Words, losses: Losses, floor: float,
) -> Playable:  # fmt: skip
    """Switch between variants of masking; the weights and the two losses change with it.

    The losses, usual and honest, are those of a model trained with the variant.
    """

    def draw(variant: str) -> Picture:
        weights = weights_of(variants[variant], q, k)
        return masked_weights(variant, weights, words, losses[variant], floor)

    return playable(draw, variant=switch("mask:", list(variants)))
