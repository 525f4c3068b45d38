"""The checks of lesson 12, on answers that they do not list."""

import math
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right

from gpt2course import checks, kv_cache
from gpt2course.attention import masked_attention
from gpt2course.checks import engine

Past = namedtuple("Past", ["keys", "values"])


# append_to_cache: right


def append_as_a_named_tuple(past, k, v):
    if past is None:
        return Past(k, v)
    return Past(torch.concat([past[0], k], 2), torch.concat([past[1], v], 2))


def append_copies(past, k, v):
    pasts = [past] if past else []
    keys = torch.cat([p[0] for p in pasts] + [k], dim=2)
    values = torch.cat([p[1] for p in pasts] + [v], dim=2)
    return keys.clone(), values.clone()


def append_by_padding(past, k, v):
    if past is None:
        return k, v
    S, T = past[0].shape[-2], k.shape[-2]
    return tuple(
        F.pad(old, (0, 0, 0, T)) + F.pad(new, (0, 0, S, 0))
        for old, new in zip(past, (k, v), strict=True)
    )


def append_on_moved_axes(past, k, v):
    def join(old, new):
        return torch.vstack((old.movedim(2, 0), new.movedim(2, 0))).movedim(0, 2)

    return (k, v) if past is None else (join(past[0], k), join(past[1], v))


def append_head_by_head(past, k, v):
    if past is None:
        return k, v

    def join(old, new):
        B, nh = new.shape[:2]
        rows = [torch.cat((old[b, h], new[b, h])) for b in range(B) for h in range(nh)]
        return torch.stack(rows).unflatten(0, (B, nh))

    return join(past[0], k), join(past[1], v)


def append_recursively(past, k, v):
    if past is None:
        return k, v
    if k.size(2) == 1:
        return torch.cat((past[0], k), -2), torch.cat((past[1], v), -2)
    first = append_recursively(past, k[:, :, :1], v[:, :, :1])
    return append_recursively(first, k[:, :, 1:], v[:, :, 1:])


def append_side_by_side(past, k, v):
    both = torch.cat((k, v), dim=-1)
    if past:
        both = torch.cat((torch.cat(past, dim=-1), both), dim=-2)
    return both.chunk(2, dim=-1)


def append_by_index(past, k, v):
    if past is None:
        return k, v
    S, T = past[0].shape[2], k.shape[2]
    keys = torch.zeros(*k.shape[:2], S + T, k.shape[3], dtype=k.dtype)
    values = torch.zeros_like(keys)
    old, new = torch.arange(S), torch.arange(S, S + T)
    keys = keys.index_copy(2, old, past[0]).index_copy(2, new, k)
    values = values.index_copy(2, old, past[1]).index_copy(2, new, v)
    return keys, values


def append_with_an_option(past, k, v, dim=2):
    return tuple(
        torch.cat([*([past[i]] if past else []), new], dim=dim) for i, new in enumerate((k, v))
    )


RIGHT_APPEND = [
    append_as_a_named_tuple,
    append_copies,
    append_by_padding,
    append_on_moved_axes,
    append_head_by_head,
    append_recursively,
    append_side_by_side,
    append_by_index,
    append_with_an_option,
]


@pytest.mark.parametrize("answer", RIGHT_APPEND)
def test_right_answers_that_append_in_another_way_pass(answer):
    result = checks.run("append_to_cache", answer)
    assert result.passed, result.message


# append_to_cache: wrong


def new_ones_first_by_concat(past, k, v):
    return tuple(torch.concat((n, o), 2) for n, o in zip((k, v), past or (k, v), strict=True))


def new_ones_first_in_a_loop(past, k, v):
    tokens = [[*new.unbind(2)] for new in (k, v)]
    for kept, old in zip(tokens, past or (), strict=False):
        kept.extend(old.unbind(2))
    return tuple(torch.stack(kept, 2) for kept in tokens)


