"""Attention in both directions, and training on hidden words."""
