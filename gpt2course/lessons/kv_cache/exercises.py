"""The exercises of lesson 12: append_to_cache, cached_attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2course import kv_cache
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

VALUE, GRADIENTS, STEPS, TWICE = "value", "gradients", "steps", "twice"  # what a case asks for
FORM = "what it returned"
PAIR = "(tensor, tensor)"
OUTPUT_AND_PAIR = f"(tensor, {PAIR})"


def _kv(T: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """Keys and values of T tokens, each (*leading, T, hs)."""
    k, v = (normal(*leading, T, hs, seed=seed + i, dtype=dtype) for i in range(2))
    return k, v


def _form(value: Any) -> str:
    """How a value is put together, such as "(tensor, (tensor, tensor))"."""
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, tuple | list):
        inside = ", ".join([_form(part) for part in value[:4]] + ["…"] * (len(value) > 4))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return type(value).__name__


def _tensors(value: Any) -> list[Tensor]:
    """All tensors of floats in a value, those inside its tuples and lists included."""
    if isinstance(value, tuple | list):
        return [t for part in value for t in _tensors(part)]
    return [value] if isinstance(value, Tensor) and value.is_floating_point() else []


def _gradients(answer: Answer, names: Sequence[str], args: Sequence[Any]) -> dict[str, Tensor]:
    """The gradients of a fixed weighted sum of all that the answer returns, by argument."""
    leaves: dict[str, Tensor] = {}
    given = []
    for name, arg in zip(names, args, strict=True):
        parts = arg if isinstance(arg, tuple) else (arg,)
        labels = [f"{name}[{i}]" for i in range(len(parts))] if parts is arg else [name]
        leaves |= {label: t.requires_grad_() for label, t in zip(labels, parts, strict=True)}
        parts = tuple(t * 1 for t in parts)  # a leaf itself must not be changed in place
        given.append(parts if isinstance(arg, tuple) else parts[0])
    total = torch.zeros((), requires_grad=True)
    for i, t in enumerate(_tensors(answer(*given))):
        weights = torch.cos(i + torch.arange(t.numel(), dtype=t.dtype)).view(t.shape)
        total = total + (t * weights).sum()
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return {
        f"the gradient of {label}": torch.zeros_like(leaf) if g is None else g
        for (label, leaf), g in zip(leaves.items(), found, strict=True)
    }


@dataclass(eq=False)
class CacheExercise(Exercise):
    """An exercise with a past among its arguments, which its calls show by the shapes, too."""

    def call_text(self, case: Case) -> str:
        named = zip(self.parameter_names(), case.args, strict=False)
        return f"{self.name}({', '.join(f'{name}={_shapes(value)}' for name, value in named)})"


def _shapes(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"<{tuple(value.shape)}>"
    return f"({', '.join(map(_shapes, value))})" if isinstance(value, tuple) else repr(value)


# append_to_cache --------------------------------------------------------------------------------


def _append(answer: Answer, past: Any, k: Tensor, v: Tensor, ask: str = VALUE) -> Any:
    if ask == GRADIENTS:
        return _gradients(answer, ("past", "k", "v"), (past, k, v))
    if ask == STEPS:
        return _append_one_at_a_time(answer, past, k, v)
    returned = answer(past, k, v)
    if ask == TWICE:  # the first result must not change with the second
        answer(past, k + 1, v - 1)
    return returned


def _append_one_at_a_time(answer: Answer, past: Any, k: Tensor, v: Tensor) -> dict[str, Any]:
    """The caches of all steps as they are after the last one: none may have changed since."""
    found: dict[str, Any] = {}
    for t in range(k.shape[-2]):
        past = answer(past, k[..., t : t + 1, :], v[..., t : t + 1, :])
        found[f"step {t + 1}: {FORM}"] = _form(past)
        if _form(past) != PAIR:
            break
        found |= {f"step {t + 1}: [{i}]": part for i, part in enumerate(past)}
    return found


def _row(*numbers: float) -> Tensor:
    """One token's numbers, in a batch of one with one head: (1, 1, 1, hs)."""
    return torch.tensor(numbers).view(1, 1, 1, -1)


