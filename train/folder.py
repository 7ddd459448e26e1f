"""The run folder while it is being made: one writer at a time, every file replaced in one step, a heartbeat for whoever watches."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from core.errors import TrainingStopped

HEARTBEAT_SECONDS = 2.0
HISTORY_COLUMNS = [
    *("epoch", "stage", "stage_name", "trainable_parameters", "lr"),
    *("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1"),
    *("images", "seconds", "images_per_second", "device"),
]


def replace_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON as `replace_text` does."""
    replace_text(path, json.dumps(value, indent=1) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV table as `replace_text` does, numbers with 6 significant digits."""
    replace_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


@contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises:
        TrainingStopped: another trainer holds it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingStopped(f"Another trainer is working on {folder}. Wait for it, or stop it first.") from None
    try:
        yield
    finally:
        lock.release()


class Progress:
    """The heartbeat in `progress.json`, read by the history page and by `python -m train status`."""

    def __init__(self, folder: Path, stages: int, epochs: int):
        self.path = folder / "progress.json"
        self._written = 0.0
        self._fields: dict[str, Any] = {
            "run_id": folder.name,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "state": "training",
            "stages": stages,
            "epochs": epochs,
            "message": "",
        }

    def update(self, now: bool = False, **fields: Any) -> None:
        """Change fields; the file follows at most every HEARTBEAT_SECONDS unless `now`."""
        self._fields.update(fields)
        if now or time.time() - self._written >= HEARTBEAT_SECONDS:
            self._written = self._fields["updated"] = time.time()
            write_json(self.path, self._fields)
