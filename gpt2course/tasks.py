"""One language model, other work: pairs of texts, beam search, options, fine-tuning with less.

Sources: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section
3.3 (a task as one stream with delimiters); Liu et al. 2018, "Generating Wikipedia by Summarizing
Long Sequences", section 4.2.3 (a decoder alone from source to target).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2course.model import GPT2, device_of
from gpt2course.sampling import Model


def join_pair(
    source: list[int], target: list[int], separator: int, end: int
) -> tuple[list[int], list[bool]]:
    """Source, separator, target and end as one row; True for the ids that the loss asks for.

    >>> join_pair([5, 6], [7], separator=1, end=2)
    ([5, 6, 1, 7, 2], [False, False, False, True, True])
    """
    ids = [*source, separator, *target, end]
    return ids, [False] * (len(source) + 1) + [True] * (len(target) + 1)


def split_pair(ids: list[int], separator: int, end: int) -> tuple[list[int], list[int]]:
    """Source and target of a row: what stands before the first separator, and between it and end.

    A target without an end is taken to the last id.

    >>> split_pair([5, 6, 1, 7, 2, 0, 0], separator=1, end=2)
    ([5, 6], [7])

    Raises:
        ValueError: the row has no separator.
    """
    if separator not in ids:
        raise ValueError(
            f"a pair must have its separator, {separator}, between source and target, and none of "
            f"these {len(ids)} ids is one: {ids[:8]}; make the row with join_pair"
        )
    cut = ids.index(separator)
    target = ids[cut + 1 :]
    return ids[:cut], target[: target.index(end)] if end in target else target


def pad_rows(rows: list[list[int]], pad_id: int) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Rows of any lengths as one tensor, filled up on the right; True where a real id stands.

    >>> pad_rows([[7, 8], [9]], pad_id=0)[0].tolist()
    [[7, 8], [9, 0]]

    Raises:
        ValueError: there is no row, or no row holds an id.
    """
    T = max(map(len, rows), default=0)
    if T == 0:
        raise ValueError(
            f"at least one row must hold an id, got {len(rows)} rows without any; "
            f"leave empty batches out"
        )
    idx = torch.tensor([row + [pad_id] * (T - len(row)) for row in rows])  # (B, T)
    lengths = torch.tensor([len(row) for row in rows])
    return idx, torch.arange(T) < lengths[:, None]