def _value_alone(holds):
    """The same question of a result, not asked where the card shows gradients or steps."""
    return lambda got, past, k, v, ask=VALUE: ask in (GRADIENTS, STEPS) or holds(got, past, k, v)


_THREE_ON_ONE = (_kv(1, 5, 2, 6, seed=3), *_kv(3, 5, 2, 6, seed=5))

append_to_cache = CacheExercise(
    kv_cache.append_to_cache,
    call=_append,
    cases=[
        Case(
            "one token is kept, one is new",
            (
                (_row(1.0, 2.0, 3.0), _row(10.0, 20.0, 30.0)),
                _row(4.0, 5.0, 6.0),
                _row(40.0, 50.0, 60.0),
            ),
            rows=("kept", "new"),
        ),
        Case("nothing is kept yet", (None, *_kv(2, 3, 1, 1, seed=1))),
        Case("three new tokens on top of one, in six heads of two sequences", _THREE_ON_ONE),
        Case("one new token on top of six", (_kv(6, 3, 2, 5, seed=7), *_kv(1, 3, 2, 5, seed=9))),
        Case("a batch of one with one head", (_kv(3, 2, 1, 1, seed=11), *_kv(4, 2, 1, 1, seed=13))),
        Case("three of everything", (_kv(3, 3, 3, 3, seed=15), *_kv(3, 3, 3, 3, seed=17))),
        Case("nothing kept, a batch of three", (None, *_kv(4, 5, 3, 2, seed=19))),
        Case(
            "thirty new tokens on top of ten",
            (_kv(10, 2, 1, 1, seed=43), *_kv(30, 2, 1, 1, seed=45)),
        ),
        Case(
            "float64 stays float64",
            (
                _kv(2, 3, 1, 2, seed=21, dtype=torch.float64),
                *_kv(4, 3, 1, 2, seed=23, dtype=torch.float64),
            ),
        ),
        Case(
            "arguments that do not lie in one piece in memory",
            (
                tuple(map(strided, _kv(4, 5, 2, 3, seed=25))),
                *map(strided, _kv(2, 5, 2, 3, seed=27)),
            ),
        ),
        Case("four tokens, one at a time", (None, *_kv(4, 3, 2, 5, seed=29), STEPS)),
        Case(
            "three more, one at a time",
            (_kv(2, 3, 1, 2, seed=31), *_kv(3, 3, 1, 2, seed=33), STEPS),
        ),
        Case(
            "the first of two texts that begin with the same token",
            (_kv(1, 3, 1, 2, seed=39), *_kv(2, 3, 1, 2, seed=41), TWICE),
        ),
        Case(
            "the gradients reach what is kept and what is new",
            (_kv(2, 3, 1, 2, seed=35), *_kv(4, 3, 1, 2, seed=37), GRADIENTS),
        ),
    ],
    properties=[
        Property(
            "it returns a tuple of two tensors",
            lambda f: _form(f(*_THREE_ON_ONE)) == PAIR,
            of_result=_value_alone(lambda got, past, k, v: _form(got) == PAIR),
        ),
        Property(
            "it holds as many tokens as were kept and are new together",
            lambda f: _holds_all_tokens(f(*_THREE_ON_ONE), *_THREE_ON_ONE),
            of_result=_value_alone(lambda *args: _holds_all_tokens(*args)),
        ),
        Property(
            "what was kept stands in front, unchanged",
            lambda f: _begins_with_the_kept(f(*_THREE_ON_ONE), *_THREE_ON_ONE),
            of_result=_value_alone(lambda *args: _begins_with_the_kept(*args)),
        ),
        Property(
            "what is new stands at the end",
            lambda f: _ends_with_the_new(f(*_THREE_ON_ONE), *_THREE_ON_ONE),
            of_result=_value_alone(lambda *args: _ends_with_the_new(*args)),
        ),
        Property(
            "where nothing is kept, what is new is all there is",
            lambda f: all(
                torch.equal(a, b)
                for a, b in zip(f(None, *_THREE_ON_ONE[1:]), _THREE_ON_ONE[1:], strict=True)
            ),
        ),
    ],
)


