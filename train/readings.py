"""What an epoch took of the machine, and how far its last step moved the weights: columns of `history.csv` that may be empty."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

RAPL = Path(
    "/sys/class/powercap"
)  # where Linux counts the energy of the processor packages, if it lets this process read it
MICROJOULES_A_WATT_HOUR = 3.6e9


class Readings:
    """Reads the machine's counters when it is made and again when an epoch is over.

    Args:
        device: that trains.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._seconds, self._busy, self._energy = time.perf_counter(), busy_seconds(), package_energy()

    def row(self) -> dict[str, float | None]:
        """Values of `peak_memory_mib`, `busy_cores` and `energy_wh` since this was made; None where the machine does not say."""
        seconds = time.perf_counter() - self._seconds
        energy = package_energy()
        used = None if energy is None or self._energy is None else (energy - self._energy) / MICROJOULES_A_WATT_HOUR
        return {
            "peak_memory_mib": peak_memory(self.device) / 2**20,
            "busy_cores": (busy_seconds() - self._busy) / seconds,
            "energy_wh": used if used is None or used >= 0 else None,  # the counter began again from zero
        }


def busy_seconds() -> float:
    """Processor time of this process and of those it started and has seen end."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_memory(device: torch.device) -> int:
    """Most bytes that were in use at once: of a GPU's memory by this process, else of memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def package_energy(folder: Path = RAPL) -> int | None:
    """Microjoules that the processor packages have counted; None where there is no counter or it may not be read."""
    try:
        counters = [int((package / "energy_uj").read_text()) for package in folder.glob("intel-rapl:?")]
    except (OSError, ValueError):
        return None
    return sum(counters) if counters else None


def update_to_weight(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Norm of an update over the norm of the weights it changed; about 1e-3 where a learning rate suits them.

    Args:
        before: the weights, any shapes.
        after: the same after the update.
    """
    moved = sum(float((new - old).double().square().sum()) for old, new in zip(before, after, strict=True))
    size = sum(float(old.double().square().sum()) for old in before)
    return (moved / size) ** 0.5 if size else 0.0
