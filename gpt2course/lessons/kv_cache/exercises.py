"""The exercises of lesson 12: append_to_cache, cached_attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2course import kv_cache
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided

# What a case asks for: the result; the results of all steps, token by token; that of the first of
# two texts that share a past which the answer made itself; the tensors; all of them in one row.
RESULT, STEPS, BRANCHES, TENSORS, FLAT = "result", "steps", "branches", "tensors", "flat"
FORM = "what it returned"
PAIR = "(tensor, tensor)"
OUTPUT_AND_PAIR = f"(tensor, {PAIR})"


@dataclass(eq=False)
class CacheExercise(Exercise):
    """An exercise with a past among its arguments, which its calls show as a pair of shapes."""

    def call_text(self, case: Case) -> str:
        named = zip(self.parameter_names(), case.args, strict=False)
        shown = (f"{name}={_shapes(_pair(x) if name == 'past' else x)}" for name, x in named)
        return f"{self.name}({', '.join(shown)})"


def _shapes(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shapes, value))})"
    return f"<{tuple(value.shape)}>" if isinstance(value, Tensor) else repr(value)


def _pair(past: Tensor | tuple | None) -> tuple[Tensor, Tensor] | None:
    """The past as an answer is given it. Where it moves or takes gradients it is one tensor."""
    return tuple(past) if isinstance(past, Tensor) else past


def _past_in_one(*args: Any) -> tuple:
    return tuple(torch.stack(arg) if isinstance(arg, tuple) else arg for arg in args)


def _form(value: Any) -> str:
    """How a value is put together, such as "(tensor, (tensor, tensor))"."""
    if isinstance(value, tuple | list):
        inside = ", ".join([_form(part) for part in value[:4]] + ["…"] * (len(value) > 4))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return "tensor" if isinstance(value, Tensor) else type(value).__name__


def _tensors(value: Any) -> tuple[Tensor, ...]:
    """All tensors in a value, those inside its tuples and lists included."""
    if isinstance(value, tuple | list):
        return tuple(t for part in value for t in _tensors(part))
    return (value,) if isinstance(value, Tensor) else ()


def _by_name(returned: Any, form: str, names: tuple[str, ...], where: str = "") -> dict[str, Any]:
    """How the result is put together, and its tensors where it is as it should be."""
    found = {where + FORM: _form(returned)}
    if found[where + FORM] == form:
        tensors = zip(names, _tensors(returned), strict=True)
        found |= {where + name: tensor for name, tensor in tensors}
    return found


def _as_asked(returned: Any, ask: str) -> Any:
    if ask == FLAT:
        return torch.cat([t.flatten() for t in _tensors(returned)])
    return _tensors(returned) if ask == TENSORS else returned


# append_to_cache --------------------------------------------------------------------------------


def _append(answer: Answer, past: Any, k: Tensor, v: Tensor, ask: str = RESULT) -> Any:
    here = _pair(past)
    if ask == STEPS:  # the caches as they are after the last step: none may have changed since
        found: dict[str, Any] = {}
        for t in range(k.shape[-2]):
            here = answer(here, k[..., t : t + 1, :], v[..., t : t + 1, :])
            found |= _by_name(here, PAIR, ("[0]", "[1]"), f"step {t + 1}: ")
            if _form(here) != PAIR:
                break
        return found
    if ask == BRANCHES:
        here = answer(here, k, v)
        first = answer(here, k + 1, v - 1)
        answer(here, k - 1, v + 1)
        return first
    return _as_asked(answer(here, k, v), ask)


def _past_kv(P: int, T: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """A past of P tokens or None, k and v of T tokens."""
    past = tuple(normal(2, *leading, P, hs, seed=seed, dtype=dtype)) if P else None
    return past, *(normal(*leading, T, hs, seed=seed + i, dtype=dtype) for i in (1, 2))


def _token(*numbers: float) -> Tensor:
    """One token's numbers, in a batch of one with one head: (1, 1, 1, hs)."""
    return torch.tensor(numbers).view(1, 1, 1, -1)


