"""How well the network tells all product types apart, those of other products too, and how its outputs become their probabilities."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from core.analysis.metrics import accuracy_with_interval, expected_calibration_error, top_k_accuracy
from core.artifacts.manifest import TypeCalibration
from core.inference.postprocess import type_probabilities

NO_OUTPUT = -1  # target of a photo whose type is too rare to have an output


def type_targets(article_types: np.ndarray, types: tuple[str, ...]) -> np.ndarray:
    """Output of each photo's article type, int (n,); NO_OUTPUT where there is none."""
    positions = {name: position for position, name in enumerate(types)}
    return np.array([positions.get(name, NO_OUTPUT) for name in article_types], int)


def fit_types(outputs: np.ndarray, targets: np.ndarray, n_classes: int) -> TypeCalibration:
    """The temperature and background shift with the least negative log-likelihood on validation.

    Args:
        outputs: of the head for products of all types, (n, n_outputs).
        targets: as `type_targets` gives them; photos of NO_OUTPUT are left out.
        n_classes: how many outputs, from the first, are classes.
    """
    known = targets != NO_OUTPUT
    scores, of = outputs[known].astype(float), targets[known]
    background = np.arange(outputs.shape[1]) >= n_classes
    if not known.any() or not background.any():
        return TypeCalibration()

    def negative_log_likelihood(parameters: np.ndarray) -> float:
        log_temperature, shift = parameters
        log_p = log_softmax((scores + shift * background) / np.exp(log_temperature), axis=1)
        return float(-log_p[np.arange(len(of)), of].mean())

    bounds = [(np.log(0.2), np.log(5.0)), (-5.0, 5.0)]
    found = minimize(negative_log_likelihood, np.zeros(2), method="L-BFGS-B", bounds=bounds)
    return TypeCalibration(temperature=float(np.exp(found.x[0])), background_shift=float(found.x[1]))


def measure_types(
    outputs: np.ndarray, targets: np.ndarray, types: tuple[str, ...], n_classes: int, calibration: TypeCalibration
) -> dict[str, Any]:
    """Accuracy over all types and by type, for `metrics.json`; rates in [0, 1] with 95% Wilson intervals.

    Photos whose type has no output cannot be right; they are counted apart and left out of the rates.
    """
    known = targets != NO_OUTPUT
    of, probability = targets[known], type_probabilities(outputs[known], n_classes, calibration)
    best, others = probability.argmax(axis=1), of >= n_classes
    order = np.argsort(-np.bincount(of, minlength=len(types)), kind="stable")
    return {
        "types": len(types),
        "photos": len(of),
        "photos_of_types_without_output": int((~known).sum()),
        "calibration": msgspec.structs.asdict(calibration),
        "accuracy": accuracy_with_interval(of, best)._asdict(),
        "other_products": accuracy_with_interval(of[others], best[others])._asdict() if others.any() else None,
        "top3_accuracy": top_k_accuracy(probability, of, 3),
        "calibration_error": expected_calibration_error(probability.max(axis=1), best == of),
        "by_type": [
            {"type": types[t], "n": int((of == t).sum())} | accuracy_with_interval(of[of == t], best[of == t])._asdict()
            for t in order
            if (of == t).any()
        ],
    }
