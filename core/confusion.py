"""Error analysis of a classifier as plain tables: the confusion matrix and what follows from it.

A confusion matrix `counts` is int (n_classes, n_classes), true class in rows, predicted class in columns. Rates are fractions in
[0, 1] with 95% Wilson intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.stats import binomtest, hypergeom
from sklearn.metrics import precision_recall_curve

from core.errors import InvalidData
from core.labels import LabelSet
from core.metrics import confusion_counts, wilson_interval
from core.predictions import Predictions

NORMALISATIONS = ("true", "predicted", "all", "counts")
SMALLEST_SLICE = 20  # photos; accuracy of fewer says next to nothing
SIGNIFICANCE = 0.05


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
    """A row of `cell_table` as a sentence, such as "14 of 142 Tops were called Tshirts, 9.9%, 6.0 to 15.9%"."""
    true, predicted = names[cell.true], names[cell.predicted]
    subject = {"predicted": f"photos called {predicted}", "all": "photos"}.get(by, true)
    if not cell.n:
        return f"There are no {subject} (n=0)"
    verb = {
        "predicted": f"were {true} in truth",
        "all": f"were {true} called {predicted}",
    }.get(by, f"were called {predicted}" if cell.true != cell.predicted else "were recognised")
    return f"{cell.count:,} of {cell.n:,} {subject} {verb}, {rate_words(cell.rate, cell.low, cell.high)}"


def rate_words(rate: float, low: float, high: float) -> str:
    """A rate and its interval, such as "9.9%, 6.0 to 15.9%"."""
    return f"{rate:.1%}, {100 * low:.1f} to {high:.1%}"


def accuracy_words(counts: np.ndarray, total: int, threshold: float) -> str:
    """The headline of a matrix, such as "Answering only above 0.80: 96.1% right on 84.0% of photos".

    Args:
        counts: confusion matrix of the answered photos, at least one.
        total: photos asked for, answered or not.
        threshold: confidence from which on the network answers; 0 if it answers always.
    """
    answered = int(counts.sum())
    accuracy = f"{np.trace(counts) / answered:.1%}"
    if threshold > 0:
        return f"Answering only above {threshold:.2f}: {accuracy} right on {answered / total:.1%} of photos"
    return f"{accuracy} of {total:,} photos are right"


def detail_words(counts: np.ndarray, names: Sequence[str], total: int) -> str:
    """What stands below the headline: the interval, how many are answered, and the most frequent mistake."""
    answered = int(counts.sum())
    low, high = wilson_interval(np.trace(counts), answered)
    sentence = f"95% interval {100 * low:.1f} to {high:.1%}"
    if answered < total:
        sentence += f", {answered:,} of {total:,} photos answered"
    pairs = confused_pairs(counts, names)
    return (
        f"{sentence}. Most frequent mistake: {pairs['words'].iloc[0]}."
        if len(pairs)
        else f"{sentence}. No mistake at all."
    )


def confused_pairs(counts: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Mistakes as a ranked list, the most frequent first: rows of `cell_table` off the diagonal that have a count."""
    cells = cell_table(counts, names, "true")
    mistakes = (cells["true"] != cells["predicted"]) & (cells["count"] > 0)
    return _ranked(cells, mistakes, -cells["count"], -cells["rate"])


def _ranked(table: pd.DataFrame, keep: ArrayLike, *keys: ArrayLike) -> pd.DataFrame:
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
    return _ranked(table, others, -total)


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


def thinned(curve: pd.DataFrame, points: int = 400) -> pd.DataFrame:
    """A curve reduced to at most `points` rows for drawing, evenly spread, both ends kept."""
    if len(curve) <= points:
        return curve
    return curve.iloc[np.linspace(0, len(curve) - 1, points).round().astype(int)]


