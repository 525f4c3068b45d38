"""Activations: every number on the way, the same that the model computes without being watched."""

from inspect import unwrap

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course.attention import blend_values
from gpt2course.block import LayerNorm
from gpt2course.config import GPT2Config
from gpt2course.corpus import Probe
from gpt2course.inspection import (
    activations,
    find,
    first_difference,
    head_weights,
    logit_lens,
    mean_attention,
    previous_token_score,
    stages,
    without_heads,
)
from gpt2course.mlp import gelu
from gpt2course.model import GPT2, output_logits
from gpt2course.multihead import merge_heads
from gpt2course.tokenizer import Tokenizer

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


# Attention


def test_head_weights_are_those_of_every_layer_and_head(model, idx):
    weights = head_weights(model, idx[:1])
    assert weights.shape == (3, 3, T, T) and not weights.requires_grad
    for layer, seen in enumerate(activations(model, idx).blocks):
        assert_close(weights[layer], seen.weights[0])


def test_head_weights_of_several_texts_are_refused(model, idx):
    with pytest.raises(ValueError, match=r"one text, \(1, T\), got \(2, 7\); take them one by one"):
        unwrap(head_weights)(model, idx)


def test_a_head_that_looks_back_scores_one_and_the_others_by_what_they_give():
    back = torch.zeros(4, 4)
    back[0, 0] = back[1, 0] = back[2, 1] = back[3, 2] = 1
    evenly = torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None]
    found = previous_token_score(torch.stack([back, evenly, torch.eye(4)])[None])
    assert_close(found, torch.tensor([[1, (1 / 2 + 1 / 3 + 1 / 4) / 3, 0]]))


def test_mean_attention_adds_the_tokens_of_a_word_and_averages_sentences_of_any_length():
    short = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    long = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0.1, 0.6, 0.3, 0], [0.4, 0.1, 0.2, 0.3]])
    weights = [short[None, None], long[None, None]]
    assert_close(mean_attention(weights, [2, 3], [[1], [0, 2]]), torch.tensor([[(0.3 + 0.6) / 2]]))
    assert_close(mean_attention(weights, [1, 2], [[0], [1]]), torch.tensor([[(0.5 + 0.6) / 2]]))


def hanging(text, start, end):
    return Probe("it", text, ("beeped",), (start, end))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer([(114, 111), (256, 98), (257, 111), (258, 116), (32, 259)])  # " robot" at last


def test_find_gives_the_last_position_and_the_tokens_of_the_word(tokenizer):
    text = "My robot fell; it"
    ids = tokenizer.encode(text)
    query, keys = find(hanging(text, 3, 8), tokenizer)
    assert query == len(ids) - 1
    assert tokenizer.decode([ids[k] for k in keys]) == " robot"


def test_find_counts_bytes_where_characters_are_more_than_one(tokenizer):
    text = "né ☕ robots ran"
    ids = tokenizer.encode(text)
    query, keys = find(hanging(text, 5, 11), tokenizer)
    assert tokenizer.decode([ids[k] for k in keys]) == " robots"
    assert len(keys) == 2  # " robot" and "s"
    assert find(hanging(text, 0, 2), tokenizer)[1] == [0, 1, 2]  # n, and the two bytes of é


def test_find_takes_no_neighbour_along(tokenizer):
    text = "a b c"
    assert find(hanging(text, 2, 3), tokenizer) == (4, [2])
    assert find(hanging(text, 0, 1), tokenizer) == (4, [0])
    assert find(hanging(text, 4, 5), tokenizer) == (4, [4])


def test_without_heads_their_columns_of_what_c_proj_reads_are_zeros(model, idx):
    whole = activations(model, idx).blocks[1]
    with without_heads(model, [(1, 0), (1, 2)]):
        left = activations(model, idx).blocks[1]
    c_proj, kept = model.h[1].attn.c_proj, blend_values(whole.weights, whole.v)[:, 1]
    assert_close(left.weights, whole.weights)
    assert_close(left.attn_out, kept @ c_proj.weight[:, 5:10].T + c_proj.bias)
    assert torch.equal(left.x, whole.x)


