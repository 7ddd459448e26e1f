"""The classify page's "Wrong? Say what it is": a correction of one answer, stored at a click and never without."""

from __future__ import annotations

import streamlit as st

from core.artifacts.run import Run
from core.errors import FeedbackUnavailable
from core.feedback import NONE_OF_THESE, Correction, store
from core.images.decode import Photo
from core.images.region import Region
from core.inference.classifier import Answer
from core.settings import feedback_file
from core.ui.classify.boxes import Marked
from core.ui.markdown import told

MOST = 200  # corrections of one visit


def correct(run: Run, photo: Photo, mark: Marked, answer: Answer) -> None:
    """Ask what a photo or region really shows."""
    region = mark.region or Region(0, 0, *photo.size)
    key = f"{run.run_id}-{photo.sha256[:16]}-{mark.number}-{region.left}-{region.top}-{region.right}-{region.bottom}"
    with st.popover("Wrong? Say what it is", icon=":material/edit:", type="tertiary", key=f"wrong-{key}"):
        choices = [*run.labels.names, NONE_OF_THESE]
        label = st.selectbox("It is", choices, index=None, placeholder="Choose", key=f"wrong-label-{key}")
        keep = st.checkbox("Keep the photo too, so that it can train the next network", key=f"wrong-keep-{key}")
        st.caption("Stored on this server: your choice, this answer, the box, and a checksum of the photo.")
        stored = st.session_state.setdefault("corrections", {})
        known = label is not None and stored.get(key) == (label, keep)
        if known:
            st.caption(f":material/check: Stored: {label}.")
        if st.button("Store", key=f"wrong-store-{key}", disabled=label is None or known) and label:
            given = Correction(label, photo.sha256, photo.size, region, run.run_id, *answer.without_controls)
            if _store(given, photo if keep else None):
                stored[key] = label, keep


def _store(correction: Correction, photo: Photo | None) -> bool:
    """Store a correction and say what became of it; whether it is stored."""
    given = st.session_state.get("corrections_given", 0)
    if given >= MOST:
        st.error(
            f"Not stored. {MOST} corrections were stored in this visit, the most that one may give. Reload the page to go on."
        )
        return False
    try:
        aside = store(feedback_file(), correction, photo and photo.image)
    except FeedbackUnavailable as error:
        st.error(f"Not stored. {told(error)}", icon=":material/error:")
        return False
    st.session_state["corrections_given"] = given + 1
    st.success(f"Stored: {correction.corrected}{', with the photo' if photo else ''}. Thank you.")
    if aside:
        st.warning(f"The file of earlier corrections was damaged. It is kept as {aside.name}, and a new one was begun.")
    return True
