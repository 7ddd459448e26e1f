"""Corrected photos as a data set of `styles.csv` and `images/<id>.jpg`, to train on with the catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.errors import InvalidData
from core.feedback import NONE_OF_THESE, Stored, kept_region, latest
from core.files import new_folder
from train.catalogue import COLUMNS

QUALITY = 95  # of the JPEG files


def export(file: Path, folder: Path) -> str:
    """Make a data set of the corrections whose photo may be used, each cropped to its region.

    Args:
        file: the corrections, see `core.feedback`.
        folder: to be made.

    Returns:
        What was exported and what was left out, in words.

    Raises:
        InvalidData: the folder exists, or there is nothing to export.
        FeedbackUnavailable: the corrections cannot be read.
        OSError: the disk is full or not writable; no part of the folder stays.
    """
    if folder.exists():
        raise InvalidData(f"{folder} exists already and is not touched. Name a new folder.")
    stored = latest(file)
    usable = [one for one in stored if one.photo_kept and one.correction.corrected != NONE_OF_THESE]
    if not usable:
        raise InvalidData(f"{file} holds {len(stored)} corrections, and none with a photo of one of the classes.")
    _write(file, folder, usable)
    left_out = len(stored) - len(usable)
    return (
        f"{len(usable)} corrected photos in {folder}, with ids from {usable[0].photo_id} to {usable[-1].photo_id}. "
        f"Left out: {left_out} without a photo or of none of the classes.\n"
        f"Train with: python -m train --data CATALOGUE --data {folder}"
    )


def _write(file: Path, folder: Path, usable: list[Stored]) -> None:
    """Write the folder under another name and rename it when it is complete."""
    with new_folder(folder) as partial:
        (partial / "images").mkdir()
        for one in usable:
            photo = kept_region(file, one)
            photo.save(partial / "images" / f"{one.photo_id}.jpg", "JPEG", quality=QUALITY, subsampling=0)
        pd.DataFrame([_row(one) for one in usable], columns=list(COLUMNS)).to_csv(partial / "styles.csv", index=False)


def _row(one: Stored) -> tuple[int, str, str, str, str]:
    said = one.correction
    return one.photo_id, said.corrected, "", "", f"Corrected from {said.predicted}, photo {said.photo_sha256[:12]}"
