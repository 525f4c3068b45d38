"""What the notebook of lesson 13 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.pipeline import pipeline
from gpt2course.lessons.training.figures import curves, moment_of, shifted, stacked
from gpt2course.lessons.training.widgets import moments_to_play, schedule_to_play

__all__ = [
    "curves",
    "matrices",
    "moment_of",
    "moments_to_play",
    "pipeline",
    "schedule_to_play",
    "shifted",
    "stacked",
]
