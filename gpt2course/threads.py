"""How many of torch's threads a model is worth."""

from contextlib import AbstractContextManager, nullcontext

from gpt2course.config import GPT2Config
from gpt2course.linear import one_torch_thread
from gpt2course.model import count_parameters

SMALL = 8_000_000  # parameters


def threads_for(config: GPT2Config) -> AbstractContextManager[None]:
    """Within, a small model computes on one thread, and any other on as many as torch is given.

    Threads wait for each other after every product. Those of a small model are short, so that one
    busy core delays all of them: measured on two cores, by up to 25 times.
    """
    return one_torch_thread() if count_parameters(config) < SMALL else nullcontext()
