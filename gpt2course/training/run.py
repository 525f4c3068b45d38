"""From text to weights: batches, loss and learning rate, and the loop that uses them.

The three functions at the top are the idea. `train` does the same on one core or on many GPUs, and
a run that was ended at any point goes on where it was.

Sources: Radford et al. 2019, section 2.3; Loshchilov and Hutter 2017, "SGDR" (the cosine);
Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization" (AdamW).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gpt2course.model import GPT2, config_of, device_of
from gpt2course.training import checkpoints
from gpt2course.training.checkpoints import CHECKPOINT, Heldout, History, Step
from gpt2course.training.chunked_loss import loss_of_hidden
from gpt2course.training.processes import Processes, asked_to_stop, join_processes
from gpt2course.training.settings import Settings
from gpt2course.training.text_data import TextData


def next_token_batch(
    ids: Int[Tensor, " N"],
    batch_size: int,
    n_ctx: int,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "{batch_size} {n_ctx}"], Int[Tensor, "{batch_size} {n_ctx}"]]:
    """Rows cut out of a long text anywhere, and for each of their tokens the one that follows.

    >>> next_token_batch(torch.arange(4), batch_size=1, n_ctx=3)
    (tensor([[0, 1, 2]]), tensor([[1, 2, 3]]))
    """
    if len(ids) <= n_ctx:
        raise ValueError(
            f"ids must hold more than n_ctx={n_ctx} tokens, a row and the one after it, "
            f"got {len(ids)}; give more text, or shorter rows"
        )
    starts = torch.randint(len(ids) - n_ctx, (batch_size, 1), generator=generator)
    rows = ids[starts + torch.arange(n_ctx + 1)].long()  # (B, n_ctx + 1)
    return rows[:, :-1], rows[:, 1:]


def next_token_loss(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean nats per token: -ln of the probability that each target was given; ln V by guessing."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def learning_rate(
    step: int, max_lr: float, min_lr: float, warmup_steps: int, max_steps: int
) -> float:
    """Up in a straight line to max_lr, down along half a cosine to min_lr; steps count from 0.

    >>> [round(learning_rate(step, 1.0, 0.1, 2, 6), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    share = (step - warmup_steps) / (max_steps - warmup_steps)  # of the way down
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * share)) / 2


# What the course model is trained with: some minutes on two cores.
COURSE_SETTINGS = Settings(max_steps=6000, batch_size=16, max_lr=3e-3, min_lr=3e-4)


# A step -----------------------------------------------------------------------------------------


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """For AdamW: only matrices shrink. A bias or a LayerNorm's scale is no weight on an input."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def adamw(model: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW over the groups of `parameter_groups`, all in one kernel where the device has it."""
    fused = device_of(model).type in ("cpu", "cuda")
    groups = parameter_groups(model, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.max_lr, betas=settings.betas, fused=fused)


class _Loss(nn.Module):
    """From a batch to its loss, the model within: what processes share."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.pass_through: Callable[[Tensor], Tensor] = lambda idx: model(idx)
        self.loss_of: Callable[[Tensor, Tensor], Tensor] = next_token_loss
        # Only of a model with this very `forward` is it known what lies behind `hidden`.
        if isinstance(model, GPT2) and type(model).forward is GPT2.forward:
            self.pass_through = model.hidden
            self.loss_of = lambda x, targets: loss_of_hidden(x, model.wte.weight, targets)

    def forward(self, idx: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        return self.loss_of(self.pass_through(idx), targets)

    def compile(self, shape: tuple[int, int], autocast: torch.autocast) -> None:
        """Let torch make kernels of the model; where it can't, say so and go on without."""
        plain = self.pass_through
        self.pass_through = torch.compile(plain)
        self.train()  # the mode in which it will be used
        idx = torch.zeros(shape, dtype=torch.int64, device=device_of(self.model))
        try:
            with autocast:
                loss = self(idx, idx)
            loss.backward()
        except Exception as error:  # of many kinds: no compiler, a model that it can't follow
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"training without torch.compile, which failed: {reason}", file=sys.stderr)
            self.pass_through = plain
        self.zero_grad(set_to_none=True)


