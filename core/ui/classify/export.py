"""The classify page's results as files: the view as a picture, the figures of all photos as CSV and JSON; and its link."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core.artifacts.labels import ALL
from core.images import encode
from core.images.decode import spreadsheet_name
from core.inference.attributes import ATTRIBUTES
from core.inference.classifier import Answer, Classifier, Reading
from core.inference.postprocess import Controls
from core.inference.verdict import group_name
from core.plots.snapshot import Card, HeatView, snapshot
from core.ui.classify import boxes, keys, photos, readings
from core.ui.classify.boxes import Marked
from core.ui.classify.controls import CONTOUR
from core.ui.classify.viewer import Seen, Shown
from core.ui.session import shown_since
from core.ui.share import copy_link
from core.ui.shell import APP_NAME


def downloads(classifier: Classifier, shown: Shown, answers: dict[str, Answer]) -> None:
    """Buttons for the files, which are made when they are asked for.

    Args:
        classifier: the session's.
        shown: the photo looked at.
        answers: to the whole of each photo, by its SHA-256.
    """
    since = shown_since("answers_shown", _state(classifier, shown, answers))
    stem = f"garments-{since:%Y%m%d-%H%M%S}"
    everything = seen_everywhere(classifier)

    def rows() -> list[dict[str, Any]]:
        return records(classifier, everything, shown.controls, since)

    with st.container(horizontal=True, key="export", vertical_alignment="center", gap="xsmall"):
        st.download_button(
            "Save view",
            lambda: picture(classifier, shown, since),
            f"{stem}.png",
            "image/png",
            icon=":material/image:",
            shortcut=keys.SAVE.pressed[0],
            on_click="ignore",
        )
        st.download_button(
            "CSV", lambda: as_csv(rows()), f"{stem}.csv", "text/csv", icon=":material/table:", on_click="ignore"
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(rows(), indent=1),
            f"{stem}.json",
            "application/json",
            icon=":material/data_object:",
            on_click="ignore",
        )
        copy_link("copy-link")
        st.button(
            "Close photo",
            icon=":material/close:",
            type="tertiary",
            on_click=photos.close,
            args=(shown.photo.sha256,),
        )


def _state(classifier: Classifier, shown: Shown, answers: dict[str, Answer]) -> str:
    """What the files depend on: with another one they get another date."""
    boxed = {sha256: boxes.boxes(sha256) for sha256 in answers}
    return repr((classifier.run.run_id, shown.photo.sha256, shown.controls, shown.heat, boxed))


def seen_everywhere(classifier: Classifier) -> list[tuple[photos.Kept, Marked, Reading]]:
    """All photos and their boxes, with what the network saw in them."""
    everywhere = [(sha256, kept, mark) for sha256, kept in photos.photos().items() for mark in boxes.marked(sha256)]
    found = readings.read(classifier, [(sha256, mark.region) for sha256, _, mark in everywhere], photos.open_photo)
    return [(kept, mark, reading) for (_, kept, mark), reading in zip(everywhere, found, strict=True)]


def records(
    classifier: Classifier,
    everything: Sequence[tuple[photos.Kept, Marked, Reading]],
    controls: Controls,
    time: datetime,
) -> list[dict[str, Any]]:
    """The results of all photos and their boxes as plain records; the columns are always in the same order."""
    return [
        record(kept, mark, classifier.answer(reading, controls), classifier, controls, time)
        for kept, mark, reading in everything
    ]


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The records as CSV; a name that a spreadsheet would run gets an apostrophe before it."""
    table = pd.DataFrame(rows)
    return table.assign(photo=table["photo"].map(spreadsheet_name)).to_csv(index=False)


def record(
    photo: photos.Kept, mark: Marked, answer: Answer, classifier: Classifier, controls: Controls, time: datetime
) -> dict[str, Any]:
    """The result of one box."""
    region = mark.region
    probabilities, said = dict(answer.ranking), {item.name: item.value for item in answer.attributes}
    return {
        "photo": photo.name,
        "box": mark.name,
        "left": region.left if region else 0,
        "top": region.top if region else 0,
        "right": region.right if region else photo.size[0],
        "bottom": region.bottom if region else photo.size[1],
        "label": answer.label,
        "group": answer.group,
        "probability": answer.probability,
        "in_scope": answer.in_scope,
        "in_scope_score": answer.score,
        "looks_like": answer.looks_like[0] if answer.looks_like else "",
        **{name: said.get(name, "") for name in ATTRIBUTES},
        "filter": controls.group,
        "upper_body_bias": controls.upper_body_bias,
        "without_controls": answer.without_controls[0],
        "run": classifier.run.run_id,
        "time": time.isoformat(timespec="seconds"),
        **{f"p {name}": probabilities.get(name, 0.0) for name in classifier.labels.names},
    }


def picture(classifier: Classifier, shown: Shown, time: datetime) -> bytes:
    """The view as PNG: photo, boxes, heat map of the selected box, and the prediction of each."""
    footer = f"{APP_NAME} · {shown.photo.name} · run {classifier.run.run_id} · {time:%Y-%m-%d %H:%M %Z}{_set_to(shown.controls)}"
    cards = [_card(seen, shown) for seen in shown.seen]
    selected = cards[shown.seen.index(shown.selected)]
    sheet = snapshot(
        shown.photo.image, shown.photo.size, cards, selected, _heat(shown), shown.labels, footer, shown.controls.group
    )
    return encode.png(sheet)


def _card(seen: Seen, shown: Shown) -> Card:
    return Card(seen.mark.name, seen.mark.number, seen.mark.colour, seen.mark.region, seen.answer, seen.mark.outline)


def _heat(shown: Shown) -> HeatView | None:
    """The heat map of the selected box, as the page shows it."""
    if not shown.heat.shown:
        return None
    name, against = shown.heat.classes(shown.selected.answer.label)
    reading, labels = shown.selected.reading, shown.labels

    def values(size: tuple[int, int]) -> Any:
        if against is None:
            return reading.heat(labels.index(name), size)
        return reading.contrast(labels.index(name), labels.index(against), size)

    return HeatView(values, name, against, shown.heat.opacity, shown.heat.view == CONTOUR)


def _set_to(controls: Controls) -> str:
    """A filter and a bias in words for a picture's footer; nothing where they are off."""
    kinds = "" if controls.group == ALL else f" · {group_name(controls.group).lower()} only"
    return kinds + ("" if controls.upper_body_bias == 1 else f" · bottomwear × {controls.upper_body_bias:.2f}")
