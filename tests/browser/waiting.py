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
    """Until a photo stands on the classify page with its prediction, and can be drawn on."""
    shown(page.locator(".verdict h2"))
    expect(page.locator("canvas.upper-canvas")).to_have_count(1)
    page.wait_for_function(ALIGNED)


# The canvas lies over the photo, which has been loaded.
ALIGNED = """() => {
    const deep = (root, selector) => {
        for (const element of root.querySelectorAll("*")) {
            const found = element.shadowRoot && (element.shadowRoot.querySelector(selector) ?? deep(element.shadowRoot, selector));
            if (found) return found;
        }
        return null;
    };
    const photo = deep(document, "img.photo"), canvas = deep(document, "canvas.upper-canvas");
    if (!photo?.naturalWidth || !canvas) return false;
    const [a, b] = [photo.getBoundingClientRect(), canvas.getBoundingClientRect()];
    return ["left", "top", "right", "bottom"].every((side) => Math.abs(a[side] - b[side]) < 2);
}"""
