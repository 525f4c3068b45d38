"""Controls that work in a page without a kernel: every picture they lead to stands in the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from itertools import product
from typing import Any

import ipywidgets

from gpt2course.drawing.picture import Picture

BUDGET = 600_000  # bytes of all pictures of one widget
STOPS, FEWEST = 33, 6  # of a slider; one with more values is thinned

Stop = tuple[str, Any]  # what is written, and the value


def with_frames(
    draw: Callable[..., Picture], controls: Mapping[str, ipywidgets.Widget], first: Picture
) -> Picture:
    """The first picture, with the controls and, as templates, a picture for every setting of them.

    Without JavaScript the first one is seen. A control keeps its value where it has no list of
    values, as a text has none, or where the pictures would take more than BUDGET bytes.
    """
    most, n = BUDGET // len(first.html), 1
    moved: dict[str, list[Stop]] = {}
    for name, control in controls.items():
        stops = _stops(control, most // n)
        if 1 < len(stops) <= most // n:
            moved[name], n = stops, n * len(stops)
    if not moved:
        return first
    values = {name: control.value for name, control in controls.items()}
    html = ['<div class="gpt2course-frames"><div class="controls" hidden>']
    html += [_control(controls[name], stops) for name, stops in moved.items()]
    fixed = [_name(control) for name, control in controls.items() if name not in moved]
    if fixed:
        html.append(
            f"<small>In the notebook you can also change: {escape(', '.join(fixed))}.</small>"
        )
    html.append(f'</div><div class="shown">{first.html}</div>')
    for setting in product(*moved.values()):
        chosen = {name: value for name, (_, value) in zip(moved, setting, strict=True)}
        html.append(f"<template>{draw(**values | chosen).html}</template>")
    return Picture("".join(html) + "</div>", first.alt)


def _stops(control: ipywidgets.Widget, room: int) -> list[Stop]:
    """What a control can be set to, its value included; nothing where that is no list.

    A slider is thinned to `room` stops, if that leaves it FEWEST.
    """
    if hasattr(control, "options"):
        return [one if isinstance(one, tuple) else (str(one), one) for one in control.options]
    if not isinstance(control, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        return []
    last = round((control.max - control.min) / control.step)
    n = min(last, STOPS - 1, max(room - 2, FEWEST - 1)) or 1  # and one more stop for its value
    kept = {round(i * last / n) for i in range(n + 1)}
    at = round((control.value - control.min) / control.step)
    number = type(control.value)
    values = [number(control.min + i * control.step) for i in sorted({*kept, at})]
    return [(format(value, control.readout_format), value) for value in values]


def _name(control: ipywidgets.Widget) -> str:
    return control.description.rstrip(":")


def _control(control: ipywidgets.Widget, stops: list[Stop]) -> str:
    """A menu, or a slider over the numbers of the stops, whose names stand beside it."""
    at = min(range(len(stops)), key=lambda i: _distance(stops[i][1], control.value))
    called, names = escape(_name(control)), [name for name, _ in stops]
    if isinstance(control, ipywidgets.Dropdown | ipywidgets.ToggleButtons):
        chosen = ["", " selected"]
        options = [
            f"<option{chosen[i == at]}>{escape(one)}</option>" for i, one in enumerate(names)
        ]
        field = f"<select>{''.join(options)}</select>"
    else:
        listed = escape(json.dumps(names, ensure_ascii=False))
        field = (
            f'<input type="range" aria-label="{called}" min="0" max="{len(names) - 1}" '
            f'value="{at}" data-names="{listed}">'
            f'<output aria-hidden="true">{escape(names[at])}</output>'
        )
    return f"<label><span>{called}</span>{field}</label>"


def _distance(one: Any, other: Any) -> float:
    return abs(one - other) if isinstance(one, float) else float(one != other)
