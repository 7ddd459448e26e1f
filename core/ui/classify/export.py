"""The classify page's answers to take away: a picture, CSV and JSON."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.artifacts.labels import ALL
from core.images import encode
from core.images.decode import Photo, spreadsheet_name
from core.inference.classifier import Answer, Classifier, Reading
from core.inference.postprocess import Controls
from core.plots.snapshot import Card, snapshot
from core.ui.classify import keys
from core.ui.classify.boxes import Marked
from core.ui.classify.card import heated
from core.ui.classify.controls import HeatSettings
from core.ui.session import shown_since
from core.ui.shell import APP_NAME


def _set_to(controls: Controls) -> str:
    """A filter and a bias in words for a picture's footer; nothing where they are off."""
    kinds = "" if controls.group == ALL else f" · only {controls.group.lower()}"
    return kinds + ("" if controls.upper_body_bias == 1 else f" · upper-body bias {controls.upper_body_bias:.2f}")


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
        return encode.png(snapshot(photo.image, photo.size, cards, classifier.labels, footer))

    with st.container(horizontal=True):
        st.download_button(
            "Save view",
            png,
            f"{stem}.png",
            "image/png",
            icon=":material/image:",
            shortcut=keys.SAVE.shortcut,
            on_click="ignore",
        )
        csv = pd.DataFrame(rows).assign(photo=spreadsheet_name(photo.name)).to_csv(index=False)
        st.download_button("CSV", csv, f"{stem}.csv", "text/csv", icon=":material/table:", on_click="ignore")
        st.download_button(
            "JSON", text, f"{stem}.json", "application/json", icon=":material/data_object:", on_click="ignore"
        )
