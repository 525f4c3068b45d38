"""The exercises of lesson 08: gelu, MLP."""

EXERCISES = []
