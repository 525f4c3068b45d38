"""The source of the site, as Sphinx reads it: lessons, mistakes, the API, and the start page."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpt2course.checks.card import RECORD
from gpt2course.checks.room import EDITS, Section, sections
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.tower_map import tower
from gpt2course.drawing.twin import TO_PLAY
from gpt2course.tools.site.execute import PACKAGE, ROOT, cards, executed

HERE = Path(__file__).parent
NO_KERNEL = (
    '<div style="font-size:12px">It moves in the notebook: '
    '<a href="../index.html#start">get the course</a>.</div>'
)
WIDGET = "application/vnd.jupyter.widget-view+json"
LINKS = {  # what is a page elsewhere, by what README and the pages in docs/ point to
    "README.md": "index.md",
    "gpt2course/lessons": "mistakes/index.md",
    "gpt2course/course_model/README.md": "course_model.md",
}
SOLVED = """```{{note}}
The lesson is solved here, with every answer folded. To write the answers yourself,
[get the course](../index.md#start) and open `lessons/{lesson}.ipynb`.
```"""

MISTAKES = """# Mistakes by name

{total:,} mistakes that people make in the exercises. Each is a right answer with one thing wrong:
what stands left of an arrow was replaced by what stands right of it. An answer that makes the
mistake gets its card, which calls it by its name and says why it gives what it gives.

| lesson | exercises | mistakes |
|---|---|---|"""
EXPLORER = """```{raw} html
<p class="explorer"><a href="explorer/index.html">Open the Explorer</a> A small GPT-2 writes in your
browser, and every number inside it can be seen.</p>
```

