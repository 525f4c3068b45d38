"""Files and models: checkpoints as transformers writes them, and back.

Only safetensors is read: a pickle (`.bin`, `.pt`) can run any code when it is opened.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gpt2course.model import GPT2

PREFIX = "transformer."  # of every name, where the whole GPT2LMHeadModel was saved
HEAD = "lm_head.weight"
MASK_BUFFERS = (".attn.bias", ".attn.masked_bias")  # constants that older files carry
CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def load_released(state: dict[str, Tensor], model: GPT2) -> GPT2:
    """Fill a model with a released checkpoint's tensors, and return it.

    OpenAI's files, and transformers' after them, hold the matrices of the blocks as (in, out)
    ("Conv1D"); nn.Linear holds (out, in), so these are transposed. One of them, attn.c_proj, is
    square and would fit untransposed.

    Args:
        state: tensors under Hugging Face's names, with or without the prefix "transformer.".
            `lm_head.weight` is left out where it equals `wte.weight`, and so are mask buffers.

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
    return {
        name: tensor.mT if name.endswith(CONV1D) and tensor.ndim == 2 else tensor
        for name, tensor in named.items()
        if not name.endswith(MASK_BUFFERS)
    }


def check_tensors(tensors: dict[str, Tensor], model: GPT2) -> None:
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
        raise ValueError(
            f"the checkpoint must hold the tensors of {model.config}: {'; '.join(faults[:5])}{more}"
        )
