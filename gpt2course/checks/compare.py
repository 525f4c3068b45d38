"""How an answer's value is held against the expected one."""

from __future__ import annotations

import math
import reprlib
from typing import Any

import torch
from torch import Tensor

# Right answers differ by rounding alone: some 1e-6 in float32, some 1e-15 in float64.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}
SAME_MISTAKE = 1e-4

_short = reprlib.Repr()
_short.maxlist = _short.maxtuple = _short.maxdict = 12
_short.maxstring = _short.maxother = 200


def short_repr(value: Any) -> str:
    """A repr that stays short and does not fail, whatever the value is."""
    try:
        if isinstance(value, Tensor):
            dtype = str(value.dtype).removeprefix("torch.")
            if value.ndim == 0:
                return f"{_number(value)}, a {dtype} tensor of shape ()"
            return f"a {dtype} tensor of shape {tuple(value.shape)}"
        return _short.repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def wrong_entries(expected: Tensor, got: Tensor, tolerance: float | None = None) -> Tensor:
    """True where two tensors of one shape differ by more than rounding."""
    if not expected.is_floating_point() or not got.is_floating_point():
        return expected != got
    tolerance = tolerance or max(TOLERANCE.get(t.dtype, 2e-5) for t in (expected, got))
    expected, got = expected.detach().double(), got.detach().double()
    close = expected.isfinite() & ((expected - got).abs() <= tolerance * (1 + expected.abs()))
    same = (expected == got) | (expected.isnan() & got.isnan())
    return ~(close | same)


def difference(expected: Any, got: Any, tolerance: float | None = None) -> str | None:
    """One sentence on how `got` differs from `expected`, or None where it does not."""
    if got is None and expected is not None:
        return "It returned None: a function without a return statement gives back nothing."
    if isinstance(expected, Tensor):
        return _tensor_difference(expected, got, tolerance)
    if isinstance(expected, list | tuple):
        return _sequence_difference(expected, got, tolerance)
    if isinstance(expected, dict):
        return _dict_difference(expected, got)
    kind = type(expected)
    if not isinstance(got, kind) or (isinstance(got, bool) and kind is not bool):
        remedy = ", one of Python's own: float(…)" if kind is float else ""
        return f"It returned {_a(got)}; the exercise asks for {_a(expected)}{remedy}."
    if kind is float:
        limit = tolerance or 1e-5
        near = math.isfinite(expected) and abs(expected - got) <= limit * (1 + abs(expected))
        same = near or expected == got
    else:
        same = expected == got
    return None if same else f"Expected {short_repr(expected)}, got {short_repr(got)}."


def _a(value: Any) -> str:
    name = type(value).__name__
    return {"list": "a list", "dict": "a dict", "str": "a str", "int": "an int"}.get(
        name, f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"
    )


def _tensor_difference(expected: Tensor, got: Any, tolerance: float | None) -> str | None:
    if not isinstance(got, Tensor):
        return f"It returned {_a(got)}; the exercise asks for a tensor."
    if got.shape != expected.shape:
        shapes = f"{tuple(got.shape)}; the exercise asks for {tuple(expected.shape)}"
        return f"The result has shape {shapes}."
    if got.dtype != expected.dtype:
        dtypes = [str(t.dtype).removeprefix("torch.") for t in (got, expected)]
        return f"The result holds {dtypes[0]}; the exercise asks for {dtypes[1]}."
    if torch.equal(expected, got):  # most are, and this is quick
        return None
    wrong = wrong_entries(expected, got, tolerance)
    if not wrong.any():
        return None
    at = tuple(wrong.nonzero()[0].tolist())
    place = f" at {list(at)}" if at else ""
    values = f"expected {_number(expected[at])}, got {_number(got[at])}"
    return f"{int(wrong.sum())} of {wrong.numel()} entries differ, the first{place}: {values}."


def _number(value: Tensor) -> str:
    number = value.detach().item()
    return f"{number:.6g}" if isinstance(number, float) else str(number)


def _sequence_difference(expected: Any, got: Any, tolerance: float | None) -> str | None:
    kind = tuple if isinstance(expected, tuple) else list
    if not isinstance(got, kind):
        return f"It returned {_a(got)}; the exercise asks for {_a(kind())}."
    for i, (want, have) in enumerate(zip(expected, got, strict=False)):
        if found := difference(want, have, tolerance):
            if found.startswith("At position"):  # a pair reads better whole
                return f"At position {i}: expected {short_repr(want)}, got {short_repr(have)}."
            return f"At position {i}: {found[0].lower()}{found[1:]}"
    if len(expected) != len(got):
        return f"It holds {len(got)} entries; expected {len(expected)}."
    return None


def _dict_difference(expected: dict, got: Any) -> str | None:
    if not isinstance(got, dict):
        return f"It returned {_a(got)}; the exercise asks for a dict."
    for key, want in expected.items():
        if key not in got:
            return f"The key {key!r} is missing; its value should be {want!r}."
        if found := difference(want, got[key]):
            return f"At the key {key!r}: {found[0].lower()}{found[1:]}"
    extra = [key for key in got if key not in expected]
    return f"The key {short_repr(extra[0])} should not be there." if extra else None
