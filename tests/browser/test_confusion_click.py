"""The confusion matrix in a real browser: a click on a cell lists the photos behind that cell."""

import io
import re
from collections.abc import Iterator

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.artifacts.labels import LabelSet
from core.inference.verdict import class_name
from tests.browser.conftest import running_server
from tests.browser.waiting import at_rest, shown
from tests.conftest import GROUPS
from tests.prediction_tables import prediction_table, write_run

pytestmark = pytest.mark.browser

LABELS = LabelSet.from_json(GROUPS)
NAMES = LABELS.names
SHOWN_AT_ONCE = 6
TABS = (
    *("Classes", "Confused pairs", "Slices", "Map", "Phone and worn", "Threshold", "Calibration", "Review"),
    *("Cohorts", "Stages", "Compare runs"),
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """2,000 photos, so that every cell that is clicked has some; one class has none."""
    table = prediction_table(2000, labels=LABELS, empty="Waistcoat")
    return table.assign(answer=table[list(NAMES)].idxmax(axis=1), confidence=table[list(NAMES)].max(axis=1))


@pytest.fixture(scope="module")
def matrix_server(tmp_path_factory, table, random_run) -> Iterator[str]:
    """The dashboard over a run of these photos, with the data set on the machine; another run's network serves."""
    folder = tmp_path_factory.mktemp("browser")
    places = pd.DataFrame({"id": table["id"], "x": table["confidence"], "y": table["id"] % 100 / 100})
    tables = {"predictions.csv": table.drop(columns=["answer", "confidence"]), "embedding.csv": places}
    write_run(folder / "runs" / "shipped", tables, LABELS)
    (folder / "runs" / "random").symlink_to(random_run.folder)
    (folder / "runs" / "current.json").write_text('{"run_id": "random"}')
    (folder / "images").mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (60, 80), "teal").save(buffer, "JPEG")
    for photo in table["id"]:
        (folder / "images" / f"{photo}.jpg").write_bytes(buffer.getvalue())
    with running_server(GARMENTS_RUNS=str(folder / "runs"), GARMENTS_DATA=str(folder)) as address:
        yield f"{address}/Confusion_matrix"


def wait_for_rest(page: Page) -> None:
    """Until the script has ended and one matrix stands, the one before having gone."""
    at_rest(page)
    expect(page.locator(".st-key-matrix_chart .nsewdrag")).to_have_count(1)


def click_cell(page: Page, row: int, column: int, at: float = 0.5) -> None:
    """Click in a cell, counted from the top and from the left as it is drawn; `at` 0 is its upper left corner, 1 its lower right."""
    wait_for_rest(page)
    area = page.locator(".st-key-matrix_chart .nsewdrag")
    area.scroll_into_view_if_needed()
    page.locator(".st-key-matrix_chart_box").evaluate(
        "(box, share) => { box.scrollLeft = share * (box.scrollWidth - box.clientWidth) }", column / (len(NAMES) - 1)
    )  # where it is too narrow for the numbers
    box = area.bounding_box()
    assert box
    x = box["x"] + box["width"] * (column + at) / len(NAMES)
    y = box["y"] + box["height"] * (row + at) / len(NAMES)
    page.mouse.move(x - 1, y - 1)
    page.mouse.move(x, y)
    page.wait_for_timeout(100)  # Plotly looks where the pointer is every 50 ms
    page.mouse.click(x, y)


def listed(page: Page) -> list[str]:
    """Ids of the photos listed, in their order."""
    cards = page.locator("[class*=st-key-matrix_photo_]").all_inner_texts()
    return [re.search(r"id (\d+)", card)[1] for card in cards]


def behind(table: pd.DataFrame, true: str, called: str) -> list[str]:
    photos = table[(table["label"] == true) & (table["answer"] == called)].sort_values("confidence", ascending=False)
    return [str(photo) for photo in photos["id"]]


def expect_photos(page: Page, table: pd.DataFrame, true: str, called: str) -> None:
    photos, of = behind(table, true, called), (table["label"] == true).sum()
    verb = "correctly" if true == called else f"as {class_name(called)}"
    words = f"{len(photos)} of {of} {class_name(true)} predicted {verb} ({len(photos) / of:.1%}"
    shown(page.get_by_text(words).first)
    wait_for_rest(page)
    assert listed(page) == photos[:SHOWN_AT_ONCE] and photos


