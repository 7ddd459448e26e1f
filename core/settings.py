"""The settings of the product: the environment variables it reads, and the defaults of its controls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RUNS_FOLDER = PROJECT / "artifacts" / "runs"
FEEDBACK_FILE = PROJECT / "data" / "feedback.sqlite3"
RUNS, DATA, TEST_SETS, FEEDBACK = "GARMENTS_RUNS", "GARMENTS_DATA", "GARMENTS_TEST_SETS", "GARMENTS_FEEDBACK"
CONFINEMENT, REQUIRED = "GARMENTS_CONFINEMENT", "required"
REVIEW, ON = "GARMENTS_REVIEW", "on"


@dataclass(frozen=True)
class Defaults:
    """What a control is set to until somebody changes it.

    Args:
        top_k: number of classes listed for a photo.
        opacity: of a heat map, in [0, 1].
    """

    top_k: int = 5
    opacity: float = 0.65


DEFAULTS = Defaults()


def runs_folder() -> Path:
    """The folder of runs: `GARMENTS_RUNS`, or else `artifacts/runs`."""
    return _path(RUNS) or RUNS_FOLDER


def feedback_file() -> Path:
    """The SQLite file of corrections: `GARMENTS_FEEDBACK`, or else `data/feedback.sqlite3`."""
    return _path(FEEDBACK) or FEEDBACK_FILE


def data_set() -> Path | None:
    """The Kaggle data set, its zip or its folder: `GARMENTS_DATA`; None if it is not set."""
    return _path(DATA)


def test_sets_folder() -> Path | None:
    """The folder of test sets that visitors may choose from: `GARMENTS_TEST_SETS`; None if it is not set."""
    return _path(TEST_SETS)


def reviews() -> bool:
    """Whether whoever opens the dashboard may see and judge what visitors reported, photos included: `GARMENTS_REVIEW` is `on`."""
    return os.environ.get(REVIEW) == ON


def confinement_required() -> bool:
    """Whether strangers' files are refused where the kernel does not confine who reads them: `GARMENTS_CONFINEMENT` is `required`."""
    return os.environ.get(CONFINEMENT) == REQUIRED


def _path(variable: str) -> Path | None:
    """The path in an environment variable; None if it is empty or not set."""
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None
