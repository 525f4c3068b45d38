"""The exercises of lesson 03: embed_tokens, nearest_tokens."""

EXERCISES = []
