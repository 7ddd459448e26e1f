"""Two runs compared on the photos they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from core.analysis.confusion import ranked
from core.analysis.slices import SIGNIFICANCE
from core.artifacts.predictions import Predictions
from core.errors import InvalidData


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
        raise InvalidData("The two have different classes, so their matrices cannot be compared.")
    found = pd.Index(b.table["id"]).get_indexer(pd.Index(a.table["id"]))
    rows_a = np.flatnonzero((found >= 0) & mask)
    rows_b = found[rows_a]
    if not len(rows_a):
        raise InvalidData("The two have no test photo in common, so they cannot be compared photo by photo.")
    different = a.true[rows_a] != b.true[rows_b]
    if different.any():
        example, n = a.table["id"].iloc[rows_a[different][0]], different.sum()
        raise InvalidData(
            f"The two have different true classes for {n:,} photo{'' if n == 1 else 's'} (such as id {example}). Compare runs that "
            f"were measured with the same labels."
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
    return ranked(table, np.ones(len(table), bool), -wrong)


def comparison_words(comparison: Comparison, name_a: str, name_b: str) -> str:
    """McNemar's test in words."""
    only_a, only_b, p = comparison.only_a, comparison.only_b, comparison.p
    if not only_a + only_b:
        return f"{name_a} and {name_b} are correct and incorrect on exactly the same photos."
    better = name_a if only_a > only_b else name_b
    verdict = f"{better} is significantly better" if p < SIGNIFICANCE else "No significant difference"
    value = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return f"{verdict} (McNemar {value}): {only_a:,} photos are correct in {name_a} only, {only_b:,} in {name_b} only."
