"""The whole model: counts, initialisation, causality, and what it refuses."""

import doctest
import math
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from inspect import unwrap

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from gpt2course.config import COURSE, RELEASED, GPT2Config
from gpt2course.model import (
    GPT2,
    check_idx,
    config_of,
    count_parameters,
    device_of,
    output_logits,
)

SMALL = GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=11, vocab_size=61)
B, T = 2, 7


def random_idx():
    torch.manual_seed(0)
    return torch.randint(SMALL.vocab_size, (B, T))


def random_model():
    """Weights so large that every part, biases too, moves the logits."""
    torch.manual_seed(1)
    model = GPT2(SMALL).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


# logits


def test_logits_by_hand():
    wte = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
    x = torch.tensor([[[5.0, 7.0]], [[1.0, 1.0]]])
    assert output_logits(x, wte).tolist() == [[[5.0, 14.0, 8.0]], [[1.0, 2.0, 2.0]]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_logits_are_dot_products_with_every_row(dtype):
    torch.manual_seed(0)
    x, wte = torch.randn(2, 3, 5, dtype=dtype), torch.randn(7, 5, dtype=dtype)
    logits = output_logits(x.mT.contiguous().mT, wte.T.contiguous().T)
    assert logits.dtype == dtype
    assert_close(logits, torch.einsum("btc,vc->btv", x, wte))


def test_logits_gradients_are_those_of_finite_differences():
    x, wte = torch.randn(2, 3, 5).double(), torch.randn(7, 5).double()
    assert torch.autograd.gradcheck(output_logits, (x.requires_grad_(), wte.requires_grad_()))


# parameters


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_released_models_have_their_known_number_of_parameters(name, count):
    with torch.device("meta"):
        model = GPT2(RELEASED[name])
    assert count_parameters(RELEASED[name]) == count
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("size", ["n_layer", "n_ctx", "vocab_size", "n_embd"])
def test_the_count_follows_every_size(size):
    config = replace(SMALL, **{size: 3 * getattr(SMALL, size)})
    with torch.device("meta"):
        model = GPT2(config)
    assert count_parameters(config) == sum(parameter.numel() for parameter in model.parameters())


def test_the_course_model_fits_in_five_megabytes():
    assert 4 * count_parameters(COURSE) < 5e6


def test_parameters_have_the_checkpoints_names():
    block = [
        "ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias",
        "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight", "ln_2.bias",
        "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias",
    ]  # fmt: skip
    expected = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
    expected += [f"h.{layer}.{name}" for layer in range(2) for name in block]
    model = GPT2(SMALL)
    assert sorted(model.state_dict()) == sorted(expected)
    assert isinstance(model.wte, nn.Embedding) and isinstance(model.wpe, nn.Embedding)
    assert model.config is SMALL


def test_the_output_matrix_is_the_token_table():
    model, idx = random_model(), random_idx()
    before = model(idx)
    unread = next(i for i in range(SMALL.vocab_size) if i not in idx)
    with torch.no_grad():
        model.wte.weight[unread] *= 3
    after = model(idx)
    assert_close(after[..., unread], 3 * before[..., unread])
    kept = [i for i in range(SMALL.vocab_size) if i != unread]
    assert_close(after[..., kept], before[..., kept])


# initialisation


def test_matrices_start_normal_and_residual_projections_scaled_down():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=8, n_head=2, n_embd=64, n_ctx=50, vocab_size=300))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            expected = 0.02 / 4 if "c_proj" in name else 0.02  # √(2 · 8 layers) = 4
            assert parameter.std().item() == pytest.approx(expected, rel=0.06), name
            assert abs(parameter.mean().item()) < 0.1 * expected, name
        else:
            start = 1.0 if name.endswith("weight") else 0.0
            assert (parameter == start).all(), name


