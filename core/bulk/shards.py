"""Classify photos into files: resumable, and shared out among the processes that a launcher such as torchrun started.

Batches are the unit of everything: they are dealt out to the processes in turn and kept in each one's journal, so that a result is made
of the very same forward passes however often the work was interrupted and however many processes shared it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from core.bulk.journal import Journal, Record
from core.bulk.pipeline import BATCH
from core.errors import InvalidData

PATIENCE = 600.0  # seconds without a sign of another process after which it is given up
POLL = 0.5  # seconds

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """The part of the work that is this process's.

    Args:
        rank: of this process, from 0; rank 0 merges the results.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def from_environment(cls) -> Shard:
        """As torchrun's RANK and WORLD_SIZE say, all of it where there are none.

        Raises:
            InvalidData: they make no sense.
        """
        given = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        if not (given[0].isdecimal() and given[1].isdecimal() and int(given[0]) < int(given[1])):
            raise InvalidData(
                f"RANK is {given[0]!r} and WORLD_SIZE {given[1]!r}; RANK must be from 0 to WORLD_SIZE - 1."
            )
        return cls(int(given[0]), int(given[1]))

    def take(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Every `size`-th batch from the `rank`-th on."""
        return itertools.islice(batches, self.rank, None, self.size)

    def batches(self, photos: int) -> int:
        """How many batches of so many photos are this process's."""
        return len(range(self.rank, -(-photos // BATCH), self.size))

    def photos(self, photos: int) -> int:
        """How many of so many photos are this process's."""
        return sum(min(BATCH, photos - BATCH * batch) for batch in range(self.rank, -(-photos // BATCH), self.size))


def journals(target: Path, task: dict[str, Any], size: int) -> list[Journal]:
    """The journals of all processes, beside the file that the results go to."""
    names = [f"{target.name}.part"] if size == 1 else [f"{target.name}.part-{r}-of-{size}" for r in range(size)]
    return [Journal(target.with_name(name), task) for name in names]


@contextmanager
def locked(journal: Journal) -> Generator[None]:
    """Keep a second process from writing the same journal.

    Raises:
        InvalidData: one does already.
    """
    lock = FileLock(f"{journal.path}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InvalidData(f"Another process is writing {journal.path}. Wait for it, or name another file.") from None
    try:
        yield
    finally:
        lock.release()


def merged(parts: list[Journal]) -> Iterator[Record]:
    """The records of all processes in the order of the photos."""
    for batches in itertools.zip_longest(*(part.batches() for part in parts), fillvalue=()):
        for batch in batches:
            yield from batch


def wait_for_all(parts: list[Journal], photos: int, seconds: float = PATIENCE) -> None:
    """Return once every process has finished its batches.

    Raises:
        InvalidData: one has shown no sign of life for so many seconds; what is done stays, and the same command continues.
    """
    for rank, part in enumerate(parts):
        needed = Shard(rank, len(parts)).batches(photos)
        if not _grows_to(needed, part.finished, seconds):
            raise InvalidData(
                f"Process {rank} of {len(parts)} has finished {part.finished()} of its {needed} batches and nothing for "
                f"{seconds:.0f} seconds. Start the same command again: it continues. All processes must see the same folder."
            )


def _grows_to(needed: int, finished: Callable[[], int], seconds: float) -> bool:
    done, deadline = finished(), time.monotonic() + seconds
    while done < needed:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
        now = finished()
        if now > done:
            done, deadline = now, time.monotonic() + seconds
    return True


def discard(parts: list[Journal]) -> None:
    """Delete journals whose results stand in their files."""
    for part in parts:
        part.path.unlink(missing_ok=True)
        Path(f"{part.path}.lock").unlink(missing_ok=True)
