"""The story of a demonstration: from Home through every page to an exported report, wide and narrow.

Each page is compared with its pictures in `baselines/`, in light and in dark: the system's scheme changes while the page stands.
After a wanted change of the layout make them anew and look at them:
`GARMENTS_BASELINES=new python -m pytest tests/browser/test_story.py`.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from core.artifacts.run import current_run
from tests.browser.layout import BASELINES, MOST_CHANGED, changed, shrunk
from tests.browser.waiting import at_rest, canvas_shown, shown

pytestmark = pytest.mark.browser

WINDOWS = {1440: 900, 390: 844}
TALL = {1440: 1900, 390: 3200}  # heights in which a page is compared, so that little of it is out of sight
SCHEMES = ("light", "dark")
SETTLE = 1500  # milliseconds in which what fades has faded


def compare(page: Page, name: str, width: int) -> None:
    """The page now against its baselines, light and dark."""
    at_rest(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    page.mouse.move(0, 0)
    main = page.get_by_test_id("stMain")
    page.set_viewport_size({"width": width, "height": TALL[width]})
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(SETTLE)
        main.evaluate("main => main.scrollTo(0, 0)")
        now, path = shrunk(page.screenshot()), BASELINES / f"{name}-{scheme}-{width}.png"
        if os.environ.get("GARMENTS_BASELINES") == "new":
            now.save(path, optimize=True)
        share = changed(Image.open(path), now)
        assert share <= MOST_CHANGED, f"{share:.0%} of a part of {name} looks otherwise than in {path.name}"
    page.set_viewport_size({"width": width, "height": WINDOWS[width]})
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth"), f"{name} is wider than its window"


def go(page: Page, name: str, heading: str) -> None:
    """Follow the link above the page; on a phone the links are in a sidebar, which is folded away and lies over the page."""
    unfold = page.get_by_test_id("stExpandSidebarButton")
    folded = unfold.is_visible()
    if folded:
        unfold.click()
    links = page.get_by_test_id("stSidebarNav" if folded else "stTopNav")
    links.get_by_role("link", name=name, exact=True).click()
    shown(page.get_by_role("heading", name=heading, exact=True))
    if folded:
        page.get_by_role("button", name="Collapse sidebar").click()
        shown(unfold)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", WINDOWS)
def test_from_home_through_every_page_to_a_report(server, open_page, tmp_path: Path, width: int):
    page = open_page(server, width, WINDOWS[width])
    shown(page.get_by_text("with picture and heat map"))
    if width > 1000:
        assert page.get_by_test_id("stMain").evaluate("main => main.scrollHeight <= main.clientHeight")
    compare(page, "home", width)

    page.get_by_role("button", name="Shirts", exact=True).click()
    shown(page.get_by_role("heading", name="Classify", exact=True))
    canvas_shown(page)
    compare(page, "classify", width)

    go(page, "Batch", "Batch")
    page.get_by_role("button", name="Try samples").click()
    shown(page.get_by_test_id("stDataFrame").first)
    compare(page, "batch", width)

    go(page, "Confusion matrix", "Confusion matrix")
    page.get_by_role("button", name=re.compile(r"predicted as .*\(\d")).first.click()
    shown(page.get_by_text(re.compile(r"^id \d+")).first)
    expect(page.locator(".st-key-matrix_chart .nsewdrag")).to_have_count(1)
    compare(page, "confusion", width)

    go(page, "Training history", "Training history")
    shown(page.locator(".js-plotly-plot").first)
    compare(page, "history", width)
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report (HTML)").click()
    waiting.value.save_as(tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert current_run().run_id in report and report.lower().startswith("<!doctype html")


@pytest.mark.parametrize("width", WINDOWS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["home", "classify", "batch", "confusion", "history"])
def test_a_block_that_moved_is_seen(name: str, scheme: str, width: int):
    baseline = Image.open(BASELINES / f"{name}-{scheme}-{width}.png")
    moved = ImageChops.offset(baseline, 0, baseline.height // 4)
    assert changed(baseline, moved) > MOST_CHANGED


def test_other_figures_and_antialiasing_pass():
    baseline = Image.open(BASELINES / "home-light-1440.png")
    noise = np.random.default_rng(0).normal(0, 6, (baseline.height, baseline.width))
    other = Image.fromarray((np.asarray(baseline) + noise).clip(0, 255).astype(np.uint8))
    assert changed(baseline, other) <= MOST_CHANGED
    assert changed(baseline, baseline.crop((0, 0, baseline.width - 1, baseline.height))) == 1
