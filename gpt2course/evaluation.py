"""How well a model predicts a text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course.model import GPT2, device_of, output_logits
from gpt2course.sampling import Model, generate
from gpt2course.threads import threads_for
from gpt2course.tokenizer import Tokenizer

WORD = 8  # tokens; no word of the course's texts has as many
TOGETHER = 40  # texts of about one length that are continued in one batch
ROWS = 128  # logits held at once; of GPT-2's vocabulary 26 MB in float32
BATCH = 2048  # tokens that are read at once


@dataclass(frozen=True)
class Evaluation:
    """The loss of a text, in the units in which it is told.

    Attributes:
        nats: summed over all tokens.
        n_tokens, n_bytes: what it is the loss of; bytes in UTF-8.
    """

    nats: float
    n_tokens: int
    n_bytes: int

    @property
    def loss(self) -> float:
        """Nats per token: what training makes small."""
        return self.nats / self.n_tokens

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely tokens the model might as well have guessed."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers, since what it counts per is the text's own."""
        return self.nats / math.log(2) / self.n_bytes


def evaluate(
    model: GPT2,
    tokenizer: Tokenizer,
    text: str,
    stride: int | None = None,
    *,
    progress: bool = False,
) -> Evaluation:
    """Perplexity and bits per byte of a text, which the model reads as after <|endoftext|>.

    Args:
        stride, progress: as in `token_nll`.

    Raises:
        ValueError: the text is empty.
    """
    if not text:
        raise ValueError("text must hold at least one character, got none")
    ids = [tokenizer.end_of_text, *tokenizer.encode(text)]
    nll = token_nll(model, ids, stride, progress=progress)
    return Evaluation(nll.double().sum().item(), len(nll), len(text.encode()))


def next_word(model: Model, tokenizer: Tokenizer, text: str) -> str:
    """The word that a model finds likeliest after a text, without the blank before it.

    The text is read as after <|endoftext|>, its last tokens where it is too long; the likeliest
    token is taken until the word is whole.

    Args:
        model: the package's GPT2, or any with `model(idx) -> logits` and `model.config`.
    """
    return _next_words(model, tokenizer, [text])[0]


def _next_words(model: Model, tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    longest = model.config.n_ctx - WORD
    prompts = [[tokenizer.end_of_text, *tokenizer.encode(text)][-longest:] for text in texts]
    by_length = sorted(range(len(texts)), key=lambda i: len(prompts[i]))
    words = [""] * len(texts)
    for start in range(0, len(texts), TOGETHER):
        some = by_length[start : start + TOGETHER]
        rows = [prompts[i] for i in some]
        longer = generate(model, rows, WORD, temperature=0)
        for i, row in zip(some, longer, strict=True):
            words[i] = _first_word(tokenizer, row[len(prompts[i]) :])
    return words


def _first_word(tokenizer: Tokenizer, ids: list[int]) -> str:
    if tokenizer.end_of_text in ids:
        ids = ids[: ids.index(tokenizer.end_of_text)]
    return re.findall(r"\s*([\w'’-]*)", tokenizer.decode(ids))[0]


@runtime_checkable
class Question(Protocol):
    """A text and the words that may come next, such as a `corpus.Probe`."""

    @property
    def text(self) -> str: ...

    @property
    def answers(self) -> Sequence[str]: ...


def probe_accuracy(model: Model, tokenizer: Tokenizer, probes: Sequence[Question]) -> float:
    """How many of the probes a model answers with a right word as its likeliest, 0 to 1."""
    if not probes:
        raise ValueError("probes must hold at least one, got none; try corpus.probes('it')")
    words = _next_words(model, tokenizer, [probe.text for probe in probes])
    right = [word in probe.answers for word, probe in zip(words, probes, strict=True)]
    return sum(right) / len(right)


@torch.no_grad()
def top_k_accuracy(model: Model, ids: Sequence[int], k: int = 10) -> float:
    """At how many places of a text the next token is among the k likeliest, 0 to 1.

    The text is read in rows of n_ctx tokens, so each token has what stands before it in its row.
    """
    n_ctx = model.config.n_ctx
    if len(ids) < 2:
        raise ValueError(f"ids must hold at least two tokens, one to predict, got {len(ids)}")
    idx = torch.as_tensor(ids, device=device_of(model))
    found = 0
    for start in range(0, len(ids) - 1, n_ctx):
        row = idx[start : start + n_ctx + 1]
        with threads_for(model.config):
            likeliest = model(row[None, :-1])[0].topk(k, dim=-1).indices  # (T, k)
        found += int((likeliest == row[1:, None]).any(dim=-1).sum())
    return found / (len(ids) - 1)


@torch.no_grad()
def token_nll(
    model: GPT2, ids: Sequence[int], stride: int | None = None, *, progress: bool = False
) -> Float[Tensor, " N"]:
    """Nats of surprise at every token after the first: -ln of the probability it was given.

    A window of n_ctx tokens moves over the text by `stride`. Every token is predicted once, in the
    first window that reaches it, so all but those of the first window have at least
    n_ctx - stride + 1 tokens before them.

    Args:
        ids: at least two.
        stride: 1 to n_ctx; half of n_ctx if None. Smaller sees more of what came before and costs
            more: 1 is a pass for every token, n_ctx the fewest passes there can be.
        progress: whether a bar shows how far it is.

    Source: Baevski and Auli 2018, "Adaptive Input Representations", section 5.4 (context window).
    """
    n_ctx = model.config.n_ctx
    stride = max(1, n_ctx // 2) if stride is None else stride
    if type(stride) is not int or not 1 <= stride <= n_ctx:
        raise ValueError(f"stride must lie in 1 to n_ctx={n_ctx}, got {stride}; half is common")
    if len(ids) < 2:
        raise ValueError(f"ids must hold at least two tokens, one to predict, got {len(ids)}")
    idx = torch.as_tensor(ids, device=model.device)
    n_targets = len(ids) - 1
    T = min(n_ctx, n_targets)
    ends = torch.tensor([0, *range(T, n_targets, stride), n_targets])  # how far each window gets
    windows = torch.stack([ends[:-1], ends[1:]], dim=1)
    parts = []
    with tqdm(total=n_targets, unit="token", delay=2, leave=False, disable=not progress) as bar:
        for some in windows.split(max(1, BATCH // T)):
            done, end = some[:, :1], some[:, 1:]  # (W, 1)
            position = end - T + torch.arange(T)  # (W, T)
            row, column = torch.where(position >= done)  # what no window before has predicted
            with threads_for(model.config):
                x = model.hidden(idx[position])[row, column]  # (N, C)
                targets = idx[position[row, column] + 1]  # (N,)
                for rows, at in zip(x.split(ROWS), targets.split(ROWS), strict=True):
                    logits = output_logits(rows[None], model.wte.weight)[0]
                    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                    parts.append(F.cross_entropy(logits, at, reduction="none"))
            bar.update(len(row))
    return torch.cat(parts)
