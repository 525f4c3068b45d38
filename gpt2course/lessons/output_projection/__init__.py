"""What the notebook of lesson 10 shows and lets you play with."""

from gpt2course.drawing.bars import next_words
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.drawing.tower_widget import tower_to_play
from gpt2course.lessons.output_projection.figures import (
    one_table,
    parameter_bars,
    row_against_table,
)
from gpt2course.lessons.output_projection.widgets import scores_to_play, sizes_to_play
