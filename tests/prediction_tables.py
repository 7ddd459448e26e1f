"""Tables in the format of `predictions.csv`, made up so that some classes are confused and one has no sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from core.artifacts.labels import LabelSet
from core.artifacts.run import SCHEMA, Run, sha256_of

LABELS = LabelSet({"Tops": ("Tshirts", "Shirts", "Tops"), "Bottoms": ("Jeans", "Skirts", "Swimwear")})
NAMES = LABELS.names
EMPTY = "Swimwear"  # the class without a sample
WORDS = ("Men", "Women", "Boys", "Girls", "Unisex", "plain")
COLOURS = ("Black", "Blue", "Red")


def prediction_table(n: int = 300, seed: int = 1, labels: LabelSet = LABELS, empty: str = EMPTY) -> pd.DataFrame:
    """n rows in random order of confidence; the last fifth of them are pairs of near-duplicates."""
    random = np.random.default_rng(seed)
    names = labels.names
    true = random.choice([i for i, name in enumerate(names) if name != empty], n)
    logits = random.normal(size=(n, len(names))) * 1.5
    logits[np.arange(n), true] += 3
    words, colours = random.choice(WORDS, n), random.choice(COLOURS, n)
    label = np.array(names)[true]
    details = {
        "id": random.permutation(np.arange(10_000, 10_000 + n)),
        "label": label,
        "product": [f"Brand {word} {colour} {name}" for word, colour, name in zip(words, colours, label, strict=True)],
        "group": [labels.group_of(name) for name in label],
        "colour": colours,
        "usage": random.choice(["Casual", "Sports"], n),
        "duplicate_group": np.where(np.arange(n) < n * 4 // 5, np.arange(n), np.arange(n) // 2),
    }
    probabilities = softmax(logits, axis=1).round(6)
    return pd.DataFrame({**details, **dict(zip(names, probabilities.T, strict=True))})


def write_run(folder: Path, tables: dict[str, pd.DataFrame], labels: LabelSet = LABELS, **fields) -> Run:
    """A run folder that holds tables of predictions only, by file name; `fields` go into its manifest."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    manifest = {
        "schema": SCHEMA,
        "run_id": folder.name,
        "name": f"Run {folder.name}",
        "origin": "measured",
        "created": "2026-01-01T00:00:00+00:00",
        "groups": {group: list(names) for group, names in labels.groups.items()},
        "temperature": 1.3,
        "stages": [{"name": name} for name in ("head", "layer4", "layer3", "everything")],
        "files": {name: sha256_of(folder / name) for name in tables},
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))
    return Run.load(folder)
