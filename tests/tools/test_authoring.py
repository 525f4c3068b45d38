"""The notebooks: what a source becomes, what is refused, and that no edit and no answer slips."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpt2course.tools.authoring import build as building
from gpt2course.tools.authoring import rooms
from gpt2course.tools.authoring.build import build, write
from gpt2course.tools.authoring.cells import Cell, notebook_cells, read_cells, write_text
from gpt2course.tools.authoring.command import main
from gpt2course.tools.authoring.leaks import size
from gpt2course.tools.authoring.lesson import STUB, cell_ids, parse

ROOT = Path(__file__).parents[2]
SOURCE = Path("solutions/05_sample.py")
SOLUTION, LESSON = SOURCE.with_suffix(".ipynb"), Path("lessons/05_sample.ipynb")

SAMPLE = '''\
# %% [markdown]
# # Self-attention
#
# *robot must obey*, $\\frac{q k^T}{\\sqrt{hs}}$ & <b>é</b> 😀
#
# ```python
# scores = q @ k.T
# ```

# %% slideshow={"slide_type": "slide"} tags=["nbval-skip"]
# %matplotlib inline
import math

# %%
scores = q @ k.T
text = """
# %% no cell
"""


# %%
def attention_scores(q, k):
    """Scaled scores."""
    ### BEGIN SOLUTION
    hs = q.shape[-1]
    return q @ k.transpose(-2, -1) / math.sqrt(hs)
    ### END SOLUTION


# %%
attention_scores = check(attention_scores)


# %%
class Attention:
    def __init__(self, n):
        ### BEGIN SOLUTION
        self.n = n + 1
        ### END SOLUTION

    def forward(self, x):
        y = x
        ### BEGIN SOLUTION
        return y - self.n
        ### END SOLUTION


# %% [raw]
# <raw> text
'''

EXERCISE = """\
# %%
def f(x, y):
    ### BEGIN SOLUTION
{answer}
    ### END SOLUTION

