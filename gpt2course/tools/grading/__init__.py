"""Grade a folder of hand-ins: every answer runs in a process without rights, and is judged here.

python -m gpt2course grade HANDINS --out grades/
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpt2course import __version__
from gpt2course.checks import engine
from gpt2course.checks.card import Card
from gpt2course.checks.result import Result
from gpt2course.files import write_whole
from gpt2course.learner.handing_in import lesson_called
from gpt2course.tools.grading import handins
from gpt2course.tools.grading.answering import Job, Told, run_jobs
from gpt2course.tools.grading.answers import Candidate
from gpt2course.tools.grading.fresh import fresh_cases
from gpt2course.tools.grading.handins import HandIn
from gpt2course.tools.grading.judging import judge

MOST_CANDIDATES = 4  # texts that may be one answer, of which the best counts
ALIKE = 3  # answers from which on two hand-ins that are the same get a flag
RANK = {"passed": 0, "failed": 1, "error": 2, "timeout": 3, "not_started": 4, "missing": 5}


@dataclass
class Mark:
    """What one student's answer to one exercise is worth.

    status is one of RANK; place says where the answer stands in the hand-in. Where the answer is
    missing, notes say what of the hand-in could not be read.
    """

    student: str
    lesson: str
    exercise: str
    status: str
    misconception: str = ""
    why: str = ""
    flags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: str = ""
    card: str = ""  # HTML, with everything that the student wrote escaped
    source: str = ""


def grade(
    folder: Path,
    out: Path,
    lessons: Sequence[str] | None = None,
    at_once: int | None = None,
    seed: int | None = None,
) -> Iterator[tuple[str, list[Mark], int]]:
    """Grade hand-ins one after the other; yields (student, marks, students in all).

    What is finished is kept in OUT/results, so that an interrupted run goes on where it was.

    Args:
        folder: one folder, zip or notebook a student.
        out: the folder for everything that is written.
        lessons: such as ["06_masking"]; None for all in which anyone wrote an answer.
        at_once: processes; None for one a core.
        seed: of the fresh cases; None for one that nobody can know before.

    Raises:
        FileNotFoundError, ValueError: there is nothing to grade, or no such lesson.
    """
    found = handins.find(folder)
    names = _names(lessons, found)
    results = out / "results"
    results.mkdir(parents=True, exist_ok=True)
    seed = _seed(results, seed)
    stamp = hashlib.sha256(f"{__version__} {names} {seed}".encode()).hexdigest()
    waiting: deque[tuple[HandIn, Path]] = deque()
    for handin in found:
        path = results / f"{_safe(handin.student)}.json"
        if (kept := _read(path, stamp + handin.digest)) is not None:
            yield handin.student, kept, len(found)
        else:
            waiting.append((handin, path))
    hidden = [folder.resolve(), out.resolve()]
    for handin, path, marks in _graded(
        waiting, names, at_once or os.cpu_count() or 1, seed, hidden
    ):
        kept = {"digest": stamp + handin.digest, "marks": [asdict(mark) for mark in marks],
                "notes": handin.notes}  # fmt: skip
        write_whole(path, json.dumps(kept, indent=1).encode())
        yield handin.student, marks, len(found)


def _names(lessons: Sequence[str] | None, found: Sequence[HandIn]) -> list[str]:
    if lessons is None:
        lessons = _written(found)
    for lesson in lessons:
        if lesson != (meant := lesson_called(lesson)):
            raise ValueError(f"no lesson {lesson!r} with exercises; did you mean {meant}?")
    return [name for lesson in lessons for name in engine.names(lesson)]


def _written(found: Sequence[HandIn]) -> list[str]:
    """The lessons in which anyone wrote an answer; where nobody did, those handed in untouched."""
    written, untouched = set(), set()
    for handin in found:
        for name, some in handin.answers.items():
            stubs = [_is_stub(candidate) for candidate in some]
            lessons = untouched if all(stubs) else written
            lessons |= {engine.find(name).lesson} if some else set()
    if not written | untouched:
        raise ValueError("no answer to any exercise was found in the hand-ins")
    return sorted(written or untouched)


def _seed(results: Path, seed: int | None) -> int:
    """The seed of the fresh cases, the same when a run goes on."""
    path = results / "seed.txt"
    if seed is None and path.exists():
        return int(path.read_text())
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    write_whole(path, str(seed).encode())
    return seed


def _read(path: Path, digest: str) -> list[Mark] | None:
    try:
        kept = json.loads(path.read_bytes())
        return [Mark(**mark) for mark in kept["marks"]] if kept["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _safe(student: str) -> str:
    """A file name for a student, different for different students."""
    plain = re.sub(r"[^\w.-]+", "_", student).strip("._")[:60] or "student"
    return (
        plain if plain == student else f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
    )


@dataclass
class _Open:
    """A hand-in of which answers are still out."""

    handin: HandIn
    path: Path
    left: int
    marks: dict[str, Mark] = field(default_factory=dict)


@dataclass
class _Asked:
    """Which answer a job is about, and what is to be tried if it does not pass."""

    of: _Open
    name: str
    candidate: Candidate
    others: list[Candidate]
    result: Result | None = None  # of a first run, where the rules are asked in a second


def _graded(
    waiting: deque[tuple[HandIn, Path]],
    names: list[str],
    at_once: int,
    seed: int,
    hidden: list[Path],
) -> Iterator[tuple[HandIn, Path, list[Mark]]]:
    jobs: deque[Job] = deque()
    done: deque[_Open] = deque()

    def next_job() -> Job | None:
        while not jobs and waiting:
            handin, path = waiting.popleft()
            found = handin.answers
            open_one = _Open(handin, path, left=0)
            for name in names:
                some = [c for c in found[name] if not _is_stub(c)][:MOST_CANDIDATES]
                if not some:
                    status = "not_started" if found[name] else "missing"
                    open_one.marks[name] = _mark(handin, name, status)
                    continue
                open_one.left += 1
                jobs.append(_job(_Asked(open_one, name, some[0], some[1:]), seed))
            if not open_one.left:
                done.append(open_one)
        return jobs.popleft() if jobs else None

    for job, told in run_jobs(next_job, at_once, hidden):
        asked: _Asked = job.about
        if follow_up := _settle(asked, told, seed):
            jobs.appendleft(follow_up)
        else:
            asked.of.left -= 1
            if not asked.of.left:
                done.append(asked.of)
        while done:
            finished = done.popleft()
            yield finished.handin, finished.path, [finished.marks[name] for name in names]
    while done:  # of the last ones nothing had to be run
        finished = done.popleft()
        yield finished.handin, finished.path, [finished.marks[name] for name in names]


def _job(asked: _Asked, seed: int) -> Job:
    exercise = engine.find(asked.name)
    cases = [*exercise.cases, *fresh_cases(exercise, seed)]
    return Job(exercise, asked.candidate.source, cases, about=asked)


def _settle(asked: _Asked, told: Told, seed: int) -> Job | None:
    """Keep the mark of an answer that ran; or give the job that is to be done before."""
    exercise = engine.find(asked.name)
    if asked.result is None:
        result = judge(exercise, told, fresh_cases(exercise, seed))
        if asked.candidate.fault:
            result.finding, result.status = asked.candidate.fault, "error"
        unnamed = result.status in ("failed", "error") and not result.misconception
        if unnamed and not asked.candidate.fault and "build" not in told.notes:
            asked.result = result
            return Job(exercise, asked.candidate.source, [], whole_check=True, about=asked)
    else:
        result = asked.result
        named, why = told.notes.get("named"), told.notes.get("why")
        if isinstance(named, str) and isinstance(why, str):  # the answer's own process says so
            result.misconception, result.why = named[:200], why[:1000]
            result.throughout = bool(told.notes.get("throughout"))
    mark = _mark(asked.of.handin, asked.name, result.status, result, asked.candidate)
    best = asked.of.marks.get(asked.name)
    if best is None or RANK[mark.status] < RANK[best.status]:
        asked.of.marks[asked.name] = mark
    if not result.passed and asked.others:
        return _job(_Asked(asked.of, asked.name, asked.others[0], asked.others[1:]), seed)
    return None


def _mark(
    handin: HandIn,
    name: str,
    status: str,
    result: Result | None = None,
    candidate: Candidate | None = None,
) -> Mark:
    lesson = engine.find(name).lesson
    mark = Mark(handin.student, lesson, name, status)
    if status == "missing":
        mark.notes = list(handin.notes)
    if result and candidate:
        mark.misconception, mark.why = result.misconception or "", result.why
        mark.flags, mark.place, mark.source = (
            list(candidate.flags),
            candidate.place,
            candidate.source,
        )
        mark.card = Card(result, f"In {candidate.place}.")._repr_html_()
    return mark


def _is_stub(candidate: Candidate) -> bool:
    """Whether nothing was written: a docstring, `raise NotImplementedError`, no more."""
    if candidate.fault:
        return False
    nodes = ast.parse(candidate.source).body
    bodies = [n for node in nodes for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]
    return bool(bodies) and all(map(_says_nothing, bodies))


def _says_nothing(function: ast.FunctionDef) -> bool:
    for statement in function.body:
        text = ast.unparse(statement)
        given = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not (
            given
            or isinstance(statement, ast.Pass)
            or text.startswith("raise NotImplementedError")
            or text == "super().__init__()"
        ):
            return False
    return True


def flag_alike(marks: list[Mark]) -> None:
    """Flag the hand-ins of a lesson whose answers are the same text for text, from ALIKE on."""
    by_lesson: dict[tuple[str, str], list[Mark]] = {}
    for mark in marks:
        if mark.source:
            by_lesson.setdefault((mark.lesson, mark.student), []).append(mark)
    digests: dict[tuple[str, str], list[str]] = {}
    for (lesson, student), own in by_lesson.items():
        if len(own) >= ALIKE:
            texts = "\n".join(ast_text(mark.source) for mark in own)
            digests.setdefault((lesson, texts), []).append(student)
    for (lesson, _), students in digests.items():
        for student in students if len(students) > 1 else ():
            others = ", ".join(other for other in students if other != student)
            for mark in by_lesson[lesson, student]:
                mark.flags.append(f"the whole lesson is the same as that of {others}")


def ast_text(source: str) -> str:
    """A text without its layout, comments and docstrings."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


def counts(marks: Sequence[Mark], exercise: str) -> Counter:
    """How often each named mistake was made in an exercise."""
    return Counter(m.misconception for m in marks if m.exercise == exercise and m.misconception)
