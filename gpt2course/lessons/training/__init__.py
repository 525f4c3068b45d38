"""What the notebook of lesson 13 shows and lets you play with."""

from gpt2course.drawing.curves import curves
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.picture import stacked
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.training.figures import moment_of, shifted, valley
from gpt2course.lessons.training.widgets import moments_to_play, schedule_to_play