# %%{options}
{shown}
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder with one source, built."""
    monkeypatch.chdir(tmp_path)
    SOURCE.parent.mkdir()
    SOURCE.write_text(SAMPLE, encoding="utf-8")
    assert main([]) == 0
    return tmp_path


def faults_of(text: str) -> list[str]:
    return build(SOURCE, text).faults


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def save_as_jupyterlab_does(notebook: dict, path: Path) -> None:
    """A run, with a widget, saved: outputs, counts, versions and states that no source holds."""
    notebook = copy.deepcopy(notebook)
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] |= {"editable": True, "slideshow": {"slide_type": ""}} | cell["metadata"]
        cell["metadata"].setdefault("tags", [])
        if cell["cell_type"] == "code":
            cell["execution_count"] = number + 1
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hi\n"]}]
            cell["metadata"]["execution"] = {"iopub.execute_input": "2024-01-01T00:00:00Z"}
            cell["metadata"] |= {"collapsed": True, "jupyter": {"outputs_hidden": True}}
    notebook["metadata"]["language_info"]["version"] = "3.12.1"
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def cell_with(notebook: dict, words: str) -> dict:
    return next(cell for cell in notebook["cells"] if words in "".join(cell["source"]))


def files() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}


# what a lesson is


def test_a_lesson_has_one_line_to_replace_for_each_region_at_its_indentation(course):
    code = ["".join(c["source"]) for c in read(LESSON)["cells"] if c["cell_type"] == "code"]
    assert code[2] == f'def attention_scores(q, k):\n    """Scaled scores."""\n    {STUB}'
    assert code[4] == (
        f"class Attention:\n    def __init__(self, n):\n        {STUB}\n\n"
        f"    def forward(self, x):\n        y = x\n        {STUB}"
    )
    assert STUB == 'raise NotImplementedError("your turn")  # replace this line'


def test_a_check_of_the_solution_alone_has_the_hidden_test_that_nbgrader_takes(course):
    check = "attention_scores = check(attention_scores)"
    assert "".join(cell_with(read(LESSON), check)["source"]) == check
    assert "".join(cell_with(read(SOLUTION), check)["source"]) == (
        f"{check}\n### BEGIN HIDDEN TESTS\nfrom gpt2course import require_passed\n\n"
        'require_passed("attention_scores")\n### END HIDDEN TESTS'
    )


@pytest.mark.parametrize(
    "cell", ["x = check(g)", "g = check(g, 'f')", "check(g)", "if 1:\n    g = check(g)", "g = f(g)"]
)
def test_no_other_cell_has_a_hidden_test(cell):
    built = build(SOURCE, write_text([Cell("code", cell, {})]))
    assert built.faults == [] and "HIDDEN TESTS" not in built.solution


def test_a_solution_keeps_its_markers_and_a_lesson_has_none(course):
    solution, lesson = SOLUTION.read_text(encoding="utf-8"), LESSON.read_text(encoding="utf-8")
    assert solution.count("### BEGIN SOLUTION") == solution.count("### END SOLUTION") == 3
    for secret in ("###", "transpose", "require_passed", "self.n"):
        assert secret not in lesson


def test_built_notebooks_are_what_nbformat_4_5_would_write_without_outputs(course):
    for path in (SOLUTION, LESSON):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.display_name == "Python 3 (ipykernel)"
        assert notebook.metadata.kernelspec.name == "python3"
        assert dict(notebook.metadata.language_info) == {"name": "python"}
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert len(code) == 5
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
        assert (nbformat.writes(notebook) + "\n").encode() == path.read_bytes()


def test_tags_and_other_options_of_a_cell_are_in_both_notebooks(course):
    for path in (SOLUTION, LESSON):
        metadata = cell_with(read(path), "%matplotlib inline")["metadata"]
        assert metadata == {"slideshow": {"slide_type": "slide"}, "tags": ["nbval-skip"]}


def test_what_jupytext_notes_about_layout_stays_out_of_the_lesson():
    built = build(SOURCE, "# %%\nx = 1\n\n\n# %%\ny = 2\n")
    assert json.loads(built.solution)["cells"][0]["metadata"] == {"lines_to_next_cell": 2}
    assert json.loads(built.lesson)["cells"][0]["metadata"] == {}


DEEPER = "# %% [markdown] jp-MarkdownHeadingCollapsed=true\n# ## Deeper: more\n#\n# Skip it.\n"


def test_a_deeper_section_is_collapsed_in_both_notebooks():
    built = build(SOURCE, DEEPER)
    assert built.faults == []
    for notebook in (built.solution, built.lesson):
        (cell,) = json.loads(notebook)["cells"]
        assert cell["metadata"] == {"jp-MarkdownHeadingCollapsed": True}


def test_a_deeper_section_that_is_not_collapsed_is_refused_with_the_line_as_it_should_be():
    (fault,) = faults_of(DEEPER.replace(" jp-MarkdownHeadingCollapsed=true", ""))
    assert "should be '# %% [markdown] jp-MarkdownHeadingCollapsed=true'" in fault


@pytest.mark.parametrize("text", ["# ## More: less", "# Deeper: no heading", "# see ## Deeper: a"])
def test_no_other_cell_is_collapsed(text):
    (fault,) = faults_of(f"# %% [markdown] jp-MarkdownHeadingCollapsed=true\n{text}\n")
    assert "should be '# %% [markdown]'" in fault


@pytest.mark.parametrize("path", [SOLUTION, LESSON])
@pytest.mark.parametrize(
    ("begins", "metadata"),
    [("## Deeper", {}), ("## After", {"jp-MarkdownHeadingCollapsed": True})],
)
def test_a_heading_expanded_or_collapsed_and_saved_is_no_edit(course, path, begins, metadata):
    text = DEEPER + "\n# %% [markdown]\n# ## After\n"
    SOURCE.write_text(text, encoding="utf-8")
    assert main([]) == 0
    notebook = read(path)
    (cell,) = (c for c in notebook["cells"] if "".join(c["source"]).startswith(begins))
    cell["metadata"] = metadata
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert main([]) == 0  # built again, not refused as edited
    cells = read(path)["cells"]
    assert [c["metadata"] for c in cells] == [{"jp-MarkdownHeadingCollapsed": True}, {}]
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    assert SOURCE.read_text(encoding="utf-8") == text


def test_marked_cells_carry_nbgraders_metadata_and_no_others_do(course):
    for path in (SOLUTION, LESSON):
        found = [
            c["metadata"]["nbgrader"] for c in read(path)["cells"] if "nbgrader" in c["metadata"]
        ]
        plain = {"schema_version": 3, "locked": False, "task": False}
        answer = plain | {"solution": True, "grade": False}
        tests = plain | {"solution": False, "grade": True, "locked": True, "points": 1}
        assert found == [
            answer | {"grade_id": "exercise-attention_scores"},
            tests | {"grade_id": "check-attention_scores"},
            answer | {"grade_id": "exercise-Attention"},
        ]


@pytest.mark.parametrize(
    "cell, name",
    [
        ("def f(x):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION", "exercise-f"),
        ("### BEGIN SOLUTION\ndef g(x):\n    return 1\n### END SOLUTION", "exercise-g"),
        ("def a():\n    pass\n\nclass B:\n    def c(self):\n        def d():\n"
         "            ### BEGIN SOLUTION\n            return 1\n            ### END SOLUTION\n\n"
         "def z():\n    pass", "exercise-B"),
        ("@wraps(x)\nasync def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION",
         "exercise-f"),
        ("%%time\ndef f(x):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION",
         "exercise-f"),
    ],
)  # fmt: skip
def test_an_exercise_is_named_after_what_holds_it(cell, name):
    text = write_text([Cell("code", cell, {})])
    assert faults_of(text) == []
    for notebook in (build(SOURCE, text).solution, build(SOURCE, text).lesson):
        (only,) = json.loads(notebook)["cells"]
        assert only["id"] == only["metadata"]["nbgrader"]["grade_id"] == name


@pytest.mark.parametrize("call", ["check", "gpt2course.check"])
def test_a_check_is_named_after_what_it_checks(call):
    text = f"{EXERCISE.format(answer='    return 1', options='', shown=f'f = {call}(f)')}"
    for notebook in (build(SOURCE, text).solution, build(SOURCE, text).lesson):
        _, cell = json.loads(notebook)["cells"]
        assert cell["id"] == cell["metadata"]["nbgrader"]["grade_id"] == "check-f"


# ids


def test_every_cell_has_the_same_id_in_lesson_and_solution(course):
    ids = [[cell["id"] for cell in read(path)["cells"]] for path in (SOLUTION, LESSON)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0]) == 7
    assert ids[0][3:6] == [
        "exercise-attention_scores",
        "check-attention_scores",
        "exercise-Attention",
    ]


@pytest.mark.parametrize("where", range(8))
def test_an_inserted_cell_leaves_all_other_ids_as_they_are(where):
    cells = read_cells(SAMPLE)
    new = Cell("code", "a_new_cell = True", {})
    before = [c["id"] for c in json.loads(build(SOURCE, SAMPLE).lesson)["cells"]]
    text = write_text(cells[:where] + [new] + cells[where:])
    after = [c["id"] for c in json.loads(build(SOURCE, text).lesson)["cells"]]
    assert after[:where] + after[where + 1 :] == before
    assert after[where] not in before


def test_repeated_cells_get_different_ids():
    ids = cell_ids([Cell("code", "x", {}), Cell("markdown", "x", {}), Cell("code", "x", {})])
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-2"


def test_changing_an_answer_keeps_the_ids_of_its_cell(course):
    before = [cell["id"] for cell in read(SOLUTION)["cells"]]
    SOURCE.write_text(SAMPLE.replace("math.sqrt(hs)", "hs**0.5"), encoding="utf-8")
    assert main([]) == 0
    assert [cell["id"] for cell in read(SOLUTION)["cells"]] == before


# source -> notebook -> source

VARIETY = {
    "the sample": SAMPLE,
    "magics": "# %%\n# %matplotlib inline\n# !pip list\nx = 1\n# %timeit x\n\n# %%\n# %%time\nx\n",
    "bash": '# %% language="bash"\n# ls\n# echo "$HOME"\n\n# %%\n1\n',
    "triple quotes": "# %%\nx = '''\n# %% no cell\n\n# %x\n'''\ny = \"\"\"'\"\"\"\n\n# %%\n1\n",
    "markdown": "# %% [markdown]\n# \\* `` ` `` | a | \\\\ $$x_1$$ <!-- c --> \"\"\" ''' %x !y\n"
    "#\n#  two  \n# # %% head\n# ---\n# ~~~\n\n# %%\n1\n",
    "tags": '# %% tags=["a b"]\nx\n\n# %% [markdown] tags=["\\u00e9"]\n# h\n\n# %% a title\nz\n',
    "options": '# %% a="b\'" n=1 o={"k": [1, null]} t=true\nx\n',
    "empty lines": "# %%\n\nx = 1\n\n\n\n# %%\n\n\ny = 1\n# %%\nz = 1\n\n\n# %%\nw = 1\n\n\n",
    "empty cells": "# %%\n\n# %%\n\n# %% [markdown]\n#\n\n# %%\n",
    "empty lines in markdown": "# %% [markdown]\n#\n# a\n#\n\n# %%\n1\n",
    "raw": '# %% [raw] tags=["a"]\n# <b>\n#   %x\n\n# %% [raw]\n# a\n',
    "functions": "# %%\ndef f():\n    1\n\n\n# %%\ndef g():\n    2\n\n# %%\ng()\n\n\n# %%\nf()\n",
    "comments": "# %%\n# a comment\n# # twice\n#no space\n\n# %%\n#\nx = 1  # %x\n",
    "markdown as a string": '# %% [markdown]\n"""\nhi\n"""\n\n# %%\n1\n',
    "trailing spaces": "# %%\nx = 1  \n\n# %% [markdown]\n# a  \n# b\n",
    "indented code": "# %%\nif 1:\n    # %matplotlib inline\n    x = '\\n'\n",
    "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("text", VARIETY.values(), ids=VARIETY.keys())
def test_a_source_comes_back_from_its_notebook_byte_for_byte(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SOURCE.parent.mkdir()
    SOURCE.write_bytes(text.encode())
    assert main([]) == 0
    save_as_jupyterlab_does(read(SOLUTION), SOLUTION)
    SOURCE.unlink()
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    assert SOURCE.read_bytes() == text.encode()
    assert main(["--check"]) == 0


USUAL = st.sampled_from(["", "", "x = 1", "# a", "# %time x", "# %%", "# %% t", "f = lambda: 2"])
ODD = st.sampled_from([
    "#", "'''", '"""', "def f():", "    return 1", "# # %%", "# %% [markdown]", "%%time", "!ls",
    "# ls", "\ty", "### BEGIN SOLUTION", "### END SOLUTION", "class A:", "  ", "\\", "x = (", ")",
    "# ---", "a?", "# + x", "x\x0cy", "\u2028", "@f",
])  # fmt: skip
LINES = st.one_of(*[USUAL] * 7, ODD)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, max_size=12))
def test_any_text_is_refused_or_comes_back_byte_for_byte(lines):
    text = "# %%\n" + "".join(f"{line}\n" for line in lines)
    built = build(SOURCE, text)
    if not built.faults:
        assert write_text(notebook_cells(json.loads(built.solution))) == text
        nbformat.validate(nbformat.reads(built.solution, as_version=4))
        nbformat.validate(nbformat.reads(built.lesson, as_version=4))


