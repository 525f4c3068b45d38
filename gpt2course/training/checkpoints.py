"""A training run on disk: the one file from which it goes on.

A checkpoint is a safetensors file: every tensor of the run under a name that says whose it is
(`model.wte.weight`, `exp_avg.wte.weight`), and in the header what the run was made with, and the
SHA-256 of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

CHECKPOINT = "checkpoint.safetensors"
_FORMAT = "gpt2course checkpoint 2"


class AnotherRun(ValueError):
    """The checkpoint in the folder is of a run that was made with something else."""


# Weights and optimiser --------------------------------------------------------------------------


def learned_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the steps so far have made: weights, buffers, and the optimiser's running means."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for what, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{what}.{name}"] = value
    return tensors


@torch.no_grad()
def restore_learned(
    tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Undo `learned_tensors`: the same values, on the model's device."""
    own = model.state_dict()
    for name, tensor in own.items():
        tensor.copy_(tensors[f"model.{name}"])
    for name, parameter in model.named_parameters():
        found = {key.removesuffix(f".{name}"): t for key, t in tensors.items() if _is(key, name)}
        for what, value in found.items():
            # AdamW's count of steps is a number, and stays where the optimiser made it
            device = parameter.device if value.ndim or optimizer.defaults.get("fused") else "cpu"
            optimizer.state[parameter][what] = torch.empty_like(value, device=device).copy_(value)


def _is(key: str, name: str) -> bool:
    """Whether a tensor's name is that of an optimiser's value for this parameter."""
    what, _, rest = key.partition(".")
    return rest == name and what not in ("model", "history", "random")


# The file ---------------------------------------------------------------------------------------


def write_checkpoint(path: Path, tensors: dict[str, Tensor], made_with: dict[str, Any]) -> None:
    """Write beside the old checkpoint, which is there until the new one is whole on the disk."""
    folder = path.with_name(f"{path.name}.new")  # what a killed run leaves is all in there
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    new = folder / path.name
    tensors = _apart(tensors)
    metadata = {
        "format": _FORMAT,
        "made_with": json.dumps(made_with),
        "tensors_sha256": _digest(tensors),
    }
    try:
        safetensors.torch.save_file(tensors, new, metadata)
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(new, 0o644)  # safetensors lets nobody else read it
        os.replace(new, path)
    except safetensors.SafetensorError as error:
        raise OSError(f"{path} can't be written: {error}; is the disk full?") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors wants them: contiguous, and none sharing memory with another."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        apart[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(apart[name].data_ptr())
    return apart


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A checkpoint's safetensors file; within, what it lacks is a ValueError."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            if found != _FORMAT:
                raise ValueError(
                    f"{path} must be a {_FORMAT}, got format {found!r}; train in another folder"
                )
            yield file
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must be a whole checkpoint, but is damaged ({error}); delete it to begin "
            f"anew, or put back a copy"
        ) from None


def read_checkpoint(path: Path, made_with: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a run that was made with the same.

    Raises:
        AnotherRun: the run was made with something else, which is named.
        ValueError: the file is damaged.
    """
    with _opened(path) as file:
        _check_made_with(path, json.loads(file.metadata()["made_with"]), made_with)
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        if file.metadata()["tensors_sha256"] != _digest(tensors):
            raise safetensors.SafetensorError("its tensors are not those that were written")
    return tensors


def n_steps(path: Path) -> int:
    """How many steps the run of a checkpoint had taken."""
    with _opened(path) as file:
        return file.get_slice("history.steps").get_shape()[0]


def made_with(path: Path) -> dict[str, Any]:
    """What the run of a checkpoint was made with."""
    with _opened(path) as file:
        return json.loads(file.metadata()["made_with"])


def _check_made_with(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    new = json.loads(json.dumps(new))  # as it reads when it comes out of a file
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
        was = ", ".join(f"{name}={old.get(name)!r}" for name in names)
        now = ", ".join(f"{name}={new.get(name)!r}" for name in names)
        raise AnotherRun(
            f"{path} is of a run with {was}, got {now}; give what it was made with to go on with "
            f"it, or train in another folder"
        )
