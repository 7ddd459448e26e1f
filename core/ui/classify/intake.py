"""How photos come to the classify page: dropped, pasted, chosen, taken with the camera, or as a sample."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
import streamlit.components.v2 as components
from streamlit.typing import UploadedFile

from core.errors import QuotaReached, UnreadablePhoto
from core.images import sandbox
from core.images.decode import MAX_BYTES
from core.images.encode import data_url, jpeg, png
from core.samples import garments
from core.ui import server, session
from core.ui.classify import keys
from core.ui.classify.photos import add_photo, photos, select
from core.ui.handover import LabelledPhoto, arriving
from core.ui.markdown import told

SAMPLE_PARAMETER, PHOTOS_PARAMETER = "sample", "photos"  # of the page's address
WANTED = "wants_sample"  # what a button asks of the page's next run
SAMPLE, TILE = (480, 640), (192, 256)
TILE_WIDTH = 104  # of a sample in the gallery, in points: three stand beside one another on a phone
LOCAL = ("localhost", "127.0.0.1", "::1")
ASSETS = Path(__file__).parent / "assets"
STYLE = f"<style>{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style>"
_intake = components.component(
    "photo_intake", html="<div></div>", js=(ASSETS / "intake.js").read_text(encoding="utf-8")
)


def intake() -> None:
    """Add the photos that have come, and show the field for more."""
    with server.turns.taken(session.visitor()):
        _take_in()
        _head()


def _take_in() -> None:
    """Add what has come since the last run; what cannot be read is named, and the rest goes on."""
    problems: list[str] = st.session_state.setdefault("upload_problems", [])
    before = set(photos())
    if name := st.session_state.pop(WANTED, None) or _sample_in_address():
        add_photo(_sample_png(name, SAMPLE), f"{name} sample.png", sample=name)
    if incoming := arriving():
        problems += _try_to_add(incoming.data, incoming.name, incoming)
    files: list[UploadedFile] = st.session_state.get(_uploader_key()) or []
    shot: UploadedFile | None = st.session_state.get(_camera_key())
    if files or shot:
        problems.clear()
    for file in [*files, *([shot] if shot else [])]:
        problems += _try_to_add(file.getvalue(), file.name)
    if files:
        st.session_state["uploads"] = st.session_state.get("uploads", 0) + 1
    if shot:
        st.session_state["shots"] = st.session_state.get("shots", 0) + 1
        st.session_state["camera_open"] = False
    if new := [sha256 for sha256 in photos() if sha256 not in before]:
        select(new[0])


def _uploader_key() -> str:
    """Another one after each upload: photos are kept by the page, and the uploader's own list stays empty."""
    return f"{keys.UPLOADER}-{st.session_state.get('uploads', 0)}"


def _camera_key() -> str:
    return f"camera-{st.session_state.get('shots', 0)}"


def _try_to_add(data: bytes, name: str, origin: LabelledPhoto | None = None) -> list[str]:
    """What keeps a photo from being added, if anything does."""
    try:
        add_photo(data, name, origin)
    except (UnreadablePhoto, QuotaReached) as error:
        return [str(error)]
    return []


def _head() -> None:
    """The page's title, and the field for photos: large while there is none, beside the title otherwise."""
    st.html(STYLE)
    empty = st.session_state["field_is_large"] = not photos()
    with st.container(key="head", horizontal=True, vertical_alignment="center", gap="small"):
        st.title("Classify", anchor=False, width="stretch")
        if not empty:
            _uploader()
        st.button("Camera", icon=":material/photo_camera:", on_click=_toggle_camera, key="camera")
        keys.help_panel()
    if empty:
        with st.container(key="field"):
            _uploader()
    with st.container(key="unseen"):
        _intake(key="photo-intake", data={"uploader": keys.UPLOADER}, height=1)
    sandbox.start()
    for problem in st.session_state["upload_problems"]:
        st.error(told(problem), icon=":material/broken_image:")
    if st.session_state.get("camera_open"):
        _camera()
    if empty and PHOTOS_PARAMETER in st.query_params:
        st.info(
            "Photos are not kept when the page is reloaded or its address is shared. Add them again; the settings are kept."
        )


def _uploader() -> None:
    st.file_uploader(
        "Drop, paste or choose photos",
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        key=_uploader_key(),
        label_visibility="collapsed",
        width="stretch" if not photos() else 106,
    )


def is_outdated() -> bool:
    """Whether the field is large though photos are open, or small though none is."""
    return st.session_state.get("field_is_large") == bool(photos())


def _toggle_camera() -> None:
    st.session_state["camera_open"] = not st.session_state.get("camera_open")


def _camera() -> None:
    if not allows_camera(st.context.url or ""):
        st.info(
            "Browsers allow the camera only on pages served over HTTPS, and this one is not. Choose a photo instead: "
            "a phone offers its camera there."
        )
        return
    with st.container(width=480):
        st.camera_input("Take a photo", key=_camera_key(), resolution="1080p", label_visibility="collapsed")


def allows_camera(address: str) -> bool:
    """Whether browsers let a page at this address use the camera: served over HTTPS, or from this machine."""
    parts = urlsplit(address)
    return parts.scheme != "http" or parts.hostname in LOCAL


@st.cache_data(max_entries=64, show_spinner=False)
def _sample_png(name: str, size: tuple[int, int]) -> bytes:
    return png(garments.gallery_photo(name, size))


@st.cache_data(max_entries=64, show_spinner=False)
def _sample_tile(name: str) -> str:
    return data_url(jpeg(garments.gallery_photo(name, TILE)))


def gallery() -> None:
    """Samples drawn in code, for the visitor who has no photo at hand."""
    st.subheader("No photo? Try a sample", anchor=False)
    with st.container(horizontal=True, gap="xsmall"):
        for name in garments.GALLERY:
            with st.container(width=TILE_WIDTH, gap="xsmall"):
                st.image(_sample_tile(name), width="stretch", alt=f"Sample: {name}")
                st.button(name, key=f"sample-{name}", on_click=_want, args=(name,), width="stretch")


def _want(name: str) -> None:
    """Leave the work to the page's next run, where errors are shown and visitors take turns; a button's callback has neither."""
    st.session_state[WANTED] = name


def _sample_in_address() -> str | None:
    """The sample that a link asks for, on arrival."""
    name = st.query_params.get(SAMPLE_PARAMETER)
    arrived = st.session_state.setdefault("arrived", False)
    st.session_state["arrived"] = True
    return name if name in garments.GALLERY and not arrived and not photos() else None


def note_in_address(sample: str) -> None:
    """Say in the page's address which sample is shown, and that photos are open: a reload cannot bring those back."""
    for parameter, value in ((SAMPLE_PARAMETER, sample), (PHOTOS_PARAMETER, str(len(photos()) or ""))):
        wanted = value if parameter == SAMPLE_PARAMETER or not sample else ""
        if wanted and st.query_params.get(parameter) != wanted:
            st.query_params[parameter] = wanted
        elif not wanted and parameter in st.query_params:
            del st.query_params[parameter]
