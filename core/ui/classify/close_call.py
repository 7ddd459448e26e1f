"""A close call on the classify page: both candidates side by side, and what speaks for the one and for the other."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.artifacts.labels import LabelSet
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.inference.classifier import Answer, Reading
from core.plots.bars import rounded
from core.ui.classify.boxes import Marked
from core.ui.classify.card import cut_out, with_heat
from core.ui.classify.controls import OVERLAY, SIDE_BY_SIDE, HeatSettings

PICTURE = (300, 450)  # largest picture, in pixels: three stand in a card


def candidates(
    labels: LabelSet, photo: Photo, mark: Marked, reading: Reading, answer: Answer, heat: HeatSettings
) -> None:
    """The two candidates, each with its probability and heat map, and between them their contrast; nothing unless the call is close."""
    if not (answer.close_call and answer.runner_up and answer.in_scope and heat.shown):
        return
    heat = replace(heat, view=OVERLAY) if heat.view == SIDE_BY_SIDE else heat
    (first, likely), (second, less_likely) = answer.ranking[0], answer.runner_up
    shown = [
        (first, None, f"{first} {rounded(likely)}"),
        (first, second, f"Blue: {first}, red: {second}"),
        (second, None, f"{second} {rounded(less_likely)}"),
    ]
    st.caption("The two candidates, and between them what speaks for the one and for the other:")
    with st.container(horizontal=True, wrap=False, gap="small"):
        for name, against, caption in shown:
            picture, meaning = with_heat(cut_out(photo, mark, PICTURE), reading, labels, heat, name, against)
            with st.container(width="stretch"):
                st.image(data_url(jpeg(picture)), width="stretch", alt=f"{mark.name}. {meaning}", caption=caption)
