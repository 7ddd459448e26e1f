"""The widgets of the classify page: choosing a photo, drawing regions on it, and showing what the network says of each."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st
from cachetools import LRUCache, cached
from PIL import Image, ImageOps
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core import samples, sandbox, ui_keys, ui_regions
from core.bars import probability_bars, rounded
from core.classifier import HOTTEST, Answer, Classifier, Reading
from core.data_url import data_url, jpeg
from core.decide import BIASED_GROUP, Controls, apply_controls, softmax
from core.errors import GarmentError, UnreadablePhoto
from core.explain import contour, contrast_contour, contrast_overlay, legend, overlay, side_by_side
from core.glossary import TERMS
from core.images import ACCEPTED_SUFFIXES, MAX_BYTES, Photo, display_name, spreadsheet_name
from core.labels import ALL, LabelSet
from core.predictions import prediction_file, read_predictions
from core.roi import Region
from core.runs import Run
from core.snapshot import Card, snapshot
from core.ui import APP_NAME, shown_since, told
from core.ui_handover import LabelledPhoto, arriving, label_and_way_back
from core.ui_regions import WHOLE, Marked

ENOUGH = (1200, 1200)  # pixels a photo is decoded to at least; regions stay sharp and sessions stay small
MAX_PHOTOS = 30
READINGS = 300  # of a session, kept so that a box looked at before is answered at once; of 10 KB each
TILE = 72  # side of a photo's tile in the strip, in points
DECODED = 96 * 2**20  # bytes of photos kept decoded, of all visitors; any other is decoded again when it is looked at
PICTURE_WIDTH, WIDE_PICTURE_WIDTH = 150, 360  # of one picture, and of two side by side
PICTURE = (400, 600)  # largest picture on a card, in pixels; sharp screens show two of them a point
REFERENCE_BIAS = 0.6
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
    return sandbox.decode_apart(data, name, ENOUGH)


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
        key=ui_keys.UPLOADER,
        help="Drop files here, choose them, or paste an image with the drop zone focused. They stay in this session; none is stored "
        "unless you correct an answer and agree to it.",
    )
    ui_keys.listen_for_upload()
    sandbox.start()
    with st.container(horizontal=True):
        with st.popover("Camera", icon=":material/photo_camera:"):
            shot = st.camera_input("Take a photo", key="camera", resolution="1080p")
        ui_keys.help_panel()
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
    return _png(samples.gallery_photo(name, size))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def gallery() -> None:
    """Samples drawn in code, for the visitor who has no photo at hand."""
    with st.container(horizontal=True, gap="xsmall"):
        for name in samples.GALLERY:
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
        st.button("Back", icon=":material/arrow_back:", shortcut=ui_keys.BACK.shortcut, on_click=step_photo, args=(-1,))
        st.button(
            "Next", icon=":material/arrow_forward:", shortcut=ui_keys.NEXT.shortcut, on_click=step_photo, args=(1,)
        )
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
    ui_regions.forget(sha256)
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
        ui_regions.box_buttons(photo)
        st.button(
            "Heat map", icon=":material/local_fire_department:", shortcut=ui_keys.HEAT.shortcut, on_click=_toggle_heat
        )
        ui_keys.answers_button()
        st.button("Close photo", icon=":material/close:", on_click=remove_photo, args=(photo.sha256,))


def _toggle_heat() -> None:
    st.session_state["heat"] = not st.session_state.get("heat", True)


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


def controls(run: Run) -> tuple[Controls, int]:
    """Group filter, upper-body bias and number of classes; all of them stand in the page's address."""
    labels = run.labels
    st.subheader("Answer", divider="gray")
    group = st.segmented_control(
        "Kinds",
        labels.group_choices,
        default=ALL,
        required=True,
        format_func=str.capitalize,
        key="group",
        bind="query-params",
        help="Only these kinds may be answered; their probabilities are scaled to add up to 100%.",
    )
    bias = _bias_slider() if BIASED_GROUP in labels.groups else 1.0
    set_to = Controls(group or ALL, bias)
    file = prediction_file(run)
    if set_to != Controls() and file:
        try:
            st.caption(_effect(set_to, run.path(file), labels))
        except GarmentError as error:  # the run's folder is gone or damaged; the network in memory goes on
            st.caption(f":material/warning: What this does to the accuracy cannot be said. {told(error)}")
    top_k = st.slider(
        "Kinds listed",
        1,
        len(labels),
        min(5, len(labels)),
        key="top_k",
        bind="query-params",
        help=f"The network knows {len(labels)} kinds, so at most these. CSV and JSON always have all.",
    )
    return set_to, top_k


