"""Checkpoints: written and read whole, by transformers too, and refused where not sound."""

import json
import shutil

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.testing import assert_close

from gpt2course.config import GPT2Config
from gpt2course.model import GPT2
from gpt2course.weights import load_released, load_tokenizer, released_to_ours

transformers = pytest.importorskip("transformers", reason="transformers is a test extra")

SMALL = GPT2Config(n_layer=2, n_head=3, n_embd=15, n_ctx=11, vocab_size=61)


def random_model(seed=1, config=SMALL):
    torch.manual_seed(seed)
    model = GPT2(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def model():
    return random_model()


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def idx():
    return torch.randint(61, (2, 9), generator=torch.Generator().manual_seed(0))


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def rewrite(folder, change, metadata=None):
    """Change the tensors of a saved checkpoint, as another program would save them."""
    path = folder / "model.safetensors"
    state = safetensors.torch.load_file(path)
    change(state)
    safetensors.torch.save_file(state, path, metadata)


# Both ways


def test_what_is_saved_is_loaded_again_bit_for_bit(model, folder):
    loaded = GPT2.from_pretrained(folder)
    assert same(loaded, model)
    assert loaded.config == SMALL
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert all(parameter.is_contiguous() for parameter in loaded.parameters())
    assert same(GPT2.from_pretrained(str(folder / "model.safetensors")), model)


@torch.no_grad()
def test_transformers_loads_what_is_saved(model, folder, idx):
    peer, report = transformers.GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert peer.lm_head.weight is peer.transformer.wte.weight
    assert_close(peer(idx).logits, model(idx), rtol=0, atol=1e-5)
    assert peer.config.activation_function == "gelu_new" and peer.config.eos_token_id == 60


@pytest.mark.parametrize("with_head", [True, False], ids=["whole", "without head"])
@torch.no_grad()
def test_what_transformers_saves_is_loaded(folder, tmp_path, idx, with_head):
    peer = transformers.GPT2LMHeadModel.from_pretrained(folder)
    saved = peer if with_head else peer.transformer  # the latter without the prefix, too
    saved.save_pretrained(tmp_path / "theirs")
    with safetensors.safe_open(tmp_path / "theirs" / "model.safetensors", "pt") as file:
        assert any(name.startswith("transformer.") for name in file.keys()) == with_head
    assert_close(
        GPT2.from_pretrained(tmp_path / "theirs")(idx), peer(idx).logits, rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_a_checkpoint_in_parts_is_loaded(model, folder, tmp_path):
    peer = transformers.GPT2LMHeadModel.from_pretrained(folder)
    peer.save_pretrained(tmp_path / "parts", max_shard_size="10KB")
    parts = sorted((tmp_path / "parts").glob("model-*.safetensors"))
    assert len(parts) > 2
    assert same(GPT2.from_pretrained(tmp_path / "parts"), model)
    parts[1].unlink()
    with pytest.raises(
        ValueError, match=f"names {parts[1].name}, which must be in the same folder"
    ):
        GPT2.from_pretrained(tmp_path / "parts")


def test_old_files_with_masks_and_a_tied_head_are_loaded(model, folder):
    def age(state):
        state["lm_head.weight"] = state["transformer.wte.weight"].clone()
        for i in range(2):
            state[f"transformer.h.{i}.attn.bias"] = torch.ones(1, 1, 11, 11).tril()
            state[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)

    rewrite(folder, age)
    assert same(GPT2.from_pretrained(folder), model)


def test_a_state_dict_of_the_model_itself_is_loaded_too(model, folder):
    safetensors.torch.save_file(model.state_dict(), folder / "plain.safetensors")
    assert same(GPT2.from_pretrained(folder / "plain.safetensors"), model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_dtype_asked_for_is_the_dtype_got(model, folder, dtype):
    loaded = GPT2.from_pretrained(folder, dtype=dtype)
    assert loaded.dtype == dtype
    assert same(loaded, model.to(dtype))


@pytest.mark.parametrize("name", ["float64", "bfloat16", "float16"])
def test_a_dtype_may_be_given_by_its_name(model, folder, name):
    loaded = GPT2.from_pretrained(folder, dtype=name)
    assert same(loaded, model.to(getattr(torch, name)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_auto_is_the_dtype_that_is_stored(model, tmp_path, dtype):
    model.to(dtype).save_pretrained(tmp_path / "stored")
    assert same(GPT2.from_pretrained(tmp_path / "stored", dtype="auto"), model)


@pytest.mark.parametrize("dtype", ["", "bf16", "int64", "nn", torch.int64])
def test_what_is_no_float_dtype_is_refused(folder, dtype):
    with pytest.raises(ValueError, match="dtype must be a float type of torch, its name or 'auto'"):
        GPT2.from_pretrained(folder, dtype=dtype)


def test_more_layers_than_the_file_has_are_not_built(folder):
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"n_layer": 1000}))
    with pytest.raises(ValueError, match="n_layer 1000, but .* holds 28 tensors"):
        GPT2.from_pretrained(folder)


def test_bfloat16_checkpoints_are_saved_and_loaded(model, tmp_path):
    model.bfloat16().save_pretrained(tmp_path / "half")
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    assert same(GPT2.from_pretrained(tmp_path / "half", dtype=torch.bfloat16), model)
    with safetensors.safe_open(tmp_path / "half" / "model.safetensors", "pt") as file:
        assert file.get_tensor("transformer.wte.weight").dtype == torch.bfloat16


def test_saving_over_a_checkpoint_replaces_it_and_leaves_nothing_else(folder):
    other = random_model(seed=2)
    other.save_pretrained(folder)
    assert same(GPT2.from_pretrained(folder), other)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_saving_twelve_times_gives_the_same_bytes(model, folder):
    path = folder / "model.safetensors"
    first = path.read_bytes()
    for _ in range(12):
        model.save_pretrained(folder)
        assert path.read_bytes() == first


def test_the_loaded_model_does_not_hang_on_the_file(model, folder):
    loaded = GPT2.from_pretrained(folder)
    shutil.rmtree(folder)
    with torch.no_grad():
        loaded.wte.weight += 1  # memory of its own
    assert_close(loaded.wte.weight - 1, model.wte.weight, rtol=0, atol=1e-6)


# load_released: the exercise of lesson 14


def test_transposed_are_the_matrices_of_the_blocks_alone(model):
    C = 15
    state = {
        "transformer.wte.weight": torch.rand(61, C),
        "h.0.attn.c_proj.weight": torch.rand(C, C),
    }
    ours = released_to_ours(state)
    assert torch.equal(ours["wte.weight"], state["transformer.wte.weight"])
    assert torch.equal(ours["h.0.attn.c_proj.weight"], state["h.0.attn.c_proj.weight"].T)


def state_of(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_it_fills_the_model_it_was_given_and_copies(model, folder):
    state, other = state_of(folder), random_model(seed=2)
    assert load_released(state, other) is other
    assert same(other, model)
    state["transformer.wte.weight"].zero_()
    assert same(other, model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("transformer.h.1.mlp.c_fc.bias"), "h.1.mlp.c_fc.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(3)), "extra is extra"),
        (
            lambda s: s.update({"transformer.wpe.weight": torch.zeros(12, 15)}),
            r"wpe.weight has shape \(12, 15\), but the model's has \(11, 15\)",
        ),
        (
            lambda s: s.update({"lm_head.weight": torch.zeros(61, 15)}),
            "lm_head.weight is extra",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_and_the_model_stays(folder, change, message):
    state, other = state_of(folder), random_model(seed=2)
    change(state)
    with pytest.raises(ValueError, match=message):
        load_released(state, other)
    assert same(other, random_model(seed=2))
    rewrite(folder, lambda s: (s.clear(), s.update(state)))
    with pytest.raises(ValueError, match=f"model.safetensors: .*{message}"):
        GPT2.from_pretrained(folder)


# Files that are not sound


def test_what_steers_a_terminal_is_written_out(folder):
    rewrite(folder, lambda s: s.update({"\x1b[2J": torch.zeros(3), "\x9bA": torch.zeros(3)}))
    with pytest.raises(ValueError, match=r"\\x1b\[2J is extra; \\x9bA is extra") as error:
        GPT2.from_pretrained(folder)
    assert str(error.value).isprintable()
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "\x1b]0;.safetensors"}}))
    with pytest.raises(ValueError, match=r"names \\x1b\]0;.safetensors, which must"):
        GPT2.from_pretrained(folder)


def test_any_byte_that_changes_is_found(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for at in torch.randint(len(whole), (40,), generator=generator).tolist():
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged|whole safetensors|missing|extra|shape"):
            GPT2.from_pretrained(folder)


def test_a_file_cut_off_anywhere_is_recognised(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must be a whole safetensors file, but is not"):
            GPT2.from_pretrained(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "old.ckpt"])
def test_pickles_are_never_opened_and_the_remedy_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")  # would run a command when unpickled
    for given in (path, tmp_path):
        with pytest.raises(ValueError, match=f"{name} is a pickle, .* let transformers convert it"):
            GPT2.from_pretrained(given)


def test_a_folder_without_weights_or_without_config_says_which(folder):
    (folder / "config.json").rename(folder / "else.json")
    with pytest.raises(FileNotFoundError, match="config.json must say the sizes .* is missing"):
        GPT2.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="must hold model.safetensors, and does not"):
        GPT2.from_pretrained(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("activation_function", "gelu", "must have activation_function='gelu_new', .* got 'gelu'"),
        ("model_type", "llama", "model_type='gpt2', .* got 'llama'"),
        ("layer_norm_epsilon", 1e-6, "layer_norm_epsilon=1e-05, .* got 1e-06"),
        ("tie_word_embeddings", False, "tie_word_embeddings=True, .* got False"),
        ("n_inner", 30, "MLP of 4 · n_embd, as GPT-2 does, got 30"),
        ("n_head", 4, "n_embd must be divisible by n_head, got 15 and 4; try n_head=5"),
        ("n_layer", 3, "h.2.ln_1.weight is missing"),
        ("n_layer", 1, "h.1.ln_1.bias is extra"),
        ("vocab_size", 60, r"wte.weight has shape \(61, 15\), but the model's has \(60, 15\)"),
        ("n_embd", 0, "config.json: n_embd must be an int of at least 1, got 0"),
    ],
)
def test_a_config_that_contradicts_the_weights_or_gpt2_is_refused(folder, key, value, message):
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {key: value}))
    with pytest.raises(ValueError, match=message):
        GPT2.from_pretrained(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"n_layer": 2}'])
