"""Text <-> cells: py:percent through jupytext, without a header, the same byte for byte."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from jupytext.stringparser import StringParser

PERCENT = {"extension": ".py", "format_name": "percent"}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What jupytext keeps in a cell to write the same text again; of no use in a lesson.
LAYOUT = {"cell_marker", "lines_to_next_cell", "lines_to_end_of_cell_marker", "region_name"}
# What notebook programs leave in a cell, and nbgrader's part, which every build makes anew.
NOISE = {
    "autoscroll", "collapsed", "scrolled", "trusted", "execution", "ExecuteTime", "nbgrader",
    "jp-MarkdownHeadingCollapsed", "vscode", "colab", "outputId",
}  # fmt: skip
# What a solution's check cell ends with: nbgrader grades by it and leaves it out of a release.
HIDDEN_TEST = """
### BEGIN HIDDEN TESTS
from gpt2course import require_passed

require_passed("NAME")
### END HIDDEN TESTS"""
ANY_HIDDEN_TEST = re.compile(re.escape(HIDDEN_TEST).replace("NAME", r"\w+") + r"\s*\Z")
# JupyterLab opens with these headings collapsed, however they were left when it saved.
DEEPER = re.compile(r"#{1,6} Deeper:")
COLLAPSED = {"jp-MarkdownHeadingCollapsed": True}


@dataclass(frozen=True)
class Region:
    """Lines begin..end of a cell, from 0, the two markers included."""

    indent: str
    begin: int
    end: int


@dataclass
class Cell:
    """One cell of a source; `line` is where its text begins in the file, from 1.

    `regions` and `name` (exercise-NAME or check-NAME) are filled by `lesson.inspect`.
    """

    kind: str
    source: str
    metadata: dict
    line: int = 1
    regions: list[Region] = field(default_factory=list)
    name: str = ""


def read_text(path: Path) -> str:
    r"""The file with line ends as "\n", whatever git made of them."""
    return path.read_bytes().decode().replace("\r\n", "\n")


def read_cells(text: str) -> list[Cell]:
    """The cells of a py:percent text."""
    cells = [
        Cell(cell.cell_type, cell.source, json.loads(json.dumps(cell.metadata)))
        for cell in jupytext.reads(text, fmt=PERCENT).cells
    ]
    heads, parser = [], StringParser("python")
    for number, line in enumerate(text.split("\n"), 1):
        if not parser.is_quoted() and re.match(r"\s*# %%+(\s|$)", line):
            heads.append(number)
            parser = StringParser("python")
        parser.read_line(line)
    if len(heads) == len(cells):
        for cell, head in zip(cells, heads, strict=True):
            cell.line = head + 1
    return cells


def write_text(cells: list[Cell]) -> str:
    """The py:percent text of these cells, without a header."""
    raw = [
        {"cell_type": c.kind, "source": c.source, "metadata": dict(sorted(c.metadata.items()))}
        | ({"execution_count": None, "outputs": []} if c.kind == "code" else {})
        for c in cells
    ]
    layout = {"notebook_metadata_filter": "-all", "cell_metadata_filter": "all"}
    about = {"kernelspec": KERNEL, "jupytext": layout}
    notebook = {"cells": raw, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return jupytext.writes(nbformat.from_dict(notebook), fmt=PERCENT)


def notebook_cells(notebook: dict) -> list[Cell]:
    """The cells of a notebook as a source would hold them: no outputs, tests or noise.

    A heading that begins with "Deeper:" is collapsed, and no other is.
    """
    cells = []
    for raw in notebook["cells"]:
        kind, source = raw["cell_type"], "".join(raw["source"])
        if kind == "code":
            source = ANY_HIDDEN_TEST.sub("", source)
        metadata = clean_metadata(raw["metadata"])
        if kind == "markdown" and DEEPER.match(source):
            metadata |= COLLAPSED
        cells.append(Cell(kind, source, metadata))
    return cells


def clean_metadata(metadata: dict) -> dict:
    """A cell's metadata without what notebook programs leave there by themselves."""
    kept = {key: value for key, value in metadata.items() if key not in NOISE}
    if isinstance(kept.get("jupyter"), dict):
        kept["jupyter"] = {k: v for k, v in kept["jupyter"].items() if k != "outputs_hidden"}
    defaults = {"editable": True, "deletable": True, "slideshow": {"slide_type": ""}}
    return {k: v for k, v in kept.items() if v not in ([], {}) and defaults.get(k) != v}
