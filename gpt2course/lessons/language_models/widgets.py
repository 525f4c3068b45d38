"""A keyboard that suggests the next word, from counts of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from gpt2course.bigram import Words
from gpt2course.drawing.explorer import percent
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
    keys = _Keyboard(growing, start)
    return Playable(keys.widget, keys.picture)


def suggestions_of(growing: GrowingText) -> list[tuple[str, float]]:
    """The likeliest next words with their probabilities."""
    found = growing.candidates(k=SUGGESTIONS)
    return [(candidate.piece.decode(), candidate.prob) for candidate in found]


def going_round(ids: Sequence[int]) -> list[int]:
    """The shortest run of ids that the text ends with twice over; empty where there is none."""
    for length in range(1, len(ids) // 2 + 1):
        if list(ids[-length:]) == list(ids[-2 * length : -length]):
            return list(ids[-length:])
    return []


def said_of(ids: Sequence[int], words: Words) -> str:
    """One sentence on whether the text goes round in a circle."""
    run = going_round(ids)
    return f"The last words came twice in a row: “{words.decode(run)}”." if run else ""


class _Keyboard:
    """Text, three keys, and the keys that go back; what they show is the state of one text."""

    def __init__(self, growing: GrowingText, start: str):
        self.growing, self.start = growing, start
        self.text, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        wide = {"width": "182px", "height": "40px"}
        self.keys = [ipywidgets.Button(layout=wide) for _ in range(SUGGESTIONS)]
        self.actions = {
            f"the first, {AT_ONCE} times": self._first_many,
            "step back": self.growing.step_back,
            "start again": lambda: self.growing.restart(self.start),
        }
        self.others = [
            ipywidgets.Button(description=name, layout={"width": "182px"}) for name in self.actions
        ]
        for place, key in enumerate(self.keys):
            key.on_click(lambda _, place=place: self._press(place))
        for button in self.others:
            button.on_click(lambda button: self._act(button.description))
        boxes = [ipywidgets.HBox(row) for row in (self.keys, self.others)]
        self.widget = ipywidgets.VBox([self.text, *boxes, self.said])
        self._show()

    def _press(self, place: int) -> None:
        found = self.growing.candidates(k=SUGGESTIONS)
        if place < len(found):
            self.growing.choose(found[place].token_id)
        self._show()

    def _first_many(self) -> None:
        for _ in range(AT_ONCE):
            self.growing.choose(self.growing.candidates(k=1)[0].token_id)

    def _act(self, name: str) -> None:
        self.actions[name]()
        self._show()

    def _show(self) -> None:
        found = suggestions_of(self.growing)
        self.text.value = written(self.growing.text)
        for place, key in enumerate(self.keys):
            known = place < len(found)
            word, prob = found[place] if known else ("", 0.0)
            key.description = f"{word} · {percent(prob)}" if known else "–"  # "" would show the old
            key.tooltip = f"write {word}" if known else "no suggestion"
        said = said_of(self.growing.ids, self.growing.coder)
        self.said.value = f'<div role="status">{escape(said) or "&nbsp;"}</div>'

    @property
    def picture(self) -> Picture:
        """What the keyboard shows now, as a static picture."""
        said = said_of(self.growing.ids, self.growing.coder)
        return suggestion_row(self.growing.text, suggestions_of(self.growing), said)
