"""Texts as training data: documents, of which some are held out, as two long rows of ids."""

from __future__ import annotations

import hashlib
import math
import os
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm.auto import tqdm

from gpt2course.tokenizer import END_OF_TEXT, Tokenizer

PIECE = 4000  # characters, about two pages, of a text that does not say where documents end
PIECES = 40  # at least, so that a twentieth of a short text can be held out
# Where a text may be cut into pieces: between paragraphs, else lines, else words, else anywhere.
_SEAMS = [re.compile(seam) for seam in (r"\n[ \t\r]*\n\s*", r"\n", r"\s", r"(?s:.)")]


@dataclass(frozen=True, eq=False)
class TextData:
    """What a model learns from, and what it is measured on.

    In both, <|endoftext|> stands before every document and after the last.

    Attributes:
        train, heldout: ids, of int32, which is half the memory of int64.
    """

    train: Int[Tensor, " N"]
    heldout: Int[Tensor, " M"]

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[str],
        tokenizer: Tokenizer,
        heldout_share: float = 0.05,
        seed: int = 0,
    ) -> TextData:
        """Hold out a share of the documents; each stands whole on one side.

        `split_documents` says how they are chosen.
        """
        return cls.from_split(*split_documents(documents, heldout_share, seed), tokenizer)

    @classmethod
    def from_split(
        cls,
        train: Sequence[str],
        heldout: Sequence[str],
        tokenizer: Tokenizer,
        progress: bool = False,
    ) -> TextData:
        """From documents that are held apart already, with a bar where `progress` asks for it."""
        learned = _join(train, tokenizer, "train", progress)
        return cls(learned, _join(heldout, tokenizer, "heldout", progress))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all ids: equal for equal texts, tokens and split, and else different."""
        digest = hashlib.sha256()
        for ids in (self.train, self.heldout):
            digest.update(len(ids).to_bytes(8, "little"))
            digest.update(ids.cpu().to(torch.int32).contiguous().numpy().data)
        return digest.hexdigest()


def split_documents(
    documents: Sequence[str], heldout_share: float = 0.05, seed: int = 0
) -> tuple[list[str], list[str]]:
    """The documents to learn from and those held out, each list in the order that they came in.

    Lots are drawn by a hash of the seed and the document, so equal documents stay together, and a
    document's side hardly changes when others come or go.
    """
    if not 0 < heldout_share < 1:
        raise ValueError(f"heldout_share must lie between 0 and 1, got {heldout_share}; try 0.05")
    lots = sorted({_lot(document, seed) for document in documents if document})
    if len(lots) < 2:
        raise ValueError(
            f"documents must hold at least two that differ, one to learn from and one to hold out, "
            f"got {len(lots)}; cut the text into more, or give more text"
        )
    n_heldout = min(max(1, round(heldout_share * len(lots))), len(lots) - 1)
    chosen = set(lots[:n_heldout])
    sides: tuple[list[str], list[str]] = ([], [])
    for document in filter(None, documents):
        sides[_lot(document, seed) in chosen].append(document)
    return sides


def _lot(document: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{document}".encode()).digest()


def _join(
    documents: Sequence[str], tokenizer: Tokenizer, what: str, progress: bool
) -> Int[Tensor, " N"]:
    if not any(documents):
        raise ValueError(f"{what} must hold at least one document that is not empty, got none")
    ids = array("i", [tokenizer.end_of_text])
    bar = {"desc": "text to ids", "unit": "document", "delay": 2, "leave": False}
    for document in tqdm(documents, **bar, disable=not progress):
        if document:
            ids.extend(tokenizer.encode(document))
            ids.append(tokenizer.end_of_text)
    return torch.frombuffer(ids, dtype=torch.int32)


# Files ------------------------------------------------------------------------------------------


def read_texts(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[str]:
    """The documents in files of text, or in one.

    A file that holds <|endoftext|> is cut there, and nowhere else. Any other is cut into pieces of
    about two pages, shorter ones where it is short: between paragraphs (at blank lines) if it has
    enough of them, else between lines, else between words, else anywhere.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        ValueError: a file is empty, holds only blanks, or is no text in UTF-8.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("paths must name at least one file of text, got none")
    return [document for path in paths for document in _documents(Path(path))]


def _documents(path: Path) -> list[str]:
    text = read_text(path)
    parts = text.split(END_OF_TEXT) if END_OF_TEXT in text else _pieces(text)
    documents = [part.strip("\r\n") for part in parts if not part.isspace() and part]
    if not documents:
        raise ValueError(f"{path} must hold text to learn from, but is empty; name another file")
    return documents


def read_text(path: str | os.PathLike[str]) -> str:
    """All of a file in UTF-8; errors as in `read_texts`."""
    try:
        return as_text(Path(path).read_bytes(), os.fspath(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}; name a file of text") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder; name the files of text in it") from None


def as_text(content: bytes, name: str) -> str:
    """Bytes of UTF-8, with or without a mark at their beginning, as text.

    Args:
        name: where they come from, for the error's message.
    """
    if 0 in content:
        raise ValueError(
            f"{name} must be text in UTF-8, but byte {content.index(0)} is 0, which no text has; "
            f"it is another kind of file, or UTF-16: save it as UTF-8, if it is a text at all"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} must be text in UTF-8, but byte {error.start} "
            f"(0x{error.object[error.start]:02x}) is not; save it as UTF-8, if it is a text at all"
        ) from None


def _pieces(text: str) -> list[str]:
    """The text in pieces of PIECE characters or somewhat more; shorter ones of a short text."""
    size = max(1, min(PIECE, math.ceil(len(text) / PIECES)))
    pieces: list[str] = []
    for seam in _SEAMS:
        pieces = _cut(text, seam, size)
        if len(pieces) * 2 * size >= len(text):
            break
    return pieces


def _cut(text: str, seam: re.Pattern[str], size: int) -> list[str]:
    """Cut behind the first seam after every `size` characters."""
    cuts = [0]
    while match := seam.search(text, cuts[-1] + size):
        cuts.append(match.end())
    return [text[start:end] for start, end in pairwise([*cuts, len(text)]) if start < end]
