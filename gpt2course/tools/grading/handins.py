"""What was handed in: notebooks and Python files, read from folders and zips, never unpacked.

Nothing is written and nothing is run. A zip is read entry by entry, so that a name such as
`../../x` or a link leads nowhere, and no more than LARGEST bytes of a hand-in are read.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gpt2course.checks import engine
from gpt2course.tools.grading.answers import Candidate, candidates

LARGEST = 50_000_000  # bytes of one file, and of all of a hand-in's texts, without outputs
MOST_FILES = 2_000  # looked at in one hand-in
KINDS = (".ipynb", ".py")
Reader = Callable[[Path, list[str]], Iterator[tuple[str, bytes]]]


@dataclass
class HandIn:
    """All that one student handed in.

    Args:
        student: the name of their folder, zip or notebook.
        texts: the content of each notebook and Python file, by its path in the hand-in.
        notes: what was left out, and why.
    """

    student: str
    texts: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def answers(self) -> dict[str, list[Candidate]]:
        """For each exercise the texts that may be its answer."""
        return candidates(self.texts, engine.names())

    @property
    def digest(self) -> str:
        """The same for the same texts and notes, whatever the order of the texts."""
        found = hashlib.sha256()
        for name in sorted(self.texts):
            found.update(name.encode() + b"\0" + hashlib.sha256(self.texts[name]).digest())
        found.update("\0".join(self.notes).encode())
        return found.hexdigest()


class _TooMuch(Exception):
    pass


def find(folder: Path) -> list[HandIn]:
    """The hand-ins of a folder: one for each folder, zip or notebook in it, by student.

    A zip is known by its content too, since not every upload keeps its ending.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is nothing to grade in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give the folder with the hand-ins")
    found: dict[str, HandIn] = {}
    for path in sorted(folder.iterdir()):
        if (texts := _reader(path)) is not None:
            ends = path.suffix.lower() in (".zip", *KINDS) and texts is not _in_folder
            student = path.stem if ends else path.name
            _collect(found.setdefault(student, HandIn(student)), texts, path)
    for handin in found.values():
        if not handin.texts and not handin.notes:
            handin.notes.append("there is no notebook and no Python file in it")
    if not found:
        raise ValueError(
            f"nothing to grade in {folder}: expected a folder, a zip or a notebook a student"
        )
    return list(found.values())


def left_out(folder: Path) -> list[str]:
    """The names of the files in the folder that are no hand-in, hidden ones aside."""
    return [p.name for p in sorted(folder.iterdir()) if not _is_hidden(p) and _reader(p) is None]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _reader(path: Path) -> Reader | None:
    """What reads the texts of one student's hand-in; None where it is none."""
    if _is_hidden(path):
        return None
    if path.is_dir() and not path.is_symlink():
        return _in_folder
    if path.suffix in KINDS:
        return _alone if path.is_file() else None
    is_zip = path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path))
    return _in_zip if is_zip else None


def _collect(handin: HandIn, texts: Reader, path: Path) -> None:
    size = sum(map(len, handin.texts.values()))
    try:
        for name, content in texts(path, handin.notes):
            size += len(content)
            if size > LARGEST:
                raise _TooMuch
            handin.texts[name] = content
            if name.endswith(".ipynb") and not _is_notebook(content):
                handin.notes.append(f"{name}: damaged, not a notebook that can be read")
    except _TooMuch:
        handin.notes.append(
            f"{path.name}: more than {LARGEST:,} bytes of notebooks; the rest was not read"
        )
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        handin.notes.append(f"{path.name}: could not be read ({error})")


def _is_notebook(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content)["cells"], list)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _alone(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    if path.stat().st_size > LARGEST:
        raise _TooMuch
    yield path.name, path.read_bytes()


def _in_folder(root: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    inside, seen = root.resolve(), 0
    for path in sorted(root.rglob("*")):
        seen += 1
        if seen > MOST_FILES:
            notes.append(f"more than {MOST_FILES:,} files; the rest was not looked at")
            return
        name = path.relative_to(root).as_posix()
        if path.suffix == ".zip" and path.is_file() and not path.is_symlink():
            yield from ((f"{name}/{inner}", text) for inner, text in _in_zip(path, notes))
        if path.suffix not in KINDS or _is_noise(name):
            continue
        if path.is_symlink() or inside not in path.resolve().parents:
            notes.append(f"{name}: a link, not followed")
        elif path.is_file():
            yield name, next(_alone(path, notes))[1]


def _in_zip(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_FILES:
            notes.append(f"{path.name}: more than {MOST_FILES:,} entries; the rest was not read")
        for entry in entries[:MOST_FILES]:
            if not entry.filename.endswith(KINDS) or _is_noise(entry.filename):
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                notes.append(f"{path.name}: {entry.filename} is a link, not followed")
                continue
            with archive.open(entry) as file:  # the size that an entry states may be a lie
                yield entry.filename, file.read(LARGEST + 1)  # one byte more is too much


def _is_noise(name: str) -> bool:
    parts = name.split("/")
    return any(part in ("__MACOSX", ".ipynb_checkpoints", "__pycache__") for part in parts)
