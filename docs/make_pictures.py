"""Draw the pictures of the README: `python docs/make_pictures.py` (needs Chromium and Playwright).

docs/gpt2.svg is the tower that the lessons show; docs/card.png is a photograph of the card
that a check shows for a wrong answer, docs/explorer.png one of the Explorer on the site, and in
docs/explorer.webp the Explorer writes a sentence.
"""

import io
import sys
import tempfile
from pathlib import Path

import torch

from gpt2course import checks
from gpt2course.checks.card import Card
from gpt2course.drawing.tower_map import tower
from gpt2course.files import write_whole

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))


def causal_mask(n_query, n_key):
    """An answer that is right for squares only."""
    return torch.ones(n_query, n_key, dtype=torch.bool).tril()


def tower_svg() -> str:
    """The tower as a file of its own, on a white ground."""
    html = tower().html
    svg = html[html.index("<svg") : html.index("</svg>") + len("</svg>")]
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" color="#1b1b1b" ', 1)
    ground = '><rect x="-50%" y="-50%" width="200%" height="200%" fill="#ffffff"/>'
    return svg.replace(">", ground, 1) + "\n"


def card_html() -> str:
    """The card of a wrong answer, as a page."""
    result = checks.run("causal_mask", causal_mask)
    card = Card(
        result,
        "Until yours passes, causal_mask is the package's own, so that the notebook runs on.",
    )
    style = "body{font:14px system-ui,sans-serif;margin:12px;width:860px}"
    return f"<style>{style}</style>{card._repr_html_()}"


def explorer_pictures(browser, tokens: int = 9) -> list[bytes]:
    """The Explorer as a visitor finds it, and after each of some tokens that are drawn."""
    from gpt2course.tools.site import copy_explorer

    with tempfile.TemporaryDirectory() as folder:
        copy_explorer(folder)
        page = browser.new_page(viewport={"width": 1100, "height": 780})
        page.goto((Path(folder) / "index.html").as_uri())
        page.locator("#write:enabled").wait_for()
        pictures = [page.screenshot()]
        for _ in range(tokens):
            page.locator("#one").click()
            page.wait_for_function("settled()")
            page.wait_for_timeout(500)  # the bars have reached their lengths
            pictures.append(page.screenshot())
        return pictures


def in_motion(pictures: list[bytes]) -> bytes:
    """The pictures one after the other, three times, as an animated WebP."""
    from PIL import Image

    first, *more = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    file = io.BytesIO()
    shown = [1500] + [700] * (len(more) - 1) + [2500]  # milliseconds
    first.save(file, "WEBP", save_all=True, append_images=more, duration=shown, loop=3, quality=70)
    return file.getvalue()


def main() -> None:
    from browser.lab import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    write_whole(HERE / "gpt2.svg", tower_svg().encode())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(device_scale_factor=2)
        page.set_content(card_html())
        write_whole(HERE / "card.png", page.locator(".gpt2course-card").screenshot())
        pictures = explorer_pictures(browser)
        write_whole(HERE / "explorer.png", pictures[0])
        write_whole(HERE / "explorer.webp", in_motion(pictures))
        browser.close()


if __name__ == "__main__":
    main()
