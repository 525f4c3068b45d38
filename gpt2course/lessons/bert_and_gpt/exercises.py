"""The exercises of lesson 16: hide_tokens, hidden_token_loss, SelfAttention.

Which tokens are hidden is drawn, and draws differ from one right answer to the next. So what is
compared is what can be said of them: what was changed, how often, and whether one draw knows of
another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2course import bert
from gpt2course.bert import NOT_ASKED
from gpt2course.checks.attempt import gradients_of
from gpt2course.checks.draws import Seed, form, global_generator_kept
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import (
    GRADIENTS,
    OUTPUT,
    PARAMETERS,
    ModuleExercise,
    build,
    built_once,
    fill,
    fill_what_fits,
    own_parameters,
)

# hide_tokens --------------------------------------------------------------------------------------

# A right answer strays farther than these, or over a border of rounding, with a probability of less
# than 1e-8 for each way of using the generator; and since the seeds are fixed, always or never.
CALLS = 200  # with one generator, to see how draws go together
TOO_LITTLE, TOO_MUCH = 0.5, 1.7  # of the variance of independent draws
SIGMAS = 5.8  # standard deviations from the expected share


def _with_seed(
    answer: Answer, idx: Tensor, mask_id: int, vocab_size: int, share: float, seed: Seed
) -> Any:
    """Put the question of the seed; torch's global generator is afterwards where it was."""
    before = idx.clone()
    with global_generator_kept():
        hide = lambda generator: answer(idx, mask_id, vocab_size, share, generator)  # noqa: E731
        return seed.ask(hide, seed, before, mask_id, vocab_size, share)


def _facts(found: Any, idx: Tensor, mask_id: int, vocab_size: int) -> tuple[dict[str, Any], bool]:
    """What can be said of one result for certain, and whether all of it is as it should be."""
    wanted = f"({form(idx)}, {form(idx)})"
    said: dict[str, Any] = {"it returned": form(found)}
    if said["it returned"] != wanted:
        return said, False
    read, targets = found
    asked = targets != NOT_ASKED
    original = bool((targets == idx)[asked].all())
    rest = bool((read == idx)[~asked].all())
    known = bool(((read >= 0) & (read < vocab_size) | (read == mask_id) | (read == idx)).all())
    said["targets that are not -100"] = "the original ids" if original else "other ids"
    said["tokens whose target is -100"] = "read as they are" if rest else "read as something else"
    said["ids that are read"] = "mask_id or below vocab_size" if known else "others too"
    return said, original and rest and known


def _itself(hide: Callable, seed: Seed, *rest: Any) -> Any:
    """The result as it is, where nothing can be chosen."""
    return hide(seed.generator())


def _one(hide: Callable, seed: Seed, idx: Tensor, mask_id: int, vocab_size: int, share: float):
    """What can be said of one result."""
    return _facts(hide(seed.generator()), idx, mask_id, vocab_size)[0]


def _nearest(part: Tensor, of: Tensor, step: int) -> int:
    """How many percent of the places of `of` are also `part`, to the nearest `step`."""
    return step * round(100 * (part & of).sum().item() / max(1, of.sum().item()) / step)


def _shares(hide: Callable, seed: Seed, idx: Tensor, mask_id: int, vocab_size: int, share: float):
    """How often each thing happens, to 5 percent."""
    found = hide(seed.generator())
    said, _ = _facts(found, idx, mask_id, vocab_size)
    if len(said) == 1:  # of another form
        return said
    read, targets = found
    asked = targets != NOT_ASKED
    masked, same = read == mask_id, read == idx
    return said | {
        "percent of all tokens that are asked for": _nearest(asked, asked | True, 5),
        "percent of these that are read as mask_id": _nearest(masked, asked, 5),
        "percent of these that are read as they are": _nearest(same, asked, 5),
    }


