"""Many photos: how fast `predict` is beside the bare engine, and whether its memory depends on their number.

    python -m benchmarks.bulk            # or with two numbers of photos: python -m benchmarks.bulk 1000 100000

Throughput: `core.bulk.pipeline.predict` from JPEG bytes of catalogue size to records, over forward passes alone on ready pixels in the same
batches; rounds of both alternate. Memory: the peak of `python -m core predict --list` over a few and over many photos, each in a process
of its own (Linux); the paths of a list differ. Where the run can find garments, both for `python -m core find` as well, a tenth as many.
"""

from __future__ import annotations

import io
import itertools
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
from core.bulk.garments import find_all
from core.bulk.pipeline import BATCH, Request, predict
from core.images.sources import PhotoFile, batched
from core.inference.engine import Engine
from core.samples import garments

ROUNDS, BATCHES = 7, 8
CATALOGUE = (60, 80)
NUMBERS = (1000, 10_000)
LINKS = 1000  # names of one photo in a folder
FINDS, FOUND_IN = 8, (900, 1200)
PEAK = """
import resource, sys
from core.__main__ import main
main(sys.argv[1:])
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


def throughput_of_find(classifier: Classifier) -> np.ndarray:
    """Photos a second, (rounds, 2): `find_all` from JPEG bytes, and finding alone in decoded photos, one after another."""
    decoded = [garments.sample(name, 0, FOUND_IN) for name in garments.SAMPLE_NAMES[:FINDS]]
    files = [PhotoFile(f"{n}.jpg", partial(jpeg, n, FOUND_IN)) for n in range(FINDS)]
    rows = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        done = sum(1 for _ in find_all(classifier, files))
        middle = time.perf_counter()
        for image in decoded:
            classifier.find(image)
        rows.append((done / (middle - start), done / (time.perf_counter() - middle)))
    return np.array(rows[1:])


def peak_megabytes(command: str, photos: int) -> float:
    """Largest memory of a process that classifies, or finds the garments of, so many photos, each at a path of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), itertools.count(1)
        (folder / "of").mkdir()
        (folder / "of" / "0.jpg").write_bytes(jpeg(0, (1200, 1600)))
        for number in range(1, min(photos, LINKS)):
            (folder / "of" / f"{number}.jpg").hardlink_to(folder / "of" / "0.jpg")
        folders = [folder / "of"]
        while len(folders) * LINKS < photos:
            folders.append(folder / f"of {next(count)}")
            folders[-1].symlink_to(folder / "of")
        listed = (f"{place}/{number}.jpg\n" for place in folders for number in range(min(photos, LINKS)))
        with (folder / "list.txt").open("w") as file:
            file.writelines(itertools.islice(listed, photos))
        given = ["--list", str(folder / "list.txt")] if command == "predict" else [*map(str, folders)]
        line = [sys.executable, "-c", PEAK, command, *given, "--csv", str(folder / "out.csv")]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    return float(done.stderr.strip().splitlines()[-1])


def rows(few: int, many: int) -> Iterator[Row]:
    classifier = Classifier(current_run(), busy=True)
    rates = throughput(classifier)
    yield Row("predict", spread(rates[:, 0], "photos/s"))
    yield Row("engine alone, ready pixels in the same batches", spread(rates[:, 1], "photos/s"))
    yield Row("predict over engine", percentages(rates[:, 0] / rates[:, 1]), "90%")
    yield from memory_rows("predict", few, many)
    if classifier.finds:
        rates = throughput_of_find(classifier)
        yield Row("find", spread(rates[:, 0], "photos/s"))
        yield Row("find over finding in decoded photos", percentages(rates[:, 0] / rates[:, 1]), "90%")
        yield from memory_rows("find", few // 10, many // 10)


def memory_rows(command: str, few: int, many: int) -> Iterator[Row]:
    peaks = []
    for number in (few, many):
        peaks.append(peak_megabytes(command, number))
        yield Row(f"{command}: peak memory, {number} photos", f"{peaks[-1]:.0f} MB")
    yield Row(f"{command}: the many over the few", f"{peaks[1] / peaks[0]:.2f} times", "at most 1.10")


def main() -> None:
    few, many = (int(number) for number in sys.argv[1:3] or NUMBERS)
    print(machine())
    show(rows(few, many))


if __name__ == "__main__":
    main()
