"""What the notebook of lesson 07 shows and lets you play with."""

from gpt2course.drawing.attention_maps import weights_of
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.multi_head import figures
from gpt2course.lessons.multi_head.widgets import head_switch
