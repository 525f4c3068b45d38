"""The folder of a run: claimed by one run at a time, and at the end a model that others load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.training.checkpoints import CHECKPOINT, n_steps
from gpt2course.training.history import HISTORY, History
from gpt2course.weights import WEIGHTS

LOCK = ".lock"  # stays in the folder; the lock itself ends with the process that holds it


@contextmanager
def claim(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Within, the folder is there and belongs to this run alone, which may claim it again.

    Args:
        folder: None where a run keeps nothing, or another of its processes does.

    Raises:
        OSError: it is a file, can't be written, or another run is at work there.
    """
    if folder is None:
        yield
        return
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
        lock = FileLock(folder / LOCK, timeout=0, is_singleton=True)
        lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"{folder} must be free, but another run is training in it; wait until that has "
            f"ended, or name another folder"
        ) from None
    except FileExistsError:
        raise NotADirectoryError(f"{folder} must be a folder, not a file; name another") from None
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{folder} must be a folder to write to ({reason}); name another") from None
    try:
        yield
    finally:
        lock.release()


def steps_so_far(folder: Path) -> int:
    """How many steps the run of a folder has taken; 0 where there is none.

    Raises:
        ValueError: its checkpoint is damaged, or a model lies there that no run has made.
    """
    if (folder / CHECKPOINT).exists():
        return n_steps(folder / CHECKPOINT)
    if (folder / WEIGHTS).exists():
        raise ValueError(
            f"{folder} must be a new folder, or that of a run, but holds a {WEIGHTS} that "
            f"no run here has made; name another folder"
        )
    return 0


def save_run(folder: Path, model: GPT2, tokenizer: Tokenizer, history: History) -> None:
    """Write what `from_pretrained` and `load_tokenizer` read, and the history."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    history.save(folder / HISTORY)
