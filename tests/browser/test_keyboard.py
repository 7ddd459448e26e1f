"""Keyboard alone: from Home to a classified sample, a box on it, and the photos behind a cell of the matrix, by Tab, Enter and letters."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.waiting import canvas_shown, shown

pytestmark = pytest.mark.browser

MOST_TABS = 60
HAS_FOCUS = "element => element.contains(document.activeElement)"


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until a target has the focus; the focus must show."""
    shown(target)
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        if target.evaluate(HAS_FOCUS):
            return
    raise AssertionError(f"{MOST_TABS} times {key} do not lead to {target}")


def test_a_batch_is_classified_and_looked_through(server, open_page):
    page = open_page(f"{server}/Batch")
    tab_to(page, page.get_by_role("button", name="Try samples"))
    page.keyboard.press("Enter")
    shown(page.get_by_text("Classified", exact=True))
    tab_to(page, page.get_by_role("radio", name="All"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    shown(page.get_by_role("radio", name="Needs review", checked=True))
    tab_to(page, page.get_by_test_id("stDownloadButton").get_by_role("button").first)


def test_a_stage_of_the_history_is_chosen(server, open_page):
    page = open_page(f"{server}/Training_history?runs=20261123-163910-reference")
    shown(page.get_by_role("heading", name="Training history", exact=True))
    stages = page.locator("[class*=st-key-stage-]")
    chosen = stages.get_by_role("radio", checked=True)
    expect(chosen).to_have_count(1)
    last = chosen.inner_text()
    tab_to(page, stages)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(chosen).not_to_have_text(last)


def test_from_home_to_a_box_on_a_sample_and_to_a_cell_of_the_matrix(server, open_page):
    page = open_page(server)
    shown(page.get_by_text("with picture and heat map"))
    tab_to(page, page.get_by_role("button", name="Shirts", exact=True))
    page.keyboard.press("Enter")
    shown(page.get_by_role("heading", name="Classify", exact=True))
    canvas_shown(page)

    tab_to(page, page.locator(".st-key-panel").get_by_role("radio").first)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Left, top, width and height"))
    page.keyboard.type("0, 40, 480, 300")
    page.keyboard.press("Enter")
    shown(page.get_by_text("Box 1 · 480 × 300 px"))

    tab_to(page, page.get_by_test_id("stTopNavLink").filter(has_text="Confusion matrix"), "Shift+Tab")
    page.keyboard.press("Enter")
    shown(page.get_by_role("heading", name="Confusion matrix", exact=True))

    for label, name in (("True class", "Tops"), ("Predicted class", "T-shirts")):
        tab_to(page, page.get_by_role("combobox", name=label, exact=True))
        page.keyboard.type(name)
        shown(page.get_by_role("option", name=name, exact=True))
        page.keyboard.press("Enter")
    shown(page.get_by_text(re.compile(r"\d+ of \d+ Tops predicted as T-shirts")).first)
