"""One model, other work: a source and its target as one stream of tokens, and beam search.

Sources: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section
3.3 (a task as one stream with delimiters); Liu et al. 2018, "Generating Wikipedia by Summarizing
Long Sequences", section 4.2.3 (a decoder alone from source to target).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from gpt2course.model import device_of
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
