"""Every notebook under nbval runs in a forked kernel, with a workbook of its own."""

import os
import tempfile
from pathlib import Path

import pytest
import warm

# Two workers share the cores of a small machine; torch's own threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
WORKBOOKS = Path(tempfile.mkdtemp(prefix="gpt2course-workbooks-"))


def pytest_configure(config):
    warm.install()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Set the folder before nbval starts the kernel of a notebook: never a learner's own."""
    if item.path.suffix == ".ipynb":
        os.environ["GPT2COURSE_WORKBOOK"] = str(WORKBOOKS / item.path.parent.name / item.path.stem)
