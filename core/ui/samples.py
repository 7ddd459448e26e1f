"""Tiles of samples drawn in code; each leads to the classify page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.images.encode import data_url, jpeg
from core.inference.verdict import class_name
from core.samples import garments
from core.ui import handover

TILE = (192, 256)  # pixels: sharp screens show two of them a point
LEAST_WIDTH = 72  # points of a tile


def tiles(names: Sequence[str], in_one_row: bool = False) -> None:
    """Samples by their names in `core.samples.garments.GALLERY`; one row scrolls where they do not fit."""
    grid = st.grid(
        len(names) if in_one_row else "auto", min_column_width=LEAST_WIDTH, wrap=not in_one_row, gap="xsmall"
    )
    for name in names:
        with grid.cell(), st.container(key=f"tile-{name}", gap=None):
            st.image(_picture(name), width="stretch", alt=f"Sample: {class_name(name)}")
            st.button(
                class_name(name),
                key=f"sample-{name}",
                on_click=handover.want,
                args=(name,),
                type="tertiary",
                width="stretch",
            )


@st.cache_data(max_entries=64, show_spinner=False)
def _picture(name: str) -> str:
    return data_url(jpeg(garments.gallery_photo(name, TILE)))
