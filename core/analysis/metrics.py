"""Measures of a classifier, as numbers and plain tables. Rates are fractions in [0, 1]; where there is nothing to measure, NaN, never 0.

Labels and predictions are integer class indices of shape (n,); scikit-learn and scipy compute what they compute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special
from scipy.optimize import minimize_scalar
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score

from core.artifacts.predictions import true_class_rank

TEMPERATURE_RANGE = (0.05, 20.0)


class Rate(NamedTuple):
    """A share with its confidence interval, each in [0, 1] or NaN."""

    value: float
    low: float
    high: float


def wilson_interval(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Any, Any]:
    """Wilson score interval of a proportion (Wilson 1927), without continuity correction.

    Args:
        successes: count, a number or an array.
        n: number of trials, of the same shape.
        confidence: of the interval, in (0, 1).

    Returns:
        (low, high), floats or arrays in [0, 1]; NaN where n is 0.
    """
    k, n = np.asarray(successes, float), np.asarray(n, float)
    z = special.ndtri((1 + confidence) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(n > 0, k / n, np.nan)
        centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low = np.where(k == 0, np.minimum(centre, 0), centre - half)  # exactly 0 and 1 at the ends, without rounding error
    high = np.where(k == n, np.maximum(centre, 1), centre + half)
    return low[()], high[()]


def accuracy_with_interval(labels: np.ndarray, predictions: np.ndarray) -> Rate:
    """Share of predictions (n,) that equal their labels (n,), with its 95% Wilson interval; NaN if n is 0."""
    right, n = int(np.sum(labels == predictions)), len(labels)
    return Rate(right / n if n else np.nan, *wilson_interval(right, n))


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of rows whose true class is among the k most probable; NaN if there are none.

    Args:
        probabilities: (n, n_classes), or any scores that rank the classes.
        labels: int (n,).
        k: at least 1.
    """
    return float(np.mean(true_class_rank(probabilities, labels) < k)) if len(labels) else np.nan


def macro_f1(labels: np.ndarray, predictions: np.ndarray, classes: np.ndarray | None = None) -> float:
    """Unweighted mean of F1 over the classes that have a true sample, or those given (scikit-learn's `f1_score`); NaN if n is 0.

    A class that is only ever predicted does not enter the mean, though each such mistake lowers another class's F1.
    """
    if not len(labels):
        return np.nan
    return float(
        f1_score(labels, predictions, labels=np.unique(labels) if classes is None else classes, average="macro")
    )


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Confusion matrix, int (n_classes, n_classes): true class in rows, predicted class in columns."""
    cell = np.asarray(labels, int) * n_classes + np.asarray(predictions, int)
    return np.bincount(cell, minlength=n_classes**2).reshape(n_classes, n_classes)


def classification_table(labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Per-class measures, one row a class in the order of `names`; see `classification_table_from_counts`."""
    return classification_table_from_counts(confusion_counts(labels, predictions, len(names)), names)


