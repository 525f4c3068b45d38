"""Notebooks under nbval: in forked kernels, with workbooks of their own, and each lesson twice."""

import gc
import os
import tempfile
from pathlib import Path

import her_answers
import pytest
import warm
from browser.lab import CHROMIUM
from nbval.plugin import IPyNbCell, IPyNbFile

pytest_plugins = ["progress"]
# Two workers share the cores of a small machine; torch's own threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
WORKBOOKS = Path(tempfile.mkdtemp(prefix="gpt2course-workbooks-"))


def pytest_configure(config):
    warm.install()


def pytest_collection_finish():
    gc.freeze()  # what is there by now stays: no collection has to walk through it


def workbook_of(notebook: Path) -> Path:
    """Never a learner's own."""
    return WORKBOOKS / notebook.parent.name / notebook.stem


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Set the folder before nbval starts the kernel of a notebook, which inherits it."""
    if isinstance(item, IPyNbCell):
        os.environ["GPT2COURSE_WORKBOOK"] = str(workbook_of(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A lesson runs twice in one kernel: untouched, then with a learner's answers in its cells.

    Of those that train, tests/browser/test_browser.py does the second, where there is Chromium.
    """
    report = yield
    if isinstance(collector, IPyNbFile) and collector.path.parent.name == "lessons":
        untouched = report.result
        if collector.path.stem in her_answers.TRAIN and CHROMIUM:
            report.result = [
                *untouched, Untouched.from_parent(collector, name="untouched", cells=untouched)
            ]  # fmt: skip
            return report
        answered = [
            IPyNbCell.from_parent(
                collector,
                name=f"{cell.name} answered",
                cell_num=cell.cell_num,
                cell=her_answers.answered(cell.cell, her_answers.ANSWERS),
                options=cell.options,
            )
            for cell in untouched
        ]
        report.result = [
            *untouched,
            Untouched.from_parent(collector, name="untouched", cells=untouched),
            *answered,
            Answered.from_parent(collector, name="answered", cells=answered),
        ]
    return report


class Untouched(pytest.Item):
    """Who has answered nothing is told so, and owns nothing. Next comes one who answered before."""

    def __init__(self, *, cells, **settings):
        super().__init__(**settings)
        self.cells = cells

    def runtest(self):
        shown = str([cell.test_outputs for cell in self.cells])
        assert "not started" in shown or "is the package's own here" in shown
        workbook = workbook_of(self.path)
        assert not her_answers.kept_in(workbook)
        her_answers.bring_parts(workbook, before=self.path.stem)


class Answered(pytest.Item):
    """Each answer of her own passes where she checks it, and is kept beside the earlier ones."""

    def __init__(self, *, cells, **settings):
        super().__init__(**settings)
        self.cells = cells

    def runtest(self):
        passed = sum(": passed" in str(cell.test_outputs) for cell in self.cells)
        asked = her_answers.exercises_of(self.path)
        assert passed == len(asked)
        kept = workbook_of(self.path)
        for name in asked:
            her_own = her_answers.ANSWERS[name].strip().splitlines()[-1].strip()
            assert her_own in (kept / f"{name}.py").read_text("utf-8")