def test_a_config_that_is_no_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match="config.json must"):
        GPT2.from_pretrained(folder)


@pytest.mark.parametrize(
    "weight_map",
    [None, [], {}, ["a.safetensors"], {"wte": 3}, {"wte": ["a"]}, {"wte": ""}, {"wte": ".."}],
)
def test_an_index_that_names_no_files_is_refused(folder, weight_map):
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match="index.json must have a weight_map from tensors"):
        GPT2.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../outside.safetensors", "{folder}/../outside.safetensors"])
def test_an_index_names_no_files_outside_its_folder(folder, name):
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    name = name.format(folder=folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    with pytest.raises(ValueError, match="safetensors files in the same folder"):
        GPT2.from_pretrained(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "config.json must be JSON"),
        ('{"n_layer": 1, "n_head": 1, "n_embd": null, "n_positions": 1, "vocab_size": 1, '
         '"n_inner": 4}', "config.json must give n_embd as whole numbers"),
    ],
)  # fmt: skip
def test_a_strange_config_is_refused_as_clearly(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        GPT2.from_pretrained(folder)


def test_a_tilde_is_the_home_folder(folder, model, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert same(GPT2.from_pretrained("~/small"), model)
    assert same(GPT2.from_pretrained("~/small/model.safetensors"), model)


def test_the_empty_name_is_refused_even_in_the_folder_of_a_model(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for load in (GPT2.from_pretrained, load_tokenizer):
        with pytest.raises(ValueError, match="a model must have a name, got ''"):
            load("")


@pytest.mark.parametrize("name", ["course", None])
def test_a_revision_of_what_is_not_on_the_hub_is_refused(folder, name):
    with pytest.raises(ValueError, match="revision is for models on the hub, got 'v1' for"):
        GPT2.from_pretrained(name or folder, revision="v1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt2-mediun", "no model 'gpt2-mediun': did you mean 'gpt2-medium'"),
        ("gtp2", "did you mean 'gpt2'"),
        (
            "no/such/folder",
            "The package has 'course'; the released ones are gpt2, gpt2-medium",
        ),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        GPT2.from_pretrained(name)


def test_a_failed_save_leaves_the_old_checkpoint(model, folder, monkeypatch):
    def full(path, *pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpt2course.weights.files.write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        random_model(seed=2).save_pretrained(folder)
    assert same(GPT2.from_pretrained(folder), model)
