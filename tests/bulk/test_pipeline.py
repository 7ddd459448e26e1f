"""Bulk classification holds few photos at once, whatever their number, and gives results in order."""

import io
import weakref
from functools import partial
from threading import Lock

import numpy as np
import pytest
from PIL import Image

from core.bulk.pipeline import BATCH, BATCHES_AHEAD, THREADS, Request, predict
from core.images.decode import decode_photo
from core.images.sources import PhotoFile, batched
from core.inference.engine import Activations

PHOTOS = 40 * BATCH + 5


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 8), (shade % 256, shade // 256, 0)).save(buffer, "PNG")
    return buffer.getvalue()


class Counted:
    """How many things are alive, and how many were at most."""

    def __init__(self):
        self.now, self.most, self._lock = 0, 0, Lock()

    def add(self, thing: object) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        weakref.finalize(thing, self._gone)

    def _gone(self) -> None:
        with self._lock:
            self.now -= 1


@pytest.fixture
def instant(random_classifier, monkeypatch):
    """A classifier whose network takes no time and says how bright the photo is."""

    def run(pixels: np.ndarray) -> Activations:
        logits = np.zeros((len(pixels), 15), np.float32)
        logits[:, 0] = pixels.reshape(len(pixels), -1).mean(axis=1)
        return Activations(logits, np.zeros((len(pixels), 2048, 1, 1), np.float32))

    monkeypatch.setattr(random_classifier.engine, "run", run)
    return random_classifier


@pytest.mark.parametrize("request_", [Request(), Request(picture=(4, 4))], ids=["records alone", "with pictures"])
def test_the_number_of_photos_in_memory_does_not_grow_with_their_number(instant, request_):
    decoded, read = Counted(), 0

    def counting(*arguments):
        nonlocal read
        photo = decode_photo(*arguments)
        read += 1
        decoded.add(photo)
        return photo

    files = (PhotoFile(str(n), partial(png, n)) for n in range(PHOTOS))
    given, ahead = 0, 0
    for results in predict(instant, batched(files, BATCH), request_, counting):
        ahead = max(ahead, read - given)
        given += len(results)
    assert given == read == PHOTOS
    assert decoded.most <= THREADS + 1
    assert ahead <= (BATCHES_AHEAD + 1) * BATCH


def test_results_come_in_order_with_their_pictures(instant):
    files = [PhotoFile(str(n), partial(png, n) if n != 40 else lambda: b"broken") for n in range(80)]
    results = [result for batch in predict(instant, batched(files, BATCH), Request(picture=(4, 4))) for result in batch]
    assert [result.record["file"] for result in results] == [str(n) for n in range(80)]
    assert [result.picture is None for result in results] == [n == 40 for n in range(80)]
    assert results[7].picture.getpixel((0, 0)) == (7, 0, 0) and max(results[7].picture.size) <= 4


def test_stopping_early_leaves_no_work_behind(instant):
    read = []

    def reading(n: int) -> bytes:
        read.append(n)
        return png(n)

    results = predict(
        instant, batched((PhotoFile(str(n), partial(reading, n)) for n in range(PHOTOS)), BATCH), Request()
    )
    next(results)
    results.close()
    assert len(read) <= (BATCHES_AHEAD + 1) * BATCH
