"""Simulated users at a real server for a long while: does it err, grow, or keep files open?

    python -m benchmarks.soak --minutes 60         # 2 minutes as part of `make bench`

Each user is a Chromium window of its own that comes, uploads good and bad photos, switches pages, exports, leaves, and comes again. Printed
are what they did, what failed, the server's memory as median of each sixth of the time (ten minutes of an hour), and its open file handles
when nobody is there, after a first visit and after a last one, when the others' are forgotten. Exits with 1 if the server logged an error
or answered with one, a page showed one, an action failed or handles stayed open; from half an hour on also if memory grew by more than 10%
(before that the server is still warming up).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect

from benchmarks.report import machine
from benchmarks.sessions import megabytes
from core.samples import garments
from tests.browser.conftest import CHROMIUM_OPTIONS, ROOT, free_port, wait_for

PATIENCE = 120_000  # milliseconds; a busy machine is no failure
expect.set_options(timeout=PATIENCE)
PAUSE = (0.5, 3.0)  # seconds a user looks at what there is
SAMPLE_SECONDS = 5.0
CLOSING_SECONDS = 10.0  # until the connections of those who left are closed
KEPT_SECONDS = 125.0  # Streamlit keeps a visit that has ended, with an event loop's handles, for two minutes and until another one begins
ONE_VISIT = 0.0  # minutes
WARM_MINUTES = 30.0  # a run as long as this is judged by its growth too
MOST_GROWTH = 1.10  # of memory
SPARE_HANDLES = 8  # more than after the first visit
LOGGED_ERROR = re.compile(r"Traceback|\berror\b", re.IGNORECASE)
UNREADABLE = {"notes.jpg": b"this is no photo", "<b>half</b>.jpg": b"\xff\xd8\xff\xe0 and no more", "empty.png": b""}


@dataclass
class Record:
    """What happened: sessions begun, downloads asked for twice, actions done, failures in words, the server's memory in MB by and by, and
    its open handles when nobody is there, after each crowd."""

    sessions: int = 0
    asked_twice: int = 0
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def note_answer(self, status: int, url: str) -> None:
        """Take an answer of the server's; from 500 on it is a failure."""
        if status >= 500:
            self.failures.append(f"the server answered {status} for {url}")


def photo(seed: int) -> tuple[str, bytes]:
    """Name and JPEG of a drawn garment, like no other of the run."""
    name, buffer = garments.SAMPLE_NAMES[seed % len(garments.SAMPLE_NAMES)], io.BytesIO()
    garments.sample(name, seed, (900, 1200)).save(buffer, "JPEG", quality=90)
    return f"{name} {seed}.jpg", buffer.getvalue()


