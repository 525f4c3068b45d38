"""The exercises of lesson 14: load_released."""

EXERCISES = []
