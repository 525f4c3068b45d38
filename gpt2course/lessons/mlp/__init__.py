"""What the notebook of lesson 08 shows and lets you play with."""

from gpt2course.drawing.curves import loss_lines
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.mlp import figures
from gpt2course.lessons.mlp.widgets import gelu_slider, unit_slider
