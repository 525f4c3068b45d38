"""LayerNorm against torch and by hand; the block against torch's own pre-norm layer."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from gpt2course.block import Block, LayerNorm, layer_norm

B, T, NH, C = 2, 5, 3, 12


def random_norm(*leading, dtype=torch.float64):
    torch.manual_seed(0)
    x = 2 + 3 * torch.randn(*leading, C, dtype=dtype)
    return x, torch.randn(C, dtype=dtype), torch.randn(C, dtype=dtype)


# layer_norm


def test_layer_norm_by_hand():
    x = torch.tensor([[1.0, 3.0], [10.0, 4.0]])  # deviations 1 and 3
    weight, bias = torch.tensor([2.0, 5.0]), torch.tensor([0.5, -1.0])
    expected = torch.tensor([[-1.5, 4.0], [2.5, -6.0]])
    assert_close(layer_norm(x, weight, bias, eps=0.0), expected)


@pytest.mark.parametrize("leading", [(), (4,), (2, 5), (2, 3, 4)])
def test_layer_norm_equals_torch(leading):
    x, weight, bias = random_norm(*leading)
    expected = F.layer_norm(x, (C,), weight, bias)
    assert_close(layer_norm(x, weight, bias), expected, rtol=0, atol=1e-12)
    assert_close(layer_norm(x, weight, bias, eps=0.1), F.layer_norm(x, (C,), weight, bias, 0.1))
    single = layer_norm(x.float(), weight.float(), bias.float())
    assert_close(single, expected.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("deviation", [1e-2, 1e-3, 0.0])
def test_eps_counts_where_the_variance_is_small(deviation):
    x, weight, bias = random_norm(B, T)
    x = deviation * x
    assert_close(layer_norm(x, weight, bias), F.layer_norm(x, (C,), weight, bias))


def test_float32_holds_for_a_mean_of_a_thousand():
    torch.manual_seed(0)
    x = 1e3 + torch.randn(4, 64)
    y = layer_norm(x, torch.ones(64), torch.zeros(64))
    assert_close(y.double(), F.layer_norm(x.double(), (64,)), rtol=0, atol=1e-3)
    assert_close(y, F.layer_norm(x, (64,)), rtol=0, atol=1e-3)


def test_normed_vectors_have_mean_zero_and_variance_one():
    x, *_ = random_norm(B, T)
    y = layer_norm(x, torch.ones(C).double(), torch.zeros(C).double(), eps=0.0)
    assert_close(y.mean(-1), torch.zeros(B, T).double())
    assert_close(y.square().mean(-1), torch.ones(B, T).double())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_is_kept(dtype):
    assert layer_norm(*random_norm(B, dtype=dtype)).dtype == dtype


def test_layer_norm_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(layer_norm, [part.requires_grad_() for part in random_norm(B)])


def test_layer_norm_takes_non_contiguous_input_and_leaves_it():
    x, weight, bias = random_norm(B, T)
    strided = x.mT.contiguous().mT
    assert not strided.is_contiguous()
    assert_close(layer_norm(strided, weight, bias), layer_norm(x, weight, bias))
    assert torch.equal(strided, x)


def test_the_module_starts_as_torchs_and_uses_its_parameters():
    x, weight, bias = random_norm(B, T)
    norm = LayerNorm(C).double()
    assert_close(norm(x), nn.LayerNorm(C).double()(x))
    norm.load_state_dict({"weight": weight, "bias": bias})
    assert_close(norm(x), F.layer_norm(x, (C,), weight, bias))


# the block


def random_block(n_embd=C, n_head=NH):
    torch.manual_seed(0)
    block = Block(n_embd, n_head).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    return block, torch.randn(B, T, n_embd, dtype=torch.float64)


def test_parts_have_the_checkpoints_names_in_order():
    assert [name for name, _ in Block(C, NH).named_children()] == ["ln_1", "attn", "ln_2", "mlp"]


def test_block_equals_torchs_pre_norm_layer():
    block, x = random_block()
    peer = nn.TransformerEncoderLayer(
        C,
        NH,
        4 * C,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True,
        norm_first=True,
    ).double()
    names = {
        "ln_1.": "norm1.",
        "attn.c_attn.": "self_attn.in_proj_",
        "attn.c_proj.": "self_attn.out_proj.",
        "ln_2.": "norm2.",
        "mlp.c_fc.": "linear1.",
        "mlp.c_proj.": "linear2.",
    }
    state = block.state_dict()
    kinds = ("weight", "bias")
    peer.load_state_dict({names[n] + kind: state[n + kind] for n in names for kind in kinds})
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    expected = peer(x, src_mask=hidden)
    assert_close(block(x), expected, rtol=0, atol=1e-11)
    assert_close(block.float()(x.float()), expected.float(), rtol=0, atol=1e-4)


def test_the_stream_passes_through_where_both_sub_layers_say_nothing():
    block, x = random_block()
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        nn.init.zeros_(projection.weight)
        nn.init.zeros_(projection.bias)
    assert torch.equal(block(x), x)


def test_future_positions_do_not_change_past_ones():
    block, x = random_block()
    changed = x.clone()
    changed[:, 3:] = torch.randn(B, 2, C)
    assert_close(block(changed)[:, :3], block(x)[:, :3])


def test_a_batch_of_two_equals_two_batches_of_one():
    block, x = random_block()
    assert_close(block(x), torch.cat([block(x[:1]), block(x[1:])]))


def test_block_gradients_are_those_of_finite_differences():
    block, x = random_block(n_embd=4, n_head=2)
    assert torch.autograd.gradcheck(block, x.requires_grad_())


def test_block_leaves_its_input_as_it_was():
    block, x = random_block()
    strided = x.mT.contiguous().mT
    assert_close(block(strided), block(x))
    assert torch.equal(strided, x)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="got 12 and 5; try n_head=6"):
        Block(12, 5)
