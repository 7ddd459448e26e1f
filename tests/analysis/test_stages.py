"""What a stage taught: photos, classes and the paired test, each counted another way."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from core.analysis import stages as analysis
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import Predictions, predictions_from_table

LABELS = LabelSet({"Tops": ("Tshirts", "Shirts"), "Bottoms": ("Jeans",)})
# Photo: its class, and the probability of it after stages 1, 2 and 3; the rest goes to the next class.
PHOTOS = {
    "a": ("Tshirts", (0.9, 0.8, 0.7)),
    "b": ("Tshirts", (0.2, 0.9, 0.3)),
    "c": ("Shirts", (0.3, 0.6, 0.9)),
    "d": ("Shirts", (0.8, 0.1, 0.9)),
    "e": ("Jeans", (0.4, 0.95, 0.9)),
}


def after(stage: int) -> Predictions:
    rows = []
    for photo, (label, probabilities) in PHOTOS.items():
        p = dict.fromkeys(LABELS.names, 0.0)
        p[label] = probabilities[stage - 1]
        p[LABELS.names[(LABELS.index(label) + 1) % 3]] = 1 - probabilities[stage - 1]
        rows.append({"id": photo, "label": label, "product": f"Product {photo}"} | p)
    return predictions_from_table(pd.DataFrame(rows), "test", LABELS)


STAGES = {stage: after(stage) for stage in (1, 2, 3)}


def test_changes_by_stage_are_counted_with_mcnemars_test():
    table = analysis.changes_table(STAGES)
    assert table["stage"].tolist() == [2, 3]
    assert table["became_correct"].tolist() == [3, 1] and table["became_incorrect"].tolist() == [1, 1]
    assert table["p"].tolist() == pytest.approx([binomtest(3, 4).pvalue, binomtest(1, 2).pvalue])


def test_the_first_stage_has_nothing_to_be_compared_with():
    assert analysis.stage_change(STAGES, 1) is None and analysis.changes_table({}).empty


def test_changes_are_counted_by_class():
    change = analysis.stage_change(STAGES, 2)
    assert change
    assert analysis.changes_by_class(change, STAGES[2]).values.tolist() == [
        ["Shirts", 2, 1, 1],
        ["Tshirts", 2, 1, 0],
        ["Jeans", 1, 1, 0],
    ]


def test_photos_that_changed_come_most_changed_first_with_both_predictions():
    change = analysis.stage_change(STAGES, 2)
    assert change
    better = analysis.changed_photos(change, STAGES[1], STAGES[2], to_correct=True)
    assert better[["id", "label", "before", "after"]].values.tolist() == [
        ["b", "Tshirts", "Shirts", "Tshirts"],
        ["e", "Jeans", "Tshirts", "Jeans"],
        ["c", "Shirts", "Jeans", "Shirts"],
    ]
    assert (better["p_after"] - better["p_before"]).tolist() == pytest.approx([0.7, 0.55, 0.3])
    worse = analysis.changed_photos(change, STAGES[1], STAGES[2], to_correct=False)
    assert worse[["id", "product", "after"]].values.tolist() == [["d", "Product d", "Jeans"]]


def test_the_true_class_is_followed_through_the_stages():
    table = analysis.true_class_probabilities(STAGES, ["d", "a", "gone"])
    np.testing.assert_allclose(table.loc[["d", "a"]], [[0.8, 0.1, 0.9], [0.9, 0.8, 0.7]])
    assert table.loc["gone"].isna().all() and list(table.columns) == [1, 2, 3]
