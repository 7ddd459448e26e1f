"""How long a visitor waits for what they do, measured in a real browser on this machine, from the gesture to the changed page.

    python -m benchmarks.interaction

Needs Chromium. Each gesture is repeated on a warm server; the clock is the browser's own, started by the event and stopped by the
change of the page, so that network, server and drawing are all in it.
"""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import Row, machine, show, spread
from core.samples.garments import sample
from tests.browser.conftest import CHROMIUM_OPTIONS, PATIENCE, running_server

REPEATS = 7
TWELVE_MEGAPIXELS = (3024, 4032)
SETTLE_MS = 1500  # between two gestures, so that no rerun of the one is under way in the next

# Elements inside the components of the page, which have roots of their own.
INSIDE = """const inside = (selector) => [...document.querySelectorAll("*")]
  .flatMap((element) => [...(element.shadowRoot?.querySelectorAll(selector) ?? [])]);"""
STOPWATCH = """([event, done]) => {
  const finished = new Function(done);
  window.waited = new Promise((resolve) => {
    let start = null;
    document.addEventListener(event, () => { start ??= performance.now(); }, {capture: true, once: true});
    const look = () => (start !== null && finished()) ? resolve(performance.now() - start) : requestAnimationFrame(look);
    requestAnimationFrame(look);
  });
}"""
UPLOADED = f"""() => new Promise((resolve) => {{
  {INSIDE}
  const look = () => {{
    const sent = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("upload_file"));
    const done = sent.length && inside(".bar-name").length;
    return done ? resolve(performance.now() - sent[0].responseEnd) : requestAnimationFrame(look);
  }};
  look();
}})"""


@dataclass(frozen=True)
class Gesture:
    """What a visitor does, and the wait that is aimed at, in milliseconds."""

    name: str
    aim: int


UPLOAD = Gesture("12-megapixel photo, from the upload's end to its answer and heat map", 2000)
BOX = Gesture("box drawn, from letting go to its card", 120)
SLIDER = Gesture("slider moved, from the key to the changed bars", 100)
CELL = Gesture("cell of the matrix clicked, to its photos in words", 150)
PAGE = Gesture("page changed, from the click to its first chart", 400)
CELL_CHOSEN = 'return document.body.innerText.includes("What these photos have in common")'
PAGE_CHANGED = """return location.pathname.endsWith("Training_history")
  && document.querySelector("[data-testid=stPlotlyChart] .main-svg") !== null"""


def timed(page: Page, event: str, done: str, gesture) -> float:
    """Milliseconds from an event that a gesture makes until a JavaScript condition holds."""
    page.evaluate(STOPWATCH, [event, done])
    gesture()
    milliseconds = page.evaluate("() => window.waited")
    page.wait_for_timeout(SETTLE_MS)
    return milliseconds


def phone_photo(seed: int) -> bytes:
    """A JPEG as large as a phone's, drawn in code."""
    buffer = io.BytesIO()
    sample("Shirts", seed).resize(TWELVE_MEGAPIXELS).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def upload(browser: Browser, address: str, seed: int) -> tuple[Page, float]:
    """A page with a photo on it, and how long its answer took."""
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    uploader = page.locator("input[type=file]").first
    uploader.wait_for(state="attached")
    page.wait_for_timeout(SETTLE_MS)
    uploader.set_input_files({"name": "phone.jpg", "mimeType": "image/jpeg", "buffer": phone_photo(seed)})
    waited = page.evaluate(UPLOADED)
    page.wait_for_timeout(SETTLE_MS)
    return page, waited


def draw_box(page: Page) -> float:
    """Drag a box on the photo."""
    area, boxes = page.locator(".paper").bounding_box(), page.locator(".chip").count()
    assert area

    def drag() -> None:
        page.mouse.move(area["x"] + 20, area["y"] + 20)
        page.mouse.down()
        page.mouse.move(area["x"] + 200, area["y"] + 260, steps=5)
        page.mouse.up()

    return timed(page, "pointerup", f"{INSIDE} return inside('.chip').length > {boxes}", drag)


def move_slider(page: Page) -> float:
    """One class more in the list."""
    page.get_by_role("slider", name="Results shown").focus()
    bars = page.locator(".bar-name").count()
    done = f"{INSIDE} return inside('.bar-name').length > {bars}"
    return timed(page, "keydown", done, lambda: page.keyboard.press("ArrowRight"))


def click_cell(page: Page, address: str) -> float:
    """Click the cell at the top left of the matrix, of correct predictions."""
    page.goto(address)
    matrix = page.locator(".st-key-matrix_chart .nsewdrag")
    matrix.wait_for()
    page.wait_for_timeout(SETTLE_MS)
    area = matrix.bounding_box()
    assert area
    page.mouse.move(area["x"] + 4, area["y"] + 4)
    page.mouse.move(area["x"] + 8, area["y"] + 8)
    page.wait_for_timeout(200)  # Plotly looks where the pointer is every 50 ms
    return timed(page, "pointerdown", CELL_CHOSEN, lambda: page.mouse.click(area["x"] + 8, area["y"] + 8))


def change_page(page: Page) -> float:
    """Go on to the training history."""
    link = page.get_by_role("link", name="Training history", exact=True).first  # above or beside the page
    return timed(page, "click", PAGE_CHANGED, link.click)


def measure(browser: Browser, server: str) -> dict[Gesture, list[float]]:
    """Waits of every gesture in milliseconds, the first upload left out: it warms the server."""
    address = f"{server}/Classify"
    upload(browser, address, 0)[0].close()
    found: dict[Gesture, list[float]] = {UPLOAD: [], BOX: [], SLIDER: [], CELL: [], PAGE: []}
    for seed in range(1, REPEATS + 1):
        page, waited = upload(browser, address, seed)
        found[UPLOAD].append(waited)
        found[SLIDER].append(move_slider(page))
        found[BOX].append(draw_box(page))
        found[CELL].append(click_cell(page, f"{server}/Confusion_matrix"))
        found[PAGE].append(change_page(page))
        page.close()
    return found


def main() -> None:
    """Measure and print a line a gesture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is needed for this measurement; on Debian: apt-get install chromium")
    with running_server() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        found = measure(browser, server)
        browser.close()
    print(machine())
    show(Row(gesture.name, spread(waits, "ms", 0), f"{gesture.aim} ms") for gesture, waits in found.items())


if __name__ == "__main__":
    main()
