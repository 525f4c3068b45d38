"""Checks of the exercises: what is tried, which mistakes are known, what else is right.

from gpt2course import checks
checks.names()                              # every exercise, in course order
result = checks.run("causal_mask", answer)  # no display, nothing kept
result.status, result.misconception, result.message
"""

from gpt2course.extras import require_course

require_course()

from gpt2course.checks.engine import faults, find, names, run  # noqa: E402
from gpt2course.checks.result import Result  # noqa: E402

__all__ = ["Result", "faults", "find", "names", "run"]
