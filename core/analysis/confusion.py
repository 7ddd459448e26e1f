"""Error analysis of a classifier as plain tables: the confusion matrix and what follows from it.

A confusion matrix `counts` is int (n_classes, n_classes), true class in rows, predicted class in columns. Rates are fractions in
[0, 1] with 95% Wilson intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from sklearn.metrics import precision_recall_curve

from core.analysis.metrics import confusion_counts, reliability_table, wilson_interval
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import Predictions


def counts_of(predictions: Predictions, mask: np.ndarray) -> np.ndarray:
    """Confusion matrix of the rows in a mask, bool (n,)."""
    return confusion_counts(predictions.true[mask], predictions.predicted[mask], len(predictions.labels))


def normalise(counts: np.ndarray, by: str) -> np.ndarray:
    """Share of each cell, float (n_classes, n_classes); NaN where there is nothing to divide by.

    Args:
        counts: confusion matrix.
        by: `true` (rows add up to 1), `predicted` (columns do), `all` (the matrix does) or `counts` (as `true`).
    """
    with np.errstate(invalid="ignore"):
        return counts / _denominators(counts, by)


def _denominators(counts: np.ndarray, by: str) -> np.ndarray:
    totals = {
        "true": counts.sum(axis=1, keepdims=True),
        "counts": counts.sum(axis=1, keepdims=True),
        "predicted": counts.sum(axis=0, keepdims=True),
        "all": counts.sum(keepdims=True),
    }
    return np.broadcast_to(totals[by], counts.shape)


def class_order(counts: np.ndarray, labels: LabelSet, by: str) -> list[int]:
    """Class indices in the order to show them in.

    Args:
        counts: confusion matrix.
        labels: its classes.
        by: `group` (the network's order), `size` (most samples first), `alphabet`, or `similarity`: average-linkage clustering
            with optimal leaf order (Bar-Joseph et al. 2001) of the confusion rate, so that what is confused stands together.
    """
    indices = list(range(len(labels)))
    if by == "size":
        return sorted(indices, key=lambda i: -counts[i].sum())
    if by == "alphabet":
        return sorted(indices, key=lambda i: labels.names[i].lower())
    if by == "similarity" and len(labels) > 2:
        rate = np.nan_to_num(normalise(counts, "true"))
        distance = 1 - (rate + rate.T) / 2
        np.fill_diagonal(distance, 0)
        links = hierarchy.linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
        return [int(leaf) for leaf in hierarchy.leaves_list(links)]
    return indices


def cell_table(counts: np.ndarray, names: Sequence[str], by: str) -> pd.DataFrame:
    """One row a cell of the matrix, row by row: columns true, predicted (class indices), count, n, rate, low, high, words.

    Args:
        counts: confusion matrix.
        names: of the classes.
        by: what `n` and `rate` refer to, as for `normalise`.
    """
    return _cells(counts.tobytes(), counts.dtype.str, counts.shape, tuple(names), by).copy()


@lru_cache(32)  # a page asks several times for the same one
def _cells(counts_bytes: bytes, kind: str, shape: tuple[int, ...], names: tuple[str, ...], by: str) -> pd.DataFrame:
    counts = np.frombuffer(counts_bytes, kind).reshape(shape)
    true, predicted = np.indices(counts.shape).reshape(2, -1)
    table = pd.DataFrame(
        {
            "true": true,
            "predicted": predicted,
            "count": counts.ravel(),
            "n": _denominators(counts, by).ravel(),
            "rate": normalise(counts, by).ravel(),
        }
    )
    table["low"], table["high"] = wilson_interval(table["count"], table["n"])
    table["words"] = [cell_words(row, names, by) for row in table.itertuples()]
    return table


def cell_words(cell: Any, names: Sequence[str], by: str) -> str:
    """A row of `cell_table` as words, such as "14 of 142 Tops predicted as T-shirts (9.9%, 95% CI 6.0–15.9%)"."""
    true, predicted = names[cell.true], names[cell.predicted]
    subject = {"predicted": f"photos predicted as {predicted}", "all": "photos"}.get(by, true)
    if not cell.n:
        return f"No {subject} (n = 0)"
    verb = {
        "predicted": f"are {true}",
        "all": f"are {true} predicted as {predicted}",
    }.get(by, f"predicted as {predicted}" if cell.true != cell.predicted else "predicted correctly")
    return f"{cell.count:,} of {cell.n:,} {subject} {verb} ({rate_words(cell.rate, cell.low, cell.high)})"


def interval_words(low: float, high: float) -> str:
    """A 95% confidence interval of a share, such as "95% CI 6.0–15.9%"."""
    return f"95% CI {100 * low:.1f}–{high:.1%}"


def rate_words(rate: float, low: float, high: float) -> str:
    """A rate and its interval, such as "9.9%, 95% CI 6.0–15.9%"."""
    return f"{rate:.1%}, {interval_words(low, high)}"


def accuracy_words(counts: np.ndarray, total: int, threshold: float) -> str:
    """The headline of a matrix, such as "Accuracy 96.1% at 84.0% coverage (confidence 0.80 or more)".

    Args:
        counts: confusion matrix of the answered photos, at least one.
        total: photos asked for, answered or not.
        threshold: confidence from which on a prediction counts; 0 if all do.
    """
    answered = int(counts.sum())
    accuracy = f"Accuracy {np.trace(counts) / answered:.1%}"
    if threshold > 0:
        return f"{accuracy} at {answered / total:.1%} coverage (confidence {threshold:.2f} or more)"
    return f"{accuracy} on {total:,} photo{'' if total == 1 else 's'}"


def detail_words(counts: np.ndarray, names: Sequence[str], total: int) -> str:
    """What stands below the headline: the interval, how many photos are covered, and the most frequent mistake."""
    answered = int(counts.sum())
    sentence = interval_words(*wilson_interval(np.trace(counts), answered))
    if answered < total:
        sentence += f", {answered:,} of {total:,} photos"
    pairs = confused_pairs(counts, names)
    mistake = f"Most frequent mistake: {pairs['words'].iloc[0]}" if len(pairs) else "No mistakes"
    return f"{sentence}. {mistake}."


def confused_pairs(counts: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Mistakes as a ranked list, the most frequent first: rows of `cell_table` off the diagonal that have a count."""
    cells = cell_table(counts, names, "true")
    mistakes = (cells["true"] != cells["predicted"]) & (cells["count"] > 0)
    return ranked(cells, mistakes, -cells["count"], -cells["rate"])


def ranked(table: pd.DataFrame, keep: ArrayLike, *keys: ArrayLike) -> pd.DataFrame:
    """The rows to keep, by rising keys, the first key first; ties stay as they are."""
    rows = np.flatnonzero(keep)
    order = np.lexsort([np.asarray(key)[rows] for key in reversed(keys)])
    return table.iloc[rows[order]].reset_index(drop=True)


def mistaken_both_ways(counts: np.ndarray, names: Sequence[str], index: int) -> pd.DataFrame:
    """What a class is taken for and what is mistaken for it: columns class, taken_for, mistaken_for (counts), one row another class.

    Classes that are never confused with it are left out; the most confused come first.
    """
    table = pd.DataFrame({"class": list(names), "taken_for": counts[index], "mistaken_for": counts[:, index]})
    total = counts[index] + counts[:, index]
    others = (total > 0) & (np.arange(len(total)) != index)
    return ranked(table, others, -total)


def cell_rows(predictions: Predictions, mask: np.ndarray, true: int, predicted: int, limit: int) -> pd.DataFrame:
    """Photos behind a cell, most confident first, at most `limit`: the details of `Predictions.table`, p_true, p_predicted."""
    rows = np.flatnonzero(mask & (predictions.true == true) & (predictions.predicted == predicted))[:limit]
    return photo_rows(predictions, rows)


def photo_rows(predictions: Predictions, rows: np.ndarray) -> pd.DataFrame:
    """Details of some photos, rows int (m,): columns row, those of `Predictions.table`, label, prediction, p_true, p_predicted."""
    true, predicted = predictions.true[rows], predictions.predicted[rows]
    names = np.array(predictions.labels.names, dtype=object)
    details = predictions.table.iloc[rows].reset_index(drop=True)
    return details.assign(
        row=rows,
        label=names[true],
        prediction=names[predicted],
        p_true=predictions.probabilities[rows, true],
        p_predicted=predictions.probabilities[rows, predicted],
    )


def class_precision_recall(predictions: Predictions, mask: np.ndarray, index: int) -> tuple[pd.DataFrame, float]:
    """Precision-recall curve of one class against all others (scikit-learn's) and its average precision.

    Returns:
        Columns recall, precision, threshold, by falling recall; and the average precision, NaN if the class has no sample.
    """
    positive = predictions.true[mask] == index
    if not positive.any():
        return pd.DataFrame({"recall": [], "precision": [], "threshold": []}), np.nan
    precision, recall, threshold = precision_recall_curve(positive, predictions.probabilities[mask, index])
    average = float(-np.sum(np.diff(recall) * precision[:-1]))  # as average_precision_score, without a second sort
    return pd.DataFrame({"recall": recall, "precision": precision, "threshold": np.append(threshold, 1.0)}), average


def calibration_bins(confidence: np.ndarray, correct: np.ndarray, least: int = 10) -> pd.DataFrame:
    """`core.analysis.metrics.reliability_table` with neighbouring bins merged until each has at least so many photos."""
    table = reliability_table(confidence, correct)
    merged = np.zeros(len(table), int)
    collected = 0
    for i, count in enumerate(table["count"].tolist()):
        merged[i] = merged[i - 1] + (collected >= least) if i else 0
        collected = count if i and merged[i] > merged[i - 1] else collected + count
    if collected < least:  # the last ones are too few: they join those before
        merged[merged == merged[-1]] = max(0, merged[-1] - 1)
    edges = table.groupby(merged).agg(low=("low", "min"), high=("high", "max"), count=("count", "sum"))
    weighted = table[["confidence", "accuracy"]].mul(table["count"], axis=0).fillna(0).groupby(merged).sum()
    shares = weighted.div(edges["count"].where(edges["count"] > 0), axis=0)  # pyright: ignore[reportAttributeAccessIssue]
    low, high = wilson_interval(weighted["accuracy"].round(), edges["count"])  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue, reportCallIssue, reportIndexIssue]
    return edges.assign(**shares, accuracy_low=low, accuracy_high=high).reset_index(drop=True)


