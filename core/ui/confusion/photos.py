"""The photos behind a cell of the confusion matrix."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis import confusion
from core.artifacts.predictions import Predictions
from core.images.dataset import PhotoFiles
from core.images.encode import data_url
from core.plots.confusion import View
from core.settings import DATA
from core.ui.confusion.matrix import choose_cell
from core.ui.confusion.source import Selection, Source
from core.ui.handover import open_in_classify
from core.ui.markdown import literal
from core.ui.thumbnails import THUMBNAIL, thumbnail

PHOTOS_A_PAGE = 6
MISTAKES_TO_BEGIN_WITH = 8


def photos_of_cell(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """The photos behind the chosen cell, the most confident first; without a cell, the mistakes to begin with."""
    names, cell = source.predictions.labels.names, view.selected
    if cell is None:
        _begin_with(counts, names)
        return
    cells = confusion.cell_table(counts, names, view.by)
    chosen = cells[(cells["true"] == cell[0]) & (cells["predicted"] == cell[1])].iloc[0]
    st.markdown(f"**{literal(chosen['words'])}.**")
    if not chosen["count"]:
        st.caption("No photo lies in this cell.")
        return
    pages = math.ceil(chosen["count"] / PHOTOS_A_PAGE)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        page = st.pagination(pages, key=f"matrix_page_{cell}_{pages}", max_visible_pages=5)
        st.download_button(
            "CSV",
            lambda: _csv(source.predictions, selection, cell),
            f"{names[cell[0]]} called {names[cell[1]]}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="All photos of this cell",
        )
    rows = confusion.cell_rows(source.predictions, selection.answered, *cell, limit=page * PHOTOS_A_PAGE)
    photo_list(rows.iloc[(page - 1) * PHOTOS_A_PAGE :], source.photos)


def _begin_with(counts: np.ndarray, names: tuple[str, ...]) -> None:
    pairs = confusion.confused_pairs(counts, names)
    st.markdown("Click a cell to see its photos, or begin with the most frequent mistakes:")
    for i, pair in enumerate(pairs.head(MISTAKES_TO_BEGIN_WITH).to_dict("records")):
        true, called = names[pair["true"]], names[pair["predicted"]]
        st.button(
            f"{literal(true)} called {literal(called)} ({pair['count']:,})",
            key=f"matrix_pair_{i}",
            on_click=choose_cell,
            args=(true, called),
            type="tertiary",
            icon=":material/arrow_forward:",
        )


def _csv(predictions: Predictions, selection: Selection, cell: tuple[int, int]) -> str:
    return confusion.cell_rows(predictions, selection.answered, *cell, limit=len(predictions)).to_csv(index=False)


def photo_list(rows: pd.DataFrame, photos: PhotoFiles | None) -> None:
    """One card a photo, rows of `core.analysis.confusion.photo_rows`: thumbnail and a button to classify it, where the photo is here."""
    if photos is None:
        st.caption(f"To see the photos themselves, set `{DATA}` to the data set's zip or folder.")
    found = photos.read(list(rows["id"])) if photos else {}
    for row in rows.to_dict("records"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"matrix_photo_{row['row']}"):
            data = found.get(str(row["id"]))
            if data:
                _thumbnail(data, str(row["id"]))
            st.markdown(_card_text(row), width="stretch")
            if data:
                _open_button(data, row)


def _card_text(row: dict[str, Any]) -> str:
    """Name, id, the two probabilities, colour and usage of a photo, as Markdown of three lines."""
    known = {name: str(value) for name, value in row.items() if pd.notna(value)}
    name = literal(known.get("product", f"Photo {row['id']}"))
    answers = f"{literal(row['prediction'])} {row['p_predicted']:.1%}"
    if row["prediction"] != row["label"]:
        answers += f", {literal(row['label'])} {row['p_true']:.1%}"
    details = [f"id {row['id']}", *(known[column] for column in ("colour", "usage") if column in known)]
    return f"{name}  \n**{answers}**  \n:gray[:small[{literal(' · '.join(details))}]]"


def _open_button(data: bytes, row: dict[str, Any]) -> None:
    if st.button(
        "", key=f"matrix_open_{row['row']}", icon=":material/open_in_new:", help="Open in Classify, with its heat map"
    ):
        open_in_classify(_file_name(row["id"]), data, row["label"])


def _file_name(photo: object) -> str:
    """A name for a photo: an id of the own folder has a suffix already, one of the catalogue has none."""
    path = Path(str(photo))
    return path.name if path.suffix else f"{path.name}.jpg"


def _thumbnail(data: bytes, name: str) -> None:
    small = thumbnail(data)
    if small:
        st.image(data_url(small), width=THUMBNAIL[0], alt=f"Photo {name}")
    else:
        st.markdown(":gray[:material/broken_image:]")
