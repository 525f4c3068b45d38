"""Values as bytes and back, without pickle: what a process that runs answers may hand over.

Only plain kinds travel: None, bool, int, float, str, bytes, list, tuple, dict and dense tensors;
and what a lesson's exercises define with `travels`, the fields from which it is made again.
Anything else arrives as `Foreign`, which equals nothing.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64,
        torch.complex128, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
        torch.bool,
    )
}  # fmt: skip
DEEPEST = 40  # lists in lists
LARGEST = 20_000_000  # bytes of a tensor


@dataclass(frozen=True)
class Foreign:
    """A value of a kind that does not travel."""

    kind: str

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def pack(value: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(_packed(value, DEEPEST)).encode() + b"\n"


def unpack(line: bytes) -> Any:
    """The value of a line.

    Raises:
        ValueError: it is no line that `pack` writes.
    """
    try:
        return _unpacked(json.loads(line), DEEPEST)
    except (KeyError, TypeError, RuntimeError, RecursionError, OverflowError, AttributeError) as e:
        raise ValueError(f"not a packed value ({type(e).__name__}: {e})") from e


def _packed(value: Any, depth: int) -> Any:
    kind = type(value)
    if depth == 0:
        return {"foreign": "a value that is nested too deeply"}
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return {"int": str(value)}
    if kind is float:
        return {"float": value.hex() if math.isfinite(value) else repr(value)}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, Tensor):
        return _packed_tensor(value)
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, depth - 1) for item in value]}
    if isinstance(value, list):
        return {"list": [_packed(item, depth - 1) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(k, depth - 1), _packed(v, depth - 1)] for k, v in value.items()]}
    if travels := getattr(kind, "travels", None):
        fields = [_packed(getattr(value, name), depth - 1) for name in travels]
        return {"object": [kind.__module__, kind.__name__], "fields": fields}
    return {"foreign": kind.__name__[:100]}


def _packed_tensor(value: Tensor) -> Any:
    plain = value.detach().as_subclass(Tensor)
    if plain.is_nested or plain.layout is not torch.strided:
        plain = plain.to_dense() if not plain.is_nested else torch.zeros(0, dtype=torch.complex128)
    name = str(plain.dtype).removeprefix("torch.")
    if plain.numel() * plain.element_size() > LARGEST:
        return {"foreign": f"a tensor of {plain.numel():,} entries"}
    if name not in DTYPES:
        return {"foreign": f"a tensor of {name}"}
    raw = plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return {"tensor": name, "shape": list(plain.shape), "data": base64.b64encode(raw).decode()}


def _unpacked(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError("nested too deeply")
    if value is None or type(value) in (bool, str):
        return value
    match value:
        case {"int": str(text)}:
            return int(text)
        case {"float": str(text)}:
            return float.fromhex(text) if "x" in text else float(text)
        case {"bytes": str(text)}:
            return base64.b64decode(text)
        case {"tuple": list(items)}:
            return tuple(_unpacked(item, depth - 1) for item in items)
        case {"list": list(items)}:
            return [_unpacked(item, depth - 1) for item in items]
        case {"dict": list(pairs)}:
            return {_unpacked(k, depth - 1): _unpacked(v, depth - 1) for k, v in pairs}
        case {"tensor": str(name), "shape": list(shape), "data": str(data)}:
            raw = bytearray(base64.b64decode(data))
            dtype = DTYPES[name]
            if not raw:
                return torch.zeros(shape, dtype=dtype)
            return torch.frombuffer(raw, dtype=dtype).reshape(shape)
        case {"object": [str(module), str(name)], "fields": list(fields)}:
            kind = getattr(sys.modules.get(module), name, None)
            if not module.startswith("gpt2course.lessons.") or not hasattr(kind, "travels"):
                raise ValueError(f"no kind of value that travels: {module}.{name}")
            return kind(*(_unpacked(field, depth - 1) for field in fields))
        case {"foreign": str(kind)}:
            return Foreign(kind)
    raise ValueError("no kind of value that travels")
