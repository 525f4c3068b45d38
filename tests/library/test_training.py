"""Training: batches, loss and schedule by hand, the loop against a plain one, and checkpoints."""

import json
import math
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.training import (
    AnotherRun,
    checkpoints,
    chunked_loss,
    heldout_loss,
    learning_rate,
    loop,
    next_token_batch,
    next_token_loss,
    parameter_groups,
    processes,
    train,
)
from gpt2course.training.checkpoints import CHECKPOINT
from gpt2course.training.folder import LOCK, claim
from gpt2course.training.history import Heldout, History, Step, history_of, history_tensors
from gpt2course.training.processes import ALONE, Processes, own_device
from gpt2course.training.run import Run
from gpt2course.training.settings import Settings
from gpt2course.training.text_data import TextData, read_texts, split_documents

TINY = GPT2Config(n_layer=2, n_head=3, n_embd=12, n_ctx=7, vocab_size=23)
QUICK = Settings(max_steps=6, batch_size=4, warmup_steps=2, eval_every=3, checkpoint_every=2)


def made(config=TINY, kind=GPT2, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config)


@pytest.fixture(scope="module")
def data():
    """Ids of which each tells the next: one after the other, all the way round."""
    ids = torch.arange(600, dtype=torch.int32) % TINY.vocab_size
    return TextData(ids[:500], ids[500:])


