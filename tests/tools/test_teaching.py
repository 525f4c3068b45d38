"""docs/teaching.md and the places to run: commands are right usage, settings do what they say."""

import ast
import json
import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from gpt2course.tools import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/teaching.md").read_text("utf-8")
ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMMANDS = re.findall(r"python -m gpt2course (\w+[^`\n]*)", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_are_right_usage(command):
    options = cli._parser().parse_args(shlex.split(command))
    assert options.command.__name__ == command.split()[0]
    assert {"grade", "handin", "progress"} <= {command.split()[0] for command in COMMANDS}


def test_course_py_knows_the_commands_of_the_page_and_of_the_places_to_run():
    from test_course import load_course

    course, config = load_course(), ROOT / ".devcontainer/devcontainer.json"
    said = "\n".join([PAGE, DOCKERFILE, json.loads(config.read_text())["postCreateCommand"]])
    for command in re.findall(r"course\.py ([a-z]+)", said):
        assert course.parse([command]).command == command
    (line,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.M)
    assert course.parse(json.loads(line)[2:]).arguments == ["--ServerApp.ip=0.0.0.0"]


def test_links_and_files_of_the_page_exist():
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) >= 2
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"`((?:tests|solutions|lessons|docs|\.devcontainer)/[\w./]*)`", PAGE):
        assert (ROOT / path).exists(), path


def test_the_settings_for_nbgrader_give_each_hand_in_a_workbook_of_its_own(tmp_path, monkeypatch):
    from unittest.mock import MagicMock

    from gpt2course.learner import workbook

    (block,) = re.findall(r"```python\n(# nbgrader_config.*?)```", PAGE, re.S)
    monkeypatch.setitem(os.environ, "GPT2COURSE_WORKBOOK", "")
    config = MagicMock()
    exec(block, {"get_config": lambda: config})
    assert config.Execute.timeout > 60
    (tmp_path / "lessons").mkdir()
    for student in ("ada", "ben"):
        (tmp_path / student).mkdir()
        monkeypatch.chdir(tmp_path / student)
        assert workbook.folder().resolve() == tmp_path / student / "my_gpt2"


def test_places_to_run_have_the_oldest_python_that_the_course_takes():
    oldest = ABOUT["requires-python"].removeprefix(">=")
    image = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())["image"]
    for name in [image, *re.findall(r"^FROM (.*)$", DOCKERFILE, re.M)]:
        assert name.startswith(f"python:{oldest}-")


def test_what_a_learner_made_goes_into_no_image():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "my_lessons", "my_gpt2", "handin*.zip"} <= set(ignored)


def test_git_sees_no_hand_in():
    assert "handin*.zip" in (ROOT / ".gitignore").read_text().split()


def test_the_page_has_the_minutes_and_the_hours_of_lesson_00():
    welcome = (ROOT / "solutions/00_welcome.py").read_text("utf-8")
    minutes = ast.literal_eval(re.search(r"^minutes = (\{.*?^\})", welcome, re.M | re.S)[1])
    cell = r" (\d\d) \| (\d+|–) \| (\d+) \| (\d+) \|"
    found = {n: (int(a.replace("–", "0")), int(c), int(e)) for n, a, c, e in re.findall(cell, PAGE)}
    assert found == minutes
    hours = re.search(r"about (\d+), (\d+) and (\d+) hours", PAGE).groups()
    assert [*map(int, hours)] == [
        round(sum(times) / 60) for times in zip(*minutes.values(), strict=True)
    ]
