"""The exercises of lesson 20."""

from gpt2course.checks.exercise import Case, Exercise, Property


def first_longer_memory(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    return [token_id + 1 for token_id in ids]


first_longer_memory = Exercise(
    first_longer_memory,
    cases=[Case("three ids", ([5, 6, 9],)), Case("one id", ([0],)), Case("no ids", ([],))],
    properties=[Property("0 becomes 1", lambda f: f([0]) == [1])],
)


EXERCISES = [first_longer_memory]
