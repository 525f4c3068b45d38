"""A checkpoint read without a library: what a .safetensors file is, byte by byte.

The rest of the package reads with the safetensors library, which maps a file into memory and
refuses whatever is malformed. This is the format itself, for the one file that lesson 21 writes.
"""

import json

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def read_safetensors(raw: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a .safetensors file, by name.

    The first 8 bytes are the length of the header, the lowest byte first. The header is JSON: for
    each tensor its dtype, its shape, and where its numbers begin and end, counted from the end of
    the header. `__metadata__` is a note, and no tensor.

    Raises:
        ValueError: the bytes end too soon, the header is no JSON, or a dtype is not in `DTYPES`.

    Source: the format's description in the repository of the library, huggingface/safetensors.
    """
    start = 8 + int.from_bytes(raw[:8], "little")
    if len(raw) < max(start, 8):
        raise ValueError(
            f"a .safetensors file must hold its header of {start} bytes, got {len(raw)}; it was "
            f"cut off, so copy it again"
        )
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        if start + end > len(raw) or about["dtype"] not in DTYPES:
            raise ValueError(
                f"{name} must end within the file's {len(raw) - start} bytes of numbers and have a "
                f"dtype of {', '.join(DTYPES)}, got {end} and {about['dtype']}; copy the file again"
            )
        own = bytearray(
            raw[start + begin : start + end]
        )  # frombuffer shares the memory it is given
        numbers = torch.frombuffer(own, dtype=DTYPES[about["dtype"]]) if own else torch.empty(0)
        tensors[name] = numbers.to(DTYPES[about["dtype"]]).reshape(about["shape"])
    return tensors
