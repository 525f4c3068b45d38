"""From scores to the next token, and from there to text."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from gpt2course.config import GPT2Config
from gpt2course.kv_cache import KVCache
from gpt2course.linear import one_torch_thread
from gpt2course.model import GPT2, count_parameters, device_of
from gpt2course.threads import threads_for
from gpt2course.tokenizer import Tokenizer


def apply_temperature(
    logits: Float[Tensor, "B V"], temperature: float | int
) -> Float[Tensor, "B V"]:
    """Below 1 the likely become likelier, above 1 all grow more alike."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite, got {temperature}; try 0.8")
    return logits / temperature


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """The k highest scores of each row; the rest becomes -inf (Fan et al. 2018, section 5.4)."""
    _check_top_k(k)
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


def sample_next(
    logits: Float[Tensor, "B V"],
    temperature: float | int = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    top_p: float | None = None,
) -> Int[Tensor, "B 1"]:
    """Draw one id for each row; temperature 0 takes the likeliest ("greedy").

    Args:
        logits: scores before the softmax.
        temperature, top_k, top_p: applied in this order; None leaves a filter out.
        generator: makes the draws repeatable; None is torch's global one.
    """
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    # bfloat16 has too few digits for sums of probabilities.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logits = logits - logits.amax(dim=-1, keepdim=True)  # so that a small temperature is no inf
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.multinomial(logits.softmax(dim=-1), num_samples=1, generator=generator)


def _check_top_k(k: object) -> None:
    if type(k) is not int or k < 1:
        raise ValueError(f"top_k must be an int of at least 1, got {k!r}; None keeps every token")