def _holds_all_tokens(got, past, k, v) -> bool:
    n_kept = past[0].shape[-2] if past else 0
    return all(part.shape[-2] == n_kept + k.shape[-2] for part in got)


def _begins_with_the_kept(got, past, k, v) -> bool:
    pairs = zip(got, past or (), strict=bool(past))
    return all(torch.equal(part[..., : old.shape[-2], :], old) for part, old in pairs)


def _ends_with_the_new(got, past, k, v) -> bool:
    pairs = zip(got, (k, v), strict=True)
    return all(torch.equal(part[..., -new.shape[-2] :, :], new) for part, new in pairs)


# cached_attention -------------------------------------------------------------------------------


def _attend(answer: Answer, q: Tensor, k: Tensor, v: Tensor, past: Any, ask: str = VALUE) -> Any:
    if ask == GRADIENTS:
        return _gradients(answer, ("q", "k", "v", "past"), (q, k, v, past))
    if ask == STEPS:
        return _attend_one_at_a_time(answer, q, k, v, past)
    returned = answer(q, k, v, past)
    if ask == TWICE:  # the first result must not change with the second
        answer(q, k + 1, v - 1, past)
    return None if returned is None else _by_name(returned)


def _by_name(returned: Any, where: str = "") -> dict[str, Any]:
    """How the result is put together, and its three tensors where it is as it should be."""
    found: dict[str, Any] = {where + FORM: _form(returned)}
    if _form(returned) == OUTPUT_AND_PAIR:
        y, past = returned
        parts = {"y": y, "new past[0]": past[0], "new past[1]": past[1]}
        found |= {where + name: part for name, part in parts.items()}
    return found


def _attend_one_at_a_time(answer: Answer, q, k, v, past) -> dict[str, Any]:
    """All steps, their caches as they are after the last one: none may have changed since."""
    found: dict[str, Any] = {}
    for t in range(q.shape[-2]):
        returned = answer(*(x[..., t : t + 1, :] for x in (q, k, v)), past)
        found |= _by_name(returned, f"step {t + 1}: ")
        if _form(returned) != OUTPUT_AND_PAIR:
            break
        past = returned[1]
    return found


def _qkv(
    T: int, hs: int, *leading: int, seed: int, n_kept: int = 0, dtype=torch.float32
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor] | None]:
    """q, k and v of T new tokens, and a past of n_kept or none."""
    q = normal(*leading, T, hs, seed=seed + 50, dtype=dtype)
    past = _kv(n_kept, hs, *leading, seed=seed + 70, dtype=dtype) if n_kept else None
    return (q, *_kv(T, hs, *leading, seed=seed, dtype=dtype), past)


def _four(rows: list[list[float]], dtype=torch.float32) -> Tensor:
    """Rows of numbers in a batch of one with one head: (1, 1, T, hs)."""
    return torch.tensor(rows, dtype=dtype)[None, None]


