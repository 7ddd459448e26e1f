"""The tables of the confusion page against scikit-learn, scipy, pandas and loops written out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control, fisher_exact
from sklearn.metrics import average_precision_score, confusion_matrix

from core.analysis import confusion, slices
from core.analysis.comparison import Comparison, compare, comparison_words, disagreements
from core.analysis.metrics import confusion_counts, risk_coverage, wilson_interval
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import predictions_from_table
from core.errors import InvalidData
from core.inference.postprocess import softmax
from tests.prediction_tables import EMPTY, LABELS, NAMES, prediction_table


@pytest.fixture(scope="module")
def table():
    frame = prediction_table()
    return frame.assign(prediction=frame[list(NAMES)].idxmax(axis=1), confidence=frame[list(NAMES)].max(axis=1))


@pytest.fixture(scope="module")
def predictions(table):
    return predictions_from_table(table, "predictions.csv", LABELS)


@pytest.fixture(scope="module")
def everything(predictions):
    return np.ones(len(predictions), bool)


@pytest.fixture(scope="module")
def counts(predictions, everything):
    return confusion.counts_of(predictions, everything)


def test_counts_are_scikit_learns_under_a_filter_too(table, predictions):
    mask = predictions.mask({"colour": ["Red"]})
    red = table[table["colour"] == "Red"]
    expected = confusion_matrix(red["label"], red["prediction"], labels=list(NAMES))
    assert confusion.counts_of(predictions, mask).tolist() == expected.tolist()


ANSWERS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60)


@given(ANSWERS, ANSWERS)
def test_counts_add_up_and_turn_over_when_truth_and_answer_are_swapped(first, second):
    def count(pairs):
        true, predicted = np.array(pairs, int).reshape(-1, 2).T
        return confusion_counts(true, predicted, 6)

    counts = count(first)
    assert counts.sum() == len(first)
    assert counts.sum(axis=1).tolist() == [sum(true == i for true, _ in first) for i in range(6)]
    assert (count([(predicted, true) for true, predicted in first]) == counts.T).all()
    assert (count(first[::-1]) == counts).all()
    assert (count(first + second) == counts + count(second)).all()


@pytest.mark.parametrize(("by", "sklearn_name"), [("true", "true"), ("predicted", "pred"), ("all", "all")])
def test_normalisations_are_scikit_learns_where_there_are_samples(table, counts, by, sklearn_name):
    expected = confusion_matrix(table["label"], table["prediction"], labels=list(NAMES), normalize=sklearn_name)
    rates = confusion.normalise(counts, by)
    known = ~np.isnan(rates)
    np.testing.assert_allclose(rates[known], expected[known])
    if by == "true":
        assert np.isnan(rates[NAMES.index(EMPTY)]).all() and known.sum() == 30


def test_orders(counts):
    assert confusion.class_order(counts, LABELS, "group") == list(range(6))
    sizes = counts.sum(axis=1)[confusion.class_order(counts, LABELS, "size")]
    assert (np.diff(sizes) <= 0).all()
    names = [NAMES[i] for i in confusion.class_order(counts, LABELS, "alphabet")]
    assert names == sorted(NAMES)


def test_similarity_puts_what_is_confused_side_by_side():
    counts = np.diag([50, 50, 50, 50, 50, 0])
    counts[0, 4] = counts[1, 3] = 25
    order = confusion.class_order(counts, LABELS, "similarity")
    assert sorted(order) == list(range(6))
    assert abs(order.index(0) - order.index(4)) == 1 and abs(order.index(1) - order.index(3)) == 1


@pytest.mark.parametrize("classes", [1, 2])
def test_similarity_of_few_classes_is_their_order(classes):
    labels = LabelSet({"All": tuple("ab"[:classes])})
    assert confusion.class_order(np.eye(classes, dtype=int), labels, "similarity") == list(range(classes))


@pytest.mark.parametrize("by", ["true", "predicted", "all", "counts"])
def test_every_cell_holds_what_pandas_counts(table, counts, by):
    for cell in confusion.cell_table(counts, NAMES, by).itertuples():
        true, called = table["label"] == NAMES[cell.true], table["prediction"] == NAMES[cell.predicted]
        of = {"predicted": called, "all": table["id"] > 0}.get(by, true)
        assert (cell.count, cell.n) == ((true & called).sum(), of.sum())
        assert (cell.low, cell.high) == pytest.approx(wilson_interval(cell.count, cell.n), nan_ok=True)
        assert cell.rate == pytest.approx(cell.count / cell.n if cell.n else np.nan, nan_ok=True)


def words(counts, by, true, predicted):
    cells = confusion.cell_table(np.array(counts), ("Tops", "Tshirts"), by)
    return cells[(cells["true"] == true) & (cells["predicted"] == predicted)]["words"].item()


def test_a_cell_is_worded_by_what_its_share_is_of():
    counts = [[128, 14], [58, 1000]]
    assert words(counts, "true", 0, 1) == "14 of 142 Tops predicted as Tshirts (9.9%, 95% CI 6.0–15.9%)"
    assert words(counts, "counts", 0, 1) == words(counts, "true", 0, 1)
    assert words(counts, "true", 0, 0) == "128 of 142 Tops predicted correctly (90.1%, 95% CI 84.1–94.0%)"
    assert words(counts, "predicted", 0, 1).startswith("14 of 1,014 photos predicted as Tshirts are Tops (1.4%")
    assert words(counts, "all", 0, 1).startswith("14 of 1,200 photos are Tops predicted as Tshirts (1.2%")


def test_words_of_a_class_without_samples():
    assert words([[0, 0], [1, 1]], "true", 0, 1) == "No Tops (n = 0)"
    assert words([[1, 0], [1, 0]], "predicted", 0, 1) == "No photos predicted as Tshirts (n = 0)"


def test_confused_pairs_are_pandas_most_frequent_mistakes(table, counts):
    pairs = confusion.confused_pairs(counts, NAMES)
    expected = table[table["label"] != table["prediction"]].groupby(["label", "prediction"]).size()
    listed = {(NAMES[p.true], NAMES[p.predicted]): p.count for p in pairs.itertuples()}
    assert listed == expected.to_dict()
    assert pairs["count"].is_monotonic_decreasing


def test_mistaken_both_ways(table, counts):
    shirts = confusion.mistaken_both_ways(counts, NAMES, NAMES.index("Shirts")).set_index("class")
    for other in set(NAMES) - {"Shirts"}:
        taken = ((table["label"] == "Shirts") & (table["prediction"] == other)).sum()
        mistaken = ((table["label"] == other) & (table["prediction"] == "Shirts")).sum()
        expected = [taken, mistaken] if taken + mistaken else None
        assert (shirts.loc[other].tolist() if other in shirts.index else None) == expected
    assert shirts.sum(axis=1).is_monotonic_decreasing


def test_photos_are_listed_with_their_details_and_both_probabilities(table, predictions):
    rows = np.flatnonzero((predictions.true == NAMES.index("Tops")) & (predictions.predicted == NAMES.index("Shirts")))
    listed = confusion.photo_rows(predictions, rows)
    behind = table[(table["label"] == "Tops") & (table["prediction"] == "Shirts")]
    expected = behind.sort_values("confidence", ascending=False)
    assert len(expected) > 1 and listed["id"].tolist() == expected["id"].astype(str).tolist()
    for column, source in (("p_predicted", "Shirts"), ("p_true", "Tops"), ("product", "product"), ("label", "label")):
        assert listed[column].tolist() == expected[source].tolist()


def test_the_first_photos_of_a_cell_obey_the_filter(table, predictions):
    rows = confusion.cell_rows(predictions, predictions.mask({"colour": ["Red"]}), 0, 0, limit=1000)
    behind = (table["label"] == NAMES[0]) & (table["prediction"] == NAMES[0]) & (table["colour"] == "Red")
    assert set(rows["id"]) == set(table["id"][behind].astype(str))
    assert confusion.cell_rows(predictions, predictions.mask({"colour": ["Red"]}), 0, 0, 1).equals(rows.head(1))


def test_average_precision_is_scikit_learns(table, predictions, everything):
    for name in NAMES:
        curve, average = confusion.class_precision_recall(predictions, everything, NAMES.index(name))
        if name == EMPTY:
            assert np.isnan(average) and curve.empty
        else:
            assert average == pytest.approx(average_precision_score(table["label"] == name, table[name]))
            at = curve.iloc[5]
            called = table[name] >= at["threshold"]
            assert at["recall"] == pytest.approx(
                (called & (table["label"] == name)).sum() / (table["label"] == name).sum()
            )
            assert at["precision"] == pytest.approx((table["label"][called] == name).mean())


def test_thinned_keeps_both_ends():
    curve = pd.DataFrame({"x": np.arange(5000)})
    thin = confusion.thinned(curve, 100)
    assert len(thin) == 100 and thin["x"].iloc[[0, -1]].tolist() == [0, 4999] and thin["x"].is_monotonic_increasing
    assert confusion.thinned(curve.head(100), 100).equals(curve.head(100))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.5])
def test_uncalibrated_confidence_undoes_temperature_scaling(temperature):
    logits = np.random.default_rng(0).normal(size=(50, 6)) * 5
    calibrated = softmax(logits, temperature)
    expected = softmax(logits).max(axis=1)
    np.testing.assert_allclose(confusion.uncalibrated_confidence(calibrated, temperature), expected)


def test_uncalibrated_confidence_of_a_certain_answer_is_certain():
    assert confusion.uncalibrated_confidence(np.array([[1.0, 0.0]]), 1.5).tolist() == [1.0]


def test_slices_are_fishers_exact_test_of_each_value(table, predictions):
    found = slices.slices(predictions.facets, predictions.correct, pairs=False)
    correct = (table["label"] == table["prediction"]).to_numpy()
    columns = {"colour": table["colour"], "usage": table["usage"], "group": table["group"]}
    checked = 0
    for row in found[found["facet"].isin(list(columns))].itertuples():
        inside = (columns[row.facet] == row.value).to_numpy()
        assert (row.n, row.accuracy, row.rest) == pytest.approx(
            (inside.sum(), correct[inside].mean(), correct[~inside].mean())
        )
        square = [
            [(inside & correct).sum(), (inside & ~correct).sum()],
            [(~inside & correct).sum(), (~inside & ~correct).sum()],
        ]
        assert row.p == pytest.approx(fisher_exact(square, alternative="less").pvalue)
        checked += 1
    assert checked == 3 + 2 + 2
    assert found["accuracy"].is_monotonic_increasing


def test_pairs_of_values_are_fishers_exact_test_too(table, predictions):
    found = slices.slices(predictions.facets, predictions.correct)
    correct = (table["label"] == table["prediction"]).to_numpy()
    of = found[found[["facet", "facet_2"]].isin(["colour", "usage"]).all(axis=1)]
    for row in of.itertuples():
        inside = ((table[row.facet] == row.value) & (table[row.facet_2] == row.value_2)).to_numpy()
        square = [
            [(inside & correct).sum(), (inside & ~correct).sum()],
            [(~inside & correct).sum(), (~inside & ~correct).sum()],
        ]
        assert (row.n, row.p) == pytest.approx((inside.sum(), fisher_exact(square, alternative="less").pvalue))
        assert slices.slice_rows(predictions.facets, row._asdict()).sum() == row.n
    assert len(of) == 6


def test_a_pair_that_holds_the_same_rows_as_one_of_its_values_is_not_searched():
    facets = {"a": pd.Categorical(["x"] * 30 + ["y"] * 30), "b": pd.Categorical(["u"] * 30 + ["v"] * 30)}
    found = slices.slices(facets, np.arange(60) % 3 > 0)
    assert set(found["facet_2"]) == {""} and len(found) == 4


def test_slices_too_small_or_holding_every_row_are_not_looked_at(predictions):
    few = predictions.mask({"colour": ["Red"]}) & (np.arange(len(predictions)) < 60)
    found = slices.slices({name: facet[few] for name, facet in predictions.facets.items()}, predictions.correct[few])
    assert "colour" not in set(found["facet"]) and (found["n"] >= slices.SMALLEST_SLICE).all()


@given(st.lists(st.floats(0, 1), max_size=40))
def test_the_false_discovery_rate_is_scipys(p):
    np.testing.assert_allclose(slices.benjamini_hochberg(np.array(p)), false_discovery_control(p) if p else [])


def test_bins_are_filled_equally_and_unknown_numbers_are_in_none():
    found = slices.binned(np.array([5, 1, np.nan, 4, 2, 3, 6]), ("low", "middle", "high"))
    assert found.codes.tolist() == [2, 0, -1, 1, 0, 1, 2]


def test_clusters_are_the_heaps_and_rows_without_a_place_are_in_none():
    places = np.vstack([np.random.default_rng(0).normal(10 * heap, 1, (20, 2)) for heap in range(3)] + [[[np.nan] * 2]])
    found = slices.clusters(places, 3)
    assert [len(set(found.codes[heap * 20 : heap * 20 + 20])) for heap in range(3)] == [1, 1, 1]
    assert len(set(found.codes[:60])) == 3 and found.codes[60] == -1
    assert set(slices.clusters(np.full((2, 2), np.nan), 3).codes) == {-1}


def test_numbers_that_cause_mistakes_predict_them_and_noise_does_not():
    random = np.random.default_rng(0)
    dark = random.uniform(0, 255, 2000)
    correct = random.random(2000) > np.where(dark < 50, 0.6, 0.05)
    cause = slices.predictable_errors(pd.DataFrame({"brightness": dark}), correct)
    noise = slices.predictable_errors(pd.DataFrame({"brightness": random.uniform(0, 1, 2000)}), correct)
    assert cause.low > 0.6 and noise.low < 0.53
    assert slices.predictable_errors(pd.DataFrame({"brightness": dark[:40]}), np.ones(40, bool)) is None


def test_the_worst_slice_is_the_one_made_worst(table):
    spoilt = table.copy()
    red = spoilt["colour"] == "Red"
    spoilt.loc[red, list(NAMES)] = np.roll(spoilt.loc[red, list(NAMES)].to_numpy(), 1, axis=1)
    predictions = predictions_from_table(spoilt, "p.csv", LABELS)
    worst = slices.worst_slice(slices.slices(predictions.facets, predictions.correct))
    assert (worst["facet"], worst["value"]) == ("colour", "Red")


def test_no_slice_is_worst_where_all_are_alike():
    table = pd.DataFrame({"accuracy": [0.8, 0.9], "p_corrected": [0.05, 0.9]})
    assert slices.worst_slice(table) is None


def test_suspected_label_errors_written_out_by_hand(predictions):
    probabilities, true = predictions.probabilities, predictions.true
    thresholds = [probabilities[true == j, j].mean() if (true == j).any() else np.inf for j in range(6)]
    expected = {}
    for row in range(len(true)):
        above = [j for j in range(6) if probabilities[row, j] >= thresholds[j]]
        if above and (best := max(above, key=lambda j: probabilities[row, j])) != true[row]:
            expected[row] = best
    found = slices.suspected_label_errors(probabilities, true)
    assert dict(zip(found["row"], found["suggested"], strict=True)) == expected and expected
    assert (found["p_suggested"] - found["p_label"]).is_monotonic_decreasing


def test_swapped_labels_are_suspected():
    """The certain rows of a good network whose labels were swapped are found, and no others."""
    true = np.repeat(np.arange(3), 30)
    probabilities = np.full((90, 3), 0.02)
    probabilities[np.arange(90), true] = 0.96
    given = true.copy()
    given[[0, 45]] = [2, 0]
    found = slices.suspected_label_errors(probabilities, given)
    assert sorted(zip(found["row"], found["suggested"], strict=True)) == [(0, 0), (45, 1)]


def other_run(table):
    """The same photos, shuffled, less ten, some answered differently."""
    random = np.random.default_rng(9)
    changed = table.sample(frac=1, random_state=4).reset_index(drop=True).iloc[10:].copy()
    rows = changed.index[random.random(len(changed)) < 0.2]
    changed.loc[rows, list(NAMES)] = np.roll(changed.loc[rows, list(NAMES)].to_numpy(), 1, axis=1)
    changed["prediction"] = changed[list(NAMES)].idxmax(axis=1)
    return changed


def test_compare_matches_by_id_and_counts_who_is_right(table, predictions, everything):
    other = other_run(table)
    comparison = compare(predictions, predictions_from_table(other, "b.csv", LABELS), everything)
    both = table.merge(other, on="id", suffixes=("_a", "_b"))
    right_a, right_b = both["label_a"] == both["prediction_a"], both["label_b"] == both["prediction_b"]
    assert len(comparison.rows_a) == len(table) - 10
    assert comparison.only_a == (right_a & ~right_b).sum() > 0
    assert comparison.only_b == (~right_a & right_b).sum()
    ids_only_a = predictions.table["id"].iloc[comparison.rows_a[comparison.right_a & ~comparison.right_b]]
    assert set(ids_only_a) == set(both["id"][right_a & ~right_b].astype(str))
    assert comparison.p == pytest.approx(binomtest(comparison.only_b, comparison.only_a + comparison.only_b).pvalue)


def test_mcnemars_p_is_the_binomial_sum_written_out(predictions):
    right = np.array([True] * 9 + [False])
    comparison = Comparison(np.arange(10), np.arange(10), right, ~right)
    assert comparison.p == pytest.approx(2 * (1 + 10) / 2**10)
    assert comparison_words(comparison, "A", "B") == (
        "A is significantly better (McNemar p = 0.021): 9 photos are correct in A only, 1 in B only."
    )


def test_words_of_a_split_that_chance_explains_and_of_none(predictions, everything):
    right = np.array([True, True, False])
    comparison = Comparison(np.arange(3), np.arange(3), right, ~right)
    assert comparison_words(comparison, "A", "B").startswith("No significant difference (McNemar p = 1)")
    same = compare(predictions, predictions, everything)
    assert same.p == 1 and "exactly the same photos" in comparison_words(same, "A", "B")


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        (lambda t: t.assign(id=t["id"] + 1_000_000), LABELS, "no test photo in common"),
        (
            lambda t: t.assign(label=["Jeans" if name == "Skirts" else name for name in t["label"]]),
            LABELS,
            "different true classes for",
        ),
        (lambda t: t, LabelSet({"All": NAMES[::-1]}), "different classes"),
    ],
)
def test_what_cannot_be_compared_is_told_so(table, predictions, everything, change, labels, message):
    other = predictions_from_table(change(table), "b.csv", labels)
    with pytest.raises(InvalidData, match=message):
        compare(predictions, other, everything)


def test_a_comparison_keeps_to_its_mask(predictions, everything):
    mask = predictions.mask({"colour": ["Red"]})
    assert compare(predictions, predictions, mask).rows_a.tolist() == np.flatnonzero(mask).tolist()


def test_the_headline_counts_photos_above_the_threshold_only():
    counts = np.array([[90, 6], [2, 2]])
    assert confusion.accuracy_words(counts, 100, 0) == "Accuracy 92.0% on 100 photos"
    assert confusion.accuracy_words(counts, 125, 0.8) == "Accuracy 92.0% at 80.0% coverage (confidence 0.80 or more)"


def test_the_lines_below_the_headline():
    low, high = binomtest(92, 100).proportion_ci(method="wilson")
    assert confusion.detail_words(np.array([[90, 6], [2, 2]]), ("Tops", "Jeans"), 125) == (
        f"95% CI {100 * low:.1f}–{high:.1%}, 100 of 125 photos. "
        "Most frequent mistake: 6 of 96 Tops predicted as Jeans (6.2%, 95% CI 2.9–13.0%)."
    )
    assert confusion.detail_words(np.diag([3, 4]), ("Tops", "Jeans"), 7).endswith("100.0%. No mistakes.")


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200))
def test_calibration_bins_keep_every_photo_and_hold_ten_where_there_are_ten(photos):
    confidence, correct = np.array([share for share, _ in photos]), np.array([hit for _, hit in photos])
    bins = confusion.calibration_bins(confidence, correct)
    assert bins["count"].sum() == len(photos)
    assert (bins["count"] >= min(10, len(photos))).all()
    assert (bins["accuracy"] * bins["count"]).sum() == pytest.approx(correct.sum())
    assert (bins["confidence"] * bins["count"]).sum() == pytest.approx(confidence.sum())


def test_the_threshold_for_an_accuracy_is_the_lowest_that_reaches_it(predictions):
    curve = risk_coverage(predictions.confidence, predictions.correct)
    found = confusion.thresholds_for(curve, [0.9, 0.99]).set_index("accuracy")
    for target in (0.9, 0.99):
        reaching = [
            threshold
            for threshold in predictions.confidence
            if predictions.correct[predictions.confidence >= threshold].mean() >= target
        ]
        assert found.loc[target, "threshold"] == min(reaching)
        assert found.loc[target, "coverage"] == (predictions.confidence >= min(reaching)).mean()


def test_an_accuracy_that_no_threshold_reaches_has_none():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([False, True]))
    assert confusion.thresholds_for(curve, [0.9])[["threshold", "coverage"]].isna().all(axis=None)


@pytest.mark.parametrize("first_right", [True, False])
def test_disagreements_list_who_says_what(table, predictions, everything, first_right):
    other = other_run(table)
    second = predictions_from_table(other, "b.csv", LABELS)
    listed = disagreements(compare(predictions, second, everything), predictions, second, first_right)
    both = table.merge(other, on="id", suffixes=("_a", "_b"))
    both = both.set_index(both["id"].astype(str))
    right_a, right_b = both["label_a"] == both["prediction_a"], both["label_b"] == both["prediction_b"]
    expected = both[right_a & ~right_b if first_right else ~right_a & right_b]
    assert set(listed["id"]) == set(expected.index) and len(listed)
    for row in listed.to_dict("records"):
        given = expected.loc[row["id"]]
        assert [row["label"], row["first"], row["second"]] == given[
            ["label_a", "prediction_a", "prediction_b"]
        ].tolist()
    wrong = listed["p_second" if first_right else "p_first"]
    assert wrong.is_monotonic_decreasing
