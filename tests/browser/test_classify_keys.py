"""The classify page by keyboard, and a correction stored by clicks, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.feedback import latest
from core.samples import garments
from tests.browser.conftest import running_server
from tests.browser.test_classify_page import draw, upload
from tests.browser.waiting import at_rest, canvas_shown, shown

pytestmark = pytest.mark.browser

COPY_AN_IMAGE = """async ([width, height]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").fillRect(0, 0, width, height / 2);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


@pytest.fixture(scope="module")
def shirt(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "shirt.png"
    garments.sample("Shirts").save(path)
    return path


def test_ctrl_o_opens_the_file_dialog_once(server, open_page, shirt):
    page = open_page(f"{server}/Classify")
    choosers = []
    # Early: a busy page may see the key before the wish to be told of its dialog.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    shown(page.get_by_text("No photo at hand? Take a drawn one"))
    at_rest(page)
    expect(page.locator("html[data-upload-key=listening]")).to_be_attached()
    expect(page.locator(".st-key-upload input[type=file]")).to_be_attached()  # Streamlit fetches its uploader late
    page.get_by_role("heading", name="Classify").click()  # keys go to the page that has the focus
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Control+o")
    chosen.value.set_files(str(shirt))
    shown(page.get_by_text("Whole photo ·"))
    at_rest(page)
    assert len(choosers) == 1
    with page.expect_file_chooser():
        page.keyboard.press("Control+o")
    assert len(choosers) == 2


def test_ctrl_enter_goes_to_the_answers_each_time(server, open_page, shirt):
    page = open_page(f"{server}/Classify", width=390, height=844)
    upload(page, shirt)
    canvas_shown(page)
    for _ in range(2):
        page.get_by_text("Photos of clothes").scroll_into_view_if_needed()
        expect(page.locator(".st-key-answers")).not_to_be_in_viewport(ratio=0.3)
        page.keyboard.press("Control+Enter")
        expect(page.locator(".st-key-answers")).to_be_focused()
        expect(page.locator(".st-key-answers h4")).to_be_in_viewport()
        page.locator("body").focus()


def test_single_keys_rest_while_typing(server, open_page, shirt):
    page = open_page(f"{server}/Classify")
    upload(page, shirt)
    canvas_shown(page)
    draw(page, (60, 60, 400, 500), (480, 640))
    shown(page.get_by_text("Region 1 ·"))
    page.get_by_label("Explain").click()
    page.keyboard.type("xhg")
    at_rest(page)
    expect(page.get_by_label("Explain")).to_have_value("xhg")
    shown(page.get_by_text("Region 1 ·"))
    assert "heat=false" not in page.url
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("heat=false"))


def test_arrows_switch_photos_and_go_round_at_the_ends(server, open_page, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("first", "second", "third")]
    for path, width in zip(paths, (300, 320, 340), strict=True):
        garments.sample("Jeans", size=(width, 400)).save(path)
    page = open_page(f"{server}/Classify")
    upload(page, *paths)
    shown(page.get_by_text("Whole photo · 300 × 400 pixels"))
    canvas_shown(page)
    page.locator("h1").click()
    for key, width in (("ArrowRight", 320), ("ArrowRight", 340), ("ArrowRight", 300), ("ArrowLeft", 340)):
        page.keyboard.press(key)
        shown(page.get_by_text(f"Whole photo · {width} × 400 pixels"))
        canvas_shown(page)


def test_an_image_is_pasted(server, open_page):
    page = open_page(f"{server}/Classify", permissions=["clipboard-read", "clipboard-write"])
    zone = page.get_by_test_id("stFileUploaderDropzone")
    shown(zone)
    at_rest(page)
    page.evaluate(COPY_AN_IMAGE, [222, 333])
    zone.focus()
    page.keyboard.press("Control+v")
    shown(page.get_by_text("Whole photo · 222 × 333 pixels"))


def test_the_help_panel_names_every_key(server, open_page):
    page = open_page(f"{server}/Classify")
    page.get_by_role("button", name="Keys").click()
    keys = page.get_by_role("table").locator("td:first-child")
    expect(keys).to_have_text(["Ctrl + O", "Ctrl + Enter", "G", "X", "H", "←", "→", "Ctrl + S"])


def test_a_correction_is_stored_by_the_button(open_page, shirt, tmp_path):
    file = tmp_path / "feedback.sqlite3"
    with running_server(GARMENTS_FEEDBACK=str(file)) as server:
        page = open_page(f"{server}/Classify")
        upload(page, shirt)
        canvas_shown(page)
        page.get_by_role("button", name="Wrong? Say what it is").click()
        page.get_by_role("combobox", name="It is").click()
        page.get_by_role("option", name="Waistcoat").click()
        page.get_by_text("Keep the photo too").click()
        assert not file.exists()
        page.get_by_role("button", name="Store", exact=True).click()
        shown(page.get_by_text("Stored: Waistcoat, with the photo. Thank you."))
    (stored,) = latest(file)
    assert stored.correction.corrected == "Waistcoat" and stored.photo_kept
