"""Progress on standard error: a bar in a terminal; in a log, which cannot draw over itself, a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from core.analysis.text import duration

SECONDS_IN_A_LOG = 30  # between two lines

Item = TypeVar("Item")


class _Lines(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """A bar that writes a new line each time it would redraw itself."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # type: ignore[override]
        if msg is None:  # otherwise it is to be wiped out
            self.fp.write(f"{self._line()}\n")

    def _line(self) -> str:
        done = f"{self.desc}: {self.n:,} of {self.total:,} {self.unit}"
        if not self.n:
            return done
        rate = self.n / self.format_dict["elapsed"]
        how = f"; {self.postfix}" if self.postfix else f", {rate:.0f} {self.unit}/s"
        return f"{done}, {duration((self.total - self.n) / rate)} left{how}"


def meter(
    items: Iterable[Item], description: str, unit: str, total: int | None = None, shown: bool = True
) -> tqdm[Item]:
    """Go through items and show how far that is.

    Args:
        items: iterated over once.
        description: what is being done.
        unit: what they are, in the plural.
        total: their number, where they do not know it themselves.
        shown: whether to show anything.
    """
    kind, seconds = (tqdm, 0.5) if sys.stderr.isatty() else (_Lines, SECONDS_IN_A_LOG)
    return kind(
        items,
        total=total,
        desc=description,
        unit=unit,
        disable=not shown,
        mininterval=seconds,
        maxinterval=max(10, seconds),
        leave=False,
    )