@torch.no_grad()
def heldout_loss(
    model: nn.Module,
    ids: Int[Tensor, " N"],
    n_ctx: int,
    max_tokens: int | None = None,
    batch_size: int = 32,
) -> float:
    """Mean nats per token over rows that lie evenly in a text, the same ones each time.

    The model is in eval mode meanwhile.

    Args:
        ids: at least two; n_ctx or fewer make one shorter row.
        max_tokens: look at no more than these; None is all, but for a last row that is not full.
    """
    T = min(n_ctx, len(ids) - 1)
    n_rows = (len(ids) - 1) // T
    wanted = n_rows if max_tokens is None else min(n_rows, max(1, max_tokens // T))
    starts = torch.arange(wanted) * n_rows // wanted * T
    loss_of, training, total = _Loss(model), model.training, 0.0
    model.eval()
    for some in starts.split(batch_size):
        rows = ids[some[:, None] + torch.arange(T + 1)].long().to(device_of(model))
        total += loss_of(rows[:, :-1], rows[:, 1:]).item() * len(rows)
    model.train(training)
    return total / wanted


# The run ----------------------------------------------------------------------------------------

Callback = Callable[[int, nn.Module, History], object]


class Run:
    """All that changes from step to step, and what changes it."""

    def __init__(self, model: nn.Module, data: TextData, settings: Settings, processes: Processes):
        _check_fit(model, data, settings, processes)
        self.model, self.data, self.settings, self.processes = model, data, settings, processes
        self.config = config_of(model)
        self.device = device_of(model)
        self.n_ctx = settings.n_ctx or self.config.n_ctx
        self.rows_at_once = settings.batch_size // settings.accumulate // processes.size
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.optimizer = adamw(model, settings)
        self.history = History()
        self.unread: list[tuple[float, Tensor]] = []  # learning rate, and (loss, stop, norm)
        self.stopping = False  # whether a process was asked to, as all of them know it
        self.since = time.perf_counter()
        on_gpu = self.device.type == "cuda"
        self.read_every = 16 if on_gpu else 1  # to read a number is to wait for the GPU
        half = settings.dtype == "bfloat16" or (settings.dtype is None and on_gpu)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=half)
        loss = _Loss(model)
        if settings.compile or (settings.compile is None and on_gpu):
            loss.compile((self.rows_at_once, self.n_ctx), self.autocast)
        self.loss = processes.wrap(loss)

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return len(self.history.steps) + len(self.unread)

    @property
    def at_end(self) -> bool:
        return self.step == self.settings.max_steps

    def take_step(self, stop: bool) -> None:
        """Move the weights once.

        Args:
            stop: whether this process was asked to stop; the others hear of it with the loss.
        """
        s = self.settings
        rate = learning_rate(self.step, s.max_lr, s.min_lr, s.warmup_steps, s.max_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.leave_gradients()
        measured = self.processes.mean(torch.stack([loss, loss.new_full((), stop)]))
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), s.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.unread.append((rate, torch.cat([measured, norm[None].to(loss)])))

    def leave_gradients(self) -> Float[Tensor, ""]:
        """Those of a new batch, in the parameters; returns the loss of this process's rows."""
        n_pieces, processes = self.settings.accumulate, self.processes
        batch = next_token_batch(
            self.data.train, self.settings.batch_size, self.n_ctx, self.generator
        )
        idx, targets = (self._place(rows[processes.rank :: processes.size]) for rows in batch)
        losses = []
        for i, piece in enumerate(zip(idx.chunk(n_pieces), targets.chunk(n_pieces), strict=True)):
            last = i + 1 == n_pieces  # its backward pass meets the other processes
            with nullcontext() if last else processes.no_sync(self.loss):
                with self.autocast:
                    loss = self.loss(*piece) / n_pieces
                loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _place(self, rows: Tensor) -> Tensor:
        """On the device; a GPU fetches them itself from memory that stays where it is."""
        if self.device.type == "cuda":
            rows = rows.pin_memory()
        return rows.to(self.device, non_blocking=True)

    def read(self) -> None:
        """Take what was measured into the history.

        Raises:
            FloatingPointError: a loss or a gradient is no finite number.
        """
        for rate, measured in self.unread:
            loss, asked, norm = measured.tolist()
            step = len(self.history.steps)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise FloatingPointError(
                    f"loss and gradient must be finite, got {loss:g} and a gradient of length "
                    f"{norm:g} at step {step}, with a learning rate of {rate:.3g}"
                )
            self.history.steps.append(Step(step, loss, rate, norm))
            self.history.tokens += self.settings.batch_size * self.n_ctx
            self.stopping = self.stopping or asked > 0
        self.unread.clear()
        now = time.perf_counter()
        self.history.seconds += now - self.since
        self.since = now

    def look_at_heldout(self) -> bool:
        """Measure the held-out text, if that is due and not done."""
        step, s = self.step, self.settings
        seen = [loss.step for loss in self.history.heldout[-1:]]
        if seen == [step] or not (step % s.eval_every == 0 or self.at_end):
            return False
        self.read()
        total = torch.zeros((), device=self.device)  # over the processes, of which one looks
        if self.processes.first:
            look = (self.data.heldout, self.n_ctx, s.eval_tokens, self.rows_at_once)
            with self.autocast:
                total += heldout_loss(self.model, *look) * self.processes.size
        loss = self.processes.mean(total).item()
        if not math.isfinite(loss):
            raise FloatingPointError(f"the held-out loss must be finite, got {loss} at step {step}")
        self.history.heldout.append(Heldout(step, loss))
        return True

    # On disk

    def made_with(self) -> dict[str, Any]:
        """What a checkpoint must agree with, so that going on with it is the same run."""
        settings = asdict(self.settings) | {"n_ctx": self.n_ctx}
        del settings["checkpoint_every"]  # changes nothing that is learned
        shapes = {name: list(p.shape) for name, p in self.model.named_parameters()}
        digest = sha256(repr(shapes).encode()).hexdigest()
        sizes = {f"model's {name}": size for name, size in vars(self.config).items()}
        return settings | sizes | {"parameters": digest[:16], "text": self.data.fingerprint[:16]}

    def save(self, path: Path) -> None:
        self.read()
        if not self.processes.first:
            return
        random = {"random.rows": self.generator.get_state(), "random.torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["random.cuda"] = torch.cuda.get_rng_state(self.device)
        learned = checkpoints.learned_tensors(self.model, self.optimizer)
        history = checkpoints.history_tensors(self.history)
        checkpoints.write_checkpoint(path, learned | history | random, self.made_with())

    def go_on_from(self, path: Path) -> None:
        tensors = checkpoints.read_checkpoint(path, self.made_with())
        checkpoints.restore_learned(tensors, self.model, self.optimizer)
        self.history = checkpoints.history_of(tensors)
        self.generator.set_state(tensors["random.rows"])
        if self.processes.first:  # what is drawn in the model, by dropout say
            torch.set_rng_state(tensors["random.torch"])
            if self.device.type == "cuda" and "random.cuda" in tensors:
                torch.cuda.set_rng_state(tensors["random.cuda"], self.device)


def _check_fit(model: nn.Module, data: TextData, settings: Settings, processes: Processes) -> None:
    """Raise ValueError where model, text, settings and processes do not go together."""
    config = config_of(model)
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
    shares = processes.size * settings.accumulate
    if settings.batch_size % shares:
        raise ValueError(
            f"batch_size must be divisible by processes × accumulate, got {settings.batch_size} "
            f"and {processes.size} × {settings.accumulate}; "
            f"try batch_size={max(1, settings.batch_size // shares) * shares}"
        )


def train(
    model: nn.Module,
    data: TextData,
    settings: Settings,
    folder: str | os.PathLike[str] | None = None,
    on_step: Callback | None = None,
    on_eval: Callback | None = None,
    progress: bool = True,
) -> History:
    """Train a model where it lies (CPU or GPU), and return what was measured.

    Args:
        model: maps ids (B, T) to logits (B, T, V), and has `config` with n_ctx and vocab_size.
        folder: where checkpoints go. If one lies there, the run goes on from it, and ends with
            the weights that it would have had without a pause (to the bit on the same machine
            with as many threads).
        on_step: called as on_step(step, model, history) after every step; on a GPU the history may
            lag some steps behind.
        on_eval: the same, whenever the held-out text was looked at: at step 0, every eval_every
            steps, and at the end.
        progress: whether a bar shows loss, tokens per second and time left.

    Under `torchrun`, each process calls it with the same arguments and learns from its share of
    every batch; the first alone writes, and calls what is to be called.

    Raises:
        ValueError: text, model, settings and processes do not go together, or the checkpoint in
            the folder is of another run; the message names what differs.
        FloatingPointError: loss or gradient became infinite or NaN. The checkpoint is from before.
        KeyboardInterrupt: Ctrl-C. The step under way is finished and a checkpoint written first; a
            second Ctrl-C does not wait.
    """
    path = None if folder is None else Path(folder, CHECKPOINT)
    was_training = model.training
    with join_processes(device_of(model)) as processes:
        run = Run(model, data, settings, processes)
        if path and path.exists():
            run.go_on_from(path)
        processes.check_same(run.step, "the step of the checkpoint in the folder")
        if not processes.first:
            on_step = on_eval = None
        try:
            with _bar(run, progress) as bar, asked_to_stop() as asked:
                _loop(run, path, on_step, on_eval, bar, asked)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; {_how_to_mend(path)}") from None
        finally:
            model.train(was_training)
    return run.history


def _loop(
    run: Run,
    path: Path | None,
    on_step: Callback | None,
    on_eval: Callback | None,
    bar: tqdm,
    asked: list[int],
) -> None:
    saved = run.step
    while True:
        if run.look_at_heldout() and on_eval:
            on_eval(run.step, run.model, run.history)
        due = run.step % run.settings.checkpoint_every == 0 or run.at_end or run.stopping
        if path and due and run.step != saved:
            run.save(path)
            saved = run.step
        if run.at_end:
            return
        if run.stopping:
            raise KeyboardInterrupt(_how_to_go_on(run, path))
        run.model.train()
        run.take_step(stop=bool(asked))
        if len(run.unread) == run.read_every:
            run.read()
            _show(run, bar)
        if on_step:
            on_step(run.step, run.model, run.history)


def _bar(run: Run, progress: bool) -> tqdm:
    steps, hidden = run.settings.max_steps, not (progress and run.processes.first)
    return tqdm(total=steps, initial=run.step, desc="training", unit="step", disable=hidden)


def _show(run: Run, bar: tqdm) -> None:
    """The newest loss, and how quick the last steps were."""
    if bar.disable:
        return
    rate = (bar.format_dict["rate"] or math.nan) * run.settings.batch_size * run.n_ctx
    speed = "" if math.isnan(rate) else f", {rate:,.0f} tokens/s"  # none before the second step
    bar.set_postfix_str(f"loss {run.history.steps[-1].loss:.3f}{speed}", refresh=False)
    bar.update(run.step - bar.n)


def _how_to_go_on(run: Run, path: Path | None) -> str:
    stopped = f"stopped after {run.step} of {run.settings.max_steps} steps"
    if path is None:
        return f"{stopped}; nothing was written, since no folder was given"
    return f"{stopped}; {path} holds them, and training in that folder again goes on from there"


def _how_to_mend(path: Path | None) -> str:
    mend = "try a smaller max_lr or more warmup_steps"
    if path is None:
        return f"no checkpoint was written, since no folder was given; {mend}"
    if not path.exists():
        return f"there is no checkpoint yet; {mend}"
    steps = checkpoints.n_steps(path)
    good = f"the last good checkpoint, {path}, holds the first {steps} steps"
    return f"{good}; {mend}, in another folder"
