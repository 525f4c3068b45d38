"""Mistakes that show by themselves, in any exercise: the engine names them without a list.

Each rule looks at what an answer did and says its name and why, or None. An exercise gives a
better sentence where it has one: `hints={"cuts the gradient": "…"}`.
"""

from __future__ import annotations

import ast
import difflib
import dis
import inspect
import random
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gpt2course.checks.attempt import Outcome, attempt, expected_outcomes, is_gradients
from gpt2course.checks.compare import TOLERANCE, dense, distance
from gpt2course.checks.exercise import Answer, Exercise, names_in

PYTHONS_OWN = bool | int | float | str


class Named(NamedTuple):
    """The name of a mistake, and what to tell whoever makes it."""

    name: str
    why: str


class Seen(NamedTuple):
    """What a rule may look at: the answer, and what came of it in the smallest failing case."""

    exercise: Exercise
    answer: Answer
    first: int  # the number of that case
    outcomes: list[Outcome]

    @property
    def got(self) -> Outcome:
        return self.outcomes[self.first]

    @property
    def expected(self) -> Outcome:
        return expected_outcomes(self.exercise)[self.first]

    @property
    def case(self) -> Any:
        return self.exercise.cases[self.first]


def named_by_error(seen: Seen) -> Named | None:
    """The rule that names an error, if one does."""
    return _first(
        seen, _stub_left_in, _no_super, _no_init, _no_forward, _no_self, _numpy_refused,
        _reads_the_notebook,
    )  # fmt: skip


def named_by_value(seen: Seen) -> Named | None:
    """The rule that names a wrong value, if one does."""
    if seen.got.error:
        return None
    return _first(
        seen, _changes_argument, _returns_none, _remembers, _other_kind, _other_dtype,
        _cuts_gradient, _rounds, _training_mode, _reads_the_notebook,
    )  # fmt: skip


def _first(seen: Seen, *rules: Callable[[Seen], Named | None]) -> Named | None:
    found = next(filter(None, (rule(seen) for rule in rules)), None)
    return found and Named(found.name, seen.exercise.hints.get(found.name, found.why))


# --- errors ---


def _stub_left_in(seen: Seen) -> Named | None:
    if not is_stub_error(seen.got.error):
        return None
    if not any(own and raises for own, raises in _bodies(seen.answer)):
        return None
    return Named(
        "the line with raise is still there",
        "`raise NotImplementedError` ends the function wherever it stands. Delete that line and "
        "keep your own.",
    )


def _no_forward(seen: Seen) -> Named | None:
    answer = seen.answer
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return None
    if answer.forward is not nn.Module.forward:
        return None
    own = [name for name in vars(answer) if callable(vars(answer)[name])]
    near = difflib.get_close_matches("forward", own, n=1, cutoff=0.6)
    instead = near or [name for name in ("__call__", "call") if name in own]
    renamed = f" Yours has `{instead[0]}`: call it `forward`." if instead else ""
    return Named(
        "has no forward",
        "Calling a module runs its method `forward`, and this class does not define one." + renamed,
    )


def _no_super(seen: Seen) -> Named | None:
    if "before Module.__init__() call" not in str(seen.got.error):
        return None
    return Named(
        "does not call super().__init__()",
        "nn.Module has to set itself up before it can hold layers: the first line of `__init__` is "
        "`super().__init__()`.",
    )


def _no_init(seen: Seen) -> Named | None:
    """The class gets no arguments, since its `__init__` is written in another way."""
    answer = seen.answer
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return None
    own = [name for name in vars(answer) if callable(vars(answer)[name])]
    near = difflib.get_close_matches("__init__", own, n=1, cutoff=0.6)
    if answer.__init__ is not nn.Module.__init__ or not near:
        return None
    return Named(
        "has no __init__",
        f"Yours is called `{near[0]}`, so Python does not run it: write `__init__`, with two "
        "underscores on each side.",
    )


def _no_self(seen: Seen) -> Named | None:
    found = re.match(r"name '(\w+)' is not defined", str(seen.got.error))
    if not isinstance(seen.answer, type) or not found or not isinstance(seen.got.error, NameError):
        return None
    init = getattr(seen.answer.__init__, "__code__", None)
    if init is None or not _sets_attribute(init, found[1]):
        return None
    return Named(
        "a name without self.",
        f"`{found[1]}` belongs to the module: inside `forward` it is `self.{found[1]}`.",
    )