def first_axis_in_a_comprehension(past, k, v):
    if past is None:
        return k, v
    return tuple(torch.cat([past[i], (k, v)[i]], 0) for i in range(2))


def hstack_of_both(past, k, v):
    if past is None:
        return k, v
    return torch.hstack((past[0], k)), torch.hstack((past[1], v))


def none_in_a_cat(past, k, v):
    keys, values = past
    return torch.cat([keys, k], -2), torch.cat([values, v], -2)


def plus_on_tuples(past, k, v):
    return past + (k, v) if past else (k, v)


def grows_a_list(past, k, v):
    past = past or ([], [])
    past[0].append(k)
    past[1].append(v)
    return past


def writes_over_the_last_places(past, k, v):
    if past is None:
        return k, v
    keys, values, T = past[0].clone(), past[1].clone(), k.shape[-2]
    keys[..., -T:, :], values[..., -T:, :] = k, v
    return keys, values


def memory_of_float32(past, k, v):
    S = past[0].shape[2] if past else 0
    keys = torch.zeros(*k.shape[:2], S + k.shape[2], k.shape[3])
    values = torch.zeros_like(keys)
    keys[:, :, S:], values[:, :, S:] = k, v
    if past:
        keys[:, :, :S], values[:, :, :S] = past
    return keys, values


def without_gradients(past, k, v):
    with torch.no_grad():
        return append_copies(past, k, v)


def by_way_of_numpy(past, k, v):
    k, v = k.detach().numpy(), v.detach().numpy()
    if past is None:
        return torch.tensor(k), torch.tensor(v)
    return tuple(
        torch.cat((old.detach(), torch.tensor(new)), 2)
        for old, new in zip(past, (k, v), strict=True)
    )


def never_empty(past, k, v):
    B, nh, _, hs = k.shape
    past = past or (torch.zeros(B, nh, 1, hs, dtype=k.dtype),) * 2
    return torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)


def one_token_alone(past, k, v):
    k, v = k[:, :, -1], v[:, :, -1]
    k, v = k.unsqueeze(2), v.unsqueeze(2)
    if past is None:
        return k, v
    return torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)


def as_a_dict(past, k, v):
    keys, values = append_copies(past, k, v)
    return {"keys": keys, "values": values}


def sorts_what_it_keeps(past, k, v):
    keys, values = append_copies(past, k, v)
    order = keys.sum((0, 1, 3)).argsort()
    return keys[:, :, order], values[:, :, order]


def right_for_one_sequence(past, k, v):
    keys, values = append_copies(past, k, v)
    return keys[:1].expand_as(keys), values[:1].expand_as(values)


def reverses_several_new_tokens(past, k, v):
    return append_copies(past, k.flip(2), v.flip(2))


def transposes_what_it_keeps(past, k, v):
    keys, values = append_copies(past, k, v)
    return keys.mT, values


def the_last_eight(past, k, v):
    keys, values = append_copies(past, k, v)
    return keys[:, :, -8:], values[:, :, -8:]


def the_last_sixteen_by_narrow(past, k, v):
    def window(x):
        return x.narrow(2, max(x.shape[2] - 16, 0), min(x.shape[2], 16))

    return tuple(map(window, append_copies(past, k, v)))


def plus_in_place_of_cat(past, k, v):
    return (k, v) if past is None else (past + k, past + v)


def cat_without_its_tuple(past, k, v):
    if past is None:
        return k, v
    keys, values = past
    return torch.cat(keys, k, dim=2), torch.cat(values, v, dim=2)


def asks_the_old_keys(past, k, v):
    old_k, old_v = past if past is not None else (None, None)
    if old_k:
        k, v = torch.cat((old_k, k), 2), torch.cat((old_v, v), 2)
    return k, v


def new_keys_behind_old_values(past, k, v):
    if past is None:
        return k, v
    return tuple(torch.cat((old, k), 2) for old in past)