@pytest.mark.parametrize("width", [1440, 390])
def test_corners_and_diagonal_list_the_photos_of_their_cell(matrix_server, open_page, table, width):
    page = open_page(matrix_server, width=width)
    last = len(NAMES) - 1
    for row, column, at in ((0, 0, 0.1), (0, last, 0.5), (last, 0, 0.9), (last, last, 0.9), (2, 2, 0.1), (9, 9, 0.5)):
        click_cell(page, row, column, at)
        expect_photos(page, table, NAMES[row], NAMES[column])


NUMBERS_FIT = """classes => {
    const matrix = document.querySelector(".st-key-matrix_chart .nsewdrag");
    const numbers = [...document.querySelectorAll(".st-key-matrix_chart .heatmap-label text")];
    const widest = Math.max(...numbers.map(number => number.getBoundingClientRect().width));
    return matrix && numbers.length > classes && 0 < widest && widest <= matrix.getBoundingClientRect().width / classes;
}"""


def test_on_a_phone_the_matrix_scrolls_in_its_column_and_every_number_lies_in_its_cell(matrix_server, open_page):
    page = open_page(f"{matrix_server}?matrix_show=Counts", width=390, height=844)
    wait_for_rest(page)
    page.wait_for_function(NUMBERS_FIT, arg=len(NAMES))  # Plotly may draw once more after the page has come to rest
    widths = page.get_by_test_id("stMain").evaluate("main => [main.scrollWidth, main.clientWidth]")
    assert widths[0] == widths[1]


def test_in_another_order_a_click_finds_the_class_that_is_drawn_there(matrix_server, open_page, table):
    page = open_page(f"{matrix_server}?matrix_order=Alphabet&matrix_diagonal=false")
    order = sorted(NAMES)
    for row, column in ((0, len(NAMES) - 1), (3, 3), (5, 1)):
        click_cell(page, row, column)
        expect_photos(page, table, order[row], order[column])


def test_a_second_click_lets_the_cell_go_and_a_third_takes_it_again(matrix_server, open_page, table):
    page = open_page(matrix_server)
    click_cell(page, 2, 0)
    expect_photos(page, table, "Tops", "Tshirts")
    click_cell(page, 2, 0)
    shown(page.get_by_text("Click a cell to see its photos"))
    click_cell(page, 2, 0)
    expect_photos(page, table, "Tops", "Tshirts")


def test_the_cell_is_in_the_link_and_survives_another_normalisation(matrix_server, open_page, table):
    page = open_page(matrix_server)
    click_cell(page, 2, 0)
    expect_photos(page, table, "Tops", "Tshirts")
    page.get_by_text("Counts", exact=True).click()
    wait_for_rest(page)
    expect_photos(page, table, "Tops", "Tshirts")
    expect(page).to_have_url(re.compile("matrix_true=Tops.*|.*matrix_called=T-shirts"))
    expect_photos(open_page(page.url), table, "Tops", "Tshirts")


def test_the_way_back_restores_the_cell_before_and_its_run(matrix_server, open_page, table):
    page = open_page(matrix_server)
    click_cell(page, 0, 2)
    expect_photos(page, table, NAMES[0], NAMES[2])
    page.get_by_text("Counts", exact=True).click()
    click_cell(page, 2, 0)
    expect_photos(page, table, NAMES[2], NAMES[0])
    page.go_back()
    expect_photos(page, table, NAMES[0], NAMES[2])
    expect(page).to_have_url(re.compile("matrix_run=shipped"))
    page.go_back()
    shown(page.get_by_text("Click a cell to see its photos"))
    page.go_forward()
    expect_photos(page, table, NAMES[0], NAMES[2])


def test_hovering_says_a_cell_in_words(matrix_server, open_page, table):
    page = open_page(matrix_server)
    wait_for_rest(page)
    box = page.locator(".st-key-matrix_chart .nsewdrag").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5 / len(NAMES), box["y"] + box["height"] * 2.5 / len(NAMES))
    photos, of = len(behind(table, "Tops", "Tshirts")), (table["label"] == "Tops").sum()
    expect(page.locator(".st-key-matrix_chart .hoverlayer")).to_contain_text(f"{photos} of {of} Tops")
    expect(page.locator(".st-key-matrix_chart .hoverlayer")).to_contain_text(
        f"predicted as T-shirts ({photos / of:.1%}"
    )


