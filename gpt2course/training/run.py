"""The state of a training run: what changes from step to step, and how it is kept."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2course.model import config_of, device_of
from gpt2course.training import checkpoints
from gpt2course.training.history import Heldout, History, Step, history_of, history_tensors
from gpt2course.training.processes import Processes
from gpt2course.training.settings import Settings, check_fit
from gpt2course.training.step import BatchLoss, adamw, heldout_loss, next_token_batch
from gpt2course.training.text_data import TextData


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
        _, min_lr, warmup_steps, _ = self.settings.schedule
        settings = asdict(self.settings) | {"n_ctx": self.n_ctx}
        settings |= {"min_lr": min_lr, "warmup_steps": warmup_steps}
        del settings["checkpoint_every"]  # changes nothing that is learned
        shapes = {name: list(p.shape) for name, p in self.model.state_dict().items()}
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
