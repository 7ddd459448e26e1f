"""The test photos laid out in two dimensions by what the network sees in them, for the confusion page's map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from core.inference.engine import Engine
from train.catalogue import PHONE, WORN
from train.folder import write_csv
from train.neighbours import pooled_features
from train.splits import SplitData

EMBEDDING_FILE = "embedding.csv"
COMPONENTS = 50  # of the PCA before t-SNE, as van der Maaten and Hinton (2008) do
PERPLEXITY = 30
MOST_PHOTOS = 5_000  # t-SNE of so many takes about a minute; of more, evenly spaced ones are taken


def write_embedding(folder: Path, data: SplitData, engine: Engine) -> None:
    """Write `embedding.csv` (id, x, y): the test photos of the classes, from phones, and of worn garments.

    Raises:
        OSError: the disk is full or not writable.
    """
    rows = np.concatenate([data.known_rows("test"), data.rows("test", PHONE), data.rows("test", WORN)])
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_PHOTOS)).round().astype(int)]
    places = in_two_dimensions(pooled_features(engine, data.pixels(engine.height, engine.width), rows))
    table = pd.DataFrame({"id": data.index.photos["id"].to_numpy()[rows], "x": places[:, 0], "y": places[:, 1]})
    write_csv(folder / EMBEDDING_FILE, table)


def in_two_dimensions(pooled: np.ndarray) -> np.ndarray:
    """t-SNE of pooled features, (n, d) -> (n, 2). One thread, so that the same features always give the same places."""
    if len(pooled) < 4 or not np.ptp(pooled, axis=0).any():  # nothing to tell neighbours by: photos in a row
        return np.column_stack([np.arange(len(pooled)), np.zeros(len(pooled))])
    with threadpool_limits(1):
        reduced = PCA(min(COMPONENTS, *pooled.shape), svd_solver="full").fit_transform(pooled)
        perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
