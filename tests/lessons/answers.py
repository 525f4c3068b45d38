"""Lists of answers that the checks do not list themselves, for the tests of their lessons."""

import pytest


class Answers:
    """Right and wrong answers, each as a parameter of a test under its own name."""

    def __init__(self):
        self.right_ones, self.wrong_ones = [], []

    def right(self, exercise):
        """Decorator: an answer that must pass."""

        def listed(answer):
            self.right_ones.append(pytest.param(exercise, answer, id=answer.__name__))
            return answer

        return listed

    def wrong(self, exercise, named=None):
        """Decorator: an answer that must not pass; `named` is the mistake on its card."""

        def listed(answer):
            self.wrong_ones.append(pytest.param(exercise, answer, named, id=answer.__name__))
            return answer

        return listed
