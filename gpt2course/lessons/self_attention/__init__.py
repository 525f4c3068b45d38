"""What the notebook of lesson 05 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.self_attention import figures
from gpt2course.lessons.self_attention.widgets import cabinet_to_play
