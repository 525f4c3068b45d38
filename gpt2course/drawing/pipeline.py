"""The whole of GPT-2 in one picture, with the stage of a lesson lit."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from gpt2course.drawing.picture import Picture, from_svg

LIT, UNLIT, FRAME = "#ffd43b", "#e7f0fa", "#5c7cfa"
INK = "#1b1b1b"


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
    Stage("02_tokens", "tokens", 12, 96, 96, 52, "ids (T)"),
    Stage("03_embeddings", "embedding", 136, 58, 126, 52, "a row of wte"),
    Stage("04_positions", "positions", 136, 134, 126, 52, "a row of wpe"),
    Stage("05_self_attention", "self-attention", 326, 54, 142, 44, "scores, weights, blend"),
    Stage("06_masking", "mask", 326, 106, 142, 44, "no future"),
    Stage("07_multi_head", "heads", 326, 158, 142, 44, "split, merge"),
    Stage("08_mlp", "MLP", 530, 108, 104, 44, "C → 4C → C"),
    Stage("10_output_projection", "scores", 716, 96, 106, 52, "logits (T, V)"),
    Stage("11_sampling", "sampling", 846, 96, 110, 52, "one id"),
    Stage("12_kv_cache", "cache", 846, 180, 110, 44, "keep k and v"),
)
BLOCK = Stage("09_block", "block", 306, 14, 382, 214)
WIDTH, HEIGHT = 1060, 292


def pipeline(stem: str = "") -> Picture:
    """The forward pass as boxes and arrows; the box of lesson `stem` is lit.

    Args:
        stem: a lesson such as "06_masking". Without one, or with a lesson that is about the
            whole, nothing is lit.
    """
    lit = {stage.lesson: stage for stage in (*STAGES, BLOCK)}.get(stem)
    parts = [_block(BLOCK, lit is BLOCK), *(_box(s, s is lit) for s in STAGES), *_arrows()]
    parts += [_text(1016, 110, "next token"), _text(1016, 130, "“obey”", size=15, weight=700)]
    parts += [_text(60, 58, "text"), _text(60, 78, "“a robot must”", size=13, weight=700)]
    parts += [_text(530, 284, "the new token joins the text, and all of it runs again", size=12)]
    svg = (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'style="max-width:100%;height:auto" aria-hidden="true" '
        'font-family="system-ui, sans-serif" font-size="12">'
        '<defs><marker id="gpt2course-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#868e96"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )
    return from_svg(svg, _alt(lit))


def _alt(lit: Stage | None) -> str:
    chain = (
        "GPT-2 from text to text: text, tokens (02), embedding (03) plus positions (04), a block "
        "(09) repeated 12 times that holds self-attention (05) with its mask (06) and heads (07) "
        "and the MLP (08), scores for every token (10), sampling (11); the new token joins the "
        "text, and the cache (12) keeps what need not be computed again."
    )
    return f"{chain} Lit: {lit.label} ({lit.number}), this lesson." if lit else chain


def _text(x, y, text, anchor="middle", size=12, weight=400, fill="currentColor") -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )


def _box(stage: Stage, lit: bool) -> str:
    middle = stage.x + stage.width / 2
    edge = f'stroke="{INK}" stroke-width="3"' if lit else f'stroke="{FRAME}" stroke-width="1"'
    return (
        f'<rect x="{stage.x}" y="{stage.y}" width="{stage.width}" height="{stage.height}" rx="6" '
        f'fill="{LIT if lit else UNLIT}" {edge}/>'
        + _text(middle, stage.y + 19, _title(stage, lit), size=13, weight=600, fill=INK)
        + _text(middle, stage.y + 36, stage.note, fill=INK)
    )


def _title(stage: Stage, lit: bool) -> str:
    return f"{'▶ ' if lit else ''}{stage.number} {stage.label}"


def _block(stage: Stage, lit: bool) -> str:
    edge = f'stroke="{INK}" stroke-width="3"' if lit else f'stroke="{FRAME}" stroke-dasharray="5 4"'
    fill = f'fill="{LIT}" fill-opacity=".35"' if lit else 'fill="none"'
    return (
        f'<rect x="{stage.x}" y="{stage.y}" width="{stage.width}" height="{stage.height}" rx="10" '
        f"{fill} {edge}/>"
        + '<rect x="318" y="46" width="158" height="164" rx="8" fill="none" stroke="#868e96"/>'
        + _text(stage.x + 12, stage.y + 20, _title(stage, lit), "start", 13, 600)
        + _text(
            stage.x + stage.width - 12, stage.y + 20, "12 times over, x (T, C) stays (T, C)", "end"
        )
    )


def _arrows() -> list[str]:
    """The arrows in the order of the data, and the two additions on the residual stream."""
    lines = [
        "M60 84V94", "M108 122H122V84H134", "M108 122H122V160H134", "M262 84H280V111",
        "M262 160H280V133", "M290 122H304V130H316", "M476 130H484", "M504 130H528",
        "M634 130H648", "M668 130H700V122H714", "M822 122H844", "M956 122H978",
        "M1016 142V264H60V152",
    ]  # fmt: skip
    drawn = [
        f'<path d="{d}" fill="none" stroke="#868e96" stroke-width="1.5" '
        'marker-end="url(#gpt2course-tip)"/>'
        for d in lines
    ]
    drawn.append(
        '<path d="M304 130V218H494V142M494 218H658V142" fill="none" stroke="#868e96" '
        'stroke-width="1.5" stroke-dasharray="3 3"/>'
    )
    return drawn + [_plus(x, y) for x, y in ((280, 122), (494, 130), (658, 130))]


def _plus(x: int, y: int) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="9" fill="#ffffff" stroke="#868e96" stroke-width="1.5"/>'
        + _text(x, y + 5, "+", size=15, weight=700, fill=INK)
    )
