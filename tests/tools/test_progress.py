"""The order of the tests, what counts as slow, and the line that says how far they are."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import progress
import pytest

TABLE = {"seconds": {"a.py": 3.0, "b.ipynb": 90.0}, "slow": ["b.ipynb::Cell 1", "a.py::test_p"]}
TESTS = ["a.py::test_o", "a.py::test_p[1]", "new.py::test_q", "b.ipynb::Cell 0", "b.ipynb::Cell 1"]


@pytest.fixture(autouse=True)
def table(monkeypatch, tmp_path):
    path = tmp_path / "durations.json"
    path.write_text(json.dumps(TABLE))
    monkeypatch.setattr(progress, "TABLE", path)
    monkeypatch.setattr(progress, "ROOT", tmp_path)
    return path


class Item:
    def __init__(self, nodeid):
        self.nodeid, self.markers = nodeid, []

    def add_marker(self, name):
        self.markers.append(name)


def test_long_files_come_first_on_a_worker_and_each_stays_whole():
    items = [Item(test) for test in TESTS]
    progress.pytest_collection_modifyitems(SimpleNamespace(workerinput={}), items)
    order = [3, 4, 2, 0, 1]
    assert [item.nodeid for item in items] == [TESTS[i] for i in order]


def test_what_the_table_names_is_slow_and_alone_keeps_its_order():
    items = [Item(test) for test in TESTS]
    progress.pytest_collection_modifyitems(SimpleNamespace(), items)
    assert [item.nodeid for item in items] == TESTS
    assert [test for test, item in zip(TESTS, items, strict=True) if item.markers == ["slow"]] == [
        "a.py::test_p[1]",
        "b.ipynb::Cell 1",
    ]


def ended(test, failed=False):
    return SimpleNamespace(nodeid=test, failed=failed, when="teardown", duration=2.5)


def test_time_left_is_what_the_table_says_at_the_pace_of_this_run(monkeypatch, capsys):
    terminal = SimpleNamespace(write_line=lambda line, **_: print(line))
    monkeypatch.setattr(progress, "terminal_of", lambda _: terminal)
    monkeypatch.setattr(progress.Progress, "tell", lambda _: None)
    said = progress.Progress(SimpleNamespace(option=SimpleNamespace(numprocesses=2)))
    said.pytest_xdist_node_collection_finished(TESTS)
    assert said.line(0) == "[  0%] 0 of 5 tests, about 0:49 left "  # 98 s, two at a time
    said.pytest_runtest_logreport(ended(TESTS[3]))
    assert said.line(20) == "[ 46%] 1 of 5 tests, about 0:25 left "
    assert said.line(150) == "[ 46%] 1 of 5 tests, about 1:46 left "
    said.pytest_runtest_logreport(ended(TESTS[4], failed=True))
    assert "FAILED b.ipynb::Cell 1" in capsys.readouterr().out
    assert said.line(45) == "[ 92%] 2 of 5 tests, 1 failed, about 0:04 left "


def test_a_recording_keeps_what_did_not_run_and_drops_files_that_are_gone(table, tmp_path):
    for name in ("a.py", "new.py"):
        (tmp_path / name).write_text("")
    recorder = progress.Recorder()
    for test in ["new.py::test_q[1]", "new.py::test_q[2]", "new.py::test_r"]:
        recorder.pytest_runtest_logreport(ended(test))
    recorder.pytest_sessionfinish()
    assert json.loads(table.read_text()) == {
        "seconds": {"a.py": 3.0, "new.py": 7.5},
        "slow": ["a.py::test_p", "new.py::test_q", "new.py::test_r"],
    }


def test_slow_tests_are_left_out_where_that_is_asked():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-m", "not slow"]
    ran = subprocess.run(
        [*command, "tests/checks/test_margins.py", "-k", "in_every_kind_of_arithmetic"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert "1 deselected" in ran.stdout and "test_right_answers" not in ran.stdout
