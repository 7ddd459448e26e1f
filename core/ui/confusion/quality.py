"""Properties of the photos themselves, where they are on this machine: measured once, kept for all visitors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.slices import binned
from core.errors import UnreadablePhoto
from core.images.decode import decode_photo
from core.images.properties import PROPERTIES, SIDE, properties
from core.ui.confusion.source import Source

MOST_PHOTOS = 5_000  # that are measured; of more, evenly spaced ones are taken
REFERENCE_PHOTOS = 200  # with which the photos of a cell are compared
EXTREME = 0.02  # share of the reference at either end that counts as poor
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")


def measured(source: Source, rows: np.ndarray) -> pd.DataFrame:
    """Columns `PROPERTIES` for rows int (m,); NaN for photos that are not here or cannot be read."""
    ids = tuple(source.predictions.table["id"].iloc[rows].astype(str))
    return _measured(source, source.key, ids)


@st.cache_data(max_entries=64, show_spinner="Measuring photos…")
def _measured(_source: Source, key: str, ids: tuple[str, ...]) -> pd.DataFrame:
    found = _source.photos.read(ids) if _source.photos else {}
    unknown = (np.nan,) * len(PROPERTIES)
    return pd.DataFrame(
        [_properties(found[photo]) if photo in found else unknown for photo in ids], columns=list(PROPERTIES)
    )


def _properties(data: bytes) -> tuple[float, ...]:
    try:
        photo = decode_photo(data, at_least=(SIDE, SIDE))
    except UnreadablePhoto:
        return (np.nan,) * len(PROPERTIES)
    return properties(photo.image, photo.size)


def poor_photos(source: Source, rows: np.ndarray) -> np.ndarray:
    """Which photos of a cell are darker, brighter, flatter or less sharp than nearly all photos of the test set, bool (n,).

    None is where the photos are not here.
    """
    poor = np.zeros(len(source.predictions), bool)
    if source.photos is None:
        return poor
    rows = rows[:MOST_PHOTOS]
    reference = measured(source, evenly(len(poor), REFERENCE_PHOTOS))
    values = measured(source, rows)
    low, high = reference.quantile(EXTREME), reference.quantile(1 - EXTREME)
    below = values[["brightness", "contrast", "sharpness"]].lt(low[["brightness", "contrast", "sharpness"]]).any(axis=1)
    above = values["brightness"] > high["brightness"]
    poor[rows] = (below | above).to_numpy()
    return poor


def evenly(n: int, most: int) -> np.ndarray:
    """At most so many of n rows, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def property_facets(table: pd.DataFrame) -> dict[str, pd.Categorical]:
    """Properties that differ between photos as facets, each in quarters."""
    return {name: binned(table[name].to_numpy(), QUARTERS) for name in PROPERTIES if table[name].nunique() > 1}  # pyright: ignore[reportGeneralTypeIssues]
