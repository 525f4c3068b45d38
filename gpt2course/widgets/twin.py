"""A widget and its static twin in one output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets

from gpt2course.figures.picture import Picture


@dataclass(frozen=True)
class Playable:
    """A live widget; where there is no kernel (a web page, a book, a reader) its static twin.

    Args:
        widget: what is shown in JupyterLab.
        twin: what it shows at its first setting, as a Picture.
    """

    widget: ipywidgets.Widget
    twin: Picture

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = self.widget._repr_mimebundle_()
        bundle.update({"text/html": self.twin.html, "text/plain": self.twin.alt})
        return bundle


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
