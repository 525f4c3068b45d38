"""Notes as a sequence of events, and attention by distance."""