CELLS = st.tuples(st.sampled_from(["code", "markdown", "raw"]), st.lists(LINES, max_size=4))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CELLS, max_size=5))
def test_any_notebook_is_refused_or_survives_as_a_source(tmp_path, monkeypatch, specs):
    monkeypatch.chdir(tmp_path)
    SOURCE.parent.mkdir(exist_ok=True)
    SOURCE.unlink(missing_ok=True)
    given = [{"cell_type": kind, "source": "\n".join(lines)} for kind, lines in specs]
    cells = [cell | {"metadata": {}} for cell in given]
    SOLUTION.write_text(json.dumps({"cells": cells, "metadata": {}}), encoding="utf-8")
    before = SOLUTION.read_bytes()
    if main(["--from-notebook", str(SOLUTION)]) == 0:
        built = [(c["cell_type"], "".join(c["source"]).rstrip()) for c in read(SOLUTION)["cells"]]
        assert built == [(c["cell_type"], c["source"].rstrip()) for c in given]
        assert main(["--check"]) == 0
    else:
        assert not SOURCE.exists()
        assert SOLUTION.read_bytes() == before


@pytest.mark.parametrize(
    "text, line, wanted",
    [
        ("# %%\n%matplotlib inline\n", 2, "'# %matplotlib inline'"),
        ("# %%\nx = 1", 2, "not as jupytext writes it"),
        ("x = 1\n\n# %%\ny\n", 1, "'# %%'"),
        ("# %%\nx\n\n#%%\ny\n", 4, "'# %%'"),
        ('# %% tags=["a"] slideshow={}\nx\n', 1, "slideshow"),
        ('# %% tags=["a"] n=1\nx\n', 1, "'# %% n=1 tags=[\"a\"]'"),
        ("# ---\n# jupyter:\n#   x: 1\n# ---\n\n# %%\nx\n", 1, "'# %%'"),
        ("# %% [markdown]\n# a\nb\n", 3, "'# b'"),
        ("# %%\nx = 'a\x0cb'\n", 2, "not as jupytext writes it"),
        ('# %% nbgrader={"grade": true}\nx\n', 1, "'# %%'"),
        ("# %%\nx = 1\n# why?\n", 2, "reads a comment such as"),
        ("# %%\n1\n\n# %%\n# cat x y\n", 5, "reads a comment such as"),
        ("# %%\nx = (\n", 2, "not Python"),
    ],
)
def test_a_source_that_would_not_come_back_is_refused_by_line(text, line, wanted):
    assert any(f"{SOURCE}:{line}: " in fault and wanted in fault for fault in faults_of(text))


