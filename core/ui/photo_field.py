"""The field for photos, on Home and on the classify page: they are dropped, pasted, chosen, or taken with the camera."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import streamlit as st
import streamlit.components.v2 as components
from streamlit.typing import UploadedFile

from core.images.decode import MAX_BYTES

UPLOADER, CAMERA = "upload", "camera"  # keys of the widgets, before the number of the photo that they wait for
LOCAL = ("localhost", "127.0.0.1", "::1")
ASSETS = Path(__file__).parent / "assets"
_listener = components.component(
    "photo_field", html="<div></div>", js=(ASSETS / "photo_field.js").read_text(encoding="utf-8")
)


def came() -> list[tuple[str, bytes]]:
    """Names and bytes of the photos that have come since the last run; the field is empty again then."""
    files: list[UploadedFile] = st.session_state.get(_key(UPLOADER)) or []
    shot: UploadedFile | None = st.session_state.get(_key(CAMERA))
    if files:
        _wait_for_next(UPLOADER)
    if shot:
        _wait_for_next(CAMERA)
        st.session_state["camera_open"] = False
    return [(file.name, file.getvalue()) for file in [*files, *([shot] if shot else [])]]


def _key(widget: str) -> str:
    """Another one after each photo: photos are kept by the page, and the widget's own list stays empty."""
    return f"{widget}-{st.session_state.get(f'{widget}_number', 0)}"


def _wait_for_next(widget: str) -> None:
    st.session_state[f"{widget}_number"] = st.session_state.get(f"{widget}_number", 0) + 1


def listen() -> None:
    """Take photos that are dropped or pasted anywhere on the page; once on each page, with `uploader`."""
    with st.container(key="unseen"):
        _listener(key="photo-field", data={"uploader": UPLOADER}, height=1)


def large_uploader() -> None:
    """The field as the largest thing on the page."""
    with st.container(key="field"):
        uploader("stretch")


def uploader(width: int | Literal["stretch"]) -> None:
    """The field, as wide as its place (`stretch`) or so many pixels."""
    st.file_uploader(
        "Drop, paste or choose photos",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        key=_key(UPLOADER),
        label_visibility="collapsed",
        width=width,
    )


def camera_button() -> None:
    """Opens the camera, or closes it."""
    st.button("Camera", icon=":material/photo_camera:", on_click=_toggle_camera, key="camera")


def _toggle_camera() -> None:
    st.session_state["camera_open"] = not st.session_state.get("camera_open")


def camera() -> None:
    """The camera, where it is open and browsers allow it."""
    if not st.session_state.get("camera_open"):
        return
    if not allows_camera(st.context.url or ""):
        st.info(
            "Browsers allow the camera only on pages served over HTTPS, and this one is not. Choose a photo instead: "
            "a phone offers its camera there."
        )
        return
    with st.container(width=480):
        st.camera_input("Take a photo", key=_key(CAMERA), resolution="1080p", label_visibility="collapsed")


def allows_camera(address: str) -> bool:
    """Whether browsers let a page at this address use the camera: served over HTTPS, or from this machine."""
    parts = urlsplit(address)
    return parts.scheme != "http" or parts.hostname in LOCAL