class OnlyForward(nn.Module):
    """A GPT-2 of someone else's, without `hidden`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.inner = GPT2(config)

    def forward(self, idx):
        return F.linear(self.inner.hidden(idx), self.inner.wte.weight)


# Batches, loss, schedule ------------------------------------------------------------------------


def test_rows_are_cut_from_the_text_and_targets_are_one_later():
    ids = torch.arange(100, 150)
    inputs, targets = next_token_batch(ids, 5, 7, torch.Generator().manual_seed(0))
    assert inputs.shape == targets.shape == (5, 7)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs, inputs[:, :1] + torch.arange(7))


def test_every_start_is_drawn_and_about_equally_often():
    inputs, _ = next_token_batch(torch.arange(10), 6000, 4, torch.Generator().manual_seed(0))
    counts = Counter(inputs[:, 0].tolist())
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]
    assert all(abs(count - 1000) < 150 for count in counts.values())  # 5 deviations


def test_batches_are_int64_whatever_the_ids_are_kept_as():
    inputs, targets = next_token_batch(torch.arange(9, dtype=torch.int32), 2, 3)
    assert inputs.dtype == targets.dtype == torch.int64


def test_a_text_without_room_for_a_row_is_refused():
    with pytest.raises(ValueError, match="more than n_ctx=5 tokens.*got 5"):
        next_token_batch(torch.arange(5), 1, 5)


def test_the_loss_is_the_mean_of_the_nats():
    probabilities = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]], dtype=torch.float64)
    loss = next_token_loss(probabilities.log() + 3, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(10)) / 2)


def test_a_guess_costs_ln_v():
    assert next_token_loss(torch.zeros(2, 3, 23), torch.ones(2, 3).long()).item() == pytest.approx(
        math.log(23)
    )


def test_the_learning_rate_by_hand():
    rates = [learning_rate(step, 1.0, 0.2, 4, 8) for step in range(10)]
    half = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
    low = 0.2 + 0.8 * (1 - math.cos(math.pi / 4)) / 2
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, half, 0.6, low, 0.2, 0.2])


def test_without_warm_up_the_learning_rate_begins_at_its_height():
    assert learning_rate(0, 3e-4, 3e-5, 0, 10) == pytest.approx(3e-4)


# Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0),
        ("max_steps", 1.5),
        ("max_steps", "10"),
        ("batch_size", True),
        ("n_ctx", 0),
        ("max_lr", 0),
        ("max_lr", math.nan),
        ("max_lr", "fast"),
        ("min_lr", -1e-9),
        ("warmup_steps", -1),
        ("weight_decay", -0.1),
        ("betas", (0.9, 1.0)),
        ("betas", (0.9,)),
        ("clip_norm", 0),
        ("accumulate", 0),
        ("eval_every", 0),
        ("eval_tokens", 0),
        ("checkpoint_every", 0),
        ("seed", -1),
        ("dtype", "float16"),
        ("compile", "yes"),
    ],
)
def test_settings_that_are_impossible_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*got .*; "):
        Settings(**{"max_steps": 10, name: value})


def test_settings_must_fit_each_other():
    with pytest.raises(ValueError, match="min_lr must be at most max_lr=0.001, got 0.01"):
        Settings(max_steps=10, max_lr=1e-3, min_lr=1e-2)
    with pytest.raises(ValueError, match=r"divisible by accumulate, got 10 and 4; .*batch_size=8"):
        Settings(max_steps=10, batch_size=10, accumulate=4)


def test_what_is_left_out_is_a_tenth():
    short = Settings(max_steps=10, max_lr=1e-4)
    assert short.schedule == (1e-4, pytest.approx(1e-5), 1, 10)
    assert replace(short, max_steps=300, max_lr=1.0).schedule == (1.0, 0.1, 30, 300)
    assert replace(short, max_steps=10**6).schedule[2] == 100
    assert replace(short, warmup_steps=0, min_lr=0.0).schedule == (1e-4, 0.0, 0, 10)


# The text ---------------------------------------------------------------------------------------

STORIES = [f"The robot has {n} wheels and a bell." for n in range(40)]


def test_a_document_is_whole_on_one_side():
    documents, heldout = split_documents(STORIES, heldout_share=0.1)
    assert len(heldout) == 4
    assert sorted(documents + heldout) == sorted(STORIES)
    assert documents == [story for story in STORIES if story not in heldout]  # in their order


def test_the_split_is_the_seeds_and_little_else():
    _, heldout = split_documents(STORIES, 0.1, seed=1)
    assert split_documents(STORIES, 0.1, seed=1)[1] == heldout
    assert split_documents(STORIES, 0.1, seed=2)[1] != heldout
    _, with_more = split_documents([*STORIES, "A new one."], 0.1, seed=1)
    assert len(set(heldout) & set(with_more)) >= 3


def test_equal_documents_are_never_on_both_sides():
    documents, heldout = split_documents(STORIES * 3, heldout_share=0.3)
    assert not set(documents) & set(heldout)
    assert len(documents) + len(heldout) == 120


def test_end_of_text_stands_before_every_document_and_after_the_last():
    tokenizer = Tokenizer([])
    found = TextData.from_split(["ab", "", "c"], ["d"], tokenizer)
    assert found.train.tolist() == [256, *b"ab", 256, *b"c", 256]
    assert found.heldout.tolist() == [256, *b"d", 256]


def test_documents_come_back_from_their_ids():
    tokenizer = Tokenizer.train(STORIES, 300)
    found = TextData.from_documents(STORIES, tokenizer, heldout_share=0.2, seed=3)
    sides = split_documents(STORIES, 0.2, seed=3)
    for ids, side in zip((found.train, found.heldout), sides, strict=True):
        assert tokenizer.decode(ids) == "".join(f"<|endoftext|>{s}" for s in side) + "<|endoftext|>"


def test_a_document_that_spells_end_of_text_does_not_end():
    found = TextData.from_split(["a<|endoftext|>b"], ["c"], Tokenizer([]))
    assert found.train.tolist().count(256) == 2


def test_the_fingerprint_tells_texts_and_splits_apart():
    ids = torch.arange(20, dtype=torch.int32)
    found = TextData(ids[:15], ids[15:])
    assert found.fingerprint == TextData(ids[:15].clone(), ids[15:].long()).fingerprint
    assert found.fingerprint != TextData(ids[:14], ids[14:]).fingerprint
    assert found.fingerprint != TextData(ids[:15].flip(0), ids[15:]).fingerprint


def test_one_document_is_not_enough_to_hold_one_out():
    with pytest.raises(ValueError, match="at least two that differ.*got 1"):
        split_documents(["same", "same", ""])
    with pytest.raises(ValueError, match="heldout_share must lie between 0 and 1, got 1.0"):
        split_documents(STORIES, heldout_share=1.0)
    with pytest.raises(ValueError, match="heldout must hold at least one document"):
        TextData.from_split(["a"], [""], Tokenizer([]))


def test_a_file_is_cut_at_end_of_text_where_it_has_it(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("one\n\nstill one\n<|endoftext|>\ntwo<|endoftext|>\n", encoding="utf-8")
    assert read_texts([path]) == ["one\n\nstill one", "two"]


@pytest.mark.parametrize("seam", ["\n\n", "\n", " ", ""])
@pytest.mark.parametrize("n_words", [30, 40_000])
def test_any_other_file_is_cut_into_pieces_of_two_pages_or_shorter(tmp_path, seam, n_words):
    path = tmp_path / "novel.txt"
    text = seam.join(f"wörd{n}" for n in range(n_words))
    path.write_bytes(text.encode())
    pieces = read_texts(path)
    assert len(pieces) >= 15
    assert max(map(len, pieces)) <= 4000 + 100
    if seam:  # no word is cut
        assert [word for piece in pieces for word in piece.split()] == text.split()
    else:
        assert "".join(pieces) == text
    if n_words > 1000:
        assert len(pieces) < len(text) / 3900


def test_paragraphs_stay_whole_where_there_are_enough(tmp_path):
    path = tmp_path / "novel.txt"
    paragraphs = [f"{n} lines\nof a paragraph" for n in range(2000)]
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    assert [p for piece in read_texts([path]) for p in piece.split("\n\n")] == paragraphs


def test_files_from_windows_are_text_too(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes("\ufeffa\r\n\r\nb".encode())
    assert "".join(read_texts([path])) == "ab"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold text to learn from, but is empty"),
        (b" \n\t\n", "must hold text to learn from, but is empty"),
        (b"<|endoftext|>\n<|endoftext|>", "must hold text to learn from, but is empty"),
        (b"caf\xe9 au lait", r"must be text in UTF-8, but byte 3 \(0xe9\) is not; save it as"),
        (b"\x89PNG\r\n\x1a\n\0\0", "must be text in UTF-8, but byte 8 is 0, which no text has"),
        ("text".encode("utf-16"), r"must be text in UTF-8, but .*UTF-16"),
    ],
)
def test_files_that_are_no_text_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.txt {message}"):
        read_texts([path])


def test_files_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*none.txt; name a file"):
        read_texts([tmp_path / "none.txt"])
    with pytest.raises(IsADirectoryError, match="is a folder; name the files of text in it"):
        read_texts([tmp_path])
    with pytest.raises(ValueError, match="at least one file of text, got none"):
        read_texts([])


# The loss in chunks -----------------------------------------------------------------------------


def in_chunks(model, idx, targets):
    return chunked_loss.loss_of_hidden(model.hidden(idx), model.wte.weight, targets)


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("n_rows", [1, 5, 35, 512])
def test_the_loss_in_chunks_has_the_gradients_of_the_plain_one(monkeypatch, dtype, close, n_rows):
    monkeypatch.setattr(chunked_loss, "CPU_ROWS", n_rows)
    model = made().to(dtype)
    idx, targets = next_token_batch(torch.arange(300) * 7 % 23, 5, 7)
    plain = next_token_loss(model(idx), targets)
    chunked = in_chunks(model, idx, targets)
    assert_close(chunked, plain, rtol=0, atol=close)
    # scaled, so that the gradient which comes from behind counts
    expected, found = gradients(model, plain * 3), gradients(model, chunked * 3)
    assert_close(found, expected, rtol=0, atol=3 * close)


def test_the_loss_in_chunks_is_right_for_logits_of_a_thousand():
    x = torch.tensor([[[1e3, -1e3, 0.0]]], dtype=torch.float64, requires_grad=True)
    loss = chunked_loss.loss_of_hidden(x, torch.eye(3, dtype=torch.float64), torch.tensor([[2]]))
    loss.backward()
    assert loss.item() == pytest.approx(1e3)
    assert_close(x.grad, torch.tensor([[[1.0, 0.0, -1.0]]], dtype=torch.float64))


def test_the_loss_in_chunks_goes_backward_once():
    model = made()
    idx, targets = next_token_batch(torch.arange(23), 2, 7)
    loss = in_chunks(model, idx, targets)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="goes backward once"):
        loss.backward()


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor had that was made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return made


def test_no_tensor_holds_all_logits(monkeypatch):
    monkeypatch.setattr(chunked_loss, "CPU_ROWS", 10)
    model = made(replace(TINY, vocab_size=2000))
    idx, targets = next_token_batch(torch.arange(400), 20, 7)
    with Largest() as chunked:
        in_chunks(model, idx, targets).backward()
    with Largest() as looked, torch.no_grad():
        in_chunks(model, idx, targets)
    with Largest() as plain:
        next_token_loss(model(idx), targets).backward()
    assert plain.numbers == 20 * 7 * 2000
    assert chunked.numbers == looked.numbers == 2000 * 12  # wte; 10 rows of logits are less


def test_under_autocast_the_softmax_is_of_float32():
    model = made(replace(TINY, vocab_size=3000))
    idx, targets = next_token_batch(torch.arange(300), 5, 7)
    exact = next_token_loss(model(idx), targets)
    with torch.autocast("cpu", torch.bfloat16):
        loss = in_chunks(model, idx, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), abs=2e-3)  # bfloat16's own step is 0.06
    expected, found = gradients(model, exact), gradients(model, loss)
    for name in expected:
        assert (found[name] - expected[name]).norm() <= 0.03 * expected[name].norm(), name


# A step and many --------------------------------------------------------------------------------


def test_only_matrices_decay():
    model = made()
    decaying, others = parameter_groups(model, 0.3)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decaying["params"]} == {2}
    assert {p.ndim for p in others["params"]} == {1}
    everything = {id(p) for p in decaying["params"] + others["params"]}
    assert everything == {id(p) for p in model.parameters()}


def plain_training(model, data, settings):
    """The same run, written without any of the package's means to be quick."""
    decaying = [p for name, p in model.named_parameters() if p.ndim > 1]
    others = [p for name, p in model.named_parameters() if p.ndim == 1]
    groups = [{"params": decaying, "weight_decay": settings.weight_decay}]
    groups += [{"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, betas=settings.betas, foreach=False, fused=False)
    generator = torch.Generator().manual_seed(settings.seed)
    losses = []
    for step in range(settings.max_steps):
        idx, targets = next_token_batch(data.train, settings.batch_size, 7, generator)
        loss = F.cross_entropy(model(idx).view(-1, 23), targets.reshape(-1))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        length = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
        for parameter in model.parameters():
            parameter.grad *= min(1, settings.clip_norm / (length + 1e-6))  # torch's own guard
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, *settings.schedule)
        optimizer.step()
    return losses


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_training_equals_a_plain_loop(data, accumulate):
    settings = replace(QUICK, max_lr=1e-2, clip_norm=0.7)
    ours, theirs = made().double(), made().double()
    history = train(ours, data, replace(settings, accumulate=accumulate))
    losses = plain_training(theirs, data, settings)
    assert [step.loss for step in history.steps] == pytest.approx(losses, abs=1e-10)
    assert max(step.grad_norm for step in history.steps) > 0.7  # some were clipped
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=1e-8)


