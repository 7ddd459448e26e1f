"""Where a network is worse than elsewhere: accuracy by facet and by pairs of facets, and labels that are probably wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from core.analysis.confusion import ranked
from core.analysis.metrics import Rate, auroc, wilson_interval

SMALLEST_SLICE = 20  # photos; accuracy of fewer says next to nothing
SIGNIFICANCE = 0.05


def slices(facets: Mapping[str, pd.Categorical], correct: np.ndarray, pairs: bool = True) -> pd.DataFrame:
    """Accuracy of every value of every facet, and of every pair of values of two facets, against all other rows; lowest first.

    The test is Fisher's exact test, one-sided (is this slice less accurate than the rest?). `p_corrected` controls the false discovery
    rate over everything that was searched (Benjamini and Hochberg 1995). A slice with fewer than 20 photos, or that holds every row, is
    not looked at; nor is a pair that holds the same rows as one of its two values.

    Args:
        facets: name to one value a row, of the n rows looked at.
        correct: bool (n,).
        pairs: whether to search pairs too.

    Returns:
        Columns facet, value, facet_2, value_2 (empty for a single value), n, accuracy, low, high, rest (accuracy of the others), p,
        p_corrected.
    """
    singles = {name: _counted(facet.codes, len(facet.categories), correct) for name, facet in facets.items()}
    tables = [_slices_of(name, facets[name].categories, *counted, correct) for name, counted in singles.items()]
    for first, second in itertools.combinations(facets, 2) if pairs else ():
        tables.append(_pairs_of(first, second, facets, singles, correct))
    table = pd.concat(tables, ignore_index=True)
    table = ranked(table, np.ones(len(table), bool), table["accuracy"], -table["n"])
    return table.assign(p_corrected=benjamini_hochberg(table["p"].to_numpy()))


def _counted(codes: np.ndarray, values: int, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each value, and how many of them are correct; rows without a value (code -1) are in none."""
    codes = codes.astype(np.intp) + 1
    n = np.bincount(codes, minlength=values + 1)
    right = np.bincount(codes[correct], minlength=values + 1)
    return n[1:], right[1:]


def _pairs_of(
    first: str,
    second: str,
    facets: Mapping[str, pd.Categorical],
    singles: Mapping[str, tuple[np.ndarray, np.ndarray]],
    correct: np.ndarray,
) -> pd.DataFrame:
    a, b = facets[first], facets[second]
    codes = np.where((a.codes < 0) | (b.codes < 0), -1, a.codes.astype(np.intp) * len(b.categories) + b.codes)
    n, right = _counted(codes, len(a.categories) * len(b.categories), correct)
    rows, columns = np.divmod(np.arange(len(n)), len(b.categories))
    own = (n < singles[first][0][rows]) & (n < singles[second][0][columns])
    n = np.where(own, n, 0)
    table = _slices_of(first, a.categories[rows], n, right, correct)
    kept = _looked_at(n, correct)
    return table.assign(facet_2=second, value_2=b.categories[columns[kept]])


def _looked_at(n: np.ndarray, correct: np.ndarray) -> np.ndarray:
    return np.flatnonzero((n >= SMALLEST_SLICE) & (n < len(correct)))


def _slices_of(name: str, values: pd.Index, n: np.ndarray, right: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    kept = _looked_at(n, correct)
    values, n, right = values[kept], n[kept], right[kept]
    total, total_right = len(correct), int(correct.sum())
    low, high = wilson_interval(right, n)
    accuracy, rest = right / n, (total_right - right) / (total - n)
    p = hypergeom.cdf(right, total, total_right, n)
    named = {"facet": name, "value": values.astype(str), "facet_2": "", "value_2": ""}
    return pd.DataFrame({**named, "n": n, "accuracy": accuracy, "low": low, "high": high, "rest": rest, "p": p})


def slice_rows(facets: Mapping[str, pd.Categorical], row: Mapping[str, Any]) -> np.ndarray:
    """Rows of a slice, bool (n,): `row` is one of `slices`."""
    keep = np.asarray(facets[row["facet"]] == row["value"])
    return keep & np.asarray(facets[row["facet_2"]] == row["value_2"]) if row["facet_2"] else keep


def binned(values: np.ndarray, names: tuple[str, ...]) -> pd.Categorical:
    """Numbers as equally filled bins, the lowest first; NaN is in none, and values that are equal share a bin."""
    edges = np.nanquantile(values, np.linspace(0, 1, len(names) + 1)[1:-1]) if np.isfinite(values).any() else []
    codes = np.searchsorted(edges, values, side="left")
    return pd.Categorical.from_codes(np.where(np.isnan(values), -1, codes), list(names))


def clusters(places: np.ndarray, count: int) -> pd.Categorical:
    """Groups of rows that are close together (k-means), numbered from 1; rows without a place (NaN) are in none.

    Args:
        places: (n, d).
        count: of groups, at most.
    """
    known = np.flatnonzero(~np.isnan(places[:, 0]))
    count = min(count, len(known))
    codes = np.full(len(places), -1)
    if count:
        codes[known] = KMeans(count, n_init=1, random_state=0).fit_predict(places[known])  # pyright: ignore[reportArgumentType]
    return pd.Categorical.from_codes(codes, [str(number) for number in range(1, count + 1)])


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """p-values (m,) adjusted so that the false discovery rate is controlled (Benjamini and Hochberg 1995), in [0, 1]."""
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1)).clip(max=1)
    adjusted = np.empty(len(p))
    adjusted[order] = stepped
    return adjusted


def worst_slice(table: pd.DataFrame) -> dict[str, Any] | None:
    """Column name to value of the row of `slices` that is most certainly below the rest, at 5% at least; None if none is."""
    if table.empty or not (table["p_corrected"] < SIGNIFICANCE).any():  # pyright: ignore[reportGeneralTypeIssues]
        return None
    return table.iloc[int(np.lexsort([table["accuracy"], table["p_corrected"]])[0])].to_dict()


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


def predictable_errors(properties: pd.DataFrame, correct: np.ndarray) -> Rate | None:
    """How well numbers about photos alone tell mistakes from correct predictions: AUROC with its 95% interval (Hanley and McNeil 1982).

    A logistic regression on each number's rank and how far that is from the middle, scored on photos that it was not fitted on.

    Args:
        properties: one column a number, one row a photo; rows with NaN are left out.
        correct: bool (n,).

    Returns:
        None with fewer than 20 mistakes or correct predictions.
    """
    known = properties.notna().all(axis=1).to_numpy()
    wrong = ~correct[known]
    if min(wrong.sum(), (~wrong).sum()) < SMALLEST_SLICE:
        return None
    ranks = properties[known].rank(pct=True).to_numpy() - 0.5
    features = np.hstack([ranks, np.abs(ranks)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(LogisticRegression(), features, wrong, cv=folds, method="predict_proba")[:, 1]  # pyright: ignore[reportArgumentType, reportCallIssue]
    value = auroc(scores[wrong], scores[~wrong])  # pyright: ignore[reportArgumentType]
    return Rate(value, *_hanley_mcneil(value, int(wrong.sum()), int((~wrong).sum())))


def _hanley_mcneil(value: float, positives: int, negatives: int) -> tuple[float, float]:
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (positives - 1) * (q1 - value**2) + (negatives - 1) * (q2 - value**2)
    half = 1.96 * np.sqrt(variance / (positives * negatives))
    return max(0.0, value - half), min(1.0, value + half)
