"""Files: checkpoints as transformers writes them, found, read and written.

Only safetensors is read: a pickle (`.bin`, `.pt`) can run any code when it is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gpt2course.config import GPT2Config
from gpt2course.files import CONFIG, fetch, find, printable, read_json, write_whole
from gpt2course.tokenizer import Tokenizer
from gpt2course.weights.released import PREFIX, transpose_conv1d

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def locate(
    name_or_path: str | os.PathLike[str], revision: str | None = None
) -> tuple[Path, list[Path]]:
    """The config and the weight files of a checkpoint, fetched from the hub where need be."""
    if Path(name_or_path).suffix in PICKLES:
        raise ValueError(_pickle_remedy(Path(name_or_path)))
    place = find(name_or_path, revision)
    if place.folder is None:
        config, weights = fetch(place, [CONFIG, WEIGHTS])
        return config, [weights]
    return place.folder / CONFIG, [place.file] if place.file else _weights_in(place.folder)


def _weights_in(folder: Path) -> list[Path]:
    """model.safetensors, or the parts that its index names."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        return _parts(folder / INDEX)
    pickles = [path for path in folder.iterdir() if path.suffix in PICKLES]
    if pickles:
        raise ValueError(_pickle_remedy(pickles[0]))
    raise FileNotFoundError(f"{folder} must hold {WEIGHTS}, and does not; is it another folder?")


def _parts(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(_is_part(name) for name in names):
        raise ValueError(
            f"{index} must have a weight_map from tensors to .safetensors files in the same "
            f"folder, got {str(weight_map)[:80]!r}; fetch or copy it again"
        )
    parts = [index.with_name(name) for name in sorted(set(names))]
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        raise ValueError(
            f"{index} names {printable(', '.join(missing))}, which must be in the same folder; "
            f"fetch or copy the checkpoint again, all of it"
        )
    return parts


def _is_part(name: object) -> bool:
    return isinstance(name, str) and name == Path(name).name and name.endswith(".safetensors")


def _pickle_remedy(path: Path) -> str:
    return (
        f"{path} is a pickle, which can run any code when it is opened, and is not read; where you "
        f"trust it, let transformers convert it: GPT2LMHeadModel.from_pretrained(folder)"
        f".save_pretrained(new_folder), and load new_folder"
    )


def read_tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of all files; ValueError where a file is cut, damaged or something else."""
    state: dict[str, Tensor] = {}
    for path in files:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except safetensors.SafetensorError as error:
            raise ValueError(
                f"{path} must be a whole safetensors file, but is not "
                f"({printable(str(error))}); it may have been cut off, so fetch or copy it again"
            ) from None
        if "sha256" in metadata and metadata["sha256"] != _digest(tensors):
            raise ValueError(
                f"{path} is damaged: its tensors are not those that were saved; copy it again"
            )
        state |= tensors
    return state


def write_checkpoint(
    folder: str | os.PathLike[str], config: GPT2Config, state: Mapping[str, Tensor]
) -> None:
    """Write config.json and model.safetensors as transformers writes a GPT2LMHeadModel.

    Each file is written whole or not at all, the weights first. The file's header holds the
    SHA-256 of its tensors, which `read_tensors` compares.

    Args:
        state: tensors under the model's own names, matrices as (out, in).
    """
    folder = Path(folder)
    tensors = {
        PREFIX + name: tensor.detach().cpu().contiguous()
        for name, tensor in transpose_conv1d(state).items()
    }
    write_whole(folder / WEIGHTS, *_serialise(tensors))
    fields = _config_fields(config, state["wte.weight"].dtype)
    write_whole(folder / CONFIG, (json.dumps(fields, indent=2) + "\n").encode())


def _serialise(tensors: dict[str, Tensor]) -> tuple[bytes, memoryview]:
    """The file's header and its tensors; the same bytes each time.

    safetensors writes the entries of the metadata in random order, so they are written anew.
    """
    metadata = {"format": "pt", "sha256": _digest(tensors)}
    content = safetensors.torch.save(tensors, metadata)
    start = 8 + int.from_bytes(content[:8], "little")
    fields = json.loads(content[8:start]) | {"__metadata__": metadata}
    header = json.dumps(fields, separators=(",", ":")).encode().ljust(start - 8)
    return content[:8] + header, memoryview(content)[start:]


def _digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


# The config, under the names that transformers gives it ---------------------------------------

OUR_NAMES = {"n_layer": "n_layer", "n_head": "n_head", "n_embd": "n_embd"}
OUR_NAMES |= {"n_positions": "n_ctx", "vocab_size": "vocab_size"}
# What our model does, as transformers says it, and what stands there where it does not say.
MUST_BE = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",  # the tanh form
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def read_config(path: Path) -> GPT2Config:
    """The sizes in a config.json of transformers; ValueError where it is another kind of model."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} must say the sizes of the model, and is missing; n_head can't be read off "
            f"the weights. Copy it from where the weights come from"
        )
    fields = read_json(path)
    for key, expected in MUST_BE.items():
        if fields.get(key, expected) != expected:
            raise ValueError(
                f"{path} must have {key}={expected!r}, as GPT-2 does, got {fields[key]!r}; this is "
                f"another kind of model"
            )
    missing = [key for key in OUR_NAMES if type(fields.get(key)) is not int]
    if missing:
        raise ValueError(
            f"{path} must give {', '.join(missing)} as whole numbers, as every GPT-2's config does"
        )
    try:
        config = GPT2Config(**{ours: fields[theirs] for theirs, ours in OUR_NAMES.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if fields.get("n_inner") not in (None, 4 * config.n_embd):
        raise ValueError(
            f"{path} must have an MLP of 4 · n_embd, as GPT-2 does, got {fields['n_inner']}"
        )
    return config


def _config_fields(config: GPT2Config, dtype: torch.dtype) -> dict[str, Any]:
    sizes = {theirs: getattr(config, ours) for theirs, ours in OUR_NAMES.items()}
    end_of_text = config.vocab_size - 1  # <|endoftext|> is the last token, it does both
    return {
        "architectures": ["GPT2LMHeadModel"],
        **sizes,
        **MUST_BE,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": str(dtype).removeprefix("torch."),
    }


def load_tokenizer(name_or_path: str | os.PathLike[str]) -> Tokenizer:
    """`Tokenizer.from_pretrained`."""
    return Tokenizer.from_pretrained(name_or_path)
