"""The photo with its boxes, labels and heat map, its tools, and the card of the selected box: one component of the browser.

What it shows is sent to it as `data`; what the visitor does comes back as a list of acts, which `acts_done` carries out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import streamlit.components.v2 as components
from streamlit_drawable_canvas import st_canvas

from core.artifacts.labels import OUT_OF_SCOPE, LabelSet
from core.images.decode import Photo
from core.images.outline import Outline
from core.images.region import STROKE_WIDTH, Region
from core.inference.attributes import in_words
from core.inference.classifier import Answer, Found, Reading
from core.inference.faithfulness import DeletionCurve
from core.inference.postprocess import Controls
from core.inference.verdict import class_name, group_name, verdict
from core.plots.heatmap import colours
from core.plots.palette import BAD, GOOD, WARN, group_colour
from core.stopwatch import timed
from core.ui.classify import boxes, keys
from core.ui.classify.boxes import Marked
from core.ui.classify.controls import HeatSettings
from core.ui.classify.photos import ID, picture_url

ASSETS = Path(__file__).parent / "assets"
MAP_SIDE = 64  # pixels of a heat map's longer side as it is sent; the network's own has fewer cells
LEVELS = {"High confidence": GOOD, "Medium confidence": WARN, "Low confidence": BAD}
SUBMIT = "Update the app with this drawing"  # the canvas's name of its button
VIEWER = "viewer"
LEAST_SHOWN = 0.001  # of a probability; below it a bar says that it is less, since nothing is impossible
_viewer = components.component(
    "photo_viewer",
    html=(ASSETS / "viewer.html").read_text(encoding="utf-8"),
    css=(ASSETS / "viewer.css").read_text(encoding="utf-8"),
    js=(ASSETS / "viewer.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Seen:
    """A box, or the whole photo, with what the network saw in it and what it predicts under the visitor's settings.

    Args:
        mark: the box.
        reading: what the network saw.
        answer: with as many classes as the visitor wants listed.
        full: the same with all of them.
    """

    mark: Marked
    reading: Reading
    answer: Answer
    full: Answer


@dataclass(frozen=True)
class Shown:
    """All that the viewer shows of a photo.

    Args:
        photo: itself.
        seen: the whole photo, then its boxes.
        selected: the one whose card is shown.
        labels: the network's classes.
        controls: filter and bias.
        heat: how heat maps are shown.
        offers: garments that no box stands for yet.
    """

    photo: Photo
    seen: list[Seen]
    selected: Seen
    labels: LabelSet
    controls: Controls
    heat: HeatSettings
    offers: list[Found]


def viewer(shown: Shown, curve: DeletionCurve | None, on_acts: Callable[[], None]) -> None:
    """Show a photo, and beside its heat map the deletion curve if it was asked for."""
    photo = shown.photo
    with st.container(key="stage", gap=None):
        with st.container(key=f"picture-{photo.sha256[:ID]}"):
            st.image(picture_url(photo.image, photo.sha256), alt="")
        _viewer(key=VIEWER, data=data(shown, curve), on_acts_change=on_acts)
        _pen(photo)


def _pen(photo: Photo) -> None:
    """The canvas on which boxes are drawn. What it has drawn is invisible: the viewer shows the boxes that it becomes."""
    size, key = boxes.pen_size(photo), f"pen-{photo.sha256[:ID]}"
    with st.container(key="pen"):
        st_canvas(
            fill_color="rgba(0, 0, 0, 0)",
            stroke_color="rgba(0, 0, 0, 0)",
            stroke_width=STROKE_WIDTH,
            width=size[0],
            height=size[1],
            drawing_mode="rect",
            update_streamlit=False,
            key=key,
            on_change=_take_drawn,
        )
    st.session_state["pen"] = photo.sha256, photo.size, size, key


def _take_drawn() -> None:
    sha256, photo_size, size, key = st.session_state["pen"]
    drawing = (st.session_state.get(key) or {}).get("drawing") or {}
    st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
    boxes.take_drawn(photo_size, sha256, (drawing.get("raw") or {}).get("objects", []), size)


def acts_done(do: dict[str, Callable[[dict[str, Any]], None]]) -> None:
    """Carry out what the visitor did in the viewer since the last run, in order.

    Args:
        do: what each act does, by its name.
    """
    done: int = st.session_state.get("acted", 0)
    for act in (st.session_state.get(VIEWER) or {}).get("acts") or []:
        if act["id"] > done:
            st.session_state["acted"] = act["id"]
            do[act["do"]](act)


def data(shown: Shown, curve: DeletionCurve | None = None) -> dict[str, Any]:
    """What the browser's part is sent."""
    photo, selected = shown.photo, shown.selected
    return {
        "photo": {
            "id": photo.sha256[:ID],
            "width": photo.width,
            "height": photo.height,
            "alt": f"{photo.name}. {verdict(shown.seen[0].answer, len(shown.labels), shown.controls.group).short}",
        },
        "marks": [_mark(seen, shown) for seen in shown.seen],
        "offers": [_shape(garment.region, garment.outline, photo) for garment in shown.offers],
        "selected": selected.mark.number,
        "next": Marked(boxes.next_number(photo.sha256), None).colour,
        "heat": _heat(selected, shown) | {"curve": _curve(curve, shown.heat.classes(selected.answer.label)[0])},
        "undo": boxes.can_undo(photo.sha256),
        "acted": st.session_state.get("acted", 0),
        "drawn": st.session_state.get("drawn", 0),
        "keys": keys.HINTS,
        "pressed": keys.PRESSED,
        "submit": SUBMIT,
    }


