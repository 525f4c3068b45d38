"""The exercises of lesson 12: append_to_cache, cached_attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2course import kv_cache
from gpt2course.attention import masked_attention
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
    lesson="12_kv_cache",
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


@append_to_cache.misconception(
    "The new tokens were put in front of the old ones. A cache reads like the text, oldest first: "
    "the mask counts positions from the left, and would take the newest token for the first."
)
def puts_the_new_ones_first(past, k, v):
    if past is None:
        return k, v
    return torch.cat((k, past[0]), dim=-2), torch.cat((v, past[1]), dim=-2)


@append_to_cache.misconception(
    "The new numbers were joined on along the last axis: each key got longer, and no token was "
    "added. The tokens lie on the last axis but one: `dim=-2`."
)
def makes_the_keys_longer(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-1), torch.cat((past[1], v), dim=-1)


@append_to_cache.misconception(
    "The new tokens were joined on along the first axis, which is what torch.cat does where no dim "
    "is given: they stand there as further sequences of the batch. The tokens lie on the last "
    "axis but one: `dim=-2`."
)
def makes_the_batch_larger(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k)), torch.cat((past[1], v))


@append_to_cache.misconception(
    "The new tokens were joined on along the second axis: they stand there as further heads. The "
    "axes are (batch, head, token, number), so the tokens are `dim=2`, or `dim=-2`."
)
def adds_heads(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=1), torch.cat((past[1], v), dim=1)


@append_to_cache.misconception(
    "The very first call has no past: there it is None, and None cannot be opened like a pair or "
    "joined with anything. Where it is None, the new keys and values are the whole cache."
)
def forgets_that_the_past_may_be_none(past, k, v):
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


@append_to_cache.variant(forgets_that_the_past_may_be_none)
def unpacks_none(past, k, v):
    old_k, old_v = past
    return torch.cat((old_k, k), dim=-2), torch.cat((old_v, v), dim=-2)


@append_to_cache.variant(forgets_that_the_past_may_be_none)
def loops_over_none(past, k, v):
    return tuple(torch.cat(pair, dim=-2) for pair in zip(past, (k, v), strict=True))


@append_to_cache.misconception(
    "Values and keys have changed places in what is returned. The order is (keys, values), there "
    "and in the past that comes in."
)
def returns_the_values_first(past, k, v):
    if past is None:
        return v, k
    return torch.cat((past[1], v), dim=-2), torch.cat((past[0], k), dim=-2)


@append_to_cache.variant(returns_the_values_first)
def returns_the_values_first_of_a_past_alone(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[1], v), dim=-2), torch.cat((past[0], k), dim=-2)


@append_to_cache.misconception(
    "The two parts of the past were taken for each other: new keys stand behind old values, and "
    "new values behind old keys. past[0] holds the keys, past[1] the values."
)
def takes_the_kept_values_for_keys(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[1], k), dim=-2), torch.cat((past[0], v), dim=-2)


@append_to_cache.misconception(
    "The keys were returned twice, and the values not at all. They look alike and are not: a key "
    "says where to look, a value is what is read there."
)
def returns_the_keys_twice(past, k, v):
    keys = k if past is None else torch.cat((past[0], k), dim=-2)
    return keys, keys


@append_to_cache.variant(returns_the_keys_twice)
def returns_the_keys_of_the_past_twice(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[0], k), dim=-2)


@append_to_cache.misconception(
    "The new keys stand behind the old keys, and behind the old values as well. New values go "
    "behind old values: past[1] is joined with v."
)
def joins_the_new_keys_onto_both(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], k), dim=-2)


@append_to_cache.variant(joins_the_new_keys_onto_both)
def joins_the_new_keys_onto_both_or_nothing(past, k, v):
    if past is None:
        return k, k
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], k), dim=-2)


@append_to_cache.misconception(
    "The keys grew and the values did not: of the values only the new ones are left. Every kept "
    "key needs its value."
)
def keeps_only_the_keys(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), v


@append_to_cache.misconception(
    "The new keys and values took the place of the old ones. The point of a cache is that it "
    "grows: the old ones first, then the new ones."
)
def forgets_what_was_kept(past, k, v):
    return k, v


@append_to_cache.misconception(
    "The past came back as it was: the new tokens are not in it. A later token could not read them."
)
def leaves_out_what_is_new(past, k, v):
    return (k, v) if past is None else past


@append_to_cache.misconception(
    "stack puts two tensors side by side on an axis of its own, which makes five axes of four. "
    "cat joins them along an axis that is there already."
)
def stacks_instead_of_joining(past, k, v):
    if past is None:
        return k, v
    return torch.stack((past[0], k), dim=-2), torch.stack((past[1], v), dim=-2)


@append_to_cache.variant(stacks_instead_of_joining)
def stacks_on_a_new_first_axis(past, k, v):
    if past is None:
        return k, v
    return torch.stack((past[0], k)), torch.stack((past[1], v))


@append_to_cache.variant(stacks_instead_of_joining)
def stacks_on_a_new_axis_before_the_tokens(past, k, v):
    if past is None:
        return k, v
    return torch.stack((past[0], k), dim=2), torch.stack((past[1], v), dim=2)


@append_to_cache.misconception(
    "The tuples were added. `past + (k, v)` makes one tuple of four tensors: what was joined is "
    "the pairs, and not the keys with the keys and the values with the values."
)
def adds_the_tuples(past, k, v):
    if past is None:
        return k, v
    return (*past, k, v)


@append_to_cache.variant(adds_the_tuples)
def adds_a_pair_to_an_empty_tuple(past, k, v):
    return (*(past or ()), (k, v))


@append_to_cache.misconception(
    "A tensor was added to the past. That is a tuple, and a tuple can be added to a tuple alone. "
    "And + would not join the tokens either: take the keys out, `past[0]`, and join them with k by "
    "torch.cat; the values likewise."
)
def adds_a_tensor_to_the_past(past, k, v):
    if past is None:
        return k, v
    return past + k, past + v


@append_to_cache.misconception(
    "torch.cat got the two tensors one by one. It takes them in a tuple or a list, so there is a "
    "second pair of brackets: `torch.cat((past[0], k), dim=-2)`."
)
def forgets_the_tuple_in_cat(past, k, v):
    if past is None:
        return k, v
    return torch.cat(past[0], k, dim=-2), torch.cat(past[1], v, dim=-2)


@append_to_cache.variant(forgets_the_tuple_in_cat)
def forgets_the_tuple_and_the_name_of_dim(past, k, v):
    if past is None:
        return k, v
    return torch.cat(past[0], k, -2), torch.cat(past[1], v, -2)


@append_to_cache.variant(forgets_the_tuple_in_cat)
def forgets_the_tuple_and_dim(past, k, v):
    if past is None:
        return k, v
    return torch.cat(past[0], k), torch.cat(past[1], v)


@append_to_cache.misconception(
    "A tensor was asked whether it is true, as in `if old_k:`. torch answers that for a tensor of "
    "one number alone. Whether anything was kept is asked of the past: `if past is None`."
)
def asks_whether_a_tensor_is_true(past, k, v):
    old_k, old_v = past or (None, None)
    if not old_k:
        return k, v
    return torch.cat((old_k, k), dim=-2), torch.cat((old_v, v), dim=-2)


@append_to_cache.misconception(
    "The numbers were added. Old and new keys belong to different tokens and are both needed: the "
    "cache holds one after the other."
)
def adds_the_numbers(past, k, v):
    if past is None:
        return k, v
    return past[0] + k, past[1] + v


@append_to_cache.misconception(
    "append is a method of lists. past is a tuple of two tensors, and neither has it; a new "
    "tensor with the new tokens behind the old is made by torch.cat."
)
def calls_append_on_the_tuple(past, k, v):
    if past is None:
        return k, v
    past.append((k, v))
    return past


@append_to_cache.variant(calls_append_on_the_tuple)
def calls_append_on_the_tensors(past, k, v):
    if past is None:
        return k, v
    past[0].append(k)
    past[1].append(v)
    return past


@append_to_cache.misconception(
    "Something was assigned to past[0]. A tuple cannot be changed, and the caller's past should "
    "not be: return a new pair, `(keys, values)`."
)
def assigns_into_the_tuple(past, k, v):
    if past is None:
        return k, v
    past[0] = torch.cat((past[0], k), dim=-2)
    past[1] = torch.cat((past[1], v), dim=-2)
    return past


@append_to_cache.misconception(
    "It is a list. The exercise asks for a tuple, `(keys, values)`: the pair that the next call "
    "gets as its past."
)
def returns_a_list(past, k, v):
    if past is None:
        return [k, v]
    return [torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)]


@append_to_cache.misconception(
    "Keys and values were packed into one tensor. The exercise asks for a tuple of two."
)
def packs_both_into_one_tensor(past, k, v):
    if past is None:
        return torch.stack((k, v))
    return torch.stack((torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)))


@append_to_cache.misconception(
    "Only the keys came back. Attention needs the values of the earlier tokens as well: return "
    "both, `(keys, values)`."
)
def returns_only_the_keys(past, k, v):
    return k if past is None else torch.cat((past[0], k), dim=-2)


@append_to_cache.misconception(
    "Of several new tokens only the last was kept. While the model writes there is one at a time, "
    "but a prompt brings many at once, and all of them will be read."
)
def keeps_only_the_last_new_token(past, k, v):
    k, v = k[..., -1:, :], v[..., -1:, :]
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


@append_to_cache.variant(keeps_only_the_last_new_token)
def keeps_only_the_last_new_token_on_top_of_a_past(past, k, v):
    if past is None:
        return k, v
    return (
        torch.cat((past[0], k[..., -1:, :]), dim=-2),
        torch.cat((past[1], v[..., -1:, :]), dim=-2),
    )


@append_to_cache.misconception(
    "For every new token an old one was dropped, so that the cache stays as long as it was. "
    "Nothing is forgotten here: a cache of S tokens and T new ones make S + T."
)
def drops_the_oldest(past, k, v):
    if past is None:
        return k, v
    S = past[0].shape[-2]
    return (
        torch.cat((past[0], k), dim=-2)[..., -S:, :],
        torch.cat((past[1], v), dim=-2)[..., -S:, :],
    )


@append_to_cache.misconception(
    "Only the last few tokens were kept, a window of fixed size: all is well until the text is "
    "longer than the window. Nothing is forgotten here, however long the text: a cache of S tokens "
    "and T new ones make S + T."
)
def keeps_a_window(past, k, v, size=8):
    k, v = _joined(past, k, v)
    return k[:, :, -size:], v[:, :, -size:]


@append_to_cache.variant(keeps_a_window)
def keeps_a_window_of_four(past, k, v):
    return keeps_a_window(past, k, v, size=4)


@append_to_cache.variant(keeps_a_window)
def keeps_a_window_of_sixteen(past, k, v):
    return keeps_a_window(past, k, v, size=16)


@append_to_cache.variant(keeps_a_window)
def keeps_a_window_of_thirty_two(past, k, v):
    return keeps_a_window(past, k, v, size=32)


@append_to_cache.misconception(
    "Where nothing was kept the first tokens are in the cache twice: they were taken for the past, "
    "and then appended to themselves. In that case return them as they are."
)
def appends_the_first_tokens_twice(past, k, v):
    if past is None:
        past = (k, v)
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


@append_to_cache.misconception(
    "Where nothing was kept, a past of zeros was made up. A key of zeros is a key like any other: "
    "it gets a score of 0, and with it a share of the attention. Begin with no token at all."
)
def begins_with_a_token_of_zeros(past, k, v):
    if past is None:
        past = (torch.zeros_like(k[..., :1, :]), torch.zeros_like(v[..., :1, :]))
    return torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)


@append_to_cache.misconception(
    "All numbers were put in one row, old and then new, and cut anew: with several heads or "
    "sequences the tokens end up in other heads. cat along the tokens, `dim=-2`, leaves each head "
    "alone."
)
def cuts_one_long_row_anew(past, k, v):
    if past is None:
        return k, v
    B, nh, T, hs = k.shape
    shape = (B, nh, past[0].shape[-2] + T, hs)
    return (
        torch.cat((past[0].flatten(), k.flatten())).view(shape),
        torch.cat((past[1].flatten(), v.flatten())).view(shape),
    )


@append_to_cache.misconception(
    "The caller's own past grew. The pair that comes in must stay as it is: whoever has it may "
    "go on from it in another way. Make new tensors."
)
def changes_the_past(past, k, v):
    if past is None:
        return k, v
    past[0].data, past[1].data = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    return past


@append_to_cache.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy) cut the tensors off from where "
    "they came from: the values are right, but no gradient comes through."
)
def cuts_the_gradient(past, k, v):
    if past is None:
        return k.detach(), v.detach()
    return (
        torch.cat((past[0], k), dim=-2).detach(),
        torch.cat((past[1], v), dim=-2).detach(),
    )


@append_to_cache.variant(cuts_the_gradient)
def cuts_the_gradient_of_what_was_kept(past, k, v):
    if past is None:
        return k, v
    return (
        torch.cat((past[0].detach(), k), dim=-2),
        torch.cat((past[1].detach(), v), dim=-2),
    )


@append_to_cache.variant(cuts_the_gradient)
def cuts_the_gradient_of_what_is_new(past, k, v):
    if past is None:
        return k.detach(), v.detach()
    return (
        torch.cat((past[0], k.detach()), dim=-2),
        torch.cat((past[1], v.detach()), dim=-2),
    )


@append_to_cache.misconception(
    "The cache is float32 whatever came in. Memory that is made beforehand needs the type of k: "
    "`dtype=k.dtype`."
)
def always_float32(past, k, v):
    if past is None:
        return k.float(), v.float()
    return torch.cat((past[0], k), dim=-2).float(), torch.cat((past[1], v), dim=-2).float()


@append_to_cache.variant(always_float32)
def float32_on_top_of_a_past(past, k, v):
    if past is None:
        return k, v
    return torch.cat((past[0], k), dim=-2).float(), torch.cat((past[1], v), dim=-2).float()


@append_to_cache.also_right
def a_pair_at_a_time(past, k, v):
    if past is None:
        return k, v
    return tuple(torch.cat(pair, dim=2) for pair in zip(past, (k, v), strict=True))


@append_to_cache.also_right
def beginning_with_no_tokens(past, k, v):
    old_k, old_v = past or (k[:, :, :0], v[:, :, :0])
    return torch.cat((old_k, k), dim=-2), torch.cat((old_v, v), dim=-2)


@append_to_cache.also_right
def writing_into_new_memory(past, k, v):
    if past is None:
        return k, v
    B, nh, T, hs = k.shape
    S = past[0].shape[-2]
    keys, values = k.new_empty(B, nh, S + T, hs), v.new_empty(B, nh, S + T, hs)
    keys[:, :, :S], keys[:, :, S:] = past[0], k
    values[:, :, :S], values[:, :, S:] = past[1], v
    return keys, values


@append_to_cache.also_right
def a_list_of_single_tokens(past, k, v):
    if past is None:
        return k, v
    keys = [*past[0].unbind(dim=2), *k.unbind(dim=2)]
    values = [*past[1].unbind(dim=2), *v.unbind(dim=2)]
    return torch.stack(keys, dim=2), torch.stack(values, dim=2)


@append_to_cache.also_right
def keys_and_values_in_one_tensor(past, k, v):
    both = torch.stack((k, v))
    if past is not None:
        both = torch.cat((torch.stack(past), both), dim=-2)
    return both[0], both[1]


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
    lesson="12_kv_cache",
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


def _scores(q, k) -> Tensor:
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def _blend(q, k, v, reach: int = 0) -> Tensor:
    """Masked attention; each query reads `reach` columns further than it should."""
    T, S = q.shape[-2], k.shape[-2]
    may_read = torch.ones(T, S, dtype=torch.bool).tril(S - T + reach)
    return _scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v


@cached_attention.misconception(
    "Nothing is masked: of several new tokens each reads all, those after it included. A single "
    "new token may read everything; a prompt of many still needs the triangle at the end."
)
def forgets_the_mask(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _scores(q, k).softmax(-1) @ v, past


@cached_attention.misconception(
    "Where there is a past, nothing is masked. That is right for one new token; of several, each "
    "must not read those after it, past or no past."
)
def masks_only_where_nothing_is_kept(q, k, v, past):
    masked = past is None
    k, v = past = _joined(past, k, v)
    return (_blend(q, k, v) if masked else _scores(q, k).softmax(-1) @ v), past


@cached_attention.misconception(
    "The mask was counted from the upper left corner, as is_causal=True does: the first new token "
    "then reads only the very first key. The new tokens are the last T of the S positions: "
    "`tril(S - T)`."
)
def counts_the_mask_from_the_upper_left(q, k, v, past):
    k, v = past = _joined(past, k, v)
    may_read = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    return _scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v, past


@cached_attention.variant(counts_the_mask_from_the_upper_left)
def counts_from_the_upper_left_for_several(q, k, v, past):
    k, v = past = _joined(past, k, v)
    may_read = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    hidden = ~may_read if q.shape[-2] > 1 else torch.zeros_like(may_read)
    return _scores(q, k).masked_fill(hidden, -math.inf).softmax(-1) @ v, past


@cached_attention.misconception(
    "The mask has as many columns as there are new tokens, and the scores have a column for each "
    "kept key too. It needs T rows and S columns: `causal_mask(T, S)`."
)
def makes_the_mask_square(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T = q.shape[-2]
    may_read = torch.ones(T, T, dtype=torch.bool).tril()
    return _scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v, past


@cached_attention.variant(makes_the_mask_square)
def makes_the_mask_as_large_as_the_cache(q, k, v, past):
    k, v = past = _joined(past, k, v)
    S = k.shape[-2]
    may_read = torch.ones(S, S, dtype=torch.bool).tril()
    return _scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v, past


@cached_attention.variant(makes_the_mask_square)
def takes_the_first_rows_of_a_square_mask(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    may_read = torch.ones(S, S, dtype=torch.bool).tril()[:T, :T]
    return _scores(q, k).masked_fill(~may_read, -math.inf).softmax(-1) @ v, past


@cached_attention.misconception(
    "The kept keys and values went into the new past, but were not read: attention ran over the "
    "new ones alone. A new token looks back at everything before it: attend with the joined keys "
    "and values."
)
def reads_only_the_new_tokens(q, k, v, past):
    return _blend(q, k, v), _joined(past, k, v)


@cached_attention.misconception(
    "Only what was kept is read. A new token reads itself too: append first, then attend."
)
def attends_before_it_appends(q, k, v, past):
    if past is None:
        return _blend(q, k, v), (k, v)
    return _scores(q, past[0]).softmax(-1) @ past[1], _joined(past, k, v)


@cached_attention.variant(attends_before_it_appends)
def attends_to_the_masked_past(q, k, v, past):
    y = masked_attention(q, k, v) if past is None else masked_attention(q, *past)
    return y, _joined(past, k, v)


@cached_attention.variant(attends_before_it_appends)
def attends_to_the_past_even_where_there_is_none(q, k, v, past):
    return masked_attention(q, *past), _joined(past, k, v)


@cached_attention.misconception(
    "The new past holds only the new tokens. The next token needs all earlier ones: hand on the "
    "joined keys and values."
)
def hands_on_only_the_new_tokens(q, k, v, past):
    return _blend(q, *_joined(past, k, v)), (k, v)


@cached_attention.misconception(
    "Only the last few tokens are kept and read, a window of fixed size: all is well until the "
    "text is longer than the window. A new token reads everything before it."
)
def keeps_a_window_(q, k, v, past, size=8):
    k, v = (x[:, :, -size:] for x in _joined(past, k, v))
    return masked_attention(q, k, v), (k, v)


@cached_attention.variant(keeps_a_window_)
def keeps_a_window_and_blends_in_plain_torch(q, k, v, past):
    k, v = (x[:, :, -8:] for x in _joined(past, k, v))
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "The past was handed on as it came, without the new tokens. The next token would not see them."
)
def hands_on_the_old_past(q, k, v, past):
    return _blend(q, *_joined(past, k, v)), past or (k, v)


@cached_attention.variant(hands_on_the_old_past)
def hands_on_none(q, k, v, past):
    return _blend(q, *_joined(past, k, v)), past


@cached_attention.misconception(
    "The very first call has no past: there it is None, and None cannot be opened like a pair or "
    "joined with anything. Where it is None, the new keys and values are the whole cache."
)
def forgets_that_the_past_may_be_none_(q, k, v, past):
    k, v = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    return _blend(q, k, v), (k, v)


@cached_attention.variant(forgets_that_the_past_may_be_none_)
def unpacks_none_(q, k, v, past):
    old_k, old_v = past
    k, v = torch.cat((old_k, k), dim=-2), torch.cat((old_v, v), dim=-2)
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "The new tokens were put in front of the old ones. A cache reads like the text, oldest first; "
    "the mask takes the last T positions for the new ones, and hides the wrong keys otherwise."
)
def puts_the_new_ones_first_(q, k, v, past):
    if past is not None:
        k, v = torch.cat((k, past[0]), dim=-2), torch.cat((v, past[1]), dim=-2)
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "The queries went into the cache in place of the keys. A query is asked once, by its own "
    "token; what later tokens read are keys and values."
)
def keeps_the_queries(q, k, v, past):
    k, v = past = _joined(past, q, v)
    return _blend(q, k, v), past


@cached_attention.misconception(
    "The kept keys were put in front of the queries too, so that the old tokens ask again: y has a "
    "row for each of them. Only the new tokens ask; that is what the cache saves."
)
def lets_the_old_tokens_ask_again(q, k, v, past):
    if past is not None:
        q = torch.cat((past[0], q), dim=-2)
    k, v = past = _joined(past, k, v)
    return _blend(q, k, v), past


@cached_attention.misconception(
    "The new past has its values first. The order is (keys, values), in what comes in and in what "
    "goes out."
)
def hands_on_the_values_first(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v), (v, k)


@cached_attention.misconception(
    "Only y came back. Whoever calls needs the new past as well, for the next token: "
    "`return y, (k, v)`."
)
def returns_only_y(q, k, v, past):
    return _blend(q, *_joined(past, k, v))


@cached_attention.misconception(
    "Three things came back instead of two. Keys and values belong together, as the next call's "
    "past: `return y, (k, v)`."
)
def returns_three_tensors(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v), k, v


@cached_attention.misconception(
    "The past came first. The order is y, and then the new past: `return y, (k, v)`."
)
def returns_the_past_first(q, k, v, past):
    past = _joined(past, k, v)
    return past, _blend(q, *past)


@cached_attention.misconception(
    "There is a list where a tuple is asked for: `return y, (k, v)`, with round brackets."
)
def returns_a_list_(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v), [k, v]


@cached_attention.variant(returns_a_list_)
def returns_a_list_of_both(q, k, v, past):
    past = _joined(past, k, v)
    return [_blend(q, *past), past]


@cached_attention.misconception(
    "The new tokens are in the new past twice: append_to_cache was called once to attend, and "
    "again, with what it had given, to return. Call it once and keep what it returns."
)
def appends_twice(q, k, v, past):
    past = _joined(past, k, v)
    return _blend(q, *past), _joined(past, k, v)


@cached_attention.misconception(
    "Where nothing was kept the first tokens are there twice: they were taken for the past, and "
    "then appended to themselves. In that case they are the whole cache."
)
def appends_the_first_tokens_twice_(q, k, v, past):
    k, v = past = _joined((k, v) if past is None else past, k, v)
    return _blend(q, k, v), past


@cached_attention.misconception(
    "The scores are not divided by √hs. The larger the head, the larger the scores, and the "
    "softmax turns large scores into all or nothing."
)
def forgets_the_scale(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q * math.sqrt(q.shape[-1]), k, v), past


@cached_attention.misconception(
    "In the end the scores are divided by hs, and not by its root: the weights come out too even."
)
def divides_by_hs(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q / math.sqrt(q.shape[-1]), k, v), past


@cached_attention.misconception(
    "The softmax ran down the columns, so that each key shares itself out among the queries. Each "
    "query shares its attention among the keys: the last axis, dim=-1."
)
def softmax_over_the_queries(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    return _scores(q, k).masked_fill(hidden, -math.inf).softmax(-2) @ v, past


@cached_attention.misconception(
    "The weights went onto the keys. A key is the label on the folder; what is handed over is the "
    "value inside."
)
def blends_the_keys(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q, k, k), past


@cached_attention.misconception(
    "In the place of y are the weights. They still have to blend the values: weights @ v."
)
def returns_the_weights(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    return _scores(q, k).masked_fill(hidden, -math.inf).softmax(-1), past


@cached_attention.misconception(
    "Each new token also reads the one after it: the mask is one column too wide."
)
def reads_one_ahead(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q, k, v, reach=1), past


@cached_attention.misconception(
    "No token may read itself: the mask is one column too narrow. The first token of all then has "
    "nothing to read, and the softmax of nothing but -inf is nan."
)
def may_not_read_itself(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q, k, v, reach=-1), past


@cached_attention.misconception(
    "The hidden scores were set to 0 and not to -inf. A score of 0 is an ordinary score: e⁰ = 1, "
    "so the future still gets a share. Only -inf becomes a weight of 0."
)
def hides_with_a_score_of_zero(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    return _scores(q, k).masked_fill(hidden, 0).softmax(-1) @ v, past


@cached_attention.misconception(
    "The mask was laid on the weights, after the softmax. What the hidden tokens had got is gone "
    "then, and the rest of a row no longer adds up to 1. Hide the scores with -inf, before the "
    "softmax."
)
def masks_after_the_softmax(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _scores(q, k).softmax(-1).tril(k.shape[-2] - q.shape[-2]) @ v, past


@cached_attention.misconception(
    "The number in the hidden places is negative, but not small enough: where the visible scores "
    "lie as low as that, the future gets a share again. -inf is below every score."
)
def hides_with_a_number_that_is_not_small_enough(q, k, v, past):
    k, v = past = _joined(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    return _scores(q, k).masked_fill(hidden, -100.0).softmax(-1) @ v, past


@cached_attention.misconception(
    "y has a single row, that of the last new token. Every new token gets its own: for a prompt "
    "of T tokens y has T rows."
)
def answers_only_for_the_last_token(q, k, v, past):
    k, v = past = _joined(past, k, v)
    return _blend(q, k, v)[..., -1:, :], past


@cached_attention.misconception(
    "The new keys and values were joined on along the first axis, which is what torch.cat does "
    "where no dim is given: they stand there as further sequences. The tokens lie on the last "
    "axis but one: `dim=-2`."
)
def makes_the_batch_larger_(q, k, v, past):
    if past is not None:
        k, v = torch.cat((past[0], k)), torch.cat((past[1], v))
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "The new keys and values were joined on along the second axis: they stand there as further "
    "heads. The axes are (batch, head, token, number), so the tokens are `dim=-2`."
)
def adds_heads_(q, k, v, past):
    if past is not None:
        k, v = torch.cat((past[0], k), dim=1), torch.cat((past[1], v), dim=1)
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "The caller's own past grew. The pair that comes in must stay as it is: whoever has it may "
    "go on from it in another way. Make new tensors."
)
def changes_the_past_(q, k, v, past):
    if past is not None:
        old_k, old_v = past
        old_k.data, old_v.data = torch.cat((old_k, k), dim=-2), torch.cat((old_v, v), dim=-2)
        k, v = old_k, old_v
    return _blend(q, k, v), (k, v)


@cached_attention.misconception(
    "Somewhere on the way a .detach() (or no_grad, .data, numpy) cut the tensors off from where "
    "they came from: the values are right, but gradients do not reach everything."
)
def cuts_the_gradient_(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v).detach(), (k.detach(), v.detach())


@cached_attention.variant(cuts_the_gradient_)
def cuts_the_gradient_of_the_new_past(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v), (k.detach(), v.detach())


@cached_attention.variant(cuts_the_gradient_)
def cuts_the_gradient_of_the_old_past(q, k, v, past):
    past = past and (past[0].detach(), past[1].detach())
    k, v = _joined(past, k, v)
    return _blend(q, k, v), (k, v)


@cached_attention.variant(cuts_the_gradient_)
def cuts_the_gradient_of_y(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v).detach(), (k, v)


@cached_attention.misconception(
    "The result is float32 whatever came in. Who works in float64 gets less back than they gave: "
    "let the result have the input's type."
)
def always_float32_(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q.float(), k.float(), v.float()), (k.float(), v.float())


@cached_attention.variant(always_float32_)
def y_is_always_float32(q, k, v, past):
    k, v = _joined(past, k, v)
    return _blend(q, k, v).float(), (k, v)


@cached_attention.also_right
def in_plain_torch(q, k, v, past):
    if past is not None:
        k, v = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    hidden = torch.ones(T, S, dtype=torch.bool).triu(S - T + 1)
    scores = (q @ k.transpose(-2, -1) / hs**0.5).masked_fill(hidden, -1e9)
    return scores.softmax(dim=-1) @ v, (k, v)


@cached_attention.also_right
def the_library_call(q, k, v, past):
    if past is not None:
        k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
    T, S = q.shape[2], k.shape[2]
    position = torch.arange(S)
    may_read = position <= position[S - T :, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read), (k, v)


@cached_attention.also_right
def one_new_token_at_a_time(q, k, v, past):
    hs = q.shape[-1]
    keys, values = past or (k[:, :, :0], v[:, :, :0])
    rows = []
    for t in range(q.shape[2]):  # what comes later is not in the cache yet, so nothing is hidden
        keys = torch.cat((keys, k[:, :, t : t + 1]), dim=2)
        values = torch.cat((values, v[:, :, t : t + 1]), dim=2)
        weights = torch.softmax(q[:, :, t : t + 1] @ keys.mT / hs**0.5, dim=-1)
        rows.append(weights @ values)
    return torch.cat(rows, dim=2), (keys, values)


@cached_attention.also_right
def old_and_new_scores_side_by_side(q, k, v, past):
    T, hs = q.shape[-2], q.shape[-1]
    future = torch.full((T, T), -torch.inf, dtype=q.dtype).triu(1)
    new = torch.einsum("bhtc,bhsc->bhts", q, k) / hs**0.5 + future
    if past is None:
        return new.softmax(-1) @ v, (k, v)
    old = torch.einsum("bhtc,bhsc->bhts", q, past[0]) / hs**0.5
    weights = torch.cat((old, new), dim=-1).softmax(-1)
    S = old.shape[-1]
    y = weights[..., :S] @ past[1] + weights[..., S:] @ v
    return y, (torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2))


@cached_attention.also_right
def asking_for_all_rows_and_keeping_the_last(q, k, v, past):
    T = q.shape[-2]
    if past is not None:
        k, v = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    q = F.pad(q, (0, 0, k.shape[-2] - T, 0))  # rows of zeros ask for the earlier positions
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y[..., -T:, :], (k, v)


EXERCISES = [append_to_cache, cached_attention]