def into_shared_memory():
    """An answer that keeps a buffer for all calls of the same sizes."""
    buffer = {}

    def append(past, k, v):
        S = past[0].shape[2] if past else 0
        shape, room = (*k.shape, S, k.dtype), 99
        if shape not in buffer:
            B, nh, _, hs = k.shape
            buffer[shape] = torch.zeros(2, B, nh, room, hs, dtype=k.dtype)
        keys, values = buffer[shape]
        if past:
            keys[:, :, :S], values[:, :, :S] = past[0].clone(), past[1].clone()
        keys[:, :, S : S + k.shape[2]], values[:, :, S : S + k.shape[2]] = k, v
        return keys[:, :, : S + k.shape[2]], values[:, :, : S + k.shape[2]]

    return append


WRONG_APPEND = [
    (new_ones_first_in_a_loop, "puts the new ones first"),
    (new_ones_first_by_concat, None),
    (first_axis_in_a_comprehension, "makes the batch larger"),
    (hstack_of_both, "adds heads"),
    (none_in_a_cat, "forgets that the past may be none"),
    (plus_on_tuples, "adds the tuples"),
    (writes_over_the_last_places, None),
    (memory_of_float32, "has another dtype"),
    (without_gradients, "cuts the gradient"),
    (by_way_of_numpy, "cuts the gradient"),
    (never_empty, "begins with a token of zeros"),
    (one_token_alone, "keeps only the last new token"),
    (the_last_eight, "keeps a window"),
    (the_last_sixteen_by_narrow, "keeps a window"),
    (plus_in_place_of_cat, "adds a tensor to the past"),
    (cat_without_its_tuple, "forgets the tuple in cat"),
    (asks_the_old_keys, "asks whether a tensor is true"),
    (new_keys_behind_old_values, "joins the new keys onto both"),
    (grows_a_list, None),
    (as_a_dict, None),
    (sorts_what_it_keeps, None),
    (right_for_one_sequence, None),
    (reverses_several_new_tokens, None),
    (transposes_what_it_keeps, None),
    (into_shared_memory(), None),
    (lambda past, k, v: None, None),
    (lambda past, k, v: append_copies(past, v, k), None),
]


@pytest.mark.parametrize(("answer", "mistake"), WRONG_APPEND)
def test_wrong_answers_that_append_fail_under_the_name_of_their_mistake(answer, mistake):
    result = checks.run("append_to_cache", answer)
    assert not result.passed
    if mistake:
        assert result.misconception == mistake


def test_a_buffer_shared_by_all_calls_is_caught_where_two_texts_go_on_from_one_past():
    result = checks.run("append_to_cache", into_shared_memory())
    assert result.status == "failed"
    assert result.case.label == "the first of two texts that begin with the same token"


def test_the_call_on_the_card_shows_the_past_by_its_shapes():
    def append_to_cache(past, k, v):
        raise NotImplementedError

    message = checks.run("append_to_cache", append_to_cache).message
    assert "past=(<(1, 1, 1, 3)>, <(1, 1, 1, 3)>), k=<(1, 1, 1, 3)>" in message


# cached_attention: right


def attend_with_the_package(q, k, v, past):
    past = kv_cache.append_to_cache(past, k, v)
    return masked_attention(q, *past), past


def attend_with_a_bias_of_torch(q, k, v, past):
    k, v = append_copies(past, k, v)
    bias = causal_lower_right(q.shape[-2], k.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias), (k, v)


def attend_by_cases(q, k, v, past):
    nothing_kept = past is None
    k, v = append_copies(past, k, v)
    T, S = q.shape[-2], k.shape[-2]
    if nothing_kept:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True), (k, v)
    if T == 1:
        return F.scaled_dot_product_attention(q, k, v), (k, v)
    added = torch.triu(torch.full((T, S), -math.inf, dtype=q.dtype), S - T + 1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=added), Past(k, v)


