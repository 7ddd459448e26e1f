"""Save a Grad-CAM overlay beside each result of a bulk classification."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import BinaryIO

from core.explain import overlay
from core.images import display_name
from core.labels import LabelSet
from core.predict import Result

OPACITY = 0.55
SIZE = (800, 800)  # a heat map is fitted into it


def save_heatmap(folder: Path, result: Result, labels: LabelSet) -> str:
    """Write the overlay of the answer as PNG; returns what went wrong, or nothing. An existing file is never overwritten."""
    if result.picture is None or result.reading is None:
        return ""
    heat = result.reading.heat(labels.index(result.record["label"]), result.picture.size)
    try:
        with _new_file(folder, display_name(Path(result.record["file"]).stem) or "photo") as file:
            try:
                overlay(result.picture, heat, OPACITY).save(file, "PNG")
            except OSError:
                Path(file.name).unlink()
                raise
    except OSError as problem:
        return f"The heat map could not be saved ({problem.strerror or problem})."
    return ""


def _new_file(folder: Path, stem: str) -> BinaryIO:
    """A file that was not there before, even with other processes at work in the folder: `stem.png`, `stem-2.png` and so on."""
    for number in itertools.count(1):
        try:
            return (folder / (f"{stem}-{number}.png" if number > 1 else f"{stem}.png")).open("xb")
        except FileExistsError:
            continue
    raise AssertionError("counting never ends")
