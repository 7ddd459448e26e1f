"""Trainings as read from their folders: finished runs, runs in progress, and the published reference.

Their tables are in `core.analysis.history`, their sentences in `core.analysis.text`, their charts in `core.plots.history`. A value
nobody knows is NaN and stays so; nothing is interpolated. Accuracies and losses are as in `history.csv` (docs/architecture.md).
"""

from __future__ import annotations

import csv
import json
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from core.artifacts.data_report import DataReport
from core.artifacts.heartbeat import FILE, IN_TRAINING, Heartbeat, read_heartbeat, state_of
from core.artifacts.manifest import RESTORE_HINT, Manifest, record_of
from core.artifacts.measures import Metrics, Rate
from core.artifacts.run import Run
from core.errors import BrokenRun
from core.settings import PROJECT

Block = Literal["stem", "layer1", "layer2", "layer3", "layer4", "head"]  # of ResNet50, from the input to the output
BLOCKS: tuple[Block, ...] = get_args(Block)
FILES = ("manifest.json", "config.json", "history.csv", "data.json", "metrics.json")  # what is read of a finished run
TEXTS = ("stage_name", "device")
LOSSES = ("train_loss", "val_loss")
COLUMNS = (
    "epoch", "stage", "stage_name", "trainable_parameters", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
    "val_macro_f1", "images", "seconds", "images_per_second", "device",
)  # fmt: skip
# Columns that not every run has, or whose cells may be empty.
ELSEWHERE = ("val_phone_accuracy", "val_worn_accuracy")  # share of the photos with a class that their label allows
MACHINE = (
    "update_to_weight",  # norm of an update over norm of the weights it changes, at the last step of the epoch
    "peak_memory_mib",  # of the device: graphics memory of a GPU, else memory of the process, since its start
    "busy_cores",  # processor time of the trainer over time
    "energy_wh",  # of the processor package, where the system says so
)
OPTIONAL = (*ELSEWHERE, *MACHINE)
HISTORY_COLUMNS = (*COLUMNS, *OPTIONAL)
SHARES = ("train_accuracy", "val_accuracy", "val_macro_f1", *ELSEWHERE)


@dataclass(frozen=True)
class Training:
    """One training, finished or not. Read-only, shared between visitors.

    Args:
        folder: its run folder.
        name: to be shown.
        epochs: one row an epoch: `HISTORY_COLUMNS`, and counted from the start `images_seen`, `steps` of the optimizer, and
            `hours`. A loss that was not a number is infinite.
        config: settings as resolved, by dotted name.
        data: what was indexed; without values if unknown.
        run: the run folder once the training is finished; None while it trains.
        metrics: as in `metrics.json`; without values while it trains.
        heartbeat: what the trainer last said of itself; None for a finished run.
        remarks: sentences on what was left out when its files were read.
    """

    folder: Path
    name: str
    epochs: pd.DataFrame
    config: dict[str, Any]
    data: DataReport
    run: Run | None
    metrics: Metrics
    heartbeat: Heartbeat | None = None
    remarks: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """Name of its folder."""
        return self.folder.name

    def column(self, name: str) -> pd.Series:
        """One value an epoch, as floats."""
        return pd.Series(self.epochs[name], dtype=float)

    def knows(self, *columns: str) -> bool:
        """Whether any of the columns has a value for any epoch."""
        return bool(self.epochs[list(columns)].notna().to_numpy().any())

    @cached_property
    def best(self) -> pd.Series | None:
        """The row of the epoch with the best mean of its validation accuracies, the first of equals; None if none is known."""
        known = self.epochs.dropna(subset=["val_accuracy"])
        if known.empty:
            return None
        return self.epochs.loc[known[["val_accuracy", *ELSEWHERE]].mean(axis=1).idxmax()]

    @cached_property
    def best_accuracy(self) -> float:
        """Validation accuracy of the best epoch; NaN if none is known."""
        return math.nan if self.best is None else float(self.best.at["val_accuracy"])

    @property
    def facts(self) -> Manifest | None:
        """What the manifest says; None while it trains."""
        return self.run.facts if self.run else None

    @property
    def is_published(self) -> bool:
        """Whether it is known from a publication only."""
        return self.facts is not None and self.facts.is_published

    @property
    def recipe(self) -> str:
        """Name of its recipe; empty if unknown."""
        return (self.facts and self.facts.recipe) or self.config.get("name") or ""

    @property
    def initial_weights(self) -> str:
        """What the training began with, such as `imagenet` or a run's id; empty if unknown."""
        return (self.facts and self.facts.initial_weights) or self.config.get("init") or ""

    @property
    def data_fingerprint(self) -> str:
        """What photos of the same data set have in common; empty if unknown."""
        return (self.facts and self.facts.data_fingerprint) or self.data.fingerprint

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that its run folder gives to show."""
        return self.facts.notes if self.facts else ()

    @property
    def test_accuracy(self) -> Rate:
        """With its 95% interval; of a publication `low`, `high` and `as_published`; without values if not measured."""
        return self.metrics.test.accuracy

    @cached_property
    def seconds(self) -> float:
        """Training time in all; NaN if an epoch's is unknown and no total was published."""
        return self._total("seconds")

    @cached_property
    def images_per_second(self) -> float:
        """Photos trained on over training time; NaN or as published likewise."""
        rate = self._total("images") / self.seconds
        return self._published("images_per_second") if math.isnan(rate) else rate

    def _total(self, column: str) -> float:
        values = self.column(column).to_numpy()
        known = len(values) > 0 and not np.isnan(values).any()
        return float(values.sum()) if known else self._published(column)

    def _published(self, name: str) -> float:
        value: float | None = getattr(self.metrics.training, name, None)
        return math.nan if value is None else value


