"""The exercises of lesson 12: append_to_cache, cached_attention."""

EXERCISES = []
