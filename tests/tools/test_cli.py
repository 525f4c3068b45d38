"""The command line, in this process where it can be, and as a real program where it matters."""

import argparse
import io
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest
import torch

from gpt2course import weights
from gpt2course.config import RELEASED, GPT2Config
from gpt2course.evaluation import evaluate
from gpt2course.model import GPT2
from gpt2course.sampling import Sampling, stream_text
from gpt2course.tokenizer import Tokenizer
from gpt2course.tools import cli
from gpt2course.training.processes import own_device

ROOT = Path(__file__).resolve().parents[2]
RECITED = "größer: 🤖🤖 日本\n\tund Schluss"  # of 1, 2, 3 and 4 bytes a character
BYTES = GPT2Config(n_layer=1, n_head=2, n_embd=64, n_ctx=48, vocab_size=257)  # a token is a byte


def recite(folder, ids, config=BYTES):
    """A checkpoint that writes these ids one after the other, whatever it has read.

    The position decides: what stands at p of the residual stream is the row of wte that comes next.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = GPT2(config)
        model.wte.weight.normal_()
        model.wpe.weight.zero_()
        model.wpe.weight[: len(ids)] = 100 * model.wte.weight[ids]
        for block in model.h:
            block.attn.c_proj.weight.zero_()
            block.mlp.c_proj.weight.zero_()
    model.save_pretrained(folder)
    Tokenizer([]).save(folder / weights.TOKENIZER)
    return str(folder)


@pytest.fixture(scope="module")
def reciter(tmp_path_factory):
    return recite(tmp_path_factory.mktemp("reciter"), [*RECITED.encode(), 256])


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Writes é for ever: after the first n_ctx bytes the window has moved, and asks the last."""
    config = GPT2Config(n_layer=1, n_head=2, n_embd=64, n_ctx=4, vocab_size=257)
    return recite(tmp_path_factory.mktemp("endless"), [*b"abcd"], config)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Random weights, and a tokenizer with merges of its own."""
    folder = tmp_path_factory.mktemp("untrained")
    tokenizer = Tokenizer.train("a robot must obey the orders given it " * 9, 300)
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_ctx": 16}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = GPT2(GPT2Config(**sizes, vocab_size=tokenizer.vocab_size))
    with torch.no_grad():
        model.wte.weight.mul_(30)  # or all tokens would be about equally likely
    model.save_pretrained(folder)
    tokenizer.save(folder / weights.TOKENIZER)
    return str(folder)


@pytest.fixture
def run(capsys):
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*argv):
        code = cli.main([str(word) for word in argv])
        assert type(code) is int
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))

    return give


def start(*argv, **settings):
    """The real program, with pipes for what it writes."""
    env = os.environ | settings.pop("env", {})
    env.pop("PYTHONUNBUFFERED", None)  # or every program would stream
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": env} | settings
    return subprocess.Popen([sys.executable, "-m", "gpt2course", *argv], cwd=ROOT, **settings)


def ended(process):
    """Exit code and the rest of what a program wrote; it is killed where it does not end."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err.decode()


# generate ---------------------------------------------------------------------------------------


def test_generate_writes_what_the_model_says_up_to_its_end_of_text(run, reciter):
    found = run("generate", "--model", reciter, "--temperature", 0)
    assert found == (0, RECITED + "\n", "")


def test_the_prompt_comes_first_and_the_model_reads_it(run, reciter):
    prompt = "gr"  # after whose last byte, at position 1, comes the reciter's second
    expected = prompt + RECITED[1:] + "\n"
    assert run("generate", prompt, "--model", reciter, "--top-k", 1) == (0, expected, "")


def test_generate_stops_after_max_new_tokens_and_ends_with_a_newline(run, endless):
    command = ["generate", "--model", endless, "--top-k", 1, "--max-new-tokens", 7]
    assert run(*command) == (0, "abcdddd\n", "")
    assert run(*command, "x") == (0, "xabcdddd\n", "")


def test_a_character_cut_short_by_max_new_tokens_is_one_replacement(run, reciter):
    command = ["generate", "--model", reciter, "--top-k", 1, "--max-new-tokens"]
    assert run(*command, 3)[1] == "gr\ufffd\n"
    assert run(*command, 4)[1] == "grö\n"


