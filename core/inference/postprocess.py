"""From probabilities to an answer: group filter, upper-body bias, ranking, and whether it is clothing we know.

All of it is arithmetic on 15 numbers, so a control on the page changes the answer without a new forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts.labels import ALL, LabelSet
from core.artifacts.manifest import TypeCalibration

BIASED_GROUP = "Bottoms"


@dataclass(frozen=True)
class Controls:
    """What a visitor may set.

    Args:
        group: `all`, `tops` or `bottoms`; other groups get probability 0 and the rest is renormalised.
        upper_body_bias: factor on the probability of every bottom, in [0, 1]; 1 is off, the reference used 0.6.
    """

    group: str = ALL
    upper_body_bias: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.upper_body_bias <= 1:
            raise ValueError(f"upper_body_bias is {self.upper_body_bias}; it must be from 0 to 1.")


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits divided by a temperature (Guo et al. 2017), (..., n_classes) -> (..., n_classes).

    Log-probabilities do as well as logits: the two differ by a constant a row, which softmax does not see.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    return np.exp(scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True))


def apply_controls(probability: np.ndarray, labels: LabelSet, controls: Controls) -> np.ndarray:
    """Filter by group and scale bottoms, then renormalise, (..., n_classes) -> (..., n_classes)."""
    weights = labels.mask(controls.group).astype(float)
    if BIASED_GROUP in labels.groups:
        weights = np.where(labels.mask(BIASED_GROUP), weights * controls.upper_body_bias, weights)
    if not weights.any():  # only bottoms are asked for and their factor is 0: the factor then changes nothing
        weights = labels.mask(controls.group).astype(float)
    weighted = probability * weights
    total = weighted.sum(axis=-1, keepdims=True)
    # Where the network gives all that is allowed a probability of 0, they are equally likely.
    return np.where(total > 0, weighted, weights) / np.where(total > 0, total, weights.sum())


def type_probabilities(outputs: np.ndarray, n_classes: int, calibration: TypeCalibration) -> np.ndarray:
    """Probabilities over all outputs, the classes and the types of other products, (..., n_outputs) -> (..., n_outputs)."""
    shift = np.where(np.arange(outputs.shape[-1]) < n_classes, 0.0, calibration.background_shift)
    return softmax(outputs + shift, calibration.temperature)


def energy(logits: np.ndarray) -> np.ndarray:
    """How much a photo looks like any of the classes: logsumexp of the logits (Liu et al. 2020), (..., n_classes) -> (...)."""
    return np.asarray(np.logaddexp.reduce(logits, axis=-1))


def top_k(probability: np.ndarray, labels: LabelSet, k: int) -> list[tuple[str, float]]:
    """The k most probable classes of one photo, (n_classes,), with their probabilities; those of probability 0 are left out."""
    order = np.argsort(-probability, kind="stable")[:k]
    return [(labels.names[i], float(probability[i])) for i in order if probability[i] > 0]
