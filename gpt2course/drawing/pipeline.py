"""The whole of GPT-2 in one picture, with the stage of a lesson lit."""

from __future__ import annotations

from dataclasses import dataclass

from gpt2course.drawing.colours import GREY, INK, PAGE
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing

LIT, UNLIT, FRAME = "#ffd43b", "#e7f0fa", "#5c7cfa"


@dataclass(frozen=True)
class Stage:
    """One box: the lesson that builds it, what it is called, what comes out of it."""

    lesson: str
    label: str
    x: int
    y: int
    width: int
    height: int
    note: str = ""

    @property
    def number(self) -> str:
        return self.lesson[:2]


STAGES = (
    Stage("02_tokens", "tokens", 0, 96, 88, 52, "ids (T)"),
    Stage("03_embeddings", "embedding", 106, 58, 102, 52, "a row of wte"),
    Stage("04_positions", "positions", 106, 134, 102, 52, "a row of wpe"),
    Stage("05_self_attention", "self-attention", 268, 54, 142, 44, "scores, weights, blend"),
    Stage("06_masking", "mask", 268, 106, 142, 44, "no future"),
    Stage("07_multi_head", "heads", 268, 158, 142, 44, "split, merge"),
    Stage("08_mlp", "MLP", 456, 108, 84, 44, "C → 4C → C"),
    Stage("10_output_projection", "scores", 604, 96, 86, 52, "logits (T, V)"),
    Stage("11_sampling", "sampling", 706, 96, 102, 52, "one id"),
    Stage("12_kv_cache", "cache", 706, 180, 102, 44, "keep k and v"),
)
BLOCK = Stage("09_block", "block", 250, 14, 338, 214)
CHAIN = (
    "GPT-2 from text to text: text, tokens (02), embedding (03) plus positions (04), a block "
    "(09) repeated 12 times that holds self-attention (05) with its mask (06) and heads (07) "
    "and the MLP (08), scores for every token (10), sampling (11); the new token joins the "
    "text, and the cache (12) keeps what need not be computed again."
)
ARROWS = (  # in the order of the data
    ((44, 56), (44, 95)), ((88, 122), (97, 122), (97, 84), (105, 84)),
    ((88, 122), (97, 122), (97, 160), (105, 160)), ((208, 84), (228, 84), (228, 111)),
    ((208, 160), (228, 160), (228, 133)), ((238, 122), (259, 122)), ((418, 130), (425, 130)),
    ((444, 130), (455, 130)), ((540, 130), (552, 130)),
    ((572, 130), (592, 130), (592, 122), (603, 122)), ((690, 122), (705, 122)),
    ((808, 122), (818, 122), (818, 252), (44, 252), (44, 149)),
)  # fmt: skip


def pipeline(stem: str = "") -> Picture:
    """The forward pass as boxes and arrows; the box of lesson `stem` is lit.

    Args:
        stem: a lesson such as "06_masking". Without one, or with a lesson that is about the
            whole, nothing is lit.
    """
    lit = {stage.lesson: stage for stage in (*STAGES, BLOCK)}.get(stem)
    drawn = Drawing()
    _block(drawn, lit is BLOCK)
    for stage in STAGES:
        look = {"fill": LIT, "edge": PAGE, "thick": 3} if stage is lit else {"edge": FRAME}
        drawn.rect(stage.x, stage.y, stage.width, stage.height, **{"fill": UNLIT} | look, rx=6)
        middle, y = stage.x + stage.width / 2, stage.y + stage.height / 2
        drawn.text(middle, y - 5, _title(stage, stage is lit), "middle", 12, True, INK)
        drawn.text(middle, y + 12, stage.note, "middle", 12, fill=INK)
    for points in ARROWS:
        drawn.arrow(*points, head=7)
    past = ((244, 122), (244, 218), (434, 218), (434, 142)), ((434, 218), (562, 218), (562, 142))
    for points in past:  # the residual stream, past the boxes to both additions
        drawn.line(*points, dash="3 3")
    for x, y in ((228, 122), (434, 130), (562, 130)):
        drawn.plus(x, y, 9)
    drawn.text(0, 30, "text", size=12)
    drawn.text(0, 49, "“a robot must”", size=13, bold=True)
    said = "the next token, “obey”, joins the text, and all of it runs again"
    drawn.text(410, 272, said, "middle", 12)
    return drawn.picture(f"{CHAIN} Lit: {lit.label} ({lit.number}), this lesson." if lit else CHAIN)


def _title(stage: Stage, lit: bool) -> str:
    return f"{'▶ ' if lit else ''}{stage.number} {stage.label}"


def _block(drawn: Drawing, lit: bool) -> None:
    x, y, width, height = BLOCK.x, BLOCK.y, BLOCK.width, BLOCK.height
    look = {"edge": PAGE, "thick": 3} if lit else {"edge": FRAME, "dash": "5 4"}
    drawn.rect(x, y, width, height, LIT if lit else "none", rx=10, **look)
    if lit:  # the boxes stand on a ground of their own, so that the page's text can be read
        drawn.rect(x + 4, y + 28, width - 8, height - 32, UNLIT, "none", rx=8)
    drawn.rect(260, 46, 158, 164, "none", GREY, rx=8)
    ink = INK if lit else PAGE
    drawn.text(x + 10, y + 20, _title(BLOCK, lit), "start", 13, True, ink)
    drawn.text(x + width - 10, y + 20, "12 times, x (T, C) stays (T, C)", "end", 12, fill=ink)
