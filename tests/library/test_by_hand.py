"""Reading .safetensors by hand: what the library writes comes back, and damage is named."""

import json

import pytest
import safetensors.torch
import torch

from gpt2course.files import COURSE_FOLDER
from gpt2course.weights.by_hand import DTYPES, read_safetensors


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_every_dtype_that_the_library_writes_comes_back(dtype):
    torch.manual_seed(1)
    tensors = {"a": (9 * torch.randn(3, 5)).to(dtype), "b": torch.ones((), dtype=dtype)}
    tensors |= {"c": torch.zeros(2, 0, dtype=dtype)}
    found = read_safetensors(safetensors.torch.save(tensors, {"note": "größer"}))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == dtype and torch.equal(found[name], tensor)


def test_the_course_model_is_read_as_the_library_reads_it():
    raw = (COURSE_FOLDER / "model.safetensors").read_bytes()
    found, expected = read_safetensors(raw), safetensors.torch.load(raw)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_file_that_was_cut_off_is_refused_wherever_the_cut_is():
    raw = safetensors.torch.save({"a": torch.ones(3, 4)})
    for length in range(len(raw)):
        with pytest.raises(ValueError):
            read_safetensors(raw[:length])


def test_the_message_names_the_tensor_and_the_remedy():
    raw = safetensors.torch.save({"wte": torch.ones(3, 4)})
    with pytest.raises(ValueError, match="wte must end within .* got 48 and F32; copy the file"):
        read_safetensors(raw[:-1])
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["wte"]["dtype"] = "F8"
    said = json.dumps(header).encode()
    with pytest.raises(ValueError, match="a dtype of F64, F32, .* and F8"):
        read_safetensors(len(said).to_bytes(8, "little") + said + raw[8 + length :])
    with pytest.raises(ValueError, match="must hold its header of 8 bytes, got 3"):
        read_safetensors(b"\0\0\0")
