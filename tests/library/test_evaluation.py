"""Evaluation: perplexity and bits per byte, by hand and by the definition."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course import evaluation
from gpt2course.config import GPT2Config
from gpt2course.corpus import Probe
from gpt2course.evaluation import (
    Evaluation,
    evaluate,
    next_word,
    probe_accuracy,
    token_nll,
    top_k_accuracy,
)
from gpt2course.model import GPT2
from gpt2course.sampling import generate
from gpt2course.tokenizer import Tokenizer

SMALL = GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=11, vocab_size=257)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = GPT2(SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.double()


@pytest.fixture(scope="module")
def ids():
    return torch.randint(257, (60,), generator=torch.Generator().manual_seed(0)).tolist()


@torch.no_grad()
def surprise(model, context, token_id):
    return -model(torch.tensor([context]))[0, -1].log_softmax(-1)[token_id].item()


def test_the_three_units_by_hand():
    found = Evaluation(nats=math.log(4) * 10, n_tokens=10, n_bytes=40)
    assert found.loss == pytest.approx(math.log(4))
    assert found.perplexity == pytest.approx(4)
    assert found.bits_per_byte == pytest.approx(0.5)  # 2 bits a token, 4 bytes a token


@pytest.mark.parametrize("stride", [1, 2, 5, 10, 11, None])
def test_every_token_is_predicted_once_from_the_context_that_is_promised(model, ids, stride):
    nll = token_nll(model, ids, stride)
    step = stride or 5
    expected, done = [], 0
    while done < 59:
        end = min(done + (step if done else 11), 59)
        start = max(0, end - 11)
        expected += [surprise(model, ids[start : t + 1], ids[t + 1]) for t in range(done, end)]
        if done:
            assert done + 1 - start >= 11 - step + 1
        done = end
    assert_close(nll, torch.tensor(expected, dtype=torch.float64))


def test_stride_one_gives_every_token_the_fullest_context(model, ids):
    expected = [surprise(model, ids[max(0, t - 10) : t + 1], ids[t + 1]) for t in range(59)]
    assert_close(token_nll(model, ids, 1), torch.tensor(expected, dtype=torch.float64))


def test_windows_are_read_in_batches(model, ids, monkeypatch):
    read = []
    hidden = model.hidden
    monkeypatch.setattr(model, "hidden", lambda idx: read.append(tuple(idx.shape)) or hidden(idx))
    monkeypatch.setattr(evaluation, "BATCH", 4 * 11)
    token_nll(model, ids, stride=5)
    assert read == [(4, 11), (4, 11), (3, 11)]


@pytest.mark.parametrize(("small", "threads"), [(True, 1), (False, 3)])
def test_a_small_model_computes_on_one_thread_everywhere(model, ids, monkeypatch, small, threads):
    monkeypatch.setattr("gpt2course.threads.SMALL", 10**9 if small else 1)
    before, seen = torch.get_num_threads(), []
    # whatever of it runs: the hook is called in the middle of every pass
    hook = model.h[0].register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(3)
    try:
        token_nll(model, ids)
        top_k_accuracy(model, ids)
        next_word(model, Tokenizer([]), "ab")
        generate(model, [ids[:11]], 2)  # a prompt, and past n_ctx
        assert max(seen) == threads
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
        hook.remove()


@pytest.mark.parametrize("n", [2, 3, 11, 12, 13])
def test_short_texts_need_one_window_or_two(model, ids, n):
    assert len(token_nll(model, ids[:n])) == n - 1
    expected = [surprise(model, ids[: t + 1], ids[t + 1]) for t in range(min(n - 1, 11))]
    assert_close(token_nll(model, ids[:n])[:11], torch.tensor(expected, dtype=torch.float64))


def test_a_text_is_read_after_end_of_text_so_that_its_first_token_counts(model):
    tokenizer, text = Tokenizer([]), "Zoë!"
    found = evaluate(model, tokenizer, text)
    ids = [tokenizer.end_of_text, *text.encode()]
    expected = sum(surprise(model, ids[:t], ids[t]) for t in range(1, len(ids)))
    assert (found.n_tokens, found.n_bytes) == (5, 5)
    assert found.nats == pytest.approx(expected, abs=1e-9)
    assert found.bits_per_byte == pytest.approx(expected / math.log(2) / 5)


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    model = GPT2(SMALL)
    nn.init.zeros_(model.wte.weight)
    assert evaluate(model, Tokenizer([]), "any text at all").perplexity == pytest.approx(257, 1e-5)


def test_bfloat16_is_summed_in_float32(model, ids):
    nll = token_nll(GPT2(SMALL).bfloat16(), ids)
    assert nll.dtype == torch.float32
    assert nll.mean().item() == pytest.approx(math.log(257), abs=0.1)


@pytest.mark.parametrize("stride", [0, -1, 12])
def test_a_stride_outside_the_window_is_refused(model, ids, stride):
    with pytest.raises(ValueError, match=f"stride must lie in 1 to n_ctx=11, got {stride}"):
        token_nll(model, ids, stride)


def test_texts_without_anything_to_predict_are_refused(model):
    with pytest.raises(ValueError, match="at least two tokens, one to predict, got 1"):
        token_nll(model, [3])
    with pytest.raises(ValueError, match="at least one character, got none"):
        evaluate(model, Tokenizer([]), "")


# the next word


class Scripted(nn.Module):
    """A model that says given ids one after the other, whatever it reads."""

    def __init__(self, config, prompt_length, said):
        super().__init__()
        self.config, self.n_prompt, self.said = config, prompt_length, said

    def forward(self, idx):
        at = [min(max(0, t + 1 - self.n_prompt), len(self.said) - 1) for t in range(idx.shape[1])]
        ids = torch.tensor([self.said[i] for i in at])
        said = nn.functional.one_hot(ids, self.config.vocab_size).float()
        return said.expand(len(idx), -1, -1)


@pytest.mark.parametrize(
    ("said", "word"),
    [(" beeped again", "beeped"), (" be. It", "be"), ("!", ""), (" lantern", "lantern")],
)
def test_the_next_word_ends_where_a_word_ends(said, word):
    tokenizer = Tokenizer.train("the robot beeped again and the robot beeped. " * 20, 300)
    config = GPT2Config(1, 1, 4, 64, tokenizer.vocab_size)
    text = "the robot"
    script = [*tokenizer.encode(said), tokenizer.end_of_text]
    model = Scripted(config, len(tokenizer.encode(text)) + 1, script)
    assert next_word(model, tokenizer, text) == word


def test_a_probe_is_answered_by_a_right_word_alone():
    tokenizer = Tokenizer.train("the robot beeped again and the robot beeped. " * 20, 300)
    config = GPT2Config(1, 1, 4, 64, tokenizer.vocab_size)
    probes = [
        Probe("it", "the robot", ("beeped", "whirred"), (4, 9)),
        Probe("it", "the robot", ("be",), (4, 9)),
    ]
    n_prompt = len(tokenizer.encode("the robot")) + 1
    script = [*tokenizer.encode(" beeped again"), tokenizer.end_of_text]
    model = Scripted(config, n_prompt, script)
    assert probe_accuracy(model, tokenizer, probes) == 0.5
    with pytest.raises(ValueError, match="at least one"):
        probe_accuracy(model, tokenizer, [])


def test_top_k_accuracy_counts_the_places_where_the_next_token_is_near_the_top():
    model = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=8, n_ctx=5, vocab_size=20)).eval()
    ids = torch.randint(20, (23,), generator=torch.Generator().manual_seed(0)).tolist()
    found = 0
    for start in range(0, 22, 5):
        row = ids[start : start + 6]
        for t in range(len(row) - 1):
            logits = model(torch.tensor([row[: t + 1]]))[0, -1]
            found += int((logits > logits[row[t + 1]]).sum() < 3)
    assert top_k_accuracy(model, ids, k=3) == found / 22
    assert top_k_accuracy(model, ids, k=20) == 1
