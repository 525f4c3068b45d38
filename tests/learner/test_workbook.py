"""The workbook: what is kept, what is never lost, what later lessons get."""

import itertools
import linecache
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from gpt2course import mine
from gpt2course.checks import engine
from gpt2course.checks.card import RECORD, Card
from gpt2course.learner import notebook, parts, workbook

IMPORTS = "import torch\nfrom torch import Tensor\nfrom jaxtyping import Bool, Float\n"
RIGHT = """
def causal_mask(n_query: int, n_key: int) -> Bool[Tensor, "n_query n_key"]:
    # my own words
    return torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)
"""
numbers = itertools.count()


class Notebook:
    """Cells that share their names, each with its text in linecache, as IPython does it."""

    def __init__(self):
        self.names = {"__name__": "__main__"}

    def run(self, code):
        code = textwrap.dedent(code)
        filename = f"<cell {next(numbers)}>"
        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
        exec(compile(code, filename, "exec"), self.names)
        return self

    def keep(self, name):
        return workbook.keep(name, self.names[name])


@pytest.fixture
def cells():
    return Notebook().run(IMPORTS)


def reported(name):
    said = []
    return workbook.load(name, said.append), said


# What is written


def test_kept_answer_is_a_plain_module_with_the_learners_own_text(cells, workbook_folder):
    kept = cells.run(RIGHT).keep("causal_mask")
    text = kept.path.read_text()
    assert kept.path == workbook_folder / "causal_mask.py"
    assert "    # my own words\n" in text
    assert "import torch\nfrom jaxtyping import Bool\nfrom torch import Tensor\n" in text
    code = "import sys; sys.path.insert(0, '.'); from my_gpt2.causal_mask import causal_mask as f"
    code += "; print(f(2, 3).int().tolist())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=workbook_folder.parent, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "[[1, 1, 0], [1, 1, 1]]", ran.stderr


def test_helper_and_constant_of_the_same_cell_come_along(cells):
    kept = cells.run(
        """
        import math
        DTYPE = torch.bool
        unused = open("/nowhere") if False else None

        def ones(n, m):
            return torch.ones(n, m, dtype=DTYPE)

        def causal_mask(n_query, n_key):
            return ones(n_query, n_key).tril(n_key - n_query)
        """
    ).keep("causal_mask")
    text = kept.path.read_text()
    assert "def ones(n, m):" in text and "DTYPE = torch.bool" in text
    assert "unused" not in text and "import math" not in text
    assert workbook.load("causal_mask", print)(1, 2).tolist() == [[True, True]]


def test_check_in_the_same_cell_is_left_out(cells):
    cells.names["check"] = lambda f: f
    kept = cells.run(RIGHT + "\ncausal_mask = check(causal_mask)\n").keep("causal_mask")
    assert "check(" not in kept.path.read_text()


def test_of_two_definitions_in_a_cell_the_one_that_was_checked_is_kept(cells):
    first_then_another = RIGHT + "kept = causal_mask\n\ndef causal_mask(n, m):\n    return None\n"
    cells.run(first_then_another)
    assert workbook.keep("causal_mask", cells.names["kept"]).path
    another_then_right = "def causal_mask(n, m):\n    return None\n" + RIGHT
    assert cells.run(another_then_right).keep("causal_mask").path


@pytest.mark.parametrize(
    ("other_cell", "leans_on"),
    [
        ("def my_ones(n, m):\n    return torch.ones(n, m) == 1", "`my_ones`"),
        ("my_ones = lambda n, m: torch.ones(n, m) == 1", "`my_ones`"),
        (
            "class my_ones:\n    def __new__(cls, n, m):\n        return torch.ones(n, m) == 1",
            "`my_ones`",
        ),
    ],
)
def test_answer_that_leans_on_another_cell_is_told_which_name(cells, other_cell, leans_on):
    cells.run(other_cell)
    kept = cells.run(
        "def causal_mask(n_query, n_key):\n    return my_ones(n_query, n_key).tril(n_key - n_query)"
    ).keep("causal_mask")
    assert kept.path is None
    assert leans_on in kept.why_not and "another cell" in kept.why_not
    assert not workbook.path_of("causal_mask").exists()


