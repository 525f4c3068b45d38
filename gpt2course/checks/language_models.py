"""The exercises of lesson 01: count_bigrams, perplexity."""

EXERCISES = []
