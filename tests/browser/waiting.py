"""Waiting for a page of Streamlit, which keeps the elements of before beside the new ones while its script runs.

Playwright waits for one element to come, but refuses two at once for good; so a test waits with these until one is left.
"""

from playwright.sync_api import Locator, Page, expect


def at_rest(page: Page) -> None:
    """Until the page's script has ended; at once if it has not started yet."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()


def shown(locator: Locator) -> None:
    """Until one such element can be seen, the one before having gone, and the page has come to rest."""
    visible = locator.filter(visible=True)
    expect(visible).to_have_count(1)
    at_rest(locator.page)
    expect(visible).to_have_count(1)


def canvas_shown(page: Page) -> None:
    """Until the canvas of the photo stands."""
    shown(page.locator("canvas.upper-canvas"))
