"""What the notebook of lesson 02 shows and lets you play with."""

from gpt2course.drawing.tokens import boxes, piece_table, token_boxes
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.tokens.figures import (
    STORY,
    bytes_under,
    compression,
    cuts,
    language_chart,
    merge_steps,
    merge_tree,
)
from gpt2course.lessons.tokens.widgets import merge_slider
