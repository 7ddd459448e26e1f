"""Many people at one server: what a visitor waits for with 20 and 50 at once, as a ratio of what one alone waits for.

    python -m benchmarks.load --users 20 50 --uploads 2000

Each visitor is a session with an address of its own on a real server (`benchmarks.sessions`). With the classify page
open they upload photos as large as a phone sends them, one after another, none like any other, and wait for each
until the page has sent all of the answer, heat map included. Two loads:

- people, the load that the target is for: each looks at an answer for 2 to 6 s, then drops the next photo. That is quick: finding the
  next file alone takes most people longer.
- no pause: each drops the next photo in the very moment the answer is there. All processors are busy then, so that 20 visitors
  wait at least 20 / cores times as long as one whose photo keeps one core busy, however the work is shared out.

Then a few people beside one greedy visitor, whose zip of 200 MB is being classified, or who has 50 tabs that upload
photos of 64 megapixels without a pause: their waits over those without that visitor.

Every answer is compared with the network's own to that photo, asked directly: nobody may get another's. Then memory:
visitors who come, upload a few photos and leave, until there were so many uploads. Streamlit keeps what a visitor had
for two minutes after they left, for they might only have lost the connection: memory grows until the first of these
are let go, and is to stay there.

The visitors run on the same machine as the server; how much of a core they take is printed.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.report import Row, machine, show, spread
from benchmarks.sessions import Server, Session, running_server
from core import Classifier
from core.images.decode import decode_photo
from core.samples import garments
from core.ui.photo_field import UPLOADER

PHOTOS, LOOKING = 4, 4.0
UPLOADS_A_VISIT, STEP = 5, 200
SIZE = (900, 1200)  # which the page decodes in full
MOST_WAITING = 6  # times as long as alone
QUIET, QUIET_PHOTOS, MOST_SLOWED = 3, 8, 2  # visitors beside a greedy one, their photos, and times as long as without
ZIP_BYTES, ZIP_PHOTO, TABS, TAB_PHOTO = 200 * 10**6, (3024, 4032), 50, (8000, 8000)
KEPT = 120  # seconds for which Streamlit keeps what a visitor had after they left
GREEDY = "10.99.0.1"
SAME = 1e-3  # probabilities of a photo alone and in a batch differ by less


class Answer(NamedTuple):
    """What a visitor was told.

    Args:
        visitor: number of the visitor.
        number: of the photo among the visitor's.
        seconds: until it was there.
        record: the page's own export of it.
    """

    visitor: int
    number: int
    seconds: float
    record: dict


@functools.cache
def garment(visitor: int) -> Image.Image:
    return garments.sample(garments.SAMPLE_NAMES[visitor % len(garments.SAMPLE_NAMES)], 0, SIZE)


def photo(visitor: int, number: int) -> bytes:
    """A JPEG like no other visitor's and no other of this visitor's."""
    tint = tuple(np.random.default_rng((visitor, number)).integers(0, 256, 3).tolist())
    buffer = io.BytesIO()
    Image.blend(garment(visitor % len(garments.SAMPLE_NAMES)), Image.new("RGB", SIZE, tint), 0.3).save(
        buffer, "JPEG", quality=90
    )
    return buffer.getvalue()


def file_name(visitor: int, number: int) -> str:
    return f"visitor {visitor} photo {number}.jpg"


def ask(session: Session, visitor: int, number: int, data: bytes) -> Answer:
    """Upload a photo and wait for its answer; what a browser does after that is not counted."""
    start = time.perf_counter()
    session.upload(UPLOADER, file_name(visitor, number), data)
    seconds = time.perf_counter() - start
    records = json.loads(session.download("JSON"))
    return Answer(visitor, number, seconds, next(row for row in records if row["photo"] == file_name(visitor, number)))


def visit(
    server: Server, visitor: int, photos: int, looking: float, together: threading.Barrier | None
) -> list[Answer]:
    """One visitor's photos, with 0.5 to 1.5 times `looking` seconds before each."""
    random = np.random.default_rng(visitor)
    data = [photo(visitor, number) for number in range(photos)]
    with Session(server.address, "Classify", f"10.0.{visitor // 256}.{visitor % 256}") as session:
        if together:
            together.wait()
        answers = []
        for number in range(photos):
            time.sleep(looking * random.uniform(0.5, 1.5))
            answers.append(ask(session, visitor, number, data[number]))
    return answers


