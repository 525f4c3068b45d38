"""What no lesson builds: the files of a model, the loop with a cache, and the command line.

`assemble` writes this text behind the parts, without this docstring, so that my_gpt2/gpt2.py runs
alone; nothing imports it. It therefore uses Python, torch and the parts, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gpt2course.learner.parts import (
    GPT2,
    cached_attention,
    count_parameters,
    decode_ids,
    embed,
    encode_chunk,
    generate,
    layer_norm,
    load_released,
    merge_heads,
    next_token_loss,
    output_logits,
    perplexity,
    read_safetensors,
    sample_next,
    split_heads,
)

END_OF_TEXT = "<|endoftext|>"
COURSE_TOKENIZER = "gpt2course-tokenizer.json"


@dataclass(frozen=True)
class GPT2Config:
    """The sizes of a model."""

    n_layer: int
    n_head: int
    n_embd: int
    n_ctx: int
    vocab_size: int


# The tokenizer's files --------------------------------------------------------------------------

# GPT-2's pattern, over one letter for each character: L a letter, N a digit, B the space, S other
# white space, O anything else. Python's own re does not know Unicode's classes.
CHUNK_KINDS = re.compile("B?L+|B?N+|B?O+|[BS]+(?![LNO])|[BS]")
ENDINGS = re.compile("'(?:[sdmt]|ll|ve|re)")
WHITE = {*range(9, 14), *range(0x2000, 0x200B), 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F}
WHITE |= {0x205F, 0x3000}


def kind_of(char: str) -> str:
    """The letter that stands for a character in CHUNK_KINDS."""
    if char == " ":
        return "B"
    if ord(char) in WHITE:
        return "S"
    category = unicodedata.category(char)[0]
    return category if category in "LN" else "O"


def split_text(text: str) -> list[bytes]:
    """The chunks of a text, in UTF-8; no token reaches from one into the next."""
    kinds = "".join(map(kind_of, text))
    chunks, start = [], 0
    while start < len(text):
        found = ENDINGS.match(text, start) or CHUNK_KINDS.match(kinds, start)
        chunks.append(text[start : found.end()].encode())
        start = found.end()
    return chunks


class Tokens:
    """Text to ids and back, with the tokenizer in a folder.

    encode_chunk and decode_ids number the bytes 0 to 255 and the merges from 256 on; `numbers` are
    the model's own ids in that order.
    """

    def __init__(self, folder: Path):
        if (folder / COURSE_TOKENIZER).exists():
            fields = read_json(folder / COURSE_TOKENIZER)
            self.merges = [(left, right) for left, right, _ in fields["merges"]]
            self.numbers = list(range(256 + len(self.merges)))
            self.end = len(self.numbers)
        elif (folder / "merges.txt").exists() and (folder / "vocab.json").exists():
            self.merges, spelled = read_merges(folder / "merges.txt")
            ids = read_json(folder / "vocab.json")
            self.numbers, self.end = [ids[token] for token in spelled], ids[END_OF_TEXT]
        else:
            raise ValueError(
                f"{folder} must hold a tokenizer, {COURSE_TOKENIZER} or vocab.json and merges.txt, "
                f"and has none; name a folder with one: --tokenizer FOLDER"
            )
        self.own = {number: own for own, number in enumerate(self.numbers)}
        self.known: dict[bytes, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of a text; each different chunk is encoded once."""
        ids = []
        for chunk in split_text(text):
            if chunk not in self.known:
                own = encode_chunk(chunk, self.merges)
                self.known[chunk] = [self.numbers[token_id] for token_id in own]
            ids += self.known[chunk]
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of ids, <|endoftext|> and other numbers without a text left out."""
        return decode_ids([self.own[i] for i in ids if i in self.own], self.merges)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def read_merges(path: Path) -> tuple[list[tuple[int, int]], list[str]]:
    """The merges of a merges.txt as pairs of ids, and how every token is spelled there.

    A byte is spelled as one character: itself where it prints, else one from U+0100 on.
    """
    first = sorted(range(256), key=lambda byte: byte == 32 or not chr(byte).isprintable())
    spelled = {byte: chr(byte if i < 188 else 68 + i) for i, byte in enumerate(first)}
    ids = {spelled[byte]: byte for byte in range(256)}
    merges = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#version"):
            left, right = line.split(" ")
            merges.append((ids[left], ids[right]))
            ids[left + right] = 255 + len(merges)
    return merges, list(ids)


# The model's files ------------------------------------------------------------------------------


def folder_of(name: str) -> Path:
    """The folder of a model: a path, or a name that the Hugging Face hub's cache holds."""
    if Path(name).is_dir():
        return Path(name)
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
    repository = (name if "/" in name else f"openai-community/{name}").replace("/", "--")
    found = sorted(cache.glob(f"models--{repository}/snapshots/*/config.json"))
    if not found:
        raise ValueError(
            f"--model must be a folder with config.json and model.safetensors, or a model that was "
            f"fetched before, got {name!r}"
        )
    return found[-1].parent


