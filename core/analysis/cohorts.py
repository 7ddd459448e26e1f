"""Cohorts: selections of photos that have a name, can be kept in an address, and compared with each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from core.analysis.metrics import wilson_interval
from core.artifacts.predictions import Predictions

MOST_COHORTS = 8
MOST_NAME = 40  # characters
MOST_CORNERS = 40  # of a lasso

Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Cohort:
    """A selection of photos.

    Args:
        name: as the visitor calls it.
        cell: true and predicted class, or nothing.
        values: facet to the values kept.
        confidence: lowest and highest.
        threshold: confidence from which on predictions count.
        lasso: a polygon on the map, or nothing.
    """

    name: str
    cell: tuple[str, str] | tuple[()] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    confidence: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.0
    lasso: Polygon = ()

    def rows(self, predictions: Predictions, places: np.ndarray | None) -> np.ndarray:
        """Its photos in a set of predictions, int (m,); filters by what the set does not have keep every photo."""
        known = {name: values for name, values in self.values.items() if name in predictions.facets}
        keep = predictions.mask(known, self.confidence) & (predictions.confidence >= self.threshold)
        names = predictions.labels.names
        if self.cell and set(self.cell) <= set(names):
            true, predicted = (names.index(name) for name in self.cell)
            keep &= (predictions.true == true) & (predictions.predicted == predicted)
        if self.lasso:
            keep &= inside(places, self.lasso) if places is not None else False
        return np.flatnonzero(keep)


def cohorts_text(cohorts: Sequence[Cohort]) -> str:
    """Cohorts for an address."""
    plain = [{**asdict(cohort), "lasso": polygon_text(cohort.lasso)} for cohort in cohorts]
    return json.dumps(plain, separators=(",", ":")) if plain else ""


def cohorts_from_text(text: str) -> tuple[Cohort, ...]:
    """Cohorts of an address; whatever in it is none is left out, since anyone can write an address."""
    try:
        given = json.loads(text) if text else []
    except ValueError:
        return ()
    found = [_cohort(item) for item in given[:MOST_COHORTS]] if isinstance(given, list) else []
    return tuple(cohort for cohort in found if cohort)


def _cohort(item: Any) -> Cohort | None:
    try:
        cell = tuple(str(name) for name in item["cell"])
        low, high = (float(value) for value in item["confidence"])
        return Cohort(
            str(item["name"])[:MOST_NAME],
            (cell[0], cell[1]) if len(cell) == 2 else (),
            {str(name): [str(value) for value in values] for name, values in item["values"].items()},
            (low, high),
            float(item["threshold"]),
            polygon_from_text(str(item["lasso"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def polygon_text(polygon: Polygon) -> str:
    """A polygon for an address, of at most so many corners as tell its shape."""
    step = -(-len(polygon) // MOST_CORNERS) or 1
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon[::step])


def polygon_from_text(text: str) -> Polygon:
    """The polygon of an address; nothing if it is none."""
    try:
        corners = [tuple(map(float, corner.split(","))) for corner in text.split(";") if corner][: 2 * MOST_CORNERS]
    except ValueError:
        return ()
    whole = len(corners) >= 3 and all(len(corner) == 2 and np.isfinite(corner).all() for corner in corners)
    return tuple((corner[0], corner[1]) for corner in corners) if whole else ()


def inside(places: np.ndarray, polygon: Polygon) -> np.ndarray:
    """Which places, (n, 2), lie within a polygon, bool (n,), by the even-odd rule; NaN does not."""
    x, y = places.T
    within = np.zeros(len(places), bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            crosses = (y1 > y) != (y2 > y)
            within ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return within & ~np.isnan(x)


def compared(predictions: Predictions, first: np.ndarray, second: np.ndarray) -> float:
    """p-value of Fisher's exact test (two-sided): whether two cohorts, rows int (m,), are equally accurate. Photos of both count in
    neither."""
    both = np.intersect1d(first, second)
    sides = [predictions.correct[np.setdiff1d(rows, both)] for rows in (first, second)]
    return float(fisher_exact([[side.sum(), (~side).sum()] for side in sides]).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def cohort_table(predictions: Predictions, cohorts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Columns name, photos, accuracy, low, high, confidence: one row a cohort, rows int (m,) by name."""
    rows = []
    for name, members in cohorts.items():
        right, n = int(predictions.correct[members].sum()), len(members)
        low, high = wilson_interval(right, n)
        confidence = float(predictions.confidence[members].mean()) if n else np.nan
        accuracy = right / n if n else np.nan
        rows.append(
            {"name": name, "photos": n, "accuracy": accuracy, "low": low, "high": high, "confidence": confidence}
        )
    return pd.DataFrame(rows)
