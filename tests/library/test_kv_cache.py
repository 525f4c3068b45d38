"""The cache: the logits of the model without it, whatever the past and in whatever pieces."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course.attention import masked_attention
from gpt2course.config import GPT2Config
from gpt2course.kv_cache import KVCache, append_to_cache, cached_attention
from gpt2course.model import GPT2

SMALL = GPT2Config(n_layer=3, n_head=3, n_embd=15, n_ctx=70, vocab_size=61)
B = 2


def random_model(dtype=torch.float64):
    torch.manual_seed(1)
    model = GPT2(SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model.to(dtype)


def random_idx(T, seed=0):
    return torch.randint(61, (B, T), generator=torch.Generator().manual_seed(seed))


def cache_for(model, **kwargs):
    return KVCache.for_model(model, B, **kwargs)


# The two functions of the lesson


def test_new_keys_stand_behind_the_old_and_nothing_that_came_in_changes():
    k, v, new_k, new_v = (torch.full((1, 1, T, 2), float(i)) for i, T in enumerate((2, 2, 1, 1)))
    keys, values = append_to_cache((k, v), new_k, new_v)
    assert keys[0, 0, :, 0].tolist() == [0, 0, 2]
    assert values[0, 0, :, 0].tolist() == [1, 1, 3]
    assert k.shape == v.shape == (1, 1, 2, 2)
    assert append_to_cache(None, k, v) == (k, v)


@pytest.mark.parametrize("cut", [1, 2, 5, 6])
def test_attention_in_two_pieces_equals_attention_in_one(cut):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 5, dtype=torch.float64)
    first, past = cached_attention(*(x[:, :, :cut] for x in (q, k, v)), None)
    second, past = cached_attention(*(x[:, :, cut:] for x in (q, k, v)), past)
    assert_close(torch.cat([first, second], dim=-2), masked_attention(q, k, v))
    assert_close(past, (k, v))


# The cache of the whole model


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@torch.no_grad()
def test_sixty_single_steps_give_the_logits_of_the_uncached_model(dtype, tolerance):
    model, idx = random_model(dtype), random_idx(64)
    expected = model(idx)
    cache = cache_for(model)
    steps = [model(idx[:, :4], cache), *(model(idx[:, t : t + 1], cache) for t in range(4, 64))]
    logits = torch.cat(steps, dim=1)
    assert cache.length == 64
    assert_close(logits, expected, rtol=0, atol=tolerance * expected.abs().max().item())


@pytest.mark.parametrize("pieces", [[70], [1, 69], [30, 1, 1, 38], [7] * 10, [69, 1]])
@torch.no_grad()
def test_a_prompt_may_come_in_pieces_of_any_size(pieces):
    model, idx = random_model(), random_idx(70)
    cache = cache_for(model)
    logits = torch.cat([model(piece, cache) for piece in idx.split(pieces, dim=1)], dim=1)
    assert_close(logits, model(idx), rtol=0, atol=1e-10)


@torch.no_grad()
def test_a_cleared_cache_serves_another_prompt_and_remembers_nothing():
    model, cache = random_model(), cache_for(random_model())
    model(random_idx(50, seed=1), cache)
    keys = cache.layers[0].keys
    cache.clear()
    idx = random_idx(20, seed=2)
    logits = torch.cat([model(piece, cache) for piece in idx.split([3, 1, 16], dim=1)], dim=1)
    assert_close(logits, model(idx), rtol=0, atol=1e-10)
    assert cache.layers[0].keys is keys


@torch.no_grad()
def test_next_logits_are_the_last_row_of_the_logits():
    model, idx = random_model(), random_idx(9)
    cache = cache_for(model)
    assert_close(model.next_logits(idx), model(idx)[:, -1])
    assert_close(model.next_logits(idx[:, :5], cache), model(idx[:, :5])[:, -1])
    assert_close(model.next_logits(idx[:, 5:], cache), model(idx)[:, -1])


@torch.no_grad()
def test_bfloat16_stays_close_to_the_uncached_model():
    model, idx = random_model(torch.bfloat16), random_idx(12)
    cache = cache_for(model)
    logits = torch.cat([model(piece, cache) for piece in idx.split([5, 1, 6], dim=1)], dim=1)
    expected = model(idx)
    assert_close(logits, expected, rtol=0, atol=0.05 * expected.abs().max().item())


def test_memory_is_taken_once_and_is_two_numbers_for_every_layer_token_and_column():
    cache = KVCache(SMALL, 5, n_ctx=40)
    assert cache.nbytes == 2 * 3 * 5 * 40 * 15 * 4
    assert KVCache(GPT2Config()).nbytes == 2 * 12 * 1024 * 768 * 4  # 75 MB for GPT-2 124M


@torch.no_grad()
def test_a_failed_call_leaves_the_cache_as_it_was():
    model, idx = random_model(), random_idx(9)
    cache = cache_for(model, n_ctx=8)
    model(idx[:, :5], cache)
    with pytest.raises(ValueError, match="room for 8 tokens, got number 9"):
        model(idx[:, 5:], cache)
    assert cache.length == 5
    assert_close(model(idx[:, 5:8], cache), model(idx)[:, 5:8])


@torch.no_grad()
def test_a_full_context_is_told_in_terms_of_the_cache():
    model, idx = random_model(), random_idx(70)
    cache = cache_for(model)
    model(idx, cache)
    with pytest.raises(ValueError, match=r"already holds 70 tokens, so 1 more .* cache.clear\(\)"):
        model(idx[:, :1], cache)


@torch.no_grad()
def test_a_cache_for_a_model_has_its_sizes_dtype_and_device():
    for dtype in (torch.float64, torch.bfloat16):
        cache = KVCache.for_model(random_model(dtype), B, n_ctx=9)
        layer = cache.layers[0]
        assert layer.keys.shape == layer.values.shape == (B, 3, 9, 5)
        assert (len(cache.layers), layer.keys.dtype) == (3, dtype)
    assert KVCache.for_model(random_model()).layers[0].keys.shape == (1, 3, 70, 5)
    assert KVCache.for_model(random_model().to("meta")).layers[0].keys.is_meta


# What it refuses


def refuses(message, cache, idx=None, model=None):
    model = model or random_model()
    with torch.no_grad(), pytest.raises(ValueError, match=message):
        model(random_idx(3) if idx is None else idx, cache)
    return True


def test_a_cache_of_another_kind_is_refused_with_a_remedy():
    assert refuses("batch size 1, .* got 2", KVCache(SMALL, 1, dtype=torch.float64))
    assert refuses("holds torch.float32 .* got torch.float64", KVCache(SMALL, B))
    other = KVCache(replace(SMALL, n_embd=30), B, dtype=torch.float64)
    assert refuses("3 heads of 10, got 2, 3 of 5", other)
    fewer = KVCache(replace(SMALL, n_layer=2), B, dtype=torch.float64)
    assert refuses("the model's 3 layers, got 2", fewer)


def test_gradients_are_refused_and_not_cut_in_silence():
    model = random_model()
    with pytest.raises(ValueError, match=r"keeps no gradients; call the model under torch.no_grad"):
        model(random_idx(3), cache_for(model))


@pytest.mark.parametrize("n_ctx", [0, -1, 71])
def test_a_size_that_the_model_has_no_positions_for_is_refused(n_ctx):
    with pytest.raises(ValueError, match=f"n_ctx must lie in 1 to 70, .* got {n_ctx}"):
        KVCache(SMALL, n_ctx=n_ctx)