def _of_pair(claim: str, asks) -> Property:
    """asks(joined, old, new) of the keys and of the values, on the card and for three on one."""

    def of_result(got, past, k, v, ask=RESULT) -> bool | None:
        sides = zip(got, _kept(past, k), (k, v), strict=True)
        return all(asks(*side) for side in sides) if ask == RESULT else None

    return Property(claim, lambda f: of_result(_append(f, *_ON_ONE), *_ON_ONE), of_result)


def _kept(past: tuple | None, k: Tensor) -> tuple[Tensor, Tensor]:
    return (k[..., :0, :],) * 2 if past is None else past


def _not_in_one_piece(*args: Any) -> tuple:
    return tuple(tuple(map(strided, a)) if isinstance(a, tuple) else strided(a) for a in args)


_ONE = _token(1.0, 2.0, 3.0)
_ON_ONE = _past_kv(1, 3, 5, 2, 6, seed=3)

append_to_cache = CacheExercise(
    kv_cache.append_to_cache,
    call=_append,
    cases=[
        Case("one token is kept, one is new",
             ((_ONE, 10 * _ONE), _ONE + 3, 10 * (_ONE + 3)), rows=("kept", "new")),
        Case("nothing is kept yet", _past_kv(0, 2, 3, 1, 1, seed=1)),
        Case("three new tokens on top of one, in six heads of two sequences", _ON_ONE),
        Case("one new token on top of six", _past_kv(6, 1, 3, 2, 5, seed=7)),
        Case("a batch of one with one head", _past_kv(3, 4, 2, 1, 1, seed=11)),
        Case("three of everything", _past_kv(3, 3, 3, 3, 3, seed=15)),
        Case("nothing kept, a batch of three", _past_kv(0, 4, 5, 3, 2, seed=19)),
        Case("thirty new tokens on top of ten", _past_kv(10, 30, 2, 1, 1, seed=43)),
        Case("two new tokens on top of 1,100", _past_kv(1100, 2, 2, 1, 1, seed=47)),
        Case("the first of two texts that begin with the same tokens",
             (*_past_kv(0, 2, 3, 1, 2, seed=39), BRANCHES)),
        Case("the first of two texts that go on from the same past",
             (*_past_kv(1, 2, 3, 1, 2, seed=55), BRANCHES)),
        Case("float64 stays float64", _past_kv(2, 4, 3, 1, 2, seed=21, dtype=torch.float64)),
        Case("float64 is not rounded",
             _past_in_one(*_past_kv(2, 3, 4, 1, 2, seed=51, dtype=torch.float64), TENSORS),
             fine=True),
        Case("arguments that do not lie in one piece in memory",
             _not_in_one_piece(*_past_kv(4, 2, 5, 2, 3, seed=25))),
        Case("four tokens, one at a time", (*_past_kv(0, 4, 3, 2, 5, seed=29), STEPS)),
        Case("three more, one at a time", (*_past_kv(2, 3, 3, 1, 2, seed=31), STEPS)),
        Case("the gradients reach what is kept and what is new",
             _past_in_one(*_past_kv(2, 4, 3, 1, 2, seed=35), FLAT), gradients=True),
    ],
    properties=[
        _of_pair("it holds as many tokens as were kept and are new together",
                 lambda got, old, new: got.shape[-2] == old.shape[-2] + new.shape[-2]),
        _of_pair("what was kept stands in front, unchanged",
                 lambda got, old, new: torch.equal(got[..., : old.shape[-2], :], old)),
        _of_pair("what is new stands at the end",
                 lambda got, old, new: torch.equal(got[..., -new.shape[-2] :, :], new)),
        Property("where nothing is kept, what is new is all there is",
                 lambda f: all(map(torch.equal, f(None, *_ON_ONE[1:]), _ON_ONE[1:]))),
    ],
)  # fmt: skip


# cached_attention -------------------------------------------------------------------------------

OUTPUT = ("y", "new past[0]", "new past[1]")


