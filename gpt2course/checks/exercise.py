"""What an exercise is made of: cases to try, and what a lesson's room says of its answers."""

from __future__ import annotations

import builtins
import dis
import inspect
import linecache
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import CodeType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2course.checks.compare import short_repr
from gpt2course.checks.room import (
    Mistake,
    RightAnswer,
    read_answers,
    read_hints,
    read_mistakes,
    reference_source,
)

Answer = Callable[..., Any]
ROOMS = Path(__file__).parents[1] / "lessons"
NOTEBOOK = {"math": math, "torch": torch, "F": F, "nn": nn, "Tensor": Tensor}  # in every lesson


@dataclass(frozen=True)
class Case:
    """One call of an answer.

    Args:
        label: what this call tries, in a learner's words.
        args: the arguments; every call gets a deep copy of its own.
        gradients: compare the gradients of the float arguments instead of the value.
        fine: compare how far the value moves where the float64 arguments move by 1e-8, per unit.
            An answer that keeps float64 has the reference's slope, one that rounds on the way not.
        rows, columns: what stands beside the rows and above the columns of a drawn result.
    """

    label: str
    args: tuple
    gradients: bool = False
    fine: bool = False
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Property:
    """Something that every right answer does.

    Args:
        claim: the property in a learner's words, as a statement that holds of right answers.
        holds: called with the answer; True where the property holds. None, or an exception, where
            it can't be asked of this answer: the card then leaves it out.
        of_result: called with the result of the smallest failing case, which the card shows, and
            its arguments; likewise. Without it only `holds` counts.
    """

    claim: str
    holds: Callable[[Answer], bool | None]
    of_result: Callable[..., bool | None] | None = None


def names_in(code: CodeType) -> Iterator[str]:
    """The global names that compiled code reads, those of its functions too."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


@cache
def _compiled(source: str, file: str) -> tuple[CodeType, frozenset[str]]:
    """The code of a text, and the global names that it reads: an answer is built for each case."""
    code = compile(source, file, "exec", dont_inherit=True)
    return code, frozenset(names_in(code))


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
        cases: the calls to try, the smallest first.
        properties: what to report where an answer is wrong in a way that nobody has listed.
        call: how an answer is called with the arguments of a case.
        hints: a better sentence than the engine's own, by the name of one of its rules.
        tolerance: how many times the usual distance a right answer may have (see `compare`).
    """

    reference: Answer
    cases: list[Case]
    properties: list[Property] = field(default_factory=list)
    call: Callable[..., Any] = call_plainly
    hints: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = 1.0
    # Set by the engine, which finds the exercise: its lesson ("06_masking"), and the way to others.
    lesson: str = field(default="", init=False)
    find: Callable[[str], Exercise | None] | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.reference.__name__

    @property
    def room(self) -> Path:
        """The folder in which the exercise's Markdown stands."""
        return ROOMS / self.lesson[3:]

    @cached_property
    def right_answers(self) -> list[RightAnswer]:
        """Other right answers than the reference, from the room's answers.md."""
        return read_answers(self.room / "answers.md", self.name)

    @cached_property
    def steps(self) -> list[str]:
        """The lesson's hints in their order, as HTML, from the room's hints.json."""
        return read_hints(self.room / "hints.json", self.name)

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """The known mistakes, from the room's mistakes.md."""
        source = reference_source(self.reference)
        return read_mistakes(self.room / "mistakes.md", self.name, source, self.right_answers)

    def build(self, source: str) -> Answer:
        """The answer that a source text defines, made anew at every call.

        It stands where a notebook would have it: beside torch, nn, F and math, the imports of the
        reference's own module, and finished components of this lesson and of those before.

        Raises:
            NameError: the text does not define the exercise's name.
        """
        from_module = vars(sys.modules[inspect.unwrap(self.reference).__module__])
        own = {**NOTEBOOK, **from_module, "__name__": "answer"}
        file = f"<{self.name} {abs(hash(source)):x}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        code, names = _compiled(source, file)
        for name in names - {self.name, *own, *dir(builtins)}:
            if exercise := self.find(name):  # otherwise Python's own NameError says it
                own[name] = exercise.reference
        exec(code, own)
        if own.get(self.name) is from_module.get(self.name):
            raise NameError(f"the text does not define {self.name}")
        return own[self.name]

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
