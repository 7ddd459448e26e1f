"""Boxes on the classify page's canvas, moved, resized, deleted and undone in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.samples import garments
from tests.browser.test_classify_page import draw, upload
from tests.browser.waiting import canvas_shown, shown

pytestmark = pytest.mark.browser

SIZE = (960, 1280)
BOX = (200, 200, 600, 700)
TOLERANCE = 12  # pixels of the photo: four of the canvas, for its lines and handles have a width


@pytest.fixture
def page(server, open_page, tmp_path: Path) -> Page:
    """A photo with one box on it."""
    path = tmp_path / "shirt.png"
    garments.sample("Shirts", size=SIZE).save(path)
    page = open_page(f"{server}/Classify")
    upload(page, path)
    canvas_shown(page)
    draw(page, BOX, SIZE)
    assert region(page) == pytest.approx(BOX, abs=TOLERANCE)
    return page


def region(page: Page, number: int = 1) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a region as its card says."""
    title = page.get_by_text(f"Region {number} ·")
    shown(title)
    canvas_shown(page)
    numbers = re.search(r"(\d+) × (\d+) pixels at \((\d+), (\d+)\)", title.inner_text())
    assert numbers
    width, height, left, top = map(int, numbers.groups())
    return left, top, left + width, top + height


def tool(page: Page, name: str) -> None:
    """Press a button of the canvas's toolbar, which stands there while the pointer is over the photo."""
    page.locator("canvas.upper-canvas").hover()
    page.get_by_role("button", name=name, exact=True).click()


def moved(page: Page, *expected: int) -> None:
    """Wait until region 1 is where it should be."""
    for _ in range(20):
        if region(page) == pytest.approx(expected, abs=TOLERANCE):
            return
        page.wait_for_timeout(250)
    assert region(page) == pytest.approx(expected, abs=TOLERANCE)


def test_a_box_is_moved_with_the_pencil(page):
    tool(page, "Edit")
    draw(page, (400, 450, 500, 500), SIZE)
    moved(page, 300, 250, 700, 750)


def test_a_box_is_resized_at_its_sides_and_in_proportion_at_its_corners(page):
    tool(page, "Edit")
    page.mouse.click(*at(page, 400, 450))
    draw(page, (600, 450, 700, 450), SIZE)
    moved(page, 200, 200, 700, 700)
    draw(page, (700, 700, 800, 800), SIZE)
    moved(page, 200, 200, 800, 800)


def at(page: Page, x: int, y: int) -> tuple[float, float]:
    """Where a pixel of the photo is on the screen."""
    area = page.locator("canvas.upper-canvas").bounding_box()
    assert area
    return area["x"] + x * area["width"] / SIZE[0], area["y"] + y * area["height"] / SIZE[1]


def test_a_box_is_deleted_alone_and_the_others_keep_their_numbers(page):
    draw(page, (650, 800, 900, 1200), SIZE)
    shown(page.get_by_text("Region 2 ·"))
    second = region(page, 2)
    tool(page, "Edit")
    page.mouse.click(*at(page, 400, 450))
    tool(page, "Delete selected")
    expect(page.get_by_text("Region 1 ·")).to_have_count(0)
    assert region(page, 2) == second


DRAW_AT_ONCE = """(canvas, boxes) => {
    const area = canvas.getBoundingClientRect();
    const fire = (target, type, x, y, buttons) => target.dispatchEvent(new MouseEvent(type, {
        clientX: area.left + x * area.width, clientY: area.top + y * area.height, buttons, bubbles: true, cancelable: true,
    }));
    for (const [left, top, right, bottom] of boxes) {
        fire(canvas, "mousedown", left, top, 1);
        fire(document, "mousemove", right, bottom, 1);
        fire(document, "mouseup", right, bottom, 0);
    }
}"""


def test_boxes_drawn_before_the_first_is_answered_get_numbers_of_their_own(page):
    boxes = [(left / SIZE[0], 800 / SIZE[1], (left + 120) / SIZE[0], 1000 / SIZE[1]) for left in (620, 760)]
    page.locator("canvas.upper-canvas").evaluate(DRAW_AT_ONCE, boxes)
    for number in (2, 3):
        shown(page.get_by_text(f"Region {number} ·"))
    for number, left in ((2, 620), (3, 760)):
        assert region(page, number) == pytest.approx((left, 800, left + 120, 1000), abs=TOLERANCE)


def test_a_number_typed_over_does_no_harm(page):
    tool(page, "Edit")
    page.mouse.click(*at(page, 400, 450))
    page.mouse.click(*at(page, 400, 450))
    page.keyboard.press("Control+a")
    page.keyboard.type("0")
    page.mouse.click(*at(page, 800, 1200))
    draw(page, (400, 450, 500, 500), SIZE)  # which moves it
    moved(page, 300, 250, 700, 750)
    shown(page.get_by_text("Whole photo · "))


def test_undo_takes_the_last_box_back_and_redo_brings_it_again(page):
    before = region(page)
    tool(page, "Undo")
    expect(page.get_by_text("Region 1 ·")).to_have_count(0)
    tool(page, "Redo")
    assert region(page) == before


def test_a_box_dragged_over_the_edge_ends_there(page):
    tool(page, "Edit")
    draw(page, (400, 450, 60, 450), SIZE)
    moved(page, 0, 200, 260, 700)
