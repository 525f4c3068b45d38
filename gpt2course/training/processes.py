"""The processes that train one model together, as `torchrun` starts them; alone, there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: the number of this one, from 0.
        size: how many there are, on all machines.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that prints, measures and writes."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are the means over all processes."""
        if self.size == 1:
            return module
        return nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True)

    def no_sync(self, module: nn.Module) -> AbstractContextManager[None]:
        """Within, the gradients of a wrapped module stay this process's own."""
        if isinstance(module, nn.parallel.DistributedDataParallel):
            return module.no_sync()
        return nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """The values' means over all processes; in place."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def check_same(self, value: int, what: str) -> None:
        """Raise ValueError, in every process, where they differ in a number."""
        if self.size == 1:
            return
        values: list[int] = [0] * self.size
        dist.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise ValueError(f"{what} must be the same in all processes, got {values}")


ALONE = Processes()


def started_by_torchrun() -> bool:
    """Whether torchrun started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ


def own_device() -> torch.device:
    """Where this process computes: a GPU of its own, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, n_devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= n_devices:
        raise ValueError(
            f"--nproc-per-node must be at most the {n_devices} GPUs of this machine, got "
            f"{os.environ['LOCAL_WORLD_SIZE']}; start as many, or hide the GPUs with "
            f"CUDA_VISIBLE_DEVICES= to train on the CPU"
        )
    return torch.device("cuda", number)


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes that torchrun started, if it did, and part from them at the end."""
    if dist.is_available() and dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
    elif not started_by_torchrun():
        yield ALONE
    else:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(_share_of_cores())
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            yield Processes(dist.get_rank(), dist.get_world_size())
        finally:
            dist.destroy_process_group()


def _share_of_cores() -> int:
    """torchrun gives every process one thread; of more cores, each takes its even share."""
    known = getattr(os, "sched_getaffinity", None)  # the cores that this process may use
    n_cores = len(known(0)) if known else os.cpu_count() or 1
    return max(1, n_cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
