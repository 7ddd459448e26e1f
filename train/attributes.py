"""Light heads for what else can be said of a garment, fitted after the network and frozen under it; `core.inference.attributes` reads them.

Labels come from the catalogue (the colour, and words in products' names) and from the labels of phone photos.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from core.analysis.metrics import accuracy_with_interval, expected_calibration_error, fit_temperature
from core.inference.attributes import ATTRIBUTES_FILE, HEADS_FILE, LEAST_PROBABILITY, Head, garment_colours
from core.inference.engine import Engine
from train.catalogue import PHONE, PRODUCT
from train.folder import replaced, write_json
from train.meter import meter
from train.neighbours import pooled_features
from train.splits import SplitData
from train.targets import ClassList

MARGIN = 0.05  # by which the accuracy on test, at the low end of its interval, must exceed the share of the most frequent value
MOST_PHOTOS = (
    6_000  # of the classes' training photos that heads on features are fitted on; of more, evenly spaced ones are taken
)
LEAST_PHOTOS = 20  # training photos that a value, and a class, must have
STRENGTHS = (0.001, 0.01, 0.03)  # inverse strengths of the L2 penalty that are tried on validation
ITERATIONS = 200

NECK = r"[- ]?neck"
WORDS: dict[
    str, dict[str, str]
] = {  # attribute to values, and to what names say of them; a name that fits two values says nothing
    "pattern": {
        "striped": r"strip(e|es|ed|er)",
        "checked": r"check(s|ed|ered)?|plaid",
        "printed": r"print(s|ed)?|graphic|floral",
        "solid": r"solids?|plain",
    },
    "collar": {
        "polo collar": r"polo(?!\W+assn)",
        "no collar": rf"(round|crew|v|scoop){NECK}",
        "high neck": rf"(turtle|high|mock){NECK}|turtle",
        "hood": r"hood(ed|ie)?",
    },
    "section": {
        "men's section": r"(?<!mr\.)(?<!mr )men('s|s)?",
        "women's section": r"wom[ae]n('s|s)?",
        "boys' section": r"boys?('s)?",
        "girls' section": r"girls?('s)?",
    },
}
PHONE_LABELS: dict[str, dict[str, str]] = {
    "collar": {"polo": "polo collar", "t-shirt": "no collar", "hoodie": "hood"},
}
COLOURS: dict[str, tuple[str, ...]] = {  # colour family to the catalogue's colours
    "black": ("Black", "Charcoal"),
    "grey": ("Grey", "Grey Melange", "Silver", "Steel", "Metallic"),
    "white": ("White", "Off White", "Cream"),
    "beige": ("Beige", "Khaki", "Nude", "Skin", "Tan", "Taupe", "Mushroom Brown"),
    "brown": ("Brown", "Coffee Brown", "Bronze", "Copper", "Rust"),
    "red": ("Red", "Maroon", "Burgundy"),
    "pink": ("Pink", "Rose", "Peach", "Magenta"),
    "yellow or orange": ("Yellow", "Mustard", "Gold", "Orange"),
    "green": ("Green", "Olive", "Sea Green", "Lime Green", "Fluorescent Green"),
    "blue": ("Blue", "Turquoise Blue", "Teal"),
    "navy": ("Navy Blue",),
    "purple": ("Purple", "Lavender", "Mauve"),
}
FAMILY = {colour: family for family, colours in COLOURS.items() for colour in colours}


def labels_of(photos: pd.DataFrame) -> pd.DataFrame:
    """What is known of photos: one column an attribute with a value or "" for nothing, indexed as they are.

    Args:
        photos: with `kind`, `articleType`, `baseColour` and `productDisplayName`.
    """
    product = (photos["kind"] == PRODUCT).to_numpy()
    names = photos["productDisplayName"].fillna("").where(product, "")
    known = {"colour": photos["baseColour"].map(lambda colour: FAMILY.get(colour, "")).where(product, "")}
    for attribute, patterns in WORDS.items():
        said = names.map(lambda name, patterns=patterns: _only_match(name, patterns))
        taught = PHONE_LABELS.get(attribute, {})
        of_phone = photos["articleType"].map(lambda label, taught=taught: taught.get(label, ""))
        known[attribute] = said.where(product, of_phone)
    return pd.DataFrame(known, index=photos.index)


def _only_match(name: str, patterns: Mapping[str, str]) -> str:
    """The value whose pattern a name has as whole words; empty if none or more than one fits."""
    found = [value for value, pattern in patterns.items() if re.search(rf"\b({pattern})\b", name, re.IGNORECASE)]
    return found[0] if len(found) == 1 else ""


@dataclass(frozen=True)
class Looked:
    """Photos of a split with what a head looks at.

    Args:
        labels: as `labels_of` gives them, one row a photo.
        classes: class of each photo, text (n,); empty where its label allows several.
        seen: (n, d).
    """

    labels: pd.DataFrame
    classes: np.ndarray
    seen: np.ndarray


def look_at_colours(data: SplitData, engine: Engine, classes: ClassList, part: str) -> Looked:
    """The colours of a split's photos of the classes; the network has no part in them."""
    rows, pixels = data.known_rows(part), data.pixels(engine.height, engine.width)
    colours = [garment_colours(pixels[row]) for row in meter(rows, "looking at colours", "photos")]
    return _looked(data, classes, rows, np.stack(colours))


