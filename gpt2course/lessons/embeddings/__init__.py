"""What the notebook of lesson 03 shows and lets you play with."""

from gpt2course.drawing.matrix import Panel, matrices, side_by_side
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.embeddings import figures
from gpt2course.lessons.embeddings.widgets import neighbours_to_play
