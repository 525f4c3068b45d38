"""Progress, starting over and handing in: what is said is true, and nothing is lost."""

import json
import re
import shutil
import zipfile
from datetime import date
from pathlib import Path

import pytest
from her_answers import ANSWERS, bring_parts

from gpt2course import mine
from gpt2course.checks import engine
from gpt2course.learner import workbook
from gpt2course.learner.handing_in import lesson_called
from gpt2course.learner.progress import Progress, my_progress
from gpt2course.tools.cli import main
from gpt2course.tools.grading import grade

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
TODAY = date.today().isoformat()
WRONG = "import torch\n\ndef causal_mask(n, m):\n    return torch.ones(n, m, dtype=bool).tril()\n"


@pytest.fixture
def own(tmp_path, monkeypatch, workbook_folder):
    """A learner's folder: copies of two lessons, and all answers of those before lesson 06."""
    copies = tmp_path / "my_lessons"
    for folder in (copies, copies / ".published"):
        folder.mkdir(exist_ok=True)
        for lesson in ("05_self_attention", "06_masking"):
            (folder / f"{lesson}.ipynb").write_text(json.dumps({"cells": [], "of": lesson}))
    monkeypatch.chdir(copies)
    bring_parts(workbook_folder, before="06_masking")
    return tmp_path


def test_progress_says_what_is_whose_and_what_is_next(own, capsys):
    before = [name for name in ANSWERS if engine.find(name).lesson < "06_masking"]
    state = my_progress()
    assert state.yours == before and state.next == "causal_mask"
    assert main(["progress"]) == 0
    said = capsys.readouterr().out
    assert f"{len(before)} of {len(ANSWERS)} parts are yours" in said
    assert re.search(r"^05_self_attention +✓ attention_scores  ✓ attention_weights", said, re.M)
    assert re.search(r"^06_masking +○ causal_mask  ○ masked_attention", said, re.M)
    assert said.endswith("Next: causal_mask, in lesson 06_masking.\n")
    html = state._repr_html_()
    assert html.count('aria-label="yours"') == len(before)
    assert html.count("<code>") == len(ANSWERS)


@pytest.mark.parametrize("path", sorted(SOLUTIONS.glob("*.py")), ids=lambda path: path.stem)
def test_every_lesson_ends_with_the_card_of_progress(path):
    assert path.read_text("utf-8").endswith("\n# %%\nmy_progress()\n")


def test_a_wrong_answer_with_a_forged_seal_is_not_called_yours(own):
    path = workbook.path_of("causal_mask")
    path.write_text(f"# causal_mask\n{workbook._seal(WRONG)}{WRONG}")
    state = my_progress()
    assert state.statuses["causal_mask"] == "not passing" and state.next == "causal_mask"
    assert "does not pass its check" in "".join(state.reports)
    assert "causal_mask" not in mine.summary().split("the package's")[0].split("yours:")[1]


def test_outside_jupyter_a_report_is_given_once(own, capsys):
    workbook.path_of("causal_mask").write_text("raise ValueError('mine')")
    said = mine.summary()
    assert said.count("raises ValueError: mine") == 1
    assert "ValueError" not in capsys.readouterr().err


def test_with_every_part_nothing_is_next(own, workbook_folder):
    bring_parts(workbook_folder, before="99")
    state = my_progress()
    assert (state.next, state.what_is_next) == (None, "All of GPT-2 is yours.")
    assert len(state.yours) == len(ANSWERS)


def test_reset_sets_an_answer_aside(own, capsys):
    for _ in range(2):
        bring_parts(own / "my_gpt2", before="06_masking")
        text = workbook.path_of("embed").read_text()
        assert main(["reset", "embed"]) == 0
    assert workbook.load("embed", pytest.fail) is None
    asides = [own / f"my_gpt2/embed.{TODAY}{mark}.py" for mark in ("", "-2")]
    assert [path.read_text() for path in asides] == [text, text]
    assert str(asides[1].name) in capsys.readouterr().out
    assert "embed" not in workbook.kept_names()


