"""The exercise of lesson 14: load_released."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gpt2course import weights
from gpt2course.checks.exercise import Answer, Case, Exercise, Property
from gpt2course.checks.inputs import normal, strided
from gpt2course.checks.modules import build
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.weights import CONV1D, PREFIX

State = dict[str, Tensor]

HEAD, SQUARE = "lm_head.weight", "h.0.attn.c_proj.weight"
C_ATTN, C_FC = "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"
SMALLEST = GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=3, vocab_size=5)
ONE_BLOCK = GPT2Config(n_layer=1, n_head=3, n_embd=6, n_ctx=5, vocab_size=11)
TWO_BLOCKS = GPT2Config(n_layer=2, n_head=2, n_embd=4, n_ctx=7, vocab_size=13)
ONE_OF_THE_TWO = GPT2Config(n_layer=1, n_head=2, n_embd=4, n_ctx=7, vocab_size=13)

# What the result of a call says besides the parameters.
RETURNED, SHARED, FROZEN = "what it returned", "shared with the checkpoint", "cannot learn"
REPLACED, TYPES, ROUNDED = "replaced", "type", "rounded on the way"
RAISED, NAMED, KEPT = "what it raised", "what the message names", "the model is as it was"
THE_MODEL = "the model that it was given"
AT_FAULT, NONE_AT_FAULT, ALL_NAMES = "a tensor at fault", "none at fault", "all that there are"


@dataclass(eq=False, repr=False)
class Checkpoint:
    """A state dict that is copied and compared in a tenth of the time of a plain one."""

    tensors: State

    def __deepcopy__(self, memo: dict) -> Checkpoint:
        return Checkpoint({name: tensor.clone() for name, tensor in self.tensors.items()})

    def __eq__(self, other: Checkpoint) -> bool:
        return _same_tensors(self.tensors, other.tensors)


@dataclass(frozen=True)
class Target:
    """The model that an answer is given.

    Args:
        at_fault: the tensors of the checkpoint for which it must be refused; of these an error has
            to name one. Empty where the checkpoint is sound.
        shown: the only parameter to compare afterwards; all, where none is named.
    """

    config: GPT2Config
    dtype: torch.dtype = torch.float32
    at_fault: tuple[str, ...] = ()
    shown: str = ""

    def __deepcopy__(self, memo: dict) -> Target:
        return self  # nothing in it can change


@dataclass(eq=False)
class LoadingExercise(Exercise):
    """An exercise whose cases are checkpoints, each with the `Target` to load it into.

    The value is, for a sound checkpoint, what the model holds afterwards; for another, how the
    answer refused it.
    """

    def __post_init__(self):
        self.call = _load

    def parameter_names(self) -> list[str]:
        return ["state", "model"]

    def call_text(self, case: Case) -> str:
        checkpoint, target = case.args
        names, at_fault = list(checkpoint.tensors), (*target.at_fault, "")[0]
        told = f"<{len(names)} tensors: {names[0]}, …"
        if at_fault in names:
            told += f", {at_fault} {tuple(checkpoint.tensors[at_fault].shape)}"
        elif at_fault:
            told += f", without {at_fault}"
        model = f"<{_type_text(target.dtype)} GPT2 of {target.config}>".replace("GPT2Config", "")
        return f"{self.name}(state={told}>, model={model})"


def _type_text(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# One call of an answer --------------------------------------------------------------------------


def _load(answer: Answer, checkpoint: Checkpoint, target: Target) -> Any:
    state, model = checkpoint.tensors, _copy_of(_drawn(target.config))
    if target.dtype != torch.float32:
        model = model.to(target.dtype)
    if target.at_fault:
        return _refusal(answer, state, model, target)
    tensors = list(state.values())  # held, lest freed memory be used once more by the model
    wanted, parameters = _wanted(state), dict(model.named_parameters())
    try:
        returned = answer(state, model)
    except (ValueError, KeyError, RuntimeError) as error:
        text = _about_a_sound_checkpoint(error, [*parameters, *state])
        raise (type(error)(text) if text else error).with_traceback(error.__traceback__) from None
    if returned is None:
        return None
    found = _filled(model, wanted, target)
    memory = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    after = dict(model.named_parameters())
    found[RETURNED] = THE_MODEL if returned is model else _kind(returned)
    found[SHARED] = _listed(n for n, p in after.items() if p.untyped_storage().data_ptr() in memory)
    found[REPLACED] = _listed(n for n, p in after.items() if p is not parameters.get(n))
    found[FROZEN] = _listed(n for n, p in after.items() if not p.requires_grad)
    return found


@cache
def _drawn(config: GPT2Config) -> GPT2:
    """A model as it is before anything is loaded, the same on every run."""
    return build(GPT2, (config,))


def _copy_of(module: nn.Module) -> nn.Module:
    """A copy with parameters of its own, in a fifth of deepcopy's time."""
    made = object.__new__(type(module))
    for name, value in vars(module).items():
        vars(made)[name] = value.copy() if isinstance(value, dict | set) else value
    for name, p in module._parameters.items():
        made._parameters[name] = nn.Parameter(p.detach().clone())
    for name, child in module._modules.items():
        made._modules[name] = _copy_of(child)
    return made


