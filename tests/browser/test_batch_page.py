"""The batch page in a real browser: a zip goes in, progress runs, a table stands, the CSV leaves."""

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect

from core.samples import garments
from tests.browser.waiting import shown

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A zip of drawn garments, one broken photo among them."""
    path = tmp_path_factory.mktemp("batch") / "wardrobe.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(garments.SAMPLE_NAMES * 3):
            buffer = io.BytesIO()
            garments.sample(name, number, (240, 320)).save(buffer, "JPEG")
            archive.writestr(f"{number:02} {name}.jpg", buffer.getvalue())
        archive.writestr("broken.jpg", b"\xff\xd8 and no more")
    return path


def test_a_zip_is_classified_and_the_csv_holds_every_photo(server, open_page, photos):
    page = open_page(f"{server}/Batch")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.locator("input[type=file]").first.set_input_files(str(photos))
    count = len(garments.SAMPLE_NAMES) * 3
    expect(page.locator("[data-testid=stMetricValue]").first).to_have_text(str(count), timeout=90_000)
    shown(page.get_by_text("1 could not be read; the others are classified"))
    expect(page.locator("[data-testid=stDataFrame]")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV", exact=True).click()
    table = pd.read_csv(download.value.path())
    assert len(table) == count + 1 and table["label"].notna().sum() == count
    assert "wardrobe.zip/broken.jpg" in set(table["file"])
    assert errors == []
