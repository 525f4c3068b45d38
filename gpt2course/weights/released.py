"""Tensors: from a released checkpoint's names and layout to a model's, and into the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from gpt2course.files import printable

Module = TypeVar("Module", bound=nn.Module)

PREFIX = "transformer."  # of every name, where the whole GPT2LMHeadModel was saved
HEAD = "lm_head.weight"
MASK_BUFFERS = (".attn.bias", ".attn.masked_bias")  # constants that older files carry
CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def load_released(state: dict[str, Tensor], model: Module) -> Module:
    """Fill a model with a released checkpoint's tensors, and return it.

    OpenAI's files, and transformers' after them, hold the matrices of the blocks as (in, out)
    ("Conv1D"); nn.Linear holds (out, in), so these are transposed. One of them, attn.c_proj, is
    square and would fit untransposed.

    Args:
        state: tensors under Hugging Face's names, with or without the prefix "transformer.".
            `lm_head.weight` is left out where it equals `wte.weight`, and so are mask buffers.
        model: a `GPT2`, or any module whose parameters have its names and shapes.

    Raises:
        ValueError: a tensor is missing, extra or of another shape. The model stays as it was.
    """
    tensors = released_to_ours(state)
    check_tensors(tensors, model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    return model


def released_to_ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the model's own names, Conv1D matrices transposed (without a copy)."""
    named = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    head = named.get(HEAD)
    if head is not None and "wte.weight" in named and torch.equal(head, named["wte.weight"]):
        del named[HEAD]
    ours = {name: t for name, t in named.items() if not name.endswith(MASK_BUFFERS)}
    return transpose_conv1d(ours)


def transpose_conv1d(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of the blocks transposed, from (in, out) to (out, in) or back; no copy."""
    return {
        name: tensor.mT if name.endswith(CONV1D) and tensor.ndim == 2 else tensor
        for name, tensor in tensors.items()
    }


def check_tensors(tensors: dict[str, Tensor], model: nn.Module) -> None:
    """Raise ValueError where a tensor is missing, extra or of another shape than the model's."""
    expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name} is extra" for name in tensors if name not in expected]
    for name in expected.keys() & tensors.keys():
        got = tuple(tensors[name].shape)
        if got != expected[name]:
            faults.append(f"{name} has shape {got}, but the model's has {expected[name]}")
    if faults:
        more = f" (and {len(faults) - 5} more faults)" if len(faults) > 5 else ""
        sizes = getattr(model, "config", type(model).__name__)
        raise ValueError(
            f"the checkpoint must hold the tensors of {sizes}: "
            f"{printable('; '.join(faults[:5]))}{more}"
        )


def fill_meta_model(
    model: Module, state: dict[str, Tensor], dtype: str | torch.dtype, device: str | torch.device
) -> Module:
    """Give a model on the meta device a checkpoint's tensors, in memory of its own.

    Args:
        state: as `load_released` takes it, or with matrices as nn.Linear holds them.
        dtype: a float type of torch or its name; "auto" is that of the checkpoint's wte.weight.

    Raises:
        ValueError: a tensor is missing, extra or of another shape, or dtype is no float type.
    """
    tensors = released_to_ours(transpose_conv1d(state) if _saved_as_linear(state) else state)
    check_tensors(tensors, model)
    dtype = tensors["wte.weight"].dtype if dtype == "auto" else dtype
    dtype = getattr(torch, dtype, dtype) if isinstance(dtype, str) else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(
            f"dtype must be a float type of torch, its name or 'auto', got {dtype!r}; try "
            f"'bfloat16'"
        )
    own = {
        name: torch.empty(tensor.shape, dtype=dtype, device=device).copy_(tensor)
        for name, tensor in tensors.items()
    }
    model.load_state_dict(own, assign=True)
    return model


def _saved_as_linear(state: dict[str, Tensor]) -> bool:
    """Whether the matrices are (out, in): c_attn, which makes q, k and v, has three times C out."""
    c_attn = next((t for name, t in state.items() if name.endswith("attn.c_attn.weight")), None)
    return c_attn is not None and c_attn.ndim == 2 and c_attn.shape[0] == 3 * c_attn.shape[1]
