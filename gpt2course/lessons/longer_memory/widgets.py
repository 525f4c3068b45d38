"""The receptive field: what one query can know of through the layers, and its cost."""

from gpt2course.drawing.twin import Playable, playable, slider, stops, switch
from gpt2course.lessons.longer_memory.figures import PLACES, STACKS, receptive_field


def field_to_play() -> Playable:
    """Buttons for the kind of attention; sliders for its size, the layers and the query."""
    return playable(
        receptive_field,
        stack=switch("layers are", list(STACKS), "recurrent"),
        size=stops("size:", [1, 2, 3, 4, 6, 8, 12, 16, 24, 48], 8),
        n_layer=slider("layers:", 3, 1, 4),
        query=slider("query:", PLACES - 5, 0, PLACES - 1),
    )
