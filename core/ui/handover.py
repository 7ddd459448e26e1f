"""A test photo on its way from the confusion page to the classify page: its label goes along, and so does the way back."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core.ui.markdown import literal
from core.ui.shell import CLASSIFY_PAGE, CONFUSION_PAGE

INCOMING = "incoming_photo"  # where a session keeps the one that is on its way


class LabelledPhoto(NamedTuple):
    """A photo of a labelled set.

    Args:
        name: file name.
        data: the file's bytes.
        label: its true class.
        settings: query parameters of the confusion page when it was opened; they lead back to the same cell.
    """

    name: str
    data: bytes
    label: str
    settings: dict[str, list[str]]


def open_in_classify(name: str, data: bytes, label: str) -> None:
    """Leave the confusion page for the classify page, with a photo; does not return."""
    settings = {setting: st.query_params.get_all(setting) for setting in st.query_params}
    st.session_state[INCOMING] = LabelledPhoto(name, data, label, settings)
    st.switch_page(CLASSIFY_PAGE, query_params={})  # without them it refuses to leave bound ones behind


def arriving() -> LabelledPhoto | None:
    """The photo that was on its way to this page, once."""
    return st.session_state.pop(INCOMING, None)


def label_and_way_back(photo: LabelledPhoto) -> None:
    """What the photo is said to be, beside a link to the cell it was opened from."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Its label: **{literal(photo.label)}**", width="content")
        st.page_link(
            CONFUSION_PAGE, label="Back to the matrix", icon=":material/arrow_back:", query_params=photo.settings
        )
