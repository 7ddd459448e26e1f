"""What a bulk classification has finished so far, kept on disk, so that one that was killed continues."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.errors import InvalidData

Record = dict[str, Any]


def journal_of(target: Path, task: dict[str, Any]) -> Journal:
    """The journal beside a file of results."""
    return Journal(target.with_name(f"{target.name}.part"), task)


class Journal:
    """A file of JSON lines: the task, then the records of each finished batch, each on the disk before the next is begun.

    It counts up to the first line that is not whole: a kill leaves a torn last one, a power cut perhaps zeros.

    Args:
        path: of the file.
        task: what is being done; a journal of another task is never continued.
    """

    def __init__(self, path: Path, task: dict[str, Any]):
        self.path = path
        self.task = task

    def resume(self) -> int:
        """Begin the file or take it up again; returns how many batches are finished.

        Raises:
            InvalidData: the file belongs to another task.
            OSError: it cannot be written.
        """
        self.path.touch()
        lines = list(self._line_ends())
        with self.path.open("r+b") as file:
            first = file.readline()
            if not lines and first.endswith(b"\n") and b"\0" not in first:
                self._check_task()  # which no such file passes
            file.truncate(lines[-1] if lines else 0)
        if not lines:
            self._append(self.task)
            return 0
        self._check_task()
        return len(lines) - 1

    def append(self, records: list[Record]) -> None:
        """Add a finished batch. Raises OSError."""
        self._append(records)

    def batches(self) -> Iterator[list[Record]]:
        """The finished batches in their order, read one at a time. Raises InvalidData as `resume` does."""
        self._check_task()
        with self.path.open("rb") as file:
            file.readline()
            for line in itertools.takewhile(_is_whole, file):
                yield json.loads(line)

    def records(self) -> Iterator[Record]:
        """The records of the finished batches, in the order of the photos. Raises InvalidData as `resume` does."""
        return itertools.chain.from_iterable(self.batches())

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep a second process from writing this journal. Raises InvalidData if one does already."""
        lock = FileLock(f"{self.path}.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise InvalidData(f"Another process is writing {self.path}. Wait for it, or name another file.") from None
        try:
            yield
        finally:
            lock.release()

    def discard(self) -> None:
        """Delete it: the results stand in their files."""
        self.path.unlink(missing_ok=True)
        Path(f"{self.path}.lock").unlink(missing_ok=True)

    def _append(self, content: Any) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(content).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _line_ends(self) -> Iterator[int]:
        """Where each whole line ends, in bytes."""
        end = 0
        with self.path.open("rb") as file:
            for line in itertools.takewhile(_is_whole, file):
                end += len(line)
                yield end

    def _check_task(self) -> None:
        with self.path.open("rb") as file:
            found = _parsed(file.readline())
        if found == self.task:
            return
        other = [key for key in self.task if found.get(key) != self.task[key]]
        raise InvalidData(
            f"{self.path} holds unfinished results of another command (different: {', '.join(other)}). "
            "Finish that one, name another file for the results, or delete this one."
        )


def _is_whole(line: bytes) -> bool:
    """Whether a line is one that was written; JSON has no zeros."""
    return line.startswith((b"{", b"[")) and line.endswith((b"}\n", b"]\n")) and b"\0" not in line


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
