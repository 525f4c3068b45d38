"""The exercises of lesson 04: embed, sinusoidal_positions."""

EXERCISES = []
