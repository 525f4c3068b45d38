"""From texts to a folder with a trained model: its tokenizer, its data, the run."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gpt2course.config import COURSE, GPT2Config
from gpt2course.model import GPT2
from gpt2course.tokenizer import Tokenizer
from gpt2course.training.checkpoints import CHECKPOINT
from gpt2course.training.folder import claim, save_run, steps_so_far
from gpt2course.training.history import History
from gpt2course.training.loop import Callback, train
from gpt2course.training.processes import Processes, join_processes
from gpt2course.training.settings import Settings
from gpt2course.training.text_data import TextData


def _say_nothing(line: str) -> None:
    pass


def train_on_texts(
    documents: Sequence[str],
    heldout: Sequence[str],
    folder: str | os.PathLike[str],
    settings: Settings,
    start: GPT2Config | GPT2 = COURSE,
    tokenizer: Tokenizer | None = None,
    *,
    device: str | torch.device = "cpu",
    on_step: Callback | None = None,
    report: Callable[[str], object] = _say_nothing,
    progress: bool = False,
) -> History:
    """Train a model on documents, and write model, tokenizer and history to a folder.

    Args:
        folder: as in `train`; of the processes of torchrun the first one writes, and reports.
        start: the sizes of a new model, or a trained one, which is changed.
        tokenizer: None trains one on the documents, of as many tokens as the model has.
        on_step, progress: as in `train`.
        report: called with a line of text when something was done.

    Raises:
        ValueError: as in `train`; or `folder` holds a model that no run here has made, or the
            tokenizer is not that of the model.
    """
    folder, device = Path(folder), torch.device(device)
    with join_processes(device) as processes, claim(folder if processes.first else None):
        done = steps_so_far(folder)
        if not processes.first:
            report, progress = _say_nothing, False
        report(f"text       {len(documents):,} documents to learn from, {len(heldout):,} held out")
        if tokenizer is None:
            report("tokenizer  is being trained on the text")
            config = start.config if isinstance(start, GPT2) else start
            tokenizer = Tokenizer.train(documents, config.vocab_size)
        report(f"tokenizer  {tokenizer.vocab_size:,} tokens")
        data = TextData.from_split(documents, heldout, tokenizer, progress)
        report(
            f"           {len(data.train):,} tokens to learn from, {len(data.heldout):,} held out"
        )
        model = _model(start, tokenizer, settings.seed).to(device).train()
        sizes = ", ".join(f"{name} {size}" for name, size in vars(model.config).items())
        report(f"model      {sum(p.numel() for p in model.parameters()):,} parameters: {sizes}")
        report(f"run        {_plan(settings, model, processes)}")
        if done:
            report(f"going on   from step {done}, with {folder / CHECKPOINT}")

        def on_eval(step: int, _: object, past: History) -> None:
            report(f"step {step:<5} held-out loss {past.heldout[-1].loss:.4f} nats per token")

        history = train(model, data, settings, folder, on_step, on_eval, progress)
        if processes.first:
            save_run(folder, model, tokenizer, history)
        report(
            f"done       in {history.seconds:.0f} s: {history.heldout[-1].loss:.4f} nats per token"
        )
    return history


def _model(start: GPT2Config | GPT2, tokenizer: Tokenizer, seed: int) -> GPT2:
    if isinstance(start, GPT2):
        if tokenizer.vocab_size != start.config.vocab_size:
            raise ValueError(
                f"the tokenizer must have the model's {start.config.vocab_size} tokens, got "
                f"{tokenizer.vocab_size}; give the one that it was trained with"
            )
        return start
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2(replace(start, vocab_size=tokenizer.vocab_size))
        model.initialise(std=0.02 * math.sqrt(GPT2Config.n_embd / start.n_embd))
    return model


def _plan(settings: Settings, model: GPT2, processes: Processes) -> str:
    n_threads, kind = torch.get_num_threads(), model.device.type
    who = f"{processes.size} processes" if processes.size > 1 else "1 process"
    threads = f" of {n_threads} thread{'s' * (n_threads > 1)}" if kind == "cpu" else ""
    return (
        f"{settings.max_steps:,} steps of {settings.batch_size} × "
        f"{settings.n_ctx or model.config.n_ctx} tokens, learning rate {settings.max_lr:g}; "
        f"{kind}, {who}{threads}"
    )
