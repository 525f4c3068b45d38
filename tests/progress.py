"""How far the tests are and what is left, from the seconds that each file took when last recorded.

`durations.json` names these seconds and the tests that took two or more. From it come the order
(long files first, so that no worker waits for another at the end), the marker `slow`, and the time
left. `--record-durations` brings it up to date with what ran.
"""

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("durations.json")
ROOT = TABLE.parents[1]
SLOW = 2.0  # seconds
UNKNOWN = 5.0  # seconds of a file that the table does not have
HEAD_START = 20.0  # seconds by which the table is believed, before this run's own pace is


def read_table() -> dict:
    return json.loads(TABLE.read_text(encoding="utf-8"))


def file_of(test: str) -> str:
    return test.partition("::")[0]


def function_of(test: str) -> str:
    return test.partition("[")[0]


def pytest_addoption(parser):
    parser.addoption("--record-durations", action="store_true", help="write tests/durations.json")


def pytest_configure(config):
    worker, alone = hasattr(config, "workerinput"), config.option.dist == "no"
    if not worker and config.option.record_durations:
        config.pluginmanager.register(Recorder())
    if not worker and not alone and config.option.verbose <= 0:
        config.pluginmanager.register(Progress(config))


@pytest.hookimpl(tryfirst=True)  # before pytest's own, which leaves out what is marked
def pytest_collection_modifyitems(config, items):
    table = read_table()
    slow, seconds = set(table["slow"]), table["seconds"]
    for item in items:
        if function_of(item.nodeid) in slow:
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -seconds.get(file_of(item.nodeid), UNKNOWN))


class Progress:
    """One line in place of pytest's dots: rewritten in a terminal, elsewhere one in ten seconds."""

    def __init__(self, config):
        self.config, self.workers = config, config.option.numprocesses or 1
        self.weights: dict[str, float] = {}
        self.done = self.tests = self.failed = 0
        self.over = threading.Event()

    def pytest_xdist_node_collection_finished(self, ids):
        if self.weights or not ids:
            return
        seconds, tests = read_table()["seconds"], Counter(map(file_of, ids))
        self.weights = {t: seconds.get(file_of(t), UNKNOWN) / tests[file_of(t)] for t in ids}
        self.started, self.terminal = time.monotonic(), terminal_of(self.config)
        threading.Thread(target=self.tell, daemon=True).start()

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self):
        category, _, word = yield
        return category, "", word

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed += 1
            terminal_of(self.config).write_line(f"\nFAILED {report.nodeid}", red=True)
        if report.when == "teardown":
            self.tests += 1
            self.done += self.weights.get(report.nodeid, 0)

    def pytest_sessionfinish(self):
        self.over.set()

    def tell(self):
        show = self.terminal.rewrite if self.terminal.isatty else self.terminal.write_line
        while not self.over.wait(0.5 if self.terminal.isatty else 10):
            show(self.line(time.monotonic() - self.started))

    def line(self, elapsed: float) -> str:
        whole = sum(self.weights.values())
        pace = (elapsed + HEAD_START) / (self.done + HEAD_START * self.workers)
        left = round(pace * max(whole - self.done, 0))
        line = f"[{self.done / whole:4.0%}] {self.tests} of {len(self.weights)} tests"
        line += f", {self.failed} failed" * bool(self.failed)
        return f"{line}, about {left // 60}:{left % 60:02} left "


def terminal_of(config):
    return config.pluginmanager.get_plugin("terminalreporter")


class Recorder:
    def __init__(self):
        self.files, self.tests = Counter(), Counter()

    def pytest_runtest_logreport(self, report):
        self.files[file_of(report.nodeid)] += report.duration
        self.tests[report.nodeid] += report.duration

    def pytest_sessionfinish(self):
        table = read_table()
        ran = {function_of(test) for test in self.tests}
        slow = {function_of(test) for test, seconds in self.tests.items() if seconds >= SLOW}
        seconds = table["seconds"] | {file: round(took, 1) for file, took in self.files.items()}
        table = {
            "seconds": {f: seconds[f] for f in sorted(seconds) if (ROOT / f).exists()},
            "slow": sorted(
                t for t in {*table["slow"]} - ran | slow if (ROOT / file_of(t)).exists()
            ),
        }
        TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
