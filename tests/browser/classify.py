"""What visitors do on the classify page: add photos, draw with the mouse or a finger, read what is shown."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.waiting import at_rest, canvas_shown, shown

Box = tuple[float, float, float, float]
Size = tuple[int, int]
REST = 120  # milliseconds that a finger rests before it is lifted: without, it is a swipe, and a tap soon after only stops that
BETWEEN_TOUCHES = 350  # milliseconds; one that comes sooner than a person's is taken for the second tap of two
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


def upload(page: Page, *paths: Path) -> None:
    field = page.locator("input[type=file]")
    expect(field).to_have_count(1)
    field.set_input_files([str(path) for path in paths])


def on_screen(page: Page, x: float, y: float, size: Size) -> tuple[float, float]:
    """Where a pixel of the photo is in the window."""
    area = page.locator(".paper").bounding_box()
    assert area
    return area["x"] + x * area["width"] / size[0], area["y"] + y * area["height"] / size[1]


def drag(page: Page, box: Box, size: Size) -> None:
    """Drag the mouse from a box's first corner to its last, in pixels of a photo of a size."""
    page.mouse.move(*on_screen(page, box[0], box[1], size))
    page.mouse.down()
    page.mouse.move(*on_screen(page, box[2], box[3], size), steps=8)
    page.mouse.up()


draw = drag


def touch(page: Page, *points: tuple[float, float]) -> None:
    """A finger put down at the first point of the window, moved through the others and lifted, as a phone tells of it."""
    session = page.context.new_cdp_session(page)

    def tell(kind: str, *at: tuple[float, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]})

    tell("touchStart", points[0])
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        for step in range(1, 7):
            tell("touchMove", (x0 + (x1 - x0) * step / 6, y0 + (y1 - y0) * step / 6))
    page.wait_for_timeout(REST)
    tell("touchEnd")
    session.detach()
    page.wait_for_timeout(BETWEEN_TOUCHES)


def finger(page: Page, box: Box, size: Size) -> None:
    """Drag a finger from a box's first corner to its last."""
    touch(page, on_screen(page, box[0], box[1], size), on_screen(page, box[2], box[3], size))


def tool(page: Page, name: str) -> Locator:
    """A button of the photo's tools: draw, edit, undo, remove, find or heat."""
    return page.locator(f"[data-tool={name}]")


def chip(page: Page, number: int) -> Locator:
    """The label on a box."""
    return page.locator(f".chip[data-hold=chip{number}]")


def selected(page: Page, name: str) -> None:
    """Until the card is that of a box."""
    shown(page.locator(".verdict .name").filter(has_text=re.compile(rf"^{name} · ")))


def region(page: Page) -> Box:
    """Left, top, right and bottom of the selected box, in pixels of the photo."""
    name = page.locator(".verdict .name")
    shown(name)
    width, height = map(int, re.findall(r"(\d+) × (\d+) px", name.inner_text())[0])
    left, top = map(int, re.findall(r"\d+", str(name.get_attribute("title"))))
    return left, top, left + width, top + height


def wait_for_region(page: Page, expected: Box, tolerance: float) -> None:
    """Until the selected box is where it should be."""
    for _ in range(40):
        found = region(page)
        if all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True)):
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{found} is not {expected}")


def opened(page: Page, *paths: Path) -> Page:
    """The page with photos on it, without boxes, ready to be drawn on."""
    upload(page, *paths)
    canvas_shown(page)
    if page.locator(".chip").count():
        page.locator("body").press("r")
        expect(page.locator(".chip")).to_have_count(0)
    at_rest(page)
    return page
