"""Garments that the network finds in a photo: boxed without a click, and the garment at a point that is tapped."""

from __future__ import annotations

import streamlit as st

from core.errors import GarmentError
from core.images.decode import Photo
from core.images.region import Region, iou
from core.inference.classifier import Answer, Classifier, Found, found_at
from core.ui.classify import boxes
from core.ui.markdown import told

SEVERAL = 2  # garments from which on boxes are proposed without a click
SAME_PICTURE = 0.7  # intersection over union from which on a box shows nothing else than the whole photo
SAME = 0.5  # intersection over union from which on a box stands for a garment already


def garments_in(classifier: Classifier, photo: Photo) -> list[Found]:
    """The garments of a photo, found once a session; none where the run cannot find any."""
    if not classifier.finds:
        return []
    kept = st.session_state.setdefault("garments", {})
    key = classifier.run.run_id, photo.sha256
    if key not in kept:
        with st.spinner("Looking for garments…"):
            kept[key] = _found(classifier, photo)
    return kept[key]


def _found(classifier: Classifier, photo: Photo) -> list[Found]:
    """The garments of a photo; none, with a message, where the run's detector is damaged: the prediction goes on without it."""
    try:
        return classifier.find(photo)
    except GarmentError as error:
        st.toast(f"Garments cannot be found. {told(error)}", icon=":material/warning:")
        return []


def known_garments(classifier: Classifier, photo: Photo) -> list[Found]:
    """Those found so far that no box stands for yet."""
    found: list[Found] = st.session_state.get("garments", {}).get((classifier.run.run_id, photo.sha256), [])
    taken = [mark.region for mark in boxes.boxes(photo.sha256) if mark.region]
    return [garment for garment in found if all(iou(garment.region, other) < SAME for other in taken)]


def propose(classifier: Classifier, photo: Photo, whole: Answer, seen: Region) -> None:
    """Once for each photo, box its garments where it shows several, or where the whole of it is out of scope.

    One box of almost all that the network saw of the photo is left out: what is refused as a whole is not named in a box.

    Args:
        classifier: the session's.
        photo: itself.
        whole: the answer to all of it.
        seen: what the network saw of it, which is all but a uniform border.
    """
    proposed: set[str] = st.session_state.setdefault("proposed", set())
    if photo.sha256 in proposed:
        return
    proposed.add(photo.sha256)
    if boxes.boxes(photo.sha256):
        return
    garments = garments_in(classifier, photo)
    one = not whole.in_scope and len(garments) == 1 and iou(garments[0].region, seen) < SAME_PICTURE
    if one or len(garments) >= SEVERAL:
        _box(photo, garments)


def find(classifier: Classifier, photo: Photo) -> None:
    """Box every garment in place of the boxes there are; those stay if nothing is found."""
    if garments := garments_in(classifier, photo):
        _box(photo, garments)
    elif classifier.finds:
        st.toast("No garments found. Draw a box by hand.", icon=":material/search_off:")
    else:
        st.toast("This network cannot find garments. Draw a box by hand.", icon=":material/search_off:")


def at_point(classifier: Classifier, photo: Photo, x: float, y: float) -> None:
    """Box the garment at a point, in pixels of the upright photo; the whole photo is selected if there is none."""
    garments_in(classifier, photo)
    garment = found_at(known_garments(classifier, photo), x, y)
    if garment is None:
        boxes.select(photo.sha256, 0)
    else:
        boxes.said(lambda: boxes.add(photo.size, photo.sha256, garment.region, garment.outline))


def forget(sha256: str) -> None:
    """Forget what was found in a photo that is closed."""
    st.session_state.get("proposed", set()).discard(sha256)
    found = st.session_state.get("garments", {})
    for key in [key for key in found if key[1] == sha256]:
        del found[key]


def _box(photo: Photo, garments: list[Found]) -> None:
    boxes.replace(photo.sha256, [(garment.region, garment.outline) for garment in garments])
