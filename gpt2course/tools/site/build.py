"""Build the site: `python -m gpt2course site`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from gpt2course.tools.site.execute import ROOT, execute

HERE = Path(__file__).parent
WORK = ROOT / "build" / "site"
MARK = "objects.inv"  # Sphinx writes it into every site


def build_site(out: Path, lessons: Collection[str] | None = None, work: Path = WORK) -> None:
    """Build the whole site.

    Args:
        out: the folder to write; it must be new or empty, or hold a site, which is replaced.
        lessons: what to execute, such as ["06_masking"]; all by default. Any other lesson shows
            the outputs that `work` holds of it, or none.
        work: where outputs are kept for the next build.

    Raises:
        ValueError: `out` holds something else, the lessons or the packages of the extra `site`
            are not here, or Sphinx found a fault.
    """
    from gpt2course.tools.site import pages

    _require(out)
    started = time.monotonic()
    chosen = [one for one in pages.all_lessons() if lessons is None or one in lessons]
    execute(chosen, work)
    copy_explorer = _explorer()
    source, html = work / "source", work / "html"
    for folder in source, html:
        shutil.rmtree(folder, ignore_errors=True)
    (source / "docs").mkdir(parents=True)
    pages.write_pages(source, work, copy_explorer is not None)
    _sphinx(source, html, work / "doctrees")
    if copy_explorer:
        copy_explorer(html / "explorer")
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(html, out)
    _report(out, time.monotonic() - started)


def _require(out: Path) -> None:
    missing = [
        name for name in ("sphinx", "myst_nb", "furo", "nbclient") if find_spec(name) is None
    ]
    if missing:
        raise ValueError(
            f"the site needs {missing[0]}, which is not installed; install it with: "
            "pip install -c constraints.txt -e '.[course,site]'"
        )
    if not (ROOT / "solutions").is_dir():
        raise ValueError(
            f"the site is built from the lessons, but {ROOT} has no solutions/; "
            "build it in the course's folder"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} must be a folder, but is a file; give another --out")
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise ValueError(
            f"{out} must be new, empty, or an earlier site, since it is replaced, but holds "
            "something else; give another --out"
        )


def _explorer():
    """The function that copies the model in the page to a folder, where there is one."""
    try:
        from gpt2course.tools.site import copy_explorer
    except ImportError:
        return None
    return copy_explorer


def _sphinx(source: Path, html: Path, doctrees: Path) -> None:
    """Run Sphinx; a warning, such as a link that leads nowhere, is an error."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(HERE), "-d", str(doctrees)]
    command += ["-q", "-W", "--keep-going", "-j", "2", str(source), str(html)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": path})
    if ran.returncode:
        raise ValueError("the pages must build without a warning; mend what Sphinx says above")


def _report(out: Path, seconds: float) -> None:
    sizes = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    pages = {path: size for path, size in sizes.items() if path.suffix == ".html"}
    largest = max(pages, key=lambda page: pages[page])
    print(
        f"{out / 'index.html'}: {len(pages)} pages, {sum(sizes.values()) / 1e6:.1f} MB in "
        f"{seconds:.0f} s; the largest page is {largest.relative_to(out)}, "
        f"{pages[largest] / 1e6:.1f} MB"
    )
