"""The confusion page's sidebar: which predictions to analyse, and which of their rows.

What a link should carry is bound to the URL, under keys that begin with `matrix_`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import streamlit as st

from core.analysis.text import unfinished
from core.artifacts import training
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import Predictions, prediction_file, predictions_from_table, read_predictions
from core.artifacts.run import Run, distinct_names, find_runs, sha256_of
from core.bulk.test_set import classify_folder, offered_test_sets
from core.errors import BrokenRun, GarmentError, InvalidData
from core.images.dataset import PhotoFiles, catalogue_path
from core.settings import TEST_SETS, runs_folder
from core.ui import markdown, session
from core.ui.thumbnails import catalogue

OWN = "own"  # the choice of run that stands for the visitor's own test set
OWN_SOURCE = "matrix_own_source"  # where the session keeps it
OWN_ERROR = "matrix_own_error"
FEW_VALUES = 6  # a filter with more gets a list to search instead of buttons
FACETS = {
    "group": "Group",
    "usage": "Usage",
    "gender": "Word in the name",
    "duplicates": "Near-duplicates",
    "colour": "Colour",
}


@dataclass(frozen=True)
class Source:
    """What the page analyses.

    Args:
        name: what to call it.
        key: changes with its content; caches go by it.
        predictions: the rows.
        run: the run they are from; None for the visitor's own test set.
        photos: the photos behind them; None where they are not on this machine.
    """

    name: str
    key: str
    predictions: Predictions
    run: Run | None
    photos: PhotoFiles | None


@dataclass(frozen=True)
class Selection:
    """The rows a visitor asked for.

    Args:
        values: facet name to the values chosen; empty for all.
        confidence: lowest and highest confidence chosen.
        threshold: the network answers from this confidence on, in [0, 1).
        chosen: bool (n,), rows that pass the filters.
        answered: bool (n,), those of them that the network answers.
    """

    values: dict[str, list[str]]
    confidence: tuple[float, float]
    threshold: float
    chosen: np.ndarray
    answered: np.ndarray


def choose_source() -> Source:
    """The run or own test set chosen in the sidebar; ends the page with a message where there is nothing to analyse.

    Raises:
        GarmentError: the run's files or the data set's cannot be read.
    """
    runs, broken = find_runs()
    with st.sidebar:
        above = st.container()
        with st.expander("Your own test set", icon=":material/upload_file:"):
            _own_test_set(runs)
        for name, message in broken.items():
            st.caption(_left_out(runs_folder() / name, message))
    own: Source | None = st.session_state.get(OWN_SOURCE)
    names = names_of(runs) | ({OWN: f"{own.name} (yours)"} if own else {})
    if not names:
        _end("There is no run yet. Train one with `python -m train`, and its test predictions are shown here.")
    first = _first_choice(runs)  # the default: with an index beside it Streamlit warns of a choice made by `_keep`
    with above:
        chosen = st.selectbox(
            "Run",
            sorted(names, key=lambda key: key != first),
            format_func=lambda key: names[key],
            key="matrix_run",
            bind="query-params",
        )
    if chosen == OWN and own:
        return own
    return run_source(next(run for run in runs if run.run_id == chosen))


def _left_out(folder: Path, message: str) -> str:
    """Why a folder is no run to analyse, as Markdown."""
    try:
        if training.is_unfinished(folder):
            return f":material/model_training: `{folder.name}` is left out: {unfinished(training.in_progress(folder))}"
    except BrokenRun as error:
        message = str(error)
    return f":material/warning: `{folder.name}` is left out. {markdown.told(message)}"


def names_of(runs: Sequence[Run]) -> dict[str, str]:
    """Run id to what to call the run (the URL tells runs apart by this)."""
    return distinct_names({run.run_id: run.name for run in runs})


def _first_choice(runs: Sequence[Run]) -> str:
    """The shipped run if it has predictions, else the newest that has, else the newest."""
    analysable = [run.run_id for run in runs if prediction_file(run)]
    try:
        shipped = session.shipped_run().run_id
    except BrokenRun:
        shipped = None
    if shipped in analysable:
        return str(shipped)
    return (analysable or [run.run_id for run in runs] or [OWN])[0]


def run_source(run: Run) -> Source:
    """A run's test predictions; ends the page with a message if the run has none."""
    file = prediction_file(run)
    if file is None:
        _end(
            f"The run “{run.name}” has no predictions of single photos, so there is no matrix to draw. Choose another "
            "run in the sidebar, or analyse your own test set."
        )
    return Source(run.name, run.facts.files[file], run_predictions(run, file), run, _catalogue())


def _catalogue() -> PhotoFiles | None:
    """The data set's photos; the page goes without where they cannot be found, and says why."""
    try:
        path = catalogue_path()
        return catalogue(path) if path else None
    except InvalidData as error:
        st.warning(markdown.told(error), icon=":material/image_not_supported:")
        return None


def _end(message: str) -> NoReturn:
    st.info(message, icon=":material/grid_off:")
    st.stop()
    raise AssertionError("st.stop() returned")


