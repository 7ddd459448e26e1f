"""The confusion page's main column: headline, matrix and the photos behind a cell. The tabs below are in `core.ui_analysis`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
import streamlit.components.v2 as components

from core import confusion
from core import figures_confusion as figures
from core.data_url import data_url, jpeg
from core.errors import UnreadablePhoto
from core.figures_confusion import View
from core.images import decode_photo
from core.labels import LabelSet
from core.photo_files import SETTING, PhotoFiles
from core.predictions import Predictions
from core.ui import literal
from core.ui_handover import open_in_classify
from core.ui_predictions import Selection, Source

LAST_SOURCE = "matrix_last_source"  # where the session keeps the key of what it analysed last
PHOTOS_A_PAGE = 6
THUMBNAIL = (60, 80)
SHOW = {"true": "% of truth", "predicted": "% of answers", "all": "% of all", "counts": "Counts"}
ORDER = {"group": "Group", "size": "Size", "alphabet": "Alphabet", "similarity": "What is confused"}
CHART_CONFIG = {"displayModeBar": False}
MISTAKES_TO_BEGIN_WITH = 8


def headline(source: Source, selection: Selection, counts: np.ndarray) -> None:
    """How much is right, how certain that is, and what is confused most; ends the page where no photo is left."""
    total = int(selection.chosen.sum())
    if not total:
        _end("No photo passes these filters. Loosen them in the sidebar.")
    if not counts.any():
        _end(f"The network is nowhere as sure as {selection.threshold:.2f}. Lower the threshold in the sidebar.")
    st.subheader(confusion.accuracy_words(counts, total, selection.threshold), anchor=False)
    names = source.predictions.labels.names
    st.markdown(literal(confusion.detail_words(counts, names, total)))
    classes = np.flatnonzero(counts.sum(axis=1))
    if len(classes) == 1:
        st.warning(
            f"All these photos are {literal(names[classes[0]])}, so only that class's row and recall say anything.",
            icon=":material/looks_one:",
        )


def _end(message: str) -> None:
    st.info(message, icon=":material/filter_alt_off:")
    st.stop()


def cell_choice(source: Source) -> tuple[int, int] | None:
    """The chosen cell as class indices (true, predicted): by click, by keyboard here, or by link; None unless both are chosen."""
    names = source.predictions.labels.names
    with st.container(horizontal=True, wrap=False, vertical_alignment="bottom"):
        true = st.selectbox("They are", names, index=None, key="matrix_true", bind="query-params", placeholder="any")
        called = st.selectbox(
            "They were called", names, index=None, key="matrix_called", bind="query-params", placeholder="any"
        )
        if true or called:
            st.button("Clear", key="matrix_clear", on_click=clear_cell, width="content")
    return (names.index(true), names.index(called)) if true and called else None


def controls(source: Source, counts: np.ndarray, cell: tuple[int, int] | None) -> View:
    """What the cells show, and in which order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.segmented_control(
            "Show",
            list(SHOW),
            format_func=SHOW.__getitem__,
            default="true",
            required=True,
            key="matrix_show",
            bind="query-params",
        )
        order = st.selectbox(
            "Order", list(ORDER), format_func=ORDER.__getitem__, key="matrix_order", bind="query-params", width=180
        )
        diagonal = st.toggle("Right answers", value=True, key="matrix_diagonal", bind="query-params")
    indices = confusion.class_order(counts, source.predictions.labels, order)
    return View(indices, by, diagonal, cell, st.context.theme.type or "light")


def matrix(counts: np.ndarray, source: Source, view: View) -> None:
    """The matrix; a click on a cell chooses it, a click on the chosen one lets it go."""
    labels = source.predictions.labels
    grid(
        figures.matrix_figure(counts, labels, view),
        labels,
        "matrix_chart",
        "Confusion matrix: true classes in rows, predicted classes in columns. The lists beside it choose a cell by keyboard.",
        lambda: _choose_clicked(labels.names),
    )


# What scrolls is to be reached by keyboard too; where nothing does it is no stop on the way.
_scroll_by_keyboard = components.component(
    "scroll_by_keyboard",
    html="<div></div>",
    js="""
export default function({ data }) {
  const box = document.querySelector(`.st-key-${data}`);
  if (!box) return;
  box.setAttribute("aria-label", "Matrix");
  const update = () => {
    const scrolls = box.scrollWidth > box.clientWidth;
    box.toggleAttribute("tabindex", scrolls);
    if (scrolls) box.tabIndex = 0;
    box.setAttribute("role", scrolls ? "region" : "group");
  };
  const observer = new ResizeObserver(update);
  for (const element of [box, ...box.children]) observer.observe(element);
  return () => observer.disconnect();
}
""",
)


def grid(
    figure: go.Figure,
    labels: LabelSet,
    key: str,
    alt: str,
    on_select: Callable[[], None] | Literal["ignore"] = "ignore",
) -> None:
    """A matrix as wide as its column, or scrolling in it where the numbers would not fit into their cells."""
    box = f"{key}_box"
    st.html(f"<style>.st-key-{box} > * {{min-width: {figures.least_width(labels)}px}}</style>")
    with st.container(horizontal=True, wrap=False, key=box):
        st.plotly_chart(figure, key=key, on_select=on_select, selection_mode="points", config=CHART_CONFIG, alt=alt)
    _scroll_by_keyboard(key=f"{key}_scroll", data=box, height=1)


def _choose_clicked(names: tuple[str, ...]) -> None:
    points = st.session_state["matrix_chart"].selection.points
    if points:
        true, predicted = points[0]["customdata"]
        choose_cell(names[true], names[predicted])


def choose_cell(true: str, called: str) -> None:
    """Choose a cell by class names, or let it go if it is chosen already; for callbacks."""
    state = st.session_state
    chosen_already = (state["matrix_true"], state["matrix_called"]) == (true, called)
    state["matrix_true"], state["matrix_called"] = (None, None) if chosen_already else (true, called)


def clear_cell() -> None:
    """Let the chosen cell go; for callbacks, or before `cell_choice`."""
    st.session_state["matrix_true"] = st.session_state["matrix_called"] = None


def clear_cell_of_other(source: Source) -> None:
    """Let a cell go that was chosen in other predictions; to be called before `cell_choice`."""
    if st.session_state.get(LAST_SOURCE, source.key) != source.key:
        clear_cell()
    st.session_state[LAST_SOURCE] = source.key


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
    """One card a photo, rows of `core.confusion.photo_rows`: thumbnail and a button to classify it, where the photo is here."""
    if photos is None:
        st.caption(f"To see the photos themselves, set `{SETTING}` to the data set's zip or folder.")
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
    small = _small(data)
    if small:
        st.image(data_url(small), width=THUMBNAIL[0], alt=f"Photo {name}")
    else:
        st.markdown(":gray[:material/broken_image:]")


@st.cache_data(max_entries=500, show_spinner=False)
def _small(data: bytes) -> bytes:
    """A JPEG of at most the thumbnail's size twice over, for sharp screens; empty if the photo cannot be read."""
    size = (2 * THUMBNAIL[0], 2 * THUMBNAIL[1])
    try:
        image = decode_photo(data, at_least=size).image.copy()
    except UnreadablePhoto:
        return b""
    image.thumbnail(size)
    return jpeg(image, 85)


def thumbnail_url(data: bytes | None) -> str | None:
    """A thumbnail as a data URL for a table's image column; None without a readable photo."""
    small = _small(data) if data else b""
    return data_url(small) if small else None
