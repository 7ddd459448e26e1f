"""Cohorts: the same photos again from an address, whatever someone writes into it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from core.analysis.cohorts import (
    Cohort,
    cohort_table,
    cohorts_from_text,
    cohorts_text,
    compared,
    inside,
    polygon_from_text,
    polygon_text,
)
from core.artifacts.predictions import predictions_from_table
from tests.prediction_tables import LABELS, prediction_table


@pytest.fixture(scope="module")
def predictions():
    return predictions_from_table(prediction_table(), "p.csv", LABELS)


SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
FULL = Cohort("Männer, rot", ("Tops", "Shirts"), {"colour": ["Red"]}, (0.2, 0.9), 0.3, SQUARE)


def test_a_cohort_comes_back_from_an_address():
    assert cohorts_from_text(cohorts_text([FULL, Cohort("all")])) == (FULL, Cohort("all"))


@pytest.mark.parametrize("text", ["", "[", "{}", "3", '[1, "x", null]', '[{"name": "a"}]', '[{"name":"a","cell":1}]'])
def test_an_address_that_holds_no_cohorts_gives_none(text):
    assert cohorts_from_text(text) == ()


def test_a_cohort_is_every_condition_at_once(predictions):
    places = np.random.default_rng(0).uniform(-2, 6, (len(predictions), 2))
    expected = (
        predictions.mask({"colour": ["Red"]}, (0.2, 0.9))
        & (predictions.confidence >= 0.3)
        & (predictions.true == 2)
        & inside(places, SQUARE)
    )
    by_cell = Cohort("a", ("Tops", "Tops"), FULL.values, FULL.confidence, FULL.threshold, SQUARE)
    assert (
        by_cell.rows(predictions, places).tolist() == np.flatnonzero(expected & (predictions.predicted == 2)).tolist()
    )
    assert len(by_cell.rows(predictions, places))
    assert not len(FULL.rows(predictions, None))  # a lasso without a map selects nothing


def test_a_filter_or_class_that_other_predictions_lack_keeps_every_photo(predictions):
    assert len(Cohort("a", ("Socks", "Shirts"), {"season": ["Fall"]}).rows(predictions, None)) == len(predictions)


CORNER = st.tuples(st.integers(-5, 5), st.integers(-5, 5))


@given(st.tuples(CORNER, CORNER, CORNER))
def test_inside_of_a_triangle_is_on_the_same_side_of_all_its_edges(corners):
    points = np.random.default_rng(0).uniform(-6, 6, (100, 2))
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    sides = np.array([(b[0] - a[0]) * (points[:, 1] - a[1]) - (b[1] - a[1]) * (points[:, 0] - a[0]) for a, b in edges])
    assert (inside(points, corners) == ((sides > 0).all(axis=0) | (sides < 0).all(axis=0))).all()


def test_what_has_no_place_is_in_no_polygon():
    assert not inside(np.full((1, 2), np.nan), SQUARE).any()


@pytest.mark.parametrize("text", ["", "1,2", "a,b;c,d;e,f", "1,2,3;4,5;6,7", "nan,1;2,3;4,5", "1,2;3,4"])
def test_what_is_no_polygon_selects_nothing(text):
    assert polygon_from_text(text) == ()


def test_a_long_lasso_is_shortened_for_the_address():
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = tuple(zip(np.cos(angles) * 3, np.sin(angles) * 3, strict=True))
    short = polygon_from_text(polygon_text(circle))
    assert len(short) <= 40
    points = np.random.default_rng(0).uniform(-4, 4, (500, 2))
    assert (inside(points, short) == inside(points, circle)).mean() > 0.97


def test_two_cohorts_are_compared_by_fishers_test_on_the_photos_that_they_do_not_share(predictions):
    first, second = np.arange(0, 120), np.arange(100, 300)
    sides = [predictions.correct[:100], predictions.correct[120:300]]
    square = [[side.sum(), (~side).sum()] for side in sides]
    assert compared(predictions, first, second) == pytest.approx(fisher_exact(square).pvalue)


def test_the_table_of_cohorts_counts_their_photos_and_one_without_photos_has_no_accuracy(predictions):
    table = cohort_table(predictions, {"a": np.arange(50), "none": np.arange(0)}).set_index("name")
    assert table.loc["a", "accuracy"] == predictions.correct[:50].mean() and table.loc["a", "photos"] == 50
    assert np.isnan(table.loc["none", "accuracy"])
