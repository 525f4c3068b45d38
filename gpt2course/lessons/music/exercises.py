"""The exercises of lesson 19."""

from gpt2course.checks.exercise import Case, Exercise, Property


def first_music(ids: list[int]) -> list[int]:
    """The ids, each one larger."""
    return [token_id + 1 for token_id in ids]


first_music = Exercise(
    first_music,
    cases=[Case("three ids", ([5, 6, 9],)), Case("one id", ([0],)), Case("no ids", ([],))],
    properties=[Property("0 becomes 1", lambda f: f([0]) == [1])],
)


EXERCISES = [first_music]
