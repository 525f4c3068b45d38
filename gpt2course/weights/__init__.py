"""Checkpoints of GPT-2: read, written, found on the hub, and put into a model."""

from gpt2course.weights.files import (
    COURSE_FOLDER,
    COURSE_MODEL,
    HUB_OWNER,
    PREFIX,
    TOKENIZER,
    check_tensors,
    load_model,
    load_released,
    load_tokenizer,
    locate,
    read_config,
    released_to_ours,
    save_model,
)

__all__ = [
    "COURSE_FOLDER",
    "COURSE_MODEL",
    "HUB_OWNER",
    "PREFIX",
    "TOKENIZER",
    "check_tensors",
    "load_model",
    "load_released",
    "load_tokenizer",
    "locate",
    "read_config",
    "released_to_ours",
    "save_model",
]
