"""The index of similar products that a run carries, from its training photos; `core.artifacts.neighbours` reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.decomposition import PCA

from core.artifacts.neighbours import COLUMNS, INDEX_FILE, TABLE_FILE
from core.files import replaced
from core.inference.engine import Engine
from train.evaluate import BATCH
from train.folder import write_csv
from train.meter import meter
from train.splits import SplitData

DIMENSIONS = 128
MOST_PHOTOS = 20_000  # so that the index stays below 4 MB; of more, evenly spaced ones are taken


def write_index(folder: Path, data: SplitData, engine: Engine) -> None:
    """Write `neighbours.safetensors` and `neighbours.csv` over the training photos of the classes.

    Raises:
        OSError: the disk is full or not writable.
    """
    known = data.known_rows("train")
    rows = known[np.linspace(0, len(known) - 1, min(len(known), MOST_PHOTOS)).round().astype(int)]
    photos = data.index.photos.iloc[rows]
    table = photos[["id", "articleType", "productDisplayName"]].set_axis(list(COLUMNS), axis=1)
    index = compressed(pooled_features(engine, data.pixels(engine.height, engine.width), rows))
    with replaced(folder / INDEX_FILE) as partial:
        tensors = index | {"ids": photos["id"].to_numpy(np.int64)}
        save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, partial)
    write_csv(folder / TABLE_FILE, table)


def compressed(pooled: np.ndarray) -> dict[str, np.ndarray]:
    """An index of pooled features, (n, 2048): `mean`, `components` of their PCA, and `features` along these.

    Each photo's features are scaled by themselves to use all of int8: a cosine does not see scales.
    """
    pca = PCA(min(DIMENSIONS, *pooled.shape), random_state=0).fit(pooled)
    reduced = pca.transform(pooled)
    peak = np.abs(reduced).max(axis=1, keepdims=True)
    return {
        "mean": np.asarray(pca.mean_, np.float32),
        "components": np.asarray(pca.components_, np.float16),
        "features": (127 * reduced / np.where(peak > 0, peak, 1)).round().astype(np.int8),
    }


def pooled_features(engine: Engine, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features of photos averaged over each, float32 (n, 2048)."""
    batches = np.array_split(rows, -(-len(rows) // BATCH))
    shown = meter(batches, "pooling features", "batches")
    return np.concatenate([engine.run(pixels[batch]).features.mean(axis=(2, 3)) for batch in shown])
