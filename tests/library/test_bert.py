"""Attention in both directions and hidden words: torch's own attention, and what counting says."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from gpt2course.bert import BERT, SelfAttention, check_keep, hidden_token_loss, hide_tokens
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.multihead import CausalSelfAttention

B, NH, T, HS = 2, 3, 5, 7
C = NH * HS
KEEP = torch.tensor([[True, True, True, False, False], [True, False, True, True, True]])
SMALL = GPT2Config(n_layer=2, n_head=2, n_embd=8, n_ctx=6, vocab_size=11)


def random_x(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(B, T, C, dtype=dtype)


def random_attention(causal):
    torch.manual_seed(1)
    attn = SelfAttention(C, NH, causal).double()
    for parameter in attn.parameters():
        nn.init.normal_(parameter, std=0.3)
    return attn


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


# hide_tokens


def hidden(share=0.5, size=(200, 300), seed=0):
    """What is read and asked of ids 0 to 19, with 99 as [MASK]."""
    idx = torch.randint(20, size, generator=dice(9))
    return idx, *hide_tokens(idx, 99, 20, share, dice(seed))


def test_targets_hold_the_original_where_a_token_was_chosen():
    idx, read, targets = hidden()
    asked = targets != -100
    assert torch.equal(targets[asked], idx[asked])
    assert torch.equal(read[~asked], idx[~asked])
    assert read.shape == targets.shape == idx.shape and read.dtype == targets.dtype == idx.dtype


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_each_token_is_chosen_with_the_probability_share(share):
    _, _, targets = hidden(share)
    asked = (targets != -100).double()
    assert abs(asked.mean() - share) < 4 * math.sqrt(share * (1 - share) / asked.numel())
    # Independently: the number in a row varies as a binomial one does.
    assert 0.7 < asked.sum(dim=1).var() / (300 * share * (1 - share)) < 1.3


def test_of_the_chosen_80_10_10():
    idx, read, targets = hidden()
    asked = targets != -100
    masked, same = (read == 99)[asked], (read == idx)[asked]
    n = int(asked.sum())
    for part, p in ((masked, 0.8), (same, 0.1 + 0.1 / 20), (~masked & ~same, 0.1 * 19 / 20)):
        assert abs(part.double().mean() - p) < 4 * math.sqrt(p * (1 - p) / n)
    drawn = read[asked][~masked & ~same].bincount(minlength=20).double()
    assert drawn.min() > 0.75 * drawn.mean() and drawn.max() < 1.25 * drawn.mean()


def test_the_ends_of_share_hide_nothing_and_ask_for_everything():
    idx, read, targets = hidden(0.0)
    assert torch.equal(read, idx) and (targets == -100).all()
    idx, _, targets = hidden(1.0)
    assert torch.equal(targets, idx)


def test_one_generator_makes_all_the_draws():
    torch.manual_seed(1)
    first = hidden(seed=3)
    torch.manual_seed(2)
    for one, other in zip(first, hidden(seed=3), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first[1], hidden(seed=4)[1])


def test_idx_stays_as_it_is():
    idx = torch.arange(12).view(3, 4)
    hide_tokens(idx, 99, 12, 1.0, dice())
    assert torch.equal(idx, torch.arange(12).view(3, 4))


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan, 15.0])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=f"share must lie in 0 to 1, got {share}; BERT's is 0.15"):
        hide_tokens(torch.zeros(1, 2).long(), 9, 9, share, None)


def test_a_vocabulary_of_none_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at least 1, got 0"):
        hide_tokens(torch.zeros(1, 2).long(), 9, 0, 0.5, None)


# hidden_token_loss


def test_the_loss_by_hand():
    logits = torch.tensor([[[0.0, 0.0], [5.0, 1.0]], [[1.0, 0.0], [0.0, math.log(3)]]])
    targets = torch.tensor([[0, -100], [-100, 1]])
    by_hand = (math.log(2) - math.log(3 / 4)) / 2
    assert_close(hidden_token_loss(logits, targets).item(), by_hand)


def test_the_loss_is_torchs_mean_over_asked_tokens():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    targets = torch.tensor([[4, -100, 0], [-100, -100, 2]])
    expected = F.cross_entropy(logits.transpose(1, 2), targets)
    assert_close(hidden_token_loss(logits, targets), expected)


def test_where_none_is_asked_loss_and_gradients_are_0():
    logits = torch.randn(2, 3, 5, requires_grad=True)
    loss = hidden_token_loss(logits, torch.full((2, 3), -100))
    loss.backward()
    assert loss == 0 and loss.dtype == logits.dtype
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_loss_is_right_for_scores_of_a_thousand():
    logits = torch.tensor([[[1000.0, -1000.0]]])
    assert hidden_token_loss(logits, torch.tensor([[1]])) == 2000


# SelfAttention


@pytest.mark.parametrize("keep", [None, KEEP], ids=["whole", "padded"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_torchs_multihead_attention(causal, keep):
    attn, x = random_attention(causal), random_x()
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
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    padding = None if keep is None else ~keep
    expected, _ = peer(x, x, x, key_padding_mask=padding, attn_mask=later, need_weights=False)
    real = torch.ones(B, T, dtype=torch.bool) if keep is None else keep
    assert_close(attn(x, keep)[real], expected[real], rtol=0, atol=1e-12)


def test_it_takes_the_weights_of_causal_self_attention_and_gives_the_same():
    attn, x, older = random_attention(True), random_x(), CausalSelfAttention(C, NH).double()
    older.load_state_dict(attn.state_dict())
    assert_close(attn(x), older(x))


def test_padding_is_read_by_none():
    for causal in (False, True):
        attn, x = random_attention(causal), random_x()
        changed = x.masked_fill(~KEEP[..., None], 1e6)
        assert_close(attn(changed, KEEP)[KEEP], attn(x, KEEP)[KEEP])


def test_a_padded_text_gives_what_it_gives_alone():
    attn, x = random_attention(False), random_x()
    assert_close(attn(x, KEEP)[:1, :3], attn(x[:1, :3]))


def test_with_padding_in_front_everything_stays_finite():
    keep = torch.tensor([[False, False, True, True, True]]).expand(B, T)
    attn, x = random_attention(True), random_x().requires_grad_()
    y = attn(x, keep)
    y.sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()
    assert_close(y[:, 2:], attn(x[:, 2:]))


def test_nothing_but_padding_is_refused():
    keep = torch.tensor([[True] * T, [False] * T])
    with pytest.raises(ValueError, match="text 1 of 2 is all padding; leave it out of the batch"):
        random_attention(False)(random_x(), keep)


@pytest.mark.parametrize("keep", [KEEP.int(), KEEP[:1], KEEP[:, :3], KEEP[..., None]])
def test_a_keep_of_another_form_is_refused(keep):
    with pytest.raises(ValueError, match=r"keep must be bool \(2, 5\), .*; try idx != pad_id"):
        check_keep(keep, B, T)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="n_embd must be divisible by n_head, got 21 and 4"):
        SelfAttention(C, 4, False)


# BERT


def test_an_encoder_reads_both_sides_and_no_padding():
    torch.manual_seed(0)
    model, idx = BERT(SMALL).double(), torch.tensor([[1, 2, 3, 4, 9]])
    keep = idx != 9
    first = model(idx, keep)
    assert first.shape == (1, 5, 11)
    later, padded = idx.clone(), idx.clone()
    later[0, 3], padded[0, 4] = 5, 0
    assert not torch.isclose(model(later, keep)[:, 0], first[:, 0]).any()
    assert_close(model(padded, keep)[:, :4], first[:, :4])
    assert_close(model(idx[:, :4]), first[:, :4])


def test_with_one_direction_it_is_gpt2():
    torch.manual_seed(0)
    gpt2, idx = GPT2(SMALL).double(), torch.randint(11, (3, 6))
    for parameter in gpt2.parameters():
        nn.init.normal_(parameter, std=0.3)
    encoder = BERT(SMALL).double()
    encoder.load_state_dict(gpt2.state_dict())
    assert not torch.isclose(encoder(idx)[:, :-1], gpt2(idx)[:, :-1]).any()
    for block in encoder.h:
        block.attn.causal = True
    assert_close(encoder(idx), gpt2(idx))


def test_its_matrices_are_drawn_wider_where_there_are_fewer_columns():
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=48, n_ctx=100, vocab_size=200)
    for name, parameter in BERT(config).named_parameters():
        if parameter.ndim == 2:
            assert 0.075 < parameter.std().item() < 0.085, name  # 0.02 · √(768 / 48) = 0.08
        else:
            assert parameter.eq(0 if name.endswith("bias") else 1).all(), name


def test_an_encoder_starts_knowing_nothing():
    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=128, n_ctx=8, vocab_size=500)
    idx = torch.randint(500, (16, 8))
    loss = hidden_token_loss(BERT(config)(torch.zeros_like(idx)), idx)
    assert abs(loss.item() - math.log(500)) < 1.0


def test_an_encoder_learns_a_word_from_the_one_to_its_right():
    torch.manual_seed(0)
    model, words = BERT(SMALL), torch.arange(5)
    idx = torch.stack([torch.full((5,), 10), words], dim=1)  # [MASK] and then a word
    targets = torch.stack([words, torch.full((5,), -100)], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = hidden_token_loss(model(idx), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_a_text_beyond_the_context_window_is_refused():
    with pytest.raises(ValueError, match="at most n_ctx=6 tokens fit, got 7"):
        BERT(SMALL)(torch.zeros(1, 7, dtype=torch.int64))