def test_settings_of_jupytext_do_not_change_what_is_built(course):
    before = files()
    Path("jupytext.toml").write_text(
        'cell_metadata_filter = "-all"\ncell_markers = "region,endregion"\n'
    )
    Path("solutions/jupytext.toml").write_text(
        'formats = "ipynb,py:light"\ncomment_magics = false\n'
    )
    assert main(["--check"]) == 0
    assert {k: v for k, v in files().items() if not k.endswith("toml")} == before


# markers

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HIDE, SHOW = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
ANSWER = f"# %%\ndef f():\n    {BEGIN}\n    return 1\n    {END}\n"


@pytest.mark.parametrize(
    "body, line, words",
    [
        (f"# %%\ndef f():\n    {BEGIN}\n    return 1\n", 3, "BEGIN SOLUTION without its END"),
        (f"# %%\ndef f():\n    return 1\n    {END}\n", 4, "END SOLUTION without its BEGIN"),
        (f"# %%\nf = check(f)\n{HIDE}\nassert f\n{SHOW}\n", 3, "remove the hidden tests"),
        (f"# %%\nf = check(f)\n{SHOW}\n", 3, "remove the hidden tests"),
        (f"# %%\ndef f():\n    {BEGIN}\n    {BEGIN}\n    1\n    {END}\n", 4, "inside SOLUTION"),
        (f"# %% [markdown]\n# a\n# {BEGIN}\n", 3, "in a markdown cell"),
        ("# %% [markdown]\n# a\n#\n# Write BEGIN SOLUTION there.\n", 4, "is no marker"),
        (f"# %% [raw]\n# {BEGIN}\n", 2, "in a raw cell"),
        ("# %%\ndef f():\n    # BEGIN SOLUTION\n    1\n    # END SOLUTION\n", 3, "is no marker"),
        ("# %%\ndef f():\n    ### Begin solution\n    return 1\n", 3, "is no marker"),
        (f"# %%\ndef f():\n    {BEGIN} here\n    return 1\n    {END}\n", 3, "is no marker"),
        (f"# %%\ndef f():\n    return 1  {BEGIN}\n", 3, "is no marker"),
        (f"# %%\n1\n\n# %%\ndef f():\n    '''.'''\n    {BEGIN}\n    # a\n    {END}\n", 7,
         "without a statement"),
        (f"# %%\nx = 1\n{BEGIN}\ny = 2\n{END}\n", 3, "needs one function or class"),
        (f"{ANSWER}\n# %%\nf = check(f)\ng = check(g)\n", 8, "found ['f', 'g']"),
        (f"{ANSWER}\n# %%\ng = check(g)\n", 8, "check(g) stands under the exercise f"),
        (f"# %%\nf = check(f)\n\n{ANSWER}", 2, "check(f) stands above every exercise"),
        (f"# %%\ndef f():\n    {BEGIN}\n    return 1\n    {END}\n\n\n"
         f"def g():\n    {BEGIN}\n    return 1\n    {END}\n", 3, "found ['f', 'g']"),
        (f"{ANSWER}\n\nf = check(f)\n", 3, "check(f) in the exercise's own cell"),
        (f"# %%\ndef {'f' * 60}():\n    {BEGIN}\n    return 1\n    {END}\n", 3, "is no cell id"),
        (f"# %%\ndef é():\n    {BEGIN}\n    return 1\n    {END}\n", 3, "is no cell id"),
        (f"# %%\ndef f():\n    {BEGIN}\n    for i in x:\n        i\n    {END}\n        i\n", 2,
         "without the marked lines not Python"),
    ],
)  # fmt: skip
def test_a_marker_out_of_place_is_named_with_its_line(body, line, words):
    found = faults_of(body)
    assert any(f"{SOURCE}:{line}: " in fault and words in fault for fault in found), found


def test_a_line_like_a_cells_first_in_a_string_does_not_shift_the_lines_named():
    string = "# %%\nx = '''\n# %% no cell\n'''\n\n"
    (fault,) = faults_of(f"{string}# %%\ndef f():\n    {BEGIN}\n    return 1\n")
    assert fault.startswith(f"{SOURCE}:8: ")


def test_two_cells_of_one_name_are_refused():
    (fault,) = faults_of(f"{ANSWER}\n\n{ANSWER}")
    assert fault == f"{SOURCE}: exercise-f names 2 cells (lines 2, 9); rename one"


def test_a_faulty_source_writes_nothing_and_does_not_stop_the_others(course, capsys):
    SOURCE.write_text(SAMPLE.replace(END, ""), encoding="utf-8")
    other = Path("solutions/06_other.py")
    other.write_text("# %%\n1\n")
    before = SOLUTION.read_bytes(), LESSON.read_bytes()
    assert main([]) == 1
    assert f"{SOURCE}:" in capsys.readouterr().err
    assert (SOLUTION.read_bytes(), LESSON.read_bytes()) == before
    assert other.with_suffix(".ipynb").exists()
    assert main(["--check"]) == 1


# leaks

SCALED = "    return x @ y.transpose(-2, -1) / sqrt(d)"
LONG = "    s = x @ y.transpose(-2, -1) / sqrt(d)\n    return s.softmax(-1)"
ORDER = "    return sorted(x, key=lambda pair: (-y[pair], pair))"
LOOP = "    t = 0\n    for i in range(x):\n        t = t + y[i] * i\n    return t"


