"""What the checks catch, as a table: `python -m gpt2course.tools.kill_table [LESSON]`.

Every way to make a known mistake is run as an answer, and every other right answer too. A mistake
is caught where it does not pass, and named where the card gives its own name. The margin is the
largest distance from the reference in tolerances: a right answer has at most 0.1, a wrong one 10 or
more (∞ where it differs in form), so that no verdict depends on the processor's arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from gpt2course.checks import engine
from gpt2course.checks.sandbox import TIME_LIMIT

FARTHEST_RIGHT, NEAREST_WRONG = 0.1, 10.0


@dataclass(frozen=True)
class Row:
    """One way to make a mistake, or one right answer, as the checks see it."""

    lesson: str
    exercise: str
    answer: str
    right: bool
    status: str
    named: str | None  # the mistake that the card names
    margin: float

    @property
    def as_wanted(self) -> bool:
        if self.right:
            return self.status == "passed"
        return self.status in ("failed", "error", "timeout") and self.named == self.answer

    @property
    def clear(self) -> bool:
        """Whether the verdict has a margin on the right side."""
        return self.margin <= FARTHEST_RIGHT if self.right else self.margin >= NEAREST_WRONG


def rows(
    names: Sequence[str], only_right: bool = False, patience: float = TIME_LIMIT
) -> Iterator[Row]:
    """Run everything that is listed for these exercises.

    Args:
        names: of exercises.
        only_right: leave out the mistakes.
        patience: seconds of computing for a right answer.
    """
    for name in names:
        exercise = engine.find(name)
        listed = [("the reference", None, True)]
        listed += [(answer.title, answer.source, True) for answer in exercise.right_answers]
        mistakes = [] if only_right else exercise.mistakes
        listed += [(m.name, way, False) for m in mistakes for way in m.ways]
        for title, source, right in listed:
            answer = exercise.build(source) if source else exercise.reference
            result = engine.run(name, answer, patience if right else TIME_LIMIT)
            yield Row(
                exercise.lesson, name, title, right,
                result.status, result.misconception, result.distance,
            )  # fmt: skip


def as_markdown(found: Sequence[Row]) -> str:
    """The rows as a table, with a line that counts them."""
    wrong, right = ([row for row in found if row.right is side] for side in (False, True))
    lines = [
        f"{len({row.exercise for row in found})} exercises. Of {len(wrong)} ways to make a known "
        f"mistake {sum(row.status != 'passed' for row in wrong)} are caught and "
        f"{sum(row.as_wanted for row in wrong)} called by their own name; of {len(right)} right "
        f"answers {sum(row.as_wanted for row in right)} pass. The farthest right answer lies at "
        f"{max((row.margin for row in right), default=0):.2g} tolerances, the nearest wrong one at "
        f"{min((row.margin for row in wrong), default=float('inf')):.3g}.",
        "",
        "| exercise | answer | status | named | margin |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        named = "" if row.as_wanted else f"**{row.named}**"
        mark = "" if row.clear else " **close**"
        lines.append(
            f"| `{row.exercise}` | {row.answer} | {row.status} | {named} | {row.margin:.2g}{mark} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a row is not as wanted or not clear."""
    parser = argparse.ArgumentParser("python -m gpt2course.tools.kill_table", description=__doc__)
    parser.add_argument("lesson", nargs="?", metavar="LESSON", help="such as 06_masking (all)")
    parser.add_argument("--right", action="store_true", help="only the right answers")
    parser.add_argument("--json", action="store_true", help="one JSON object a row, not a table")
    options = parser.parse_args(argv)
    found = []
    for row in rows(engine.names(options.lesson), options.right):
        found.append(row)
        if options.json:
            print(json.dumps(asdict(row)), flush=True)
    if not options.json:
        print(as_markdown(found), end="")
    return 0 if all(row.as_wanted and row.clear for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
