"""The classify page's "Report a mistake": a correction of one prediction, saved at a click and never without."""

from __future__ import annotations

import streamlit as st

from core.artifacts.run import Run
from core.errors import FeedbackUnavailable
from core.feedback import NONE_OF_THESE, Correction, store
from core.images.decode import Photo
from core.images.region import Region
from core.inference.classifier import Answer
from core.inference.verdict import class_name
from core.settings import feedback_file
from core.ui.classify.boxes import Marked
from core.ui.markdown import told

MOST = 200  # corrections of one visit


def correct(run: Run, photo: Photo, mark: Marked, answer: Answer) -> None:
    """Ask what a photo or box really shows."""
    region = mark.region or Region(0, 0, *photo.size)
    key = f"{run.run_id}-{photo.sha256[:16]}-{mark.number}-{region.left}-{region.top}-{region.right}-{region.bottom}"
    with st.container(width=420):
        choices = [*run.labels.names, NONE_OF_THESE]
        label = st.selectbox(
            f"Correct class of {mark.name.lower()}",
            choices,
            index=None,
            placeholder="Choose",
            format_func=class_name,
            key=f"wrong-label-{key}",
        )
        keep = st.checkbox("Keep the photo too, to train the next network", key=f"wrong-keep-{key}")
        st.caption("Saved on this server: your choice, this prediction, the box and a checksum of the photo.")
        stored = st.session_state.setdefault("corrections", {})
        known = label is not None and stored.get(key) == (label, keep)
        if label and known:
            st.caption(f":material/check: Saved: {class_name(label)}.")
        if st.button("Save", key=f"wrong-store-{key}", disabled=label is None or known) and label:
            given = Correction(label, photo.sha256, photo.size, region, run.run_id, *answer.without_controls)
            if _store(given, photo if keep else None):
                stored[key] = label, keep


def _store(correction: Correction, photo: Photo | None) -> bool:
    """Save a correction and say what became of it; whether it is saved."""
    given = st.session_state.get("corrections_given", 0)
    if given >= MOST:
        st.error(f"Not saved. A visit can save {MOST} corrections. Reload the page to continue.")
        return False
    try:
        aside = store(feedback_file(), correction, photo and photo.image)
    except FeedbackUnavailable as error:
        st.error(f"Not saved. {told(error)}", icon=":material/error:")
        return False
    st.session_state["corrections_given"] = given + 1
    st.success(f"Saved: {class_name(correction.corrected)}{', with the photo' if photo else ''}. Thank you.")
    if aside:
        st.warning(f"The file of earlier corrections was damaged. It is kept as {aside.name}, and a new one was begun.")
    return True