_BY_HAND = (
    _four([[1.0, 2.0]]),
    _four([[0.0, 1.0]]),
    _four([[5.0, 1.0]]),
    (_four([[2.0, 0.5]]), _four([[1.0, 3.0]])),
)
_SCORES_OF_ZERO = (
    _four([[1.0, 0.0], [2.0, 1.0]]),
    _four([[0.0, 2.0], [-1.0, 2.0]]),
    _four([[3.0, -1.0], [0.0, 5.0]]),
    (_four([[0.0, 1.0]]), _four([[1.0, 2.0]])),
)
_LOW = torch.float64
_SCORES_NEAR_MINUS_200 = (
    _four([[200.0, 1.0], [200.0, 0.0], [200.0, 2.0]], _LOW),
    _four([[-1.0, 0.5], [-1.0, -1.0], [-1.0, 0.2]], _LOW) * 2**0.5,
    _four([[3.0, -1.0], [0.0, 5.0], [1.0, 1.0]], _LOW),
    (_four([[-1.0, 1.0]], _LOW) * 2**0.5, _four([[1.0, 2.0]], _LOW)),
)
_TWO_ON_THREE = _qkv(2, 5, 1, 1, n_kept=3, seed=1)
_THIRTY_ON_TEN = _qkv(30, 2, 1, 1, n_kept=10, seed=19)


def _not_in_one_piece(q, k, v, past) -> tuple:
    return (*map(strided, (q, k, v)), tuple(map(strided, past)))


def _y_alone(holds):
    """The same question of y on the card, not asked where it shows gradients or steps."""
    return lambda got, q, k, v, past, ask=VALUE: (
        ask in (GRADIENTS, STEPS) or holds(got["y"], q, k, v, past)
    )


cached_attention = CacheExercise(
    kv_cache.cached_attention,
    call=_attend,
    cases=[
        Case("one new token on top of one that is kept", _BY_HAND),
        Case("three tokens, nothing kept yet", _qkv(3, 2, 1, 1, seed=3)),
        Case("two new tokens on top of three", _TWO_ON_THREE),
        Case("one new token on top of four", _qkv(1, 3, 1, 1, n_kept=4, seed=5)),
        Case("three new tokens on top of three", _qkv(3, 2, 1, 1, n_kept=3, seed=7)),
        Case("one token alone", _qkv(1, 3, 1, 1, seed=9)),
        Case("scores that are exactly 0", _SCORES_OF_ZERO),
        Case("scores that all lie near -200", _SCORES_NEAR_MINUS_200),
        Case("a batch of two with three heads", _qkv(4, 7, 2, 3, n_kept=5, seed=11)),
        Case("a batch of two with three heads, nothing kept", _qkv(4, 7, 2, 3, seed=13)),
        Case("one new token in a batch of four", _qkv(1, 5, 4, 2, n_kept=6, seed=15)),
        Case("three of everything", _qkv(3, 3, 3, 3, n_kept=3, seed=17)),
        Case("thirty new tokens on top of ten", _THIRTY_ON_TEN),
        Case("float64 stays float64", _qkv(3, 5, 1, 2, n_kept=2, seed=21, dtype=torch.float64)),
        Case(
            "float64 keeps its digits",
            _qkv(3, 5, 1, 2, n_kept=2, seed=41, dtype=torch.float64),
            fine=True,
        ),
        Case(
            "arguments that do not lie in one piece in memory",
            _not_in_one_piece(*_qkv(3, 5, 2, 1, n_kept=4, seed=23)),
        ),
        Case("four tokens, one at a time", (*_qkv(4, 3, 1, 2, seed=25), STEPS)),
        Case("three more, one at a time", (*_qkv(3, 5, 2, 1, n_kept=2, seed=27), STEPS)),
        Case(
            "the first of two texts that begin with the same token",
            (*_qkv(2, 3, 1, 2, n_kept=1, seed=31), TWICE),
        ),
        Case(
            "the gradients reach what is kept and what is new",
            (*_qkv(3, 5, 1, 2, n_kept=4, seed=29), GRADIENTS),
        ),
    ],
    properties=[
        Property(
            "it returns y and the new past: a tensor, and a tuple of two tensors",
            lambda f: _form(f(*_TWO_ON_THREE)) == OUTPUT_AND_PAIR,
            of_result=lambda got, *args: all(
                form == OUTPUT_AND_PAIR for name, form in got.items() if name.endswith(FORM)
            ),
        ),
        Property(
            "y has a row of hs numbers for each new token",
            lambda f: f(*_TWO_ON_THREE)[0].shape == _TWO_ON_THREE[0].shape,
            of_result=_y_alone(lambda y, q, k, v, past: y.shape == q.shape),
        ),
        Property(
            "the first token of all, which sees only itself, gets its own value",
            lambda f: _first_gets_its_value(f),
            of_result=_y_alone(
                lambda y, q, k, v, past: (
                    past is not None or torch.allclose(y[..., :1, :], v[..., :1, :], atol=1e-4)
                )
            ),
        ),
        Property(
            "a later new token does not change what an earlier one gets",
            lambda f: _future_does_not_matter(f),
        ),
        Property("every kept token is read", lambda f: _every_kept_token_is_read(f)),
        Property("a new token reads itself", lambda f: _new_tokens_read_themselves(f)),
        Property(
            "the new past holds what was kept, and then what is new",
            lambda f: _new_past_is_right(f(*_TWO_ON_THREE)[1], *_TWO_ON_THREE),
            of_result=lambda got, q, k, v, past, ask=VALUE: (
                ask in (GRADIENTS, STEPS)
                or _new_past_is_right((got["new past[0]"], got["new past[1]"]), q, k, v, past)
            ),
        ),
        Property(
            "one token at a time gives the same as all at once", lambda f: _steps_make_no_odds(f)
        ),
    ],
)


