"""The exercises of lesson 10: output_logits, count_parameters, GPT2."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2course import model
from gpt2course.checks.exercise import Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import (
    OUTPUT,
    PARAMETERS,
    ModuleExercise,
    blocks_of,
    build,
    built_once,
    fill,
    fill_what_fits,
    gradients,
    own_parameters,
)
from gpt2course.config import COURSE, GPT2Config

VOCABULARY = ("robot", "must", "obey", "orders", ".")


def _of_tensor(holds):
    """The same question of a result, not asked where the card shows something else."""
    return lambda got, *args: not isinstance(got, Tensor) or holds(got, *args)


def _xw(B: int, T: int, C: int, V: int, seed: int, scale=1.0, dtype=torch.float32) -> tuple:
    """x (B, T, C) and wte (V, C)."""
    return (
        normal(B, T, C, seed=seed, scale=scale, dtype=dtype),
        normal(V, C, seed=seed + 1, dtype=dtype),
    )


_BY_HAND = (
    torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]]),
    torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 3.0],
                  [0.5, 0.0, 0.5]]),
)  # fmt: skip

output_logits = Exercise(
    model.output_logits,
    cases=[
        Case("two tokens, a vocabulary of five", _BY_HAND, columns=VOCABULARY),
        Case("one token alone", _xw(1, 1, 3, 4, seed=1)),
        Case("as many tokens as numbers and words", _xw(1, 4, 4, 4, seed=3)),
        Case("a batch of two", _xw(2, 3, 5, 7, seed=5)),
        Case("three of everything", _xw(3, 3, 3, 3, seed=7)),
        Case("fewer words than numbers in a vector", _xw(2, 4, 6, 2, seed=9)),
        Case("numbers in the hundreds", _xw(2, 3, 5, 4, seed=11, scale=300.0)),
        Case("float64 stays float64", _xw(2, 3, 5, 7, seed=13, dtype=torch.float64)),
        Case("float64 keeps its digits", _xw(1, 3, 5, 7, 21, dtype=torch.float64), fine=True),
        Case(
            "arguments that do not lie in one piece in memory",
            tuple(map(strided, _xw(2, 3, 5, 7, seed=15))),
        ),
        Case(
            "a batch cut from longer sequences",
            (normal(2, 6, 5, seed=17)[:, :3], normal(7, 5, seed=18)),
        ),
        Case(
            "the gradients reach x and wte",
            _xw(2, 3, 5, 7, seed=19, dtype=torch.float64),
            gradients=True,
        ),
    ],
    properties=[
        Property("each token is on its own", lambda f: _tokens_are_alone(f)),
        Property(
            "one score for each token and each word of the vocabulary: (B, T, V)",
            lambda f: f(*_xw(2, 3, 5, 7, seed=5)).shape == (2, 3, 7),
            of_result=_of_tensor(lambda y, x, wte: y.shape == (*x.shape[:-1], len(wte))),
        ),
        Property("twice the vector gives twice the scores", lambda f: _logits_are_linear(f)),
        Property("a vector of zeros scores 0 with every word", lambda f: _zero_scores_zero(f)),
        Property(
            "one row of wte decides about one column of the scores",
            lambda f: _a_row_is_a_column(f),
        ),
    ],
)


def _logits_are_linear(f) -> bool:
    x, wte = _xw(2, 3, 5, 7, seed=5)
    return torch.allclose(f(2 * x, wte), 2 * f(x, wte), atol=1e-4)


def _zero_scores_zero(f) -> bool:
    x, wte = _xw(2, 3, 5, 7, seed=5)
    return bool((f(torch.zeros_like(x), wte) == 0).all())


def _a_row_is_a_column(f) -> bool:
    x, wte = _xw(2, 3, 5, 7, seed=5)
    before, other = f(x, wte), wte.clone()
    other[4] += 1
    changed = (f(x, other) - before).abs() > 1e-5
    return bool(changed[..., 4].all()) and not changed[..., [0, 1, 2, 3, 5, 6]].any()


def _tokens_are_alone(f) -> bool:
    x, wte = _xw(2, 3, 5, 7, seed=5)
    return torch.allclose(f(x, wte)[1:, 2:], f(x[1:, 2:], wte), atol=1e-5)


# Counting


_TINY = GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=3, vocab_size=5)
_ODD = GPT2Config(n_layer=3, n_head=2, n_embd=10, n_ctx=7, vocab_size=11)

count_parameters = Exercise(
    model.count_parameters,
    cases=[
        Case("one block two numbers wide", (_TINY,)),
        Case("two such blocks", (replace(_TINY, n_layer=2),)),
        Case("three blocks, ten wide", (_ODD,)),
        Case("the same with more heads", (replace(_ODD, n_head=5),)),
        Case("more positions than words", (replace(_ODD, n_ctx=23),)),
        Case("the model of this course", (COURSE,)),
        Case("the smallest GPT-2", (GPT2Config(),)),
    ],
    properties=[
        Property(
            "the count is an int",
            lambda f: type(f(_ODD)) is int,
            of_result=lambda n, config: type(n) is int,
        ),
        Property(
            "one word more in the vocabulary adds n_embd",
            lambda f: _added(f, vocab_size=12) == 10,
        ),
        Property("one position more adds n_embd", lambda f: _added(f, n_ctx=8) == 10),
        Property(
            "one block more adds 12 · n_embd² + 13 · n_embd",
            lambda f: _added(f, n_layer=4) == 12 * 10**2 + 13 * 10,
        ),
        Property(
            "what is neither a table nor in a block is ln_f, 2 · n_embd",
            lambda f: f(_ODD) - (11 + 7) * 10 - 3 * _added(f, n_layer=4) == 2 * 10,
        ),
        Property(
            "the number of heads does not matter", lambda f: f(replace(_ODD, n_head=5)) == f(_ODD)
        ),
    ],
)


def _added(f, **larger: int) -> int:
    """By how much the count grows where one size grows by one."""
    return f(replace(_ODD, **larger)) - f(_ODD)


# Several slips come to the same count; these have one name for all that do.


# The model


_REFERENCE = model.GPT2
_SMALL = GPT2Config(n_layer=2, n_head=2, n_embd=4, n_ctx=6, vocab_size=5)
_DEEP = GPT2Config(n_layer=3, n_head=2, n_embd=6, n_ctx=7, vocab_size=11)
_FLAT = GPT2Config(n_layer=1, n_head=3, n_embd=6, n_ctx=8, vocab_size=7)
_WIDE = GPT2Config(n_layer=1, n_head=2, n_embd=64, n_ctx=32, vocab_size=1000)
# What the model is asked beside its parameters and output.
ATTRIBUTES, TOO_LONG, FIRST_LOSS = "attributes", "error", "first loss"
IN_FLOAT64, GRADIENTS_IN_FLOAT64 = "second call, in float64", "gradients, in float64"


def _ids(B: int, T: int, V: int, seed: int) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def _attributes(answer, sizes: tuple, x: None) -> dict[str, str]:
    """What the names that later lessons use stand for."""
    module = build(answer, sizes)
    kept = getattr(module, "config", None)
    found = "nothing" if kept is None else "another config"
    kinds = {"config": "the config that was given" if kept == sizes[0] else found}
    for name in ("wte", "wpe"):
        part = getattr(module, name, None)
        is_table = isinstance(part, nn.Embedding)
        kinds[name] = "an nn.Embedding" if is_table else f"a {type(part).__name__}"
    return kinds


def _too_long(answer, sizes: tuple, idx: Tensor) -> str:
    """Which error comes of more tokens than fit."""
    module = build(answer, sizes)
    try:
        module(idx)
    except ValueError:
        return "ValueError"
    except Exception as error:
        return type(error).__name__
    return "no error"


def _first_loss(answer, sizes: tuple, idx: Tensor) -> str:
    """Where the loss of a fresh model lies, against targets that have nothing to do with idx."""
    V, module = sizes[0].vocab_size, build(answer, sizes)
    targets = _ids(*idx.shape, V, seed=99)
    loss = F.cross_entropy(module(idx).flatten(0, 1), targets.flatten())
    ln_V = f"ln {V} = {math.log(V):.2f} nats"
    if not abs(loss.item() - math.log(V)) <= 0.5:
        side = "below" if loss.item() < math.log(V) else "above"
        return f"more than 0.5 {side} {ln_V}"
    found = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    if not any(g is not None and g.any() for g in found):
        return f"within 0.5 of {ln_V}, but no parameter has a gradient to learn from"
    norms = [p for name, p in own_parameters(module).items() if ".ln_" in f".{name}"][::2]
    if any((weight - 1).abs().mean() > 0.5 for weight in norms):
        return f"within 0.5 of {ln_V}, but the norms do not begin with a weight of 1"
    return f"within 0.5 of {ln_V}"


def _filled(answer, sizes: tuple, dtype: torch.dtype = torch.float32) -> nn.Module:
    module = build(answer, sizes)
    fill(module, built_once(_REFERENCE, sizes), dtype)
    return module


def _in_float64(answer, sizes: tuple, idx: Tensor) -> Tensor:
    """What a second call gives, after a first one with other tokens."""
    module = _filled(answer, sizes, torch.float64)
    module(idx.flip(1)[:1, :3])
    return module(idx)


def _gradients_in_float64(answer, sizes: tuple, idx: Tensor) -> dict[str, Tensor]:
    return gradients(_filled(answer, sizes, torch.float64), idx)


GPT2 = ModuleExercise(
    _REFERENCE,
    dtype_of=lambda idx: torch.float32,
    other_asks={
        ATTRIBUTES: _attributes,
        TOO_LONG: _too_long,
        FIRST_LOSS: _first_loss,
        IN_FLOAT64: _in_float64,
        GRADIENTS_IN_FLOAT64: _gradients_in_float64,
    },
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (_SMALL,), None)),
        Case("what later lessons ask it for", (ATTRIBUTES, (_FLAT,), None)),
        Case("three words", (OUTPUT, (_SMALL,), torch.tensor([[0, 1, 2]])),
             rows=VOCABULARY[:3], columns=VOCABULARY),
        Case("as many words as fit, n_ctx", (OUTPUT, (_SMALL,), torch.tensor([[3, 2, 2, 0, 1, 4]])),
             rows=tuple(VOCABULARY[i] for i in (3, 2, 2, 0, 1, 4)), columns=VOCABULARY),
        Case("a batch of two, three blocks", (OUTPUT, (_DEEP,), _ids(2, 5, 11, seed=2))),
        Case("a batch of three single tokens", (OUTPUT, (_FLAT,), _ids(3, 1, 7, seed=3))),
        Case("more texts than n_ctx", (OUTPUT, (_FLAT,), _ids(9, 3, 7, seed=9))),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (_FLAT,), strided(_ids(2, 5, 7, seed=4)))),
        Case("a second call, and in float64", (IN_FLOAT64, (_FLAT,), _ids(2, 8, 7, seed=5))),
        Case("the gradients reach every parameter",
             (GRADIENTS_IN_FLOAT64, (_SMALL,), _ids(2, 5, 5, seed=6))),
        Case("one token more than n_ctx", (TOO_LONG, (_FLAT,), _ids(1, 9, 7, seed=7))),
        Case("the loss before any training, on random targets",
             (FIRST_LOSS, (_WIDE,), _ids(2, 16, 1000, seed=8))),
    ],
    properties=[
        Property(
            "all numbers are finite",
            lambda f: all(_Watched(f, idx).logits.isfinite().all() for idx in _TRIED),
            of_result=_of_tensor(lambda y, *args: y.isfinite().all()),
        ),
        Property(
            "its parameters are those of wte, wpe, h and ln_f, in these shapes",
            lambda f: _parameters(f) == _parameters(_REFERENCE),
        ),
        Property(
            "one row of vocab_size scores for each token",
            lambda f: all(_Watched(f, idx).logits.shape == (*idx.shape, 11) for idx in _TRIED),
            of_result=_of_tensor(
                lambda y, what, sizes, idx: y.shape == (*idx.shape, sizes[0].vocab_size)
            ),
        ),
        Property("later tokens do not change earlier scores", lambda f: _future_is_hidden(f)),
        Property(
            "the first block reads wte[idx] + wpe[position]",
            lambda f: _holds_on_the_way(f, _Watched.embeds),
        ),
        Property(
            "each block makes of what it reads what a right block makes of it",
            lambda f: _holds_on_the_way(f, _Watched.blocks_are_right),
        ),
        Property(
            "each block reads what the block before it gave",
            lambda f: _holds_on_the_way(f, _Watched.blocks_are_a_chain),
        ),
        Property(
            "ln_f reads what the last block gave",
            lambda f: _holds_on_the_way(f, _Watched.ends_with_ln_f),
        ),
        Property(
            "the scores are what ln_f gives times the rows of wte",
            lambda f: _holds_on_the_way(f, _Watched.multiplies_with_wte),
        ),
    ],
)  # fmt: skip

_TRIED = (_ids(1, 3, 11, seed=11), _ids(2, 7, 11, seed=12), _ids(3, 1, 11, seed=13))


def _parameters(answer) -> dict[str, tuple]:
    return {name: tuple(p.shape) for name, p in own_parameters(build(answer, (_SMALL,))).items()}


class _Watched:
    """One call of a model with the check's weights, and what went in and out of its parts.

    Of a part that is called more than once the first call is kept.
    """

    def __init__(self, answer, idx: Tensor):
        self.idx, self.read, self.gave = idx, {}, {}
        self.module = build(answer, (_DEEP,))
        fill_what_fits(self.module, built_once(_REFERENCE, (_DEEP,)), torch.float32)
        self.parts = [part for _, part in blocks_of(self.module)]
        for name, part in [*enumerate(self.parts), ("ln_f", getattr(self.module, "ln_f", None))]:
            if isinstance(part, nn.Module):
                part.register_forward_pre_hook(self._reader(name), with_kwargs=True)
                part.register_forward_hook(self._giver(name))
        with torch.no_grad():
            self.logits = self.module(idx.clone())

    def _reader(self, name):
        def keep(part, args, kwargs):
            self.read.setdefault(name, [*args, *kwargs.values()][0].clone())

        return keep

    def _giver(self, name):
        def keep(part, args, result):
            self.gave.setdefault(name, result.clone())

        return keep

    def embeds(self) -> bool:
        positions = torch.arange(self.idx.shape[1])
        own = own_parameters(self.module)
        stream = own["wte.weight"][self.idx] + own["wpe.weight"][positions]
        return _close(self.read[0], stream)

    def blocks_are_right(self) -> bool:
        right = _filled(_REFERENCE, (_DEEP,)).h
        with torch.no_grad():
            wanted = [block(self.read[i]) for i, block in enumerate(right)]
        return all(_close(self.gave[i], stream) for i, stream in enumerate(wanted))

    def blocks_are_a_chain(self) -> bool:
        return all(_close(self.read[i], self.gave[i - 1]) for i in range(1, _DEEP.n_layer))

    def ends_with_ln_f(self) -> bool:
        return _close(self.read["ln_f"], self.gave[_DEEP.n_layer - 1])

    def multiplies_with_wte(self) -> bool:
        return _close(self.logits, self.gave["ln_f"] @ own_parameters(self.module)["wte.weight"].T)


def _holds_on_the_way(answer, holds) -> bool:
    """Whether a claim about the parts holds, or the scores are right and it does not matter."""
    for idx in _TRIED:
        watched, right = _Watched(answer, idx), _Watched(_REFERENCE, idx)
        if not (_close(watched.logits, right.logits) or holds(watched)):
            return False
    return True


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-4)


def _future_is_hidden(answer) -> bool:
    idx = _TRIED[1]
    moved = torch.cat((idx[:, :3], (idx[:, 3:] + 1) % 11), dim=1)
    return _close(_Watched(answer, idx).logits[:, :3], _Watched(answer, moved).logits[:, :3])


# Its beginning and its limit


# Its parts


# The embedding


# The blocks


# The end


# Too many tokens, and the beginning


EXERCISES = [output_logits, count_parameters, GPT2]
