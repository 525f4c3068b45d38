"""--check: names that fit nothing and links that lead nowhere are faults, each with its place."""

import os
from pathlib import Path

import pytest

from gpt2course import checks
from gpt2course.checks.room import read_hints
from gpt2course.tools.authoring import rooms
from gpt2course.tools.authoring.command import main

SOURCE = Path("solutions/01_second.py")
ROOM = Path("gpt2course/lessons/second/exercises.py")
ORDER = Path("gpt2course/lessons/__init__.py")
LESSON = """\
# %% [markdown]
# ![a picture](../docs/a.png) and a [lesson](00_first.ipynb#part)

# %%
def {name}(x):
    ### BEGIN SOLUTION
    return x
    ### END SOLUTION

# %%
{name} = check({name})
"""
EXERCISES = "{name} = Exercise(library.{name}, cases=[])\n\nEXERCISES = [{name}]\n"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Two lessons in a folder, `embed` and `gelu` their exercises, built."""
    monkeypatch.chdir(tmp_path)
    for number, (stem, name) in enumerate([("first", "embed"), ("second", "gelu")]):
        room = ORDER.parent / stem / "exercises.py"
        room.parent.mkdir(parents=True)
        room.write_text(EXERCISES.format(name=name))
        SOURCE.parent.mkdir(exist_ok=True)
        Path(f"solutions/{number:02}_{stem}.py").write_text(LESSON.format(name=name))
    ORDER.write_text('"""Rooms."""\n\nLESSONS = (\n    "first",\n    "second",\n)\n')
    Path("docs").mkdir()
    Path("docs/a.png").write_bytes(b"")
    assert main([]) == 0
    assert main(["--check"]) == 0


def faults(capsys, *arguments: str) -> list[str]:
    """What --check says once the notebooks are built."""
    assert main([]) == 0
    capsys.readouterr()
    assert main(["--check", *arguments]) == 1
    return capsys.readouterr().err.splitlines()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("call", ["check(gelo)", 'check(gelu, "gelo")', 'check(f, name="gelo")'])
def test_a_check_of_an_exercise_that_does_not_exist(course, capsys, call):
    SOURCE.write_text(SOURCE.read_text() + f"\n# %%\nx = 1\ny = {call}\n")
    assert faults(capsys) == [
        f"{SOURCE}:15: check of 'gelo': there is no such exercise; did you mean gelu?"
    ]


def test_a_check_under_another_exercise_is_not_even_built(course, capsys):
    edit(SOURCE, "gelu = check(gelu)", "gelo = check(gelo)")
    assert main([]) == 1
    assert f"{SOURCE}:11: check(gelo) stands under the exercise gelu" in capsys.readouterr().err


HINTS = """\
# %% [markdown]
# Of another exercise: <details><summary>Hint 1</summary>
# not this
# </details>

# %%
1 + 1

# %% [markdown]
# <details><summary>Hint 1</summary>
# Look at <code>x</code>,
# the argument.
# </details>
# <details><summary>Answer</summary>Of a question.</details>

# %% [markdown]
# <details><summary>Hint 2</summary>Return it.</details>

