"""What was handed in: notebooks and Python files, read from folders and zips, never unpacked.

Nothing is written and nothing is run. A zip is read entry by entry, so that a name such as
`../../x` or a link leads nowhere, and no more than LARGEST bytes of a hand-in are read.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 50_000_000  # bytes of one file, and of all of a hand-in's texts, without outputs
MOST_FILES = 2_000  # looked at in one hand-in
KINDS = (".ipynb", ".py")


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

    @property
    def digest(self) -> str:
        """The same for the same texts, whatever their order."""
        found = hashlib.sha256()
        for name in sorted(self.texts):
            found.update(name.encode() + b"\0" + hashlib.sha256(self.texts[name]).digest())
        return found.hexdigest()


class _TooMuch(Exception):
    pass


def find(folder: Path) -> list[HandIn]:
    """The hand-ins of a folder: one for each folder, zip or notebook in it, by student.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is nothing to grade in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give the folder with the hand-ins")
    found: dict[str, HandIn] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")):
            continue
        if path.is_dir() and not path.is_symlink():
            student, texts = path.name, _in_folder
        elif path.suffix == ".zip":
            student, texts = path.stem, _in_zip
        elif path.suffix in KINDS and path.is_file():
            student, texts = path.stem, _alone
        else:
            continue
        _collect(found.setdefault(student, HandIn(student)), texts, path)
    if not found:
        raise ValueError(
            f"nothing to grade in {folder}: expected a folder, a zip or a notebook a student"
        )
    return list(found.values())


def _collect(handin: HandIn, texts, path: Path) -> None:
    size = sum(map(len, handin.texts.values()))
    try:
        for name, content in texts(path, handin.notes):
            size += len(content)
            if size > LARGEST:
                raise _TooMuch
            handin.texts[name] = content
    except _TooMuch:
        handin.notes.append(
            f"{path.name}: more than {LARGEST:,} bytes of notebooks; the rest was not read"
        )
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        handin.notes.append(f"{path.name}: could not be read ({error})")


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