def test_a_photo_opens_in_the_classify_page_and_a_link_leads_back_to_its_cell(matrix_server, open_page, table):
    page = open_page(f"{matrix_server}?matrix_true=Tops&matrix_called=T-shirts")
    expect_photos(page, table, "Tops", "Tshirts")
    page.locator("[class*=st-key-matrix_open_] button").first.click()
    expect(page).to_have_url(re.compile("/Classify"))
    shown(page.get_by_text("True class: Tops"))
    page.get_by_role("link", name="Back to the matrix").click()
    expect_photos(page, table, "Tops", "Tshirts")


def test_the_list_downloads_as_csv_with_every_photo_of_the_cell(matrix_server, open_page, table):
    page = open_page(f"{matrix_server}?matrix_true=Jeans&matrix_called=Jeans")
    expect_photos(page, table, "Jeans", "Jeans")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = pd.read_csv(download.value.path())
    assert [str(photo) for photo in rows["id"]] == behind(table, "Jeans", "Jeans")


def test_the_page_logs_no_error(matrix_server, open_page):
    page = open_page("about:blank")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(matrix_server)
    for tab in TABS:
        at_rest(page)
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    at_rest(page)
    assert errors == []


def test_the_tabs_are_in_sight_on_a_laptop(matrix_server, open_page):
    page = open_page(matrix_server, width=1440, height=900)
    wait_for_rest(page)
    for tab in ("Matrix", *TABS):
        box = page.get_by_role("tab", name=tab, exact=True).bounding_box()
        assert box and box["y"] + box["height"] < 400


def test_the_first_tap_lists_the_photos_of_its_cell(matrix_server, open_page, table):
    page = open_page(matrix_server, width=820, height=1180, has_touch=True)
    wait_for_rest(page)
    area = page.locator(".st-key-matrix_chart .nsewdrag")
    area.scroll_into_view_if_needed()
    for row, column in ((2, 0), (9, 1)):
        box = area.bounding_box()
        assert box
        page.touchscreen.tap(
            box["x"] + box["width"] * (column + 0.5) / len(NAMES), box["y"] + box["height"] * (row + 0.5) / len(NAMES)
        )
        expect_photos(page, table, NAMES[row], NAMES[column])


def test_row_names_stay_where_they_are_when_the_matrix_scrolls(matrix_server, open_page):
    page = open_page(matrix_server, width=390, height=844)
    wait_for_rest(page)
    name = page.get_by_text("Track Pants n=")
    before = name.bounding_box()
    scrolled = page.locator(".st-key-matrix_chart_box").evaluate("box => (box.scrollLeft = 1000, box.scrollLeft)")
    assert scrolled > 50 and name.bounding_box() == before


def test_row_names_are_level_with_their_rows(matrix_server, open_page):
    page = open_page(matrix_server)
    wait_for_rest(page)
    area = page.locator(".st-key-matrix_chart .nsewdrag").bounding_box()
    assert area
    for i in (0, len(NAMES) - 1):
        name = page.get_by_text(re.compile(rf"{class_name(NAMES[i])} n=")).bounding_box()
        assert name
        middle = area["y"] + area["height"] * (i + 0.5) / len(NAMES)
        assert abs(name["y"] + name["height"] / 2 - middle) < 4


def test_a_lasso_on_the_map_lists_the_photos_within_it_and_is_in_the_link(matrix_server, open_page, table):
    page = open_page(f"{matrix_server}?matrix_tab=Map")
    at_rest(page)
    area = page.locator(".st-key-matrix_map .nsewdrag")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)]
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    right = (table["label"] == table["answer"]).mean()
    words = f"{len(table):,} photos selected, accuracy {right:.1%}"
    shown(page.get_by_text(words))
    expect(page).to_have_url(re.compile("matrix_lasso="))
    shown(open_page(page.url).get_by_text(words))
