"""From scores to the next token, and from there to text."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import takewhile
from operator import index
from typing import Any, Protocol, SupportsIndex, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from gpt2course.config import GPT2Config
from gpt2course.kv_cache import KVCache
from gpt2course.model import GPT2, device_of
from gpt2course.threads import threads_for
from gpt2course.tokenizer import Tokenizer


def apply_temperature(
    logits: Float[Tensor, "B V"], temperature: float | int
) -> Float[Tensor, "B V"]:
    """Below 1 the likely become likelier, above 1 all grow more alike."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite, got {temperature}; try 0.8")
    return logits / temperature


def keep_top_k(logits: Float[Tensor, "B V"], k: SupportsIndex) -> Float[Tensor, "B V"]:
    """The k highest scores of each row; the rest becomes -inf (Fan et al. 2018, section 5.4)."""
    k = _whole("top_k", k, 1)
    if k >= logits.shape[-1]:
        return logits
    lowest_kept = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < lowest_kept, -math.inf)


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """The fewest tokens of each row that together hold p of the probability, at least one.

    The rest becomes -inf (Holtzman et al. 2019, section 3.1, "nucleus").
    """
    if not 0 <= p <= 1:
        raise ValueError(
            f"top_p must lie in 0 to 1, got {p}; 0.9 is common, None keeps every token"
        )
    if p == 1:  # a sum of rounded numbers may miss 1
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(dim=-1)
    enough_before = probs.cumsum(dim=-1) - probs >= p  # those before a token suffice without it
    enough_before[..., 0] = False
    drop = enough_before.scatter(-1, order, enough_before)
    return logits.masked_fill(drop, -math.inf)


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number of any type as an int; ValueError where it is none, or below `least`."""
    if not isinstance(value, SupportsIndex) or index(value) < least:
        raise ValueError(f"{name} must be an int of at least {least}, got {value!r}")
    return index(value)


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: temperature, top_k and top_p, applied in this order.

    Attributes:
        temperature: 0 takes the likeliest token ("greedy"), 1 keeps the model's probabilities.
        top_k, top_p: as in keep_top_k and keep_top_p; None keeps every token.
        generator: makes the draws repeatable; None is torch's global one.
        seed: of a generator that is made anew for each call that writes a text.

    Raises:
        ValueError: a setting leaves nothing to draw from, or generator and seed are both given.
    """

    temperature: float | int = 1.0
    top_k: SupportsIndex | None = None
    top_p: float | int | None = None
    generator: torch.Generator | None = None
    seed: SupportsIndex | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(
                f"temperature must be at least 0 and finite, got {self.temperature}; 0 takes the "
                f"likeliest token, 1 leaves the model's probabilities as they are"
            )
        if self.top_k is not None:
            _whole("top_k", self.top_k, 1)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie above 0 and at most at 1, got {self.top_p}; try 0.9")
        if self.seed is not None and self.generator is not None:
            raise ValueError(f"generator and seed={self.seed} exclude each other; leave one out")


def _likeliest(logits: Float[Tensor, "B V"]) -> Int[Tensor, "B 1"]:
    """The id with the highest score in each row, which must be finite; a NaN counts as highest."""
    ids = logits.argmax(dim=-1, keepdim=True)
    highest = logits.gather(-1, ids)
    if (wrong := highest[~highest.isfinite()]).numel():
        raise ValueError(
            f"the highest logit of each row must be finite, got {wrong[0]:g}; look for weights "
            f"that are not: [n for n, p in model.named_parameters() if not p.isfinite().all()]"
        )
    return ids


def next_scores(logits: Float[Tensor, "B V"], sampling: Sampling) -> Float[Tensor, "B V"]:
    """The scores whose softmax is drawn from; -inf where a token is cut off."""
    likeliest = _likeliest(logits)
    # bfloat16 has too few digits for sums of probabilities.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if sampling.temperature == 0:
        return torch.full_like(logits, -math.inf).scatter(-1, likeliest, 0.0)
    # The highest score is 0, and the temperature rounds to no 0: no quotient is inf or NaN.
    logits = logits - logits.gather(-1, likeliest)
    smallest = torch.finfo(logits.dtype).tiny
    logits = apply_temperature(logits, max(sampling.temperature, smallest))
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    return logits if sampling.top_p is None else keep_top_p(logits, sampling.top_p)


def next_probs(logits: Float[Tensor, "B V"], sampling: Sampling) -> Float[Tensor, "B V"]:
    """The probability with which each token is drawn; temperature 0 gives all of it to one."""
    return next_scores(logits, sampling).softmax(dim=-1)