def look_at_features(data: SplitData, engine: Engine, classes: ClassList, part: str) -> Looked:
    """The pooled features of a split's photos of the classes, MOST_PHOTOS at most, and of those from phones that say something."""
    known, phone = data.known_rows(part), data.rows(part, PHONE)
    known = known[np.linspace(0, len(known) - 1, min(len(known), MOST_PHOTOS)).round().astype(int)]
    telling = sorted({label for labels in PHONE_LABELS.values() for label in labels})
    rows = np.concatenate([known, phone[np.isin(data.index.photos["articleType"].to_numpy()[phone], telling)]])
    return _looked(data, classes, rows, pooled_features(engine, data.pixels(engine.height, engine.width), rows))


def _looked(data: SplitData, classes: ClassList, rows: np.ndarray, seen: np.ndarray) -> Looked:
    photos = data.index.photos.iloc[rows]
    return Looked(labels_of(photos), np.array([_class_of(name, classes) for name in photos["articleType"]]), seen)


LOOKS = {"colours": look_at_colours, "features": look_at_features}
PARTS = ("train", "val", "test")


def _class_of(label: str, classes: ClassList) -> str:
    """The one class that an article type or coarse label means; empty if there are several."""
    if label in classes.labels.names:
        return label
    allowed = classes.classes_of(label)
    return allowed[0] if len(allowed) == 1 else ""


def write_attributes(folder: Path, data: SplitData, classes: ClassList, engine: Engine) -> dict[str, Any]:
    """Fit the heads and write them into a run's folder; returns how they do on the test split, for `metrics.json`.

    Raises:
        OSError: the disk is full or not writable.
    """
    seen = {source: [look(data, engine, classes, part) for part in PARTS] for source, look in LOOKS.items()}
    described: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    measured: dict[str, Any] = {}
    for name in ("colour", *WORDS):
        source = "colours" if name == "colour" else "features"
        train, val, test = seen[source]
        head = fit_head(name, source, train, val)
        if head is None:
            continue
        measured[name] = measure_head(head, test)
        tensors |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
        described.append(
            {
                "name": name,
                "values": list(head.values),
                "classes": sorted(head.classes),
                "source": head.source,
                "shown": measured[name]["shown"],
            }
        )
    with replaced(folder / HEADS_FILE) as partial:
        save_file({key: np.ascontiguousarray(values) for key, values in tensors.items()}, partial)
    write_json(folder / ATTRIBUTES_FILE, {"attributes": described})
    return {"margin": MARGIN, "least_probability": LEAST_PROBABILITY, "heads": measured}