```{image} docs/explorer.png
:alt: The Explorer: a text, what its last token reads, and the ten likeliest next tokens
:target: explorer/index.html
:width: 640px
```"""


def all_lessons() -> list[str]:
    """Every lesson that has a solution, such as "06_masking", in order."""
    return sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))


def write_pages(folder: Path, work: Path, explorer: bool) -> None:
    """Write all pages into an empty folder.

    Args:
        work: where outputs and cards are kept; a lesson without them is shown without.
        explorer: whether the site holds the model in the page.
    """
    lessons = all_lessons()
    for lesson in lessons:
        _write(folder / "lessons" / f"{lesson}.ipynb", json.dumps(_lesson(lesson, work)))
        _write(folder / "mistakes" / f"{lesson}.md", _mistakes(lesson, work))
    for path in sorted((ROOT / "docs").iterdir()):
        if path.suffix == ".md":
            _write(folder / "docs" / path.name, _without_remarks(path.read_text("utf-8")))
        elif path.suffix in (".png", ".svg"):
            shutil.copy(path, folder / "docs")
    course_model = (PACKAGE / "course_model" / "README.md").read_text("utf-8")
    _write(folder / "course_model.md", course_model)
    modules = _modules()
    for module in modules:
        _write(folder / "api" / f"{module}.md", _api(module))
    _write(folder / "api" / "index.md", _api_index(modules))
    _write(folder / "mistakes" / "index.md", _mistakes_index(lessons))
    _write(folder / "index.md", _start(folder, lessons, explorer))
    for path in [folder / "index.md", folder / "course_model.md", *(folder / "docs").glob("*.md")]:
        _mend_links(path, folder)


def _write(path: Path, text: str) -> None:
    # Links written as HTML, as in a folded answer; Sphinx sees to those in Markdown.
    text = re.sub(r"""(href=\\?["'][^"':]+)\.(?:ipynb|md)\b""", r"\1.html", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _raw(html: str) -> str:
    return f"``````{{raw}} html\n{html}\n``````"


def _without_remarks(text: str) -> str:
    """Without the remarks that say how a number is computed."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


# A lesson ---------------------------------------------------------------------------------------


def _lesson(lesson: str, work: Path) -> dict[str, Any]:
    """The solved notebook with its outputs, each answer folded below the stub it replaces."""
    notebook = executed(lesson, work) or _read(ROOT / "solutions" / f"{lesson}.ipynb")
    untouched = _read(ROOT / "lessons" / f"{lesson}.ipynb")
    stubs = {cell["id"]: "".join(cell["source"]) for cell in untouched["cells"]}
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            if cell["id"].startswith("exercise-"):
                stub = f"```python\n{stubs[cell['id']]}\n```"
                cells.append(_markdown(f"stub-{cell['id']}", stub))
            cell = _shown(cell)
        cells.append(cell)
    cells.insert(1, _markdown("solved", SOLVED.format(lesson=lesson)))
    metadata = {key: notebook["metadata"][key] for key in ("kernelspec", "language_info")}
    return notebook | {"cells": cells, "metadata": metadata}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _shown(cell: dict[str, Any]) -> dict[str, Any]:
    """A code cell as the page shows it: no markers, no hidden tests, no widgets, no bars."""
    source = re.sub(
        r"\n### BEGIN HIDDEN.*?### END HIDDEN TESTS", "", "".join(cell["source"]), flags=re.DOTALL
    )
    metadata: dict[str, Any] = {}
    if "### BEGIN SOLUTION" in source:
        source = re.sub(r"[ ]*### (BEGIN|END) SOLUTION\n?", "", source)
        prompts = {"code_prompt_show": "Show an answer", "code_prompt_hide": "Hide the answer"}
        metadata = {"tags": ["hide-input"], "mystnb": prompts}
    outputs = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    outputs = [output for output in outputs if WIDGET not in output.get("data", {})]
    for output in outputs:
        data = output.get("data", {})
        data.pop(RECORD, None)
        if "text/html" in data:
            html = "".join(data["text/html"])
            data["text/html"] = html.replace(
                TO_PLAY, "" if "gpt2course-frames" in html else NO_KERNEL
            )
    return cell | {"source": source.rstrip(), "metadata": metadata, "outputs": outputs}


# The catalogue of mistakes ----------------------------------------------------------------------


def _mistakes_index(lessons: list[str]) -> str:
    counts = {lesson: sum(map(len, _room(lesson).values())) for lesson in lessons}
    rows = [
        f"| [{_title(lesson)}]({lesson}.md) | {', '.join(f'`{name}`' for name in _room(lesson))} "
        f"| {counts[lesson]} |"
        for lesson in lessons
    ]
    about = MISTAKES.format(total=sum(counts.values()))
    return "\n".join([about, *rows, "", *_toctree(lessons)])


def _title(lesson: str) -> str:
    """The heading of the lesson, such as "06 · Masking"."""
    first = _read(ROOT / "lessons" / f"{lesson}.ipynb")["cells"][0]["source"]
    return "".join(first).splitlines()[0].removeprefix("# ")


def _room(lesson: str) -> dict[str, list[Section]]:
    return sections(PACKAGE / "lessons" / lesson[3:] / "mistakes.md")


def _mistakes(lesson: str, work: Path) -> str:
    drawn = cards(lesson, work)
    parts = [f"# Mistakes in {_title(lesson)}", f"[The lesson](../lessons/{lesson}.ipynb)"]
    for exercise, found in _room(lesson).items():
        parts.append(f"## `{exercise}`")
        for section in found:
            parts += _mistake(section, drawn.get(exercise, {}).get(section.title))
    return "\n\n".join(parts) + "\n"


def _mistake(section: Section, card: str | None) -> list[str]:
    """One mistake: its name, the edits that make it, what the learner is told, the card."""
    edits, said = [], []
    for _, text in section.paragraphs:
        lines = text.split("\n")
        if all(EDITS.fullmatch(line) for line in lines):
            edits += [f"- {line}" for line in lines]
        else:
            said.append(text)
    blocks = [f"```{language}\n{code}\n```" for _, language, code in section.blocks]
    parts = [f"### {section.title}", "\n".join(edits), *blocks, *said]
    if card:
        parts.append(_raw(f"<details><summary>The card</summary>{card}</details>"))
    return [part for part in parts if part]


# The API ----------------------------------------------------------------------------------------


def _modules() -> list[str]:
    """The modules that README shows to those who import the library, in its order."""
    table = _readme("For importers").split("\n### ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    return list(dict.fromkeys(["config", "tokenizer", *listed]))


def _api(module: str) -> str:
    return (
        f"# gpt2course.{module}\n\n```{{eval-rst}}\n.. automodule:: gpt2course.{module}\n"
        "   :members:\n```\n"
    )


def _said(module: str) -> str:
    """The first line of a module's docstring."""
    text = Path(find_spec(f"gpt2course.{module}").origin).read_text("utf-8")
    return ast.get_docstring(ast.parse(text)).split("\n")[0]


def _api_index(modules: list[str]) -> str:
    rows = [f"- [`gpt2course.{module}`]({module}.md): {_said(module)}" for module in modules]
    about = "What `pip install .` gives you to import, from its docstrings."
    return "\n".join(["# The library", "", about, "", *rows, "", *_toctree(modules)])


# The start page ---------------------------------------------------------------------------------


def _start(folder: Path, lessons: list[str], explorer: bool) -> str:
    text = (HERE / "start.md").read_text("utf-8")
    parts = {
        "folder": _folder(),
        "explorer": EXPLORER if explorer else "",
        "tower": _raw(tower().html),
        "attention": _raw(_attention().html),
        "start": _readme("Start"),
        "lessons": "## The lessons\n\n" + _readme("The lessons"),
        "check": "## A check names your mistake\n\n" + _readme("A check names your mistake"),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    docs = sorted(path.stem for path in (folder / "docs").glob("*.md"))
    trees = {
        "The lessons": [f"lessons/{lesson}" for lesson in lessons],
        "At hand": [f"docs/{name}" for name in docs],
        "Reference": ["mistakes/index", "api/index", "course_model"],
    }
    hidden = [line for caption, pages in trees.items() for line in _toctree(pages, caption)]
    return text + "\n" + "\n".join(hidden)


def _folder() -> str:
    """Where a reader gets the course: where GitHub builds the site, from the repository."""
    where = [os.environ.get(name) for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY")]
    if not all(where):
        return "the folder that this site was built from"
    url = "/".join(where)
    return f"the course's folder from [its repository]({url}), as a [zip]({url}/archive/HEAD.zip)"


def _mend_links(page: Path, folder: Path) -> None:
    """Make text of the links to files that are no pages, or lead them to the page about it."""

    def mended(match: re.Match[str]) -> str:
        target = page.parent / match[2]
        if target.exists():
            return match[0]
        about = LINKS.get(_between(folder, target))
        return f"[{match[1]}]({_between(page.parent, folder / about)})" if about else match[1]

    text = page.read_text("utf-8")
    text = re.sub(r"(?<!!)\[([^]]+)\]\(([^)#:]+)(?:#[^)]*)?\)", mended, text)
    page.write_text(text, encoding="utf-8")


def _between(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _readme(heading: str) -> str:
    """What README says under a heading."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return readme.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


def _attention() -> Picture:
    """What *it* reads in the head of the course model that finds its noun."""
    import torch

    from gpt2course.drawing.attention_maps import attention_lines
    from gpt2course.inspection import head_weights
    from gpt2course.model import GPT2
    from gpt2course.tokenizer import Tokenizer

    model, tokenizer = GPT2.from_pretrained("course"), Tokenizer.from_pretrained("course")
    layer, head = _read(PACKAGE / "course_model" / "card.json")["measured"]["it_head"]
    ids = [tokenizer.end_of_text, *tokenizer.encode("Mina watched the robot because it")]
    weights = head_weights(model, torch.tensor([ids]))[layer, head]
    pieces = [tokenizer.decode([i]) for i in ids]
    return attention_lines(pieces, weights, len(ids) - 1, f"layer {layer}, head {head}")


def _toctree(pages: list[str], caption: str = "") -> list[str]:
    about = [f":caption: {caption}"] if caption else []
    return ["```{toctree}", ":hidden:", *about, "", *pages, "```", ""]