def attend_and_share_out_again(q, k, v, past):
    k, v = append_copies(past, k, v)
    T, S, hs = q.shape[-2], k.shape[-2], q.shape[-1]
    weights = (q @ k.mT / math.sqrt(hs)).softmax(-1).tril(S - T)
    return weights / weights.sum(-1, keepdim=True) @ v, (k, v)


def attend_head_by_head(q, k, v, past):
    k, v = append_copies(past, k, v)
    B, nh, T, hs = q.shape
    S = k.shape[2]
    y = torch.zeros_like(q)
    for b in range(B):
        for h in range(nh):
            for t in range(T):
                seen = S - T + t + 1
                weights = torch.softmax(k[b, h, :seen] @ q[b, h, t] / hs**0.5, 0)
                y[b, h, t] = weights @ v[b, h, :seen]
    return y, (k, v)


def attend_by_joining_two_shares(q, k, v, past):
    """Kept and new tokens each on their own, weighed by how much attention each part draws."""
    hs, T = q.shape[-1], q.shape[-2]
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    new = (q @ k.mT / hs**0.5).masked_fill(hidden, -math.inf)
    y_new = new.softmax(-1) @ v
    if past is None:
        return y_new, (k, v)
    old = q @ past[0].mT / hs**0.5
    y_old = old.softmax(-1) @ past[1]
    share = torch.sigmoid(old.logsumexp(-1, keepdim=True) - new.logsumexp(-1, keepdim=True))
    return share * y_old + (1 - share) * y_new, append_copies(past, k, v)


def attend_with_added_minus_1e9(q, k, v, past):
    k, v = append_copies(past, k, v)
    i = torch.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None]
    j = torch.arange(k.shape[2])[None]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhqk,bhkd->bhqd", F.softmax(scores - 1e9 * (j > i), -1), v), (k, v)


def attend_with_one_batch_axis(q, k, v, past):
    k, v = append_copies(past, k, v)
    B, nh, T, hs = q.shape
    flat = [x.reshape(B * nh, -1, hs) for x in (q / math.sqrt(hs), k, v)]
    scores = torch.bmm(flat[0], flat[1].transpose(1, 2))
    S = k.shape[2]
    mask = torch.tril(torch.ones(S, S))[S - T :]
    weights = scores.masked_fill(mask == 0, float("-inf")).softmax(dim=2)
    return torch.bmm(weights, flat[2]).view(B, nh, T, hs), (k, v)


def attend_by_hand(q, k, v, past):
    k, v = append_copies(past, k, v)
    scores = (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1) / q.shape[-1] ** 0.5
    scores = scores - scores.amax(-1, keepdim=True).detach()
    shares = torch.exp(scores).tril(k.shape[-2] - q.shape[-2])
    return (shares / shares.sum(-1, keepdim=True)) @ v, (k, v)


RIGHT_ATTEND = [
    attend_with_the_package,
    attend_with_a_bias_of_torch,
    attend_by_cases,
    attend_and_share_out_again,
    attend_head_by_head,
    attend_by_joining_two_shares,
    attend_with_added_minus_1e9,
    attend_with_one_batch_axis,
    attend_by_hand,
]


@pytest.mark.parametrize("answer", RIGHT_ATTEND)
def test_right_answers_that_attend_in_another_way_pass(answer):
    result = checks.run("cached_attention", answer)
    assert result.passed, result.message


# cached_attention: wrong


def is_causal_always(q, k, v, past):
    k, v = append_copies(past, k, v)
    may_read = torch.tril(torch.ones(q.shape[2], k.shape[2], dtype=torch.bool))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read), (k, v)


def is_causal_for_a_prompt_alone(q, k, v, past):
    k, v = append_copies(past, k, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=past is None), (k, v)


def never_causal(q, k, v, past):
    k, v = append_copies(past, k, v)
    return F.scaled_dot_product_attention(q, k, v), (k, v)


