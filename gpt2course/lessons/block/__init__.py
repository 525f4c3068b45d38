"""What the notebook of lesson 09 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.block.figures import learning_curves, norm_steps, through_depth, wiring
from gpt2course.lessons.block.widgets import blocks_to_play
