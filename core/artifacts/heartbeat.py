"""What a trainer says of itself while it works: `progress.json` of its run folder. The trainer writes it; the pages and `status` read it.

Whether a trainer is alive is decided here alone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from core.artifacts.manifest import Record, record_of
from core.errors import BrokenRun

FILE = "progress.json"
INTERVAL = 2.0  # seconds between heartbeats
LOST_AFTER = 30.0  # seconds without one after which a trainer elsewhere counts as dead
LONGEST_SILENCE = (
    3600.0  # the same while its process exists: it is silent while it waits for the disk, or the machine sleeps
)
IN_TRAINING = "in training"
STOPPED = "stopped"
DIED = "trainer died"


class Heartbeat(Record, frozen=True, kw_only=True):
    """`progress.json`; before the first step of an epoch was reported, `steps` is 0.

    Args:
        run_id: of the run.
        pid: of the trainer's process.
        host: the machine that it runs on.
        updated: when it was written, in seconds since 1970.
        state: what the trainer does, such as `training` or `evaluating`; STOPPED after it gave up.
        message: why it gave up.
        stages: their number in the recipe.
        epochs: of all stages together.
        stage: the one in progress, from 1.
        stage_name: as the recipe calls it.
        epoch: the one in progress, from 1, over all stages.
        step: of the epoch, from 1.
        steps: of an epoch.
        train_loss: mean over the epoch so far.
        train_accuracy: likewise.
        images_per_second: likewise.
        seconds_left: of training.
        points: step, mean loss and mean accuracy since the epoch began.
    """

    run_id: str = ""
    pid: int | None = None
    host: str = ""
    updated: float = 0.0
    state: str = "training"
    message: str = ""
    stages: int = 0
    epochs: int = 0
    stage: int = 0
    stage_name: str = ""
    epoch: int = 0
    step: int = 0
    steps: int = 0
    train_loss: float = 0.0
    train_accuracy: float = 0.0
    images_per_second: float = 0.0
    seconds_left: float = 0.0
    points: tuple[tuple[int, float, float], ...] = ()


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The latest heartbeat in a run folder; None if there is none, as before the training and after it is finished.

    Raises:
        BrokenRun: the file is unreadable or holds something else.
    """
    path = folder / FILE
    try:
        return record_of(Heartbeat, json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BrokenRun(f"{path} cannot be read ({error}).") from None


def state_of(told: Heartbeat, now: float | None = None) -> str:
    """How an unfinished run stands: IN_TRAINING, STOPPED (its trainer said so) or DIED (it says nothing any more)."""
    if told.state == STOPPED:
        return STOPPED
    silence = (time.time() if now is None else now) - told.updated
    lives = _process_lives(told)
    patience = LOST_AFTER if lives is None else LONGEST_SILENCE if lives else 0.0
    return IN_TRAINING if silence < patience else DIED


def _process_lives(told: Heartbeat) -> bool | None:
    """Whether the trainer's process exists; None if it is on another machine, or on Windows, where asking would end it."""
    if os.name != "posix" or told.host != socket.gethostname() or told.pid is None:
        return None
    try:
        os.kill(told.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
