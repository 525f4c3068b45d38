"""The training loop. It does the same on one core or on many GPUs, and goes on where it ended."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from torch import nn
from tqdm.auto import tqdm

from gpt2course.model import device_of
from gpt2course.training.checkpoints import CHECKPOINT, n_steps
from gpt2course.training.folder import claim
from gpt2course.training.history import History
from gpt2course.training.interruption import asked_to_stop
from gpt2course.training.processes import join_processes
from gpt2course.training.run import Run
from gpt2course.training.settings import Settings
from gpt2course.training.step import learning_rate
from gpt2course.training.text_data import TextData

Callback = Callable[[int, nn.Module, History], object]


def train(
    model: nn.Module,
    data: TextData,
    settings: Settings,
    folder: str | os.PathLike[str] | None = None,
    on_step: Callback | None = None,
    on_eval: Callback | None = None,
    progress: bool = False,
) -> History:
    """Train a model where it lies (CPU or GPU), and return what was measured.

    Args:
        model: maps ids (B, T) to logits (B, T, V), and has `config` with n_ctx and vocab_size.
        folder: where checkpoints go. If one lies there, the run goes on from it, and ends with
            the weights that it would have had without a pause (to the bit on the same machine
            with as many threads).
        on_step: called as on_step(step, model, history) after every step, with the number of steps
            taken. A logger, here one of TensorBoard's, takes the newest rows; on a GPU these come
            some steps later, since to read them is to wait:

                def log(step, model, history):
                    for row in history.steps[-1:]:
                        writer.add_scalar("loss", row.loss, row.step)
        on_eval: the same, whenever the held-out text was looked at: at step 0, every eval_every
            steps, and at the end.
        progress: whether a bar shows loss, tokens per second and time left.

    Under `torchrun`, each process calls it with the same arguments and learns from its share of
    every batch; the first alone writes, and calls what is to be called.

    Raises:
        ValueError: text, model, settings and processes do not go together, or the checkpoint in
            the folder is damaged or of another run (AnotherRun); the message names what differs.
        OSError: the folder is a file, can't be written, or another run is at work in it.
        FloatingPointError: loss or gradient became infinite or NaN. The checkpoint is from before.
        KeyboardInterrupt: Ctrl-C, or SIGTERM, with which schedulers end a job. The step under way
            is finished and a checkpoint written first; a second signal does not wait.
    """
    path = None if folder is None else Path(folder, CHECKPOINT)
    was_training = model.training
    with join_processes(device_of(model)) as processes, claim(folder if processes.first else None):
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
    checkpoint_every = s.checkpoint_every or max(1, min(250, s.max_steps // 10))
    while True:
        # Measure the held-out text and write a checkpoint where they are due.
        if run.heldout_is_due:
            run.measure_heldout()
            if on_eval:
                on_eval(run.step, run.model, run.history)
        due = run.step % checkpoint_every == 0 or run.at_end or run.stopping
        if path and due and run.step != saved:
            run.save(path)
            saved = run.step
        if run.at_end:
            return
        if run.stopping:
            raise KeyboardInterrupt(_how_to_go_on(run, path))

        # One step: forward, backward, and the weights move.
        run.model.train()
        rate = learning_rate(run.step, *s.schedule)
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
    steps = n_steps(path)
    good = f"the last good checkpoint, {path}, holds the first {steps} steps"
    return f"{good}; {mend}, in another folder"
