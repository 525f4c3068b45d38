"""What the notebook of lesson 12 shows and lets you play with."""

from gpt2course.drawing.matrix import matrices
from gpt2course.drawing.tower_map import tower
from gpt2course.lessons.kv_cache.figures import costs, differences, last_path, runs
from gpt2course.lessons.kv_cache.widgets import cache_slider
