"""Pictures and cards on a page of their own, as axe-core sees them: no kernel, no JupyterLab."""

import pytest
import torch
from access import PAGES, outputs_page, violations
from drawing.gallery import GALLERY, drawn
from lab import CHROMIUM

from gpt2course import checks
from gpt2course.checks.card import Card

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture(scope="module")
def page(browser):
    return browser.new_page(viewport={"width": 900, "height": 900})


def of_lesson(name):
    return name.rpartition(".")[0] or "shared by lessons"


@pytest.mark.parametrize("theme", PAGES)
@pytest.mark.parametrize("lesson", sorted({of_lesson(name) for name in GALLERY}))
def test_axe_finds_nothing_serious_in_the_pictures_of_a_lesson(page, lesson, theme):
    pictures = [drawn(name).html for name in GALLERY if of_lesson(name) == lesson]
    page.set_content(outputs_page(pictures, theme))
    assert violations(page, "main") == []


def not_started(n_query, n_key):
    raise NotImplementedError("your turn")


def wrong(n_query, n_key):
    return torch.ones(n_query, n_key, dtype=torch.bool).triu()


@pytest.mark.parametrize("theme", PAGES)
def test_axe_finds_nothing_serious_in_the_card_of_a_check(page, theme):
    right = checks.find("causal_mask").reference
    results = [checks.run("causal_mask", answer) for answer in (not_started, wrong, right)]
    assert [result.status for result in results] == ["not_started", "failed", "passed"]
    cards = [Card(result, "From here on it is yours.")._repr_html_() for result in results]
    opened = [card.replace("<details", "<details open") for card in cards]
    page.set_content(outputs_page(opened, theme))
    assert violations(page, "main") == []


@pytest.mark.parametrize(
    "html",
    [
        '<p style="color:#e8590c">not yet</p>',
        '<div role="slider" tabindex="0" aria-valuenow="1"></div>',
        '<div style="overflow:auto;width:9px"><p style="width:99px">wide</p></div>',
        "<svg role='img'><rect/></svg>",
    ],
    ids=["contrast", "slider", "scrolls", "picture"],
)
def test_axe_finds_what_keeps_people_out(page, html):
    page.set_content(outputs_page([html], "light"))
    assert len(violations(page, "main")) == 1
