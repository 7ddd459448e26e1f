"""Decisions about labels change the accuracy as if the test set had come with them."""

import numpy as np
import pandas as pd
import pytest

from core.analysis.review import LEFT_OUT, corrected_accuracy, decision_table
from core.artifacts.predictions import predictions_from_table
from tests.prediction_tables import LABELS, NAMES, prediction_table

TABLE = prediction_table()
PREDICTIONS = predictions_from_table(TABLE, "test", LABELS)


def test_the_accuracy_is_that_of_a_test_set_with_the_corrected_labels():
    called = TABLE[list(NAMES)].idxmax(axis=1)
    wrong = TABLE[called != TABLE["label"]]
    agreed, left_out, refused = wrong["id"].iloc[:5], wrong["id"].iloc[5:8], wrong["id"].iloc[8:10]
    decisions = {str(photo): called[TABLE["id"] == photo].item() for photo in agreed}
    decisions |= {str(photo): LEFT_OUT for photo in left_out}
    decisions |= {str(photo): TABLE.loc[TABLE["id"] == photo, "label"].item() for photo in refused}
    decisions |= {"500000001": "Shirts"}  # a reported photo, not of this test set
    found = corrected_accuracy(PREDICTIONS, decisions)
    mended = TABLE.assign(label=TABLE["id"].astype(str).map(decisions).fillna(TABLE["label"]))
    kept = mended[mended["label"] != LEFT_OUT]
    assert found.corrections == 8
    assert found.before == pytest.approx((called == TABLE["label"]).mean())
    assert found.after == pytest.approx((called[kept.index] == kept["label"]).mean())
    assert found.words == (
        f"With these 8 corrections the test accuracy is {found.after:.1%} instead of {found.before:.1%}."
    )


def test_decisions_that_keep_every_label_are_no_corrections():
    keep = dict(zip(TABLE["id"].astype(str), TABLE["label"], strict=True))
    found = corrected_accuracy(PREDICTIONS, keep)
    assert found.words == "" and found.after == pytest.approx(found.before)


def test_a_test_set_of_which_nothing_is_left_has_no_accuracy():
    assert np.isnan(corrected_accuracy(PREDICTIONS, dict.fromkeys(TABLE["id"].astype(str), LEFT_OUT)).after)


def test_the_table_of_decisions_says_what_the_label_was():
    table = decision_table({"7": "Shirts", "8": LEFT_OUT}, {"7": "Tops"})
    assert table.equals(pd.DataFrame({"id": ["7", "8"], "label": ["Shirts", ""], "given": ["Tops", ""]}))
