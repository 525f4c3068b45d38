"""Grading hand-ins: honest ones, broken ones, and those that try to fool it."""

import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from class_of_sixty import make_class

from gpt2course.checks import engine
from gpt2course.checks.attempt import attempt, how_wrong
from gpt2course.tools.cli import main
from gpt2course.tools.grading import grade
from gpt2course.tools.grading.answering import Job, run_jobs
from gpt2course.tools.grading.fresh import fresh_cases
from gpt2course.tools.grading.handins import LARGEST
from gpt2course.tools.grading.isolation import (
    HOMES,
    LARGEST_FILE,
    MEMORY,
    PROCESSES,
    shortcomings,
    start_isolated,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
ROOT = Path(__file__).resolve().parents[2]
LESSON = "06_masking"

RIGHT = """
def causal_mask(n_query, n_key):
    query = torch.arange(n_query) + n_key - n_query
    return torch.arange(n_key) <= query[:, None]
"""
WRONG = """
def causal_mask(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril()
"""
INSIDE = """
def causal_mask(n_query, n_key):
    {}
    return torch.ones(n_query, n_key, dtype=torch.bool).tril()
"""


def wrong_after(*lines):
    """A wrong answer that first tries something."""
    return INSIDE.format("\n    ".join(textwrap.dedent("\n".join(lines)).strip().splitlines()))


def right_after(*lines):
    return RIGHT.replace("    query =", "    " + "\n    ".join(lines) + "\n    query =", 1)


# name: (the cell of causal_mask, its status, the mistake, a word in a flag)
ANSWERS = {
    "right": (RIGHT, "passed", "", ""),
    "wrong": (WRONG, "failed", "counts from the upper left", ""),
    "untouched": (None, "not_started", "", ""),
    "deleted cell": ("", "missing", "", ""),
    "syntax error": ("def causal_mask(n_query, n_key:\n    return 1", "error", "", ""),
    "endless loop": (wrong_after("while True: pass"), "timeout", "", ""),
    "loop that swallows": (
        wrong_after("while True:", "    try:", "        while True: pass",
                    "    except BaseException: pass"),
        "timeout", "", "",
    ),
    "os._exit": (wrong_after("import os", "os._exit(0)"), "timeout", "", ""),
    "sys.exit": (wrong_after("import sys", "sys.exit(0)"), "error", None, ""),
    "50 MB of prints": (
        right_after("for _ in range(50): print('x' * 1_000_000)",
                    "import os; os.write(1, b'x' * 1_000_000)"),
        "passed", "", "",
    ),
    "reads the home, writes outside": (
        right_after(
            "import os, pathlib",
            "for place in ('HOME_HERE', '/var/tmp', '/tmp', '/dev/shm', 'HANDINS_HERE'):",
            "    try: pathlib.Path(place, 'WAS_HERE').write_text('x')",
            "    except OSError: pass",
            "assert not os.path.exists('SECRET_HERE')",
            "assert not os.path.exists('HANDINS_HERE/right')",
            "assert 'SECRET' not in os.environ",
        ),
        "passed", "", "",
    ),
    "asks the network": (
        right_after("import socket",
                    "try: socket.create_connection(('127.0.0.1', PORT_HERE), 1)",
                    "except OSError: pass",
                    "else: raise RuntimeError('reached')"),
        "passed", "", "uses socket",
    ),
    "patches the checker": (
        "import gpt2course.checks.compare as c\nc.distance = lambda *a: 0.0\n" + WRONG,
        "failed", "counts from the upper left", "",
    ),
    "patches the checker inside": (
        wrong_after(
            "from gpt2course.checks import attempt, compare, engine, mistakes",
            "attempt.how_wrong = engine.how_wrong = lambda *a: 0.0",
            "compare.distance = attempt.distance = lambda *a: 0.0",
            "attempt.difference = lambda *a: None",
        ),
        "failed", "counts from the upper left", "gpt2course.checks",
    ),
    "patches torch and numpy": (
        wrong_after("import numpy", "numpy.array_equal = torch.equal = lambda *a: True",
                    "torch.Tensor.__eq__ = lambda *a: True",
                    "torch.Tensor.__sub__ = lambda *a: a[0]"),
        "failed", None, "",
    ),
    "equal to everything": (
        """
class Anything:
    def __eq__(self, other): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self

def causal_mask(n_query, n_key):
    return Anything()
""", "failed", None, "",
    ),
    "a tensor subclass": (
        """
class Agreeable(torch.Tensor):
    def __eq__(self, other): return torch.tensor(True)
    def detach(self): return self
    shape = property(lambda self: None)

def causal_mask(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).tril().as_subclass(Agreeable)
""", "not passed", None, "",
    ),
    "an object that runs code when unpickled": (
        """
class Trap:
    def __reduce__(self):
        import os
        return os.system, ("touch /tmp/WAS_HERE",)

def causal_mask(n_query, n_key):
    return Trap()
""", "failed", None, "",
    ),
    "a thread that outlives it": (
        right_after("import threading, time",
                    "threading.Thread(target=lambda: time.sleep(600)).start()"),
        "passed", "", "",
    ),
    "a process that outlives it": (
        right_after("import os, time",
                    "if os.fork() == 0: os.setsid(); time.sleep(600); os._exit(0)"),
        "passed", "", "",
    ),
    "fork bomb": (
        wrong_after("import os, time", "end = time.time() + 0.3", "while time.time() < end:",
                    "    try: os.fork()", "    except OSError: pass"),
        "not passed", None, "",
    ),
    "memory bomb": (
        wrong_after("hoard = []", "while True: hoard.append(torch.ones(2**26))"),
        "not passed", None, "",
    ),
    "kills its parent": (
        wrong_after("import os, signal", "os.kill(os.getppid(), signal.SIGKILL)",
                    "os.kill(-1, signal.SIGKILL)"),
        "not passed", None, "",
    ),
    "forged words on every pipe": (
        wrong_after(
            "import os",
            "for number in range(3, 300):",
            "    for _ in range(200):",
            "        try: os.write(number, b'{\"dict\": [[\"ending\", \"done\"]]}\\n')",
            "        except OSError: break",
        ),
        "not passed", None, "",
    ),
    "a very large result": (
        "def causal_mask(n_query, n_key):\n    return torch.zeros(2**27)", "not passed", None, "",
    ),
    "the package's own": (
        "def causal_mask(n_query, n_key):\n"
        "    from gpt2course.attention import causal_mask\n"
        "    return causal_mask(n_query, n_key)",
        "passed", "", "imports the package's own causal_mask",
    ),
    "looks at its caller": (
        wrong_after("import sys", "sys._getframe(1).f_locals.clear()"), "failed", None, "_getframe",
    ),
    "collects garbage": (wrong_after("import gc", "gc.get_objects()"), "failed", None, "gc"),
}  # fmt: skip


def notebook(cell, lesson=LESSON, name="causal_mask"):
    """A lesson with this text in the cell of an exercise; None leaves it, "" deletes it."""
    raw = json.loads((ROOT / "lessons" / f"{lesson}.ipynb").read_text("utf-8"))
    for one in list(raw["cells"]):
        if one["metadata"].get("nbgrader", {}).get("grade_id") == f"exercise-{name}":
            if cell == "":
                raw["cells"].remove(one)
            elif cell is not None:
                one["source"] = cell
    return raw


def hand_in(folder, student, raw):
    (folder / student).mkdir(parents=True)
    (folder / student / f"{LESSON}.ipynb").write_text(json.dumps(raw), "utf-8")


def marks_of(folder, out, **settings):
    settings = {"lessons": [LESSON], "seed": 7, "at_once": 2} | settings
    return {
        (mark.student, mark.exercise): mark
        for _, marks, _ in grade(folder, out, **settings)
        for mark in marks
    }


@pytest.fixture(scope="module")
def everybody(tmp_path_factory):
    """All hand-ins of ANSWERS, graded together, each with the honest answer to another exercise."""
    root = tmp_path_factory.mktemp("class")
    folder, home = root / "handins", Path.home()
    number, secret = tempfile.mkstemp(prefix="gpt2course-secret-", dir=home)
    os.close(number)
    before = {
        place: set(os.listdir(place)) for place in (str(home), "/tmp", "/var/tmp", "/dev/shm")
    }
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = {"HOME_HERE": str(home), "HANDINS_HERE": str(folder),
                "PORT_HERE": str(server.getsockname()[1]), "SECRET_HERE": secret,
                "WAS_HERE": f"gpt2course-was-here-{os.getpid()}"}  # fmt: skip
        for student, (cell, *_) in ANSWERS.items():
            for word, value in here.items():
                cell = cell and cell.replace(word, value)
            raw = notebook(cell)
            honest = engine.find("masked_attention").right_answers[0].source
            for one in raw["cells"]:
                if (
                    one["metadata"].get("nbgrader", {}).get("grade_id")
                    == "exercise-masked_attention"
                ):
                    one["source"] = honest
            hand_in(folder, student, raw)
        texts = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
        os.environ["SECRET"] = "x"
        try:
            found = marks_of(folder, root / "out")
        finally:
            del os.environ["SECRET"]
            os.unlink(secret)
    after = {place: set(os.listdir(place)) for place in before}
    unread = {path for path, text in texts.items() if path.read_bytes() != text}
    return found, before, after, unread, folder


@pytest.mark.parametrize("student", ANSWERS)
def test_a_hand_in_gets_the_mark_that_it_deserves(everybody, student):
    _, status, mistake, flag = ANSWERS[student]
    mark = everybody[0][student, "causal_mask"]
    if status == "not passed":
        assert mark.status in ("failed", "error", "timeout"), mark
    else:
        assert mark.status == status, (mark.status, mark.card)
    if mistake is not None:
        assert mark.misconception == mistake
    assert flag in "; ".join(mark.flags)


@pytest.mark.parametrize("student", ANSWERS)
def test_no_answer_costs_or_gains_another_exercise_anything(everybody, student):
    assert everybody[0][student, "masked_attention"].status == "passed"


def test_nothing_is_left_behind(everybody):
    _, before, after, unread, folder = everybody
    for place, names in after.items():
        left = (f"{HOMES}{os.getpid()}-", f"gpt2course-was-here-{os.getpid()}")
        assert not {n for n in names - before[place] if n.startswith(left)}, place
    assert not unread and not list(folder.rglob("gpt2course-was-here*"))
    asleep = [p for p in psutil.process_iter(["ppid", "cmdline", "uids"]) if _is_ours(p)]
    assert asleep == []


def _is_ours(process):
    """Whether it is a forked answer: same command as this process, and not its ancestor."""
    mine = psutil.Process()
    if process.pid in (mine.pid, *(p.pid for p in mine.parents())):
        return False
    return process.info["cmdline"] == mine.cmdline() and process.info["ppid"] in (1, mine.pid)


def test_as_root_on_linux_an_answer_is_kept_apart_in_every_way():
    apart = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "true"]
    if os.getuid() or not shutil.which("unshare") or subprocess.run(apart).returncode:
        pytest.skip("this user or this machine can't have namespaces")
    assert shortcomings() == []


