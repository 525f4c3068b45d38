"""The tokenizer beside a model: its own vocabulary, whoever wrote it, and never another's."""

import json
import os
import time
from itertools import chain, repeat

import pytest
from hub_server import Fault, Hub

from gpt2course.config import GPT2Config
from gpt2course.tokenizer import END_OF_TEXT, TOKENIZER, Tokenizer
from gpt2course.weights import load_tokenizer

transformers = pytest.importorskip("transformers", reason="transformers is a test extra")

TEXTS = [
    "el robot de la casa obedece las órdenes",
    "  two  blanks\n\n and\ttabs, don't 12 345",
    "机器人必须服从命令 🤖 é",
    "",
]
SPANISH = Tokenizer.train("el robot de la casa obedece, la casa del robot, órdenes " * 3, 285)


def write_config(folder, vocab_size):
    fields = {"model_type": "gpt2", "vocab_size": vocab_size, "n_positions": 64}
    (folder / "config.json").write_text(json.dumps(fields))


@pytest.fixture
def folder(tmp_path):
    """A folder of a model as the course saves it."""
    SPANISH.save_pretrained(tmp_path)
    write_config(tmp_path, SPANISH.vocab_size)
    return tmp_path


@pytest.fixture
def foreign(folder):
    """vocab.json and merges.txt of others: their special tokens come first, the merges last."""
    (folder / TOKENIZER).unlink()
    vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
    del vocab[END_OF_TEXT]
    vocab = {"<s>": 0, END_OF_TEXT: 1} | {token: i + 2 for token, i in vocab.items()}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    write_config(folder, len(vocab) + 7)  # rows of the table that no token uses
    return folder


def assert_like_transformers(folder):
    peer, ours = transformers.AutoTokenizer.from_pretrained(folder), load_tokenizer(folder)
    for text in [*TEXTS, *map(str.upper, TEXTS)]:
        ids = ours.encode(text)
        assert peer.encode(text) == ids
        assert peer.decode(ids) == ours.decode(ids) == text
    assert peer.encode(f"a{END_OF_TEXT}") == ours.encode(f"a{END_OF_TEXT}", allow_special=True)
    assert len(peer) == ours.vocab_size and peer.eos_token_id == ours.end_of_text
    return ours


# Folders ----------------------------------------------------------------------------------------


def test_transformers_reads_what_is_saved_here_with_the_same_ids(folder):
    assert sorted(os.listdir(folder)) == ["config.json", TOKENIZER, "merges.txt", "vocab.json"]
    assert assert_like_transformers(folder).merges == SPANISH.merges
    (folder / TOKENIZER).unlink()
    assert assert_like_transformers(folder).merges == SPANISH.merges


def test_a_foreign_vocabulary_is_read_with_transformers_ids_and_saved_again(foreign, tmp_path):
    ours = assert_like_transformers(foreign)
    assert ours.encode(TEXTS[0]) != SPANISH.encode(TEXTS[0])
    assert ours.merges == SPANISH.merges and ours.end_of_text == 1
    assert ours.decode([0, 1]) == "<s><|endoftext|>"
    ours.save_pretrained(tmp_path / "again")
    write_config(tmp_path / "again", ours.vocab_size)
    assert sorted(os.listdir(tmp_path / "again")) == ["config.json", "merges.txt", "vocab.json"]
    again = assert_like_transformers(tmp_path / "again")
    assert again.encode(TEXTS[0]) == ours.encode(TEXTS[0])


def test_of_gpt2s_own_size_too_the_vocabulary_beside_the_model_is_taken(folder):
    (folder / TOKENIZER).unlink()
    edit_vocab(lambda v: v.update({f"<{i}>": i for i in range(285, 50257)}))(folder)
    write_config(folder, GPT2Config.vocab_size)
    assert load_tokenizer(folder).encode(TEXTS[0]) == SPANISH.encode(TEXTS[0])


