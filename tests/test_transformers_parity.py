"""The same weights in transformers' GPT-2 and in ours: the same numbers, layer by layer."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gpt2course.config import GPT2Config
from gpt2course.model import GPT2, count_parameters

transformers = pytest.importorskip("transformers", reason="transformers is a test extra")

SIZES = {
    "tiny": GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=17, vocab_size=61),
    "one_head": GPT2Config(n_layer=1, n_head=1, n_embd=6, n_ctx=9, vocab_size=13),
    "deep": GPT2Config(n_layer=9, n_head=5, n_embd=35, n_ctx=23, vocab_size=101),
}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def random_peer(config, attn_implementation, deviation=0.1):
    """GPT-2 of transformers with every parameter random, biases and LayerNorm's included."""
    peer = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_embd=config.n_embd,
            n_positions=config.n_ctx,
            vocab_size=config.vocab_size,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation=attn_implementation,
        )
    ).eval()
    assert peer.config._attn_implementation == attn_implementation
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter += deviation * torch.randn_like(parameter)
    return peer


def is_transposed(name):
    """Whether this is a matrix of a Conv1D, which is the transpose of a Linear's."""
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def copied(peer, config):
    """Our model with the peer's weights, name by name."""
    state = peer.transformer.state_dict()
    model = GPT2(config).to(peer.dtype)
    model.load_state_dict({name: t.T if is_transposed(name) else t for name, t in state.items()})
    return model


@pytest.fixture(params=SIZES)
def config(request):
    return SIZES[request.param]


@pytest.fixture(params=["eager", "sdpa"])
def peer(request, config):
    return random_peer(config, request.param)


@pytest.fixture
def idx(config):
    torch.manual_seed(1)
    return torch.randint(config.vocab_size, (3, config.n_ctx))


@pytest.mark.parametrize("dtype", TOLERANCE)
@torch.no_grad()
def test_logits_equal_transformers(config, peer, idx, dtype):
    peer = peer.to(dtype)
    logits, expected = copied(peer, config)(idx), peer(idx).logits
    assert logits.dtype == dtype
    assert expected.std() > 0.2
    assert_close(logits, expected, rtol=0, atol=TOLERANCE[dtype])


@torch.no_grad()
def test_hidden_states_equal_transformers_layer_by_layer(config, peer, idx):
    peer = peer.double()
    model = copied(peer, config)
    states = []
    model.h[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    for block in model.h[:-1]:
        block.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    model.ln_f.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    model(idx)
    expected = peer(idx, output_hidden_states=True).hidden_states
    assert len(states) == len(expected) == config.n_layer + 1
    for state, expect in zip(states, expected, strict=True):
        assert_close(state, expect, rtol=0, atol=1e-9)


def next_token_loss(logits, idx):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), idx[:, 1:].flatten())


def test_loss_equals_transformers(config, peer, idx):
    peer = peer.double()
    loss = next_token_loss(copied(peer, config)(idx), idx)
    expected = peer(idx, labels=idx).loss
    assert_close(loss.float(), expected.float(), rtol=0, atol=1e-5)  # theirs is taken in float32


def test_gradients_equal_transformers(config, peer, idx):
    peer = peer.double()
    model = copied(peer, config)
    next_token_loss(model(idx), idx).backward()
    next_token_loss(peer(idx).logits, idx).backward()
    theirs = dict(peer.transformer.named_parameters())
    for name, parameter in model.named_parameters():
        grad = theirs[name].grad
        assert grad.abs().max() > 1e-6, name
        expected = grad.T if is_transposed(name) else grad
        assert_close(parameter.grad, expected, rtol=0, atol=1e-9, msg=name)


@torch.no_grad()
def test_the_124m_model_equals_transformers_in_float32():
    config = GPT2Config()
    peer = random_peer(config, "sdpa", deviation=0.03)
    model = copied(peer, config)
    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    assert count_parameters(config) == peer.num_parameters() == 124_439_808
    idx = torch.randint(config.vocab_size, (1, 16))
    expected = peer(idx).logits
    assert expected.std() > 0.5
    assert_close(model(idx), expected, rtol=0, atol=1e-4)