@pytest.mark.parametrize(
    "answer, shown",
    [
        (SCALED, "s = x @ y.transpose(-2, -1) / sqrt(d)"),
        (SCALED, "s = (x  @  y.transpose(-2,\n    -1)) / sqrt(d)  # scores"),
        (SCALED, "print((x @ y.transpose(-2, -1) / sqrt(d)).shape)"),
        (SCALED, "f2 = lambda x, y: x @ y.transpose(-2, -1) / sqrt(d)"),
        (SCALED, "scores = q @ k.transpose(-2, -1) / sqrt(hs)"),
        (SCALED, "# scores = x @ y.transpose(-2, -1) / sqrt(d)\n1"),
        (SCALED, "1  # x @ y.transpose(-2, -1) / sqrt(d)"),
        (SCALED, "%time z = 1\ns = x @ y.transpose(-2, -1) / sqrt(d)"),
        ("    return x[y]", "z = x[y]"),
        ("    return x @ y", "x @ y"),
        ("    z = x @ y\n    return z", "def g(x, y):\n    z = x @ y\n    return z"),
        ("    z = x @ y\n    return z", "z = x @ y\nz"),
        (LONG, "s = x @ y.transpose(-2, -1) / sqrt(d)"),
        (LONG, "def g(a, b):\n    c = a @ b.transpose(-2, -1) / sqrt(d)\n    return c.softmax(-1)"),
        (ORDER, "best = sorted(a, key=lambda b: (-c[b], b))"),
        (LOOP, "for i in range(x):\n    t = t + y[i] * i"),
        (LOOP, "def g(n, w):\n    for b in range(n):\n        a = a + w[b] * b\n    return a"),
        (LOOP, "if x:\n    pass\nelse:\n    for k in range(w):\n        u = u + v[k] * k"),
    ],
)  # fmt: skip
def test_a_lesson_that_shows_an_answer_is_refused(answer, shown):
    shown = shown.replace("%time", "# %time")
    (fault,) = faults_of(EXERCISE.format(answer=answer, options="", shown=shown))
    line = 7 + answer.count("\n")
    assert f"{SOURCE}:{line + 1}: gives away f: `" in fault
    assert "shows_solution=" in fault


@pytest.mark.parametrize(
    "answer, shown",
    [
        (LONG, "scores = q @ k.T\nweights = scores.softmax(-1)"),
        (LONG, "s.softmax(-1)"),
        (SCALED, "s = x @ y.transpose(-1, -2) / sqrt(d)"),
        (SCALED, "s = x @ y.transpose(-2, -1)"),
        (SCALED, "s = q @ q.transpose(-2, -1) / sqrt(hs)"),
        ("    return x[y]", "z = a[b]"),
        ("    return x", "y = x\nx"),
        ("    z = x @ y\n    return z", "z = x @ y\nprint(1)\nz"),
        ("    z = x @ y\n    return z", "w = a @ b\nw"),
        (LOOP, "for i in range(x):\n    t = t + y[i]"),
    ],
)
def test_the_pieces_an_answer_is_made_of_may_be_shown(answer, shown):
    assert faults_of(EXERCISE.format(answer=answer, options="", shown=shown)) == []


@pytest.mark.parametrize(
    "block",
    [
        "# ```python\n# s = x @ y.transpose(-2, -1) / sqrt(d)\n# ```",
        "# ```\n# s = x @ y.transpose(-2, -1) / sqrt(d)\n# ```",
        "# ~~~py\n# s = x @ y.transpose(-2, -1) / sqrt(d)\n# ~~~",
        "# - a\n#\n#   ```python\n#   s = x @ y.transpose(-2, -1) / sqrt(d)\n#   ```",
        "# ```pycon\n# >>> s = x @ y.transpose(-2, -1) / sqrt(d)\n# 3\n# ```",
        "# ```python\n# s = x @ y.transpose(-2, -1) / sqrt(d)",
        "# ```python\n# 1\n# ```\n#\n# ```python\n# q @ k.transpose(-2, -1) / sqrt(d)\n# ```",
    ],
)
def test_a_fenced_block_that_shows_an_answer_is_refused(block):
    (fault,) = faults_of(EXERCISE.format(answer=SCALED, options=" [markdown]", shown=block))
    assert "gives away f: `x @ y.transpose(-2, -1) / sqrt(d)`" in fault


def test_a_python_block_that_cannot_be_compared_is_refused():
    block = "# ```python\n# return x @ ...y...\n# ```"
    (fault,) = faults_of(EXERCISE.format(answer=SCALED, options=" [markdown]", shown=block))
    assert "does not parse" in fault and "```text" in fault
    block = block.replace("```python", "```text")
    assert faults_of(EXERCISE.format(answer=SCALED, options=" [markdown]", shown=block)) == []


def test_one_exercise_may_not_show_the_answer_of_another():
    given_away = (
        f"def g(x, y):\n    z = x @ y.transpose(-2, -1) / sqrt(d)\n    {BEGIN}\n    return -z\n"
    )
    text = EXERCISE.format(answer=SCALED, options="", shown=f"{given_away}    {END}")
    (fault,) = faults_of(text)
    assert "gives away f" in fault


def test_an_answer_shown_on_purpose_is_listed_with_its_reason(course, capsys):
    options = ' shows_solution="the ladder ends here"'
    text = EXERCISE.format(
        answer=SCALED, options=options, shown="x @ y.transpose(-2, -1) / sqrt(d)"
    )
    SOURCE.write_text(text)
    assert main([]) == 0
    capsys.readouterr()
    assert main(["--check"]) == 0
    out = capsys.readouterr().out
    assert f"{SOURCE}:8: shows f on purpose: the ladder ends here" in out
    assert "1 shown on purpose, 0 faults" in out
    assert "shows_solution" in SOLUTION.read_text() and "shows_solution" not in LESSON.read_text()