def test_initialise_draws_anew_whatever_was_there():
    model = random_model()
    model.initialise()
    assert model.ln_f.weight.tolist() == [1.0] * 15
    assert model.h[1].mlp.c_fc.bias.tolist() == [0.0] * 60
    assert model.wte.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_narrow_model_may_start_from_larger_weights():
    model = random_model()
    model.initialise(std=0.05)
    assert model.wte.weight.std().item() == pytest.approx(0.05, rel=0.1)
    with pytest.raises(ValueError, match="std must be above 0 and finite, got 0"):
        model.initialise(std=0)


def test_the_same_seed_gives_the_same_model():
    models = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        models.append(GPT2(SMALL)(random_idx()))
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        COURSE,
        GPT2Config(n_layer=1, n_head=12, n_embd=768, n_ctx=64, vocab_size=5003),
        GPT2Config(n_layer=24, n_head=2, n_embd=32, n_ctx=64, vocab_size=307),
    ],
    ids=["small", "course", "wide", "deep"],
)
@torch.no_grad()
def test_the_first_loss_is_near_ln_of_the_vocabulary(config):
    for seed in range(2):
        torch.manual_seed(seed)
        idx = torch.randint(config.vocab_size, (3, config.n_ctx))
        logits = GPT2(config)(idx)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), idx[:, 1:].flatten())
        assert loss.item() == pytest.approx(math.log(config.vocab_size), abs=0.5)


# what the logits depend on


def test_future_tokens_do_not_change_past_logits():
    model, idx = random_model(), random_idx()
    logits = model(idx)
    for t in range(1, T):
        changed = idx.clone()
        changed[:, t:] = (changed[:, t:] + 1) % SMALL.vocab_size
        after = model(changed)
        assert_close(after[:, :t], logits[:, :t])
        assert not torch.isclose(after[:, t], logits[:, t]).all()


def test_a_longer_prompt_keeps_the_logits_of_its_beginning():
    model, idx = random_model(), random_idx()
    assert_close(model(idx)[:, :3], model(idx[:, :3]))


def test_a_batch_of_two_equals_two_batches_of_one():
    model, idx = random_model(), random_idx()
    assert_close(model(idx), torch.cat([model(idx[:1]), model(idx[1:])]))


def test_the_order_of_the_past_matters():
    model = random_model()
    idx, shuffled = torch.tensor([[3, 14, 15, 9]]), torch.tensor([[15, 3, 14, 9]])
    assert not torch.isclose(model(idx)[:, -1], model(shuffled)[:, -1]).any()


def test_one_layer_without_positions_cannot_see_the_order_of_the_past():
    """More layers can: under the causal mask the first layer's results depend on the order."""
    model = random_model()
    idx, shuffled = torch.tensor([[3, 14, 15, 9]]), torch.tensor([[15, 3, 14, 9]])
    nn.init.zeros_(model.wpe.weight)
    assert not torch.isclose(model(idx)[:, -1], model(shuffled)[:, -1]).any()
    del model.h[1]
    assert_close(model(idx)[:, -1], model(shuffled)[:, -1])


def test_every_parameter_learns():
    model, idx = random_model(), random_idx()
    F.cross_entropy(model(idx).flatten(0, 1), idx.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert (model.wpe.weight.grad[T:] == 0).all()


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=1, n_head=2, n_embd=4, n_ctx=3, vocab_size=5)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    names, values = zip(*model.named_parameters(), strict=True)
    idx = torch.tensor([[4, 0, 2]])

    def logits(*values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), idx)

    assert torch.autograd.gradcheck(logits, values)


# forms of the model


def test_float32_is_close_to_float64_and_keeps_its_dtype():
    model, idx = random_model(), random_idx()
    exact = model(idx)
    single = deepcopy(model).float()(idx)
    assert (exact.dtype, single.dtype) == (torch.float64, torch.float32)
    assert_close(single.double(), exact, rtol=0, atol=1e-4)


def test_bfloat16_gives_finite_bfloat16_logits():
    logits = GPT2(SMALL).bfloat16()(random_idx())
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


