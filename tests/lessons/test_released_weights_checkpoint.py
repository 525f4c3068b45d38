"""Which file lesson 14 loads."""

import pytest
import safetensors.torch
import torch

from gpt2course.lessons.released_weights import checkpoint, find_checkpoint
from gpt2course.weights import read_config


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch):
    monkeypatch.setattr(checkpoint, "try_to_load_from_cache", lambda *names: None)


def test_without_a_download_the_small_file_has_all_that_files_of_gpt2_may_contain(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "locate", lambda name: pytest.fail("it was not asked for"))
    folder, tokenizer = find_checkpoint(tmp_path, fetch=False)
    config, tensors = (
        read_config(folder / "config.json"),
        safetensors.torch.load_file(folder / "model.safetensors"),
    )
    assert folder == tmp_path and tokenizer.decode(tokenizer.encode("it beeped")) == "it beeped"
    assert torch.equal(tensors["lm_head.weight"], tensors["transformer.wte.weight"])
    for i in range(config.n_layer):
        mask = tensors[f"transformer.h.{i}.attn.bias"]
        assert torch.equal(mask[0, 0], torch.ones(config.n_ctx, config.n_ctx).tril())
        assert tensors[f"transformer.h.{i}.attn.masked_bias"] == -1e4


def test_a_download_that_fails_is_told_and_the_small_file_takes_its_place(
    tmp_path, monkeypatch, capsys
):
    def offline(name):
        raise OSError("no network")

    monkeypatch.setattr(checkpoint, "locate", offline)
    folder, _ = find_checkpoint(tmp_path, fetch=True)
    assert folder == tmp_path and (folder / "model.safetensors").is_file()
    assert "can't be used here: no network" in capsys.readouterr().out


def test_a_file_in_the_cache_is_used_without_asking(tmp_path, monkeypatch):
    there, _ = find_checkpoint(tmp_path, fetch=False)  # a folder that stands for the cached one
    cached = str(there / "model.safetensors")
    monkeypatch.setattr(checkpoint, "try_to_load_from_cache", lambda *names: cached)
    monkeypatch.setattr(checkpoint, "locate", lambda name: pytest.fail("it is there already"))
    folder, _ = find_checkpoint(tmp_path / "small", fetch=False)
    assert folder == there and not (tmp_path / "small").exists()