def thresholds_for(curve: pd.DataFrame, targets: Sequence[float]) -> pd.DataFrame:
    """The lowest threshold that reaches each accuracy, so that as many photos as possible are answered.

    Args:
        curve: of `core.metrics.risk_coverage`.
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
    table = _ranked(table, looked_at, table["accuracy"], -table["n"])
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
    return _ranked(table, np.ones(len(rows), bool), table["p_label"] - table["p_suggested"])


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions for the same photos.

    Args:
        rows_a: int (m,), rows of the first that the second has too.
        rows_b: int (m,), the same photos in the second.
        right_a: bool (m,), whether the first is right.
        right_b: bool (m,), whether the second is.
    """

    rows_a: np.ndarray
    rows_b: np.ndarray
    right_a: np.ndarray
    right_b: np.ndarray

    @property
    def only_a(self) -> int:
        """Photos that only the first gets right."""
        return int((self.right_a & ~self.right_b).sum())

    @property
    def only_b(self) -> int:
        """Photos that only the second gets right."""
        return int((~self.right_a & self.right_b).sum())

    @property
    def p(self) -> float:
        """p-value of McNemar's exact test (two-sided): a split as uneven as this, were both equally good."""
        n = self.only_a + self.only_b
        return float(binomtest(self.only_a, n, 0.5).pvalue) if n else 1.0


def compare(a: Predictions, b: Predictions, mask: np.ndarray) -> Comparison:
    """Match two sets of predictions by photo id.

    Args:
        a: the first.
        b: the second.
        mask: bool (n,), rows of the first to compare.

    Raises:
        InvalidData: they know different classes, have no photo in common, or disagree on a photo's label.
    """
    if a.labels.names != b.labels.names:
        raise InvalidData("These two runs tell different classes apart, so their matrices cannot be compared.")
    found = pd.Index(b.table["id"]).get_indexer(pd.Index(a.table["id"]))
    rows_a = np.flatnonzero((found >= 0) & mask)
    rows_b = found[rows_a]
    if not len(rows_a):
        raise InvalidData("These two runs have no test photo in common, so they cannot be compared photo by photo.")
    different = a.true[rows_a] != b.true[rows_b]
    if different.any():
        example, n = a.table["id"].iloc[rows_a[different][0]], different.sum()
        raise InvalidData(
            f"The two disagree on the true class of {n:,} photo{'' if n == 1 else 's'} (such as id {example}). Compare runs that "
            f"were scored against the same labels."
        )
    return Comparison(rows_a, rows_b, a.correct[rows_a], b.correct[rows_b])


def photos_in_common(a: Predictions, b: Predictions) -> int:
    """On how many photos two sets of predictions can be compared; raises InvalidData as `compare` does where on none."""
    return len(compare(a, b, np.ones(len(a), bool)).rows_a)


def disagreements(comparison: Comparison, a: Predictions, b: Predictions, first_right: bool) -> pd.DataFrame:
    """Photos that only the first gets right (or only the second), those first on which the wrong one is most confident.

    Returns:
        The details of `Predictions.table`, then label, first and second (what each calls it), p_first, p_second.
    """
    only = comparison.right_a & ~comparison.right_b if first_right else ~comparison.right_a & comparison.right_b
    rows_a, rows_b = comparison.rows_a[only], comparison.rows_b[only]
    names = np.array(a.labels.names, dtype=object)
    table = (
        a.table.iloc[rows_a]
        .reset_index(drop=True)
        .assign(
            label=names[a.true[rows_a]],
            first=names[a.predicted[rows_a]],
            p_first=a.confidence[rows_a],
            second=names[b.predicted[rows_b]],
            p_second=b.confidence[rows_b],
        )
    )
    wrong = table["p_second"] if first_right else table["p_first"]
    return _ranked(table, np.ones(len(table), bool), -wrong)


def comparison_words(comparison: Comparison, name_a: str, name_b: str) -> str:
    """McNemar's test in words."""
    only_a, only_b, p = comparison.only_a, comparison.only_b, comparison.p
    if not only_a + only_b:
        return f"{name_a} and {name_b} are right and wrong on exactly the same photos."
    better = name_a if only_a > only_b else name_b
    verdict = f"{better} is better" if p < SIGNIFICANCE else "chance alone explains that well enough"
    chance = "less than 0.1%" if p < 0.001 else f"{p:.1%}"
    return (
        f"{only_a:,} photos are right in {name_a} only, {only_b:,} in {name_b} only. Were both equally good, a split at least this "
        f"uneven would come up in {chance} of tests (McNemar's exact test): {verdict}."
    )