def test_weights_travel_through_a_state_dict():
    model, other, idx = random_model(), GPT2(SMALL).double(), random_idx()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(idx), model(idx))


def test_a_module_is_where_its_parameters_are_and_anything_else_on_the_cpu():
    assert device_of(nn.Linear(2, 3, device="meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == device_of(len) == torch.device("cpu")


def test_a_model_without_sizes_is_told_to_have_them():
    assert config_of(random_model()) == SMALL
    with pytest.raises(TypeError, match="sizes as `config`, and Linear has none; set self.config"):
        config_of(nn.Linear(2, 3))


def test_the_model_works_on_the_device_of_its_weights():
    with torch.device("meta"):
        model, idx = GPT2(SMALL), torch.zeros(B, T, dtype=torch.int64)
    logits = model(idx)
    assert (logits.device.type, tuple(logits.shape)) == ("meta", (B, T, 61))


def test_ids_may_be_int32_or_strided_and_stay_as_they_were():
    model, idx = random_model(), random_idx()
    strided = idx.T.contiguous().T
    assert not strided.is_contiguous()
    assert_close(model(strided), model(idx))
    assert_close(model(idx.int()), model(idx))
    assert torch.equal(strided, random_idx())


def test_one_token_and_a_full_context_are_both_fine():
    model = random_model()
    assert model(torch.tensor([[60]])).shape == (1, 1, 61)
    assert model(torch.zeros(1, 11, dtype=torch.int64)).shape == (1, 11, 61)


# what it refuses


def test_more_than_n_ctx_tokens_are_refused_with_a_remedy():
    idx = torch.zeros(1, 12, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"n_ctx=11 tokens fit, got 12; try idx\[:, -11:\]"):
        GPT2(SMALL)(idx)


@pytest.mark.parametrize("bad", [-1, 61])
def test_ids_outside_the_vocabulary_are_refused_with_the_range(bad):
    with pytest.raises(IndexError, match=f"in 0 to 60, got {min(bad, 5)} to {max(bad, 5)}; encode"):
        GPT2(SMALL)(torch.tensor([[5, bad]]))


def refuses(idx, error, message):
    """The model raises, and for the reason given, also where jaxtyping's hook comes first."""
    with pytest.raises((error, TypeError)):
        GPT2(SMALL)(idx)
    with pytest.raises(error, match=message):
        unwrap(check_idx)(idx, n_ctx=11)
    return True


@pytest.mark.parametrize(
    ("idx", "kind"),
    [
        (torch.zeros(1, 3), "torch.float32"),
        (torch.zeros(1, 3, dtype=torch.bool), "torch.bool"),
        (torch.zeros(1, 3, dtype=torch.uint8), "torch.uint8"),
        ([1, 2, 3], "list"),
    ],
)
def test_what_is_no_tensor_of_ids_is_refused(idx, kind):
    assert refuses(idx, TypeError, rf"int64 token ids, got {kind}; try torch.tensor\(\[ids\]\)")


@pytest.mark.parametrize("targets", [torch.zeros(1, 1), torch.ones(1, 2)])
def test_targets_are_not_taken_for_a_cache(targets):
    with pytest.raises(TypeError, match=r"must be a KVCache or None, got Tensor; .* no targets"):
        unwrap(GPT2.hidden)(GPT2(SMALL), torch.tensor([[5, 6]]), targets.long())


@pytest.mark.parametrize("shape", [(), (4,), (1, 2, 3)])
def test_ids_that_are_no_batch_are_refused_with_a_remedy(shape):
    idx = torch.zeros(shape, dtype=torch.int64)
    assert refuses(idx, ValueError, r"idx must be \(B, T\), got \(.*\); try idx\[None\]")


# the examples in docstrings


@pytest.mark.parametrize("stem", ["attention", "embedding", "model"])
def test_docstring_examples_hold(stem):
    result = doctest.testmod(import_module(f"gpt2course.{stem}"))
    assert result.attempted > 0
    assert result.failed == 0
