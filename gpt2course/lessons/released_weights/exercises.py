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
    lesson="14_released_weights",
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
            "it does not matter whether names begin with transformer.",
            lambda f: torch.equal(
                _asked(f, _SOUND, _C_ATTN), _asked(f, _prefixed(_SOUND), _C_ATTN)
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


def _without_head(named: State) -> State:
    """The tensors without the output matrix, where it equals wte."""
    head, wte = named.get(HEAD), named.get("wte.weight")
    same = head is not None and wte is not None and torch.equal(head, wte)
    return _without(named, HEAD) if same else named


def _without_masks(named: State) -> State:
    masks = (".attn.bias", ".attn.masked_bias")
    return {name: tensor for name, tensor in named.items() if not name.endswith(masks)}


def _transposed(named: State, endings: tuple[str, ...] = TRANSPOSED) -> State:
    return {
        name: tensor.mT if name.endswith(endings) and tensor.ndim == 2 else tensor
        for name, tensor in named.items()
    }


def _names_and_shapes_fit(tensors: State, model: GPT2) -> State:
    """The tensors; a ValueError that names all of them that are at fault."""
    expected = {name: p.shape for name, p in model.named_parameters()}
    faults = [name for name in expected if name not in tensors]
    faults += [name for name in tensors if name not in expected]
    faults += [n for n in expected if n in tensors and tensors[n].shape != expected[n]]
    if faults:
        raise ValueError(f"wrong: {faults}")
    return tensors


def _copied(tensors: State, model: GPT2) -> GPT2:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in tensors:
                parameter.copy_(tensors[name])
    return model


def _converted(state: State) -> State:
    return _transposed(_without_masks(_without_head(_own_names(state))))


def _checked_and_copied(tensors: State, model: GPT2) -> GPT2:
    return _copied(_names_and_shapes_fit(tensors, model), model)


def _one_by_one(tensors: State, model: GPT2) -> GPT2:
    """Checked in the order of the model, with an error at the first tensor that is at fault."""
    parameters = dict(model.named_parameters())
    for name in [*parameters, *tensors]:
        fits = name in parameters and name in tensors
        if not fits or tensors[name].shape != parameters[name].shape:
            raise ValueError(name)
    return _copied(tensors, model)


def _names_first(tensors: State, model: GPT2) -> GPT2:
    """All names compared, then the shapes with an error at the first that is at fault."""
    parameters = dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {wrong}")
    for name, parameter in parameters.items():
        if tensors[name].shape != parameter.shape:
            raise ValueError(f"{name} has another shape")
    return _copied(tensors, model)


def _looked_up(tensors: State, model: GPT2) -> GPT2:
    """Filled with what tensors[name] gives, and no check."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    return model


def _extras_first(tensors: State, model: GPT2) -> GPT2:
    """Checked in the order of the checkpoint, with an error at the first tensor at fault."""
    parameters = dict(model.named_parameters())
    for name in [*tensors, *parameters]:
        fits = name in parameters and name in tensors
        if not fits or tensors[name].shape != parameters[name].shape:
            raise ValueError(name)
    return _copied(tensors, model)


def _missing_first(tensors: State, model: GPT2) -> GPT2:
    """All that is missing in one error, then all that is extra, then the shapes."""
    parameters = dict(model.named_parameters())
    if missing := [name for name in parameters if name not in tensors]:
        raise ValueError(f"missing: {missing}")
    return _names_and_shapes_fit(tensors, model) and _copied(tensors, model)


def _wrapped(tensors: State, model: GPT2) -> GPT2:
    try:
        return _by_load_state_dict(tensors, model)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _looked_up_in_the_model(tensors: State, model: GPT2) -> GPT2:
    """Filled in the order of the checkpoint, and no check."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
    return model


def _by_load_state_dict(tensors: State, model: GPT2) -> GPT2:
    model.load_state_dict(tensors)
    return model


# Matrices ---------------------------------------------------------------------------------------


@load_released.misconception(
    "Of the four kinds of matrices attn.c_proj was left as it is in the file. It is square, so it "
    "fits either way and nothing complains; but the file holds it as (in, out), too, and the model "
    "needs (out, in)."
)
def leaves_the_square_matrix_as_it_is(state, model):
    endings = ("attn.c_attn.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    named = _without_masks(_without_head(_own_names(state)))
    return _checked_and_copied(_transposed(named, endings), model)


@load_released.misconception(
    "A matrix was transposed only where its shape did not fit. attn.c_proj is square and fits "
    "either way, so it went in untransposed, and nothing complained. Its name has to decide, and "
    "not its shape."
)
def transposes_only_what_does_not_fit(state, model):
    tensors = _without_masks(_without_head(_own_names(state)))
    for name, p in model.named_parameters():
        if name in tensors and tensors[name].ndim == 2 and tensors[name].shape != p.shape:
            tensors[name] = tensors[name].mT
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "The matrices were cut anew into the shape that is wanted, with reshape or view. That keeps "
    "the numbers in their order and puts nearly all of them in the wrong place: rows have to "
    "become columns, which is .T."
)
def reshapes_instead_of_transposing(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    for name, tensor in named.items():
        if name.endswith(TRANSPOSED) and tensor.ndim == 2:
            named[name] = tensor.reshape(tensor.shape[1], tensor.shape[0])
    return _checked_and_copied(named, model)


@load_released.misconception(
    "The matrices of the blocks went in as they are in the file. It holds them as (in, out), and "
    "nn.Linear as (out, in): c_attn, c_fc and both c_proj have to be transposed, attn.c_proj too, "
    "which is square and would not complain."
)
def forgets_to_transpose(state, model):
    return _checked_and_copied(_without_masks(_without_head(_own_names(state))), model)


@load_released.variant(forgets_to_transpose)
def forgets_to_transpose_for_load_state_dict(state, model):
    return _by_load_state_dict(_without_masks(_without_head(_own_names(state))), model)


@load_released.variant(forgets_to_transpose)
def forgets_to_transpose_after_the_names(state, model):
    return _names_first(_without_masks(_without_head(_own_names(state))), model)


@load_released.misconception(
    "Tables were transposed, too. wte and wpe have a row for each token and position, "
    "in the file as in the model, and stay as they are: only c_attn, c_fc and both c_proj of each "
    "block are turned."
)
def transposes_every_matrix(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    return _checked_and_copied(_transposed(named, (".weight",)), model)


@load_released.variant(transposes_every_matrix)
def transposes_every_matrix_and_meets_wte_first(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    return _one_by_one(_transposed(named, (".weight",)), model)


@load_released.variant(transposes_every_matrix)
def transposes_every_matrix_after_the_names(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    return _names_first(_transposed(named, (".weight",)), model)


@load_released.variant(transposes_every_matrix)
def transposes_every_matrix_for_load_state_dict(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    return _by_load_state_dict(_transposed(named, (".weight",)), model)


@load_released.variant(transposes_every_matrix)
def transposes_every_matrix_for_copy(state, model):
    return _looked_up(_transposed(_own_names(state), (".weight",)), model)


@load_released.misconception(
    "Not all of the four kinds of matrices were transposed. There are two in the attention of each "
    "block, c_attn and c_proj, and two in its MLP, c_fc and c_proj again."
)
def forgets_one_of_the_four_matrices(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    return _checked_and_copied(_transposed(named, TRANSPOSED[:3]), model)


def _transposing_only(endings: tuple[str, ...], fill: Callable[[State, GPT2], GPT2]) -> Answer:
    def load_released(state, model):
        named = _without_masks(_without_head(_own_names(state)))
        return fill(_transposed(named, endings), model)

    return load_released


# Without one matrix of those that are not square, and with those of the attention or the MLP alone.
_TOO_FEW = [
    *(
        tuple(name for name in TRANSPOSED if name != left)
        for left in TRANSPOSED
        if "attn.c_p" not in left
    ),
    TRANSPOSED[:2],
    TRANSPOSED[2:],
]
for _endings in _TOO_FEW:
    for _fill in (_checked_and_copied, _names_first, _by_load_state_dict, _wrapped):
        load_released.variant(forgets_one_of_the_four_matrices)(_transposing_only(_endings, _fill))
for _table in ("wte.weight", "wpe.weight"):
    for _fill in (_checked_and_copied, _names_first, _by_load_state_dict, _wrapped):
        load_released.variant(transposes_every_matrix)(
            _transposing_only((*TRANSPOSED, _table), _fill)
        )
load_released.variant(transposes_every_matrix)(_transposing_only((".weight",), _extras_first))
load_released.variant(forgets_to_transpose)(_transposing_only((), _wrapped))


@load_released.misconception(
    "A matrix met a parameter with its axes the other way round. In the file c_attn, c_fc and both "
    "c_proj of each block are (in, out) and have to be transposed, those four and no others: wte "
    "and wpe stay as they are."
)
def transposes_too_few_or_too_many(state, model):
    return _looked_up(_without_masks(_without_head(_own_names(state))), model)


# Names ------------------------------------------------------------------------------------------


@load_released.misconception(
    "The names were looked for as they are in the model. Where the whole model was saved each "
    'begins with `transformer.`; `name.removeprefix("transformer.")` takes that off where it is '
    "there, and leaves other names alone."
)
def forgets_the_prefix(state, model):
    return _checked_and_copied(_transposed(_without_masks(_without_head(state))), model)


@load_released.variant(forgets_the_prefix)
def forgets_the_prefix_and_misses_wte_first(state, model):
    return _one_by_one(_transposed(_without_masks(_without_head(state))), model)


@load_released.variant(forgets_the_prefix)
def forgets_the_prefix_and_looks_up(state, model):
    return _looked_up(_transposed(_without_masks(_without_head(state))), model)


@load_released.variant(forgets_the_prefix)
def forgets_the_prefix_for_load_state_dict(state, model):
    return _by_load_state_dict(_transposed(_without_masks(_without_head(state))), model)


@load_released.variant(forgets_the_prefix)
def turns_the_matrices_and_loads(state, model):
    return _by_load_state_dict(_transposed(state), model)


@load_released.variant(forgets_the_prefix)
def forgets_the_prefix_and_meets_an_extra_first(state, model):
    return _extras_first(_transposed(_without_masks(_without_head(state))), model)


@load_released.variant(forgets_the_prefix)
def forgets_the_prefix_and_tells_what_is_missing(state, model):
    return _missing_first(_transposed(_without_masks(_without_head(state))), model)


@load_released.misconception(
    "The beginning of every name was cut off, or `transformer.` put in front of every name that "
    'was looked for. The released files do not have it. `name.removeprefix("transformer.")` takes '
    "it off where it is there, and leaves other names alone."
)
def always_expects_a_prefix(state, model):
    named = {name.split(".", 1)[1]: tensor for name, tensor in state.items()}
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(always_expects_a_prefix)
def always_cuts_a_prefix_off_and_misses_wte_first(state, model):
    named = {name[len(PREFIX) :]: tensor for name, tensor in state.items()}
    return _one_by_one(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(always_expects_a_prefix)
def always_cuts_a_prefix_off_for_load_state_dict(state, model):
    named = {name[len(PREFIX) :]: tensor for name, tensor in state.items()}
    return _by_load_state_dict(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(always_expects_a_prefix)
def looks_everything_up_with_a_prefix(state, model):
    named = {n: state[PREFIX + n] for n, _ in model.named_parameters()}
    return _checked_and_copied(_transposed(named), model)


@load_released.misconception(
    "Whether names have the prefix was read off the first of them. A checkpoint may begin with any "
    "of its tensors, with lm_head.weight too, which never has one. Ask it of each name: "
    '`name.removeprefix("transformer.")`.'
)
def judges_the_prefix_by_the_first_name(state, model):
    prefix = PREFIX if next(iter(state)).startswith(PREFIX) else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def judges_the_prefix_by_the_first_name_and_meets_wte_first(state, model):
    prefix = PREFIX if next(iter(state)).startswith(PREFIX) else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return _one_by_one(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def cuts_as_much_off_every_name_as_the_first_one_needs(state, model):
    length = len(PREFIX) if next(iter(state)).startswith(PREFIX) else 0
    named = {name[length:]: tensor for name, tensor in state.items()}
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def judges_the_prefix_by_the_first_name_and_meets_an_extra_first(state, model):
    prefix = PREFIX if next(iter(state)).startswith(PREFIX) else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return _extras_first(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def judges_the_prefix_by_the_first_name_and_loads(state, model):
    prefix = PREFIX if next(iter(state)).startswith(PREFIX) else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return _by_load_state_dict(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def judges_the_prefix_by_the_first_name_and_looks_up(state, model):
    prefix = PREFIX if next(iter(state)).startswith(PREFIX) else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return _looked_up(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def cuts_as_much_off_every_name_and_meets_wte_first(state, model):
    length = len(PREFIX) if next(iter(state)).startswith(PREFIX) else 0
    named = {name[length:]: tensor for name, tensor in state.items()}
    return _one_by_one(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(judges_the_prefix_by_the_first_name)
def cuts_as_much_off_every_name_and_loads(state, model):
    length = len(PREFIX) if next(iter(state)).startswith(PREFIX) else 0
    named = {name[length:]: tensor for name, tensor in state.items()}
    return _by_load_state_dict(_transposed(_without_masks(_without_head(named))), model)


@load_released.misconception(
    "`transformer.` was taken out wherever it stands in a name, as split and replace do. With that "
    "the tensor of another part, such as teacher.transformer.wte.weight, gets a name that it does "
    'not have, and may take the place of wte. `name.removeprefix("transformer.")` takes it off at '
    "the beginning alone."
)
def takes_the_prefix_out_of_the_middle_of_a_name(state, model):
    named = {name.split(PREFIX)[-1]: tensor for name, tensor in state.items()}
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.variant(takes_the_prefix_out_of_the_middle_of_a_name)
def replaces_the_prefix_by_nothing(state, model):
    named = {name.replace(PREFIX, ""): tensor for name, tensor in state.items()}
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.misconception(
    '`lstrip("transformer.")` takes off any of the letters t, r, a, n, s, f, o, m, e and dots, as '
    "many as there are, and not this word: score.weight becomes core.weight. "
    "`removeprefix` takes off the word."
)
def strips_letters_with_lstrip(state, model):
    named = {name.lstrip("transformer."): tensor for name, tensor in state.items()}  # noqa: B005
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.misconception(
    "Tensors and parameters were paired by their order. A checkpoint may hold its tensors in any "
    "order, and mask buffers between them: pair them by name."
)
def pairs_by_position(state, model):
    named = _own_names(state)
    with torch.no_grad():
        for (name, tensor), p in zip(named.items(), model.parameters(), strict=False):
            p.copy_(tensor.mT if name.endswith(TRANSPOSED) else tensor)
    return model


@load_released.variant(pairs_by_position)
def pairs_by_position_without_the_extras(state, model):
    tensors = _converted(state)
    names = [name for name, _ in model.named_parameters()]
    if len(tensors) != len(names):
        raise ValueError(f"wrong: {set(tensors) ^ set(names)}")
    with torch.no_grad():
        for tensor, p in zip(tensors.values(), model.parameters(), strict=True):
            p.copy_(tensor)
    return model


@load_released.variant(pairs_by_position)
def pairs_by_position_after_comparing_the_names(state, model):
    tensors = _converted(state)
    _names_and_shapes_fit(tensors, model)
    with torch.no_grad():
        for tensor, p in zip(tensors.values(), model.parameters(), strict=True):
            p.copy_(tensor)
    return model


@load_released.variant(pairs_by_position)
def pairs_by_position_without_the_extras_and_without_a_check(state, model):
    with torch.no_grad():
        for tensor, p in zip(_converted(state).values(), model.parameters(), strict=False):
            p.copy_(tensor)
    return model


# What is left out -------------------------------------------------------------------------------


@load_released.misconception(
    "The output matrix was refused although it is only wte once more. GPT-2 makes its logits with "
    "wte itself, so the model has no place for lm_head.weight: leave it out where the two hold the "
    "same numbers (they need not be the same object)."
)
def stumbles_over_the_output_matrix(state, model):
    return _checked_and_copied(_transposed(_without_masks(_own_names(state))), model)


@load_released.variant(stumbles_over_the_output_matrix)
def stumbles_over_the_output_matrix_in_load_state_dict(state, model):
    return _by_load_state_dict(_transposed(_without_masks(_own_names(state))), model)


@load_released.variant(stumbles_over_the_output_matrix)
def stumbles_over_the_output_matrix_while_looking_up(state, model):
    return _looked_up_in_the_model(_transposed(_without_masks(_own_names(state))), model)


@load_released.variant(stumbles_over_the_output_matrix)
def leaves_nothing_out_for_load_state_dict(state, model):
    return _by_load_state_dict(_transposed(_own_names(state)), model)


@load_released.misconception(
    "lm_head.weight was left out although it is not wte once more. Such a checkpoint is of another "
    "kind of model, which gives other logits: then it is an extra tensor, and an error. Compare "
    "the whole of it before it goes."
)
def leaves_out_an_output_matrix_that_differs(state, model):
    named = _without_masks(_without(_own_names(state), HEAD))
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(leaves_out_an_output_matrix_that_differs)
def leaves_out_an_output_matrix_of_the_shape_of_wte(state, model):
    named = _own_names(state)
    if HEAD in named and "wte.weight" in named and named[HEAD].shape == named["wte.weight"].shape:
        del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.variant(leaves_out_an_output_matrix_that_differs)
def leaves_out_an_output_matrix_with_the_first_row_of_wte(state, model):
    named = _own_names(state)
    if HEAD in named and "wte.weight" in named:
        if torch.equal(named[HEAD][0], named["wte.weight"][0]):
            del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.variant(leaves_out_an_output_matrix_that_differs)
def leaves_out_an_output_matrix_of_the_sum_of_wte(state, model):
    named = _own_names(state)
    if HEAD in named and "wte.weight" in named:
        if torch.isclose(named[HEAD].sum(), named["wte.weight"].sum(), atol=1e-4):
            del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.misconception(
    "lm_head.weight was taken for wte once more because it is near it. Two tables that began alike "
    "and were trained apart are near each other, too, and give other logits. What was saved twice "
    "is equal to the last bit: `torch.equal`."
)
def takes_a_near_output_matrix_for_an_equal_one(state, model):
    named = _own_names(state)
    head, wte = named.get(HEAD), named.get("wte.weight")
    if head is not None and wte is not None and head.shape == wte.shape:
        if torch.allclose(head, wte, atol=1e-2):
            del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.misconception(
    "The output matrix was compared with wte entry by entry, and they can be of different sizes: "
    "then torch raises a RuntimeError of its own. `torch.equal` says False instead."
)
def compares_tensors_of_different_sizes(state, model):
    named = _own_names(state)
    if HEAD in named and "wte.weight" in named and (named[HEAD] == named["wte.weight"]).all():
        del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.misconception(
    "The output matrix was held against wte.weight where the checkpoint has no wte.weight: that is "
    "a KeyError, and not the ValueError that is asked for. Ask first whether it is there."
)
def compares_with_a_wte_that_is_missing(state, model):
    named = _own_names(state)
    if HEAD in named and torch.equal(named[HEAD], named["wte.weight"]):
        del named[HEAD]
    return _checked_and_copied(_transposed(_without_masks(named)), model)


@load_released.misconception(
    "The output matrix was taken for the missing wte. They are the same in GPT-2, but whether they "
    "are in this checkpoint nobody can say any more: a missing tensor is an error."
)
def takes_the_output_matrix_for_wte(state, model):
    named = _own_names(state)
    if HEAD in named and "wte.weight" not in named:
        named["wte.weight"] = named.pop(HEAD)
    return _checked_and_copied(_transposed(_without_masks(_without_head(named))), model)


@load_released.misconception(
    "The mask buffers were refused. attn.bias and attn.masked_bias are constants that older files "
    "carry, the triangle of the mask and the number that hides; nothing was learned in them, and "
    "the model has no place for them. Leave them out."
)
def stumbles_over_the_mask_buffers(state, model):
    return _checked_and_copied(_transposed(_without_head(_own_names(state))), model)


@load_released.variant(stumbles_over_the_mask_buffers)
def stumbles_over_the_mask_buffers_in_load_state_dict(state, model):
    return _by_load_state_dict(_transposed(_without_head(_own_names(state))), model)


@load_released.variant(stumbles_over_the_mask_buffers)
def stumbles_over_the_mask_buffers_while_looking_up(state, model):
    return _looked_up_in_the_model(_transposed(_without_head(_own_names(state))), model)


@load_released.misconception(
    "attn.bias was left out, and attn.masked_bias was not. Older files carry both: the triangle of "
    "the mask, and the number that stands where it hides."
)
def forgets_masked_bias(state, model):
    named = _without_head(_own_names(state))
    named = {name: t for name, t in named.items() if not name.endswith(".attn.bias")}
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(forgets_masked_bias)
def forgets_masked_bias_for_load_state_dict(state, model):
    named = _without_head(_own_names(state))
    named = {name: t for name, t in named.items() if not name.endswith(".attn.bias")}
    return _by_load_state_dict(_transposed(named), model)


@load_released.misconception(
    "More was left out than the masks: a tensor that GPT-2 does not have went out with them, for "
    "a piece of its name or for its axes, and what was learned in it is lost. Only names that end "
    "in `.attn.bias` or `.attn.masked_bias` may go."
)
def leaves_out_more_than_the_masks(state, model):
    named, known = _without_head(_own_names(state)), dict(model.named_parameters())
    named = {name: t for name, t in named.items() if name in known or "bias" not in name}
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(leaves_out_more_than_the_masks)
def leaves_out_what_is_unknown_in_an_attention(state, model):
    named, known = _without_head(_own_names(state)), dict(model.named_parameters())
    named = {name: t for name, t in named.items() if name in known or ".attn." not in name}
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(leaves_out_more_than_the_masks)
def leaves_out_unknown_biases_in_an_attention_or_not(state, model):
    named, known = _without_head(_own_names(state)), dict(model.named_parameters())
    hidden = ("bias", "attn")
    named = {n: t for n, t in named.items() if n in known or not any(h in n for h in hidden)}
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(leaves_out_more_than_the_masks)
def knows_masks_by_their_axes(state, model):
    named = _without_head(_own_names(state))
    named = {name: t for name, t in named.items() if t.ndim not in (0, 4)}
    return _checked_and_copied(_transposed(named), model)


@load_released.misconception(
    "c_attn.bias went out together with the mask: `h.0.attn.c_attn.bias` ends in `attn.bias`, too. "
    "It is a bias that was learned. With the dot, `.attn.bias`, only the mask is meant."
)
def takes_c_attn_bias_for_the_mask(state, model):
    named = _without_head(_own_names(state))
    masks = ("attn.bias", "attn.masked_bias")
    named = {name: t for name, t in named.items() if not name.endswith(masks)}
    return _checked_and_copied(_transposed(named), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_c_attn_bias_for_the_mask_and_says_nothing(state, model):
    named = _without_head(_own_names(state))
    masks = ("attn.bias", "attn.masked_bias")
    tensors = {name: t for name, t in named.items() if not name.endswith(masks)}
    _names_and_shapes_fit(_transposed(_without_masks(named)), model)
    return _copied(_transposed(tensors), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_c_attn_bias_for_the_mask_and_looks_up(state, model):
    named = _without_head(_own_names(state))
    masks = ("attn.bias", "attn.masked_bias")
    named = {name: t for name, t in named.items() if not name.endswith(masks)}
    return _looked_up(_transposed(named), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_c_attn_bias_for_the_mask_and_loads(state, model):
    named = _without_head(_own_names(state))
    masks = ("attn.bias", "attn.masked_bias")
    named = {name: t for name, t in named.items() if not name.endswith(masks)}
    return _by_load_state_dict(_transposed(named), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_c_attn_bias_for_the_mask_and_wraps_load_state_dict(state, model):
    named = _without_head(_own_names(state))
    masks = ("attn.bias", "attn.masked_bias")
    named = {name: t for name, t in named.items() if not name.endswith(masks)}
    return _wrapped(_transposed(named), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_c_attn_bias_for_the_mask_and_leaves_the_rest_to_load_state_dict(state, model):
    named = {n: t for n, t in _own_names(state).items() if not n.endswith("attn.bias")}
    return _by_load_state_dict(_transposed(named), model)


@load_released.variant(takes_c_attn_bias_for_the_mask)
def takes_only_c_attn_bias_and_the_triangle_for_masks(state, model):
    named = _without_head(_own_names(state))
    named = {name: t for name, t in named.items() if not name.endswith("attn.bias")}
    return _checked_and_copied(_transposed(named), model)


@load_released.misconception(
    "Only the weights were filled in, and the biases stayed as they were, most of them 0. In a "
    "trained model they are not."
)
def skips_the_biases(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    return _copied({n: t for n, t in tensors.items() if not n.endswith("bias")}, model)


@load_released.misconception(
    "The LayerNorms stayed as they were. Their weights and biases were learned like all others, "
    "and the checkpoint has them."
)
def skips_the_layer_norms(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    return _copied({n: t for n, t in tensors.items() if "ln_" not in n}, model)


# Faults of the checkpoint ------------------------------------------------------------------------


@load_released.misconception(
    "load_state_dict was left to find the faults. It does, but it raises a RuntimeError, and by "
    "then it has filled in everything that fits: the model is half the old one and half the new. "
    "Compare names and shapes first, raise ValueError where they differ, and fill in after that."
)
def leaves_the_checking_to_load_state_dict(state, model):
    return _by_load_state_dict(_converted(state), model)


@load_released.misconception(
    "The tensors were looked up while the model was being filled, and nothing was checked before. "
    "A name that is not there is a KeyError then, halfway through, and what nobody looks up is "
    "passed over. Compare all names and shapes first, and raise ValueError where they differ."
)
def leaves_the_checking_to_the_lookup(state, model):
    return _looked_up(_converted(state), model)


@load_released.variant(leaves_the_checking_to_the_lookup)
def looks_up_in_the_model(state, model):
    return _looked_up_in_the_model(_converted(state), model)


@load_released.misconception(
    "The model was filled while the checkpoint was still being checked: by the time the fault was "
    "found a part was new already. (load_state_dict works like that, too: it fills what fits, and "
    "complains at the end.) Check all names and shapes first, and fill in after that."
)
def fills_before_all_is_checked(state, model):
    return _wrapped(_converted(state), model)


@load_released.variant(fills_before_all_is_checked)
def fills_tensor_by_tensor(state, model):
    tensors = _converted(state)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name not in tensors:
                raise ValueError(f"{name} is missing")
            if tensors[name].shape != p.shape:
                raise ValueError(f"{name} has another shape")
            p.copy_(tensors.pop(name))
    if tensors:
        raise ValueError(f"extra: {list(tensors)}")
    return model


@load_released.variant(fills_before_all_is_checked)
def fills_tensor_by_tensor_after_the_extras(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if extra := [name for name in tensors if name not in parameters]:
        raise ValueError(f"extra: {extra}")
    with torch.no_grad():
        for name, p in parameters.items():
            if name not in tensors:
                raise ValueError(f"{name} is missing")
            if tensors[name].shape != p.shape:
                raise ValueError(f"{name} has another shape")
            p.copy_(tensors[name])
    return model


@load_released.variant(fills_before_all_is_checked)
def fills_tensor_by_tensor_after_the_names(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {wrong}")
    with torch.no_grad():
        for name, p in parameters.items():
            if tensors[name].shape != p.shape:
                raise ValueError(f"{name} has another shape")
            p.copy_(tensors[name])
    return model


@load_released.variant(fills_before_all_is_checked)
def fills_in_the_order_of_the_checkpoint(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name not in parameters:
                raise ValueError(f"{name} is extra")
            if tensor.shape != parameters[name].shape:
                raise ValueError(f"{name} has another shape")
            parameters[name].copy_(tensor)
    if missing := parameters.keys() - tensors.keys():
        raise ValueError(f"missing: {missing}")
    return model


@load_released.misconception(
    "A tensor that the checkpoint does not have was passed over. Its parameter keeps the random "
    "numbers that it began with, and the model talks nonsense without anyone having been told. "
    "That is a ValueError."
)
def passes_over_what_is_missing(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    for name, tensor in tensors.items():
        if name not in parameters or tensor.shape != parameters[name].shape:
            raise ValueError(name)
    return _copied(tensors, model)


@load_released.misconception(
    "A tensor that the model has no place for was passed over. Then the checkpoint is of another "
    "kind of model, and what was learned in that tensor is lost: that is a ValueError. Only the "
    "mask buffers, and an output matrix equal to wte, may go."
)
def passes_over_what_is_extra(state, model):
    tensors, names = _converted(state), dict(model.named_parameters())
    known = {name: tensor for name, tensor in tensors.items() if name in names}
    return _checked_and_copied(known, model)


@load_released.variant(passes_over_what_is_extra)
def passes_over_blocks_that_the_model_has_not(state, model):
    own = {f"h.{i}." for i in range(len(model.h))}
    tensors = {
        name: tensor
        for name, tensor in _converted(state).items()
        if not name.startswith("h.") or name[: name.index(".", 2) + 1] in own
    }
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "Whatever has no partner was passed over, as strict=False does: a checkpoint of another model "
    "is filled in without a word. A tensor that is missing or extra is a ValueError that names it."
)
def passes_over_what_has_no_partner(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    known = {name: tensor for name, tensor in tensors.items() if name in parameters}
    for name, tensor in known.items():
        if tensor.shape != parameters[name].shape:
            raise ValueError(name)
    return _copied(known, model)


@load_released.variant(passes_over_what_has_no_partner)
def loads_with_strict_false(state, model):
    model.load_state_dict(_converted(state), strict=False)
    return model


@load_released.misconception(
    "Names were compared, and shapes were not. copy_ complains about some with an error of its "
    "own, halfway through, and spreads a tensor of one number over a whole bias without a word. "
    "Compare the shapes first."
)
def compares_the_names_alone(state, model):
    tensors, names = _converted(state), [name for name, _ in model.named_parameters()]
    if wrong := tensors.keys() ^ set(names):
        raise ValueError(f"missing or extra: {wrong}")
    return _copied(tensors, model)


@load_released.variant(compares_the_names_alone)
def compares_the_names_alone_and_loads(state, model):
    tensors, names = _converted(state), [name for name, _ in model.named_parameters()]
    if wrong := tensors.keys() ^ set(names):
        raise ValueError(f"missing or extra: {wrong}")
    return _by_load_state_dict(tensors, model)


@load_released.misconception(
    "A tensor of one number, one row or one column was spread over a whole parameter. That is what "
    "copy_ does where shapes can be matched by repeating; a tensor of another shape is an error, "
    "so compare the shapes themselves."
)
def lets_copy_decide_what_fits(state, model):
    tensors, trial = _converted(state), copy.deepcopy(model)
    if wrong := tensors.keys() ^ dict(model.named_parameters()).keys():
        raise ValueError(f"missing or extra: {wrong}")
    for name, p in trial.named_parameters():
        try:
            p.data.copy_(tensors[name])
        except RuntimeError as error:
            raise ValueError(f"{name} does not fit") from error
    return _copied(tensors, model)


@load_released.misconception(
    "Of the shapes only the first number was compared, as len does. The second may differ all the "
    "same: then copy_ spreads a single column over the whole table without a word, and stumbles "
    "over other widths when the model is half filled. Compare shape with shape."
)
def compares_the_first_axis_alone(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {wrong}")
    for name, p in parameters.items():
        if tensors[name].shape[:1] != p.shape[:1]:
            raise ValueError(f"{name} has another shape")
    return _copied(tensors, model)


@load_released.variant(compares_the_first_axis_alone)
def compares_the_first_axis_alone_and_loads(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {wrong}")
    for name, p in parameters.items():
        if tensors[name].shape[:1] != p.shape[:1]:
            raise ValueError(f"{name} has another shape")
    return _by_load_state_dict(tensors, model)


@load_released.misconception(
    "Axes of size 1 were squeezed away. A tensor with an axis more is of another shape, and that "
    "is an error. And the square matrix, which came with three axes and so was not turned, then "
    "goes in unturned without a word."
)
def squeezes_axes_away(state, model):
    tensors = {name: tensor.squeeze() for name, tensor in _converted(state).items()}
    return _checked_and_copied(tensors, model)


@load_released.variant(squeezes_axes_away)
def squeezes_axes_away_for_load_state_dict(state, model):
    return _by_load_state_dict({n: t.squeeze() for n, t in _converted(state).items()}, model)


@load_released.variant(squeezes_axes_away)
def squeezes_axes_away_and_wraps_load_state_dict(state, model):
    return _wrapped({n: t.squeeze() for n, t in _converted(state).items()}, model)


@load_released.variant(squeezes_axes_away)
def squeezes_axes_away_before_turning(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    tensors = _transposed({name: tensor.squeeze() for name, tensor in named.items()})
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "Only the count of the numbers was compared, and whatever had the right count was cut into "
    "shape. A matrix with its axes the other way round has that count too, and comes out as "
    "nonsense: compare the shapes."
)
def compares_how_many_numbers_there_are(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {wrong}")
    for name, p in parameters.items():
        if tensors[name].numel() != p.numel():
            raise ValueError(f"{name} has {tensors[name].numel()} numbers")
        tensors[name] = tensors[name].reshape(p.shape)
    return _copied(tensors, model)


@load_released.misconception(
    "What was too long was cut to fit. A checkpoint with more positions or tokens than the model "
    "is of another model: that is a ValueError, and no one should lose a part of it unawares."
)
def cuts_what_is_too_long(state, model):
    tensors = _converted(state)
    for name in ("wte.weight", "wpe.weight"):
        if name in tensors:
            tensors[name] = tensors[name][: len(model.get_parameter(name))]
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "A tensor was transposed before anyone looked how many axes it has: .t() can't turn three, and "
    ".mT can't turn one, and both say so with a RuntimeError. Look at the shape first, or turn "
    "only what has two axes."
)
def transposes_before_looking_at_the_axes(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    tensors = {n: t.t() if n.endswith(TRANSPOSED) else t for n, t in named.items()}
    return _checked_and_copied(tensors, model)


@load_released.variant(transposes_before_looking_at_the_axes)
def transposes_the_last_two_axes_before_looking(state, model):
    named = _without_masks(_without_head(_own_names(state)))
    tensors = {n: t.mT if n.endswith(TRANSPOSED) else t for n, t in named.items()}
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "The fault was found before anything was filled in, but raised as another kind of error. Asked "
    "for is a ValueError, so that whoever calls can wait for that one and for nothing else: "
    "`raise ValueError(...)`."
)
def raises_another_kind_of_error(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError as error:
        raise KeyError(str(error)) from error


@load_released.variant(raises_another_kind_of_error)
def raises_an_assertion_error(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError as error:
        raise AssertionError(str(error)) from error


@load_released.variant(raises_another_kind_of_error)
def raises_a_runtime_error(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError as error:
        raise RuntimeError(str(error)) from error


@load_released.variant(raises_another_kind_of_error)
def raises_a_key_error_over_what_is_missing(state, model):
    tensors = _converted(state)
    if missing := [n for n, _ in model.named_parameters() if n not in tensors]:
        raise KeyError(f"missing: {missing}")
    return _checked_and_copied(tensors, model)


@load_released.variant(raises_another_kind_of_error)
def raises_a_key_error_over_names(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise KeyError(f"missing or extra: {wrong}")
    return _checked_and_copied(tensors, model)


@load_released.variant(raises_another_kind_of_error)
def asserts_that_nothing_is_missing(state, model):
    tensors = _converted(state)
    for name, _ in model.named_parameters():
        assert name in tensors, name
    return _checked_and_copied(tensors, model)


@load_released.variant(raises_another_kind_of_error)
def asserts_that_the_names_are_the_same(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    wrong = tensors.keys() ^ parameters.keys()
    assert not wrong, wrong
    return _checked_and_copied(tensors, model)


@load_released.variant(raises_another_kind_of_error)
def asserts_that_the_shapes_are_the_same(state, model):
    tensors = _converted(state)
    for name, p in model.named_parameters():
        assert name not in tensors or tensors[name].shape == p.shape, name
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "Over a checkpoint with a fault nothing was raised. It may have been printed, and the model is "
    "as it was; but whoever called goes on as if it were filled, and finds out late. Raise it: "
    "`raise ValueError(...)`."
)
def raises_nothing(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError:
        return model


@load_released.misconception(
    "An error is raised, and it does not say over which tensor. GPT-2 has 148 of them: put the "
    "name of the one at fault into the message, as it stands in the checkpoint or in the model."
)
def does_not_say_which_tensor(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError as error:
        raise ValueError("the checkpoint does not fit the model") from error


@load_released.variant(does_not_say_which_tensor)
def does_not_say_which_tensor_where_names_differ(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if tensors.keys() != parameters.keys():
        raise ValueError(f"{len(parameters)} tensors are needed, got {len(tensors)}")
    return _checked_and_copied(tensors, model)


@load_released.variant(does_not_say_which_tensor)
def counts_the_tensors_and_says_no_name(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if len(tensors) != len(parameters):
        raise ValueError(f"{len(tensors)} tensors, not {len(parameters)}")
    return _checked_and_copied(tensors, model)


@load_released.variant(does_not_say_which_tensor)
def does_not_say_which_tensor_is_missing(state, model):
    tensors = _converted(state)
    if any(name not in tensors for name, _ in model.named_parameters()):
        raise ValueError("a tensor is missing")
    return _checked_and_copied(tensors, model)


@load_released.variant(does_not_say_which_tensor)
def does_not_say_which_tensor_is_extra(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if any(name not in parameters for name in tensors):
        raise ValueError("a tensor is extra")
    return _checked_and_copied(tensors, model)


@load_released.variant(does_not_say_which_tensor)
def does_not_say_which_shape_differs(state, model):
    tensors = _converted(state)
    if any(n in tensors and tensors[n].shape != p.shape for n, p in model.named_parameters()):
        raise ValueError("a shape differs")
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "The message lists all names that there are, of the model or of the checkpoint, and the reader "
    "has to find the one that is at fault: say that one."
)
def lists_all_names(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if tensors.keys() != parameters.keys():
        raise ValueError(f"needed: {list(parameters)}; got: {list(tensors)}")
    return _checked_and_copied(tensors, model)


@load_released.variant(lists_all_names)
def lists_all_that_the_model_needs(state, model):
    try:
        return _checked_and_copied(_converted(state), model)
    except ValueError as error:
        raise ValueError(f"needed: {[name for name, _ in model.named_parameters()]}") from error


@load_released.variant(lists_all_names)
def lists_all_names_where_one_is_missing(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if any(name not in tensors for name in parameters):
        raise ValueError(f"missing: one of {list(parameters)}")
    return _checked_and_copied(tensors, model)


@load_released.variant(lists_all_names)
def lists_all_names_where_their_number_differs(state, model):
    tensors, parameters = _converted(state), dict(model.named_parameters())
    if len(tensors) != len(parameters):
        raise ValueError(f"got {list(tensors)}")
    return _checked_and_copied(tensors, model)


# What is returned, and whose memory it is --------------------------------------------------------


@load_released.misconception(
    "The checkpoint's tensors themselves became the model's parameters: training the model would "
    "change the checkpoint, and the other way round. Copy the numbers: `parameter.copy_(tensor)`."
)
def shares_the_memory_of_the_checkpoint(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    for name, parameter in model.named_parameters():
        parameter.data = tensors[name].to(parameter.dtype)
    return model


@load_released.variant(shares_the_memory_of_the_checkpoint)
def shares_the_memory_and_takes_over_the_type(state, model):
    model.load_state_dict(_names_and_shapes_fit(_converted(state), model), assign=True)
    return model


@load_released.misconception(
    "The parameters have taken over the type of the checkpoint. A model of float32 stays one "
    "whatever the file holds: `parameter.copy_(tensor)` converts, and `tensor.to(parameter.dtype)` "
    "does."
)
def takes_over_the_type_of_the_checkpoint(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    for name, parameter in model.named_parameters():
        parameter.data = tensors[name].clone()
    return model


@load_released.misconception(
    "New parameters were put in the place of those that the model had. An optimiser that holds the "
    "old ones would go on changing them, and the model would learn nothing. Write the numbers into "
    "the parameters that are there: `parameter.copy_(tensor)`, or load_state_dict without "
    "assign=True."
)
def puts_new_parameters_in_the_place_of_the_old(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    made = {n: tensors[n].to(p.dtype, copy=True) for n, p in model.named_parameters()}
    model.load_state_dict(made, assign=True)
    return model


@load_released.variant(takes_over_the_type_of_the_checkpoint)
def takes_over_the_type_with_new_parameters(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    clones = {name: tensor.clone() for name, tensor in tensors.items()}
    model.load_state_dict(clones, assign=True)
    return model


@load_released.misconception(
    "All numbers went through 16 bits on their way, which keeps about three digits of each. "
    "`parameter.copy_(tensor)` goes from the type of the file to that of the model, with none in "
    "between."
)
def rounds_to_16_bits(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    return _copied({name: tensor.half() for name, tensor in tensors.items()}, model)


@load_released.variant(rounds_to_16_bits)
def rounds_to_bfloat16(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    return _copied({name: tensor.bfloat16() for name, tensor in tensors.items()}, model)


@load_released.misconception(
    "The model came back as float32, whatever it was before. The numbers are right; but a model of "
    "float64 or bfloat16 that is filled stays one."
)
def turns_the_model_into_float32(state, model):
    return _checked_and_copied(_converted(state), model).float()


@load_released.misconception(
    "Something was deleted from the caller's own dict. Whoever reads the checkpoint may need it "
    "once more: build a new dict, or work on a copy, `dict(state)`."
)
def deletes_from_the_callers_dict(state, model):
    tensors = _converted(state)
    if HEAD not in _without_head(_own_names(state)):
        state.pop(HEAD, None)
    for name in [n for n in state if n.endswith((".attn.bias", ".attn.masked_bias"))]:
        del state[name]
    return _checked_and_copied(tensors, model)


@load_released.variant(deletes_from_the_callers_dict)
def deletes_the_output_matrix_from_the_callers_dict(state, model):
    tensors = _converted(state)
    if HEAD not in _without_head(_own_names(state)):
        state.pop(HEAD, None)
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "The matrices were transposed inside the caller's own dict. A second load would turn them "
    "back: put what is transposed into a new dict."
)
def transposes_inside_the_callers_dict(state, model):
    tensors = _converted(state)
    for name in state:
        if name.endswith(TRANSPOSED) and state[name].ndim == 2:
            state[name] = state[name].mT
    return _checked_and_copied(tensors, model)


@load_released.misconception(
    "Another model was filled and returned, and the one that came in is as it was. Fill that one: "
    "others may hold it already, an optimiser for one."
)
def fills_another_model(state, model):
    return _checked_and_copied(_converted(state), copy.deepcopy(model))


@load_released.misconception(
    "What load_state_dict returns was returned: a report on the names, and not the model. Put "
    "`return model` on a line of its own."
)
def returns_what_load_state_dict_returns(state, model):
    return model.load_state_dict(_names_and_shapes_fit(_converted(state), model))


@load_released.misconception(
    "A parameter was changed in place while gradients were being recorded, and torch refuses that. "
    "Filling in is no part of any computation: put it under `with torch.no_grad():`."
)
def forgets_no_grad(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[name])
    return model


@load_released.misconception(
    "The model holds what it held before. `parameter = tensor` gives the name of the loop another "
    "meaning, and leaves the model alone: `parameter.copy_(tensor)` writes into it."
)
def gives_the_loop_variable_another_meaning(state, model):
    tensors = _names_and_shapes_fit(_converted(state), model)
    for name, parameter in model.named_parameters():
        parameter = tensors[name].to(parameter.dtype)
    return model


@load_released.misconception(
    "The parameters can no longer learn: requires_grad is False. Released weights are where "
    "further training begins, so leave it as it was."
)
def freezes_the_parameters(state, model):
    _checked_and_copied(_converted(state), model)
    return model.requires_grad_(False)


# Other right answers -----------------------------------------------------------------------------


@load_released.also_right
def checking_first_and_filling_after(state, model):
    matrices = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    tensors = {}
    for name, tensor in state.items():
        name = name.removeprefix("transformer.")
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        turn = name.endswith(matrices) and tensor.ndim == 2
        tensors[name] = tensor.T if turn else tensor
    if "lm_head.weight" in tensors and "wte.weight" in tensors:
        if torch.equal(tensors["lm_head.weight"], tensors["wte.weight"]):
            del tensors["lm_head.weight"]
    parameters = dict(model.named_parameters())
    if wrong := tensors.keys() ^ parameters.keys():
        raise ValueError(f"missing or extra: {', '.join(sorted(wrong))}")
    for name, parameter in parameters.items():
        if tensors[name].shape != parameter.shape:
            shapes = f"{tuple(tensors[name].shape)}, not {tuple(parameter.shape)}"
            raise ValueError(f"{name} has shape {shapes}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    return model


@load_released.also_right
def trying_it_on_a_copy(state, model):
    tensors = {name.removeprefix("transformer."): t for name, t in state.items()}
    head = tensors.get("lm_head.weight")
    if head is not None and torch.equal(head, tensors.get("wte.weight", head[:0])):
        del tensors["lm_head.weight"]
    for name in list(tensors):
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            del tensors[name]
        elif name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            if tensors[name].ndim == 2:
                tensors[name] = tensors[name].t()
    trial = copy.deepcopy(model)
    try:
        trial.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    model.load_state_dict(trial.state_dict())
    return model


@load_released.also_right
def asking_for_each_parameter(state, model):
    left = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    wte = left.get("wte.weight")
    if wte is not None and torch.equal(left.get("lm_head.weight", wte), wte):
        left.pop("lm_head.weight", None)
    for i in range(len(model.h)):
        left.pop(f"h.{i}.attn.bias", None)
        left.pop(f"h.{i}.attn.masked_bias", None)
    found = []
    for name, parameter in model.named_parameters():
        if name not in left:
            raise ValueError(f"{name} is missing")
        turned = parameter.ndim == 2 and name.startswith("h.")
        shape = parameter.shape[::-1] if turned else parameter.shape
        tensor = left.pop(name)
        if tensor.shape != shape:
            raise ValueError(f"{name} must have shape {tuple(shape)}")
        found.append((parameter, tensor.T if turned else tensor))
    if left:
        raise ValueError(f"{min(left)} is extra")
    for parameter, tensor in found:
        parameter.data.copy_(tensor)
    return model


@load_released.also_right
def putting_it_back_after_an_error(state, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors = {}
    for name, tensor in state.items():
        name = name.removeprefix("transformer.")
        if name.startswith("h.") and name.endswith("weight") and tensor.ndim == 2:
            tensor = tensor.transpose(0, 1)
        is_mask = name.split(".")[-2:] in (["attn", "bias"], ["attn", "masked_bias"])
        if not is_mask:
            tensors[name] = tensor
    if torch.equal(tensors.get("lm_head.weight", tensor[:0]), tensors.get("wte.weight", tensor)):
        tensors.pop("lm_head.weight")
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        model.load_state_dict(before)
        raise ValueError(f"the checkpoint does not fit: {error}") from error
    return model


EXERCISES = [load_released]
