"""All product types: calibrated on validation, measured by type, rare types counted apart."""

from __future__ import annotations

import numpy as np
import pytest

from core.artifacts.manifest import TypeCalibration
from core.inference.postprocess import softmax, type_probabilities
from train.all_types import NO_OUTPUT, fit_types, measure_types, type_targets

TYPES = ("Shirts", "Jeans", "Watches", "Caps")  # of which two are classes


def drawn(n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated outputs and the targets that they were drawn from."""
    random = np.random.default_rng(seed)
    outputs = 2 * random.normal(size=(n, len(TYPES)))
    cumulative = softmax(outputs).cumsum(axis=1)
    return outputs, (random.random((n, 1)) > cumulative).sum(axis=1).clip(max=3)


def test_an_article_type_without_an_output_has_no_target():
    assert type_targets(np.array(["Caps", "Rings", "Shirts"]), TYPES).tolist() == [3, NO_OUTPUT, 0]


def test_temperature_and_shift_take_back_what_was_done_to_the_outputs():
    outputs, targets = drawn()
    spoiled = 3 * outputs
    spoiled[:, 2:] -= 1.5
    found = fit_types(spoiled, targets, n_classes=2)
    assert found.temperature == pytest.approx(3, rel=0.1) and found.background_shift == pytest.approx(1.5, abs=0.3)
    calibrated = type_probabilities(spoiled, 2, TypeCalibration(temperature=3, background_shift=1.5))
    np.testing.assert_allclose(calibrated, softmax(outputs), atol=1e-9)


def test_photos_of_rare_types_have_no_part_in_it():
    outputs, targets = drawn(500)
    more = np.concatenate([outputs, 50 * np.ones((90, 4))]), np.concatenate([targets, np.full(90, NO_OUTPUT)])
    assert fit_types(*more, n_classes=2) == fit_types(outputs, targets, n_classes=2)


def test_a_network_without_other_outputs_is_left_as_it_is():
    assert fit_types(np.eye(2), np.array([0, 1]), n_classes=2) == TypeCalibration()


def test_measures_are_of_photos_whose_type_has_an_output_most_frequent_types_first():
    outputs = 9 * np.eye(4)[[0, 0, 2, 2, 2, 1]]
    targets = np.array([0, 1, 2, 2, 3, NO_OUTPUT])
    found = measure_types(outputs, targets, TYPES, 2, TypeCalibration())
    assert (found["photos"], found["photos_of_types_without_output"], found["types"]) == (5, 1, 4)
    assert found["accuracy"]["value"] == 3 / 5 and found["other_products"]["value"] == 2 / 3
    by_type = [(row["type"], row["n"], row["value"]) for row in found["by_type"]]
    assert by_type == [("Watches", 2, 1.0), ("Shirts", 1, 1.0), ("Jeans", 1, 0.0), ("Caps", 1, 0.0)]
