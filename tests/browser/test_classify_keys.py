"""The classify page by keyboard, and a correction saved by clicks, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.feedback import latest
from core.samples import garments
from core.ui.classify.keys import KEYS
from tests.browser.classify import PHONE, drag, opened, selected, upload
from tests.browser.conftest import running_server
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


def listening(page) -> None:
    shown(page.get_by_text("No photo? Try a sample"))
    expect(page.locator("html[data-photo-intake=listening]")).to_be_attached()
    expect(page.locator("input[type=file]")).to_be_attached()  # Streamlit fetches its uploader late


def test_ctrl_o_opens_the_file_dialog_once_and_again_with_a_photo_open(server, open_page, shirt):
    page = open_page(f"{server}/Classify?propose=false")
    choosers = []
    # Early: a busy page may see the key before the wish to be told of its dialog.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    listening(page)
    page.get_by_role("heading", name="Classify").click()  # keys go to the page that has the focus
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Control+o")
    chosen.value.set_files(str(shirt))
    canvas_shown(page)
    assert len(choosers) == 1
    with page.expect_file_chooser():
        page.keyboard.press("Control+o")
    assert len(choosers) == 2


def test_enter_goes_to_the_prediction_and_leaves_buttons_alone(server, open_page, shirt):
    page = opened(open_page(f"{server}/Classify?propose=false", width=390, height=844), shirt)
    page.locator("h1").click()
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_be_focused()
    expect(page.locator(".verdict h2")).to_be_in_viewport()
    page.locator("[data-tool=heat]").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("heat=false"))


def test_single_keys_rest_while_typing(server, open_page, shirt):
    page = opened(open_page(f"{server}/Classify?propose=false"), shirt)
    drag(page, (60, 60, 400, 500), (480, 640))
    selected(page, "Box 1")
    page.get_by_label("Explain").click()
    page.keyboard.type("rhg")
    at_rest(page)
    expect(page.get_by_label("Explain")).to_have_value("rhg")
    selected(page, "Box 1")
    assert "heat=false" not in page.url
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("heat=false"))
    page.keyboard.press("r")
    expect(page.locator(".chip")).to_have_count(0)


def test_arrows_switch_photos_and_go_round_at_the_ends(server, open_page, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("first", "second", "third")]
    for path, width in zip(paths, (300, 320, 340), strict=True):
        garments.sample("Jeans", size=(width, 400)).save(path)
    page = open_page(f"{server}/Classify?propose=false")
    upload(page, *paths)
    shown(page.get_by_text("Whole photo · 300 × 400 px"))
    page.locator("h1").click()
    for key, width in (("ArrowRight", 320), ("ArrowRight", 340), ("ArrowRight", 300), ("ArrowLeft", 340)):
        page.keyboard.press(key)
        shown(page.get_by_text(f"Whole photo · {width} × 400 px"))


def test_an_image_is_pasted_anywhere_on_the_page(server, open_page):
    page = open_page(f"{server}/Classify?propose=false", permissions=["clipboard-read", "clipboard-write"])
    listening(page)
    page.evaluate(COPY_AN_IMAGE, [222, 333])
    page.locator("h1").click()
    page.keyboard.press("Control+v")
    shown(page.get_by_text("Whole photo · 222 × 333 px"))
    page.evaluate(COPY_AN_IMAGE, [224, 334])
    page.keyboard.press("Control+v")
    shown(page.get_by_text("Whole photo · 224 × 334 px"))


def test_the_help_panel_names_every_key_and_a_touch_screen_none(server, open_page):
    page = open_page(f"{server}/Classify?propose=false")
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("table").locator("td:first-child")).to_have_text([key.shown for key in KEYS])
    phone = open_page(f"{server}/Classify?propose=false", **PHONE)
    shown(phone.get_by_role("button", name="Camera"))
    expect(phone.get_by_role("button", name="Keys")).not_to_be_visible()


def test_a_correction_is_saved_by_the_button(open_page, shirt, tmp_path):
    file = tmp_path / "feedback.sqlite3"
    with running_server(GARMENTS_FEEDBACK=str(file)) as server:
        page = opened(open_page(f"{server}/Classify?propose=false"), shirt)
        page.get_by_role("radio", name="Report a mistake").click()
        page.get_by_role("combobox", name="Correct class").click()
        page.get_by_role("option", name="Waistcoat").click()
        page.get_by_text("Keep the photo too").click()
        assert not file.exists()
        page.get_by_role("button", name="Save", exact=True).click()
        shown(page.get_by_text("Saved: Waistcoat, with the photo. Thank you."))
    (stored,) = latest(file)
    assert stored.correction.corrected == "Waistcoat" and stored.photo_kept
