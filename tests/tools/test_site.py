"""The site: built with one lesson executed, crawled link by link, and opened in Chromium."""

import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser.lab import CHROMIUM, served

from gpt2course import checks
from gpt2course.checks.room import sections
from gpt2course.drawing import frames
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import TO_PLAY, menu, playable, slider
from gpt2course.tools.site import build, execute, pages

EXECUTED = "00_welcome"
LESSONS = pages.all_lessons()
JS = ("scrolling.js", "frames.js")  # what Sphinx is told to add
pytestmark = pytest.mark.slow  # nearly all of them need a site, which takes half a minute


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def site(work, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "site"
    build.build_site(out, [EXECUTED], work)
    return out


class Page(HTMLParser):
    """What a page links to, what it loads, and the names of its places."""

    def __init__(self, path: Path):
        super().__init__()
        self.text = path.read_text("utf-8")
        self.links, self.loads, self.places = [], [], set()
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given.get("id"), given.get("name")}
        if tag in ("a", "area") and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("index", "search", "next", "prev"):
            self.links.append(given["href"])
        else:
            self.loads += [given[name] for name in ("src", "href", "data") if given.get(name)]


@pytest.fixture(scope="module")
def read(site):
    return functools.cache(Page)


def target_of(link, page):
    """The file and the place in it that a link of a page leads to."""
    parts = urlsplit(link)
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page, parts.fragment


def is_outside(link):
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def test_every_page_is_reached_and_every_link_leads_somewhere(site, read):
    waiting, seen = [site / "index.html"], set()
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in read(page).links:
            if is_outside(link):
                continue
            target, place = target_of(link, page)
            assert target.is_file(), f"{page.relative_to(site)} links to {link}"
            if target.suffix == ".html":
                if place and target.parent.name != "explorer":
                    assert place in read(target).places, f"{page.relative_to(site)}: {link}"
                waiting.append(target)
    assert seen >= set(site.rglob("*.html"))
    assert len(seen) > 2 * len(LESSONS)


def test_nothing_is_loaded_from_outside(site, read):
    for page in site.rglob("*.html"):
        for load in read(page).loads:
            if load.startswith(("data:", "#")):
                continue
            assert not is_outside(load), f"{page.relative_to(site)} loads {load}"
            assert target_of(load, page)[0].is_file(), f"{page.relative_to(site)} loads {load}"
        assert "mathjax" not in read(page).text.lower()
    for sheet in site.rglob("*.css"):
        for load in re.findall(r"url\(\s*['\"]?([^'\")]+)", sheet.read_text("utf-8")):
            assert not is_outside(load) or load.startswith("data:"), f"{sheet.name} loads {load}"
        assert "@import" not in sheet.read_text("utf-8")


def test_every_lesson_mistake_and_module_has_its_place(site, read):
    for lesson in LESSONS:
        assert (site / "lessons" / f"{lesson}.html").exists()
        text = read(site / "mistakes" / f"{lesson}.html").text
        listed = sections(pages.PACKAGE / "lessons" / lesson[3:] / "mistakes.md")
        assert text.count("<h3>") == sum(map(len, listed.values())) > 0
    for name in ("model", "sampling", "training", "tokenizer"):
        assert f'id="module-gpt2course.{name}"' in read(site / "api" / f"{name}.html").text
    start = read(site / "index.html")
    assert {f"lessons/{lesson}.html" for lesson in LESSONS} <= set(start.links)
    assert {"docs/cheat_sheet.html", "docs/glossary.html", "mistakes/index.html"} <= set(
        start.links
    )


def test_a_lesson_shows_its_outputs_and_folds_its_answers(site, read, work):
    text = read(site / "lessons" / f"{EXECUTED}.html").text
    outputs = [
        o for cell in execute.executed(EXECUTED, work)["cells"] for o in cell.get("outputs", [])
    ]
    shown = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    shown = [html.replace(TO_PLAY, pages.NO_KERNEL) for html in shown]
    assert len(shown) > 3 and all(html.strip() in text for html in shown)
    assert "<svg" in "".join(shown) and "gpt2course-twin" in "".join(shown)
    assert "It moves in the notebook" in text and "Run this cell to play" not in text
    assert text.count("Show an answer") == len(checks.names(EXECUTED)) == 1
    assert text.count(": passed") == 1
    for hidden in ("BEGIN SOLUTION", "HIDDEN TESTS", "widget-view", "model not found", "VBox("):
        assert hidden not in text


