"""What the notebook of lesson 00 shows and lets you play with."""

from gpt2course.drawing.explorer_widget import GrowingText, explorer, next_logits_of
from gpt2course.drawing.tower_map import tower
