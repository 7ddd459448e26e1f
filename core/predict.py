"""Classify many photos from files, folders and zip files, decoding while the network runs, in bounded memory."""

from __future__ import annotations

import itertools
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from core.classifier import Answer, Classifier, Reading
from core.decide import Controls
from core.errors import GarmentError
from core.explain import overlay
from core.images import ACCEPTED_SUFFIXES, MAX_BYTES, Photo, decode_photo, display_name
from core.roi import Region, clamp

BATCH = 32
BATCHES_AHEAD = 2  # decoded while the network runs
THREADS = 4
HEATMAP_OPACITY = 0.55

RECORD_FIELDS = (
    "file", "label", "probability", "group", "in_scope", "in_scope_score", "top_k", "width", "height", "milliseconds", "error",
)  # fmt: skip


class PhotoFile(NamedTuple):
    """A photo not yet read: its name for the record, and how to get its bytes."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Request:
    """How photos are to be classified.

    Args:
        controls: group filter and upper-body bias.
        k: how many classes a record lists.
        region: the part of every photo to look at, in pixels of the upright photo; the whole photo if None.
        heatmaps: folder for a Grad-CAM overlay of each photo as PNG; none are made if None.
    """

    controls: Controls
    k: int = 5
    region: Region | None = None
    heatmaps: Path | None = None


def find_photos(paths: Iterable[Path]) -> list[PhotoFile]:
    """Photos named by paths: files as they are, folders and zip files searched for the accepted suffixes, in sorted order."""
    return list(itertools.chain.from_iterable(_photos_at(path) for path in paths))


def _photos_at(path: Path) -> list[PhotoFile]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ACCEPTED_SUFFIXES)
        return [PhotoFile(str(file), _reader(file)) for file in files]
    if path.suffix.lower() == ".zip" and path.is_file():
        return _photos_in_zip(path)
    return [PhotoFile(str(path), _reader(path))]


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one more than allowed, so that the decoder refuses it by its size

    return read


def _photos_in_zip(path: Path) -> list[PhotoFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if Path(name).suffix.lower() in ACCEPTED_SUFFIXES]
    except (zipfile.BadZipFile, OSError):
        return [PhotoFile(str(path), _reader(path))]  # its record will say what it is

    def reader(member: str) -> Callable[[], bytes]:
        def read() -> bytes:
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                return file.read(MAX_BYTES + 1)

        return read

    return [PhotoFile(f"{path}/{name}", reader(name)) for name in sorted(members)]


def predict(classifier: Classifier, files: Iterable[PhotoFile], request: Request) -> Iterator[dict[str, Any]]:
    """One record a photo, in the order given; a photo that cannot be read gets a record whose `error` says why.

    `milliseconds` is the photo's own decoding and its share of the forward pass.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[list[tuple[PhotoFile, Future]]] = deque()
        for batch in _batched(files):
            waiting.append([(file, pool.submit(_decode, classifier, file, request)) for file in batch])
            if len(waiting) > BATCHES_AHEAD:
                yield from _classify(classifier, waiting.popleft(), request)
        while waiting:
            yield from _classify(classifier, waiting.popleft(), request)


def _batched(files: Iterable[PhotoFile]) -> Iterator[tuple[PhotoFile, ...]]:
    iterator = iter(files)
    while batch := tuple(itertools.islice(iterator, BATCH)):
        yield batch


class _Decoded(NamedTuple):
    photo: Photo | None
    milliseconds: float
    error: str


def _decode(classifier: Classifier, file: PhotoFile, request: Request) -> _Decoded:
    """Decode at reduced scale where the whole photo is asked for; a region may be small and needs all its pixels."""
    enough = None if request.region else (4 * classifier.engine.width, 4 * classifier.engine.height)
    start = time.perf_counter()
    try:
        photo, error = decode_photo(file.read(), file.name, enough), ""
        classifier.pixels(photo, request.region)
    except GarmentError as problem:
        photo, error = None, str(problem)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as problem:
        photo, error = (
            None,
            f"{display_name(file.name)} cannot be read ({getattr(problem, 'strerror', None) or problem}).",
        )
    return _Decoded(photo, 1000 * (time.perf_counter() - start), error)


def _classify(
    classifier: Classifier, batch: list[tuple[PhotoFile, Future]], request: Request
) -> Iterator[dict[str, Any]]:
    decoded = [(file, future.result()) for file, future in batch]
    start = time.perf_counter()
    readings = iter(classifier.read([(item.photo, request.region) for _, item in decoded if item.photo]))
    share = 1000 * (time.perf_counter() - start) / max(1, sum(item.photo is not None for _, item in decoded))
    for file, item in decoded:
        if item.photo is None:
            yield _record(file.name, milliseconds=item.milliseconds, error=item.error)
            continue
        reading = next(readings)
        answer = classifier.answer(reading, request.controls, request.k)
        error = _save_heatmap(item.photo, reading, classifier.labels.index(answer.label), request, file.name)
        yield _record(file.name, answer, item.photo, item.milliseconds + share, error)


def _record(
    name: str, answer: Answer | None = None, photo: Photo | None = None, milliseconds: float = 0.0, error: str = ""
) -> dict[str, Any]:
    return {
        "file": name,
        "label": answer.label if answer else "",
        "probability": answer.probability if answer else None,
        "group": answer.group if answer else "",
        "in_scope": answer.in_scope if answer else None,
        "in_scope_score": answer.score if answer else None,
        "top_k": dict(answer.ranking) if answer else {},
        "width": photo.width if photo else None,
        "height": photo.height if photo else None,
        "milliseconds": round(milliseconds, 2),
        "error": error,
    }


def _save_heatmap(photo: Photo, reading: Reading, class_index: int, request: Request, name: str) -> str:
    """Write the overlay; returns what went wrong, or nothing. An existing file of that name is never overwritten."""
    if request.heatmaps is None:
        return ""
    image = photo.image
    if request.region:
        image = image.crop(clamp(request.region, *photo.size).box_in(image.size, photo.size))
    stem = display_name(Path(name).stem) or "photo"
    try:
        target = next(path for path in _candidates(request.heatmaps, stem) if not path.exists())
        overlay(image, reading.heat(class_index, image.size), HEATMAP_OPACITY).save(target)
    except OSError as problem:
        return f"The heat map could not be saved ({problem.strerror or problem})."
    return ""


def _candidates(folder: Path, stem: str) -> Iterator[Path]:
    yield folder / f"{stem}.png"
    for number in itertools.count(2):
        yield folder / f"{stem}-{number}.png"
