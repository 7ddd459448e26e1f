"""What a stage of unfreezing taught: validation photos that became correct or incorrect with it, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.analysis.comparison import Comparison, compare
from core.analysis.confusion import ranked
from core.artifacts.predictions import Predictions

Stages = Mapping[int, Predictions]  # validation predictions by the number of the stage after which they were made


def stage_change(stages: Stages, stage: int) -> Comparison | None:
    """The stage before (first) against this one (second), photo by photo; None where one of them has no predictions."""
    if stage not in stages or stage - 1 not in stages:
        return None
    before, after = stages[stage - 1], stages[stage]
    return compare(before, after, np.ones(len(before), bool))


def changes_table(stages: Stages) -> pd.DataFrame:
    """One row a stage that can be compared: stage, photos that became correct and incorrect, p (McNemar's exact test)."""
    compared = {stage: change for stage in stages if (change := stage_change(stages, stage))}
    return pd.DataFrame(
        {
            "stage": list(compared),
            "became_correct": [change.only_b for change in compared.values()],
            "became_incorrect": [change.only_a for change in compared.values()],
            "p": [change.p for change in compared.values()],
        }
    )


def changes_by_class(change: Comparison, after: Predictions) -> pd.DataFrame:
    """One row a class whose photos changed: class, n, became_correct, became_incorrect; the most changed first."""
    true = after.true[change.rows_b]
    sizes, better, worse = (
        np.bincount(true[chosen], minlength=len(after.labels))
        for chosen in (
            np.ones(len(true), bool),
            ~change.right_a & change.right_b,
            change.right_a & ~change.right_b,
        )
    )
    table = pd.DataFrame(
        {"class": list(after.labels.names), "n": sizes, "became_correct": better, "became_incorrect": worse}
    )
    changed = table["became_correct"] + table["became_incorrect"]
    return ranked(table, changed > 0, -changed)


def changed_photos(change: Comparison, before: Predictions, after: Predictions, to_correct: bool) -> pd.DataFrame:
    """Photos that became correct, or incorrect: id, product where known, label, before and after (predicted class), p_before, p_after.

    `p_before` and `p_after` are the probabilities of the true class; those that changed most come first.
    """
    chosen = ~change.right_a & change.right_b if to_correct else change.right_a & ~change.right_b
    rows_a, rows_b = change.rows_a[chosen], change.rows_b[chosen]
    names = np.array(after.labels.names, dtype=object)
    true = after.true[rows_b]
    table = pd.DataFrame(
        {
            "id": after.table["id"].to_numpy()[rows_b],
            "product": after.table["product"].to_numpy()[rows_b] if "product" in after.table else "",
            "label": names[true],
            "before": names[before.predicted[rows_a]],
            "after": names[after.predicted[rows_b]],
            "p_before": before.probabilities[rows_a, true],
            "p_after": after.probabilities[rows_b, true],
        }
    )
    return ranked(table, np.ones(len(table), bool), -np.abs(table["p_after"] - table["p_before"]))


def true_class_probabilities(stages: Stages, ids: list[object]) -> pd.DataFrame:
    """Probability of the true class after each stage: one row a photo, by id, one column a stage; NaN where a stage lacks the photo."""
    columns: dict[int, pd.Series] = {}
    for stage, predictions in stages.items():
        own = np.take_along_axis(predictions.probabilities, predictions.true[:, None], axis=1)[:, 0]
        columns[stage] = pd.Series(own, index=predictions.table["id"].to_numpy()).reindex(ids)
    return pd.DataFrame(columns, index=pd.Index(ids))
