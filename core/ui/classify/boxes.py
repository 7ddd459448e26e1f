"""The classify page's boxes: drawn on the photo's canvas, found by the network, or typed in."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import streamlit as st
from PIL import Image
from streamlit_drawable_canvas import st_canvas

from core.errors import InvalidRegion
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.images.region import STROKE_WIDTH, Region, Size, canvas_rect, clamp, parse_roi, regions_from_canvas
from core.inference.classifier import Classifier
from core.plots.palette import REGION
from core.ui.classify import keys
from core.ui.markdown import told
from core.ui.shell import column_width

CANVAS_HEIGHT = 560
DIGITS = 3  # of a box's number at most; a label can be typed over on the canvas
ASKED = "wants_boxes"  # what a button asks of the page's next run
TYPED, NOT_TYPED = "typed_box", "typed_box_problem"


@dataclass(frozen=True)
class Marked:
    """A region drawn on the photo, or the whole photo.

    Args:
        number: as shown on its box, from 1; 0 for the whole photo.
        region: in pixels of the upright photo; None for the whole of it.
    """

    number: int
    region: Region | None

    @property
    def name(self) -> str:
        """What the page and the exports call it."""
        return f"Region {self.number}" if self.number else "Whole photo"

    @property
    def colour(self) -> str | None:
        """Colour of its box and card; none for the whole photo."""
        return REGION[(self.number - 1) % len(REGION)] if self.number else None


WHOLE = Marked(0, None)


def regions(photo: Photo) -> list[Marked]:
    """The photo on a canvas where boxes are drawn; returns the whole photo and then each box, numbered as drawn."""
    width = column_width("canvas-width")
    if width is None:  # the first run of a visit; a canvas laid out twice would lose what is drawn in between
        st.session_state.pop("mounted_photo", None)
        size = _canvas_size(photo, CANVAS_HEIGHT)
        st.image(data_url(_background(photo.image, photo.sha256, size)), width=size[0])
        return [WHOLE]
    if st.session_state.get("mounted_photo") != photo.sha256:  # an old canvas would come back as it was first mounted
        st.session_state["mounted_photo"] = photo.sha256
        _mount_anew(photo.sha256)
    size = _canvas_size(photo, width)
    mount = _mount(photo, size)
    key = _canvas_key(photo, size)
    before = (st.session_state.get(key, {}).get("drawing") or {}).get("raw") or mount
    number = 1 + max(_numbers(_boxes(before, size, photo)), default=0)
    result = st_canvas(
        fill_color="rgba(255, 255, 255, 0.08)",
        stroke_width=STROKE_WIDTH,
        stroke_color=Marked(number, None).colour or "",
        background_image=_background(photo.image, photo.sha256, size),
        width=size[0],
        height=size[1],
        drawing_mode="labeled_rect",
        label=str(number),
        font_size=16,
        initial_drawing=copy.deepcopy(mount),
        key=key,
    )
    keys.send_boxes_at_once()
    drawn = _boxes(result.json_data or {}, size, photo)
    st.session_state["canvas_has_boxes"] = bool(drawn)
    marked = _marked(drawn, size, photo)
    st.session_state["drawings"][photo.sha256] = marked
    if [str(number) for number in _numbers(drawn)] != [box.get("label") for box in drawn]:
        _mount_anew(photo.sha256)  # so that each box says what its card does
        st.rerun()
    return [WHOLE, *marked]


def _canvas_size(photo: Photo, width: int) -> tuple[int, int]:
    """(width, height) in points of a photo's canvas in a column so wide."""
    scale = min(width / photo.width, CANVAS_HEIGHT / photo.height)
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def _boxes(drawing: dict[str, Any], size: tuple[int, int], photo: Photo) -> list[dict[str, Any]]:
    """The boxes of a drawing, without the specks of stray clicks."""
    return [box for box in drawing.get("objects", []) if regions_from_canvas([box], size, photo.size)]


def _numbers(boxes: list[dict[str, Any]]) -> list[int]:
    """The number of each box: its label; the next that is free where a visitor typed another, or drew two before the first was answered."""
    labels = [str(box.get("label", "")) for box in boxes]
    wanted = [int(label) if label.isascii() and label.isdecimal() and len(label) <= DIGITS else 0 for label in labels]
    numbers: list[int] = []
    for number in wanted:
        free = number > 0 and number not in numbers
        numbers.append(number if free else 1 + max([*wanted, *numbers]))
    return numbers


