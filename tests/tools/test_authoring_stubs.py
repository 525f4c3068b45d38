"""--new: what it writes builds and checks at once; what exists is never touched."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2course.tools.authoring.command import main

ROOT = Path(__file__).parents[2]
ROOMS = Path("gpt2course/lessons")
ROOM, SOURCE = ROOMS / "masking/exercises.py", Path("solutions/00_masking.py")
LISTS = [ROOM.with_name("answers.md"), ROOM.with_name("mistakes.md")]
LISTS += [Path("tests/lessons/right/masking.md"), Path("tests/lessons/wrong/masking.md")]
FUSED = "normal(3, 4, seed=1), normal(3, 4, seed=2), normal(3, 4, seed=3)"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """One lesson with one exercise, and a part of the library, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    for path in (ROOM, SOURCE):
        path.parent.mkdir(parents=True)
    (ROOMS / "__init__.py").write_text('"""Rooms."""\n\nLESSONS = (\n    "masking",\n)\n')
    ROOM.write_text(
        "from gpt2course.checks.exercise import Exercise\n\n"
        "SIZES = 3\nhide = Exercise(library.hide, cases=[])\n\nEXERCISES = [hide]\n"
    )
    SOURCE.write_text(
        "# %%\ndef hide(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n\n"
        "# %%\nhide = check(hide)\n\n# %%\ndef helper():\n    return 1\n"
    )
    for name in ("attention.py", "mlp.py"):
        shutil.copy(ROOT / "gpt2course" / name, "gpt2course")
    assert main([]) == 0
    assert main(["--check"]) == 0


def files() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def new(*what: str) -> int:
    return main(["--new", *what])


def assert_builds_and_checks() -> None:
    """As it stands: with nothing left to write and nothing to find fault with."""
    before = files()
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert files() == before


def test_a_new_exercise_stands_in_every_place_that_it_needs(course):
    assert new("exercise", "masking", "add_one") == 0
    assert_builds_and_checks()
    assert "EXERCISES = [hide, add_one]" in ROOM.read_text()
    for path in LISTS:
        assert path.read_text().startswith("# add_one\n\n## ")
    assert "`+ 1` → `+ 2`\n" in LISTS[1].read_text()
    assert SOURCE.read_text().endswith("# %%\nadd_one = check(add_one)\n")


def test_the_right_answers_of_a_stub_are_right_and_its_mistake_is_made_in_two_ways(course):
    assert new("exercise", "00_masking", "add_one") == 0
    source = ROOM.read_text()
    function = source[source.index("def add_one") : source.index("add_one = Exercise(")]
    assert function.count("+ 1") == 1
    answer, _, right, wrong = (
        path.read_text().partition("```python")[2].partition("```")[0] for path in LISTS
    )
    results = []
    for code in (function, answer, right, wrong, function.replace("+ 1", "+ 2")):
        names = {}
        exec(code, names)
        results.append([names["add_one"](ids) for ids in ([5, 6, 9], [0], [])])
    assert results[0] == results[1] == results[2] == [[6, 7, 10], [1], []]
    assert results[3] == results[4] == [[7, 8, 11], [2], []]


def test_a_second_exercise_stands_below_the_first(course):
    assert new("exercise", "masking", "first") == new("exercise", "masking", "second") == 0
    assert_builds_and_checks()
    assert "EXERCISES = [hide, first, second]" in ROOM.read_text()
    for path in (ROOM, SOURCE, *LISTS):
        text = path.read_text()
        assert 0 < text.index("first") < text.index("second"), path
    assert ROOM.read_text().count("import Case, Exercise, Property") == 1


def test_a_function_of_the_library_gives_signature_answer_and_imports(course):
    assert new("exercise", "masking", "fused_attention", "--case", FUSED) == 0
    assert_builds_and_checks()
    source = SOURCE.read_text()
    assert '    q: Float[Tensor, "... T hs"], k: Float[Tensor, "... S hs"]' in source
    assert "    ### BEGIN SOLUTION\n    T, S = q.shape[-2], k.shape[-2]\n" in source
    assert (
        "# %%\nfrom gpt2course.attention import causal_mask\nfrom jaxtyping import Float\n"
        "from torch import Tensor\nfrom torch.nn import functional as F\n\n\n# %%\ndef fused"
    ) in source
    room = ROOM.read_text()
    assert "from gpt2course import attention\n" in room and "import normal\n" in room
    assert f"Case('a small call', ({FUSED}))" in ast.unparse(ast.parse(room))
    assert "def fused_attention(q, k, v):\n    return q\n" in LISTS[1].read_text()


@pytest.mark.parametrize(
    "options, words",
    [
        ((), "fused_attention is in the library; give the arguments of a small call"),
        (("--case", "1, 2"), "fused_attention(1, 2) raises TypeError"),
        (("--case", "normal("), "raises SyntaxError"),
    ],
)
def test_a_case_that_the_library_does_not_take_is_refused(course, capsys, options, words):
    before = files()
    assert new("exercise", "masking", "fused_attention", *options) == 1
    assert words in capsys.readouterr().err.replace("fused_attention(normal(,)", "")
    assert files() == before


