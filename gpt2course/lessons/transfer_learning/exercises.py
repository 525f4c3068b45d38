"""The exercises of lesson 18: option_score, freeze, LowRank."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gpt2course import tasks
from gpt2course.checks.attempt import gradients_of
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import WrongParameters, build
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2

# option_score -----------------------------------------------------------------------------------


class Tiny:
    """A language model of two tables: each position reads its token and the mean of all so far."""

    def __init__(self, own: Tensor, earlier: Tensor, n_ctx: int = 100):
        self.own, self.earlier, self.config = own, earlier, SimpleNamespace(n_ctx=n_ctx)

    def __call__(self, idx: Tensor) -> Tensor:
        if not isinstance(idx, Tensor) or idx.ndim != 2 or idx.dtype != torch.int64:
            raise TypeError("the model takes ids as an int64 tensor (B, T): torch.tensor([ids])")
        if not 1 <= idx.shape[1] <= self.config.n_ctx:
            raise ValueError(f"1 to {self.config.n_ctx} tokens fit, got {idx.shape[1]}")
        count = torch.arange(1, idx.shape[1] + 1, dtype=self.own.dtype)[:, None]
        return self.own[idx] + self.earlier[idx].cumsum(dim=1) / count

    def __repr__(self) -> str:
        return f"<a model of {len(self.own)} tokens>"

    def __deepcopy__(self, memo: dict) -> Tiny:
        return self  # nobody changes its tables


def _tiny(V: int, seed: int, n_ctx: int = 100, dtype=torch.float64, scale: float = 1.5) -> Tiny:
    tables = (normal(V, V, seed=seed + i, dtype=dtype, scale=scale) for i in range(2))
    return Tiny(*tables, n_ctx)


_PROBABILITIES = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]  # row: last id
_BY_HAND = Tiny(torch.tensor(_PROBABILITIES, dtype=torch.float64).log(), torch.zeros(3, 3).double())
_SEVEN = _tiny(7, 1)
_UNLIKELY = Tiny(
    torch.tensor([[12.0, 0.0], [12.0, 0.0]], dtype=torch.float64), torch.zeros(2, 2).double()
)


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-4)


option_score = Exercise(
    tasks.option_score,
    cases=[
        Case("an option of one id, by hand", (_BY_HAND, [0, 1], [2])),
        Case("an option of three ids, by hand", (_BY_HAND, [0], [1, 2, 0])),
        Case("one id after three", (_SEVEN, [3, 0, 5], [6])),
        Case("two ids after four", (_SEVEN, [1, 4, 0, 2], [5, 3])),
        Case("four ids after one", (_SEVEN, [2], [6, 1, 1, 4])),
        Case("an option that repeats the prompt", (_SEVEN, [4, 6], [4, 6])),
        Case("one id, the same three times", (_SEVEN, [5], [5, 5])),
        Case("another model", (_tiny(11, 3), [9, 10, 2], [0, 8, 7, 3, 1])),
        Case("prompt and option fill the context", (_tiny(5, 5, n_ctx=6), [1, 0, 3], [4, 2, 0])),
        Case("a model of float32", (_tiny(9, 7, dtype=torch.float32), [8, 1], [7, 0, 2])),
        Case("scores that lie far apart", (_tiny(6, 9, scale=12.0), [0, 4], [3, 5, 1])),
        Case("seventy ids, each of them unlikely", (_UNLIKELY, [0], [1] * 70)),
    ],
    properties=[
        Property("it is the ln of a probability, and so at most 0",
                 lambda f: f(_SEVEN, [1, 4], [5, 3]) <= 1e-6,
                 of_result=lambda got, *args: got <= 1e-6),
        Property("all options of one id together have probability 1",
                 lambda f: _near(sum(math.exp(f(_SEVEN, [1, 4], [i])) for i in range(7)), 1)),
        Property("two ids at once have the score of one after the other",
                 lambda f: _near(f(_SEVEN, [1, 4], [5, 3]),
                                 f(_SEVEN, [1, 4], [5]) + f(_SEVEN, [1, 4, 5], [3]))),
        Property("every id of the prompt matters",
                 lambda f: all(not _near(f(_SEVEN, [1, 4, 2], [5]), f(_SEVEN, other, [5]))
                               for other in ([0, 4, 2], [1, 0, 2], [1, 4, 0]))),
    ],
)  # fmt: skip


# freeze -----------------------------------------------------------------------------------------

RETURNED, REPLACED, VALUES = "what it returned", "replaced parameters", "the values"
THE_MODEL = "the model that it was given"


@dataclass(frozen=True)
class Start:
    """A model of so many blocks, and what was frozen in it before.

    Args:
        before: "nothing", "everything", or a number of blocks: the answer has been called with it.
    """

    n_layer: int
    before: str | int = "nothing"

    def __repr__(self) -> str:
        said = f"after a call with {self.before}" if isinstance(self.before, int) else ""
        said = said or f"{self.before} frozen before"
        return f"<a GPT2 of {self.n_layer} block{'s' * (self.n_layer != 1)}, {said}>"


def _frozen(answer: Answer, model: Start, n_frozen: int) -> Any:
    gpt2 = build(GPT2, (GPT2Config(model.n_layer, n_head=2, n_embd=4, n_ctx=3, vocab_size=5),))
    gpt2.requires_grad_(model.before != "everything")
    if isinstance(model.before, int):
        answer(gpt2, model.before)
    before = dict(gpt2.named_parameters())
    values = {name: p.detach().clone() for name, p in before.items()}
    returned = answer(gpt2, n_frozen)
    found, after = {}, dict(gpt2.named_parameters())
    for part in ("wte", "wpe", *(f"h.{i}" for i in range(model.n_layer)), "ln_f"):
        learns = {name: p.requires_grad for name, p in after.items() if name.startswith(f"{part}.")}
        some = [name.removeprefix(f"{part}.") for name, yes in learns.items() if yes]
        found[part] = "takes gradients" if all(learns.values()) else "frozen"
        if some and len(some) < len(learns):
            inside = ", ".join(dict.fromkeys(name.split(".")[0] for name in some))
            found[part] = f"takes gradients in {len(some)} of {len(learns)} tensors: {inside}"
    found[RETURNED] = THE_MODEL if returned is gpt2 else _kind(returned)
    found[REPLACED] = sum(after.get(name) is not p for name, p in before.items())
    kept = all(torch.equal(after[name], value) for name, value in values.items() if name in after)
    found[VALUES] = "as they were" if kept else "changed"
    return found


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    return "another model" if isinstance(value, nn.Module) else f"a {type(value).__name__}"


def _parts(asks: Callable[[dict, int, int], bool]) -> Callable[..., bool]:
    """asks(found, n_layer, n_frozen) of the result for four blocks of which two are frozen."""
    return lambda f: asks(_frozen(f, Start(4), 2), 4, 2)


def _about(claim: str, asks: Callable[[dict, int, int], bool]) -> Property:
    return Property(claim, _parts(asks), lambda got, model, n: asks(got, model.n_layer, n))


freeze = Exercise(
    tasks.freeze,
    call=_frozen,
    cases=[
        Case("one of two blocks", (Start(2), 1)),
        Case("no block: the tables alone", (Start(2), 0)),
        Case("all three blocks", (Start(3), 3)),
        Case("the only block", (Start(1), 1)),
        Case("two of five", (Start(5), 2)),
        Case("three of four", (Start(4), 3)),
        Case("two of twelve", (Start(12), 2)),
        Case("eleven of twelve", (Start(12), 11)),
        Case("everything was frozen before", (Start(3, "everything"), 1)),
        Case("everything was frozen before, and no block is to be", (Start(2, "everything"), 0)),
        Case("after a call with three, a call with one", (Start(4, 3), 1)),
        Case("after a call with one, a call with two", (Start(3, 1), 2)),
    ],
    properties=[
        _about("both tables are frozen",
               lambda got, n_layer, n: got["wte"] == got["wpe"] == "frozen"),
        _about("the first n_frozen blocks are frozen",
               lambda got, n_layer, n: all(got[f"h.{i}"] == "frozen" for i in range(n))),
        _about("the blocks behind them take gradients",
               lambda got, n_layer, n: all(got[f"h.{i}"] == "takes gradients"
                                           for i in range(n, n_layer))),
        _about("the last LayerNorm takes gradients",
               lambda got, n_layer, n: got["ln_f"] == "takes gradients"),
        _about("the model itself is returned", lambda got, n_layer, n: got[RETURNED] == THE_MODEL),
    ],
)  # fmt: skip


# LowRank ----------------------------------------------------------------------------------------

# What a case asks for.
PARAMETERS, START, OUTPUT, GRADIENTS = "parameters", "at first", "output", "gradients"
DRAWN, MERGED, AFTERWARDS, AGAIN = "how A is drawn", "merged", "after merged", "merged once more"
SIZE = "how large A is"
TRAINING, DEVICE = "in training mode", "on a device without memory"
Sizes = tuple[int, int, bool]  # n_in, n_out, whether there is a bias


def _linear(sizes: Sizes, dtype: torch.dtype) -> nn.Linear:
    n_in, n_out, bias = sizes
    layer = nn.Linear(n_in, n_out, bias, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(normal(n_out, n_in, seed=41, dtype=dtype))
        if bias:
            layer.bias.copy_(normal(n_out, seed=42, dtype=dtype))
    return layer


def _filled(module: nn.Module) -> nn.Module:
    """With numbers of ours in A and B."""
    own = dict(module.named_parameters())
    for name in "AB":
        if name not in own:
            named = ", ".join(own) or "none"
            raise WrongParameters(f"{name} is missing; the module has {named}")
    for seed, name in enumerate("AB", 51):
        with torch.no_grad():
            own[name].copy_(normal(*own[name].shape, seed=seed, dtype=own[name].dtype))
    return module


def _low_rank(answer: Answer, what: str, sizes: Sizes, rank: int, scale: float, x: Tensor) -> Any:
    linear = _linear(sizes, x.dtype).to("meta" if what == DEVICE else "cpu")
    module = build(answer, (linear, rank, scale))
    if what in (PARAMETERS, DEVICE):
        return _told(module, linear)
    if what == START:
        equal = torch.allclose(module(x), linear(x), atol=1e-6)
        return {"beside the layer's own output": "equal" if equal else "different"}
    if what == DRAWN:
        return _how_drawn(module)
    if what == SIZE:
        return _how_large(answer, (linear, rank, scale))
    before = [p.detach().clone() for p in linear.parameters()]
    _filled(module)
    if what == OUTPUT:
        return module(x)
    if what == TRAINING:
        module.train()
        return module(x)
    if what == GRADIENTS:
        A, B = (dict(module.named_parameters())[name] for name in "AB")
        return gradients_of(module(x.requires_grad_()), {"x": x, "A": A, "B": B})
    merged = _merged(module)
    if what == AGAIN:
        with torch.no_grad():
            dict(module.named_parameters())["B"].mul_(-2)
        merged = _merged(module)
    if not isinstance(merged, nn.Linear):
        return None if merged is None else {"it is": _kind_of_layer(merged, module)}
    if what == AFTERWARDS:
        kept = all(torch.equal(a, b) for a, b in zip(before, linear.parameters(), strict=True))
        with torch.no_grad():
            for parameter in merged.parameters():
                parameter.fill_(100.0)
        changed = "as it was" if kept else "changed by merged()"
        return {"the layer that was given": changed, "forward afterwards": module(x).detach()}
    bias = merged.bias
    return {
        "weight": merged.weight.detach(),
        "bias": "none" if bias is None else bias.detach(),
        "its own forward": merged(x).detach(),
    }


def _merged(module: nn.Module) -> Any:
    """What merged gives; what a new layer draws is the same on every run."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return module.merged()


