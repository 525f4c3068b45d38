"""The exercises of lesson 11: apply_temperature, keep_top_k, keep_top_p, sample_next, generate."""

EXERCISES = []