@pytest.mark.parametrize("accumulate", [2, 3, 6])
def test_accumulated_gradients_are_those_of_one_large_batch(data, accumulate):
    found = []
    for n_pieces in (1, accumulate):
        settings = replace(QUICK, batch_size=6, accumulate=n_pieces)
        run = Run(made(), data, settings, ALONE)
        loss = run.forward_backward()
        found.append([loss, *(p.grad for p in run.model.parameters())])
    assert_close(found[1], found[0], rtol=0, atol=1e-6)


def test_the_loss_falls_from_ln_v_to_what_the_text_leaves_open(data):
    settings = Settings(max_steps=150, batch_size=16, max_lr=1e-2, min_lr=1e-3, eval_every=50)
    history = train(made(), data, settings)
    first, *_, last = history.heldout
    assert first == (0, pytest.approx(math.log(23), abs=0.1))
    assert last.step == 150 and last.loss < 0.1  # every token tells the next


def test_the_history_has_every_step_and_every_look(data):
    history = train(made(), data, replace(QUICK, max_steps=7))
    assert [step.step for step in history.steps] == list(range(7))
    assert [look.step for look in history.heldout] == [0, 3, 6, 7]
    rates = [learning_rate(step, 2e-3, 2e-4, 2, 7) for step in range(7)]
    assert [step.learning_rate for step in history.steps] == rates
    assert history.tokens == 7 * 4 * 7
    assert history.seconds > 0