def test_a_pattern_that_transformers_would_not_have_is_saved_for_the_package_alone(tmp_path):
    tokenizer = Tokenizer.train(TEXTS[0], 260, r"\w+ ?|(?s:.)")
    tokenizer.save_pretrained(tmp_path)
    assert os.listdir(tmp_path) == [TOKENIZER]
    write_config(tmp_path, tokenizer.vocab_size)
    assert Tokenizer.from_pretrained(tmp_path).pattern == tokenizer.pattern


def test_saving_twice_gives_the_same_bytes(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    load_tokenizer(folder).save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_one_of_another_size_than_the_models_is_refused(folder):
    write_config(folder, 61)
    for _ in range(2):
        with pytest.raises(ValueError, match="has 285 tokens, but the model beside it 61"):
            load_tokenizer(folder)
        (folder / TOKENIZER).unlink(missing_ok=True)
    SPANISH.save_pretrained(folder)
    write_config(folder, 286)
    with pytest.raises(ValueError, match="has 285 tokens, but the model beside it 286"):
        load_tokenizer(folder)


def test_the_weights_file_stands_for_its_folder(folder):
    (folder / "model.safetensors").touch()
    assert load_tokenizer(folder / "model.safetensors").merges == SPANISH.merges


def test_without_one_only_gpt2s_own_size_is_taken_for_gpt2s(tmp_path, monkeypatch):
    write_config(tmp_path, 61)
    with pytest.raises(ValueError, match="vocab_size 61 is not GPT-2's; write them with"):
        load_tokenizer(tmp_path)
    write_config(tmp_path, 50257)
    monkeypatch.setattr(Tokenizer, "gpt2", classmethod(lambda cls: SPANISH))
    assert load_tokenizer(tmp_path) is SPANISH


def test_a_file_of_transformers_alone_is_named_with_what_to_do(folder, tmp_path):
    theirs = tmp_path / "theirs"
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(theirs)
    write_config(theirs, 285)
    assert (theirs / "tokenizer.json").exists() and not (theirs / "vocab.json").exists()
    with pytest.raises(ValueError, match="tokenizer.json needs vocab.json and merges.txt to be"):
        load_tokenizer(theirs)
    transformers.AutoTokenizer.from_pretrained(theirs).backend_tokenizer.model.save(str(theirs))
    assert load_tokenizer(theirs).encode(TEXTS[0]) == SPANISH.encode(TEXTS[0])


def test_half_a_vocabulary_is_named_and_not_replaced_by_gpt2s(folder):
    write_config(folder, 50257)
    (folder / TOKENIZER).unlink()
    (folder / "merges.txt").unlink()
    with pytest.raises(ValueError, match="vocab.json needs vocab.json and merges.txt to be read"):
        load_tokenizer(folder)


@pytest.mark.parametrize("vocab_size", [None, "300", 300.0, True])
def test_a_config_without_a_size_is_refused(folder, vocab_size):
    write_config(folder, vocab_size)
    with pytest.raises(ValueError, match="must give vocab_size as a whole number, got"):
        load_tokenizer(folder)


def edit_vocab(change):
    def edit(folder):
        vocab = json.loads((folder / "vocab.json").read_text("utf-8"))
        change(vocab)
        (folder / "vocab.json").write_text(json.dumps(vocab))

    return edit


def edit_merges(change):
    def edit(folder):
        text = (folder / "merges.txt").read_text("utf-8")
        (folder / "merges.txt").write_text(change(text), "utf-8")

    return edit


def swap_the_last_two(vocab):
    one, other = list(vocab)[-3:-1]
    vocab[one], vocab[other] = vocab[other], vocab[one]


def write_an_idle_merge(folder):
    (folder / "merges.txt").write_text("a b\nb c\na bc\n")
    edit_vocab(lambda vocab: [vocab.popitem() for _ in range(29)])(folder)
    edit_vocab(lambda v: v.update({"ab": 256, "bc": 257, "abc": 258, END_OF_TEXT: 259}))(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_vocab(lambda v: v.pop(END_OF_TEXT)), "but lacks '<|endoftext|>'"),
        (edit_vocab(lambda v: v.update({"a": 0})), "must number its 285 tokens from 0 on"),
        (edit_vocab(lambda v: v.update({"a": "97"})), "must number its 285 tokens from 0 on"),
        (edit_vocab(lambda v: v.update({"a": None})), "must number its 285 tokens from 0 on"),
        (edit_vocab(lambda v: v.update({"<e>": v.pop(END_OF_TEXT)})), "but lacks '<|endoftext|>'"),
        (edit_vocab(lambda v: v.update({"<a>": v.pop("a")})), "but lacks 'a'"),
        (edit_vocab(swap_the_last_two), "order of the merges"),
        (edit_merges(lambda t: t.replace("\n", "\nzz a\n", 1)), "exist before it, got 'zz a'"),
        (edit_merges(lambda t: t.replace(" ", "", 3)), "exist before it, got"),
        (edit_merges(lambda t: t + t.split("\n")[1]), "order of the merges"),
        (write_an_idle_merge, r"merges.txt: merge 2, \(97, 257\), can never apply"),
        (lambda folder: (folder / "merges.txt").write_bytes(b"\xff \xfe\n"), "exist before it"),
        (lambda folder: (folder / "vocab.json").write_bytes(b"\xff"), "vocab.json must be JSON"),
    ],
)
def test_files_that_are_damaged_or_do_not_belong_together_are_refused(folder, edit, message):
    (folder / TOKENIZER).unlink()
    edit(folder)
    with pytest.raises(ValueError, match=message):
        load_tokenizer(folder)


