"""A picture with a text alternative: what every figure of the course returns."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

LONGEST = 400  # letters that are read out


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


def from_svg(svg: str, alt: str, said: str = "", scrolls: bool = False) -> Picture:
    """A drawing as a Picture; on a page that is too narrow for it, it scrolls sideways.

    Args:
        said: what is read out; without it what can be listened to of the text alternative.
        scrolls: whether it is so wide that a reader may have to scroll, with keys too.
    """
    style = "overflow-x:auto;margin:6px 0"
    look = f'aria-label="{escape(heard(said or alt))}"' + ' tabindex="0"' * scrolls
    return Picture(f'<div role="figure" {look} style="{style}">{svg}</div>', alt)


def heard(alt: str) -> str:
    """What is read out of a text alternative: no rows of numbers, and no more than LONGEST.

    >>> heard("weights\\n  0.20  0.80\\n  0.50  0.50\\nthe rows sum to 1")
    'weights; the rows sum to 1'
    """
    said = "; ".join(line for line in alt.split("\n") if "  " not in line.strip())
    if len(said) <= LONGEST:
        return said
    end = max(said.rfind(sign, 0, LONGEST) for sign in ("; ", ". ", ", "))
    return f"{said[: end if end > 0 else LONGEST]} …"


def stacked(*pictures: Picture) -> Picture:
    """Pictures below each other."""
    html = "".join(f"<div>{picture.html}</div>" for picture in pictures)
    return Picture(f"<div>{html}</div>", "\n".join(picture.alt for picture in pictures))
