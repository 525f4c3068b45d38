"""The page at the end: what was built, when and by whom. One HTML file that needs no network."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from html import escape
from pathlib import Path

from gpt2course.checks import engine
from gpt2course.files import write_whole
from gpt2course.learner import workbook
from gpt2course.learner.assemble import Assembled
from gpt2course.lessons.your_gpt2.figures import built

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 860px;
       margin: 2em auto; padding: 0 1em }
h1 { margin-bottom: 0 } h2 { margin-top: 1.6em } .by { font-size: 18px; margin-top: .3em }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: 2px 10px 2px 0;
       border-bottom: 1px solid #ddd; vertical-align: top } .mine { background: #fff3bf }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .7em 1em; border-radius: 6px }
@media print { body { margin: 0; max-width: none } tr, svg, pre { break-inside: avoid }
       * { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
"""


def write_page(assembled: Assembled, wrote: str, examined: str, by: str = "") -> Path:
    """Write my_gpt2/gpt2.html and return its path.

    Args:
        wrote: a text that the one file wrote, prompt and all.
        examined: what the exam said, as `exam.examine` words it.
        by: the learner's name; without one a line is left to write it on.
    """
    path = assembled.path.with_suffix(".html")
    write_whole(path, _page(assembled, wrote, examined, by).encode())
    return path


def _page(assembled: Assembled, wrote: str, examined: str, by: str) -> str:
    own = {part.name: part.own for part in assembled.parts}
    picture = built(own, {part.name: part.lesson for part in assembled.parts})
    who = escape(by.strip()) or "_" * 32
    mine, all_of_them = len(assembled.own), len(assembled.parts)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>GPT-2, built piece by piece</title>
<style>{STYLE}</style></head>
<body>
<h1>GPT-2, built piece by piece</h1>
<p class="by">by {who}, {date.today():%d %B %Y}: {mine} of {all_of_them} parts</p>
{picture.html}
<h2>It writes</h2>
<pre>{escape(wrote)}</pre>
<h2>The exam: stage by stage against the package</h2>
<pre>{escape(examined)}</pre>
<h2>Built, and when</h2>
<table><tr><th>lesson</th><th>part</th><th>passed</th><th>in gpt2.py</th></tr>
{"".join(_rows(assembled))}</table>
</body></html>
"""


def _rows(assembled: Assembled) -> list[str]:
    """A row for each exercise that passed, in the order of the course."""
    place: dict[str, str] = defaultdict(str)
    place |= {part.name: "yes" if part.own else "the package's" for part in assembled.parts}
    rows = []
    for name in workbook.kept_names():
        when = datetime.fromtimestamp(workbook.path_of(name).stat().st_mtime)
        look = ' class="mine"' if place[name] == "yes" else ""
        lesson = engine.find(name).lesson.replace("_", " ")
        rows.append(
            f"<tr{look}><td>{lesson}</td><td>{name}</td><td>{when:%Y-%m-%d}</td>"
            f"<td>{place[name]}</td></tr>\n"
        )
    return rows or ["<tr><td colspan='4'>nothing yet: all parts are the package's</td></tr>\n"]
