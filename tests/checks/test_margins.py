"""No verdict depends on the processor: right answers lie near, whatever the arithmetic.

Each kind of arithmetic is a process of its own, since torch chooses its kernels as it starts. The
wrong answers' margins are held in tests/lessons, in whatever arithmetic the tests run.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from gpt2course.tools.kill_table import FARTHEST_RIGHT

# A check runs on one of torch's threads, whatever the machine has; one kind sees that it does.
KINDS = [("default", "1"), ("avx2", "2"), ("avx512", "1")]


def right_answers(kind):
    cpu, threads = kind
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": cpu, "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", "gpt2course.tools.kill_table", "--right", "--json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.stderr == ""
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_right_answers_pass_by_a_wide_margin_in_every_kind_of_arithmetic(capsys):
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(KINDS, pool.map(right_answers, KINDS), strict=True))
    assert len({len(rows) for rows in found.values()}) == 1
    with capsys.disabled():
        for kind, rows in found.items():
            farthest = max(rows, key=lambda row: row["margin"])
            print(f"\n{kind}: {farthest['margin']:.2g} ({farthest['exercise']})", end="")
    for kind, rows in found.items():
        assert [row for row in rows if row["status"] != "passed"] == [], kind
        assert [row for row in rows if row["margin"] > FARTHEST_RIGHT] == [], kind
