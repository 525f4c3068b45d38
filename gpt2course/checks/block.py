"""The exercises of lesson 09: layer_norm, Block."""

EXERCISES = []
