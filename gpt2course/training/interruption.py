"""Ctrl-C, or the SIGTERM of a scheduler, ends a run after a whole step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gpt2course.training.processes import started_by_torchrun


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that a signal makes longer, instead of breaking off in the middle of a step."""
    asked: list[int] = []

    def ask(signum: int, frame: object) -> None:
        asked.append(signum)
        if len(asked) > 1 and not started_by_torchrun():  # which passes a signal on a second time
            raise KeyboardInterrupt

    before = {}
    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # only the main thread hears of signals
                before[signum] = signal.signal(signum, ask)
        yield asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
