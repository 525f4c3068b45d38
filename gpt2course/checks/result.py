"""What a check found, and how that reads in plain text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gpt2course.checks.attempt import tolerance_of
from gpt2course.checks.compare import dense, distance, distances, is_plain, short_repr
from gpt2course.checks.exercise import Case, Exercise
from gpt2course.drawing.matrix import as_matrix, entry_text, matrix_text

HEADINGS = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "not yet"),
    "error": ("!", "an error"),
    "timeout": ("!", "stopped"),
    "not_started": ("○", "not started"),
}


@dataclass
class Result:
    """What a check found.

    status is "passed", "failed", "error", "timeout" or "not_started"; misconception is the name
    of the mistake where it is a known one; message says in plain text what the card shows.
    """

    exercise: Exercise
    status: str
    case: Case
    misconception: str | None = None
    why: str = ""  # the explanation of that mistake
    throughout: bool = True  # False: it agrees with that mistake on some calls, not on all
    finding: str = ""  # the difference, or the error with the learner's own lines
    expected: Any = None
    got: Any = None
    properties: list[tuple[str, bool]] = field(default_factory=list)  # claim, does it hold?
    printed: str = ""
    seconds: float = 0.0
    distance: float = 0.0  # from the reference in tolerances, the largest of all cases

    @property
    def name(self) -> str:
        return self.exercise.name

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    @property
    def heading(self) -> str:
        sign, words = HEADINGS[self.status]
        return f"{sign} {self.name}: {words}"

    @property
    def lead(self) -> str:
        """The word before the case that the card shows."""
        return "Example:" if self.status == "not_started" else "Tried:"

    @property
    def message(self) -> str:
        """All that the card says, as plain text."""
        return "\n".join(line for line in [self.heading, *self._lines()] if line)

    def _lines(self) -> list[str]:
        if self.passed:
            tried = "; ".join(case.label for case in self.exercise.cases)
            return [f"Tried: {tried}."]
        lines = [mistake_sentence(self), f"{self.lead} {self.case.label}: {call_text(self)}"]
        lines += [self.finding, *property_lines(self)]
        lines += [drawn_as_text(self)]
        return lines + ([f"It printed: {self.printed[:300]}"] if self.printed else [])


def mistake_sentence(result: Result) -> str:
    """The name of the mistake and why it gives this; empty where it is not a known one."""
    return f"{naming(result)} {result.misconception}. {result.why}" if result.misconception else ""


def naming(result: Result) -> str:
    """The words that lead in the name of a mistake."""
    return "This mistake has a name:" if result.throughout else "This looks like a known mistake:"


def property_lines(result: Result) -> list[str]:
    """The properties that could be asked, and a word where none of them is what went wrong."""
    lines = [f"{sign(holds)} {claim}" for claim, holds in result.properties]
    if lines and all(holds for _, holds in result.properties):
        lines.append("So none of these is what went wrong.")
    return lines


def sign(holds: bool) -> str:
    return "✓ holds:" if holds else "✗ does not hold:"


def call_text(result: Result) -> str:
    """The call that was tried, tensors by their shapes."""
    return result.exercise.call_text(result.case)


@dataclass
class Drawing:
    """One matrix to draw: the part of a value in which the difference shows."""

    title: str
    values: Tensor
    wrong: Tensor | None = None
    decimals: int = 2


def drawings(result: Result) -> list[Drawing]:
    """The expected and the given matrix, cut to the slice that differs; empty for other values."""
    where, expected, got = _first_tensors(result)
    if not _can_be_drawn(expected):
        return []
    if not _can_be_drawn(got):
        first = [0] * (expected.ndim - 2)
        where += f" {first}, of {tuple(expected.shape)}" if first else ""
        return [Drawing(f"expected{where}", as_matrix(expected, first))]
    expected, got = dense(expected), dense(got)
    if got.shape != expected.shape:
        pairs = (("expected", expected), ("yours", got))
        return [
            Drawing(f"{title}{where}, {tuple(t.shape)}", as_matrix(t, [0] * (t.ndim - 2)))
            for title, t in pairs
        ]
    tolerance = tolerance_of(result.exercise, result.case)
    wrong = distances(expected, got, tolerance) > result.exercise.tolerance
    leading = wrong.nonzero()[0].tolist()[: max(0, wrong.ndim - 2)] if wrong.any() else []
    leading = leading or [0] * (wrong.ndim - 2)
    where += f" {leading}" if leading else ""
    wrong, expected, got = (as_matrix(t, leading) for t in (wrong, expected, got))
    decimals = _decimals_that_show(wrong, expected, got)
    return [
        Drawing(f"expected{where}", expected, None, decimals),
        Drawing(f"yours{where}", got, wrong, decimals),
    ]


def _can_be_drawn(value: Any) -> bool:
    return is_plain(value) and value.ndim > 0 and value.numel() > 0 and not value.is_complex()


def _first_tensors(result: Result) -> tuple[str, Any, Any]:
    """Look into a dict of gradients or a tuple for the first pair that differs."""
    expected, got = result.expected, result.got
    if isinstance(expected, tuple | dict) and type(expected) is type(got):
        tolerance = tolerance_of(result.exercise, result.case)
        keys = expected.keys() if isinstance(expected, dict) else range(len(expected))
        for key in keys:
            one, other = (v[key] if key in _keys(v) else None for v in (expected, got))
            far = distance(one, other, tolerance) > result.exercise.tolerance
            if isinstance(one, Tensor) and far:
                return f": {key}" if isinstance(key, str) else f" [{key}]", one, other
    return "", expected, got


def _keys(value: Any) -> Any:
    return value.keys() if isinstance(value, dict) else range(len(value))


def _decimals_that_show(wrong: Tensor, expected: Tensor, got: Tensor) -> int:
    """As many decimals as it takes for the first wrong entry to look wrong, at most 8."""
    if not wrong.any() or not expected.is_floating_point() or not got.is_floating_point():
        return 2
    at = tuple(wrong.nonzero()[0].tolist())
    differ = (d for d in (2, 4, 6, 8) if entry_text(expected[at], d) != entry_text(got[at], d))
    return next(differ, 8)


def drawn_as_text(result: Result) -> str:
    """The drawings as text; for other values the expected one and the one that was given."""
    drawn = drawings(result)
    if not drawn:
        return values_text(result)
    rows, columns = result.case.rows, result.case.columns
    return "\n".join(
        f"{d.title}\n{matrix_text(d.values, rows, columns, d.wrong, d.decimals)}" for d in drawn
    )


def values_text(result: Result) -> str:
    """Expected and given value on a line each; of two dicts, the keys at which they differ."""
    expected, got = result.expected, result.got
    if result.status == "failed" and isinstance(expected, dict) and isinstance(got, dict):
        return _dicts_text(expected, got)
    lines = [f"expected  {short_repr(expected)}"]
    if result.status == "failed":
        lines.append(f"yours     {short_repr(got)}")
    return "\n".join(lines)


SHOWN_KEYS = 12


def _dicts_text(expected: dict, got: dict) -> str:
    keys = [key for key in expected if key not in got or distance(expected[key], got[key]) > 1]
    keys += [key for key in got if key not in expected]
    lines = []
    for key in keys[:SHOWN_KEYS]:
        sides = [short_repr(d[key]) if key in d else "nothing" for d in (expected, got)]
        lines.append(f"{key}: expected {sides[0]}, yours {sides[1]}")
    if len(keys) > SHOWN_KEYS:
        lines.append(f"and {len(keys) - SHOWN_KEYS} more that differ")
    if same := len(expected) - sum(key in expected for key in keys):
        lines.append(f"the other {same} {'is' if same == 1 else 'are'} right")
    return "\n".join(lines)
