"""The map of the test photos: two dimensions, coloured, with a lasso that selects photos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.cohorts import Polygon, inside, polygon_from_text, polygon_text
from core.inference.verdict import class_name
from core.plots import confusion as figures
from core.plots.palette import BAD, GOOD
from core.ui.choice import one_of
from core.ui.confusion.matrix import LASSO, class_names
from core.ui.confusion.photos import photo_panel
from core.ui.confusion.places import map_places
from core.ui.confusion.source import Selection, Source

CHART = "matrix_map"
COLOURS = {"correct": "Correctness", "true": "True class", "predicted": "Predicted class"}
# 15 hues that differ in lightness too, so that neighbours can be told apart (Tol's and Okabe-Ito's).
CLASS_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b97f00", "#56b4e9", "#aa3377", "#228833"),
    *("#ee6677", "#4477aa", "#999933", "#882255", "#44aa99", "#6699cc", "#997700"),
)


def tab(source: Source, selection: Selection) -> None:
    """The map, and the photos within the lasso."""
    places = map_places(source)
    if places is None:
        st.caption("This run has no map of its test photos. Runs that are trained from now on have one.")
        return
    left, right = st.columns([9, 5], gap="medium")
    with left:
        by = one_of("Colour", list(COLOURS), "correct", "matrix_colour_by", format_func=COLOURS.__getitem__)
        table = _points(source, selection, places, by)
        figure = figures.map_figure(table, _legend(source, table, by))
        polygon = chosen_polygon()
        if polygon:
            figure.add_shape(type="path", path=_path(polygon), line={"width": 2, "color": "#8a8f98"})
        st.plotly_chart(
            figure,
            key=CHART,
            on_select=_keep_lasso,
            selection_mode=("lasso", "box"),
            config={"displaylogo": False, "scrollZoom": False},
            alt="Test photos in two dimensions; neighbours look alike to the network",
        )
        st.caption(
            "Neighbours look alike to the network (t-SNE of its features). Draw a lasso round photos to list them."
        )
    with right:
        if not polygon:
            st.caption("No photos selected.")
            return
        rows = np.flatnonzero(selection.chosen & inside(places, polygon))
        correct = source.predictions.correct[rows]
        if len(rows):
            st.markdown(f"**{len(rows):,} photos selected, accuracy {correct.mean():.1%}**")
        st.button("Clear", key="matrix_clear_lasso", on_click=clear_lasso)
        photo_panel(source, rows[np.argsort(correct, kind="stable")], "Selection on the map")


def chosen_polygon() -> Polygon:
    """The lasso of the session, or of the link that opened the page; empty without one."""
    if LASSO not in st.session_state:
        st.session_state[LASSO] = polygon_from_text(st.query_params.get(LASSO, ""))
    return st.session_state[LASSO]


def clear_lasso() -> None:
    """Forget the lasso; for callbacks."""
    set_lasso(())


def set_lasso(polygon: Polygon) -> None:
    """Select what lies within a polygon, and put it into the address."""
    st.session_state[LASSO] = polygon
    if polygon:
        st.query_params[LASSO] = polygon_text(polygon)
    elif LASSO in st.query_params:
        del st.query_params[LASSO]


def _keep_lasso() -> None:
    selection: Any = st.session_state[CHART].selection
    drawn = selection.get("lasso") or selection.get("box")
    if not drawn:
        return  # the chart was drawn anew, or clicked beside its points
    x, y = drawn[0]["x"], drawn[0]["y"]
    if selection.get("box"):
        x, y = [x[0], x[1], x[1], x[0]], [y[0], y[0], y[1], y[1]]
    set_lasso(polygon_from_text(polygon_text(tuple(zip(map(float, x), map(float, y), strict=True)))))


def _points(source: Source, selection: Selection, places: np.ndarray, by: str) -> pd.DataFrame:
    predictions = source.predictions
    rows = np.flatnonzero(selection.chosen & ~np.isnan(places[:, 0]))
    names = np.array(class_names(predictions.labels))
    true, predicted = names[predictions.true[rows]], names[predictions.predicted[rows]]
    values = {
        "correct": np.where(predictions.correct[rows], "Correct", "Incorrect"),
        "true": true,
        "predicted": predicted,
    }
    ids = predictions.table["id"].iloc[rows].astype(str)
    words = [f"{photo}: {a}, predicted as {b}" for photo, a, b in zip(ids, true, predicted, strict=True)]
    return pd.DataFrame({"x": places[rows, 0], "y": places[rows, 1], "row": rows, "value": values[by], "words": words})


def _legend(source: Source, table: pd.DataFrame, by: str) -> dict[str, str]:
    if by == "correct":
        return {"Correct": GOOD, "Incorrect": BAD}
    names = map(class_name, source.predictions.labels.names)
    colours = {name: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, name in enumerate(names)}
    present = set(table["value"])
    return {name: colour for name, colour in colours.items() if name in present}


def _path(polygon: Polygon) -> str:
    return "M " + " L ".join(f"{x},{y}" for x, y in polygon) + " Z"
