"""Attention that reads further back for less work."""