def _sets_attribute(code: CodeType, name: str) -> bool:
    return any(i.opname == "STORE_ATTR" and i.argval == name for i in dis.get_instructions(code))


def _numpy_refused(seen: Seen) -> Named | None:
    if "call numpy() on Tensor that requires grad" not in str(seen.got.error):
        return None
    return Named(
        "cuts the gradient",
        "NumPy knows nothing of gradients, so torch refuses to hand over a tensor that learns. The "
        "same operations exist in torch.",
    )


# --- values ---


def _changes_argument(seen: Seen) -> Named | None:
    if not seen.got.changed or distance(seen.expected.value, seen.got.value) > 1:
        return None
    return Named(
        "changes its argument",
        f"The result is right, but `{seen.got.changed}` is changed, and whoever called the "
        "function still needs it. Work on a copy, or build something new.",
    )


def _returns_none(seen: Seen) -> Named | None:
    expected, got = seen.expected.value, seen.got.value
    if got is None and expected is not None:
        return Named(
            "returns None",
            "A function gives back what stands behind `return`. Where it ends without reaching "
            "such a line, or with `return` alone, it gives back None.",
        )
    if any(have is None and want is not None for want, have in _leaves(expected, got)):
        return Named(
            "holds None in place of a value",
            "A part of the result is None. What changes something in place, such as `.append(…)` "
            "or `.sort()`, gives back None, and so does a function without `return`.",
        )
    return None


def _leaves(expected: Any, got: Any) -> Iterator[tuple[Any, Any]]:
    """What two values hold, side by side, as deep as their forms agree."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        for key in expected:
            yield from _leaves(expected[key], got[key])
    elif (
        isinstance(expected, list | tuple)
        and isinstance(got, list | tuple)
        and len(expected) == len(got)
    ):
        for want, have in zip(expected, got, strict=True):
            yield from _leaves(want, have)
    else:
        yield expected, got


def _remembers(seen: Seen) -> Named | None:
    """The same call once more gives something else (not by chance), or an earlier call's result."""
    again = []
    for _ in range(2):
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        again.append(attempt(seen.exercise, seen.answer, seen.case))
    got, (one, other) = seen.got.value, (outcome.value for outcome in again)
    comparable = not isinstance(got, Iterator)  # an iterator is equal to nothing but itself
    changes = not (again[0].error or again[1].error) and distance(one, other) > 1
    earlier = zip(seen.exercise.cases[: seen.first], expected_outcomes(seen.exercise), strict=False)
    is_an_earlier_result = any(
        distance(outcome.value, got) == 0 and _other_tensors(case.args, seen.case.args)
        for case, outcome in earlier
    )
    if not comparable or not (changes or is_an_earlier_result and isinstance(got, Tensor)):
        return None
    return Named(
        "remembers earlier calls",
        "The same call gives another result the next time: something outlives the call, such as a "
        "list or dict outside the function, or a default argument like `counts={}`. Make it new "
        "inside the function. Or a tensor of `torch.empty` was not filled: it holds any numbers.",
    )


def _other_tensors(args: tuple, others: tuple) -> bool:
    """Whether two calls share no tensor, so that the result of one is not that of the other."""
    pairs = zip(args, others, strict=False)
    return not any(
        isinstance(one, Tensor)
        and isinstance(other, Tensor)
        and distance(dense(one).float(), dense(other).float()) <= 1  # of any dtype
        for one, other in pairs
    )


