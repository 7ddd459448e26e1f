"""The photos of the classify page: kept for the session, decoded when they are looked at."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import NamedTuple

import streamlit as st
from cachetools import LRUCache, cached
from PIL import Image, ImageOps

from core.errors import UnreadablePhoto
from core.images import sandbox
from core.images.decode import Photo, display_name
from core.images.encode import data_url, jpeg
from core.images.region import Size
from core.stopwatch import timed
from core.ui import session
from core.ui.classify import boxes, garments, readings
from core.ui.handover import LabelledPhoto
from core.ui.quota import Held

ENOUGH = (1200, 1200)  # pixels a photo is decoded to at least; boxes stay sharp and sessions stay small
SHOWN = (1600, 1600)  # pixels of the picture on the page at most
MAX_PHOTOS = 30
THUMBNAIL = 112  # pixels of a tile's side; sharp screens show two of them a point
DECODED = 96 * 2**20  # bytes of photos kept decoded, of all visitors; any other is decoded again when it is looked at
ID = 16  # digits of a photo's SHA-256 that tell it from the others of a visitor


class Kept(NamedTuple):
    """A visitor's photo as it came; many times smaller than decoded, and Streamlit keeps visits for minutes after they end.

    Args:
        name: file name, fit for display.
        data: the file's bytes.
        origin: None if the visitor brought it.
        sample: name of the sample that it is, if it is one.
        size: (width, height) of the upright photo, in pixels.
        held: counts its bytes as this visitor's.
    """

    name: str
    data: bytes
    origin: LabelledPhoto | None = None
    sample: str = ""
    size: Size = (0, 0)
    held: Held | None = None


def photos() -> dict[str, Kept]:
    """This visitor's photos by SHA-256, in the order they came."""
    return st.session_state.setdefault("photos", {})


def _in_memory(photo: Photo) -> int:
    return photo.image.width * photo.image.height * len(photo.image.getbands())


@cached(LRUCache(DECODED, getsizeof=_in_memory), key=lambda sha256, name, data: (sha256, name), lock=Lock())
def _decoded(sha256: str, name: str, data: bytes) -> Photo:
    return sandbox.decode_apart(data, name, ENOUGH, session.visitor(), sha256)


def add_photo(data: bytes, name: str, origin: LabelledPhoto | None = None, sample: str = "") -> None:
    """Decode a photo, keep it for this session and select it. Raises UnreadablePhoto or QuotaReached."""
    name = display_name(name)
    with timed("decode"):
        photo = _decoded(hashlib.sha256(data).hexdigest(), name, data)
    if photo.sha256 not in photos() and len(photos()) >= MAX_PHOTOS:
        raise UnreadablePhoto(f"{MAX_PHOTOS} photos are open already. Close some, then add {photo.name}.")
    known = photos().get(photo.sha256)
    held = known.held if known else session.hold(len(data))
    photos()[photo.sha256] = Kept(name, data, origin, sample, photo.size, held)
    if origin and origin.boxes:
        boxes.replace(photo.sha256, origin.boxes)
        boxes.select(photo.sha256, origin.selected)
    select(photo.sha256)


def make_room() -> None:
    """Where no more photos fit, close the one longest here that another page opened: that page has it still."""
    if len(photos()) >= MAX_PHOTOS:
        opened = next((sha256 for sha256, kept in photos().items() if kept.origin), None)
        if opened:
            close(opened)


def open_photo(sha256: str) -> Photo:
    """One of this visitor's photos, decoded."""
    kept = photos()[sha256]
    with timed("decode"):
        return _decoded(sha256, kept.name, kept.data)


def selected_sha256() -> str | None:
    """The photo being looked at; None if there is none."""
    if not photos():
        return None
    if st.session_state.get("selected_photo") not in photos():
        select([*photos()][-1])
    return st.session_state["selected_photo"]


def select(sha256: str) -> None:
    """Look at a photo."""
    st.session_state["selected_photo"] = sha256


def latest_own() -> str | None:
    """The photo that the visitor brought last; None if there is none."""
    own = [sha256 for sha256, kept in photos().items() if not kept.origin and not kept.sample]
    return own[-1] if own else None


def step(by: int) -> None:
    """Look at the photo so many places further on, going round at the ends."""
    shas, shown = [*photos()], selected_sha256()
    if shown is not None:
        select(shas[(shas.index(shown) + by) % len(shas)])


def by_id(short: str) -> str | None:
    """The photo whose SHA-256 begins so; None if it is closed."""
    return next((sha256 for sha256 in photos() if sha256[:ID] == short), None)


def close(sha256: str) -> None:
    """Forget a photo with everything about it; its neighbour is looked at then."""
    shas = [*photos()]
    if st.session_state.get("selected_photo") == sha256 and len(shas) > 1:
        place = shas.index(sha256)
        select(shas[place + 1] if place + 1 < len(shas) else shas[place - 1])
    photos().pop(sha256, None)
    boxes.forget(sha256)
    garments.forget(sha256)
    readings.forget(sha256)


@st.cache_data(max_entries=64, show_spinner=False)
def picture_url(_image: Image.Image, sha256: str) -> str:
    """A photo for the page, as an address that holds it."""
    fits = _image.width <= SHOWN[0] and _image.height <= SHOWN[1]
    return data_url(jpeg(_image if fits else ImageOps.contain(_image, SHOWN, Image.Resampling.LANCZOS), 88))


@st.cache_data(max_entries=200, show_spinner=False)
def thumbnail_url(sha256: str) -> str:
    """The middle of one of this visitor's photos, square, as an address that holds it."""
    return data_url(jpeg(ImageOps.fit(open_photo(sha256).image, (THUMBNAIL, THUMBNAIL)), 80))