def classification_table_from_counts(counts: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Per-class precision, recall and F1 (scikit-learn's) with 95% Wilson intervals, from a confusion matrix.

    Args:
        counts: int (n_classes, n_classes), true class in rows, predicted in columns.
        names: of the classes.

    Returns:
        Columns class, support, predicted, precision, precision_low, precision_high, recall, recall_low, recall_high,
        f1. A class without samples has NaN for recall and F1, and one never predicted has NaN for precision.
    """
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall, f1 = _precision_recall_f1(counts)
    precision_low, precision_high = wilson_interval(right, predicted)
    recall_low, recall_high = wilson_interval(right, support)
    return pd.DataFrame(
        {
            "class": list(names),
            "support": support,
            "predicted": predicted,
            "precision": precision,
            "precision_low": precision_low,
            "precision_high": precision_high,
            "recall": recall,
            "recall_low": recall_low,
            "recall_high": recall_high,
            "f1": np.where(support > 0, f1, np.nan),
        }
    )


def _precision_recall_f1(counts: np.ndarray) -> np.ndarray:
    """scikit-learn's measures, float (3, n_classes), each cell of the matrix being one weighted sample."""
    n_classes = len(counts)
    if not counts.any():
        return np.full((3, n_classes), np.nan)
    true, predicted = np.indices(counts.shape).reshape(2, -1)
    measures = precision_recall_fscore_support(
        true,
        predicted,
        labels=np.arange(n_classes),
        sample_weight=counts.ravel(),
        zero_division=np.nan,  # pyright: ignore[reportArgumentType]
    )
    return np.array(measures[:3])


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that minimises the negative log-likelihood of held-back data (Guo et al. 2017).

    Args:
        logits: (n, n_classes), or log-probabilities; finite.
        labels: int (n,), n at least 1.

    Returns:
        A temperature from 0.05 to 20, above 1 where the network is overconfident.
    """
    logits = np.asarray(logits, np.float64)

    def negative_log_likelihood(log_temperature: float) -> float:
        log_probability = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -log_probability[np.arange(len(labels)), labels].mean()

    low, high = np.log(TEMPERATURE_RANGE)
    result = minimize_scalar(negative_log_likelihood, bounds=(low, high), method="bounded")
    return float(np.exp(result.x))  # pyright: ignore[reportAttributeAccessIssue]


def reliability_table(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Confidence against accuracy in equal-width bins (low, high] (Guo et al. 2017), one row a bin.

    Args:
        confidence: (n,), probability of the predicted class, in [0, 1].
        correct: bool (n,), whether the prediction is correct.
        bins: how many.

    Returns:
        Columns low, high, count, confidence, accuracy, accuracy_low, accuracy_high; an empty bin has NaN.
    """
    edges = np.linspace(0, 1, bins + 1)
    index = np.searchsorted(edges, confidence, side="left").clip(1, bins) - 1  # 0 itself goes into the first bin
    count = np.bincount(index, minlength=bins)
    right = np.bincount(index, weights=correct, minlength=bins)
    low, high = wilson_interval(right, count)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, weights=confidence, minlength=bins) / count
        accuracy = right / count
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count,
            "confidence": mean_confidence,
            "accuracy": accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy, weighted by the bins' counts (Guo et al. 2017), in [0, 1]; NaN if n is 0.

    Arguments as for `reliability_table`.
    """
    if not len(confidence):
        return np.nan
    table = reliability_table(confidence, correct, bins).dropna()
    gaps = np.abs(table["accuracy"].to_numpy() - table["confidence"].to_numpy())
    return float(np.average(gaps, weights=table["count"].to_numpy()))


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Accuracy of the predictions above each confidence threshold (El-Yaniv and Wiener 2010), one row a distinct confidence, falling.

    Args:
        confidence: (n,).
        correct: bool (n,).

    Returns:
        Columns threshold (predictions have at least this confidence), answered (count), coverage, accuracy.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, right = confidence[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.diff(sorted_confidence, append=-np.inf))  # equal confidences pass the threshold together
    answered = last + 1
    accuracy = right[last] / answered
    return pd.DataFrame(
        {
            "threshold": sorted_confidence[last],
            "answered": answered,
            "coverage": answered / max(len(confidence), 1),
            "accuracy": accuracy,
        }
    )


def auroc(scores_in: np.ndarray, scores_out: np.ndarray) -> float:
    """Probability that a score of `scores_in` (n,) is above one of `scores_out` (m,), ties half; NaN if one is empty."""
    if not len(scores_in) or not len(scores_out):
        return np.nan
    truth = np.r_[np.ones(len(scores_in)), np.zeros(len(scores_out))]
    return float(roc_auc_score(truth, np.r_[scores_in, scores_out]))


def threshold_at_tpr(scores_in: np.ndarray, tpr: float = 0.95) -> float:
    """The largest score such that at least a share `tpr` of `scores_in` (n,), n at least 1, is no smaller."""
    kept = math.ceil(round(tpr * len(scores_in), 9))
    return float(np.sort(scores_in)[len(scores_in) - kept])
