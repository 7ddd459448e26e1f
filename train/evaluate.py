"""Evidence for a run, from the very file and engine that the product serves: calibration on validation, one look at the test split."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from tqdm import tqdm

from core.decide import energy
from core.engine import Engine
from core.labels import LabelSet
from core.metrics import (
    accuracy_with_interval,
    auroc,
    classification_table,
    expected_calibration_error,
    fit_temperature,
    macro_f1,
    softmax,
    threshold_at_tpr,
    top_k_accuracy,
    wilson_interval,
)
from train.splits import SplitData

TRUE_POSITIVE_RATE = 0.95  # share of photos of our classes that the in-scope threshold lets pass, on validation
BATCH = 64
LATENCY_ROUNDS = 50


@dataclass(frozen=True)
class Scored:
    """A split after the forward pass.

    Args:
        rows: positions in the index, in-scope photos first as they come.
        logits: float32 (n, n_classes).
        targets: int (n,), OUT_OF_SCOPE for photos of anything else.
    """

    rows: np.ndarray
    logits: np.ndarray
    targets: np.ndarray

    @property
    def known(self) -> Scored:
        """The photos of our classes."""
        return self._only(self.targets >= 0)

    @property
    def others(self) -> Scored:
        """The photos of anything else."""
        return self._only(self.targets < 0)

    def _only(self, chosen: np.ndarray) -> Scored:
        return Scored(self.rows[chosen], self.logits[chosen], self.targets[chosen])


def score(engine: Engine, data: SplitData, part: str) -> Scored:
    """Logits of every photo of a split, out-of-scope ones included, by the serving engine at its own input size."""
    rows, pixels = data.rows(part), data.pixels(engine.height, engine.width)
    batches = np.array_split(rows, max(1, -(-len(rows) // BATCH)))
    logits = [
        engine.run(pixels[batch]).logits for batch in tqdm(batches, desc=f"scoring {part}", unit="batch", disable=None)
    ]
    return Scored(rows, np.concatenate(logits), data.targets[rows])


def calibrate(validation: Scored) -> tuple[float, dict[str, Any]]:
    """Temperature and in-scope threshold, both chosen on validation."""
    temperature = fit_temperature(validation.known.logits, validation.known.targets)
    known, others = energy(validation.known.logits), energy(validation.others.logits)
    threshold = threshold_at_tpr(known, TRUE_POSITIVE_RATE)
    scope = {
        "score": "energy",
        "threshold": threshold,
        "true_positive_rate": TRUE_POSITIVE_RATE,
        "false_positive_rate": float((others >= threshold).mean()) if len(others) else None,
        "measured_on": f"{len(known)} validation photos of the classes, {len(others)} of other products",
    }
    return temperature, scope


def metrics(scored: Scored, labels: LabelSet, temperature: float, threshold: float) -> dict[str, Any]:
    """Measures of one split, for `metrics.json`; rates in [0, 1] with 95% Wilson intervals."""
    known = scored.known
    predictions = known.logits.argmax(axis=1)
    correct = predictions == known.targets
    before, after = softmax(known.logits), softmax(known.logits, temperature)
    top3 = top_k_accuracy(after, known.targets, 3)
    accuracy = accuracy_with_interval(known.targets, predictions)
    inside, outside = energy(known.logits), energy(scored.others.logits)
    table = classification_table(known.targets, predictions, labels.names)
    return {
        "photos": len(known.targets),
        "accuracy": accuracy._asdict(),
        "macro_f1": macro_f1(known.targets, predictions),
        "top3_accuracy": _rate(top3, len(known.targets)),
        "calibration_error": {
            "bins": 15,
            "before": expected_calibration_error(before.max(axis=1), correct),
            "after": expected_calibration_error(after.max(axis=1), correct),
        },
        "in_scope": {
            "auroc": _or_none(auroc(inside, outside)),
            "other_products": len(outside),
            "true_positive_rate": float((inside >= threshold).mean()),
            "false_positive_rate": float((outside >= threshold).mean()) if len(outside) else None,
        },
        "classes": table.astype(object).where(table.notna(), None).to_dict("records"),
    }


def _rate(value: float, n: int) -> dict[str, float]:
    low, high = wilson_interval(round(value * n), n)
    return {"value": value, "low": float(low), "high": float(high)}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def latency(engine: Engine, pixels: np.ndarray) -> dict[str, Any]:
    """Time of one photo's forward pass on this machine: median and 95th percentile, in milliseconds."""
    times = []
    for i in range(LATENCY_ROUNDS + 5):
        photo = np.ascontiguousarray(pixels[i % len(pixels)][None])
        start = time.perf_counter()
        engine.run(photo)
        times.append(1000 * (time.perf_counter() - start))
    rounds = times[5:]  # the first ones warm up
    return {
        "median_ms": float(np.median(rounds)),
        "p95_ms": float(np.percentile(rounds, 95)),
        "rounds": LATENCY_ROUNDS,
        "engine": f"ONNX Runtime {onnxruntime.__version__}, {engine.provider}",
        "processor": platform.processor() or platform.machine(),
    }


def predictions_table(
    logits: np.ndarray, rows: np.ndarray, data: SplitData, labels: LabelSet, temperature: float
) -> pd.DataFrame:
    """`predictions.csv`: one row a photo of our classes, with what is known of it and the calibrated probability of each class."""
    photos = data.index.photos.iloc[rows]
    names = np.array(labels.names)[photos["target"].to_numpy()]
    known = pd.DataFrame(
        {
            "id": photos["id"].to_numpy(),
            "label": names,
            "product": photos["productDisplayName"].to_numpy(),
            "group": [labels.group_of(name) for name in names],
            "colour": photos["baseColour"].to_numpy(),
            "usage": photos["usage"].to_numpy(),
            "duplicate_group": data.splits["duplicate_group"].to_numpy()[rows],
        }
    )
    return pd.concat([known, pd.DataFrame(softmax(logits, temperature), columns=list(labels.names))], axis=1)
