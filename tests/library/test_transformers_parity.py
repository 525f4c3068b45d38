"""The same weights in transformers' GPT-2 and in ours: the same numbers, layer by layer."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from gpt2course.config import GPT2Config
from gpt2course.inspection import activations
from gpt2course.model import GPT2, count_parameters
from gpt2course.sampling import generate
from gpt2course.tokenizer import Tokenizer
from gpt2course.weights import CONV1D, load_released, locate

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


def copied(peer, config):
    """Our model with the peer's weights, name by name."""
    return load_released(peer.state_dict(), GPT2(config).to(peer.dtype))


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
def test_states_and_attention_equal_transformers_layer_by_layer(config, idx):
    peer = random_peer(config, "eager").double()  # the one that can show its weights
    ours = activations(copied(peer, config), idx)
    theirs = peer(idx, output_hidden_states=True, output_attentions=True)
    states = [*ours.stream[:-1], ours.final]  # theirs ends after ln_f
    for state, expected in zip(states, theirs.hidden_states, strict=True):
        assert_close(state, expected, rtol=0, atol=1e-9)
    for block, expected in zip(ours.blocks, theirs.attentions, strict=True):
        assert_close(block.weights, expected, rtol=0, atol=1e-9)


@torch.no_grad()
def test_greedy_text_of_200_tokens_equals_transformers():
    config = GPT2Config(n_layer=3, n_head=5, n_embd=35, n_ctx=256, vocab_size=101)
    peer = random_peer(config, "sdpa", deviation=0.3).double()
    idx = torch.randint(101, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(idx)
    settings = {"max_new_tokens": 200, "do_sample": False, "pad_token_id": 0}
    expected = peer.generate(idx, attention_mask=mask, **settings)
    assert len(expected[0].unique()) > 5  # and not one token over and over
    assert torch.equal(generate(copied(peer, config), idx, 200, temperature=0), expected)


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
        expected = grad.T if name.endswith(CONV1D) else grad
        assert_close(parameter.grad, expected, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("attn_implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@torch.no_grad()
def test_the_124m_model_equals_transformers(attn_implementation, dtype):
    config = GPT2Config()
    peer = random_peer(config, attn_implementation, deviation=0.03).to(dtype)
    model = copied(peer, config)
    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    assert count_parameters(config) == peer.num_parameters() == 124_439_808
    idx = torch.randint(config.vocab_size, (1, 16))
    expected = peer(idx).logits
    assert expected.std() > 0.5
    assert_close(model(idx), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.released
@torch.no_grad()
def test_the_released_model_equals_transformers():
    try:
        model = GPT2.from_pretrained("gpt2")
        tokenizer = Tokenizer.gpt2()
    except ConnectionError as error:
        pytest.skip(f"the released weights can't be had here: {error}")
    folder = locate("gpt2")[0].parent
    peer = transformers.GPT2LMHeadModel.from_pretrained(folder)
    idx = torch.tensor([tokenizer.encode("A robot must obey the orders given it")])
    assert_close(model(idx), peer(idx).logits, rtol=0, atol=1e-3)  # logits near -100
    mask = torch.ones_like(idx)
    settings = {"max_new_tokens": 200, "do_sample": False, "pad_token_id": 50256}
    expected = peer.generate(idx, attention_mask=mask, **settings)
    assert torch.equal(generate(model, idx, expected.shape[1] - idx.shape[1], 0), expected)
