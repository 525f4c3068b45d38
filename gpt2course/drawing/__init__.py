"""The visual language: tokens, matrices, curves, the pipeline, attention maps, the Explorer."""
