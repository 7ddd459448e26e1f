"""Many people at one process: what a visitor waits for with 20 at once, as a ratio of what one alone waits for.

    python -m benchmarks.dispatch

Every visitor is a thread that decodes a phone photo of its own, has it classified and gets the heat map, as the page
does. Compared are four ways to share the network: everybody at once (`engine`), one after another (`semaphore`), what
waits together (`dispatcher`, what the product does), and the same with a window of 10 ms in which each pass waits for
company (`window`). Once without a pause between a visitor's photos (the hardest load there is), once with people who
look at an answer for some seconds. The remembering of identical photos is off: every photo is new.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.latency import ENOUGH, PICTURE
from core import Classifier
from core.images.decode import decode_photo
from core.inference.batching import Dispatcher
from core.samples import garments

USERS, PHOTOS, LOOKING = 20, 8, 4.0
WINDOW = 0.01  # seconds
SIZE = (900, 1200)


class Semaphore:
    """An engine that one thread at a time may run."""

    def __init__(self, engine):
        self.engine, self._one = engine, threading.Semaphore(1)
        self.height, self.width = engine.height, engine.width

    def run(self, pixels):
        with self._one:
            return self.engine.run(pixels)


class Window(Dispatcher):
    """A dispatcher whose passes wait a fixed time for company."""

    def _serve(self) -> None:
        time.sleep(WINDOW)
        super()._serve()


def photos_of(user: int) -> list[bytes]:
    """A visitor's photos, like nobody else's."""
    encoded = []
    garment = garments.sample(garments.SAMPLE_NAMES[user % len(garments.SAMPLE_NAMES)], user, SIZE)
    for number in range(PHOTOS):
        buffer = io.BytesIO()
        Image.blend(garment, Image.new("RGB", SIZE, (12 * user % 256, 30 * number, 90)), 0.1).save(
            buffer, "JPEG", quality=90
        )
        encoded.append(buffer.getvalue())
    return encoded


def visit(classifier: Classifier, photos: list[bytes], pause: Callable[[], float], seconds: list[float]) -> None:
    """One visitor's photos, one after another; appends how long each answer took."""
    for data in photos:
        time.sleep(pause())
        start = time.perf_counter()
        reading = classifier.read([(decode_photo(data, at_least=ENOUGH), None)])[0]
        reading.heat(classifier.labels.index(classifier.answer(reading).label), PICTURE)
        seconds.append(time.perf_counter() - start)


def seconds_of(classifier: Classifier, visitors: list[list[bytes]], looking: float) -> np.ndarray:
    """How long each answer took when these visitors come at once, each looking at an answer for 0.5 to 1.5 times `looking` seconds."""
    random, seconds = np.random.default_rng(0), []
    pause = lambda: looking * random.uniform(0.5, 1.5)  # noqa: E731
    threads = [threading.Thread(target=visit, args=(classifier, photos, pause, seconds)) for photos in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array(seconds)


def main() -> None:
    classifier = Classifier.load()
    engine = classifier.engine
    visitors = [photos_of(user) for user in range(USERS)]
    ways = {
        "engine": engine,
        "semaphore": Semaphore(engine),
        "dispatcher": Dispatcher(engine, remembered=0),
        "window": Window(engine, remembered=0),
    }
    seconds_of(classifier, visitors[:1], 0.0)  # warm-up
    print(f"{USERS} visitors, {PHOTOS} photos each of {SIZE[0]}x{SIZE[1]}; seconds until an answer")
    for looking in (0.0, LOOKING):
        print(f"\n{f'looking at an answer for {looking:.0f} s' if looking else 'no pause between photos'}")
        print(f"{'shared by':12}{'alone p50':>11}{'20: p50':>10}{'20: p95':>10}{'p95 / alone':>13}{'answers/s':>11}")
        for name, way in ways.items():
            classifier.engine = way
            alone = np.median(seconds_of(classifier, visitors[:1], 0.0))
            start = time.perf_counter()
            together = seconds_of(classifier, visitors, looking)
            rate = len(together) / (time.perf_counter() - start)
            p50, p95 = np.percentile(together, [50, 95])
            print(f"{name:12}{alone:11.3f}{p50:10.3f}{p95:10.3f}{p95 / alone:13.1f}{rate:11.1f}")


if __name__ == "__main__":
    main()
