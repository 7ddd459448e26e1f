"""Predictions of photos with coarse labels, such as phone photos and worn garments: correct is any class that the label allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.metrics import wilson_interval
from core.artifacts.labels import LabelSet
from core.artifacts.measures import Coarse
from core.artifacts.tables import Table
from core.errors import InvalidData

OUT_OF_SCOPE = "Out of scope"
WORN_PREFIX = "worn "  # of labels of worn garments in files


@dataclass(frozen=True)
class CoarsePredictions:
    """What a network said about photos with coarse labels.

    Args:
        labels: the classes.
        ids: text (n,).
        given: each photo's label, text (n,).
        allowed: bool (n, n_classes), the classes that its label allows; none if it means anything else.
        probabilities: float (n, n_classes).
        in_scope: bool (n,), whether the photo counts as one of the classes.
    """

    labels: LabelSet
    ids: np.ndarray
    given: np.ndarray
    allowed: np.ndarray
    probabilities: np.ndarray
    in_scope: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Position of what a visitor sees: the most probable class, or one past the classes where the photo is out of scope, int (n,)."""
        return np.where(self.in_scope, self.probabilities.argmax(axis=1), len(self.labels))


def coarse_predictions(table: Table, name: str, labels: LabelSet, threshold: float | None) -> CoarsePredictions:
    """Read `predictions_phone.csv` or `predictions_worn.csv`.

    Args:
        table: its content.
        name: its name, for messages.
        labels: the classes.
        threshold: of the run's in-scope score; without, every photo is in scope.

    Raises:
        InvalidData: a column is missing or names what is no class.
    """
    frame = table.frame
    missing = [column for column in ("id", "label", "allowed", *labels.names) if column not in frame]
    if missing:
        raise InvalidData(f"{name} lacks the columns {', '.join(missing)}.")
    sets = frame["allowed"].fillna("").str.split("|")
    position = {label: i for i, label in enumerate(labels.names)}
    allowed = np.zeros((len(frame), len(labels)), bool)
    for row, names in enumerate(sets):
        for label in filter(None, names):
            if label not in position:
                raise InvalidData(f"{name} allows “{label}”, which is no class (line {table.lines[row]}).")
            allowed[row, position[label]] = True
    scores = frame["in_scope_score"].to_numpy(float) if "in_scope_score" in frame else np.zeros(len(frame))
    in_scope = np.ones(len(frame), bool) if threshold is None else scores >= threshold
    probabilities = frame[list(labels.names)].to_numpy(float)
    return CoarsePredictions(
        labels, frame["id"].to_numpy(str), frame["label"].to_numpy(str), allowed, probabilities, in_scope
    )


@dataclass(frozen=True)
class CoarseMatrix:
    """Coarse labels in rows, the classes and "out of scope" in columns.

    Args:
        given: the labels, those that allow classes first, then by size.
        counts: int (n_labels, n_classes + 1).
        allowed: bool, of the same shape: the predictions that are correct for a label.
    """

    given: tuple[str, ...]
    counts: np.ndarray
    allowed: np.ndarray


def coarse_matrix(photos: CoarsePredictions) -> CoarseMatrix:
    """Count predictions by label."""
    names, first, which = np.unique(photos.given, return_index=True, return_inverse=True)
    n_columns = len(photos.labels) + 1
    counts = np.bincount(which * n_columns + photos.shown, minlength=len(names) * n_columns).reshape(-1, n_columns)
    allowed = np.column_stack([photos.allowed[first], ~photos.allowed[first].any(axis=1)])
    order = np.lexsort([-counts.sum(axis=1), allowed[:, -1]])
    return CoarseMatrix(tuple(names[order].tolist()), counts[order], allowed[order])


def label_table(matrix: CoarseMatrix) -> pd.DataFrame:
    """Columns label, photos, share, low, high: how many of each label's photos have a correct prediction."""
    photos, right = matrix.counts.sum(axis=1), (matrix.counts * matrix.allowed).sum(axis=1)
    low, high = wilson_interval(right, photos)
    return pd.DataFrame({"label": matrix.given, "photos": photos, "share": right / photos, "low": low, "high": high})


def recall_by_class(photos: CoarsePredictions) -> pd.DataFrame:
    """Columns photos and share, one row a class: of photos whose label allows that class only, how many are predicted as it, whatever
    their score; NaN where there are none."""
    exact = photos.allowed.sum(axis=1) == 1
    true = photos.allowed[exact].argmax(axis=1)
    hits = photos.probabilities[exact].argmax(axis=1) == true
    n = np.bincount(true, minlength=len(photos.labels))
    right = np.bincount(true, weights=hits, minlength=len(photos.labels))
    return pd.DataFrame({"photos": n, "share": right / np.where(n > 0, n, np.nan)})


def measured_labels(measured: Coarse) -> pd.DataFrame:
    """`label_table` from the measures of a run, for runs without predictions of single photos."""
    rows = [label for label in measured.labels if label.n]
    columns = {name: [getattr(row, name) for row in rows] for name in ("label", "n", "value", "low", "high")}
    table = pd.DataFrame(columns).rename(columns={"n": "photos", "value": "share"})
    return table.astype({"share": float, "low": float, "high": float})