def read_training(folder: Path) -> Training:
    """The training in a run folder, finished or in progress.

    Raises:
        BrokenRun: a file of it is missing, damaged, or does not hold what it should.
    """
    if is_unfinished(folder):
        return in_progress(folder)
    return finished(Run.load(folder))


def is_unfinished(folder: Path) -> bool:
    """Whether a trainer has begun a run in this folder and not finished it. Raises BrokenRun if the folder may not be entered."""
    try:
        return (folder / FILE).is_file() and not (folder / "manifest.json").is_file()
    except PermissionError as error:
        raise BrokenRun(
            f"{folder} cannot be read ({error.strerror}). Let the server read it, or move it away."
        ) from None


def finished(run: Run) -> Training:
    """The training behind a whole run. Raises BrokenRun if one of its files is missing or damaged."""
    config, data = (
        _object(run.read_json(name), run.folder / name) if run.has(name) else {}
        for name in ("config.json", "data.json")
    )
    metrics = run.metrics if run.has("metrics.json") else Metrics()
    settings = flattened(config.get("resolved", {}))
    epochs, remarks = _read_history(run.path("history.csv"), settings)
    report = record_of(DataReport, data, run.folder / "data.json")
    return Training(run.folder, run.name, epochs, settings, report, run, metrics, None, remarks)


def in_progress(folder: Path) -> Training:
    """The training that is being made in a folder. Raises BrokenRun if a file of it cannot be read."""
    config, data = (_read_object(folder / name) for name in ("config.json", "data.json"))
    settings, history = flattened(config.get("resolved", {})), folder / "history.csv"
    epochs, remarks = _read_history(history, settings) if history.is_file() else _empty(history)
    report, heartbeat = record_of(DataReport, data, folder / "data.json"), read_heartbeat(folder)
    return Training(folder, folder.name, epochs, settings, report, None, Metrics(), heartbeat, remarks)


