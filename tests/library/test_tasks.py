"""Pairs as one stream, the loss on the target, and beam search."""

import math
import random
from itertools import product

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.tasks import beam_search, join_pair, pad_rows, split_pair, target_loss

END = 0


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = GPT2(GPT2Config(n_layer=2, n_head=2, n_embd=16, n_ctx=24, vocab_size=9)).eval()
    model.initialise(0.7)  # so that some continuations are far likelier than others
    return model


def score_of(model, prompt, new):
    with torch.no_grad():
        log_probs = model(torch.tensor([prompt + new])).double().log_softmax(-1)[0]
    return sum(log_probs[len(prompt) - 1 + i, token].item() for i, token in enumerate(new))


def test_a_pair_is_source_separator_target_end_and_target_and_end_are_asked():
    ids, asked = join_pair([5, 6, 7], [8, 9], separator=1, end=2)
    assert ids == [5, 6, 7, 1, 8, 9, 2]
    assert asked == [False, False, False, False, True, True, True]


def test_joining_changes_no_list_and_splitting_gives_both_back():
    dice = random.Random(0)
    for _ in range(100):
        source, target = ([dice.randrange(3, 9) for _ in range(dice.randrange(5))] for _ in "st")
        before = list(source), list(target)
        ids, asked = join_pair(source, target, 1, 2)
        assert (source, target) == before == split_pair(ids + [0, 0], 1, 2)
        assert len(ids) == len(asked) and sum(asked) == len(target) + 1


def test_a_target_that_was_cut_off_is_taken_to_its_last_id():
    assert split_pair([5, 1, 7, 8], separator=1, end=2) == ([5], [7, 8])


def test_a_text_without_its_separator_is_refused_by_name():
    with pytest.raises(ValueError, match="must have its separator, 1, .*3 ids.*join_pair"):
        split_pair([5, 6, 7], separator=1, end=2)


def test_rows_are_filled_up_on_the_right():
    idx, real = pad_rows([[7, 8, 9], [], [0]], pad_id=0)
    assert idx.tolist() == [[7, 8, 9], [0, 0, 0], [0, 0, 0]] and idx.dtype == torch.int64
    assert real.tolist() == [[True] * 3, [False] * 3, [True, False, False]]


@pytest.mark.parametrize("rows", [[], [[]], [[], [], []]])
def test_a_batch_of_padding_alone_is_refused_by_name(rows):
    with pytest.raises(ValueError, match=f"at least one row must hold an id, got {len(rows)} rows"):
        pad_rows(rows, pad_id=0)


def test_padding_changes_no_logits_of_real_ids(model):
    rows = [[1, 4, 6], [3, 5, 2, 8, 7, 1]]
    for pad_id in (0, 5):
        idx, real = pad_rows(rows, pad_id)
        for row, logits in zip(rows, model(idx), strict=True):
            assert_close(logits[: len(row)], model(torch.tensor([row]))[0])


def test_the_loss_is_the_mean_over_the_asked_ids_of_the_batch():
    torch.manual_seed(2)
    logits, idx = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    asked = torch.tensor([[1, 1, 0, 1, 1], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]).bool()
    nats = [
        -logits[b, t - 1].log_softmax(-1)[idx[b, t]]
        for b, t in product(range(3), range(1, 5))
        if asked[b, t]
    ]
    assert len(nats) == 4
    assert_close(target_loss(logits, idx, asked), torch.stack(nats).mean())


def test_where_all_is_asked_it_is_the_loss_of_the_next_token():
    torch.manual_seed(3)
    logits, idx = torch.randn(2, 6, 5), torch.randint(5, (2, 6))
    want = F.cross_entropy(logits[:, :-1].transpose(1, 2), idx[:, 1:])
    assert_close(target_loss(logits, idx, torch.ones(2, 6).bool()), want)


@pytest.mark.parametrize("T", [1, 4])
def test_a_batch_in_which_nothing_is_asked_costs_nothing_and_moves_nothing(T):
    logits = torch.randn(2, T, 3, dtype=torch.float64, requires_grad=True)
    asked = torch.zeros(2, T).bool()
    asked[:, 0] = True  # nothing precedes it
    loss = target_loss(logits, torch.zeros(2, T).long(), asked)
    loss.backward()
    assert loss.item() == 0 and loss.dtype == torch.float64
    assert not logits.grad.any()


