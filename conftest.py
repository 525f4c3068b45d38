"""Notebooks under nbval: in forked kernels, with workbooks of their own, and each lesson twice."""

import gc
import os
import tempfile
from pathlib import Path

import pytest
import warm
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
    """Any cell of a lesson can be run again: all run twice in one kernel."""
    report = yield
    if isinstance(collector, IPyNbFile) and collector.path.parent.name == "lessons":
        again = [
            IPyNbCell.from_parent(
                collector,
                name=f"{cell.name} again",
                cell_num=cell.cell_num,
                cell=cell.cell,
                options=cell.options,
            )
            for cell in report.result
        ]
        report.result += [*again, Untouched.from_parent(collector, name="untouched", cells=again)]
    return report


class Untouched(pytest.Item):
    """Who has answered nothing is told so, and owns nothing."""

    def __init__(self, *, cells, **settings):
        super().__init__(**settings)
        self.cells = cells

    def runtest(self):
        shown = str([cell.test_outputs for cell in self.cells])
        assert "not started" in shown or "is the package's own here" in shown
        assert not list(workbook_of(self.path).rglob("*.py"))
