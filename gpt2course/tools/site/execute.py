"""What the pages show is computed here: outputs of the lessons, cards of the known mistakes.

Each is kept in a file whose name holds a hash of everything that it depends on, so that only what
has changed is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gpt2course.files import write_whole

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "gpt2course"
JOBS = 2  # each with one thread
CELL_TIMEOUT = 600  # seconds


@cache
def _shared() -> bytes:
    """A hash of what every lesson uses: the package without its tools and the lessons' rooms."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        own = path.relative_to(PACKAGE).parts
        elsewhere = own[0] == "tools" or (own[0] == "lessons" and len(own) > 2)
        if path.is_file() and not elsewhere and "__pycache__" not in own:
            found.update(path.read_bytes())
    return found.digest()


def _kept(lesson: str, kind: str, work: Path) -> Path:
    """Where the outputs or the cards of a lesson ("06_masking") are kept."""
    found = hashlib.sha256(_shared())
    room = PACKAGE / "lessons" / lesson[3:]
    for path in [*sorted(room.glob("*.*")), ROOT / "solutions" / f"{lesson}.ipynb"]:
        found.update(path.read_bytes())
    return work / "kept" / f"{lesson}-{kind}-{found.hexdigest()[:16]}.json"


def executed(lesson: str, work: Path) -> dict[str, Any] | None:
    """The solved notebook with its outputs; None where it was not executed since it changed."""
    return _read(_kept(lesson, "outputs", work))


def cards(lesson: str, work: Path) -> dict[str, dict[str, str]]:
    """The HTML of the cards by exercise and mistake; none where they were not drawn."""
    return _read(_kept(lesson, "cards", work)) or {}


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def execute(lessons: Sequence[str], work: Path) -> None:
    """Execute these lessons and draw their cards, two at a time, where that was not done yet."""
    # The last lessons take longest; with them first, no process is idle at the end.
    asked = [(_outputs, lesson, _kept(lesson, "outputs", work)) for lesson in reversed(lessons)]
    asked += [(_cards, lesson, _kept(lesson, "cards", work)) for lesson in reversed(lessons)]
    asked = [one for one in asked if not one[2].exists()]
    if not asked:
        return
    with ProcessPoolExecutor(JOBS, get_context("spawn"), _one_thread) as pool:
        running = [pool.submit(_compute, *one) for one in asked]
        try:
            for done in tqdm(as_completed(running), "lessons and cards", len(running), leave=False):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported


def _compute(how: Callable[[str], Any], lesson: str, path: Path) -> None:
    result = how(lesson)
    for old in path.parent.glob(f"{path.name[:-22]}-*.json"):
        old.unlink()
    write_whole(path, json.dumps(result, ensure_ascii=False).encode())


def _outputs(lesson: str) -> dict[str, Any]:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4)
    settings = {"timeout": CELL_TIMEOUT, "store_widget_state": False, "kernel_name": "python3"}
    settings["extra_arguments"] = ["--IPKernelApp.log_level=ERROR"]
    with tempfile.TemporaryDirectory() as folder:
        own = {**os.environ, "GPT2COURSE_WORKBOOK": f"{folder}/my_gpt2", "GPT2COURSE_FRAMES": "1"}
        resources = {"metadata": {"path": str(ROOT / "solutions")}}
        NotebookClient(notebook, resources=resources, **settings).execute(env=own)
    return notebook


def _cards(lesson: str) -> dict[str, dict[str, str]]:
    from gpt2course import checks
    from gpt2course.checks.card import Card

    found: dict[str, dict[str, str]] = {}
    for name in checks.names(lesson):
        exercise = checks.find(name)
        for mistake in exercise.mistakes:
            result = checks.run(name, exercise.build(mistake.ways[0]))
            found.setdefault(name, {})[mistake.name] = Card(result, "")._repr_html_()
    return found
