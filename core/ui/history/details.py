"""Tables and sentences below the story: epochs, overfitting, settings, data, all runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from plotly.colors import hex_to_rgb

from core.analysis import history
from core.analysis import text as words
from core.artifacts.training import HISTORY_COLUMNS, Training
from core.plots import history as figures
from core.plots.palette import WARN
from core.ui.history.runs import broken
from core.ui.history.widgets import chart, csv_button, table
from core.ui.markdown import literal

FEW_ROWS = 20  # of a table without a scroll bar of its own
ROW = 35  # pixels


def epochs(chosen: list[Training]) -> None:
    """The timeline of epochs as a table: accuracies, losses, seconds and images per second."""
    rows = pd.concat([t.epochs.assign(run=name) for t, name in _named(chosen)], ignore_index=True)
    known = [name for name in HISTORY_COLUMNS if any(training.knows(name) for training in chosen)]
    columns = [*["run"] * (len(chosen) > 1), *known]
    table(rows, columns, options={"height": ROW * (min(len(rows), FEW_ROWS) + 1) + 3})
    csv_button("Export as CSV", pd.DataFrame(rows[columns]), "epochs")


def _named(chosen: list[Training]) -> list[tuple[Training, str]]:
    names = history.shown_names(chosen)
    return [(training, names[training.run_id]) for training in chosen]


def gap(chosen: list[Training]) -> None:
    """Training against validation accuracy, and what it says."""
    for training, name in _named(chosen):
        of = f"**{literal(name)}**: " if len(chosen) > 1 else ""
        st.markdown(of + literal(words.gap_in_words(training.epochs)))
    chart(figures.gap_figure(chosen), "gap", "Training minus validation accuracy by epoch")


def overview(found: list[Training], problems: dict[str, str]) -> None:
    """All runs in a table, and what is wrong with folders that are none."""
    if found:
        rows = history.runs_table(found)
        table(rows, [*rows.columns.drop("run_id"), "run_id"], options={"width": "stretch"})
    broken(problems)


def settings(chosen: list[Training]) -> None:
    """Settings side by side, those that differ first and highlighted."""
    rows, several = history.settings_table(chosen), len(chosen) > 1
    if several and st.toggle("Differences only", key="differences", bind="query-params"):
        rows = rows[rows["differs"]]
    shade = "background-color: rgba({}, {}, {}, 0.18)".format(*hex_to_rgb(WARN))
    styled = rows.style.apply(lambda row: [shade if row["differs"] and several else ""] * len(row), axis=1)
    table(styled, [name for name in rows.columns if name != "differs"], **history.shown_names(chosen))


def data(training: Training) -> None:
    """What the run was trained on: classes, splits, failures, custom photos."""
    if training.data.is_unknown:
        st.info("Nothing is known of this run's data.", icon=":material/database_off:")
        return
    for sentence in words.data_in_words(training.data):
        st.markdown(literal(sentence))
    problems = training.data.problems
    if problems:
        st.dataframe(pd.DataFrame({f"Problems ({len(problems):,})": problems}), hide_index=True)
    else:
        st.markdown("Every row and photo could be read.")
    rows = history.classes_table(training)
    if len(rows):
        table(rows, list(rows.columns))
    else:
        st.caption("Photos by class and split are unknown.")
