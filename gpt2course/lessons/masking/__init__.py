"""What the notebook of lesson 06 shows and lets you play with."""

from gpt2course.drawing.attention_maps import weights_of
from gpt2course.drawing.curves import loss_lines
from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.masking.figures import training_examples, two_losses
from gpt2course.lessons.masking.widgets import mask_switch
