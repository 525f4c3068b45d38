"""What the notebook of lesson 16 shows and lets you play with."""

from gpt2course.drawing.matrix import Panel, matrices
from gpt2course.lessons.bert_and_gpt.figures import Model, family, filled, padded, trained
from gpt2course.lessons.bert_and_gpt.widgets import fill_to_play

__all__ = [
    "Model",
    "Panel",
    "family",
    "filled",
    "fill_to_play",
    "matrices",
    "padded",
    "trained",
]
