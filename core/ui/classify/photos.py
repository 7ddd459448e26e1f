"""The photos of the classify page: taking them in, keeping them for the session, choosing one."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import NamedTuple

import streamlit as st
from cachetools import LRUCache, cached
from PIL import ImageOps
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.errors import UnreadablePhoto
from core.images import sandbox
from core.images.decode import ACCEPTED_SUFFIXES, MAX_BYTES, Photo, display_name
from core.images.encode import data_url, jpeg, png
from core.samples import garments
from core.ui import session
from core.ui.classify import boxes, keys
from core.ui.handover import LabelledPhoto, arriving, label_and_way_back
from core.ui.markdown import told

ENOUGH = (1200, 1200)  # pixels a photo is decoded to at least; regions stay sharp and sessions stay small
MAX_PHOTOS = 30
TILE = 72  # side of a photo's tile in the strip, in points
DECODED = 96 * 2**20  # bytes of photos kept decoded, of all visitors; any other is decoded again when it is looked at
SAMPLE_WIDTH = 104  # of a sample in the gallery, in points: three stand beside one another on a phone
DRAWN = "wants_sample"  # what a button asks of the page's next run
SAMPLE, THUMBNAIL = (480, 640), (192, 256)


class Kept(NamedTuple):
    """A visitor's photo as it came; many times smaller than decoded, and Streamlit keeps visits for minutes after they end.

    Args:
        name: file name, fit for display.
        data: the file's bytes.
        origin: None if the visitor brought it.
    """

    name: str
    data: bytes
    origin: LabelledPhoto | None = None


def photos() -> dict[str, Kept]:
    """This visitor's photos by SHA-256, in the order they came."""
    return st.session_state.setdefault("photos", {})


def _in_memory(photo: Photo) -> int:
    return photo.image.width * photo.image.height * len(photo.image.getbands())


@cached(LRUCache(DECODED, getsizeof=_in_memory), key=lambda sha256, name, data: (sha256, name), lock=Lock())
def _decoded(sha256: str, name: str, data: bytes) -> Photo:
    return sandbox.decode_apart(data, name, ENOUGH, session.visitor())


def add_photo(data: bytes, name: str, origin: LabelledPhoto | None = None) -> None:
    """Decode a photo, keep it for this session and select it. Raises UnreadablePhoto."""
    name = display_name(name)
    photo = _decoded(hashlib.sha256(data).hexdigest(), name, data)
    if photo.sha256 not in photos() and len(photos()) >= MAX_PHOTOS:
        raise UnreadablePhoto(f"{MAX_PHOTOS} photos are open already. Remove some, then add {photo.name}.")
    photos()[photo.sha256] = Kept(name, data, origin)
    st.session_state["selected_photo"] = photo.sha256


def upload() -> None:
    """Drop zone, camera and samples; what cannot be read is named, and the rest goes on."""
    if name := st.session_state.pop(DRAWN, None):
        add_photo(_sample_png(name, SAMPLE), f"{name} (drawn sample).png")
    incoming = arriving()
    if incoming and (problem := _try_to_add(incoming.data, incoming.name, incoming)):
        st.error(told(problem), icon=":material/broken_image:")
    files = st.file_uploader(
        "Photos of clothes (Ctrl + O)",
        type=[suffix.lstrip(".") for suffix in ACCEPTED_SUFFIXES],
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        key=keys.UPLOADER,
        help="Drop files here, choose them, or paste an image with the drop zone focused. They stay in this session; none is stored "
        "unless you correct an answer and agree to it.",
    )
    keys.listen_for_upload()
    sandbox.start()
    with st.container(horizontal=True):
        with st.popover("Camera", icon=":material/photo_camera:"):
            shot = st.camera_input("Take a photo", key="camera", resolution="1080p")
        keys.help_panel()
    before = set(photos())
    for file in [*files, *([shot] if shot else [])]:
        _take_upload(file)
    if new := [sha256 for sha256 in photos() if sha256 not in before]:
        _select(new[0])


def _take_upload(file: UploadedFile) -> None:
    """Decode an upload once; its error stays on the page while the file stays in the uploader."""
    seen: dict[str, str] = st.session_state.setdefault("seen_uploads", {})
    if file.file_id not in seen:
        seen[file.file_id] = _try_to_add(file.getvalue(), file.name)
    if seen[file.file_id]:
        st.error(told(seen[file.file_id]), icon=":material/broken_image:")


