"""A map of the course: the tower without numbers, and which lesson builds which part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from gpt2course.drawing.colours import GREY, INK, PAGE
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing
from gpt2course.drawing.tower import (
    ATTENTION,
    ATTENTION_FILL,
    LIT,
    MLP,
    MLP_FILL,
    NEW,
    STREAM,
    TABLE,
    TABLE_FILL,
    TOKEN_FILL,
    ground,
    tower_of,
)
from gpt2course.model import GPT2
from gpt2course.weights import load_tokenizer

X, LATER, DOWN = (84, 164, 244), 338, 388  # the columns of the tokens, and the way back
LABELS, END, HIGH = 412, 816, 42  # the list of the lessons, and from one to the next


class Part(NamedTuple):
    """A part of the model: the lesson that builds it, and the exercises that it is made of.

    Attributes:
        at: where the number of the lesson stands.
        ground: left, top, right and bottom of what is lit in that lesson.
    """

    lesson: str
    label: str
    note: str
    exercises: tuple[str, ...]
    at: tuple[float, float]
    ground: tuple[float, float, float, float]

    @property
    def number(self) -> str:
        return self.lesson[:2]


PARTS = (  # from the bottom up
    Part("02_tokens", "tokens", "text to ids (T)",
         ("count_pairs", "merge_pair", "train_merges", "encode_chunk", "decode_ids"),
         (22, 13), (44, -5, 284, 31)),
    Part("03_embeddings", "embedding", "a row of wte for each id",
         ("embed_tokens", "nearest_tokens"), (22, -29), (44, -43, 284, -15)),
    Part("04_positions", "positions", "plus a row of wpe", ("embed", "sinusoidal_positions"),
         (22, -62), (44, -76, 316, -48)),
    Part("12_kv_cache", "cache", "keep k and v of earlier tokens",
         ("append_to_cache", "cached_attention"), (124, -112), (60, -126, 188, -98)),
    Part("06_masking", "mask", "nothing is read from later tokens",
         ("causal_mask", "masked_attention"), (306, -146), (252, -162, 346, -124)),
    Part("05_self_attention", "self-attention", "scores, weights, blend",
         ("attention_scores", "attention_weights", "blend_values"),
         (30, -168), (54, -213, 222, -131)),
    Part("07_multi_head", "heads", "split, attend, merge",
         ("split_heads", "merge_heads", "CausalSelfAttention"),
         (207, -216), (189, -229, 236, -131)),
    Part("08_mlp", "MLP", "C → 4C → C", ("gelu", "MLP"), (306, -250), (252, -268, 324, -228)),
    Part("09_block", "block", "read, add; read, add; 12 times", ("layer_norm", "Block"),
         (30, -272), (8, -288, 362, -86)),
    Part("10_output_projection", "scores", "ln_f, then a logit for every token",
         ("output_logits", "count_parameters", "GPT2"), (306, -358), (50, -426, 280, -340)),
    Part("11_sampling", "sampling", "one id, which joins the text",
         ("apply_temperature", "keep_top_k", "keep_top_p", "sample_next", "generate"),
         (306, -413), (50, -427, 376, -406)),
)  # fmt: skip
CHAIN = (
    "GPT-2 as a tower, from the bottom up: the tokens of the text (02), a row of wte for each (03) "
    "plus a row of wpe (04); blocks (09), 12 of them, in which each token reads the tokens before "
    "it by self-attention (05) with its mask (06) and heads (07) and goes through the MLP (08), "
    "both added to the residual stream; at the top a score for every token (10) and sampling (11): "
    "the new token joins the text, and the cache (12) keeps what need not be computed again."
)


STORY = "Mina looked at the kettle because it"


def with_course_weights(kind: type[nn.Module] = GPT2) -> nn.Module:
    """The course model in another class, such as a learner's own, with parts of the same names."""
    trained = GPT2.from_pretrained("course")
    model = kind(trained.config).eval().requires_grad_(False)
    for name in ("wte", "wpe", "ln_f"):
        model.get_submodule(name).load_state_dict(trained.get_submodule(name).state_dict())
    blocks = model.get_submodule("h").children()
    for block, other in zip(blocks, trained.h.children(), strict=True):
        block.load_state_dict(other.state_dict(), strict=False)  # passes over a stored mask
    return model


def tower(
    stem: str = "", yours: Sequence[str] = (), kind: type[nn.Module] | None = None
) -> Picture:
    """The whole of GPT-2 as a tower; the part that lesson `stem` builds is lit.

    Args:
        kind: the learner's own GPT2. It gets the weights of the course model, and the tower the
            numbers of its run on a story.
        stem: a lesson such as "06_masking". Without one, or with a lesson that is about the
            whole, nothing is lit.
        yours: exercises that the learner has solved. A part of which all are solved has a star.
    """
    if kind:
        return tower_of(with_course_weights(kind), load_tokenizer("course"), STORY, lit=stem,
                        yours=yours)  # fmt: skip
    lit = next((part for part in PARTS if part.lesson == stem), None)
    built = [part for part in PARTS if set(part.exercises) <= set(yours)]
    drawn = Drawing()
    if lit:
        ground(drawn, *lit.ground, LIT, 0.35)
    _chips(drawn)
    _tables(drawn)
    _block(drawn)
    _top(drawn)
    for i, part in enumerate(PARTS):
        solved = sum(name in yours for name in part.exercises)
        _number(drawn, part, part is lit)
        _label(drawn, part, -HIGH * i, part is lit, solved)
    drawn.text(LABELS + 10, 52, "the number of a lesson, and what it builds", size=12)
    if built:
        drawn.text(END - 8, 52, "★ yours", "end", 12)
    told = f" Lit: {lit.label} ({lit.number}), this lesson." if lit else ""
    if built:
        told += f" Yours: {', '.join(f'{part.label} ({part.number})' for part in built)}."
    return drawn.picture(CHAIN + told)


