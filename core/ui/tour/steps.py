"""The steps of the tour: the page of each, what is said, and what is shown there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from core.artifacts.run import Run
from core.errors import GarmentError
from core.inference.verdict import class_name
from core.samples import garments
from core.ui import handover, session
from core.ui.shell import CLASSIFY_PAGE, CONFUSION_PAGE, HISTORY_PAGE

FIRST, LAST = "first page", "last page"  # pages that are no files
SHOWN = "Shirts"  # the sample of the second step


class Step(NamedTuple):
    """A step of the tour.

    Args:
        page: FIRST, LAST, or the file of a page.
        title: what it shows.
        words: what to say.
        open: brings the page there; returns the query parameters it is opened with.
        target: key of the element that the page is scrolled to; empty for its top.
    """

    page: str
    title: str
    words: Callable[[], str]
    open: Callable[[], dict[str, str]] = dict
    target: str = ""


def _sample() -> dict[str, str]:
    handover.want(SHOWN)
    return {}


def _street() -> dict[str, str]:
    handover.want(garments.STREET, own_first=True)
    return {}


def _street_words() -> str:
    found = session.classifier().finds
    how = "The detector boxes every garment" if found else "Draw a box around a garment"
    return f"A photo often shows several garments. {how}; each box has its own class and heat map."


def _confused() -> tuple[str, str, str] | None:
    """True and predicted class of the shipped run's most frequent mistake, and what to say of it; None where there is none."""
    from core.artifacts.predictions import prediction_file  # pandas comes with it

    run = session.session_run()
    file = prediction_file(run)
    return _most_frequent(run, file, run.facts.files[file]) if file else None


@st.cache_data(max_entries=4, show_spinner=False)
def _most_frequent(_run: Run, file: str, sha256: str) -> tuple[str, str, str] | None:
    from core.analysis.confusion import confused_pairs, counts_of  # scikit-learn comes with it
    from core.artifacts.predictions import read_predictions

    predictions = read_predictions(_run.path(file), file, _run.labels)
    names = _run.labels.names
    pairs = confused_pairs(counts_of(predictions, predictions.confidence >= 0), list(map(class_name, names)))
    if pairs.empty:
        return None
    worst = pairs.iloc[0]
    return names[worst["true"]], names[worst["predicted"]], str(worst["words"])


def _worst() -> dict[str, str]:
    worst = _confused()
    return {"matrix_true": class_name(worst[0]), "matrix_called": class_name(worst[1])} if worst else {}


def _worst_words() -> str:
    worst = _confused()
    return f"{worst[2]}. They are listed beside the matrix." if worst else "This run has no mistakes to show."


STEPS = (
    Step(FIRST, "Garment Lens", lambda: "A network predicts what garment a photo shows, and shows which parts decide."),
    Step(
        CLASSIFY_PAGE,
        "Classify a photo",
        lambda: "The class with its confidence, and the next candidates. The heat map marks the evidence.",
        _sample,
    ),
    Step(CLASSIFY_PAGE, "Garments in a street photo", _street_words, _street),
    Step(
        HISTORY_PAGE,
        "How it learned",
        lambda: "Training unfroze the network stage by stage. The chart on the right shows the gain of each stage.",
        target="stages-chart",
    ),
    Step(CONFUSION_PAGE, "The most frequent mistake", _worst_words, _worst, "matrix_tab"),
    Step(LAST, "Try it yourself", lambda: "Scan the code with a phone and classify a photo of your own."),
)


def words(step: Step) -> str:
    """What to say at a step; of a run that is gone or damaged only what the page itself says."""
    try:
        return step.words()
    except GarmentError:
        return ""