def at_once(server: Server, visitors: range, looking: float, photos: int | None = None) -> list[Answer]:
    """The answers to visitors who all come at the same moment."""
    together = threading.Barrier(len(visitors))
    with ThreadPoolExecutor(len(visitors)) as pool:
        visits = [pool.submit(visit, server, visitor, photos or PHOTOS, looking, together) for visitor in visitors]
        return [answer for done in visits for answer in done.result()]


def one_after_another(server: Server, visitors: range, users: int) -> tuple[list[Answer], list[tuple[float, float]]]:
    """The answers to visitors of whom so many are there at any time, and after every STEP uploads (seconds, the server's megabytes)."""
    answers, measured, start = [], [], time.monotonic()
    with ThreadPoolExecutor(users) as pool:
        for done in pool.map(lambda visitor: visit(server, visitor, UPLOADS_A_VISIT, 0.0, None), visitors):
            answers += done
            if len(answers) % STEP < UPLOADS_A_VISIT:
                measured.append((time.monotonic() - start, server.megabytes))
    return answers, measured


def wrong(classifier: Classifier, answers: list[Answer]) -> int:
    """How many of the answers are not those of the visitor's own photo."""
    return sum(not _is_own(classifier, answer) for answer in answers)


def _is_own(classifier: Classifier, answer: Answer) -> bool:
    own = decode_photo(photo(answer.visitor, answer.number))
    expected = dict(classifier.answer(classifier.read([(own, None)])[0]).ranking)
    told = {name[2:]: value for name, value in answer.record.items() if name.startswith("p ")}
    return answer.record["photo"] == file_name(answer.visitor, answer.number) and all(
        abs(expected[name] - value) < SAME for name, value in told.items()
    )


def load_rows(server: Server, users: list[int], classifier: Classifier) -> Iterator[Row]:
    """How long visitors wait alone and together, and whether each got their own answers."""
    at_once(server, range(1), 0.0)  # warm-up
    answers = at_once(server, range(1, 2), 0.0)
    waits = [answer.seconds for answer in answers]
    alone = float(np.median(waits))
    yield Row("one visitor alone waits", spread(waits, "s", 2))
    first = 100
    for number in users:
        for name, looking in (("people", LOOKING), ("without a pause", 0.0)):
            start, used = time.perf_counter(), time.process_time()
            done = at_once(server, range(first, first + number), looking)
            wall, used = time.perf_counter() - start, time.process_time() - used
            p50, p95 = np.percentile([answer.seconds for answer in done], [50, 95]) / alone
            aim = f"{MOST_WAITING} times" if looking else ""
            yield Row(
                f"{number} visitors, {name}: slowest twentieth", f"{p95:.1f} times as long (median {p50:.1f})", aim
            )
            rate = f"{len(done) / wall:.1f}/s (visitors took {used / wall:.0%} of a core)"
            yield Row(f"{number} visitors, {name}: answers", rate)
            answers += done
            first += number
    yield _wrong_row(classifier, answers)


def greedy_rows(server: Server) -> Iterator[Row]:
    """How much longer a few people wait beside a visitor who asks for much."""
    without = _waits_of_quiet(server, 2000)
    yield Row(f"{QUIET} visitors wait", spread(without, "s", 2))
    for first, name, works in (
        (2100, f"beside a zip of {ZIP_BYTES / 1e6:.0f} MB", [_zip_visitor]),
        (2200, f"beside {TABS} tabs", [_tab] * TABS),
    ):
        with _at_work(server, works):
            beside = _waits_of_quiet(server, first)
        median, slowest = np.percentile(beside, [50, 95]) / np.percentile(without, [50, 95])
        yield Row(f"{name}", f"{median:.1f} times (slowest twentieth {slowest:.1f})", f"{MOST_SLOWED} times")


