"""The exercise of lesson 00: shift_targets."""

from __future__ import annotations

from itertools import pairwise

from gpt2course import bigram
from gpt2course.checks.exercise import Case, Exercise, Property

SEVEN = [31, 4, 15, 92, 6, 53, 58]

shift_targets = Exercise(
    bigram.shift_targets,
    cases=[
        Case("three ids", ([5, 6, 9],)),
        Case("two ids", ([8, 3],)),
        Case("the same id twice", ([4, 4, 1, 4],)),
        Case("seven ids", (SEVEN,)),
        Case("one id: nothing to predict", ([7],)),
        Case("no id", ([],)),
        Case("a thousand ids", ([i * i % 257 for i in range(1000)],)),
    ],
    properties=[
        Property(
            "the result is a tuple of two lists",
            lambda f: (
                isinstance(f([5, 6, 9]), tuple) and list(map(type, f([5, 6, 9]))) == [list] * 2
            ),
            of_result=lambda got, ids: list(map(type, got)) == [list, list],
        ),
        Property(
            "there are as many targets as inputs",
            lambda f: len(f(list(SEVEN))[0]) == len(f(list(SEVEN))[1]),
            of_result=lambda got, ids: len(got[0]) == len(got[1]),
        ),
        Property(
            "n ids give n - 1 inputs",
            lambda f: len(f(list(SEVEN))[0]) == 6,
            of_result=lambda got, ids: len(got[0]) == max(0, len(ids) - 1),
        ),
        Property(
            "each target stands right after its input in the text",
            lambda f: list(zip(*f(list(SEVEN)), strict=True)) == list(pairwise(SEVEN)),
            of_result=lambda got, ids: list(zip(*got, strict=True)) == list(pairwise(ids)),
        ),
    ],
)


EXERCISES = [shift_targets]
