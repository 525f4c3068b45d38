"""The exercises of lesson 07: split_heads, merge_heads, CausalSelfAttention."""

EXERCISES = []
