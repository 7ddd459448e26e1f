"""Where a network is worse than elsewhere: accuracy by facet, and labels that are probably wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from core.analysis.confusion import ranked
from core.analysis.metrics import wilson_interval
from core.artifacts.predictions import Predictions

SMALLEST_SLICE = 20  # photos; accuracy of fewer says next to nothing
SIGNIFICANCE = 0.05


def slices(predictions: Predictions, mask: np.ndarray) -> pd.DataFrame:
    """Accuracy of every value of every filter against that of all other rows, lowest first.

    The test is Fisher's exact test, one-sided (is this value less accurate than the rest?), and p-values are corrected for the
    number of values looked at by Holm's method (1979). Values with fewer than 20 photos, and those that hold every row, are not
    looked at.

    Returns:
        Columns facet, value, n, accuracy, low, high, rest (accuracy of the others), p, p_corrected.
    """
    correct = predictions.correct[mask]
    tables = [_slices_of(name, facet[mask], correct) for name, facet in predictions.facets.items()]
    table = pd.concat(tables, ignore_index=True)
    looked_at = (table["n"] >= SMALLEST_SLICE) & (table["n"] < len(correct))
    table = ranked(table, looked_at, table["accuracy"], -table["n"])
    return table.assign(p_corrected=holm(table["p"].to_numpy()))


def _slices_of(name: str, facet: pd.Categorical, correct: np.ndarray) -> pd.DataFrame:
    values = facet.categories
    n = np.bincount(facet.codes, minlength=len(values))
    right = np.bincount(facet.codes, weights=correct, minlength=len(values)).astype(int)
    total, total_right = len(correct), int(correct.sum())
    low, high = wilson_interval(right, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy, rest = right / n, (total_right - right) / (total - n)
    p = hypergeom.cdf(right, total, total_right, n)
    return pd.DataFrame(
        {"facet": name, "value": values, "n": n, "accuracy": accuracy, "low": low, "high": high, "rest": rest, "p": p}
    )


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (m,) corrected for m looks by Holm's step-down method (1979), in [0, 1]."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    corrected = np.empty(len(p))
    corrected[order] = stepped
    return corrected


def worst_slice(table: pd.DataFrame) -> dict[str, Any] | None:
    """Column name to value of the least accurate row of `slices` among those significantly below the rest at 5%, or None."""
    significant = np.flatnonzero(table["p_corrected"] < SIGNIFICANCE)
    return table.iloc[significant[0]].to_dict() if len(significant) else None


def suspected_label_errors(probabilities: np.ndarray, true: np.ndarray) -> pd.DataFrame:
    """Rows whose label may be wrong, by confident learning (Northcutt et al. 2021): the off-diagonal of the confident joint.

    A class's threshold is the mean probability it gets on rows labelled with it. A row counts for the most probable class among
    those that reach their thresholds; if that is not its label, the label is suspect.

    Args:
        probabilities: (n, n_classes), of a network that was not trained on these rows.
        true: int (n,), the labels as given.

    Returns:
        Columns row, label, suggested (class indices), p_label, p_suggested; the largest difference of the two first.
    """
    n = np.bincount(true, minlength=probabilities.shape[1])
    own = np.take_along_axis(probabilities, true[:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore"):
        threshold = np.bincount(true, weights=own, minlength=len(n)) / n  # NaN, so never reached, without samples
    confident = np.where(probabilities >= threshold - 1e-9, probabilities, -1)
    suggested = confident.argmax(axis=1)
    rows = np.flatnonzero((confident.max(axis=1) >= 0) & (suggested != true))
    columns = {"row": rows, "label": true[rows], "suggested": suggested[rows], "p_label": own[rows]}
    table = pd.DataFrame({**columns, "p_suggested": probabilities[rows, suggested[rows]]})
    return ranked(table, np.ones(len(rows), bool), table["p_label"] - table["p_suggested"])
