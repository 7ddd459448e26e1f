"""The places of test photos on the run's map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.artifacts.predictions import Predictions
from core.artifacts.run import Run
from core.ui.confusion.source import Source

EMBEDDING_FILE = "embedding.csv"


def map_places(source: Source) -> np.ndarray | None:
    """x and y of each row, float (n, 2), NaN for photos that are not on the map; None if the run has none."""
    sha256 = source.run.facts.files.get(EMBEDDING_FILE) if source.run else None
    return _places(source.run, source.predictions, source.key, sha256) if source.run and sha256 else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _places(_run: Run, _predictions: Predictions, key: str, sha256: str) -> np.ndarray:
    table = _run.read_csv(EMBEDDING_FILE)
    found = pd.Index(table["id"].astype(str)).get_indexer(pd.Index(_predictions.table["id"].astype(str)))
    places = np.vstack([table[["x", "y"]].to_numpy(float), [np.nan, np.nan]])
    return places[found]  # -1, which is not found, takes the last