def target_loss(
    logits: Float[Tensor, "B T V"], idx: Int[Tensor, "B T"], asked: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats over the asked ids of the batch; a zero where none is asked.

    Args:
        logits: those at position t speak of idx at t + 1, so the first id of a row, which nothing
            precedes, is never counted.
    """
    targets = idx[:, 1:].masked_fill(~asked[:, 1:], -100)  # what cross_entropy passes over
    nats = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), reduction="sum")
    return nats / max(1, int(asked[:, 1:].sum()))


@torch.no_grad()
def beam_search(
    model: Model, prompt: list[int], width: int, max_new_tokens: int, end: int
) -> list[int]:
    """The new ids of the likeliest of `width` texts that grow side by side, `end` included.

    A beam is a text with its score, the sum of its log-probabilities. In each step all beams are
    continued with every token, and the best `width` are kept. A beam that has reached `end` takes
    part with its score as it is. Width 1 is greedy decoding. There is no bonus for length.

    Args:
        model: anything with `model(idx) -> logits` and `model.config.n_ctx`.

    Raises:
        ValueError: the prompt is empty, the text would not fit n_ctx, or a number is too small.
    """
    _check_search(model.config.n_ctx, prompt, width, max_new_tokens)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(max_new_tokens):
        ended = [(score, ids) for score, ids in beams if ids[-1:] == [end]]
        growing = [(score, ids) for score, ids in beams if ids[-1:] != [end]]
        if not growing:
            break
        idx = torch.tensor([prompt + ids for _, ids in growing], device=device_of(model))
        log_probs = model(idx)[:, -1].double().log_softmax(dim=-1)  # (B, V)
        best = log_probs.topk(min(width, log_probs.shape[1]))
        continued = [
            (score + log_prob, [*ids, token_id])
            for (score, ids), *top in zip(growing, best.values, best.indices, strict=True)
            for log_prob, token_id in zip(*(row.tolist() for row in top), strict=True)
        ]
        beams = sorted(ended + continued, key=lambda beam: -beam[0])[:width]
    return beams[0][1]


def _check_search(n_ctx: int, prompt: list[int], width: int, max_new_tokens: int) -> None:
    if width < 1 or max_new_tokens < 0:
        raise ValueError(
            f"width must be at least 1 and max_new_tokens at least 0, got {width} and "
            f"{max_new_tokens}; width 1 is greedy, 4 is common"
        )
    if not prompt:
        raise ValueError("prompt must hold at least one id, got none; end it with the separator")
    if len(prompt) > n_ctx:
        raise ValueError(
            f"a prompt must fit the n_ctx={n_ctx} tokens of the model, got {len(prompt)}; "
            f"shorten the source, and keep the separator at its end"
        )
    if len(prompt) + max_new_tokens - 1 > n_ctx:  # the last id is never read
        raise ValueError(
            f"a prompt of {len(prompt)} and max_new_tokens={max_new_tokens} must fit the "
            f"n_ctx={n_ctx} tokens of the model; at most {n_ctx - len(prompt) + 1} new ones do"
        )


@torch.no_grad()
def option_score(model: Callable[[Tensor], Tensor], prompt: list[int], option: list[int]) -> float:
    """ln of the probability that the option follows the prompt.

    The sum over the option's tokens of ln p(token | all before it), in nats. A longer option has
    more factors below 1, so options of one length compare best.

    Args:
        model: from ids (B, T) to logits (B, T, V).

    Raises:
        ValueError: the prompt or the option holds no token.
    """
    for name, ids in (("prompt", prompt), ("option", option)):
        if not ids:
            raise ValueError(
                f"{name} must hold at least one token, got none; a prompt may be "
                f"<|endoftext|> alone"
            )
    idx = torch.tensor([prompt + option], device=device_of(model))  # (1, P + S)
    asked = model(idx)[0, len(prompt) - 1 : -1]  # (S, V): each token is predicted one place earlier
    log_probs = asked.log_softmax(dim=-1).gather(-1, idx[0, len(prompt) :, None])  # (S, 1)
    return log_probs.double().sum().item()


def freeze(model: GPT2, n_frozen: int) -> GPT2:
    """Keep both tables and the first n_frozen blocks as they are: they take no gradient.

    Everything else takes one, whatever was set before. wte makes the logits too and stays frozen.

    Returns:
        The model itself.

    Raises:
        ValueError: the model has fewer blocks, or n_frozen is negative.
    """
    if not 0 <= n_frozen <= len(model.h):
        raise ValueError(
            f"n_frozen must be between 0 and the model's {len(model.h)} blocks, got {n_frozen}; "
            f"0 freezes the tables alone"
        )
    model.requires_grad_(True)
    for part in (model.wte, model.wpe, *model.h[:n_frozen]):
        part.requires_grad_(False)
    return model


class LowRank(nn.Module):
    """A frozen linear layer and a small update of its matrix: linear(x) + scale · B A x.

    B starts at 0, so that the outputs are the layer's own at first (Hu et al. 2021, section 4.1).
    A is drawn around 0 with standard deviation 1 / √in, so that A x is no larger than x.

    Args:
        linear: kept, and not copied; its parameters take no gradient from here on.
        rank: rows of A and columns of B.
        scale: what the update is multiplied by; the paper's alpha / r.

    Raises:
        ValueError: rank is below 1, or above the smaller side of the matrix.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float):
        super().__init__()
        n_out, n_in = linear.weight.shape
        if not 1 <= rank <= min(n_in, n_out):
            raise ValueError(
                f"rank must be between 1 and {min(n_in, n_out)}, the smaller side of the "
                f"({n_out}, {n_in}) matrix, got {rank}; 4 is a usual one"
            )
        self.linear, self.scale = linear.requires_grad_(False), scale
        new = linear.weight.new_empty  # of its dtype, on its device
        self.A = nn.Parameter(new(rank, n_in).normal_(std=1 / math.sqrt(n_in)))
        self.B = nn.Parameter(new(n_out, rank).zero_())

    def forward(self, x: Float[Tensor, "... n_in"]) -> Float[Tensor, "... n_out"]:
        update = F.linear(F.linear(x, self.A), self.B)  # two thin products, never the whole matrix
        return self.linear(x) + self.scale * update

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A new layer with the same outputs, which costs what the layer alone costs."""
        n_out, n_in = self.linear.weight.shape
        layer = nn.Linear(n_in, n_out, self.linear.bias is not None).to(self.linear.weight)
        layer.weight.copy_(self.linear.weight + self.scale * self.B @ self.A)
        if self.linear.bias is not None:
            layer.bias.copy_(self.linear.bias)
        return layer
