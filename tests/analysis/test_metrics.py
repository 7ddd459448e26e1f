"""The measures against scikit-learn, scipy, definitions written out by hand, and their boundary cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, top_k_accuracy_score

from core.analysis import metrics
from core.inference import postprocess

NAMES = ("Tshirts", "Shirts", "Jeans", "Skirts")


@pytest.fixture(scope="module")
def sample():
    """Labels, probabilities and predictions of 400 rows over 4 classes, the last of which has no samples."""
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, 400)
    logits = random.normal(size=(400, 4)) * 2
    logits[np.arange(400), labels] += 2
    probabilities = postprocess.softmax(logits)
    return labels, probabilities, probabilities.argmax(axis=1)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_interval_is_scipys(n, share, confidence):
    k = round(share * n)
    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert metrics.wilson_interval(k, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_interval_stays_in_0_to_1_and_of_nothing_is_nan():
    assert metrics.wilson_interval(0, 5)[0] == 0
    assert metrics.wilson_interval(5, 5)[1] == 1
    assert np.isnan(metrics.wilson_interval(0, 0)).all()


def test_wilson_interval_of_the_issues_example():
    """14 of 142 Tops were called Tshirts."""
    low, high = metrics.wilson_interval(14, 142)
    assert f"{14 / 142:.1%} {low:.1%} {high:.1%}" == "9.9% 6.0% 15.9%"


def test_wilson_interval_takes_arrays():
    low, high = metrics.wilson_interval(np.array([[1, 2], [0, 0]]), np.array([[4, 4], [4, 0]]))
    assert low.shape == high.shape == (2, 2)
    assert (low[0, 1], high[0, 1]) == metrics.wilson_interval(2, 4)
    assert np.isnan(low[1, 1])


def test_accuracy_with_interval():
    rate = metrics.accuracy_with_interval(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    assert rate.value == 0.75
    assert (rate.low, rate.high) == metrics.wilson_interval(3, 4)
    assert np.isnan(metrics.accuracy_with_interval(np.array([]), np.array([]))).all()


def test_top_k_accuracy_is_scikit_learns(sample):
    labels, probabilities, _ = sample
    for k in (1, 2, 3):
        expected = top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(4))
        assert metrics.top_k_accuracy(probabilities, labels, k) == pytest.approx(expected)
    assert metrics.top_k_accuracy(probabilities, labels, 4) == 1


def test_top_1_accuracy_agrees_with_argmax_on_ties():
    uniform = np.full((3, 3), 1 / 3)
    assert metrics.top_k_accuracy(uniform, np.array([0, 1, 2]), 1) == pytest.approx(1 / 3)


def test_macro_f1_is_over_the_classes_with_samples():
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert metrics.macro_f1(labels, predictions) == pytest.approx((2 / 3 + 1) / 2)
    assert np.isnan(metrics.macro_f1(np.array([]), np.array([])))


def test_classification_table_is_scikit_learns_on_the_samples(sample):
    labels, _, predictions = sample
    table = metrics.classification_table(labels, predictions, NAMES)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predictions, zero_division=0)
    seen = slice(0, 3)
    np.testing.assert_allclose(table["precision"], precision)
    np.testing.assert_allclose(table["recall"][seen], recall[seen])
    np.testing.assert_allclose(table["f1"][seen], f1[seen])
    assert table["support"].tolist() == support.tolist()
    assert table["class"].tolist() == list(NAMES)


def test_a_class_without_samples_has_no_recall_and_no_f1(sample):
    labels, _, predictions = sample
    row = metrics.classification_table(labels, predictions, NAMES).iloc[3]
    assert row["support"] == 0 and row["predicted"] > 0
    assert row[["recall", "recall_low", "recall_high", "f1"]].isna().all()


def test_a_class_never_predicted_has_no_precision_but_f1_of_0():
    row = metrics.classification_table(np.array([0, 1]), np.array([0, 0]), ("a", "b")).iloc[1]
    assert np.isnan(row["precision"]) and row["recall"] == 0 and row["f1"] == 0


def test_classification_intervals_are_wilsons_of_the_diagonal():
    counts = np.array([[8, 2], [1, 4]])
    table = metrics.classification_table_from_counts(counts, ("a", "b"))
    assert tuple(table.loc[0, ["recall_low", "recall_high"]]) == metrics.wilson_interval(8, 10)
    assert tuple(table.loc[0, ["precision_low", "precision_high"]]) == metrics.wilson_interval(8, 9)


def test_classification_table_of_no_samples_is_all_nan():
    table = metrics.classification_table(np.array([], int), np.array([], int), NAMES)
    assert table[["precision", "recall", "f1"]].isna().all(axis=None)
    assert (table["support"] == 0).all()


def test_fit_temperature_recovers_the_temperature_that_drew_the_labels():
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 5)) * 3
    labels = np.array([random.choice(5, p=p) for p in postprocess.softmax(logits, 2.0)])
    assert metrics.fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.05)


def test_fit_temperature_is_the_least_log_loss_of_its_neighbourhood(sample):
    labels, probabilities, _ = sample
    log_probabilities = np.log(probabilities)
    best = metrics.fit_temperature(log_probabilities, labels)

    def loss(temperature):
        return log_loss(labels, postprocess.softmax(log_probabilities, temperature), labels=np.arange(4))

    assert loss(best) < min(loss(best * 1.05), loss(best / 1.05))


def test_log_probabilities_and_logits_give_the_same_softmax():
    logits = np.array([[1.0, 3.0, -2.0]])
    np.testing.assert_allclose(
        postprocess.softmax(np.log(postprocess.softmax(logits)), 1.7), postprocess.softmax(logits, 1.7), rtol=1e-12
    )


def test_softmax_of_large_logits_is_finite():
    assert postprocess.softmax(np.array([[1000.0, 0.0]])).tolist() == [[1.0, 0.0]]


def test_calibration_error_written_out_by_hand(sample):
    labels, probabilities, predictions = sample
    confidence, correct = probabilities.max(axis=1), labels == predictions
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(confidence, correct) == pytest.approx(expected)


def test_calibration_error_at_the_ends():
    assert metrics.expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert metrics.expected_calibration_error(np.array([1.0]), np.array([False])) == 1
    assert metrics.expected_calibration_error(np.array([0.0]), np.array([False])) == 0
    assert np.isnan(metrics.expected_calibration_error(np.array([]), np.array([], bool)))


def test_a_confidence_on_an_edge_lies_in_the_lower_bin():
    table = metrics.reliability_table(np.array([0.5, 0.50001]), np.array([True, False]), bins=2)
    assert table["count"].tolist() == [1, 1]


def test_an_empty_bin_has_no_accuracy():
    table = metrics.reliability_table(np.array([0.9]), np.array([True]), bins=2)
    assert table["count"].tolist() == [0, 1]
    assert table.loc[0, ["confidence", "accuracy", "accuracy_low"]].isna().all()


def test_risk_coverage_at_every_threshold(sample):
    labels, probabilities, predictions = sample
    confidence, correct = probabilities.max(axis=1).round(2), labels == predictions
    curve = metrics.risk_coverage(confidence, correct)
    assert curve["threshold"].is_monotonic_decreasing and curve["threshold"].is_unique
    for row in curve.itertuples():
        answered = confidence >= row.threshold
        assert (row.coverage, row.accuracy) == pytest.approx((answered.mean(), correct[answered].mean()))
    assert curve["coverage"].iloc[-1] == 1
    assert metrics.risk_coverage(np.array([]), np.array([], bool)).empty


def test_auroc_is_the_share_of_pairs_in_order():
    scores_in, scores_out = np.array([0.9, 0.8, 0.4]), np.array([0.4, 0.1])
    pairs = [(a > b) + (a == b) / 2 for a in scores_in for b in scores_out]
    assert metrics.auroc(scores_in, scores_out) == pytest.approx(np.mean(pairs))
    assert np.isnan(metrics.auroc(scores_in, np.array([])))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_threshold_keeps_its_share_and_is_the_largest_that_does(scores, tpr):
    scores = np.array(scores)
    threshold = metrics.threshold_at_tpr(scores, tpr)
    assert np.mean(scores >= threshold) >= tpr
    assert all(np.mean(scores >= larger) < tpr for larger in scores[scores > threshold])


def test_confusion_counts_are_scikit_learns(sample):
    labels, _, predictions = sample
    expected = confusion_matrix(labels, predictions, labels=np.arange(4))
    assert metrics.confusion_counts(labels, predictions, 4).tolist() == expected.tolist()


def test_a_single_class_has_a_table_of_one_row():
    table = metrics.classification_table(np.array([0]), np.array([0]), ("only",))
    assert table[["class", "support", "recall", "f1"]].values.tolist() == [["only", 1, 1.0, 1.0]]
