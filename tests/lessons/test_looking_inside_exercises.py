"""What the checks of lesson 15 say, beyond the name of a mistake."""

import pytest
import torch
import torch.nn.functional as F

from gpt2course import checks
from gpt2course.checks import engine
from gpt2course.checks.attempt import expected_outcomes

NAMES = ("previous_token_score", "mean_attention", "logit_lens")
FROM_THE_NOTEBOOK = [
    """def previous_token_score(weights):
    total = torch.zeros_like(weights[:, :, 0, 0])
    for i in range(1, n):
        total = total + weights[:, :, i, i - 1]
    return total / (n - 1)""",
    """def previous_token_score(weights):
    return torch.diagonal(weights, -1, 2, 3).sum(dim=-1) / (n - 1)""",
    """def previous_token_score(weights):
    layers = [[weights[i, h].diagonal(-1).mean() for h in range(nh)] for i in range(L)]
    return torch.stack([torch.stack(heads) for heads in layers])""",
    """def previous_token_score(weights):
    total = torch.zeros(L, nh)
    for i in range(1, weights.shape[-1]):
        total = total + weights[:, :, i, i - 1]
    return total / (weights.shape[-1] - 1)""",
    """def mean_attention(weights, queries, keys):
    total = torch.zeros(L, nh, dtype=weights[0].dtype)
    for w, q, k in zip(weights, queries, keys):
        total += w[:, :, q, k].sum(-1)
    return total / len(weights)""",
    """def mean_attention(weights, queries, keys):
    total = 0
    for w, q, k in zip(weights, queries, keys):
        total = total + w[:, :, q, k].sum(-1)
    return total / n""",
]


@pytest.mark.parametrize("source", FROM_THE_NOTEBOOK)
def test_an_answer_that_reads_the_sizes_that_the_cells_leave_behind_is_told_so(source):
    notebook = {"__name__": "__main__", "torch": torch, "F": F, "n": 3, "L": 4, "nh": 4}
    exec(source, notebook)
    (name,) = (name for name in NAMES if name in notebook)
    result = checks.run(name, notebook[name])
    assert not result.passed
    assert result.misconception == "reads a variable of the notebook", result.message


@pytest.mark.parametrize("name", NAMES)
def test_a_right_answer_is_checked_in_a_tenth_of_a_second(name):
    reference = engine.find(name).reference
    checks.run(name, reference)
    assert min(checks.run(name, reference).seconds for _ in range(3)) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_layers_and_heads_or_stages_and_tokens_are_of_different_numbers_somewhere(name):
    outcomes = expected_outcomes(engine.find(name))
    shapes = [outcome.value.shape for outcome in outcomes if not isinstance(outcome.value, dict)]
    assert any(len({*shape}) == len(shape) for shape in shapes)


def test_the_target_names_layers_and_heads():
    def previous_token_score(weights):
        raise NotImplementedError("your turn")

    message = checks.run("previous_token_score", previous_token_score).message
    assert message.startswith("○") and "head 0" in message and "layer 0" in message
    assert "0.70" in message and "0.25" in message  # (0.8 + 0.6) / 2 and (0.5 + 0) / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_target_tells_the_numbers_of_small_arguments_and_the_shapes_of_large_ones(name):
    exercise = engine.find(name)
    first, large = (exercise.call_text(exercise.cases[i]) for i in (0, -1))
    told = {
        "previous_token_score": "previous_token_score(weights=[[[[1, 0, 0], [0.8, 0.2, 0], [0.1, ",
        "mean_attention": "[0.7, 0.3]]]]], queries=[2, 1], keys=[[1], [0]])",
        "logit_lens": "logit_lens(stream=[[[2, 4]], [[5, 1]]], weight=[2, 1], bias=[0, 1], wte=[[",
    }
    assert told[name] in first and "<(" not in first and "<(" in large


def test_the_small_case_of_mean_attention_can_be_followed_by_hand():
    case = engine.find("mean_attention").cases[0]
    expected = expected_outcomes(engine.find("mean_attention"))[0].value
    assert case.args[1:] == ([2, 1], [[1], [0]])
    assert torch.allclose(expected, torch.tensor([[(0.6 + 0.2) / 2, (0.0 + 0.7) / 2]]))


def test_the_small_case_of_the_lens_can_be_followed_by_hand():
    expected = expected_outcomes(engine.find("logit_lens"))[0].value
    by_hand = torch.tensor([[[-2.0, 2.0, 0.0]], [[2.0, 0.0, 2.0]]])  # (∓1, ±1) · (2, 1) + (0, 1)
    assert torch.allclose(expected, by_hand, atol=1e-4)


def test_an_unlisted_wrong_answer_is_told_what_holds_of_it():
    def stages_in_reverse(stream, weight, bias, wte):
        return (F.layer_norm(stream, weight.shape, weight, bias) @ wte.T).flip(0)

    def against_chance(weights, queries, keys):
        pairs = zip(weights, queries, keys, strict=True)
        shares = [w[:, :, q, k].sum(-1) * (q + 1) / len(k) for w, q, k in pairs]
        return torch.stack(shares).mean(0)

    held = dict(checks.run("logit_lens", stages_in_reverse).properties)
    assert held["every stage is treated alike: two equal stages give equal scores"]
    held = dict(checks.run("mean_attention", against_chance).properties)
    assert not held["every number lies between 0 and 1"]