def test_without_any_head_or_without_all_of_a_layer(model, idx):
    with without_heads(model, []):
        assert torch.equal(model(idx), activations(model, idx).logits)
    with without_heads(model, [(0, head) for head in range(3)]):
        found = activations(model, idx).blocks[0]
    assert_close(found.attn_out, model.h[0].attn.c_proj.bias.expand(B, T, 15))


def test_the_heads_are_back_afterwards_even_after_an_error(model, idx):
    before = model(idx)
    with pytest.raises(RuntimeError, match="stop"), without_heads(model, [(0, 1), (2, 2)]):
        assert not torch.equal(model(idx), before)
        raise RuntimeError("stop")
    assert torch.equal(model(idx), before)


# The logit lens


def test_the_last_stage_of_the_lens_is_the_models_logits(model, idx):
    found = activations(model, idx)
    stream = torch.stack(found.stream)[:, 0]  # (S, T, C)
    lens = logit_lens(stream, model.ln_f.weight, model.ln_f.bias, model.wte.weight)
    assert lens.shape == (4, T, 61)
    assert_close(lens[-1], found.logits[0])


def test_every_stage_of_the_lens_is_what_a_model_cut_there_would_say(model, idx):
    stream = torch.stack(activations(model, idx).stream)[:, 0]
    lens = logit_lens(stream, model.ln_f.weight, model.ln_f.bias, model.wte.weight)
    x = model.wte(idx[:1]) + model.wpe.weight[:T]
    for stage in range(4):
        assert_close(lens[stage], output_logits(model.ln_f(x), model.wte.weight)[0])
        x = model.h[stage](x) if stage < 3 else x


# Stage by stage -------------------------------------------------------------------------------


def test_stages_are_those_of_activations_in_the_order_of_the_data(model, idx):
    found, all_of_it = stages(model, idx), activations(model, idx)
    names = [f"h.{i}{part}" for i in range(3) for part in (".ln_1", ".attn", ".ln_2", ".mlp", "")]
    assert list(found) == ["embedding", *names, "ln_f", "logits"]
    assert torch.equal(found["embedding"], all_of_it.tokens + all_of_it.positions)
    for i, block in enumerate(all_of_it.blocks):
        parts = (block.attn_in, block.attn_out, block.mlp_in, block.mlp_out, block.x_out)
        for part, expected in zip((".ln_1", ".attn", ".ln_2", ".mlp", ""), parts, strict=True):
            assert torch.equal(found[f"h.{i}{part}"], expected)
    assert torch.equal(found["ln_f"], all_of_it.final)
    assert torch.equal(found["logits"], all_of_it.logits)


def test_a_part_that_is_not_called_as_a_module_is_left_out(model, idx):
    class Silent(type(model)):
        def hidden(self, idx, cache=None):
            x = self.wte(idx) + self.wpe.weight[: idx.shape[1]]
            for block in self.h:
                x = block(x)
            return LayerNorm.forward(self.ln_f, x)

    silent = Silent(SMALL).double()
    silent.load_state_dict(model.state_dict())
    found = stages(silent, idx)
    assert "ln_f" not in found and len(found) == len(stages(model, idx)) - 1
    assert_close(found["logits"], stages(model, idx)["logits"])


def test_first_difference_needs_as_many_stages_of_both():
    with pytest.raises(ValueError, match="got 1 and 2; compare the stages that both have"):
        first_difference([torch.zeros(1)], [torch.zeros(1)] * 2, 0.1)


def test_first_difference_by_hand():
    a, b = torch.zeros(2, 3), torch.ones(4)
    assert first_difference([a, b], [a, b + 0.5], 0.4) == 1
    assert first_difference([a, b], [a, b + 0.5], 0.6) is None
    assert first_difference([a + torch.nan, b], [a, b], 1e9) == 0
    assert first_difference([a], [a.reshape(3, 2)], 1e9) == 0