def _other_kind(seen: Seen) -> Named | None:
    """The right values in other containers, or in tensors or arrays in place of numbers."""
    expected, others = seen.expected.value, []
    same = _in_kind_of(expected, seen.got.value, others)
    if not others:
        return None
    want, have = others[0]
    alone = want is expected
    if not (alone and isinstance(want, PYTHONS_OWN)) and distance(expected, same) > 1:
        return None
    kind, is_numpy = type(want).__name__, isinstance(have, np.ndarray | np.generic)
    if isinstance(want, Tensor):
        what = "NumPy" if is_numpy else type(have).__name__
        return Named(
            f"returns {what} instead of a tensor",
            "The numbers are right, but they are not in a torch tensor, which the next part needs.",
        )
    one = "a {}" if alone else "{}s"
    given = "tensor" if isinstance(have, Tensor) else type(have).__name__
    given = "NumPy" if is_numpy else one.format(given)
    if isinstance(want, PYTHONS_OWN):
        return Named(
            f"returns {given} instead of {one.format(f'Python {kind}')}",
            f"The exercise asks for {'one of ' if alone else ''}Python's own numbers: "
            f"`{kind}(…)`, or `.item()` of a tensor, or `.tolist()` of many.",
        )
    remedy = f"`{kind}(…)`" if isinstance(have, list | tuple) else "`.tolist()` makes a list"
    return Named(
        f"returns {given} instead of {one.format(kind)}",
        f"What it holds is right; the exercise asks for {one.format(kind)}: {remedy}.",
    )


