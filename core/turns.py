"""Share a few places among visitors so that one who asks for much does not keep the others waiting."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

from core.errors import Busy
from core.stopwatch import timed

HALF_LIFE = 60.0  # seconds in which half of what a visitor used is forgotten
FORGOTTEN = 0.01  # seconds of use that are as none
PRESENT = 10.0  # seconds after a visitor's last use in which places are shared with them
LOOK = 0.5  # seconds between two looks at how many are before

Place = TypeVar("Place")


@dataclass(eq=False)
class _Ticket:
    """One who waits."""

    visitor: str
    refused: bool = False


class Turns(Generic[Place]):
    """Places that are taken in turn: by the visitor who used them least lately, among equals by who came first.

    A visitor has at most an equal share of the places, at least one; a visitor who is alone has all but one.

    Args:
        places: to be shared.
        bound: how many may wait. When one more comes, the visitor with most in the queue loses the last of these.
    """

    def __init__(self, places: Iterable[Place], bound: float = math.inf) -> None:
        self._free = list(places)
        self._places, self._bound = len(self._free), bound
        self._waiting: list[_Ticket] = []
        self._holding: dict[str, int] = {}
        self._used: dict[str, tuple[float, float]] = {}  # seconds, and when that was written
        self._changed = Condition()

    @contextmanager
    def taken(self, visitor: str, waiting: Callable[[int], object] = lambda _: None) -> Generator[Place]:
        """A place for as long as the block takes.

        Args:
            visitor: who asks.
            waiting: called every LOOK seconds until there is a place, with how many other visitors are before this one.

        Raises:
            Busy: too many wait.
        """
        with timed("queue"):
            place = self._take(visitor, waiting)
        begun = time.monotonic()
        try:
            yield place
        finally:
            self._give_back(place, visitor, time.monotonic() - begun)

    def _take(self, visitor: str, waiting: Callable[[int], object]) -> Place:
        ticket = self._enter(visitor)
        try:
            while not (got := self._served(ticket)):
                waiting(self._before(ticket))
        finally:  # also where Streamlit ends a visit's thread, which it does anywhere
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        return got[0]

    def _enter(self, visitor: str) -> _Ticket:
        """Join the queue; if it is too long then, one of those with most in it is refused."""
        ticket = _Ticket(visitor)
        with self._changed:
            self._waiting.append(ticket)
            tickets = [one for one in self._waiting if not one.refused]
            if len(tickets) > self._bound:
                numbers = Counter(one.visitor for one in tickets)
                most = max(numbers.values())
                next(one for one in reversed(tickets) if numbers[one.visitor] == most).refused = True
                self._changed.notify_all()
        return ticket

    def _served(self, ticket: _Ticket) -> list[Place]:
        """A place if it is this one's turn within LOOK seconds, else none. Raises Busy."""
        with self._changed:
            is_next = self._changed.wait_for(lambda: ticket.refused or self._next() is ticket, LOOK)
            if ticket.refused:
                raise Busy(f"The server is busy: {self._bound} requests are waiting. Try again in a minute.")
            if not is_next:
                return []
            self._holding[ticket.visitor] = self._holding.get(ticket.visitor, 0) + 1
            return [self._free.pop()]

    def _next(self) -> _Ticket | None:
        if not self._free:
            return None
        share = self._share()
        allowed = [ticket for ticket in self._waiting if self._holding.get(ticket.visitor, 0) < share]
        return min(allowed, key=lambda ticket: self._lately(ticket.visitor), default=None)

    def _share(self) -> int:
        """How many places one visitor may have at once."""
        now = time.monotonic()
        lately = {visitor for visitor, (_, written) in self._used.items() if now - written < PRESENT}
        present = lately | self._holding.keys() | {ticket.visitor for ticket in self._waiting}
        return max(1, self._places - 1 if len(present) < 2 else self._places // len(present))

    def _before(self, ticket: _Ticket) -> int:
        """How many other visitors come before this one."""
        with self._changed:
            order = sorted(self._waiting, key=lambda one: self._lately(one.visitor))
            return len({one.visitor for one in order[: order.index(ticket)]} - {ticket.visitor})

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
