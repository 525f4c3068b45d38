"""The exercises of lesson 10: output_logits, count_parameters, GPT2."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

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
_f64 = torch.float64


def _near(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-4)


def _xw(B: int, T: int, C: int, V: int, seed: int, scale=1.0, dtype=torch.float32) -> tuple:
    """x (B, T, C) and wte (V, C)."""
    x = normal(B, T, C, seed=seed, scale=scale, dtype=dtype)
    return x, normal(V, C, seed=seed + 1, dtype=dtype)


_BY_HAND = (
    torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]]),
    torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 3.0],
                  [0.5, 0.0, 0.5]]),
)  # fmt: skip
_X, _WTE = _xw(2, 3, 5, 7, seed=5)

output_logits = Exercise(
    model.output_logits,
    cases=[
        Case("two tokens, a vocabulary of five", _BY_HAND, columns=VOCABULARY),
        Case("one token alone", _xw(1, 1, 3, 4, seed=1)),
        Case("as many tokens as columns and words", _xw(1, 4, 4, 4, seed=3)),
        Case("a batch of two", (_X, _WTE)),
        Case("three of everything", _xw(3, 3, 3, 3, seed=7)),
        Case("fewer words than columns", _xw(2, 4, 6, 2, seed=9)),
        Case("numbers in the hundreds", _xw(2, 3, 5, 4, seed=11, scale=300.0)),
        Case("a vocabulary of 2,000", _xw(1, 2, 64, 2000, seed=23)),
        Case("float64 stays float64", _xw(2, 3, 5, 7, seed=13, dtype=_f64)),
        Case("float64 is not rounded", _xw(1, 3, 5, 7, seed=21, dtype=_f64), fine=True),
        Case("arguments that do not lie in one piece in memory",
             tuple(map(strided, _xw(2, 3, 5, 7, seed=15)))),
        Case("a batch cut from longer sequences",
             (normal(2, 6, 5, seed=17)[:, :3], normal(7, 5, seed=18))),
        Case("the gradients reach x and wte", _xw(2, 3, 5, 7, seed=19, dtype=_f64),
             gradients=True),
    ],
    hints={
        "cuts the gradient": "The values are right, but the gradient of x or wte is 0. `.item()`, "
        "`.detach()`, `.data`, `torch.tensor(…)`, NumPy and `torch.no_grad()` cut it, and so does "
        "`nn.Parameter(wte)`, which makes a new parameter: what it learns does not reach wte."
    },
    properties=[
        Property("each token is on its own",
                 lambda f: _near(f(_X, _WTE)[1:, 2:], f(_X[1:, 2:], _WTE))),
        Property("twice the vector gives twice the scores",
                 lambda f: _near(f(2 * _X, _WTE), 2 * f(_X, _WTE))),
        Property("a vector of zeros scores 0 with every token",
                 lambda f: (f(torch.zeros_like(_X), _WTE) == 0).all()),
        Property("one row of wte decides about one column of the scores",
                 lambda f: _a_row_is_a_column(f)),
        Property("equal arguments give equal scores",
                 lambda f: torch.equal(f(_X, _WTE), f(_X, _WTE))),
    ],
)  # fmt: skip


def _a_row_is_a_column(f) -> bool:
    moved = _WTE.clone()
    moved[4] += 1
    changed = (f(_X, moved) - f(_X, _WTE)).abs() > 1e-5
    return bool(changed[..., 4].all()) and not changed[..., [0, 1, 2, 3, 5, 6]].any()


_TINY = GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=3, vocab_size=5)
_ODD = GPT2Config(n_layer=3, n_head=2, n_embd=10, n_ctx=7, vocab_size=11)

count_parameters = Exercise(
    model.count_parameters,
    cases=[
        Case("one block, two columns", (_TINY,)),
        Case("two such blocks", (replace(_TINY, n_layer=2),)),
        Case("three blocks, ten columns", (_ODD,)),
        Case("the same with more heads", (replace(_ODD, n_head=5),)),
        Case("more positions than words", (replace(_ODD, n_ctx=23),)),
        Case("the model of this course", (COURSE,)),
        Case("the smallest GPT-2", (GPT2Config(),)),
    ],
    properties=[
        Property("one token more in the vocabulary adds n_embd",
                 lambda f: _added(f, vocab_size=12) == 10),
        Property("one position more adds n_embd", lambda f: _added(f, n_ctx=8) == 10),
        Property("one block more adds 12 · n_embd² + 13 · n_embd",
                 lambda f: _added(f, n_layer=4) == 12 * 10**2 + 13 * 10),
        Property("what is neither a table nor in a block is ln_f, 2 · n_embd",
                 lambda f: f(_ODD) - (11 + 7) * 10 - 3 * _added(f, n_layer=4) == 2 * 10),
        Property("the number of heads does not matter", lambda f: _added(f, n_head=5) == 0),
    ],
)  # fmt: skip


def _added(f, **changed: int) -> int:
    """By how much the count grows where one size is another."""
    return f(replace(_ODD, **changed)) - f(_ODD)


REFERENCE = model.GPT2
_SMALL = GPT2Config(n_layer=2, n_head=2, n_embd=4, n_ctx=6, vocab_size=5)
_DEEP = GPT2Config(n_layer=3, n_head=2, n_embd=6, n_ctx=7, vocab_size=11)
_FLAT = GPT2Config(n_layer=1, n_head=3, n_embd=6, n_ctx=8, vocab_size=7)
_WIDE = GPT2Config(n_layer=2, n_head=2, n_embd=64, n_ctx=32, vocab_size=1000)
# What the model is asked beside its parameters and output.
ATTRIBUTES, REFUSED, FITS, FRESH = "attributes", "error", "what it gives", "as it is drawn"
IN_FLOAT64, GRADIENTS_IN_FLOAT64 = "second call, in float64", "gradients, in float64"
SMALL_WEIGHTS, NUDGED = "with weights a hundredth as large", "in float64, with wte moved"


def _ids(B: int, T: int, V: int, seed: int) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def _attributes(answer, sizes: tuple, idx: Tensor) -> dict[str, str]:
    """What the names that later lessons use stand for, and the mode after a call."""
    module = build(answer, sizes)
    kept = getattr(module, "config", None)
    found = "nothing" if kept is None else "another config"
    kinds = {"config": "the config that was given" if kept == sizes[0] else found}
    for name in ("wte", "wpe"):
        is_table = isinstance(getattr(module, name, None), nn.Embedding)
        kinds[name] = "an nn.Embedding" if is_table else "another kind of module"
    module.train()(idx)
    kinds["after train() and a call"] = f"in {'training' if module.training else 'eval'} mode"
    return kinds


def _refused(answer, sizes: tuple, idx: Tensor) -> str:
    """Which error a call gives, if any; of an id outside the vocabulary any will do."""
    module = build(answer, sizes)
    try:
        module(idx)
    except Exception as error:
        if idx.max() >= sizes[0].vocab_size:
            return "an error"
        return "ValueError" if isinstance(error, ValueError) else type(error).__name__
    return "no error"


def _fresh(answer, sizes: tuple, idx: Tensor) -> dict[str, str]:
    """Where the first loss lies, on random targets, and how tables, matrices and norms begin."""
    config, module = sizes[0], build(answer, sizes)
    targets = _ids(*idx.shape, config.vocab_size, seed=99)
    with torch.no_grad():
        loss = F.cross_entropy(module(idx).flatten(0, 1), targets.flatten()).item()
    off, aim = loss - math.log(config.vocab_size), f"ln {config.vocab_size} ± 0.5 nats"
    found = {"the first loss": aim if abs(off) <= 0.5 else "above it" if off > 0 else "below it"}
    parameters, drawn = own_parameters(module), {}
    for name, p in parameters.items():
        if p.ndim == 2:
            twin = next((other for other, q in drawn.items() if torch.equal(p, q)), None)
            drawn[name] = p
            found[name] = f"the same numbers as {twin}" if twin else _deviation(name, p, config)
        elif parameters.get(name.replace("bias", "weight"), p).ndim == 1:  # of a norm
            found[name] = "all 1" if (p == 1).all() else "drawn" if p.any() else "all 0"
    return found


def _deviation(name: str, p: Tensor, config: GPT2Config) -> str:
    """0.01 to 0.03 will do, and less for the c_proj, which may be divided by √(2 · n_layer).

    Matrices of the blocks may also stay as nn.Linear draws them: the first loss does not show it.
    """
    divided = math.sqrt(2 * config.n_layer) if "c_proj" in name else 1.0
    lowest, highest = 0.009 / divided, 0.033  # a tenth beyond, for what is drawn varies
    size = "too large" if p.std() > highest else "too small" if p.std() < lowest else "about 0.02"
    if name.startswith("h.") and abs(p.std() * math.sqrt(3 * p.shape[1]) - 1) < 0.05:
        size = "about 0.02"
    return f"mean {'0' if p.mean().abs() < 0.005 else 'not 0'}, deviation {size}"


def _filled(answer, sizes: tuple, dtype: torch.dtype = torch.float32) -> nn.Module:
    module = build(answer, sizes)
    fill(module, built_once(REFERENCE, sizes), dtype)
    return module


def _fits(answer, sizes: tuple, idx: Tensor) -> Tensor | str:
    """The output. That an answer refuses idx is one mistake, whatever words its error has."""
    module = _filled(answer, sizes)
    try:
        return module(idx)
    except ValueError:
        return "ValueError"


def _in_float64(scale: float, answer, sizes: tuple, idx: Tensor) -> Tensor:
    """What a second call gives, after a first one with other tokens; the norms are not scaled."""
    module = _filled(answer, sizes, _f64)
    with torch.no_grad():
        for name, parameter in own_parameters(module).items():
            if "ln_" not in name:
                parameter *= scale
    module(idx.flip(1)[:1, :3])
    return module(idx)


def _nudged(answer, sizes: tuple, nudge: Tensor) -> Tensor:
    module = _filled(answer, sizes, _f64)
    with torch.no_grad():
        own_parameters(module)["wte.weight"] += nudge
    return module(_ids(2, 5, sizes[0].vocab_size, seed=14))


GPT2 = ModuleExercise(
    REFERENCE,
    dtype_of=lambda idx: torch.float32,
    other_asks={
        ATTRIBUTES: _attributes,
        REFUSED: _refused,
        FITS: _fits,
        FRESH: _fresh,
        IN_FLOAT64: partial(_in_float64, 1.0),
        SMALL_WEIGHTS: partial(_in_float64, 0.01),
        GRADIENTS_IN_FLOAT64: lambda answer, sizes, idx: gradients(
            _filled(answer, sizes, _f64), idx),
        NUDGED: _nudged,
    },
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (_SMALL,), None)),
        Case("what later lessons ask it for", (ATTRIBUTES, (_FLAT,), _ids(1, 2, 7, seed=10))),
        Case("three words", (OUTPUT, (_SMALL,), torch.tensor([[0, 1, 2]])),
             rows=VOCABULARY[:3], columns=VOCABULARY),
        Case("whether n_ctx tokens fit", (REFUSED, (_SMALL,), _ids(1, 6, 5, seed=16))),
        Case("as many words as fit, n_ctx", (FITS, (_SMALL,), torch.tensor([[3, 2, 2, 0, 1, 4]])),
             rows=tuple(VOCABULARY[i] for i in (3, 2, 2, 0, 1, 4)), columns=VOCABULARY),
        Case("a batch of two, three blocks", (OUTPUT, (_DEEP,), _ids(2, 5, 11, seed=2))),
        Case("a batch of three single tokens", (OUTPUT, (_FLAT,), _ids(3, 1, 7, seed=3))),
        Case("whether more texts than n_ctx fit", (REFUSED, (_FLAT,), _ids(9, 3, 7, seed=9))),
        Case("more texts than n_ctx", (FITS, (_FLAT,), _ids(9, 3, 7, seed=9))),
        Case("an argument that does not lie in one piece in memory",
             (OUTPUT, (_FLAT,), strided(_ids(2, 5, 7, seed=4)))),
        Case("a second call, and in float64", (IN_FLOAT64, (_FLAT,), _ids(2, 7, 7, seed=5))),
        Case("weights so small that the eps of the norms shows",
             (SMALL_WEIGHTS, (_FLAT,), _ids(2, 7, 7, seed=15))),
        Case("float64 is not rounded", (NUDGED, (_FLAT,), torch.zeros(7, 6, dtype=_f64)),
             fine=True),
        Case("the gradients reach every parameter",
             (GRADIENTS_IN_FLOAT64, (_SMALL,), _ids(2, 5, 5, seed=6))),
        Case("one token more than n_ctx", (REFUSED, (_FLAT,), _ids(1, 9, 7, seed=7))),
        Case("an id outside the vocabulary", (REFUSED, (_FLAT,), torch.tensor([[6, 7]]))),
        Case("a fresh model: its first loss and its weights",
             (FRESH, (_WIDE,), _ids(2, 16, 1000, seed=8))),
    ],
)  # fmt: skip

_TRIED = (_ids(1, 3, 11, seed=11), _ids(2, 7, 11, seed=12), _ids(3, 1, 11, seed=13))


class _Watched:
    """A call of a model with the check's weights, and what its parts read and gave (at first)."""

    def __init__(self, answer, idx: Tensor):
        module = build(answer, (_DEEP,))
        fill_what_fits(module, built_once(REFERENCE, (_DEEP,)), torch.float32)
        self.idx, self.read, self.gave = idx, {}, {}
        blocks = [part for _, part in blocks_of(module)]
        for name, part in [*enumerate(blocks), ("ln_f", getattr(module, "ln_f", None))]:
            if isinstance(part, nn.Module):
                part.register_forward_hook(partial(self._keep, name), with_kwargs=True)
        with torch.no_grad():
            self.logits = module(idx.clone())
        self.wte, self.wpe = (own_parameters(module).get(f"{n}.weight") for n in ("wte", "wpe"))

    def _keep(self, name, part, args: tuple, kwargs: dict, result: Tensor) -> None:
        self.read.setdefault(name, [*args, *kwargs.values()][0].clone())
        self.gave.setdefault(name, result.clone())


