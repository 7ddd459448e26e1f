"""Many photos: how fast `predict` is beside the bare engine, and whether its memory depends on their number.

    python -m benchmarks.bulk            # or with two numbers of photos: python -m benchmarks.bulk 1000 100000

Throughput: `core.bulk.pipeline.predict` from JPEG bytes of catalogue size to records, over forward passes alone on ready pixels in the same
batches; rounds of both alternate. Memory: the peak of `python -m core predict --list` over a few and over many photos, each in a process
of its own (Linux).
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.report import Row, machine, percentages, show, spread
from core import Classifier
from core.artifacts.run import current_run
from core.bulk.pipeline import BATCH, Request, predict
from core.images.sources import PhotoFile, batched
from core.inference.engine import Engine
from core.samples import garments

ROUNDS, BATCHES = 7, 8
CATALOGUE = (60, 80)
NUMBERS = (1000, 10_000)
PEAK = """
import resource, sys
from core.__main__ import main
main(["predict", "--list", sys.argv[1], "--csv", sys.argv[2]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""


def jpeg(number: int, size: tuple[int, int] = CATALOGUE) -> bytes:
    buffer = io.BytesIO()
    garments.sample(garments.SAMPLE_NAMES[number % len(garments.SAMPLE_NAMES)], number, size).save(buffer, "JPEG")
    return buffer.getvalue()


def throughput(classifier: Classifier) -> np.ndarray:
    """Photos a second, (rounds, 2): predict, and the engine alone."""
    photos = [jpeg(number) for number in range(BATCH)]
    files = [PhotoFile(f"{n}.jpg", partial(photos.__getitem__, n % BATCH)) for n in range(BATCH * BATCHES)]
    alone = Engine(classifier.run)
    pixels = np.zeros((BATCH, *classifier.input_size, 3), np.uint8)
    rows = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        done = sum(len(results) for results in predict(classifier, batched(files, BATCH), Request()))
        middle = time.perf_counter()
        for _ in range(BATCHES):
            alone.run(pixels)
        rows.append((done / (middle - start), done / (time.perf_counter() - middle)))
    return np.array(rows[1:])


def peak_megabytes(photos: int) -> float:
    """Largest memory of a process that classifies so many photos."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photo.jpg").write_bytes(jpeg(0, (1200, 1600)))
        (folder / "list.txt").write_text(f"{folder / 'photo.jpg'}\n" * photos)
        command = [sys.executable, "-c", PEAK, str(folder / "list.txt"), str(folder / "out.csv")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stderr.strip().splitlines()[-1])


def rows(few: int, many: int) -> Iterator[Row]:
    rates = throughput(Classifier(current_run(), busy=True))
    yield Row("predict", spread(rates[:, 0], "photos/s"))
    yield Row("engine alone, ready pixels in the same batches", spread(rates[:, 1], "photos/s"))
    yield Row("predict over engine", percentages(rates[:, 0] / rates[:, 1]), "90%")
    peaks = []
    for number in (few, many):
        peaks.append(peak_megabytes(number))
        yield Row(f"peak memory, {number} photos", f"{peaks[-1]:.0f} MB")
    yield Row("the many over the few", f"{peaks[1] / peaks[0]:.2f} times", "at most 1.10")


def main() -> None:
    few, many = (int(number) for number in sys.argv[1:3] or NUMBERS)
    print(machine())
    show(rows(few, many))


if __name__ == "__main__":
    main()
