"""The answers of the classify page: what the network says of each region, with its heat map."""

from __future__ import annotations

import streamlit as st
from cachetools import LRUCache
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from core.analysis.glossary import TERMS
from core.artifacts.labels import LabelSet
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.images.region import Region
from core.inference.classifier import HOTTEST, Answer, Classifier, Reading
from core.inference.postprocess import softmax
from core.plots.bars import probability_bars, rounded
from core.plots.heatmap import contour, contrast_contour, contrast_overlay, legend, overlay, side_by_side
from core.ui.classify.boxes import WHOLE, Marked
from core.ui.classify.controls import CONTOUR, SIDE_BY_SIDE, HeatSettings

READINGS = 300  # of a session, kept so that a box looked at before is answered at once; of 10 KB each
PICTURE_WIDTH, WIDE_PICTURE_WIDTH = 150, 360  # of one picture, and of two side by side
PICTURE = (400, 600)  # largest picture on a card, in pixels; sharp screens show two of them a point


def read(classifier: Classifier, photo: Photo, marked: list[Marked]) -> list[Reading]:
    """What the network sees in each region; one batched pass for those not seen before in this session."""
    cache: LRUCache[tuple[str, str, Region | None], Reading] = st.session_state.setdefault(
        "readings", LRUCache(READINGS)
    )
    keys = [(classifier.run.run_id, photo.sha256, mark.region) for mark in marked]
    new = [key for key in keys if key not in cache]
    with st.spinner("Looking at it…"):  # appears where it takes half a second
        readings = classifier.read([(photo, key[2]) for key in new])
    cache.update(zip(new, readings, strict=True))
    return [cache[key] for key in keys]


def card(
    classifier: Classifier, photo: Photo, mark: Marked, reading: Reading, answer: Answer, heat: HeatSettings
) -> DeltaGenerator:
    """One region's answer: verdict, picture with heat map, bars; returns the card, for what else belongs to it."""
    box = st.container(border=True)
    with box:
        st.html(_title(photo, mark))
        _headline(mark, answer, classifier)
        picture, meaning = heated(photo, mark, reading, classifier.labels, answer, heat)
        rows, columns = reading.maps.shape[1:]
        caption = f"{meaning}, in\u00a0{rows}\u00a0×\u00a0{columns}\u00a0cells" if heat.shown else None
        wide = heat.shown and heat.view == SIDE_BY_SIDE
        with st.container(horizontal=not wide, vertical_alignment="center"):
            with st.container(width=WIDE_PICTURE_WIDTH if wide else PICTURE_WIDTH):
                st.image(data_url(jpeg(picture)), width="stretch", alt=f"{mark.name}. {meaning}", caption=caption)
                if heat.shown:
                    ends = (heat.against, heat.class_name or answer.label) if heat.against else ("little", "most")
                    st.html(legend(*ends, contrast=heat.against is not None))
            with st.container(width="stretch"):
                st.html(probability_bars(answer.ranking, classifier.labels, answer.in_scope))
        if heat.tested:
            _test(classifier, photo, mark, reading, heat.class_name or answer.label)
    return box


def _test(classifier: Classifier, photo: Photo, mark: Marked, reading: Reading, name: str) -> None:
    """Say what becomes of a class's probability without the places its map calls hottest."""
    index = classifier.labels.index(name)
    if not (reading.maps[index] > 0).any():
        st.caption(f"Nothing here speaks for {name}, so there is nothing to paint over.")
        return
    masked = classifier.without_hottest(photo, mark.region, reading, index)
    before, after = (softmax(r.logits, classifier.temperature)[index] for r in (reading, masked))
    fell = round(after, 2) < round(before, 2)
    meaning = "so the map shows what mattered" if fell else "so the map does not show what mattered here"
    st.caption(f"With the hottest {HOTTEST:.0%} painted over, {name} goes from {before:.0%} to {after:.0%}, {meaning}.")


def heated(
    photo: Photo, mark: Marked, reading: Reading, labels: LabelSet, answer: Answer, heat: HeatSettings
) -> tuple[Image.Image, str]:
    """A region's picture with its heat map, at most PICTURE pixels in size, and what the map means, in words."""
    picture = cut_out(photo, mark, PICTURE)
    if not heat.shown:
        return picture, ""
    return with_heat(picture, reading, labels, heat, heat.class_name or answer.label, heat.against)


def cut_out(photo: Photo, mark: Marked, largest: tuple[int, int]) -> Image.Image:
    """A region's picture, at most so many pixels wide and high."""
    image = photo.image
    box = mark.region.box_in(image.size, photo.size) if mark.region else (0, 0, *image.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(largest[0] / width, largest[1] / height, 1)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=1.0)  # 2.0 takes four times as long


def with_heat(
    picture: Image.Image, reading: Reading, labels: LabelSet, heat: HeatSettings, name: str, against: str | None
) -> tuple[Image.Image, str]:
    """A region's picture with the heat map of a class, or of one against another, in the view chosen; and what it means."""
    if against is None:
        values, meaning = reading.heat(labels.index(name), picture.size), f"Speaks for {name}"
        meaning = meaning if values.any() else f"Nothing speaks for {name}"
        draw = contour if heat.view == CONTOUR else overlay
    else:
        values = reading.contrast(labels.index(name), labels.index(against), picture.size)
        meaning = f"Blue speaks for {name}, red for {against}"
        draw = contrast_contour if heat.view == CONTOUR else contrast_overlay
    drawn = draw(picture, values, heat.opacity)
    return side_by_side(picture, drawn) if heat.view == SIDE_BY_SIDE else drawn, meaning


def _title(photo: Photo, mark: Marked) -> str:
    """A card's title as HTML; nothing in it comes from the visitor but numbers."""
    dot = f'<span style="color:{mark.colour}">&#9632;</span> ' if mark.colour else ""
    return f"<div style='font-size:0.85rem;opacity:0.8'>{dot}<b>{mark.name}</b>{_pixels(photo, mark)}</div>"


def _pixels(photo: Photo, mark: Marked) -> str:
    if mark.region is None:
        return f" · {photo.width} × {photo.height} pixels"
    r = mark.region
    return f" · {r.width} × {r.height} pixels at ({r.left}, {r.top})"


def _headline(mark: Marked, answer: Answer, classifier: Classifier) -> None:
    if not answer.in_scope:
        st.markdown(f"#### Does not look like one of the {len(classifier.labels)} kinds")
        if mark is WHOLE:
            st.caption("If it shows several garments, draw a box round each.")
        st.caption(
            f"Its score is {answer.score:.2f}; nearly all photos of these kinds score {classifier.threshold:.2f} or more. "
            "The nearest guesses, for what they are worth:",
            help=TERMS["In scope"],
        )
        _say_before(answer)
        return
    st.markdown(f"#### {answer.label} · {rounded(answer.probability)}")
    _say_before(answer)
    if answer.close_call and answer.runner_up:
        other, its = answer.runner_up
        st.caption(f"A close call: {answer.label}, {rounded(answer.probability)}, or {other}, {rounded(its)}.")


def _say_before(answer: Answer) -> None:
    """What the answer would be without filter and bias, where they changed it."""
    label, probability = answer.without_controls
    if (label, rounded(probability)) != (answer.label, rounded(answer.probability)):
        st.caption(f"Without your filter and bias it would have been {label}, {rounded(probability)}.")
