"""Heads: where each column goes, and torch's own multi-head attention."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course.multihead import CausalSelfAttention, merge_heads, split_heads

B, NH, T, HS = 2, 3, 5, 7
C = NH * HS


def random_x(*shape, dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(*(shape or (B, T, C)), dtype=dtype)


def random_attention():
    """The module with weights large enough for attention to be far from uniform."""
    torch.manual_seed(1)
    attn = CausalSelfAttention(C, NH).double()
    for parameter in attn.parameters():
        nn.init.normal_(parameter, std=0.3)
    return attn


# split and merge


def test_split_by_hand():
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]]])
    head_0 = [[1.0, 2.0], [5.0, 6.0], [9.0, 10.0]]
    head_1 = [[3.0, 4.0], [7.0, 8.0], [11.0, 12.0]]
    assert split_heads(x, 2).tolist() == [[head_0, head_1]]


def test_head_h_gets_columns_from_h_times_hs():
    x = random_x()
    heads = split_heads(x, NH)
    assert heads.shape == (B, NH, T, HS)
    for h in range(NH):
        assert torch.equal(heads[:, h], x[:, :, h * HS : (h + 1) * HS])


def test_merge_puts_the_heads_side_by_side():
    heads = random_x(B, NH, T, HS)
    assert torch.equal(merge_heads(heads), torch.cat(list(heads.unbind(1)), dim=-1))


@pytest.mark.parametrize("n_head", [1, NH, HS, C])
def test_merge_undoes_split(n_head):
    x = random_x()
    assert torch.equal(merge_heads(split_heads(x, n_head)), x)


def test_split_and_merge_take_non_contiguous_input_and_leave_it():
    x = random_x().mT.contiguous().mT
    heads = random_x(B, NH, T, HS).mT.contiguous().mT
    assert not x.is_contiguous() and not heads.is_contiguous()
    assert torch.equal(split_heads(x, NH), split_heads(random_x(), NH))
    assert torch.equal(merge_heads(heads), merge_heads(random_x(B, NH, T, HS)))
    assert torch.equal(x, random_x()) and torch.equal(heads, random_x(B, NH, T, HS))


def test_split_and_merge_let_gradients_through():
    x = random_x(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: split_heads(x, 2), x)
    assert torch.autograd.gradcheck(lambda x: merge_heads(x[None]), x)


@pytest.mark.parametrize("n_head", [4, 0])
def test_heads_that_do_not_divide_the_width_are_refused(n_head):
    message = f"n_embd must be divisible by n_head, got 21 and {n_head}; try n_head="
    with pytest.raises(ValueError, match=message):
        split_heads(random_x(), n_head)
    with pytest.raises(ValueError, match=message):
        CausalSelfAttention(C, n_head)


# the module


def test_parameters_have_the_checkpoints_names():
    shapes = {name: tuple(p.shape) for name, p in CausalSelfAttention(C, NH).named_parameters()}
    assert shapes == {
        "c_attn.weight": (3 * C, C),
        "c_attn.bias": (3 * C,),
        "c_proj.weight": (C, C),
        "c_proj.bias": (C,),
    }


def test_attention_equals_torchs_multihead_attention():
    attn, x = random_attention(), random_x()
    peer = nn.MultiheadAttention(C, NH, batch_first=True).double()
    state = attn.state_dict()
    peer.load_state_dict(
        {
            "in_proj_weight": state["c_attn.weight"],
            "in_proj_bias": state["c_attn.bias"],
            "out_proj.weight": state["c_proj.weight"],
            "out_proj.bias": state["c_proj.bias"],
        }
    )
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    expected, _ = peer(x, x, x, attn_mask=hidden, need_weights=False)
    assert_close(attn(x), expected, rtol=0, atol=1e-12)
    assert_close(attn.float()(x.float()), expected.float(), rtol=0, atol=1e-5)


def test_the_first_position_reads_only_itself():
    attn, x = random_attention(), random_x()
    value = attn.c_attn(x[:, 0])[:, 2 * C :]
    assert_close(attn(x)[:, 0], attn.c_proj(value))


def test_future_positions_do_not_change_past_ones():
    attn, x = random_attention(), random_x()
    changed = x.clone()
    changed[:, 3:] += 1
    assert_close(attn(changed)[:, :3], attn(x)[:, :3])
    assert not torch.isclose(attn(changed)[:, 3:], attn(x)[:, 3:]).any()


def test_without_positions_the_order_of_the_past_is_invisible():
    attn, x = random_attention(), random_x()
    shuffled = x[:, [2, 0, 3, 1, 4]]
    assert_close(attn(shuffled)[:, -1], attn(x)[:, -1])


def test_a_batch_of_two_equals_two_batches_of_one():
    attn, x = random_attention(), random_x()
    assert_close(attn(x), torch.cat([attn(x[:1]), attn(x[1:])]))


def test_gradients_are_those_of_finite_differences():
    attn = CausalSelfAttention(4, 2).double()
    assert torch.autograd.gradcheck(attn, random_x(2, 3, 4).requires_grad_())


def test_input_may_be_non_contiguous_and_stays_as_it_was():
    attn, x = random_attention(), random_x().mT.contiguous().mT
    assert_close(attn(x), attn(random_x()))
    assert torch.equal(x, random_x())
