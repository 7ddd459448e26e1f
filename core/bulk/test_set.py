"""Test sets on the server: which there are, and a folder of labelled photos, `<class name>/<photo>`, as a table of predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from core.artifacts.labels import LabelSet
from core.errors import InvalidData, UnreadablePhoto
from core.images.decode import ACCEPTED_SUFFIXES, Photo, decode_photo
from core.inference.classifier import Classifier
from core.inference.postprocess import softmax
from core.settings import test_sets_folder

BATCH = 16
TABLES = (".csv", ".parquet")


def offered_test_sets() -> dict[str, Path]:
    """Tables and folders of photos in the folder that the setting `GARMENTS_TEST_SETS` names, by name; none if it is not set.

    Visitors choose from these: a path of their own would let them look through the server's disk.

    Raises:
        InvalidData: the folder is not there or cannot be read.
    """
    folder = test_sets_folder()
    found = _contents(folder) if folder else []
    return {path.name: path for path in found if path.is_dir() or path.suffix.lower() in TABLES}


def labelled_photos(folder: Path, labels: LabelSet) -> list[tuple[Path, str]]:
    """Photos of a folder with their classes, the names of the folders they lie in; upper and lower case do not matter.

    Raises:
        InvalidData: there is no such folder, it cannot be read, a folder in it is no class, or there is no photo.
    """
    classes = {name.lower(): name for name in labels.names}
    children = [child for child in _contents(folder) if child.is_dir()]
    unknown = [child.name for child in children if child.name.lower() not in classes]
    if unknown:
        raise InvalidData(
            f"{folder} has folders that are no class: {', '.join(unknown)}. Known are {', '.join(labels.names)}."
        )
    photos = [
        (file, classes[child.name.lower()])
        for child in children
        for file in _contents(child)
        if file.suffix.lower() in ACCEPTED_SUFFIXES
    ]
    if not photos:
        raise InvalidData(f"{folder} has no photos in folders named after classes, such as {folder / labels.names[0]}.")
    return photos


def _contents(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden, by name. Raises InvalidData."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InvalidData(
            f"The folder {folder} cannot be read ({error.strerror}). Name one that has a folder of photos for each class."
        ) from None


def classify_folder(
    classifier: Classifier, folder: Path, progress: Callable[[float], object]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions for the photos of `labelled_photos`, in the format of `predictions.csv`; an id is a path inside the folder.

    Args:
        classifier: of the run to test.
        folder: with a folder of photos for each class.
        progress: called after each batch with the share that is done, in [0, 1].

    Returns:
        The table, and why photos that cannot be read were left out, by id.

    Raises:
        InvalidData: as `labelled_photos`, or no photo can be read.
    """
    listed = labelled_photos(folder, classifier.labels)
    rows, failures = [], {}
    for start in range(0, len(listed), BATCH):
        batch = _decoded(folder, listed[start : start + BATCH], failures)
        readings = classifier.read([(photo, None) for _, _, photo in batch])
        for (name, label, _), reading in zip(batch, readings, strict=True):
            probabilities = softmax(reading.logits, classifier.temperature)
            rows.append({"id": name, "label": label, **dict(zip(classifier.labels.names, probabilities, strict=True))})
        progress(min(start + BATCH, len(listed)) / len(listed))
    if not rows:
        raise InvalidData(f"None of the {len(listed)} photos of {folder} can be read. {next(iter(failures.values()))}")
    return pd.DataFrame(rows), failures


def _decoded(folder: Path, batch: list[tuple[Path, str]], failures: dict[str, str]) -> list[tuple[str, str, Photo]]:
    photos = []
    for file, label in batch:
        name = file.relative_to(folder).as_posix()
        try:
            photos.append((name, label, decode_photo(file.read_bytes(), file.name)))
        except (UnreadablePhoto, OSError) as error:
            failures[name] = str(error)
    return photos
