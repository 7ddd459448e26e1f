"""What trainings brought, as plain tables: runs, stages, settings, and the curves' gap. A value nobody knows is NaN and stays so."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts.run import distinct_names
from core.artifacts.training import LOSSES, Training, made_on, status

COUNTED = ("epoch", "stage", "steps", "images_seen", "hours")  # count on where a training continued from another
FALLS = 3  # epochs in a row after which falling validation accuracy is worth an alarm


def shown_names(trainings: list[Training]) -> dict[str, str]:
    """Run id to the name to show, as `core.artifacts.run.distinct_names`."""
    return distinct_names({training.run_id: training.name for training in trainings})


def shown_by_name(trainings: list[Training]) -> list[tuple[str, Training]]:
    """Each training with the name to show."""
    names = shown_names(trainings)
    return [(names[training.run_id], training) for training in trainings]


def runs_table(trainings: list[Training]) -> pd.DataFrame:
    """One row a training, with what is known of it; rates and times in all, unknown ones NaN."""
    rows, names = [], shown_names(trainings)
    for training in trainings:
        test = training.test_accuracy
        rows.append(
            {
                "run_id": training.run_id,
                "run": names[training.run_id],
                "status": status(training),
                "made": made_on(training)[:10],
                "recipe": training.recipe,
                "input": input_size(training),
                "initial_weights": training.initial_weights,
                "best_validation": training.best_accuracy,
                "best_epoch": math.nan if training.best is None else training.best["epoch"],
                "epochs": len(training.epochs),
                "test_accuracy": known(test.value),
                "test_low": known(test.low),
                "test_high": known(test.high),
                "images_per_second": training.images_per_second,
                "hours": training.seconds / 3600,
                "device": training.epochs["device"].iloc[-1] if len(training.epochs) else "",
            }
        )
    return pd.DataFrame(rows)


def known(value: float | None) -> float:
    """A value for a table: NaN if it is unknown."""
    return math.nan if value is None else value


def input_size(training: Training) -> str:
    """Height x width in pixels, such as `96x72`; of a training in progress that of its last stage; empty if unknown."""
    stages = sum(name.startswith("stages.") and name.endswith(".height") for name in training.config)
    given = training.facts and training.facts.input
    return f"{given.height}x{given.width}" if given else _size(training, stages)


def _size(training: Training, stage: int) -> str:
    height, width = (training.config.get(f"stages.{stage}.{side}") for side in ("height", "width"))
    return f"{height}x{width}" if height and width else ""


def lineage(training: Training, found: list[Training]) -> list[Training]:
    """The training after those it continued from, the first one first, as far as they are among the trainings found."""
    parts = [training]
    while (before := _begun_with(parts[0], found)) and all(before.run_id != part.run_id for part in parts):
        parts.insert(0, before)
    return parts


def _begun_with(training: Training, found: list[Training]) -> Training | None:
    """The training whose run, or a file named after it, gave the initial weights."""
    origins = [
        other
        for other in found
        if training.initial_weights == other.run_id or training.initial_weights.startswith(f"{other.run_id}-")
    ]
    return max(origins, key=lambda other: len(other.run_id), default=None)


def joined(parts: list[Training]) -> Training:
    """Trainings that continued one from the other as one, whose epochs, stages, steps, images and hours count on."""
    if len(parts) == 1:
        return parts[0]
    tables: list[pd.DataFrame] = []
    names = shown_names(parts)
    for part in parts:
        before = tables[-1].iloc[-1] if tables and len(tables[-1]) else None
        epochs = (
            part.epochs
            if before is None
            else part.epochs.assign(**{column: part.epochs[column] + before[column] for column in COUNTED})
        )
        tables.append(epochs.assign(run=names[part.run_id]))
    return replace(parts[-1], epochs=pd.concat(tables, ignore_index=True), config={}, heartbeat=None)


def stage_table(training: Training) -> pd.DataFrame:
    """One row a stage, as published (epochs, best validation, final training, final validation, gain) and more.

    `peak_lr` is the one of the recipe; `gain` is the best validation accuracy over that of all stages before. Unknown values are NaN.
    """
    rows = []
    for stage, epochs in training.epochs.groupby("stage", sort=True):
        number = int(stage)  # type: ignore[call-overload]
        rows.append(
            {
                "stage": number,
                "name": epochs["stage_name"].iloc[0],
                "epochs": len(epochs),
                "best_validation": epochs["val_accuracy"].max(),
                "final_train": epochs["train_accuracy"].iloc[-1],
                "final_validation": epochs["val_accuracy"].iloc[-1],
                "gain": math.nan,
                "trainable_parameters": epochs["trainable_parameters"].iloc[0],
                "peak_lr": training.config.get(f"stages.{number}.lr", math.nan),
                "input": _size(training, number),
                "minutes": epochs["seconds"].sum(skipna=False) / 60,
            }
        )
    return _with_gain(pd.DataFrame(rows))


def story_table(parts: list[Training]) -> pd.DataFrame:
    """The stages of trainings that continued one from the other, in one table with a column `run`; the gain is over all before."""
    names = shown_names(parts)
    tables = [stage_table(part).assign(run=names[part.run_id]) for part in parts]
    table = pd.concat([table for table in tables if len(table)] or [pd.DataFrame()], ignore_index=True)
    return _with_gain(table.assign(stage=range(1, len(table) + 1))) if len(table) else table


def _with_gain(table: pd.DataFrame) -> pd.DataFrame:
    if len(table):
        table["gain"] = table["best_validation"] - table["best_validation"].cummax().ffill().shift()
    return table


def parts_table(parts: list[Training]) -> pd.DataFrame:
    """One row for each training of a lineage: epochs, best validation, test accuracy, what it gained in each over the one before."""
    names = shown_names(parts)
    rows = [
        {
            "run": names[part.run_id],
            "epochs": len(part.epochs),
            "best_validation": part.best_accuracy,
            "gain": math.nan,
            "test_accuracy": known(part.test_accuracy.value),
            "minutes": part.seconds / 60,
        }
        for part in parts
    ]
    return _with_gain(pd.DataFrame(rows))


def changes(before: Training, after: Training) -> pd.DataFrame:
    """Settings that two trainings have set to different values: columns setting, before, after, as text."""
    table = settings_table([before, after])
    chosen = table["differs"] & ~table["setting"].isin(("name", "init"))
    columns = {"setting": "setting", before.run_id: "before", after.run_id: "after"}
    return table.loc[chosen, list(columns)].rename(columns=columns).reset_index(drop=True)


def recipe_key(training: Training) -> tuple[str, ...]:
    """What trainings of one recipe on the same photos share: the data, and all settings but the seed and what is kept of the weights.

    Empty where they are unknown.
    """
    if training.is_published or not training.config:
        return ()
    settings = sorted(
        f"{name}={value}" for name, value in training.config.items() if name not in ("seed", "stage_weights")
    )
    return (training.data_fingerprint, training.initial_weights, *settings)


def repeats(training: Training, found: list[Training]) -> list[Training]:
    """Finished trainings of the same recipe on the same photos, this one among them; they differ in the seed."""
    key = recipe_key(training)
    return [other for other in found if key and not other.heartbeat and recipe_key(other) == key] or [training]


def band(trainings: list[Training], column: str) -> pd.DataFrame:
    """Mean and range of repeats: columns epoch, mean, low, high, n; one row an epoch that all of them have."""
    table = pd.concat([training.epochs.set_index("epoch")[column] for training in trainings], axis=1, join="inner")
    return pd.DataFrame(
        {
            "mean": table.mean(axis=1),
            "low": table.min(axis=1),
            "high": table.max(axis=1),
            "n": table.notna().sum(axis=1),
        }
    ).reset_index()


def repeats_table(trainings: list[Training]) -> pd.DataFrame:
    """Stages over repeats: stage, name, n, mean best validation with its range, mean gain with its range."""
    table = pd.concat([stage_table(training) for training in trainings], ignore_index=True)
    return (
        table.groupby("stage", sort=True)
        .agg(
            name=("name", "first"),
            n=("best_validation", "count"),
            best_validation=("best_validation", "mean"),
            best_low=("best_validation", "min"),
            best_high=("best_validation", "max"),
            gain=("gain", "mean"),
            gain_low=("gain", "min"),
            gain_high=("gain", "max"),
        )
        .reset_index()
    )


def falling(training: Training) -> bool:
    """Whether validation accuracy has fallen in each of the last `FALLS` epochs, within one stage."""
    last = training.epochs.tail(FALLS + 1)
    steps = np.diff(last["val_accuracy"].to_numpy(float))
    return len(steps) == FALLS and len(set(last["stage"])) == 1 and bool((steps < 0).all())


def not_finite(training: Training) -> list[int]:
    """Epochs whose training or validation loss is not finite."""
    losses = training.epochs[list(LOSSES)].to_numpy(float)
    return training.epochs["epoch"][np.isinf(losses).any(axis=1)].tolist()


def points_in_epoch(training: Training) -> pd.DataFrame:
    """Points of the epoch in progress as far as its trainer tells: columns epoch (a fraction), train_loss, train_accuracy."""
    told = training.heartbeat
    if not told or not told.points or told.epoch <= len(training.epochs) or not told.steps:
        return pd.DataFrame({"epoch": [], "train_loss": [], "train_accuracy": []})
    steps, losses, accuracies = np.array(told.points, float).T
    begun = told.epoch - 1
    return pd.DataFrame({"epoch": begun + steps / told.steps, "train_loss": losses, "train_accuracy": accuracies})


def gain_by_unfreezing(training: Training) -> float:
    """Best validation accuracy of all stages over that of the first, which trains only the head; NaN with one stage or unknown."""
    stages = stage_table(training)
    if len(stages) < 2:
        return math.nan
    return float(stages["best_validation"].max() - stages["best_validation"].iloc[0])


def unfrozen_blocks(training: Training, stage: int) -> list[str]:
    """Blocks that train in a stage (counted from 1), those of the stages before among them; empty if unknown."""
    if training.facts and training.facts.stages:
        return [block for entry in training.facts.stages[:stage] for block in entry.unfrozen]
    return [block for i in range(1, stage + 1) for block in training.config.get(f"stages.{i}.unfreeze", [])]


def smoothed(values: pd.Series, weight: float) -> pd.Series:
    """Exponential moving average: `weight` in [0, 1) of what was, the rest of what is; unknown values stay unknown."""
    return pd.Series(values.ewm(alpha=1 - weight, ignore_na=True).mean().where(values.notna()))


def gap(epochs: pd.DataFrame) -> pd.Series:
    """Training minus validation accuracy by epoch."""
    return pd.Series(epochs["train_accuracy"].to_numpy(float) - epochs["val_accuracy"].to_numpy(float), epochs.index)


def settings_table(trainings: list[Training]) -> pd.DataFrame:
    """Settings by row, a column for each training as text, and whether they differ (`differs`); differing ones first."""
    columns = {training.run_id: pd.Series(training.config, dtype=object).map(_as_text) for training in trainings}
    table = pd.DataFrame(columns).fillna("")
    table["differs"] = table.nunique(axis=1) > 1
    return (
        table.rename_axis("setting")
        .reset_index()
        .sort_values(["differs", "setting"], ascending=[False, True], ignore_index=True)
    )


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def classes_table(training: Training) -> pd.DataFrame:
    """Photos by class and split, and in all; empty if unknown."""
    table = pd.DataFrame.from_dict(training.data.classes, orient="index")
    return table.assign(photos=table.sum(axis=1)).rename_axis("class").reset_index() if len(table) else table


def kept_when_thinned(values: np.ndarray, points: int = 600) -> np.ndarray:
    """Positions of the values to draw, for drawing only.

    All of them if they are few; else the ends, and of each of `points / 3` equal stretches the smallest, the largest, and one
    unknown value if there is any: no peak and no gap is lost.
    """
    if len(values) <= points:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), points // 3):
        unknown = np.isnan(values[stretch])
        known = stretch[~unknown]
        kept |= set(stretch[unknown][:1])
        if len(known):
            kept |= {known[values[known].argmin()], known[values[known].argmax()]}
    return np.array(sorted(kept))
