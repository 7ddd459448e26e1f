"""Small pictures of photos of the data set."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import UnreadablePhoto
from core.images.dataset import PhotoFiles, catalogue_photos
from core.images.decode import decode_photo
from core.images.encode import data_url, jpeg

THUMBNAIL = (60, 80)


@st.cache_data(max_entries=500, show_spinner=False)
def thumbnail(data: bytes) -> bytes:
    """A JPEG of at most the thumbnail's size twice over, for sharp screens; empty if the photo cannot be read."""
    return picture(data, (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))


def picture(data: bytes, size: tuple[int, int]) -> bytes:
    """A JPEG of a photo, at most of size (width, height); empty if the photo cannot be read."""
    try:
        image = decode_photo(data, at_least=size).image.copy()
    except UnreadablePhoto:
        return b""
    image.thumbnail(size)
    return jpeg(image, 85)


def thumbnail_url(data: bytes | None) -> str | None:
    """A thumbnail as a data URL for a table's image column; None without a readable photo."""
    small = thumbnail(data) if data else b""
    return data_url(small) if small else None


@st.cache_resource(max_entries=2, show_spinner="Looking for photos…")
def catalogue(path: Path) -> PhotoFiles:
    """The Kaggle data set's photos, looked up once for all visitors. Raises InvalidData as `catalogue_photos` does."""
    return catalogue_photos(path)