def _blocks_are_right(seen: _Watched) -> bool:
    right = _filled(REFERENCE, (_DEEP,)).h
    with torch.no_grad():
        return all(_near(seen.gave[i], block(seen.read[i])) for i, block in enumerate(right))


_LAST = _DEEP.n_layer - 1
_ON_THE_WAY = {
    "the first block reads wte[idx] + wpe[position]":
        lambda seen: _near(seen.read[0], seen.wte[seen.idx] + seen.wpe[: seen.idx.shape[1]]),
    "each block makes of what it reads what a right block makes of it": _blocks_are_right,
    "each block reads what the block before it gave":
        lambda seen: all(_near(seen.read[i + 1], seen.gave[i]) for i in range(_LAST)),
    "ln_f reads what the last block gave":
        lambda seen: _near(seen.read["ln_f"], seen.gave[_LAST]),
    "the scores are what ln_f gives times the rows of wte":
        lambda seen: _near(seen.logits, seen.gave["ln_f"] @ seen.wte.T),
}  # fmt: skip


def _holds_on_the_way(holds, answer) -> bool:
    """Whether a claim about the parts holds, or the scores are right and it does not matter."""
    tried = ((_Watched(answer, idx), _Watched(REFERENCE, idx)) for idx in _TRIED)
    return all(_near(seen.logits, right.logits) or holds(seen) for seen, right in tried)


def _future_is_hidden(answer) -> bool:
    idx = _TRIED[1]
    moved = torch.cat((idx[:, :3], (idx[:, 3:] + 1) % 11), dim=1)
    return _near(_Watched(answer, idx).logits[:, :3], _Watched(answer, moved).logits[:, :3])


def _repeats_itself(answer) -> bool:
    module = build(answer, (_DEEP,))
    fill_what_fits(module, built_once(REFERENCE, (_DEEP,)), torch.float32)
    with torch.no_grad():
        return torch.equal(module(_TRIED[1].clone()), module(_TRIED[1].clone()))


GPT2.properties = [
    Property("equal ids give equal logits at every call", _repeats_itself),
    Property("later tokens do not change earlier scores", _future_is_hidden),
    *(Property(claim, partial(_holds_on_the_way, holds)) for claim, holds in _ON_THE_WAY.items()),
]

EXERCISES = [output_logits, count_parameters, GPT2]
