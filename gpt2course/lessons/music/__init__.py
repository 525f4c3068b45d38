"""What the notebook of lesson 19 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices

__all__ = ["matrices"]
