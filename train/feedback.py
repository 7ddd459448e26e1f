"""Corrected photos as a data set of `styles.csv` and `images/<id>.jpg`, to train on with the catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.errors import InvalidData
from core.feedback import NONE_OF_THESE, Stored, kept_photo, latest
from core.files import new_folder
from train.catalogue import COLUMNS

FIRST_ID = 500_000_001  # beyond the published custom photos (from 60001), below the ids that phone photos get
QUALITY = 95  # of the JPEG files


def export(file: Path, folder: Path) -> str:
    """Make a data set of the corrections whose photo may be used, each cropped to its region.

    A correction's id is the same in every export, so that splits and predictions of several trainings can be compared.

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
        f"{len(usable)} corrected photos in {folder}, with ids from {_photo_id(usable[0])} to {_photo_id(usable[-1])}. "
        f"Left out: {left_out} without a photo or of none of the classes.\n"
        f"Train with: python -m train --data CATALOGUE --data {folder}"
    )


def _write(file: Path, folder: Path, usable: list[Stored]) -> None:
    """Write the folder under another name and rename it when it is complete."""
    with new_folder(folder) as partial:
        (partial / "images").mkdir()
        for one in usable:
            _write_photo(file, partial / "images" / f"{_photo_id(one)}.jpg", one)
        pd.DataFrame([_row(one) for one in usable], columns=list(COLUMNS)).to_csv(partial / "styles.csv", index=False)


def _photo_id(one: Stored) -> int:
    return FIRST_ID - 1 + one.number


def _write_photo(file: Path, path: Path, one: Stored) -> None:
    said = one.correction
    photo = kept_photo(file, said.photo_sha256)
    photo.crop(said.region.box_in(photo.size, said.photo_size)).save(path, "JPEG", quality=QUALITY, subsampling=0)


def _row(one: Stored) -> tuple[int, str, str, str, str]:
    said = one.correction
    return _photo_id(one), said.corrected, "", "", f"Corrected from {said.predicted}, photo {said.photo_sha256[:12]}"
