"""A widget and its static twin in one output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets
from IPython.display import display

from gpt2course.drawing.picture import Picture

# Hides every static twin; it stands inside the live widgets, so it works only where they do.
HIDE_TWINS = "<style>.gpt2course-twin {display: none}</style>"


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
        html = f'<div class="gpt2course-twin">{self.twin.html}</div>'
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
