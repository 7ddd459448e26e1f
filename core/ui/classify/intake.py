"""How photos come to the classify page: dropped, pasted, chosen, taken with the camera, or as a sample."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import QuotaReached, UnreadablePhoto
from core.images import sandbox
from core.images.encode import png
from core.samples import garments
from core.ui import handover, photo_field, samples, waiting
from core.ui.classify import keys
from core.ui.classify.photos import add_photo, latest_own, make_room, photos, select
from core.ui.handover import LabelledPhoto, Wanted, arriving
from core.ui.markdown import told

SAMPLE_PARAMETER, PHOTOS_PARAMETER = "sample", "photos"  # of the page's address
SMALL = 93  # points: width of the field beside the title
ASSETS = Path(__file__).parent / "assets"
STYLE = f"<style>{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style>"


def intake() -> None:
    """Add the photos that have come, and show the field for more."""
    with waiting.turn():
        _take_in()
        _head()


def _take_in() -> None:
    """Add what has come since the last run; what cannot be read is named, and the rest goes on."""
    problems: list[str] = st.session_state.setdefault("upload_problems", [])
    before = set(photos())
    if wanted := handover.wanted() or _sample_in_address():
        problems += _take_wanted(wanted)
    if incoming := arriving():
        make_room()
        problems += _try_to_add(incoming.data, incoming.name, incoming)
    came = [*handover.brought(), *photo_field.came()]
    if came:
        problems.clear()
    for file, data in came:
        problems += _try_to_add(data, file)
    if new := [sha256 for sha256 in photos() if sha256 not in before]:
        select(new[0])


def _take_wanted(wanted: Wanted) -> list[str]:
    """Look at the sample that was asked for, or at the visitor's own photo; what keeps it from being added, if anything does."""
    own = latest_own() if wanted.own_first else None
    if own is None:
        return _try_to_add(_sample_png(wanted.sample), f"{wanted.sample} sample.png", sample=wanted.sample)
    select(own)
    return []


def _try_to_add(data: bytes, name: str, origin: LabelledPhoto | None = None, sample: str = "") -> list[str]:
    """What keeps a photo from being added, if anything does."""
    try:
        add_photo(data, name, origin, sample)
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
            photo_field.uploader(SMALL)
        photo_field.camera_button()
        keys.help_panel()
    if empty:
        photo_field.large_uploader()
    photo_field.listen()
    sandbox.start()
    for problem in st.session_state["upload_problems"]:
        st.error(told(problem), icon=":material/broken_image:")
    photo_field.camera()
    if empty and PHOTOS_PARAMETER in st.query_params:
        st.info(
            "Photos are not kept when the page is reloaded or its address is shared. Add them again; the settings are kept."
        )


def is_outdated() -> bool:
    """Whether the field is large though photos are open, or small though none is."""
    return st.session_state.get("field_is_large") == bool(photos())


@st.cache_data(max_entries=64, show_spinner=False)
def _sample_png(name: str) -> bytes:
    return png(garments.gallery_photo(name))


def gallery() -> None:
    """Samples drawn in code, for the visitor who has no photo at hand."""
    st.subheader("No photo? Try a sample", anchor=False)
    samples.tiles(garments.GALLERY)


def _sample_in_address() -> Wanted | None:
    """The sample that a link asks for, on arrival."""
    name = st.query_params.get(SAMPLE_PARAMETER)
    arrived = st.session_state.setdefault("arrived", False)
    st.session_state["arrived"] = True
    return Wanted(name) if name in garments.GALLERY and not arrived and not photos() else None


def note_in_address(sample: str) -> None:
    """Say in the page's address which sample is shown, and that photos are open: a reload cannot bring those back."""
    for parameter, value in ((SAMPLE_PARAMETER, sample), (PHOTOS_PARAMETER, str(len(photos()) or ""))):
        wanted = value if parameter == SAMPLE_PARAMETER or not sample else ""
        if wanted and st.query_params.get(parameter) != wanted:
            st.query_params[parameter] = wanted
        elif not wanted and parameter in st.query_params:
            del st.query_params[parameter]
