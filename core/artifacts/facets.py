"""What test photos can be filtered by. To add a facet, such as the season, add one entry to `FACETS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

GENDER_WORD = r"\b(?P<word>Men|Women|Boys|Girls|Unisex)\b"
NOT_STATED = "not stated"


def texts(values: ArrayLike) -> pa.StringArray:
    """Arrow strings in one piece, null where a value is missing."""
    strings = pa.array(pd.Series(values).astype("str"), pa.string(), from_pandas=True)
    return strings.combine_chunks() if isinstance(strings, pa.ChunkedArray) else strings


def as_stated(values: ArrayLike) -> pd.Categorical:
    """The values as they are, missing ones as NOT_STATED."""
    return _sorted_categories(texts(values).fill_null(NOT_STATED))


def gender_word(products: ArrayLike) -> pd.Categorical:
    """The first gender word in a product's name, or "none"."""
    words = pc.call_function("extract_regex", [texts(products)], pc.ExtractRegexOptions(GENDER_WORD)).flatten()[0]
    return _sorted_categories(words.fill_null("none"))


def duplicate_status(groups: ArrayLike) -> pd.Categorical:
    """Whether another photo of the file belongs to the same group of near-duplicates."""
    codes, _ = pd.factorize(pd.Series(groups))
    size = np.bincount(codes[codes >= 0], minlength=1)
    shared = (codes >= 0) & (size[codes] > 1)
    return pd.Categorical.from_codes(shared.astype(int), ["unique", "near-duplicate"])


def _sorted_categories(strings: pa.StringArray) -> pd.Categorical:
    encoded = strings.dictionary_encode()
    categorical = pd.Categorical.from_codes(encoded.indices.to_numpy(), encoded.dictionary.to_pylist())
    return categorical.reorder_categories(sorted(categorical.categories))


@dataclass(frozen=True)
class Facet:
    """A property of photos, from a column of the file of predictions. Where the file lacks the column, the facet is left out.

    Args:
        name: in addresses and tables.
        label: on screen.
        column: of the file.
        values: from the column, one value a photo.
    """

    name: str
    label: str
    column: str
    values: Callable[[ArrayLike], pd.Categorical] = as_stated


GROUP = "group"  # of the true class; known of every photo, from the run's labels
FACETS = (  # in the order on screen, after the group
    Facet("usage", "Usage", "usage"),
    Facet("gender", "Gender word", "product", gender_word),
    Facet("duplicates", "Near-duplicates", "duplicate_group", duplicate_status),
    Facet("colour", "Colour", "colour"),
)
FACET_LABELS = {GROUP: "Group", **{facet.name: facet.label for facet in FACETS}}
DETAILS = tuple(dict.fromkeys(("product", *(facet.column for facet in FACETS))))  # columns that a file may have or not
