"""GPT-2: token ids in, a score for every possible next token out."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2course.block import Block, LayerNorm
from gpt2course.config import GPT2Config
from gpt2course.embedding import embed
from gpt2course.linear import linear
from gpt2course.multihead import Past


def output_logits(x: Float[Tensor, "B T C"], wte: Float[Tensor, "V C"]) -> Float[Tensor, "B T V"]:
    """One score for each token of the vocabulary: the dot product with its row of wte.

    The table that turned ids into vectors turns vectors back into scores ("tied").
    """
    return linear(x, wte)


def count_parameters(config: GPT2Config) -> int:
    """How many numbers the model learns; wte, which also makes the logits, counts once.

    >>> count_parameters(GPT2Config())
    124439808
    """
    C = config.n_embd
    tables = (config.vocab_size + config.n_ctx) * C  # wte, wpe
    attn = (C * 3 * C + 3 * C) + (C * C + C)  # c_attn, c_proj
    mlp = (C * 4 * C + 4 * C) + (4 * C * C + C)  # c_fc, c_proj
    layer_norm = C + C  # weight, bias
    return tables + config.n_layer * (2 * layer_norm + attn + mlp) + layer_norm


def parameter_table(config: GPT2Config) -> list[tuple[str, tuple[int, ...], int]]:
    """Every parameter: its name in the checkpoint, its shape, and how many numbers it holds.

    The blocks are alike, so the table has one of them, as `h.*`; its rows count n_layer times.

    >>> sum(count for _, _, count in parameter_table(GPT2Config()))
    124439808
    """
    with torch.device("meta"):  # shapes alone, no memory
        one_block = GPT2(replace(config, n_layer=1))
    rows = []
    for name, parameter in one_block.named_parameters():
        times = config.n_layer if name.startswith("h.0.") else 1
        shape = tuple(parameter.shape)
        rows.append((name.replace("h.0.", "h.*."), shape, times * parameter.numel()))
    return rows


@runtime_checkable
class Cache(Protocol):
    """What the model needs to know of the tokens before idx; `kv_cache.KVCache` has it."""

    length: int

    @property
    def layers(self) -> Sequence[Past]: ...


def check_idx(idx: Int[Tensor, "B T"], n_ctx: int) -> None:
    """Raise where idx is not a batch of token ids that fits into n_ctx positions."""
    if not isinstance(idx, Tensor) or idx.dtype not in (torch.int64, torch.int32):
        kind = idx.dtype if isinstance(idx, Tensor) else type(idx).__name__
        raise TypeError(
            f"idx must be a tensor of int64 token ids, got {kind}; try torch.tensor([ids])"
        )
    if idx.ndim != 2:
        raise ValueError(f"idx must be (B, T), got {tuple(idx.shape)}; try idx[None] for one text")
    if idx.shape[1] == 0:
        raise ValueError("idx must hold at least one token, got none; start with <|endoftext|>")
    if idx.shape[1] > n_ctx:
        raise ValueError(
            f"at most n_ctx={n_ctx} tokens fit, got {idx.shape[1]}; try idx[:, -{n_ctx}:]"
        )


def config_of(model: nn.Module) -> GPT2Config:
    """The sizes of a model: the package's, or one of a learner's own parts.

    Raises:
        TypeError: it has no `config`.
    """
    config = getattr(model, "config", None)
    if config is None:
        raise TypeError(
            f"a model must have its sizes as `config`, and {type(model).__name__} has none; "
            f"set self.config = config in __init__"
        )
    return config


def device_of(model: object) -> torch.device:
    """Where the parameters of a model are; the CPU where it has none."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


