"""Progress of many photos: a bar where somebody watches, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm

WORTH_IT = 20  # photos from which on progress is shown
SECONDS_BETWEEN = 30.0  # two lines in a log


class Progress(Protocol):
    """What counts photos."""

    def update(self, photos: int, /) -> object:
        """So many more are done."""
        ...


@contextmanager
def progress(total: int, done: int) -> Generator[Progress]:
    """Progress on standard error.

    Args:
        total: photos in all.
        done: of them by an earlier command.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, initial=done, unit="img", disable=total < WORTH_IT) as bar:
            yield bar
    else:
        yield _Log(total, done)


class _Log:
    """Says every SECONDS_BETWEEN how far it is."""

    def __init__(self, total: int, done: int):
        self._total, self._done, self._before = total, done, done
        self._started = self._said = time.monotonic()

    def update(self, photos: int, /) -> None:
        self._done += photos
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN and self._total >= WORTH_IT:
            self._said = now
            rate = (self._done - self._before) / (now - self._started)
            left = round((self._total - self._done) / rate)
            said = f"{self._done} of {self._total} photos, {rate:.1f} images/s, {left // 60}:{left % 60:02} left"
            print(said, file=sys.stderr, flush=True)
