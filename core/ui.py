"""What every page shares: its frame, the cached classifier, error messages, and the width of a column on the visitor's screen."""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import streamlit as st
import streamlit.components.v2 as components
from PIL import Image

from core.errors import BrokenRun, GarmentError
from core.memory import give_back_large_blocks
from core.runs import Run, current_run, runs_folder, sha256_of
from core.samples import sample

if TYPE_CHECKING:
    from core.classifier import Classifier

APP_NAME = "Garment Lens"
CLASSIFIER = "classifier"  # where a session keeps its (SHA-256 of the manifest, classifier)
# Visitors answered at once: one more than processors, for one may wait for the network. The others wait for their turn; all at once would
# all be late, each with a photo being decoded.
TURNS = 1 + (os.cpu_count() or 1)
# Streamlit writes the axes of a light chart in a grey too pale to read, and redraws no chart when the system turns dark (white is for text
# on colour). Its tags are white on the primary colour, which is light in the dark.
INK = (
    "<style>.stPlotlyChart :is([class$=tick] text, [class*=title] text, .heatmap-label text, .bartext-outside, "
    ".annotation text:not([style*='255, 255, 255'])) {fill: currentColor !important}"
    ".stMultiSelect [data-tag] :is(span, button) {color: light-dark(#fff, #0e1218)}</style>"
)
CLASSIFY_PAGE = "pages/1_Classify.py"
HISTORY_PAGE = "pages/2_Training_history.py"
CONFUSION_PAGE = "pages/3_Confusion_matrix.py"
BATCH_PAGE = "pages/4_Batch.py"
turns = threading.BoundedSemaphore(TURNS)
log = logging.getLogger(__name__)


def page(title: str) -> None:
    """Configure a page; the first call of each. Its icon is drawn here: Streamlit's own would be fetched from another site."""
    st.set_page_config(page_title=f"{title} · {APP_NAME}", page_icon=_icon(), layout="wide")
    st.html(INK)


@st.cache_resource(show_spinner=False)
def _icon() -> Image.Image:
    return sample("Tshirts", size=(48, 64))


def literal(text: str) -> str:
    """Text for Markdown, shown as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>$:~|-])", r"\\\1", text)


def told(message: object) -> str:
    """A message for Markdown: what it names may come from a stranger's file, so all of it is literal but commands in backticks."""
    parts = re.split(r"((?<!`)`[^`]+`(?!`))", str(message))
    return "".join(part if place % 2 else literal(part) for place, part in enumerate(parts))


@contextmanager
def errors_shown() -> Generator[None]:
    """Show errors as messages and end the page there: our own as they are, any other with an id that stands in the log as well."""
    try:
        yield
    except GarmentError as error:
        st.error(told(error), icon=":material/error:")
        st.stop()
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("error %s", error_id)
        st.error(
            f"Something went wrong that nobody foresaw (error {error_id}). Reload the page; if it comes back, send that id with the log.",
            icon=":material/error:",
        )
        st.stop()
    finally:
        _spare_collector()


_modules_seen = 0


def _spare_collector() -> None:
    """Where modules were loaded, take all that is here now out of sight of Python's garbage collector.

    Streamlit collects after every run of a page, and nobody else's page goes on meanwhile: with every module to look through, that took
    longer than the answer to a photo.
    """
    global _modules_seen
    if len(sys.modules) > _modules_seen:
        _modules_seen = len(sys.modules)
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def shipped_run() -> Run:
    """The run the product classifies with. Raises BrokenRun."""
    return current_run(runs_folder())


def shipped_run_id() -> str:
    """Name of the run the product classifies with; empty if there is none."""
    try:
        return shipped_run().run_id
    except BrokenRun:
        return ""


def session_run() -> Run:
    """The run that this session classifies with, without waiting for its network. Raises BrokenRun."""
    kept: tuple[str, Classifier] | None = st.session_state.get(CLASSIFIER)
    return kept[1].run if kept else shipped_run()


def classifier() -> Classifier:
    """The classifier of this session: the shipped run's. Where another run takes its place, the visitor is offered the change.

    Networks are shared by all sessions. A session goes on with its own while `artifacts` is being replaced, or is damaged.

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
        st.warning(
            f"The run that is shipped now cannot be loaded; this session goes on with “{kept[1].run.manifest['name']}”. {told(error)}"
        )
    st.session_state[CLASSIFIER] = kept
    return kept[1]


def _taken(run: Run) -> bool:
    """Offer a run that has taken the place of this session's; whether the visitor takes it now."""
    st.info(f"Another run is shipped now: “{run.manifest['name']}”. This session goes on with the one it began with.")
    return st.button("Use the new run", key="use_new_run", icon=":material/update:")


@st.cache_resource(show_spinner="Loading the network…", max_entries=2)
def _classifier(_run: Run, folder: str, manifest_sha256: str) -> Classifier:
    give_back_large_blocks()
    from threadpoolctl import threadpool_limits

    from core.classifier import Classifier  # ONNX Runtime comes with it, which a page may draw itself before it has

    # Visitors are what goes on at once; threads of BLAS stay busy for 20 ms after each small product.
    threadpool_limits(1, "blas")
    return Classifier(_run, shared=True)


def shown_since(key: str, content: str) -> datetime:
    """When this session came to show a content, in local time; reruns that show the same keep it.

    It dates the files to take away: with the time of each rerun in their names they would get new addresses at each, and one clicked just
    then would be gone.
    """
    since, shown = st.session_state.get(key, (None, None))
    if since is None or shown != hash(content):
        since = datetime.now().astimezone()
        st.session_state[key] = (since, hash(content))
    return since


_MEASURE = """
export default function({ parentElement, setStateValue }) {
  let last = 0;
  const observer = new ResizeObserver(() => {
    const host = parentElement.host ?? parentElement;
    const width = Math.floor(host.getBoundingClientRect().width);
    if (width > 0 && Math.abs(width - last) > 8) { last = width; setStateValue("width", width); }
  });
  observer.observe(parentElement.host ?? parentElement);
  return () => observer.disconnect();
}
"""
_measure = components.component("column_width", html="<div></div>", js=_MEASURE)


def column_width(key: str) -> int | None:
    """Width in pixels of the container this is called in, as the visitor's browser lays it out; None until it has told."""
    result = _measure(key=key, default={"width": None}, on_width_change=lambda: None, height=1)
    return result.width and int(result.width)