def test_padding_may_be_an_id_that_no_vocabulary_has():
    idx, real = pad_rows([[1, 2], [1, 2, 0]], pad_id=-7)
    assert target_loss(torch.zeros(2, 3, 3), idx, real).item() == pytest.approx(math.log(3))


def test_width_1_is_greedy(model):
    for prompt in ([3], [4, 4, 1], [8, 2]):
        new = []
        while len(new) < 8 and new[-1:] != [END]:
            new.append(model(torch.tensor([prompt + new]))[0, -1].argmax().item())
        assert beam_search(model, prompt, 1, 8, END) == new


def test_enough_beams_find_the_likeliest_of_all_texts(model):
    texts = [list(text) for n in (1, 2, 3) for text in product(range(9), repeat=n)]
    complete = [t for t in texts if END not in t[:-1] and (len(t) == 3 or t[-1] == END)]
    for prompt in ([3], [4, 4, 1], [8, 2]):
        best = max(complete, key=lambda text: score_of(model, prompt, text))
        assert beam_search(model, prompt, 9**3, 3, END) == best


def test_an_end_in_the_prompt_ends_nothing_and_no_new_ids_are_none(model):
    assert len(beam_search(model, [3, END], 2, 4, end=END)) >= 1
    assert beam_search(model, [3], 2, 0, END) == []


class Peer:
    """A model of transformers, called as ours are."""

    def __init__(self, model):
        self.model = model
        self.config = GPT2Config(n_layer=2, n_head=2, n_embd=16, n_ctx=32, vocab_size=11)

    def __call__(self, idx):
        return self.model(idx).logits


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_beams_are_those_of_transformers(width):
    """Its search puts ended beams aside; here they stay, as texts that only repeat their end."""
    transformers = pytest.importorskip("transformers", reason="transformers is a test extra")
    differs = 0
    for seed in range(12):
        torch.manual_seed(seed)
        config = transformers.GPT2Config(
            vocab_size=11, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.7
        )
        peer = transformers.GPT2LMHeadModel(config).eval()
        prompt = torch.randint(1, 11, (4,)).tolist()

        def stay(ids, scores, prompt=prompt):
            ended = (ids[:, len(prompt) :] == END).any(dim=1)
            kept = torch.full_like(scores, -math.inf)
            kept[:, END] = 0.0
            return torch.where(ended[:, None], kept, scores)

        found = peer.generate(
            torch.tensor([prompt]),
            num_beams=width,
            max_new_tokens=7,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=END,
            length_penalty=0.0,
            logits_processor=transformers.LogitsProcessorList([stay]) if width > 1 else None,
        )[0, 4:].tolist()
        found = found[: found.index(END) + 1] if END in found else found

        ours = beam_search(Peer(peer), prompt, width, 7, END)
        assert ours == found, seed
        differs += ours != beam_search(Peer(peer), prompt, 1, 7, END)
    assert differs > 0 or width == 1


@pytest.mark.parametrize(
    "prompt, width, n, told",
    [
        (
            [1] * 25,
            2,
            1,
            "prompt must fit the n_ctx=24 tokens of the model, got 25; shorten the so",
        ),
        ([1] * 20, 2, 6, "prompt of 20 and max_new_tokens=6 must fit .*at most 5 new ones do"),
        ([], 2, 3, "prompt must hold at least one id, got none; end it with the separator"),
        ([1], 0, 3, "width must be at least 1 and max_new_tokens at least 0, got 0 and 3"),
        ([1], 2, -1, "width must be at least 1 .* got 2 and -1"),
    ],
)
def test_what_can_not_be_searched_is_refused_by_name(model, prompt, width, n, told):
    with pytest.raises(ValueError, match=told):
        beam_search(model, prompt, width, n, END)


def test_a_text_may_fill_the_window_to_the_last_id(model):
    never = 8
    assert 1 <= len(beam_search(model, [1] * 20, 2, 5, never)) <= 5


def test_beam_search_leaves_no_gradients_and_changes_no_prompt(model):
    prompt = [3, 5]
    beam_search(model, prompt, 3, 4, END)
    assert prompt == [3, 5]
    assert all(parameter.grad is None for parameter in model.parameters())