def test_the_seed_decides_and_the_global_generator_is_left_alone(data):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = made(), made(), made()
    train(first, data, QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    train(again, data, QUICK)
    train(other, data, replace(QUICK, seed=1))
    assert torch.equal(first.wte.weight, again.wte.weight)
    assert not torch.equal(first.wte.weight, other.wte.weight)


def test_a_model_with_forward_alone_is_trained_the_same(data):
    ours, theirs = made().double(), made(kind=OnlyForward).double()
    history = train(ours, data, QUICK)
    also = train(theirs, data, QUICK)
    assert [s.loss for s in also.steps] == pytest.approx([s.loss for s in history.steps], abs=1e-10)
    assert_close(theirs.inner.wte.weight, ours.wte.weight, rtol=0, atol=1e-8)


def test_a_forward_of_its_own_is_what_is_trained(data):
    class Louder(GPT2):
        def forward(self, idx, cache=None):
            return 2 * super().forward(idx, cache)

    model = made(kind=Louder)
    idx, targets = next_token_batch(data.train, 4, 7, torch.Generator().manual_seed(0))
    expected = next_token_loss(model(idx), targets).item()
    assert train(model, data, QUICK).steps[0].loss == pytest.approx(expected)


def test_the_held_out_text_is_looked_at_in_eval_mode_and_training_goes_on_in_train_mode(data):
    seen = []

    class Watched(GPT2):
        def hidden(self, idx, cache=None):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().hidden(idx, cache)

    model = made(kind=Watched).eval()
    train(model, data, replace(QUICK, max_steps=2))
    assert Counter(seen).keys() == {(False, False), (True, True)}
    assert seen[-1] == (False, False)
    assert not model.training  # as it was given


def test_the_held_out_loss_is_the_mean_over_rows_side_by_side(data):
    model, ids = made().double(), data.heldout.long()
    rows = [ids[start : start + 8] for start in range(0, 14 * 7, 7)]  # 100 tokens, 14 rows
    losses = [F.cross_entropy(model(row[None, :-1])[0], row[1:]).item() for row in rows]
    assert heldout_loss(model, ids, 7) == pytest.approx(sum(losses) / 14, abs=1e-12)
    assert heldout_loss(model, ids, 7, batch_size=3) == pytest.approx(sum(losses) / 14, abs=1e-12)
    some = [losses[i] for i in (0, 3, 7, 10)]  # four rows, spread evenly
    assert heldout_loss(model, ids, 7, max_tokens=30) == pytest.approx(sum(some) / 4, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 7, 8])
