"""Two classes compared on the classify page: the heat map of each, and between them where the evidence differs."""

from __future__ import annotations

import streamlit as st
from PIL import Image

from core.artifacts.labels import LabelSet
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.images.region import Region
from core.inference.verdict import class_name, rounded
from core.plots.heatmap import contrast_overlay, muted, overlay
from core.ui.classify.boxes import Marked
from core.ui.classify.controls import HeatSettings
from core.ui.classify.viewer import Seen

PICTURE = (480, 640)  # largest picture, in pixels: three stand side by side


def candidates(labels: LabelSet, photo: Photo, seen: Seen, heat: HeatSettings) -> None:
    """The first class and the second, or the one chosen to compare with, each with its heat map, and between them the difference."""
    name, against = heat.classes(seen.answer.label)
    shares = dict(seen.full.ranking)
    second = against or next((label for label, _ in seen.full.ranking if label != name), None)
    if second is None:
        st.caption("The filter leaves one class only, so there is none to compare it with.")
        return
    first, other = labels.index(name), labels.index(second)
    picture = muted(cut_out(photo, seen.mark, PICTURE))
    reading, size = seen.reading, picture.size
    shown = [
        (overlay(picture, reading.heat(first, size), heat.opacity), _caption(name, shares)),
        (
            contrast_overlay(picture, reading.contrast(first, other, size), heat.opacity),
            f"Blue: {class_name(name)}. Red: {class_name(second)}.",
        ),
        (overlay(picture, reading.heat(other, size), heat.opacity), _caption(second, shares)),
    ]
    with st.container(horizontal=True, wrap=False, gap="small", width=960):
        for image, caption in shown:
            with st.container(width="stretch"):
                st.image(data_url(jpeg(image)), width="stretch", alt=f"{seen.mark.name}. {caption}", caption=caption)


def _caption(name: str, shares: dict[str, float]) -> str:
    return f"{class_name(name)} {rounded(shares.get(name, 0.0))}"


def cut_out(photo: Photo, mark: Marked, largest: tuple[int, int]) -> Image.Image:
    """A box's picture, at most so many pixels wide and high."""
    image = photo.image
    region = mark.region or Region(0, 0, *photo.size)
    box = region.box_in(image.size, photo.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(largest[0] / width, largest[1] / height, 1)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=1.0)  # 2.0 takes four times as long
