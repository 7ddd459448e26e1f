"""The confusion page's headline, its controls and the matrix itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st
import streamlit.components.v2 as components

from core.analysis import confusion
from core.analysis.glossary import TERMS
from core.artifacts.labels import LabelSet
from core.inference.verdict import class_name
from core.plots import confusion as figures
from core.plots.confusion import View
from core.ui import address
from core.ui.choice import one_of
from core.ui.confusion.source import CELL, Selection, Source
from core.ui.markdown import literal

LAST_SOURCE = "matrix_last_source"  # where the session keeps the key of what it analysed last
LASSO = "matrix_lasso"  # query parameter, and place in the session, of the polygon drawn on the map
SHOW = {"true": "Recall (row %)", "predicted": "Precision (column %)", "all": "All %", "counts": "Counts"}
ORDER = {"group": "Group", "size": "Size", "alphabet": "Alphabet", "similarity": "Similarity"}
CHART_CONFIG = {"displayModeBar": False}


def class_names(labels: LabelSet) -> tuple[str, ...]:
    """The classes as people read them."""
    return tuple(map(class_name, labels.names))


def headline(source: Source, selection: Selection, counts: np.ndarray) -> None:
    """Accuracy, its interval, and the most frequent mistake; ends the page where no photo is left."""
    total = int(selection.chosen.sum())
    if not total:
        _end("No photo passes these filters. Loosen them in the sidebar.")
    if not counts.any():
        _end(f"No prediction has a confidence of {selection.threshold:.2f}. Lower the threshold in the sidebar.")
    st.subheader(confusion.accuracy_words(counts, total, selection.threshold), anchor=False)
    names = class_names(source.predictions.labels)
    st.markdown(literal(confusion.detail_words(counts, names, total)))
    classes = np.flatnonzero(counts.sum(axis=1))
    if len(classes) == 1:
        st.warning(
            f"All these photos are {literal(names[classes[0]])}: only that class's row and recall mean anything.",
            icon=":material/looks_one:",
        )


def _end(message: str) -> None:
    st.info(message, icon=":material/filter_alt_off:")
    st.stop()


def controls(source: Source, counts: np.ndarray) -> View:
    """Which cell is chosen (by click, by keyboard here, or by link), what the cells show, and in which order."""
    labels = source.predictions.labels
    _adopt_cell(labels)
    st.html("<style>.st-key-matrix_show [role=radio] {min-height: 2.4rem}</style>")  # as high as the lists beside it
    with st.container(horizontal=True, vertical_alignment="bottom"):
        true, called = (
            st.selectbox(
                title,
                labels.names,
                index=None,
                format_func=class_name,
                key=key,
                on_change=address.chosen,
                args=CELL,
                placeholder="Any",
                width=140,
            )
            for title, key in zip(("True class", "Predicted class"), CELL, strict=True)
        )
        by = one_of(
            "Show",
            list(SHOW),
            "true",
            "matrix_show",
            format_func=SHOW.__getitem__,
            help=f"{TERMS['Recall']}\n\n{TERMS['Precision']}",
        )
        order = st.selectbox(
            "Order", list(ORDER), format_func=ORDER.__getitem__, key="matrix_order", bind="query-params", width=120
        )
        diagonal = st.toggle(
            "Correct", value=True, key="matrix_diagonal", bind="query-params", help="Show the diagonal."
        )
    address.write({key: class_name(name) if name else "" for key, name in zip(CELL, (true, called), strict=True)})
    cell = (labels.index(true), labels.index(called)) if true and called else None
    return View(confusion.class_order(counts, labels, order), by, diagonal, cell, st.context.theme.type or "light")


def _adopt_cell(labels: LabelSet) -> None:
    """Take over the cell of an address that this session did not write: a link, a reload, or the browser's way back."""
    asked = address.asked(*CELL, arrived=CELL[0] not in st.session_state)
    if asked is None:
        return
    names = dict(zip(labels.names, class_names(labels), strict=True))
    found = {key: address.by_id_or_name(given, names) for key, given in asked.items()}
    for key, name in found.items():
        st.session_state[key] = name
    unknown = [given for key, given in asked.items() if given and not found[key]]
    if unknown:
        st.warning(f"No class of these predictions: {literal(', '.join(unknown))}.", icon=":material/link_off:")


def matrix(counts: np.ndarray, source: Source, view: View) -> None:
    """The matrix; a click or tap on a cell chooses it, one on the chosen cell clears it."""
    labels = source.predictions.labels
    grid(
        figures.matrix_figure(counts, labels, view),
        labels,
        view,
        "matrix_chart",
        "Confusion matrix: true classes in rows, predicted classes in columns. The lists above it choose a cell by keyboard.",
        lambda: _choose_clicked(labels.names),
        counts.sum(axis=1),
    )


# What scrolls is to be reached by keyboard too; where nothing does it is no stop on the way. And Plotly selects only what the pointer
# rested on before the click (plotly.js, `hover` before `click`), so that a first tap would select nothing: a touch moves the pointer first.
_matrix_box = components.component(
    "matrix_box",
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
  const point = event => {
    if (event.pointerType !== "touch") return;
    const at = { bubbles: true, clientX: event.clientX, clientY: event.clientY };
    box.querySelector(".nsewdrag")?.dispatchEvent(new MouseEvent("mousemove", at));
  };
  box.addEventListener("pointerdown", point, true);
  return () => {
    observer.disconnect();
    box.removeEventListener("pointerdown", point, true);
  };
}
""",
)


def grid(
    figure: go.Figure,
    labels: LabelSet,
    view: View,
    key: str,
    alt: str,
    on_select: Callable[[], None] | Literal["ignore"] = "ignore",
    sizes: np.ndarray | None = None,
) -> None:
    """A matrix as wide as its column, or scrolling in it where the numbers would not fit; the rows' names stay where they are."""
    box = f"{key}_box"
    st.html(f"<style>.st-key-{box} > * {{min-width: {figures.least_width(labels)}px}}</style>")
    with st.container(horizontal=True, wrap=False, gap="xxsmall"):
        st.html(figures.row_names(labels, view.order, sizes), width="content")
        with st.container(horizontal=True, wrap=False, key=box):
            st.plotly_chart(figure, key=key, on_select=on_select, selection_mode="points", config=CHART_CONFIG, alt=alt)
    _matrix_box(key=f"{key}_scroll", data=box, height=1)


def _choose_clicked(names: tuple[str, ...]) -> None:
    points = st.session_state["matrix_chart"].selection.points
    if points:
        true, predicted = points[0]["customdata"]
        choose_cell(names[true], names[predicted])


def choose_cell(true: str, called: str) -> None:
    """Choose a cell by class names, or clear it if it is chosen already; for callbacks."""
    state = st.session_state
    chosen_already = tuple(state[key] for key in CELL) == (true, called)
    for key, name in zip(CELL, (true, called), strict=True):
        state[key] = None if chosen_already else name
    address.chosen(*CELL)


def clear_cell_of_other(source: Source) -> None:
    """Clear a cell or lasso that was chosen in other predictions; to be called before `controls`."""
    if st.session_state.get(LAST_SOURCE, source.key) != source.key:
        for key in CELL:
            if key in st.session_state:
                st.session_state[key] = None
        st.session_state.pop(LASSO, None)
        st.query_params.pop(LASSO, None)
    st.session_state[LAST_SOURCE] = source.key
