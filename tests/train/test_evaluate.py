"""The evidence of a run: calibrated on validation, measured once on test, honest where there is nothing to measure."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from core.artifacts.manifest import TypeCalibration
from core.artifacts.run import Run
from core.inference.postprocess import energy, softmax
from tests.train_cases import CLASSES, settings
from train import evaluate, export, robustness
from train.config import parse_recipe
from train.dataset import OUT_OF_SCOPE, Index
from train.evaluate import (
    Coarse,
    Scored,
    best_strength,
    best_threshold,
    calibrate,
    coarse_metrics,
    metrics,
    predictions_table,
    sampling_shift,
    scope_by_kind,
    score,
)
from train.splits import SplitData

CLASS_LIST = parse_recipe(settings(), "test").class_list()
LABELS = CLASS_LIST.labels


def scored(n: int = 400, others: int = 200, sharpness: float = 3.0, seed: int = 0) -> Scored:
    """Logits too sure of themselves by the factor `sharpness`; those of other products are flat.

    Normal deviates of variance 1 whose mean is 2.5 for the true class have exactly 2.5 times themselves as calibrated logits.
    """
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 15, n)
    logits = rng.normal(0, 1, (n, 15))
    logits[np.arange(n), targets] += 2.5
    flat = rng.normal(0, 0.3, (others, 15))
    return Scored(
        np.arange(n + others),
        (sharpness * np.concatenate([2.5 * logits, flat])).astype(np.float32),
        np.concatenate([targets, np.full(others, OUT_OF_SCOPE)]),
    )


def test_the_temperature_takes_back_the_overconfidence_and_lowers_the_calibration_error():
    temperature, scope = calibrate(scored())
    assert temperature == pytest.approx(3.0, rel=0.15)
    error = metrics(scored(seed=1), LABELS, temperature, scope["threshold"])["calibration_error"]
    assert error["after"] < error["before"] / 2


def test_the_threshold_lets_95_percent_of_our_classes_pass():
    data = scored()
    _, scope = calibrate(data)
    assert (energy(data.known.logits) >= scope["threshold"]).mean() == pytest.approx(0.95, abs=0.01)
    assert scope["false_positive_rate"] == pytest.approx((energy(data.others.logits) >= scope["threshold"]).mean())
    assert scope["measured_on"] == "400 validation photos of the classes, 200 of other products"


def test_metrics_of_our_classes_do_not_depend_on_other_products():
    with_others, without = (metrics(scored(others=n), LABELS, 1.0, 0.0) for n in (200, 0))
    for key in ("photos", "accuracy", "macro_f1", "top3_accuracy", "calibration_error", "classes"):
        assert with_others[key] == without[key], key


def test_what_other_products_would_tell_is_unknown_without_any():
    _, scope = calibrate(scored(others=0))
    assert scope["false_positive_rate"] is None
    found = metrics(scored(others=0), LABELS, 1.0, scope["threshold"])["in_scope"]
    assert (found["auroc"], found["false_positive_rate"], found["other_products"]) == (None, None, 0)


def test_a_class_without_photos_has_no_recall_rather_than_zero():
    data = scored()
    few = Scored(data.rows, data.logits, np.where(data.targets == 6, OUT_OF_SCOPE, data.targets))
    row = next(row for row in metrics(few, LABELS, 1.0, 0.0)["classes"] if row["class"] == CLASSES[6])
    assert row["recall"] is None


@pytest.fixture
def data(tmp_path):
    """Ten photos, the last two of other products, and pixels that hold their number."""
    photos = pd.DataFrame(
        {
            "id": np.arange(100, 110),
            "articleType": [*CLASSES[:8], "Kurtas", "Watches"],
            "kind": "product",
            "main": True,
            "target": [*range(8), OUT_OF_SCOPE, OUT_OF_SCOPE],
            "productDisplayName": [f"Product {i}, blue" for i in range(10)],
            "baseColour": "Blue",
            "usage": "Casual",
        }
    )
    splits = pd.DataFrame({"split": ["train", "test"] * 5, "duplicate_group": np.arange(10) * 7})
    np.save(tmp_path / "0123456789abcdef-4x3.npy", np.arange(10, dtype=np.uint8).repeat(36).reshape(10, 4, 3, 3))
    return SplitData(Index(photos, [], [], "0123456789abcdef", []), splits, tmp_path)


class Recording:
    """An engine that answers with the number in the pixels and counts what it was shown."""

    height, width = 4, 3

    def __init__(self):
        self.seen = []

    def run(self, pixels):
        self.seen += pixels[:, 0, 0, 0].tolist()
        return type("Activations", (), {"logits": np.eye(15, dtype=np.float32)[pixels[:, 0, 0, 0]]})


def test_a_split_is_scored_once_with_other_products_in_it(data, monkeypatch):
    monkeypatch.setattr(evaluate, "BATCH", 2)
    engine = Recording()
    found = score(engine, data, data.rows("test"))
    assert engine.seen == [1, 3, 5, 7, 9]
    assert found.targets.tolist() == [1, 3, 5, 7, OUT_OF_SCOPE]
    assert found.known.rows.tolist() == [1, 3, 5, 7]
    assert found.logits.argmax(axis=1).tolist() == [1, 3, 5, 7, 9]


def test_predictions_carry_what_is_known_of_a_photo_and_calibrated_probabilities(data):
    rows = data.known_rows("test")
    logits = np.random.default_rng(0).normal(size=(len(rows), 15)).astype(np.float32)
    table = predictions_table(logits, rows, data, LABELS, temperature=2.0)
    first = table.iloc[0]
    assert first[["id", "label", "product", "group", "colour", "usage", "duplicate_group"]].tolist() == [
        *(101, "Shirts", "Product 1, blue", "Tops", "Blue", "Casual", 7)
    ]
    np.testing.assert_allclose(table[CLASSES].to_numpy(), softmax(logits, 2.0), rtol=1e-6)


def test_the_test_split_is_looked_at_once(monkeypatch, tmp_path, data):
    """Calibration and threshold come from validation; the test split is scored by one call."""
    asked = []
    data.splits["split"] = ["val", "test"] * 5

    def watch(engine, data, rows):
        asked.append(set(data.splits["split"].iloc[rows]))
        return scored(), np.zeros((600, 2048))

    monkeypatch.setattr(export, "score_and_pool", watch)
    monkeypatch.setattr(export, "decoded", lambda *_: [])
    monkeypatch.setattr(robustness, "measure", lambda *_: {})
    monkeypatch.setattr(export, "_heat_maps", lambda *_: {})
    monkeypatch.setattr(export, "scope_scores_table", lambda *_: pd.DataFrame())
    monkeypatch.setattr(export, "_all_types", lambda *_: (TypeCalibration(), {}))
    monkeypatch.setattr(export, "write_attributes", lambda *_: {})
    monkeypatch.setattr(export, "latency", lambda *_: {})
    monkeypatch.setattr(export, "predictions_table", lambda *_: pd.DataFrame())
    monkeypatch.setattr(export, "scope_by_kind", lambda *_: {})
    monkeypatch.setattr(export, "write_index", lambda *_: None)
    monkeypatch.setattr(export, "write_embedding", lambda *_: None)
    monkeypatch.setattr(SplitData, "pixels", lambda *_: np.zeros((600, 1), np.uint8))
    run = Run(tmp_path, {"run_id": "made up"})
    export._evaluated(run, parse_recipe(settings(), "test"), data, Recording())
    assert asked == [{"val"}, {"test"}]


def test_the_shift_turns_sampled_frequencies_into_natural_ones():
    targets = np.repeat([0, 1, 2], [900, 90, 10])
    drawn = np.sqrt([900, 90, 10])
    expected = np.log(np.array([0.9, 0.09, 0.01]) / (drawn / drawn.sum()))
    np.testing.assert_allclose(sampling_shift(targets, 4, "square_root"), [*expected, 0], atol=1e-12)
    np.testing.assert_allclose(sampling_shift(targets, 3, "natural"), 0, atol=1e-12)


def test_a_correction_is_applied_only_as_far_as_it_serves():
    data = scored(others=0)
    assert best_strength(data, [], np.zeros(15)) == 0
    wrong = np.linspace(-50, 50, 15)
    assert best_strength(data, [], wrong) == 0
    spoiled = Scored(data.rows, data.logits - wrong.astype(np.float32), data.targets)
    assert best_strength(spoiled, [], wrong) == 1


def test_a_class_of_one_photo_does_not_choose_the_strength():
    """200 photos are right at any strength; the one of the third class only at full strength, which costs one of the others."""
    targets = np.repeat([0, 1, 2], [100, 100, 1])
    logits = np.zeros((201, 3), np.float32)
    logits[np.arange(201), targets] = 10
    logits[200] = [1.5, 0, 1.0]  # called 0 without the shift
    logits[:1] = [1.0, 0, 0.5]  # called 2 with it
    data = Scored(np.arange(201), logits, targets)
    assert best_strength(data, [], np.array([0, 0, 0.6])) == 0


def test_other_products_are_measured_by_kind(data):
    found = score(Recording(), data, np.arange(10))
    kinds = scope_by_kind(found, data, CLASS_LIST, 0.0)
    assert list(kinds) == ["apparel", "accessories"]
    assert [kind["other_products"] for kind in kinds.values()] == [1, 1]


def coarse(answers: list[str], labels: list[str], scores: list[float]) -> Coarse:
    """Photos with these labels that are predicted as these classes, with logits as high as the scores."""
    logits = np.array(scores, np.float32)[:, None] * np.eye(15, dtype=np.float32)[[LABELS.index(a) for a in answers]]
    logits[np.array(scores) < 0] = np.min(scores)
    allowed = np.array([np.isin(LABELS.names, CLASS_LIST.classes_of(label)) for label in labels])
    return Coarse("phone photos", np.arange(len(labels)), logits, np.array(labels), allowed)


@pytest.fixture
def phone() -> Coarse:
    return coarse(
        ["Tshirts", "Shirts", "Jeans", "Shorts", "Tshirts", "Tshirts", "Tops", "Tops"],
        ["t-shirt", "t-shirt", "pants", "pants", "t-shirt", "t-shirt", "dress", "shoes"],
        [9, 9, 9, 9, 9, 9, -9, 9],
    )


def test_a_photo_with_a_coarse_label_is_correct_if_its_label_allows_the_class(phone):
    found = coarse_metrics(phone, CLASS_LIST, 1.0, threshold=0.0)
    assert (found["photos"], found["exact"]["n"], found["allowed_set"]["n"]) == (8, 4, 6)
    assert found["exact"]["value"] == 3 / 4 and found["allowed_set"]["value"] == 4 / 6
    by_label = {row["label"]: row for row in found["labels"]}
    assert {label: row["value"] for label, row in by_label.items()} == {"t-shirt": 3 / 4, "pants": 1 / 2}
    assert by_label["pants"]["allowed"] == ["Jeans", "Trousers", "Track Pants", "Leggings"]
    assert 0 < by_label["pants"]["low"] < 0.5 < by_label["pants"]["high"] < 1


def test_each_label_counts_alike_in_the_mean_over_labels(phone):
    found = coarse_metrics(phone, CLASS_LIST, 1.0, threshold=0.0)
    assert found["mean_over_labels"] == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_of_labels_that_are_no_class_the_share_is_measured_that_is_out_of_scope(phone):
    found = coarse_metrics(phone, CLASS_LIST, 1.0, threshold=0.0)
    assert {row["label"]: (row["n"], row["value"]) for row in found["others"]} == {"dress": (1, 1.0), "shoes": (1, 0.0)}
    assert (found["in_scope"]["true_positive_rate"], found["in_scope"]["false_positive_rate"]) == (1.0, 0.5)


def test_without_a_label_that_allows_a_class_what_cannot_be_measured_is_unknown():
    found = coarse_metrics(coarse(["Tops"], ["dress"], [-9]), CLASS_LIST, 1.0, threshold=0.0)
    assert (found["mean_over_labels"], found["calibration_error"], found["labels"]) == (None, None, [])
    assert found["allowed_set"] == {"n": 0, "value": None}
    assert (found["in_scope"]["auroc"], found["in_scope"]["true_positive_rate"]) == (None, None)


def normal(mean: float, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, n)


def test_the_best_threshold_between_two_normal_distributions_is_where_they_cross():
    assert best_threshold([(normal(1, 20_000, 0), normal(-1, 20_000, 1))]) == pytest.approx(0, abs=0.05)


def test_the_best_threshold_is_nearer_the_true_one_than_the_highest_step_of_the_roc_curve():
    errors = []
    for seed in range(40):
        inside, outside = normal(1, 60, seed), normal(-1, 80, 1000 + seed)
        false, true, thresholds = roc_curve(np.repeat([1, 0], [60, 80]), np.concatenate([inside, outside]))
        errors.append((best_threshold([(inside, outside)]) ** 2, thresholds[np.argmax(true - false)] ** 2))
    smoothed, raw = np.mean(errors, axis=0)
    assert smoothed < 0.6 * raw


def test_each_kind_of_photos_has_the_same_say_in_the_threshold_however_many_there_are():
    few, many = (normal(1, 2_000, 0), normal(-1, 2_000, 1)), (normal(3, 20_000, 2), normal(1, 20_000, 3))
    assert best_threshold([few, many]) == pytest.approx(1, abs=0.15)


def test_scores_that_are_all_one_have_a_threshold_between_them():
    assert -1 < best_threshold([(np.ones(4), -np.ones(3))]) < 1


def test_with_photos_from_elsewhere_the_threshold_is_chosen_over_all_kinds(phone):
    data = scored()
    _, scope = calibrate(data, [phone])
    kinds = [(energy(data.known.logits), energy(data.others.logits)), phone.energies]
    assert scope["threshold"] == best_threshold(kinds)
    assert scope["measured_on"] == "400 validation photos of the classes, 200 of other products, 8 phone photos"
