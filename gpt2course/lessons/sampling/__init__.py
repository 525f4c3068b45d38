"""What the notebook of lesson 11 shows and lets you play with."""

from gpt2course.drawing.explorer import Candidate, next_tokens
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.pipeline import pipeline
from gpt2course.lessons.sampling.figures import (
    dice_strip,
    fits,
    judged,
    kept_along,
    known_patterns,
    moving_window,
    outside_first,
    right_and_different,
    sentences_of,
    tail_curves,
)
from gpt2course.lessons.sampling.widgets import sampling_desk
