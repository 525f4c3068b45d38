"""What the notebook of lesson 19 shows and lets you play with."""

from gpt2course.drawing.curves import curves
from gpt2course.drawing.matrix import matrices
from gpt2course.lessons.music.figures import (
    attention_over_notes,
    event_row,
    one_hot_rows,
    piano_roll,
    piano_rolls,
    seeds_and_means,
)
from gpt2course.lessons.music.widgets import melody_to_play
