"""The confusion page's main column: headline, matrix and the photos behind a cell. The tabs below are in `core.ui.confusion.tabs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st
import streamlit.components.v2 as components

from core.analysis import confusion
from core.artifacts.labels import LabelSet
from core.plots import confusion as figures
from core.plots.confusion import View
from core.ui.confusion.source import Selection, Source
from core.ui.markdown import literal

LAST_SOURCE = "matrix_last_source"  # where the session keeps the key of what it analysed last
SHOW = {"true": "% of truth", "predicted": "% of answers", "all": "% of all", "counts": "Counts"}
ORDER = {"group": "Group", "size": "Size", "alphabet": "Alphabet", "similarity": "What is confused"}
CHART_CONFIG = {"displayModeBar": False}


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