@st.cache_data(max_entries=64, show_spinner=False)
def _background(_image: Image.Image, sha256: str, size: tuple[int, int]) -> bytes:
    """JPEG at twice the canvas's size, for sharp screens; the canvas would send a PIL image in full at every rerun."""
    target = min(2 * size[0], max(size[0], _image.width)), min(2 * size[1], max(size[1], _image.height))
    return jpeg(_image.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _canvas_key(photo: Photo, size: tuple[int, int]) -> str:
    version = st.session_state.setdefault("canvas_version", {}).get(photo.sha256, 0)
    return f"canvas-{photo.sha256[:16]}-{size[0]}x{size[1]}-{version}"


def _mount(photo: Photo, size: tuple[int, int]) -> dict[str, Any]:
    """What a canvas starts with, frozen when it is mounted: feeding the current drawing back would lose boxes."""
    mounts = st.session_state.setdefault("mounts", {})
    key = _canvas_key(photo, size)
    if mounts.get(photo.sha256, ("", None))[0] != key:
        boxes = st.session_state.setdefault("drawings", {}).get(photo.sha256, [])
        objects = [_labelled(mark, photo, size) for mark in boxes]
        mounts[photo.sha256] = (key, {"objects": objects})
    return mounts[photo.sha256][1]


def _labelled(mark: Marked, photo: Photo, size: tuple[int, int]) -> dict[str, Any]:
    assert mark.region is not None and mark.colour is not None
    box = canvas_rect(mark.region, size, photo.size, mark.colour)
    return box | {"type": "LabeledRect", "label": str(mark.number)}


def _marked(boxes: list[dict[str, Any]], size: tuple[int, int], photo: Photo) -> list[Marked]:
    """The boxes that mean something, each with its number; one that does not says why."""
    marked = []
    for region, number in zip(regions_from_canvas(boxes, size, photo.size), _numbers(boxes), strict=True):
        try:
            marked.append(Marked(number, clamp(region, *photo.size)))
        except InvalidRegion as error:
            st.warning(f"Region {number}: {error}", icon=":material/crop_free:")
    return marked


def propose_if_asked(classifier: Classifier, photo: Photo) -> None:
    """Put boxes on a photo where the network sees garments; those there stay if it sees none that need one."""
    if st.session_state.pop(ASKED, None) != photo.sha256:
        return
    with st.spinner("Looking for garments…"):
        found = [one.region for one in classifier.find(photo)] if classifier.finds else []
    if not found:
        st.toast("Nothing in this photo stands out as a garment. Draw a box by hand.", icon=":material/search_off:")
        return
    _replace_regions(photo.sha256, [Marked(number, region) for number, region in enumerate(found, 1)])


def box_buttons(photo: Photo) -> None:
    """Boxes without drawing: proposed by the network, typed in, or taken off."""
    st.button(
        "Find garments",
        icon=":material/search:",
        shortcut=keys.FIND.shortcut,
        on_click=_ask_for_boxes,
        args=(photo.sha256,),
        help="Lets the network propose boxes, in place of those on the photo. Then move, resize or delete them.",
    )
    with st.popover("Type a box", icon=":material/keyboard_alt:"):
        st.text_input(
            "Left, top, width, height, in pixels of the photo",
            key=TYPED,
            placeholder=f"0,0,{photo.width},{photo.height // 2}",
            on_change=_add_typed,
            args=(photo.sha256, photo.size),
        )
        if problem := st.session_state.pop(NOT_TYPED, None):
            st.error(told(problem), icon=":material/crop_free:")
    st.button(
        "Remove boxes",
        icon=":material/deselect:",
        shortcut=keys.REMOVE.shortcut,
        disabled=not st.session_state.get("canvas_has_boxes"),
        on_click=_replace_regions,
        args=(photo.sha256, []),
    )


def _ask_for_boxes(sha256: str) -> None:
    """Leave the search to the page's next run, as a sample is left to it."""
    st.session_state[ASKED] = sha256


def _add_typed(sha256: str, size: Size) -> None:
    """Put the box that was typed in beside those on the photo; what is wrong with it is said under the field."""
    if not st.session_state[TYPED].strip():
        return
    try:
        region = clamp(parse_roi(st.session_state[TYPED]), *size)
    except InvalidRegion as error:
        st.session_state[NOT_TYPED] = str(error)
        return
    marked = st.session_state.setdefault("drawings", {}).get(sha256, [])
    number = 1 + max((mark.number for mark in marked), default=0)
    _replace_regions(sha256, [*marked, Marked(number, region)])
    st.session_state[TYPED] = ""


def _replace_regions(sha256: str, marked: list[Marked]) -> None:
    """Put other boxes on a photo: its canvas is mounted anew with them."""
    st.session_state.setdefault("drawings", {})[sha256] = marked
    _mount_anew(sha256)


def _mount_anew(sha256: str) -> None:
    """Give a photo a new canvas, which starts with the boxes kept for it."""
    versions = st.session_state.setdefault("canvas_version", {})
    versions[sha256] = versions.get(sha256, 0) + 1


def forget(sha256: str) -> None:
    """Forget the boxes of a photo that is closed."""
    for store in ("drawings", "mounts", "canvas_version"):
        st.session_state.get(store, {}).pop(sha256, None)
