"""The pages of docs/: their numbers are computed, their links lead somewhere, lessons link them."""

import re
from pathlib import Path

import pytest

from gpt2course.tools.authoring import sheets
from gpt2course.tools.authoring.command import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
SHEETS = ["cheat_sheet.md", "common_errors.md", "glossary.md", "notation.md"]


def test_a_number_is_what_its_python_gives():
    stale = 'GPT-2 has 11<!-- = gpt2.n_layer --> layers, 117M<!-- = millions("gpt2") --> in all.'
    right = stale.replace("11<", "12<").replace("117M", "124M")
    assert sheets.computed(stale) == sheets.computed(right) == right


def test_no_number_is_stale(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert sheets.pages() == {}
    found = sum(len(sheets.COMPUTED.findall(page.read_text("utf-8"))) for page in PAGES)
    assert found > 50


def test_the_build_mends_a_stale_number_and_the_check_names_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs" / "page.md"
    for folder in ("solutions", "lessons", "docs"):
        (tmp_path / folder).mkdir()
    page.write_text("96<!-- = gpt2.n_layer --> layers\n")
    assert main(["--check"]) == 1
    assert "docs/page.md: a number is stale" in capsys.readouterr().err.replace("\\", "/")
    assert main([]) == 0
    assert page.read_text() == "12<!-- = gpt2.n_layer --> layers\n"


def test_python_that_fails_is_named():
    with pytest.raises(ValueError, match="gpt2.n_layers"):
        sheets.computed("12<!-- = gpt2.n_layers -->")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("source", sorted((ROOT / "solutions").glob("*.py")), ids=lambda p: p.stem)
def test_every_lesson_opens_with_links_to_the_sheets(source):
    opening = source.read_text("utf-8").split("\n# %%")[0]
    assert [name for name in SHEETS if f"../docs/{name}" not in opening] == []


def test_the_glossary_is_in_alphabetical_order():
    rows = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs/glossary.md").read_text("utf-8"), re.M)
    terms = [row.lower() for row in rows if row not in ("term", "---")]
    assert len(terms) > 40 and terms == sorted(terms)