def _in_kind_of(expected: Any, got: Any, others: list[tuple[Any, Any]]) -> Any:
    """`got` in the kinds of `expected`; the pairs whose kinds differ, outer ones first."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return {key: _in_kind_of(want, got[key], others) for key, want in expected.items()}
    if isinstance(expected, Tensor) and not isinstance(got, Tensor):
        same = _as_tensor(got, expected)
    elif isinstance(expected, PYTHONS_OWN) and isinstance(got, Tensor | np.ndarray | np.generic):
        same = got.item() if np.prod(got.shape) == 1 else None
    elif isinstance(expected, list | tuple) and (
        isinstance(got, list | tuple) or isinstance(got, Tensor | np.ndarray) and got.ndim
    ):
        if not isinstance(got, type(expected)):
            others.append((expected, got))
        pairs = zip(expected, got, strict=False)
        same = type(expected)(_in_kind_of(want, have, others) for want, have in pairs)
        return same if len(expected) == len(got) else got
    else:
        return got
    if same is None:
        return got
    others.append((expected, got))
    return same


def _as_tensor(got: Any, expected: Tensor) -> Tensor | None:
    try:
        if isinstance(got, list | tuple) and got and all(isinstance(g, Tensor) for g in got):
            return torch.stack(list(got)).to(expected.dtype)
        if isinstance(got, np.ndarray | np.generic | list | tuple | int | float):
            return torch.as_tensor(got).to(expected.dtype)
    except (ValueError, TypeError, RuntimeError):
        pass
    return None


def _other_dtype(seen: Seen) -> Named | None:
    pairs = _tensors(seen.expected.value, seen.got.value)
    differ = [(want, have) for want, have in pairs if want.dtype != have.dtype]
    same_shape = all(want.shape == have.shape for want, have in pairs)
    if not differ or not same_shape:
        return None
    coarse = max(TOLERANCE.get(t.dtype, 0.0) for pair in differ for t in pair) or None
    if not all(distance(want, have.to(want.dtype), coarse) <= 1 for want, have in pairs):
        return None
    want, have = (str(t.dtype).removeprefix("torch.") for t in differ[0])
    fill = ", with `dtype=` where a tensor is made or `.to(…)` where one is used"
    return Named(
        "has another dtype",
        f"The values are right, but they are {have}, and {want} is asked for. Keep the dtype of "
        f"what came in{fill if want.startswith('float') else ''}.",
    )


def _tensors(expected: Any, got: Any) -> list[tuple[Tensor, Tensor]]:
    """The tensors of two values side by side."""
    return [
        (dense(want), dense(have))
        for want, have in _leaves(expected, got)
        if isinstance(want, Tensor) and isinstance(have, Tensor)
    ]


def _cuts_gradient(seen: Seen) -> Named | None:
    """Only a gradient is wrong, and it is zero where it should not be."""
    expected, got = seen.expected.value, seen.got.value
    if not is_gradients(expected) or not isinstance(got, dict) or got.keys() != expected.keys():
        return None
    cut = [
        name.removeprefix("the gradient of ")
        for name, want in expected.items()
        if isinstance(got[name], Tensor) and not got[name].any() and want.any()
    ]
    if not cut:
        return None
    names = ", ".join(f"`{name}`" for name in cut)
    return Named(
        "cuts the gradient",
        f"The values are right, but no gradient reaches {names}: training would learn nothing "
        "there. `.item()`, `.detach()`, `.data`, `torch.tensor(…)` of a tensor, `torch.no_grad()` "
        "and NumPy all cut it.",
    )


def _rounds(seen: Seen) -> Named | None:
    """Near in every case, except that it does not move with the last digits of float64."""
    apart, moves = 0.0, []
    for case, want, have in zip(
        seen.exercise.cases, expected_outcomes(seen.exercise), seen.outcomes, strict=False
    ):
        if have.error:
            return None
        if case.fine:
            moves += [slope.any().item() for _, slope in _tensors(want.value, have.value)]
        else:
            apart = max(apart, distance(want.value, have.value, 1.0))
    digits_asked = seen.case.fine or getattr(seen.expected.value, "dtype", None) == torch.float64
    if digits_asked and apart <= TOLERANCE[torch.float32]:
        return Named(
            "rounds float64 on the way",
            "float64 goes in and float64 comes out, but in between the numbers were rounded, by "
            "`.float()`, `.half()`, `dtype=torch.float32` or `round`. Compute in the dtype of the "
            "argument.",
        )
    if moves and not any(moves) and apart <= TOLERANCE[torch.bfloat16]:
        return Named(
            "keeps only a few digits on the way",
            "In between the numbers were rounded to a few digits, by `.half()`, `.bfloat16()` or "
            "`round`. Compute in the dtype of the argument.",
        )
    return None


def _training_mode(seen: Seen) -> Named | None:
    if not str(seen.case.label).startswith("in training mode"):
        return None
    return Named(
        "does something else in training mode",
        "After `.train()` it gives another result than after `.eval()`. Is there a dropout, or a "
        "question about `self.training`? The exercise asks for none.",
    )


def _reads_the_notebook(seen: Seen) -> Named | None:
    """The function uses a value that stands in the notebook and not among its arguments."""
    read = sorted(set(_notebook_values(seen.answer)))
    if not read:
        return None
    names = " and ".join(f"`{name}`" for name in read)
    return Named(
        "reads a variable of the notebook",
        f"It uses {names} from another cell, whatever the function is called with. Take what it "
        "needs from its arguments.",
    )


def _notebook_values(answer: Answer) -> Iterator[str]:
    functions = vars(answer).values() if isinstance(answer, type) else [inspect.unwrap(answer)]
    for function in functions:
        outside = getattr(function, "__globals__", {})
        if isinstance(function, FunctionType) and outside.get("__name__") == "__main__":
            for name in names_in(function.__code__):
                value = outside.get(name)
                data = isinstance(
                    value, Tensor | int | float | str | list | dict | tuple | np.ndarray
                )
                if data and not (
                    name.isupper() and len(name) > 1
                ):  # a CONSTANT is meant to be read
                    yield name


# --- stubs ---


def is_stub_error(error: BaseException | None) -> bool:
    """Whether the line that every exercise begins with raised it."""
    return isinstance(error, NotImplementedError) and str(error) in ("", "your turn")


def only_a_stub(answer: Answer) -> bool:
    """Whether nothing of the learner's own stands in it (or its text can't be found)."""
    return not any(own for own, _ in _bodies(answer))


def _bodies(answer: Answer) -> Iterator[tuple[list[ast.stmt], bool]]:
    """Of every function of an answer its own statements, and whether the stub's raise is there."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(answer))))
    except (OSError, TypeError, SyntaxError):
        return
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            is_raise = [_is_the_stubs_raise(s) for s in function.body]
            pairs = zip(function.body, is_raise, strict=True)
            yield [s for s, raises in pairs if not raises and not _is_given(s)], any(is_raise)


def _is_the_stubs_raise(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Raise) and "NotImplementedError" in ast.unparse(statement)


def _is_given(statement: ast.stmt) -> bool:
    """What a stub comes with: a docstring, and a class's call of nn.Module's constructor."""
    return ast.unparse(statement) == "super().__init__()" or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )
