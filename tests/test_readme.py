"""The README: its code runs, its links lead somewhere, its pictures are those of today."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = [re.sub(r"^  ", "", code, flags=re.M) if code.startswith("  ") else code
            for code in re.findall(r"```python\n(.*?)```", README, re.S)]  # fmt: skip


@pytest.mark.parametrize("code", SNIPPETS)
def test_every_snippet_runs(code):
    names = {}
    exec(code, names)
    if "logits" in names:
        assert names["logits"].shape == (1, len(names["ids"]), names["config"].vocab_size)
    else:
        assert names["result"].status == "failed"


def test_there_is_a_snippet_for_importers_and_one_for_instructors():
    assert len(SNIPPETS) == 2


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert target.startswith("https://") or (ROOT / target).exists()


def test_every_lesson_stands_in_the_table():
    lessons = {path.name for path in (ROOT / "lessons").glob("*.ipynb")}
    assert lessons == set(re.findall(r"\]\(lessons/([^)]+)\)", README))


def test_the_picture_of_gpt2_is_the_one_that_lessons_show(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_pictures

    assert (ROOT / "docs" / "gpt2.svg").read_text(encoding="utf-8") == make_pictures.pipeline_svg()
    sys.modules.pop("make_pictures")
