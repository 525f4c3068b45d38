"""What a plain `pip install gpt2course` brings: GPT-2, and not what the lessons need besides.

The folders made here hold links to the declared packages and to what these ask for themselves, so
that a Python that sees no other ones is what an installation into an empty environment gives.
"""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
LIBRARY = ABOUT["dependencies"]
COURSE = LIBRARY + ABOUT["optional-dependencies"]["course"]
TEXT = "The robot must obey the orders that people give. " * 40


def asked_for(requirements):
    """The installed packages that these requirements lead to."""
    waiting, seen, found = [Requirement(line) for line in requirements], set(), {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found[name] = importlib.metadata.distribution(name)
        for extra in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, extra))
            further = map(Requirement, found[name].requires or [])
            waiting += [r for r in further if not r.marker or r.marker.evaluate({"extra": extra})]
    return found


def environment(folder, requirements):
    """A folder of links to the project and to what `requirements` lead to."""
    folder.mkdir()
    (folder / "gpt2course").symlink_to(PROJECT / "gpt2course")
    found = asked_for(requirements)
    for distribution in [*found.values(), importlib.metadata.distribution("gpt2course")]:
        for top in {path.parts[0] for path in distribution.files}:
            target = Path(distribution.locate_file(top))
            link = folder / top
            if top not in ("..", "__pycache__") and target.exists() and not link.exists():
                link.symlink_to(target)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("light") / "site", LIBRARY)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("course") / "site", COURSE)


def run(site, *command):
    """Python with the standard library and the packages of `site` alone."""
    variables = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-S", *command],
        env=variables,
        cwd=site.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_library_needs_a_third_of_the_packages_that_the_course_needs():
    assert len(asked_for(LIBRARY)) < len(asked_for(COURSE)) / 3


@pytest.mark.parametrize("name", ["IPython", "ipywidgets", "jupyterlab", "matplotlib", "psutil"])
def test_what_only_the_lessons_need_is_not_there(library, name):
    assert f"No module named '{name}'" in run(library, "-c", f"import {name}").stderr


def test_every_module_of_the_library_can_be_imported(library):
    rooms = ["gpt2course", "gpt2course/training", "gpt2course/weights", "gpt2course/corpus"]
    modules = [
        f"gpt2course.{path.relative_to(PROJECT / 'gpt2course').with_suffix('')}".replace("/", ".")
        for room in rooms
        for path in (PROJECT / room).glob("*.py")
        if path.name not in ("__init__.py", "__main__.py", "mine.py")
    ]
    ran = run(library, "-c", "import " + ", ".join(modules))
    assert ran.returncode == 0, ran.stderr


def test_the_library_generates_trains_and_evaluates(library):
    (library.parent / "text.txt").write_text(TEXT)
    small = "--steps 3 --n-layer 1 --n-head 2 --n-embd 8 --n-ctx 16 --batch-size 2 --vocab-size 260"
    commands = [
        ["generate", "--model", "course", "--max-new-tokens", "3", "Mina"],
        ["train", "--data", "text.txt", "--out", "model", *small.split()],
        ["perplexity", "--model", "model", "text.txt"],
    ]
    for words in commands:
        ran = run(library, "-m", "gpt2course", *words)
        assert ran.returncode == 0, (words, ran.stderr)


@pytest.mark.parametrize(
    "statement",
    [
        "from gpt2course import check",
        "import gpt2course.checks",
        "import gpt2course.drawing.svg",
        "from gpt2course.mine import causal_mask",
        "from gpt2course.lessons.masking import figures",
    ],
)
def test_an_import_of_the_lessons_says_what_to_install(library, statement):
    ran = run(library, "-c", statement)
    said = ran.stderr.splitlines()[-1]
    assert said.startswith("ModuleNotFoundError: the lessons and their checks need ")
    assert said.endswith("pip install 'gpt2course[course]'")


def test_the_doctor_finds_no_fault_and_names_the_extra(library):
    ran = run(library, "-m", "gpt2course", "doctor")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the library is here without what the lessons need" in ran.stdout
    assert "gpt2course[course]" in ran.stdout
    assert "JupyterLab" not in ran.stdout


def test_with_the_extra_the_lessons_are_there(course):
    imports = ["from gpt2course import check", "from gpt2course.mine import causal_mask"]
    imports += [
        f"import gpt2course.lessons.{path.name}"
        for path in (PROJECT / "gpt2course/lessons").iterdir()
        if (path / "__init__.py").exists()
    ]
    ran = run(course, "-c", "; ".join(imports))
    assert ran.returncode == 0, ran.stderr