def _mark(seen: Seen, shown: Shown) -> dict[str, Any]:
    mark, answer, labels = seen.mark, seen.answer, shown.labels
    words = verdict(answer, len(labels), shown.controls.group)
    box = mark.region or Region(0, 0, *shown.photo.size)
    return {
        "n": mark.number,
        "name": mark.name,
        "colour": mark.colour,
        "label": answer.label,
        "headline": words.headline,
        "probability": words.probability,
        "short": words.short if answer.in_scope else OUT_OF_SCOPE,
        "listed": words.headline if answer.in_scope else OUT_OF_SCOPE,
        "confidence": words.confidence,
        "level": LEVELS.get(words.confidence),
        "line": in_words(answer.attributes),
        "note": words.note,
        "size": f"{box.width} × {box.height} px",
        "at": f"At ({box.left}, {box.top})",
        "faded": not answer.in_scope or answer.filtered_out,
        "bars": [
            {
                "label": name,
                "name": class_name(name),
                "share": share,
                "value": f"{share:.1%}" if share >= LEAST_SHOWN else f"<{LEAST_SHOWN:.1%}",
                "colour": group_colour(labels.group_of(name)),
            }
            for name, share in answer.ranking
        ],
        "groups": [[group_name(group), group_colour(group)] for group in labels.groups],
        **(_shape(mark.region, mark.outline, shown.photo) if mark.region else {"box": None, "outline": None}),
    }


def _shape(region: Region, outline: Outline | None, photo: Photo) -> dict[str, Any]:
    """A box and an outline as shares of the photo's sides."""
    width, height = photo.size
    box = [region.left / width, region.top / height, region.right / width, region.bottom / height]
    return {"box": box, "outline": outline and [[x / width, y / height] for x, y in outline]}


def _heat(seen: Seen, shown: Shown) -> dict[str, Any]:
    """Heat maps of a box for each class that is listed, so that pointing at one needs no answer from here."""
    labels, heat, reading = shown.labels, shown.heat, seen.reading
    name, against = heat.classes(seen.answer.label)
    size = _map_size(seen.mark.region or Region(0, 0, *shown.photo.size))
    listed = dict.fromkeys([*(label for label, _ in seen.answer.ranking), name])
    with timed("heat map"):
        maps = {label: reading.heat(labels.index(label), size) for label in listed}
        difference = reading.contrast(labels.index(name), labels.index(against), size) if against else None
    return {
        "of": seen.mark.number,
        "shown": heat.shown,
        "view": heat.view,
        "opacity": heat.opacity,
        "explained": heat.class_name,
        "against": against,
        "size": size,
        "maps": {label: _encoded(values) for label, values in maps.items()},
        "contrast": None if difference is None else _encoded((difference + 1) / 2),
        "blank": [label for label, values in maps.items() if not values.any()],
        "names": {label: class_name(label) for label in labels.names},
        "colours": {"heat": _base64(colours()), "contrast": _base64(colours(contrast=True))},
    }


def _map_size(region: Region) -> tuple[int, int]:
    scale = MAP_SIDE / max(region.width, region.height)
    return max(2, round(region.width * scale)), max(2, round(region.height * scale))


def _encoded(values: np.ndarray) -> str:
    """Values in [0, 1] as bytes, in base64."""
    return _base64((values * 255).round().astype(np.uint8))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _curve(curve: DeletionCurve | None, name: str) -> dict[str, Any] | None:
    """The deletion curve with its number."""
    if curve is None:
        return None
    title = f"Deletion area {curve.area:.2f}"
    place = "" if curve.percentile is None else f"Percentile {curve.percentile:.0f} of the test photos. "
    text = f"{place}Lower is better."
    points = [*zip(curve.hidden, curve.probabilities, strict=True)]
    return {"points": points, "title": title, "text": text, "alt": f"{title} for {class_name(name)}. {text}"}