def _each_id(hide: Callable, seed: Seed, idx: Tensor, mask_id: int, vocab_size: int, share: float):
    """How often each id is read where all tokens are the same one and all are chosen."""
    found = hide(seed.generator())
    said, right = _facts(found, idx, mask_id, vocab_size)
    if not right:
        return said
    original, n = int(idx.flatten()[0]), idx.numel()
    for i in range(max(vocab_size, mask_id + 1)):
        if i < vocab_size or i == mask_id:
            p = 0.8 * (i == mask_id) + 0.1 * (i == original) + 0.1 * (i < vocab_size) / vocab_size
            read = (found[0] == i).sum().item() / n
            near = abs(read - p) < SIGMAS * math.sqrt(p * (1 - p) / n)
            said[f"percent read as id {i}"] = round(100 * (p if near else read))
    return said


def _calls(hide: Callable, seed: Seed, idx: Tensor, mask_id: int, vocab_size: int, share: float):
    """How the draws of a row, of a column and of a call go together."""
    generator, chosen, masked, ids = seed.generator(), [], [], []
    for _ in range(CALLS):
        said, right = _facts(found := hide(generator), idx, mask_id, vocab_size)
        if not right:
            return said
        chosen.append(found[1] != NOT_ASKED)
        masked.append(chosen[-1] & (found[0] == mask_id))
        ids.append(found[0])
    drawn = torch.stack(chosen)
    if (drawn == drawn[0]).all():
        return said | {"the calls": "hide the same places each time"}
    hidden, asked = torch.stack(masked).double(), drawn.double()  # (calls, B, T)
    everywhere = torch.ones_like(asked)
    random = (drawn & ~torch.stack(masked)) & (torch.stack(ids) != idx)
    for what, dims in (("row", 2), ("column", 1), ("call", (1, 2))):
        said[f"the number of chosen tokens, {what} by {what}"] = _spread(
            asked.sum(dims), everywhere.sum(dims), share
        )
        said[f"the number of these read as mask_id, {what} by {what}"] = _spread(
            hidden.sum(dims), asked.sum(dims), 0.8
        )
        said[f"random ids, {what} by {what}"] = _differ(torch.stack(ids), random, dims)
    return said


def _differ(ids: Tensor, where: Tensor, dims: int | tuple[int, ...]) -> str:
    """Whether the ids of a row (or column, or call) that has several of them are different ones."""
    several = where.sum(dims) > 1
    lowest = ids.where(where, ids.max()).amin(dims)
    alike = several & (lowest == ids.where(where, ids.min()).amax(dims))
    return "differ" if 2 * alike.sum() <= several.sum() else "are all the same"


def _spread(counts: Tensor, of: Tensor, p: float) -> str:
    """Whether counts vary as those of independent draws do."""
    some = of > 0
    ratio = ((counts - p * of)[some] ** 2 / (p * (1 - p) * of[some])).mean().item()
    if ratio < TOO_LITTLE:
        return "varies too little"
    return "varies too much" if ratio > TOO_MUCH else "varies as independent draws do"


def _repeats(hide: Callable, seed: Seed, idx: Tensor, mask_id: int, vocab_size: int, share: float):
    """Whether the draws depend on the generator's state, and on nothing else."""
    first = hide(seed.generator())
    if seed.number is not None:
        torch.default_generator.manual_seed(1)
    again = hide(generator := seed.generator())
    further, other = hide(generator), hide(seed.generator(further=1))
    said, right = _facts(first, idx, mask_id, vocab_size)
    if not right:
        return said
    words = {True: "the same draws", False: "other draws"}
    how = "torch.manual_seed, then generator=None" if seed.number is None else "a generator"
    return {
        f"with the same seed ({how})": words[all(map(torch.equal, first, again))],
        "with another seed": words[all(map(torch.equal, first, other))],
        "drawing on, without a new seed": words[all(map(torch.equal, first, further))],
    }


