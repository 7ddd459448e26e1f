"""Tables in the format of `predictions.csv`, made up so that some classes are confused and one has no sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import softmax

from core.labels import LabelSet

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
