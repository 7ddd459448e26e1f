"""How photos come to the batch page: as files, as a folder, in zip files, or as samples. They stay for the visit."""

from __future__ import annotations

import io
from collections.abc import Callable

import streamlit as st
from PIL import Image
from streamlit.typing import UploadedFile

from core.bulk.table import MAX_PHOTOS, Upload, photos_of
from core.images import sandbox
from core.images.decode import ACCEPTED_SUFFIXES
from core.images.sources import PhotoFile
from core.samples import garments
from core.ui.markdown import told

FILES, FOLDER = "Files", "Folder"
TYPES = ("zip", *(suffix.lstrip(".") for suffix in ACCEPTED_SUFFIXES))
PHOTOS, PROBLEMS, SAMPLES = "batch_photos", "batch_problems", "batch_samples"  # what a session keeps


def photos() -> dict[str, PhotoFile]:
    """This visit's photos by an id, in the order they came; the page has them still when the visitor comes back to it."""
    kept: dict[str, PhotoFile] = st.session_state.setdefault(PHOTOS, {})
    return kept or (samples() if st.session_state.get(SAMPLES) else {})


def upload() -> None:
    """Take in what was dropped since the last run, name what is left out, and show the field for more."""
    _take_in()
    empty = not photos()  # the field is large then
    with st.container(horizontal=not empty, vertical_alignment="center", key="batch-field" if empty else None):
        source = st.segmented_control(
            "Upload",
            [FILES, FOLDER],
            default=FILES,
            required=True,
            key="batch_source",
            label_visibility="collapsed",
            width="content",
        )
        st.file_uploader(
            "A folder of photos" if source == FOLDER else "Photos of clothes, or zip files of them",
            type=TYPES,
            accept_multiple_files="directory" if source == FOLDER else True,
            key=_uploader_key(source),
            label_visibility="collapsed",
            width="stretch",
        )
        if not empty:
            st.button("Remove all photos", icon=":material/delete:", on_click=_remove_all)
    sandbox.start()
    for problem in st.session_state.get(PROBLEMS, []):
        st.error(told(problem), icon=":material/folder_zip:")


def _uploader_key(source: str) -> str:
    """Another one after each upload: photos are kept by the page, and the uploader's own list stays empty."""
    return f"batch_upload_{source}-{st.session_state.get('batch_uploads', 0)}"


def _take_in() -> None:
    files: list[UploadedFile] = []
    for source in (FILES, FOLDER):
        files += st.session_state.get(_uploader_key(source)) or []
    if not files:
        return
    kept: dict[str, PhotoFile] = st.session_state.setdefault(PHOTOS, {})
    uploads = [Upload(file.file_id, file.name, file.getvalue()) for file in files]
    new, problems = photos_of(uploads, len(kept))
    if not new and not problems:
        problems = ["The folder has no photos in it."]
    kept |= new
    st.session_state[PROBLEMS] = problems
    st.session_state["batch_uploads"] = st.session_state.get("batch_uploads", 0) + 1


def _remove_all() -> None:
    for name in (PHOTOS, PROBLEMS, SAMPLES):
        st.session_state.pop(name, None)


def invite() -> None:
    """What to do on the empty page, and samples for visitors without photos."""
    st.info(
        f"Drop photos above, at most {MAX_PHOTOS:,}, as files, folders or zip files. Every photo is classified, those that need review "
        "come first. Photos stay in this session and are never stored.",
        icon=":material/arrow_upward:",
    )
    st.button("Try samples", icon=":material/draw:", on_click=_use_samples)


def _use_samples() -> None:
    st.session_state[SAMPLES] = True


@st.cache_resource(show_spinner=False)
def samples() -> dict[str, PhotoFile]:
    """The samples of Home and a few of other things, by an id as `photos` gives it."""
    pictures = {f"{name} {seed}": garments.sample(name, seed) for name in garments.SHOWN for seed in range(1, 3)}
    pictures |= {f"Something else {seed}": garments.out_of_scope(seed) for seed in range(1, 4)}
    return {f"sample {name}": PhotoFile(f"{name}.png", _png(picture)) for name, picture in pictures.items()}


def _png(picture: Image.Image) -> Callable[[], bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue
