"""Boxes on the classify page's photo: drawn, moved, resized, deleted and undone with mouse, finger and keyboard in a real browser."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.samples import garments
from tests.browser.classify import (
    PHONE,
    chip,
    drag,
    finger,
    on_screen,
    opened,
    region,
    selected,
    tool,
    touch,
    wait_for_region,
)

pytestmark = pytest.mark.browser

SIZE = (960, 1280)
BOX = (200, 200, 600, 700)
TOLERANCE = 12  # pixels of the photo: four of the window, for pointers are told in whole ones


@pytest.fixture(scope="module")
def shirt(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "shirt.png"
    garments.sample("Shirts", size=SIZE).save(path)
    return path


@pytest.fixture
def page(server, open_page, shirt) -> Page:
    """A photo with one box on it, drawn with the mouse."""
    page = opened(open_page(f"{server}/Classify?propose=false"), shirt)
    drag(page, BOX, SIZE)
    selected(page, "Box 1")
    wait_for_region(page, BOX, TOLERANCE)
    return page


@pytest.fixture
def phone(server, open_page, shirt) -> Page:
    return opened(open_page(f"{server}/Classify?propose=false", **PHONE), shirt)


def test_a_box_is_moved_and_resized_with_the_mouse_and_a_tool_stays_the_same_element_for_a_tap_meanwhile(page):
    find = tool(page, "find").element_handle()
    tool(page, "edit").click()
    drag(page, (400, 450, 500, 500), SIZE)
    wait_for_region(page, (300, 250, 700, 750), TOLERANCE)
    drag(page, (700, 500, 800, 500), SIZE)
    wait_for_region(page, (300, 250, 800, 750), TOLERANCE)
    drag(page, (800, 750, 900, 1000), SIZE)
    wait_for_region(page, (300, 250, 900, 1000), TOLERANCE)
    assert find.evaluate("button => button.isConnected")


def test_a_box_dragged_over_the_edge_stays_whole_inside_the_photo(page):
    tool(page, "edit").click()
    drag(page, (400, 450, 60, 450), SIZE)
    wait_for_region(page, (0, 200, 400, 700), TOLERANCE)


@pytest.mark.parametrize("key", ["Delete", "Backspace"])
def test_a_key_deletes_the_selected_box_alone_and_the_others_keep_their_numbers(page, key):
    drag(page, (650, 800, 900, 1200), SIZE)
    selected(page, "Box 2")
    chip(page, 1).click()
    selected(page, "Box 1")
    page.keyboard.press(key)
    expect(chip(page, 1)).to_have_count(0)
    selected(page, "Box 2")
    tool(page, "undo").click()
    expect(chip(page, 1)).to_have_count(1)


def test_a_drag_that_leaves_the_photo_ends_at_its_edge_and_goes_on_when_it_comes_back(page):
    page.mouse.move(*on_screen(page, 700, 900, SIZE))
    page.mouse.down()
    page.mouse.move(*on_screen(page, 1400, 600, SIZE), steps=3)  # beside the photo, and above where the drag began
    page.mouse.move(*on_screen(page, 900, 1200, SIZE), steps=3)
    page.mouse.up()
    selected(page, "Box 2")
    wait_for_region(page, (700, 900, 900, 1200), TOLERANCE)
    page.mouse.move(*on_screen(page, 640, 800, SIZE))  # not at a corner of the box before, which would be resized
    page.mouse.down()
    page.mouse.move(*on_screen(page, 1400, 1000, SIZE))  # a flick, let go outside
    page.mouse.up()
    selected(page, "Box 3")
    wait_for_region(page, (640, 800, 960, 1000), TOLERANCE)


def test_a_box_drawn_while_the_one_before_is_being_classified_is_not_lost(page):
    drag(page, (620, 800, 740, 1000), SIZE)
    drag(page, (760, 800, 880, 1000), SIZE)
    expect(page.locator(".chip")).to_have_count(3)
    chip(page, 2).click()
    wait_for_region(page, (620, 800, 740, 1000), TOLERANCE)
    chip(page, 3).click()
    wait_for_region(page, (760, 800, 880, 1000), TOLERANCE)


def test_a_click_selects_the_smallest_box_and_beside_them_all_the_whole_photo(page):
    drag(page, (300, 300, 500, 500), SIZE)
    selected(page, "Box 2")
    page.mouse.click(*on_screen(page, 250, 250, SIZE))
    selected(page, "Box 1")
    page.mouse.click(*on_screen(page, 400, 400, SIZE))
    selected(page, "Box 2")
    page.mouse.click(*on_screen(page, 900, 1200, SIZE))
    selected(page, "Whole photo")
    expect(page.locator(".chip")).to_have_count(2)


def test_a_finger_scrolls_until_draw_is_on_and_then_draws(phone):
    main = phone.get_by_test_id("stMain")
    finger(phone, (480, 900, 480, 300), SIZE)
    phone.wait_for_function("element => element.scrollTop > 40", arg=main.element_handle())
    expect(phone.locator(".chip")).to_have_count(0)
    phone.wait_for_timeout(1500)  # the scroll runs out
    main.evaluate("element => element.scrollTo(0, 0)")
    phone.wait_for_function("element => element.scrollTop === 0", arg=main.element_handle())
    tool(phone, "draw").tap()
    before = main.evaluate("element => element.scrollTop")
    finger(phone, BOX, SIZE)
    selected(phone, "Box 1")
    wait_for_region(phone, BOX, TOLERANCE)
    assert main.evaluate("element => element.scrollTop") == before


def test_a_finger_moves_resizes_and_deletes_a_box_and_undo_brings_it_back(phone):
    tool(phone, "draw").tap()
    finger(phone, BOX, SIZE)
    selected(phone, "Box 1")
    tool(phone, "edit").tap()
    finger(phone, (400, 450, 500, 500), SIZE)
    wait_for_region(phone, (300, 250, 700, 750), TOLERANCE)
    finger(phone, (700, 750, 800, 900), SIZE)
    wait_for_region(phone, (300, 250, 800, 900), TOLERANCE)
    tool(phone, "remove").tap()
    expect(phone.locator(".chip")).to_have_count(0)
    tool(phone, "undo").tap()
    wait_for_region(phone, (300, 250, 800, 900), TOLERANCE)
    tool(phone, "edit").tap()
    touch(phone, on_screen(phone, 900, 1200, SIZE))
    selected(phone, "Whole photo")
    touch(phone, on_screen(phone, 500, 500, SIZE))
    selected(phone, "Box 1")


@pytest.mark.parametrize("size", [(12000, 400), (1170, 15000)])
def test_very_wide_and_very_tall_photos_can_be_drawn_on(server, open_page, tmp_path, size):
    path = tmp_path / "long.jpg"
    Image.effect_noise(size, 60).convert("RGB").save(path)
    page = opened(open_page(f"{server}/Classify?propose=false"), path)
    area = page.locator(".paper").bounding_box()
    assert area and min(area["width"], area["height"]) >= 140
    side = min(size)
    box = (side * 0.2, side * 0.2, side * 0.8, side * 0.8)
    drag(page, box, size)
    selected(page, "Box 1")
    assert region(page) == pytest.approx(box, abs=side / 20)
