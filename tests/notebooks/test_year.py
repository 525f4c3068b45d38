"""A learner's year: works, breaks things, pulls new versions of a lesson, restarts, hands in.

What ever passed is theirs in the end, whatever happened to the lessons and their files meanwhile.
"""

import importlib.util
import json
import os
import shutil
import textwrap
import zipfile
from pathlib import Path

import nbformat
import pytest
from her_answers import ANSWERS, WRONG, exercises_of
from nbclient import NotebookClient

from gpt2course.checks import engine
from gpt2course.learner import workbook
from gpt2course.tools.cli import main
from gpt2course.tools.grading import grade

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ["04_positions", "05_self_attention", "06_masking"]


class Year:
    """A course's folder with three lessons, as far as their last check, and what is done in it."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder, self.copies = folder, folder / "my_lessons"
        (folder / "lessons").mkdir()
        for stem in LESSONS:
            self.publish(stem, cut(json.loads((ROOT / f"lessons/{stem}.ipynb").read_text("utf-8"))))
        spec = importlib.util.spec_from_file_location("course_of_the_year", ROOT / "course.py")
        self.course = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.course)
        monkeypatch.setattr(self.course, "HERE", folder)
        self.course.make_copies(folder)

    def publish(self, stem: str, notebook: dict) -> None:
        path = self.folder / f"lessons/{stem}.ipynb"
        path.write_text(json.dumps(notebook), "utf-8")

    def published(self, stem: str) -> dict:
        return json.loads((self.folder / f"lessons/{stem}.ipynb").read_text("utf-8"))

    def update(self) -> None:
        self.course.update(self.folder)

    def write(self, stem: str, answers: dict[str, str]) -> None:
        """Put answers into the cells of the exercises, and save."""
        notebook = self.copy(stem)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("exercise-")
            if name in answers:
                cell.source = textwrap.dedent(answers[name]).strip()
        self.save(stem, notebook)

    def copy(self, stem: str) -> nbformat.NotebookNode:
        return nbformat.read(self.copies / f"{stem}.ipynb", as_version=4)

    def save(self, stem: str, notebook: nbformat.NotebookNode) -> None:
        nbformat.write(notebook, self.copies / f"{stem}.ipynb")

    def run(self, stem: str) -> str:
        """Run a copy from the top in a fresh kernel, in its folder, and save; all that it shows."""
        notebook = self.copy(stem)
        place = {"metadata": {"path": str(self.copies)}}
        client = NotebookClient(notebook, timeout=120, resources=place, allow_errors=True,
                                shutdown_kernel="immediate")  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k != "GPT2COURSE_WORKBOOK"}
        with client.setup_kernel(env=environment):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        self.save(stem, notebook)
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        return "\n".join(text_of(output) for output in outputs)


def text_of(output: nbformat.NotebookNode) -> str:
    if output.output_type == "error":
        return f"ERROR {output.ename}: {output.evalue}"
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def cut(notebook: dict) -> dict:
    """A lesson as far as its last check: what comes after trains models."""
    names = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in notebook["cells"]]
    last = max(n for n, name in enumerate(names) if name.startswith("check-"))
    return notebook | {"cells": notebook["cells"][: last + 1]}


def cell(kind: str, source: str) -> dict:
    made = {"cell_type": kind, "id": f"new-{len(source)}", "metadata": {}, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


@pytest.fixture
def year(tmp_path, monkeypatch):
    monkeypatch.delenv("GPT2COURSE_WORKBOOK")
    (tmp_path / "course").mkdir()
    year = Year(tmp_path / "course", monkeypatch)
    monkeypatch.chdir(year.copies)
    return year


def test_a_learner_ends_the_year_with_every_answer_that_ever_passed(year, tmp_path, capsys):
    # Autumn: lesson 04, then 05 with one wrong answer.
    year.write("04_positions", ANSWERS)
    assert year.run("04_positions").count(": passed") == 2
    year.write("05_self_attention", ANSWERS | {"attention_weights": WRONG["attention_weights"]})
    said = year.run("05_self_attention")
    assert said.count(": passed") == 2 and "attention_weights: not yet" in said

    # They break things: an answer that had passed, a syntax error, a deleted cell, a copied one.
    year.write("04_positions", {"embed": "def embed(idx, wte, wpe):\n    return wte[idx]"})
    assert year.run("04_positions").count(": passed") == 1
    year.write("05_self_attention", {"blend_values": "def blend_values(weights, v:\n    return 1"})
    assert "is no Python yet" in year.run("05_self_attention")
    broken = year.copy("05_self_attention")
    broken.cells.append(nbformat.v4.new_markdown_cell("My own note on scores."))
    del broken.cells[3]
    twice = next(c for c in broken.cells if c.id == "exercise-attention_scores")
    broken.cells.append(nbformat.NotebookNode(twice, id="twice", source=twice.source + "  # again"))
    year.save("05_self_attention", broken)

    # Winter: a correction of lesson 05 comes while they are in the middle of it.
    new = year.published("05_self_attention")
    new["cells"][0]["source"] = ["# 05, corrected"]
    year.publish("05_self_attention", new)
    year.update()
    copy = year.copy("05_self_attention")
    texts = [c.source for c in copy.cells]
    assert texts[0] == "# 05, corrected" and "My own note on scores." in texts
    assert any(text.endswith("# again") for text in texts)
    year.write("05_self_attention", {"attention_weights": ANSWERS["attention_weights"]})
    assert year.run("05_self_attention").count(": passed") >= 2

    # A file of an answer is damaged, and another is edited to something wrong.
    passed = set(workbook.kept_names())
    assert passed == {*exercises_of(Path("04_positions")), *exercises_of(Path("05_self_attention"))}
    path = workbook.path_of("sinusoidal_positions")
    path.write_bytes(path.read_bytes()[:40] + b"(((")
    assert main(["progress"]) == 0
    assert "set aside as sinusoidal_positions.py.damaged-1" in capsys.readouterr().out
    year.write("04_positions", {"embed": ANSWERS["embed"]})
    assert year.run("04_positions").count(": passed") == 2

    # Spring: a second version, with a cell before everything and one exercise in another place.
    new = year.published("05_self_attention")
    new["cells"].insert(1, cell("code", "'a cell that is new'"))
    new["cells"].insert(len(new["cells"]) - 2, cell("markdown", "New words above the last one."))
    year.publish("05_self_attention", new)
    year.publish("06_masking", year.published("06_masking") | {"metadata": {"v": 2}})
    year.update()
    year.write("05_self_attention", {"blend_values": ANSWERS["blend_values"]})
    year.write("06_masking", ANSWERS)
    for stem in ("05_self_attention", "06_masking"):  # after a restart, from the top
        said = year.run(stem)
        assert said.count(": passed") == len(exercises_of(Path(stem))), said
        assert "ERROR" not in said
    dated = [p.name for p in sorted(year.copies.glob("05_self_attention.*.ipynb"))]
    assert len(dated) == 2

    # They start lesson 04 over, and do it once more.
    assert main(["reset", "04_positions"]) == 0
    assert "embed" not in workbook.kept_names()
    year.write("04_positions", ANSWERS)
    year.run("04_positions")

    # Summer: they hand in, and a grader agrees with what their own checks said.
    names = [name for stem in LESSONS for name in exercises_of(Path(stem))]
    capsys.readouterr()
    assert main(["handin", str(tmp_path / "ada.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "ada.zip") as archive:
        statuses = json.loads(archive.read("manifest.json"))["statuses"]
    assert [name for name, status in statuses.items() if status == "yours"] == names
    (tmp_path / "handins").mkdir()
    shutil.copy(tmp_path / "ada.zip", tmp_path / "handins")
    ((_, marks, _),) = grade(tmp_path / "handins", tmp_path / "grades", LESSONS, seed=0)
    assert {mark.exercise: mark.status for mark in marks} == dict.fromkeys(names, "passed")
    for name in names:
        own = workbook.load(name, pytest.fail)
        assert own is not engine.find(name).reference and engine.run(name, own).passed
