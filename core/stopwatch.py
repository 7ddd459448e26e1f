"""How long the parts of an answer take: whoever does a part times it, and whoever gives the answer holds the stopwatch.

with stopwatch() as watch:
    with timed("decode"):
        ...
watch.parts, watch.seconds
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """What was timed since it was started.

    Args:
        parts: name of a part to its seconds, those of parts inside it not counted.
    """

    parts: dict[str, float] = field(default_factory=dict[str, float])
    _started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def add(self, part: str, seconds: float) -> None:
        """Count seconds as a part."""
        self.parts[part] = self.parts.get(part, 0.0) + seconds


_held: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def stopwatch() -> Generator[Stopwatch]:
    """Time the parts in this thread from here on; within another such block, its stopwatch."""
    if held := _held.get():
        yield held
        return
    watch = Stopwatch()
    token = _held.set(watch)
    try:
        yield watch
    finally:
        _held.reset(token)


@contextmanager
def timed(part: str) -> Generator[None]:
    """Count the time of the block as a part, if there is a stopwatch."""
    watch = _held.get()
    if watch is None:
        yield
        return
    start, inside = time.perf_counter(), sum(watch.parts.values())
    try:
        yield
    finally:
        watch.add(part, time.perf_counter() - start - (sum(watch.parts.values()) - inside))


def took(part: str, seconds: float) -> None:
    """Count seconds that passed within the block around this as a part of their own."""
    if watch := _held.get():
        watch.add(part, seconds)
