"""The exercise of lesson 00: shift_targets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gpt2course import bigram
from gpt2course.checks.exercise import Answer, Case, Exercise, Property

SEVEN = [31, 4, 15, 92, 6, 53, 58]


def _call(answer: Answer, ids: list[int]) -> Any:
    """What came back as it is then: lists that outlive a call grow in the next one."""
    got = answer(ids)
    if type(got) not in (tuple, list):
        return got
    return type(got)(list(part) if type(part) is list else part for part in got)


shift_targets = Exercise(
    bigram.shift_targets,
    call=_call,
    cases=[
        Case("three ids", ([5, 6, 9],)),
        Case("two ids", ([8, 3],)),
        Case("the same id twice", ([4, 4, 1, 4],)),
        Case("id 0 in the middle and at the ends", ([0, 7, 0, 2, 0],)),
        Case("seven ids", (SEVEN,)),
        Case("one id: nothing to predict", ([7],)),
        Case("no id", ([],)),
        Case("ten thousand ids", ([i * i % 50257 for i in range(10_000)],)),
    ],
    properties=[
        Property(
            "the result is a tuple of two lists",
            lambda f: list(map(type, f([5, 6, 9]))) == [list, list],
            of_result=lambda got, ids: list(map(type, got)) == [list, list],
        ),
        Property(
            "n ids give n - 1 inputs",
            lambda f: len(f(list(SEVEN))[0]) == 6,
            of_result=lambda got, ids: len(got[0]) == max(0, len(ids) - 1),
        ),
        Property(
            "there are as many targets as inputs",
            lambda f: len(f(list(SEVEN))[0]) == len(f(list(SEVEN))[1]),
            of_result=lambda got, ids: len(got[0]) == len(got[1]),
        ),
        Property(
            "each target comes right after its input in the text",
            lambda f: list(zip(*f(list(SEVEN)), strict=True)) == list(pairwise(SEVEN)),
            of_result=lambda got, ids: list(zip(*got, strict=True)) == list(pairwise(ids)),
        ),
    ],
)


EXERCISES = [shift_targets]