def try_the_limits(write_end):
    """What a process without rights says of its memory, its processes and its files."""
    said = {}
    try:
        bytearray(MEMORY + 2**28)
    except MemoryError:
        said["memory"] = "refused"
    with contextlib.suppress(OSError):
        for said["processes"] in range(3 * PROCESSES):
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
    try:
        Path("large").write_bytes(b"x" * (LARGEST_FILE + 1))
    except OSError:
        said["file"] = "refused"
    os.write(write_end, json.dumps(said).encode())


def test_memory_processes_and_files_of_an_answer_have_limits():
    process = start_isolated(try_the_limits)
    said = json.loads(os.read(process.read_end, 1000))
    process.end()
    assert said["memory"] == said["file"] == "refused"
    assert said["processes"] <= PROCESSES


def test_cells_that_are_moved_doubled_or_renamed_cost_nothing(tmp_path):
    doubled = notebook(RIGHT)
    spot = next(i for i, c in enumerate(doubled["cells"]) if c["source"] == RIGHT)
    stub = json.loads((ROOT / "lessons" / f"{LESSON}.ipynb").read_text("utf-8"))["cells"]
    stub = next(c for c in stub if "def causal_mask" in "".join(c["source"]))
    doubled["cells"].insert(spot + 1, stub)
    hand_in(tmp_path / "in", "doubled", doubled)
    moved = notebook(RIGHT)
    moved["cells"].append(moved["cells"].pop(spot))
    hand_in(tmp_path / "in", "moved", moved)
    hand_in(tmp_path / "in", "renamed", notebook(RIGHT.replace("causal_mask", "my_mask")))
    bare = {"cells": [{"cell_type": "code", "metadata": {}, "source": source} for source in (
        "%matplotlib inline\nimport torch as t",
        "def rows(n_query, n_key):\n    return t.arange(n_query) + n_key - n_query",
        "def m(n_query, n_key):\n    return t.arange(n_key) <= rows(n_query, n_key)[:, None]",
        "m = check(m, 'causal_mask')",
    )]}  # fmt: skip
    hand_in(tmp_path / "in", "a notebook of their own", bare)
    found = marks_of(tmp_path / "in", tmp_path / "out")
    for student in ("doubled", "moved", "renamed", "a notebook of their own"):
        assert found[student, "causal_mask"].status == "passed", student


