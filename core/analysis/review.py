"""A review of labels: what is decided about photos whose label is in doubt, and what that means for the accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.artifacts.predictions import Predictions

LEFT_OUT = ""  # the decision that a photo is of none of the classes, or of no use


class Corrected(NamedTuple):
    """Accuracy on the photos of a test set with their labels as given, and as corrected.

    Args:
        corrections: decisions that change a label or leave a photo out.
        before: share of correct predictions, in [0, 1].
        after: the same with the corrections; NaN if no photo is left.
    """

    corrections: int
    before: float
    after: float

    @property
    def words(self) -> str:
        """In a sentence; empty without corrections."""
        if not self.corrections:
            return ""
        those = "this correction" if self.corrections == 1 else f"these {self.corrections:,} corrections"
        return f"With {those} the test accuracy is {self.after:.1%} instead of {self.before:.1%}."


def corrected_accuracy(predictions: Predictions, decisions: Mapping[str, str]) -> Corrected:
    """What decisions about photos of a test set do to its accuracy.

    Args:
        predictions: of the test set.
        decisions: photo id to its correct class; LEFT_OUT, or what is none of the classes, takes the photo out.
    """
    ids, names = predictions.table["id"].astype(str), np.array(predictions.labels.names, dtype=object)
    given = names[predictions.true]
    label = np.array([decisions.get(photo, now) for photo, now in zip(ids, given, strict=True)], dtype=object)
    kept = np.isin(label, names)
    right = names[predictions.predicted] == label
    after = float(right[kept].mean()) if kept.any() else float("nan")
    return Corrected(int((label != given).sum()), float(predictions.correct.mean()), after)


def decision_table(decisions: Mapping[str, str], given: Mapping[str, str]) -> pd.DataFrame:
    """Decisions as the trainer reads them: columns id, label (empty: left out), and given, the label before.

    Args:
        decisions: photo id to its correct class, or LEFT_OUT.
        given: label of each photo until now.
    """
    rows = [(photo, label, given.get(photo, "")) for photo, label in decisions.items()]
    return pd.DataFrame(rows, columns=["id", "label", "given"])
