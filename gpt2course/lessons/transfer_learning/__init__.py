"""What the notebook of lesson 18 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.lessons.transfer_learning.figures import (
    forgetting,
    learning_curves,
    two_thin_matrices,
    what_is_trained,
)
from gpt2course.lessons.transfer_learning.widgets import ask_to_play
