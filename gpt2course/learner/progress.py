"""How far a learner is: which parts are theirs, which are the package's, and what is next."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from tqdm.auto import tqdm

from gpt2course.checks import engine
from gpt2course.learner import workbook

# What can be said of an exercise: its sign, the sign's colour, and words for somebody who listens.
SIGNS = {
    "yours": ("✓", "#2b8a3e", "yours"),
    "not passing": ("✗", "#e8590c", "kept, and does not pass"),
    "the package's": ("○", "#1971c2", "the package's"),
}


@dataclass(frozen=True)
class Progress:
    """The status of every exercise in course order, one of SIGNS, as a notebook shows it.

    reports has a sentence on each kept answer that can't be used.
    """

    statuses: dict[str, str]
    reports: list[str] = field(default_factory=list)

    @property
    def yours(self) -> list[str]:
        return [name for name, status in self.statuses.items() if status == "yours"]

    @property
    def next(self) -> str | None:
        """The first exercise that is not the learner's own; None where all are."""
        return next((n for n, status in self.statuses.items() if status != "yours"), None)

    @property
    def heading(self) -> str:
        return f"{len(self.yours)} of {len(self.statuses)} parts are yours"

    @property
    def what_is_next(self) -> str:
        if self.next is None:
            return "All of GPT-2 is yours."
        return f"Next: {self.next}, in lesson {engine.find(self.next).lesson}."

    def lessons(self) -> dict[str, list[str]]:
        """The exercises of each lesson."""
        found: dict[str, list[str]] = {}
        for name in self.statuses:
            found.setdefault(engine.find(name).lesson, []).append(name)
        return found

    def __repr__(self) -> str:
        wide = max(map(len, self.lessons()), default=0) + 2
        lines = [
            f"{lesson:<{wide}}" + "  ".join(f"{SIGNS[self.statuses[n]][0]} {n}" for n in names)
            for lesson, names in self.lessons().items()
        ]
        key = "   ".join(f"{sign} {words}" for sign, _, words in SIGNS.values())
        return "\n".join([*self.reports, self.heading, "", *lines, "", key, self.what_is_next])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left;white-space:nowrap">{lesson}</td>'
            f'<td style="text-align:left">{" ".join(map(self._part, names))}</td></tr>'
            for lesson, names in self.lessons().items()
        )
        reports = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.reports)
        summary = f'<summary style="cursor:pointer">{escape(self.heading)}</summary>'
        return (
            f"{reports}<details>{summary}<table>{rows}</table></details>"
            f"<div>{escape(self.what_is_next)}</div>"
        )

    def _part(self, name: str) -> str:
        sign, colour, words = SIGNS[self.statuses[name]]
        return (
            f'<span style="white-space:nowrap;margin-right:1em" title="{words}">'
            f'<span style="color:{colour}" aria-label="{words}">{sign}</span> '
            f"<code>{name}</code></span>"
        )


def my_progress() -> Progress:
    """Which parts are yours and which the package's. Every kept answer is checked once more."""
    reports: list[str] = []

    def report(sentence: str) -> None:
        if sentence not in reports:
            reports.append(sentence)

    kept = set(workbook.kept_names())
    statuses = dict.fromkeys(engine.names(), "the package's")
    names = [name for name in statuses if name in kept]
    for name in tqdm(names, "checking what you kept", leave=False, delay=2):
        own = workbook.load(name, report)
        passes = own is not None and engine.run(name, own).passed
        statuses[name] = "yours" if passes else "not passing"
        if own is not None and not passes:
            report(f"{workbook.path_of(name)} does not pass its check; check your answer again.")
    return Progress(statuses, reports)
