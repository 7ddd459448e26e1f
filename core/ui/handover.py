"""What is on its way to the classify page: a photo with its label or boxes and the way back, a visitor's photos, or a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from core.images.outline import Outline
from core.images.region import Region
from core.ui.markdown import literal
from core.ui.shell import BATCH_PAGE, CLASSIFY_PAGE, CONFUSION_PAGE, HISTORY_PAGE

INCOMING = "incoming_photo"  # where a session keeps the one that is on its way
BROUGHT = "brought_photos"  # the same of photos of the visitor
WANTED = "wants_sample"  # and of a sample
BACK_TO = {
    CONFUSION_PAGE: "Back to the matrix",
    HISTORY_PAGE: "Back to the training history",
    BATCH_PAGE: "Back to Batch",
}


class LabelledPhoto(NamedTuple):
    """A photo of a labelled set, or of a batch.

    Args:
        name: file name.
        data: the file's bytes.
        label: its true class; empty where nobody knows it.
        settings: query parameters of the page it was opened from; they lead back to the same view.
        page: that page, out of BACK_TO.
        boxes: to put on it, each with the outline of its garment where that is known.
        selected: number of the box to look at; 0 for the whole photo.
    """

    name: str
    data: bytes
    label: str
    settings: dict[str, list[str]]
    page: str = CONFUSION_PAGE
    boxes: Sequence[tuple[Region, Outline | None]] = ()
    selected: int = 0


def open_in_classify(
    name: str,
    data: bytes,
    label: str = "",
    page: str = CONFUSION_PAGE,
    boxes: Sequence[tuple[Region, Outline | None]] = (),
    selected: int = 0,
) -> None:
    """Leave a page for the classify page, with a photo; does not return."""
    settings = {setting: st.query_params.get_all(setting) for setting in st.query_params}
    st.session_state[INCOMING] = LabelledPhoto(name, data, label, settings, page, boxes, selected)
    st.switch_page(CLASSIFY_PAGE, query_params={})  # without them it refuses to leave bound ones behind


def arriving() -> LabelledPhoto | None:
    """The photo that was on its way to this page, once."""
    return st.session_state.pop(INCOMING, None)


def label_and_way_back(photo: LabelledPhoto) -> None:
    """The photo's label, beside a link to the view it was opened from."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if photo.label:
            st.markdown(f"True class: **{literal(photo.label)}**", width="content")
        st.page_link(photo.page, label=BACK_TO[photo.page], icon=":material/arrow_back:", query_params=photo.settings)


class Wanted(NamedTuple):
    """A sample that a visitor asked for, by its name; `own_first` says that a photo of the visitor's own is preferred."""

    sample: str
    own_first: bool = False


def want(sample: str, own_first: bool = False) -> None:
    """Ask for a sample. The work is left to a page's next run, where errors are shown and visitors take turns; for callbacks."""
    st.session_state[WANTED] = Wanted(sample, own_first)


def wanted() -> Wanted | None:
    """The sample that was asked for, once."""
    return st.session_state.pop(WANTED, None)


def bring(photos: list[tuple[str, bytes]]) -> None:
    """Take a visitor's photos, names and bytes, to the classify page."""
    st.session_state[BROUGHT] = photos


def brought() -> list[tuple[str, bytes]]:
    """The visitor's photos that were on their way to this page, once."""
    return st.session_state.pop(BROUGHT, [])


def go_on() -> None:
    """Leave for the classify page if something is on its way there."""
    if BROUGHT in st.session_state or WANTED in st.session_state:
        st.switch_page(CLASSIFY_PAGE, query_params={})
