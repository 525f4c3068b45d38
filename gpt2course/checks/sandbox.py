"""Run a learner's code so that whatever it does, the notebook goes on.

The code runs in a thread of its own, with what it prints held back, and is ended from outside
where it takes too long or too much memory. `sys.exit()` and a raised KeyboardInterrupt end it
alone. Code that calls `os._exit` still ends the kernel: only a process of its own would hold that.
"""

from __future__ import annotations

import ctypes
import io
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import numpy as np
import psutil
import torch

TIME_LIMIT = 5.0  # seconds of computing for all cases; the longest right answer takes 1.5
WAITING = 4  # times as long in all, where the machine is busy or the code waits for something
MEMORY_LIMIT = 2**30  # bytes that the kernel may grow by meanwhile
PACKAGE = str(Path(__file__).parents[1])
GRACE = 2.0  # seconds in which code that catches everything is asked again to end
PRINTS_KEPT = 2_000  # characters
MONITORED = hasattr(sys, "monitoring")  # since Python 3.12
TOOL = 4  # sys.monitoring's id; 0, 1, 2 and 5 are for debuggers, coverage, profilers, optimizers

running_on: list[threading.Thread] = []  # earlier work that nothing could end


class Ended(BaseException):
    """Raised inside the learner's thread to end it; not an Exception, so that few catch it."""


class BoundedText(io.TextIOBase):
    """A stream that keeps the first characters and counts the rest."""

    def __init__(self) -> None:
        self.kept, self.length = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.kept += text[: max(0, PRINTS_KEPT - len(self.kept))]
        self.length += len(text)
        return len(text)

    def __str__(self) -> str:
        left = self.length - len(self.kept)
        return self.kept + (f"\n… and {left:,} characters more" if left else "")


@dataclass
class Ran:
    """How a run ended: "done", "slow" or "large"; still_running where nothing could end it, or
    could end earlier work.
    """

    ending: str
    seconds: float
    printed: str
    still_running: bool = False


def run_limited(work: Callable[[], None], time_limit: float = TIME_LIMIT) -> Ran:
    """Run `work` in a thread of its own and wait for it, within the limits.

    An interrupt of the kernel (Ctrl-C, the stop button) ends the work and is passed on. Memory has
    no limit while earlier work, which nothing could end, still runs: it may be what grows.
    """
    for earlier in running_on:
        earlier.join(GRACE)
    alone = not any(earlier.is_alive() for earlier in running_on)
    printed = BoundedText()
    thread = threading.Thread(target=_quietly, args=(work,), daemon=True)
    started, computed, memory = time.perf_counter(), time.process_time(), _memory()
    ending = "done"
    with redirect_stdout(printed), redirect_stderr(printed), _random_state_kept(), _no_last_words():
        thread.start()
        try:
            while thread.is_alive() and ending == "done":
                thread.join(0.1)
                waited = time.perf_counter() - started
                if max(time.process_time() - computed, waited / WAITING) > time_limit:
                    ending = "slow"
                elif alone and _memory() - memory > MEMORY_LIMIT:
                    ending = "large"
        finally:
            seconds = time.perf_counter() - started
            _end(thread)
            running_on[:] = [one for one in (*running_on, thread) if one.is_alive()]
    return Ran(ending, seconds, str(printed), bool(running_on))


def _quietly(work: Callable[[], None]) -> None:
    if not MONITORED:
        sys.settrace(lambda *event: None)  # so that _insisting can watch frames that already run
    torch.set_num_threads(1)
    try:
        work()
    except Ended:
        pass


def _memory() -> int:
    return psutil.Process().memory_info().rss


def _end(thread: threading.Thread) -> None:
    """Raise Ended in the thread; after that, raise it also inside whatever swallows it."""
    give_up = time.perf_counter() + GRACE
    raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
    with _monitoring(thread) if MONITORED else nullcontext(_trace) as insist:
        while thread.is_alive() and time.perf_counter() < give_up:
            raise_in_thread(ctypes.c_ulong(thread.ident), ctypes.py_object(Ended))
            thread.join(0.05)
            frame = sys._current_frames().get(thread.ident)
            while frame is not None and frame.f_code is not _quietly.__code__:
                if not frame.f_code.co_filename.startswith(PACKAGE):
                    insist(frame)
                frame = frame.f_back


def _trace(frame: FrameType) -> None:
    """Where an `except` of this frame has caught Ended, raise it once more."""

    def insist(frame: FrameType, event: str, arg: object) -> Callable:
        if sys.exc_info()[0] is Ended:
            raise Ended
        return insist

    frame.f_trace, frame.f_trace_opcodes = insist, True


@contextmanager
def _monitoring(thread: threading.Thread) -> Iterator[Callable[[FrameType], None]]:
    """Gives what lets every further instruction of a frame raise Ended, in this thread alone."""
    monitoring, codes = sys.monitoring, set()

    def insist(code: CodeType, offset: int) -> None:
        if threading.get_ident() == thread.ident:
            raise Ended

    def watch(frame: FrameType) -> None:
        codes.add(frame.f_code)
        monitoring.set_local_events(TOOL, frame.f_code, monitoring.events.INSTRUCTION)

    monitoring.use_tool_id(TOOL, __name__)
    monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, insist)
    try:
        yield watch
    finally:
        for code in codes:
            monitoring.set_local_events(TOOL, code, monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(TOOL)


@contextmanager
def _no_last_words():
    """A thread that is ended after its work is done says nothing about it."""
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is Ended else hook(args)
    try:
        yield
    finally:
        threading.excepthook = hook


@contextmanager
def _random_state_kept():
    """A check neither depends on the random state of the notebook nor moves it."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    try:
        random.seed(0), np.random.seed(0), torch.random.manual_seed(0)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
