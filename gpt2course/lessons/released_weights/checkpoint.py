"""The file that lesson 14 loads: the released one, or a small one like it."""

from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import try_to_load_from_cache

from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.weights import PREFIX, TOKENIZER, load_tokenizer, locate, read_config


def find_checkpoint(small_folder: Path, fetch: bool) -> tuple[Path, Tokenizer]:
    """The folder of a checkpoint, and the tokenizer that belongs to it.

    It is the released GPT-2 where the hub's cache has it or `fetch` allows the download. Otherwise,
    and where that fails, a small checkpoint is written into `small_folder`.
    """
    cached = try_to_load_from_cache("openai-community/gpt2", "model.safetensors")
    if fetch or isinstance(cached, str):
        try:
            folder = Path(cached).parent if isinstance(cached, str) else locate("gpt2")[0].parent
            return folder, load_tokenizer(folder)
        except (OSError, ValueError) as error:  # no network, no room, a damaged file, …
            print(f"The released file can't be used here: {error}")
    _write_small(small_folder)
    return small_folder, load_tokenizer(small_folder)


def _write_small(folder: Path) -> None:
    """Write the course model with everything that files of GPT-2 may contain."""
    GPT2.from_pretrained("course").save_pretrained(folder)
    load_tokenizer("course").save(folder / TOKENIZER)
    tensors = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    n_ctx = len(tensors[f"{PREFIX}wpe.weight"])
    tensors["lm_head.weight"] = tensors[f"{PREFIX}wte.weight"].clone()
    for i in range(read_config(folder / "config.json").n_layer):
        tensors[f"{PREFIX}h.{i}.attn.bias"] = torch.ones(1, 1, n_ctx, n_ctx).tril()
        tensors[f"{PREFIX}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