class GPT2(nn.Module):
    """Decoder-only transformer (Radford et al. 2019), with the checkpoint's own names.

    model(idx) gives the logits after every token; model.next_logits(idx) only those after the
    last, which is all that writing needs. Both take a cache (`kv_cache.KVCache`) of earlier tokens.

    Raises, when called:
        TypeError: idx does not hold int64 (or int32) ids, or the cache is none.
        ValueError: idx is not (B, T), or T is more than n_ctx.
        IndexError: an id lies outside the vocabulary (on a GPU: a failed device assertion).
    """

    def __init__(self, config: GPT2Config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        blocks = (Block(config.n_embd, config.n_head) for _ in range(config.n_layer))
        self.h = nn.ModuleList(blocks)
        self.ln_f = LayerNorm(config.n_embd)
        self.initialise()

    def initialise(self, std: float | int = 0.02) -> None:
        """Draw new weights: matrices normal with deviation std, biases 0, LayerNorm the identity.

        Each of the 2 · n_layer additions to the residual stream is scaled down by 1/√(2 · n_layer),
        so that the stream does not grow with depth (Radford et al. 2019, section 2.3).

        Args:
            std: 0.02 is GPT-2's, for 768 columns. A sum over fewer columns comes out smaller: a
                narrow model learns sooner from 0.02 · √(768 / n_embd), 0.05 for 128.
        """
        if not 0 < std < math.inf:
            raise ValueError(f"std must be above 0 and finite, got {std}; 0.02 is GPT-2's")
        residual = 1 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = residual if name.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, std=std * scale)
            elif name.endswith("weight"):
                nn.init.ones_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(
        self, idx: Int[Tensor, "B T"], cache: Cache | None = None
    ) -> Float[Tensor, "B T V"]:
        return output_logits(self.hidden(idx, cache), self.wte.weight)  # (B, T, V)

    def next_logits(
        self, idx: Int[Tensor, "B T"], cache: Cache | None = None
    ) -> Float[Tensor, "B V"]:
        """The logits after the last token alone: one row of the vocabulary's size, and not T."""
        return output_logits(self.hidden(idx, cache)[:, -1:], self.wte.weight)[:, 0]  # (B, V)

    def hidden(self, idx: Int[Tensor, "B T"], cache: Cache | None = None) -> Float[Tensor, "B T C"]:
        """What the stack makes of every token, as the output matrix reads it.

        Args:
            cache: keys and values of the tokens before idx; those of idx are added to it.
        """
        check_idx(idx, self.config.n_ctx)
        if not isinstance(cache, Cache | None):
            raise TypeError(
                f"cache must be a KVCache or None, got {type(cache).__name__}; the model takes no "
                f"targets: next_token_loss(model(idx), targets)"
            )
        start = 0 if cache is None else cache.length
        if start + idx.shape[1] > self.config.n_ctx:
            raise ValueError(
                f"the model has n_ctx={self.config.n_ctx} positions, and the cache already holds "
                f"{start} tokens, so {idx.shape[1]} more do not fit; call cache.clear() and read "
                f"the last tokens anew, which then stand at other positions"
            )
        x = embed(idx, self.wte.weight, self.wpe.weight, start)  # (B, T, C)
        pasts = [None] * len(self.h) if cache is None else cache.layers
        if len(pasts) != len(self.h):
            raise ValueError(
                f"the cache must have the model's {len(self.h)} layers, got {len(pasts)}; make it "
                f"with KVCache.for_model(model)"
            )
        for block, past in zip(self.h, pasts, strict=True):
            x = block(x, past)
        if cache is not None:
            cache.length += idx.shape[1]
        return self.ln_f(x)

    @property
    def device(self) -> torch.device:
        return self.wte.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.wte.weight.dtype

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        dtype: str | torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        revision: str | None = None,
    ) -> GPT2:
        """A trained model in eval mode.

        Args:
            name_or_path: "course", the small trained model that lies inside the package; a
                released model ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl") or any GPT-2 on
                the Hugging Face hub ("owner/name"), fetched once; a folder with config.json and
                model.safetensors; or a .safetensors file with config.json beside it.
            dtype: of the model's numbers, "bfloat16" for torch.bfloat16; "auto" as they are stored.
            revision: of a model on the hub: a branch, a tag or a commit; "main" as it stands.

        Raises:
            FileNotFoundError: there is no such name, folder or file.
            ConnectionError: the hub can't be reached, and nothing of this name is on the machine.
            PermissionError: the repository is gated or private, and the token does not open it.
            ValueError: the checkpoint is damaged, is a pickle, is no GPT-2, or its tensors and its
                config contradict each other; the message names the first that does.
        """
        from gpt2course import weights  # brings tiktoken, which a model alone does not need

        config_path, files = weights.locate(name_or_path, revision)
        config = weights.read_config(config_path)
        state = weights.read_tensors(files)
        if config.n_layer > len(state):  # to build so many may take all memory
            raise ValueError(
                f"{config_path} has n_layer {config.n_layer}, but {files[0]} holds {len(state)} "
                f"tensors; take the config that belongs to the weights"
            )
        with torch.device("meta"):  # shapes alone: the weights come from the file
            model = cls(config)
        try:
            weights.fill_meta_model(model, state, dtype, device)
        except ValueError as error:
            raise ValueError(f"{files[0]}: {error}") from None
        return model.eval()

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors, as transformers reads them too."""
        from gpt2course import weights

        weights.write_checkpoint(folder, self.config, self.state_dict())
