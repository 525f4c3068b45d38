"""What an instructor gets: two tables, class.html, and a page of feedback for each student."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from gpt2course.files import write_whole
from gpt2course.tools.grading import Mark, _safe, counts

# Letter, what it means, colour: told apart by the letter too, and in greys.
CELLS = {
    "passed": ("P", "passed", "#0072b2"),
    "failed": ("F", "not yet right", "#e69f00"),
    "error": ("E", "raises an error", "#d55e00"),
    "timeout": ("T", "stopped: time or memory", "#cc79a7"),
    "not_started": ("–", "not started", "#999999"),
    "missing": ("·", "not in the hand-in", "#cccccc"),
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
table {{ border-collapse: collapse }} th, td {{ padding: 2px 6px; text-align: center }}
thead th.exercise {{ writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  font-weight: normal }}
th[scope=row] {{ text-align: left; font-weight: normal; white-space: nowrap }}
td.mark {{ border: 1px solid #8884; font-weight: 700; color: #000; min-width: 1.4em }}
.wide {{ overflow-x: auto }} .bar {{ display: inline-block; height: .8em; background: #e69f00 }}
pre {{ white-space: pre-wrap }} small {{ opacity: .8 }}
.flag {{ box-shadow: inset 0 0 0 2px #000, inset 0 0 0 4px #fff }}
</style></head><body>
{body}
</body></html>
"""


def write_reports(marks: Sequence[Mark], out: Path, about: str) -> list[Path]:
    """Write everything; returns the files.

    Args:
        about: one sentence on what is not isolated, the first line of each report.
    """
    files = {
        out / "grades.csv": _csv(marks),
        out / "students.csv": _students(marks),
        out / "class.html": _class(marks, about),
    }
    students = list(dict.fromkeys(mark.student for mark in marks))
    for student in students:
        own = [mark for mark in marks if mark.student == student]
        files[out / "feedback" / f"{_safe(student)}.html"] = _feedback(student, own)
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        write_whole(path, text.encode())
    return list(files)


def _csv(marks: Sequence[Mark]) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["student", "lesson", "exercise", "status", "misconception", "flags"])
    for m in marks:
        flags = "; ".join(m.flags + m.notes)
        row = [m.student, m.lesson, m.exercise, m.status, m.misconception, flags]
        rows.writerow([_no_formula(cell) for cell in row])
    return text.getvalue()


def _students(marks: Sequence[Mark]) -> str:
    """A line for each student: how many answers passed, in each lesson and in all."""
    lessons = list(dict.fromkeys(m.lesson for m in marks))
    passed = Counter((m.student, m.lesson) for m in marks if m.status == "passed")
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["student", *lessons, "passed", "of"])
    for student in dict.fromkeys(m.student for m in marks):
        own = [passed[student, lesson] for lesson in lessons]
        whole = sum(m.student == student for m in marks)
        rows.writerow([_no_formula(student), *own, sum(own), whole])
    return text.getvalue()


def _no_formula(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _class(marks: Sequence[Mark], about: str) -> str:
    students = list(dict.fromkeys(mark.student for mark in marks))
    exercises = list(dict.fromkeys((mark.lesson, mark.exercise) for mark in marks))
    by = {(mark.student, mark.exercise): mark for mark in marks}
    lessons: dict[str, int] = {}
    for lesson, _ in exercises:
        lessons[lesson] = lessons.get(lesson, 0) + 1
    head = "".join(f'<th colspan="{n}">{escape(lesson)}</th>' for lesson, n in lessons.items())
    names = "".join(f'<th class="exercise" scope="col">{escape(e)}</th>' for _, e in exercises)
    rows = []
    for student in students:
        cells = "".join(_cell(by[student, exercise]) for _, exercise in exercises)
        passed = sum(by[student, exercise].status == "passed" for _, exercise in exercises)
        page = f'<a href="feedback/{escape(_safe(student))}.html">{escape(student)}</a>'
        rows.append(f'<tr><th scope="row">{page}</th>{cells}<td>{passed}</td></tr>')
    key = " ".join(
        f'<span style="background:{colour};color:#000;padding:0 .4em">{letter}</span> {meaning};'
        for letter, meaning, colour in CELLS.values()
    )
    said: dict[tuple[str, str], list[str]] = {}
    for mark in marks:
        if mark.flags or mark.notes:
            about_it = "; ".join(mark.flags + mark.notes)
            said.setdefault((mark.student, about_it), []).append(mark.exercise)
    body = [
        f"<p>{escape(about)}</p>",
        f"<h1>{len(students)} hand-ins, {len(exercises)} exercises</h1>",
        f"<p>{key} a frame in black and white: look at what is said below.</p>",
        f'<div class="wide"><table><thead><tr><th></th>{head}<th></th></tr>'
        f'<tr><th scope="col">student</th>{names}<th scope="col">passed</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>",
        "<h2>Mistakes that were made</h2>",
        *(_mistakes(marks, exercise) for _, exercise in exercises),
    ]
    if said:
        body.append("<h2>To be looked at</h2><p>This is for you to judge.</p><ul>")
        body += [
            f"<li>{escape(student)}, {escape(', '.join(names))}: {escape(about_it)}</li>"
            for (student, about_it), names in said.items()
        ]
        body.append("</ul>")
    return PAGE.format(title="The class", body="\n".join(body))


def _cell(mark: Mark) -> str:
    letter, meaning, colour = CELLS[mark.status]
    said = f"{mark.student}, {mark.exercise}: {meaning}"
    said += f", {mark.misconception}" if mark.misconception else ""
    looked_at = mark.flags + mark.notes
    said += f" ({'; '.join(looked_at)})" if looked_at else ""
    flag = " flag" if looked_at else ""
    return (
        f'<td class="mark{flag}" style="background:{colour}" title="{escape(said)}">{letter}</td>'
    )


def _mistakes(marks: Sequence[Mark], exercise: str) -> str:
    found = counts(marks, exercise)
    if not found:
        return ""
    who: dict[str, list[str]] = {name: [] for name in found}
    for m in marks:
        if m.exercise == exercise and m.misconception:
            who[m.misconception].append(m.student)
    whys = {m.misconception: m.why for m in marks if m.exercise == exercise and m.misconception}
    lines = [
        f"<li><b>{escape(name)}</b>, {n} <span class='bar' style='width:{n * 1.2:.1f}em'></span>"
        f"<br><small>{escape(whys[name])}<br>{escape(', '.join(who[name]))}</small></li>"
        for name, n in found.most_common()
    ]
    return f"<h3>{escape(exercise)}</h3><ul>{''.join(lines)}</ul>"


def _feedback(student: str, marks: Sequence[Mark]) -> str:
    body = [f"<h1>{escape(student)}</h1>"]
    lesson = ""
    for mark in marks:
        if mark.lesson != lesson:
            lesson = mark.lesson
            body.append(f"<h2>{escape(lesson)}</h2>")
        meaning = CELLS[mark.status][1]
        body.append(mark.card or f"<p><code>{escape(mark.exercise)}</code>: {meaning}</p>")
    notes = dict.fromkeys(note for mark in marks for note in mark.notes)
    body[1:1] = [f"<p>{escape(note)}</p>" for note in notes]
    return PAGE.format(title=escape(student), body="\n".join(body))
