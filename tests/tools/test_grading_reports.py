"""What grade says of hand-ins that can't be read and of whole lessons, and the tables it writes."""

import csv
import json
import zipfile
from pathlib import Path

import pytest

from gpt2course.checks import engine
from gpt2course.tools.cli import main
from gpt2course.tools.grading import Mark, command, grade, handins
from gpt2course.tools.grading.report import write_reports

ROOT = Path(__file__).resolve().parents[2]
RIGHT = engine.find("causal_mask").right_answers[0].source


def lesson(name: str, **answers: str) -> bytes:
    """A published notebook with these answers in it."""
    raw = json.loads((ROOT / f"lessons/{name}.ipynb").read_text("utf-8"))
    for cell in raw["cells"]:
        exercise = cell["metadata"].get("nbgrader", {}).get("grade_id", "").partition("-")
        if exercise[0] == "exercise" and exercise[2] in answers:
            cell["source"] = answers[exercise[2]]
    return json.dumps(raw).encode()


def zipped(path: Path, **files: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.ipynb", content)


@pytest.fixture
def folder(tmp_path):
    """One answer, and what goes wrong with uploads."""
    folder = tmp_path / "in"
    folder.mkdir()
    zipped(folder / "ada.zip", masking=lesson("06_masking", causal_mask=RIGHT))
    zipped(folder / "no.ending", masking=lesson("06_masking"), mlp=lesson("08_mlp"))
    (folder / "broken.zip").write_bytes((folder / "ada.zip").read_bytes()[:3000])
    (folder / "cut.ipynb").write_bytes(lesson("06_masking")[:5000])
    (folder / "empty").mkdir()
    (folder / "roster.txt").write_text("ada")
    return folder


def test_what_could_not_be_read_is_named_wherever_an_instructor_or_a_student_looks(
    folder, tmp_path, capsys
):
    out = tmp_path / "out"
    assert main(["grade", str(folder), "--out", str(out)]) == 0
    said, page = capsys.readouterr().out, (out / "class.html").read_text("utf-8")
    assert "Not graded, since no folder, zip or notebook: roster.txt\n" in said
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for student, note in {
        "broken": "broken.zip: could not be read",
        "cut": "cut.ipynb: damaged, not a notebook",
        "empty": "there is no notebook and no Python file in it",
    }.items():
        own = [row for row in rows if row["student"] == student]
        assert own and all(row["status"] == "missing" and note in row["flags"] for row in own)
        assert note in said and note in page
        assert note in (out / f"feedback/{student}.html").read_text("utf-8")
    assert not [row["flags"] for row in rows if row["student"] in ("ada", "no.ending")][0]


def test_a_zip_needs_no_ending_and_a_lesson_that_nobody_began_is_not_graded(folder, tmp_path):
    found = {student: marks for student, marks, _ in grade(folder, tmp_path / "out", seed=3)}
    statuses = {mark.exercise: mark.status for mark in found["no.ending"]}
    assert statuses == {"causal_mask": "not_started", "masked_attention": "not_started"}
    (folder / "ada.zip").unlink()
    untouched = {student: marks for student, marks, _ in grade(folder, tmp_path / "2", seed=3)}
    assert {mark.lesson for mark in untouched["no.ending"]} == {"06_masking", "08_mlp"}


def test_no_lesson_as_it_was_published_holds_an_answer(tmp_path):
    (tmp_path / "in/ann").mkdir(parents=True)
    for path in (ROOT / "lessons").glob("*.ipynb"):
        (tmp_path / "in/ann" / path.name).write_bytes(path.read_bytes())
    ((_, marks, _),) = grade(tmp_path / "in", tmp_path / "out", seed=3)
    assert {m.exercise: m.status for m in marks} == dict.fromkeys(engine.names(), "not_started")


def test_the_same_texts_with_another_fault_are_another_hand_in():
    one, other = handins.HandIn("ada"), handins.HandIn("ada", notes=["ada.zip: broken"])
    assert one.digest != other.digest


def marks() -> list[Mark]:
    alike = ["the whole lesson is the same as that of ben"]
    return [
        Mark("ada", "05_self_attention", "attention_scores", "passed", flags=alike),
        Mark("ada", "05_self_attention", "blend_values", "passed", flags=alike),
        Mark("ada", "06_masking", "causal_mask", "failed", "counts from the upper left", "why"),
        Mark("=ben", "05_self_attention", "attention_scores", "passed", flags=alike),
        Mark("=ben", "05_self_attention", "blend_values", "error"),
        Mark("=ben", "06_masking", "causal_mask", "failed", "counts from the upper left", "why"),
    ]


def test_students_csv_has_a_line_for_each_student(tmp_path):
    write_reports(marks(), tmp_path, "about")
    assert (tmp_path / "students.csv").read_text().splitlines() == [
        "student,05_self_attention,06_masking,passed,of",
        "ada,2,0,2,3",
        "'=ben,1,0,1,3",
    ]


def test_the_class_page_says_who_made_a_mistake_and_one_thing_once(tmp_path):
    write_reports(marks(), tmp_path, "about")
    page = (tmp_path / "class.html").read_text("utf-8")
    assert "<br>ada, =ben</small>" in page
    assert "<li>ada, attention_scores, blend_values: the whole lesson" in page
    assert "the whole lesson" not in (tmp_path / "feedback/ada.html").read_text("utf-8")


def test_who_stops_grade_reads_that_it_can_go_on(tmp_path, monkeypatch, capsys):
    def stopped(*_):
        yield "ada", marks()[:3], 2
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "grade", stopped)
    monkeypatch.setattr(command, "shortcomings", list)
    assert main(["grade", str(tmp_path)]) == 130
    assert "Stopped. Hand-ins graded: 1; the same command goes on" in capsys.readouterr().out


def test_a_lesson_by_its_number_is_told_its_name(folder, tmp_path, capsys):
    assert main(["grade", str(folder), "--out", str(tmp_path / "out"), "--lessons", "6"]) == 1
    assert "no lesson '6' with exercises; did you mean 06_masking?" in capsys.readouterr().err
