"""Training as programs: killed and begun again, in several processes, from the command line."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gpt2course import corpus, weights
from gpt2course.config import GPT2Config
from gpt2course.evaluation import evaluate
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.tools import cli
from gpt2course.training import COURSE_SETTINGS
from gpt2course.training.checkpoints import CHECKPOINT
from gpt2course.training.folder import LOCK
from gpt2course.training.history import HISTORY, History
from gpt2course.training.text_data import split_documents

ROOT = Path(__file__).resolve().parents[2]
STORIES = [
    f"The {noun} is {colour}. It has {n} wheels, and the {noun} likes them."
    for noun in ("robot", "cart", "train", "toy", "lorry")
    for colour in ("red", "blue", "green", "grey")
    for n in range(2, 12)
]
SIZES = ["--n-layer", "1", "--n-head", "2", "--n-embd", "8", "--n-ctx", "12"]
SHORT = [*SIZES, "--vocab-size", "300", "--batch-size", "4", "--steps", "24", "--eval-every", "8"]


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "stories.txt"
    path.write_text("<|endoftext|>".join(STORIES), encoding="utf-8")
    return str(path)


@pytest.fixture
def run(capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*argv):
        code = cli.main(["train", *map(str, argv)])
        return code, *capsys.readouterr()

    return run


def tensors_of(folder):
    return weights.read_tensors([Path(folder, weights.WEIGHTS)])


# Killed -----------------------------------------------------------------------------------------

# Trains in children of its own, which it kills with SIGKILL, and prints what came of it. A child is
# a fork, so that it trains within milliseconds, and any of them may be met in any line.
KILLER = """
import json, os, random, signal, sys, time
import torch
from gpt2course.training import checkpoints
from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.training.settings import Settings
from gpt2course.training.text_data import TextData
from gpt2course.training import train

torch.set_num_threads(1)
folder, whole = sys.argv[1:]
ids = torch.arange(4000, dtype=torch.int32) * 7 % 23
data = TextData(ids[:3500], ids[3500:])
settings = Settings(max_steps=80, batch_size=4, warmup_steps=9, eval_every=10, checkpoint_every=1)

def run(folder):
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, n_ctx=8, vocab_size=23)
    history = train(GPT2(config), data, settings, folder)

def child(folder, kill_at=None):
    pid = os.fork()
    if pid == 0:
        if kill_at is not None:
            kill_self_at(kill_at)
        run(folder)
        os._exit(0)
    return pid

def kill_self_at(name):
    setattr(os, name, lambda *args: os.kill(os.getpid(), signal.SIGKILL))

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

path = os.path.join(folder, checkpoints.CHECKPOINT)
def n_steps():
    return checkpoints.n_steps(path) if os.path.exists(path) else 0

def wait_until(reached):
    end = time.monotonic() + 60
    while n_steps() < reached and time.monotonic() < end:
        time.sleep(0.001)

weight = torch.nn.Parameter(torch.zeros(2))  # what torch imports late is imported before the forks
weight.grad = torch.ones(2)
torch.optim.AdamW([weight], fused=True).step()
assert wait(child(whole)) == 0
dice, kills, steps = random.Random(1), 0, []
for name in ("fsync", "chmod", "replace"):  # in the middle of writing a checkpoint
    assert wait(child(folder, kill_at=name)) == -signal.SIGKILL
    steps.append(n_steps())
assert steps == [0, 0, 0], steps
while n_steps() < 70:
    pid = child(folder)
    wait_until(n_steps() + dice.randint(0, 10))
    time.sleep(dice.uniform(0, 0.02))  # anywhere in the steps after it
    os.kill(pid, signal.SIGKILL)
    kills += wait(pid) == -signal.SIGKILL
    steps.append(n_steps())
