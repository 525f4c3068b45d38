"""What the notebook of lesson 11 shows and lets you play with."""

from gpt2course.corpus.judge import fits, judged, known_patterns, sentences_of
from gpt2course.drawing.explorer import Candidate, next_tokens
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.sampling.figures import (
    dice_strip,
    kept_along,
    moving_window,
    outside_first,
    right_and_different,
    tail_curves,
    writing,
)
from gpt2course.lessons.sampling.widgets import sampling_desk
