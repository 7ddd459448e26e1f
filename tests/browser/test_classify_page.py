"""The classify page in a real browser: photos go in, the prediction and its heat map are on the photo, files come out."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image, ImageColor
from playwright.sync_api import Page, expect

from core.plots.palette import REGION
from core.samples import garments
from tests.browser.classify import PHONE, chip, drag, opened, selected, tool, upload
from tests.browser.waiting import at_rest, canvas_shown, shown

pytestmark = pytest.mark.browser

SIZE = (960, 1280)


@pytest.fixture(scope="module")
def outfit(tmp_path_factory) -> tuple[Path, dict]:
    """A photo of two garments as a file, and where they lie."""
    image, boxes = garments.outfit(size=SIZE)
    path = tmp_path_factory.mktemp("photos") / "outfit.png"
    image.save(path)
    return path, boxes


@pytest.fixture
def page(server, open_page, outfit) -> Page:
    return opened(open_page(f"{server}/Classify"), outfit[0])


def box_garments(page: Page, boxes: dict) -> None:
    for number, box in enumerate(boxes.values(), 1):
        drag(page, box, SIZE)
        selected(page, f"Box {number}")


def test_each_box_has_a_prediction_of_its_own_on_the_photo(page, outfit):
    box_garments(page, outfit[1])
    labels = [chip(page, number).inner_text() for number in (1, 2)]
    assert all(re.fullmatch(r"\d .+ (\d+|over 99)%", label) for label in labels) and labels[0][2:] != labels[1][2:]
    expect(page.locator(".other")).to_have_count(2)
    page.locator(".other").filter(has_text="Whole photo").click()
    selected(page, "Whole photo")


WINDOWS = [(1280, 720, {}), (1440, 900, {}), (1920, 1080, {}), (390, 844, PHONE)]


@pytest.mark.parametrize(("width", "height", "options"), WINDOWS, ids=lambda value: str(value) if value else "")
def test_photo_verdict_and_tools_are_in_the_window_without_scrolling(server, open_page, outfit, width, height, options):
    page = opened(open_page(f"{server}/Classify", **{"width": width, "height": height} | options), outfit[0])
    for selector in (
        ".paper",
        ".verdict h2",
        ".verdict .confidence, .verdict .note",
        *[f"[data-tool={t}]" for t in ("draw", "heat")],
    ):
        area = page.locator(selector).first.bounding_box()
        assert area and area["y"] >= 0 and area["y"] + area["height"] <= height, selector
        assert area["x"] >= -1 and area["x"] + area["width"] <= width + 1, (
            selector
        )  # a picture as wide as the window may be a pixel wider
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    stage = page.locator(".stage").bounding_box()
    assert stage and stage["width"] >= (width if width < 500 else 520)


def heat_of(page: Page) -> list[int]:
    """Red, green, blue and opacity where the heat map is most opaque; nothing where it is hidden."""
    return page.locator(".paper canvas.heat").evaluate("""canvas => {
        if (canvas.hidden) return [];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let best = 0;
        for (let i = 3; i < data.length; i += 4) if (data[i] > data[best + 3]) best = i - 3;
        return [...data.slice(best, best + 4)];
    }""")


def test_the_heat_map_lies_on_the_photo_and_a_bar_switches_it_to_its_class(page):
    assert heat_of(page)[3] > 100
    page.keyboard.press("h")
    assert heat_of(page) == []
    expect(page).to_have_url(re.compile("heat=false"))
    tool(page, "heat").click()
    at_rest(page)
    bar = page.locator(".bar").nth(1)
    bar.hover()
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".legend")).to_contain_text(f"vidence for {bar.locator('.bar-name').inner_text()}")
    page.mouse.move(5, 5)
    expect(page.locator(".bar").first).to_have_attribute("aria-pressed", "true")
    bar.click()
    page.mouse.move(5, 5)
    expect(page).to_have_url(re.compile("explain="))
    expect(bar).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("view", ["Side by side", "Contour"])
def test_each_view_shows_the_heat_map(server, open_page, outfit, view):
    page = opened(open_page(f"{server}/Classify?view={view.replace(' ', '+')}"), outfit[0])
    canvas = page.locator(".twin canvas.heat" if view == "Side by side" else ".paper canvas.heat")
    expect(canvas).to_be_visible()
    pixels = canvas.evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length"
    )
    assert pixels > 20


def test_a_comparison_shows_both_sides(server, open_page, outfit):
    page = opened(open_page(f"{server}/Classify?explain=Jackets&against=Track+Pants"), outfit[0])
    expect(page.locator(".legend")).to_contain_text("Evidence for Jackets (blue) against Track Pants (red)")
    assert heat_of(page)[3] > 50


def test_a_stray_click_adds_no_box(page):
    area = page.locator(".paper").bounding_box()
    assert area
    page.mouse.click(area["x"] + 5, area["y"] + 5)
    at_rest(page)
    expect(page.locator(".chip")).to_have_count(0)


def test_controls_answer_and_stand_in_the_address(server, open_page, outfit):
    page = open_page(f"{server}/Classify?group=Bottomwear&top_k=3")
    upload(page, outfit[0])
    canvas_shown(page)
    bottoms = {"Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"}
    names = page.locator(".bar-name")
    expect(names).to_have_count(3)
    assert {name.strip() for name in names.all_text_contents()} <= bottoms


def test_damaged_files_between_two_photos_are_named_and_the_photos_go_on(server, open_page, outfit, tmp_path):
    fake, half, second = tmp_path / "notes.jpg", tmp_path / "half.jpg", tmp_path / "second.png"
    fake.write_text("this is no photo")
    garments.sample("Skirts").save(second)
    garments.sample("Jeans").save(half)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    page = open_page(f"{server}/Classify")
    upload(page, outfit[0], fake, half, second)
    shown(page.get_by_text("notes.jpg is a text file, not a photo"))
    shown(page.get_by_text("half.jpg is incomplete: the end of the file is missing"))
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(2)
    expect(tiles.first).to_have_attribute("aria-current", "true")
    tiles.nth(1).locator(".look").click()
    expect(tiles.nth(1)).to_have_attribute("aria-current", "true")
    shown(page.get_by_text(" · 480 × 640 px"))


def test_thirty_photos_leave_the_photo_where_it_is_and_each_is_closed_everywhere(server, open_page, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(30)]
    for number, path in enumerate(paths):
        garments.sample("Jeans", number, size=(120, 160)).save(path)
    page = open_page(f"{server}/Classify", 1280, 720)
    upload(page, *paths)
    expect(page.locator(".tile")).to_have_count(30)
    canvas_shown(page)
    area = page.locator(".paper").bounding_box()
    assert area and area["y"] < 250
    for left in (29, 28):
        page.locator(".tile[aria-current=true] .close").click()
        expect(page.locator(".tile")).to_have_count(left)
    expect(page.locator(".tile[aria-current=true]")).to_have_count(1)


def test_boxes_survive_switching_photos(page, outfit, tmp_path):
    second = tmp_path / "second.png"
    garments.sample("Skirts").save(second)
    drag(page, next(iter(outfit[1].values())), SIZE)
    selected(page, "Box 1")
    before = page.locator(".verdict").inner_text()
    upload(page, second)
    shown(page.get_by_text("Whole photo · 480 × 640 px"))
    expect(page.locator(".chip")).to_have_count(0)
    page.locator(".tile .look").first.click()
    selected(page, "Box 1")
    assert page.locator(".verdict").inner_text() == before
    drag(page, (100, 900, 500, 1200), SIZE)
    selected(page, "Box 2")


def saved(page: Page, name: str) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return Path(download.value.path())


def test_the_saved_files_have_every_box_where_it_was_drawn(page, outfit):
    boxes = outfit[1]
    box_garments(page, boxes)
    at_rest(page)
    whole, *rows = csv.DictReader(io.StringIO(saved(page, "CSV").read_text()))
    assert whole["box"] == "Whole photo" and whole["photo"] == "outfit.png" and len(rows) == len(boxes)
    for row, box in zip(rows, boxes.values(), strict=True):
        assert [int(row[side]) for side in ("left", "top", "right", "bottom")] == pytest.approx(box, abs=8)
    records = json.loads(saved(page, "JSON").read_text())
    assert [record["label"] for record in records] == [row["label"] for row in [whole, *rows]]
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    with Image.open(download.value.path()) as image:
        assert image.format == "PNG" and image.width > 1200 and not image.info
        colours = {colour for _, colour in image.convert("RGB").getcolors(image.width * image.height)}
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


@pytest.mark.parametrize("where", ["[data-testid=stFileUploaderDropzone]", "h1"])
def test_photos_are_dropped_onto_the_field_or_anywhere(server, open_page, outfit, where):
    page = open_page(f"{server}/Classify")
    expect(page.locator("html[data-photo-intake=listening]")).to_be_attached()
    expect(page.locator("input[type=file]")).to_be_attached()
    data = base64.b64encode(outfit[0].read_bytes()).decode()
    page.locator(where).evaluate(DROP, [["one.png", data], ["notes.png", base64.b64encode(b"no photo").decode()]])
    canvas_shown(page)
    shown(page.get_by_text("notes.png is a text file, not a photo."))


WATCH = """() => {
    const deep = (selector) => [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(selector)).find(Boolean);
    const tops = window.tops = {};
    const look = () => {
        for (const name of [".paper", ".verdict h2"]) {
            const area = deep(name)?.getBoundingClientRect();
            (tops[name] ??= []).push(area ? `${Math.round(area.top)} ${Math.round(area.left)}` : null);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def test_nothing_jumps_while_a_control_is_moved(page, outfit):
    drag(page, [*outfit[1].values()][0], SIZE)
    selected(page, "Box 1")
    page.wait_for_timeout(1000)
    page.evaluate(WATCH)
    before = page.locator(".bar-name").count()
    page.get_by_role("slider", name="Results shown").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".bar-name")).not_to_have_count(before)
    page.get_by_role("slider", name="Opacity").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    places = {name: set(tops) for name, tops in page.evaluate("window.tops").items()}
    assert all(len(tops) == 1 and None not in tops for tops in places.values()), places


def test_the_camera_takes_a_photo_and_closes(server, open_page):
    page = open_page(f"{server}/Classify", permissions=["camera"])
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('video')?.readyState === 4")
    page.get_by_role("button", name="Take Photo").click()
    canvas_shown(page)
    expect(page.locator("video")).to_have_count(0)


def test_photos_and_boxes_survive_leaving_the_page_and_a_reload_keeps_the_settings(page, outfit):
    drag(page, next(iter(outfit[1].values())), SIZE)
    selected(page, "Box 1")
    page.get_by_test_id("stTopNavLink").filter(has_text="Batch").click()
    shown(page.get_by_role("heading", name="Batch", exact=True))
    page.get_by_test_id("stTopNavLink").filter(has_text="Classify").click()
    canvas_shown(page)
    selected(page, "Box 1")
    drag(page, (100, 900, 500, 1200), SIZE)
    selected(page, "Box 2")
    tool(page, "heat").click()
    expect(page).to_have_url(re.compile("heat=false"))
    page.reload()
    shown(page.get_by_text("Photos are not kept when the page is reloaded"))
    expect(page).to_have_url(re.compile("heat=false"))


def test_a_link_is_copied_with_settings_and_sample(server, open_page):
    page = open_page(f"{server}/Classify?top_k=3", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Skirts", exact=True).click()
    canvas_shown(page)
    page.get_by_role("button", name="Copy link").click()
    shown(page.get_by_role("button", name="Link copied"))
    link = page.evaluate("navigator.clipboard.readText()")
    assert "sample=Skirts" in link and "top_k=3" in link and "photos=" not in link
    other = open_page(link)
    canvas_shown(other)
    expect(other.locator(".bar-name")).to_have_count(3)


def test_a_photo_of_twelve_megapixels_is_classified(server, open_page, tmp_path):
    path = tmp_path / "phone.jpg"
    noise = Image.effect_noise((3000, 4000), 40).convert("RGB")
    Image.blend(garments.sample("Tshirts", size=(480, 640)).resize(noise.size), noise, 0.15).save(path, quality=92)
    page = open_page(f"{server}/Classify?propose=false")
    upload(page, path)
    shown(page.get_by_text(" · 3000 × 4000 px"))
