"""A slider over the position: the row by rule as clocks, and the learned row, if there is one."""

from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.twin import Playable, playable, slider
from gpt2course.lessons.positions.figures import row_of_both


def position_slider(
    learned: Float[Tensor, "n_ctx C"], last: int | None = None, first: int = 3
) -> Playable:
    """A slider over the position; the clocks and both rows follow.

    Without `last` it goes to three times the number of learned rows.
    """
    position = slider("position:", first, 0, last or 3 * len(learned) - 1)
    return playable(lambda position: row_of_both(position, learned), position=position)
