"""The position slider: which cells of the model a new token computes, with a cache and without."""

from gpt2course.config import GPT2Config
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, playable, slider, switch
from gpt2course.lessons.kv_cache.figures import COLUMNS, Count, two_grids


def cache_slider(count: Count, config: GPT2Config | None = None) -> Playable:
    """A slider over the columns and a switch of their width; grids, counts and bars follow."""
    config = config or GPT2Config()
    most = config.n_ctx // COLUMNS
    if most < 2:
        raise ValueError(f"n_ctx must be at least {2 * COLUMNS}, got {config.n_ctx}")

    def draw(column: int, width: int) -> Picture:
        return two_grids(count, config, column, width)

    widths = [("1 token", 1), (f"{most} tokens", most)]
    return playable(
        draw, column=slider("column:", 6, 1, COLUMNS), width=switch("a column is", widths)
    )