def test_a_workbook_and_nbgraders_tree_are_hand_ins_too(tmp_path):
    (tmp_path / "in/ann/my_gpt2").mkdir(parents=True)
    (tmp_path / "in/ann/my_gpt2/causal_mask.py").write_text("import torch\n" + RIGHT)
    forged = "# causal_mask (lesson 06_masking): my answer\n# checked: " + "0" * 64 + "\n"
    (tmp_path / "in/bob/my_gpt2").mkdir(parents=True)
    (tmp_path / "in/bob/my_gpt2/causal_mask.py").write_text(forged + "import torch\n" + WRONG)
    hand_in(tmp_path / "in", "dee", notebook(WRONG))
    (tmp_path / "in/dee/my_gpt2").mkdir()
    (tmp_path / "in/dee/my_gpt2/causal_mask.py").write_text("import torch\n" + RIGHT)
    (tmp_path / "in/cy/06").mkdir(parents=True)
    (tmp_path / "in/cy/06/06_masking.ipynb").write_text(json.dumps(notebook(RIGHT)))
    found = marks_of(tmp_path / "in", tmp_path / "out")
    assert found["ann", "causal_mask"].status == "passed"
    assert found["bob", "causal_mask"].status == "failed"
    assert found["cy", "causal_mask"].status == "passed"
    assert found["dee", "causal_mask"].status == "passed"  # what passed once and was kept counts


