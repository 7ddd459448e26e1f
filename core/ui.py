"""What every page shares: its frame, the cached classifier, error messages, and the width of a column on the visitor's screen."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
import streamlit.components.v2 as components
from PIL import Image

from core.classifier import Classifier
from core.errors import BrokenRun, GarmentError
from core.runs import Run, current_run, runs_folder, sha256_of
from core.samples import sample

APP_NAME = "Garment Lens"
log = logging.getLogger(__name__)


def page(title: str) -> None:
    """Configure a page; the first call of each. Its icon is drawn here: Streamlit's own would be fetched from another site."""
    st.set_page_config(page_title=f"{title} · {APP_NAME}", page_icon=_icon(), layout="wide")


@st.cache_resource(show_spinner=False)
def _icon() -> Image.Image:
    return sample("Tshirts", size=(48, 64))


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors as messages and end the page there: our own as they are, any other with an id that stands in the log as well."""
    try:
        yield
    except GarmentError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("error %s", error_id)
        st.error(
            f"Something went wrong that nobody foresaw (error {error_id}). Reload the page; if it comes back, send that id with the log.",
            icon=":material/error:",
        )
        st.stop()


def shipped_run() -> Run:
    """The run the product classifies with. Raises BrokenRun."""
    return current_run(runs_folder())


def shipped_run_id() -> str:
    """Name of the run the product classifies with; empty if there is none."""
    try:
        return shipped_run().run_id
    except BrokenRun:
        return ""


def classifier() -> Classifier:
    """The shipped run's classifier, one for all sessions; made anew when another run takes its place. Raises BrokenRun."""
    run = shipped_run()
    return _classifier(run, sha256_of(run.folder / "manifest.json"))


@st.cache_resource(show_spinner="Loading the network…", max_entries=2)
def _classifier(_run: Run, manifest_sha256: str) -> Classifier:
    return Classifier(_run, shared=True)


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
