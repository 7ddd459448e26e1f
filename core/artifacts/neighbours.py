"""The training products most similar to a photo, by the network's own features: a small index in the run folder.

The features are the last block's maps averaged over the photo, what the linear head sees; the index holds their principal components.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from core.artifacts.run import RESTORE_HINT, Run
from core.errors import BrokenRun

INDEX_FILE, TABLE_FILE = "neighbours.safetensors", "neighbours.csv"
COLUMNS = ("id", "label", "product")


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors at unit length, float32 (..., d); those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


@dataclass(frozen=True)
class Neighbours:
    """A run's index, read-only.

    Args:
        mean: of the training photos' pooled features, float32 (2048,).
        components: principal directions of those features, float32 (d, 2048).
        features: the training photos along these directions, unit length, float32 (n, d).
        photos: `id, label, product` of each of them, in the same order.
    """

    mean: np.ndarray
    components: np.ndarray
    features: np.ndarray
    photos: pd.DataFrame

    @classmethod
    def load(cls, run: Run) -> Neighbours | None:
        """A run's index; None if it keeps none (runs of earlier versions, published ones).

        Raises:
            BrokenRun: its files are damaged, or do not belong together.
        """
        if not run.has(INDEX_FILE):
            return None
        path = run.path(INDEX_FILE)
        photos = run.read_csv(TABLE_FILE)
        try:
            index = load_file(path)
            mean, components = (index[name].astype(np.float32) for name in ("mean", "components"))
            loaded = cls(mean, components, normalised(index["features"]), photos.loc[:, list(COLUMNS)])
            belong = components.shape == (loaded.features.shape[1], len(mean)) and np.array_equal(
                index["ids"], photos["id"]
            )
        except (SafetensorError, KeyError, IndexError, ValueError) as error:
            raise BrokenRun(f"{path} is no index of similar photos ({error!r:.200}). {RESTORE_HINT}") from None
        if not belong:
            raise BrokenRun(f"{path} and {TABLE_FILE} beside it do not belong together. {RESTORE_HINT}")
        return loaded

    def nearest(self, pooled: np.ndarray, k: int = 5) -> pd.DataFrame:
        """The training photos most similar to one photo.

        Args:
            pooled: its features averaged over the photo, (2048,).
            k: how many.

        Returns:
            `id, label, product, similarity`, the most similar first; similarity is the cosine, in [-1, 1].
        """
        similarity = self.features @ normalised(self.components @ (pooled - self.mean))
        order = np.argsort(-similarity, kind="stable")[:k]
        return self.photos.iloc[order].assign(similarity=similarity[order]).reset_index(drop=True)
