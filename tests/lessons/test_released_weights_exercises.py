"""The checks of lesson 14, on answers that they do not list."""

import copy
import re

import pytest
import torch
from torch import nn

from gpt2course import checks, weights
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes

CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
ONE_MISSING = "a bias is missing"
REPLACED = "puts new parameters in the place of the old"


def converted(state):
    """The tensors as the model names and turns them."""
    return weights.released_to_ours(state)


def faults(tensors, model):
    """What is wrong with each tensor that is at fault, by name."""
    expected = {name: p.shape for name, p in model.named_parameters()}
    found = {name: "missing" for name in expected if name not in tensors}
    found |= {name: "extra" for name in tensors if name not in expected}
    for name in expected.keys() & tensors.keys():
        if tensors[name].shape != expected[name]:
            found[name] = f"of shape {tuple(tensors[name].shape)}"
    return found


# Right


class BadCheckpoint(ValueError):
    pass


def with_an_error_of_its_own_kind(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        name, fault = found.popitem()
        raise BadCheckpoint(f"{name} is {fault}")
    for name, p in model.named_parameters():
        p.data[:] = tensors[name]
    return model


def with_all_faults_and_all_names_in_the_message(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        own = [name for name, _ in model.named_parameters()]
        raise ValueError(f"{found}\nthe model has {own}\nthe checkpoint has {list(state)}")
    model.load_state_dict(tensors)
    return model


def with_all_names_before_the_fault(state, model):
    tensors, own = converted(state), [name for name, _ in model.named_parameters()]
    for name, fault in faults(tensors, model).items():
        raise ValueError(f"of {own} and {list(state)} one is {fault}: {name}")
    model.load_state_dict(tensors)
    return model


def with_data_of_its_own(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    for name, p in model.named_parameters():
        p.data = tensors[name].to(p.dtype, copy=True)
    return model.eval()


def swapped_in(state, model):
    """The same objects, with what is in them exchanged."""
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    for name, p in list(model.named_parameters()):
        torch.utils.swap_tensors(p, nn.Parameter(tensors[name].detach().to(p.dtype, copy=True)))
    return model


def by_way_of_numpy(state, model):
    tensors = {}
    for name, tensor in state.items():
        name = re.sub(r"^transformer\.", "", name)
        if re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):
            continue
        array = tensor.detach().numpy().copy()
        is_conv1d = re.fullmatch(r"h\.\d+\.\w+\.c_\w+\.weight", name)
        tensors[name] = torch.from_numpy(array.T if is_conv1d else array)
    head, wte = tensors.get("lm_head.weight"), tensors.get("wte.weight")
    if head is not None and wte is not None and head.shape == wte.shape and (head == wte).all():
        tensors.pop("lm_head.weight")
    for name, fault in sorted(faults(tensors, model).items()):
        raise ValueError(f"{name}: {fault}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            model.get_parameter(name).copy_(tensor)
    return model


def asking_for_the_names_of_hugging_face(state, model):
    prefix = "transformer." if any(n.startswith("transformer.") for n in state) else ""
    wanted = {prefix + name: p for name, p in model.named_parameters()}
    head, wte = state.get("lm_head.weight"), state.get(prefix + "wte.weight")
    ignored = {n for n in state if n.endswith((".attn.bias", ".attn.masked_bias"))}
    if head is not None and wte is not None and torch.equal(head, wte):
        ignored.add("lm_head.weight")
    if wrong := (set(state) - ignored) ^ set(wanted):
        raise ValueError(f"these differ: {wrong}")
    pairs = []
    for name, p in wanted.items():
        tensor = state[name]
        if name.endswith(CONV1D):
            if tensor.dim() != 2:
                raise ValueError(f"{name} must be a matrix")
            tensor = torch.einsum("io->oi", tensor)
        if list(tensor.shape) != list(p.shape):
            raise ValueError(f"{name} must be {list(p.shape)}")
        pairs.append((p, tensor))
    for p, tensor in pairs:
        p.data = tensor.to(p.dtype).clone(memory_format=torch.contiguous_format)
    return model


def asking_what_load_state_dict_reports(state, model):
    trial = copy.deepcopy(model)
    try:
        report = trial.load_state_dict(converted(state), strict=False)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if report.missing_keys or report.unexpected_keys:
        raise ValueError(f"{report.missing_keys} {report.unexpected_keys}")
    model.load_state_dict(trial.state_dict())
    return model


def gathering_before_filling(state, model):
    tensors = dict(converted(state))
    try:
        pairs = [(p, tensors.pop(name)) for name, p in model.named_parameters()]
    except KeyError as error:
        raise ValueError(f"missing: {error}") from error
    if tensors:
        raise ValueError(f"extra: {', '.join(tensors)}")
    names = [name for name, _ in model.named_parameters()]
    for name, (p, tensor) in zip(names, pairs, strict=True):
        if tensor.size() != p.size():
            raise ValueError(f"misshapen: {name}")
    with torch.no_grad():
        [p.copy_(tensor) for p, tensor in pairs]
    return model


def filling_what_state_dict_shares(state, model):
    own, tensors = model.state_dict(), converted(state)
    problems = [f"transformer.{name} is {fault}" for name, fault in faults(tensors, model).items()]
    if problems:
        raise ValueError("; ".join(problems[:3]))
    for name in own:
        own[name].copy_(tensors[name])
    return model


RIGHT = [
    with_an_error_of_its_own_kind,
    with_all_faults_and_all_names_in_the_message,
    with_all_names_before_the_fault,
    with_data_of_its_own,
    swapped_in,
    by_way_of_numpy,
    asking_for_the_names_of_hugging_face,
    asking_what_load_state_dict_reports,
    gathering_before_filling,
    filling_what_state_dict_shares,
]


@pytest.mark.parametrize("answer", RIGHT)
def test_right_answers_that_load_in_another_way_pass(answer):
    result = checks.run("load_released", answer)
    assert result.passed, result.message


# Wrong


def refusing(tensors, model):
    """Checked in words of this file's own, and then filled."""
    if found := faults(tensors, model):
        raise ValueError(f"the checkpoint's tensors at fault: {found}")
    model.load_state_dict(tensors)
    return model


def own_names(state):
    return {name.removeprefix("transformer."): tensor for name, tensor in state.items()}


def sound(named):
    """Without masks and output matrix."""
    named = {n: t for n, t in named.items() if not n.endswith((".attn.bias", ".attn.masked_bias"))}
    head, wte = named.get("lm_head.weight"), named.get("wte.weight")
    if head is not None and wte is not None and torch.equal(head, wte):
        del named["lm_head.weight"]
    return named


def turned(named, endings=CONV1D):
    return {n: t.T if n.endswith(endings) and t.ndim == 2 else t for n, t in named.items()}


def square_forgotten(state, model):
    return refusing(turned(sound(own_names(state)), (CONV1D[0], *CONV1D[2:])), model)


def turned_where_it_helps(state, model):
    tensors, shapes = sound(own_names(state)), {n: p.shape for n, p in model.named_parameters()}
    for name, t in tensors.items():
        if t.ndim == 2 and name in shapes and t.T.shape == shapes[name] != t.shape:
            tensors[name] = t.T
    return refusing(tensors, model)


def nothing_turned(state, model):
    return refusing(sound(own_names(state)), model)


def everything_turned(state, model):
    return refusing(turned(sound(own_names(state)), ("weight",)), model)


def viewed_instead(state, model):
    tensors = sound(own_names(state))
    for name in tensors:
        if name.endswith(CONV1D) and tensors[name].ndim == 2:
            tensors[name] = tensors[name].contiguous().view(*tensors[name].shape[::-1])
    return refusing(tensors, model)


def prefix_forgotten(state, model):
    return refusing(turned(sound(state)), model)


def twelve_letters_cut_off(state, model):
    return refusing(turned(sound({name[12:]: t for name, t in state.items()})), model)


def head_never_left_out(state, model):
    named = {n: t for n, t in own_names(state).items() if "attn.bias" not in n or "c_attn" in n}
    return refusing(turned({n: t for n, t in named.items() if "masked" not in n}), model)


def head_compared_by_identity(state, model):
    named = own_names(state)
    if named.get("lm_head.weight") is named.get("wte.weight"):
        named.pop("lm_head.weight", None)
    masks = (".attn.bias", ".attn.masked_bias")
    return refusing(turned({n: t for n, t in named.items() if not n.endswith(masks)}), model)


def head_always_left_out(state, model):
    named = own_names(state)
    named.pop("lm_head.weight", None)
    return refusing(turned(sound(named)), model)


def masks_never_left_out(state, model):
    named = own_names(state)
    if "lm_head.weight" in sound(named) or "lm_head.weight" not in named:
        return refusing(turned(named), model)
    del named["lm_head.weight"]
    return refusing(turned(named), model)


def masks_by_a_part_of_their_name(state, model):
    named = {n: t for n, t in own_names(state).items() if "attn.bias" not in n}
    return refusing(turned(sound(named)), model)


def straight_to_load_state_dict(state, model):
    model.load_state_dict(converted(state))
    return model


def a_loop_and_no_check(state, model):
    tensors = converted(state)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(tensors[name])
    return model


def a_wrapped_load_state_dict(state, model):
    try:
        model.load_state_dict(converted(state))
    except RuntimeError as error:
        raise ValueError(f"bad checkpoint: {error}") from error
    return model


def not_strict(state, model):
    model.load_state_dict(converted(state), strict=False)
    return model


def asserted(state, model):
    tensors = converted(state)
    found = faults(tensors, model)
    assert not found, f"at fault: {found}"
    model.load_state_dict(tensors)
    return model


def nameless(state, model):
    tensors = converted(state)
    if faults(tensors, model):
        raise ValueError("bad checkpoint")
    model.load_state_dict(tensors)
    return model


def assigned(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    model.load_state_dict(tensors, assign=True)
    return model


def cloned_in_its_own_type(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    clones = {name: tensor.clone() for name, tensor in tensors.items()}
    model.load_state_dict(clones, assign=True)
    return model


def a_model_of_its_own(state, model):
    return refusing(converted(state), type(model)(model.config).to(model.dtype))


def the_report(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    return model.load_state_dict(tensors)


def without_no_grad(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    for name, p in model.named_parameters():
        p.copy_(tensors[name])
    return model


def popped(state, model):
    tensors = converted(state)
    if "lm_head.weight" in state and "lm_head.weight" not in tensors:
        state.pop("lm_head.weight")
    return refusing(tensors, model)


def turned_in_place(state, model):
    tensors = {name: tensor.clone() for name, tensor in converted(state).items()}
    for name, tensor in state.items():
        if name.endswith(CONV1D) and tensor.ndim == 2:
            tensor.t_()
    return refusing(tensors, model)


def without_biases(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    keep = {name: tensor for name, tensor in tensors.items() if name.endswith("weight")}
    model.load_state_dict(keep, strict=False)
    return model


def the_first_block_alone(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    keep = {n: t for n, t in tensors.items() if not n.startswith("h.") or n.startswith("h.0.")}
    model.load_state_dict(keep, strict=False)
    return model


def the_first_block_in_all(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    model.load_state_dict({n: tensors[re.sub(r"h\.\d+", "h.0", n)] for n in tensors})
    return model


def queries_and_values_exchanged(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    for name in tensors:
        if "c_attn" in name:
            q, k, v = tensors[name].chunk(3)
            tensors[name] = torch.cat((v, k, q))
    model.load_state_dict(tensors)
    return model


def rounded_to_float16(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    model.load_state_dict({name: tensor.half() for name, tensor in tensors.items()})
    return model


def initialised_anew_before_the_error(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        model.initialise()
        raise ValueError(f"{found}")
    model.load_state_dict(tensors)
    return model


def silent(state, model):
    tensors = converted(state)
    if not faults(tensors, model):
        model.load_state_dict(tensors)
    return model


def printing_the_faults(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        print(found)
        return model
    model.load_state_dict(tensors)
    return model


def returning_true(state, model):
    refusing(converted(state), model)
    return True


def returning_nothing(state, model):
    refusing(converted(state), model)


def always_the_same_message(state, model):
    tensors = converted(state)
    if faults(tensors, model):
        raise ValueError(f"the model needs {[name for name, _ in model.named_parameters()]}")
    model.load_state_dict(tensors)
    return model


def only_the_first_row_of_the_head_compared(state, model):
    named = own_names(state)
    head, wte = named.get("lm_head.weight"), named.get("wte.weight")
    if head is not None and wte is not None and torch.equal(head[0], wte[0]):
        del named["lm_head.weight"]
    return refusing(turned(sound(named)), model)


def with_copies_in_the_place_of_parameters(state, model):
    tensors = converted(state)
    for name, fault in faults(tensors, model).items():
        raise ValueError(f"{name} is {fault}")
    for name, old in list(model.named_parameters()):
        owner, _, last = name.rpartition(".")
        new = nn.Parameter(tensors[name].detach().clone().to(old.dtype))
        setattr(model.get_submodule(owner), last, new)
    return model


def with_assigned_copies(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    copies = {n: tensors[n].to(p.dtype, copy=True) for n, p in model.named_parameters()}
    model.load_state_dict(copies, assign=True)
    return model.eval()


def the_first_axis_compared(state, model):
    tensors, own = converted(state), dict(model.named_parameters())
    for name in tensors.keys() ^ own.keys():
        raise ValueError(f"{name} has no partner")
    for name, p in own.items():
        if len(tensors[name]) != len(p):
            raise ValueError(f"{name} has {len(tensors[name])} rows")
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(tensors[name])
    return model


def squeezed_after_turning(state, model):
    return refusing({name: t.squeeze() for name, t in converted(state).items()}, model)


def unknown_biases_left_out(state, model):
    own = dict(model.named_parameters())
    named = {n: t for n, t in own_names(state).items() if n in own or "bias" not in n}
    return refusing(turned(sound(named)), model)


def unknown_attention_left_out(state, model):
    own = dict(model.named_parameters())
    named = {n: t for n, t in own_names(state).items() if n in own or ".attn." not in n}
    return refusing(turned(sound(named)), model)


def masks_known_by_their_axes(state, model):
    named = {n: t for n, t in own_names(state).items() if not (t.ndim == 4 or t.ndim == 0)}
    return refusing(turned(sound(named)), model)


def a_head_that_is_near(state, model):
    named = own_names(state)
    head, wte = named.get("lm_head.weight"), named.get("wte.weight")
    if head is not None and wte is not None and head.shape == wte.shape:
        if torch.allclose(head, wte, atol=1e-2):
            del named["lm_head.weight"]
    return refusing(turned(sound(named)), model)


def a_head_of_the_shape_of_wte(state, model):
    named = own_names(state)
    head, wte = named.get("lm_head.weight"), named.get("wte.weight")
    if head is not None and wte is not None and head.shape == wte.shape:
        del named["lm_head.weight"]
    return refusing(turned(sound(named)), model)


def the_last_part_after_the_prefix(state, model):
    named = {name.split("transformer.")[-1]: tensor for name, tensor in state.items()}
    return refusing(turned(sound(named)), model)


def the_prefix_replaced(state, model):
    named = {name.replace("transformer.", ""): tensor for name, tensor in state.items()}
    return refusing(turned(sound(named)), model)


def the_first_name_asked_for_the_prefix(state, model):
    first = next(iter(state)).startswith("transformer.")
    return refusing(turned(sound(own_names(state) if first else state)), model)


def a_count_and_no_name(state, model):
    tensors, own = converted(state), dict(model.named_parameters())
    if len(tensors) != len(own):
        raise ValueError(f"{len(tensors)} tensors, not {len(own)}")
    return refusing(tensors, model)


def one_of_all_is_missing(state, model):
    tensors, own = converted(state), dict(model.named_parameters())
    if any(name not in tensors for name in own):
        raise ValueError(f"missing: one of {list(own)}")
    return refusing(tensors, model)


def asserted_name_by_name(state, model):
    tensors = converted(state)
    for name, _ in model.named_parameters():
        if name not in tensors:
            assert False, name  # noqa: B011
    return refusing(tensors, model)


def blocks_too_many_left_out(state, model):
    tensors = converted(state)
    for name in list(tensors):
        if name.startswith("h.") and int(name.split(".")[1]) >= len(model.h):
            del tensors[name]
    return refusing(tensors, model)


def paired_by_order(state, model):
    tensors = converted(state)
    if found := faults(tensors, model):
        raise ValueError(f"{found}")
    for p, tensor in zip(model.parameters(), tensors.values(), strict=True):
        p.data.copy_(tensor)
    return model


def tables_turned(state, model):
    named, own = sound(own_names(state)), dict(model.named_parameters())
    tensors = turned(named, (*CONV1D, "wte.weight", "wpe.weight"))
    for name in tensors.keys() ^ own.keys():
        raise ValueError(f"{name} has no partner")
    for name, p in own.items():
        if tensors[name].shape != p.shape:
            raise ValueError(f"{name}: {tuple(tensors[name].shape)}")
    model.load_state_dict(tensors)
    return model


def a_model_of_float32(state, model):
    return refusing(converted(state), model).float()


def c_attn_bias_out_and_load_state_dict(state, model):
    named = {n: t for n, t in own_names(state).items() if not n.endswith("attn.bias")}
    model.load_state_dict(turned(sound(named)))
    return model


def c_attn_bias_out_and_load_state_dict_wrapped(state, model):
    named = {n: t for n, t in own_names(state).items() if "attn.bias" not in n}
    try:
        model.load_state_dict(turned(sound(named)))
    except RuntimeError as error:
        raise ValueError(f"does not fit: {error}") from error
    return model


WRONG = [
    (square_forgotten, "leaves the square matrix as it is"),
    (turned_where_it_helps, "transposes only what does not fit"),
    (nothing_turned, "forgets to transpose"),
    (everything_turned, "transposes every matrix"),
    (viewed_instead, "reshapes instead of transposing"),
    (prefix_forgotten, "forgets the prefix"),
    (twelve_letters_cut_off, "always expects a prefix"),
    (head_never_left_out, "stumbles over the output matrix"),
    (head_compared_by_identity, "stumbles over the output matrix"),
    (head_always_left_out, "leaves out an output matrix that differs"),
    (masks_never_left_out, "stumbles over the mask buffers"),
    (masks_by_a_part_of_their_name, "takes c attn bias for the mask"),
    (straight_to_load_state_dict, "leaves the checking to load state dict"),
    (a_loop_and_no_check, "leaves the checking to the lookup"),
    (a_wrapped_load_state_dict, "fills before all is checked"),
    (not_strict, "passes over what has no partner"),
    (asserted, "raises another kind of error"),
    (nameless, "does not say which tensor"),
    (assigned, "shares the memory of the checkpoint"),
    (cloned_in_its_own_type, "takes over the type of the checkpoint"),
    (a_model_of_its_own, "fills another model"),
    (the_report, "returns what load state dict returns"),
    (without_no_grad, "forgets no grad"),
    (popped, "changes its argument"),
    (turned_in_place, "changes its argument"),
    (without_biases, "skips the biases"),
    (always_the_same_message, "lists all names"),
    (the_first_block_alone, None),
    (the_first_block_in_all, None),
    (queries_and_values_exchanged, None),
    (rounded_to_float16, "rounds to 16 bits"),
    (initialised_anew_before_the_error, None),
    (silent, "raises nothing"),
    (printing_the_faults, "raises nothing"),
    (returning_true, None),
    (returning_nothing, None),
    (with_copies_in_the_place_of_parameters, REPLACED),
    (with_assigned_copies, REPLACED),
    (the_first_axis_compared, "compares the first axis alone"),
    (squeezed_after_turning, "squeezes axes away"),
    (unknown_biases_left_out, "leaves out more than the masks"),
    (unknown_attention_left_out, "leaves out more than the masks"),
    (masks_known_by_their_axes, "leaves out more than the masks"),
    (a_head_that_is_near, "takes a near output matrix for an equal one"),
    (a_head_of_the_shape_of_wte, "leaves out an output matrix that differs"),
    (the_last_part_after_the_prefix, "takes the prefix out of the middle of a name"),
    (the_prefix_replaced, "takes the prefix out of the middle of a name"),
    (the_first_name_asked_for_the_prefix, "forgets the prefix"),
    (a_count_and_no_name, "does not say which tensor"),
    (one_of_all_is_missing, "lists all names"),
    (asserted_name_by_name, "raises another kind of error"),
    (blocks_too_many_left_out, "passes over what is extra"),
    (paired_by_order, "transposes every matrix"),
    (tables_turned, "transposes every matrix"),
    (a_model_of_float32, "turns the model into float32"),
    (c_attn_bias_out_and_load_state_dict, "takes c attn bias for the mask"),
    (c_attn_bias_out_and_load_state_dict_wrapped, "takes c attn bias for the mask"),
    (only_the_first_row_of_the_head_compared, "leaves out an output matrix that differs"),
]


@pytest.mark.parametrize(("answer", "mistake"), WRONG)
def test_wrong_answers_fail_under_the_name_of_their_mistake(answer, mistake):
    result = checks.run("load_released", answer)
    assert not result.passed
    if mistake:
        assert result.misconception == mistake


def test_an_untransposed_square_matrix_raises_nothing_and_is_the_first_thing_shown():
    result = checks.run("load_released", turned_where_it_helps)
    assert result.status == "failed"
    assert result.case.label.startswith("the square matrix")
    assert "expected 3, got 2" in result.message


def test_words_with_which_a_sound_checkpoint_was_refused_are_quoted():
    message = checks.run("load_released", nothing_turned).message
    assert "ValueError: 'the checkpoint\"s tensors at fault" in message
    assert "nothing is wrong with this checkpoint. It names h.0.attn.c_attn.weight." in message


def test_a_fault_that_is_passed_over_is_told_as_such():
    result = checks.run("load_released", silent)
    assert result.case.label == ONE_MISSING
    assert "expected 'ValueError', got 'nothing'" in result.message


def test_properties_of_a_refusal_fail_each_for_its_own_reason():
    claims = {prop.claim: prop.holds for prop in engine.find("load_released").properties}
    refuses = claims[
        "over a checkpoint with a fault it raises a ValueError that names a tensor at fault"
    ]
    keeps = claims["after an error the model is as it was"]
    assert keeps(silent) and not refuses(silent)
    assert refuses(initialised_anew_before_the_error) and keeps(nameless)
    assert not refuses(nameless) and not keeps(fills_first)


def fills_first(state, model):
    model.wte.weight.data.zero_()
    return refusing(converted(state), model)


def test_rounded_numbers_are_in_their_places():
    def answer(state, model):
        tensors = converted(state)
        if found := faults(tensors, model):
            raise ValueError(f"{found}")
        model.load_state_dict({name: t.double().round(decimals=3) for name, t in tensors.items()})
        return model

    result = checks.run("load_released", answer)
    told = dict(result.properties)
    assert result.misconception is None
    assert told["the matrices of the blocks are transposed, the square one too"]
    assert told["all other tensors are as in the checkpoint"]
    assert not told["no number is rounded more than the model's type rounds it"]


def test_a_model_that_changes_its_type_is_told_in_words_and_not_in_equal_pictures():
    message = checks.run("load_released", a_model_of_float32).message
    assert "type: expected 'float64', yours 'float32'" in message


def test_an_error_of_the_answers_own_shows_its_line_also_over_a_faulty_checkpoint():
    def answer(state, model):
        tensors = converted(state)
        if faults(tensors, model):
            raise ValueError(nmae)
        model.load_state_dict(tensors)
        return model

    result = checks.run("load_released", answer)
    assert result.status == "error" and result.case.label == ONE_MISSING
    assert "raise ValueError(nmae)" in result.message and "NameError" in result.message


def test_a_missing_return_is_said_to_be_one():
    assert "what stands behind `return`" in checks.run("load_released", returning_nothing).message


def test_the_target_fits_on_a_line():
    def load_released(state, model):
        raise NotImplementedError

    result = checks.run("load_released", load_released)
    assert result.status == "not_started"
    assert "h.0.attn.c_proj.weight [[1.0, 3.0], [2.0, 4.0]]" in result.message
    assert len(result.message.splitlines()[-1]) < 200


def test_a_check_leaves_no_trace_in_the_next():
    """The models of a check are copies of one that is kept."""

    def spoils(state, model):
        model.h[0].attn.register_buffer("own", torch.ones(1))
        model.register_forward_hook(print)
        model.wte.weight.data.fill_(7.0)
        return model

    assert not checks.run("load_released", spoils).passed
    seen = []

    def looks(state, model):
        seen.append((len(list(model.buffers())), len(model._forward_hooks), model.wte.weight.max()))
        return model

    checks.run("load_released", looks)
    assert all(buffers == hooks == 0 and largest < 1 for buffers, hooks, largest in seen)
