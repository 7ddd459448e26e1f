"""Lists of photos on the confusion page: those of a cell, of a slice, or within a lasso."""

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
from core.images.decode import spreadsheet_name
from core.images.encode import data_url
from core.inference.verdict import class_name
from core.settings import DATA
from core.ui.confusion.source import Source
from core.ui.handover import open_in_classify
from core.ui.markdown import literal
from core.ui.thumbnails import THUMBNAIL, thumbnail, thumbnail_url

PHOTOS_A_PAGE = 6
LISTED = 200
PERCENT = "%.1f%%"
DETAILS_LAST = ("colour", "usage")
DETAIL_TITLES = {"id": "Id", "product": "Product", "colour": "Colour", "usage": "Usage"}


def as_csv(table: pd.DataFrame) -> bytes:
    """A table for Excel: with a byte order mark, and no text that would run as a formula."""
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.assign(**{name: table[name].map(spreadsheet_name, na_action="ignore") for name in texts})
    return safe.to_csv(index=False).encode("utf-8-sig")


def download(
    table: pd.DataFrame | None, name: str, make: Any = None, label: str = "CSV", key: str | None = None
) -> None:
    """A button that downloads a table, or what `make` returns when it is clicked."""
    st.download_button(
        label,
        lambda: as_csv(make() if table is None else table),
        name,
        "text/csv",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )


def photo_panel(source: Source, rows: np.ndarray, name: str) -> None:
    """Photos a few at a time, in the order of their rows.

    Args:
        source: what is analysed.
        rows: int (m,).
        name: of the list; another list begins at its first page.
    """
    if not len(rows):
        st.caption("No photos.")
        return
    pages = math.ceil(len(rows) / PHOTOS_A_PAGE)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        page = st.pagination(pages, key=f"matrix_page_{name}_{pages}", max_visible_pages=5)
        download(None, f"{name}.csv", lambda: confusion.photo_rows(source.predictions, rows))
    shown = rows[(page - 1) * PHOTOS_A_PAGE : page * PHOTOS_A_PAGE]
    photo_list(confusion.photo_rows(source.predictions, shown), source.photos, source.predictions)


def photo_list(rows: pd.DataFrame, photos: PhotoFiles | None, predictions: Predictions) -> None:
    """One card a photo, rows of `core.analysis.confusion.photo_rows`: thumbnail and a button to classify it, where the photo is here."""
    if photos is None:
        st.caption(f"To see the photos, set `{DATA}` to the data set's zip file or folder.")
    found = photos.read(list(rows["id"])) if photos else {}
    for row in rows.to_dict("records"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"matrix_photo_{row['row']}"):
            data = found.get(str(row["id"]))
            if data:
                _thumbnail(data, str(row["id"]))
            st.markdown(_card_text(row, predictions.has_probabilities), width="stretch")
            if data:
                _open_button(data, row)


def _card_text(row: dict[str, Any], with_probabilities: bool) -> str:
    """Name, id, prediction, true class, colour and usage of a photo, as Markdown of three lines."""
    known = {name: str(value) for name, value in row.items() if pd.notna(value)}
    name = literal(known.get("product", f"Photo {row['id']}"))

    def with_share(label: str, share: float) -> str:
        return f"{literal(class_name(label))} {share:.1%}" if with_probabilities else literal(class_name(label))

    words = with_share(row["prediction"], row["p_predicted"])
    if row["prediction"] != row["label"]:
        words += f", true class {with_share(row['label'], row['p_true'])}"
    details = [f"id {row['id']}", *(known[column] for column in ("colour", "usage") if column in known)]
    return f"{name}  \n**{words}**  \n:gray[:small[{literal(' · '.join(details))}]]"


def _open_button(data: bytes, row: dict[str, Any]) -> None:
    if st.button("", key=f"matrix_open_{row['row']}", icon=":material/open_in_new:", help="Open in Classify"):
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


def photo_table(table: pd.DataFrame, source: Source, titles: dict[str, str]) -> None:
    """The first photos of a table, with thumbnails where the photos are here; probabilities are columns that begin with p_."""
    shown = table.head(LISTED).drop(columns="duplicate_group", errors="ignore")
    shares = [name for name in shown if name.startswith("p_")]
    shown = shown.assign(**{name: 100 * shown[name] for name in shares})
    named = [name for name in ("label", "suggested", "first", "second") if name in shown]
    shown = shown.assign(**{name: shown[name].map(class_name) for name in named})
    last = [name for name in DETAILS_LAST if name in shown]
    order = [*shown.columns.drop(last), *last]
    config = {name: st.column_config.NumberColumn(titles.get(name), format=PERCENT) for name in shares}
    titles = {name: title for name, title in {**DETAIL_TITLES, **titles}.items() if name in shown}
    config |= {name: st.column_config.Column(title) for name, title in titles.items() if name not in shares}
    if source.photos:
        found = source.photos.read(list(shown["id"]))
        shown = shown.assign(photo=[thumbnail_url(found.get(str(photo))) for photo in shown["id"]])
        order = ["photo", *order]
        config["photo"] = st.column_config.ImageColumn("", width="small")
    st.dataframe(
        shown, hide_index=True, column_order=order, column_config=config, row_height=64 if source.photos else None
    )
    if len(table) > LISTED:
        st.caption(f"The first {LISTED} of {len(table):,}.")
