"""What the notebook of lesson 21 shows and lets you play with."""

from gpt2course.drawing.pipeline import pipeline
from gpt2course.lessons.your_gpt2 import figures
from gpt2course.lessons.your_gpt2.figures import apart_bars, tower
from gpt2course.lessons.your_gpt2.widgets import parts_to_break

__all__ = ["apart_bars", "figures", "parts_to_break", "pipeline", "tower"]