def test_number_from_another_cell_is_leaned_on_too(cells):
    cells.run("offset = 0")
    kept = cells.run(
        "def causal_mask(n_query, n_key):\n"
        "    return torch.ones(n_query, n_key).tril(n_key - n_query + offset) == 1"
    ).keep("causal_mask")
    assert "`offset`" in kept.why_not


def test_functions_from_libraries_are_imported_under_the_names_that_were_used(cells):
    cells.run(
        "import torch.nn.functional as F\nfrom torch import softmax as sm, tril\nimport numpy as np"
    )
    kept = cells.run(
        """
        def causal_mask(n_query, n_key):
            sm(torch.zeros(2), 0), F.relu(torch.zeros(1)), np.zeros(1)
            return tril(torch.ones(n_query, n_key), n_key - n_query) == 1
        """
    ).keep("causal_mask")
    text = kept.path.read_text()
    for line in (
        "import numpy as np",
        "import torch.nn.functional as F",
        "from torch import softmax as sm",
    ):
        assert line in text


def test_finished_component_of_this_notebook_is_imported_from_mine(cells):
    cells.run(RIGHT).keep("causal_mask")
    cells.run("import math")
    kept = cells.run(
        """
        def masked_attention(q, k, v):
            hidden = ~causal_mask(q.shape[-2], k.shape[-2])
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            return scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
        """
    ).keep("masked_attention")
    assert "from gpt2course.mine import causal_mask" in kept.path.read_text()
    assert parts._asked == {}  # nobody imported anything: nothing to announce under the cell


def test_answer_under_another_name_or_as_a_lambda_is_kept_under_the_exercises_name(cells):
    cells.run("def my_mask(n, m):\n    return torch.ones(n, m).tril(m - n) == 1")
    assert workbook.keep("causal_mask", cells.names["my_mask"]).path
    assert workbook.load("causal_mask", print)(1, 1).tolist() == [[True]]
    cells.run("shape = lambda n, m: torch.ones(n, m).tril(m - n) == 1")
    kept = workbook.keep("causal_mask", cells.names["shape"])
    assert kept.path or "top of a cell" in kept.why_not


def test_function_inside_a_function_says_why_it_is_not_kept(cells):
    cells.run("def make():\n" + textwrap.indent(RIGHT.strip(), "    ") + "\n    return causal_mask")
    kept = workbook.keep("causal_mask", cells.names["make"]())
    assert kept.path is None and "top of a cell" in kept.why_not


def test_decorated_answer_keeps_its_decorator(cells):
    cells.run("from functools import lru_cache")
    kept = cells.run("@lru_cache\n" + RIGHT.strip()).keep("causal_mask")
    text = kept.path.read_text()
    assert "@lru_cache\ndef causal_mask" in text and "from functools import lru_cache" in text


# What is never lost


def test_failing_answer_never_replaces_a_pass(cells, capsys):
    cells.run(RIGHT)
    notebook.check(cells.names["causal_mask"])
    before = workbook.path_of("causal_mask").read_text()
    cells.run("def causal_mask(n_query, n_key):\n    return torch.ones(n_query, n_key).tril()")
    returned = notebook.check(cells.names["causal_mask"])
    assert returned is engine.find("causal_mask").reference
    assert workbook.path_of("causal_mask").read_text() == before
    said = capsys.readouterr().out
    assert "Until yours passes" in said and "is still kept for later lessons" in said


@pytest.mark.parametrize(
    ("encoding", "comment"),
    [("utf-8-sig", ""), ("utf-8-sig", "# größer\n"), ("latin-1", "# größer\n")],
)
def test_a_file_as_other_editors_save_it_is_the_learners(cells, encoding, comment):
    path = cells.run(RIGHT).keep("causal_mask").path
    path.write_bytes((path.read_text("utf-8") + comment).encode(encoding))
    answer, said = reported("causal_mask")
    assert answer(2, 3).tolist() == [[True, True, False], [True, True, True]]
    assert not said and path.exists()


def test_damaged_file_is_set_aside_and_reported_not_deleted(cells):
    path = cells.run(RIGHT).keep("causal_mask").path
    damaged = path.read_bytes()[:-10]
    path.write_bytes(damaged)
    answer, said = reported("causal_mask")
    assert answer is None
    assert "not readable Python" in said[0] and "causal_mask.py.damaged-1" in said[0]
    assert path.with_name("causal_mask.py.damaged-1").read_bytes() == damaged
    path.write_bytes(b"\x00\xff")
    assert reported("causal_mask")[0] is None
    assert path.with_name("causal_mask.py.damaged-2").read_bytes() == b"\x00\xff"


