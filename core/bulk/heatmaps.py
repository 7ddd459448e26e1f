"""Save a Grad-CAM overlay beside each result of a bulk classification."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.artifacts.labels import LabelSet
from core.bulk.pipeline import Result
from core.files import replaced
from core.images.decode import display_name
from core.plots.heatmap import overlay
from core.settings import DEFAULTS

SIZE = (800, 800)  # a heat map is fitted into it


def save_heatmap(folder: Path, result: Result, labels: LabelSet) -> str:
    """Write the overlay of the answer as PNG; returns what went wrong, or nothing. The same photo's map of before is replaced."""
    if result.picture is None or result.reading is None:
        return ""
    heat = result.reading.heat(labels.index(result.record["label"]), result.picture.size)
    target = folder / _file_name(result.record["file"])
    try:
        with replaced(target) as partial:
            overlay(result.picture, heat, DEFAULTS.opacity).save(partial, "PNG")
    except OSError as problem:
        return f"The heat map could not be saved ({problem.strerror or problem})."
    return ""


def _file_name(photo: str) -> str:
    """`shirt-0f3a9c21.png`: the photo's name, and eight digits of its path's SHA-256, for photos in different folders share names.

    Nothing else goes into it, so that a classification that continues after a kill writes the maps of its last batch over themselves.
    """
    return f"{display_name(Path(photo).stem) or 'photo'}-{hashlib.sha256(photo.encode()).hexdigest()[:8]}.png"