def _empty(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    return _checked({name: [] for name in COLUMNS}, path, {}), ()


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        return _object(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError) as error:
        raise BrokenRun(f"{path} cannot be read ({error}).") from None


def _object(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BrokenRun(f"{path} holds a {type(value).__name__} where a JSON object is expected. {RESTORE_HINT}")
    return value


def find_trainings(
    folder: Path, read: Callable[[Path], Training] = read_training
) -> tuple[list[Training], dict[str, str]]:
    """Every training below a folder, those being made first, then the newest; and what is wrong with the others, by folder name.

    Args:
        folder: of run folders; files in it are no concern of this.
        read: reads one, `read_training` or a cache of it.
    """
    trainings, problems = [], {}
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not child.is_dir():
            continue
        try:
            trainings.append(read(child))
        except BrokenRun as error:
            problems[child.name] = str(error)
    trainings.sort(key=lambda training: (status(training) == IN_TRAINING, made_on(training)), reverse=True)
    return trainings, problems


def _read_history(path: Path, settings: dict[str, Any]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table of a `history.csv` with its running totals, and what was left out of it. Raises BrokenRun, naming what is wrong."""
    try:
        header, *rows = [row for row in csv.reader(StringIO(path.read_text(encoding="utf-8"))) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise BrokenRun(f"{path} is not a readable CSV table ({error}). {RESTORE_HINT}") from None
    remarks = ()
    if rows and len(rows[-1]) < len(header):
        rows, remarks = rows[:-1], ("The last row of history.csv was cut off and is left out.",)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    return _checked(columns, path, settings), remarks


def _checked(columns: dict[str, list[str]], path: Path, settings: dict[str, Any]) -> pd.DataFrame:
    """Columns of texts as a table of numbers, with its running totals. Raises BrokenRun, naming what is wrong with it."""
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise BrokenRun(f"{path} lacks the column(s) {', '.join(missing)}. {RESTORE_HINT}")
    epochs = _numbers(columns, path)
    if epochs[["epoch", "stage"]].isna().to_numpy().any() or (np.diff(epochs["epoch"].to_numpy(float)) < 1).any():
        raise BrokenRun(f"{path}: epochs must count up, each with its stage. {RESTORE_HINT}")
    epochs = epochs.astype({"epoch": int, "stage": int})
    strange = [name for name in SHARES if not epochs[name].dropna().between(0, 1).all()]
    if strange:
        raise BrokenRun(f"{path}: {', '.join(strange)} must lie between 0 and 1. {RESTORE_HINT}")
    seen = np.cumsum(epochs["images"].to_numpy(float))  # from the first unknown value on nobody knows the sum
    steps = seen / settings.get("batch_size", math.nan)
    return epochs.assign(images_seen=seen, steps=steps, hours=np.cumsum(epochs["seconds"].to_numpy(float)) / 3600)


def _numbers(columns: dict[str, list[str]], path: Path) -> pd.DataFrame:
    """`HISTORY_COLUMNS` with floats where there are numbers; an empty cell is NaN, a loss that is not a number infinite."""
    unknown = [""] * len(columns["epoch"])
    table: dict[str, Any] = {}
    words: list[str] = []
    for name in HISTORY_COLUMNS:
        cells = columns.get(name, unknown)
        try:
            table[name] = cells if name in TEXTS else np.array([_number(cell, name) for cell in cells], float)
        except ValueError:
            words.append(name)
    if words:
        raise BrokenRun(f"{path} holds something other than numbers in {', '.join(words)}. {RESTORE_HINT}")
    return pd.DataFrame(table)


def _number(cell: str, column: str) -> float:
    value = float(cell) if cell.strip() else math.nan
    return math.inf if column in LOSSES and cell.strip() and math.isnan(value) else value


def flattened(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name; a list of stages becomes `stages.1.lr` and so on."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(i): child for i, child in enumerate(value, 1)}
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def status(training: Training) -> str:
    """`published`, `finished`, `in training`, `stopped` or `trainer died`."""
    if training.heartbeat:
        return state_of(training.heartbeat)
    return "published" if training.is_published else "finished"


def made_on(training: Training) -> str:
    """When it was finished, or told of last: date and time as ISO 8601 in UTC; empty if unknown."""
    if training.heartbeat:
        return datetime.fromtimestamp(training.heartbeat.updated, UTC).isoformat(timespec="seconds")
    return training.facts.created if training.facts else ""


def resume_command(folder: Path) -> str:
    """What to type, from the project's folder, to continue the training in a run folder."""
    folder = folder.resolve()
    shown = folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder
    return f"python -m train --resume {shlex.quote(shown.as_posix())}"