def thinned(curve: pd.DataFrame, points: int = 400) -> pd.DataFrame:
    """A curve reduced to at most `points` rows for drawing, evenly spread, both ends kept."""
    if len(curve) <= points:
        return curve
    return curve.iloc[np.linspace(0, len(curve) - 1, points).round().astype(int)]


def thresholds_for(curve: pd.DataFrame, targets: Sequence[float]) -> pd.DataFrame:
    """The lowest threshold that reaches each accuracy, so that as many photos as possible are answered.

    Args:
        curve: of `core.analysis.metrics.risk_coverage`.
        targets: accuracies in [0, 1].

    Returns:
        Columns accuracy (the target), threshold, coverage; the latter two are NaN where no threshold reaches it.
    """
    rows = []
    for target in targets:
        reached = np.flatnonzero(curve["accuracy"] >= target)
        last = curve.iloc[reached[-1]] if len(reached) else {"threshold": np.nan, "coverage": np.nan}
        rows.append({"accuracy": target, "threshold": last["threshold"], "coverage": last["coverage"]})
    return pd.DataFrame(rows)


def uncalibrated_confidence(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Confidence before temperature scaling, (n, n_classes) calibrated -> (n,).

    Calibrated probabilities are `softmax(logits / T)`, so `softmax(logits)` is their T-th power, renormalised; its maximum is
    `1 / sum((p / max p) ** T)`.
    """
    return 1 / ((probabilities / probabilities.max(axis=1, keepdims=True)) ** temperature).sum(axis=1)