@pytest.mark.parametrize("reason", ["", "yes"])
def test_an_answer_shown_without_a_reason_is_refused(reason):
    text = EXERCISE.format(
        answer=SCALED,
        options=f' shows_solution="{reason}"',
        shown="x @ y.transpose(-2, -1) / sqrt(d)",
    )
    assert any("without a reason" in fault for fault in faults_of(text))


def test_a_reason_for_a_cell_that_shows_nothing_is_refused():
    options = ' shows_solution="the ladder ends here"'
    (fault,) = faults_of(EXERCISE.format(answer=SCALED, options=options, shown="x @ y"))
    assert "shows no answer; remove shows_solution" in fault


@pytest.mark.parametrize(
    "code, nodes",
    [("q @ k.T", 4), ("wte[idx]", 3), ("x", 1), ("-x", 2), ("f(x, k=1)", 5), ("a < b and c", 5),
     ("q @ k.transpose(-2, -1) / sqrt(hs)", 13)],
)  # fmt: skip
def test_nodes_are_counted_as_documented(code, nodes):
    assert size(parse(code).body[0].value) == nodes


# --check


def test_check_of_a_clean_course_is_one_line_of_counts(course, capsys):
    capsys.readouterr()
    assert main(["--check"]) == 0
    out, err = capsys.readouterr()
    assert out == "1 sources, 2 notebooks, 2 exercises, 0 shown on purpose, 0 faults\n"
    assert err == ""


def test_check_writes_nothing(course):
    SOURCE.write_text(SAMPLE + "\n# %%\n2\n", encoding="utf-8")
    LESSON.unlink()
    before = files()
    assert main(["--check"]) == 1
    assert files() == before


@pytest.mark.parametrize("path", [SOLUTION, LESSON])
def test_any_changed_byte_of_a_notebook_is_found(course, capsys, path):
    built = path.read_bytes()
    for place in range(0, len(built), 23):
        other = b"x" if built[place : place + 1] != b"x" else b"y"
        path.write_bytes(built[:place] + other + built[place + 1 :])
        capsys.readouterr()
        assert main(["--check"]) == 1, place
        assert str(path) in capsys.readouterr().err
    path.write_bytes(built + b"\n")
    assert main(["--check"]) == 1
    path.write_bytes(built)
    assert main(["--check"]) == 0


def test_an_edited_source_is_found(course, capsys):
    SOURCE.write_text(SAMPLE.replace("robot", "rabbit"), encoding="utf-8")
    assert main(["--check"]) == 1
    err = capsys.readouterr().err
    for path in (SOLUTION, LESSON):
        assert (
            f"{path}: stale, not what {SOURCE} gives; run `python -m gpt2course.tools.authoring`"
            in err
        )
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_an_edit_of_an_answer_alone_leaves_the_lesson_as_it_is(course, capsys):
    SOURCE.write_text(SAMPLE.replace("n + 1", "n + 2"), encoding="utf-8")
    assert main(["--check"]) == 1
    err = capsys.readouterr().err
    assert f"{SOLUTION}: stale" in err and str(LESSON) not in err


@pytest.mark.parametrize("path", [SOLUTION, LESSON])
def test_a_missing_notebook_is_found(course, capsys, path):
    path.unlink()
    assert main(["--check"]) == 1
    assert f"{path}: missing; run `python -m gpt2course.tools.authoring`" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["solutions", "lessons"])
def test_a_notebook_without_a_source_is_found(course, capsys, folder):
    orphan = Path(folder, "09_orphan.ipynb")
    orphan.write_bytes(LESSON.read_bytes())
    assert main(["--check"]) == 1
    assert f"{orphan}: no source solutions{os.sep}09_orphan.py" in capsys.readouterr().err
    assert main([]) == 0
    assert orphan.exists()


def test_a_leak_fails_the_check_even_where_the_notebooks_are_as_built(course, monkeypatch, capsys):
    text = SAMPLE + "\n# %%\nt = q @ k.transpose(-2, -1) / math.sqrt(hs)\n"
    SOURCE.write_text(text, encoding="utf-8")
    with monkeypatch.context() as blind:
        blind.setattr(building, "leaks", lambda cells: iter(()))
        assert main([]) == 0
        assert main(["--check"]) == 0
    assert main(["--check"]) == 1
    assert "gives away attention_scores" in capsys.readouterr().err
    assert main([]) == 1


def test_windows_line_ends_are_neither_stale_nor_rewritten(course):
    for path in (SOURCE, SOLUTION, LESSON):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = files()
    assert main(["--check"]) == 0
    assert main([]) == 0
    assert files() == before


def test_check_of_one_source_looks_at_no_other(course):
    Path("solutions/06_other.py").write_text("# %%\n1\n")
    Path("lessons/09_orphan.ipynb").write_bytes(LESSON.read_bytes())
    assert main(["--check"]) == 1
    assert main(["--check", str(SOURCE)]) == 0
    assert main(["--check", str(SOURCE.resolve())]) == 0


@pytest.mark.parametrize(
    "name", ["solutions/07_none.py", "solutions/none.py", "solutions/05_sample.ipynb", "05_x.py"]
)
def test_what_is_no_source_is_refused(course, capsys, name):
    assert main([name]) == 1
    assert "a source is solutions/NN_stem.py" in capsys.readouterr().err


def test_a_misnamed_source_is_found(course, capsys):
    Path("solutions/helper.py").write_text("# %%\n1\n")
    assert main(["--check"]) == 1
    assert "helper.py: a source is solutions/NN_stem.py" in capsys.readouterr().err


def test_outside_the_course_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 1
    assert "no folder solutions here" in capsys.readouterr().err


