"""The confusion page's sidebar: which predictions to analyse, and which of their rows.

What a link should carry stands in the address, under keys that begin with `matrix_`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import streamlit as st

from core.analysis.text import unfinished
from core.artifacts import training
from core.artifacts.facets import FACET_LABELS
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import (
    Predictions,
    prediction_file,
    predictions_from_table,
    predictions_of,
    read_predictions,
)
from core.artifacts.run import Run, distinct_names, find_runs
from core.artifacts.tables_apart import read_table_apart
from core.bulk.test_set import (
    LabelledPhoto,
    ZippedPhotos,
    classify_labelled,
    offered_test_sets,
    photos_of_folder,
    photos_of_zip,
)
from core.errors import BrokenRun, GarmentError, InvalidData
from core.images import sandbox
from core.images.dataset import PhotoFiles, catalogue_path
from core.inference.verdict import group_name
from core.settings import TEST_SETS, runs_folder
from core.ui import address, markdown, session
from core.ui.thumbnails import catalogue
from core.ui.waiting import turn

RUN = "matrix_run"  # the chosen run's id: key of the choice, and query parameter
UNKNOWN = "matrix_unknown"  # the id of the address that is not here
CELL = ("matrix_true", "matrix_called")  # the chosen cell's classes: keys of the lists, and query parameters
OWN = "own"  # the choice of run that stands for the visitor's own test set
OWN_SOURCE = "matrix_own_source"  # where the session keeps it
OWN_HELD = "matrix_own_held"
OWN_ERROR = "matrix_own_error"
FEW_VALUES = 6  # a filter with more gets a list to search instead of buttons


@dataclass(frozen=True)
class Source:
    """What the page analyses.

    Args:
        name: as shown.
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
        threshold: confidence from which on a prediction counts, in [0, 1).
        chosen: bool (n,), rows that pass the filters.
        answered: bool (n,), those of them whose prediction counts.
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
    names = names_of(runs) | ({OWN: f"{own.name} (your test set)"} if own else {})
    if not names:
        _end("There is no run yet. Train one with `python -m train` to see its test predictions here.")
    first = _first_choice(runs)  # the default: with an index beside it Streamlit warns of a choice made by `_keep`
    adopted = _adopt_address(names, first)
    with above:
        chosen = st.selectbox(
            "Run",
            sorted(names, key=lambda key: key != first),
            format_func=lambda key: names[key],
            key=RUN,
            on_change=_another_run,
        )
    _write_address(chosen, adopted)
    _warn_of_unknown(names[chosen])
    if chosen == OWN and own:
        for note in own.predictions.notes:
            st.caption(f":material/info: {markdown.literal(note)}")
        return own
    return run_source(next(run for run in runs if run.run_id == chosen))


def _adopt_address(names: dict[str, str], first: str) -> bool:
    """Take over the run of an address that this session did not write; whether it did so."""
    asked = address.asked(RUN, arrived=RUN not in st.session_state)
    given = asked[RUN] if asked else ""
    if asked:
        st.session_state[RUN] = address.by_id_or_name(given, names) or first
        st.session_state[UNKNOWN] = "" if not given or address.by_id_or_name(given, names) else given
    elif st.session_state[RUN] not in names:  # it has vanished meanwhile
        st.session_state[RUN] = first
    return asked is not None


def _another_run() -> None:
    st.session_state[UNKNOWN] = ""
    address.chosen(RUN)


def _write_address(chosen: str, adopted: bool) -> None:
    """Name the chosen run in the address, or the one asked for that is not here; the cell of another run goes in the same step."""
    named = st.session_state.get(UNKNOWN) or chosen
    left = () if adopted or st.query_params.get(RUN) == named else CELL
    address.write({RUN: named, **dict.fromkeys(left, "")})


def _warn_of_unknown(shown: str) -> None:
    unknown = st.session_state.get(UNKNOWN)
    if unknown == OWN:
        st.warning("A link cannot carry an own test set. Upload it again in the sidebar.", icon=":material/link_off:")
    elif unknown:
        st.warning(
            f"This run is not here: {markdown.literal(unknown)}. Shown instead: {markdown.literal(shown)}.",
            icon=":material/link_off:",
        )


def _left_out(folder: Path, message: str) -> str:
    """Why a folder is no run to analyse, as Markdown."""
    try:
        if training.is_unfinished(folder):
            return f":material/model_training: `{folder.name}` is left out: {unfinished(training.in_progress(folder))}"
    except BrokenRun as error:
        message = str(error)
    return f":material/warning: `{folder.name}` is left out. {markdown.told(message)}"


