"""What the notebook of lesson 15 shows and lets you play with."""

from gpt2course.drawing.attention_maps import attention_lines, head_grid
from gpt2course.drawing.attention_widget import attention_to_play
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import with_course_weights
from gpt2course.drawing.tower_widget import tower_to_play
from gpt2course.lessons.looking_inside import figures
from gpt2course.lessons.looking_inside.widgets import heads_to_switch, lens_to_play
