"""The run folder during training: one writer at a time, every file replaced in one step, a heartbeat for the history page."""

from __future__ import annotations

import json
import math
import os
import shlex
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from filelock import FileLock, Timeout

from core.artifacts import heartbeat
from core.artifacts.heartbeat import Heartbeat
from core.errors import TrainingStopped
from core.files import replaced
from core.settings import RUNS, runs_folder


def reason_of(error: Exception) -> str:
    """An error as a person reads it: an OSError without its number, with the file it is about."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror


def history_command(folder: Path) -> str:
    """What to type to see a run on the history page."""
    runs = folder.resolve().parent
    setting = "" if runs == runs_folder().resolve() else f"{RUNS}={shlex.quote(str(runs))} "
    return f"{setting}python -m streamlit run Home.py"


def write_json(path: Path, value: Any) -> None:
    """Write JSON, replacing the file in one step."""
    with replaced(path) as partial:
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV table, replacing the file in one step; numbers have 6 significant digits."""
    with replaced(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")


@contextmanager
def only_trainer(folder: Path) -> Generator[None]:
    """Hold a run folder for this process, and sweep out what a killed one left half-written.

    Raises:
        TrainingStopped: another trainer holds it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingStopped(f"Another trainer is working on {folder}. Wait for it, or stop it first.") from None
    try:
        for partial in [
            *folder.glob(".*.part"),
            *folder.glob(".tmp*"),
        ]:  # ours, and what safetensors writes before it renames
            partial.unlink()
        yield
    finally:
        lock.release()


def own_heartbeat(folder: Path, **fields: Any) -> Heartbeat:
    """The first heartbeat of a run that this process trains."""
    return Heartbeat(run_id=folder.name, pid=os.getpid(), host=socket.gethostname(), **fields)


def write_heartbeat(folder: Path, told: Heartbeat) -> None:
    """Write a heartbeat as of now, replacing the one before in one step."""
    values = msgspec.to_builtins(msgspec.structs.replace(told, updated=time.time()))
    write_json(folder / heartbeat.FILE, values)


class Progress:
    """Writes the heartbeat, which the history page and `python -m train status` read.

    Args:
        folder: the run folder.
        stages: their number in the recipe.
        epochs: of all stages together.
    """

    def __init__(self, folder: Path, stages: int, epochs: int):
        self.folder = folder
        self._written = -math.inf  # by the monotonic clock: the other one jumps
        self._one_writer = threading.Lock()
        self._told = own_heartbeat(folder, stages=stages, epochs=epochs)

    def begin(self) -> None:
        """Say that the trainer is at work; the first report of a step does not wait for that."""
        write_heartbeat(self.folder, self._told)

    def update(self, now: bool = False, **fields: Any) -> None:
        """Change fields; the file follows at most every `heartbeat.INTERVAL` seconds unless `now`."""
        with self._one_writer:
            self._told = msgspec.structs.replace(self._told, **fields)
            if now or time.monotonic() - self._written >= heartbeat.INTERVAL:
                self._written = time.monotonic()
                write_heartbeat(self.folder, self._told)

    @contextmanager
    def beating(self) -> Generator[None]:
        """Keep the heartbeat going while the code within reports no steps, such as validation and export."""
        done = threading.Event()

        def beat() -> None:
            with suppress(OSError):  # the disk is full: the code within will meet the same and say so
                while not done.wait(heartbeat.INTERVAL):
                    self.update()

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