def names_of(runs: Sequence[Run]) -> dict[str, str]:
    """Run id to what to call the run."""
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
    """A run's test predictions. Ends the page with a message if the run has none."""
    file = prediction_file(run)
    if file is None:
        _end(
            f"The run “{run.name}” has no predictions of single photos, so there is no matrix. Choose another run or your "
            "own test set in the sidebar."
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
    """Predictions or photos by upload, or a test set on the server; whichever it is becomes the choice of run."""
    upload = st.file_uploader(
        "Predictions (CSV, Parquet) or photos (zip)",
        type=["csv", "parquet", "zip"],
        key="matrix_upload",
        help="A table needs the columns id and label, and a column of probabilities for each class or one column prediction. Optional: "
        "product, colour, usage, duplicate_group. A zip file needs photos in folders named after their classes.",
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
            f"To offer larger test sets here, put tables, zip files or folders of photos sorted by class into one folder, and start the "
            f"dashboard with its path in `{TEST_SETS}`."
        )
        return
    name = st.selectbox("Test set on the server", list(offered), index=None, key="matrix_test_set")
    if st.button("Analyse", disabled=name is None, icon=":material/play_arrow:") and name:
        _keep(lambda: _at(offered[name], runs))


def _keep(make: Callable[[], Source]) -> None:
    """Keep an own test set, or the message that says why there is none."""
    try:
        own = make()
        st.session_state[OWN_HELD] = session.hold(own.predictions.memory)
        st.session_state[OWN_SOURCE] = own
    except GarmentError as error:
        st.session_state[OWN_ERROR] = str(error)
    else:
        st.session_state[OWN_ERROR] = None
        st.session_state[RUN] = OWN
        _another_run()


def _expected_labels(runs: Sequence[Run]) -> LabelSet:
    """The classes an own test set must have: those of the run that the page opens with. Raises BrokenRun if there is none."""
    return next((run.labels for run in runs if run.run_id == _first_choice(runs)), None) or session.shipped_run().labels


def _uploaded(data: bytes, name: str, labels: LabelSet) -> Source:
    if name.lower().endswith(".zip"):
        sandbox.start()
        photos = photos_of_zip(data, name, session.classifier().labels)
        return _classified(name, photos, ZippedPhotos({photo.id: photo.file for photo in photos}))
    predictions = predictions_of(read_table_apart(data, name, session.visitor()), name, labels)
    return Source(name, hashlib.sha256(data).hexdigest(), predictions, None, None)


def _at(path: Path, runs: Sequence[Run]) -> Source:
    if path.is_dir():
        photos = photos_of_folder(path, session.classifier().labels)
        return _classified(path.name, photos, PhotoFiles(path, {photo.id: photo.id for photo in photos}))
    return _uploaded(path.read_bytes(), path.name, _expected_labels(runs))


def _classified(name: str, photos: list[LabelledPhoto], files: PhotoFiles) -> Source:
    """A test set of photos, classified by the session's network."""
    bar = st.progress(0.0, "Classifying…")
    classifier = session.classifier()
    decode = partial(sandbox.decode_apart, visitor=session.visitor())
    table, failures = classify_labelled(
        classifier, photos, lambda share: bar.progress(share, "Classifying…"), decode, partial(turn, st.empty())
    )
    bar.empty()
    for photo, message in failures.items():
        st.warning(f"{markdown.literal(photo)} is left out. {markdown.told(message)}", icon=":material/broken_image:")
    predictions = predictions_from_table(table, name, classifier.labels)
    key = hashlib.sha256(predictions.probabilities.tobytes()).hexdigest()
    return Source(name, key, predictions, None, files)


def select_rows(predictions: Predictions) -> Selection:
    """The sidebar's threshold and filters; those of confidence only where there are probabilities."""
    threshold, confidence = 0.0, (0.0, 1.0)
    with st.sidebar:
        if predictions.has_probabilities:
            threshold = st.slider(
                "Confidence threshold",
                0.0,
                0.99,
                0.0,
                0.01,
                key="matrix_above",
                bind="query-params",
                help="Only predictions of at least this confidence are counted.",
            )
        st.markdown("**Filters**")
        values = {name: _facet(name, predictions) for name in FACET_LABELS if name in predictions.facets}
        if predictions.has_probabilities:
            confidence = st.slider(
                "Confidence", 0.0, 1.0, (0.0, 1.0), 0.01, key="matrix_confidence", bind="query-params"
            )
        st.button("Reset filters", on_click=_reset, icon=":material/filter_alt_off:")
    chosen = predictions.mask(values, confidence)
    return Selection(values, confidence, threshold, chosen, chosen & (predictions.confidence >= threshold))


def _facet(name: str, predictions: Predictions) -> list[str]:
    values = list(predictions.facets[name].categories)
    shown = group_name if name == "group" else str
    widget: dict[str, Any] = {
        "label": FACET_LABELS[name],
        "options": values,
        "format_func": shown,
        "key": f"matrix_{name}",
        "bind": "query-params",
    }
    if len(values) <= FEW_VALUES:
        return st.pills(**widget, selection_mode="multi")
    return st.multiselect(**widget, placeholder="All")


def _reset() -> None:
    for name in FACET_LABELS:
        st.session_state[f"matrix_{name}"] = []
    st.session_state["matrix_confidence"] = (0.0, 1.0)
    st.session_state["matrix_above"] = 0.0
