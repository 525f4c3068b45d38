"""Pictures of lesson 13: shifted rows, steps down a valley, a model at five moments of training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor, nn

from gpt2course.drawing.bars import Bar, bars
from gpt2course.drawing.colours import BLUE, GREY, NEW, ORANGE, PAGE, READ
from gpt2course.drawing.curves import Axis
from gpt2course.drawing.matrix import matrix, matrix_text
from gpt2course.drawing.numbers import percent
from gpt2course.drawing.picture import Picture
from gpt2course.drawing.svg import Drawing, Words, row
from gpt2course.drawing.tokens import word_row, word_width
from gpt2course.tokenizer import Tokenizer


def shifted(words: Words, start: int, n_ctx: int) -> Picture:
    """A text, one row of inputs cut out of it, and their targets one place later."""
    drawn, width = Drawing(), word_width(words)
    rows = (("text", 0, len(words), ""), ("inputs", start, n_ctx, "read"),
            ("targets", start + 1, n_ctx, "target"))  # fmt: skip
    for i, (name, first, n, look) in enumerate(rows):
        drawn.text(-10, 44 * i + 20, name, "end", 13, True)
        word_row(drawn, words[first : first + n], [look] * n, 44 * i, width, first)
    for j in range(len(words)):
        drawn.text(j * (width + 6) + width / 2, -8, str(j), "middle", 12)
    for t in range(n_ctx):  # a target stands one column to the right of its input
        x = (start + t) * (width + 6)
        drawn.line((x + 0.75 * width, 74), (x + 1.25 * width + 6, 87), stroke=PAGE)
    told = [f"“{words[start + t]}” → “{words[start + t + 1]}”" for t in range(n_ctx)]
    return drawn.picture(f"start {start}, {n_ctx} inputs and their targets: {', '.join(told)}")


@dataclass(frozen=True)
class Moment:
    """What a model in training can do after some steps.

    Attributes:
        loss: nats per token on held-out text.
        likeliest: the next words that it predicts after a question, with their probabilities.
        weights: attention from *it* to its noun, for every layer and head, (L, nh).
    """

    step: int
    loss: float
    sample: str
    likeliest: Sequence[tuple[str, float]]
    weights: Tensor


@torch.no_grad()
def moment_of(
    model: nn.Module, tokenizer: Tokenizer, generate: Callable[..., Tensor], question: str,
    step: int, loss: float, weights: Tensor,
) -> Moment:  # fmt: skip
    """Let the model write a text and complete the question, which breaks off before a word."""
    start = [tokenizer.end_of_text]
    scores = model(torch.tensor([start + tokenizer.encode(question)]))[0, -1]
    best, ids = scores.softmax(dim=-1).topk(5)
    words = [tokenizer.decode([token_id]).strip() for token_id in ids.tolist()]
    dice = torch.Generator().manual_seed(3)
    written = generate(model, torch.tensor([start]), SAMPLE_LENGTH, 0.8, 40, dice)[0, 1:].tolist()
    likeliest = list(zip(words, best.tolist(), strict=True))
    return Moment(step, loss, tokenizer.decode(written), likeliest, weights)


SAMPLE_LENGTH = 60  # tokens


def moment_picture(moment: Moment, question: str, right: Words) -> Picture:
    """What the model writes, what it predicts after the question, and how heads attend to the noun.

    The words that would be right carry a check mark.
    """
    L, nh = moment.weights.shape
    layers, heads = [f"layer {i}" for i in range(L)], [f"head {i}" for i in range(nh)]
    heading = f"after {moment.step:,} steps: held-out loss {moment.loss:.2f} nats per token"
    title = "attention from “it” to its noun"
    marked = [(f"{'✓ ' * (word in right)}{word}", p) for word, p in moment.likeliest]
    left = bars(
        [Bar(word, p, percent(p, 0)) for word, p in marked],
        full=1, length=200,
    )  # fmt: skip
    both = row([left, matrix(moment.weights, layers, heads, title, scale=(0.0, 1.0))])
    both.head("", f"“{question} …”")
    said = ", ".join(f"{word} {percent(p, 0)}" for word, p in marked)
    alt = (
        f"{heading}\nIt writes: {moment.sample}\n“{question} …”: {said}\n"
        f"{title}\n{matrix_text(moment.weights, layers, heads)}"
    )
    html = (
        f'<div style="font-weight:600">{escape(heading)}</div>'
        '<div style="max-width:820px;margin:6px 0;padding:8px 12px;border-left:3px solid '
        f'{BLUE};line-height:1.5">{escape(moment.sample)}</div>'
    )
    return Picture(html + both.picture(alt).html, alt)


def valley(rates: Mapping[str, float], start: float = -2.0, n_steps: int = 5) -> Picture:
    """Gradient descent on the loss w², from one start, with a panel for each learning rate.

    Args:
        rates: the learning rates, by what is said of them.
        start: the weight at first.
    """
    plots, told = [], []
    across = Axis("weight", -3.6, 3.6, ticks={-3: "-3", 0: "0", 3: "3"}).fitted([0], 216)
    up = Axis("loss", 0, 13, ticks={0: "0", 5: "5", 10: "10"}).fitted([0], 170)
    for said, rate in rates.items():
        path = [start]
        for _ in range(n_steps):
            path.append(path[-1] - rate * 2 * path[-1])  # the gradient of w² is 2w
        one = Drawing()
        up.beside(one, 216)
        across.below(one, 170)
        edges = [-3.6 + 0.1 * i for i in range(73)]
        one.line(*((across(w), 170 - up(w * w)) for w in edges), stroke=GREY, thick=2)
        places = [(across(w), 170 - up(w * w)) for w in path]
        one.line(*places, stroke=ORANGE, thick=2, kind="path")
        for i, place in enumerate(places):
            one.circle(*place, 6 if i in (0, n_steps) else 4, NEW if i == n_steps else READ)
        one.head(f"{rate:g}: {said}", f"loss {path[0] ** 2:.2f} → {path[-1] ** 2:.2f}", 13)
        plots.append(one)
        told.append(f"learning rate {rate:g}, {said}: loss from {path[0] ** 2:.2f} to "
                    f"{path[-1] ** 2:.2f} in {n_steps} steps")  # fmt: skip
    return row(plots, gap=26).picture("; ".join(told))
