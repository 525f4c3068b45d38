"""A picture with a text alternative: what every figure of the course returns."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """An image for a notebook: drawn where there is a screen, read out where there is none.

    Args:
        html: an <img> or <svg>.
        alt: what the picture shows, in words.
    """

    html: str
    alt: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


def from_figure(figure: Figure, alt: str) -> Picture:
    """A matplotlib figure as a Picture; the figure is closed, so that it is not shown twice."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight", facecolor="white")
    width = int(figure.get_size_inches()[0] * 96)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    style = f"width:{width}px;max-width:100%"
    return Picture(f'<img alt="{escape(alt)}" style="{style}" src="{source}">', alt)


def from_svg(svg: str, alt: str) -> Picture:
    """An SVG drawing as a Picture; it takes the notebook's text colour through currentColor."""
    return Picture(f'<div role="figure" aria-label="{escape(alt)}">{svg}</div>', alt)
