"""Slices: the sets of photos on which the network is worse than elsewhere, found by search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis import slices
from core.artifacts.facets import FACET_LABELS
from core.artifacts.predictions import Predictions
from core.plots import confusion as figures
from core.ui.confusion.photos import photo_panel
from core.ui.confusion.places import map_places
from core.ui.confusion.quality import MOST_PHOTOS, QUARTERS, evenly, measured, property_facets
from core.ui.confusion.source import Selection, Source
from core.ui.markdown import literal

CHART_CONFIG = {"displayModeBar": False}
CONFIDENCE, CLUSTER, PROPERTIES = "confidence", "cluster", "properties"
TITLES = {
    **FACET_LABELS,
    CONFIDENCE: "Confidence",
    CLUSTER: "Map cluster",
    PROPERTIES: "Image properties",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "megapixels": "Megapixels",
    "proportions": "Width over height",
}
CLUSTERS = 12
CHARTED = 15
LISTED = 100


def tab(source: Source, selection: Selection) -> None:
    """The slices with the lowest accuracy, their photos, and what the photos' properties alone tell."""
    wanted = _search_over(source)
    rows = np.flatnonzero(selection.chosen)
    if PROPERTIES in wanted:
        rows = rows[evenly(len(rows), MOST_PHOTOS)]
        if len(rows) < selection.chosen.sum():
            st.caption(f"Image properties are measured on {len(rows):,} evenly spaced photos.")
    facets = _facets(source, rows, wanted)
    if not facets:
        st.caption("The photos do not differ in these properties.")
        return
    correct = source.predictions.correct[rows]
    table = slices.slices(facets, correct)
    if table.empty:
        st.caption("No slice has 20 photos.")
        return
    st.markdown(_words(table, source.predictions))
    left, right = st.columns([9, 5], gap="medium")
    with left:
        chosen = _list(table)
        figure = figures.slices_figure(table.head(CHARTED), float(correct.mean()), TITLES)
        st.plotly_chart(figure, key="matrix_slices", config=CHART_CONFIG, alt="Accuracy of slices, the lowest on top")
        if PROPERTIES in wanted:
            _shortcut(source, rows, correct)
    with right:
        if chosen is None:
            st.caption("Choose a row to see its photos, mistakes first.")
            return
        st.markdown(f"**{literal(figures.slice_name(chosen, TITLES))}**")
        inside = rows[slices.slice_rows(facets, chosen)]
        photo_panel(source, inside[np.argsort(source.predictions.correct[inside], kind="stable")], _file_name(chosen))


def _file_name(row: dict[str, object]) -> str:
    return figures.slice_name(row, TITLES).replace(":", "").replace(" · ", ", ")


def _search_over(source: Source) -> list[str]:
    own = [name for name in FACET_LABELS if name in source.predictions.facets]
    more = [CLUSTER] if map_places(source) is not None else []
    optional = [CONFIDENCE] if source.predictions.has_probabilities else []
    optional += [PROPERTIES] if source.photos else []
    options = [*own, *more, *optional]
    chosen = st.pills(
        "Search over",
        options,
        format_func=TITLES.__getitem__,
        default=[*own, *more],
        selection_mode="multi",
        key="matrix_search",
        help="Every value, and every pair of values of two of these, is compared with all other photos.",
    )
    return list(chosen or own)


def _facets(source: Source, rows: np.ndarray, wanted: list[str]) -> dict[str, pd.Categorical]:
    predictions = source.predictions
    facets = {name: predictions.facets[name][rows] for name in wanted if name in predictions.facets}
    if CONFIDENCE in wanted:
        facets[CONFIDENCE] = slices.binned(predictions.confidence[rows], QUARTERS)
    places = map_places(source)
    if CLUSTER in wanted and places is not None:
        facets[CLUSTER] = _clusters(places, source.key)[rows]
    if PROPERTIES in wanted:
        facets |= property_facets(measured(source, rows))
    return facets


@st.cache_resource(max_entries=8, show_spinner=False)
def _clusters(_places: np.ndarray, key: str) -> pd.Categorical:
    return slices.clusters(_places, CLUSTERS)


def _words(table: pd.DataFrame, predictions: Predictions) -> str:
    worst = slices.worst_slice(table)
    if worst is None:
        return f"No significant difference among {len(table):,} slices (Fisher's exact test, false discovery rate 5%)."
    return (
        f"**{literal(figures.slice_name(worst, TITLES))}**: accuracy {worst['accuracy']:.1%} on {worst['n']:,} photos, {worst['rest']:.1%} "
        f"on the others (Fisher's exact test, false discovery rate over {len(table):,} slices: p = {worst['p_corrected']:.1g})."
    )


def _list(table: pd.DataFrame) -> dict[str, object] | None:
    """The slices as a table, the most certainly low first; gives the chosen one."""
    shown = table.iloc[np.lexsort([table["accuracy"], table["p_corrected"]])[:LISTED]]
    rows = shown.to_dict("records")
    event = st.dataframe(
        pd.DataFrame(
            {
                "Slice": [figures.slice_name(row, TITLES) for row in rows],
                "Photos": shown["n"].to_numpy(),
                "Accuracy": 100 * shown["accuracy"].to_numpy(),
                "95% CI": [f"{100 * row['low']:.1f}–{row['high']:.1%}" for row in rows],
                "Corrected p": shown["p_corrected"].to_numpy(),
            }
        ),
        hide_index=True,
        height=300,
        column_config={
            "Slice": st.column_config.Column(width=250),
            "Accuracy": st.column_config.NumberColumn(format="%.1f%%"),
            "Corrected p": st.column_config.NumberColumn(format="%.1g", width=90),
        },
        key="matrix_slice_rows",
        on_select="rerun",
        selection_mode="single-row",
    )
    chosen = event.selection.rows
    return rows[chosen[0]] if chosen and chosen[0] < len(rows) else None


def _shortcut(source: Source, rows: np.ndarray, correct: np.ndarray) -> None:
    found = slices.predictable_errors(measured(source, rows), correct)
    if found is None:
        st.caption("Too few mistakes to say whether image properties alone predict them.")
        return
    verdict = "they predict mistakes" if found.low > 0.5 else "no sign of a shortcut"
    st.caption(
        f"Image properties alone separate mistakes from correct predictions with an AUROC of {found.value:.2f} "
        f"(95% CI {found.low:.2f}–{found.high:.2f}; 0.5 is chance): {verdict}."
    )
