"""Your own components where there are any, the package's where there are not.

from gpt2course.mine import causal_mask, split_heads
"""

from gpt2course.learner.parts import __dir__, __getattr__, summary

__all__ = ["__dir__", "__getattr__", "summary"]
