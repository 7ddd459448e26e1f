"""Predictions of runs for the training history page, read once for all visitors."""

from __future__ import annotations

import streamlit as st

from core.artifacts.predictions import Predictions, prediction_file, read_predictions, stage_files
from core.artifacts.run import Run
from core.artifacts.training import Training


def stage_predictions(training: Training) -> dict[int, Predictions]:
    """Validation predictions by stage; empty where the run has none. Raises BrokenRun or InvalidData."""
    run = training.run
    files = stage_files(run) if run else {}
    return (
        {stage: _read(run, str(run.folder), name, run.facts.files[name]) for stage, name in files.items()}
        if run
        else {}
    )


def predictions_on_test_photos(training: Training) -> Predictions | None:
    """Test predictions; None where the run has none. Raises BrokenRun or InvalidData."""
    run = training.run
    name = prediction_file(run) if run else None
    return _read(run, str(run.folder), name, run.facts.files[name]) if run and name else None


@st.cache_resource(max_entries=24, show_spinner="Reading predictions…")
def _read(_run: Run, folder: str, name: str, sha256: str) -> Predictions:
    return read_predictions(_run.path(name), name, _run.labels)
