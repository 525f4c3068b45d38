"""Cheaper attention against torch's own under a mask, torch's convolution, and loops."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gpt2course.attention import masked_attention
from gpt2course.kv_cache import KVCache, cached_attention
from gpt2course.memory import (
    CompressedMemory,
    PatternedSelfAttention,
    compress_memory,
    compressed_attention,
    compressed_mask,
    local_attention,
    n_scores,
    reachable,
    read_mask,
    recurrent_attention,
)
from gpt2course.model import GPT2, GPT2Config
from gpt2course.multihead import CausalSelfAttention


def random_qkv(T=12, S=12, B=2, nh=3, hs=5):
    torch.manual_seed(0)
    return [torch.randn(B, nh, n, hs, dtype=torch.float64) for n in (T, S, S)]


def under_a_mask(q, k, v, may_read):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)


def places(T):
    return torch.arange(T)[:, None], torch.arange(T)


# local


def test_local_attention_by_hand():
    """With queries of zeros every key of the block so far has the same weight."""
    v = torch.tensor([[2.0, 0.0], [4.0, 2.0], [10.0, 0.0], [0.0, 6.0]])[None, None]
    y = local_attention(torch.zeros(1, 1, 4, 2), torch.ones(1, 1, 4, 2), v, block=2)
    assert_close(y[0, 0], torch.tensor([[2.0, 0.0], [3.0, 1.0], [10.0, 0.0], [5.0, 3.0]]))


@pytest.mark.parametrize("block", [1, 2, 3, 4, 6, 12])
def test_local_attention_is_attention_under_a_mask_of_blocks(block):
    q, k, v = random_qkv()
    i, j = places(12)
    expected = under_a_mask(q, k, v, (j <= i) & (i // block == j // block))
    assert_close(local_attention(q, k, v, block), expected)


def test_one_block_is_causal_attention():
    q, k, v = random_qkv()
    assert_close(local_attention(q, k, v, 12), masked_attention(q, k, v))


@pytest.mark.parametrize("block, larger, smaller", [(5, 15, 4), (24, 24, 12)])
def test_a_block_that_does_not_divide_is_refused(block, larger, smaller):
    said = f"got 12 and {block}; pad the positions to {larger}, or try block={smaller}"
    with pytest.raises(ValueError, match=f"T must be a multiple of block, {said}"):
        local_attention(*random_qkv(), block)
    with pytest.raises(ValueError, match="T must be a multiple of segment, got 12 and"):
        recurrent_attention(*random_qkv(), block)


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(size):
    with pytest.raises(ValueError, match=f"block must be at least 1, got {size}"):
        local_attention(*random_qkv(), size)
    with pytest.raises(ValueError, match=f"segment must be at least 1, got {size}"):
        recurrent_attention(*random_qkv(), size)
    with pytest.raises(ValueError, match=f"r must be at least 1, got {size}"):
        compressed_mask(4, 4, size)


# compression


def test_compress_memory_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])[None, None]
    weight = torch.tensor([[[1.0, 0.0], [0.0, 10.0]], [[0.0, 0.0], [1.0, -1.0]]])  # out, in, place
    # The first number: the first of the first key and ten times the second of the second; the
    # second number: the second of the first key less the second of the second.
    expected = torch.tensor([[1 + 40, 2 - 4], [5 + 80, 6 - 8]]) + torch.tensor([0.5, 0.25])
    assert_close(compress_memory(x, weight, torch.tensor([0.5, 0.25]))[0, 0], expected)


@pytest.mark.parametrize("r", [1, 2, 3, 4, 12])
def test_compress_memory_is_torchs_convolution(r):
    x = random_qkv()[0]
    weight, bias = torch.randn(5, 5, r, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    rows = x.reshape(6, 12, 5).transpose(1, 2)
    expected = F.conv1d(rows, weight, bias, stride=r).transpose(1, 2).reshape(2, 3, 12 // r, 5)
    assert_close(compress_memory(x, weight, bias), expected)


def test_a_stride_that_does_not_divide_is_refused():
    x, weight, bias = random_qkv()[0], torch.zeros(5, 5, 5), torch.zeros(5)
    said = "S must be a multiple of r, got 12 and 5; pad the positions to 15, or try r=4"
    with pytest.raises(ValueError, match=said):
        compress_memory(x, weight.double(), bias.double())
    with pytest.raises(ValueError, match="n_key must be a multiple of r, got 12 and 5"):
        compressed_mask(3, 12, 5)


def test_the_compressed_mask_is_its_definition():
    for r in range(1, 5):
        for n_key in range(r, 13, r):
            for n_query in range(1, n_key + 1):
                expected = [
                    [all(key <= n_key - n_query + i for key in range(g * r, g * r + r))
                     for g in range(n_key // r)]
                    for i in range(n_query)
                ]  # fmt: skip
                assert compressed_mask(n_query, n_key, r).tolist() == expected


def test_more_queries_than_keys_are_refused():
    with pytest.raises(ValueError, match="n_query must be at most n_key, got 5 and 4"):
        compressed_mask(5, 4, 2)
    q, k, v = random_qkv(T=7, S=2)
    with pytest.raises(ValueError, match="n_query must be at most n_key, got 7 and 6"):
        compressed_attention(q, k, v, 3)


def test_compressed_attention_by_hand():
    """Scores of 0: each complete group has the weight of the empty slot."""
    v = torch.tensor([[6.0, 0.0], [3.0, 9.0]])[None, None]
    y = compressed_attention(torch.zeros(1, 1, 4, 2), torch.ones(1, 1, 2, 2), v, 2)[0, 0]
    assert_close(y, torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 3.0]]))


def test_queries_before_the_first_complete_group_get_zeros_and_finite_gradients():
    q, k, v = (x.requires_grad_() for x in random_qkv(T=12, S=3))
    y = compressed_attention(q, k, v, 4)
    y.square().sum().backward()
    assert (y[:, :, :3] == 0).all() and (y[:, :, 3] != 0).all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


def test_compressed_attention_is_torchs_attention_with_a_key_of_zeros_in_front():
    q, k, v = random_qkv(T=7, S=4)
    none = torch.zeros(2, 3, 1, 5, dtype=torch.float64)
    may_read = torch.cat((torch.ones(7, 1, dtype=torch.bool), compressed_mask(7, 12, 3)), dim=1)
    expected = under_a_mask(q, torch.cat((none, k), 2), torch.cat((none, v), 2), may_read)
    assert_close(compressed_attention(q, k, v, 3), expected)


def test_a_fresh_compressed_memory_reads_sums_of_groups():
    q, k, v = random_qkv()
    sums = [x.unflatten(2, (4, 3)).sum(dim=3) for x in (k, v)]
    assert_close(CompressedMemory(5, 3).double()(q, k, v), compressed_attention(q, *sums, 3))


# segments


@pytest.mark.parametrize("segment", [1, 2, 3, 4, 6, 12])
def test_recurrent_attention_is_a_loop_with_the_segment_before_as_the_past(segment):
    past, blends = None, []
    for q, k, v in zip(*(x.split(segment, dim=2) for x in random_qkv()), strict=True):
        y, _ = cached_attention(q, k, v, past)
        past = k, v
        blends.append(y)
    assert_close(recurrent_attention(*random_qkv(), segment), torch.cat(blends, dim=2))


# the module


def test_with_full_attention_the_module_is_causal_self_attention():
    torch.manual_seed(0)
    plain, module = CausalSelfAttention(12, 3), PatternedSelfAttention(12, 3, masked_attention)
    module.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 12)
    assert_close(module(x), plain(x))


def test_a_module_that_attends_is_trained_with_the_rest():
    module = PatternedSelfAttention(12, 3, CompressedMemory(4, 2))
    module(torch.randn(2, 6, 12)).sum().backward()
    names = {name for name, p in module.named_parameters() if p.grad is not None}
    assert {"attend.k_weight", "attend.v_weight", "attend.k_bias", "attend.v_bias"} < names


def test_a_cache_is_refused():
    module = PatternedSelfAttention(8, 2, partial(local_attention, block=2))
    cache = KVCache(GPT2Config(n_layer=1, n_head=2, n_embd=8, n_ctx=4, vocab_size=3))
    with pytest.raises(ValueError, match="a cache is not supported"):
        module(torch.zeros(1, 2, 8), cache.layers[0])


KINDS = {
    "full": (lambda size: masked_attention),
    "local": (lambda size: partial(local_attention, block=size)),
    "compressed": (lambda size: CompressedMemory(4, size)),
    "recurrent": (lambda size: partial(recurrent_attention, segment=size)),
}


def sensitive(attend, T=12):
    """True where a change of key and value j (column) changes the result of query i (row)."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, T, 4)
    rows = []
    for j in range(T):
        moved = [x.clone() for x in (k, v)]
        for x in moved:
            x[:, :, j] += 1
        rows.append((attend(q, *moved) - attend(q, k, v)).abs().amax(dim=-1)[0, 0] > 1e-6)
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_what_a_layer_reads_is_what_changes_its_result(kind, size):
    with torch.no_grad():
        assert torch.equal(sensitive(KINDS[kind](size)), read_mask(kind, 12, size))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_query_can_know_through_three_layers_is_what_changes_its_logits(kind):
    torch.manual_seed(0)
    model = GPT2(GPT2Config(n_layer=3, n_head=2, n_embd=8, n_ctx=12, vocab_size=5))
    model.initialise(0.5)
    for block in model.h:
        block.attn = PatternedSelfAttention(8, 2, KINDS[kind](2))
    idx, layers = torch.randint(4, (1, 12)), [read_mask(kind, 12, 2)] * 3
    with torch.no_grad():
        plain = model(idx)
        for query in range(12):
            known = reachable(layers, query)[-1]
            for j in range(12):
                other = idx.clone()
                other[0, j] = 4
                moved = (model(other) - plain)[0, query].abs().max() > 1e-5
                assert moved == known[j]


