"""The card that a check shows: HTML in a notebook, the same in plain text elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

from torch import Tensor

from gpt2course.checks.result import (
    Drawing,
    Result,
    call_text,
    drawings,
    naming,
    property_lines,
    values_text,
)
from gpt2course.drawing.matrix import matrix_svg, scale_of

COLOURS = {
    "passed": "#2b8a3e",
    "failed": "#e8590c",
    "error": "#c92a2a",
    "timeout": "#c92a2a",
    "not_started": "#1971c2",
}
SHOWN_ANSWERS = 3
RECORD = "application/vnd.gpt2course.check+json"


@dataclass
class Card:
    """A result and what follows from it, as a notebook shows it.

    Args:
        travels: one sentence on which function the name stands for from here on.
        hint: which of the exercise's hints to offer, from 1; 0 for none.
    """

    result: Result
    travels: str
    hint: int = 0

    def __repr__(self) -> str:
        lines = [self.result.message, self.travels]
        if self.hint:
            text = unescape(re.sub(r"<[^>]+>", "", self._hint_html))
            lines.insert(1, f"{self._hint_title}: {' '.join(text.split())}")
        return "\n".join(lines)

    @property
    def _hint_title(self) -> str:
        return f"Hint {self.hint} of {len(self.result.exercise.steps)}"

    @property
    def _hint_html(self) -> str:
        return self.result.exercise.steps[self.hint - 1]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The card, and beside it what a program can read from a saved notebook."""
        result = self.result
        record = {"exercise": result.name, "status": result.status,
                  "misconception": result.misconception}  # fmt: skip
        return {"text/html": self._repr_html_(), "text/plain": repr(self), RECORD: record}

    def _repr_html_(self) -> str:
        result = self.result
        colour = COLOURS[result.status]
        parts = [f'<div style="font-weight:700">{escape(result.heading)}</div>']
        parts += _passed(result) if result.passed else _not_passed(result)
        if self.hint:
            parts.append(_folded(self._hint_title, self._hint_html))
        if result.printed:
            parts.append(_folded("what it printed", f"<pre>{escape(result.printed)}</pre>"))
        parts.append(f'<div style="opacity:.8">{escape(self.travels)}</div>')
        style = (
            f"border:1px solid {colour};border-left:6px solid {colour};border-radius:4px;"
            "padding:8px 14px;margin:4px 0;max-width:60em;line-height:1.5"
        )
        return f'<div class="gpt2course-card" style="{style}">{"".join(parts)}</div>'


def _passed(result: Result) -> list[str]:
    tried = "".join(f"<li>{escape(case.label)}</li>" for case in result.exercise.cases)
    parts = [_folded(f"what was tried ({len(result.exercise.cases)})", f"<ul>{tried}</ul>")]
    for other in result.exercise.right_answers[:SHOWN_ANSWERS]:
        code = f"<pre>{escape(other.source)}</pre>"
        parts.append(_folded(f"another right answer: {other.title}", code))
    return parts


def _not_passed(result: Result) -> list[str]:
    parts = []
    if result.misconception:
        name, why = _with_code(result.misconception), _with_code(result.why)
        parts.append(f"<p>{naming(result)} <b>{name}</b>. {why}</p>")
    if result.status == "not_started":
        parts.append("<p>This is what is wanted.</p>")
    tried = f"{escape(result.case.label)}: <code>{escape(call_text(result))}</code>"
    parts += [f"<div>{result.lead} {tried}</div>", _inputs(result)]
    finding = escape(result.finding)
    if result.status == "error" and finding:
        parts.append(f'<pre style="padding:6px 0;white-space:pre-wrap">{finding}</pre>')
    elif finding:
        parts.append(f"<p>{finding}</p>")
    if result.properties:
        listed = "".join(f"<li>{escape(line)}</li>" for line in property_lines(result))
        parts.append(f"<p>What can be said of it:</p><ul>{listed}</ul>")
    drawn = drawings(result)
    parts.append(
        _side_by_side(drawn, result) if drawn else f"<pre>{escape(values_text(result))}</pre>"
    )
    return parts


def _side_by_side(drawn: list[Drawing], result: Result) -> str:
    rows, columns = result.case.rows, result.case.columns
    shares = [d.values for d in drawn if scale_of(d.values) == (0.0, 1.0)]
    scale = (0.0, 1.0) if shares else scale_of(*(d.values for d in drawn))
    pictures = (
        matrix_svg(d.values, rows, columns, d.title, d.wrong, d.decimals, scale) for d in drawn
    )
    return _row(pictures)


def _row(pictures) -> str:
    cells = "".join(f"<div>{picture}</div>" for picture in pictures)
    return f'<div style="display:flex;gap:28px;flex-wrap:wrap;margin:8px 0">{cells}</div>'


def _inputs(result: Result) -> str:
    """The matrices that went in, folded away."""
    names = result.exercise.parameter_names()
    pictures = [
        matrix_svg(value, title=name)
        for name, value in zip(names, result.case.args, strict=False)
        if isinstance(value, Tensor) and value.ndim in (1, 2)
    ]
    return _folded("the input", _row(pictures)) if pictures else ""


def _with_code(text: str) -> str:
    """The text as HTML, with `code` between backticks set as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))


def _folded(summary: str, inside: str) -> str:
    return (
        f'<details style="margin:2px 0"><summary style="cursor:pointer">{escape(summary)}</summary>'
        f'<div style="padding-left:1em">{inside}</div></details>'
    )
