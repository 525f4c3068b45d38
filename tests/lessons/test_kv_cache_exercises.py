"""What the cards of lesson 12 say, beyond the names of mistakes."""

import torch
import torch.nn.functional as F

from gpt2course import checks
from gpt2course.attention import masked_attention
from gpt2course.checks import engine
from gpt2course.kv_cache import append_to_cache, cached_attention

buffers = {}


def into_shared_memory(past, k, v):
    """One piece of memory for all calls of the same sizes."""
    B, nh, T, hs = k.shape
    S = past[0].shape[2] if past else 0
    size = (*k.shape, S, k.dtype)
    keys, values = buffers.setdefault(size, torch.zeros(2, B, nh, S + T, hs, dtype=k.dtype))
    if past:
        keys[:, :, :S], values[:, :, :S] = past[0].clone(), past[1].clone()
    keys[:, :, S:], values[:, :, S:] = k, v
    return keys, values


def test_memory_shared_by_all_calls_is_caught_where_two_texts_go_on_from_one_past():
    result = checks.run("append_to_cache", into_shared_memory)
    assert result.status == "failed"
    assert result.case.label == "the first of two texts that begin with the same tokens"


def test_the_call_on_the_card_shows_the_past_by_its_shapes():
    def append_to_cache(past, k, v):
        raise NotImplementedError

    message = checks.run("append_to_cache", append_to_cache).message
    assert "past=(<(1, 1, 1, 3)>, <(1, 1, 1, 3)>), k=<(1, 1, 1, 3)>" in message


def test_an_answer_that_changes_the_past_and_is_wrong_leaves_the_cases_as_they_were():
    def spoiled(past, k, v):
        for tensor in (*(past or ()), k, v):
            tensor.zero_()
        return append_to_cache(past, k, v)

    assert checks.run("append_to_cache", spoiled).properties
    assert checks.run("append_to_cache", append_to_cache).passed

    def spoiled_attention(q, k, v, past):
        for tensor in (q, k, v, *(past or ())):
            tensor.zero_()
        return q, append_to_cache(past, k, v)

    assert checks.run("cached_attention", spoiled_attention).properties
    assert checks.run("cached_attention", cached_attention).passed


def is_causal_for_a_prompt_alone(q, k, v, past):
    nothing_kept = past is None
    k, v = append_to_cache(past, k, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=nothing_kept), (k, v)


def test_is_causal_for_a_prompt_alone_is_wrong_only_for_several_tokens_on_top_of_a_past():
    result = checks.run("cached_attention", is_causal_for_a_prompt_alone)
    assert result.case.label == "two new tokens on top of three"
    q, k, v, past = result.case.args
    one = [x[:, :, :1] for x in (q, k, v)]
    right = cached_attention(*one, past)[0]
    assert torch.allclose(is_causal_for_a_prompt_alone(*one, past)[0], right, atol=1e-6)


def test_an_unknown_fault_in_the_cache_alone_is_drawn_and_its_properties_are_told():
    def normalised_keys_in_the_cache(q, k, v, past):
        y, (k, v) = cached_attention(q, k, v, past)
        return y, (k / k.norm(dim=-1, keepdim=True), v)

    result = checks.run("cached_attention", normalised_keys_in_the_cache)
    assert "expected: new past[0]" in result.message
    told = dict(result.properties)
    assert not told["the new past holds what was kept, and then what is new"]
    assert told["every kept token is read"]


def test_eight_kept_tokens_are_not_every_kept_token():
    def blind_to_all_but_eight(q, k, v, past):
        return cached_attention(q, k, v, past and tuple(x[:, :, -8:] for x in past))

    told = dict(checks.run("cached_attention", blind_to_all_but_eight).properties)
    assert not told["every kept token is read"]
    assert told["a new token reads itself"]


def test_a_new_token_that_asks_the_past_alone_does_not_read_itself():
    def asks_the_past_first(q, k, v, past):
        return masked_attention(q, *past), append_to_cache(past, k, v)

    claims = {prop.claim: prop for prop in engine.find("cached_attention").properties}
    assert not claims["a new token reads itself"].holds(asks_the_past_first)
    assert claims["a new token reads itself"].holds(cached_attention)


def test_a_result_put_together_otherwise_is_described_by_its_form():
    def flat(q, k, v, past):
        y, (k, v) = cached_attention(q, k, v, past)
        return y, k, v

    message = checks.run("cached_attention", flat).message
    assert "expected '(tensor, (tensor, tensor))', got '(tensor, tensor, tensor)'" in message
