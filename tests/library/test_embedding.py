"""Embeddings against one-hot products, loops, and distances worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gpt2course.embedding import embed, embed_tokens, nearest_tokens, sinusoidal_positions

B, T, C, V, N_CTX = 2, 3, 5, 11, 7
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def tables(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(V, C, dtype=dtype), torch.randn(N_CTX, C, dtype=dtype)


IDX = torch.tensor([[4, 0, 10], [4, 4, 1]])


# tokens


def test_a_token_is_its_row():
    wte = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    idx = torch.tensor([[2, 0], [1, 1]])
    expected = torch.tensor([[[4.0, 5.0], [0.0, 1.0]], [[2.0, 3.0], [2.0, 3.0]]])
    assert torch.equal(embed_tokens(idx, wte), expected)


def test_lookup_is_a_one_hot_product():
    wte, _ = tables()
    assert torch.equal(embed_tokens(IDX, wte), F.one_hot(IDX, V).double() @ wte)


def test_a_row_read_twice_collects_both_gradients():
    wte = tables()[0].requires_grad_()
    embed_tokens(IDX, wte).sum().backward()
    counts = torch.bincount(IDX.flatten(), minlength=V)
    assert torch.equal(wte.grad, counts[:, None].expand(V, C).double())


@pytest.mark.parametrize("bad", [-1, V])
def test_ids_outside_the_table_are_refused_with_the_range(bad):
    wte, wpe = tables()
    idx = torch.tensor([[3, bad, 5]])
    low, high = idx.min(), idx.max()
    with pytest.raises(IndexError, match=f"ids must lie in 0 to 10, got {low} to {high}; encode"):
        embed_tokens(idx, wte)
    with pytest.raises(IndexError, match="0 to 10"):
        embed(idx, wte, wpe)


# neighbours


def test_neighbours_by_hand():
    wte = torch.tensor([[1.0, 0.0], [0.0, 3.0], [9.0, 1.0], [-5.0, 0.0], [0.1, 0.05]])
    assert nearest_tokens(0, wte, k=4) == [2, 4, 1, 3]  # angles 6°, 27°, 90°, 180°
    assert nearest_tokens(3, wte, k=1) == [1]


def test_length_does_not_make_a_neighbour():
    wte = torch.tensor([[1.0, 1.0], [100.0, 0.0], [0.01, 0.0101]])
    assert nearest_tokens(0, wte, k=1) == [2]


def test_neighbours_equal_a_loop_over_torchs_cosine():
    wte, _ = tables()
    for token_id in range(V):
        cosine = F.cosine_similarity(wte, wte[token_id], dim=-1).tolist()
        others = [i for i in range(V) if i != token_id]
        expected = sorted(others, key=lambda i: -cosine[i])
        assert nearest_tokens(token_id, wte, k=V - 1) == expected
        assert nearest_tokens(token_id, wte, k=3) == expected[:3]


def test_neighbours_of_a_trained_table_leave_it_as_it_is():
    wte = torch.nn.Parameter(tables()[0])
    before = wte.detach().clone()
    assert len(nearest_tokens(2, wte, k=4)) == 4
    assert torch.equal(wte, before)


@pytest.mark.parametrize("k", [0, V])
def test_k_beyond_the_other_tokens_is_refused(k):
    with pytest.raises(ValueError, match=f"k must lie in 1 to 10, the other tokens, got {k}"):
        nearest_tokens(0, tables()[0], k=k)


# token and position


@pytest.mark.parametrize("start", [0, 2, N_CTX - T])
def test_embed_adds_token_and_position_rows(start):
    wte, wpe = tables()
    expected = torch.stack(
        [torch.stack([wte[IDX[b, t]] + wpe[start + t] for t in range(T)]) for b in range(B)]
    )
    assert torch.equal(embed(IDX, wte, wpe, start), expected)


def test_embed_begins_at_position_zero():
    wte, wpe = tables()
    assert torch.equal(embed(IDX, wte, wpe), embed(IDX, wte, wpe, start=0))


def test_one_token_fits_at_the_last_position():
    wte, wpe = tables()
    assert torch.equal(embed(IDX[:, :1], wte, wpe, N_CTX - 1)[0, 0], wte[4] + wpe[-1])


@pytest.mark.parametrize("start", [N_CTX - T + 1, N_CTX - 1, N_CTX, -1])
def test_positions_outside_the_table_are_refused(start):
    message = f"positions {start} to {start + 2} must lie in 0 to 6; keep the last n_ctx=7"
    with pytest.raises(ValueError, match=message):
        embed(IDX, *tables(), start)


# both


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept(dtype):
    wte, wpe = tables(dtype)
    assert embed_tokens(IDX, wte).dtype == embed(IDX, wte, wpe).dtype == dtype


def test_gradients_are_those_of_finite_differences():
    wte, wpe = (table.requires_grad_() for table in tables())
    assert torch.autograd.gradcheck(lambda a, b: embed(IDX, a, b, 2), (wte, wpe))


def test_inputs_may_be_non_contiguous_and_stay_as_they_were():
    wte, wpe = tables()
    args = IDX.T.contiguous().T, wte.T.contiguous().T, wpe.T.contiguous().T
    assert not any(arg.is_contiguous() for arg in args)
    assert torch.equal(embed(*args), embed(IDX, wte, wpe))
    assert all(torch.equal(a, b) for a, b in zip(args, (IDX, wte, wpe), strict=True))


# sinusoids


def test_sinusoids_by_hand():
    expected = [[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    assert_close(sinusoidal_positions(2, 4), torch.tensor(expected), rtol=0, atol=1e-7)


def test_sinusoids_equal_a_loop_to_float32_at_far_positions():
    n_ctx, n_embd = 1025, 6
    table = sinusoidal_positions(n_ctx, n_embd)
    assert table.shape == (n_ctx, n_embd)
    assert table.dtype == torch.float32
    for position in (1, 100, 1024):
        for pair in range(n_embd // 2):
            angle = position / 10_000 ** (2 * pair / n_embd)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-7)
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-7)


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="n_embd must be even, .*got 5; try 6"):
        sinusoidal_positions(4, 5)