def test_file_without_its_name_is_set_aside(cells):
    path = cells.run(RIGHT).keep("causal_mask").path
    path.write_text("something_else = 1\n")
    assert "does not define causal_mask" in reported("causal_mask")[1][0]
    assert not path.exists()


def test_hand_edit_that_still_passes_is_used(cells):
    path = cells.run(RIGHT).keep("causal_mask").path
    path.write_text(path.read_text().replace("# my own words", "# other words"))
    answer, said = reported("causal_mask")
    assert answer is not None and said == []


def test_hand_edit_that_fails_does_not_travel_and_is_left_alone(cells):
    path = cells.run(RIGHT).keep("causal_mask").path
    edited = path.read_text().replace(".tril(n_key - n_query)", "")
    path.write_text(edited)
    answer, said = reported("causal_mask")
    assert answer is None
    assert "no longer passes" in said[0]
    assert path.read_text() == edited


def test_file_that_raises_on_import_is_reported_and_left_alone(cells):
    path = cells.run(RIGHT).keep("causal_mask").path
    path.write_text("import not_installed_anywhere\n" + path.read_text())
    answer, said = reported("causal_mask")
    assert answer is None and "ModuleNotFoundError" in said[0] and path.exists()


def test_two_notebooks_that_write_at_once_leave_a_whole_file(
    workbook_folder, environment, tmp_path
):
    script = tmp_path / "writer.py"
    script.write_text(
        IMPORTS + RIGHT + "\nfrom gpt2course.learner import parts, workbook\n"
        "for _ in range(5):\n    assert workbook.keep('causal_mask', causal_mask).path\n"
    )
    writers = [subprocess.Popen([sys.executable, script], env=environment) for _ in range(2)]
    path, seen = workbook_folder / "causal_mask.py", 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            compile(path.read_text(), "causal_mask.py", "exec")
            assert path.read_text().endswith("tril(n_key - n_query)\n")
            seen += 1
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen and [p.name for p in workbook_folder.iterdir()] == ["causal_mask.py"]


@pytest.mark.parametrize("place", ["/proc/no/such", "a file in the way"])
def test_folder_that_cannot_be_written_is_said_and_the_answer_stays(
    cells, monkeypatch, tmp_path, capsys, place
):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(blocked / "x") if " " in place else place)
    answer = cells.run(RIGHT).names["causal_mask"]
    assert notebook.check(answer) is answer
    assert "GPT2COURSE_WORKBOOK" in capsys.readouterr().out


# What later lessons get


def test_mine_gives_the_learners_part_where_there_is_one(cells):
    cells.run(RIGHT).keep("causal_mask")
    assert mine.causal_mask is not engine.find("causal_mask").reference
    assert mine.masked_attention is engine.find("masked_attention").reference
    assert f"1 of {len(engine.names())} parts are yours; yours: causal_mask" in mine.summary()


def test_mine_names_what_there_is_when_asked_for_something_else():
    with pytest.raises(ImportError):
        from gpt2course.mine import casual_mask  # noqa: F401
    with pytest.raises(AttributeError, match="causal_mask"):
        mine.casual_mask  # noqa: B018


def test_newer_pass_is_seen_without_a_restart(cells):
    cells.run(RIGHT).keep("causal_mask")
    first = mine.causal_mask
    cells.run(RIGHT.replace("my own", "newer")).keep("causal_mask")
    assert mine.causal_mask is not first


# check itself


def test_checking_the_packages_own_part_keeps_nothing(capsys):
    reference = engine.find("causal_mask").reference
    assert notebook.check(reference) is reference
    assert "is the package's own here" in capsys.readouterr().out
    assert not workbook.path_of("causal_mask").exists()


def test_check_of_a_value_says_what_check_wants():
    with pytest.raises(TypeError, match="the function itself"):
        notebook.check(torch.ones(3, 3))


