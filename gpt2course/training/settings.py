"""What a training run is made with, besides model and text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpt2course.config import GPT2Config
from gpt2course.training.text_data import TextData


@dataclass(frozen=True)
class Settings:
    """The numbers of a training run; the defaults suit a model of the course's size.

    Attributes:
        max_steps: how often the weights are moved.
        batch_size: rows of a step, over all processes and pieces.
        n_ctx: tokens of a row; None is as many as the model reads.
        max_lr, min_lr, warmup_steps: as in `learning_rate`. A min_lr of None is a tenth of max_lr;
            warmup_steps of None are a tenth of max_steps, and 100 at most.
        weight_decay: by which share of the learning rate matrices shrink in a step.
        betas: how slowly AdamW forgets gradients, and their squares.
        clip_norm: a longer gradient is cut to this length.
        accumulate: pieces into which a step is cut, one after the other, to take less memory.
        eval_every: steps from one look at the held-out text to the next.
        eval_tokens: how many of its tokens are looked at; None is all.
        checkpoint_every: steps from one checkpoint to the next; None is a tenth of max_steps, and
            250 at most.
        seed: of the rows that are drawn.
        dtype: of the products, "float32" or "bfloat16" (the weights stay float32); None is
            bfloat16 on a GPU.
        compile: whether torch.compile makes kernels for the model first; None is on a GPU.

    Raises:
        ValueError: a value is not possible.
    """

    max_steps: int
    batch_size: int = 32
    n_ctx: int | None = None
    max_lr: float = 2e-3
    min_lr: float | None = None
    warmup_steps: int | None = None
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    accumulate: int = 1
    eval_every: int = 250
    eval_tokens: int | None = 32_768
    checkpoint_every: int | None = None
    seed: int = 0
    dtype: str | None = None
    compile: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        for name, (holds, rule) in RULES.items():
            value, usual = getattr(self, name), getattr(type(self), name, 1000)
            try:
                fine = holds(value)
            except TypeError:  # a number was wanted
                fine = False
            if not fine:
                raise ValueError(f"{name} must be {rule}, got {value!r}; {usual} is usual")
        if (self.min_lr or 0) > self.max_lr:
            raise ValueError(
                f"min_lr must be at most max_lr={self.max_lr:g}, got {self.min_lr:g}; "
                f"None is a tenth of it"
            )
        if self.batch_size % self.accumulate:
            nearest = max(1, self.batch_size // self.accumulate) * self.accumulate
            raise ValueError(
                f"batch_size must be divisible by accumulate, got {self.batch_size} and "
                f"{self.accumulate}; try batch_size={nearest}"
            )

    @property
    def schedule(self) -> tuple[float, float, int, int]:
        """max_lr, min_lr, warmup_steps and max_steps as `learning_rate` takes them: no None."""
        min_lr = self.max_lr / 10 if self.min_lr is None else self.min_lr
        warmup_steps = min(100, self.max_steps // 10)
        if self.warmup_steps is not None:
            warmup_steps = self.warmup_steps
        return self.max_lr, min_lr, warmup_steps, self.max_steps


def _count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _count_or_none(value: Any) -> bool:
    return value is None or _count(value)


_COUNT = "a whole number of at least 1"
# For each setting: whether a value is possible, and the rule in words.
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_steps": (_count, _COUNT),
    "batch_size": (_count, _COUNT),
    "n_ctx": (_count_or_none, _COUNT),
    "max_lr": (lambda lr: 0 < lr < math.inf, "above 0"),
    "min_lr": (lambda lr: lr is None or 0 <= lr < math.inf, "at least 0"),
    "warmup_steps": (lambda n: n == 0 or _count_or_none(n), "a whole number of at least 0"),
    "weight_decay": (lambda d: 0 <= d < math.inf, "at least 0"),
    "betas": (
        lambda betas: len(betas) == 2 and all(0 <= beta < 1 for beta in betas),
        "two numbers of at least 0 and below 1",
    ),
    "clip_norm": (lambda n: n > 0, "above 0, and math.inf to clip nothing"),
    "accumulate": (_count, _COUNT),
    "eval_every": (_count, _COUNT),
    "eval_tokens": (_count_or_none, _COUNT),
    "checkpoint_every": (_count_or_none, _COUNT),
    "seed": (
        lambda n: n == 0 or _count(n) and n < 2**63,
        "a whole number of at least 0 and below 2^63",
    ),
    "dtype": (lambda name: name in (None, "float32", "bfloat16"), "'float32' or 'bfloat16'"),
    "compile": (lambda x: x in (None, True, False), "True or False"),
}


# What the course model is trained with: some minutes on two cores.
COURSE_SETTINGS = Settings(max_steps=6000, batch_size=16, max_lr=3e-3, min_lr=3e-4)


def check_fit(settings: Settings, config: GPT2Config, data: TextData, n_processes: int) -> None:
    """Raise ValueError where settings, model, text and processes do not go together."""
    n_ctx = settings.n_ctx or config.n_ctx
    if n_ctx > config.n_ctx:
        raise ValueError(
            f"n_ctx of the rows must be at most the model's {config.n_ctx}, got {n_ctx}; "
            f"leave it out for rows as long as the model reads"
        )
    if len(data.train) <= n_ctx or len(data.heldout) < 2:
        raise ValueError(
            f"the text must hold more than n_ctx={n_ctx} tokens to learn from and 2 held out, got "
            f"{len(data.train)} and {len(data.heldout)}; give more text, or shorter rows"
        )
    largest = max(int(data.train.max()), int(data.heldout.max()))
    if largest >= config.vocab_size:
        raise ValueError(
            f"ids must lie below the model's vocab_size={config.vocab_size}, got {largest}; "
            f"make the model with vocab_size=tokenizer.vocab_size"
        )
    shares = n_processes * settings.accumulate
    if settings.batch_size % shares:
        raise ValueError(
            f"batch_size must be divisible by processes × accumulate, got {settings.batch_size} "
            f"and {n_processes} × {settings.accumulate}; "
            f"try batch_size={max(1, settings.batch_size // shares) * shares}"
        )
