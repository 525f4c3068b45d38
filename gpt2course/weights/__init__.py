"""Checkpoints of GPT-2: found on the hub or on disk, read, written, and put into a model."""

from gpt2course.files import CONFIG, COURSE_FOLDER, COURSE_MODEL, HUB_OWNER
from gpt2course.tokenizer import TOKENIZER
from gpt2course.weights.files import (
    WEIGHTS,
    load_tokenizer,
    locate,
    read_config,
    read_tensors,
    write_checkpoint,
)
from gpt2course.weights.released import (
    CONV1D,
    MASK_BUFFERS,
    PREFIX,
    check_tensors,
    fill_meta_model,
    load_released,
    released_to_ours,
)

__all__ = [
    "CONFIG",
    "CONV1D",
    "COURSE_FOLDER",
    "COURSE_MODEL",
    "HUB_OWNER",
    "MASK_BUFFERS",
    "PREFIX",
    "TOKENIZER",
    "WEIGHTS",
    "check_tensors",
    "fill_meta_model",
    "load_released",
    "load_tokenizer",
    "locate",
    "read_config",
    "read_tensors",
    "released_to_ours",
    "write_checkpoint",
]
