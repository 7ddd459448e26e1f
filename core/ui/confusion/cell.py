"""The photos behind a cell of the matrix, and the dossier that says what they have in common."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from core.analysis import confusion, slices
from core.analysis.dossier import REASONS, Dossier, dossier, dossier_words, nearest
from core.artifacts.facets import FACET_LABELS
from core.artifacts.predictions import Predictions
from core.errors import GarmentError, UnreadablePhoto
from core.images.decode import decode_photo
from core.images.encode import data_url, jpeg
from core.inference.verdict import class_name
from core.plots.confusion import View
from core.plots.heatmap import overlay
from core.settings import DEFAULTS
from core.ui import session
from core.ui.confusion.matrix import choose_cell, class_names
from core.ui.confusion.photos import photo_panel
from core.ui.confusion.places import map_places
from core.ui.confusion.quality import poor_photos
from core.ui.confusion.source import Selection, Source
from core.ui.markdown import literal
from core.ui.thumbnails import thumbnail

MISTAKES_TO_BEGIN_WITH = 8
HEAT_PHOTOS = 16  # of a cell whose heat maps are averaged
HEAT_SIZE = (120, 160)
NEAREST = 4


def photos_of_cell(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """The chosen cell in words, its dossier and its photos, the most confident first; without a cell, the mistakes to begin with."""
    names, cell = source.predictions.labels.names, view.selected
    if cell is None:
        _begin_with(counts, source)
        return
    cells = confusion.cell_table(counts, class_names(source.predictions.labels), view.by)
    chosen = cells[(cells["true"] == cell[0]) & (cells["predicted"] == cell[1])].iloc[0]
    if not chosen["count"]:
        st.markdown(f"**{literal(chosen['words'])}.**")
        st.caption("No photos in this cell.")
        return
    predictions = source.predictions
    rows = np.flatnonzero(selection.answered & (predictions.true == cell[0]) & (predictions.predicted == cell[1]))
    _dossier(source, selection, cell, rows, str(chosen["words"]))
    photo_panel(source, rows, f"{names[cell[0]]} predicted as {names[cell[1]]}")


def _begin_with(counts: np.ndarray, source: Source) -> None:
    names = source.predictions.labels.names
    pairs = confusion.confused_pairs(counts, class_names(source.predictions.labels))
    st.markdown("Click a cell to see its photos, or start with a frequent mistake:")
    for i, pair in enumerate(pairs.head(MISTAKES_TO_BEGIN_WITH).to_dict("records")):
        true, called = names[pair["true"]], names[pair["predicted"]]
        st.button(
            f"{literal(class_name(true))} predicted as {literal(class_name(called))} ({pair['count']:,})",
            key=f"matrix_pair_{i}",
            on_click=choose_cell,
            args=(true, called),
            type="tertiary",
            icon=":material/arrow_forward:",
        )


@st.cache_data(max_entries=8, show_spinner="Looking for suspect labels…")
def suspects(_predictions: Predictions, key: str) -> pd.DataFrame:
    """Rows whose labels may be wrong, as of `core.analysis.slices.suspected_label_errors`."""
    return slices.suspected_label_errors(_predictions.probabilities, _predictions.true)


def _dossier(source: Source, selection: Selection, cell: tuple[int, int], rows: np.ndarray, words: str) -> None:
    predictions = source.predictions
    suspected = np.zeros(len(predictions), bool)
    if predictions.has_probabilities:
        suspected[suspects(predictions, source.key)["row"].to_numpy()] = True
    class_rows = np.flatnonzero(selection.answered & (predictions.true == cell[0]))
    found = dossier(predictions, rows, class_rows, suspected, poor_photos(source, rows))
    st.markdown(f"**{literal(words)}.** {literal(dossier_words(found, FACET_LABELS))}")
    with st.expander(
        "Why this confusion?" if cell[0] != cell[1] else "What these photos have in common",
        icon=":material/search_insights:",
    ):
        _reasons(found, len(rows))
        _marks(found)
        if source.photos:
            _mean_heat_map(source, rows, cell)
        _nearest(source, selection, cell, rows)


def _reasons(found: Dossier, photos: int) -> None:
    counts = Counter(found.reasons.tolist())
    if not counts:
        return
    kinds = pd.DataFrame({"Kind of mistake": REASONS, "Photos": [counts[reason] for reason in REASONS]})
    st.dataframe(
        kinds.assign(Share=100 * kinds["Photos"] / photos),
        hide_index=True,
        column_config={"Share": st.column_config.NumberColumn(format="%.0f%%")},
    )
    st.caption("Each mistake is counted once, in the first row that applies.")


def _marks(found: Dossier) -> None:
    if found.marks.empty:
        st.caption("No word or value is significantly more frequent here than in the rest of the class.")
        return
    st.markdown("**More frequent here than in the rest of the class**")
    titles = {**FACET_LABELS, "word": "Word in the name"}
    shown = found.marks.head(8)
    st.dataframe(
        pd.DataFrame(
            {
                "What": [f"{titles[row['facet']]}: {row['value']}" for row in shown.to_dict("records")],
                "Here": 100 * shown["share"],
                "Rest": 100 * shown["share_of_others"],
                "Corrected p": shown["p_corrected"],
            }
        ),
        hide_index=True,
        column_config={
            "Here": st.column_config.NumberColumn(format="%.0f%%"),
            "Rest": st.column_config.NumberColumn(format="%.0f%%"),
            "Corrected p": st.column_config.NumberColumn(format="%.2g"),
        },
    )


def _mean_heat_map(source: Source, rows: np.ndarray, cell: tuple[int, int]) -> None:
    """Mean heat map of the predicted class over the cell's photos, on the mean of the photos."""
    label = source.predictions.labels.names[cell[1]]
    ids = tuple(source.predictions.table["id"].iloc[rows[:HEAT_PHOTOS]].astype(str))
    picture, photos = _heat_picture(source, source.key, session.shipped_run_id(), ids, label)
    if picture:
        st.image(data_url(picture), width=HEAT_SIZE[0], alt=f"Mean heat map of {label}")
        st.caption(f"Mean heat map of {literal(class_name(label))} over {photos} photos, by the shipped run.")


