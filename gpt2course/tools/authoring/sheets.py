"""Numbers on the pages of docs/: each is followed by the Python that computes it, unseen.

GPT-2 has 12<!-- = gpt2.n_layer --> layers.
"""

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path("docs")
COMPUTED = re.compile(r"([\w.,]+)<!-- = (.+?) -->")


def computed(text: str) -> str:
    """The text of a page with every number as its Python gives it today."""
    return COMPUTED.sub(lambda found: f"{_value(found[2])}<!-- = {found[2]} -->", text)


def pages() -> dict[Path, str]:
    """The pages whose numbers are not what their Python gives, and what they should hold."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
    return {path: mended for path, text in texts.items() if (mended := computed(text)) != text}


def _value(code: str) -> Any:
    try:
        return eval(code, dict(_names()))
    except Exception as error:
        raise ValueError(f"docs: {code!r} can't be computed ({error}); mend it") from error


@functools.cache
def _names() -> dict[str, Any]:
    from gpt2course.config import COURSE, RELEASED
    from gpt2course.model import count_parameters

    models = RELEASED | {"course": COURSE}
    gpt2, sizes = RELEASED["gpt2"], {name: count_parameters(c) for name, c in models.items()}
    known: dict[str, Callable[[Any], Any]] = {
        "params": sizes.__getitem__,
        "hs": lambda name: models[name].n_embd // models[name].n_head,
        "millions": lambda name: f"{sizes[name] / 1e6:.0f}M",
        "gigabytes": lambda name: f"{sizes[name] * 4 / 1e9:.2g}",
        "share": lambda count: f"{count / sizes['gpt2']:.1%}".removesuffix("%"),
    }
    return {"math": math, "RELEASED": RELEASED, "COURSE": COURSE, "gpt2": gpt2, **known}