def test_reset_of_a_lesson_sets_its_answers_and_its_copy_aside(own, capsys):
    copy = own / "my_lessons/05_self_attention.ipynb"
    published = copy.read_text()
    copy.write_text("my work")
    kept = set(workbook.kept_names())
    assert main(["reset", "05_self_attention"]) == 0
    assert kept - set(workbook.kept_names()) == set(engine.names("05_self_attention"))
    assert copy.read_text() == published
    assert (own / f"my_lessons/05_self_attention.{TODAY}.ipynb").read_text() == "my work"
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("causal_mask", "nothing of causal_mask is kept"),
        ("06_maskin", "did you mean 06_masking"),
        ("casual_mask", "did you mean causal_mask"),
        ("99", "they go from 00_welcome to "),
    ],
)
def test_reset_of_what_is_not_there_is_an_error_that_says_so(own, capsys, what, said):
    assert main(["reset", what]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("said", ["05", "5", "self_attention", "05_self_attention"])
def test_a_lesson_has_its_number_and_its_subject_for_a_name(said):
    assert lesson_called(said) == "05_self_attention"


def test_reset_of_an_exercise_says_what_becomes_of_the_cell_and_how_to_have_it_again(own, capsys):
    assert main(["reset", "embed"]) == 0
    said = capsys.readouterr().out
    assert "give it its old name" in said and "The cell in your notebook is as you left it" in said
    workbook.path_of("embed").with_name(f"embed.{TODAY}.py").rename(workbook.path_of("embed"))
    assert my_progress().statuses["embed"] == "yours"


def test_the_names_of_lessons_are_a_column_of_their_own():
    said = repr(Progress(dict.fromkeys(engine.names(), "the package's")))
    rows = [line for line in said.splitlines() if re.match(r"\d\d_", line)]
    assert len({row.index("○") for row in rows}) == 1
    assert all(row.partition("○")[0].endswith("  ") for row in rows)


def test_a_hand_in_is_a_zip_by_its_name_too_and_says_that_it_has_what_was_saved(own, capsys):
    assert main(["handin", str(own / "ada")]) == 0
    assert zipfile.is_zipfile(own / "ada.zip") and not (own / "ada").exists()
    assert "as they were last saved" in capsys.readouterr().out
    assert main(["handin", str(own / "ada")]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert main(["handin", str(own / "no/such/ada.zip")]) == 1
    assert "no folder" in capsys.readouterr().err and not (own / "no").exists()


def test_a_hand_in_holds_notebooks_answers_and_what_passed_and_grade_reads_it(own, capsys):
    (own / "my_lessons" / f"06_masking.{TODAY}.ipynb").write_text("an old copy")
    workbook.path_of("causal_mask").write_text(WRONG)
    name = own / "ada.zip"
    assert main(["handin", str(name)]) == 0
    with zipfile.ZipFile(name) as archive:
        files = set(archive.namelist())
        about = json.loads(archive.read("manifest.json"))
    before = [name for name in ANSWERS if engine.find(name).lesson < "06_masking"]
    assert files == {
        "manifest.json", "lessons/05_self_attention.ipynb", "lessons/06_masking.ipynb",
        "my_gpt2/causal_mask.py", *(f"my_gpt2/{name}.py" for name in before),
    }  # fmt: skip
    assert about["version"] == "0.1.0" and about["statuses"]["embed"] == "yours"
    assert about["statuses"]["causal_mask"] == "not passing"
    (own / "handins").mkdir()
    shutil.copy(name, own / "handins")
    lessons = ["04_positions", "06_masking"]
    ((student, marks, _),) = grade(own / "handins", own / "grades", lessons, seed=0)
    assert student == "ada"
    assert {mark.exercise: mark.status for mark in marks} == {
        "embed": "passed", "sinusoidal_positions": "passed",
        "causal_mask": "failed", "masked_attention": "missing",
    }  # fmt: skip
    assert main(["handin", str(name)]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err


def test_a_hand_in_without_a_name_lies_beside_the_answers_under_todays_date(own, capsys):
    for name in (f"handin.{TODAY}.zip", f"handin.{TODAY}-2.zip"):
        assert main(["handin"]) == 0
        assert (own / name).exists() and name in capsys.readouterr().out


def test_where_there_is_nothing_to_hand_in_the_command_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["handin"]) == 1
    assert not list(tmp_path.glob("*.zip"))
