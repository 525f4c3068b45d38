"""A widget and its static twin in one output."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from IPython.display import display

from gpt2course.drawing.colours import STREAM
from gpt2course.drawing.frames import with_frames
from gpt2course.drawing.picture import Picture

# Hides every static twin, and makes a pressed button look pressed; it stands inside the live
# widgets, so it works only where they do.
HIDE_TWINS = (
    "<style>.gpt2course-twin{display:none}"
    ".gpt2course-live .jupyter-button.mod-active"
    f"{{background:{STREAM};color:#fff;box-shadow:inset 0 0 0 2px currentColor}}</style>"
)
# A notebook that is opened again has no kernel that knows the widget: JupyterLab would say so in
# an error below the twin. Where a twin is followed by nothing but that text, the text is hidden.
TO_PLAY = (
    "<style>.jp-OutputArea-child:has(.gpt2course-twin) + .jp-OutputArea-child"
    ":not(:has(.gpt2course-live)){display:none}</style>"
    '<div style="font-size:12px">Run this cell to play with it.</div>'
)
# What ipywidgets has no setting for. A slider's handle gets the name of its control, and a button
# of an animation that of its picture, which a screen reader says; and a key alone, such as d or b,
# stays within the widget that has the focus instead of deleting or inserting a cell.
SCRIPT = """
if (!window.gpt2course) {
  window.gpt2course = new MutationObserver(() => {
    for (const handle of document.querySelectorAll('.noUi-handle:not([aria-label])')) {
      const name = handle.closest('.jupyter-widgets')?.querySelector('.widget-label')?.textContent;
      if (name) handle.setAttribute('aria-label', name);
    }
    for (const icon of document.querySelectorAll('.widget-play button:not([aria-label]) > i'))
      icon.parentElement.setAttribute('aria-label', icon.className.split('fa-').pop());
  });
  window.gpt2course.observe(document.body, {childList: true, subtree: true});
  window.addEventListener('keydown', event => {
    const alone = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey);
    if (event.target.closest?.('.gpt2course-live'))  // JupyterLab asks what has the focus, first
      event.target.toggleAttribute('data-lm-suppress-shortcuts', alone);
  }, true);
}
"""
FRAMES = "GPT2COURSE_FRAMES"  # set where twins hold every frame, so that a page needs no kernel
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
        live = ipywidgets.VBox([ipywidgets.HTML(HIDE_TWINS), self.widget])
        live.add_class("gpt2course-live")
        display({"application/javascript": SCRIPT, "text/plain": ""}, raw=True)
        display({"text/html": html, "text/plain": self.twin.alt}, raw=True)
        display(live)


def playable(draw: Callable[..., Picture], **controls: ipywidgets.Widget) -> Playable:
    """Controls above a picture that is drawn anew whenever one of them moves.

    Args:
        draw: called with the controls' values by name; returns the Picture.
        controls: ipywidgets with a `value`. Set `description`, and continuous_update=True where
            drawing takes less than 0.1 s.
    """
    values = {name: control.value for name, control in controls.items()}
    first = draw(**values)
    shown = ipywidgets.HTML()
    show(shown, first)

    def redraw(_: Any) -> None:
        show(shown, draw(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(redraw, names="value")
    twin = with_frames(draw, controls, first) if os.environ.get(FRAMES) else first
    return Playable(ipywidgets.VBox([*controls.values(), shown]), twin)


def show(shown: ipywidgets.HTML, picture: Picture) -> None:
    """Put a picture in its place, which stays as high as the highest picture that it has held.

    What stands below would else jump at every move of a slider.
    """
    heights = [int(h) for h in re.findall(r'<svg [^>]*? height="(\d+)"', picture.html)]
    before = int((shown.layout.min_height or "0px").removesuffix("px"))
    shown.layout.min_height = f"{max(before, sum(heights) + 12)}px"
    shown.value = picture.html


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
