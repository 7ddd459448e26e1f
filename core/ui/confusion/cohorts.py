"""Cohorts: name the photos selected now, keep them in the address, compare two, export them for a training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.cohorts import (
    MOST_COHORTS,
    MOST_NAME,
    Cohort,
    cohort_table,
    cohorts_from_text,
    cohorts_text,
    compared,
)
from core.analysis.confusion import photo_rows
from core.plots.confusion import View
from core.ui.confusion.embedding import chosen_polygon
from core.ui.confusion.photos import download, photo_panel
from core.ui.confusion.places import map_places
from core.ui.confusion.source import Selection, Source
from core.ui.markdown import literal

COHORTS = "matrix_cohorts"  # query parameter and place in the session
NAME = "matrix_cohort_name"


def tab(source: Source, selection: Selection, view: View) -> None:
    """What is saved, compared, and its photos."""
    _save(source, selection, view)
    saved = saved_cohorts()
    if not saved:
        st.caption(
            "No cohorts yet. Choose a cell, filters or a lasso on the map, then name and save the selection here."
        )
        return
    places = map_places(source)
    members = {cohort.name: cohort.rows(source.predictions, places) for cohort in saved}
    left, right = st.columns([9, 5], gap="medium")
    with left:
        _table(source, members)
        _comparison(source, members)
        name = st.selectbox("Cohort", list(members), key="matrix_cohort")
        _actions(source, members, name)
    with right:
        st.markdown(f"**{literal(name)}**")
        rows = members[name]
        photo_panel(source, rows[np.argsort(source.predictions.correct[rows], kind="stable")], name)


def saved_cohorts() -> tuple[Cohort, ...]:
    """Those of the session, or of the link that opened the page."""
    if COHORTS not in st.session_state:
        st.session_state[COHORTS] = cohorts_from_text(st.query_params.get(COHORTS, ""))
    return st.session_state[COHORTS]


def _keep(cohorts: tuple[Cohort, ...]) -> None:
    st.session_state[COHORTS] = cohorts
    if cohorts:
        st.query_params[COHORTS] = cohorts_text(cohorts)
    elif COHORTS in st.query_params:
        del st.query_params[COHORTS]


def _save(source: Source, selection: Selection, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Name of the selection", key=NAME, max_chars=MOST_NAME, width=260)
        st.button("Save as cohort", icon=":material/bookmark_add:", on_click=_save_now, args=(source, selection, view))
        st.caption(literal(_described(source, selection, view)))


def _described(source: Source, selection: Selection, view: View) -> str:
    rows = _current("", source, selection, view).rows(source.predictions, map_places(source))
    return f"The cell, filters and lasso chosen now select {len(rows):,} photos."


def _current(name: str, source: Source, selection: Selection, view: View) -> Cohort:
    names = source.predictions.labels.names
    cell = (names[view.selected[0]], names[view.selected[1]]) if view.selected else ()
    values = {facet: list(values) for facet, values in selection.values.items() if values}
    return Cohort(name, cell, values, selection.confidence, selection.threshold, chosen_polygon())


def _save_now(source: Source, selection: Selection, view: View) -> None:
    saved = saved_cohorts()
    name = st.session_state[NAME].strip() or f"Cohort {len(saved) + 1}"
    others = tuple(cohort for cohort in saved if cohort.name != name)
    _keep((*others, _current(name, source, selection, view))[-MOST_COHORTS:])
    st.session_state[NAME] = ""


def _table(source: Source, members: dict[str, np.ndarray]) -> None:
    table = cohort_table(source.predictions, members)
    st.dataframe(
        pd.DataFrame(
            {
                "Cohort": table["name"],
                "Photos": table["photos"],
                "Accuracy": 100 * table["accuracy"],
                "95% CI": [
                    "" if np.isnan(low) else f"{100 * low:.1f}–{high:.1%}"
                    for low, high in zip(table["low"], table["high"], strict=True)
                ],
                "Mean confidence": 100 * table["confidence"],
            }
        ),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.1f%%") for name in ("Accuracy", "Mean confidence")
        },
    )


def _comparison(source: Source, members: dict[str, np.ndarray]) -> None:
    if len(members) < 2:
        return
    with st.container(horizontal=True):
        first = st.selectbox("Compare", list(members), key="matrix_cohort_a")
        second = st.selectbox("with", [name for name in members if name != first], key="matrix_cohort_b")
    p = compared(source.predictions, members[first], members[second])
    verdict = "Significant difference" if p < 0.05 else "No significant difference"
    st.markdown(f"{verdict} between {literal(first)} and {literal(second)} (Fisher's exact test, p = {p:.2g}).")


def _actions(source: Source, members: dict[str, np.ndarray], name: str) -> None:
    labels = photo_rows(source.predictions, members[name])[["id", "label"]]
    with st.container(horizontal=True):
        download(labels, f"{name}, labels.csv", label="Export labels", key="matrix_export_labels")  # pyright: ignore[reportArgumentType]
        download(
            labels.assign(label=""), f"{name}, excluded.csv", label="Export as excluded", key="matrix_export_excluded"
        )
        st.button("Delete", icon=":material/delete:", on_click=_delete, args=(name,))
    st.caption(
        "Both files can be given to the trainer: `python -m train --data DATA --data FILE.csv`. It takes each label as you change it, and "
        "leaves out photos with an empty one."
    )


def _delete(name: str) -> None:
    _keep(tuple(cohort for cohort in saved_cohorts() if cohort.name != name))
