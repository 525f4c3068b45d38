"""The exercises of lesson 21: read_safetensors, first_difference."""

from __future__ import annotations

import json
import math

import torch
from torch import Tensor

from gpt2course import inspection
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.weights import by_hand

NAMES = {dtype: name for name, dtype in by_hand.DTYPES.items()}

# read_safetensors -------------------------------------------------------------------------------


def _file(
    tensors: dict[str, Tensor],
    note: bool = False,
    pad: int = 0,
    backwards: bool = False,
    gap: int = 0,
) -> bytes:
    """The bytes of a .safetensors file.

    Args:
        note: whether the header has `__metadata__`.
        pad: spaces behind the header, which the format allows.
        backwards: whether the numbers lie in the other order than the header names them.
        gap: bytes of no tensor behind the numbers of each. The library refuses such a file, and
            so an answer that leaves the work to it is seen; what reads by offset does not care.
    """
    names = list(tensors)
    places, numbers = {}, b""
    for name in reversed(names) if backwards else names:
        own = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        places[name] = [len(numbers), len(numbers) + len(own)]
        numbers += own + b"\x07" * gap
    header = {"__metadata__": {"format": "pt"}} if note else {}
    for name in names:
        shape = list(tensors[name].shape)
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": shape}
        header[name]["data_offsets"] = places[name]
    said = json.dumps(header, ensure_ascii=False).encode() + b" " * pad
    return len(said).to_bytes(8, "little") + said + numbers


_ONE = {"wte": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
_TWO = {"ln_f.weight": normal(5, seed=1), "wpe.weight": normal(4, 3, seed=2)}
_KINDS = {
    "double": normal(3, 2, seed=3, dtype=torch.float64),
    "half": normal(2, 5, seed=4, dtype=torch.float16),
    "brain": normal(7, seed=5, dtype=torch.bfloat16),
    "ids": torch.tensor([[3, -1, 2**40]]),
    "single": normal(2, 2, 3, seed=6),
}
_MANY = {f"h.{i}.mlp.c_fc.weight": normal(2 + i, 3, seed=10 + i) for i in range(12)}

read_safetensors = Exercise(
    by_hand.read_safetensors,
    cases=[
        Case("one tensor of 2 by 3", (_file(_ONE),)),
        Case("two tensors", (_file(_TWO),)),
        Case("a note under __metadata__", (_file(_TWO, note=True),)),
        Case("spaces behind the header", (_file(_TWO, pad=5),)),
        Case("five dtypes", (_file(_KINDS),)),
        Case("a single number, of shape ()", (_file({"step": torch.tensor(2.5)}),)),
        Case("the numbers in another order than the names", (_file(_TWO, backwards=True),)),
        Case("a gap between the numbers", (_file(_TWO, gap=8),)),
        Case("a name that begins with _", (_file({"_table": normal(3, 2, seed=8)}),)),
        Case("a name that is not ASCII", (_file({"größe": normal(2, 4, seed=7)}),)),
        Case("a header of more than 256 bytes", (_file(_MANY, note=True),)),
        Case("a header of more than 65,536 bytes", (_file(_TWO, pad=70_000),)),
        Case("very large and very small", (_file({"x": torch.tensor([1e30, -1e-30, 0.0])}),)),
        Case("infinite and no number", (_file({"x": torch.tensor([math.inf, math.nan, 1.0])}),)),
        Case("no tensor at all", (_file({}, note=True),)),
    ],
    properties=[
        Property(
            "the names are those of the header, without __metadata__",
            lambda f: all(set(f(_file(_TWO, note=note))) == set(_TWO) for note in (True, False)),
            of_result=lambda found, raw: found.keys() == _header(raw).keys(),
        ),
        Property(
            "every tensor has the shape that the header says",
            lambda f: all(f(_file(_KINDS))[name].shape == t.shape for name, t in _KINDS.items()),
            of_result=lambda found, raw: all(
                list(found[name].shape) == about["shape"] for name, about in _header(raw).items()
            ),
        ),
        Property(
            "every tensor has the dtype that the header says",
            lambda f: all(f(_file(_KINDS))[name].dtype == t.dtype for name, t in _KINDS.items()),
            of_result=lambda found, raw: all(
                NAMES[found[name].dtype] == about["dtype"] for name, about in _header(raw).items()
            ),
        ),
        Property(
            "the order of the numbers in the file does not matter",
            lambda f: all(
                torch.equal(f(_file(_TWO, backwards=True))[name], t) for name, t in _TWO.items()
            ),
        ),
    ],
)


def _header(raw: bytes) -> dict[str, dict]:
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return {name: about for name, about in header.items() if name != "__metadata__"}


# first_difference -------------------------------------------------------------------------------


def _stages(*shapes: tuple[int, ...], seed: int, dtype=torch.float32) -> list[Tensor]:
    return [normal(*shape, seed=seed + i, dtype=dtype) for i, shape in enumerate(shapes)]


def _moved(stages: list[Tensor], place: int, by: float, entry: int = 0) -> list[Tensor]:
    """The stages, one entry of one of them moved."""
    moved = [stage.clone() for stage in stages]
    moved[place].view(-1)[entry] += by
    return moved


def _with(stages: list[Tensor], place: int, other: Tensor) -> list[Tensor]:
    return [*stages[:place], other, *stages[place + 1 :]]


_HAND = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])]
_FOUR = _stages((1, 3, 4), (2, 5), (3, 2, 2), (7,), seed=20)
_LARGE = [1e6 * stage for stage in _FOUR]
_NAN, _ONE_ROW, _ONE_COLUMN = torch.tensor([[math.nan] * 5] * 2), _FOUR[1][:1], _FOUR[1][:, :1]

