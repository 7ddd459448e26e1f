"""Trainings as tables: finished runs, runs in progress, and the published reference. Drawing is in `core.figures_history`.

A value nobody knows is NaN and stays so; nothing is interpolated. Accuracies and losses are as in `history.csv` (docs/architecture.md).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BrokenRun
from core.runs import Run, find_runs

HEARTBEAT_LOST = 30.0  # seconds without a sign of life after which a trainer counts as dead; it gives one every 2 s
OVERFITTING, UNDERFITTING = 0.05, -0.02  # gap of training over validation accuracy; augmentation makes it negative
COLUMNS = (
    "epoch", "stage", "stage_name", "trainable_parameters", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
    "val_macro_f1", "images", "seconds", "images_per_second", "device",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training, finished or not.

    Args:
        run_id: also its folder's name.
        name: to be shown.
        epochs: one row an epoch: `COLUMNS`, and `images_seen` and `hours`, both counted from the start.
        config: settings as resolved, by dotted name.
        data: what was indexed, as in `data.json`; empty if unknown.
        manifest: of a finished run; empty while it trains.
        metrics: of the test split; empty while it trains.
        progress: what the trainer last said of itself; empty for a finished run.
    """

    run_id: str
    name: str
    epochs: pd.DataFrame
    config: dict[str, Any]
    data: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    progress: dict[str, Any]

    @property
    def published(self) -> bool:
        """Whether the figures are somebody's publication rather than measured here."""
        return self.manifest.get("origin") == "published"

    @property
    def best(self) -> pd.Series | None:
        """The row of the epoch with the best validation accuracy, the first of equals; None if none is known."""
        known = self.epochs["val_accuracy"].dropna()
        return None if known.empty else self.epochs.loc[known.idxmax()]


def finished(run: Run) -> Training:
    """The training behind a whole run. Raises BrokenRun if one of its files is missing or damaged."""
    manifest = run.manifest
    optional = {
        name: run.read_json(name) if name in manifest["files"] else {}
        for name in ("config.json", "data.json", "metrics.json")
    }
    epochs = _with_totals(run.read_csv("history.csv"), f"{run.folder}/history.csv")
    config = flattened(optional["config.json"].get("resolved", {}))
    test = optional["metrics.json"].get("test", {})
    return Training(run.folder.name, manifest["name"], epochs, config, optional["data.json"], manifest, test, {})