def _told(module: nn.Module, linear: nn.Linear) -> dict[str, str]:
    found = {"the layer that was given": "not kept"}
    given = {id(p): f"the layer's {name}" for name, p in linear.named_parameters()}
    if any(id(p) in given for p in module.parameters()):
        found["the layer that was given"] = "kept"
    for name, p in module.named_parameters():
        kind = str(p.dtype).removeprefix("torch.")
        learns = "takes gradients" if p.requires_grad else "frozen"
        found[given.get(id(p), name)] = f"{tuple(p.shape)}, {kind}, {p.device.type}, {learns}"
    return found


def _how_drawn(module: nn.Module) -> dict[str, str]:
    own = dict(module.named_parameters())
    if not {"A", "B"} <= own.keys():
        return {"parameters": ", ".join(own)}
    A, B = own["A"].detach(), own["B"].detach()
    spread, n = A.std().item(), A.numel()
    return {
        "B": "zeros" if not B.any() else "not all zero",
        "A": "not zero" if A.any() else "zeros",
        "the mean of A": "about 0" if abs(A.mean().item()) <= 6 * spread / n**0.5 else "not 0",
        "the rows of A": "independent" if torch.linalg.matrix_rank(A) == len(A) else "alike",
    }


def _how_large(answer: Answer, arguments: tuple[nn.Linear, int, float]) -> dict[str, str]:
    """Of two modules, built one after the other: is each drawn, and of a usual size?"""
    two = build(lambda *given: nn.ModuleList([answer(*given), answer(*given)]), arguments)
    drawn = [dict(module.named_parameters()).get("A") for module in two]
    if None in drawn:
        return {"A": "missing"}
    one, other = (A.detach() for A in drawn)
    size = one.std().item() * arguments[0].in_features ** 0.5  # 1 is usual
    far = "far larger" if size > 3 else "far smaller" if size < 0.1 else ""
    return {
        "the spread of A": far or "of the order of 1 / √in",
        "the A of a second module": "the same numbers" if torch.equal(one, other) else "others",
    }


