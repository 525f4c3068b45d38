"""A picture with a text alternative: what every figure of the course returns."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """An image for a notebook: drawn where there is a screen, read out where there is none.

    Args:
        html: what is drawn, most often an <svg>.
        alt: what the picture shows, in words.
    """

    html: str
    alt: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


def from_figure(figure: Figure, alt: str) -> Picture:
    """A matplotlib figure as a Picture without a ground of its own, for light and dark notebooks.

    What is drawn in black takes the notebook's text colour: that is matplotlib's own text and
    axes, and every artist with color="black". Text that is to stay dark, as on a filled cell,
    gets another colour, such as "#1b1b1b". The figure is closed, so that it is not shown twice.

    Hatches do not suit it: browsers leave out a pattern where the same drawing stands hidden
    earlier on the page, as in another tab of JupyterLab.
    """
    import matplotlib.pyplot as plt
    from matplotlib.legend import Legend

    for legend in figure.findobj(Legend):
        legend.set_frame_on(False)
    written = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "gpt2course", "svg.fonttype": "path"}):
        figure.savefig(
            written, format="svg", dpi=144, bbox_inches="tight", transparent=True, metadata=UNSAID
        )
    plt.close(figure)
    return from_svg(_for_a_page(written.getvalue()), alt)


UNSAID = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # what matplotlib notes in a file


def _for_a_page(file: str) -> str:
    """The <svg> of a file of matplotlib, changed so that it can stand among others on a page."""
    svg = re.sub("<!--.*?-->", "", file[file.index("<svg") :], flags=re.DOTALL)
    # The sheet of styles would hold for the whole page; at the root its rules reach this drawing.
    svg = re.sub('<style type="text/css">.*?</style>', "", svg, flags=re.DOTALL)
    # matplotlib leaves out the fill where it is black, hence one for all of the drawing.
    root = "max-width:100%;height:auto;fill:currentColor;stroke-linejoin:round;stroke-linecap:butt"
    svg = svg.replace("#000000", "currentColor")
    svg = svg.replace("<svg", f'<svg style="{root}" aria-hidden="true"', 1)
    # An id counts for the whole page, so two drawings must not have the same one.
    mark = "f" + hashlib.sha256(svg.encode()).hexdigest()[:10]
    return re.sub(r'\bid="|href="#|url\(#', lambda found: f"{found[0]}{mark}-", svg)


def from_svg(svg: str, alt: str) -> Picture:
    """A drawing as a Picture; on a page that is too narrow for it, it scrolls sideways."""
    style = "overflow-x:auto;margin:6px 0"
    return Picture(
        f'<div role="figure" aria-label="{escape(alt)}" style="{style}">{svg}</div>', alt
    )


def stacked(*pictures: Picture) -> Picture:
    """Pictures below each other."""
    html = "".join(f"<div>{picture.html}</div>" for picture in pictures)
    return Picture(f"<div>{html}</div>", "\n".join(picture.alt for picture in pictures))
