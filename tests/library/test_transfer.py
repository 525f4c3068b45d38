"""One model, another task: options and their scores, frozen blocks, low-rank updates."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from gpt2course import corpus
from gpt2course.config import GPT2Config
from gpt2course.corpus.lexicon import THINGS
from gpt2course.model import GPT2
from gpt2course.tasks import LowRank, freeze, option_score

CONFIG = GPT2Config(n_layer=3, n_head=2, n_embd=8, n_ctx=11, vocab_size=13)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = GPT2(CONFIG)
    model.initialise(0.3)
    return model


def table(rows):
    """A model whose next token depends on the last one alone, by rows of probabilities."""
    logits = torch.tensor(rows, dtype=torch.float64).log()

    def model(idx):
        return logits[idx]

    model.config = SimpleNamespace(n_ctx=100)
    return model


# option_score -----------------------------------------------------------------------------------


def test_a_score_worked_by_hand():
    model = table([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    assert option_score(model, [0, 1], [2]) == pytest.approx(math.log(0.7))
    assert option_score(model, [0], [1, 2, 0]) == pytest.approx(math.log(0.25 * 0.7 * 0.3))


def test_all_options_of_one_length_together_have_probability_1(model):
    pairs = [[a, b] for a in range(13) for b in range(13)]
    total = sum(math.exp(option_score(model, [3, 7, 2], pair)) for pair in pairs)
    assert total == pytest.approx(1, abs=1e-5)


def test_a_score_is_the_sum_of_the_scores_of_its_parts(model):
    whole = option_score(model, [3, 7], [2, 5, 1])
    parts = option_score(model, [3, 7], [2]) + option_score(model, [3, 7, 2], [5, 1])
    assert whole == pytest.approx(parts, abs=1e-5)


def test_a_long_option_has_a_finite_score():
    model = table([[0.999, 0.001], [0.5, 0.5]])
    assert option_score(model, [0], [1] * 70) == pytest.approx(math.log(0.001) + 69 * math.log(0.5))


def test_prompt_and_option_may_fill_the_context(model):
    assert math.isfinite(option_score(model, [1] * 6, [2] * 5))


@pytest.mark.parametrize(
    ("prompt", "option", "at_fault"), [([1], [], "option"), ([], [1], "prompt")]
)
def test_an_option_or_a_prompt_of_no_tokens_is_refused(model, prompt, option, at_fault):
    with pytest.raises(ValueError, match=f"{at_fault} must hold at least one token, got none"):
        option_score(model, prompt, option)


# freeze -----------------------------------------------------------------------------------------


def learning(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("n_frozen", [0, 1, 3])
def test_the_first_blocks_and_the_tables_are_frozen(model, n_frozen):
    assert freeze(model, n_frozen) is model
    names = [name for name, _ in model.named_parameters()]
    frozen = ("wte.", "wpe.", *(f"h.{i}." for i in range(n_frozen)))
    assert learning(model) == {name for name in names if not name.startswith(frozen)}


def test_freezing_again_with_another_number_starts_afresh(model):
    assert learning(freeze(freeze(model, 3), 1)) == learning(freeze(GPT2(CONFIG), 1))


def test_what_is_frozen_stays_as_it_is_in_training(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    learns = learning(freeze(model, 2))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model(torch.arange(10)[None]).square().mean().backward()
    optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == learns


@pytest.mark.parametrize("n_frozen", [-1, 4])
def test_a_number_of_blocks_that_the_model_lacks_is_refused(model, n_frozen):
    with pytest.raises(ValueError, match=f"between 0 and the model's 3 blocks, got {n_frozen}"):
        freeze(model, n_frozen)


# LowRank ----------------------------------------------------------------------------------------


def low_rank(n_in=5, n_out=7, rank=2, scale=1.5, bias=True, dtype=torch.float64):
    torch.manual_seed(1)
    layer = LowRank(torch.nn.Linear(n_in, n_out, bias, dtype=dtype), rank, scale)
    with torch.no_grad():
        layer.B.normal_()
    return layer


def test_at_first_the_outputs_are_those_of_the_layer():
    linear, x = torch.nn.Linear(5, 7), torch.randn(2, 3, 5)
    assert torch.equal(LowRank(linear, 2, 1.5)(x), linear(x))


def test_an_update_worked_by_hand():
    linear = torch.nn.Linear(2, 2, bias=False)
    layer = LowRank(linear, 1, 10.0)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2))
        layer.A.copy_(torch.tensor([[1.0, 2.0]]))
        layer.B.copy_(torch.tensor([[3.0], [-1.0]]))
    # A x = 1 · 1 + 2 · 1 = 3, B A x = (9, -3)
    assert layer(torch.ones(2)).tolist() == [1 + 90, 1 - 30]


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_a_linear_layer_with_the_matrix_w_plus_scale_b_a(bias):
    layer, x = low_rank(bias=bias), torch.randn(2, 3, 5, dtype=torch.float64)
    matrix = layer.linear.weight + 1.5 * layer.B @ layer.A
    assert_close(layer(x), torch.nn.functional.linear(x, matrix, layer.linear.bias))


@pytest.mark.parametrize("bias", [True, False])
def test_the_merged_layer_has_the_same_outputs_and_shares_nothing(bias):
    layer, x = low_rank(bias=bias), torch.randn(2, 3, 5, dtype=torch.float64)
    want, merged = layer(x), layer.merged()
    assert type(merged) is torch.nn.Linear and (merged.bias is not None) == bias
    assert_close(merged(x), want)
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter.zero_()
    assert_close(layer(x), want)


def test_the_layer_is_kept_and_frozen_and_a_and_b_learn():
    linear = torch.nn.Linear(5, 7)
    layer = LowRank(linear, 2, 1.0)
    assert layer.linear is linear
    assert learning(layer) == {"A", "B"}
    assert (layer.A.shape, layer.B.shape) == ((2, 5), (7, 2))


def test_the_update_has_at_most_the_rank_asked_for():
    layer = low_rank(rank=3)
    update = layer.merged().weight - layer.linear.weight
    assert torch.linalg.matrix_rank(update).item() == 3


def test_training_moves_b_at_first_and_a_with_it():
    layer = LowRank(torch.nn.Linear(5, 7), 2, 1.0)
    layer(torch.randn(4, 5)).square().sum().backward()
    assert layer.B.grad.abs().min() > 0 and not layer.A.grad.any()  # B is 0, so A waits for it


def test_a_whole_model_trains_and_merges_to_the_same_logits(model):
    idx = torch.arange(9)[None]
    for block in model.h:
        block.mlp.c_fc = LowRank(block.mlp.c_fc, 2, 2.0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(idx).square().mean().backward()
        optimizer.step()
    want = model(idx)
    for block in model.h:
        block.mlp.c_fc = block.mlp.c_fc.merged()
    assert_close(model(idx), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rank", [0, -1, 6])
def test_a_rank_that_the_matrix_cannot_have_is_refused(rank):
    with pytest.raises(ValueError, match=rf"between 1 and 5, .* \(7, 5\) matrix, got {rank}"):
        LowRank(torch.nn.Linear(5, 7), rank, 1.0)


# The questions ----------------------------------------------------------------------------------


def test_the_verb_belongs_to_the_answer_and_to_no_other_thing():
    habits = {thing.name: thing.habits for thing in THINGS}
    for q in corpus.questions(300, seed=4):
        assert q.answer in q.options and q.options[0] != q.options[1]
        assert [name for name in q.options if q.verb in habits[name]] == [q.answer]
        assert all(f" {name} " in q.scene for name in q.options)
        assert q.scene.index(f" {q.options[0]} ") < q.scene.index(f" {q.options[1]} ")


def test_both_places_are_the_answer_about_equally_often():
    asked = corpus.questions(1000, seed=4)
    first = sum(q.answer == q.options[0] for q in asked)
    assert 450 < first < 550


def test_familiar_and_new_things_share_nothing_and_are_all():
    familiar, new = ({t.name for t in things} for things in (corpus.FAMILIAR, corpus.NEW))
    assert not familiar & new and len(familiar | new) == len(THINGS)
    names = {name for q in corpus.questions(200, 1, corpus.NEW) for name in q.options}
    assert names == new


def test_the_same_seed_gives_the_same_questions():
    assert corpus.questions(5, 1) == corpus.questions(50, 1)[:5] != corpus.questions(5, 2)


def test_one_thing_alone_leaves_nothing_to_ask():
    with pytest.raises(ValueError, match="at least two different ones, got 1"):
        corpus.questions(3, 1, THINGS[:1])