def test_a_short_held_out_text_is_one_row(n):
    model, ids = made().double(), torch.arange(n)
    expected = F.cross_entropy(model(ids[None, :-1])[0], ids[1:]).item()
    assert heldout_loss(model, ids, 7) == pytest.approx(expected)


def test_bfloat16_trains_weights_of_float32(data):
    half, full = made(), made()
    settings = replace(QUICK, max_steps=20, max_lr=1e-2)
    found = train(half, data, replace(settings, dtype="bfloat16"))
    exact = train(full, data, settings)
    assert half.wte.weight.dtype == torch.float32
    assert found.steps[-1].loss != exact.steps[-1].loss
    assert found.steps[-1].loss == pytest.approx(exact.steps[-1].loss, abs=0.05)


def test_without_a_compiler_training_says_so_and_goes_on(data, monkeypatch, capsys):
    def fail(function):
        def compiled(*args):
            raise RuntimeError("no C++ compiler was found\nand much more")

        return compiled

    monkeypatch.setattr(torch, "compile", fail)
    model, plain = made(), made()
    train(model, data, replace(QUICK, compile=True))
    said = capsys.readouterr().err
    assert said == "training without torch.compile, which failed: no C++ compiler was found\n"
    train(plain, data, QUICK)
    assert torch.equal(model.wte.weight, plain.wte.weight)


def test_what_is_compiled_is_what_is_trained(data, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f: lambda idx: compiled.append(1) or f(idx))
    train(made(), data, replace(QUICK, compile=True))
    assert len(compiled) == 1 + QUICK.max_steps  # once to see whether it works


# What does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_ctx": 8}, "n_ctx of the rows must be at most the model's 7, got 8"),
        ({"vocab_size": 22}, "ids must lie below the model's vocab_size=22, got 22"),
        ({"train": 7}, "more than n_ctx=7 tokens to learn from and 2 held out, got 7 and 100"),
        ({"heldout": 1}, "more than n_ctx=7 tokens to learn from and 2 held out, got 500 and 1"),
        ({"size": 3}, r"divisible by processes × accumulate, got 4 and 3 × 1; try batch_size=3"),
        (
            {"size": 3, "accumulate": 2},
            r"divisible by processes × accumulate, got 4 and 3 × 2; try batch_size=6",
        ),
    ],
)
def test_model_text_and_settings_must_fit(data, change, message):
    model = made(replace(TINY, vocab_size=change.get("vocab_size", 23)))
    settings = {name: change[name] for name in ("n_ctx", "accumulate") if name in change}
    text = TextData(data.train[: change.get("train")], data.heldout[: change.get("heldout")])
    with pytest.raises(ValueError, match=message):
        Run(model, text, replace(QUICK, **settings), Processes(0, change.get("size", 1)))