def test_a_source_in_another_encoding_is_refused(course, capsys):
    SOURCE.write_bytes("# %%\nx = 'é'\n".encode("latin-1"))
    assert main([]) == 1
    assert "not UTF-8" in capsys.readouterr().err


# writing


def test_a_second_build_changes_and_touches_nothing(course, capsys):
    before, times = files(), {p: Path(p).stat().st_mtime_ns for p in files()}
    capsys.readouterr()
    assert main([]) == 0
    assert "0 files written" in capsys.readouterr().out
    assert files() == before
    assert {p: Path(p).stat().st_mtime_ns for p in files()} == times


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(course, monkeypatch):
    before = files()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(LESSON, "new")
    assert files() == before


def test_the_command_runs_as_a_module_exits_with_1_on_a_fault_and_loads_no_torch(course):
    LESSON.unlink()
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gpt2course.tools.authoring", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1
    assert f"{LESSON}: missing" in run.stderr and ", 1 faults" in run.stdout
    modules = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "gpt2course.tools.authoring.command" in modules and "jupytext" in modules
    assert not modules & {"torch", "numpy", "matplotlib", "transformers"}


# edits made in JupyterLab


def test_an_edit_in_the_solution_notebook_comes_back_into_the_source_and_both_notebooks(course):
    notebook = read(SOLUTION)
    cell_with(notebook, "Scaled")["source"] = "".join(
        cell_with(notebook, "Scaled")["source"]
    ).replace("math.sqrt(hs)", "hs**0.5")
    cell_with(notebook, "robot")["source"] = ["# Attention\n", "\n", "New *words*: 50 %"]
    notebook["cells"].insert(
        3, {"cell_type": "code", "id": "abcd", "metadata": {"tags": ["new"]}, "source": ["%pwd"]}
    )
    save_as_jupyterlab_does(notebook, SOLUTION)
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    old_words = SAMPLE.partition("# # Self")[2].partition("\n\n")[0]
    wanted = SAMPLE.replace("# # Self" + old_words, "# # Attention\n#\n# New *words*: 50 %")
    wanted = wanted.replace("math.sqrt(hs)", "hs**0.5")
    wanted = wanted.replace('"""\n\n\n# %%\ndef', '"""\n\n\n# %% tags=["new"]\n# %pwd\n\n# %%\ndef')
    assert SOURCE.read_text(encoding="utf-8") == wanted
    assert main(["--check"]) == 0
    assert "New *words*" in LESSON.read_text() and "hi\\n" not in SOLUTION.read_text()
    assert "hs**0.5" not in LESSON.read_text()


def test_an_executed_notebook_is_stale_and_gives_the_source_unchanged(course, capsys):
    before = files()
    save_as_jupyterlab_does(read(SOLUTION), SOLUTION)
    assert main(["--check"]) == 1
    assert f"{SOLUTION}: stale" in capsys.readouterr().err
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    assert files() == before
    save_as_jupyterlab_does(read(SOLUTION), SOLUTION)
    assert main([]) == 0
    assert files() == before


def edit_notebook(path: Path = SOLUTION) -> None:
    notebook = read(path)
    cell_with(notebook, "robot")["source"] = ["mine"]
    save_as_jupyterlab_does(notebook, path)


def test_a_build_does_not_drop_an_edit_made_in_the_notebook(course, capsys):
    edit_notebook()
    before = files()
    assert main(["--check"]) == 1
    assert f"{SOLUTION}: edited since it was built" in capsys.readouterr().err
    assert main([]) == 1
    err = capsys.readouterr().err
    assert f"--from-notebook {SOLUTION}" in err and f"--force {SOURCE}" in err
    assert files() == before
    assert main(["--force", str(SOURCE)]) == 0
    assert SOURCE.read_text(encoding="utf-8") == SAMPLE
    assert main(["--check"]) == 0


def test_a_build_does_not_drop_what_was_written_in_a_lesson(course, capsys):
    notebook = read(LESSON)
    cell_with(notebook, STUB)["source"] = ["def attention_scores(q, k):\n", "    return q"]
    save_as_jupyterlab_does(notebook, LESSON)
    before = files()
    assert main(["--check"]) == 1
    assert main([]) == 1
    assert files() == before
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith(f"{LESSON}: edited since it was built; make the edit in {SOURCE}")
        assert f"--force {SOURCE}" in line
    assert main(["--force", str(SOURCE)]) == 0
    assert main(["--check"]) == 0


def test_an_edit_brought_back_does_not_drop_what_was_written_in_a_lesson(course, capsys):
    edit_notebook(SOLUTION)
    edit_notebook(LESSON)
    notebook = read(LESSON)
    notebook["cells"].pop()
    LESSON.write_text(json.dumps(notebook), encoding="utf-8")
    before = files()
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert f"--force --from-notebook {SOLUTION}" in capsys.readouterr().err
    assert files() == before
    assert main(["--force", "--from-notebook", str(SOLUTION)]) == 0
    assert "# mine\n" in SOURCE.read_text(encoding="utf-8")
    assert main(["--check"]) == 0


def test_a_lesson_that_was_only_run_is_built_again(course):
    before = files()
    save_as_jupyterlab_does(read(LESSON), LESSON)
    SOURCE.write_text(SAMPLE.replace("obey", "follow"), encoding="utf-8")
    assert main([]) == 0
    SOURCE.write_text(SAMPLE, encoding="utf-8")
    save_as_jupyterlab_does(read(LESSON), LESSON)
    assert main([]) == 0
    assert files() == before


def test_a_hidden_test_changed_in_the_notebook_is_refused_and_a_deleted_one_comes_back(
    course, capsys
):
    before, notebook = files(), read(SOLUTION)
    hidden = cell_with(notebook, "BEGIN HIDDEN TESTS")
    hidden["source"] = "".join(hidden["source"]).replace("### END", "assert 1\n### END")
    SOLUTION.write_text(json.dumps(notebook), encoding="utf-8")
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert "remove the hidden tests" in capsys.readouterr().err
    hidden["source"] = hidden["source"].partition("\n### BEGIN")[0]
    SOLUTION.write_text(json.dumps(notebook), encoding="utf-8")
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    assert files() == before


