"""Make the pictures of README and docs anew: `make screenshots` (Chromium is needed; takes a minute or two).

They show the shipped run and samples drawn in code. Look at them before committing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from core.samples.garments import GALLERY_SEEDS, STREET, outfit, sample
from core.samples.garments import OUTFIT as GALLERY_OUTFIT
from tests.browser.conftest import CHROMIUM_OPTIONS, PATIENCE, ROOT, running_server

FOLDER = ROOT / "docs" / "screenshots"
OUTFIT_SEED, OUTFIT = GALLERY_SEEDS[GALLERY_OUTFIT], (960, 1280)
DESKTOP, PHONE = 1440, 390


def main() -> None:
    """Every picture, one server and one browser for all."""
    with running_server() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_OPTIONS)
        for scheme in ("light", "dark"):
            take(browser, server, "home", scheme, DESKTOP, 900)
            take(browser, f"{server}/Classify", "classify", scheme, DESKTOP, 900, with_two_boxes)
            take(browser, f"{server}/Classify", "classify", scheme, PHONE, 844, with_photo)
        take(browser, f"{server}/Classify?sample={quote(STREET)}", "street", "light", DESKTOP, 900, with_garments)
        take(browser, server, "home", "light", PHONE, 844)
        take(browser, server, "model-card", "light", DESKTOP, 900, with_card)
        take(browser, f"{server}/Training_history", "history", "light", DESKTOP, 1500)
        take(browser, f"{server}/Confusion_matrix", "confusion", "light", DESKTOP, 1300)
        take(browser, f"{server}/Batch", "batch", "light", DESKTOP, 900, with_many_photos)
        browser.close()


def take(
    browser: Browser,
    address: str,
    name: str,
    scheme: str,
    width: int,
    height: int,
    do: Callable[[Page], None] = lambda page: None,
) -> None:
    """One picture of a window, after something was done in it."""
    with opened(browser, scheme, width, height) as page:
        page.goto(address)
        at_rest(page)
        do(page)
        page.mouse.move(0, 0)
        at_rest(page)
        page.screenshot(path=FOLDER / f"{name}-{scheme}-{width}.png")


@contextmanager
def opened(browser: Browser, scheme: str, width: int, height: int) -> Iterator[Page]:
    """A window of its own."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def at_rest(page: Page) -> None:
    """Until the page has run and what fades has faded."""
    page.locator("h1").first.wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(3000)


def with_photo(page: Page) -> None:
    """Upload a drawn outfit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outfit.png"
        outfit(OUTFIT_SEED, OUTFIT)[0].save(path)
        page.locator("input[type=file]").first.set_input_files(path)
        page.locator(".verdict h2").wait_for()
        at_rest(page)


def with_two_boxes(page: Page) -> None:
    """Upload a drawn outfit and draw a box round each of its garments."""
    with_photo(page)
    page.keyboard.press("r")
    at_rest(page)
    for left, top, right, bottom in outfit(OUTFIT_SEED, OUTFIT)[1].values():
        area = page.locator(".paper").bounding_box()
        assert area
        scale = area["width"] / OUTFIT[0]
        page.mouse.move(area["x"] + left * scale, area["y"] + top * scale)
        page.mouse.down()
        page.mouse.move(area["x"] + right * scale, area["y"] + bottom * scale, steps=8)
        page.mouse.up()
        at_rest(page)


def with_garments(page: Page) -> None:
    """Until the garments of a photo are found."""
    page.locator(".chip").first.wait_for()


def with_many_photos(page: Page) -> None:
    """Upload a drawn garment of some kinds, and a file that is no photo."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.png" for name in ("Shirts", "Jeans", "Tshirts", "Skirts", "Blazers")]
        for path in paths:
            sample(path.stem, 1).save(path)
        paths.append(Path(folder) / "notes.jpg")
        paths[-1].write_text("no photo")
        page.locator("input[type=file]").first.set_input_files(paths)
        page.get_by_text("Classified").first.wait_for()
        at_rest(page)


def with_card(page: Page) -> None:
    """Open the model card."""
    page.get_by_role("button", name="Model card").click()
    page.get_by_role("dialog").wait_for()


if __name__ == "__main__":
    main()
