"""How much memory visitors may keep in the server: uploads on their way, uploads, open photos and own test sets."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from weakref import WeakSet

from core.errors import QuotaReached

MB = 2**20
OF_ONE, OF_ALL = (
    640 * MB,
    1600 * MB,
)  # two zip files of the largest size, and photos; the memory that compose.yaml allows
THIS_MACHINE = ("127.0.0.1", "::1")


def visitor_of(headers: Mapping[str, str], address: str | None, session: str) -> str:
    """Who asks: an address where it is known, so that many tabs are one visitor, else the session.

    Args:
        headers: of the request, by names in any case.
        address: of the connection.
        session: its id.
    """
    forwarded = (headers.get("X-Forwarded-For") or "").rpartition(",")[2].strip()  # what the proxy itself added
    return forwarded or (address if address and address not in THIS_MACHINE else session)


class Held:
    """A number of bytes that a visitor keeps, counted until nothing refers to this object."""

    def __init__(self, visitor: str, size: int) -> None:
        self.visitor, self.size = visitor, size


class Quota:
    """Limits the bytes that are held, of one visitor and of all.

    Args:
        of_one: bytes of one visitor.
        of_all: bytes of all visitors together.
    """

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one, self._of_all = of_one, of_all
        self._held: WeakSet[Held] = WeakSet()
        self._lock = Lock()

    def hold(self, visitor: str, size: int) -> Held:
        """Count bytes for a visitor, before they are there. Raises QuotaReached."""
        with self._lock:
            if self._sum(visitor) + size > self._of_one:
                raise QuotaReached(
                    f"The server keeps at most {self._of_one // MB} MB of files for one visitor. Remove files or close photos, "
                    "then try again."
                )
            if self._sum() + size > self._of_all:
                raise QuotaReached("The server has no memory left for more files. Try again in a few minutes.")
            held = Held(visitor, size)
            self._held.add(held)
            return held

    def _sum(self, visitor: str | None = None) -> int:
        return sum(held.size for held in list(self._held) if visitor in (None, held.visitor))


quota = Quota(OF_ONE, OF_ALL)
