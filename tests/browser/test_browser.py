"""A learner in JupyterLab: lessons opened in Chromium, typed into, run and played with."""

import json

import nbformat
import pytest
from access import PAGES, outputs_page, violations
from her_answers import ANSWERS, TRAIN, WRONG, answered, bring_parts, exercises_of, kept_in
from lab import ACTIVE, CHROMIUM, ROOT, SHOWN, Lesson, Server

from gpt2course import mine
from gpt2course.checks import engine
from gpt2course.learner import workbook

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

READS_THE_FUTURE = '''def causal_mask(n_query: int, n_key: int) -> Bool[Tensor, "n_query n_key"]:
    """True where query i may read key j."""
    return torch.ones(n_query, n_key, dtype=torch.bool).triu()
'''
RIGHT = '''def causal_mask(n_query: int, n_key: int) -> Bool[Tensor, "n_query n_key"]:
    """True where query i may read key j."""
    query = torch.arange(n_query) + n_key - n_query
    return torch.arange(n_key) <= query[:, None]
'''
SCORES = """def attention_scores(q, k):
    return torch.einsum("...th,...sh->...ts", q, k) * q.shape[-1] ** -0.5
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("jupyterlab"))
    yield server
    server.stop()


def open_page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    yield page
    page.close()


page = pytest.fixture(open_page)
wrong_page = pytest.fixture(open_page, scope="module")
right_page = pytest.fixture(open_page, scope="module")


def test_a_learner_goes_through_lesson_06(page, server):
    lesson = Lesson(page, server, "06_masking.ipynb")

    lesson.command("notebook:run-all-cells")
    assert lesson.errors() == []
    ran = [c for c in lesson.cells() if c["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in ran)

    answer = lesson.index_of("def causal_mask")
    assert "not started" in lesson.outputs(answer + 1)
    lesson.type_into(answer, READS_THE_FUTURE)
    lesson.run(answer)
    card = lesson.run(answer + 1)
    assert "reads the future" in card and "the package's own" in card

    lesson.type_into(answer, RIGHT)
    lesson.run(answer)
    assert "causal_mask: passed" in lesson.run(answer + 1)
    kept = server.folder / "my_gpt2" / "causal_mask.py"
    assert "query = torch.arange(n_query) + n_key - n_query" in kept.read_text()

    lesson.activate(lesson.index_of("mask_switch(variants"))
    assert page.get_by_text("no attention goes to the future").count()
    page.get_by_role("button", name="no mask").click()
    page.get_by_text("of all attention goes to the future (red frames)").wait_for()

    lesson.restart_kernel()
    lesson.type_into(lesson.index_of("import math"), "from gpt2course.mine import causal_mask")
    assert "yours: causal_mask" in lesson.run(
        lesson.index_of("from gpt2course.mine import causal_mask")
    )
    assert [c for c in lesson.complaints if "favicon" not in c] == []


def test_a_part_built_in_one_lesson_is_there_in_the_next(page, server):
    lesson = Lesson(page, server, "05_self_attention.ipynb")
    lesson.command("notebook:run-all-cells")
    assert lesson.errors() == []
    answer = lesson.index_of("def attention_scores")
    lesson.type_into(answer, SCORES)
    lesson.run(answer)
    assert "attention_scores: passed" in lesson.run(answer + 1)
    assert lesson.complaints == []

    later = Lesson(page, server, "06_masking.ipynb")
    said = later.run(later.index_of("from gpt2course.mine import"))
    assert "yours: attention_scores; the package's: attention_weights, blend_values" in said


def test_the_explorer_answers_the_keyboard_and_the_pointer(page, server):
    lesson = Lesson(page, server, "00_welcome.ipynb")
    lesson.command("notebook:run-all-cells")
    lesson.activate(lesson.index_of("explorer(model,"))
    panel = page.locator(f"{ACTIVE} .jupyter-widgets").first
    panel.wait_for()

    panel.locator(".noUi-handle").nth(1).focus()  # top-k
    page.keyboard.press("Home")
    panel.get_by_text("top-k 1").wait_for()
    panel.get_by_text("cut off, was").first.wait_for()
    given = panel.get_by_text("given").count()
    panel.get_by_role("button", name="draw one").focus()
    page.keyboard.press("Enter")

    panel.get_by_role("button", name="attention", exact=True).focus()
    page.keyboard.press("Enter")
    panel.get_by_text(f"({given}) reads, layer 0, all heads averaged").wait_for()
    panel.get_by_title("head 1", exact=True).click()
    panel.get_by_text(f"({given}) reads, layer 0, head 1").wait_for()
    panel.locator(".noUi-handle").nth(2).focus()  # the token
    page.keyboard.press("ArrowLeft")
    panel.get_by_text(f"({given - 1}) reads, layer 0, head 1").wait_for()

    said = panel.locator(".gpt2course-read .gpt2course-lit text").first
    assert "→" in said.text_content() and not said.is_visible()
    panel.locator(".gpt2course-read > rect").first.hover(force=True)
    assert said.is_visible()
    assert [c for c in lesson.complaints if "favicon" not in c] == []


LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))


def answering_server(folder, answers):
    """JupyterLab with these answers in the cells of its lessons."""
    server = Server(folder)
    for path in sorted((server.folder / "lessons").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [answered(cell, answers) for cell in notebook.cells]
        nbformat.write(notebook, path)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def wrong_server(tmp_path_factory):
    """The lessons of a learner who gets a third of the answers wrong."""
    yield from answering_server(tmp_path_factory.mktemp("jupyterlab-wrong"), ANSWERS | WRONG)


@pytest.fixture(scope="module")
def right_server(tmp_path_factory):
    """The lessons of a learner who gets all answers right."""
    yield from answering_server(tmp_path_factory.mktemp("jupyterlab-right"), ANSWERS)


@pytest.mark.parametrize("path", [p for p in LESSONS if p.stem not in TRAIN], ids=lambda p: p.stem)
def test_every_lesson_runs_with_a_third_of_the_answers_wrong_and_its_widgets_answer_the_keyboard(
    wrong_page, browser, wrong_server, path
):
    lesson = Lesson(wrong_page, wrong_server, path.name)
    lesson.command("notebook:run-all-cells")
    refused = [cell for cell in lesson.cells() if "Until yours passes" in str(cell.get("outputs"))]
    on_purpose = path.stem == "00_welcome"  # that lesson shows a card of a wrong answer itself
    assert len(refused) == sum(name in WRONG for name in exercises_of(path)) + on_purpose
    play(lesson, browser)


@pytest.mark.parametrize("path", [p for p in LESSONS if p.stem in TRAIN], ids=lambda p: p.stem)
def test_a_lesson_that_trains_runs_with_her_parts_alone_and_its_widgets_answer_the_keyboard(
    right_page, browser, right_server, path
):
    bring_parts(right_server.folder / "my_gpt2", before=path.stem)
    lesson = Lesson(right_page, right_server, path.name)
    lesson.command("notebook:run-all-cells")
    passed = sum(": passed" in str(cell.get("outputs")) for cell in lesson.cells())
    assert passed == len(exercises_of(path))
    built = [name for name in ANSWERS if engine.find(name).lesson <= path.stem]
    assert kept_in(right_server.folder / "my_gpt2") == built
    play(lesson, browser)


def play(lesson, browser):
    """A lesson that ran: no error, its widgets answer the keyboard, and axe-core finds nothing."""
    page = lesson.page
    assert lesson.errors() == []
    live = [i for i, cell in enumerate(lesson.cells()) if shows_a_widget(cell)]
    assert live, "no widget to play with"
    for index in live:
        lesson.activate(index)
        before = lesson.shown_by_widget()
        lesson.press_a_control()
        page.wait_for_function(f"before => ({SHOWN})() !== before", arg=before, timeout=30_000)
        assert page.locator(f"{ACTIVE} .gpt2course-twin:visible").count() == 0  # hidden while alive
        assert violations(page, f"{ACTIVE} .gpt2course-live") == []
    assert [c for c in lesson.complaints if "favicon" not in c] == []
    put_out = [h for cell in lesson.cells() for h in html_outputs(cell)]
    alone = browser.new_page(viewport={"width": 900, "height": 900})
    for theme in PAGES:
        alone.set_content(outputs_page(put_out, theme))
        assert violations(alone, "main") == []
    alone.close()


def html_outputs(cell):
    """What a cell put out in HTML, each output as one string."""
    found = (output.get("data", {}).get("text/html") for output in cell.get("outputs", []))
    return ["".join(html) for html in found if html]


def test_a_key_alone_stays_in_a_widget_and_a_reopened_notebook_shows_the_twin_alone(page, server):
    lesson = Lesson(page, server, "05_self_attention.ipynb")
    index = lesson.index_of("figures.scores_weights_blend")
    lesson.command("notebook:run-all-cells")
    live = next(i for i, cell in enumerate(lesson.cells()) if shows_a_widget(cell))
    assert live > index
    lesson.activate(live)
    handle = page.locator(f"{ACTIVE} .noUi-handle").first
    handle.focus()
    sources = [cell["source"] for cell in lesson.cells()]
    for key in "ddb":
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert [cell["source"] for cell in lesson.cells()] == sources  # none deleted, none inserted

    lesson.reopen()
    lesson.activate(live)
    page.locator(f"{ACTIVE} .gpt2course-twin:visible").wait_for()
    assert page.get_by_text("Run this cell to play with it.").first.is_visible()
    assert not page.locator(f"{ACTIVE} :text('Error displaying widget'):visible").count()


def test_no_wrong_part_has_travelled(wrong_server, monkeypatch):
    """After the lessons above, of which each imports what was built before it."""
    monkeypatch.setenv("GPT2COURSE_WORKBOOK", str(wrong_server.folder / "my_gpt2"))
    right = [name for name in ANSWERS if name not in WRONG]
    right = [name for name in right if engine.find(name).lesson not in TRAIN]
    assert workbook.kept_names() == right
    assert len(WRONG) >= (len(WRONG) + len(right)) / 3
    said = mine.summary()
    assert said.startswith(f"{len(right)} of {len(engine.names())} parts are yours")
    _, yours, ours = said.split("; ")
    assert yours.removeprefix("yours: ").split(", ") == right
    assert set(WRONG) <= set(ours.removeprefix("the package's: ").split(", "))


def shows_a_widget(cell):
    """Whether something of the cell can be moved; a bar that shows progress can't."""
    outputs = json.dumps(cell.get("outputs", []))
    return "widget-view+json" in outputs and "gpt2course-twin" in outputs