def test_text_that_comes_in_bytes_is_not_split_inside_a_character(reciter, monkeypatch):
    written = []

    class Terminal(io.StringIO):
        def write(self, text):
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli.main(["generate", "--model", reciter, "--temperature", "0"]) == 0
    assert [text for text in written if text] == [*RECITED, "\n"]


def test_a_file_gets_control_characters_as_they_are(run, tmp_path):
    model = recite(tmp_path, [*b"a\x1b[31m\x07", 256])
    assert run("generate", "--model", model, "--top-k", 1)[1] == "a\x1b[31m\x07\n"


def test_the_same_seed_gives_the_same_text(run, untrained):
    command = ["generate", "a robot", "--model", untrained, "--max-new-tokens", 40]
    texts = [run(*command, "--seed", seed)[1] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert run(*command)[1] != run(*command)[1]


def test_generate_is_stream_text_with_the_same_settings(run, untrained):
    model, tokenizer = GPT2.from_pretrained(untrained), weights.load_tokenizer(untrained)
    settings = {"temperature": 1.5, "top_k": 9, "top_p": 0.7}
    generator = torch.Generator().manual_seed(7)
    pieces = stream_text(model, tokenizer, "a robot", 30, generator=generator, **settings)
    expected = f"a robot{''.join(pieces)}\n"
    options = ["--temperature", 1.5, "--top-k", 9, "--top-p", 0.7, "--max-new-tokens", 30]
    command = ["generate", "a robot", "--model", untrained, "--seed", 7]
    assert run(*command, *options) == (0, expected, "")
    for i in (0, 2, 4):  # each of them counts
        assert run(*command, *options[:i], *options[i + 2 :])[1] != expected


def test_dtype_is_the_models(run, stdin, untrained, monkeypatch):
    seen = []
    stdin(b"a robot")
    load = GPT2.from_pretrained
    monkeypatch.setattr(GPT2, "from_pretrained", lambda *a, **k: seen.append(k) or load(*a, **k))
    for command in (["generate", "a"], ["perplexity", "-"]):
        code, out, err = run(*command, "--model", untrained, "--dtype", "bfloat16")
        assert (code, err) == (0, "") and out
    assert seen == 2 * [{"dtype": torch.bfloat16, "device": own_device()}]


def test_a_dash_reads_the_prompt_less_its_last_line_end(run, stdin, endless):
    command = ["generate", "-", "--model", endless, "--top-k", 1, "--max-new-tokens", 1]
    for given, prompt in [("é", "é"), ("é\n", "é"), ("é\r\n", "é"), ("é\n\n", "é\n"), (" ", " ")]:
        stdin(given.encode())
        out = run(*command)[1]
        assert out == prompt + "abcd"[len(prompt.encode()) - 1] + "\n"


def test_without_a_prompt_and_with_an_empty_one_the_model_begins_by_itself(run, reciter):
    command = ["generate", "--model", reciter, "--top-k", 1]
    assert run(*command, "")[1] == run(*command)[1] == RECITED + "\n"


def test_a_prompt_may_be_as_long_as_the_context_and_no_longer(run, endless):
    command = ["generate", "--model", endless, "--top-k", 1, "--max-new-tokens", 1]
    assert run(*command, "wxyz") == (0, "wxyzd\n", "")
    code, out, err = run(*command, "vwxyz")
    assert (code, out) == (1, "")  # not even the prompt
    assert err.startswith("gpt2course: the prompt must fit the n_ctx=4 tokens")
    assert "got 5; shorten it" in err


@pytest.mark.released
def test_a_checkpoint_of_gpt2s_vocabulary_needs_no_tokenizer_beside_it(run, tmp_path, monkeypatch):
    caches = [os.environ.get("TIKTOKEN_CACHE_DIR", ""), ROOT.parent / "shared" / "tiktoken-cache"]
    caches += [Path(tempfile.gettempdir(), "data-gym-cache")]
    file = "6d1cbeee0f20b3d9449abfede4726ed8212e3aee"
    cache = next((cache for cache in caches if cache and Path(cache, file).exists()), None)
    if cache is None:
        pytest.skip("GPT-2's vocabulary is not on this machine")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
    config = GPT2Config(n_layer=1, n_head=1, n_embd=4, n_ctx=8)
    GPT2(config).save_pretrained(tmp_path)
    code, out, err = run("generate", "hello world", "--model", tmp_path, "--seed", 1)
    assert (code, err) == (0, "") and out.startswith("hello world")
    text = tmp_path / "text.txt"
    text.write_text("hello world")  # two tokens of GPT-2's
    out = run("perplexity", text, "--model", tmp_path)[1]
    assert re.search(r"^tokens +2$", out, re.M)


# As a real program ------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name != "posix", reason="tests signals, pipes, terminals of POSIX")


@posix
def test_text_streams_while_it_is_written_and_ctrl_c_ends_the_line(endless):
    process = start("generate", "--model", endless, "--top-k", "1", "--max-new-tokens", "1000000")
    seen = b""
    while len(seen) < 50:
        seen += os.read(process.stdout.fileno(), 100_000)
    assert len(seen) < 4_000  # a buffer gives 8,192 bytes at a time
    assert process.poll() is None and seen.startswith(b"abcdddd")
    process.send_signal(signal.SIGINT)
    code, rest, err = ended(process)
    assert (code, err) == (130, "")
    assert re.fullmatch(rb"abcd+\n", seen + rest) and len(seen + rest) < 1_000_000


@posix
def test_a_closed_pipe_ends_generate_without_a_word(endless):
    process = start("generate", "--model", endless, "--top-k", "1", "--max-new-tokens", "1000000")
    assert process.stdout.read(5) == b"abcdd"
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@posix
def test_a_closed_pipe_ends_help_without_a_word():
    process = start("generate", "--help")
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_output_is_utf8_where_the_locale_knows_ascii_only(reciter):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start(
        *("generate", "-", "--model", reciter, "--top-k", "1"),
        env=ascii_only,
        stdin=subprocess.PIPE,
    )
    process.stdin.write("ö".encode())
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.decode() == "ö" + RECITED[1:] + "\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_no_traceback():
    with open("/dev/full", "w") as full:
        code, _, err = ended(start("--version", stdout=full))
    assert (code, err) == (1, "gpt2course: No space left on device\n")


@posix
def test_on_a_terminal_control_characters_become_pictures(tmp_path):
    import pty

    model = recite(tmp_path / "model", [*b"a\x1b[31m\rb\x07\tc\n\xc2\x9bd\x7f", 256])
    terminal, child = pty.openpty()
    argv = ["generate", "--model", model, "--top-k", "1"]
    process = start(*argv, stdin=child, stdout=child, stderr=child)
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(terminal, 1000)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert seen.decode() == "a␛[31m␍b␇\tc\r\n\ufffdd␡\r\n"  # a terminal's \n is \r\n


def test_help_answers_at_once_and_without_torch():
    code = (
        "import sys, time; from gpt2course.tools.cli import main;"
        "code = main(['generate', '--help']);"
        "print(code, 'torch' in sys.modules, 'numpy' in sys.modules, time.process_time())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, torch_there, numpy_there, seconds = ran.stdout.splitlines()[-1].split()
    assert (code, torch_there, numpy_there) == ("0", "False", "False")
    assert float(seconds) < 0.3


# info -------------------------------------------------------------------------------------------


def numbers(out):
    """The last number of each line that has one, by the line's first word."""
    rows = [re.match(r"(\S+).*?([\d,]+)(?:  +[\d.]+%)?$", line) for line in out.splitlines()]
    return {row[1]: int(row[2].replace(",", "")) for row in rows if row}


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("gpt2", "124,439,808"),
        ("gpt2-medium", "354,823,168"),
        ("gpt2-large", "774,030,080"),
        ("gpt2-xl", "1,557,611,200"),
    ],
)
def test_info_knows_the_released_models_without_a_network(run, monkeypatch, name, total):
    monkeypatch.setattr("gpt2course.files.hub.download", None)  # to call it would be an error
    code, out, err = run("info", name)
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}: {total} parameters\n")
    assert numbers(out)["total"] == int(total.replace(",", ""))
    assert f"openai-community/{name} (the weights were not fetched" in out
    assert f"{4 * int(total.replace(',', '')):,} bytes" in out
    config = RELEASED[name]
    for field in ("n_layer", "n_head", "n_embd", "n_ctx", "vocab_size"):
        assert f"{field}={getattr(config, field)}" in out


