"""The classify page in a real browser: a photo goes in, boxes are drawn, the answer follows."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageColor
from playwright.sync_api import Locator, Page, expect

from core.plots.palette import REGION
from core.samples import garments
from core.ui.classify.keys import SEND
from tests.browser.waiting import canvas_shown, shown

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def outfit(tmp_path_factory) -> tuple[Path, dict]:
    """A photo of two garments as a file, and where they lie."""
    image, boxes = garments.outfit(size=(960, 1280))
    path = tmp_path_factory.mktemp("photos") / "outfit.png"
    image.save(path)
    return path, boxes


def upload(page: Page, *paths: Path) -> None:
    page.locator("input[type=file]").first.set_input_files([str(path) for path in paths])


def card(page: Page, name: str) -> Locator:
    """The card of a region, found by its title."""
    return page.locator("[data-testid=stVerticalBlock]").filter(has_text=re.compile(rf"^\W*{name} · ")).last


def draw(page: Page, box: tuple, size: tuple[int, int]) -> None:
    """Drag a box on the canvas, given in pixels of a photo of a size."""
    canvas = page.locator("canvas.upper-canvas")
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    assert area
    x, y = area["width"] / size[0], area["height"] / size[1]
    page.mouse.move(area["x"] + box[0] * x, area["y"] + box[1] * y)
    page.mouse.down()
    page.mouse.move(area["x"] + box[2] * x, area["y"] + box[3] * y, steps=8)
    page.mouse.up()


def test_a_box_changes_the_label(server, open_page, outfit):
    path, boxes = outfit
    page = open_page(f"{server}/Classify")
    upload(page, path)
    shown(card(page, "Whole photo").locator("h4"))
    canvas_shown(page)
    labels = []
    for number, box in enumerate(boxes.values(), 1):
        draw(page, box, (960, 1280))
        headline = card(page, f"Region {number}").locator("h4")
        shown(headline)
        labels.append(headline.inner_text())
    assert labels[0] != labels[1]
    page.keyboard.press("x")
    expect(page.get_by_text("Region 1 ·")).to_have_count(0)


def test_a_box_is_sent_when_it_is_let_go_and_a_stray_click_sends_nothing(server, open_page, outfit):
    path, boxes = outfit
    page = open_page(f"{server}/Classify")
    upload(page, path)
    canvas_shown(page)
    send = page.locator(f"button[aria-label='{SEND}']")
    send.evaluate("button => { window.sent = 0; button.addEventListener('click', () => { window.sent += 1; }); }")
    page.locator("canvas.upper-canvas").click(position={"x": 5, "y": 5})
    draw(page, [*boxes.values()][0], (960, 1280))
    shown(card(page, "Region 1").locator("h4"))
    assert page.evaluate("window.sent") == 1


def test_controls_answer_and_stand_in_the_address(server, open_page, outfit):
    page = open_page(f"{server}/Classify?group=Bottoms&top_k=3")
    upload(page, outfit[0])
    shown(page.get_by_text("Whole photo ·"))
    bottoms = {"Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"}
    names = page.locator(".bar-name")
    expect(names).to_have_count(3)
    assert {name.strip() for name in names.all_text_contents()} <= bottoms
    page.get_by_text("Show where the network looked").click()
    expect(page).to_have_url(re.compile("heat=false"))


def picture_of(page: Page) -> Image.Image:
    """The picture on the whole photo's card."""
    picture = card(page, "Whole photo").get_by_role("img").first
    shown(picture)
    return Image.open(io.BytesIO(base64.b64decode(str(picture.get_attribute("src")).partition(",")[2]))).convert("RGB")