def archive(seed: int) -> bytes:
    """A zip of four photos and one file that is none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(4):
            file.writestr(*photo(1000 * seed + number))
        file.writestr("broken.jpg", b"\xff\xd8 and no more")
    return buffer.getvalue()


@contextmanager
def server(log: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The dashboard on a free port, writing to a log; gives its address and process."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "Home.py", "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=output, stderr=output)
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


async def visit(page: Page, address: str, seed: int, record: Record) -> None:
    """One visit, from coming to leaving."""
    record.sessions += 1
    page.on("response", lambda answer: record.note_answer(answer.status, answer.url))
    for action in (classify, batch, history, matrix, home):
        await action(page, address, seed, record)
        record.done[action.__name__] += 1
        shown = await page.locator("[data-testid=stException]").count()
        shown += await page.get_by_text("Unexpected error (id").count()
        if shown:
            record.failures.append(f"{action.__name__} shows an error (user's seed {seed})")
        await asyncio.sleep(random.uniform(*PAUSE))


async def classify(page: Page, address: str, seed: int, record: Record) -> None:
    """Two photos and one that is none; the answer, and its export."""
    await page.goto(f"{address}/Classify")
    bad = random.choice([*UNREADABLE])
    files = [*(photo(seed + number) for number in range(2)), (bad, UNREADABLE[bad])]
    await page.locator("input[type=file]").first.set_input_files(payload(files))
    await expect(page.locator(".verdict h2")).to_be_visible()
    await expect(page.get_by_text(f"{bad} is").first).to_be_visible()
    await export(page, "JSON", record)


async def batch(page: Page, address: str, seed: int, record: Record) -> None:
    """A zip, its table, and the CSV of it."""
    await switch(page, "Batch")
    await page.locator("input[type=file]").first.set_input_files(payload([("photos.zip", archive(seed))]))
    await expect(page.get_by_text("1 could not be read; the others are classified.").first).to_be_visible()
    await export(page, "Export CSV", record)


async def history(page: Page, address: str, seed: int, record: Record) -> None:
    """The curves."""
    await switch(page, "Training history")
    await expect(page.locator("[data-testid=stPlotlyChart]").first).to_be_visible()


async def matrix(page: Page, address: str, seed: int, record: Record) -> None:
    """The matrix."""
    await switch(page, "Confusion matrix")
    await expect(page.locator("[data-testid=stPlotlyChart]").first).to_be_visible()


async def home(page: Page, address: str, seed: int, record: Record) -> None:
    """Back to the first page."""
    await switch(page, "Home")
    await expect(page.get_by_text("with picture and heat map").first).to_be_visible()


def payload(files: list[tuple[str, bytes]]) -> list:
    return [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]


async def switch(page: Page, title: str) -> None:
    await page.get_by_role("link", name=title, exact=True).first.click()  # above or beside the page
    await expect(
        page.get_by_role("heading", name="Recognise clothes in a photo" if title == "Home" else title, exact=True).first
    ).to_be_visible()


async def export(page: Page, label: str, record: Record) -> None:
    """Take a file away, asking a second time if the page was just being drawn anew: Streamlit then may have dropped the file."""
    await expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    for last in (False, True):
        async with page.expect_download() as download:
            await page.get_by_role("button", name=label, exact=True).click()
        if await (await download.value).failure() is None:
            break
        if last:
            raise AssertionError(f"{label} cannot be downloaded")
        record.asked_twice += 1
        await asyncio.sleep(1)
    assert (await (await download.value).path()).stat().st_size > 0


async def user(browser: Browser, address: str, number: int, end: float, record: Record) -> None:
    """One visit, and more until the time is up; a visit that fails is noted, and the next one comes."""
    visits = 0
    while not visits or time.monotonic() < end:
        context: BrowserContext = await browser.new_context(viewport={"width": 1440, "height": 1000})
        try:
            page = await context.new_page()
            page.set_default_timeout(PATIENCE)
            await visit(page, address, 10_000 * number + 10 * visits, record)
        except Exception as error:
            told = " ".join(str(error).split())
            record.failures.append(f"user {number}, visit {visits}: {type(error).__name__}: {told:.500}")
        finally:
            await context.close()
        visits += 1


async def watch(process: psutil.Process, end: float, record: Record) -> None:
    while time.monotonic() < end:
        record.memory.append(megabytes(process))
        await asyncio.sleep(SAMPLE_SECONDS)


async def crowd(
    playwright: Playwright, address: str, process: psutil.Process, minutes: float, users: int, record: Record
) -> None:
    """Users who come, visit for so many minutes, and leave; then the server's open handles."""
    end = time.monotonic() + 60 * minutes
    browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_OPTIONS)
    visitors = (user(browser, address, number, end, record) for number in range(users))
    await asyncio.gather(watch(process, end, record), *visitors)
    await browser.close()
    await asyncio.sleep(CLOSING_SECONDS)
    record.handles.append(process.num_fds())


async def soak(address: str, process: psutil.Process, minutes: float, users: int) -> Record:
    """Let one user in, so that all is loaded, then the users for so many minutes, and one more when their visits are forgotten."""
    first, record, last = Record(), Record(), Record()
    async with async_playwright() as playwright:
        await crowd(playwright, address, process, ONE_VISIT, 1, first)
        await crowd(playwright, address, process, minutes, users, record)
        await asyncio.sleep(KEPT_SECONDS)
        await crowd(playwright, address, process, ONE_VISIT, 1, last)
    record.failures += first.failures + last.failures
    record.handles = first.handles + last.handles
    return record


def verdict(record: Record, log: str, minutes: float) -> list[str]:
    """Print the figures; return what must not have happened."""
    failures = [*record.failures, *(line for line in log.splitlines() if LOGGED_ERROR.search(line))]
    part = max(1, len(record.memory) // 6)
    sixths = [statistics.median(record.memory[i * part : (i + 1) * part]) for i in range(min(6, len(record.memory)))]
    listed = ", ".join(f"{sixth:.0f}" for sixth in sixths)
    print(f"memory: {listed} MB by sixths of the time, {max(record.memory):.0f} MB at most")
    if minutes >= WARM_MINUTES and sixths[-1] > sixths[0] * MOST_GROWTH:
        failures.append(f"memory grew from {sixths[0]:.0f} to {sixths[-1]:.0f} MB")
    first, last = record.handles
    print(f"open handles with nobody there: {first} after a first visit, {last} after the last")
    if last > first + SPARE_HANDLES:
        failures.append(f"open handles grew from {first} to {last}")
    return failures


def main() -> int:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    line.add_argument("--minutes", type=float, default=2.0)
    line.add_argument("--users", type=int, default=5)
    options = line.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with server(log) as (address, process):
            record = asyncio.run(soak(address, process, options.minutes, options.users))
        logged = log.read_text(errors="replace")
    print(
        f"{options.users} users, {options.minutes:g} minutes: {record.sessions} sessions, "
        f"{sum(record.done.values())} actions {dict(record.done)}, "
        f"{record.asked_twice} downloads asked for twice"
    )
    failures = verdict(record, logged, options.minutes)
    print("\n".join(failures) or "no failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