def test_an_edit_of_both_is_refused_and_changes_nothing_but_by_force(course, capsys):
    edit_notebook()
    SOURCE.write_text(SAMPLE.replace("obey", "follow"), encoding="utf-8")
    before = files()
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    err = capsys.readouterr().err
    assert "both changed" in err and f"--force --from-notebook {SOLUTION}" in err
    assert main([]) == 1
    assert files() == before
    assert main(["--force", "--from-notebook", str(SOLUTION)]) == 0
    text = SOURCE.read_text(encoding="utf-8")
    assert "# mine\n" in text and "follow" not in text
    assert main(["--check"]) == 0


def test_an_edit_of_the_source_alone_is_not_overwritten_by_the_old_notebook(course, capsys):
    SOURCE.write_text(SAMPLE.replace("obey", "follow"), encoding="utf-8")
    before = files()
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert f"{SOURCE}: edited, and {SOLUTION} is not" in capsys.readouterr().err
    assert files() == before


def test_the_same_edit_in_both_is_no_conflict(course):
    notebook = read(SOLUTION)
    cell_with(notebook, "robot")["source"] = ["mine"]
    save_as_jupyterlab_does(notebook, SOLUTION)
    cells = read_cells(SAMPLE)
    cells[0].source = "mine"
    SOURCE.write_text(write_text(cells), encoding="utf-8")
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    assert main(["--check"]) == 0


def test_a_notebook_of_unknown_origin_is_neither_overwritten_nor_brought_back(course):
    notebook = read(SOLUTION)
    del notebook["metadata"]["gpt2course"]
    cell_with(notebook, "robot")["source"] = ["mine"]
    save_as_jupyterlab_does(notebook, SOLUTION)
    before = files()
    assert main([]) == 1
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert files() == before


def test_a_notebook_of_unknown_origin_with_the_sources_cells_is_simply_rebuilt(course):
    before, notebook = files(), read(SOLUTION)
    del notebook["metadata"]["gpt2course"]
    save_as_jupyterlab_does(notebook, SOLUTION)
    assert main([]) == 0
    assert files() == before


def test_options_in_any_order_in_the_notebook_come_back_in_alphabetical_order(course):
    notebook = read(SOLUTION)
    cell_with(notebook, "Scaled")["metadata"] = {"tags": ["a"], "slideshow": {"slide_type": "skip"}}
    SOLUTION.write_text(json.dumps(notebook), encoding="utf-8")
    assert main(["--from-notebook", str(SOLUTION)]) == 0
    options = '# %% slideshow={"slide_type": "skip"} tags=["a"]\ndef attention_scores'
    assert options in SOURCE.read_text(encoding="utf-8")
    assert main(["--check"]) == 0


def test_a_new_solution_notebook_becomes_a_source(course):
    notebook = read(SOLUTION)
    new = Path("solutions/06_new.ipynb")
    save_as_jupyterlab_does(notebook, new)
    assert main(["--from-notebook", str(new)]) == 0
    assert new.with_suffix(".py").read_text(encoding="utf-8") == SAMPLE
    assert main(["--check"]) == 0


def spoil(kind: str, notebook: dict) -> None:
    cell = cell_with(notebook, "robot")
    if kind == "image":
        cell["attachments"] = {"a.png": {"image/png": "aGk="}}
    elif kind == "split":
        cell_with(notebook, "# %% no cell")["source"] = ["a = 1\n", "# %%\n", "b = 2"]
    elif kind == "marker":
        cell_with(notebook, "Scaled")["source"] = [
            "def f():\n",
            "    ### BEGIN SOLUTION\n",
            "    1",
        ]
    elif kind == "leak":
        cell["source"] = ["```python\n", "q @ k.transpose(-2, -1) / math.sqrt(hs)\n", "```"]


@pytest.mark.parametrize(
    "kind, words",
    [("image", "cell 1 holds an image"), ("split", "cell 3 does not survive as text"),
     ("marker", "without its END"), ("leak", "gives away attention_scores")],
)  # fmt: skip
def test_a_notebook_that_makes_no_good_source_is_refused_and_changes_nothing(
    course, capsys, kind, words
):
    notebook = read(SOLUTION)
    spoil(kind, notebook)
    save_as_jupyterlab_does(notebook, SOLUTION)
    before = files()
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert words in capsys.readouterr().err
    assert files() == before


@pytest.mark.parametrize(
    "name", [str(LESSON), str(SOURCE), "solutions/07_none.ipynb", "solutions/Untitled.ipynb"]
)
def test_only_a_solution_notebook_comes_back(course, capsys, name):
    Path("solutions/Untitled.ipynb").write_bytes(SOLUTION.read_bytes())
    before = files()
    assert main(["--from-notebook", name]) == 1
    assert name in capsys.readouterr().err
    assert files() == before


def test_a_notebook_broken_by_a_merge_is_rebuilt_from_its_source(course, capsys):
    SOLUTION.write_text("<<<<<<< ours\n" + SOLUTION.read_text())
    assert main(["--from-notebook", str(SOLUTION)]) == 1
    assert "not a readable notebook" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


# the course itself


def test_the_courses_own_notebooks_are_what_their_sources_give(monkeypatch, capsys):
    monkeypatch.setattr(rooms, "_loading", lambda stem: iter(()))  # tests/lessons runs the answers
    monkeypatch.chdir(ROOT)
    assert main(["--check"]) == 0, capsys.readouterr().err
    sources = len(list(Path("solutions").glob("*.py")))
    assert re.search(rf"^{sources} sources, {2 * sources} notebooks", capsys.readouterr().out, re.M)
