"""Why a class is taken for another: what is over-represented, what kind each mistake is, and which photos are nearest."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from core.analysis.dossier import (
    IN_DOUBT,
    QUALITY,
    REASONS,
    SECOND_GUESS,
    UNUSUAL,
    Dossier,
    dossier,
    dossier_words,
    marks,
    nearest,
)
from core.artifacts.predictions import predictions_from_table
from tests.prediction_tables import LABELS, NAMES, prediction_table


@pytest.fixture(scope="module")
def predictions():
    """T-shirts predicted as tops mostly have "Glitter" in their names."""
    table = prediction_table(600)
    top = (table["label"] == "Tshirts") & (np.arange(600) % 4 == 0)
    table.loc[top, list(NAMES)] = [0.1, 0.05, 0.8, 0.02, 0.02, 0.01]
    table.loc[top, "product"] = "Brand Glitter Red Tshirts"
    return predictions_from_table(table, "p.csv", LABELS)


def cell(predictions) -> tuple[np.ndarray, np.ndarray]:
    of_class = predictions.true == 0
    return np.flatnonzero(of_class & (predictions.predicted == 2)), np.flatnonzero(of_class)


def test_words_and_values_are_fishers_exact_test_against_the_rest_of_the_class(predictions):
    rows, class_rows = cell(predictions)
    found = marks(predictions, rows, class_rows)
    assert (found["facet"][0], found["value"][0]) == ("word", "glitter")
    inside = np.isin(class_rows, rows)
    has = predictions.table["product"].iloc[class_rows].str.contains("Glitter").to_numpy()
    square = [[(inside & has).sum(), (inside & ~has).sum()], [(~inside & has).sum(), (~inside & ~has).sum()]]
    assert found["share"][0] == pytest.approx((inside & has).sum() / inside.sum())
    assert found["share_of_others"][0] == pytest.approx((~inside & has).sum() / (~inside).sum())
    assert found["p_corrected"][0] >= fisher_exact(square, alternative="greater").pvalue
    assert (found["p_corrected"] < 0.05).all()


def test_nothing_is_over_represented_where_the_cell_is_like_its_class():
    predictions = predictions_from_table(prediction_table(400, seed=2), "p.csv", LABELS)
    rows = np.flatnonzero(predictions.true == 0)
    assert marks(predictions, rows[::2], rows).empty
    assert marks(predictions, rows, rows).empty  # there is no rest to compare with
    assert false_discovery_control([0.01]) == 0.01


def test_every_mistake_is_of_the_first_kind_that_applies(predictions):
    rows, class_rows = cell(predictions)
    suspected, poor = np.zeros(len(predictions), bool), np.zeros(len(predictions), bool)
    suspected[rows[0]] = poor[rows[0]] = poor[rows[1]] = True
    found = dossier(predictions, rows, class_rows, suspected, poor)
    assert found.reasons[:2].tolist() == [IN_DOUBT, QUALITY]
    expected = np.where(predictions.true_rank[rows[2:]] == 1, SECOND_GUESS, UNUSUAL)
    assert found.reasons[2:].tolist() == expected.tolist() and set(found.reasons) <= set(REASONS)


def test_correct_predictions_have_no_kind_of_mistake(predictions):
    rows = np.flatnonzero((predictions.true == 3) & predictions.correct)
    nothing = np.zeros(len(predictions), bool)
    assert not len(dossier(predictions, rows, rows, nothing, nothing).reasons)


def test_the_sentences_name_the_kinds_and_what_stands_out_most():
    found = Dossier(
        np.array([IN_DOUBT, SECOND_GUESS, SECOND_GUESS]),
        pd.DataFrame(
            [{"facet": "word", "value": "glitter", "share": 0.9, "share_of_others": 0.1, "p_corrected": 0.003}]
        ),
    )
    assert dossier_words(found, {}) == (
        "Mistakes by kind: label in doubt 1, second guess correct 2. Word in the name “glitter”: 90% of these photos, 10% of the rest "
        "of the class (corrected p = 0.003)."
    )


def test_the_nearest_photos_are_those_with_the_least_distance_to_any_of_the_cell():
    places = np.array([[0, 0], [10, 0], [1, 0], [9.5, 0], [5, 0], [np.nan, np.nan]])
    assert nearest(places, np.array([0, 1]), np.arange(6), 3).tolist() == [3, 2, 4]
    assert not len(nearest(places, np.array([5]), np.arange(5), 3))