def square_mask_added(q, k, v, past):
    k, v = append_copies(past, k, v)
    mask = torch.ones(q.shape[2], q.shape[2]).tril() == 0
    weights = (q @ k.mT / q.shape[3] ** 0.5).masked_fill(mask, -math.inf).softmax(-1)
    return weights @ v, (k, v)


def new_keys_alone(q, k, v, past):
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y, append_copies(past, k, v)


def old_keys_alone_in_the_result(q, k, v, past):
    y, new = attend_by_cases(q, k, v, past)
    return y, (past if past is not None else new)


def drops_the_history(q, k, v, past):
    return attend_by_cases(q, k, v, past)[0], (k, v)


def flat_result(q, k, v, past):
    y, (k, v) = attend_by_cases(q, k, v, past)
    return y, k, v


def y_alone(q, k, v, past):
    return attend_by_cases(q, k, v, past)[0]


def a_list_of_keys_and_values(q, k, v, past):
    y, new = attend_by_cases(q, k, v, past)
    return y, list(new)


def no_scale(q, k, v, past):
    k, v = append_copies(past, k, v)
    T, S = q.shape[2], k.shape[2]
    bias = causal_lower_right(T, S)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0), (k, v)


def scale_of_hs(q, k, v, past):
    k, v = append_copies(past, k, v)
    bias = causal_lower_right(q.shape[2], k.shape[2])
    scale = 1 / q.shape[3]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale), (k, v)


def detached_cache(q, k, v, past):
    y, (k, v) = attend_by_cases(q, k, v, past)
    return y, (k.detach(), v.detach())


def queries_kept(q, k, v, past):
    return attend_by_cases(q, q, v, past)


def halves_of_float32(q, k, v, past):
    y, new = attend_by_cases(q, k, v, past)
    return y.float(), new


def last_row_alone(q, k, v, past):
    y, new = attend_by_cases(q, k, v, past)
    return y[:, :, [-1]], new