def _about_a_sound_checkpoint(error: Exception, names: list[str]) -> str:
    """An answer's own words in quotes, and one of the tensors that they name.

    The words differ from answer to answer; the tensor tells which mistake it was. It is the
    first in the model's order, whether an answer names one, some or all. Empty where an error of
    another kind than ValueError names none, and speaks of something else.
    """
    said = str(error)
    named = [name.removeprefix(PREFIX) for name in names if name in said]
    if not named and not isinstance(error, ValueError):
        return ""
    quoted = said[:300].replace("'", '"')
    about = f"It names {named[0]}." if named else "It names no tensor."
    return f"'{quoted}' was raised, but nothing is wrong with this checkpoint. {about}"


class Loaded(dict):
    """What a model holds after loading, by parameter, and what else there is to say of it."""

    def __repr__(self) -> str:
        """One line: a single tensor in full, of more than one their number."""
        tensors = {name: value for name, value in self.items() if isinstance(value, Tensor)}
        words = [f"{name}: {value}" for name, value in self.items() if name not in tensors]
        first = [f"{name} {tensor.tolist()}" for name, tensor in tensors.items()]
        return "; ".join((first if len(first) == 1 else [f"{len(first)} parameters"]) + words)


def _filled(model: nn.Module, wanted: State, target: Target) -> Loaded:
    """What the model holds, in the type that it had, and which numbers lost digits on the way."""
    shown = {n: p.detach() for n, p in model.named_parameters() if target.shown in ("", n)}
    found = Loaded({n: p.to(target.dtype) for n, p in shown.items()})
    found[TYPES] = _listed(sorted({_type_text(p.dtype) for p in shown.values()}))
    found[ROUNDED] = _listed(
        n for n, p in found.items() if n in wanted and _is_rounded(p, wanted[n].to(target.dtype))
    )
    return found


def _is_rounded(got: Tensor, wanted: Tensor) -> bool:
    """Whether the numbers are in their places, and not equal to the last digit."""
    same_shape = got.shape == wanted.shape
    return same_shape and torch.allclose(got, wanted, atol=1e-2) and not torch.equal(got, wanted)


def _listed(names) -> str:
    names = list(names)
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more if names else "nothing"


def _kind(value: Any) -> str:
    other = isinstance(value, nn.Module)
    return "another model" if other else f"something of type {type(value).__name__}"


def _refusal(answer: Answer, state: State, model: GPT2, target: Target) -> dict[str, Any]:
    """What was raised over a checkpoint with faults, and what became of the model.

    Errors by which no answer reports a fault are the answer's own, and are passed on.
    """
    before = {name: tensor.clone() for name, tensor in _learning(model).items()}
    raised, said = "nothing", ""
    try:
        answer(state, model)
    except Exception as error:
        reports = isinstance(error, ValueError | KeyError | RuntimeError | AssertionError)
        if isinstance(error, NotImplementedError) or not (reports or type(error) is Exception):
            raise
        raised = "ValueError" if isinstance(error, ValueError) else type(error).__name__
        said = str(error)
    sound = [name for name in before if name not in target.at_fault]
    return {
        RAISED: raised,
        NAMED: _what_is_named(said, target.at_fault, sound),
        KEPT: _same_tensors(before, _learning(model)),
    }


