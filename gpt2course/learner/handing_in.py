"""Handing in, and starting over: one zip of a learner's work, and answers set aside, never lost."""

from __future__ import annotations

import datetime
import difflib
import io
import json
import os
import zipfile
from pathlib import Path

from gpt2course import __version__
from gpt2course.checks import engine
from gpt2course.files import write_whole
from gpt2course.learner import workbook
from gpt2course.learner.progress import Progress, my_progress

BASES = ".published"  # in my_lessons: each notebook as course.py copied it


def hand_in(path: Path | None = None) -> tuple[Path, Progress]:
    """Write one zip of the notebooks, the kept answers and a manifest; (its path, how far).

    The manifest says what this learner's own checks said; a grader runs the answers again.

    Args:
        path: of the zip, where .zip may be left out; None for a dated name beside the folder of
            answers.

    Raises:
        FileExistsError: there is such a file.
        FileNotFoundError: there is nothing to hand in, or no such folder.
    """
    if path is not None:
        path = path if path.suffix.lower() == ".zip" else path.with_name(f"{path.name}.zip")
        if path.exists():
            raise FileExistsError(f"{path} exists, and nothing is overwritten; give another name")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent}; make it first, or name another one")
    state = my_progress()
    lessons = {engine.find(name).lesson: None for name in engine.names()}
    files = {f"lessons/{lesson}.ipynb": workbook.notebooks() / f"{lesson}.ipynb"
             for lesson in lessons}  # fmt: skip
    files |= {f"my_gpt2/{name}.py": workbook.path_of(name) for name in workbook.kept_names()}
    files = {name: file for name, file in files.items() if file.is_file()}
    if not files:
        raise FileNotFoundError(
            f"no lesson in {workbook.notebooks()} and no answer in {workbook.folder()}; change to "
            "the folder of the course"
        )
    about = {"course": "gpt2course", "version": __version__, "statuses": state.statuses,
             "made": datetime.datetime.now().isoformat(timespec="seconds")}  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(about, indent=1) + "\n")
        for name, file in files.items():
            archive.write(file, name)
    path = path or dated(workbook.root() / "handin.zip")
    write_whole(path, packed.getvalue())
    return path, state


def reset(what: str) -> list[str]:
    """Set aside the kept answer of an exercise, or all of a lesson's and its notebook.

    Args:
        what: an exercise, or a lesson as `lesson_called` takes it.

    Returns:
        a sentence for each file, with the name under which it lies now.

    Raises:
        ValueError: there is no such exercise or lesson, or nothing of it to set aside.
    """
    if what in engine.names():
        lesson, names = None, [what]
    else:
        lesson = what = lesson_called(what)
        names = engine.names(lesson)
    said = [_away(workbook.path_of(n)) for n in names if workbook.path_of(n).exists()]
    if said and lesson is None:
        said.append("The cell in your notebook is as you left it; checked again, it is kept again.")
    copy = workbook.notebooks() / f"{what}.ipynb"
    published = copy.parent / BASES / copy.name
    if lesson and copy.exists() and published.exists():
        fresh = published.read_bytes()
        if copy.read_bytes() != fresh:
            aside = dated(copy)
            write_whole(aside, copy.read_bytes())  # at no moment is there none
            write_whole(copy, fresh)
            said.append(f"{copy} is as it was published; yours is {aside.name}")
    if not said:
        raise ValueError(f"nothing of {what} is kept, so there is nothing to set aside")
    return said


def lesson_called(text: str) -> str:
    """The lesson that somebody means: 06_masking by its name, its number or its subject.

    Raises:
        ValueError: there is no such lesson with exercises.
    """
    lessons = list(dict.fromkeys(engine.find(name).lesson for name in engine.names()))
    for lesson in lessons:
        number, _, subject = lesson.partition("_")
        if text in (lesson, subject) or (text.isdecimal() and int(text) == int(number)):
            return lesson
    near = difflib.get_close_matches(text, lessons + engine.names(), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"they go from {lessons[0]} to {lessons[-1]}"
    raise ValueError(f"there is no exercise or lesson {text!r}; {remedy}")


def dated(path: Path) -> Path:
    """A free name beside a file: its own with today's date."""
    today = datetime.date.today().isoformat()
    marks = (today, *(f"{today}-{number}" for number in range(2, 10_000)))
    names = (path.with_name(f"{path.stem}.{mark}{path.suffix}") for mark in marks)
    return next(name for name in names if not name.exists())


def _away(path: Path) -> str:
    aside = dated(path)
    os.rename(path, aside)
    return f"{path} is set aside as {aside.name}; to have it again, give it its old name"
