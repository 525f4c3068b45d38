"""A class under nbgrader, for real: generate, validate, autograde, feedback.

nbgrader is not among the course's test packages, since it brings some thirty of its own; where it
is missing, this is skipped. With it, in an environment that has the course's packages too:

    python -m pytest tests/tools/test_nbgrader.py
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install nbgrader")
ROOT = Path(__file__).resolve().parents[2]
(CONFIG,) = re.findall(
    r"```python\n(# nbgrader_config\.py\n.*?)```",
    (ROOT / "docs/teaching.md").read_text("utf-8"),
    re.S,
)
LESSON = "06_masking"
RIGHT = {
    "causal_mask": "def causal_mask(n_query, n_key):\n"
    "    return torch.arange(n_key) <= torch.arange(n_key - n_query, n_key)[:, None]",
    "masked_attention": "def masked_attention(q, k, v):\n"
    "    may_read = causal_mask(q.shape[-2], k.shape[-2])\n"
    "    scores = attention_scores(q, k).masked_fill(~may_read, -math.inf)\n"
    "    return blend_values(attention_weights(scores), v)",
}
WRONG = RIGHT | {
    "causal_mask": "def causal_mask(n_query, n_key):\n"
    "    return torch.ones(n_query, n_key, dtype=torch.bool).tril()"
}
# What a part of lesson 05 in somebody else's workbook would do to the second exercise.
SPOILS = """\
from gpt2course.learner import workbook

body = "def attention_scores(q, k):\\n    return (q @ k.mT) * 0\\n"
workbook.folder().mkdir(parents=True, exist_ok=True)
workbook.path_of("attention_scores").write_text(workbook._seal(body) + body)
"""


def nbgrader(course, *arguments, strict=False):
    """Run one nbgrader command; (exit code, everything it said)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPT2COURSE_")}
    env["PYTHONPATH"] = str(ROOT)
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])  # of alembic
    if strict:
        env["GPT2COURSE_STRICT"] = "1"
    ran = subprocess.run([sys.executable, "-m", "nbgrader", *arguments], cwd=course, env=env,
                         capture_output=True, text=True, timeout=600)  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


def exercise_cell(notebook, name):
    return next(cell for cell in notebook["cells"] if cell["id"] == f"exercise-{name}")


def release(course):
    return json.loads((course / f"release/{LESSON}/{LESSON}.ipynb").read_text())


def hand_in(course, student, answers, change=lambda notebook: None):
    notebook = release(course)
    for name, answer in answers.items():
        exercise_cell(notebook, name)["source"] = answer
    change(notebook)
    path = course / f"submitted/{student}/{LESSON}/{LESSON}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook))
    return path


def spoil(notebook):
    cell = exercise_cell(notebook, "causal_mask")
    notebook["cells"].append(dict(cell, id="own", metadata={}, source=SPOILS))


def copy_a_cell(notebook):
    notebook["cells"].append(dict(exercise_cell(notebook, "causal_mask"), id="own"))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """nbgrader's folder with the release of lesson 06, as far as its last exercise's check."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "nbgrader_config.py").write_text(CONFIG)
    solution = json.loads((ROOT / f"solutions/{LESSON}.ipynb").read_text("utf-8"))
    ids = [cell["id"] for cell in solution["cells"]]
    del solution["cells"][ids.index("check-masked_attention") + 1 :]
    source = folder / f"source/{LESSON}/{LESSON}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(json.dumps(solution))
    code, said = nbgrader(folder, "generate_assignment", LESSON)
    assert code == 0, said
    return folder


def test_the_release_shows_neither_solutions_nor_hidden_tests(course):
    text = "\n".join("".join(cell["source"]) for cell in release(course)["cells"])
    assert "BEGIN" not in text and "require_passed" not in text and ".tril(" not in text
    assert "raise NotImplementedError" in text and "causal_mask = check(causal_mask)" in text


@pytest.mark.parametrize(
    ("student", "answers", "valid"),
    [("untouched", {}, False), ("wrong", WRONG, False), ("right", RIGHT, True)],
)
def test_validate_is_honest_where_checks_are_strict(course, student, answers, valid):
    path = hand_in(course, f"validate-{student}", answers)
    code, said = nbgrader(course, "validate", str(path), strict=True)
    assert code == 0, said
    assert ("Success! Your notebook passes all the tests." in said) == valid
    assert ("FAILED" in said or "failed" in said) == (not valid)


def test_students_are_graded_independently_and_get_the_mistakes_name(course):
    for path in (course / "submitted").glob("validate-*"):
        path.rename(course / f"{path.name}.old")
    hand_in(course, "ada", WRONG, spoil)
    hand_in(course, "ben", RIGHT)
    hand_in(course, "dora", {})
    code, said = nbgrader(course, "autograde", LESSON)
    assert code == 0, said
    code, said = nbgrader(course, "generate_feedback", LESSON)
    assert code == 0, said
    assert points(course) == {"ada": 1.0, "ben": 2.0, "dora": 0.0}
    said = (course / f"feedback/ada/{LESSON}/{LESSON}.html").read_text("utf-8")
    assert "counts from the upper left" in said
    assert not (course / "my_gpt2").exists()


def test_a_copied_cell_stops_nobody_where_students_are_graded_one_by_one(course):
    """nbgrader's issue 1083: the whole run ends at the first hand-in with a cell twice."""
    hand_in(course, "bob", RIGHT, copy_a_cell)
    hand_in(course, "eve", RIGHT)
    code, said = nbgrader(course, "autograde", LESSON)
    assert code != 0 and "eve" not in points(course), said
    failed = []
    for student in sorted(path.name for path in (course / "submitted").iterdir()):
        code, _ = nbgrader(course, "autograde", LESSON, "--student", student)
        failed += [student] * (code != 0)
    assert failed == ["bob"]
    assert points(course) == {"ada": 1.0, "ben": 2.0, "bob": 0.0, "dora": 0.0, "eve": 2.0}


def points(course):
    """What each student has, from nbgrader's own export."""
    code, said = nbgrader(course, "export", "--to", "grades.csv")
    assert code == 0, said
    head, *rows = [line.split(",") for line in (course / "grades.csv").read_text().splitlines()]
    student, score = head.index("student_id"), head.index("raw_score")
    return {row[student]: float(row[score]) for row in rows if row[score]}
