"""Test sets: which the server offers, and photos sorted into folders named after classes, as a table of predictions."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from core.artifacts.labels import LabelSet
from core.bulk.pipeline import Decode, Request, predict_in_turns
from core.errors import GarmentError, InvalidData
from core.images.dataset import PhotoFiles
from core.images.decode import decode_photo
from core.images.sources import PhotoFile, find_photos, photos_in_zip
from core.inference.classifier import Classifier
from core.inference.postprocess import softmax
from core.settings import TEST_SETS, test_sets_folder

OFFERED = (".csv", ".parquet", ".zip")


class LabelledPhoto(NamedTuple):
    """A photo of a test set.

    Args:
        id: its path inside the folder or zip file.
        label: the class that its folder is named after.
        file: the photo, not yet read.
    """

    id: str
    label: str
    file: PhotoFile


class ZippedPhotos(PhotoFiles):
    """Photos of a zip file in memory.

    Args:
        photos: by id.
    """

    def __init__(self, photos: dict[str, PhotoFile]):
        super().__init__(Path(), {photo: photo for photo in photos})
        self.photos = photos

    def read(self, ids: Collection[object]) -> dict[str, bytes]:
        """Bytes of the photos that there are, by id; those that cannot be read are left out."""
        found: dict[str, bytes] = {}
        for photo in map(str, ids):
            try:
                found[photo] = self.photos[photo].read()
            except (KeyError, GarmentError):
                continue
        return found


def offered_test_sets() -> dict[str, Path]:
    """Tables, zip files and folders of photos in the folder that the setting `GARMENTS_TEST_SETS` names, by name; none without it.

    Visitors choose from these: a path of their own would let them look through the server's disk.

    Raises:
        InvalidData: the folder is not there or cannot be read.
    """
    folder = test_sets_folder()
    if folder is None:
        return {}
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InvalidData(
            f"The folder {folder} cannot be read ({error.strerror}). Set {TEST_SETS} to a folder of test sets."
        ) from None
    return {path.name: path for path in paths if path.is_dir() or path.suffix.lower() in OFFERED}


def photos_of_folder(folder: Path, labels: LabelSet) -> list[LabelledPhoto]:
    """Photos of a folder with the classes that their folders are named after. Raises InvalidData as `labelled` does."""
    prefix = f"{folder}{os.sep}"
    found = (file for file in find_photos([folder]) if file.name.startswith(prefix))  # not that the folder is empty
    files = ((Path(file.name.removeprefix(prefix)).as_posix(), file) for file in found)
    return labelled(files, folder.name, labels)


def photos_of_zip(data: bytes, name: str, labels: LabelSet) -> list[LabelledPhoto]:
    """Photos of a zip file with the classes that their folders are named after. Raises InvalidData as `labelled` does."""
    files = ((file.name.removeprefix(f"{name}/"), file) for file, _ in photos_in_zip(io.BytesIO(data), name))
    return labelled(files, name, labels)


def labelled(files: Iterable[tuple[str, PhotoFile]], name: str, labels: LabelSet) -> list[LabelledPhoto]:
    """Photos whose folder, or a folder above it, is named after a class; upper and lower case do not matter.

    Args:
        files: path inside the test set, and photo. What is hidden is passed over.
        name: of the test set, for messages.
        labels: the classes.

    Raises:
        InvalidData: a folder with photos is no class, or there is no photo.
    """
    classes = {label.lower(): label for label in labels.names}
    photos: list[LabelledPhoto] = []
    unknown: set[str] = set()
    for path, file in files:
        folders = PurePosixPath(path).parts[:-1]
        if any(part.startswith((".", "__MACOSX")) for part in folders) or not folders:
            continue
        label = next((classes[part.lower()] for part in reversed(folders) if part.lower() in classes), None)
        if label is None:
            unknown.add(folders[-1])
        else:
            photos.append(LabelledPhoto(path, label, file))
    if unknown:
        raise InvalidData(
            f"{name} has folders that are no class: {', '.join(sorted(unknown))}. The classes are {', '.join(labels.names)}."
        )
    if not photos:
        raise InvalidData(f"{name} has no photos in folders named after classes, such as {labels.names[0]}.")
    return photos


def classify_labelled(
    classifier: Classifier,
    photos: list[LabelledPhoto],
    progress: Callable[[float], object],
    decode: Decode = decode_photo,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions in the format of `predictions.csv`, in bounded memory however large and many the photos are.

    Args:
        classifier: of the run to test.
        photos: with their classes.
        progress: called after each batch with the share that is done, in [0, 1].
        decode: `core.images.sandbox.decode_apart` for photos of strangers.
        turn: as of `core.bulk.pipeline.predict_in_turns`.

    Returns:
        The table, and why photos that cannot be read were left out, by id.

    Raises:
        InvalidData: no photo can be read.
    """
    rows, failures = [], {}
    waiting = iter(photos)
    for results in predict_in_turns(classifier, (photo.file for photo in photos), Request(), decode, turn):
        for photo, result in zip([next(waiting) for _ in results], results, strict=True):
            if result.reading is None:
                failures[photo.id] = result.record["error"]
                continue
            probabilities = softmax(result.reading.logits, classifier.temperature)
            rows.append(
                {"id": photo.id, "label": photo.label, **dict(zip(classifier.labels.names, probabilities, strict=True))}
            )
        progress((len(rows) + len(failures)) / len(photos))
    if not rows:
        raise InvalidData(f"None of the {len(photos)} photos can be read. {next(iter(failures.values()))}")
    return pd.DataFrame(rows), failures
