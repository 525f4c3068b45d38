import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def workbook_folder(tmp_path, monkeypatch):
    """A workbook of its own for every test."""
    folder = tmp_path / "my_gpt2"
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_answers_in_memory():
    """No test sees what another one checked or loaded."""
    from gpt2course.learner import notebook, workbook

    for memory in (notebook._last, notebook._refused, workbook._loaded, workbook._in_session):
        memory.clear()


@pytest.fixture
def environment(workbook_folder):
    """The environment for a child process that shares this test's workbook."""
    return {**os.environ, "GPT2COURSE_WORKBOOK": str(workbook_folder)}


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the tests of a file."""
    from browser.lab import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
