"""Your own components where there are any, the package's where there are not.

    from gpt2course.mine import causal_mask, split_heads

gives each name from the workbook if an answer was kept there, and from the package if not. In a
notebook one line under the cell says whose they are.
"""

from __future__ import annotations

import sys
from typing import Any

from gpt2course.checks import engine
from gpt2course.learner import workbook
from gpt2course.learner.progress import my_progress

_asked: dict[str, bool] = {}  # name: is it the learner's? Since the last cell
_reports: list[str] = []


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name not in engine.names():
        raise AttributeError(
            f"gpt2course.mine has no component {name!r}; there are {engine.names()}"
        )
    own = workbook.load(name, _report)
    if not workbook.is_loading():  # and not merely what another part leans on
        _announce_after_this_cell()
        _asked[name] = own is not None
    return engine.find(name).reference if own is None else own


def __dir__() -> list[str]:
    return [*engine.names(), "summary"]


def summary() -> str:
    """Which components are yours, and which are the package's; each is checked once more."""
    state = my_progress()
    own = {name: status == "yours" for name, status in state.statuses.items()}
    return "\n".join([*state.reports, _sentence(own)])


def _sentence(own: dict[str, bool]) -> str:
    yours = [name for name, is_own in own.items() if is_own]
    ours = [name for name, is_own in own.items() if not is_own]
    parts = [f"{len(yours)} of {len(own)} parts are yours"]
    parts += [f"yours: {', '.join(yours)}"] * bool(yours)
    parts += [f"the package's: {', '.join(ours)}"] * bool(ours)
    return "; ".join(parts)


def _report(sentence: str) -> None:
    if not _shell():
        print(sentence, file=sys.stderr)
    elif sentence not in _reports:
        _reports.append(sentence)


def _reports_so_far() -> list[str]:
    reports = list(_reports)
    _reports.clear()
    return reports


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _announce_after_this_cell() -> None:
    shell = _shell()
    if shell and not _asked:
        shell.events.register("post_run_cell", _announce)


def _announce(*_: Any) -> None:
    _shell().events.unregister("post_run_cell", _announce)
    print("\n".join([*_reports_so_far(), _sentence(_asked)]))
    _asked.clear()