@pytest.mark.parametrize("where", ["weight", "gradient"])
def test_training_stops_where_the_loss_is_no_number(data, tmp_path, where):
    model = made()

    def break_it(step, model, history):
        if step == 5 and where == "weight":
            model.ln_f.weight.data[3] = math.nan
        if step == 5 and where == "gradient":
            model.ln_f.weight.register_hook(lambda grad: grad * math.inf)

    with pytest.raises(FloatingPointError) as error:
        train(model, data, QUICK, tmp_path, on_step=break_it)
    message = str(error.value)
    rate = learning_rate(5, 2e-3, 2e-4, 2, 6)
    assert f"at step 5, with a learning rate of {rate:.3g}" in message
    assert f"last good checkpoint, {tmp_path / CHECKPOINT}, holds the first 4 steps" in message
    assert "smaller max_lr" in message
    tensors = safetensors.torch.load_file(tmp_path / CHECKPOINT)
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert checkpoints.n_steps(tmp_path / CHECKPOINT) == 4


def test_a_held_out_loss_that_is_no_number_stops_too(data, tmp_path):
    def break_it(step, model, history):
        if step == 6:
            model.wte.weight.data[3] = math.nan

    with pytest.raises(FloatingPointError, match="held-out loss must be finite, got nan at step 6"):
        train(made(), data, QUICK, tmp_path, on_step=break_it)
    assert checkpoints.n_steps(tmp_path / CHECKPOINT) == 4


def test_without_a_folder_the_error_says_that_nothing_was_kept(data):
    model = made()
    model.wte.weight.data[0] = math.inf
    with pytest.raises(FloatingPointError, match="no checkpoint was written"):
        train(model, data, QUICK)


# Checkpoints ------------------------------------------------------------------------------------


class Cut(Exception):
    """The run is over, as if its process had died."""


def cut_at(*steps):
    def cut(step, model, history):
        if step in steps:
            raise Cut

    return cut


