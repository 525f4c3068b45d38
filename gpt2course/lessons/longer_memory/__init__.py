"""What the notebook of lesson 20 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.longer_memory.figures import costs, four_masks, reach, shares
from gpt2course.lessons.longer_memory.widgets import field_to_play

__all__ = ["costs", "field_to_play", "four_masks", "matrices", "tower", "reach", "shares"]