def _what_is_named(said: str, at_fault: tuple[str, ...], sound: list[str]) -> str:
    """Whether a message names a tensor at fault, and not only in a list of all that there are.

    Beside such lists it counts as named where it stands before or behind them.
    """
    named, told = [name for name in at_fault if name in said], said
    for name in named:  # a sound name may be a part of one at fault
        said = said.replace(name, "-" * len(name))
    if not all(name in said for name in sound):
        return AT_FAULT if named else NONE_AT_FAULT
    first, last = min(map(said.find, sound)), max(map(said.rfind, sound))
    outside = any(told.find(name) < first or told.rfind(name) > last for name in named)
    return AT_FAULT if outside else ALL_NAMES


def _learning(model: nn.Module) -> State:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def _same_tensors(before: State, after: State) -> bool:
    return before.keys() == after.keys() and all(
        before[name].dtype == after[name].dtype and torch.equal(before[name], after[name])
        for name in before
    )


# Checkpoints ------------------------------------------------------------------------------------


def _tensors(config: GPT2Config, dtype: torch.dtype = torch.float32) -> State:
    """Tensors under Hugging Face's names without the prefix, the blocks' matrices as (in, out)."""
    C = config.n_embd
    block = {"ln_1": (C,), "attn.c_attn": (C, 3 * C), "attn.c_proj": (C, C)}
    block |= {"ln_2": (C,), "mlp.c_fc": (C, 4 * C), "mlp.c_proj": (4 * C, C)}
    parts = {f"h.{i}.{part}": shape for i in range(config.n_layer) for part, shape in block.items()}
    shapes = {"wte.weight": (config.vocab_size, C), "wpe.weight": (config.n_ctx, C)}
    for part, shape in {**parts, "ln_f": (C,)}.items():
        shapes |= {f"{part}.weight": shape, f"{part}.bias": shape[-1:]}
    return {n: normal(*s, seed=i, dtype=dtype) for i, (n, s) in enumerate(shapes.items())}


def _wanted(state: State) -> State:
    """What the parameters should hold of a sound checkpoint."""
    named = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    return {n: t.mT.clone() if n.endswith(CONV1D) else t.clone() for n, t in named.items()}


def _prefixed(state: State) -> State:
    return {PREFIX + name: tensor for name, tensor in state.items()}


