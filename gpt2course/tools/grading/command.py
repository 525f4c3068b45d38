"""`python -m gpt2course grade`: what it prints, and grading inside a container."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gpt2course.files import printable
from gpt2course.tools.grading import Mark, flag_alike, grade, handins
from gpt2course.tools.grading.isolation import shortcomings
from gpt2course.tools.grading.report import write_reports


def grade_folder(
    folder: Path,
    out: Path,
    lessons: Sequence[str] | None = None,
    jobs: int | None = None,
    container: str | None = None,
) -> int:
    """Grade a folder and write the reports; 0, whatever the marks are."""
    if container:
        return _in_container(folder, out, lessons, jobs, container)
    if sys.platform == "win32":
        raise ValueError(
            "answers can't be kept apart from Windows; grade under WSL, or with --container IMAGE"
        )
    about = _about()
    print(about)
    marks: list[Mark] = []
    try:
        with tqdm(unit="hand-in", disable=not sys.stderr.isatty()) as bar:
            for student, own, whole in grade(folder, out, lessons, jobs):
                bar.total = whole
                bar.set_postfix_str(student[:30])
                bar.update()
                marks += own
    except KeyboardInterrupt:
        done = len({mark.student for mark in marks})
        print(f"Stopped. Hand-ins graded: {done}; the same command goes on from there.")
        raise
    marks.sort(key=lambda mark: mark.student.casefold())
    flag_alike(marks)
    write_reports(marks, out, about)
    for student, note in dict.fromkeys((m.student, n) for m in marks for n in m.notes):
        print(printable(f"{student}: {note}"))
    if others := handins.left_out(folder):
        said = ", ".join(others)
        print(printable(f"Not graded, since no folder, zip or notebook: {said}"))
    found = Counter(mark.status for mark in marks)
    said = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in found.most_common())
    print(f"{len({mark.student for mark in marks})} hand-ins: {said}. See {out / 'class.html'}")
    return 0


def _about() -> str:
    found = shortcomings()
    if not found:
        return (
            "Answers ran apart: no network, no sight of other processes, homes and hand-ins, "
            "and limits on time, memory, processes and files."
        )
    return f"On this machine an answer can still {', '.join(found)}; grade with --container IMAGE."


def _in_container(
    folder: Path, out: Path, lessons: Sequence[str] | None, jobs: int | None, image: str
) -> int:
    program = shutil.which("docker") or shutil.which("podman")
    if program is None:
        raise ValueError("--container needs docker or podman, and neither is installed")
    out.mkdir(parents=True, exist_ok=True)
    command = [
        program, "run", "--rm", "--user", "root", "--network", "none", "--pids-limit", "512",
        "--volume", f"{folder.resolve()}:/handins:ro", "--volume", f"{out.resolve()}:/grades",
        image, "python", "-m", "gpt2course", "grade", "/handins", "--out", "/grades",
        *(["--jobs", str(jobs)] if jobs else []), *(["--lessons", *lessons] if lessons else []),
    ]  # fmt: skip
    return subprocess.run(command).returncode
