"""The table of what the checks catch. (That each row is as wanted is held in tests/lessons.)"""

import json

from gpt2course.tools import kill_table
from gpt2course.tools.kill_table import Row


def test_the_table_of_a_lesson_has_a_row_for_every_way_and_every_right_answer(capsys):
    assert kill_table.main(["00_welcome", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["exercise"] for row in rows} == {"shift_targets"}
    assert {row["status"] for row in rows if row["right"]} == {"passed"}
    assert "passed" not in {row["status"] for row in rows if not row["right"]}


def test_the_table_shows_a_mistake_that_slips_through_and_a_right_answer_that_is_far():
    slips = Row("06_masking", "causal_mask", "a slip", False, "passed", None, 0.5)
    far = Row("06_masking", "causal_mask", "far", True, "passed", None, 0.4)
    table = kill_table.as_markdown([slips, far])
    assert "0 are caught and 0 called by their own name" in table
    assert "| `causal_mask` | a slip | passed | **None** | 0.5 **close** |" in table
    assert "| `causal_mask` | far | passed |  | 0.4 **close** |" in table
