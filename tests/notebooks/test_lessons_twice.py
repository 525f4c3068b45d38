"""Any cell of a lesson can be run again. (A file of its own: a worker takes a file whole.)"""

import pytest
from test_learner import LESSONS, shown, work_through


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_an_untouched_lesson_runs_twice_in_one_kernel(path, workbook_folder):
    notebook = work_through(path, {}, times=2)
    assert shown(notebook, "not started") + shown(notebook, "is the package's own here") > 0
    assert not list(workbook_folder.rglob("*.py"))
