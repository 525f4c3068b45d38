"""Training: batches, loss and learning rate; a run with held-out loss and checkpoints.

`train` runs it all; the parts beside it are what lesson 13 builds.
"""

from gpt2course.training.checkpoints import CHECKPOINT, AnotherRun
from gpt2course.training.history import Heldout, History, Step
from gpt2course.training.loop import train
from gpt2course.training.on_texts import train_on_texts
from gpt2course.training.processes import Processes, join_processes
from gpt2course.training.settings import COURSE_SETTINGS, Settings
from gpt2course.training.step import (
    adamw,
    heldout_loss,
    learning_rate,
    next_token_batch,
    next_token_loss,
    parameter_groups,
)
from gpt2course.training.text_data import TextData

__all__ = [
    "AnotherRun",
    "CHECKPOINT",
    "COURSE_SETTINGS",
    "Heldout",
    "History",
    "Processes",
    "Settings",
    "Step",
    "TextData",
    "adamw",
    "heldout_loss",
    "join_processes",
    "learning_rate",
    "next_token_batch",
    "next_token_loss",
    "parameter_groups",
    "train",
    "train_on_texts",
]
