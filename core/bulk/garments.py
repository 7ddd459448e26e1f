"""Split photos into their garments: one row each, for a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.bulk.pipeline import Decode
from core.errors import GarmentError
from core.files import replaced
from core.images.decode import Photo, decode_photo, spreadsheet_name
from core.images.sources import PhotoFile
from core.inference.classifier import FIND_ENOUGH, Classifier, Found

COLUMNS = ("file", "left", "top", "right", "bottom", "label", "probability", "in_scope", "share")


class Garments(NamedTuple):
    """What became of one photo.

    Args:
        file: its name.
        found: the garments in it, from the top.
        error: why the photo could not be looked at; empty if it could.
        photo: itself, if it could.
    """

    file: str
    found: list[Found]
    error: str = ""
    photo: Photo | None = None


def find_all(
    classifier: Classifier, files: Iterable[PhotoFile], out_of_scope: bool = False, decode: Decode = decode_photo
) -> Iterator[Garments]:
    """The garments of one photo after another; with finds of none of the classes if `out_of_scope`.

    Strangers' photos are decoded by `core.images.sandbox.decode_apart`.
    """
    for file in files:
        try:
            photo = decode(file.read(), file.name, FIND_ENOUGH)
            yield Garments(file.name, classifier.find(photo, out_of_scope), photo=photo)
        except GarmentError as error:
            yield Garments(file.name, [], str(error))


def save_garments(path: Path, photos: Iterable[Garments]) -> None:
    """One row a garment, with COLUMNS: its box in pixels of the upright photo, and the share of the photo inside its outline.

    Raises:
        OSError: the file cannot be written; then there is none.
    """
    with replaced(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for photo in photos:
            writer.writerows(_row(spreadsheet_name(photo.file), found) for found in photo.found)


def _row(name: str, found: Found) -> list[str | int | bool]:
    answer = found.answer
    measures = f"{answer.probability:.6g}", answer.in_scope, f"{found.share:.6g}"
    return [name, *found.region.box, answer.label, *measures]
