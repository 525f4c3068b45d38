"""What the notebook of lesson 04 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.pipeline import pipeline
from gpt2course.lessons.embeddings.figures import Panel, loss_lines, side_by_side
from gpt2course.lessons.positions.figures import clocks, wavelengths, waves
from gpt2course.lessons.positions.widgets import position_slider

__all__ = [
    "Panel",
    "clocks",
    "loss_lines",
    "matrices",
    "pipeline",
    "position_slider",
    "side_by_side",
    "wavelengths",
    "waves",
]