def test_a_lesson_leads_to_its_neighbours_and_to_the_glossary(site, read):
    text = read(site / "lessons" / "06_masking.html").text
    assert re.search(r'rel="prev"[^>]* href="05_self_attention.html"', text)
    assert re.search(r'rel="next"[^>]* href="07_multi_head.html"', text)
    assert 'href="../docs/glossary.html"' in text


def test_a_mistake_has_its_card(site, read):
    text = read(site / "mistakes" / f"{EXECUTED}.html").text
    assert text.count("This mistake has a name") == text.count("<h3>")
    assert "gpt2course-card" not in read(site / "mistakes" / "06_masking.html").text


def test_a_second_build_executes_only_what_has_changed(site, work, monkeypatch):
    monkeypatch.setattr(execute, "ProcessPoolExecutor", None)
    execute.execute([EXECUTED], work)  # nothing to do
    assert execute.executed(EXECUTED, work)
    monkeypatch.setattr(execute, "_shared", lambda: b"another library")
    assert execute.executed(EXECUTED, work) is None
    with pytest.raises(TypeError):  # it would execute
        execute.execute([EXECUTED], work)


def test_what_a_lesson_depends_on_is_known(monkeypatch, tmp_path):
    """Its notebook, its room and the library; neither another room nor the tools."""
    for name in ("gpt2course/lessons/masking", "gpt2course/lessons/block", "gpt2course/tools"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    own = ["solutions/06_masking.ipynb", "gpt2course/lessons/masking/mistakes.md"]
    own += ["gpt2course/model.py"]
    other = ["solutions/09_block.ipynb", "gpt2course/lessons/block/mistakes.md"]
    other += ["gpt2course/tools/cli.py"]
    for name in own + other:
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    monkeypatch.setattr(execute, "PACKAGE", tmp_path / "gpt2course")

    def kept():
        execute._shared.cache_clear()
        return execute._kept("06_masking", "outputs", tmp_path)

    try:
        for name in own + other:
            before = kept()
            (tmp_path / name).write_text("after")
            assert (kept() != before) is (name in own), name
    finally:
        execute._shared.cache_clear()


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path):
    (tmp_path / "novel.txt").write_text("Call me Ishmael.")
    with pytest.raises(ValueError, match="must be new, empty, or an earlier site"):
        build.build_site(tmp_path)
    with pytest.raises(ValueError, match="is a file; give another --out"):
        build.build_site(tmp_path / "novel.txt")
    assert (tmp_path / "novel.txt").exists()


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "furo" else "here")
    with pytest.raises(ValueError, match=r"needs furo, .* pip install -c constraints.txt"):
        build.build_site(tmp_path / "site")


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, capfd):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.md").write_text("# Title\n\n[a lesson](lessons/77_none.ipynb)\n")
    with pytest.raises(ValueError, match="mend what Sphinx says"):
        build._sphinx(tmp_path / "source", tmp_path / "html", tmp_path / "doctrees")
    assert "77_none.ipynb" in capfd.readouterr().err


def spoken(**values):
    """A picture that says for what it was drawn."""
    said = " ".join(f"{name}={value}" for name, value in values.items())
    return Picture(f"<p>{said}</p>", said)


def played(monkeypatch, **controls):
    """The twin of a widget, as the site has it."""
    monkeypatch.setenv("GPT2COURSE_FRAMES", "1")
    return playable(spoken, **controls).twin.html


def test_a_twin_holds_a_picture_for_every_setting(monkeypatch):
    controls = {"word": menu("word:", ["cat", "dog"], "dog"), "n": slider("n:", 2, 1, 3)}
    html = played(monkeypatch, **controls)
    drawn = re.findall("<template><p>(.*?)</p></template>", html)
    assert drawn == [f"word={word} n={n}" for word in ("cat", "dog") for n in (1, 2, 3)]
    assert '<div class="shown"><p>word=dog n=2</p></div>' in html
    assert "<option selected>dog</option>" in html and 'max="2" value="1"' in html
    monkeypatch.delenv("GPT2COURSE_FRAMES")  # as in the notebooks
    assert playable(spoken, **controls).twin.html == "<p>word=dog n=2</p>"


def test_a_slider_with_many_stops_is_thinned_and_keeps_its_value(monkeypatch):
    html = played(monkeypatch, x=slider("x", 0.35, -4.0, 4.0, 0.05))
    drawn = [float(x) for x in re.findall("<template><p>x=(.*?)</p>", html)]
    assert drawn == sorted(drawn) and drawn[0] == -4.0 and drawn[-1] == 4.0
    assert len(drawn) == frames.STOPS + 1
    at = int(re.search(r'value="(\d+)"', html)[1])
    assert drawn[at] == pytest.approx(0.35)
    assert played(monkeypatch, n=slider("n:", 2, 2, 2)) == "<p>n=2</p>"  # nothing to move