def _chips(drawn: Drawing) -> None:
    for x, word in zip(X, ("a", "robot", "must"), strict=True):
        drawn.line((x, 0), (x, -312), stroke=STREAM, thick=7 if x == X[-1] else 2.5,
                   opacity=1 if x == X[-1] else 0.5)  # fmt: skip
        drawn.box(x - 34, 0, 68, 26, word, TOKEN_FILL, 13, x == X[-1], True, edge=STREAM, rx=6)
    drawn.line((LATER, 0), (LATER, -312), stroke=STREAM, thick=2, dash="2 5", opacity=0.5)
    drawn.box(LATER - 34, 0, 68, 26, "obey", NEW, 13, True, True, edge=PAGE, thick=3, rx=6)


def _tables(drawn: Drawing) -> None:
    for x in X:
        drawn.box(x - 21, -38, 42, 18, "wte", TABLE_FILL, 12, edge=TABLE, rx=3)
    x = X[-1]
    drawn.line((x, -62), (x + 50, -62), stroke=TABLE, thick=2)
    drawn.box(x + 24, -71, 42, 18, "wpe", TABLE_FILL, 12, edge=TABLE, rx=3)
    drawn.plus(x, -62, 8)


def _block(drawn: Drawing) -> None:
    x, right = X[-1], LATER + 24
    ground(drawn, 8, -288, right, -86, PAGE, 0.06)
    drawn.rect(8, -288, right - 8, 202, edge=GREY, rx=10)
    for key in X[:-1]:  # what the cache keeps
        for j, letter in enumerate("kv"):
            drawn.box(key - 17 + 17 * j, -120, 16, 16, letter, ATTENTION_FILL, 12, mono=True,
                      edge=ATTENTION, rx=2 + 4 * j)  # fmt: skip
    for head, (letter, shares) in enumerate({"a": (2, 9), "b": (8, 2), "c": (4, 4)}.items()):
        y = -146 - 23 * head
        for key, share in zip(X[:-1], shares, strict=True):
            drawn.line((key, y + 8), (key, y - 12), (x - 60, y - 12), (x - 48, y),
                       stroke=ATTENTION, thick=share, opacity=0.8, curved=True)  # fmt: skip
        drawn.line((x - 37, y), (x - 13, y), stroke=ATTENTION, thick=2)
        drawn.box(x - 48, y - 9, 22, 18, letter, ATTENTION_FILL, 12, True, edge=ATTENTION, rx=4)
    drawn.line((x - 13, -146), (x - 13, -216), (x, -216), stroke=ATTENTION, thick=2)
    drawn.line((LATER, -132), (LATER - 20, -146), (x + 30, -146), (x + 12, -146), stroke=ATTENTION,
               thick=2, dash="3 4", curved=True)  # fmt: skip
    drawn.text(x + 24, -141, "✗", "middle", 14, True)
    drawn.plus(x, -216, 8)
    drawn.line((x, -232), (x + 30, -232), (x + 30, -262), (x, -262), stroke=MLP, thick=2)
    drawn.box(x + 19, -259, 22, 18, "M", MLP_FILL, 12, True, edge=MLP, rx=9)
    drawn.plus(x, -262, 8)


def _top(drawn: Drawing) -> None:
    x = X[-1]
    for y in (-298, -308):
        drawn.rect(8, y, LATER + 16, 7, "none", GREY, rx=3)
    drawn.text(8, -320, "11 more blocks like it", size=12)
    drawn.box(x - 24, -366, 48, 20, "ln_f", TOKEN_FILL, 12, edge=STREAM, rx=5)
    drawn.line((x, -312), (x, -346), stroke=STREAM, thick=7)
    drawn.line((x, -366), (x, -378), stroke=STREAM, thick=7)
    for rank, (word, long) in enumerate((("obey", 130), ("follow", 48), ("the", 22))):
        y = -424 + 16 * rank
        drawn.text(102, y + 11, word, "end", 12)
        drawn.rect(110, y + 2, long, 11, STREAM, "none")
    drawn.arrow((248, -416), (DOWN, -416), (DOWN, 13), (LATER + 38, 13), thick=2, dash="6 4")


def _number(drawn: Drawing, part: Part, is_lit: bool) -> None:
    """The number of a lesson, beside the part that it builds."""
    x, y = part.at
    look = {"edge": PAGE, "thick": 2.5} if is_lit else {"edge": GREY}
    fill = LIT if is_lit else "#ffffff"
    drawn.box(x - 14, y - 9, 28, 18, part.number, fill, 12, True, rx=9, **look)


def _label(drawn: Drawing, part: Part, y: float, is_lit: bool, solved: int) -> None:
    """A lesson's number, what it builds, and how much of it is the learner's."""
    of = len(part.exercises)
    built = solved == of
    look = {"edge": PAGE, "thick": 3} if is_lit else {"edge": STREAM if built else GREY}
    fill = LIT if is_lit else TOKEN_FILL if built else "none"
    ink = PAGE if fill == "none" else INK
    drawn.rect(LABELS, y - 2, END - LABELS, 30, fill, rx=6, **look)
    said = f"{'▶ ' if is_lit else ''}{part.number} {part.label}"
    drawn.text(LABELS + 10, y + 17, said, "start", 12, True, ink)
    drawn.text(LABELS + 158, y + 17, part.note, "start", 12, fill=ink)
    if solved:
        star = "★" if built else f"{solved} of {of}"
        drawn.text(END - 8, y + 17, star, "end", 12, True, ink)
