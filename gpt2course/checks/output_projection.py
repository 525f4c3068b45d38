"""The exercises of lesson 10: output_logits, count_parameters, GPT2."""

EXERCISES = []