def _kind_of_layer(merged: Any, module: nn.Module) -> str:
    return "the same module" if merged is module else f"a {type(merged).__name__}"


@dataclass(eq=False)
class LowRankExercise(Exercise):
    """The arguments of a case are (what, sizes of the layer, rank, scale, x)."""

    def called_with(self, case: Case) -> tuple[list[str], tuple]:
        _, sizes, rank, scale, x = case.args
        names = list(inspect.signature(self.reference).parameters)
        return names, (_linear(sizes, x.dtype), rank, scale)

    def parameter_names(self) -> list[str]:
        return ["what", "sizes", "rank", "scale", "x"]

    def call_text(self, case: Case) -> str:
        what, (n_in, n_out, bias), rank, scale, x = case.args
        layer = f"nn.Linear({n_in}, {n_out}{'' if bias else ', bias=False'})"
        built = f"LowRank({layer}, {rank}, {scale})"
        if what in (MERGED, AFTERWARDS, AGAIN):
            return f"{built}.merged()"
        if what in (PARAMETERS, DEVICE, DRAWN, SIZE):
            return f"{built}.named_parameters()"
        return f"{built}(x=<{tuple(x.shape)}>)"


_SMALL, _NO_BIAS, _WIDE, _SQUARE = (3, 2, True), (4, 6, False), (7, 5, True), (4, 4, True)
_X = normal(2, 5, 7, seed=8)
_DOUBLE = torch.float64


