"""The tower to play with: who climbs, which heads are open or off, step by step or at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape

import ipywidgets
from torch import nn

from gpt2course.drawing.attention_widget import Coder, ids_of, told_apart
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tower import drawn
from gpt2course.drawing.tower_reading import DEEP, Reading, View
from gpt2course.drawing.twin import Playable, named, switch

PACE = 700  # milliseconds from stage to stage
UNSEEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"
# A click on the picture presses the button that does the same, and that keys can reach.
PRESS = (
    "onclick=\"this.closest('.gpt2course-tower')"
    ".querySelectorAll('.gpt2course-tower-{} button')[{}].click()\""
)


def tower_to_play(
    model: nn.Module, coder: Coder, text: str, token: int | None = None, floor: int | None = None,
    yours: Sequence[str] = (),
) -> Playable:  # fmt: skip
    """A tower to play with.

    Choose the token that climbs, open the heads of a block and switch them off, climb step by
    step, and add the predicted word to the text to climb again.

    Args:
        model: a GPT2, or one of a learner's own with parts of the same names.
        text: what is read at first.
        token: the place of the token that climbs, from 0; the last without it.
        floor: the block whose heads are open at first.
        yours: exercises that the learner has solved; their parts have a star.
    """
    panel = TowerPanel(model, coder, text, token, floor, yours)
    return Playable(panel.widget, panel.picture())


class TowerPanel:
    """The tower's controls and its picture; both show the state of the controls."""

    def __init__(
        self, model: nn.Module, coder: Coder, text: str, token: int | None = None,
        floor: int | None = None, yours: Sequence[str] = (),
    ):  # fmt: skip
        self.model, self.coder, self.yours = model, coder, yours
        self.off: frozenset[tuple[int, int]] = frozenset()
        self._readings: dict[tuple, Reading] = {}
        self._quiet = False  # while several controls change at once
        L, nh = model.config.n_layer, model.config.n_head
        self.text = ipywidgets.Text(text, continuous_update=False, **named("text:"))
        self.token = switch("climbs:", [])
        self.floor = switch(
            "open block:", [("none", None)] * (L <= DEEP) + [(f"{b}", b) for b in range(L)]
        )
        self.heads = [ipywidgets.ToggleButton(True, layout={"width": "auto"}) for _ in range(nh)]
        self.at = ipywidgets.IntSlider(
            2 * L + 1, min=0, max=2 * L + 1, readout=False,
            **named("stage:") | {"layout": {"width": "300px"}},
        )  # fmt: skip
        self.play = ipywidgets.Play(
            value=2 * L + 1, min=0, max=2 * L + 1, interval=PACE, show_repeat=False
        )
        ipywidgets.jslink((self.play, "value"), (self.at, "value"))
        self.step, self.add, self.again, self.all_on = (
            ipywidgets.Button(description=said, tooltip=tip, layout={"width": "auto"})
            for said, tip in (
                ("step", "one stage up; from the top to the bottom"),
                ("add the word", "the likeliest word joins the text, and climbs in its turn"),
                ("start again", "the text as it was given"),
                ("all heads on", "switch all heads on"),
            )
        )
        self.said, self.shown = ipywidgets.HTML(), ipywidgets.HTML()
        self.switches = ipywidgets.HBox([ipywidgets.Label("heads:", layout={"width": "100px"})])
        self.widget = self._laid_out()
        self._start_again(token)
        self.floor.value = self.reading.view(token, floor).floor
        self._open()
        self._listen()

    def _laid_out(self) -> ipywidgets.VBox:
        wraps = {"flex_flow": "row wrap", "align_items": "center"}
        self.switches.children += (*self.heads, self.all_on)
        self.switches.layout = ipywidgets.Layout(**wraps, min_height="36px")
        for control in (self.token, self.floor):
            control.layout = ipywidgets.Layout(display="flex")  # the buttons beside their name
        climb = ipywidgets.HBox([self.at, self.play, self.step, self.add, self.again])
        climb.layout = ipywidgets.Layout(**wraps)
        for control, name in (
            (self.token, "token"),
            (self.floor, "floor"),
            (self.switches, "head"),
        ):
            control.add_class(f"gpt2course-tower-{name}")
        parts = [self.text, self.token, climb, self.floor, self.switches, self.said, self.shown]
        widget = ipywidgets.VBox(parts)
        widget.add_class("gpt2course-tower")
        return widget

    def _listen(self) -> None:
        self.text.observe(lambda _: self._start_again(), names="value")
        self.token.observe(lambda _: self._show(), names="index")
        self.floor.observe(lambda _: self._open(), names="index")
        self.at.observe(lambda _: self._show(), names="value")
        for head, control in enumerate(self.heads):
            control.observe(lambda _, head=head: self._switch(head), names="value")
        self.step.on_click(lambda _: self._step())
        self.add.on_click(lambda _: self._add())
        self.again.on_click(lambda _: self._start_again())
        self.all_on.on_click(lambda _: self._switch_all_on())

    # What is shown

    @property
    def reading(self) -> Reading:
        """The text under the model, without the heads that are off."""
        return self._read(self.off)

    def _read(self, off: frozenset[tuple[int, int]]) -> Reading:
        key = tuple(self.ids), off
        if key not in self._readings:
            if len(self._readings) > 8:
                self._readings.clear()
            self._readings[key] = Reading(self.model, self.coder, self.ids, off)
        return self._readings[key]

    @property
    def view(self) -> View:
        """What the controls say."""
        reading = self._read(frozenset())
        token = reading.first + self.token.index
        before = reading.ends(token)[-1] if self.off else None
        return View(token, self.floor.value, self.at.value, self.off, before, self._click)

    def _click(self, what: str, number: int) -> str:
        if what == "floor":
            shut = number == self.floor.value and self.floor.options[0][1] is None
            number = 0 if shut else [b for _, b in self.floor.options].index(number)
        return PRESS.format(what, number) if what else ""

    def picture(self) -> Picture:
        """The tower as it is now."""
        return drawn(self.reading, self.view, self.yours)

    def _show(self, trouble: str = "") -> None:
        if self._quiet:
            return
        picture = self.picture()
        self.shown.value = picture.html
        heard = escape(trouble or picture.alt.partition(". ")[0])
        self.said.value = f'<div role="status" style="{"" if trouble else UNSEEN}">{heard}</div>'
        best = self.reading.likeliest(len(self.ids_in_view) - 1, self.at.max - 1)
        self.add.description = f"add {best.name}"

    @property
    def ids_in_view(self) -> Sequence[int]:
        return self.reading.ids

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Several controls change, and the picture once."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False
        self._show()

    # What the controls do

    def _start_again(self, token: int | None = None) -> None:
        try:
            self.ids = ids_of(self.coder, self.text.value)
        except ValueError as error:
            self._show(str(error))
            return
        with self._at_once():
            self._offer_tokens(token)
            self.at.value = self.play.value = self.at.max
            self._name_heads()

    def _offer_tokens(self, token: int | None = None) -> None:
        reading = self.reading
        names = reading.names[reading.first :]
        self.token.options = list(zip(told_apart(names), range(len(names)), strict=True))
        self.token.tooltips = [f"let {name} climb" for name in names]
        self.token.index = reading.view(token).token - reading.first

    def _name_heads(self) -> None:
        """Switches of the open block; none where no block is open."""
        block = self.floor.value
        is_known = block is not None and self.reading.climb.weights[block] is not None
        was, self._quiet = self._quiet, True
        for head, control in enumerate(self.heads):
            control.layout.display = "" if is_known else "none"
            control.value = (block, head) not in self.off
            control.description = f"{head} {'on' if control.value else 'OFF'}"
            control.tooltip = f"block {block}, head {head}"
        self.all_on.layout.display = "" if self.off else "none"
        self._quiet = was

    def _open(self) -> None:
        self._name_heads()
        self._show()

    def _switch(self, head: int) -> None:
        if self._quiet:
            return
        place = self.floor.value, head
        self.off = self.off - {place} if self.heads[head].value else self.off | {place}
        self._open()

    def _switch_all_on(self) -> None:
        self.off = frozenset()
        self._open()

    def _step(self) -> None:
        self.at.value = 0 if self.at.value == self.at.max else self.at.value + 1

    def _add(self) -> None:
        """The likeliest word joins the text, and climbs."""
        probs = self.reading.ends(len(self.ids_in_view) - 1)[-1]
        with self._at_once():
            self.ids = [*self.ids, int(probs.argmax())]
            self._offer_tokens()
            self.at.value = self.play.value = 0
        self.play.playing = True