def _try_to_add(data: bytes, name: str, origin: LabelledPhoto | None = None) -> str:
    """What keeps a photo from being added, if anything does."""
    try:
        add_photo(data, name, origin)
    except UnreadablePhoto as error:
        return str(error)
    return ""


@st.cache_data(max_entries=64, show_spinner=False)
def _sample_png(name: str, size: tuple[int, int]) -> bytes:
    return png(garments.gallery_photo(name, size))


def gallery() -> None:
    """Samples drawn in code, for the visitor who has no photo at hand."""
    with st.container(horizontal=True, gap="xsmall"):
        for name in garments.GALLERY:
            with st.container(width=SAMPLE_WIDTH, gap="xsmall"):
                st.image(_sample_png(name, THUMBNAIL), width="stretch", alt=f"Drawn sample: {name}")
                st.button(name, key=f"sample-{name}", on_click=_ask_for_sample, args=(name,), width="stretch")


def _ask_for_sample(name: str) -> None:
    """Leave the work to the page's next run, where errors are shown and visitors take turns; a button's callback has neither."""
    st.session_state[DRAWN] = name


def selected_photo() -> Photo | None:
    """The photo being looked at; a strip of thumbnails switches where there are several."""
    shas = list(photos())
    if not shas:
        return None
    if st.session_state.get("selected_photo") not in shas:
        st.session_state["selected_photo"] = shas[-1]
    if len(shas) > 1:
        _strip(shas)
    return _open(st.session_state["selected_photo"])


def _open(sha256: str) -> Photo:
    kept = photos()[sha256]
    return _decoded(sha256, kept.name, kept.data)


def _strip(shas: list[str]) -> None:
    """A tile a photo, numbered; the one looked at cannot be pressed."""
    with st.container(horizontal=True, gap="small", key="strip"):
        for number, sha in enumerate(shas, 1):
            name = photos()[sha].name
            with st.container(width=TILE, gap="xxsmall"):
                st.image(data_url(_thumbnail(sha)), width="stretch", alt=name)
                st.button(
                    f"{number}",
                    key=f"show-{sha}",
                    disabled=sha == st.session_state["selected_photo"],
                    on_click=_select,
                    args=(sha,),
                    width="stretch",
                )
    shown = st.session_state["selected_photo"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Back", icon=":material/arrow_back:", shortcut=keys.BACK.shortcut, on_click=step_photo, args=(-1,))
        st.button("Next", icon=":material/arrow_forward:", shortcut=keys.NEXT.shortcut, on_click=step_photo, args=(1,))
        st.text(f"{shas.index(shown) + 1} of {len(shas)} · {photos()[shown].name}", width="content")


@st.cache_data(max_entries=200, show_spinner=False)
def _thumbnail(sha256: str) -> bytes:
    """The middle of one of this visitor's photos, square."""
    return jpeg(ImageOps.fit(_open(sha256).image, (2 * TILE, 2 * TILE)), 85)


def _select(sha256: str) -> None:
    st.session_state["selected_photo"] = sha256


def step_photo(step: int) -> None:
    """Show the photo so many places further on, going round at the ends."""
    shas = list(photos())
    if st.session_state["selected_photo"] not in shas:
        return  # it was closed just before the key
    _select(shas[(shas.index(st.session_state["selected_photo"]) + step) % len(shas)])


def remove_photo(sha256: str) -> None:
    """Forget a photo with everything about it."""
    photos().pop(sha256, None)
    boxes.forget(sha256)
    readings = st.session_state.get("readings", {})
    for key in [key for key in readings if key[1] == sha256]:
        del readings[key]


def true_label(photo: Photo) -> None:
    """Of a photo opened on the confusion page, its label and the way back."""
    origin = photos()[photo.sha256].origin
    if origin:
        label_and_way_back(origin)


def photo_buttons(photo: Photo) -> None:
    """What can be done with the photo and its boxes, each with its key."""
    st.caption("Draw boxes round garments. Over the photo appear undo and a pencil to move, resize and delete them.")
    with st.container(horizontal=True):
        boxes.box_buttons(photo)
        st.button(
            "Heat map", icon=":material/local_fire_department:", shortcut=keys.HEAT.shortcut, on_click=_toggle_heat
        )
        keys.answers_button()
        st.button("Close photo", icon=":material/close:", on_click=remove_photo, args=(photo.sha256,))


def _toggle_heat() -> None:
    st.session_state["heat"] = not st.session_state.get("heat", True)