def test_the_heat_map_warms_the_picture_and_a_contrast_shows_both_sides(server, open_page, outfit):
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0])
    shown(page.get_by_text("Speaks for"))
    canvas_shown(page)
    warm = picture_of(page)
    page.keyboard.press("h")
    expect(page.get_by_text("Speaks for")).to_have_count(0)
    plain = picture_of(page)
    assert plain.size == warm.size and ImageChops.difference(plain, warm).getbbox()
    page.keyboard.press("h")
    shown(page.get_by_text("Speaks for"))
    choose(page, "Explain", "Jackets")
    choose(page, "and not", "Track Pants")
    shown(page.get_by_text("Blue speaks for Jackets, red for Track Pants"))
    expect(page).to_have_url(re.compile("against=Track"))
    red, _, blue = (np.asarray(band, int) for band in picture_of(page).split())
    white = np.asarray(plain).min(axis=2) > 250
    assert ((blue - red)[white] > 20).any() and ((red - blue)[white] > 20).any()


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a select box."""
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_damaged_files_between_two_photos_are_named_and_the_photos_go_on(server, open_page, outfit, tmp_path):
    fake, half, second = tmp_path / "notes.jpg", tmp_path / "half.jpg", tmp_path / "second.png"
    fake.write_text("this is no photo")
    garments.sample("Skirts").save(second)
    garments.sample("Jeans").save(half)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0], fake, half, second)
    shown(page.get_by_text("notes.jpg is a text file, not a photo"))
    shown(page.get_by_text("half.jpg is a damaged JPEG photo"))
    shown(page.get_by_text("1 of 2 · outfit.png"))
    shown(page.get_by_text("Whole photo · 960 × 1280 pixels"))
    page.get_by_role("button", name="2", exact=True).click()
    shown(page.get_by_text("Whole photo · 480 × 640 pixels"))


def test_boxes_survive_switching_photos(server, open_page, outfit, tmp_path):
    second = tmp_path / "second.png"
    garments.sample("Skirts").save(second)
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0])
    canvas_shown(page)
    draw(page, next(iter(outfit[1].values())), (960, 1280))
    shown(page.get_by_text("Region 1 ·"))
    before = page.get_by_text("Region 1 ·").inner_text()
    page.locator("input[type=file]").first.set_input_files(str(second))
    shown(page.get_by_text("Whole photo · 480 × 640 pixels"))
    expect(page.get_by_text("Region 1 ·")).to_have_count(0)
    page.get_by_role("button", name="Back").click()
    shown(page.get_by_text("Region 1 ·"))
    assert page.get_by_text("Region 1 ·").inner_text() == before


def test_the_downloads_hold_what_the_page_shows(server, open_page, outfit):
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0])
    canvas_shown(page)
    label = card(page, "Whole photo").locator("h4").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    (row,) = csv.DictReader(io.StringIO(Path(download.value.path()).read_text()))
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    (record,) = json.loads(Path(download.value.path()).read_text())
    assert row["label"] == record["label"] and row["photo"] == "outfit.png"
    assert label.startswith(row["label"]) or not record["in_scope"]


def test_the_saved_files_have_every_box_where_it_was_drawn(server, open_page, outfit):
    path, boxes = outfit
    page = open_page(f"{server}/Classify")
    upload(page, path)
    for number, box in enumerate(boxes.values(), 1):
        canvas_shown(page)
        draw(page, box, (960, 1280))
        shown(page.get_by_text(f"Region {number} ·"))
    canvas_shown(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    whole, *rows = csv.DictReader(io.StringIO(Path(download.value.path()).read_text()))
    assert whole["region"] == "Whole photo" and len(rows) == len(boxes)
    for row, box in zip(rows, boxes.values(), strict=True):
        assert [int(row[side]) for side in ("left", "top", "right", "bottom")] == pytest.approx(box, abs=8)
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    with Image.open(download.value.path()) as image:
        assert image.format == "PNG" and image.width > 1200
        colours = {colour for _, colour in image.convert("RGB").getcolors(image.width * image.height)}
    assert len(colours) > 1000
    assert {ImageColor.getrgb(REGION[number]) for number in range(len(boxes))} <= colours


DROP = """(zone, photos) => {
    const transfer = new DataTransfer();
    for (const [name, base64] of photos) {
        const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, {type: "image/png"}));
    }
    for (const type of ["dragenter", "dragover", "drop"])
        zone.dispatchEvent(new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


def test_photos_are_dropped_onto_the_page(server, open_page, outfit):
    page = open_page(f"{server}/Classify")
    data = base64.b64encode(outfit[0].read_bytes()).decode()
    page.get_by_test_id("stFileUploaderDropzone").evaluate(
        DROP, [["one.png", data], ["notes.png", base64.b64encode(b"no photo").decode()]]
    )
    shown(page.get_by_text("Whole photo ·"))
    shown(page.get_by_text("notes.png is a text file, not a photo."))


WATCH = """() => {
    const tops = window.tops = {};
    const look = () => {
        const found = {photo: window.canvas};
        document.querySelectorAll(".st-key-answers h4").forEach((title, number) => { found[`answer ${number}`] = title; });
        for (const [name, element] of Object.entries(found))
            (tops[name] ??= []).push(element ? Math.round(element.getBoundingClientRect().top) : null);
        requestAnimationFrame(look);
    };
    look();
}"""


def test_nothing_jumps_while_a_control_is_moved(server, open_page, outfit):
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0])
    canvas_shown(page)
    draw(page, [*outfit[1].values()][0], (960, 1280))
    shown(card(page, "Region 1").locator("h4"))
    canvas_shown(page)
    page.wait_for_timeout(1000)
    page.locator("canvas.upper-canvas").evaluate("canvas => { window.canvas = canvas; }")
    page.evaluate(WATCH)
    slider = page.get_by_role("slider", name="Kinds listed")
    before = page.locator(".bar-name").count()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".bar-name")).not_to_have_count(before)
    page.get_by_role("slider", name="Opacity").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    places = {name: set(tops) for name, tops in page.evaluate("window.tops").items()}
    assert list(places) == ["photo", "answer 0", "answer 1"]
    assert all(len(tops) == 1 and None not in tops for tops in places.values()), places


def test_the_camera_takes_a_photo(server, open_page):
    page = open_page(f"{server}/Classify", permissions=["camera"])
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('video')?.readyState === 4")
    page.get_by_role("button", name="Take Photo").click()
    shown(page.get_by_text("Whole photo ·"))


def test_a_phone_sized_window_shows_canvas_and_answer_without_cutting_them(server, open_page, outfit):
    page = open_page(f"{server}/Classify", width=390, height=844)
    upload(page, outfit[0])
    canvas_shown(page)
    area = page.locator("canvas.upper-canvas").bounding_box()
    assert area and area["x"] >= 0 and area["x"] + area["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_photo_of_twelve_megapixels_is_answered(server, open_page, tmp_path):
    path = tmp_path / "phone.jpg"
    noise = Image.effect_noise((3000, 4000), 40).convert("RGB")
    Image.blend(garments.sample("Tshirts", size=(3000, 4000)), noise, 0.15).save(path, quality=92)
    page = open_page(f"{server}/Classify")
    expect(page.locator("input[type=file]").first).to_be_attached()
    upload(page, path)
    shown(page.get_by_text("Whole photo · 3000 × 4000 pixels"))