def test_a_new_lesson_has_a_room_a_source_and_a_place(course):
    assert new("lesson", "dog_walks") == 0
    assert_builds_and_checks()
    assert (ROOMS / "__init__.py").read_text().endswith('    "masking",\n    "dog_walks",\n)\n')
    assert_ends_with_progress(Path("solutions/01_dog_walks.py"))


def assert_ends_with_progress(source: Path) -> None:
    cells = source.read_text().split("\n# %%")
    assert cells[-1] == "\nmy_progress()\n" and cells[-2].endswith("built so far:**\n")
    assert "import check, my_progress\n" in source.read_text()


def test_a_new_exercise_stands_before_the_progress_of_a_lesson(course):
    source = Path("solutions/01_dog_walks.py")
    assert new("lesson", "dog_walks") == 0
    assert new("exercise", "dog_walks", "add_one") == 0
    assert_builds_and_checks()
    assert_ends_with_progress(source)
    said = source.read_text()
    assert said.index("check(first_dog_walks)") < said.index("check(add_one)")
    made = {str(p) for p in Path().rglob("*dog_walks*")}
    assert made == {
        str(Path(name))
        for name in (
            "gpt2course/lessons/dog_walks", "solutions/01_dog_walks.py",
            "solutions/01_dog_walks.ipynb", "lessons/01_dog_walks.ipynb",
            "tests/lessons/right/dog_walks.md", "tests/lessons/wrong/dog_walks.md",
        )
    }  # fmt: skip
    assert {p.name for p in (ROOMS / "dog_walks").iterdir()} == {
        "__init__.py", "exercises.py", "answers.md", "mistakes.md", "hints.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    "what, words",
    [
        (("exercise", "masking", "hide"), f"{ROOM}: hide exists"),
        (("exercise", "masking", "SIZES"), f"{ROOM}: SIZES exists"),
        (("exercise", "masking", "helper"), f"{SOURCE}: helper exists"),
        (("exercise", "masking", "shown"), f"{LISTS[0]}: shown exists"),
        (("exercise", "masking", "tested"), f"{LISTS[3]}: tested exists"),
        (("exercise", "masking", "MLP"), "MLP is a class, and stubs are of functions"),
        (("exercise", "masking", "a-b"), "'a-b' is no name"),
        (("exercise", "masking", "class"), "'class' is no name"),
        (("exercise", "masking", "add_one", "--case", "3"), "has a function add_one, whose call"),
        (("exercise", "masks", "add_one"), "no lesson masks in LESSONS"),
        (("exercise", "masking"), "--new takes `exercise LESSON NAME` or `lesson STEM`"),
        (("lesson", "masking"), f"lesson masking exists: {ROOMS / 'masking'}, {SOURCE}"),
        (("lesson", "spare"), f"lesson spare exists: {Path('solutions/07_spare.py')}"),
        (("lesson", "../x"), "'../x' is no name"),
        (("lesson", "a", "b"), "--new takes"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(course, capsys, what, words):
    LISTS[0].write_text("# shown\n")
    LISTS[3].parent.mkdir(parents=True)
    LISTS[3].write_text("# hidden\n\n# tested\n")
    if what == ("lesson", "spare"):
        Path("solutions/07_spare.py").write_text("# %%\n1\n")
    before = files()
    assert new(*what) == 1
    assert words in capsys.readouterr().err
    assert files() == before


def test_an_edited_notebook_is_in_the_way(course, capsys):
    lesson = Path("lessons/00_masking.ipynb")
    lesson.write_text(lesson.read_text().replace("return 1", "return 2"))
    before = files()
    assert new("exercise", "masking", "add_one") == 1
    assert f"{lesson}: edited since it was built" in capsys.readouterr().err
    assert files() == before


@pytest.mark.slow
def test_in_the_course_itself_a_new_lesson_runs_and_its_tests_pass(tmp_path):
    for name in ("gpt2course", "solutions", "tests", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    variables = {"PYTHONPATH": str(tmp_path), "GPT2COURSE_WORKBOOK": str(tmp_path / "kept")}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        kept = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 300}
        ran = subprocess.run(command, env={**os.environ, **variables}, **kept)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    new = ("-m", "gpt2course.tools.authoring", "--new")
    run(*new, "lesson", "dog_walks")
    case = ("--case", "torch.eye(3) + 1")
    assert run(*new, "exercise", "dog_walks", "bigram_probs", *case).endswith(" 0 faults\n")
    (source,) = tmp_path.glob("solutions/*_dog_walks.py")
    assert run(str(source)).count(": passed") == 2
    tests = ("tests/lessons/test_answers.py", "-k", "dog_walks or bigram_probs")
    run("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *tests)
    made = [str(ROOMS / "dog_walks"), *map(str, tmp_path.glob("tests/lessons/*/dog_walks.md"))]
    run("-m", "ruff", "check", *made)
    run("-m", "ruff", "format", "--check", *made)
