"""What the notebook of lesson 17 shows and lets you play with."""

from gpt2course.drawing.curves import curves
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.translation_and_summarization.figures import (
    accuracy,
    beams_drawn,
    crossing,
    facts_drawn,
)
from gpt2course.lessons.translation_and_summarization.widgets import translation_to_play
