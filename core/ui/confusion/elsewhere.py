"""Phone photos and worn garments: the run's predictions on photos that are not from the catalogue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis import coarse
from core.analysis.coarse import CoarsePredictions
from core.artifacts.measures import Coarse
from core.artifacts.predictions import prediction_file
from core.artifacts.run import Run
from core.artifacts.tables import read_table
from core.errors import GarmentError
from core.inference.verdict import class_name
from core.plots import confusion as figures
from core.ui.choice import one_of
from core.ui.confusion.source import Source
from core.ui.markdown import told

KINDS = {"phone": "Phone photos", "worn": "Worn garments"}
PERCENT = "%.1f%%"


def tab(source: Source, theme: str) -> None:
    """The matrix of each kind of photos, or the rates by label where a run has no more."""
    run = source.run
    sections = _sections(run) if run else {}
    if run is None or not sections:
        st.caption("There are no phone photos or worn garments in the test set of this run.")
        return
    kind = one_of("Photos", list(sections), next(iter(sections)), "matrix_elsewhere", format_func=KINDS.__getitem__)
    photos = predictions_of_kind(run, kind)
    if photos is None:
        _label_table(coarse.measured_labels(sections[kind]))
        st.caption("This run has no predictions of single photos of this kind, so there is no matrix.")
        return
    matrix = coarse.coarse_matrix(photos)
    table = coarse.label_table(matrix)
    known = matrix.allowed[:, :-1].any(axis=1)
    right, total = (matrix.counts * matrix.allowed)[known].sum(), matrix.counts[known].sum()
    if total:
        st.markdown(
            f"**Accuracy {right / total:.1%} on {total:,} photos of the classes.** A prediction is correct if the photo's label allows it "
            "(framed). Photos out of scope count as incorrect, except for other garments."
        )
    columns = [*map(class_name, photos.labels.names), coarse.OUT_OF_SCOPE]
    figure = figures.coarse_figure(matrix.counts, list(map(shown, matrix.given)), columns, matrix.allowed, theme)
    with st.container(horizontal=True, wrap=False, key="matrix_coarse_box"):
        st.html("<style>.st-key-matrix_coarse_box > * {min-width: 700px}</style>")
        st.plotly_chart(
            figure,
            key="matrix_coarse",
            config={"displayModeBar": False},
            alt="Predictions by label, correct ones framed",
        )
    _label_table(table)


def shown(label: str) -> str:
    """A label of a file as people read it."""
    return label.removeprefix(coarse.WORN_PREFIX).capitalize()


def _label_table(table: pd.DataFrame) -> None:
    table = table.sort_values("photos", ascending=False)
    st.dataframe(
        pd.DataFrame(
            {
                "Label": table["label"].map(shown),
                "Photos": table["photos"],
                "Correct": 100 * table["share"],
                "95% CI": [
                    f"{100 * low:.1f}–{high:.1%}" for low, high in zip(table["low"], table["high"], strict=True)
                ],
            }
        ),
        hide_index=True,
        column_config={"Correct": st.column_config.ProgressColumn(format=PERCENT, min_value=0, max_value=100)},
    )


def _sections(run: Run) -> dict[str, Coarse]:
    """What was measured on the test photos of each kind, where there were any."""
    if not run.has("metrics.json"):
        return {}
    sections = {"phone": run.metrics.phone, "worn": run.metrics.worn}
    found = {kind: section.test for kind, section in sections.items() if section}
    return {kind: test for kind, test in found.items() if test and test.labels}


def predictions_of_kind(run: Run, kind: str) -> CoarsePredictions | None:
    """A run's predictions of phone photos or worn garments; None without, or with a file that cannot be read, which is said."""
    file = prediction_file(run, f"predictions_{kind}")
    if file is None:
        return None
    try:
        return _read(run, str(run.folder), file, run.facts.files[file])
    except GarmentError as error:
        st.warning(told(error), icon=":material/error:")
        return None


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(_run: Run, folder: str, file: str, sha256: str) -> CoarsePredictions:
    threshold = _run.facts.in_scope.threshold if _run.facts.in_scope else None
    return coarse.coarse_predictions(read_table(_run.path(file).read_bytes(), file), file, _run.labels, threshold)


def class_columns(source: Source) -> dict[str, list[str]]:
    """For the table of classes: recall on photos of each kind whose labels name one class, with their number."""
    columns: dict[str, list[str]] = {}
    for kind, title in KINDS.items() if source.run else ():
        photos = predictions_of_kind(source.run, kind) if source.run else None
        if photos is not None:
            rows = coarse.recall_by_class(photos).to_dict("records")
            columns[title] = [
                "" if np.isnan(row["share"]) else f"{row['share']:.0%} (n={row['photos']:.0f})" for row in rows
            ]
    return columns