class WithDropout(GPT2):
    """Draws from torch's own generator in every step, and has a buffer."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("steps", torch.zeros(()))

    def hidden(self, idx, cache=None):
        if self.training:
            self.steps += 1
        return F.dropout(super().hidden(idx, cache), 0.2, self.training)


@pytest.mark.parametrize("kind", [GPT2, OnlyForward, WithDropout])
def test_a_run_that_was_cut_ends_with_the_weights_of_one_that_was_not(data, tmp_path, kind):
    settings = replace(QUICK, max_steps=20, checkpoint_every=3, accumulate=2)
    torch.manual_seed(9)
    whole = made(kind=kind)
    history = train(whole, data, settings)
    torch.manual_seed(9)
    for cut in (2, 4, 8, 9, 19, None):
        model = made(kind=kind, seed=0 if cut == 2 else 77)  # what it was is in the checkpoint
        if cut == 4:  # nothing was kept yet
            torch.manual_seed(9)
            model = made(kind=kind)
        try:
            found = train(model, data, settings, tmp_path, cut_at(cut))
        except Cut:
            torch.rand(3)  # another process has a generator in another state
    state, expected = model.state_dict(), whole.state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert (found.steps, found.heldout) == (history.steps, history.heldout)
    assert found.tokens == history.tokens


def test_a_run_that_is_done_gives_its_model_and_history_again(data, tmp_path):
    first, again = made(), made(seed=1)
    history = train(first, data, QUICK, tmp_path)
    found = train(again, data, QUICK, tmp_path, cut_at(*range(9)))
    assert found == replace(history, seconds=found.seconds)
    assert torch.equal(first.wte.weight, again.wte.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_lr": 1e-2}, r"with max_lr=0.002, min_lr=0.0002, got max_lr=0.01, min_lr=0.001; "),
        ({"max_steps": 9}, r"run with max_steps=6, got max_steps=9; "),
        ({"seed": 3, "batch_size": 8}, r"with batch_size=4, seed=0, got batch_size=8, seed=3; "),
        ({"model": replace(TINY, n_layer=3)}, r"model's n_layer=2, .*, got model's n_layer=3"),
        ({"kind": OnlyForward}, r"run with parameters='\w+', got parameters='\w+'"),
        ({"text": 499}, r"run with text='\w+', got text='\w+'"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused_and_kept(data, tmp_path, change, message):
    train(made(), data, QUICK, tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    settings = {name: value for name, value in change.items() if hasattr(QUICK, name)}
    model = made(change.get("model", TINY), change.get("kind", GPT2))
    text = TextData(data.train[: change.get("text")], data.heldout)
    with pytest.raises(ValueError, match=message) as error:
        train(model, text, replace(QUICK, **settings), tmp_path)
    assert "or train in another folder" in str(error.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_how_often_checkpoints_are_written_may_change(data, tmp_path):
    with pytest.raises(Cut):
        train(made(), data, QUICK, tmp_path, cut_at(5))
    train(made(), data, replace(QUICK, checkpoint_every=5), tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "no checkpoint"])
def test_a_damaged_checkpoint_is_refused_by_name(data, tmp_path, damage):
    path = tmp_path / CHECKPOINT
    train(made(), data, QUICK, tmp_path)
    whole = path.read_bytes()
    content = {"cut": whole[:-100], "empty": b"", "other": b"\0" * 500}
    content["no checkpoint"] = safetensors.torch.save({"wte.weight": torch.zeros(2, 3)})
    path.write_bytes(content[damage])
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors must be a "):
        train(made(), data, QUICK, tmp_path)


@pytest.mark.parametrize("gone", ["random.rows", "model.wte.weight", "history.steps"])
def test_a_checkpoint_without_one_of_its_tensors_is_damaged(data, tmp_path, gone):
    path = tmp_path / CHECKPOINT
    train(made(), data, QUICK, tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != gone}
        metadata = file.metadata()
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="must be a whole checkpoint, but is damaged"):
        train(made(), data, QUICK, tmp_path)


@pytest.mark.parametrize("gone", ["made_with", "tensors_sha256"])
def test_a_checkpoint_that_does_not_say_what_it_is_of_is_damaged(data, tmp_path, gone):
    path = tmp_path / CHECKPOINT
    train(made(), data, QUICK, tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        metadata = {name: text for name, text in file.metadata().items() if name != gone}
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=f"must be a whole checkpoint, but is damaged .*{gone}"):
        train(made(), data, QUICK, tmp_path)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8, 0.999])
def test_a_bit_that_was_flipped_is_found(data, tmp_path, where):
    path = tmp_path / CHECKPOINT
    train(made(), data, QUICK, tmp_path)
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin + int(where * (len(content) - begin))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged .its tensors are not those that were written"):
        train(made(), data, QUICK, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0" * 500])
def test_to_ask_a_damaged_checkpoint_for_its_steps_is_refused_too(tmp_path, content):
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match="must be a whole checkpoint, but is damaged"):
        checkpoints.n_steps(tmp_path / CHECKPOINT)


def test_a_buffer_that_the_run_did_not_have_makes_it_another_run(data, tmp_path):
    train(made(), data, QUICK, tmp_path)
    with pytest.raises(AnotherRun, match=r"run with parameters='\w+', got parameters='\w+'"):
        train(made(kind=WithDropout), data, QUICK, tmp_path)


def test_at_most_a_tenth_of_the_steps_is_lost(data, tmp_path):
    lost = []

    def on_step(step, model, history):
        path = tmp_path / CHECKPOINT
        lost.append(step - (checkpoints.n_steps(path) if path.exists() else 0))

    train(made(), data, replace(QUICK, max_steps=40, checkpoint_every=None), tmp_path, on_step)
    assert max(lost) == 4
    few = replace(QUICK, max_steps=3, checkpoint_every=None)
    train(made(), data, few, tmp_path / "few", on_step)


# The folder -------------------------------------------------------------------------------------


def never(*args):
    raise AssertionError("computed although the folder can't be used")


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_computed(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "Run", never)
    (tmp_path / "file").write_text("a model?")
    with pytest.raises(NotADirectoryError, match="file must be a folder, not a file; name"):
        train(made(), data, QUICK, tmp_path / "file")
    with pytest.raises(OSError, match=r"in must be a folder to write to \(Not a directory\)"):
        train(made(), data, QUICK, tmp_path / "file" / "in")
    assert (tmp_path / "file").read_text() == "a model?"
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(OSError, match=r"here must be a folder to write to \(Permission denied\)"):
        train(made(), data, QUICK, tmp_path / "here")


def test_two_runs_in_one_folder_are_one_too_many(data, tmp_path):
    with ThreadPoolExecutor(1) as pool, claim(tmp_path):
        other = pool.submit(train, made(), data, QUICK, tmp_path)
        with pytest.raises(BlockingIOError, match="must be free, but another run .*; wait until"):
            other.result()
        train(made(), data, QUICK, tmp_path)  # who has claimed it trains in it
    train(made(), data, QUICK, tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint(data, tmp_path, monkeypatch):
    path = tmp_path / CHECKPOINT
    with pytest.raises(Cut):
        train(made(), data, QUICK, tmp_path, cut_at(3))
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "fsync", full)
        train(made(), data, QUICK, tmp_path)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {CHECKPOINT, LOCK}
    train(made(), data, QUICK, tmp_path)
    assert checkpoints.n_steps(path) == 6


def test_a_checkpoint_is_plain_tensors_and_text(data, tmp_path):
    model = made()
    train(model, data, QUICK, tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["made_with"])["max_lr"] == QUICK.max_lr
    tensors = safetensors.torch.load(content)
    assert torch.equal(tensors["model.wte.weight"], model.wte.weight)
    assert tensors["exp_avg_sq.wte.weight"].shape == model.wte.weight.shape
    assert {"random.rows", "random.torch", "history.steps"} <= tensors.keys()
    assert (tmp_path / CHECKPOINT).stat().st_mode & 0o777 == 0o644


def test_a_history_reads_back_as_it_was(tmp_path):
    history = History([Step(0, 7.6, 1e-5, 0.1 + 0.2)], [Heldout(0, 7.7)], 12.5, 4096)
    history.save(tmp_path / "history.json")
    found = History.load(tmp_path / "history.json")
    assert found == history
    assert found.steps[0].learning_rate == 1e-5 and found.heldout[0].loss == 7.7
    assert history_of(history_tensors(history)) == history
    assert history_of(history_tensors(History())) == History()
    (tmp_path / "history.json").write_text('{"steps": 3}')
    with pytest.raises(ValueError, match=r"history\.json must be as History\.save wrote it"):
        History.load(tmp_path / "history.json")


# Signals ----------------------------------------------------------------------------------------


def interrupt_at(number, signum=signal.SIGINT):
    def interrupt(step, model, history):
        if step == number:
            signal.raise_signal(signum)

    return interrupt


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_a_whole_step_with_a_checkpoint(data, tmp_path, signum):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopped, whole = made(), made()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        train(stopped, data, QUICK, tmp_path, interrupt_at(3, signum))
    path = tmp_path / CHECKPOINT
    assert f"stopped after 4 of 6 steps; {path} holds them" in str(interrupt.value)
    assert checkpoints.n_steps(path) == 4
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(stopped, data, QUICK, tmp_path)
    train(whole, data, QUICK)
    assert torch.equal(stopped.wte.weight, whole.wte.weight)


def test_ctrl_c_without_a_folder_says_that_nothing_was_kept(data):
    with pytest.raises(KeyboardInterrupt, match="nothing was written, since no folder was given"):
        train(made(), data, QUICK, on_step=interrupt_at(1))


def test_a_second_ctrl_c_does_not_wait(data, tmp_path):
    def impatient(step, model, history):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="^$"):
        train(made(), data, QUICK, tmp_path, impatient)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_thread_can_train_too(data):
    with ThreadPoolExecutor(1) as pool:
        history = pool.submit(train, made(), data, QUICK).result()
    assert len(history.steps) == 6


# Processes --------------------------------------------------------------------------------------


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="at most the 2 GPUs of this machine, got 3; start as"):
        own_device()


@pytest.mark.parametrize(("n_cores", "n_processes", "share"), [(8, 2, 4), (2, 2, 1), (2, 3, 1)])
def test_the_processes_share_the_cores(monkeypatch, n_cores, n_processes, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(n_cores), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(n_processes))
    assert processes._share_of_cores() == share


# What is told meanwhile -------------------------------------------------------------------------


def test_callbacks_see_the_model_as_it_is_then(data):
    steps, looks = [], []

    def on_step(step, model, history):
        steps.append((step, len(history.steps), model.wte.weight[0, 0].item()))

    def on_eval(step, model, history):
        loss = heldout_loss(model, data.heldout, 7)
        looks.append((step, history.heldout[-1].loss == pytest.approx(loss)))

    train(made(), data, QUICK, on_step=on_step, on_eval=on_eval)
    assert [(step, n) for step, n, _ in steps] == [(n, n) for n in range(1, 7)]
    assert len({weight for *_, weight in steps}) == 6
    assert looks == [(0, True), (3, True), (6, True)]


def test_the_bar_tells_loss_speed_and_time_left(data, capsys):
    train(made(), data, replace(QUICK, max_steps=200), progress=True)
    told = capsys.readouterr().err
    assert "training: 100%" in told and "200/200" in told
    assert ", loss " in told and " tokens/s" in told


def test_a_library_is_quiet_unless_asked(data, capsys):
    train(made(), data, QUICK)
    assert capsys.readouterr() == ("", "")
