"""Measures of a run, from the file and engine that the product serves: calibrated on validation, measured once on the test split."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from scipy.special import ndtr

from core.analysis.metrics import (
    accuracy_with_interval,
    auroc,
    classification_table,
    expected_calibration_error,
    fit_temperature,
    macro_f1,
    threshold_at_tpr,
    top_k_accuracy,
    wilson_interval,
)
from core.artifacts.labels import LabelSet
from core.inference.engine import Engine
from core.inference.postprocess import energy, softmax
from train.batches import sampling_weights
from train.catalogue import PHONE, WORN
from train.meter import meter
from train.splits import OF_CLASSES, SplitData
from train.targets import ClassList

CANDIDATES = 2001  # thresholds that are tried
LEAST_WIDTH = 1e-6  # of a kernel, where all scores are one
TRUE_POSITIVE_RATE = 0.95  # share of photos of our classes that the in-scope threshold lets pass, on validation
BATCH = 64
NAMES = {PHONE: "phone photos", WORN: "worn garments and what else people wear"}
LATENCY_ROUNDS = 50
REST = "accessories"  # kind of what the class list puts in no kind of other products
MEASURABLE = 10  # validation photos of a class from which on its F1 helps to choose
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the correction for the sampler that are tried


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


def score(engine: Engine, data: SplitData, rows: np.ndarray) -> Scored:
    """Logits of photos, given by their positions in the index, by the serving engine at its own input size."""
    pixels = data.pixels(engine.height, engine.width)
    batches = np.array_split(rows, max(1, -(-len(rows) // BATCH)))
    logits = [engine.run(pixels[batch]).logits for batch in meter(batches, "scoring", "batches")]
    return Scored(rows, np.concatenate(logits), data.targets[rows])


def score_and_pool(engine: Engine, data: SplitData, rows: np.ndarray) -> tuple[Scored, np.ndarray]:
    """As `score`, and the features averaged over each photo, float32 (n, 2048)."""
    pixels = data.pixels(engine.height, engine.width)
    batches = np.array_split(rows, max(1, -(-len(rows) // BATCH)))
    logits, pooled = [], []
    for batch in meter(batches, "scoring", "batches"):
        activations = engine.run(pixels[batch])
        logits.append(activations.logits)
        pooled.append(activations.features.mean(axis=(2, 3)))
    return Scored(rows, np.concatenate(logits), data.targets[rows]), np.concatenate(pooled)


def sampling_shift(train_targets: np.ndarray, n_classes: int, sampler: str) -> np.ndarray:
    """What undoes a sampler: log of each class's frequency in the data over its frequency in training, float64 (n_classes,).

    Added to the logits of a network trained with that sampler it gives those of natural frequencies (Saerens et al. 2002); 0 for classes
    without training photos.
    """
    drawn = np.bincount(train_targets, sampling_weights(train_targets, sampler), minlength=n_classes)
    natural = np.bincount(train_targets, minlength=n_classes) / len(train_targets)
    return np.log(np.divide(natural, drawn, out=np.ones(n_classes), where=drawn > 0))


def best_strength(validation: Scored, elsewhere: Sequence[Coarse], shift: np.ndarray) -> float:
    """How much of the shift to apply, of STRENGTHS: what validates best, the least if several tie.

    Products count by the mean of accuracy and macro-F1, photos from elsewhere by the share with an allowed class; each kind counts
    alike. The catalogue's frequencies are not those of what people wear, so products alone would choose too much. Macro-F1 is that of the
    classes with MEASURABLE photos or more: of a class with one, that photo would weigh as much as 80 others.
    """
    counts = np.bincount(validation.targets)
    measurable = np.flatnonzero(counts >= min(MEASURABLE, counts.max()))

    def quality(strength: float) -> float:
        predictions = (validation.logits + strength * shift).argmax(axis=1)
        hits = (predictions == validation.targets).mean()
        of_products = float(hits + macro_f1(validation.targets, predictions, measurable)) / 2
        return float(np.mean([of_products, *(photos.hits(strength * shift) for photos in elsewhere)]))

    return max(STRENGTHS, key=quality)


def calibrate(validation: Scored, elsewhere: Sequence[Coarse] = ()) -> tuple[float, dict[str, Any]]:
    """Temperature, chosen on products, and in-scope threshold, chosen on products and photos from elsewhere alike, both on validation.

    With photos from elsewhere the threshold has the highest sum, over the kinds of photos, of the shares on the right side of it: of
    what is of the classes, and of what is not (Youden's J, 1950). Without, it lets TRUE_POSITIVE_RATE of the products pass.
    """
    temperature = fit_temperature(validation.known.logits, validation.known.targets)
    known, others = energy(validation.known.logits), energy(validation.others.logits)
    kinds = [(known, others), *(photos.energies for photos in elsewhere)]
    both = [(inside, outside) for inside, outside in kinds if len(inside) and len(outside)]
    threshold = best_threshold(both) if elsewhere and both else threshold_at_tpr(known, TRUE_POSITIVE_RATE)
    scope = {
        "score": "energy",
        "threshold": threshold,
        "true_positive_rate": float((known >= threshold).mean()),
        "false_positive_rate": float((others >= threshold).mean()) if len(others) else None,
        "measured_on": f"{len(known)} validation photos of the classes, {len(others)} of other products"
        + "".join(f", {len(photos.logits)} {photos.name}" for photos in elsewhere),
    }
    return temperature, scope


def best_threshold(kinds: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The threshold with the highest sum of Youden's J over pairs of scores, (inside, outside); each kind counts alike.

    Scores are smoothed by a Gaussian kernel of Silverman's width, for which of many raw steps is the highest is mostly chance
    (Fluss, Faraggi and Reiser 2005, "Estimation of the Youden index and its associated cutoff point").
    """
    scores = np.concatenate([scores for kind in kinds for scores in kind])
    candidates = np.linspace(scores.min(), scores.max(), CANDIDATES)
    youden = [_share_below(candidates, outside) - _share_below(candidates, inside) for inside, outside in kinds]
    return float(candidates[np.argmax(np.sum(youden, axis=0))])


def _share_below(thresholds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Smoothed share of scores (n,) below each threshold."""
    low, high = np.percentile(scores, [25, 75])
    width = 0.9 * min(scores.std(), (high - low) / 1.34) * len(scores) ** -0.2  # Silverman 1986, equation 3.31
    return ndtr((thresholds[:, None] - scores) / max(width, LEAST_WIDTH)).mean(axis=1)


def metrics(scored: Scored, labels: LabelSet, temperature: float, threshold: float) -> dict[str, Any]:
    """Measures of one split of the catalogue, for `metrics.json`; rates in [0, 1] with 95% Wilson intervals."""
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
        "in_scope": _scope(inside, outside, threshold),
        "classes": table.astype(object).where(table.notna(), None).to_dict("records"),
    }


def scope_by_kind(scored: Scored, data: SplitData, classes: ClassList, threshold: float) -> dict[str, Any]:
    """In-scope measures against each kind of other products by itself; what the class list puts in no kind is REST."""
    kinds = _kinds(scored.others, data, classes)
    inside, outside = energy(scored.known.logits), energy(scored.others.logits)
    return {name: _scope(inside, outside[kinds == name], threshold) for name in (*classes.other, REST)}


def _kinds(scored: Scored, data: SplitData, classes: ClassList) -> np.ndarray:
    """OF_CLASSES, or which kind of other product each photo shows, text (n,)."""
    types = data.index.photos["articleType"].to_numpy()[scored.rows]
    kind_of = {member: name for name, members in classes.other.items() for member in members}
    kinds = [
        OF_CLASSES if target >= 0 else kind_of.get(name, REST)
        for name, target in zip(types, scored.targets, strict=True)
    ]
    return np.array(kinds, dtype=object)


def scope_scores_table(scored: Scored, data: SplitData, classes: ClassList) -> pd.DataFrame:
    """`scope_scores.csv`: one row a test product of any type, from which AUROC and rates in scope can be computed again.

    Columns id, type, kind (OF_CLASSES, or the kind of other product), in_scope_score.
    """
    photos = data.index.photos.iloc[scored.rows]
    return pd.DataFrame(
        {
            "id": photos["id"].to_numpy(),
            "type": photos["articleType"].to_numpy(),
            "kind": _kinds(scored, data, classes),
            "in_scope_score": energy(scored.logits),
        }
    )


@dataclass(frozen=True)
class Coarse:
    """Photos whose labels are coarse, after the forward pass.

    Args:
        name: of their kind, in the plural.
        ids: int (n,).
        logits: float32 (n, n_classes).
        labels: coarse label of each photo, text (n,).
        allowed: bool (n, n_classes), the classes that its label allows.
    """

    name: str
    ids: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    allowed: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether its label allows any class, bool (n,)."""
        return np.asarray(self.allowed.any(axis=1))

    def hits(self, shift: np.ndarray) -> float:
        """Share of the photos of the classes that get an allowed one, their logits shifted by (n_classes,)."""
        predictions = (self.logits + shift).argmax(axis=1)
        return float(self.allowed[np.arange(len(predictions)), predictions][self.known].mean())

    @property
    def energies(self) -> tuple[np.ndarray, np.ndarray]:
        """In-scope scores of the photos of the classes, and of the others."""
        scores = energy(self.logits)
        return scores[self.known], scores[~self.known]


def score_coarse(engine: Engine, data: SplitData, part: str, kind: str, classes: ClassList) -> Coarse:
    """A split's photos of a kind that has coarse labels, through the serving engine."""
    rows = data.rows(part, kind)
    return coarse_of(data, rows, score(engine, data, rows).logits, kind, classes)


def coarse_of(data: SplitData, rows: np.ndarray, logits: np.ndarray, kind: str, classes: ClassList) -> Coarse:
    """Photos of a kind that has coarse labels, at these positions of the index, with their logits."""
    ids, labels = (data.index.photos[column].to_numpy()[rows] for column in ("id", "articleType"))
    allowed = np.array([np.isin(classes.labels.names, classes.classes_of(label)) for label in labels])
    return Coarse(NAMES[kind], ids, logits, labels, allowed.reshape(len(rows), len(classes.labels)))


def coarse_metrics(photos: Coarse, classes: ClassList, temperature: float, threshold: float) -> dict[str, Any]:
    """Measures of photos with coarse labels, for `metrics.json`; rates in [0, 1] with 95% Wilson intervals.

    Args:
        photos: of one kind and split.
        classes: what each label allows.
        temperature: of the run.
        threshold: of the run's in-scope score.
    """
    logits, labels, allowed, known = photos.logits, photos.labels, photos.allowed, photos.known
    present = [label for label in classes.coarse if classes.classes_of(label) and (labels == label).any()]
    probability = softmax(logits, temperature)
    hits = allowed[np.arange(len(labels)), probability.argmax(axis=1)]
    exact, scores = allowed.sum(axis=1) == 1, energy(logits)
    return {
        "photos": len(labels),
        "exact": share(hits[exact]),
        "allowed_set": share(hits[known]),
        "mean_over_labels": float(np.mean([hits[labels == label].mean() for label in present])) if present else None,
        "calibration_error": expected_calibration_error(probability.max(axis=1)[known], hits[known])
        if present
        else None,
        "in_scope": _scope(scores[known], scores[~known], threshold),
        "labels": [
            {"label": label, "allowed": list(classes.classes_of(label))} | share(hits[labels == label])
            for label in present
        ],
        "others": [
            {"label": label} | share(scores[labels == label] < threshold)
            for label in np.unique(labels[~known]).tolist()
        ],
    }


def share(hits: np.ndarray) -> dict[str, Any]:
    """Share of hits with its interval and the number of photos; None where there are none."""
    return {"n": len(hits)} | (_rate(float(hits.mean()), len(hits)) if len(hits) else {"value": None})


def _scope(inside: np.ndarray, outside: np.ndarray, threshold: float) -> dict[str, Any]:
    """How well the in-scope score tells photos of the classes from others."""
    return {
        "auroc": _or_none(auroc(inside, outside)),
        "other_products": len(outside),
        "true_positive_rate": float((inside >= threshold).mean()) if len(inside) else None,
        "false_positive_rate": float((outside >= threshold).mean()) if len(outside) else None,
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
        "engine": f"ONNX Runtime {onnxruntime.__version__}, {engine.provider}{', 8-bit integers' if engine.quantised else ''}",
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


def coarse_predictions_table(photos: Coarse, labels: LabelSet, temperature: float) -> pd.DataFrame:
    """`predictions_phone.csv`, `predictions_worn.csv`: one row a photo with a coarse label.

    Columns id, label, allowed (the classes that the label allows, separated by "|"; nothing if it means anything else), in_scope_score,
    and the calibrated probability of each class.
    """
    names = np.array(labels.names)
    known = pd.DataFrame(
        {
            "id": photos.ids,
            "label": photos.labels,
            "allowed": ["|".join(names[allowed]) for allowed in photos.allowed],
            "in_scope_score": energy(photos.logits),
        }
    )
    return pd.concat([known, pd.DataFrame(softmax(photos.logits, temperature), columns=list(labels.names))], axis=1)
