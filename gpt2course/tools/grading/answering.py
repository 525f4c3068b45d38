"""Run an answer in a process without rights; what came of each case returns as plain values."""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt2course.checks import engine
from gpt2course.checks.attempt import Outcome, attempt
from gpt2course.checks.exercise import Case, Exercise
from gpt2course.checks.sandbox import TIME_LIMIT, run_limited
from gpt2course.linear import one_torch_thread
from gpt2course.tools.grading.isolation import Isolated, start_isolated
from gpt2course.tools.grading.plain import pack, unpack

SECONDS = 120  # until a process is ended, whatever it waits for
LARGEST = 100_000_000  # bytes that it may hand over


@dataclass
class Told:
    """What the process said of one answer.

    Args:
        outcomes: of the cases in their order, as far as it came.
        ending: "done", "slow", "large", or "gone" where it ended without a word.
        notes: other things that it said; nothing that a mark depends on.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    ending: str = "gone"
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Job:
    """One answer to be run on these cases."""

    exercise: Exercise
    source: str
    cases: Sequence[Case]
    whole_check: bool = False  # also ask the rules, which call the answer again
    about: Any = None  # whatever the caller wants to know it by


def run_jobs(jobs: Callable[[], Job | None], at_once: int, hidden: Sequence[Path]) -> Iterator:
    """Run jobs side by side, each in a process of its own, and yield (job, told) as they end.

    Args:
        jobs: gives the next job; None where there is none for the moment.
        at_once: how many processes.
        hidden: folders of which no answer must see anything.
    """
    running: dict[int, tuple[Job, Isolated, bytearray, float]] = {}
    with selectors.DefaultSelector() as selector, one_torch_thread():
        while True:
            while len(running) < at_once and (job := jobs()):
                process = start_isolated(_work(job), hidden)
                running[process.read_end] = job, process, bytearray(), time.monotonic()
                selector.register(process.read_end, selectors.EVENT_READ)
            if not running:
                return
            ready = [key.fd for key, _ in selector.select(0.5)]
            for number, (job, process, said, started) in list(running.items()):
                part = os.read(number, 1 << 20) if number in ready else None
                said += part or b""
                if part == b"" or len(said) > LARGEST or time.monotonic() - started > SECONDS:
                    selector.unregister(number)
                    del running[number]
                    process.end()
                    yield job, _told(job, bytes(said), late=part != b"")


def _work(job: Job) -> Callable[[int], None]:
    """What the process does; it can see everything, and writes only to the pipe."""

    def work(write_end: int) -> None:
        def say(**what: Any) -> None:
            line = pack(what)
            while line:
                line = line[os.write(write_end, line) :]

        try:
            answer = job.exercise.build(job.source)
        except BaseException as error:
            say(build=[type(error).__name__, str(error)[:500]])
            return
        if job.whole_check:
            result = engine.run(job.exercise.name, answer)
            say(
                named=result.misconception, why=result.why, throughout=result.throughout,
                properties=[list(pair) for pair in result.properties],
            )  # fmt: skip
            return

        def try_cases() -> None:
            for case in job.cases:
                outcome = attempt(job.exercise, answer, case)
                if outcome.error:
                    text = engine.learners_traceback(job.exercise, answer, outcome.error)
                    say(error=[type(outcome.error).__name__, str(outcome.error)[:2000], text])
                else:
                    say(value=outcome.value, changed=outcome.changed)

        ran = run_limited(try_cases, 2 * TIME_LIMIT)  # twice the cases of a check
        say(ending=ran.ending, printed=ran.printed)

    return work


def _told(job: Job, said: bytes, late: bool) -> Told:
    told = Told(ending="slow" if late else "gone")
    for line in said.split(b"\n"):
        try:
            what = unpack(line) if line else None
        except (ValueError, json.JSONDecodeError, UnicodeDecodeError):
            what = None  # it was cut, or is no line of ours
        match what:
            case {"build": [str(kind), str(text)]}:
                told.notes["build"] = f"{kind}: {text}"
                told.ending = "done"
            case {"error": [str(kind), str(text), str(shown)]}:
                error = type(kind if kind.isidentifier() else "Exception", (Exception,), {})(text)
                error.shown = shown[:3000]
                told.outcomes.append(Outcome(error=error))
            case {"value": value, "changed": str() | None as changed}:
                told.outcomes.append(Outcome(value, changed=changed))
            case {"ending": "done" | "slow" | "large" as ending}:
                told.ending = ending
                told.notes["printed"] = str(what.get("printed", ""))[:3000]
            case {"named": str() | None}:
                told.notes |= what
                told.ending = "done"
    del told.outcomes[len(job.cases) :]
    return told
