"""The boxes of the classify page's photos: kept for the session, changed by the visitor, every change undone at a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import InvalidRegion
from core.images.decode import Photo
from core.images.outline import Outline
from core.images.region import Region, Size, clamp, regions_from_canvas
from core.plots.palette import REGION

MAX_BOXES = 30
MOST_UNDONE = 50


@dataclass(frozen=True)
class Marked:
    """A box on the photo, or the whole photo.

    Args:
        number: as shown on its box, from 1; 0 for the whole photo.
        region: in pixels of the upright photo; None for the whole of it.
        outline: of the garment, as corners in pixels of the upright photo; None where only its box is known.
    """

    number: int
    region: Region | None
    outline: Outline | None = None

    @property
    def name(self) -> str:
        """What the page and the exports call it."""
        return f"Box {self.number}" if self.number else "Whole photo"

    @property
    def colour(self) -> str | None:
        """Colour of its box; none for the whole photo."""
        return REGION[(self.number - 1) % len(REGION)] if self.number else None


WHOLE = Marked(0, None)
Boxes = tuple[Marked, ...]


def boxes(sha256: str) -> Boxes:
    """The boxes of a photo, in the order they came."""
    return st.session_state.setdefault("boxes", {}).get(sha256, ())


def marked(sha256: str) -> list[Marked]:
    """The whole photo, then its boxes."""
    return [WHOLE, *boxes(sha256)]


def selected(sha256: str) -> Marked:
    """The box whose card is shown; the whole photo at first."""
    number = st.session_state.setdefault("selected_box", {}).get(sha256, 0)
    return next((mark for mark in marked(sha256) if mark.number == number), WHOLE)


def select(sha256: str, number: int) -> None:
    """Show the card of a box, or with 0 that of the whole photo."""
    st.session_state.setdefault("selected_box", {})[sha256] = number


def next_number(sha256: str) -> int:
    """The number of the next box."""
    return 1 + max((mark.number for mark in boxes(sha256)), default=0)


def add(photo_size: Size, sha256: str, region: Region, outline: Outline | None = None) -> None:
    """Put a box on the photo and select it. Raises InvalidRegion if it is too small, outside, or one too many."""
    if len(boxes(sha256)) >= MAX_BOXES:
        raise InvalidRegion(f"A photo can have {MAX_BOXES} boxes at most. Delete one, then draw another.")
    number = next_number(sha256)
    _change(sha256, (*boxes(sha256), Marked(number, clamp(region, *photo_size), outline)))
    select(sha256, number)


def move(photo_size: Size, sha256: str, number: int, region: Region) -> None:
    """Give a box another place; the outline that belonged to the old one goes. Raises InvalidRegion."""
    moved = Marked(number, clamp(region, *photo_size))
    _change(sha256, tuple(moved if mark.number == number else mark for mark in boxes(sha256)))
    select(sha256, number)


def remove(sha256: str, number: int) -> None:
    """Take a box off; the last of the others is selected then."""
    kept = tuple(mark for mark in boxes(sha256) if mark.number != number)
    if kept != boxes(sha256):
        _change(sha256, kept)
        select(sha256, kept[-1].number if kept else 0)


def replace(sha256: str, regions: Sequence[tuple[Region, Outline | None]]) -> None:
    """Put other boxes in place of those that are there."""
    new = tuple(Marked(number, region, outline) for number, (region, outline) in enumerate(regions[:MAX_BOXES], 1))
    if new != boxes(sha256):
        _change(sha256, new)
        select(sha256, new[0].number if new else 0)


def undo(sha256: str) -> None:
    """Take back the last change."""
    if can_undo(sha256):
        before, number = st.session_state["boxes_before"][sha256].pop()
        st.session_state["boxes"][sha256] = before
        select(sha256, number)


def can_undo(sha256: str) -> bool:
    """Whether there is a change to take back."""
    return bool(st.session_state.get("boxes_before", {}).get(sha256))


def _change(sha256: str, new: Boxes) -> None:
    before = st.session_state.setdefault("boxes_before", {}).setdefault(sha256, [])
    before.append((boxes(sha256), selected(sha256).number))
    del before[:-MOST_UNDONE]
    st.session_state["boxes"][sha256] = new


def forget(sha256: str) -> None:
    """Forget the boxes of a photo that is closed."""
    for store in ("boxes", "boxes_before", "selected_box", "taken"):
        st.session_state.get(store, {}).pop(sha256, None)


PEN_SIDE = 1000  # pixels of the canvas's longer side; the page shows it as large as the photo


def pen_size(photo: Photo) -> Size:
    """(width, height) of the canvas on which boxes are drawn."""
    scale = PEN_SIDE / max(photo.size)
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def take_drawn(photo_size: Size, sha256: str, objects: list[dict[str, Any]], size: Size) -> None:
    """Make boxes of the rectangles that are new on a photo's canvas, which keeps all that were drawn since it was mounted."""
    taken = st.session_state.setdefault("taken", {})
    before = taken.get(sha256, [])
    new = objects[len(before) :] if objects[: len(before)] == before else objects
    taken[sha256] = objects
    for region in regions_from_canvas(new[: 2 * MAX_BOXES], size, photo_size):
        said(lambda region=region: add(photo_size, sha256, region))


def said(do: Callable[[], None]) -> None:
    """Do something to boxes; what is wrong with one is said on the page's next run."""
    try:
        do()
    except InvalidRegion as error:
        st.session_state["box_problem"] = str(error)
