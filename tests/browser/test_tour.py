"""Presenter mode by its keys, as a presenter remote sends them."""

import re

import pytest
from playwright.sync_api import expect

from core.ui.tour.steps import STEPS
from tests.browser.waiting import at_rest, shown

pytestmark = pytest.mark.browser


def test_the_keys_lead_through_every_step_and_back(server, open_page):
    page = open_page(server)
    shown(page.get_by_text("with picture and heat map"))
    page.get_by_role("button", name="Presenter mode").click()
    shown(page.get_by_text(f"1 of {len(STEPS)}"))
    for number, step in enumerate(STEPS[1:], 2):
        page.keyboard.press("PageDown")
        shown(page.get_by_test_id("stBottom").get_by_text(step.title))
        shown(page.get_by_text(f"{number} of {len(STEPS)}"))
        if step.target:
            expect(page.locator(f".st-key-{step.target}")).to_be_in_viewport()
    expect(page.get_by_role("img", name=re.compile("QR code of http"))).to_be_visible()
    page.keyboard.press("PageUp")
    shown(page.get_by_text(f"{len(STEPS) - 1} of {len(STEPS)}"))
    at_rest(page)
    assert "matrix_true=" in page.url
