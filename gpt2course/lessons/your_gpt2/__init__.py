"""What the notebook of lesson 21 shows and lets you play with."""

from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.your_gpt2 import figures
from gpt2course.lessons.your_gpt2.figures import apart_bars, built
from gpt2course.lessons.your_gpt2.widgets import parts_to_break

__all__ = ["apart_bars", "built", "figures", "parts_to_break", "tower"]
