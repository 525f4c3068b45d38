"""A widget and its static twin in one output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from IPython.display import display

from gpt2course.drawing.picture import Picture

# Hides every static twin; it stands inside the live widgets, so it works only where they do.
HIDE_TWINS = "<style>.gpt2course-twin {display: none}</style>"
TO_PLAY = (
    '<div style="font-size:12px;opacity:.8">Run this cell in JupyterLab to play with it.</div>'
)
NAMES, WIDE = "100px", {"width": "480px"}  # room for the names of controls, and for a slider


@dataclass(frozen=True)
class Playable:
    """A live widget; where there is no kernel (a web page, a book, a reader) its static twin.

    Both are put out. The live widget hides the twins, and where it can't be shown they remain.

    Args:
        widget: what is shown in JupyterLab.
        twin: what it shows at its first setting, as a Picture.
    """

    widget: ipywidgets.Widget
    twin: Picture

    def _ipython_display_(self) -> None:
        html = f'<div class="gpt2course-twin">{self.twin.html}{TO_PLAY}</div>'
        display({"text/html": html, "text/plain": self.twin.alt}, raw=True)
        display(ipywidgets.VBox([ipywidgets.HTML(HIDE_TWINS), self.widget]))


def playable(draw: Callable[..., Picture], **controls: ipywidgets.Widget) -> Playable:
    """Controls above a picture that is drawn anew whenever one of them moves.

    Args:
        draw: called with the controls' values by name; returns the Picture.
        controls: ipywidgets with a `value`. Set `description`, and continuous_update=True where
            drawing takes less than 0.1 s.
    """
    values = {name: control.value for name, control in controls.items()}
    first = draw(**values)
    shown = ipywidgets.HTML(first.html)

    def redraw(_: Any) -> None:
        shown.value = draw(**{name: control.value for name, control in controls.items()}).html

    for control in controls.values():
        control.observe(redraw, names="value")
    return Playable(ipywidgets.VBox([*controls.values(), shown]), first)


def named(name: str, **more: Any) -> dict[str, Any]:
    """What every control has: its name, and room for it."""
    return {"description": name, "style": {"description_width": NAMES}, "layout": WIDE} | more


def slider(name: str, value: float, low: float, high: float, step: float = 1, **more: Any):
    """A slider of whole numbers, or of others where the step is no whole number."""
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    return kind(value, min=low, max=high, step=step, **named(name, **more))


def stops(name: str, options: Sequence, value: Any, **more: Any) -> ipywidgets.SelectionSlider:
    """A slider over a few values, or over pairs of what is written and what is meant."""
    return ipywidgets.SelectionSlider(options=options, value=value, **named(name, **more))


def menu(name: str, options: Sequence[str], value: str | None = None) -> ipywidgets.Dropdown:
    """A list to choose one from; the first is chosen where no value is given."""
    return ipywidgets.Dropdown(options=options, value=value or options[0], **named(name))


def switch(name: str, options: Sequence, value: Any = None) -> ipywidgets.ToggleButtons:
    """Buttons of which one is pressed; the first one where no value is given."""
    pressed = {} if value is None else {"value": value}
    style = {"description_width": NAMES, "button_width": "auto"}
    layout = {"display": "flex"}
    return ipywidgets.ToggleButtons(
        options=options, description=name, style=style, layout=layout, **pressed
    )


def toggle(name: str, value: bool = False, tooltip: str = "") -> ipywidgets.ToggleButton:
    """A button that stays pressed."""
    layout = {"width": "190px"}
    return ipywidgets.ToggleButton(value, description=name, tooltip=tooltip, layout=layout)