def _case(label: str, what: str, sizes: Sizes, rank: int, scale: float, x: Tensor, **more) -> Case:
    return Case(label, (what, sizes, rank, scale, x), **more)


def _on_wide(what: str, scale: float = 0.5) -> tuple:
    return what, _WIDE, 3, scale, _X.clone()


LowRank = LowRankExercise(
    tasks.LowRank,
    call=_low_rank,
    cases=[
        _case("the parameters and their shapes", PARAMETERS, _SMALL, 1, 1.0, normal(1, 3, seed=1)),
        _case("at first, the layer's own output", START, _SMALL, 1, 2.0, normal(1, 3, seed=1)),
        _case("how A and B are drawn", DRAWN, (300, 20, True), 4, 1.0, normal(1, 300, seed=2)),
        _case("one row, rank 1", OUTPUT, _SMALL, 1, 2.0, normal(1, 3, seed=3)),
        _case("three rows, rank 2, no bias", OUTPUT, _NO_BIAS, 2, 0.5, normal(3, 4, seed=4)),
        _case("a scale of 1", OUTPUT, _SMALL, 2, 1.0, normal(4, 3, seed=6)),
        _case("a single vector", OUTPUT, _WIDE, 2, 3.0, normal(7, seed=5)),
        _case("(B, T, C), rank 3", OUTPUT, _WIDE, 3, 0.5, _X),
        _case("a square layer at its full rank", OUTPUT, _SQUARE, 4, 1.5, normal(3, 4, seed=9)),
        _case("merged, rank 1", MERGED, _SMALL, 1, 2.0, normal(1, 3, seed=10)),
        _case("merged, no bias", MERGED, _NO_BIAS, 2, 0.5, normal(3, 4, seed=11)),
        _case("merged, a square layer", MERGED, _SQUARE, 3, 0.5, normal(2, 4, seed=12)),
        _case("what merged leaves behind", AFTERWARDS, _WIDE, 3, 0.5, normal(2, 7, seed=13)),
        _case("merged again after B has moved", AGAIN, _WIDE, 2, 1.5, normal(2, 7, seed=14)),
        _case("merged again, no bias", AGAIN, _NO_BIAS, 3, 2.0, normal(2, 4, seed=21)),
        _case("parameters without a bias, in float64",
              PARAMETERS, _NO_BIAS, 3, 1.0, normal(1, 4, seed=15, dtype=_DOUBLE)),
        _case("a layer on another device", DEVICE, _SMALL, 2, 1.0, normal(1, 3, seed=16)),
        _case("in training mode", TRAINING, _WIDE, 3, 0.5, _X),
        _case("an argument that does not lie in one piece in memory",
              OUTPUT, _WIDE, 4, 0.25, strided(_X)),
        _case("float64 stays float64", OUTPUT, _WIDE, 2, 0.5, normal(3, 7, seed=17, dtype=_DOUBLE)),
        _case("float64 is not rounded",
              OUTPUT, _WIDE, 2, 0.5, normal(3, 7, seed=18, dtype=_DOUBLE), fine=True),
        _case("merged in float64", MERGED, _WIDE, 2, 0.5, normal(3, 7, seed=19, dtype=_DOUBLE)),
        _case("the gradients reach x, A and B", GRADIENTS, _WIDE, 3, 0.5, normal(4, 7, seed=20)),
        _case("how large A is drawn", SIZE, (300, 20, True), 4, 1.0, normal(1, 300, seed=22)),
    ],
    properties=[
        Property("at first it gives what the layer gives",
                 lambda f: "equal" in _low_rank(f, *_on_wide(START)).values()),
        Property("A and B and the layer's own are all its parameters",
                 lambda f: _low_rank(f, *_on_wide(PARAMETERS)).keys()
                 == _low_rank(tasks.LowRank, *_on_wide(PARAMETERS)).keys()),
        Property("with a scale of 0 nothing is added",
                 lambda f: _same(_low_rank(f, *_on_wide(OUTPUT, 0.0)),
                                 _linear(_WIDE, _X.dtype)(_X))),
        Property("the merged layer gives what the module gives",
                 lambda f: _same(_low_rank(f, *_on_wide(MERGED))["its own forward"],
                                 _low_rank(f, *_on_wide(OUTPUT)))),
        Property("after merged() the module gives what it gave before",
                 lambda f: _same(_low_rank(f, *_on_wide(AFTERWARDS))["forward afterwards"],
                                 _low_rank(f, *_on_wide(OUTPUT)))),
    ],
)  # fmt: skip


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


EXERCISES = [option_score, freeze, LowRank]
