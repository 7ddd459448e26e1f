"""Share a few places among visitors so that one who asks for much does not keep the others waiting."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from threading import Condition
from typing import Generic, TypeVar

HALF_LIFE = 60.0  # seconds in which half of what a visitor used is forgotten
FORGOTTEN = 0.01  # seconds of use that are as none

Place = TypeVar("Place")


class Turns(Generic[Place]):
    """Places that are taken in turn: by the visitor who used them least lately, among equals by who came first.

    Where there are several places, a visitor never holds all of them.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._free = list(places)
        self._most = max(1, len(self._free) - 1)  # places of one visitor
        self._waiting: list[tuple[str, object]] = []
        self._holding: dict[str, int] = {}
        self._used: dict[str, tuple[float, float]] = {}  # seconds, and when that was written
        self._changed = Condition()

    @contextmanager
    def taken(self, visitor: str) -> Generator[Place]:
        """A place for so long as the block takes."""
        place, begun = self._take(visitor), time.monotonic()
        try:
            yield place
        finally:
            self._give_back(place, visitor, time.monotonic() - begun)

    def _take(self, visitor: str) -> Place:
        ticket = (visitor, object())
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._next() is ticket)
            except BaseException:  # Streamlit ends a visit's thread wherever it is
                self._waiting.remove(ticket)
                self._changed.notify_all()
                raise
            self._waiting.remove(ticket)
            self._holding[visitor] = self._holding.get(visitor, 0) + 1
            place = self._free.pop()
            self._changed.notify_all()
        return place

    def _next(self) -> tuple[str, object] | None:
        if not self._free:
            return None
        allowed = [ticket for ticket in self._waiting if self._holding.get(ticket[0], 0) < self._most]
        return min(allowed, key=lambda ticket: self._lately(ticket[0]), default=None)

    def _lately(self, visitor: str) -> float:
        """Seconds that a visitor used lately, those of the places held now not counted but for their number."""
        seconds, written = self._used.get(visitor, (0.0, 0.0))
        return seconds * 0.5 ** ((time.monotonic() - written) / HALF_LIFE) + self._holding.get(visitor, 0)

    def _give_back(self, place: Place, visitor: str, seconds: float) -> None:
        with self._changed:
            self._holding[visitor] -= 1
            now, used = time.monotonic(), self._lately(visitor) - self._holding[visitor] + seconds
            self._used[visitor] = used, now
            if not self._holding[visitor]:
                del self._holding[visitor]
            self._used = {name: it for name, it in self._used.items() if self._lately(name) > FORGOTTEN}
            self._free.append(place)
            self._changed.notify_all()
