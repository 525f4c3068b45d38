"""What the checks of lesson 14 say, beyond the name of a mistake."""

import pytest
import torch

from gpt2course import checks
from gpt2course.checks import engine

ONE_MISSING = "a bias is missing"
FAULTS = "raise ValueError('; '.join(faults))"
REFUSES = "over a checkpoint with a fault it raises a ValueError that names a tensor at fault"
KEEPS = "after an error the model is as it was"


def answer(*edits):
    """The right answer that names all faults in one message, with some lines changed."""
    exercise = engine.find("load_released")
    titled = {right.title: right.source for right in exercise.right_answers}
    source = titled["all faults in one message"].replace('"; "', "'; '")
    for old, new in edits:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return exercise.build(source)


def run(*edits):
    return checks.run("load_released", answer(*edits))


def test_an_untransposed_square_matrix_raises_nothing_and_is_the_first_thing_shown():
    result = run(('"c_proj.weight"', '"mlp.c_proj.weight"'))
    assert result.status == "failed"
    assert result.case.label.startswith("the square matrix")
    assert "expected 3, got 2" in result.message


def test_words_with_which_a_sound_checkpoint_was_refused_are_quoted():
    message = run(("tensor = tensor.t()", "pass"), ("'; '", '"the file\'s tensors"')).message
    assert "ValueError: '" in message and 'the file"s tensors' in message
    assert "nothing is wrong with this checkpoint. It names h.0.attn.c_attn.weight." in message


def test_an_error_of_torch_over_a_sound_checkpoint_is_quoted_where_it_names_a_tensor():
    message = run(("tensor = tensor.t()", "pass"), (FAULTS, "pass")).message
    assert "RuntimeError: 'Error(s) in loading state_dict" in message
    assert "It names h.0.attn.c_attn.weight." in message


def test_a_fault_that_is_passed_over_is_told_as_such():
    result = run((FAULTS, "return model"))
    assert result.case.label == ONE_MISSING
    assert "expected 'ValueError', got 'nothing'" in result.message


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (ONE_MISSING, "without h.0.mlp.c_fc.bias"),
        ("a tensor that GPT-2 does not have", "…, score.weight (2, 6)>"),
        ("positions for a longer context", "…, wpe.weight (8, 6)>"),
    ],
)
def test_the_call_names_the_tensor_at_fault(label, told):
    exercise = engine.find("load_released")
    (case,) = (case for case in exercise.cases if case.label == label)
    assert told in exercise.call_text(case)


@pytest.mark.parametrize(
    ("edit", "refuses", "keeps"),
    [
        ((FAULTS, "return model"), False, True),
        ((FAULTS, "model.initialise(); " + FAULTS), True, False),
        (("'; '.join(faults)", "'bad checkpoint'"), False, True),
    ],
)
def test_properties_of_a_refusal_fail_each_for_its_own_reason(edit, refuses, keeps):
    claims = {prop.claim: prop.holds for prop in engine.find("load_released").properties}
    assert (claims[REFUSES](answer(edit)), claims[KEEPS](answer(edit))) == (refuses, keeps)


def test_rounded_numbers_are_in_their_places():
    rounded = "{n: t.double().round(decimals=3) for n, t in tensors.items()}"
    result = run(("load_state_dict(tensors)", f"load_state_dict({rounded})"))
    told = dict(result.properties)
    assert result.misconception is None
    assert told["the matrices of the blocks are transposed, the square one too"]
    assert told["all other tensors are as in the checkpoint"]


def test_a_model_that_changes_its_type_is_told_in_words_and_not_in_equal_pictures():
    message = run(("return model", "return model.float()")).message
    assert "type: expected 'float64', yours 'float32'" in message


def test_an_error_of_the_answers_own_shows_its_line_also_over_a_faulty_checkpoint():
    result = run((FAULTS, "raise ValueError(nmae)"))
    assert result.status == "error" and result.case.label == ONE_MISSING
    assert "raise ValueError(nmae)" in result.message and "NameError" in result.message


def test_the_target_fits_on_a_line():
    def load_released(state, model):
        raise NotImplementedError("your turn")

    result = checks.run("load_released", load_released)
    assert result.status == "not_started"
    assert "h.0.attn.c_proj.weight [[1.0, 3.0], [2.0, 4.0]]" in result.message
    assert len(result.message.splitlines()[-1]) < 250


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
