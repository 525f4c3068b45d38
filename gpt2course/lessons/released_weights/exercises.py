"""The exercises of lesson 14: load_released."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
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

State = dict[str, Tensor]


@dataclass(eq=False, repr=False)
class Checkpoint:
    """A state dict that is copied and compared in a tenth of the time of a plain one."""

    tensors: State

    def __deepcopy__(self, memo: dict) -> Checkpoint:
        return Checkpoint({name: tensor.clone() for name, tensor in self.tensors.items()})

    def __eq__(self, other: Checkpoint) -> bool:
        return _same_tensors(self.tensors, other.tensors)


PREFIX = "transformer."
HEAD = "lm_head.weight"
SQUARE = "h.0.attn.c_proj.weight"
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
SMALLEST = GPT2Config(n_layer=1, n_head=1, n_embd=2, n_ctx=3, vocab_size=5)
ONE_BLOCK = GPT2Config(n_layer=1, n_head=3, n_embd=6, n_ctx=5, vocab_size=11)
TWO_BLOCKS = GPT2Config(n_layer=2, n_head=2, n_embd=4, n_ctx=7, vocab_size=13)
ONE_OF_THE_TWO = replace(TWO_BLOCKS, n_layer=1)

# What the result of a call says besides the parameters.
RETURNED, SHARED, FROZEN = "what it returned", "shared with the checkpoint", "cannot learn"
REPLACED, TYPES = "replaced", "type"
RAISED, NAMED, KEPT = "what it raised", "what the message names", "the model is as it was"
THE_MODEL = "the model that it was given"
AT_FAULT, NONE_AT_FAULT, ALL_NAMES = "a tensor at fault", "none at fault", "all that there are"


@dataclass(frozen=True)
class Target:
    """The model that an answer is given.

    Args:
        at_fault: the tensors of the checkpoint for which it must be refused; of these an error has
            to name one. Empty where the checkpoint is sound.
        shown: the parameters to compare afterwards; all, where none is named.
    """

    config: GPT2Config
    dtype: torch.dtype = torch.float32
    at_fault: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def shows(self, name: str) -> bool:
        return not self.shown or name in self.shown

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
        names = list(checkpoint.tensors)
        state = f"<{len(names)} tensors: {names[0]}, {names[1]}, …>"
        return f"{self.name}(state={state}, model={_model_text(target)})"


def _model_text(target: Target) -> str:
    return f"<{_type_text(target.dtype)} GPT2 of {target.config}>".replace("GPT2Config", "")


def _type_text(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _load(answer: Answer, checkpoint: Checkpoint, target: Target) -> Any:
    state, model = checkpoint.tensors, _copy_of(_drawn(target.config))
    if target.dtype != torch.float32:
        model = model.to(target.dtype)
    if target.at_fault:
        return _refusal(answer, state, model, target)
    tensors = list(state.values())  # held, lest freed memory be used once more by the model
    parameters = dict(model.named_parameters())
    try:
        returned = answer(state, model)
    except ValueError as error:
        text = _about_a_sound_checkpoint(str(error), [*state, *dict(model.named_parameters())])
        raise ValueError(text).with_traceback(error.__traceback__) from error
    return None if returned is None else _filled(returned, tensors, parameters, model, target)


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


def _about_a_sound_checkpoint(said: str, names: list[str]) -> str:
    """An answer's own words in quotes, and one of the tensors that they name.

    The words differ from answer to answer; the tensor tells which mistake it was. It is the
    first of the alphabet, since an answer may name them in any order.
    """
    named = sorted(name.removeprefix(PREFIX) for name in names if name in said)
    quoted = said[:300].replace("'", '"')
    about = f"It names {named[0]}." if named else "It names no tensor."
    return f"'{quoted}' was raised, but nothing is wrong with this checkpoint. {about}"


class Loaded(dict):
    """What a model holds after loading, by parameter, and what else there is to say of it."""

    def __repr__(self) -> str:
        """One line: a single tensor in full, of more than one their number."""
        tensors = {name: value for name, value in self.items() if isinstance(value, Tensor)}
        words = [f"{name}: {value}" for name, value in self.items() if name not in tensors]
        if len(tensors) == 1:
            words = [f"{name} {tensor.tolist()}" for name, tensor in tensors.items()] + words
        else:
            words = [f"{len(tensors)} parameters"] + words
        return "; ".join(words)


def _filled(
    returned: Any, tensors: list[Tensor], before: State, model: GPT2, target: Target
) -> Loaded:
    """What the model holds, whether it was returned, and what it shares with the checkpoint."""
    parameters = dict(model.named_parameters())
    memory = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    shared = [n for n, p in parameters.items() if p.untyped_storage().data_ptr() in memory]
    shown = {name: p.detach() for name, p in parameters.items() if target.shows(name)}
    found = Loaded((name, tensor.to(target.dtype)) for name, tensor in shown.items())
    found[TYPES] = _listed(sorted({_type_text(tensor.dtype) for tensor in shown.values()}))
    found[RETURNED] = THE_MODEL if returned is model else _kind(returned)
    found[SHARED] = _listed(shared)
    found[REPLACED] = _listed([n for n, p in parameters.items() if p is not before.get(n)])
    found[FROZEN] = _listed([name for name, p in parameters.items() if not p.requires_grad])
    return found


def _listed(names: list[str]) -> str:
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
    except (ValueError, KeyError, RuntimeError, AssertionError) as error:
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
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in GPT2(config).named_parameters()}
    return {
        name: normal(*(shape[::-1] if name.endswith(TRANSPOSED) else shape), seed=i, dtype=dtype)
        for i, (name, shape) in enumerate(shapes.items())
    }


def _prefixed(state: State) -> State:
    return {PREFIX + name: tensor for name, tensor in state.items()}


def _with_masks(state: State, config: GPT2Config, prefix: str = "") -> State:
    """Beside each block's tensors the constants that older files carry."""
    masks = {}
    for i in range(config.n_layer):
        triangle = torch.ones(config.n_ctx, config.n_ctx).tril()[None, None]
        masks[f"{prefix}h.{i}.attn.bias"] = triangle
        masks[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    return {**masks, **state}


def _with_head(state: State, wte: str) -> State:
    """The output matrix too, equal to wte, in memory of its own."""
    return {**state, HEAD: state[wte].clone()}


def _without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


def _in_the_middle(state: State, extra: State) -> State:
    items = list(state.items())
    return dict([*items[:5], *extra.items(), *items[5:]])


def _as_the_library_saves_it(config: GPT2Config) -> State:
    return _with_head(_prefixed(_tensors(config)), PREFIX + "wte.weight")


_SOUND = _tensors(ONE_BLOCK)
_C = ONE_BLOCK.n_embd
_C_ATTN, _C_FC = "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"
_SECOND_BLOCK = tuple(name for name in _tensors(TWO_BLOCKS) if name.startswith("h.1."))


def _sorted(state: State) -> State:
    return dict(sorted(state.items()))


def _misshapen(label: str, name: str, tensor: Tensor) -> Case:
    return _case(label, {**_SOUND, name: tensor}, Target(ONE_BLOCK, at_fault=(name,)))


def _extra(label: str, name: str, *shape: int) -> Case:
    state = _in_the_middle(_SOUND, {name: torch.ones(shape)})
    return _case(label, state, Target(ONE_BLOCK, at_fault=(name,)))


def _other_head(change) -> State:
    state = _as_the_library_saves_it(ONE_BLOCK)
    return {**state, HEAD: change(state[HEAD])}


def _last_row_changed(head: Tensor) -> Tensor:
    return torch.cat((head[:-1], head[-1:] + 1))


def _padded(head: Tensor) -> Tensor:
    return torch.cat((head, torch.zeros(5, head.shape[1])))


def _case(label: str, state: State, target: Target) -> Case:
    return Case(label, (Checkpoint(state), target))


load_released = LoadingExercise(
    weights.load_released,
    cases=[
        _case(
            "the square matrix, [[1, 2], [3, 4]] in the file",
            {**_tensors(SMALLEST), SQUARE: torch.tensor([[1.0, 2.0], [3.0, 4.0]])},
            Target(SMALLEST, shown=(SQUARE,)),
        ),
        _case("all tensors of two blocks", _tensors(TWO_BLOCKS), Target(TWO_BLOCKS)),
        _case("names that begin with transformer.", _prefixed(_SOUND), Target(ONE_BLOCK)),
        _case(
            "the output matrix is there, equal to wte",
            _as_the_library_saves_it(ONE_BLOCK),
            Target(ONE_BLOCK),
        ),
        _case(
            "mask buffers are there, as in the released file",
            _with_masks(_tensors(TWO_BLOCKS), TWO_BLOCKS),
            Target(TWO_BLOCKS),
        ),
        _case(
            "prefix, output matrix and mask buffers, in alphabetical order",
            _sorted(_with_masks(_as_the_library_saves_it(ONE_BLOCK), ONE_BLOCK, PREFIX)),
            Target(ONE_BLOCK),
        ),
        _case(
            "a checkpoint of float16 for a model of float32",
            _tensors(SMALLEST, torch.float16),
            Target(SMALLEST),
        ),
        _case(
            "a checkpoint of float32 for a model of float64",
            _tensors(SMALLEST),
            Target(SMALLEST, torch.float64),
        ),
        _case(
            "a checkpoint of float32 for a model of bfloat16",
            _tensors(SMALLEST),
            Target(SMALLEST, torch.bfloat16),
        ),
        _case(
            "tensors that do not lie in one piece in memory",
            {name: strided(t) if t.ndim == 2 else t for name, t in _SOUND.items()},
            Target(ONE_BLOCK),
        ),
        _case(
            "a bias is missing",
            _without(_SOUND, "h.0.mlp.c_fc.bias"),
            Target(ONE_BLOCK, at_fault=("h.0.mlp.c_fc.bias",)),
        ),
        _case(
            "the last tensor is missing, and the names begin with transformer.",
            _without(_as_the_library_saves_it(ONE_BLOCK), PREFIX + "ln_f.bias"),
            Target(ONE_BLOCK, at_fault=("ln_f.bias",)),
        ),
        _case(
            "wte is missing, and the output matrix is there",
            _without(_as_the_library_saves_it(ONE_BLOCK), PREFIX + "wte.weight"),
            Target(ONE_BLOCK, at_fault=("wte.weight", HEAD)),
        ),
        _case(
            "a tensor that GPT-2 does not have",
            _in_the_middle(_SOUND, {"score.weight": torch.ones(2, _C)}),
            Target(ONE_BLOCK, at_fault=("score.weight",)),
        ),
        _extra("a bias that GPT-2 does not have", "lm_head.bias", ONE_BLOCK.vocab_size),
        _extra("a norm of the queries, which GPT-2 does not have", "h.0.attn.q_norm.weight", 2),
        _extra("a tensor of four axes that is no mask", "conv.weight", 2, 1, 3, 3),
        _extra(
            "a second model's wte, with transformer. inside its name",
            "teacher.transformer.wte.weight",
            ONE_BLOCK.vocab_size,
            _C,
        ),
        _case(
            "the output matrix differs from wte by 0.005 everywhere",
            _other_head(lambda head: head + 0.005),
            Target(ONE_BLOCK, at_fault=(HEAD,)),
        ),
        _case(
            "the output matrix differs from wte in its last row",
            _other_head(_last_row_changed),
            Target(ONE_BLOCK, at_fault=(HEAD,)),
        ),
        _case(
            "the output matrix has more rows than wte",
            _other_head(_padded),
            Target(ONE_BLOCK, at_fault=(HEAD,)),
        ),
        _misshapen(
            "a bias of one number, which copy_ would spread", "h.0.attn.c_proj.bias", torch.ones(1)
        ),
        _misshapen(
            "positions for a longer context", "wpe.weight", torch.ones(ONE_BLOCK.n_ctx + 3, _C)
        ),
        _misshapen(
            "positions with a column more", "wpe.weight", torch.ones(ONE_BLOCK.n_ctx, _C + 1)
        ),
        _misshapen(
            "a table of one column, which copy_ would spread",
            "wte.weight",
            torch.ones(ONE_BLOCK.vocab_size, 1),
        ),
        _misshapen("a matrix of one row, which copy_ would spread", _C_FC, torch.ones(1, 4 * _C)),
        _misshapen("a matrix that is (out, in) already", _C_ATTN, _SOUND[_C_ATTN].mT.contiguous()),
        _misshapen(
            "a matrix with one axis more, as in OpenAI's own file", _C_ATTN, _SOUND[_C_ATTN][None]
        ),
        _misshapen("the square matrix with one axis more", SQUARE, _SOUND[SQUARE][None]),
        _misshapen("a bias with one axis more", "h.0.ln_1.bias", _SOUND["h.0.ln_1.bias"][None]),
        _misshapen("a matrix saved as one long row", _C_FC, _SOUND[_C_FC].flatten()),
        _case(
            "a tensor is missing and another is misshapen",
            {**_without(_SOUND, "h.0.ln_2.bias"), "h.0.mlp.c_fc.bias": torch.zeros(_C)},
            Target(ONE_BLOCK, at_fault=("h.0.ln_2.bias", "h.0.mlp.c_fc.bias")),
        ),
        _case(
            "a checkpoint with one block more than the model",
            _tensors(TWO_BLOCKS),
            Target(ONE_OF_THE_TWO, at_fault=_SECOND_BLOCK),
        ),
    ],
    properties=[
        Property(
            "it returns the model that it was given",
            lambda f: _asked(f, _SOUND, RETURNED) == THE_MODEL,
            of_result=lambda got, *args: got.get(RETURNED, THE_MODEL) == THE_MODEL,
        ),
        Property(
            "the parameters are those that the model had",
            lambda f: _asked(f, _SOUND, REPLACED) == "nothing",
            of_result=lambda got, *args: got.get(REPLACED, "nothing") == "nothing",
        ),
        Property(
            "the matrices of the blocks are transposed, the square one too",
            lambda f: _near(_loaded(f), _SOUND, _is_transposed),
            of_result=lambda got, checkpoint, target: _near(
                got, _own_names(checkpoint.tensors), _is_transposed
            ),
        ),
        Property(
            "all other tensors are as in the checkpoint",
            lambda f: _near(_loaded(f), _SOUND, lambda name: not _is_transposed(name)),
            of_result=lambda got, checkpoint, target: _near(
                got, _own_names(checkpoint.tensors), lambda name: not _is_transposed(name)
            ),
        ),
        Property(
            "no number is rounded more than the model's type rounds it",
            lambda f: _to_the_last_bit(_loaded(f), _SOUND),
            of_result=lambda got, checkpoint, target: (
                target.at_fault
                or target.dtype not in (torch.float32, torch.float64)
                or _to_the_last_bit(got, _own_names(checkpoint.tensors))
            ),
        ),
        Property(
            "a parameter keeps its type, whatever the checkpoint's",
            lambda f: (
                _load(f, _fresh(_SOUND), Target(ONE_BLOCK, torch.float64))[TYPES] == "float64"
            ),
            of_result=lambda got, checkpoint, target: (
                got.get(TYPES, _type_text(target.dtype)) == _type_text(target.dtype)
            ),
        ),
        Property(
            "over a checkpoint with a fault it raises a ValueError that names a tensor at fault",
            lambda f: _refused(f, RAISED) == "ValueError" and _refused(f, NAMED) == AT_FAULT,
            of_result=lambda got, *args: (
                got.get(RAISED, "ValueError") == "ValueError"
                and got.get(NAMED, AT_FAULT) == AT_FAULT
            ),
        ),
        Property(
            "after an error the model is as it was",
            lambda f: _refused(f, KEPT),
            of_result=lambda got, *args: got.get(KEPT, True),
        ),
    ],
)


def _fresh(state: State) -> Checkpoint:
    return copy.deepcopy(Checkpoint(state))


def _loaded(answer: Answer) -> Loaded:
    """What comes of loading a sound checkpoint of one block."""
    return _load(answer, _fresh(_SOUND), Target(ONE_BLOCK))


def _asked(answer: Answer, state: State, key: str) -> Any:
    """One entry of what comes of loading a sound checkpoint of one block."""
    return _load(answer, _fresh(state), Target(ONE_BLOCK))[key]


def _refused(answer: Answer, key: str) -> Any:
    """One entry of what comes of loading a checkpoint in which a tensor is missing."""
    target = Target(ONE_BLOCK, at_fault=("ln_f.bias",))
    return _load(answer, _fresh(_without(_SOUND, "ln_f.bias")), target)[key]


def _is_transposed(name: str) -> bool:
    return name.endswith(TRANSPOSED)


def _pairs(got: dict[str, Any], state: State) -> list[tuple[str, Tensor, Tensor]]:
    """By name what the model holds, and what it should hold of the checkpoint."""
    return [
        (name, got[name], t.mT if _is_transposed(name) else t)
        for name, t in state.items()
        if name in got
    ]


def _near(got: dict[str, Any], state: State, which: Callable[[str], bool]) -> bool:
    """Whether the numbers of some tensors are in their places, rounded or not."""
    return all(
        t.shape == wanted.shape and torch.allclose(t.float(), wanted.float(), atol=1e-2)
        for name, t, wanted in _pairs(got, state)
        if which(name)
    )


def _to_the_last_bit(got: dict[str, Any], state: State) -> bool:
    """Whether each number that is near its own is equal to it; others are another mistake."""
    for _, t, wanted in _pairs(got, state):
        if t.shape == wanted.shape:
            off = (t.double() - wanted.double()).abs()
            if ((off > 0) & (off < 1e-2)).any():
                return False
    return True


def _own_names(state: State) -> State:
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}


# Pieces of which the mistakes are made, in plain torch -------------------------------------------


# Matrices ---------------------------------------------------------------------------------------


# Without one matrix of those that are not square, and with those of the attention or the MLP alone.


# Names ------------------------------------------------------------------------------------------


# What is left out -------------------------------------------------------------------------------


# Faults of the checkpoint ------------------------------------------------------------------------


# What is returned, and whose memory it is --------------------------------------------------------


# Other right answers -----------------------------------------------------------------------------


EXERCISES = [load_released]
