"""The pictures of lesson 21: the whole model with the learner's parts lit, and stage by stage."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BAR, GREY, INK, ORANGE, PAGE
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing

LIT, OURS = "#ffd43b", "none"
HIGH, WIDE, GAP = 30, 172, 8
# From the text at the bottom to the text at the top: a name, and its components.
FLOORS = (
    ("ids → text", ("decode_ids",)),
    ("the next id", ("generate", "sample_next", "apply_temperature", "keep_top_k")),
    ("logits", ("output_logits", "GPT2")),
    ("MLP", ("gelu", "MLP")),
    ("attention", ("split_heads", "CausalSelfAttention", "merge_heads")),
    ("", ("attention_scores", "attention_weights", "blend_values")),
    ("", ("causal_mask", "masked_attention", "append_to_cache", "cached_attention")),
    ("block", ("layer_norm", "Block")),
    ("vectors", ("embed", "embed_tokens")),
    ("weights", ("read_safetensors", "load_released", "count_parameters")),
    ("text → ids", ("merge_pair", "encode_chunk")),
)


def built(own: Mapping[str, bool], lessons: Mapping[str, str] | None = None) -> Picture:
    """The one file as a tower, text in at the bottom, text out at the top; one's own parts lit.

    Args:
        own: for each component in the file whether it is the learner's.
        lessons: the lesson of each, such as "06_masking", whose number stands in the box.
    """
    lessons = lessons or {}
    drawn, y = Drawing(), 0.0
    known = {name for _, names in FLOORS for name in names}
    floors = [*FLOORS[:-1], FLOORS[-1], ("and", tuple(name for name in own if name not in known))]
    for said, names in floors:
        there = [name for name in names if name in own]
        for start in range(0, len(there), 4):
            if start == 0 and said:
                drawn.text(-12, y + HIGH / 2 + 4.5, said, "end", 13, True)
            for column, name in enumerate(there[start : start + 4]):
                _box(drawn, column * (WIDE + GAP), y, name, own[name], lessons.get(name, ""))
            y += HIGH + GAP
    lit = sum(own.values())
    drawn.head(f"{lit} of {len(own)} parts are yours", "yellow: yours · dashed: the package's")
    mine = [name for name, is_own in own.items() if is_own]
    ours = [name for name, is_own in own.items() if not is_own]
    told = [f"{lit} of the {len(own)} parts in the file are yours"]
    told += [f"yours: {', '.join(mine)}"] * bool(mine)
    told += [f"the package's: {', '.join(ours)}"] * bool(ours)
    return drawn.picture("; ".join(told) + ".")


def _box(drawn: Drawing, x: float, y: float, name: str, lit: bool, lesson: str) -> None:
    look = {"fill": LIT, "edge": INK} if lit else {"fill": OURS, "edge": GREY, "dash": "4 3"}
    drawn.rect(x, y, WIDE, HIGH, rx=5, **look)
    said = f"{lesson[:2]} {name}".strip()
    drawn.text(x + WIDE / 2, y + HIGH / 2 + 4.5, said, "middle", 12, lit, INK if lit else PAGE)


def apart_bars(
    apart: Mapping[str, float], first: str | None, tolerance: float, title: str = ""
) -> Picture:
    """How far two models are apart at every stage, on a scale of powers of ten.

    Args:
        apart: the largest distance at each stage, in the order of the data.
        first: the first stage that differs, drawn in orange as are those behind it.
    """
    names, lowest = list(apart), -9.0
    begun = names.index(first) if first else len(names)
    rows = [
        Bar(name, _height(far, lowest), _told(far, tolerance), ORANGE if i >= begun else BAR)
        for i, (name, far) in enumerate(apart.items())
    ]
    if not title:
        title = f"The first difference is at {first}" if first else "No stage differs"
    drawn = bars(rows, full=12.0, length=420, high=20)
    drawn.head(title, "the largest distance at each stage, as powers of ten above 10⁻⁹")
    told = ", ".join(f"{row.label} {row.said}" for row in rows)
    return drawn.picture(f"{title}. Largest difference by stage: {told}.")


def _height(far: float, lowest: float) -> float:
    """How long a bar is: powers of ten above the lowest."""
    if not math.isfinite(far):
        return 12.0
    return max(0.0, math.log10(max(far, 10**lowest)) - lowest)


def _told(far: float, tolerance: float) -> str:
    if math.isnan(far):
        return "NaN"
    if math.isinf(far):
        return "another shape"
    return "rounding" if far <= tolerance else f"{float(f'{far:.2g}'):g}"