def _attend(answer: Answer, q: Tensor, k: Tensor, v: Tensor, past: Any, ask: str = RESULT) -> Any:
    here = _pair(past)
    if ask == STEPS:
        found: dict[str, Any] = {}
        for t in range(q.shape[-2]):
            returned = answer(*(x[..., t : t + 1, :] for x in (q, k, v)), here)
            found |= _by_name(returned, OUTPUT_AND_PAIR, OUTPUT, f"step {t + 1}: ")
            if _form(returned) != OUTPUT_AND_PAIR:
                break
            here = returned[1]
        return found
    if ask == BRANCHES:
        here = answer(q, k, v, here)[1]
        first = answer(q, k + 1, v - 1, here)
        answer(q, k - 1, v + 1, here)
        return _by_name(first, OUTPUT_AND_PAIR, OUTPUT)
    returned = answer(q, k, v, here)
    if ask == RESULT and returned is not None:
        return _by_name(returned, OUTPUT_AND_PAIR, OUTPUT)
    return _as_asked(returned, ask)


def _qkv(T: int, hs: int, *leading: int, seed: int, P: int = 0, dtype=torch.float32) -> tuple:
    """q, k and v of T new tokens, and a past of P or none."""
    past, k, v = _past_kv(P, T, hs, *leading, seed=seed, dtype=dtype)
    return normal(*leading, T, hs, seed=seed + 50, dtype=dtype), k, v, past


def _by_hand(*rows: list, dtype=torch.float32) -> tuple:
    """q, k, v and the past from rows of numbers, in a batch of one with one head."""
    q, k, v, *past = (torch.tensor(r, dtype=dtype)[None, None] for r in rows)
    return q, k, v, tuple(past)


# Row by row the scores lie near -2,000, 0 and 2,000; of the first a hidden one near -1,700.
_FAR_APART = _by_hand(
    [[-4000.0, 1, 0, 2], [0, 2, 1, -1], [4000, 0, 2, 1]],
    [[1.0, 1, 0, 2], [0.85, 0, 3, 0], [1, 2, 1, -1]],
    [[1.0, 2, 4, 0], [3, -1, 0, 1], [0, 5, 1, 2]],
    [[1.0, 0.5, 1, 1]],
    [[2.0, -2, 3, 1]],
    dtype=torch.float64,
)
_LATER_IS_LARGE = _by_hand(
    [[0.0, 1.0], [1.0, 0.0]],
    [[1.0, 0.0], [0.0, 2.0]],
    [[1.0, 2.0], [1e9, -1e9]],
    [[-1.0, 1.0]],
    [[3.0, -1.0]],
)
_ON_THREE = _qkv(2, 5, 1, 1, P=3, seed=1)
_ON_TEN = _qkv(30, 2, 1, 1, P=10, seed=19)

