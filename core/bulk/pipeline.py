"""Classify many photos in batches, decoding while the network runs, in bounded memory."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import Image

from core.artifacts.labels import LabelSet
from core.errors import GarmentError
from core.images.decode import Photo, decode_photo
from core.images.region import Region, clamp
from core.images.sources import PhotoFile, batched
from core.inference.attributes import ATTRIBUTES
from core.inference.batching import TOGETHER
from core.inference.classifier import Answer, Classifier, Input, Reading
from core.inference.postprocess import Controls
from core.settings import DEFAULTS

BATCH = 32
BATCHES_AHEAD = 3  # begun while the results of another are taken
A_TURN = 16  # photos that a visitor has classified in one turn
THREADS = 4  # that decode
PASSES = 2  # of the network at once: each fills the gaps in which the other waits for its slowest thread

Decode = Callable[[bytes, str, tuple[int, int] | None], Photo]  # as `core.images.decode.decode_photo`
RECORD_FIELDS = (
    "file", "label", "probability", "group", "in_scope", "in_scope_score", "top_k", "looks_like", "looks_like_probability", *ATTRIBUTES,
    "width", "height", "milliseconds", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """How photos are to be classified.

    Args:
        controls: group filter and upper-body bias.
        k: how many classes a record lists.
        region: the part of every photo to look at, in pixels of the upright photo; the whole photo if None.
        picture: (width, height) into which a picture of the part looked at is fitted for each result; none is made if None.
        all_types: whether a record's label and ranking are of all product types that the network tells apart, not of the classes alone;
            the controls then have no part in them.
    """

    controls: Controls = Controls()
    k: int = DEFAULTS.top_k
    region: Region | None = None
    picture: tuple[int, int] | None = None
    all_types: bool = False


class Result(NamedTuple):
    """What became of one photo.

    Args:
        record: values by RECORD_FIELDS; `error` says why a photo has no label. `milliseconds` is the photo's own decoding and its share
            of the forward pass.
        picture: if the request asked for one and the photo could be read.
        reading: what the network saw; None if the photo could not be read.
    """

    record: dict[str, Any]
    picture: Image.Image | None
    reading: Reading | None


def predict(
    classifier: Classifier,
    batches: Iterable[Sequence[PhotoFile]],
    request: Request,
    decode: Decode = decode_photo,
) -> Iterator[list[Result]]:
    """The results of one batch after another, in the order given; strangers' photos are decoded by `core.images.sandbox.decode_apart`.

    Decoded photos become the network's small input at once, so that at most THREADS of them are in memory at their own size, and
    BATCHES_AHEAD + 1 batches of inputs or results, however many photos there are.
    """
    decoders, network = ThreadPoolExecutor(THREADS), ThreadPoolExecutor(PASSES)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for batch in batches:
            decoded = [decoders.submit(_decode, classifier, file, request, decode) for file in batch]
            waiting.append(network.submit(_classify, classifier, decoded, request))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for pool in (decoders, network):
            pool.shutdown(cancel_futures=True)


def predict_in_turns(
    classifier: Classifier,
    files: Iterable[PhotoFile],
    request: Request,
    decode: Decode,
    turn: Callable[[], AbstractContextManager[None]],
) -> Iterator[list[Result]]:
    """As `predict`, A_TURN photos at a time, each time in a turn of the visitor's, so that others are answered between them.

    Args:
        classifier: shared by all visitors.
        files: the photos.
        request: how they are to be classified.
        decode: `core.images.sandbox.decode_apart`.
        turn: takes a turn, and gives it back.
    """
    for photos in batched(files, A_TURN):
        with turn():
            results = [*predict(classifier, batched(photos, TOGETHER), request, decode)]
        yield [*itertools.chain(*results)]


class _Decoded(NamedTuple):
    name: str
    milliseconds: float
    error: str = ""
    size: tuple[int | None, int | None] = (None, None)
    input: Input | None = None
    picture: Image.Image | None = None


def _decode(classifier: Classifier, file: PhotoFile, request: Request, decode: Decode) -> _Decoded:
    start = time.perf_counter()
    try:
        photo = decode(file.read(), file.name, _enough(classifier, request))
        prepared = classifier.prepare(photo, request.region)
    except GarmentError as problem:
        return _Decoded(file.name, 1000 * (time.perf_counter() - start), str(problem))
    picture = _picture(photo, request)
    return _Decoded(file.name, 1000 * (time.perf_counter() - start), "", photo.size, prepared, picture)


def _enough(classifier: Classifier, request: Request) -> tuple[int, int] | None:
    """Pixels that are enough of a whole photo; a region may be small and needs all that there are."""
    if request.region:
        return None
    (width, height), (shown_width, shown_height) = classifier.enough, request.picture or (0, 0)
    return max(width, shown_width), max(height, shown_height)


def _picture(photo: Photo, request: Request) -> Image.Image | None:
    if request.picture is None:
        return None
    box = request.region and clamp(request.region, *photo.size).box_in(photo.image.size, photo.size)
    picture = photo.image.crop(box) if box else photo.image.copy()
    picture.thumbnail(request.picture)
    return picture


def _classify(classifier: Classifier, batch: list[Future[_Decoded]], request: Request) -> list[Result]:
    decoded = [future.result() for future in batch]
    inputs = [item.input for item in decoded if item.input]
    start = time.perf_counter()
    readings = iter(classifier.read_inputs(inputs))
    share = 1000 * (time.perf_counter() - start) / max(1, len(inputs))
    return [_result(classifier, item, next(readings) if item.input else None, share, request) for item in decoded]


def _result(classifier: Classifier, item: _Decoded, reading: Reading | None, share: float, request: Request) -> Result:
    if reading is None:
        return Result(_record(item, None, item.milliseconds), None, None)
    answer = classifier.answer(reading, request.controls, request.k)
    record = _record(item, answer, item.milliseconds + share)
    if request.all_types:
        record |= _of_all_types(classifier.all_types(reading, request.k), classifier.labels)
    return Result(record, item.picture, reading)


def _of_all_types(ranking: list[tuple[str, float]], labels: LabelSet) -> dict[str, Any]:
    """What a record says of a photo among all product types; other products are in no group."""
    label, probability = ranking[0]
    group = labels.group_of(label) if label in labels.names else ""
    return {"label": label, "probability": probability, "group": group, "top_k": dict(ranking)}


def _record(item: _Decoded, answer: Answer | None, milliseconds: float) -> dict[str, Any]:
    width, height = item.size
    return {
        "file": item.name,
        **predicted_fields(answer),
        "width": width,
        "height": height,
        "milliseconds": round(milliseconds, 2),
        "error": item.error,
    }


def predicted_fields(answer: Answer | None) -> dict[str, Any]:
    """The fields of a record that say what is predicted; empty where there is no prediction."""
    looks_like, its_probability = (answer and answer.looks_like) or ("", None)
    said = {attribute.name: attribute.value for attribute in (answer.attributes if answer else ())}
    return {
        "label": answer.label if answer else "",
        "probability": answer.probability if answer else None,
        "group": answer.group if answer else "",
        "in_scope": answer.in_scope if answer else None,
        "in_scope_score": answer.score if answer else None,
        "top_k": dict(answer.ranking) if answer else {},
        "looks_like": looks_like,
        "looks_like_probability": its_probability,
        **{name: said.get(name, "") for name in ATTRIBUTES},
    }