first_difference = Exercise(
    inspection.first_difference,
    cases=[
        Case("the second of three is off by 0.5", (_moved(_HAND, 1, 0.5), _HAND, 0.1)),
        Case("all within the tolerance", (_moved(_HAND, 2, 0.05), _HAND, 0.1)),
        Case("exactly the same", (_FOUR, _FOUR, 0.0)),
        Case("the first one", (_moved(_FOUR, 0, 1.0, 11), _FOUR, 1e-3)),
        Case("the last one, in its last entry", (_moved(_FOUR, 3, -1.0, 6), _FOUR, 1e-3)),
        Case("two of them: the earlier counts",
             (_moved(_moved(_FOUR, 3, 9.0), 1, 0.2), _FOUR, 1e-2)),
        Case("three of them, the largest in the middle",
             (_moved(_moved(_moved(_FOUR, 0, 0.2), 1, 9.0), 3, 2.0), _FOUR, 1e-2)),
        Case("the same numbers in another order",
             (_with(_FOUR, 3, _FOUR[3].flip(0)), _FOUR, 1e-3)),
        Case("every entry off by a little, within the tolerance",
             (_with(_FOUR, 0, _FOUR[0] + 0.05), _FOUR, 0.1)),
        Case("one entry of many, too small", (_moved(_FOUR, 2, -0.5, 5), _FOUR, 1e-3)),
        Case("one up, one down by as much",
             (_moved(_moved(_FOUR, 2, -0.5, 5), 2, 0.5, 1), _FOUR, 1e-3)),
        Case("nothing but NaN in it", (_with(_FOUR, 1, _NAN), _FOUR, 1e-3)),
        Case("a single NaN", (_moved(_FOUR, 2, math.nan, 4), _FOUR, 1e-3)),
        Case("NaN in the reference alone", (_FOUR, _moved(_FOUR, 2, math.nan, 4), 1e-3)),
        Case("NaN in both", (_with(_FOUR, 1, _NAN), _with(_FOUR, 1, _NAN), 1e-3)),
        Case("a tolerance of 0", (_moved(_FOUR, 3, 1e-3), _FOUR, 0.0)),
        Case("numbers in the millions, off by 3", (_moved(_LARGE, 1, 3.0), _LARGE, 0.5)),
        Case("another shape, with as many numbers",
             (_with(_FOUR, 1, _FOUR[1].reshape(5, 2)), _FOUR, 99.0)),
        Case("a shape that would be stretched",
             (_with(_FOUR, 1, _ONE_ROW), _with(_FOUR, 1, _ONE_ROW.expand(2, 5)), 1e-3)),
        Case("a shape that would be stretched along the last axis",
             (_with(_FOUR, 1, _ONE_COLUMN), _with(_FOUR, 1, _ONE_COLUMN.expand(2, 5)), 1e-3)),
        Case("another shape behind a difference",
             (_with(_moved(_FOUR, 0, 1.0), 2, torch.zeros(3)), _FOUR, 1e-3)),
        Case("a large tolerance", (_moved(_FOUR, 1, 5.0), _FOUR, 20.0)),
        Case("one stage", (_moved(_FOUR[:1], 0, 2.0), _FOUR[:1], 1.0)),
        Case("one stage, the same", (_FOUR[:1], _FOUR[:1], 1.0)),
        Case("no stages", ([], [], 0.5)),
        Case("float64, off by 1e-9",
             (_moved(_stages((2, 3), (4,), seed=30, dtype=torch.float64), 1, 1e-9),
              _stages((2, 3), (4,), seed=30, dtype=torch.float64), 1e-11)),
        Case("not contiguous in memory",
             (_with(_FOUR, 1, strided(_FOUR[1] + 1.0)), _with(_FOUR, 1, strided(_FOUR[1])), 0.5)),
    ],
    properties=[
        Property("equal runs have no difference", lambda f: f(_FOUR, _FOUR, 0.0) is None),
        Property(
            "it does not matter which run is called the reference",
            lambda f: f(_moved(_FOUR, 1, 0.5), _FOUR, 0.1) == f(_FOUR, _moved(_FOUR, 1, 0.5), 0.1),
        ),
        Property(
            "what differs behind the first difference does not matter",
            lambda f: f(_moved(_moved(_FOUR, 3, 9.0), 1, 0.5), _FOUR, 0.1)
            == f(_moved(_FOUR, 1, 0.5), _FOUR, 0.1),
        ),
        Property(
            "a NaN is a difference, in either of the two and in both",
            lambda f: all(
                f(mine, reference, 9.0) == 2
                for mine, reference in [
                    (_moved(_FOUR, 2, math.nan), _FOUR),
                    (_FOUR, _moved(_FOUR, 2, math.nan)),
                    (_moved(_FOUR, 2, math.nan), _moved(_FOUR, 2, math.nan)),
                ]
            ),
        ),
        Property(
            "the place lies within the list",
            lambda f: f(_moved(_FOUR, 3, 1.0), _FOUR, 0.1) in range(4),
            of_result=lambda place, mine, *rest: place is None or place in range(len(mine)),
        ),
    ],
    hints={
        "returns None": "It returned None, which says that nothing differs, and a tensor does. Is "
        "every one of them looked at, and does `return` stand where the difference is found?"
    },
)  # fmt: skip


EXERCISES = [read_safetensors, first_difference]
