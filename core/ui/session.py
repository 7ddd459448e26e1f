"""The run and the classifier of this session, and when its current content first appeared."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.artifacts.run import Run, current_run, sha256_of
from core.errors import BrokenRun
from core.ui.markdown import told
from core.ui.quota import Held, quota, visitor_of
from core.ui.server import give_back_large_blocks

if TYPE_CHECKING:
    from core.inference.classifier import Classifier

CLASSIFIER = "classifier"  # where a session keeps its (SHA-256 of the manifest, classifier)


def visitor() -> str:
    """Who asks, for turns and quotas."""
    context = get_script_run_ctx(suppress_warning=True)
    return visitor_of(st.context.headers, st.context.ip_address, context.session_id if context else "")


def hold(size: int) -> Held:
    """Count bytes that this visitor keeps, for as long as something refers to what is returned. Raises QuotaReached."""
    return quota.hold(visitor(), size)


def shipped_run() -> Run:
    """The run the product classifies with. Raises BrokenRun."""
    return current_run()


def shipped_run_id() -> str:
    """Name of the run the product classifies with; empty if there is none."""
    try:
        return shipped_run().run_id
    except BrokenRun:
        return ""


def session_run() -> Run:
    """The run that this session classifies with; does not wait for its network. Raises BrokenRun."""
    kept: tuple[str, Classifier] | None = st.session_state.get(CLASSIFIER)
    return kept[1].run if kept else shipped_run()


def classifier() -> Classifier:
    """The classifier of this session: the shipped run's. If another run is shipped meanwhile, the visitor may switch to it.

    All sessions share the networks. A session keeps its own while `artifacts` is being replaced, or is damaged.

    Raises:
        BrokenRun: the shipped run cannot be loaded, and the session has none from before.
    """
    kept: tuple[str, Classifier] | None = st.session_state.get(CLASSIFIER)
    try:
        run = shipped_run()
        sha256 = sha256_of(run.folder / "manifest.json")
        if kept is None:
            kept = (sha256, _classifier(run, str(run.folder), sha256))
        elif kept[0] != sha256 and _taken(run):
            st.session_state[CLASSIFIER] = (sha256, _classifier(run, str(run.folder), sha256))
            st.rerun()
    except (BrokenRun, OSError) as error:
        if kept is None:
            raise
        st.warning(f"The new run cannot be loaded; this session keeps using “{kept[1].run.name}”. {told(error)}")
    st.session_state[CLASSIFIER] = kept
    return kept[1]


def _taken(run: Run) -> bool:
    """Offer the run that is shipped now; whether the visitor switches to it."""
    st.info(f"A new run is available: “{run.name}”. This session keeps using the one it began with.")
    return st.button("Use the new run", key="use_new_run", icon=":material/update:")


@st.cache_resource(show_spinner="Loading the network…", max_entries=2)
def _classifier(_run: Run, folder: str, manifest_sha256: str) -> Classifier:
    give_back_large_blocks()
    from threadpoolctl import threadpool_limits

    from core.inference.classifier import (
        Classifier,  # ONNX Runtime comes with it, which a page may draw itself before it has
    )

    # Visitors are what goes on at once; threads of BLAS stay busy for 20 ms after each small product.
    threadpool_limits(1, "blas")
    return Classifier(_run, shared=True)


def shown_since(key: str, content: str | bytes) -> datetime:
    """When this session first showed a content, in local time; reruns that show the same content keep it.

    It dates exported files.
    """
    since, shown = st.session_state.get(key, (None, None))
    if since is None or shown != hash(content):
        since = datetime.now().astimezone()
        st.session_state[key] = (since, hash(content))
    return since