def _first_gets_its_value(f) -> bool:
    q, k, v, _ = _TWO_ON_THREE
    return torch.allclose(f(q, k, v, None)[0][..., 0, :], v[..., 0, :], atol=1e-5)


def _future_does_not_matter(f) -> bool:
    q, k, v, past = _qkv(3, 4, 1, 2, n_kept=2, seed=1)
    before = f(q, k, v, past)[0][..., :2, :]
    k[..., 2, :], v[..., 2, :] = k[..., 2, :] + 5, v[..., 2, :] - 3
    return torch.allclose(before, f(q, k, v, past)[0][..., :2, :], atol=1e-5)


def _every_kept_token_is_read(f) -> bool:
    return all(_reads_all_that_is_kept(f, *args) for args in (_TWO_ON_THREE, _THIRTY_ON_TEN))


def _reads_all_that_is_kept(f, q, k, v, past) -> bool:
    y = f(q, k, v, past)[0]
    for i in range(past[1].shape[-2]):
        values = past[1].clone()
        values[..., i, :] += 1000
        other = f(q, k, v, (past[0].clone(), values))[0]
        if not (other - y).abs().amin() >= 1e-3:  # nan is no sign of reading
            return False
    return True


def _new_tokens_read_themselves(f) -> bool:
    q, k, v, past = _TWO_ON_THREE
    y = f(q, k, v, past)[0]
    for t in range(v.shape[-2]):
        values = v.clone()
        values[..., t, :] += 10
        other = f(q, k, values, past)[0]
        if not (other - y)[..., t, :].abs().amin() >= 1e-3:
            return False
    return True


def _new_past_is_right(new_past, q, k, v, past) -> bool:
    pairs = zip(new_past, _joined(past, k, v), strict=True)
    return all(got.shape == want.shape and torch.equal(got, want) for got, want in pairs)


def _steps_make_no_odds(f) -> bool:
    q, k, v, past = _TWO_ON_THREE
    y, first, second = f(q, k, v, past)[0], slice(0, 1), slice(1, 2)
    rows = []
    for at in (first, second):
        row, past = f(q[..., at, :], k[..., at, :], v[..., at, :], past)
        rows.append(row)
    return torch.allclose(torch.cat(rows, dim=-2), y, atol=1e-5)


def _joined(past, k, v) -> tuple[Tensor, Tensor]:
    """The whole cache in plain torch: what odd shapes give here, they give a learner too."""
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


EXERCISES = [append_to_cache, cached_attention]