def _with_masks(state: State, config: GPT2Config, prefix: str = "") -> State:
    """Beside each block's tensors the constants that older files carry."""
    triangle = torch.ones(config.n_ctx, config.n_ctx).tril()[None, None]
    masks = {}
    for i in range(config.n_layer):
        masks[f"{prefix}h.{i}.attn.bias"] = triangle.clone()
        masks[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    return {**masks, **state}


def _without(state: State, name: str) -> State:
    return {other: tensor for other, tensor in state.items() if other != name}


def _with(name: str, *shape: int) -> State:
    """A tensor more, in the middle."""
    items = list(_SOUND.items())
    return dict([*items[:5], (name, torch.ones(shape)), *items[5:]])


def _as_the_library_saves_it(dtype: torch.dtype = torch.float32) -> State:
    """With the prefix, and with an output matrix that equals wte, in memory of its own."""
    state = _prefixed(_tensors(ONE_BLOCK, dtype))
    return {**state, HEAD: state[PREFIX + "wte.weight"].clone()}


def _other_head(change: Callable[[Tensor], Tensor], dtype: torch.dtype = torch.float32) -> State:
    state = _as_the_library_saves_it(dtype)
    return {**state, HEAD: change(state[HEAD])}


_SOUND, _TWO, _TINY = _tensors(ONE_BLOCK), _tensors(TWO_BLOCKS), _tensors(SMALLEST)
_LIBRARY = _as_the_library_saves_it()
_LAST_ROW = torch.zeros(ONE_BLOCK.vocab_size, 1)
_LAST_ROW[-1] = 1
_C, _V, _N_CTX = ONE_BLOCK.n_embd, ONE_BLOCK.vocab_size, ONE_BLOCK.n_ctx
_BY_HAND = {**_TINY, SQUARE: torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
_HALF = torch.bfloat16

_SOUND_ONES = [
    ("the square matrix, [[1, 2], [3, 4]] in the file", _BY_HAND, Target(SMALLEST, shown=SQUARE)),
    ("all tensors of two blocks", _TWO, Target(TWO_BLOCKS)),
    ("names that begin with transformer.", _prefixed(_SOUND), Target(ONE_BLOCK)),
    ("the output matrix is there, equal to wte", _LIBRARY, Target(ONE_BLOCK)),
    ("mask buffers are there, as in the released file",
     _with_masks(_TWO, TWO_BLOCKS), Target(TWO_BLOCKS)),
    ("prefix, output matrix and mask buffers, in alphabetical order",
     dict(sorted(_with_masks(_LIBRARY, ONE_BLOCK, PREFIX).items())), Target(ONE_BLOCK)),
    ("a checkpoint of float16 for a model of float32",
     _tensors(SMALLEST, torch.float16), Target(SMALLEST)),
    ("a checkpoint of float32 for a model of float64", _TINY, Target(SMALLEST, torch.float64)),
    ("a checkpoint of float64 for a model of float64",
     _tensors(SMALLEST, torch.float64), Target(SMALLEST, torch.float64)),
    ("a checkpoint of float32 for a model of bfloat16", _TINY, Target(SMALLEST, _HALF)),
    ("tensors that do not lie in one piece in memory",
     {name: strided(t) if t.ndim == 2 else t for name, t in _SOUND.items()}, Target(ONE_BLOCK)),
]  # fmt: skip
# What is wrong with a checkpoint for ONE_BLOCK, the checkpoint, the tensors at fault.
_FAULTY = [
    ("a bias is missing", _without(_SOUND, "h.0.mlp.c_fc.bias"), "h.0.mlp.c_fc.bias"),
    ("the last tensor is missing, and the names begin with transformer.",
     _without(_LIBRARY, PREFIX + "ln_f.bias"), "ln_f.bias"),
    ("wte is missing, and the output matrix is there",
     _without(_LIBRARY, PREFIX + "wte.weight"), "wte.weight", HEAD),
    ("a tensor that GPT-2 does not have", _with("score.weight", 2, _C), "score.weight"),
    ("a bias that GPT-2 does not have", _with("lm_head.bias", _V), "lm_head.bias"),
    ("a norm of the queries, which GPT-2 does not have",
     _with("h.0.attn.q_norm.weight", 2), "h.0.attn.q_norm.weight"),
    ("a bias of the keys alone, which GPT-2 does not have",
     _with("h.0.attn.bias_k", _C), "h.0.attn.bias_k"),
    ("a tensor of four axes that is no mask", _with("conv.weight", 2, 1, 3, 3), "conv.weight"),
    ("a second model's wte, with transformer. inside its name",
     _with("teacher.transformer.wte.weight", _V, _C), "teacher.transformer.wte.weight"),
    ("the output matrix differs from wte by 0.005 everywhere",
     _other_head(lambda head: head + 0.005), HEAD),
    ("the output matrix differs from wte in its last row",
     _other_head(lambda head: head + _LAST_ROW), HEAD),
    ("the output matrix has more rows than wte",
     _other_head(lambda head: torch.cat((head, torch.zeros(5, _C)))), HEAD),
    ("a bias of one number, which copy_ would spread",
     {**_SOUND, "h.0.attn.c_proj.bias": torch.ones(1)}, "h.0.attn.c_proj.bias"),
    ("positions for a longer context",
     {**_SOUND, "wpe.weight": torch.ones(_N_CTX + 3, _C)}, "wpe.weight"),
    ("positions with a column more",
     {**_SOUND, "wpe.weight": torch.ones(_N_CTX, _C + 1)}, "wpe.weight"),
    ("a table of one column, which copy_ would spread",
     {**_SOUND, "wte.weight": torch.ones(_V, 1)}, "wte.weight"),
    ("a matrix of one row, which copy_ would spread",
     {**_SOUND, C_FC: torch.ones(1, 4 * _C)}, C_FC),
    ("a matrix that is (out, in) already",
     {**_SOUND, C_ATTN: _SOUND[C_ATTN].mT.contiguous()}, C_ATTN),
    ("a matrix with one axis more, as in OpenAI's own file",
     {**_SOUND, C_ATTN: _SOUND[C_ATTN][None]}, C_ATTN),
    ("the square matrix with one axis more", {**_SOUND, SQUARE: _SOUND[SQUARE][None]}, SQUARE),
    ("a bias with one axis more",
     {**_SOUND, "h.0.ln_1.bias": _SOUND["h.0.ln_1.bias"][None]}, "h.0.ln_1.bias"),
    ("a matrix saved as one long row", {**_SOUND, C_FC: _SOUND[C_FC].flatten()}, C_FC),
    ("a tensor is missing and another is misshapen",
     {**_without(_SOUND, "h.0.ln_2.bias"), "h.0.mlp.c_fc.bias": torch.zeros(_C)},
     "h.0.ln_2.bias", "h.0.mlp.c_fc.bias"),
]  # fmt: skip
_OTHER_MODELS = [
    ("a checkpoint with one block more than the model", _TWO,
     Target(ONE_OF_THE_TWO, at_fault=tuple(name for name in _TWO if name.startswith("h.1.")))),
    ("the output matrix differs from wte in the sixth digit, for a model of bfloat16",
     _other_head(lambda head: head * (1 + 1e-6), torch.float64),
     Target(ONE_BLOCK, _HALF, at_fault=(HEAD,))),
]  # fmt: skip

load_released = LoadingExercise(
    weights.load_released,
    cases=[
        *(Case(label, (Checkpoint(state), target)) for label, state, target in _SOUND_ONES),
        *(
            Case(label, (Checkpoint(state), Target(ONE_BLOCK, at_fault=tuple(at_fault))))
            for label, state, *at_fault in _FAULTY
        ),
        *(Case(label, (Checkpoint(state), target)) for label, state, target in _OTHER_MODELS),
    ],
    properties=[
        Property(
            "the matrices of the blocks are transposed, the square one too",
            lambda f: _in_place(_of_sound(f), _SOUND, True),
            of_result=lambda got, state, target: (
                None if target.at_fault else _in_place(got, state.tensors, True)
            ),
        ),
        Property(
            "all other tensors are as in the checkpoint",
            lambda f: _in_place(_of_sound(f), _SOUND, False),
            of_result=lambda got, state, target: (
                None if target.at_fault else _in_place(got, state.tensors, False)
            ),
        ),
        Property(
            "over a checkpoint with a fault it raises a ValueError that names a tensor at fault",
            lambda f: _refuses(_of_faulty(f)),
            of_result=lambda got, *args: _refuses(got),
        ),
        Property(
            "after an error the model is as it was",
            lambda f: _of_faulty(f)[KEPT],
            of_result=lambda got, *args: got.get(KEPT, True),
        ),
    ],
)


def _of_sound(answer: Answer) -> Loaded:
    return _load(answer, copy.deepcopy(Checkpoint(_SOUND)), Target(ONE_BLOCK))


def _of_faulty(answer: Answer) -> dict[str, Any]:
    state = copy.deepcopy(Checkpoint(_without(_SOUND, "ln_f.bias")))
    return _load(answer, state, Target(ONE_BLOCK, at_fault=("ln_f.bias",)))


def _in_place(got: dict[str, Any], state: State, transposed: bool) -> bool:
    """Whether the numbers of some tensors are in their places, rounded or not."""
    return all(
        got[n].shape == t.shape and torch.allclose(got[n].float(), t.float(), atol=1e-2)
        for n, t in _wanted(state).items()
        if n in got and n.endswith(CONV1D) == transposed
    )


def _refuses(got: dict[str, Any]) -> bool:
    said = got.get(RAISED, "ValueError"), got.get(NAMED, AT_FAULT)
    return said == ("ValueError", AT_FAULT)


EXERCISES = [load_released]
