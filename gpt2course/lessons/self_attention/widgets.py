"""The filing cabinet to play with: a query to pick or to turn by hand, against four keys."""

import math
from collections.abc import Sequence

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Words
from gpt2course.drawing.twin import Playable, playable, slider, switch
from gpt2course.lessons.self_attention.figures import LONGEST, cabinet

BY_HAND = "by hand"


def cabinet_to_play(
    words: Words, q: Float[Tensor, "T 2"], k: Float[Tensor, "S 2"], v: Float[Tensor, "S 2"],
    first: str,
) -> Playable:  # fmt: skip
    """Pick a word's query, or turn and stretch one; scores, weights and the blend follow."""
    queries = dict(zip(words, q.tolist(), strict=True))

    def draw(asker: str, angle: float, length: float, scaled: bool) -> Picture:
        return cabinet(words, queries.get(asker) or turned(angle, length), k, v, asker, scaled)

    angle, length = polar(queries[first])
    controls = {
        "asker": switch("query of:", [*words, BY_HAND], first),
        "angle": slider("angle (°)", angle, -180, 180),
        "length": slider("length", length, 0.0, LONGEST, 0.1),
        "scaled": ipywidgets.Checkbox(True, description="divide by √hs"),
    }
    _tie(controls, queries)
    return playable(draw, **controls)


def turned(angle: float, length: float) -> list[float]:
    """The query of that angle (degrees from the first axis, anticlockwise) and length."""
    radians = math.radians(angle)
    return [length * math.cos(radians), length * math.sin(radians)]


def polar(query: Sequence[float]) -> tuple[int, float]:
    """Angle (whole degrees) and length (to a tenth) of a query."""
    return round(math.degrees(math.atan2(query[1], query[0]))), round(math.hypot(*query), 1)


def _tie(controls: dict[str, ipywidgets.Widget], queries: dict[str, list[float]]) -> None:
    """A word moves the sliders to its query; moving a slider by hand lets go of the word."""
    asker, angle, length = (controls[name] for name in ("asker", "angle", "length"))
    follows = [False]

    def follow(change: dict) -> None:
        if change["new"] in queries:
            follows[0] = True
            angle.value, length.value = polar(queries[change["new"]])
            follows[0] = False

    def let_go(_: dict) -> None:
        if not follows[0]:
            asker.value = BY_HAND

    asker.observe(follow, names="value")
    angle.observe(let_go, names="value")
    length.observe(let_go, names="value")