def load_model(folder: Path) -> GPT2:
    """The model in a folder that save_pretrained wrote, this course's or transformers'."""
    about = read_json(folder / "config.json")
    sizes = [about[name] for name in ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")]
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ValueError(f"{folder} must hold model.safetensors, and does not; is it another one?")
    state = {}
    for file in files:
        state |= read_safetensors(file.read_bytes())
    return load_released(state, GPT2(GPT2Config(*sizes))).eval()


# Writing, with a cache and without --------------------------------------------------------------


def step(model: GPT2, idx: Tensor, pasts: list | None) -> tuple[Tensor, list]:
    """Logits of new tokens on top of one past for each block, and the new pasts."""
    start = 0 if pasts is None else pasts[0][0].shape[-2]
    x = embed(idx, model.wte.weight, model.wpe.weight, start)
    new_pasts = []
    for i, block in enumerate(model.h.children()):
        q, k, v = block.attn.c_attn(normalised(x, block.ln_1)).chunk(3, dim=-1)
        q, k, v = (split_heads(part, model.config.n_head) for part in (q, k, v))
        y, past = cached_attention(q, k, v, None if pasts is None else pasts[i])
        x = x + block.attn.c_proj(merge_heads(y))
        x = x + block.mlp(normalised(x, block.ln_2))
        new_pasts.append(past)
    return output_logits(normalised(x, model.ln_f), model.wte.weight), new_pasts


def normalised(x: Tensor, ln: nn.Module) -> Tensor:
    return layer_norm(x, ln.weight, ln.bias)


@torch.no_grad()
def write(
    model: GPT2,
    ids: list[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    end: int | None = None,
) -> list[int]:
    """The ids of a prompt and of what follows it; every token goes through the model once.

    Where the text outgrows the context, all tokens in view stand at new positions, and are read
    anew for each token.
    """
    n_ctx, pasts, new = model.config.n_ctx, None, ids
    for _ in range(max_new_tokens):
        if len(ids) > n_ctx:
            pasts, new = None, ids[-n_ctx:]
        logits, pasts = step(model, torch.tensor([new]), pasts)
        new = sample_next(logits[:, -1], temperature, top_k, generator)[0].tolist()
        ids = ids + new
        if new == [end]:
            break
    return ids


@torch.no_grad()
def loss_of(model: GPT2, ids: list[int]) -> float:
    """Mean nats per token of a text, read in rows of n_ctx tokens."""
    n_ctx, total = model.config.n_ctx, 0.0
    for start in range(0, len(ids) - 1, n_ctx):
        row = torch.tensor([ids[start : start + n_ctx + 1]])
        total += next_token_loss(model(row[:, :-1]), row[:, 1:]).item() * (row.shape[1] - 1)
    return total / (len(ids) - 1)


# The command line -------------------------------------------------------------------------------


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A GPT-2 in one file: it continues a text.")
    here = Path(__file__).resolve().parent / "course_model"
    parser.add_argument("prompt", nargs="?", default="", help="the text to continue")
    parser.add_argument("--model", default=str(here), metavar="FOLDER", help="with its weights")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="where the tokenizer is, if elsewhere"
    )
    parser.add_argument("--max-new-tokens", type=int, default=40, metavar="N")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest (0)")
    parser.add_argument("--top-k", type=int, metavar="K")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-cache", action="store_true", help="read everything anew each time")
    parser.add_argument("--speed", action="store_true", help="measure with the cache and without")
    parser.add_argument("--perplexity", metavar="FILE", help="of a text, instead of writing")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Load, and do what was asked."""
    folder = folder_of(options.model)
    tokens = Tokens(Path(options.tokenizer) if options.tokenizer else folder)
    model = load_model(folder)
    n_ctx = model.config.n_ctx
    ids = [tokens.end, *tokens.encode(options.prompt)]
    if options.perplexity:
        text = Path(options.perplexity).read_text(encoding="utf-8")
        loss = loss_of(model, [tokens.end, *tokens.encode(text)])
        print(f"{loss:.4f} nats per token, perplexity {perplexity(torch.tensor([loss])):.2f}")
        return
    if len(ids) > n_ctx:
        raise ValueError(
            f"the prompt must fit the {n_ctx} tokens that the model reads, {END_OF_TEXT} among "
            f"them, got {len(ids)}; shorten it"
        )
    if options.speed:
        print(f"{count_parameters(model.config):,} parameters")
        for name, way in (("with the cache", write), ("without", write_anew)):
            begun = time.perf_counter()
            made = len(way(model, ids, options.max_new_tokens)) - len(ids)
            print(f"{name}: {made / (time.perf_counter() - begun):.0f} tokens per second")
        return
    way = write_anew if options.no_cache else write
    dice = torch.Generator().manual_seed(options.seed)
    draw = (options.max_new_tokens, options.temperature, options.top_k, dice)
    ids = way(model, ids, *draw, tokens.end)[1:]
    print(tokens.decode(ids[: ids.index(tokens.end)] if tokens.end in ids else ids))


@torch.no_grad()
def write_anew(
    model: GPT2,
    ids: list[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    end: int | None = None,
) -> list[int]:
    """What write gives, by `generate`, which reads all tokens anew for each one."""
    idx = torch.tensor([ids])
    return generate(model, idx, max_new_tokens, temperature, top_k, generator)[0].tolist()


def main(argv: list[str] | None = None) -> int:
    try:
        run(arguments(argv))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        print(f"gpt2.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