assert wait(child(folder)) == 0
print(json.dumps({"kills": kills, "steps": steps}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which Windows has not")
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(tmp_path):
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, folder, whole], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["kills"] >= 8, found
    assert found["steps"] == sorted(found["steps"])  # never a step back
    killed, expected = (weights.read_tensors([f / CHECKPOINT]) for f in (folder, whole))
    assert killed.keys() == expected.keys()
    for name in expected.keys() - {"history.totals"}:  # which holds seconds
        assert torch.equal(killed[name], expected[name]), name
    assert {file.name for file in folder.iterdir()} == {CHECKPOINT, LOCK}


# The command ------------------------------------------------------------------------------------


def start(*argv, **settings):
    command = [sys.executable, "-m", "gpt2course", "train", *map(str, argv)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | settings
    return subprocess.Popen(command, cwd=ROOT, **settings)


def wait_for_line(process, beginning):
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_and_kill_and_the_same_command_again(stories, tmp_path, run):
    out, whole = tmp_path / "stopped", tmp_path / "whole"
    options = ["--data", stories, *SHORT, "--steps", 600, "--eval-every", 50]
    options += ["--checkpoint-every", 50]
    stopped = start(*options, "--out", out)
    wait_for_line(stopped, "step 50")
    stopped.send_signal(signal.SIGINT)
    told = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == cli.INTERRUPTED
    steps = int(re.search(r"stopped after (\d+) of 600 steps; .*goes on from there", told)[1])

    killed = start(*options, "--out", out)
    wait_for_line(killed, f"going on   from step {steps}")
    wait_for_line(killed, "step ")
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL

    assert run(*options, "--out", out)[0] == 0
    assert run(*options, "--out", whole)[0] == 0
    found, expected = tensors_of(out), tensors_of(whole)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert History.load(out / HISTORY).steps == History.load(whole / HISTORY).steps


def test_two_processes_follow_one(stories, tmp_path, run):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ["--data", stories, *SHORT, "--accumulate", 2, "--checkpoint-every", 10]
    assert run(*options, "--out", one)[0] == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", "-m", "gpt2course", "train", *map(str, options)]
    ran = subprocess.run([*command, "--out", two], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("held-out loss") == 4, ran.stdout  # one of them speaks
    assert "cpu, 2 processes" in ran.stdout
    expected, found = History.load(one / HISTORY), History.load(two / HISTORY)
    assert len(found.steps) == 24
    for ours, theirs in zip(found.steps, expected.steps, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    for ours, theirs in zip(found.heldout, expected.heldout, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    # what two have begun, one can look at, and finds done
    code, told, _ = run(*options, "--out", two)
    assert code == 0 and "going on   from step 24" in told


def test_a_model_is_trained_on_files_and_written_so_that_others_read_it(stories, tmp_path, run):
    out = tmp_path / "model"
    code, told, errors = run("--data", stories, *SHORT, "--steps", 60, "--out", out)
    assert (code, errors) == (0, "")
    assert "190 documents to learn from, 10 held out" in told
    assert (
        f"60 steps of 4 × 12 tokens, learning rate {COURSE_SETTINGS.max_lr:g}; cpu, 1 process"
        in told
    )
    assert f"generate --model {out}" in told
    model, tokenizer = GPT2.from_pretrained(out), weights.load_tokenizer(out)
    assert (model.config.n_embd, tokenizer.vocab_size) == (8, 300)
    history = History.load(out / HISTORY)
    assert history.heldout[0].loss == pytest.approx(math.log(300), abs=0.5)
    assert history.heldout[-1].loss < history.heldout[0].loss - 0.3
    _, heldout = split_documents(STORIES)
    loss = evaluate(model, tokenizer, heldout[0]).loss
    assert loss == pytest.approx(history.heldout[-1].loss, abs=0.6)
    assert cli.main(["generate", "--model", str(out), "--max-new-tokens", "5"]) == 0


def test_the_merges_are_learned_from_what_is_not_held_out(tmp_path, run):
    path, out = tmp_path / "text.txt", tmp_path / "model"
    path.write_text("<|endoftext|>".join(f"{n}" * 9 for n in range(100, 140)))
    assert run("--data", path, *SIZES, "--steps", 1, "--out", out)[0] == 0
    documents, _ = split_documents([f"{n}" * 9 for n in range(100, 140)])
    assert weights.load_tokenizer(out).merges == Tokenizer.train(documents, 2048).merges


def test_without_files_it_learns_from_the_stories_of_the_course(tmp_path, run, monkeypatch):
    monkeypatch.setattr(corpus, "training_documents", lambda: STORIES[:150])
    monkeypatch.setattr(corpus, "heldout_documents", lambda: STORIES[150:])
    code, told, _ = run(*SIZES, "--vocab-size", 270, "--steps", 2, "--out", tmp_path / "model")
    assert code == 0
    assert "150 documents to learn from, 50 held out" in told
    settings = json.loads(_made_with(tmp_path / "model"))
    assert settings["batch_size"] == COURSE_SETTINGS.batch_size
    assert settings["max_lr"] == COURSE_SETTINGS.max_lr


def _made_with(folder):
    content = (folder / CHECKPOINT).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header["__metadata__"]["made_with"]


def test_options_become_the_settings_of_the_run(stories, tmp_path, run):
    options = ["--data", stories, *SIZES, "--vocab-size", 270, "--out", tmp_path / "model"]
    options += ["--steps", 5, "--batch-size", 6, "--lr", 0.01, "--accumulate", 3]
    options += ["--eval-every", 2, "--seed", 7, "--dtype", "bfloat16", "--no-compile"]
    assert run(*options)[0] == 0
    settings = json.loads(_made_with(tmp_path / "model"))
    expected = {"max_steps": 5, "batch_size": 6, "accumulate": 3, "eval_every": 2, "seed": 7}
    expected |= {"max_lr": 0.01, "min_lr": pytest.approx(0.001), "warmup_steps": 0}
    expected |= {"dtype": "bfloat16", "compile": False, "n_ctx": 12, "model's n_layer": 1}
    assert {name: settings[name] for name in expected} == expected


def test_training_can_begin_with_a_model_that_is_there(stories, tmp_path, run):
    first, second = tmp_path / "first", tmp_path / "second"
    run("--data", stories, *SHORT, "--steps", 60, "--out", first)
    code, told, _ = run("--data", stories, "--model", first, "--steps", 3, "--out", second)
    assert code == 0
    before, after = History.load(first / HISTORY), History.load(second / HISTORY)
    assert after.heldout[0].loss == pytest.approx(before.heldout[-1].loss, abs=1e-5)
    same = weights.load_tokenizer(second).merges == weights.load_tokenizer(first).merges
    assert same and "300 tokens" in told


def test_a_run_that_is_done_says_so_and_another_one_is_refused(stories, tmp_path, run):
    options = ["--data", stories, *SHORT, "--out", tmp_path / "model"]
    run(*options)
    before = tensors_of(tmp_path / "model")
    code, told, _ = run(*options)
    assert code == 0 and "going on   from step 24" in told and "step 8" not in told
    code, _, errors = run(*options, "--lr", 0.01)
    assert code == cli.FAILED
    assert "got max_lr=0.01" in errors and "another folder" in errors
    after = tensors_of(tmp_path / "model")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_model_of_another_origin_is_not_overwritten(stories, tmp_path, run):
    out = tmp_path / "model"
    run("--data", stories, *SHORT, "--out", out)
    (out / CHECKPOINT).unlink()
    before = (out / weights.WEIGHTS).read_bytes()
    code, _, errors = run("--data", stories, *SHORT, "--out", out)
    assert code == cli.FAILED
    assert "must be a new folder, or that of a run" in errors
    assert (out / weights.WEIGHTS).read_bytes() == before


def test_a_finished_run_says_how_its_model_is_trained_further(stories, tmp_path, run):
    options = ["--data", stories, *SHORT, "--out", tmp_path / "model"]
    run(*options)
    code, _, errors = run(*options, "--steps", 48)
    assert code == cli.FAILED
    assert f"give --model {tmp_path / 'model'} and another --out" in errors


def unreadable(*args):
    raise AssertionError("the text was read although the run is impossible")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-head", 3], "n_embd must be divisible by n_head, got 8 and 3; try n_head=4"),
        (["--n-layer", 10**9], "n_layer must be at most 1,000, got 1,000,000,000"),
        (["--accumulate", 3], "batch_size must be divisible by accumulate, got 4 and 3"),
        (["--out", "file"], "file must be a folder, not a file; name another"),
        (["--out", "damaged"], "must be a whole checkpoint, but is damaged"),
    ],
)
def test_what_is_impossible_shows_before_the_text_is_read(
    tmp_path, run, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("damaged").mkdir()
    Path("damaged", CHECKPOINT).write_bytes(b"")
    monkeypatch.setattr(cli, "_documents", unreadable)
    monkeypatch.setattr(Tokenizer, "train", unreadable)
    code, _, errors = run("--data", "text.txt", *SHORT, "--out", "model", *options)
    assert code == cli.FAILED and message in errors


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_second_run_in_a_folder_is_refused_and_sigterm_ends_the_first(stories, tmp_path, run):
    options = ["--data", stories, *SHORT, "--steps", 100_000, "--out", tmp_path / "model"]
    first = start(*options)
    wait_for_line(first, "step 0")
    code, out, errors = run(*options)
    assert (code, out) == (cli.FAILED, "")
    assert f"{tmp_path / 'model'} must be free, but another run is training in it" in errors
    first.terminate()
    told = first.communicate(timeout=60)[1]
    assert first.returncode == cli.INTERRUPTED and "goes on from there" in told
    assert (tmp_path / "model" / CHECKPOINT).exists()


def test_a_loss_that_is_no_number_is_told_in_one_line(stories, tmp_path, run):
    code, _, errors = run("--data", stories, *SHORT, "--lr", 1e30, "--out", tmp_path / "model")
    assert code == cli.FAILED
    assert re.search(r"loss and gradient must be finite, got .* at step \d+", errors)
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file .*text.txt; name a file of text"),
        (b"", "text.txt must hold text to learn from, but is empty"),
        (b"GIF89a\0\x01", "text.txt must be text in UTF-8, but byte 6 is 0"),
        (b"na\xefve", r"text.txt must be text in UTF-8, but byte 2 \(0xef\) is not"),
        (b"x", "at least two that differ, one to learn from and one to hold out, got 1"),
        (
            b"ab<|endoftext|>cd",
            "more than n_ctx=12 tokens to learn from and 2 held out, got . and .",
        ),
    ],
)
def test_files_that_cannot_be_learned_from_are_told_in_one_line(tmp_path, run, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    code, _, errors = run("--data", path, *SIZES, "--out", tmp_path / "model")
    assert code == cli.FAILED
    assert re.fullmatch(rf"gpt2course: .*{message}.*\n", errors)
    assert not (tmp_path / "model" / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-layer", 3], "the sizes must be left out where --model gives them, got --n-layer 3"),
        (["--vocab-size", 300], "left out where --model gives them, got --vocab-size 300"),
        (["--tokenizer", "other.json"], "must have the model's 300 tokens, got 257"),
        (["--model", "none"], "there is no model 'none'"),
        (["--batch-size", 5, "--accumulate", 2], "batch_size must be divisible by accumulate"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    stories, small_model, tmp_path, run, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    Tokenizer([]).save("other.json")
    code, _, errors = run(
        "--data", stories, "--out", "model", "--steps", 1, "--model", small_model, *options
    )
    assert code == cli.FAILED and message in errors


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    GPT2(GPT2Config(1, 2, 8, 12, 300)).save_pretrained(folder)
    Tokenizer.train(STORIES, 300).save(folder / weights.TOKENIZER)
    return folder


@pytest.mark.parametrize(
    "wrong",
    [["--steps", "0"], ["--lr", "-1"], ["--lr", "nan"], ["--vocab-size", "256"], ["--n-head", "x"]],
)
def test_options_of_a_wrong_kind_are_usage_errors(tmp_path, run, wrong):
    code, _, errors = run("--out", tmp_path / "model", *wrong)
    assert code == cli.MISUSED and f"argument {wrong[0]}: must be a" in errors


def test_a_folder_must_be_named(run):
    code, _, errors = run()
    assert code == cli.MISUSED and "--out" in errors
