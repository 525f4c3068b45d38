"""The field's words: those that CONTRIBUTING.md rules out occur in no text that a learner reads."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("| term | not |")[2]
RULED_OUT = [
    word.strip()
    for line in TABLE.splitlines()
    if line.startswith("| ")
    for word in line.split("|")[2].split(",")
]
TEXTS = [ROOT / "README.md"]
TEXTS += sorted((ROOT / "solutions").glob("*.py"))
TEXTS += sorted(p for p in (ROOT / "gpt2course/lessons").rglob("*") if p.suffix in (".py", ".md"))


def found(text):
    return [word for word in RULED_OUT if re.search(rf"\b{word}\b", text, re.IGNORECASE)]


def test_the_table_is_read():
    assert "blanks" in RULED_OUT and len(RULED_OUT) > 10
    assert found("Cut at its\nBlanks.") == ["blanks"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_text_uses_the_fields_words(path):
    assert found(path.read_text("utf-8")) == []