def test_forty_doublings_are_refused_at_once(tmp_path):
    merges = [[97, 97, ""], *([256 + i, 256 + i, ""] for i in range(39))]
    fields = {"format": "gpt2course tokenizer", "version": 1, "pattern": ".", "merges": merges}
    fields |= {"special_tokens": {}, "sha256": ""}
    (tmp_path / TOKENIZER).write_text(json.dumps(fields))
    start = time.monotonic()
    with pytest.raises(ValueError, match="merge 20, .* a token of at most 1,048,576 bytes"):
        Tokenizer.load(tmp_path / TOKENIZER)
    assert time.monotonic() - start < 20


# The hub ----------------------------------------------------------------------------------------


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with Hub("owner/name", files | {"model.safetensors": bytes(1_000)}) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr("gpt2course.files.hub._PAUSE", 0.01)
        yield hub


@pytest.mark.parametrize("missing", [[], [TOKENIZER]])
def test_from_the_hub_no_weights_are_fetched_for_it(hub, missing):
    for name in missing:
        del hub.files[name]
    assert Tokenizer.from_pretrained("owner/name").merges == SPANISH.merges
    assert not any("model.safetensors" in request.path for request in hub.log)
    hub.faults = {("HEAD", name): repeat(Fault(status=503)) for name in chain(hub.files, missing)}
    assert Tokenizer.from_pretrained("owner/name").merges == SPANISH.merges  # from the cache


def test_a_tokenizer_that_cannot_be_fetched_is_not_replaced_by_gpt2s(hub):
    hub.files["config.json"] = json.dumps({"vocab_size": 50257}).encode()
    for name in (TOKENIZER, "vocab.json"):
        hub.faults["HEAD", name] = repeat(Fault(status=503))
    with pytest.raises(ConnectionError, match="503"):
        Tokenizer.from_pretrained("owner/name")


def test_a_revision_is_asked_for(hub):
    hub.revision = "v2"
    assert Tokenizer.from_pretrained("owner/name", revision="v2").merges == SPANISH.merges
    with pytest.raises(FileNotFoundError, match="must have a revision 'v3'"):
        Tokenizer.from_pretrained("owner/name", revision="v3")
