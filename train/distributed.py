"""One process or many: the same code under `python -m train` and under `torchrun --nproc-per-node N -m train`."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
from torch import distributed, nn

from core.errors import InvalidConfig
from core.inference.model import GarmentNet

PATIENCE = timedelta(hours=2)  # the others wait this long at most while the leading process decodes a data set


@dataclass(frozen=True)
class World:
    """This process among all.

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

    @property
    def name(self) -> str:
        """Where a run was computed, such as `cpu`, `cuda:0` or `4 x cuda`."""
        return str(self.device) if self.size == 1 else f"{self.size} x {self.device.type}"

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def share(self, value: Any) -> Any:
        """What the leading process passes in, in every process."""
        box = [value]
        if self.size > 1:
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            distributed.barrier()


def shared_statistics(network: GarmentNet) -> GarmentNet:
    """The network with BatchNorm over the photos of all processes. PyTorch has it for GPUs alone; elsewhere each process has its own."""
    return cast(GarmentNet, nn.SyncBatchNorm.convert_sync_batchnorm(network))


@contextmanager
def join_world(device: str) -> Generator[World]:
    """Join the processes that torchrun started, or stand alone.

    Args:
        device: `auto` (CUDA if there is one, else the CPU), `cpu` or `cuda`.

    Raises:
        InvalidConfig: `cuda` on a machine where torch finds none.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = _local_device(device)
    if size > 1:
        distributed.init_process_group("nccl" if local.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(rank, size, local)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def _local_device(device: str) -> torch.device:
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise InvalidConfig("torch finds no CUDA device here. Check the driver, or train with `--device cpu`.")
    if device == "cpu" or not found:
        return torch.device("cpu")
    local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    torch.cuda.set_device(local)
    torch.backends.cudnn.benchmark = True  # input sizes are few and stay, so the search for the fastest kernels pays
    return local
