"""Progress of a training: one line an epoch, in the log and under `python -m train status RUN`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from core.analysis.text import duration
from core.artifacts.heartbeat import IN_TRAINING, STOPPED, Heartbeat, read_heartbeat, state_of
from core.artifacts.run import Run
from core.artifacts.training import resume_command
from core.errors import InvalidData


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """A row of `history.csv` as a line of the log."""
    return (
        f"epoch {row['epoch']:2}/{epochs}  stage {row['stage']} ({row['stage_name']})  lr {row['lr']:.2g}  "
        f"train loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.1%}  "
        f"validation loss {row['val_loss']:.3f} accuracy {row['val_accuracy']:.1%} macro-F1 {row['val_macro_f1']:.1%}  "
        f"{row['images_per_second']:.0f} images/s"
    )


def describe(folder: Path) -> str:
    """Progress of the run in a folder, in lines for the terminal.

    Raises:
        InvalidData: the folder holds no run.
    """
    if (folder / "manifest.json").exists():
        lines = _finished(Run.load(folder))
    elif (folder / "resume.json").exists():
        lines = [*_unfinished(folder), *_epochs(folder)]
    else:
        raise InvalidData(f"{folder} is not a run folder; runs are below artifacts/runs, or where --runs said.")
    return "\n".join([f"{folder.name}: {lines[0]}", *lines[1:]])


def _finished(run: Run) -> list[str]:
    if not run.has_network:
        return [f"{run.facts.origin}; it carries no network"]
    test = run.metrics.test
    accuracy = f"test accuracy {test.accuracy.value:.1%} of {test.photos} photos"
    return [f"finished; best epoch {run.facts.best_epoch}, {accuracy}", *_epochs(run.folder)]


def _unfinished(folder: Path) -> list[str]:
    told = read_heartbeat(folder)
    if told is None:
        return [
            "starting, or killed before its first heartbeat",
            f"To begin again if it was: `{resume_command(folder)}`",
        ]
    state = state_of(told)
    if state != IN_TRAINING:
        reason = f"{state}: {told.message}" if state == STOPPED else state
        return [reason, f"To resume: `{resume_command(folder)}`"]
    return _in_training(told)


def _in_training(told: Heartbeat) -> list[str]:
    if told.state != "training" or not told.steps:
        return [told.state if told.steps else "starting"]
    return [
        f"training, epoch {told.epoch} of {told.epochs}, step {told.step} of {told.steps}, stage {told.stage} of {told.stages} "
        f"({told.stage_name})",
        f"loss {told.train_loss:.3f}, accuracy {told.train_accuracy:.1%}, {told.images_per_second:.0f} images/s, "
        f"{duration(told.seconds_left)} left; last heartbeat {duration(time.time() - told.updated)} ago",
    ]


def _epochs(folder: Path) -> list[str]:
    path = folder / "history.csv"
    if not path.exists():
        return []
    stages = json.loads((folder / "config.json").read_text(encoding="utf-8"))["resolved"]["stages"]
    epochs = sum(stage["epochs"] for stage in stages)
    return [epoch_line(row, epochs) for row in pd.read_csv(path).to_dict("records")]