def in_progress(folder: Path) -> Training | None:
    """The training that is being made in a folder; None if its trainer has not told anything yet.

    Raises:
        BrokenRun: a file of it cannot be read.
    """
    progress = folder / "progress.json"
    if not progress.is_file():
        return None
    try:
        told = json.loads(progress.read_text(encoding="utf-8"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("resolved", {})
        data = folder / "data.json"
        indexed = json.loads(data.read_text(encoding="utf-8")) if data.is_file() else {}
        history = folder / "history.csv"
        epochs = pd.read_csv(history) if history.is_file() else pd.DataFrame(columns=list(COLUMNS))
    except (OSError, ValueError) as error:
        raise BrokenRun(f"The run in {folder} cannot be read ({error}).") from None
    totals = _with_totals(epochs, str(history))
    return Training(folder.name, f"{folder.name} (in training)", totals, flattened(config), indexed, {}, {}, told)


def find_trainings(folder: Path) -> tuple[list[Training], dict[str, str]]:
    """Every training below a folder, those in progress first, then the newest; and what is wrong with the others, by folder name."""
    runs, broken = find_runs(folder)
    trainings, problems = [], {}
    for name, message in broken.items():
        try:
            training = in_progress(folder / name)
        except BrokenRun as error:
            training, message = None, str(error)
        if training:
            trainings.append(training)
        else:
            problems[name] = message
    for run in runs:
        try:
            trainings.append(finished(run))
        except BrokenRun as error:
            problems[run.folder.name] = str(error)
    return trainings, problems


def _with_totals(epochs: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [column for column in COLUMNS if column not in epochs]
    if missing:
        raise BrokenRun(f"{name} lacks the column(s) {', '.join(missing)}.")
    return epochs.assign(
        images_seen=_running_total(epochs.loc[:, "images"]), hours=_running_total(epochs.loc[:, "seconds"]) / 3600
    )


def _running_total(values: pd.Series) -> pd.Series:
    """Sum so far; from the first unknown value on nobody knows it."""
    return pd.Series(np.cumsum(values.to_numpy(float)), values.index)


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


def runs_table(trainings: list[Training]) -> pd.DataFrame:
    """One row a training, with what is known of it."""
    rows = []
    for training in trainings:
        best, test = training.best, training.metrics.get("accuracy", {})
        size = training.manifest.get("input")
        rows.append(
            {
                "run_id": training.run_id,
                "run": training.name,
                "made": training.manifest.get("created", "")[:10],
                "recipe": training.manifest.get("recipe") or training.config.get("name", ""),
                "input": f"{size['height']}x{size['width']}" if size else "",
                "initial_weights": training.manifest.get("initial_weights") or training.config.get("init", ""),
                "best_validation": np.nan if best is None else best["val_accuracy"],
                "best_epoch": None if best is None else int(best.at["epoch"]),
                "test_accuracy": test.get("value", np.nan),
                "test_low": test.get("low", np.nan),
                "test_high": test.get("high", np.nan),
                "images_per_second": training.epochs["images_per_second"].mean(),
                "hours": training.epochs["seconds"].sum() / 3600,
                "device": training.epochs["device"].iloc[-1] if len(training.epochs) else "",
            }
        )
    return pd.DataFrame(rows)


def stage_table(training: Training) -> pd.DataFrame:
    """One row a stage, as published (epochs, best validation, final train, final validation) and more.

    `gain` is the best validation accuracy over that of all stages before; unknown values are NaN.
    """
    rows, before = [], math.nan
    for number, epochs in training.epochs.groupby("stage", sort=True):
        known = epochs["val_accuracy"].to_numpy(float)
        best = float(np.nanmax(known)) if np.isfinite(known).any() else math.nan
        rows.append(
            {
                "stage": int(number),  # type: ignore[call-overload]
                "name": epochs["stage_name"].iloc[0],
                "epochs": len(epochs),
                "trainable_parameters": epochs["trainable_parameters"].iloc[0],
                "peak_lr": training.config.get(f"stages.{number}.lr", np.nan),
                "best_validation": best,
                "final_train": epochs["train_accuracy"].iloc[-1],
                "final_validation": epochs["val_accuracy"].iloc[-1],
                "minutes": epochs["seconds"].sum(min_count=1) / 60,
                "gain": best - before,
            }
        )
        before = best if math.isnan(before) else max(before, best)
    return pd.DataFrame(rows)


def unfrozen_blocks(training: Training, stage: int) -> list[str]:
    """Blocks that train in a stage (counted from 1), those of the stages before among them; empty if unknown."""
    declared = training.manifest.get("stages") or [
        {"unfrozen": training.config.get(f"stages.{i}.unfreeze", [])} for i in range(1, stage + 1)
    ]
    return [block for entry in declared[:stage] for block in entry["unfrozen"]]


def smoothed(values: pd.Series, weight: float) -> pd.Series:
    """Exponential moving average: `weight` in [0, 1) of what was, the rest of what is; unknown values stay unknown."""
    return pd.Series(values.ewm(alpha=1 - weight, ignore_na=True).mean().where(values.notna()))


def gap(epochs: pd.DataFrame) -> pd.Series:
    """Training minus validation accuracy by epoch."""
    return pd.Series(epochs["train_accuracy"].to_numpy(float) - epochs["val_accuracy"].to_numpy(float), epochs.index)


def gap_in_words(epochs: pd.DataFrame) -> str:
    """What the gap of the last known epoch says."""
    known = gap(epochs).dropna()
    if known.empty:
        return "Neither over- nor underfitting can be told: training or validation accuracy is unknown."
    last = known.iloc[-1]
    points = f"{abs(100 * last):.1f} points {'above' if last >= 0 else 'below'} validation"
    if last > OVERFITTING:
        return f"In the end training accuracy is {points}: the network has begun to learn its photos by heart (overfitting)."
    if last < UNDERFITTING:
        return (
            f"In the end training accuracy is {points}: training photos are made harder by augmentation, and the network "
            "could take more training (underfitting rather than overfitting)."
        )
    return f"In the end training accuracy is {points}: neither over- nor underfitting."


def headline(training: Training) -> str:
    """The training in one sentence."""
    best = training.best
    if best is None:
        return "No epoch has been validated yet."
    epochs, stages = training.epochs, len(set(training.epochs["stage"]))
    hours, device = epochs["seconds"].sum() / 3600, epochs["device"].iloc[-1]
    steps = f"{stages} stages" if int(stages) != 1 else "1 stage"
    return (
        f"**{best['val_accuracy']:.2%}** of the validation photos are named right after epoch {best['epoch']:.0f} of {len(epochs)}, "
        f"reached in {steps} and {hours:.1f} hours on {device}."
    )


def settings_table(trainings: list[Training]) -> pd.DataFrame:
    """Settings by row, a column each training as text, and whether they differ (`differs`); differing ones first."""
    columns = {training.run_id: pd.Series(training.config, dtype=object).map(str) for training in trainings}
    table = pd.DataFrame(columns).fillna("")
    table["differs"] = table.nunique(axis=1) > 1
    return (
        table.rename_axis("setting")
        .reset_index()
        .sort_values(["differs", "setting"], ascending=[False, True], ignore_index=True)
    )


def classes_table(training: Training) -> pd.DataFrame:
    """Photos by class and split; empty if unknown."""
    return pd.DataFrame(training.data.get("classes", {})).T.rename_axis("class").reset_index()


def state_of(progress: dict[str, Any], now: float | None = None) -> str:
    """Whether the trainer of an unfinished run is at work: `training`, `stopped` (it said so) or `lost` (it says nothing more)."""
    if progress.get("state") == "stopped":
        return "stopped"
    age = (time.time() if now is None else now) - progress.get("updated", 0.0)
    return "lost" if age > HEARTBEAT_LOST else "training"


def thinned(epochs: pd.DataFrame, points: int = 500) -> pd.DataFrame:
    """Every so-many-th row, the first and the last among them; for drawing only."""
    if len(epochs) <= points:
        return epochs
    return epochs.iloc[np.unique(np.linspace(0, len(epochs) - 1, points).round().astype(int))]