def test_a_slider_is_thinned_to_what_fits(monkeypatch):
    monkeypatch.setattr(frames, "BUDGET", 10 * len("<p>n=50</p>"))
    html = played(monkeypatch, n=slider("n:", 50, 1, 100))
    drawn = [int(n) for n in re.findall("<template><p>n=(.*?)</p>", html)]
    assert drawn[0] == 1 and drawn[-1] == 100 and 50 in drawn and 8 < len(drawn) <= 10


def test_what_does_not_fit_keeps_its_value_and_is_named(monkeypatch):
    controls = {"n": slider("n:", 2, 1, 3), "word": menu("word:", ["cat", "dog"])}
    monkeypatch.setattr(frames, "BUDGET", 4 * len("<p>n=2 word=cat</p>"))
    html = played(monkeypatch, **controls)
    assert re.findall("<template><p>(.*?)</p>", html) == [f"n={n} word=cat" for n in (1, 2, 3)]
    assert "you can also change: word." in html
    monkeypatch.setattr(frames, "BUDGET", 0)
    assert played(monkeypatch, **controls) == "<p>n=2 word=cat</p>"


def test_the_reader_learns_where_the_course_is_to_be_had(monkeypatch):
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/gpt2course")
    assert "(https://example.org/ada/gpt2course/archive/HEAD.zip)" in pages._folder()
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert "http" not in pages._folder()


# In Chromium ------------------------------------------------------------------------------------


def in_chromium(test):
    here = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
    return pytest.mark.browser(here(test))


@pytest.fixture(scope="module")
def address(site):
    with served(site) as address:
        yield address


def opened(browser, width, scheme):
    """A page that keeps what it complains of and what it asks for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    return page


@in_chromium
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("index", 390, "dark"),
        (f"lessons/{EXECUTED}", 1400, "light"),
        (f"mistakes/{EXECUTED}", 390, "light"),
        ("api/model", 1400, "dark"),
        ("docs/glossary", 390, "dark"),
    ],
)
def test_a_page_is_quiet_accessible_and_fits(browser, address, name, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, width, scheme)
    page.goto(f"{address}/{name}.html")
    assert page.complaints == []
    assert len(page.asked) > 3
    assert [url for url in page.asked if not url.startswith((address, "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    faults = [
        (fault["id"], fault["nodes"][0]["html"])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert faults == []
    page.context.close()


@in_chromium
def test_the_search_finds_a_lesson_in_a_folder_without_a_server(browser, site):
    page = opened(browser, 900, "light")
    page.goto(f"file://{site}/search.html?q=softmax")
    page.locator("#search-results a", has_text="Masking").first.wait_for()
    assert page.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
    page.context.close()


@in_chromium
def test_controls_work_in_a_page_without_a_kernel(browser, tmp_path, monkeypatch):
    controls = {"word": menu("word:", ["cat", "dog"], "dog"), "n": slider("n:", 2, 1, 3)}
    static = build.HERE / "static"
    scripts = "".join(f'<script src="{static / name}"></script>' for name in JS)
    (tmp_path / "page.html").write_text(played(monkeypatch, **controls) + scripts)
    page = opened(browser, 900, "light")
    page.goto((tmp_path / "page.html").as_uri())
    shown = page.locator(".shown")
    assert shown.inner_text() == "word=dog n=2"
    page.get_by_label("n", exact=True).press("ArrowRight")
    assert shown.inner_text() == "word=dog n=3"
    assert page.get_by_label("n", exact=True).get_attribute("aria-valuetext") == "3"
    assert page.locator("output").inner_text() == "3"
    page.get_by_label("word").select_option("cat")
    assert shown.inner_text() == "word=cat n=3"
    assert page.complaints == []
    page.context.close()

    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator(".shown").inner_text() == "word=dog n=2"
    assert not page.get_by_label("word").is_visible()
    context.close()


@in_chromium
@pytest.mark.parametrize("width", [390, 1400])
def test_the_explorer_and_the_course_lead_to_each_other(browser, address, width):
    page = opened(browser, width, "light")
    page.goto(f"{address}/lessons/06_masking.html")
    link = page.get_by_role("link", name="The Explorer", exact=True)
    if width == 390:
        page.locator("label.nav-overlay-icon, .nav-overlay-icon").first.click()
    link.click()
    page.get_by_role("link", name="the course").click()
    assert page.url == f"{address}/index.html"
    assert page.complaints == []
    page.context.close()
