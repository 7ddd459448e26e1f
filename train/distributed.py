"""One process or many: the same code under `python -m train` and under `torchrun --nproc-per-node N -m train`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class World:
    """Where this process stands among all.

    Args:
        rank: of this process, from 0; rank 0 alone writes files.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, or stand alone.

    Args:
        device: `auto` (CUDA if there is one, else the CPU), `cpu` or `cuda`.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = torch.device(chosen, int(os.environ.get("LOCAL_RANK", 0))) if chosen == "cuda" else torch.device(chosen)
    if size > 1:
        distributed.init_process_group("nccl" if chosen == "cuda" else "gloo")
    try:
        yield World(rank, size, local)
    finally:
        if size > 1:
            distributed.destroy_process_group()
