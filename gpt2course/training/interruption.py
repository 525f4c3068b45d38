"""Ctrl-C ends a run after a whole step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gpt2course.training.processes import started_by_torchrun


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that Ctrl-C makes longer, instead of breaking off in the middle of a step."""
    asked: list[int] = []

    def ask(signum: int, frame: object) -> None:
        asked.append(signum)
        if len(asked) > 1 and not started_by_torchrun():  # which passes Ctrl-C on a second time
            raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # only the main thread hears of signals
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
