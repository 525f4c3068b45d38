"""Attention against numbers worked by hand, torch's own attention, and a loop."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gpt2course.attention import (
    attention_scores,
    attention_weights,
    blend_values,
    causal_mask,
    masked_attention,
)

LEADING = [(), (2,), (2, 3), (2, 3, 4)]


def random_qkv(leading=(2, 3), T=5, S=5, hs=7, dtype=torch.float64):
    torch.manual_seed(0)
    return (torch.randn(*leading, n, hs, dtype=dtype) for n in (T, S, S))


def lower_right(T, S):
    """The mask cell by cell: query i stands at position S - T + i."""
    return torch.tensor([[j <= S - T + i for j in range(S)] for i in range(T)])


# scores


def test_scores_by_hand():
    q = torch.tensor([[1.0, 2.0, 0.0, 1.0]])  # hs = 4, so every product is halved
    k = torch.tensor([[3.0, 1.0, 5.0, 1.0], [0.0, 2.0, 7.0, -4.0]])
    assert_close(attention_scores(q, k), torch.tensor([[3.0, 0.0]]))


@pytest.mark.parametrize("leading", LEADING)
def test_scores_are_scaled_dot_products(leading):
    q, k, _ = random_qkv(leading, T=5, S=6)
    expected = torch.einsum("...th,...sh->...ts", q, k) / 7**0.5
    assert_close(attention_scores(q, k), expected)


def test_scores_of_unit_variance_vectors_have_unit_variance():
    torch.manual_seed(0)
    q, k = torch.randn(2, 300, 64)
    assert attention_scores(q, k).var().item() == pytest.approx(1, abs=0.05)


# weights


def test_weights_by_hand():
    scores = torch.tensor([[0.0, math.log(3), 0.0], [math.log(2), 0.0, -math.inf]])
    assert_close(attention_weights(scores), torch.tensor([[0.2, 0.6, 0.2], [2 / 3, 1 / 3, 0.0]]))


def test_weights_of_every_row_sum_to_one():
    scores = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    weights = attention_weights(scores)
    assert (weights > 0).all()
    assert_close(weights.sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


def test_weights_of_huge_scores_are_finite():
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    assert_close(attention_weights(scores), torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]))


def test_a_score_of_minus_infinity_has_weight_exactly_zero():
    scores = torch.tensor([-math.inf, 5.0, -math.inf, 2.0]).expand(3, 4)
    weights = attention_weights(scores)
    assert (weights[:, [0, 2]] == 0).all()
    assert_close(weights.sum(-1), torch.ones(3))


# blend


def test_blend_by_hand():
    v = torch.tensor([[4.0, 0.0, 8.0], [0.0, 8.0, 4.0]])
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    expected = torch.tensor([[4.0, 0.0, 8.0], [2.0, 4.0, 6.0], [1.0, 6.0, 5.0]])
    assert_close(blend_values(weights, v), expected)


@pytest.mark.parametrize("leading", LEADING)
def test_blend_is_a_sum_over_keys(leading):
    _, _, v = random_qkv(leading, S=6)
    weights = torch.rand(*leading, 5, 6, dtype=torch.float64)
    expected = (weights[..., None] * v[..., None, :, :]).sum(-2)
    assert_close(blend_values(weights, v), expected)


# mask


def test_mask_by_hand():
    assert causal_mask(3, 3).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True, True, True, True]]
    assert causal_mask(1, 3).tolist() == [[True, True, True]]


def test_mask_counts_from_the_lower_right_corner():
    for n_key in range(1, 7):
        for n_query in range(1, n_key + 1):
            mask = causal_mask(n_query, n_key)
            assert mask.dtype == torch.bool
            assert torch.equal(mask, lower_right(n_query, n_key))


def test_more_queries_than_keys_are_refused():
    with pytest.raises(ValueError, match="n_query must be at most n_key, got 5 and 3; .*keys"):
        causal_mask(5, 3)
    q, k, v = random_qkv(T=5, S=3)
    with pytest.raises(ValueError, match="got 5 and 3"):
        masked_attention(q, k, v)


# masked attention


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize(("T", "S"), [(5, 5), (3, 5), (1, 5), (1, 1)])
def test_masked_attention_equals_torch(leading, T, S):
    q, k, v = random_qkv(leading, T, S)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=lower_right(T, S))
    assert_close(masked_attention(q, k, v), expected, rtol=0, atol=1e-12)
    single = masked_attention(q.float(), k.float(), v.float())
    assert single.dtype == torch.float32
    assert_close(single, expected.float(), rtol=0, atol=1e-5)


def test_masked_attention_equals_a_loop():
    q, k, v = random_qkv(leading=(), T=4, S=6)
    expected = torch.zeros(4, 7, dtype=torch.float64)
    for i in range(4):
        shares = [math.exp(q[i].dot(k[j]).item() / math.sqrt(7)) for j in range(6 - 4 + i + 1)]
        for j, share in enumerate(shares):
            expected[i] += share / sum(shares) * v[j]
    assert_close(masked_attention(q, k, v), expected)


def test_a_query_without_preference_reads_the_mean_of_its_past():
    v = torch.tensor([[2.0, 0.0], [4.0, 3.0], [0.0, 6.0]])
    y = masked_attention(torch.zeros(3, 2), torch.randn(3, 2), v)
    assert_close(y, torch.tensor([[2.0, 0.0], [3.0, 1.5], [2.0, 3.0]]))


def test_future_keys_and_values_do_not_change_past_results():
    q, k, v = random_qkv(T=5, S=5)
    before = masked_attention(q, k, v)
    k[..., 3:, :] += 100
    v[..., 3:, :] -= 100
    after = masked_attention(q, k, v)
    assert torch.equal(before[..., :3, :], after[..., :3, :])
    assert not torch.isclose(before[..., 3:, :], after[..., 3:, :]).any()


def test_no_gradient_flows_from_the_past_to_the_future():
    q, k, v = random_qkv(T=5, S=5)
    k.requires_grad_()
    v.requires_grad_()
    masked_attention(q, k, v)[..., 2, :].sum().backward()
    for grad in (k.grad, v.grad):
        assert (grad[..., 3:, :] == 0).all()
        assert (grad[..., :3, :] != 0).all()


def test_the_last_query_alone_gives_the_last_row():
    q, k, v = random_qkv(T=5, S=5)
    assert_close(masked_attention(q[..., -1:, :], k, v), masked_attention(q, k, v)[..., -1:, :])


def test_huge_scores_stay_finite():
    q, k, v = random_qkv(dtype=torch.float32)
    assert masked_attention(300 * q, 300 * k, v).isfinite().all()


# all float functions


CALLS = {
    "attention_scores": lambda q, k, v: attention_scores(q, k),
    "attention_weights": lambda q, k, v: attention_weights(q),
    "blend_values": lambda q, k, v: blend_values(q @ k.mT, v),
    "masked_attention": masked_attention,
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_finite_differences(name):
    qkv = [part.requires_grad_() for part in random_qkv(T=4, S=5)]
    assert torch.autograd.gradcheck(CALLS[name], qkv)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_is_kept(name, dtype):
    assert CALLS[name](*random_qkv(dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("name", CALLS)
def test_inputs_may_be_non_contiguous_and_stay_as_they_were(name):
    qkv = list(random_qkv(T=4, S=5))
    strided = [part.mT.contiguous().mT for part in qkv]
    assert not any(part.is_contiguous() for part in strided)
    assert_close(CALLS[name](*strided), CALLS[name](*qkv))
    assert all(torch.equal(a, b) for a, b in zip(strided, qkv, strict=True))


def test_the_mask_follows_the_query_to_its_device():
    q, k, v = (part.to("meta") for part in random_qkv(T=4, S=5))
    assert masked_attention(q, k, v).device.type == "meta"