def _ids(B: int, T: int, vocab_size: int, seed: int) -> Tensor:
    return torch.randint(vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


@dataclass(eq=False)
class Drawing(Exercise):
    """An exercise whose answer draws: of the arguments of a case the last is a Seed."""

    def __post_init__(self):
        self.call = _with_seed

    def call_text(self, case: Case) -> str:
        idx, *rest = case.args
        first = idx.tolist() if idx.numel() < 9 else f"<{tuple(idx.shape)}>"
        named = zip(self.parameter_names()[1:], rest, strict=True)
        return f"{self.name}(idx={first}, {', '.join(f'{n}={v!r}' for n, v in named)})"


_FEW = torch.tensor([[7, 3, 5]])
_TWOS, _ZERO = torch.full((100, 200), 2), torch.zeros(50, 100, dtype=torch.int64)


def _drawn(label: str, idx: Tensor, mask_id: int, V: int, share: float, ask: Callable, seed):
    return Case(label, (idx, mask_id, V, share, Seed(seed, ask)))


def _said_of(f: Answer) -> dict[str, Any]:
    idx = _ids(6, 40, 20, 1)
    return _facts(f(idx.clone(), 20, 20, 0.4, torch.Generator().manual_seed(3)), idx, 20, 20)[0]


def _shares_of(f: Answer, share: float, what: str) -> int:
    idx = _ids(100, 100, 50, 2)
    hide = lambda generator: f(idx.clone(), 50, 50, share, generator)  # noqa: E731
    return _shares(hide, Seed(4, _shares), idx, 50, 50, share)[what]


hide_tokens = Drawing(
    bert.hide_tokens,
    cases=[
        _drawn("nothing is chosen", _FEW, 9, 9, 0.0, _itself, 1),
        _drawn("one text of three tokens, all chosen", _FEW, 9, 9, 1.0, _one, 2),
        _drawn("three texts of five tokens", _ids(3, 5, 8, 3), 8, 8, 0.5, _one, 3),
        _drawn("one token alone", _ids(1, 1, 5, 4), 5, 5, 1.0, _one, 4),
        _drawn("mask_id far above vocab_size", _ids(4, 60, 12, 5), 1000, 12, 0.5, _one, 5),
        _drawn("mask_id below vocab_size, and among the ids", _ids(4, 60, 12, 6), 7, 12, 0.5,
               _one, 6),
        _drawn("ids above vocab_size", 30 + _ids(4, 60, 12, 7), 12, 12, 0.5, _one, 7),
        _drawn("30,000 tokens, a share of 0.3", _ids(100, 300, 1000, 8), 1000, 1000, 0.3,
               _shares, 8),
        _drawn("15,000 tokens in one text", _ids(1, 15_000, 1000, 10), 1000, 1000, 0.6,
               _shares, 10),
        _drawn("15,000 texts of one token", _ids(15_000, 1, 1000, 11), 1000, 1000, 0.6,
               _shares, 11),
        _drawn("all tokens are id 2, all chosen, five ids and mask_id", _TWOS, 5, 5, 1.0,
               _each_id, 12),
        _drawn("all tokens are id 0, all chosen, two ids, mask_id is the other", _ZERO, 1, 2, 1.0,
               _each_id, 13),
        _drawn("all tokens are mask_id, all chosen, two ids", _ZERO, 0, 2, 1.0, _each_id, 14),
        _drawn("200 calls, eight texts of 25 tokens", _ids(8, 25, 500, 15), 500, 500, 0.4,
               _calls, 15),
        _drawn("200 calls, twenty texts of six tokens", _ids(20, 6, 500, 16), 500, 500, 0.2,
               _calls, 16),
        _drawn("draws with seeds", _ids(20, 30, 50, 17), 50, 50, 0.3, _repeats, 17),
        _drawn("draws with torch's own generator", _ids(20, 30, 50, 18), 50, 50, 0.3,
               _repeats, None),
        _drawn("ids that do not lie in one piece in memory", strided(_ids(7, 9, 20, 19)), 20, 20,
               0.5, _one, 19),
    ],
    properties=[
        Property("it returns a tuple of two int64 tensors of the shape of idx",
                 lambda f: _said_of(f)["it returned"] == "(int64 (6, 40), int64 (6, 40))"),
        Property("a target that is not -100 is the id that stood there",
                 lambda f: _said_of(f)["targets that are not -100"] == "the original ids"),
        Property("tokens that are not asked for are read as they are",
                 lambda f: _said_of(f)["tokens whose target is -100"] == "read as they are"),
        Property("with a share of 0.15 about 15 % of the tokens are asked for",
                 lambda f: _shares_of(f, 0.15, "percent of all tokens that are asked for") == 15),
        Property("of the tokens asked for about 80 % become mask_id",
                 lambda f: _shares_of(f, 0.9, "percent of these that are read as mask_id") == 80),
    ],
)  # fmt: skip


# hidden_token_loss --------------------------------------------------------------------------------


def _scored(B: int, T: int, V: int, seed: int, scale: float = 1.0, dtype=torch.float32) -> tuple:
    """Logits (B, T, V), and targets (B, T) of which about half are asked for, the last one too."""
    dice = torch.Generator().manual_seed(100 + seed)
    targets = torch.randint(V, (B, T), generator=dice)
    targets[torch.rand(B, T, generator=dice) < 0.5] = NOT_ASKED
    targets[-1, -1] = seed % V
    return normal(B, T, V, seed=seed, dtype=dtype, scale=scale), targets


_SMALL = torch.tensor([[[2.0, 0.0, 1.0], [0.5, -1.0, 3.0], [1.0, 1.0, -2.0]]])
_MIDDLE, _ALL, _NONE = (torch.tensor([t]) for t in ([-100, 1, -100], [0, 1, 2], [-100] * 3))
_UNEVEN = torch.tensor([[4, 1, 0, 3], [-100, -100, 2, -100], [-100] * 4])
_SOME = torch.tensor([[-100, 4, 2], [-100, 4, 2]])
_ZEROS = torch.tensor([[0, -100, 0], [-100, 0, -100]])
_LARGE = torch.tensor([
    [[1000.0, -1000.0, 0.0, 500.0], [-1000.0, 1000.0, 999.0, 3.0]],
    [[0.0, 1.0, 2.0, -1000.0], [1000.0, 1000.0, -1000.0, -1000.0]],
])  # fmt: skip
_LIKELY, _UNLIKELY = torch.tensor([[0, -100], [-100, 1]]), torch.tensor([[-100, 0], [0, 3]])


class Loss(Exercise):
    """An exercise whose smallest calls show their numbers."""

    def call_text(self, case: Case) -> str:
        logits, targets = case.args
        if logits.numel() > 9:
            return super().call_text(case)
        return f"{self.name}(logits={logits.tolist()}, targets={targets.tolist()})"


hidden_token_loss = Loss(
    bert.hidden_token_loss,
    cases=[
        Case("three tokens, the second is asked for", (_SMALL, _MIDDLE)),
        Case("three tokens, all asked for", (_SMALL, _ALL)),
        Case("none is asked for: 0, in the dtype of the scores", (_SMALL.double(), _NONE)),
        Case("all scores equal: ln 5", (torch.full((2, 3, 5), 0.7), _SOME)),
        Case("two texts of four tokens", _scored(2, 4, 6, 1)),
        Case("three texts, with four, one and none asked for", (normal(3, 4, 5, seed=2), _UNEVEN)),
        Case("a text of one token", _scored(1, 1, 4, 3)),
        Case("three texts of one token", _scored(3, 1, 5, 4)),
        Case("as many texts as tokens as ids", _scored(3, 3, 3, 5)),
        Case("as many positions as ids", _scored(2, 5, 5, 6)),
        Case("every asked id is 0", (normal(2, 3, 5, seed=7), _ZEROS)),
        Case("every asked id is the last", (normal(2, 3, 5, seed=8), _ZEROS.where(_ZEROS != 0, 4))),
        Case("one token in the vocabulary", _scored(2, 3, 1, 9)),
        Case("thirty texts of forty tokens", _scored(30, 40, 7, 10)),
        Case("scores of ±1,000", (_LARGE, _UNLIKELY)),
        Case("scores of ±1,000 in float64", (_LARGE.double(), _LIKELY)),
        Case("scores of ±1,000, none asked for", (_LARGE, torch.full((2, 2), -100))),
        Case("scores near 100", (100 + normal(2, 3, 4, seed=11), _scored(2, 3, 4, 11)[1])),
        Case("probabilities that are almost 0", _scored(2, 4, 6, 13, scale=12.0)),
        Case("none asked for in float32", (_SMALL, _NONE)),
        Case("float64 stays float64", _scored(2, 3, 5, 14, dtype=torch.float64)),
        Case("how float64 scores move it", _scored(2, 3, 4, 18, dtype=torch.float64), fine=True),
        Case("arguments not in one piece in memory", tuple(map(strided, _scored(3, 4, 5, 15)))),
        Case("the gradients reach the scores", _scored(2, 3, 5, 17), gradients=True),
        Case("the gradients of scores of ±1,000", (_LARGE, _UNLIKELY), gradients=True),
        Case("the gradients where none is asked for", (_SMALL, _NONE), gradients=True),
    ],
    properties=[
        Property("one number, in a tensor of shape ()",
                 lambda f: f(*_scored(2, 4, 6, 1)).shape == (),
                 of_result=lambda loss, *_: loss.shape == ()),
        Property("it is finite, however large the scores and however few are asked for",
                 lambda f: f(_LARGE.clone(), _UNLIKELY).isfinite() and f(_SMALL, _NONE).isfinite(),
                 of_result=lambda loss, *_: loss.isfinite().all()),
        Property("scores of a token that is not asked for do not matter",
                 lambda f: _near(f(_SMALL + 7 * (_MIDDLE == -100)[..., None] * _SMALL, _MIDDLE),
                                 f(_SMALL.clone(), _MIDDLE))),
        Property("where all scores are equal it is ln V",
                 lambda f: _near(f(torch.zeros(2, 3, 5), _ZEROS), math.log(5))),
    ],
    hints={
        "returns float instead of a tensor": "A number of Python's (`.item()`, `float(…)`, `0.0`) "
        "knows nothing of how it was computed: there is nothing to call `.backward()` on. Return a "
        "tensor, also where none is asked for."
    },
)  # fmt: skip


def _near(loss: Tensor, value: Tensor | float) -> bool:
    return loss.numel() == 1 and abs(float(loss) - float(value)) < 1e-4


# SelfAttention ------------------------------------------------------------------------------------

REFERENCE = bert.SelfAttention
WORDS = ("robot", "must", "obey", "orders")
KEPT, KEPT_GRADIENTS, AFTER = "with keep", "gradients with keep", "called before with another keep"
SAME_SCORES = "with keys of 0"


def _filled(answer: Answer, sizes: tuple, dtype: torch.dtype):
    module = build(answer, sizes)
    fill(module, built_once(REFERENCE, sizes), dtype)
    return module


def _at_kept(y: Any, keep: Tensor) -> Any:
    """0 wherever the result does not count and is finite, as it has to be."""
    fits = isinstance(y, Tensor) and y.ndim == 3 and y.shape[:2] == keep.shape
    return torch.where(keep[..., None] | ~y.isfinite(), y, 0.0) if fits else y


def _kept(answer: Answer, sizes: tuple, x: tuple) -> Any:
    x, keep = x
    return _at_kept(_filled(answer, sizes, x.dtype)(x, keep), keep)


def _kept_gradients(answer: Answer, sizes: tuple, x: tuple) -> Any:
    x, keep = x
    module = _filled(answer, sizes, x.dtype)
    leaves = {"x": x.requires_grad_(), **own_parameters(module)}
    return gradients_of(_at_kept(module(x, keep), keep), leaves)


def _after(answer: Answer, sizes: tuple, x: tuple) -> Any:
    """The result without keep, after a longer call with one."""
    x, keep = x
    module = _filled(answer, sizes, x.dtype)
    module(x, keep)
    return module(x[:, :-1])


def _same_scores(answer: Answer, sizes: tuple, x: tuple) -> Any:
    """What comes out where all keys are 0, so that all scores of a row are equal."""
    (x, keep), C = x, sizes[0]
    module = _filled(answer, sizes, x.dtype)
    with torch.no_grad():
        own_parameters(module)["c_attn.weight"][C : 2 * C] = 0
        own_parameters(module)["c_attn.bias"][C : 2 * C] = 0
    return _at_kept(module(x, keep), keep)


class AttentionExercise(ModuleExercise):
    """A module that is also called with (x, keep)."""

    def call_text(self, case: Case) -> str:
        what, sizes, x = case.args
        if not isinstance(x, tuple):
            return super().call_text(case)
        x, keep = x
        shown = keep.tolist() if keep.numel() < 9 else f"<{tuple(keep.shape)}>"
        told = "" if what == KEPT else f"{what}: "
        return f"{told}{self.name}{sizes}(x=<{tuple(x.shape)}>, keep={shown})"


def _keep(*lengths: int, T: int) -> Tensor:
    """True for the first tokens of each text."""
    return torch.arange(T) < torch.tensor(lengths)[:, None]


_FIRST_THREE = torch.tensor([[True, True, True, False]])
_HOLES = torch.tensor([[True, False, True, True, False], [True, True, False, True, True]])
_ONE_LEFT = torch.tensor([[False, True, False], [True, False, False], [False, False, True]])
_BOTH, _ONE_WAY = False, True
_X = normal(2, 5, 12, seed=4)

SelfAttention = AttentionExercise(
    REFERENCE,
    other_asks={KEPT: _kept, KEPT_GRADIENTS: _kept_gradients, AFTER: _after,
                SAME_SCORES: _same_scores},
    cases=[
        Case("the parameters and their shapes", (PARAMETERS, (6, 2, _BOTH), None)),
        Case("three words, two heads, in both directions",
             (OUTPUT, (8, 2, _BOTH), normal(1, 3, 8, seed=1)), rows=WORDS[:3]),
        Case("three words, two heads, causal",
             (OUTPUT, (8, 2, _ONE_WAY), normal(1, 3, 8, seed=1)), rows=WORDS[:3]),
        Case("three words and one of padding",
             (KEPT, (6, 2, _BOTH), (normal(1, 4, 6, seed=14), _FIRST_THREE)), rows=WORDS),
        Case("causal, three words and one of padding",
             (KEPT, (6, 2, _ONE_WAY), (normal(1, 4, 6, seed=14), _FIRST_THREE)), rows=WORDS),
        Case("padding in front",
             (KEPT, (6, 2, _BOTH), (normal(1, 4, 6, seed=15), _FIRST_THREE.flip(1))), rows=WORDS),
        Case("nothing is padding",
             (KEPT, (6, 3, _BOTH), (normal(2, 4, 6, seed=16), torch.ones(2, 4).bool()))),
        Case("one word alone", (OUTPUT, (6, 2, _BOTH), normal(1, 1, 6, seed=2))),
        Case("one head", (OUTPUT, (5, 1, _BOTH), normal(1, 3, 5, seed=3))),
        Case("as many heads as columns", (OUTPUT, (3, 3, _ONE_WAY), normal(2, 4, 3, seed=5))),
        Case("texts of different lengths",
             (KEPT, (12, 3, _BOTH), (normal(4, 7, 12, seed=6), _keep(7, 1, 4, 2, T=7)))),
        Case("texts of different lengths, causal",
             (KEPT, (12, 3, _ONE_WAY), (normal(4, 7, 12, seed=6), _keep(7, 1, 4, 2, T=7)))),
        Case("padding between words", (KEPT, (12, 3, _BOTH), (normal(2, 5, 12, seed=7), _HOLES))),
        Case("padding between words, causal",
             (KEPT, (12, 3, _ONE_WAY), (normal(2, 5, 12, seed=7), _HOLES))),
        Case("one word of three is left, three of everything",
             (KEPT, (9, 3, _BOTH), (normal(3, 3, 9, seed=8), _ONE_LEFT))),
        Case("scores below -100 in float64, one word of three is left",  # where exp(-200) is not 0
             (KEPT, (9, 3, _BOTH),
              (normal(3, 3, 9, seed=23, dtype=torch.float64, scale=12.0), _ONE_LEFT))),
        Case("three of everything, in both directions",
             (OUTPUT, (9, 3, _BOTH), normal(3, 3, 9, seed=9))),
        Case("scores that are all 0, with padding",
             (SAME_SCORES, (6, 2, _BOTH), (normal(2, 5, 6, seed=10), _HOLES))),
        Case("scores that are all 0, with padding, causal",
             (SAME_SCORES, (6, 2, _ONE_WAY), (normal(2, 5, 6, seed=10), _HOLES))),
        Case("600 words, 300 of them padding",
             (KEPT, (4, 2, _BOTH), (normal(2, 600, 4, seed=11), _keep(600, 300, T=600)))),
        Case("numbers that hardly differ",
             (KEPT, (6, 3, _BOTH), (normal(2, 5, 6, seed=12, scale=1e-2), _HOLES))),
        Case("float64 stays float64",
             (OUTPUT, (12, 3, _ONE_WAY), normal(2, 5, 12, seed=13, dtype=torch.float64))),
        Case("float64 with padding stays float64",
             (KEPT, (12, 3, _BOTH), (normal(2, 5, 12, seed=17, dtype=torch.float64), _HOLES))),
        Case("float64 is not rounded",
             (KEPT, (6, 3, _BOTH), (normal(2, 5, 6, seed=18, dtype=torch.float64), _HOLES)),
             fine=True),
        Case("arguments that do not lie in one piece in memory",
             (KEPT, (8, 4, _BOTH), (strided(normal(2, 5, 8, seed=19)), strided(_HOLES)))),
        Case("shorter and without padding, after a call with some",
             (AFTER, (6, 2, _BOTH), (normal(2, 5, 6, seed=20), _HOLES))),
        Case("the gradients reach x and every parameter",
             (GRADIENTS, (6, 2, _BOTH), normal(2, 4, 6, seed=21))),
        Case("the gradients with padding",
             (KEPT_GRADIENTS, (6, 2, _BOTH), (normal(2, 5, 6, seed=22), _HOLES))),
    ],
    properties=[
        Property(
            "all numbers are finite",
            lambda f: _output(f, _X, _HOLES).isfinite().all(),
            of_result=lambda y, *args: y.isfinite().all() if isinstance(y, Tensor) else None,
        ),
        Property("with causal=False every word reads those after it",
                 lambda f: _moves(f, 4, range(4), _BOTH)),
        Property("with causal=True no word reads those after it",
                 lambda f: not _moves(f, 4, range(4), _ONE_WAY, any)),
        Property("every word reads those before it",
                 lambda f: all(_moves(f, 0, range(1, 5), causal) for causal in (_BOTH, _ONE_WAY))),
        Property("padding is read by none", lambda f: _padding_does_not_matter(f)),
        Property("words that are kept are read where there is padding",
                 lambda f: _moves(f, 3, (0, 2), _BOTH, keep=_HOLES)),
        Property("each text of a batch is on its own",
                 lambda f: _near_all(_output(f, _X, _HOLES)[1:],
                                     _output(f, _X[1:], _HOLES[1:]), _HOLES[1:])),
    ],
)  # fmt: skip


def _output(answer: Answer, x: Tensor, keep: Tensor | None = None, causal: bool = _BOTH) -> Tensor:
    """For properties: whatever the parameters are called, where they fit they are a case's."""
    sizes = (12, 3, causal)
    module = build(answer, sizes)
    fill_what_fits(module, built_once(REFERENCE, sizes), torch.float32)
    args = (x.clone(),) if keep is None else (x.clone(), keep.clone())
    return module(*args).detach()


def _moves(answer: Answer, token: int, rows, causal: bool, which=all, keep=None) -> bool:
    """Whether another number at `token` changes the results of all (or any) of these rows."""
    other = _X.clone()
    other[:, token] += 1
    apart = (_output(answer, other, keep, causal) - _output(answer, _X, keep, causal)).abs()
    return which(apart[0, row].max() > 1e-4 for row in rows)


def _padding_does_not_matter(answer: Answer) -> bool:
    other = _X + ~_HOLES[..., None]
    one, same = _output(answer, _X, _HOLES), _output(answer, other, _HOLES)
    return _near_all(one, same, _HOLES)


def _near_all(one: Tensor, other: Tensor, keep: Tensor) -> bool:
    return torch.allclose(one[keep], other[keep], atol=1e-5)


EXERCISES = [hide_tokens, hidden_token_loss, SelfAttention]
