"""What a lesson calls: `check`, and `require_passed` in a solution."""

from __future__ import annotations

import ast
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from gpt2course.checks import engine
from gpt2course.checks.card import Card
from gpt2course.checks.compare import short_repr
from gpt2course.checks.result import Result
from gpt2course.learner import workbook

_last: dict[str, Result] = {}
_refused: Counter[str] = Counter()  # how often an exercise was not right, since it last was
_no_python_yet: set[str] = set()  # of which the last cell that ran could not be read
REFUSALS = 2  # before the card offers the first hint; each further one brings the next


def check(answer: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    """Check an answer, show a card, and return the function to go on with.

    That is the answer itself where it passes (it is then kept in the workbook), and the
    package's own component where it does not, so that the notebook always runs on.

    Args:
        answer: the function or class; its name says which exercise it answers.
        name: the exercise, where the function has another name.

    Raises:
        TypeError: `answer` is no function and no name was given.
        ValueError: there is no exercise of that name.
        AssertionError: it does not pass, and the environment variable GPT2COURSE_STRICT is 1: so
            nbval and nbgrader's validate see what is not right.
    """
    exercise = engine.find(name or _name_of(answer))
    strict = os.environ.get("GPT2COURSE_STRICT") == "1"
    if answer is exercise.reference:
        first = "mend" if exercise.name in _no_python_yet else "run"
        return _packages_own(
            exercise.name,
            f"{exercise.name} is the package's own here. To check yours, {first} the cell that "
            f"defines it{', run it' * (first == 'mend')}, then run this one.",
        )
    _no_python_yet.discard(exercise.name)
    result = _last[exercise.name] = engine.run(exercise.name, answer)
    _show(Card(result, _what_travels(result, answer), _hint(result)))
    if strict and not result.passed:
        raise AssertionError(result.message)
    return answer if result.passed else exercise.reference


def require_passed(name: str) -> None:
    """Raise AssertionError unless the last `check` of that exercise in this kernel passed."""
    engine.find(name)
    if name not in _last:
        raise AssertionError(f"{name} was not checked yet: run the cell of its check first")
    if not _last[name].passed:
        raise AssertionError(_last[name].message)


def _name_of(answer: Any) -> str:
    if not callable(answer):
        raise TypeError(
            f"check takes a function, got {short_repr(answer)}; "
            "give it the function itself, check(causal_mask), and not what it returns"
        )
    return getattr(answer, "__name__", type(answer).__name__)


def _hint(result: Result) -> int:
    """Which hint to offer, from 1; 0 for none."""
    name = result.name
    if result.passed:
        _refused.pop(name, None)
    elif result.status != "not_started":
        _refused[name] += 1
    return max(0, min(_refused[name] - REFUSALS + 1, len(result.exercise.steps)))


def _what_travels(result: Result, answer: Callable[..., Any]) -> str:
    name = result.name
    if not result.passed:
        travels = f"Until yours passes, {name} is the package's own, so that the notebook runs on."
        if workbook.path_of(name).exists():
            travels += " The answer of yours that passed before is still kept for later lessons."
        return travels
    kept = workbook.keep(name, answer)
    if kept.path is None:
        return f"{name} is yours in this notebook, but it was not kept: {kept.why_not}"
    place = f"{kept.path.parent.name}/{kept.path.name}"
    return f"From here on {name} is yours, in later lessons too; kept in {place}."


def _show(card: Card) -> None:
    if _in_notebook():
        from IPython.display import display

        display(card)
    else:
        print(card)


def _in_notebook() -> bool:
    return _shell() is not None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _packages_own(name: str, said: str) -> Any:
    """Say why, and go on with the package's component in place of the learner's."""
    if os.environ.get("GPT2COURSE_STRICT") == "1":
        raise AssertionError(said)
    print(said)
    return engine.find(name).reference


# --- a cell that is no Python, and a check of what was not defined ---

CHECK = re.compile(r"^(\w+) = check\(\1\)$", re.M)


def watch_syntax(shell: Any) -> None:
    """Let an exercise that is no Python give the package's component, so that the notebook runs on.

    The same where a check names a function that no cell has defined.

    Args:
        shell: IPython's.
    """
    if _mend not in shell.input_transformers_post:
        shell.input_transformers_post.append(_mend)


def _mend(lines: list[str]) -> list[str]:
    """The lines of a cell; in place of an exercise that is no Python, what says so.

    A check of a name that nothing defines says that too.
    """
    text = CHECK.sub(_defined_or_not, "".join(lines))
    lines = text.splitlines(keepends=True)
    try:
        compile(text, "your cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        names = [n for n in re.findall(r"^(?:def|class) (\w+)", text, re.M) if n in engine.names()]
        said = "".join(traceback.format_exception_only(error)).strip()
        instead = "".join(f"{name} = _no_python({name!r}, {said!r})\n" for name in names)
        bring = f"from {__name__} import no_python as _no_python\n"
        return [bring, instead] if names else lines
    return lines


def no_python(name: str, said: str) -> Any:
    """Show a syntax error, and return the package's component in place of the learner's."""
    _no_python_yet.add(name)
    said = f"{said}\n\nThis cell is no Python yet, so {name} is the package's own for now."
    return _packages_own(name, said)


def _defined_or_not(check_line: re.Match[str]) -> str:
    name, shell = check_line[1], _shell()
    if shell is None or name in shell.user_ns or name not in engine.names():
        return check_line[0]
    return f"from {__name__} import not_defined as _not_defined; {name} = _not_defined({name!r})"


def not_defined(name: str) -> Any:
    """Say that no cell has defined a function to check; return the package's component."""
    return _packages_own(
        name,
        f"No cell that ran has defined {name}, so it is the package's own for now. Run the cell "
        f"of the exercise first; the name in it has to stay {name}.",
    )


if shell := _shell():
    watch_syntax(shell)