def test_info_counts_every_parameter_of_a_checkpoint(run, untrained):
    code, out, err = run("info", untrained)
    assert (code, err) == (0, "")
    found, model = numbers(out), GPT2.from_pretrained(untrained)
    parts = {"embeddings": "wte wpe", "attention": "attn", "MLP": "mlp", "norms": "ln_"}
    for part, marks in parts.items():
        expected = sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if any(mark in name for mark in marks.split())
        )
        assert found[part] == expected
    assert found["total"] == sum(parameter.numel() for parameter in model.parameters())
    assert found["h.*.mlp.c_fc.weight"] == 2 * model.h[0].mlp.c_fc.weight.numel()
    assert "32 × 8" in out and "all 2 blocks together" in out
    size = Path(untrained, weights.WEIGHTS).stat().st_size
    assert f"{size:,} bytes" in out and "in model.safetensors, as F32" in out
    assert f"folder {untrained}" in out


def test_info_of_a_file_in_half_precision(run, tmp_path, untrained):
    model = GPT2.from_pretrained(untrained, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    code, out, err = run("info", tmp_path / weights.WEIGHTS)
    assert (code, err) == (0, "")
    assert f"file {tmp_path / weights.WEIGHTS}" in out and "as BF16" in out
    n_parameters = numbers(out)["total"]
    assert f"float32  {4 * n_parameters:,} bytes" in out


def test_info_of_a_hub_repo_says_where_it_is(run, untrained, monkeypatch):
    files = {"own/er": [Path(untrained, weights.CONFIG), Path(untrained, weights.WEIGHTS)]}
    monkeypatch.setattr("gpt2course.files.hub.download", lambda repo, names, revision: files[repo])
    code, out, err = run("info", "own/er")
    assert (code, err) == (0, "") and "hub repo own/er\n" in out


def test_a_folder_of_a_released_name_is_the_folder(run, tmp_path, untrained, monkeypatch):
    monkeypatch.chdir(tmp_path)
    GPT2.from_pretrained(untrained).save_pretrained("gpt2")
    out = run("info", "gpt2")[1]
    assert f"folder {tmp_path / 'gpt2'}" in out and "124,439,808" not in out


# perplexity -------------------------------------------------------------------------------------


def test_perplexity_of_a_model_that_guesses_is_the_size_of_its_vocabulary(run, stdin, tmp_path):
    model = GPT2(BYTES)
    torch.nn.init.zeros_(model.wte.weight)
    model.save_pretrained(tmp_path)
    Tokenizer([]).save(tmp_path / weights.TOKENIZER)
    stdin("größer\n".encode())
    code, out, err = run("perplexity", "-", "--model", tmp_path)
    assert (code, err) == (0, "")
    assert re.search(rf"^loss +{math.log(257):.4f} nats per token$", out, re.M)
    assert re.search(r"^perplexity +257\.00$", out, re.M)
    assert re.search(rf"^bits per byte +{math.log2(257):.4f}$", out, re.M)
    assert re.search(r"^tokens +9$", out, re.M) and re.search(r"^bytes +9$", out, re.M)


def test_perplexity_is_evaluates_with_the_same_stride(run, tmp_path, untrained):
    file = tmp_path / "text.txt"
    file.write_bytes("a robot must obey, größer\r\n".encode() * 9)
    model, tokenizer = GPT2.from_pretrained(untrained), weights.load_tokenizer(untrained)
    texts = set()
    for stride in (None, 1, 16):
        found = evaluate(model, tokenizer, file.read_bytes().decode(), stride)
        options = ["--stride", stride] if stride else []
        out = run("perplexity", file, "--model", untrained, *options)[1]
        assert f"{found.loss:.4f} nats" in out and f"{found.bits_per_byte:.4f}" in out
        assert f"{found.n_tokens:,}\n" in out and re.search(rf"^bytes +{29 * 9}$", out, re.M)
        texts.add(out)
    assert len(texts) > 1


# Errors that a user can mend --------------------------------------------------------------------


def fails(found, *said):
    """Exit code 1, nothing on stdout, and one sentence after the program's name."""
    code, out, err = found
    assert (code, out) == (1, "")
    assert err.startswith("gpt2course: ") and "Traceback" not in err
    for part in said:
        assert part in err


def test_files_that_are_no_text_are_named(run, tmp_path):
    command = ["perplexity", "--model", tmp_path]
    fails(run(*command, "no-such.txt"), "there is no file no-such.txt; name a file")
    fails(run(*command, tmp_path), f"{tmp_path} is a folder; name the files")
    fails(run(*command, tmp_path / "x" / "y"), "there is no file")
    file = tmp_path / "file"
    file.write_bytes(b"")
    fails(run(*command, file), f"{file} must hold a text to predict, but is empty")
    file.write_bytes("größer".encode() + b" \xff")
    fails(run(*command, file), "UTF-8, but byte 9 (0xff) is not")
    fails(run(*command, file / "inside"), f"{file / 'inside'}: Not a directory")


def test_standard_input_that_is_no_text_is_named(run, stdin, monkeypatch):
    stdin(b"\x80")
    fails(run("generate", "-"), "standard input must be text in UTF-8, but byte 0 (0x80) is not")
    for empty in (b"", b"\n"):
        stdin(empty)
        fails(run("generate", "-"), "standard input must hold the prompt, but is empty; leave")
    stdin(b"")
    fails(run("perplexity", "-"), "standard input must hold a text to predict, but is empty")
    monkeypatch.setattr(sys, "stdin", None)
    fails(run("perplexity", "-"), "standard input is closed")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_named(run, tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0)
    fails(run("perplexity", file), f"{file}: Permission denied")


EXTRA = "pip install 'gpt2course[course]'"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ConnectionError("no hub; call again"), "no hub; call again"),
        (PermissionError("gated"), "gated"),
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(28, "the disk must have room"), "the disk must have room"),
        (ValueError("damaged; copy it again"), "damaged; copy it again"),
        (ModuleNotFoundError(f"no x; {EXTRA}"), f"no x; {EXTRA}"),
    ],
)
def test_what_a_user_can_mend_is_one_line(run, monkeypatch, raised, said):
    def load_tokenizer(name):
        raise raised

    monkeypatch.setattr(weights, "load_tokenizer", load_tokenizer)
    code, out, err = run("generate", "a")
    assert (code, out, err) == (1, "", f"gpt2course: {said}\n")


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(weights, "load_tokenizer", lambda name: {}["no such key"])
    with pytest.raises(KeyError, match="no such key"):
        cli.main(["generate", "a"])
    monkeypatch.setattr(weights, "load_tokenizer", lambda name: import_module("no_such_module"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        cli.main(["generate", "a"])


def test_unknown_and_broken_models_are_named(run, tmp_path, untrained):
    commands = {"model.safetensors": ["info"], "config.json": ["generate", "a", "--model"]}
    for missing, command in commands.items():
        fails(run(*command, "gpt3"), "there is no model 'gpt3': did you mean 'gpt2'?")
        fails(run(*command, tmp_path), f"must hold {missing}, and does not")
    tokenizer = Path(untrained, weights.TOKENIZER).read_bytes()
    for name in (weights.CONFIG, weights.WEIGHTS):
        (tmp_path / name).write_bytes(Path(untrained, name).read_bytes())
    fails(run("generate", "--model", tmp_path), "must hold gpt2course-tokenizer.json")
    Tokenizer([]).save(tmp_path / weights.TOKENIZER)
    fails(run("generate", "--model", tmp_path), "has 257 tokens", "the model beside it 286")
    (tmp_path / weights.TOKENIZER).write_bytes(tokenizer)
    assert run("generate", "--model", tmp_path)[0] == 0
    (tmp_path / weights.WEIGHTS).write_bytes(b"damaged" * 99)
    for command in (["info"], ["generate", "a", "--model"]):
        fails(run(*command, tmp_path), "model.safetensors must be a whole safetensors file")


def test_a_stride_beyond_the_context_is_named(run, untrained):
    command = ["perplexity", __file__, "--model", untrained, "--stride", 17]
    fails(run(*command), "stride must lie in 1 to n_ctx=16, got 17")


# Usage ------------------------------------------------------------------------------------------


def misused(found, *said):
    code, out, err = found
    assert (code, out) == (2, "")
    assert err.startswith("usage: python -m gpt2course ") and "\ngpt2course: " in err
    for part in said:
        assert part in err


@pytest.mark.parametrize(
    ("option", "wrong", "rule"),
    [
        ("--top-k", ["0", "-1", "2.5", "many", ""], "must be a whole number of at least 1"),
        ("--top-p", ["0", "1.01", "-0.5", "nan", "x"], "must be a number above 0 and at most 1"),
        ("--temperature", ["-0.1", "nan", "inf", "hot"], "must be a number of at least 0"),
        ("--max-new-tokens", ["0", "-5", "1e3"], "must be a whole number of at least 1"),
        ("--seed", ["-1", "1.5", str(2**63)], "must be a whole number of at least 0"),
        ("--device", ["gpu", "cuda:", "cuda:x", "CPU", "cpu:0"], "must be cpu, cuda, cuda:0"),
    ],
)
def test_usage_errors_name_value_rule_and_remedy(run, option, wrong, rule):
    for value in wrong:
        misused(run("generate", f"{option}={value}"), f"{option}: {rule}", f"got {value!r}; ")


def refuses(call, value):
    try:
        call(value)
    except (ValueError, argparse.ArgumentTypeError):
        return True
    return False


def test_the_rules_of_the_options_are_those_of_sampling():
    values = {"temperature": [0, 1e-9, 1.0, 1e9, -1e-9, math.nan, math.inf, -math.inf]}
    values |= {"top_k": [1, 2, 10**9, 0, -1], "top_p": [1e-9, 0.5, 1.0, 1.0000001, 0.0, math.nan]}
    types = {"temperature": cli._TEMPERATURE, "top_k": cli._TOP_K, "top_p": cli._TOP_P}
    for name, tried in values.items():
        for value in tried:
            settings = {"temperature": 1.0, "top_k": None, "top_p": None} | {name: value}
            allowed = not refuses(lambda s: Sampling(**s), settings)
            assert allowed != refuses(types[name], repr(value)), (name, value)


def test_a_device_that_is_not_there_is_a_usage_error(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "cuda:0", "mps"):
        misused(run("info", "--device", device, "gpt2"), "unrecognized arguments: --device")
        said = f"must be a device that torch finds here (cpu), got '{device}'; try --device cpu"
        misused(run("generate", "--device", device), said)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [cli._device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda", "cuda:1", "cpu"]
    said = "(cpu, cuda:0, cuda:1), got 'cuda:2'; try --device cuda:1"
    misused(run("perplexity", "x", "--device", "cuda:2"), said)


def test_other_misuse(run):
    misused(run("write"), "invalid choice: 'write'")
    misused(run("generate", "The", "robot"), "unrecognized arguments: robot")
    misused(run("generate", "--temp", "1"), "unrecognized arguments: --temp")
    misused(run("generate", "--dtype", "int8"), "--dtype: invalid choice: 'int8'")
    misused(run("info"), "arguments are required: MODEL")
    misused(run("perplexity"), "arguments are required: FILE")
    misused(run("generate", "caf\udce9"), "PROMPT: must be text in UTF-8, but character 3 is not")


def test_without_a_command_the_help_is_shown_as_an_error(run):
    code, out, err = run()
    assert (code, out) == (2, "") and "examples:" in err and "Traceback" not in err


COMMANDS = [
    "generate",
    "info",
    "perplexity",
    "train",
    "progress",
    "reset",
    "handin",
    "grade",
    "assemble",
    "site",
    "doctor",
]


@pytest.mark.parametrize(
    ("started", "program"),
    [
        ("/env/bin/gpt2course", "gpt2course"),
        ("gpt2course.exe", "gpt2course"),
        ("/lib/gpt2course/__main__.py", "python -m gpt2course"),
    ],
)
def test_help_teaches_under_the_name_that_was_called(run, monkeypatch, started, program):
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setenv("COLUMNS", "80")
    for command in ([], *([command] for command in COMMANDS)):
        code, out, err = run(*command, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"usage: {program} ")
        assert re.search(rf"\nexamples?:\n(  #.*\n)?  {program}\b", out)
        assert max(map(len, out.splitlines())) <= 80
        assert "%" not in out


def test_the_examples_of_the_help_are_right_usage(run, monkeypatch):
    pages = [run(*command, "--help")[1] for command in ([], *([name] for name in COMMANDS))]
    called = []
    for command in COMMANDS:
        monkeypatch.setattr(cli, command, lambda options: called.append(options) or 0)
        monkeypatch.setattr(getattr(cli, command), "__name__", command)
    program = "python -m gpt2course"
    lines = "".join(pages).replace("torchrun --nproc-per-node 2 -m gpt2course", program)
    examples = re.findall(rf"^  .*?{program} (.*?)(?: <.*)?$", lines, re.M)
    for example in examples:
        argv = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', example)]
        assert cli.main(argv) == 0, example
    assert len(called) == len(examples) > 12


def test_commands_compute_at_the_same_place(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    for command in (["generate"], ["perplexity", "x"], ["train", "--out", "x"]):
        for given, place in [([], "cuda:1"), (["cuda"], "cuda:1"), (["cpu"], "cpu")]:
            options = cli._parser().parse_args([*command, *(["--device", *given] if given else [])])
            assert cli._place(options) == torch.device(place)


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_leave_their_core_unless_the_user_wants_it_otherwise(before, after):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = "import os; from gpt2course.tools.cli import main; main(['--version']);"
    code += "print(os.environ['OMP_WAIT_POLICY'])"
    env |= {"OMP_WAIT_POLICY": before} if before else {}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == after


def test_bars_are_for_terminals(run, stdin, untrained, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "gpt2course.evaluation.evaluate",
        lambda *args, progress: asked.append(progress) or evaluate(*args),
    )
    for terminal in (False, True):
        stdin(b"a robot")
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert run("perplexity", "-", "--model", untrained)[0] == 0
    assert asked == [False, True]


def test_the_course_model_is_there_without_a_name_and_without_a_network(run):
    code, out, _ = run("generate", "Mina watched the robot because it", "--max-new-tokens", 1,
                       "--temperature", 0)  # fmt: skip
    assert code == 0
    assert out.split()[-1] in ("beeped", "whirred", "blinked")
    assert "inside the package" in run("info", "course")[1]


def test_version(run):
    assert run("--version") == (0, f"gpt2course {cli.__version__}\n", "")


def test_ctrl_c_outside_of_a_text_ends_the_line_and_is_no_error(run, untrained, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gpt2course.evaluation.evaluate", interrupted)
    assert run("perplexity", __file__, "--model", untrained) == (130, "", "\n")


def test_site_builds_where_it_is_told(run, monkeypatch, tmp_path):
    built = []
    monkeypatch.setattr("gpt2course.tools.site.build.build_site", lambda *how: built.append(how))
    assert run("site", "--out", str(tmp_path)) == (0, "", "")
    assert run("site", "--no-execute") == (0, "", "")
    assert built == [(tmp_path, None), (Path("site"), ())]


def test_doctor_exits_with_1_where_something_is_at_fault(run, monkeypatch):
    for faults, code in [(0, 0), (1, 1), (3, 1)]:
        monkeypatch.setattr("gpt2course.tools.doctor.examine", lambda faults=faults: faults)
        assert run("doctor") == (code, "", "")


def test_assemble_writes_the_file_and_the_page_and_says_what_is_whose(run, workbook_folder):
    code, out, err = run("assemble", "--by", "Ada")
    assert (code, err) == (0, "")
    assert f"written  {workbook_folder / 'gpt2.py'}" in out and "gpt2.html" in out
    assert "Still the package's" in out and out.count("stages agree") == 2
    assert "by Ada" in (workbook_folder / "gpt2.html").read_text()
    wrong = "def gelu(x):\n    return x.relu()\n"
    (workbook_folder / "gelu.py").write_text(wrong)
    assert "gelu.py was edited and no longer passes" in run("assemble")[1]


def test_assemble_exits_with_1_where_a_stage_differs(run, monkeypatch):
    said = "float32: the first difference is at h.0.mlp, off by 1"
    monkeypatch.setattr("gpt2course.learner.exam.examine", lambda *_: said)
    code, out, _ = run("assemble")
    assert code == 1 and said in out
