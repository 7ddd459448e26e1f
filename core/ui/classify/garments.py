"""Garments that the network sees in a photo: boxes proposed without a click, and the garment at a point that is tapped."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core.images.decode import Photo
from core.images.region import Region
from core.inference.classifier import Answer, Classifier
from core.inference.proposals import find_garments
from core.ui.classify import boxes
from core.ui.classify.boxes import Outline

ALL_OF_IT = 0.9  # share of a photo from which on a box says nothing that the whole photo does not
SEVERAL = 2  # garments from which on boxes are proposed without a click
SAME = 0.5  # intersection over union from which on a box stands for a garment already


class Garment(NamedTuple):
    """A garment found in a photo.

    Args:
        region: its box, in pixels of the upright photo.
        outline: its corners there; None where only its box is known.
    """

    region: Region
    outline: Outline | None = None


def garments_in(classifier: Classifier, photo: Photo) -> list[Garment]:
    """The garments of a photo, found once a session; none where one fills the photo."""
    found = st.session_state.setdefault("garments", {})
    key = classifier.run.run_id, photo.sha256
    if key not in found:
        with st.spinner("Looking for garments…"):
            found[key] = [Garment(region) for region in find_garments(classifier, photo)]
    garments: list[Garment] = found[key]
    return [] if len(garments) == 1 and _fills(garments[0].region, photo) else garments


def known_garments(classifier: Classifier, photo: Photo) -> list[Garment]:
    """Those found so far that no box stands for yet."""
    found = st.session_state.get("garments", {}).get((classifier.run.run_id, photo.sha256), [])
    taken = [mark.region for mark in boxes.boxes(photo.sha256) if mark.region]
    free = [garment for garment in found if all(_overlap(garment.region, other) < SAME for other in taken)]
    return [garment for garment in free if not _fills(garment.region, photo)]


def propose(classifier: Classifier, photo: Photo, whole: Answer) -> None:
    """Once for each photo, box its garments where the whole of it is out of scope or shows several."""
    proposed: set[str] = st.session_state.setdefault("proposed", set())
    if photo.sha256 in proposed:
        return
    proposed.add(photo.sha256)
    if boxes.boxes(photo.sha256):
        return
    garments = garments_in(classifier, photo)
    if len(garments) >= SEVERAL or (garments and not whole.in_scope):
        boxes.replace(photo.sha256, garments)


def find(classifier: Classifier, photo: Photo) -> None:
    """Box every garment in place of the boxes there are; those stay if nothing is found."""
    garments = garments_in(classifier, photo)
    if garments:
        boxes.replace(photo.sha256, garments)
    elif st.session_state["garments"][classifier.run.run_id, photo.sha256]:
        st.toast("The garment fills the photo; no box is needed.", icon=":material/fit_screen:")
    else:
        st.toast("No garments found. Draw a box by hand.", icon=":material/search_off:")


def at_point(classifier: Classifier, photo: Photo, x: float, y: float) -> None:
    """Box the garment at a point, in pixels of the upright photo; the whole photo is selected if there is none."""
    garments_in(classifier, photo)
    here = [garment for garment in known_garments(classifier, photo) if _contains(garment.region, x, y)]
    if not here:
        boxes.select(photo.sha256, 0)
        return
    garment = min(here, key=lambda garment: garment.region.width * garment.region.height)
    boxes.said(lambda: boxes.add(photo.size, photo.sha256, garment.region, garment.outline))


def forget(sha256: str) -> None:
    """Forget what was found in a photo that is closed."""
    st.session_state.get("proposed", set()).discard(sha256)
    found = st.session_state.get("garments", {})
    for key in [key for key in found if key[1] == sha256]:
        del found[key]


def _fills(region: Region, photo: Photo) -> bool:
    return region.width * region.height > ALL_OF_IT * photo.width * photo.height


def _contains(region: Region, x: float, y: float) -> bool:
    return region.left <= x < region.right and region.top <= y < region.bottom


def _overlap(one: Region, other: Region) -> float:
    """Intersection over union."""
    width = max(0, min(one.right, other.right) - max(one.left, other.left))
    height = max(0, min(one.bottom, other.bottom) - max(one.top, other.top))
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared)