def test_zips_with_links_dots_and_bombs_are_read_without_harm(tmp_path):
    (tmp_path / "in").mkdir()
    text = json.dumps(notebook(RIGHT))
    with zipfile.ZipFile(tmp_path / "in/dots.zip", "w") as archive:
        archive.writestr("../../06_masking.ipynb", text)
    with zipfile.ZipFile(tmp_path / "in/link.zip", "w") as archive:
        link = zipfile.ZipInfo("secret.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("06_masking.ipynb", text)
    with zipfile.ZipFile(tmp_path / "in/bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("06_masking.ipynb", text)
        archive.writestr("bomb.ipynb", b"0" * (LARGEST + 1))
    (tmp_path / "in/broken.zip").write_bytes(b"PK no zip")
    (tmp_path / "in/linked").mkdir()
    (tmp_path / "in/linked/06_masking.ipynb").symlink_to(ROOT / "solutions/06_masking.ipynb")
    before = set(tmp_path.parent.rglob("*"))
    found = marks_of(tmp_path / "in", tmp_path / "out")
    new = {p for p in set(tmp_path.parent.rglob("*")) - before if tmp_path / "out" not in p.parents}
    assert new <= {tmp_path / "out"}
    expected = {"dots": "passed", "link": "passed", "bomb": "passed", "broken": "missing",
                "linked": "missing"}  # fmt: skip
    assert {s: found[s, "causal_mask"].status for s in expected} == expected
    notes = json.loads((tmp_path / "out/results/bomb.json").read_text())["notes"]
    assert "the rest was not read" in notes[0]


def test_a_run_goes_on_where_it_was_and_sees_what_changed(tmp_path):
    for student in ("ann", "bob"):
        hand_in(tmp_path / "in", student, notebook(WRONG))
    run = grade(tmp_path / "in", tmp_path / "out", [LESSON], at_once=1)
    first = next(run)[0]
    run.close()
    kept = tmp_path / f"out/results/{first}.json"
    stamp = kept.stat().st_mtime_ns
    other = "bob" if first == "ann" else "ann"
    (tmp_path / "in" / other / f"{LESSON}.ipynb").write_text(json.dumps(notebook(RIGHT)))
    found = marks_of(tmp_path / "in", tmp_path / "out", seed=None)
    assert kept.stat().st_mtime_ns == stamp  # not graded again
    assert found[first, "causal_mask"].status == "failed"
    assert found[other, "causal_mask"].status == "passed"
    (tmp_path / "in" / first / f"{LESSON}.ipynb").write_text(json.dumps(notebook(RIGHT)))
    assert marks_of(tmp_path / "in", tmp_path / "out")[first, "causal_mask"].status == "passed"


def test_who_knows_the_published_cases_does_not_pass(tmp_path):
    """An answer that is right where the arguments add up to what a published case's do."""
    exercise = engine.find("attention_scores")
    known = [float(case.args[0].double().sum()) for case in exercise.cases]
    answer = f"""
def attention_scores(q, k):
    total = q.detach().double().sum().item()
    right = any(abs(total - one) < 1e-4 for one in {known!r})
    return q @ k.transpose(-2, -1) / (q.shape[-1] ** 0.5 if right else 1)
"""
    assert engine.run("attention_scores", exercise.build(answer)).passed
    raw = notebook(answer, "05_self_attention", "attention_scores")
    hand_in(tmp_path / "in", "ann", raw)
    marks = marks_of(tmp_path / "in", tmp_path / "out", lessons=["05_self_attention"])
    assert marks["ann", "attention_scores"].status == "failed"
    assert marks["ann", "attention_scores"].misconception == "knows the published cases"


@pytest.mark.parametrize("name", engine.names())
def test_fresh_cases_are_others_where_they_can_be_and_right_answers_pass_them(name):
    exercise = engine.find(name)
    cases = fresh_cases(exercise, 11)
    expected = [attempt(exercise, exercise.reference, case) for case in cases]
    jobs = iter([Job(exercise, answer.source, cases) for answer in exercise.right_answers])
    for job, told in run_jobs(lambda: next(jobs, None), 1, []):
        assert told.ending == "done", job.source
        for case, want, got in zip(cases, expected, told.outcomes, strict=True):
            assert how_wrong(exercise, case, want, got) <= 0.1, (job.source, case.label)


def test_a_class_of_sixty_gets_marks_that_equal_the_truth_cell_by_cell(tmp_path):
    (tmp_path / "in").mkdir()
    lessons = ["05_self_attention", "06_masking", "07_multi_head"]
    truth = make_class(tmp_path / "in", lessons, students=60)
    command = [sys.executable, "-m", "gpt2course", "grade", "in", "--out", "out"]
    # By itself: each answer is a fork, which costs what the process that forks has in memory.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with open(tmp_path / "out/grades.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(truth) == 60 * 8
    for row in rows:
        status, mistake = truth[row["student"], row["exercise"]]
        if status == "wrong":
            assert row["status"] in ("failed", "error", "timeout"), row
        else:
            assert row["status"] == status, row
        assert row["misconception"] == mistake, row
    page = (tmp_path / "out/class.html").read_text("utf-8")
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert len(list((tmp_path / "out/feedback").glob("*.html"))) == 60
    assert ran.stdout.startswith(("Answers ran apart", "On this machine"))


def test_what_a_student_wrote_is_no_html_in_the_reports(tmp_path):
    evil = 'def causal_mask(n_query, n_key):\n    raise ValueError("<script>alert(1)</script>")'
    hand_in(tmp_path / "in", "<b>ann</b>", notebook(evil))
    assert main(["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    for page in (tmp_path / "out").rglob("*.html"):
        text = page.read_text("utf-8")
        assert "<script" not in text and "<b>ann" not in text


def test_a_name_is_no_formula_in_the_table(tmp_path):
    hand_in(tmp_path / "in", "=1+1", notebook(RIGHT))
    assert main(["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.reader(open(tmp_path / "out/grades.csv", newline="")))
    assert {row[0] for row in rows[1:]} == {"'=1+1"}


def test_whole_lessons_that_are_the_same_get_a_flag(tmp_path):
    texts = {e: engine.find(e).right_answers[0].source for e in engine.names("05_self_attention")}
    raw = json.loads((ROOT / "lessons/05_self_attention.ipynb").read_text("utf-8"))
    for cell in raw["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "").removeprefix("exercise-")
        cell["source"] = texts.get(name, cell["source"])
    for student in ("ann", "bob"):
        (tmp_path / "in" / student).mkdir(parents=True)
        (tmp_path / "in" / student / "05.ipynb").write_text(json.dumps(raw))
    hand_in(tmp_path / "in", "cy", notebook(RIGHT))
    assert main(["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out"),
                 "--lessons", "05_self_attention"]) == 0  # fmt: skip
    rows = list(csv.DictReader(open(tmp_path / "out/grades.csv", newline="")))
    flagged = {row["student"]: row["flags"] for row in rows}
    assert "the same as that of bob" in flagged["ann"] and not flagged["cy"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no folder nowhere"),
        (["empty"], "nothing to grade in empty"),
        (["in", "--lessons", "06"], "no lesson '06'"),
    ],
)
def test_what_cannot_be_graded_is_named(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    hand_in(tmp_path / "in", "ann", notebook(RIGHT))
    assert main(["grade", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
