"""What the pages of the tour load on a first visit, loaded before they are opened."""

from __future__ import annotations

import importlib
import logging
from threading import Thread
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import GarmentError
from core.samples.street import street
from core.ui import session

if TYPE_CHECKING:
    from core.inference.classifier import Classifier

PAGES = ("core.ui.classify.workspace", "core.ui.history.story", "core.ui.history.export", "core.ui.confusion.tabs")
log = logging.getLogger(__name__)


def begin() -> None:
    """Load the network now, and in the background all else; once for each server and run."""
    try:
        classifier = session.classifier()
    except GarmentError:  # every page says so itself
        return
    _thread(classifier, classifier.run.run_id)


@st.cache_resource(show_spinner=False, max_entries=2)
def _thread(_classifier: Classifier, run_id: str) -> Thread:
    thread = Thread(target=load, args=(_classifier,), name="warm", daemon=True)
    thread.start()
    return thread


def load(classifier: Classifier) -> None:
    """The modules of the pages, and one pass of the network and of the detector."""
    for name in PAGES:
        importlib.import_module(name)
    photo = street()[0]
    try:
        classifier.predict([photo])
        if classifier.finds:
            classifier.find(photo)
    except GarmentError as error:
        log.warning("the tour's pages are not warm: %s", error)