def _bias_slider() -> float:
    return st.slider(
        "Upper-body bias",
        0.0,
        1.0,
        1.0,
        0.05,
        key="bias",
        bind="query-params",
        help=f"Probabilities of {BIASED_GROUP.lower()} are multiplied by this, then all are scaled to add up to 100%. "
        f"1 is off; the published desktop program used {REFERENCE_BIAS}.",
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _effect(controls: Controls, file: Path, _labels: LabelSet) -> str:
    """What a filter and a bias do to the accuracy on the run's test photos, in words; a filter's on photos of its own kinds."""
    predictions = read_predictions(file, file.name, _labels)
    shown = _labels.mask(controls.group)[predictions.true]
    answered = apply_controls(predictions.probabilities, _labels, controls).argmax(axis=1)
    before, after = ((chosen == predictions.true)[shown].mean() for chosen in (predictions.predicted, answered))
    kind = "" if controls.group == ALL else f" of {controls.group.lower()}"
    return (
        f"Set like this, {after:.1%} of the {shown.sum():,} test photos{kind} are named right; otherwise, {before:.1%}."
    )


@dataclass(frozen=True)
class HeatSettings:
    """How heat maps are shown.

    Args:
        shown: whether at all.
        view: one of VIEWS.
        opacity: in [0, 1].
        class_name: the class to explain; the answer itself if None.
        against: the class it is held against, showing the difference of both maps; None for a plain map.
        tested: whether to say what the answer would be with the hottest places painted over.
    """

    shown: bool
    view: str
    opacity: float
    class_name: str | None
    against: str | None
    tested: bool


ANSWER, NOTHING = "the answer", "nothing"
OVERLAY, SIDE_BY_SIDE, CONTOUR = VIEWS = ("Overlay", "Side by side", "Contour")


def heat_controls(labels: LabelSet) -> HeatSettings:
    """Heat map on or off, of which class, against which, how opaque."""
    st.subheader("Heat map", divider="gray")
    shown = st.toggle(
        "Show where the network looked",
        True,
        key="heat",
        bind="query-params",
        help=TERMS["Grad-CAM"],
    )
    view = st.pills("View", VIEWS, default=OVERLAY, required=True, key="view", bind="query-params", disabled=not shown)
    name = st.selectbox("Explain", [ANSWER, *labels.names], key="explain", bind="query-params", disabled=not shown)
    against = st.selectbox(
        "and not",
        [NOTHING, *labels.names],
        key="against",
        bind="query-params",
        disabled=not shown,
        help="Shows what speaks for the one (blue) and what for the other (red).",
    )
    opacity = st.slider("Opacity", 0.0, 1.0, 0.55, 0.05, key="opacity", bind="query-params", disabled=not shown)
    tested = st.toggle(
        "Test the map",
        False,
        key="test",
        bind="query-params",
        disabled=not shown,
        help=f"Paints over the hottest {HOTTEST:.0%} and asks the network again: if the map is faithful, the probability falls.",
    )
    return HeatSettings(
        shown,
        view or OVERLAY,
        opacity,
        None if name == ANSWER else name,
        None if against == NOTHING else against,
        tested and shown,
    )


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


def _set_to(controls: Controls) -> str:
    """A filter and a bias in words for a picture's footer; nothing where they are off."""
    kinds = "" if controls.group == ALL else f" · only {controls.group.lower()}"
    return kinds + ("" if controls.upper_body_bias == 1 else f" · upper-body bias {controls.upper_body_bias:.2f}")


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


def records(
    photo: Photo, marked: list[Marked], answers: list[Answer], classifier: Classifier, controls: Controls
) -> list[dict[str, Any]]:
    """All results of a photo as plain records, for CSV and JSON."""
    return [
        {
            "photo": photo.name,
            "region": mark.name,
            "left": mark.region.left if mark.region else 0,
            "top": mark.region.top if mark.region else 0,
            "right": mark.region.right if mark.region else photo.width,
            "bottom": mark.region.bottom if mark.region else photo.height,
            "label": answer.label,
            "group": answer.group,
            "kinds": controls.group,
            "upper_body_bias": controls.upper_body_bias,
            "without_controls": answer.without_controls[0],
            "in_scope": answer.in_scope,
            "in_scope_score": answer.score,
            "run": classifier.run.run_id,
            **{f"p {name}": probability for name, probability in answer.ranking},
        }
        for mark, answer in zip(marked, answers, strict=True)
    ]


def downloads(
    photo: Photo,
    marked: list[Marked],
    readings: list[Reading],
    answers: list[Answer],
    classifier: Classifier,
    controls: Controls,
    heat: HeatSettings,
) -> None:
    """The results to take away: the view as a picture, the figures of every kind as CSV and JSON."""
    full = [classifier.answer(reading, controls) for reading in readings]
    rows = records(photo, marked, full, classifier, controls)
    since = shown_since("answers_shown", json.dumps(rows))
    rows = [row | {"time": since.isoformat(timespec="seconds")} for row in rows]
    text = json.dumps(rows, indent=1)
    stem = f"garments-{photo.sha256[:8]}-{since:%Y%m%d-%H%M%S}"

    def png() -> bytes:
        cards = [
            Card(
                mark.name,
                mark.colour,
                mark.region,
                answer,
                heated(photo, mark, reading, classifier.labels, answer, heat)[0],
            )
            for mark, reading, answer in zip(marked, readings, answers, strict=True)
        ]
        footer = f"{APP_NAME} · run {classifier.run.run_id} · {since:%Y-%m-%d %H:%M %Z}{_set_to(controls)}"
        return _png(snapshot(photo.image, photo.size, cards, classifier.labels, footer))

    with st.container(horizontal=True):
        st.download_button(
            "Save view",
            png,
            f"{stem}.png",
            "image/png",
            icon=":material/image:",
            shortcut=ui_keys.SAVE.shortcut,
            on_click="ignore",
        )
        csv = pd.DataFrame(rows).assign(photo=spreadsheet_name(photo.name)).to_csv(index=False)
        st.download_button("CSV", csv, f"{stem}.csv", "text/csv", icon=":material/table:", on_click="ignore")
        st.download_button(
            "JSON", text, f"{stem}.json", "application/json", icon=":material/data_object:", on_click="ignore"
        )
