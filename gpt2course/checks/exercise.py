"""What an exercise is made of: cases to try, mistakes to name, other answers that are right."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gpt2course.checks.compare import short_repr

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One call of an answer.

    Args:
        label: what this call tries, in a learner's words.
        args: the arguments; every call gets a deep copy of its own.
        gradients: compare the gradients of the float arguments instead of the value.
        rows, columns: what stands beside the rows and above the columns of a drawn result.
    """

    label: str
    args: tuple
    gradients: bool = False
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Misconception:
    """A known mistake: a small wrong implementation, and what to tell the one who makes it."""

    name: str
    why: str
    answer: Answer


@dataclass(frozen=True)
class OtherAnswer:
    """Another implementation that is right, shown to whoever has passed."""

    name: str
    answer: Answer


@dataclass(frozen=True)
class Property:
    """Something that every right answer does.

    Args:
        claim: the property in a learner's words, as a statement that holds of right answers.
        holds: called with the answer; True where the property holds.
        of_result: called with the result of the smallest failing case, which the card shows, and
            its arguments; True where the property holds there too. Without it only `holds` counts.
    """

    claim: str
    holds: Callable[[Answer], bool]
    of_result: Callable[..., bool] | None = None


def call_plainly(answer: Answer, *args: Any) -> Any:
    """Call the answer as it stands. Exercises that ask for a class bring a call of their own."""
    return answer(*args)


def _argument(value: Any) -> str:
    """A value in words, tensors by their shapes, those in a list too."""
    if isinstance(value, list) and value and all(isinstance(item, Tensor) for item in value):
        shown = [*map(_argument, value[:4]), *["…"] * (len(value) > 4)]
        return f"[{', '.join(shown)}]"
    return f"<{tuple(value.shape)}>" if isinstance(value, Tensor) else short_repr(value)


@dataclass(eq=False)
class Exercise:
    """One exercise: its reference answer, and everything that a check of it needs.

    Args:
        reference: the package's own component. Its name is the exercise's name.
        lesson: the stem of the lesson, such as "06_masking".
        cases: the calls to try, the smallest first.
        properties: what to report where an answer is wrong in a way that nobody has listed.
        call: how an answer is called with the arguments of a case.
    """

    reference: Answer
    lesson: str
    cases: list[Case]
    properties: list[Property] = field(default_factory=list)
    call: Callable[..., Any] = call_plainly
    misconceptions: list[Misconception] = field(default_factory=list)
    other_answers: list[OtherAnswer] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.reference.__name__

    def parameter_names(self) -> list[str]:
        return list(inspect.signature(self.reference).parameters)

    def called_with(self, case: Case) -> tuple[list[str], tuple]:
        """The names and values with which the answer itself is called."""
        return self.parameter_names(), case.args

    def call_text(self, case: Case) -> str:
        """The call of a case in words, tensors by their shapes."""
        named = zip(self.parameter_names(), case.args, strict=False)
        arguments = [f"{name}={_argument(value)}" for name, value in named]
        return f"{self.name}({', '.join(arguments)})"

    def misconception(self, why: str) -> Callable[[Answer], Answer]:
        """Decorator: list the function as a mistake of its own name, with spaces."""

        def listed(answer: Answer) -> Answer:
            name = answer.__name__.strip("_").replace("_", " ")
            self.misconceptions.append(Misconception(name, why, answer))
            return answer

        return listed

    def variant(self, mistake: Answer) -> Callable[[Answer], Answer]:
        """Decorator: list the function as the same mistake made in another way."""
        listed = next(m for m in self.misconceptions if m.answer is mistake)

        def also_listed(answer: Answer) -> Answer:
            self.misconceptions.append(Misconception(listed.name, listed.why, answer))
            return answer

        return also_listed

    def also_right(self, answer: Answer) -> Answer:
        """Decorator: list the function as another right answer."""
        self.other_answers.append(OtherAnswer(answer.__name__.replace("_", " "), answer))
        return answer
