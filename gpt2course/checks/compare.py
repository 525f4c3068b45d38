"""How an answer's value is held against the expected one.

Two numbers are as good as equal where they differ by at most TOLERANCE × (1 + |expected|). A test
holds every right answer that the project has to a tenth of that, and every wrong one to ten times,
on several kinds of arithmetic, so that no verdict depends on the processor.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Right answers differ by rounding alone: some 1e-6 in float32; in float64 some 1e-15, or 1e-8
# where a constant was rounded to float32.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-3}
NUMBERS = 1e-5  # of Python's own floats, which may come from float32
SAME_MISTAKE = 1e-4
EXACT = {int, str, bytes}  # kinds of which two are equal or not

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


def is_plain(value: Any) -> bool:
    """Whether it is a tensor with a shape, which nested tensors lack."""
    return isinstance(value, Tensor) and not value.is_nested


def dense(value: Tensor) -> Tensor:
    """A tensor that can be compared entry by entry: detached, and stored in the plain way."""
    value = value.detach()
    return value if value.layout is torch.strided else value.to_dense()


def distances(expected: Tensor, got: Tensor, tolerance: float | None = None) -> Tensor:
    """Entry by entry the distance of two tensors of one shape, in tolerances; above 1 is wrong."""
    expected, got = dense(expected), dense(got)
    if not expected.is_floating_point() or not got.is_floating_point():
        return torch.where(expected == got, 0.0, math.inf).double()
    tolerance = tolerance or max(TOLERANCE.get(t.dtype, 1e-4) for t in (expected, got))
    expected, got = expected.double(), got.double()
    same = (expected == got) | (expected.isnan() & got.isnan())
    apart = (expected - got).abs() / (tolerance * (1 + expected.abs()))
    apart = torch.where(expected.isfinite() & got.isfinite(), apart, math.inf)
    return torch.where(same, 0.0, apart)


def wrong_entries(expected: Tensor, got: Tensor, tolerance: float | None = None) -> Tensor:
    """True where two tensors of one shape differ by more than rounding."""
    return distances(expected, got, tolerance) > 1


def distance(expected: Any, got: Any, tolerance: float | None = None) -> float:
    """The largest distance between two values in tolerances; inf where their form differs."""
    if isinstance(expected, Tensor):
        form = expected.shape, expected.dtype
        if not is_plain(got) or (got.shape, got.dtype) != form:
            return math.inf
        apart = distances(expected, got, tolerance)
        return apart.max().item() if apart.numel() else 0.0
    if isinstance(expected, list | tuple):
        if not isinstance(got, tuple if isinstance(expected, tuple) else list):
            return math.inf
        if type(got) in (list, tuple) and {*map(type, expected), *map(type, got)} <= EXACT:
            return 0.0 if expected == got else math.inf  # quick, for there may be thousands
        pairs = zip(expected, got, strict=False)
        apart = max((distance(want, have, tolerance) for want, have in pairs), default=0.0)
        return apart if len(got) == len(expected) else math.inf
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            return math.inf
        return max((distance(expected[k], got[k], tolerance) for k in expected), default=0.0)
    if type(expected) is float and isinstance(got, float):
        if expected == got or (math.isnan(expected) and math.isnan(got)):
            return 0.0
        apart = abs(expected - got) / ((tolerance or NUMBERS) * (1 + abs(expected)))
        return apart if math.isfinite(apart) else math.inf
    same_kind = isinstance(got, type(expected)) and isinstance(got, bool) == isinstance(
        expected, bool
    )
    return 0.0 if same_kind and _equal(expected, got) else math.inf


def _equal(expected: Any, got: Any) -> bool:
    """Whether two values of any kind are equal."""
    if isinstance(expected, np.ndarray) or isinstance(got, np.ndarray):
        return np.array_equal(expected, got)
    try:
        return bool(expected is got or expected == got)
    except Exception:
        return False


def difference(
    expected: Any, got: Any, tolerance: float | None = None, scale: float = 1.0
) -> str | None:
    """One sentence on how `got` differs from `expected`, or None where it does not.

    Args:
        tolerance: in place of that of the dtype.
        scale: how many tolerances are as good as equal.
    """
    if distance(expected, got, tolerance) <= scale:
        return None
    if got is None:
        return f"It returned None; the exercise asks for {_a(expected)}."
    if isinstance(expected, Tensor):
        return _tensor_difference(expected, got, tolerance, scale)
    if isinstance(expected, list | tuple):
        return _sequence_difference(expected, got, tolerance, scale)
    if isinstance(expected, dict):
        return _dict_difference(expected, got, tolerance, scale)
    kind = type(expected)
    if not isinstance(got, kind) or (isinstance(got, bool) and kind is not bool):
        remedy = ", one of Python's own: float(…)" if kind is float else ""
        return f"It returned {_a(got)}; the exercise asks for {_a(expected)}{remedy}."
    return f"Expected {short_repr(expected)}, got {short_repr(got)}."


def _a(value: Any) -> str:
    if isinstance(value, Tensor):
        return "a tensor"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _tensor_difference(
    expected: Tensor, got: Any, tolerance: float | None, scale: float
) -> str | None:
    if not is_plain(got):
        given = "a nested tensor" if isinstance(got, Tensor) else _a(got)
        return f"It returned {given}; the exercise asks for a tensor."
    if got.shape != expected.shape:
        shapes = f"{tuple(got.shape)}; the exercise asks for {tuple(expected.shape)}"
        return f"The result has shape {shapes}."
    if got.dtype != expected.dtype:
        dtypes = [str(t.dtype).removeprefix("torch.") for t in (got, expected)]
        return f"The result holds {dtypes[0]}; the exercise asks for {dtypes[1]}."
    wrong = distances(expected, got, tolerance) > scale
    at = tuple(wrong.nonzero()[0].tolist())
    place = f" at {list(at)}" if at else ""
    want, have = apart(dense(expected)[at], dense(got)[at])
    values = f"expected {want}, got {have}"
    return f"{int(wrong.sum())} of {wrong.numel()} entries differ, the first{place}: {values}."


def apart(one: Tensor, other: Tensor) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 12, 17):
        texts = _number(one, digits), _number(other, digits)
        if texts[0] != texts[1]:
            break
    return texts


def _number(value: Tensor, digits: int = 6) -> str:
    number = value.detach().item()
    return f"{number:.{digits}g}" if isinstance(number, float) else str(number)


def _sequence_difference(
    expected: Any, got: Any, tolerance: float | None, scale: float
) -> str | None:
    kind = tuple if isinstance(expected, tuple) else list
    if not isinstance(got, kind):
        return f"It returned {_a(got)}; the exercise asks for {_a(kind())}."
    for i, (want, have) in enumerate(zip(expected, got, strict=False)):
        if found := difference(want, have, tolerance, scale):
            if found.startswith("At position"):  # a pair reads better whole
                return f"At position {i}: expected {short_repr(want)}, got {short_repr(have)}."
            return f"At position {i}: {found[0].lower()}{found[1:]}"
    return f"It holds {len(got)} entries; expected {len(expected)}."


def _dict_difference(expected: dict, got: Any, tolerance: float | None, scale: float) -> str | None:
    if not isinstance(got, dict):
        return f"It returned {_a(got)}; the exercise asks for a dict."
    for key, want in expected.items():
        if key not in got:
            return f"The key {key!r} is missing; its value should be {short_repr(want)}."
        if found := difference(want, got[key], tolerance, scale):
            return f"At the key {key!r}: {found[0].lower()}{found[1:]}"
    extra = next(key for key in got if key not in expected)
    return f"The key {short_repr(extra)} should not be there."