def sample_next(
    logits: Float[Tensor, "B V"],
    temperature: float | int = 1.0,
    top_k: SupportsIndex | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | int | None = None,
) -> Int[Tensor, "B 1"]:
    """Draw one id for each row from the scores before the softmax; `Sampling` has the settings."""
    return _draw(logits, Sampling(temperature, top_k, top_p, generator))


def _draw(logits: Float[Tensor, "B V"], sampling: Sampling) -> Int[Tensor, "B 1"]:
    if sampling.temperature == 0:
        return _likeliest(logits)
    probs = next_probs(logits, sampling)
    return torch.multinomial(probs, num_samples=1, generator=sampling.generator)


# A text, token by token -------------------------------------------------------------------------


@runtime_checkable
class Model(Protocol):
    """What can write: the package's GPT2, a learner's own, or anything that is called like them."""

    @property
    def config(self) -> GPT2Config: ...

    def __call__(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]: ...


class _LogitsAfter:
    """The logits after the last of a growing batch of tokens, of which n_ctx are in view.

    The package's model reads each token once and keeps its keys and values; any other model is
    called with all of them. Once the window has to move, every token stands at a new position,
    and as positions are learned, nothing that was kept holds: all n_ctx are read again.
    """

    def __init__(self, model: Model, batch_size: int, longest: int):
        self.model, self.n_ctx = model, model.config.n_ctx
        if isinstance(model, GPT2):
            n_ctx = min(longest, self.n_ctx)
            self.cache = KVCache.for_model(model, batch_size, n_ctx=n_ctx)

    def __call__(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        if not isinstance(self.model, GPT2):
            return self.model(idx[:, -self.n_ctx :])[:, -1]
        if idx.shape[1] > self.n_ctx:
            return self.model.next_logits(idx[:, -self.n_ctx :])
        return self.model.next_logits(idx[:, self.cache.length :], self.cache)


def _prompts(idx: Any, n_ctx: int) -> list[list[int]]:
    """The ids of each prompt; TypeError or ValueError where the model can't go on with them."""
    try:
        rows = idx.tolist() if isinstance(idx, Tensor) else idx
        prompts = [[index(token_id) for token_id in row] for row in rows]
    except TypeError:
        raise TypeError(
            f"prompts must be token ids, a tensor (B, T) or a list of lists, got {idx!r:.60}; "
            f"encode a text, [tokenizer.encode(text)], or give it to stream_text"
        ) from None
    if not prompts:
        raise ValueError("prompts must hold at least one prompt, got none")
    for prompt in prompts:
        if not prompt:
            raise ValueError(
                "a prompt must hold at least one token, got none; to begin from nothing, start "
                "with the token that GPT-2's texts begin with: [tokenizer.end_of_text]"
            )
        if len(prompt) > n_ctx:
            raise ValueError(
                f"a prompt must fit the n_ctx={n_ctx} tokens of the model, got {len(prompt)}; "
                f"keep its end: prompt[-{n_ctx}:]"
            )
    return prompts


def _continue(
    model: Model,
    prompts: list[list[int]],
    max_new_tokens: SupportsIndex,
    sampling: Sampling,
    end_of_text: SupportsIndex | None,
    slide: bool,
    device: torch.device,
) -> Iterator[list[list[int]]]:
    """The texts so far, after every step; each text ends by its own rule.

    All rows stand at the same position: reading begins with as many tokens as the shortest prompt
    has, and a row whose prompt is longer takes the next token from there until it is used up.
    """
    n_ctx, n_new = model.config.n_ctx, _whole("max_new_tokens", max_new_tokens, 0)
    if sampling.seed is not None:
        generator = torch.Generator(device).manual_seed(index(sampling.seed))
        sampling = replace(sampling, generator=generator, seed=None)
    texts = [list(prompt) for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]
    limits = [T + n_new if slide else min(T + n_new, n_ctx) for T in lengths]
    padded = [prompt + [0] * (max(lengths) - len(prompt)) for prompt in prompts]
    given = torch.tensor(padded, device=device)  # (B, longest prompt)
    ends = torch.tensor(lengths, device=device)[:, None]  # (B, 1)
    idx = given[:, : min(lengths)]
    logits_after = _LogitsAfter(model, len(texts), max(limits))
    open_rows = {row for row, T in enumerate(lengths) if T < limits[row]}
    # The tensors of the package's model leave no trace outside, which saves their bookkeeping.
    ours = isinstance(model, GPT2)
    no_gradients = torch.inference_mode if ours else torch.no_grad
    while open_rows:
        position = idx.shape[1]
        # inside the loop: whoever reads a stream keeps their own settings
        with no_gradients(), threads_for(model.config) if ours else nullcontext():
            new = _draw(logits_after(idx), sampling)  # (B, 1)
        if position < given.shape[1]:
            new = torch.where(position < ends, given[:, position : position + 1], new)
        idx = torch.cat([idx, new], dim=1)
        ids = new[:, 0].tolist()
        for row in [row for row in open_rows if lengths[row] <= position]:
            texts[row].append(ids[row])
            if len(texts[row]) == limits[row] or ids[row] == end_of_text:
                open_rows.remove(row)
        yield texts


Prompts = TypeVar("Prompts", Tensor, list[list[int]])


def generate(
    model: Model,
    idx: Prompts,
    max_new_tokens: SupportsIndex,
    temperature: float | int = 1.0,
    top_k: SupportsIndex | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | int | None = None,
    seed: SupportsIndex | None = None,
    end_of_text: SupportsIndex | None = None,
    slide: bool = True,
) -> Prompts:
    """Continue prompts together: each row is its prompt, then max_new_tokens ids that were drawn.

    Args:
        model: the package's GPT2, or anything with `model(idx) -> logits` and `model.config.n_ctx`
            (which is then called with all tokens at every step).
        idx: prompts of 1 to n_ctx ids: a tensor (B, T), or lists of any lengths.
        temperature, top_k, generator, top_p, seed: as in `Sampling`. The draws of a row depend on
            the rows beside it, as they share the generator.
        end_of_text: a row ends with this id, which is kept; None writes on.
        slide: where a text fills the context, whether the model goes on with its last n_ctx
            tokens in view (each token then costs a whole pass), or the row ends.

    Returns:
        A tensor (B, S) for a tensor, in which rows that ended early are filled up with
        end_of_text; a list of lists for lists.

    Raises:
        TypeError: the prompts are no token ids.
        ValueError: there is no prompt, or one is empty or longer than n_ctx, or a setting is out
            of its range.
    """
    sampling = Sampling(temperature, top_k, top_p, generator, seed)
    texts = prompts = _prompts(idx, model.config.n_ctx)
    device = idx.device if isinstance(idx, Tensor) else device_of(model)
    steps = _continue(model, prompts, max_new_tokens, sampling, end_of_text, slide, device)
    for step in tqdm(steps, total=max_new_tokens, unit="token", delay=2, leave=False):
        texts = step
    if not isinstance(idx, Tensor):
        return texts
    longest = max(map(len, texts))  # without end_of_text all are as long
    rows = [text + [end_of_text] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, device=device)


def stream(
    model: Model,
    prompt: Sequence[int],
    max_new_tokens: SupportsIndex,
    *,
    end_of_text: SupportsIndex | None = None,
    slide: bool = True,
    **settings: Any,
) -> Iterator[int]:
    """The new ids of one text as they come; arguments as in `generate`."""
    sampling = Sampling(**settings)  # at once, and not when the first id is asked for
    prompts = _prompts([prompt], model.config.n_ctx)
    device = device_of(model)
    steps = _continue(model, prompts, max_new_tokens, sampling, end_of_text, slide, device)
    return (texts[0][-1] for texts in steps)


def stream_text(
    model: Model,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: SupportsIndex,
    *,
    stop: Sequence[str] = (),
    **settings: Any,
) -> Iterator[str]:
    """The new text as it comes, in whole characters, up to the end of the text.

    Args:
        prompt: the text to go on with; the empty one begins a text of the model's own.
        stop: texts that end it too, such as ["\\n"]; none of them is part of what comes.
        settings: as in `stream`.
    """
    if isinstance(stop, str) or "" in stop:
        raise ValueError(
            f'stop must be a list of texts, none of them empty, got {stop!r}; try ["\\n"]'
        )
    end = tokenizer.end_of_text
    ids = stream(
        model, tokenizer.encode(prompt) or [end], max_new_tokens, end_of_text=end, **settings
    )
    return _up_to(stop, _characters(tokenizer, takewhile(lambda token_id: token_id != end, ids)))


def _characters(tokenizer: Tokenizer, ids: Iterator[int]) -> Iterator[str]:
    """A character may be spread over several tokens; its bytes wait until they are complete."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token_id in ids:
        yield decoder.decode(tokenizer.token_bytes(token_id))
    yield decoder.decode(b"", final=True)


def _up_to(stop: Sequence[str], pieces: Iterator[str]) -> Iterator[str]:
    """The pieces before the first of the texts `stop`; what may be the beginning of one waits."""
    text = ""
    for piece in pieces:
        text += piece
        if found := [text.index(end) for end in stop if end in text]:
            text = text[: min(found)]
            break
        begun = (n for end in stop for n in range(1, len(end)) if text.endswith(end[:n]))
        ready = len(text) - max(begun, default=0)
        if ready:
            yield text[:ready]
        text = text[ready:]
    if text:
        yield text
