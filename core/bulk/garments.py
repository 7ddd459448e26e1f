"""Split photos into their garments: one row each, for a table."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from core.bulk.pipeline import Decode
from core.errors import GarmentError
from core.files import replaced
from core.images.decode import Photo, decode_photo, spreadsheet_name
from core.images.sources import PhotoFile
from core.inference.classifier import FIND_ENOUGH, Classifier, Found

THREADS, AHEAD = 3, 6
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
    """The garments of one photo after another, in bounded memory; with finds of none of the classes if `out_of_scope`.

    While one photo is in the network, AHEAD others are decoded; those of strangers by `core.images.sandbox.decode_apart`.
    """
    waiting: deque[Future[Garments]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for file in files:
                waiting.append(pool.submit(_find, classifier, file, out_of_scope, decode))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _find(classifier: Classifier, file: PhotoFile, out_of_scope: bool, decode: Decode) -> Garments:
    try:
        photo = decode(file.read(), file.name, FIND_ENOUGH)
        return Garments(file.name, classifier.find(photo, out_of_scope), photo=photo)
    except GarmentError as error:
        return Garments(file.name, [], str(error))


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
