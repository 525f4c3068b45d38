"""Lesson 18 to play with: ask a question, and see what several models answer."""

from collections.abc import Mapping

import ipywidgets
import torch
from torch import nn

from gpt2course.drawing.picture import Picture
from gpt2course.drawing.twin import Playable, named, playable
from gpt2course.lessons.transfer_learning.figures import answers_side_by_side
from gpt2course.model import config_of, device_of
from gpt2course.tokenizer import Tokenizer

SHOWN = 5  # likeliest next tokens of each model


def ask_to_play(models: Mapping[str, nn.Module], tokenizer: Tokenizer, text: str) -> Playable:
    """A text to write, and the likeliest next tokens of every model side by side."""

    def draw(text: str) -> Picture:
        return answers_side_by_side(text, likeliest(models, tokenizer, text))

    field = ipywidgets.Text(text, continuous_update=False, **named("text:"))
    field.layout.width = "640px"
    return playable(draw, text=field)


@torch.no_grad()
def likeliest(
    models: Mapping[str, nn.Module], tokenizer: Tokenizer, text: str
) -> dict[str, list[tuple[str, float]]]:
    """For each model its likeliest next tokens and their probabilities, after <|endoftext|>."""
    found = {}
    for name, model in models.items():
        n_ctx = config_of(model).n_ctx
        ids = [tokenizer.end_of_text, *tokenizer.encode(text)][-n_ctx:]
        probs = model(torch.tensor([ids], device=device_of(model)))[0, -1].softmax(dim=-1)
        best = probs.topk(SHOWN)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found[name] = [(tokenizer.decode([i]).strip() or "␣", p) for i, p in pairs]
    return found
