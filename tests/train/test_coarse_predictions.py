"""Predictions of photos with coarse labels: what each label allows, and the probabilities as served."""

import numpy as np

from core.inference.postprocess import energy, softmax
from tests.train_cases import settings
from train.config import parse_recipe
from train.evaluate import Coarse, coarse_predictions_table

LABELS = parse_recipe(settings(), "test").class_list().labels


def test_a_row_names_the_classes_that_its_label_allows_and_none_for_anything_else():
    logits = np.random.default_rng(0).normal(size=(2, 15)).astype(np.float32)
    allowed = np.zeros((2, 15), bool)
    allowed[0, [LABELS.index("Jeans"), LABELS.index("Trousers")]] = True
    photos = Coarse("phone photos", np.array([7, 9]), logits, np.array(["pants", "dress"]), allowed)
    table = coarse_predictions_table(photos, LABELS, 2.0)
    assert list(table) == ["id", "label", "allowed", "in_scope_score", *LABELS.names]
    assert table[["id", "label", "allowed"]].to_numpy().tolist() == [[7, "pants", "Jeans|Trousers"], [9, "dress", ""]]
    np.testing.assert_allclose(table[list(LABELS.names)], softmax(logits, 2.0), rtol=1e-6)
    np.testing.assert_allclose(table["in_scope_score"], energy(logits), rtol=1e-6)