"""


def test_the_hints_above_an_exercise_are_written_for_its_check(course, capsys):
    SOURCE.write_text(HINTS + SOURCE.read_text())
    assert main([]) == 0
    path = ROOM.with_name("hints.json")
    assert read_hints(path, "gelu") == ["Look at <code>x</code>,\nthe argument.", "Return it."]
    assert read_hints(path, "embed") == read_hints(path.with_name("none.json"), "gelu") == []
    edit(path, "Return it.", "Return x.")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert f"{path}: stale" in capsys.readouterr().err


def test_a_check_by_name_or_of_a_lambda_is_no_fault(course):
    more = '\n# %%\ncheck(mine, "embed")\ncheck(lambda x: x, name="gelu")\nchecks.run("x", 1)\n'
    SOURCE.write_text(SOURCE.read_text() + more)
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_a_room_without_an_exercise(course, capsys):
    for text in ("EXERCISES = []\n", "x = 1\n", "EXERCISES = tuple(x)\n"):
        ROOM.write_text(text)
        assert f"{ROOM}: no exercise; give the room one, and list it" in faults(capsys)[-1]
    ROOM.unlink()
    assert f"{ROOM}: no exercise" in faults(capsys)[-1]


def test_an_exercise_without_a_lesson(course, capsys):
    edit(ROOM, "[gelu]", "[gelu, MLP]")
    assert faults(capsys) == [
        f"{ROOM}: MLP is in no lesson; add the cell of the exercise to {SOURCE}"
    ]


def test_an_exercise_without_a_check(course, capsys):
    edit(SOURCE, "gelu = check(gelu)", "check(gelu)")
    assert faults(capsys) == [f"{SOURCE}:5: gelu is not checked; add `gelu = check(gelu)` below it"]


@pytest.mark.parametrize(
    "text, target",
    [
        ("![p](b.png)", "b.png"),
        ("![p](../docs/b%20c.png)", "../docs/b c.png"),
        ('[![p](../docs/a.png)](b.html "title")', "b.html"),
        ("<img alt='' src='../docs/b.png' width=3>", "../docs/b.png"),
        ("the [next](02_third.ipynb#part)", "02_third.ipynb"),
    ],
)
def test_a_link_that_leads_nowhere(course, capsys, text, target):
    SOURCE.write_text(SOURCE.read_text() + f"\n# %% [markdown]\n# One\n# two {text}\n")
    (fault,) = faults(capsys)
    assert fault.startswith(f"{SOURCE}:15: no file {Path('solutions') / target}; mend the link")


def test_a_picture_that_lies_beside_one_of_the_two_notebooks_alone(course, capsys):
    Path("solutions/b.png").write_bytes(b"")
    edit(SOURCE, "../docs/a.png", "b.png")
    assert faults(capsys) == [f"{SOURCE}:2: no file {Path('lessons/b.png')}; mend the link b.png"]


def test_links_elsewhere_and_code_that_looks_like_one_are_no_faults(course):
    more = (
        "[a](https://example.org/x.png) [b](#part) ![c](data:image/png;base64,aGk=) `f[a](b.c)`\n"
        "#\n# ```text\n# ![d](e.png)\n# ```\n"
    )
    SOURCE.write_text(SOURCE.read_text() + f"\n# %% [markdown]\n# {more}")
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_the_order_of_the_lessons_and_the_sources_agree(course, capsys):
    edit(ORDER, '    "first",\n    "second",\n', '    "second",\n    "third",\n    "first",\n')
    assert faults(capsys) == [
        f"solutions{os.sep}00_first.py: 'first' has not this place in LESSONS of {ORDER}; "
        "rename it to 02_first.py",
        f"{SOURCE}: 'second' has not this place in LESSONS of {ORDER}; rename it to 00_second.py",
        f"{ORDER.parent / 'third'}: no source solutions/01_third.py; add it",
    ]
    edit(ORDER, '    "third",\n    "first",\n', "")
    assert f"{ORDER.parent / 'first'}: not in LESSONS of {ORDER}; add it" in faults(capsys)[-1]


def test_only_the_rooms_of_the_sources_given_are_looked_at(course):
    ROOM.unlink()
    assert main(["--check", "solutions/00_first.py"]) == 0
    assert main(["--check", str(SOURCE)]) == 1


@pytest.mark.parametrize(
    "file", [SOURCE.with_suffix(".ipynb"), Path("lessons/01_second.ipynb"), ROOM]
)
def test_any_file_of_a_lesson_stands_for_it_in_a_check_and_in_no_build(course, capsys, file):
    assert main(["--check", str(file), str(SOURCE)]) == 0
    assert capsys.readouterr().out.endswith("1 sources, 2 notebooks, 1 exercises, "
                                            "0 shown on purpose, 0 faults\n")  # fmt: skip
    assert main([str(file)]) == 1
    ROOM.write_text("EXERCISES = []\n")
    assert main(["--check", str(file)]) == 1
    assert main(["--check", "gpt2course/lessons/none/exercises.py"]) == 1


def test_a_room_that_is_no_python_is_named_with_its_line(course, capsys):
    ROOM.write_text("x = 1\ny = (\n")
    assert main(["--check"]) == 1
    assert f"{ROOM}:2: not Python" in capsys.readouterr().err


def test_what_the_checks_say_of_the_packages_own_rooms_are_faults(course, monkeypatch, capsys):
    said = "mistakes.md:4: 'x' of gelu: the edit changes nothing"
    monkeypatch.setattr(checks, "faults", lambda stem: [said] if stem == "second" else [], False)
    assert main(["--check"]) == 0  # these rooms are not the package's
    monkeypatch.setattr(rooms, "PACKAGE", Path(checks.__file__).parents[1])
    assert faults(capsys) == [said]
    assert faults(capsys, str(SOURCE)) == [said]
    assert main(["--check", "solutions/00_first.py"]) == 0
