"""Build GPT-2 piece by piece: components, and checks that name your mistake.

from gpt2course import check                # in a lesson: causal_mask = check(causal_mask)
from gpt2course.mine import causal_mask     # in a later one: your part, or the package's
from gpt2course.model import GPT2           # in work of your own
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


# What a notebook needs, loaded when first asked for, so that importing a component stays quick.
_WHERE = {"check": "gpt2course.learner.notebook", "require_passed": "gpt2course.learner.notebook"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in ("checks", "mine"):
        return import_module(f"gpt2course.{name}")
    raise AttributeError(f"module 'gpt2course' has no attribute {name!r}")
