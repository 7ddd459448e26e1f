"""The story of a demonstration: from Home through every page to an exported report, in light and dark, wide and narrow.

Each page is compared with its picture in `baselines/`. After a wanted change of the layout make them anew and look at them:
`GARMENTS_BASELINES=new python -m pytest tests/browser/test_story.py`.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from core.runs import current_run
from tests.browser.layout import BASELINES, MOST_CHANGED, changed, shrunk

pytestmark = pytest.mark.browser

WINDOWS = {"light-1440": ("light", 1440, 900), "dark-390": ("dark", 390, 844)}
SETTLE = 1500  # milliseconds in which what fades has faded


def compare(page: Page, name: str) -> None:
    """The page now against its baseline."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLE)
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    now, path = shrunk(page.screenshot()), BASELINES / f"{name}.png"
    if os.environ.get("GARMENTS_BASELINES") == "new":
        now.save(path, optimize=True)
    share = changed(Image.open(path), now)
    assert share <= MOST_CHANGED, f"{share:.0%} of {name} looks otherwise than in {path.name}"


def go(page: Page, name: str, heading: str) -> None:
    """Follow the link in the sidebar, which on a phone is folded away and lies over the page."""
    unfold = page.get_by_test_id("stExpandSidebarButton")
    folded = unfold.is_visible()
    if folded:
        unfold.click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text=re.compile(f"^{name}$")).click()
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    if folded:
        page.get_by_role("button", name="Collapse sidebar").click()
        expect(unfold).to_be_visible()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("window", WINDOWS)
def test_from_home_through_every_page_to_a_report(server, open_page, tmp_path: Path, window):
    scheme, width, height = WINDOWS[window]
    page = open_page(server, width, height, color_scheme=scheme)
    expect(page.get_by_text("Classified and explained in")).to_be_visible()
    compare(page, f"home-{window}")

    go(page, "Classify", "Classify")
    page.get_by_role("button", name="Shirts", exact=True).click()
    expect(page.get_by_text("Whole photo ·")).to_be_visible()
    expect(page.locator("canvas.upper-canvas")).to_be_visible()
    compare(page, f"classify-{window}")

    go(page, "Training history", "Training history")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    compare(page, f"history-{window}")
    page.get_by_role("button", name="Take away").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Printable report").click()
    waiting.value.save_as(tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert current_run().run_id in report and report.lower().startswith("<!doctype html")

    go(page, "Confusion matrix", "Confusion matrix")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    compare(page, f"confusion-{window}")

    go(page, "Batch", "Batch")
    expect(page.get_by_test_id("stFileUploaderDropzone")).to_be_visible()
    compare(page, f"batch-{window}")


@pytest.mark.parametrize("name", [f"{page}-{window}" for page in ("home", "classify", "history") for window in WINDOWS])
def test_a_block_that_moved_is_seen(name):
    baseline = Image.open(BASELINES / f"{name}.png")
    moved = ImageChops.offset(baseline, 0, baseline.height // 4)
    assert changed(baseline, moved) > MOST_CHANGED


def test_other_figures_and_antialiasing_pass():
    baseline = Image.open(BASELINES / "home-light-1440.png")
    noise = np.random.default_rng(0).normal(0, 6, (baseline.height, baseline.width))
    other = Image.fromarray((np.asarray(baseline) + noise).clip(0, 255).astype(np.uint8))
    assert changed(baseline, other) <= MOST_CHANGED
    assert changed(baseline, baseline.crop((0, 0, baseline.width - 1, baseline.height))) == 1