def _waits_of_quiet(server: Server, first: int) -> list[float]:
    answers = at_once(server, range(first, first + QUIET), LOOKING, QUIET_PHOTOS)
    return [answer.seconds for answer in answers]


@contextmanager
def _at_work(server: Server, works: list[Callable[[Server, threading.Event], None]]) -> Iterator[None]:
    """Let one visitor, in a thread for each work, ask for much while the block runs."""
    over = threading.Event()
    with ThreadPoolExecutor(len(works)) as pool:
        begun = [pool.submit(work, server, over) for work in works]
        time.sleep(LOOKING)
        try:
            yield
        finally:
            over.set()
    for work in begun:
        work.result()


def _zip_visitor(server: Server, over: threading.Event) -> None:
    """Classifies a zip of phone photos, again and again."""
    archive = _archive()
    while not over.is_set():
        with Session(server.address, "Batch", GREEDY) as session:
            session.upload("batch_upload_Files", "photos.zip", archive, over)


def _tab(server: Server, over: threading.Event) -> None:
    """Uploads photos that take long to decode, without a pause."""
    data = _large_png()
    with Session(server.address, "Classify", GREEDY) as session:
        while not over.is_set():
            session.upload(UPLOADER, f"{uuid.uuid4().hex}.png", data, over)


@functools.cache
def _archive() -> bytes:
    buffer, photos = io.BytesIO(), []
    for seed in range(4):
        photos.append(io.BytesIO())
        noise = Image.effect_noise(tuple(ZIP_PHOTO), 20).convert("RGB")
        Image.blend(garments.sample("Shirts", seed).resize(ZIP_PHOTO), noise, 0.2).save(photos[-1], "JPEG", quality=90)
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(ZIP_BYTES // max(len(photo.getvalue()) for photo in photos)):
            archive.writestr(f"{number}.jpg", photos[number % len(photos)].getvalue())
    return buffer.getvalue()


@functools.cache
def _large_png() -> bytes:
    buffer = io.BytesIO()
    garments.sample("Shirts", 0).resize(TAB_PHOTO, Image.Resampling.NEAREST).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def memory_rows(server: Server, users: int, uploads: int, classifier: Classifier) -> Iterator[Row]:
    """What many uploads leave behind in memory, and whether each got its own answer."""
    visitors = range(1000, 1000 + -(-uploads // UPLOADS_A_VISIT))
    answers, measured = one_after_another(server, visitors, users)
    series = ", ".join(f"{megabytes:.0f}" for _, megabytes in measured)
    yield Row(f"memory after every {STEP} of {len(answers)} uploads", f"{series} MB")
    steady = [megabytes for seconds, megabytes in measured if seconds > KEPT]
    if len(steady) > 1:
        yield Row(
            f"memory at the end over {KEPT} s after the beginning", f"{steady[-1] / steady[0]:.2f} times", "1.1 times"
        )
    yield _wrong_row(classifier, answers)


def _wrong_row(classifier: Classifier, answers: list[Answer]) -> Row:
    return Row(
        "answers that were not to the visitor's own photo", f"{wrong(classifier, answers)} of {len(answers)}", "0"
    )


def rows(users: list[int], uploads: int = 2000, greedy: bool = True) -> Iterator[Row]:
    """All of it, each load on a server of its own."""
    classifier = Classifier.load()
    with running_server() as server:
        yield from load_rows(server, users, classifier)
    if greedy:
        with running_server() as server:
            yield from greedy_rows(server)
    if uploads:
        with running_server() as server:
            yield from memory_rows(server, users[0], uploads, classifier)


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument(
        "--users", type=int, nargs="+", default=[20, 50], metavar="N", help="visitors at once (default: 20 50)"
    )
    line.add_argument("--no-greedy", dest="greedy", action="store_false", help="leave out the greedy visitor")
    line.add_argument(
        "--uploads", type=int, default=2000, metavar="N", help="for the memory (default: 2000; 0: not measured)"
    )
    options = line.parse_args()
    print(machine())
    show(rows(options.users, options.uploads, options.greedy))


if __name__ == "__main__":
    main()
