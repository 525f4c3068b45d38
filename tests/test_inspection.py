"""Activations: every number on the way, the same that the model computes without being watched."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course.attention import blend_values
from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.mlp import gelu
from gpt2course.model import GPT2, output_logits
from gpt2course.multihead import merge_heads

SMALL = GPT2Config(n_layer=3, n_head=3, n_embd=15, n_ctx=11, vocab_size=61)
B, T = 2, 7


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = GPT2(SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model.double()


@pytest.fixture
def idx():
    return torch.randint(61, (B, T), generator=torch.Generator().manual_seed(0))


def test_logits_are_those_of_the_model(model, idx):
    assert torch.equal(activations(model, idx).logits, model(idx))


def test_each_part_follows_from_the_part_before(model, idx):
    found = activations(model, idx)
    assert_close(found.blocks[0].x, found.tokens + found.positions)
    for block, seen in zip(model.h, found.blocks, strict=True):
        assert_close(seen.attn_in, block.ln_1(seen.x))
        heads = blend_values(seen.weights, seen.v)
        assert_close(seen.attn_out, block.attn.c_proj(merge_heads(heads)))
        assert_close(seen.x_mid, seen.x + seen.attn_out)
        assert_close(seen.mlp_in, block.ln_2(seen.x_mid))
        assert_close(seen.mlp_out, block.mlp.c_proj(gelu(seen.mlp_hidden)))
        assert_close(seen.x_out, seen.x_mid + seen.mlp_out)
    for before, after in zip(found.blocks, found.blocks[1:], strict=False):
        assert after.x is before.x_out
    assert_close(found.final, model.ln_f(found.blocks[-1].x_out))
    assert_close(found.logits, output_logits(found.final, model.wte.weight))


def test_scores_and_weights_are_causal_and_the_weights_sum_to_one(model, idx):
    for seen in activations(model, idx).blocks:
        assert seen.weights.shape == seen.scores.shape == (B, 3, T, T)
        assert_close(seen.weights.sum(-1), torch.ones(B, 3, T).double())
        assert (seen.scores.isinf() == torch.ones(T, T, dtype=torch.bool).triu(1)).all()
        assert_close(seen.scores.softmax(-1), seen.weights)
        assert_close(seen.scores[:, :, 1, 0], (seen.q[:, :, 1] * seen.k[:, :, 0]).sum(-1) / 5**0.5)


def test_the_stream_has_a_state_before_the_first_block_and_after_each(model, idx):
    found = activations(model, idx)
    assert len(found.stream) == 4
    assert found.stream[0] is found.blocks[0].x and found.stream[3] is found.blocks[2].x_out


def test_nothing_listens_afterwards_even_after_an_error(model, idx):
    activations(model, idx)
    with pytest.raises(ValueError, match="n_ctx=11"):
        activations(model, torch.zeros(1, 12, dtype=torch.int64))
    assert not any(module._forward_hooks for module in model.modules())


def test_gradients_reach_every_part(model, idx):
    found = activations(model, idx)
    grads = torch.autograd.grad(
        found.logits.square().sum(),
        [found.stream[0], found.blocks[1].mlp_out, found.tokens],
        allow_unused=True,
    )
    assert all(grad.abs().sum() > 0 for grad in grads[:2])
    with torch.no_grad():
        assert not activations(model, idx).logits.requires_grad
