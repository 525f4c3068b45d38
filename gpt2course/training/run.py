"""The training loop. It does the same on one core or on many GPUs, and goes on where it ended."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from gpt2course.model import config_of, device_of
from gpt2course.training import checkpoints
from gpt2course.training.checkpoints import CHECKPOINT
from gpt2course.training.history import Heldout, History, Step, history_of, history_tensors
from gpt2course.training.interruption import asked_to_stop
from gpt2course.training.processes import Processes, join_processes
from gpt2course.training.settings import Settings, check_fit
from gpt2course.training.step import (
    BatchLoss,
    adamw,
    heldout_loss,
    learning_rate,
    next_token_batch,
)
from gpt2course.training.text_data import TextData

Callback = Callable[[int, nn.Module, History], object]


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
    s, saved = run.settings, run.step
    while True:
        # Measure the held-out text and write a checkpoint where they are due.
        if run.heldout_is_due:
            run.measure_heldout()
            if on_eval:
                on_eval(run.step, run.model, run.history)
        due = run.step % s.checkpoint_every == 0 or run.at_end or run.stopping
        if path and due and run.step != saved:
            run.save(path)
            saved = run.step
        if run.at_end:
            return
        if run.stopping:
            raise KeyboardInterrupt(_how_to_go_on(run, path))

        # One step: forward, backward, and the weights move.
        run.model.train()
        rate = learning_rate(run.step, s.max_lr, s.min_lr, s.warmup_steps, s.max_steps)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        loss = run.forward_backward()
        norm = nn.utils.clip_grad_norm_(run.model.parameters(), s.clip_norm)
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
        run.record(rate, loss, norm, stop=bool(asked))

        if not run.unread:
            _show(run, bar)
        if on_step:
            on_step(run.step, run.model, run.history)


class Run:
    """All that changes from step to step."""

    def __init__(self, model: nn.Module, data: TextData, settings: Settings, processes: Processes):
        self.config = config_of(model)
        check_fit(settings, self.config, data, processes.size)
        self.model, self.data, self.settings, self.processes = model, data, settings, processes
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
        loss = BatchLoss(model)
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

    @property
    def heldout_is_due(self) -> bool:
        """Every eval_every steps and at the end, and not again where a run goes on."""
        measured = [loss.step for loss in self.history.heldout[-1:]]
        due = self.step % self.settings.eval_every == 0 or self.at_end
        return due and measured != [self.step]

    def forward_backward(self) -> Float[Tensor, ""]:
        """The loss of this process's rows of a new batch; its gradients are in the parameters."""
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

    def record(self, rate: float, loss: Tensor, norm: Tensor, stop: bool) -> None:
        """Note what a step measured, as a mean over the processes.

        Args:
            stop: whether this process was asked to stop; the others hear of it with the loss.
        """
        measured = self.processes.mean(torch.stack([loss, loss.new_full((), stop)]))
        self.unread.append((rate, torch.cat([measured, norm[None].to(loss)])))
        if len(self.unread) == self.read_every:
            self.read()

    def read(self) -> None:
        """Take what was recorded into the history.

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

    def measure_heldout(self) -> None:
        """Add the loss of the held-out text to the history."""
        self.read()
        total = torch.zeros((), device=self.device)  # over the processes, of which one looks
        if self.processes.first:
            look = (self.data.heldout, self.n_ctx, self.settings.eval_tokens, self.rows_at_once)
            with self.autocast:
                total += heldout_loss(self.model, *look) * self.processes.size
        loss = self.processes.mean(total).item()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the held-out loss must be finite, got {loss} at step {self.step}"
            )
        self.history.heldout.append(Heldout(self.step, loss))

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
        history = history_tensors(self.history)
        checkpoints.write_checkpoint(path, learned | history | random, self.made_with())

    def go_on_from(self, path: Path) -> None:
        tensors = checkpoints.read_checkpoint(path, self.made_with())
        checkpoints.restore_learned(tensors, self.model, self.optimizer)
        self.history = history_of(tensors)
        self.generator.set_state(tensors["random.rows"])
        if self.processes.first:  # what is drawn in the model, by dropout say
            torch.set_rng_state(tensors["random.torch"])
            if self.device.type == "cuda" and "random.cuda" in tensors:
                torch.cuda.set_rng_state(tensors["random.cuda"], self.device)


# What is told -----------------------------------------------------------------------------------


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
