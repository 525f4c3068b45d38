"""The visual language: tokens, matrices, curves, the tower, attention maps, the Explorer."""

from gpt2course.extras import require_course

require_course()
