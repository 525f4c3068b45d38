"""What the notebook of lesson 14 shows and lets you play with."""

from gpt2course.drawing.bars import next_words
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tokens import piece_text
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.released_weights.checkpoint import find_checkpoint
from gpt2course.lessons.released_weights.figures import (
    Load,
    byte_map,
    file_shares,
    four_matrices,
    loads,
    surprise_text,
)
from gpt2course.lessons.released_weights.widgets import checkpoint_to_play, loads_to_play
