"""What trainings brought, as plain tables: runs, stages, settings, and the curves' gap. A value nobody knows is NaN and stays so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts.run import distinct_names
from core.artifacts.training import Training, made_on, status


def shown_names(trainings: list[Training]) -> dict[str, str]:
    """Run id to the name to show, as `core.artifacts.run.distinct_names`."""
    return distinct_names({training.run_id: training.name for training in trainings})


def runs_table(trainings: list[Training]) -> pd.DataFrame:
    """One row a training, with what is known of it; rates and times in all, unknown ones NaN."""
    rows, names = [], shown_names(trainings)
    for training in trainings:
        test, manifest = training.test_accuracy, training.manifest
        rows.append(
            {
                "run_id": training.run_id,
                "run": names[training.run_id],
                "status": status(training),
                "made": made_on(training)[:10],
                "recipe": manifest.get("recipe") or training.config.get("name", ""),
                "input": input_size(training),
                "initial_weights": training.initial_weights,
                "best_validation": training.best_accuracy,
                "best_epoch": math.nan if training.best is None else training.best["epoch"],
                "epochs": len(training.epochs),
                "test_accuracy": test.get("value", math.nan),
                "test_low": test.get("low", math.nan),
                "test_high": test.get("high", math.nan),
                "images_per_second": training.images_per_second,
                "hours": training.seconds / 3600,
                "device": training.epochs["device"].iloc[-1] if len(training.epochs) else "",
            }
        )
    return pd.DataFrame(rows)


def input_size(training: Training) -> str:
    """Height x width in pixels, such as `96x72`; of a training in progress that of its last stage; empty if unknown."""
    stages = sum(name.startswith("stages.") and name.endswith(".height") for name in training.config)
    last = {side: training.config.get(f"stages.{stages}.{side}") for side in ("height", "width")}
    size = training.manifest.get("input") or last
    return f"{size['height']}x{size['width']}" if size["height"] and size["width"] else ""


def stage_table(training: Training) -> pd.DataFrame:
    """One row a stage, as published (epochs, best validation, final train, final validation) and more.

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
                "trainable_parameters": epochs["trainable_parameters"].iloc[0],
                "peak_lr": training.config.get(f"stages.{number}.lr", math.nan),
                "best_validation": epochs["val_accuracy"].max(),
                "final_train": epochs["train_accuracy"].iloc[-1],
                "final_validation": epochs["val_accuracy"].iloc[-1],
                "minutes": epochs["seconds"].sum(skipna=False) / 60,
            }
        )
    table = pd.DataFrame(rows)
    if rows:
        table["gain"] = table["best_validation"] - table["best_validation"].cummax().ffill().shift()
    return table


def gain_by_unfreezing(training: Training) -> float:
    """Best validation accuracy of all stages over that of the first, which trains only the head; NaN with one stage or unknown."""
    stages = stage_table(training)
    if len(stages) < 2:
        return math.nan
    return float(stages["best_validation"].max() - stages["best_validation"].iloc[0])


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


def settings_table(trainings: list[Training]) -> pd.DataFrame:
    """Settings by row, a column each training as text, and whether they differ (`differs`); differing ones first."""
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
    table = pd.DataFrame.from_dict(training.data.get("classes", {}), orient="index")
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