def scale_of_the_length(q, k, v, past):
    k, v = append_copies(past, k, v)
    bias, scale = causal_lower_right(q.shape[2], k.shape[2]), 1 / math.sqrt(k.shape[2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale), (k, v)


def normed_keys_in_the_cache(q, k, v, past):
    y, (k, v) = attend_by_cases(q, k, v, past)
    return y, (k / k.norm(dim=-1, keepdim=True), v)


def y_in_the_cache(q, k, v, past):
    y, (k, v) = attend_by_cases(q, k, v, past)
    return y, (k, torch.cat((v[:, :, : -y.shape[2]], y), 2))


def scaled_keys_in_the_cache(q, k, v, past):
    k, v = append_copies(past, k / math.sqrt(q.shape[-1]), v)
    bias = causal_lower_right(q.shape[2], k.shape[2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0), (k, v)


def blind_to_the_oldest(q, k, v, past):
    window = past and tuple(x[:, :, -3:] for x in past)
    return attend_by_cases(q, k, v, window)[0], append_copies(past, k, v)


def asks_the_past_first(q, k, v, past):
    y = masked_attention(q, k, v) if past is None else masked_attention(q, *past)
    return y, append_copies(past, k, v)


def asks_the_past_even_where_there_is_none(q, k, v, past):
    y = masked_attention(q, *past)
    return y, append_copies(past, k, v)


def weights_cut_off_after_the_softmax(q, k, v, past):
    k, v = append_copies(past, k, v)
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    i = torch.arange(k.shape[2] - q.shape[2], k.shape[2])[:, None]
    return weights.masked_fill(torch.arange(k.shape[2]) > i, 0) @ v, (k, v)


def with_the_last_eight(q, k, v, past):
    k, v = the_last_eight(past, k, v)
    return masked_attention(q, k, v), (k, v)


def blind_to_all_but_eight(q, k, v, past):
    window = past and tuple(x[:, :, -8:] for x in past)
    return attend_by_cases(q, k, v, window)


def one_sequence_for_all(q, k, v, past):
    y, new = attend_by_cases(q, k, v, past)
    return y[:1].expand_as(y), new


WRONG_ATTEND = [
    (is_causal_always, "counts the mask from the upper left"),
    (is_causal_for_a_prompt_alone, "masks only where nothing is kept"),
    (never_causal, "forgets the mask"),
    (square_mask_added, "makes the mask square"),
    (new_keys_alone, "reads only the new tokens"),
    (old_keys_alone_in_the_result, "hands on the old past"),
    (drops_the_history, "hands on only the new tokens"),
    (flat_result, "returns three tensors"),
    (y_alone, "returns only y"),
    (a_list_of_keys_and_values, "returns a list"),
    (no_scale, "forgets the scale"),
    (scale_of_hs, "divides by hs"),
    (detached_cache, "cuts the gradient"),
    (queries_kept, "keeps the queries"),
    (halves_of_float32, "always float32"),
    (last_row_alone, "answers only for the last token"),
    (asks_the_past_first, "attends before it appends"),
    (asks_the_past_even_where_there_is_none, "attends before it appends"),
    (weights_cut_off_after_the_softmax, "masks after the softmax"),
    (with_the_last_eight, "keeps a window"),
    (blind_to_all_but_eight, None),
    (scale_of_the_length, None),
    (normed_keys_in_the_cache, None),
    (y_in_the_cache, None),
    (scaled_keys_in_the_cache, None),
    (blind_to_the_oldest, None),
    (one_sequence_for_all, None),
    (lambda q, k, v, past: None, None),
]


@pytest.mark.parametrize(("answer", "mistake"), WRONG_ATTEND)
def test_wrong_answers_that_attend_fail_under_the_name_of_their_mistake(answer, mistake):
    result = checks.run("cached_attention", answer)
    assert not result.passed
    if mistake:
        assert result.misconception == mistake


def test_is_causal_for_a_prompt_alone_is_wrong_only_for_several_tokens_on_top_of_a_past():
    result = checks.run("cached_attention", is_causal_for_a_prompt_alone)
    assert result.case.label == "two new tokens on top of three"
    q, k, v, past = result.case.args
    one = [x[:, :, :1] for x in (q, k, v)]
    right = attend_with_the_package(*one, past)[0]
    assert torch.allclose(is_causal_for_a_prompt_alone(*one, past)[0], right, atol=1e-6)


def test_an_unknown_fault_in_the_cache_alone_is_drawn_and_its_properties_are_told():
    result = checks.run("cached_attention", normed_keys_in_the_cache)
    assert "expected: new past[0]" in result.message
    told = dict(result.properties)
    assert not told["the new past holds what was kept, and then what is new"]
    assert told["y has a row of hs numbers for each new token"]
    assert told["every kept token is read"]


def test_a_window_of_eight_does_not_read_every_kept_token():
    told = dict(checks.run("cached_attention", blind_to_all_but_eight).properties)
    assert not told["every kept token is read"]
    assert told["a new token reads itself"]
    claims = {prop.claim: prop for prop in engine.find("cached_attention").properties}
    with pytest.raises(ValueError, match="n_query"):
        claims["every kept token is read"].holds(with_the_last_eight)


def test_a_new_token_that_asks_the_past_alone_does_not_read_itself():
    claims = {prop.claim: prop for prop in engine.find("cached_attention").properties}
    assert not claims["a new token reads itself"].holds(asks_the_past_first)
    assert claims["a new token reads itself"].holds(attend_head_by_head)


def test_a_result_put_together_otherwise_is_described_by_its_form():
    message = checks.run("cached_attention", flat_result).message
    assert "expected '(tensor, (tensor, tensor))', got '(tensor, tensor, tensor)'" in message


def test_a_missing_return_is_said_to_be_one():
    message = checks.run("cached_attention", lambda q, k, v, past: None).message
    assert "what stands behind `return`" in message
