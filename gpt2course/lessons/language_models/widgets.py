"""A keyboard that suggests the next word, from counts of pairs."""

from collections.abc import Sequence
from html import escape

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.bigram import Words
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.explorer_widget import GrowingText
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable
from gpt2course.lessons.language_models.figures import suggestion_row, written

SUGGESTIONS = 3
AT_ONCE = 10  # how often one press takes the first suggestion


def keyboard(probs: Float[Tensor, "V V"], words: Words, start: str) -> Playable:
    """Three suggestions to press, one after the other; each becomes part of the text.

    In `probs` a row is the current word, a column the next.
    """
    growing = GrowingText(lambda ids: probs[ids[-1]].log(), words, start)
    return Playable(_Keyboard(growing, start).widget, _picture(growing))


def going_round(ids: Sequence[int]) -> list[int]:
    """The shortest run of ids that the text ends with twice over; empty where there is none."""
    for length in range(1, len(ids) // 2 + 1):
        if list(ids[-length:]) == list(ids[-2 * length : -length]):
            return list(ids[-length:])
    return []


def _suggested(growing: GrowingText) -> tuple[list[tuple[str, float]], str]:
    """The likeliest next words, and a sentence where the text goes round in a circle."""
    found = growing.candidates(k=SUGGESTIONS)
    run = going_round(growing.ids)
    said = f"The last words came twice in a row: “{growing.coder.decode(run)}”." if run else ""
    return [(one.piece.decode(), one.prob) for one in found], said


def _picture(growing: GrowingText) -> Picture:
    return suggestion_row(growing.text, *_suggested(growing))


class _Keyboard:
    """Text, three keys, and the keys that go back; what they show is the state of one text."""

    def __init__(self, growing: GrowingText, start: str):
        self.growing = growing
        self.text, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        layout = {"width": "182px", "height": "40px"}
        self.keys = [ipywidgets.Button(layout=layout) for _ in range(SUGGESTIONS)]
        for place, key in enumerate(self.keys):
            key.on_click(lambda _, place=place: self._press(place))
        actions = {
            f"the first, {AT_ONCE} times": lambda: self._press(0, AT_ONCE),
            "step back": growing.step_back,
            "start again": lambda: growing.restart(start),
        }
        layout = {"width": "182px"}
        others = [ipywidgets.Button(description=name, layout=layout) for name in actions]
        for button in others:
            button.on_click(lambda pressed: (actions[pressed.description](), self._show()))
        boxes = [ipywidgets.HBox(row) for row in (self.keys, others)]
        self.widget = ipywidgets.VBox([self.text, *boxes, self.said])
        self._show()

    def _press(self, place: int, times: int = 1) -> None:
        for _ in range(times):
            found = self.growing.candidates(k=SUGGESTIONS)
            if place < len(found):
                self.growing.choose(found[place].token_id)
        self._show()

    def _show(self) -> None:
        found, said = _suggested(self.growing)
        self.text.value = written(self.growing.text)
        for place, key in enumerate(self.keys):
            word, prob = found[place] if place < len(found) else ("", 0.0)
            key.description = f"{word} · {percent(prob)}" if word else "–"  # "" would show the old
            key.tooltip = f"write {word}" if word else "no suggestion"
        self.said.value = f'<div role="status">{escape(said) or "&nbsp;"}</div>'
