"""What the notebook of lesson 04 shows and lets you play with."""

from gpt2course.drawing.curves import loss_lines
from gpt2course.drawing.matrix import Panel, matrices, side_by_side
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.positions.figures import clocks, wavelengths, waves
from gpt2course.lessons.positions.widgets import position_slider