@st.cache_data(max_entries=64, show_spinner="Averaging heat maps…")
def _heat_picture(_source: Source, key: str, run_id: str, ids: tuple[str, ...], label: str) -> tuple[bytes, int]:
    try:
        classifier = session.classifier()
    except GarmentError:
        return b"", 0
    if label not in classifier.labels.names or _source.photos is None:
        return b"", 0
    photos = []
    for data in _source.photos.read(ids).values():
        try:
            photos.append(decode_photo(data, at_least=classifier.enough))
        except UnreadablePhoto:
            continue
    if not photos:
        return b"", 0
    readings = classifier.read([(photo, None) for photo in photos])
    heat = np.mean([reading.heat(classifier.labels.index(label), HEAT_SIZE) for reading in readings], axis=0)
    mean = np.mean([np.asarray(photo.image.convert("RGB").resize(HEAT_SIZE)) for photo in photos], axis=0)
    return jpeg(overlay(Image.fromarray(mean.astype(np.uint8)), heat, DEFAULTS.opacity), 85), len(photos)


def _nearest(source: Source, selection: Selection, cell: tuple[int, int], rows: np.ndarray) -> None:
    """The photos most like those of the cell: correct ones of either class, and other mistakes."""
    predictions = source.predictions
    places = map_places(source)
    if places is None and not predictions.has_probabilities:
        return
    space = places if places is not None else np.sqrt(predictions.probabilities)
    like = "on the map" if places is not None else "by their probabilities"
    of_cell = selection.answered & np.isin(predictions.true, cell)
    for title, which in (("correct", predictions.correct), ("incorrect", ~predictions.correct)):
        near = nearest(space, rows, np.flatnonzero(of_cell & which), NEAREST)
        if len(near):
            st.markdown(f"**Nearest {title} photos** ({like})")
            _row_of_photos(source, near)


def _row_of_photos(source: Source, rows: np.ndarray) -> None:
    ids = source.predictions.table["id"].iloc[rows].astype(str).tolist()
    found = source.photos.read(ids) if source.photos else {}
    names = class_names(source.predictions.labels)
    with st.container(horizontal=True):
        for photo, row in zip(ids, rows.tolist(), strict=True):
            words = f"{names[source.predictions.true[row]]} → {names[source.predictions.predicted[row]]}"
            small = thumbnail(found[photo]) if photo in found else b""
            with st.container(width=90):
                if small:
                    st.image(data_url(small), width=60, alt=f"Photo {photo}")
                st.caption(f"{literal(photo)}  \n{literal(words)}")