def test_the_first_row_of_what_is_reachable_is_the_query_and_each_adds_to_the_one_before():
    rows = reachable([read_mask("recurrent", 12, 3)] * 2, query=10)
    assert [row.nonzero().flatten().tolist() for row in rows] == [
        [10], list(range(6, 11)), list(range(3, 11))
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_counted_as_torch_counts_them(kind):
    from torch.utils.flop_counter import FlopCounterMode

    attend, (q, k, v) = KINDS[kind](4), torch.randn(3, 1, 1, 12, 4)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        attend(q, k, v)
    convolutions = 2 * 12 * 4 * 4 if kind == "compressed" else 0
    scores_and_blend = 2 * 4 * n_scores(kind, 12, 4)  # hs for each, twice
    assert counter.get_total_flops() // 2 == scores_and_blend + convolutions


@pytest.mark.parametrize("ask", [n_scores, read_mask])
def test_an_unknown_kind_is_refused(ask):
    with pytest.raises(ValueError, match="kind must be one of full, local, .* got 'sparse'"):
        ask("sparse", 12, 3)


def test_4096_positions_run():
    q, k, v = torch.randn(3, 1, 1, 4096, 4)
    for attend in (partial(local_attention, block=64), CompressedMemory(4, 64),
                   partial(recurrent_attention, segment=64)):  # fmt: skip
        with torch.no_grad():
            assert attend(q, k, v).isfinite().all()
