"""The exercises of lesson 12: append_to_cache, cached_attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
NAMES = {PAIR: ("[0]", "[1]"), OUTPUT_AND_PAIR: ("y", "new past[0]", "new past[1]")}


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


def _by_name(returned: Any, form: str, where: str = "") -> dict[str, Any]:
    """How a result is put together, and its tensors where it is as it should be."""
    found = {where + FORM: _form(returned)}
    if found[where + FORM] == form:
        tensors = zip(NAMES[form], _tensors(returned), strict=True)
        found |= {where + name: tensor for name, tensor in tensors}
    return found


def _asked(give: Callable[..., Any], form: str, new: tuple, past: Any, ask: str) -> Any:
    """What a case asks of give(new, past), whose result has that form and holds the next past."""
    past = _pair(past)

    def next_past(returned: Any) -> Any:
        return returned if form == PAIR else returned[1]

    if ask == STEPS:  # as they are after the last step: no result may have changed since
        found: dict[str, Any] = {}
        for t in range(new[0].shape[-2]):
            returned = give([x[..., t : t + 1, :] for x in new], past)
            found |= _by_name(returned, form, f"step {t + 1}: ")
            if _form(returned) != form:
                break
            past = next_past(returned)
        return found
    if ask == BRANCHES:
        past = next_past(give(new, past))
        first = give([x + 1 for x in new], past)
        give([x - 1 for x in new], past)
        return first
    returned = give(new, past)
    if ask == FLAT:
        return torch.cat([t.flatten() for t in _tensors(returned)])
    return _tensors(returned) if ask == TENSORS else returned


# append_to_cache --------------------------------------------------------------------------------


def _append(answer: Answer, past: Any, k: Tensor, v: Tensor, ask: str = RESULT) -> Any:
    return _asked(lambda new, past: answer(past, *new), PAIR, (k, v), past, ask)


def _past_kv(P: int, T: int, hs: int, *leading: int, seed: int, dtype=torch.float32) -> tuple:
    """A past of P tokens or None, k and v of T tokens."""
    past = tuple(normal(2, *leading, P, hs, seed=seed, dtype=dtype)) if P else None
    return past, *(normal(*leading, T, hs, seed=seed + i, dtype=dtype) for i in (1, 2))


def _of_pair(claim: str, asks) -> Property:
    """asks(joined, old, new) of the keys and of the values, on the card and for three on one."""

    def of_result(got, past, k, v, ask=RESULT) -> bool | None:
        sides = zip(got, _kept(past, k), (k, v), strict=True)
        return all(asks(*side) for side in sides) if ask == RESULT else None

    return Property(claim, lambda f: of_result(_append(f, *_on_one()), *_on_one()), of_result)


def _kept(past: tuple | None, k: Tensor) -> tuple[Tensor, Tensor]:
    return (k[..., :0, :],) * 2 if past is None else past


def _not_in_one_piece(*args: Any) -> tuple:
    return tuple(tuple(map(strided, a)) if isinstance(a, tuple) else strided(a) for a in args)


_ONE = torch.tensor([[[[1.0, 2.0, 3.0]]]])  # one token in a batch of one with one head
_REPEATED = normal(2, 1, 2, 1, 4, seed=63)  # key and value of one token in two heads
# Made anew wherever they are used, since an answer may change them.
_on_one = partial(_past_kv, 1, 3, 5, 2, 6, seed=3)

append_to_cache = CacheExercise(
    kv_cache.append_to_cache,
    call=_append,
    cases=[
        Case("one token is kept, one is new",
             ((_ONE, 10 * _ONE), _ONE + 3, 10 * (_ONE + 3)), rows=("kept", "new")),
        Case("nothing is kept yet", _past_kv(0, 2, 3, 1, 1, seed=1)),
        Case("three new tokens on top of one, in six heads of two sequences", _on_one()),
        Case("one new token on top of six", _past_kv(6, 1, 3, 2, 5, seed=7)),
        Case("a batch of one with one head", _past_kv(3, 4, 2, 1, 1, seed=11)),
        Case("three of everything", _past_kv(3, 3, 3, 3, 3, seed=15)),
        Case("a token that comes twice in a row", (tuple(_REPEATED), *_REPEATED.clone())),
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
    ],
)  # fmt: skip


# cached_attention -------------------------------------------------------------------------------


def _attend(answer: Answer, q: Tensor, k: Tensor, v: Tensor, past: Any, ask: str = RESULT) -> Any:
    returned = _asked(lambda new, past: answer(*new, past), OUTPUT_AND_PAIR, (q, k, v), past, ask)
    plain = ask in (RESULT, BRANCHES) and returned is not None
    return _by_name(returned, OUTPUT_AND_PAIR) if plain else returned


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
_on_three = partial(_qkv, 2, 5, 1, 1, P=3, seed=1)
_on_ten = partial(_qkv, 30, 2, 1, 1, P=10, seed=19)

cached_attention = CacheExercise(
    kv_cache.cached_attention,
    call=_attend,
    cases=[
        Case("one new token on top of one that is kept",
             _by_hand([[1.0, 2.0]], [[0.0, 1.0]], [[5.0, 1.0]], [[2.0, 0.5]], [[1.0, 3.0]])),
        Case("three tokens, nothing kept yet", _qkv(3, 2, 1, 1, seed=3)),
        Case("two new tokens on top of three", _on_three()),
        Case("one new token on top of four", _qkv(1, 3, 1, 1, P=4, seed=5)),
        Case("three new tokens on top of three", _qkv(3, 2, 1, 1, P=3, seed=7)),
        Case("one token alone", _qkv(1, 3, 1, 1, seed=9)),
        Case("scores that are exactly 0",
             _by_hand([[1.0, 0.0], [2.0, 1.0]], [[0.0, 2.0], [-1.0, 2.0]],
                      [[3.0, -1.0], [0.0, 5.0]], [[0.0, 1.0]], [[1.0, 2.0]])),
        Case("a later value of a billion", _LATER_IS_LARGE),
        Case("a batch of two with three heads", _qkv(4, 7, 2, 3, P=5, seed=11)),
        Case("a batch of two with three heads, nothing kept", _qkv(4, 7, 2, 3, seed=13)),
        Case("one new token in a batch of four", _qkv(1, 5, 4, 2, P=6, seed=15)),
        Case("three of everything", _qkv(3, 3, 3, 3, P=3, seed=17)),
        Case("thirty new tokens on top of ten", _on_ten()),
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
                 lambda f: all(_moves_y(f, _on_three, 3, i) for i in range(3))
                 and all(_moves_y(f, _on_ten, 3, i) for i in range(10))),
        Property("a new token reads itself",
                 lambda f: all(_moves_y(f, _on_three, 2, t, row=t) for t in range(2))),
        Property("a later new token does not change what an earlier one gets",
                 lambda f: _future_does_not_matter(f, *_on_three())),
        Property("the new past holds what was kept, and then what is new",
                 lambda f: _new_past_is_right(_attend(f, *_on_three()), *_on_three()),
                 of_result=lambda *args: _new_past_is_right(*args)),
        Property("one token at a time gives the same as all at once",
                 lambda f: _steps_make_no_odds(f)),
    ],
)  # fmt: skip


def _moves_y(f, make, part: int, token: int, row: int | None = None) -> bool:
    """Whether the value of a token, new (2) or kept (3), moves all rows of y, or one of them."""
    args, others = make(), make()
    (others[2] if part == 2 else others[3][1])[..., token, :] += 1000
    moved = (f(*others)[0] - f(*args)[0]).abs()
    return bool((moved if row is None else moved[..., row, :]).amin() >= 1e-3)  # nan is no sign


def _future_does_not_matter(f, q, k, v, past) -> bool:
    later = [torch.cat((x[..., :1, :], x[..., 1:, :] + 5), dim=-2) for x in (k, v)]
    first, same = (f(q, *new, past)[0][..., 0, :] for new in ((k, v), later))
    return torch.allclose(first, same, atol=1e-5)


def _new_past_is_right(got, q, k, v, past, ask=RESULT) -> bool | None:
    if ask != RESULT:
        return None
    want = [torch.cat(pair, dim=-2) for pair in zip(_kept(past, k), (k, v), strict=True)]
    return all(map(torch.equal, (got["new past[0]"], got["new past[1]"]), want))


def _steps_make_no_odds(f) -> bool:
    steps = _attend(f, *_on_three(), STEPS)
    rows = [steps[f"step {t}: y"] for t in (1, 2)]
    return torch.allclose(torch.cat(rows, dim=-2), f(*_on_three())[0], atol=1e-5)


EXERCISES = [append_to_cache, cached_attention]
