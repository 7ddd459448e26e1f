"""A wrong prediction can be corrected; nothing is saved before the click."""

import hashlib

import pytest
from streamlit.testing.v1 import AppTest

from core.feedback import kept_photo, latest
from core.images.region import Region
from core.inference.verdict import class_name
from tests.conftest import ROOT
from tests.ui.test_page_classify import headlines, photo, upload

PHOTO = photo()
SHA256 = hashlib.sha256(PHOTO).hexdigest()
KEY = f"random-{SHA256[:16]}-0-0-0-480-640"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_FEEDBACK", str(tmp_path / "feedback" / "feedback.sqlite3"))
    return tmp_path / "feedback" / "feedback.sqlite3"


@pytest.fixture
def page(random_runs, file) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    upload(page, ("shirt.png", PHOTO))
    return page.pills("panel").set_value("Report a mistake").run()


def test_a_correction_is_stored_at_the_click_and_not_before(page, file):
    assert page.button(f"wrong-store-{KEY}").disabled
    page.selectbox(f"wrong-label-{KEY}").set_value("Waistcoat").run()
    assert not file.parent.exists()
    page.button(f"wrong-store-{KEY}").click().run()
    assert [message.value for message in page.success] == ["Saved: Waistcoat. Thank you."]
    (stored,) = latest(file)
    said = stored.correction
    assert (said.corrected, said.photo_sha256, said.region) == ("Waistcoat", SHA256, Region(0, 0, 480, 640))
    assert said.run_id == "random" and not stored.photo_kept
    assert headlines(page) == [f"{class_name(said.predicted)} {said.probability:.0%}"]


def test_what_is_stored_is_not_offered_again_until_it_changes(page, file):
    page.selectbox(f"wrong-label-{KEY}").set_value("Waistcoat").run()
    page.button(f"wrong-store-{KEY}").click().run()
    page.run()
    assert page.button(f"wrong-store-{KEY}").disabled and any("Saved: Waistcoat" in c.value for c in page.caption)
    page.selectbox(f"wrong-label-{KEY}").set_value("Jeans").run()
    assert not page.button(f"wrong-store-{KEY}").disabled
    page.button(f"wrong-store-{KEY}").click().run()
    assert [stored.correction.corrected for stored in latest(file)] == ["Jeans"]


def test_what_the_network_said_is_stored_and_not_what_a_filter_left(page, file):
    page.button_group("group").set_value("bottoms").run()
    page.selectbox(f"wrong-label-{KEY}").set_value("Waistcoat").run()
    page.button(f"wrong-store-{KEY}").click().run()
    (stored,) = latest(file)
    page.button_group("group").set_value("all").run()
    assert headlines(page) == [f"{class_name(stored.correction.predicted)} {stored.correction.probability:.0%}"]


def test_the_photo_is_stored_only_if_agreed(page, file):
    page.selectbox(f"wrong-label-{KEY}").set_value("none of these").run()
    page.checkbox(f"wrong-keep-{KEY}").check().run()
    page.button(f"wrong-store-{KEY}").click().run()
    assert page.success[0].value == "Saved: none of these, with the photo. Thank you."
    assert kept_photo(file, SHA256).size == (480, 640)


def test_a_file_that_cannot_be_written_is_named_and_the_page_goes_on(page, file):
    file.mkdir(parents=True)
    page.selectbox(f"wrong-label-{KEY}").set_value("Jeans").run()
    page.button(f"wrong-store-{KEY}").click().run()
    assert page.error[0].value.replace("\\", "").startswith(f"Not saved. {file} cannot be opened")
    assert not page.exception and not page.success


def test_a_damaged_file_is_set_aside_and_said_so(page, file):
    file.parent.mkdir()
    file.write_bytes(b"rubbish " * 100)
    page.selectbox(f"wrong-label-{KEY}").set_value("Jeans").run()
    page.button(f"wrong-store-{KEY}").click().run()
    assert "was damaged. It is kept as feedback.sqlite3.damaged-" in page.warning[0].value
    assert len(latest(file)) == 1