def test_require_passed_raises_until_the_last_check_passed(cells, capsys):
    with pytest.raises(AssertionError, match="not checked yet"):
        notebook.require_passed("causal_mask")
    notebook.check(lambda n, m: torch.ones(n, m) == 1, "causal_mask")
    with pytest.raises(AssertionError, match="hides nothing"):
        notebook.require_passed("causal_mask")
    notebook.check(cells.run(RIGHT).names["causal_mask"])
    notebook.require_passed("causal_mask")


def test_where_checks_are_strict_whatever_does_not_pass_raises(cells, monkeypatch, capsys):
    monkeypatch.setenv("GPT2COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match="the package's own here"):
        notebook.check(engine.find("causal_mask").reference)
    with pytest.raises(AssertionError, match="not yet"):
        notebook.check(lambda n, m: torch.ones(n, m) == 1, "causal_mask")
    answer = cells.run(RIGHT).names["causal_mask"]
    assert notebook.check(answer) is answer


def test_the_folder_is_the_notebooks_own_and_never_the_packages(tmp_path, monkeypatch):
    monkeypatch.delenv("GPT2COURSE_WORKBOOK")
    (tmp_path / "course/lessons").mkdir(parents=True)
    (tmp_path / "course/my_lessons").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for place, expected in {
        "course": "course", "course/lessons": "course", "course/my_lessons": "course",
        "elsewhere": "elsewhere",
    }.items():  # fmt: skip
        monkeypatch.chdir(tmp_path / place)
        assert workbook.folder() == tmp_path / expected / "my_gpt2"


def test_a_card_carries_a_record_that_a_program_can_read():
    result = engine.run("causal_mask", lambda n, m: torch.ones(n, m, dtype=torch.bool).tril())
    bundle = Card(result, "")._repr_mimebundle_()
    record = {"exercise": "causal_mask", "status": "failed"}
    assert bundle[RECORD] == record | {"misconception": "counts from the upper left"}
    assert "counts from the upper left" in bundle["text/html"]


def test_an_exercise_that_is_no_python_gives_the_packages_and_the_notebook_runs_on(capsys):
    shell = InteractiveShell()
    notebook.watch_syntax(shell)
    notebook.watch_syntax(shell)  # importing it twice changes nothing
    ran = shell.run_cell("import torch\ndef causal_mask(n_query, n_key:\n    return 1")
    assert ran.success and shell.user_ns["causal_mask"] is engine.find("causal_mask").reference
    said = capsys.readouterr().out
    assert "def causal_mask(n_query, n_key:" in said and "line 2" in said
    assert "the package's own for now" in said
    assert not shell.run_cell("def something_else(:").success  # no exercise: Python's own error
    assert shell.run_cell("def causal_mask(n):\n    return n").success
    assert shell.user_ns["causal_mask"](3) == 3


def test_a_check_of_an_exercise_that_is_no_python_asks_to_mend_it_first(capsys):
    shell = InteractiveShell()
    notebook.watch_syntax(shell)
    shell.user_ns["check"] = notebook.check
    cells = "def causal_mask(n_query, n_key:\n    return 1", "causal_mask = check(causal_mask)"
    assert all(shell.run_cell(cell).success for cell in cells)
    assert "mend the cell that defines it, run it, then run this one" in capsys.readouterr().out
    notebook.check(lambda n, m: None, "causal_mask")  # what could be read
    capsys.readouterr()
    assert shell.run_cell(cells[1]).success
    assert "run the cell that defines it, then run this one" in capsys.readouterr().out


def test_a_check_of_what_no_cell_defined_says_so_and_the_notebook_runs_on(monkeypatch, capsys):
    shell = InteractiveShell()
    monkeypatch.setattr(notebook, "_shell", lambda: shell)
    notebook.watch_syntax(shell)
    shell.user_ns["check"] = notebook.check
    assert shell.run_cell("def causal_masc(n, m):\n    return 1").success  # a slip of the pen
    cell = "causal_mask = check(causal_mask)"
    assert shell.run_cell(cell).success
    assert shell.user_ns["causal_mask"] is engine.find("causal_mask").reference
    assert "No cell that ran has defined causal_mask" in capsys.readouterr().out
    assert not shell.run_cell("nothing = check(nothing)").success  # no exercise: Python's own error
    capsys.readouterr()
    shell.user_ns.pop("causal_mask")
    monkeypatch.setenv("GPT2COURSE_STRICT", "1")
    assert isinstance(shell.run_cell(cell).error_in_exec, AssertionError)
