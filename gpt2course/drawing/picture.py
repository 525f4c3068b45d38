"""A picture with a text alternative: what every figure of the course returns."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any


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
