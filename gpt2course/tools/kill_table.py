"""Every misconception run as an answer, as a table: `python -m gpt2course.tools.kill_table FILE`.

A mistake is caught where it does not pass, and named where the card gives its own name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpt2course.checks import engine
from gpt2course.checks.mistakes import fresh
from gpt2course.files import write_whole


@dataclass(frozen=True)
class Row:
    """One misconception, or another right answer, as the checks see it."""

    lesson: str
    exercise: str
    answer: str
    status: str
    named: str | None  # the mistake that the card names
    wanted: str  # "caught" or "passed"

    @property
    def as_wanted(self) -> bool:
        if self.wanted == "passed":
            return self.status == "passed"
        return self.status != "passed" and self.named == self.answer


def rows() -> list[Row]:
    """Run everything that is listed."""
    found = []
    for exercise in engine.exercises().values():
        listed = [(m.name, fresh(m.answer), "caught") for m in exercise.misconceptions]
        listed += [(o.name, o.answer, "passed") for o in exercise.other_answers]
        for name, answer, wanted in listed:
            result = engine.run(exercise.name, answer)
            row = Row(
                exercise.lesson, exercise.name, name, result.status, result.misconception, wanted
            )
            found.append(row)
    return found


def as_markdown(found: list[Row]) -> str:
    """The table as it stands in the repository."""
    caught = [row for row in found if row.wanted == "caught"]
    right = [row for row in found if row.wanted == "passed"]
    lines = [
        "# What the checks catch",
        "",
        "Made by `python -m gpt2course.tools.kill_table tests/kill_table.md`; a test keeps it so.",
        "",
        f"{len(engine.names())} exercises. Of {len(caught)} known mistakes "
        f"{sum(row.status != 'passed' for row in caught)} are caught and "
        f"{sum(row.as_wanted for row in caught)} called by their own name; of {len(right)} other "
        f"right answers {sum(row.as_wanted for row in right)} pass.",
        "",
        "| lesson | exercise | mistake | caught | named |",
        "|---|---|---|---|---|",
        *(_line(row) for row in caught),
        "",
        "| lesson | exercise | other right answer | passes |",
        "|---|---|---|---|",
        *(f"| {r.lesson} | `{r.exercise}` | {r.answer} | {_yes(r.as_wanted)} |" for r in right),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    named = "yes" if row.as_wanted else f"**as {row.named}**" if row.named else "**no**"
    caught = _yes(row.status != "passed")
    return f"| {row.lesson} | `{row.exercise}` | {row.answer} | {caught} | {named} |"


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table to the file named, or to the terminal; 1 where a row is not as wanted."""
    parser = argparse.ArgumentParser("python -m gpt2course.tools.kill_table", description=__doc__)
    parser.add_argument("file", nargs="?", metavar="FILE", help="where the table goes (terminal)")
    file = parser.parse_args(argv).file
    found = rows()
    text = as_markdown(found)
    if file:
        write_whole(Path(file), text.encode())
    else:
        print(text, end="")
    return 0 if all(row.as_wanted for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