cached_attention = CacheExercise(
    kv_cache.cached_attention,
    call=_attend,
    cases=[
        Case("one new token on top of one that is kept",
             _by_hand([[1.0, 2.0]], [[0.0, 1.0]], [[5.0, 1.0]], [[2.0, 0.5]], [[1.0, 3.0]])),
        Case("three tokens, nothing kept yet", _qkv(3, 2, 1, 1, seed=3)),
        Case("two new tokens on top of three", _ON_THREE),
        Case("one new token on top of four", _qkv(1, 3, 1, 1, P=4, seed=5)),
        Case("three new tokens on top of three", _qkv(3, 2, 1, 1, P=3, seed=7)),
        Case("one token alone", _qkv(1, 3, 1, 1, seed=9)),
        Case("scores that are exactly 0",
             _by_hand([[1.0, 0.0], [2.0, 1.0]], [[0.0, 2.0], [-1.0, 2.0]],
                      [[3.0, -1.0], [0.0, 5.0]], [[0.0, 1.0]], [[1.0, 2.0]])),
        Case("a later value of a thousand million", _LATER_IS_LARGE),
        Case("a batch of two with three heads", _qkv(4, 7, 2, 3, P=5, seed=11)),
        Case("a batch of two with three heads, nothing kept", _qkv(4, 7, 2, 3, seed=13)),
        Case("one new token in a batch of four", _qkv(1, 5, 4, 2, P=6, seed=15)),
        Case("three of everything", _qkv(3, 3, 3, 3, P=3, seed=17)),
        Case("thirty new tokens on top of ten", _ON_TEN),
        Case("two new tokens on top of 1,100", _qkv(2, 2, 1, 1, P=1100, seed=45)),
        Case("the first of two texts that begin with the same tokens",
             (*_qkv(2, 3, 1, 2, seed=61), BRANCHES)),
        Case("the first of two texts that go on from the same past",
             (*_qkv(2, 3, 1, 2, P=1, seed=31), BRANCHES)),
        Case("float64 stays float64",
             (*_qkv(3, 5, 1, 2, P=2, seed=21, dtype=torch.float64), TENSORS)),
        Case("float64 is not rounded",
             _past_in_one(*_qkv(3, 5, 1, 2, P=2, seed=41, dtype=torch.float64), TENSORS),
             fine=True),
        Case("scores near -2,000, near 0 and near 2,000", _FAR_APART),
        Case("arguments that do not lie in one piece in memory",
             _not_in_one_piece(*_qkv(3, 5, 2, 1, P=4, seed=23))),
        Case("four tokens, one at a time", (*_qkv(4, 3, 1, 2, seed=25), STEPS)),
        Case("three more, one at a time", (*_qkv(3, 5, 2, 1, P=2, seed=27), STEPS)),
        Case("the gradients reach what is kept and what is new",
             _past_in_one(*_qkv(3, 5, 1, 2, P=4, seed=29), FLAT), gradients=True),
    ],
    properties=[
        Property("every kept token is read",
                 lambda f: all(_reads_all_that_is_kept(f, *args) for args in (_ON_THREE, _ON_TEN))),
        Property("a new token reads itself", lambda f: _new_tokens_read_themselves(f, *_ON_THREE)),
        Property("a later new token does not change what an earlier one gets",
                 lambda f: _future_does_not_matter(f)),
        Property(
            "the new past holds what was kept, and then what is new",
            lambda f: _new_past_is_right(_attend(f, *_ON_THREE), *_ON_THREE),
            of_result=lambda *args: _new_past_is_right(*args),
        ),
        Property("one token at a time gives the same as all at once",
                 lambda f: _steps_make_no_odds(f, *_ON_THREE)),
    ],
)  # fmt: skip


def _moves(f, q, k, v, past, at, rows=slice(None)) -> bool:
    """Whether y, or some rows of it, moves with the value at `at` of the pair (past[1], v)."""
    values = [past[1].clone(), v.clone()]
    values[at[0]][..., at[1], :] += 1000
    moved = f(q, k, values[1], (past[0], values[0]))[0] - f(q, k, v, past)[0]
    return bool(moved[..., rows, :].abs().amin() >= 1e-3)  # nan is no sign of reading


def _reads_all_that_is_kept(f, *args) -> bool:
    return all(_moves(f, *args, (0, i)) for i in range(args[3][0].shape[-2]))


def _new_tokens_read_themselves(f, *args) -> bool:
    return all(_moves(f, *args, (1, t), t) for t in range(args[0].shape[-2]))


def _future_does_not_matter(f) -> bool:
    q, k, v, past = _qkv(3, 4, 1, 2, P=2, seed=1)
    before = f(q, k, v, past)[0][..., :2, :]
    k[..., 2, :], v[..., 2, :] = k[..., 2, :] + 5, v[..., 2, :] - 3
    return torch.allclose(before, f(q, k, v, past)[0][..., :2, :], atol=1e-5)


def _new_past_is_right(got, q, k, v, past, ask=RESULT) -> bool | None:
    if ask != RESULT:
        return None
    kept = zip(_kept(past, k), (k, v), strict=True)
    want = [torch.cat(pair, dim=-2) for pair in kept]
    return all(map(torch.equal, (got["new past[0]"], got["new past[1]"]), want))


def _steps_make_no_odds(f, q, k, v, past) -> bool:
    y, here, rows = f(q, k, v, past)[0], past, []
    for t in range(q.shape[-2]):
        row, here = f(*(x[..., t : t + 1, :] for x in (q, k, v)), here)
        rows.append(row)
    return torch.allclose(torch.cat(rows, dim=-2), y, atol=1e-5)


EXERCISES = [append_to_cache, cached_attention]