def run_predictions(run: Run, file: str) -> Predictions:
    """A file of a run's predictions, read once for all visitors. Raises BrokenRun or InvalidData."""
    return _run_predictions(run, str(run.folder), file, run.facts.files[file])


@st.cache_resource(max_entries=12, show_spinner="Reading predictions…")
def _run_predictions(_run: Run, folder: str, file: str, sha256: str) -> Predictions:
    return read_predictions(_run.path(file), file, _run.labels)


def _own_test_set(runs: Sequence[Run]) -> None:
    """Predictions by upload, or a test set on the server; whichever it is becomes the choice of run."""
    upload = st.file_uploader(
        "Predictions, CSV or Parquet",
        type=["csv", "parquet"],
        key="matrix_upload",
        help="Columns id, label and one column of probabilities for each class; product, colour, usage and duplicate_group where "
        "you have them.",
    )
    if upload and st.session_state.get("matrix_uploaded") != upload.file_id:
        st.session_state["matrix_uploaded"] = upload.file_id
        _keep(lambda: _uploaded(upload.getvalue(), upload.name, _expected_labels(runs)))
    _test_set_on_the_server(runs)
    if message := st.session_state.get(OWN_ERROR):
        st.error(markdown.told(message), icon=":material/error:")


def _test_set_on_the_server(runs: Sequence[Run]) -> None:
    try:
        offered = offered_test_sets()
    except InvalidData as error:
        st.error(markdown.told(error), icon=":material/error:")
        return
    if not offered:
        st.caption(
            f"Larger tables, and photos in folders named after their classes: put them into one folder and start the dashboard "
            f"with its path in `{TEST_SETS}`; they can be chosen here then."
        )
        return
    name = st.selectbox("Or one on the server", list(offered), index=None, key="matrix_test_set")
    if st.button("Analyse", disabled=name is None, icon=":material/play_arrow:") and name:
        _keep(lambda: _at(offered[name], runs))


def _keep(make: Callable[[], Source]) -> None:
    """Keep an own test set, or the message that says why there is none."""
    try:
        st.session_state[OWN_SOURCE] = make()
    except GarmentError as error:
        st.session_state[OWN_ERROR] = str(error)
    else:
        st.session_state[OWN_ERROR] = None
        st.session_state["matrix_run"] = OWN


def _expected_labels(runs: Sequence[Run]) -> LabelSet:
    """The classes an own test set must have: those of the run that the page opens with. Raises BrokenRun if there is none."""
    return next((run.labels for run in runs if run.run_id == _first_choice(runs)), None) or session.shipped_run().labels


def _uploaded(data: bytes, name: str, labels: LabelSet) -> Source:
    return Source(name, hashlib.sha256(data).hexdigest(), read_predictions(data, name, labels), None, None)


def _at(path: Path, runs: Sequence[Run]) -> Source:
    if path.is_file():
        predictions = read_predictions(path, path.name, _expected_labels(runs))
        return Source(path.name, sha256_of(path), predictions, None, None)
    return _classified(path)


def _classified(folder: Path) -> Source:
    bar = st.progress(0.0, "Classifying…")
    classifier = session.classifier()
    table, failures = classify_folder(classifier, folder, lambda share: bar.progress(share, "Classifying…"))
    bar.empty()
    for name, message in failures.items():
        st.warning(f"{markdown.literal(name)} is left out. {markdown.told(message)}", icon=":material/broken_image:")
    photos = PhotoFiles(folder, {name: name for name in table["id"]})
    predictions = predictions_from_table(table, str(folder), classifier.labels)
    key = hashlib.sha256(predictions.probabilities.tobytes()).hexdigest()
    return Source(folder.name, key, predictions, None, photos)


def select_rows(predictions: Predictions) -> Selection:
    """The sidebar's threshold and filters."""
    with st.sidebar:
        threshold = st.slider(
            "Answer only above",
            0.0,
            0.99,
            0.0,
            0.01,
            key="matrix_above",
            bind="query-params",
            help="Confidence from which on the network answers. The matrix counts answered photos only.",
        )
        st.markdown("**Photos to look at**")
        values = {name: _facet(name, predictions) for name in FACETS if name in predictions.facets}
        confidence = st.slider("Confidence", 0.0, 1.0, (0.0, 1.0), 0.01, key="matrix_confidence", bind="query-params")
        st.button("Reset filters", on_click=_reset, icon=":material/filter_alt_off:")
    chosen = predictions.mask(values, confidence)
    return Selection(values, confidence, threshold, chosen, chosen & (predictions.confidence >= threshold))


def _facet(name: str, predictions: Predictions) -> list[str]:
    values = list(predictions.facets[name].categories)
    widget: dict[str, Any] = {"label": FACETS[name], "options": values, "key": f"matrix_{name}", "bind": "query-params"}
    if len(values) <= FEW_VALUES:
        return st.pills(**widget, selection_mode="multi")
    return st.multiselect(**widget, placeholder="all")


def _reset() -> None:
    for name in FACETS:
        st.session_state[f"matrix_{name}"] = []
    st.session_state["matrix_confidence"] = (0.0, 1.0)
    st.session_state["matrix_above"] = 0.0
