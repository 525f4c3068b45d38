"""Counting pairs of tokens: the smallest language model, and the measure for all of them.

A language model gives every token of the vocabulary a probability of coming next. This one uses
the last token only, and the pairs that it has counted. V is the size of the vocabulary.
"""

import difflib
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor


def shift_targets(ids: list[int]) -> tuple[list[int], list[int]]:
    """What is read and what is to be predicted: the target of every token is the one after it.

    >>> shift_targets([5, 6, 7])
    ([5, 6], [6, 7])
    """
    return ids[:-1], ids[1:]


def count_bigrams(
    idx: Int[Tensor, " N"], vocab_size: int
) -> Float[Tensor, "{vocab_size} {vocab_size}"]:
    """How often each token (column) follows each token (row).

    >>> count_bigrams(torch.tensor([0, 1, 0, 1, 1]), 2)
    tensor([[0., 2.],
            [1., 1.]])
    """
    wrong = idx[(idx < 0) | (idx >= vocab_size)]
    if len(wrong):
        raise ValueError(
            f"ids must lie between 0 and vocab_size - 1 = {vocab_size - 1}, got {wrong[0].item()}; "
            f"give the size of the vocabulary that made the ids"
        )
    cell = idx[:-1] * vocab_size + idx[1:]  # the table's cells, numbered row by row
    counts = torch.bincount(cell, minlength=vocab_size**2)
    return counts.view(vocab_size, vocab_size).float()


def bigram_probs(counts: Float[Tensor, "V V"], alpha: float = 0.0) -> Float[Tensor, "V V"]:
    """Each row of counts as probabilities, after alpha has been added to every count.

    A row without any count is uniform, as it is for every alpha above 0, however small.

    Args:
        alpha: imagined occurrences of each pair ("add-alpha smoothing"), so that no pair is
            impossible; 0 takes the counts as they are.

    >>> bigram_probs(torch.tensor([[3.0, 1.0], [0.0, 0.0]]))
    tensor([[0.7500, 0.2500],
            [0.5000, 0.5000]])
    """
    if alpha < 0:
        raise ValueError(f"alpha must be at least 0, got {alpha}; 0 leaves the counts as they are")
    smoothed = counts + alpha
    totals = smoothed.sum(dim=-1, keepdim=True)
    return torch.where(totals > 0, smoothed / totals, 1 / len(counts))


def bigram_nll(probs: Float[Tensor, "V V"], idx: Int[Tensor, " N"]) -> Float[Tensor, " M"]:
    """Nats of surprise at every token after the first: -ln of its probability, M = N - 1.

    Infinite where a pair had probability 0.
    """
    if len(idx) < 2:
        raise ValueError(f"idx must hold at least two tokens, one to predict, got {len(idx)}")
    return -probs[idx[:-1], idx[1:]].log()


def perplexity(nll: Float[Tensor, " N"]) -> float:
    """Among how many equally likely tokens the model might as well have guessed.

    exp of the mean of nll, in nats per token (Jelinek et al. 1977, "Perplexity: a measure of the
    difficulty of speech recognition tasks").

    >>> round(perplexity(torch.tensor([8.0, 2.0]).log()), 3)      # √(8 · 2)
    4.0
    """
    if nll.numel() == 0:
        raise ValueError("nll must hold at least one token, got none")
    return nll.double().mean().exp().item()


class Words:
    """Whole words as tokens, numbered in the order in which a text first shows them.

    It has the methods of `tokenizer.Tokenizer`, so that pictures of tokens can show words too.

    Args:
        text: words and full stops, separated by spaces.

    >>> Words("robot must obey . robot").encode("obey robot")
    [2, 0]
    """

    def __init__(self, text: str):
        self.words = list(dict.fromkeys(text.split()))
        self._ids = {word: token_id for token_id, word in enumerate(self.words)}

    @property
    def vocab_size(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; ValueError where it holds a word without one."""
        unknown = [word for word in text.split() if word not in self._ids]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.words, n=3) or self.words[:3]
            raise ValueError(
                f"every word must be one of the {len(self.words)} known, got {unknown[0]!r}; "
                f"try {', '.join(near)}"
            )
        return [self._ids[word] for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ids, separated by spaces."""
        return " ".join(self.words[token_id] for token_id in ids)

    def token_bytes(self, token_id: int) -> bytes:
        """The word that one id stands for, in UTF-8."""
        return self.words[token_id].encode()