def check_sampling(temperature: float | int, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError where no distribution is left to draw from."""
    if not 0 <= temperature < math.inf:
        raise ValueError(
            f"temperature must be at least 0 and finite, got {temperature}; 0 takes the likeliest "
            f"token, 1 leaves the model's probabilities as they are"
        )
    if top_k is not None:
        _check_top_k(top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie above 0 and at most at 1, got {top_p}; try 0.9")


# A text, token by token -------------------------------------------------------------------------


@runtime_checkable
class Model(Protocol):
    """What can write: the package's GPT2, a learner's own, or anything that is called like them."""

    @property
    def config(self) -> GPT2Config: ...

    def __call__(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]: ...


SMALL = 8_000_000  # parameters of a model whose single token is less work than waking a thread


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
            self.cache = KVCache(
                model.config, batch_size, n_ctx=n_ctx, dtype=model.dtype, device=model.device
            )
            self.is_small = count_parameters(model.config) < SMALL

    def __call__(self, idx: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        if not isinstance(self.model, GPT2):
            return self.model(idx[:, -self.n_ctx :])[:, -1]
        if idx.shape[1] > self.n_ctx:
            return self.model.next_logits(idx[:, -self.n_ctx :])
        new = idx[:, self.cache.length :]
        with one_torch_thread() if self.is_small and new.numel() == 1 else nullcontext():
            return self.model.next_logits(new, self.cache)


def _check_prompts(prompts: Sequence[Sequence[int]], n_ctx: int, max_new_tokens: int) -> None:
    if type(max_new_tokens) is not int or max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be an int of at least 0, got {max_new_tokens!r}")
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


def _continue(
    model: Model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    settings: tuple[Any, ...],
    end_of_text: int | None,
    slide: bool,
    device: torch.device | str,
) -> Iterator[list[list[int]]]:
    """The texts so far, after every step; each text ends by its own rule.

    `settings` are sample_next's. All rows stand at the same position: reading begins with as many
    tokens as the shortest prompt has, and a row whose prompt is longer takes the next token from
    there until it is used up.
    """
    n_ctx = model.config.n_ctx
    _check_prompts(prompts, n_ctx, max_new_tokens)
    texts = [list(prompt) for prompt in prompts]
    limits = [len(text) + max_new_tokens for text in texts]
    if not slide:
        limits = [min(limit, n_ctx) for limit in limits]
    B, longest_prompt = len(texts), max(map(len, texts))
    rows = [text + [-1] * (longest_prompt - len(text)) for text in texts]
    given = torch.tensor(rows, device=device)  # (B, longest prompt); -1 is to be written
    idx = given[:, : min(map(len, texts))]
    logits_after = _LogitsAfter(model, B, max(limits))
    open_rows = {row for row in range(B) if len(texts[row]) < limits[row]}
    while open_rows:
        # inside the loop: who reads a stream keeps their own setting
        with torch.no_grad(), threads_for(model.config):
            drawn = sample_next(logits_after(idx), *settings)  # (B, 1)
        if (position := idx.shape[1]) < longest_prompt:
            column = given[:, position : position + 1]
            drawn = torch.where(column < 0, drawn, column)
        idx = torch.cat([idx, drawn], dim=1)
        ids, position = drawn[:, 0].tolist(), position + 1
        for row in [row for row in open_rows if len(prompts[row]) < position]:
            texts[row].append(ids[row])
            if len(texts[row]) == limits[row] or ids[row] == end_of_text:
                open_rows.remove(row)
        yield texts


def generate_batch(
    model: Model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    end_of_text: int | None = None,
    slide: bool = True,
    device: str | torch.device | None = None,
) -> list[list[int]]:
    """Continue prompts of any lengths together; each row is its prompt and what was written.

    Args:
        model: the package's GPT2, or anything with `model(idx) -> logits` and `model.config.n_ctx`
            (which is then called with all tokens at every step).
        prompts: ids of at least one token and at most n_ctx, for each row.
        temperature, top_k, generator, top_p: as in `sample_next`. The draws of a row depend on the
            rows beside it, as they share the generator.
        end_of_text: a row ends with this id, which is kept; None writes on.
        slide: where a text fills the context, whether the model goes on with its last n_ctx
            tokens in view (each token then costs a whole pass), or the row ends.
        device: where `model` works; known of an nn.Module, by its parameters.

    Raises:
        ValueError: no prompt, or one that is empty or longer than n_ctx, or a sampling setting
            out of its range.
    """
    check_sampling(temperature, top_k, top_p)
    settings = temperature, top_k, generator, top_p
    device = device or device_of(model)
    texts = [list(prompt) for prompt in prompts]
    steps = _continue(model, prompts, max_new_tokens, settings, end_of_text, slide, device)
    for step in tqdm(steps, total=max_new_tokens, unit="token", delay=2, leave=False):
        texts = step
    return texts


def generate(
    model: Model,
    idx: Int[Tensor, "B T"],
    max_new_tokens: int,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    end_of_text: int | None = None,
    slide: bool = True,
) -> Int[Tensor, "B S"]:
    """Continue prompts of one length: the prompt, then max_new_tokens ids that were drawn.

    `generate_batch` says what the arguments do. Where all rows end early there are fewer new ids;
    where some do, these are filled up with end_of_text.
    """
    texts = generate_batch(
        model,
        idx.tolist(),
        max_new_tokens,
        temperature,
        top_k,
        generator,
        top_p=top_p,
        end_of_text=end_of_text,
        slide=slide,
        device=idx.device,
    )
    longest = max(map(len, texts))
    filler = [] if end_of_text is None else [end_of_text]  # without it no row ends before another
    rows = [text + filler * (longest - len(text)) for text in texts]
    return torch.tensor(rows, device=idx.device)


def stream(
    model: Model,
    prompt: Sequence[int],
    max_new_tokens: int,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    *,
    top_p: float | None = None,
    end_of_text: int | None = None,
    slide: bool = True,
) -> Iterator[int]:
    """The new ids of one text as they come; arguments as in `generate_batch`."""
    check_sampling(temperature, top_k, top_p)  # at once, and not when the first id is asked for
    settings = temperature, top_k, generator, top_p
    steps = _continue(
        model, [prompt], max_new_tokens, settings, end_of_text, slide, device_of(model)
    )
    return (texts[0][-1] for texts in steps)


def stream_text(
    model: Model, tokenizer: Tokenizer, prompt: str, max_new_tokens: int, **settings: Any
) -> Iterator[str]:
    """The new text as it comes, in whole characters, up to the end of the text.

    A character may be spread over several tokens; its bytes wait until they are complete.

    Args:
        prompt: the text to go on with; the empty one begins a text of the model's own.
        settings: as in `stream`.
    """
    ids = tokenizer.encode(prompt) or [tokenizer.end_of_text]
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token_id in stream(
        model, ids, max_new_tokens, end_of_text=tokenizer.end_of_text, **settings
    ):
        if token_id == tokenizer.end_of_text:
            break
        if text := decoder.decode(tokenizer.token_bytes(token_id)):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest
