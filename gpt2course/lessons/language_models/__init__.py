"""What the notebook of lesson 01 shows and lets you play with."""

from gpt2course.drawing.explorer import Candidate, next_tokens
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.language_models.figures import (
    Model,
    circle,
    model_sizes,
    robot_text,
    smoothing_curves,
)
from gpt2course.lessons.language_models.widgets import keyboard