def fit_head(name: str, source: str, train: Looked, val: Looked) -> Head | None:
    """The head of an attribute, its penalty and temperature chosen on validation; None if fewer than two values have LEAST_PHOTOS."""
    counts = train.labels[name].value_counts()
    values = tuple(sorted(str(value) for value, n in counts.items() if value and n >= LEAST_PHOTOS))
    if len(values) < 2:
        return None
    of_class = pd.Series(train.classes[train.labels[name].isin(values).to_numpy()]).value_counts()
    classes = frozenset(str(label) for label, n in of_class.items() if label and n >= LEAST_PHOTOS)
    (x, y), (x_val, y_val) = (_labelled(looked, name, values) for looked in (train, val))
    mean, scale = (
        x.mean(axis=0),
        float(x.std()) or 1.0,
    )  # one scale for all, or rare colours would weigh like common ones
    fitted = [_linear((x - mean) / scale, y, len(values), strength) for strength in STRENGTHS]
    heads = [_unscaled(name, values, classes, source, *linear, mean, scale) for linear in fitted]
    if not len(y_val):
        return heads[0]
    return _calibrated(min(heads, key=lambda head: _loss(head, x_val, y_val)), x_val, y_val)


def _labelled(looked: Looked, name: str, values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What a head looks at, (n, d), and the value of each photo that has one, int (n,)."""
    position = {value: index for index, value in enumerate(values)}
    positions = np.array([position.get(value, -1) for value in looked.labels[name]], int)
    known = positions >= 0
    return looked.seen[known], positions[known]


def _linear(x: np.ndarray, y: np.ndarray, n_values: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight (n_values, d) and bias (n_values,) of a multinomial logistic regression."""
    with threadpool_limits(1), warnings.catch_warnings():  # the sums of one thread are always the same
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation says whether it was enough
        model = LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-3).fit(x, y)
    weight, bias = model.coef_, model.intercept_
    if n_values == 2:  # scikit-learn gives the log-odds of the second value alone
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.array([0.0, bias[0]])
    return weight, bias


def _unscaled(
    name: str, values: tuple[str, ...], classes: frozenset[str], source: str, weight: np.ndarray, bias: np.ndarray,
    mean: np.ndarray, scale: float,
) -> Head:  # fmt: skip
    """The head over what is looked at as it is, from one over values with this mean taken away, divided by the scale."""
    weight = weight / scale
    return Head(name, values, classes, source, weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))


def _loss(head: Head, x: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log-likelihood."""
    return float(-np.log(head.probabilities(x)[np.arange(len(y)), y].clip(1e-12)).mean())


def _calibrated(head: Head, x: np.ndarray, y: np.ndarray) -> Head:
    temperature = fit_temperature(x @ head.weight.T + head.bias, y)
    weight, bias = head.weight / np.float32(temperature), head.bias / np.float32(temperature)
    return Head(head.name, head.values, head.classes, head.source, weight, bias)


def measure_head(head: Head, test: Looked) -> dict[str, Any]:
    """How a head does on the test photos that have a value, against always giving the most frequent one; rates with 95% intervals."""
    x, y = _labelled(test, head.name, head.values)
    if not len(y):
        return {"photos": 0, "shown": False}
    probability = head.probabilities(x)
    best, sure = probability.argmax(axis=1), probability.max(axis=1) >= LEAST_PROBABILITY
    accuracy, counts = accuracy_with_interval(y, best), np.bincount(y, minlength=len(head.values))
    majority = counts.max() / len(y)
    return {
        "photos": len(y),
        "accuracy": accuracy._asdict(),
        "majority": {"value": head.values[int(counts.argmax())], "share": float(majority)},
        "given": float(sure.mean()),
        "accuracy_where_given": accuracy_with_interval(y[sure], best[sure])._asdict() if sure.any() else None,
        "calibration_error": expected_calibration_error(probability.max(axis=1), best == y),
        "values": [
            {"name": value, "n": int(counts[v])} | accuracy_with_interval(y[y == v], best[y == v])._asdict()
            for v, value in enumerate(head.values)
            if counts[v]
        ],
        "shown": bool(accuracy.low >= majority + MARGIN),
    }
