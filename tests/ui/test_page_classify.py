"""The classify page as a script: what it shows for good, bad and missing input. Drawing on the canvas is tested in a real browser."""

import io

import numpy as np
import pandas as pd
import pytest
from cachetools import LRUCache
from sklearn.metrics import accuracy_score
from streamlit.testing.v1 import AppTest

from core.artifacts.run import current_run
from core.images.decode import MAX_BYTES, decode_photo
from core.images.region import Region
from core.inference.classifier import Classifier
from core.inference.postprocess import Controls
from core.samples import garments
from tests.conftest import ROOT

BOTTOMS = {"Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"}


@pytest.fixture
def page(random_runs) -> AppTest:
    return AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()


def photo(name: str = "Tshirts", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    garments.sample(name).save(buffer, kind)
    return buffer.getvalue()


def upload(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return page.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]).run()


def decoded_photos() -> LRUCache:
    from core.ui.classify.photos import _decoded  # its canvas is known to Streamlit once a page runs

    return _decoded.cache


def headlines(page: AppTest) -> list[str]:
    return [text.value.removeprefix("#### ") for text in page.markdown if text.value.startswith("#### ")]


def test_an_empty_page_offers_samples_and_one_of_them_is_classified(page):
    assert any("No photo at hand" in subheader.value for subheader in page.subheader)
    page.button("sample-Jeans").click().run()
    assert len(headlines(page)) == 1 and not page.exception


def test_an_uploaded_photo_is_answered(page):
    upload(page, ("shirt.png", photo()))
    assert len(headlines(page)) == 1 and not page.error


def test_a_text_file_renamed_is_named_and_the_good_photos_go_on(page):
    upload(page, ("a.png", photo()), ("notes.jpg", b"just some text"), ("b.png", photo("Jeans")))
    assert [error.value for error in page.error] == [
        "notes.jpg is a text file, not a photo. Accepted are JPEG, PNG, WebP, HEIC, AVIF, BMP, TIFF and GIF."
    ]
    assert len(page.session_state["photos"]) == 2 and len(headlines(page)) == 1


def test_a_photo_that_ends_its_decoder_is_refused_and_the_page_goes_on(page, deadly):
    deadly(photo("Jeans"))
    upload(page, ("a.png", photo()), ("jeans.png", photo("Jeans")), ("b.png", photo("Skirts")))
    (error,) = page.error
    assert error.value.startswith("jeans.png is a damaged PNG photo") and not page.exception
    assert len(page.session_state["photos"]) == 2 and len(headlines(page)) == 1


def test_a_file_over_the_limit_is_refused_with_the_limit(page):
    upload(page, ("huge.png", photo() + bytes(MAX_BYTES)))
    assert "30 MB" in page.error[0].value


def test_hostile_file_names_are_shown_as_text(page):
    upload(page, ("<script>alert(1)</script>\n\u202egpj.exe.jpg", b"text"))
    shown = page.error[0].value
    assert "\u202e" not in shown and "\n" not in shown
    assert not page.exception


def test_the_filter_answers_from_its_group_only_and_says_what_it_would_have_been(page):
    upload(page, ("shirt.png", photo()))
    before = headlines(page)[0].split(" · ")[0]
    other = "tops" if before in BOTTOMS else "bottoms"
    page.segmented_control("group").set_value(other).run()
    after = headlines(page)[0].split(" · ")[0]
    assert (after in BOTTOMS) == (other == "bottoms")
    assert any(f"it would have been {before}" in caption.value for caption in page.caption)


@pytest.mark.parametrize(("group", "bias"), [("all", 0.6), ("bottoms", 1.0), ("tops", 0.6)])
def test_the_effect_of_filter_and_bias_on_the_test_photos_is_told(group, bias):
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    assert not [caption for caption in page.caption if "test photos" in caption.value]
    page.slider("bias").set_value(bias)
    page.segmented_control("group").set_value(group).run()
    table = pd.read_csv(current_run().folder / "predictions.csv")
    names = np.array(current_run().labels.names)
    bottom = np.isin(names, [*BOTTOMS])
    asked = np.ones(len(names), bool) if group == "all" else bottom == (group == "bottoms")
    own = table[table["label"].isin(names[asked])]
    probability = own[names].to_numpy()
    after = accuracy_score(own["label"], names[(probability * asked * np.where(bottom, bias, 1)).argmax(axis=1)])
    before = accuracy_score(own["label"], names[probability.argmax(axis=1)])
    kind = "" if group == "all" else f" of {group}"
    (told,) = [caption.value for caption in page.caption if "test photos" in caption.value]
    assert told == (
        f"Set like this, {after:.1%} of the {len(own):,} test photos{kind} are named right; otherwise, {before:.1%}."
    )


def test_an_arrow_pressed_as_the_photo_was_just_closed_moves_nothing(page):
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")))
    page.session_state["selected_photo"] = "closed before the page was drawn anew"
    next(button for button in page.button if button.label == "Next").click().run()
    assert len(headlines(page)) == 1 and not page.error and not page.exception


def test_controls_need_no_new_forward_pass(page, monkeypatch):
    upload(page, ("shirt.png", photo()))
    monkeypatch.setattr("core.inference.engine.Engine.run", lambda *_: pytest.fail("a forward pass"))
    page.slider("bias").set_value(0.6).run()
    page.slider("opacity").set_value(0.2).run()
    page.selectbox("explain").set_value("Skirts").run()
    page.selectbox("against").set_value("Jeans").run()
    assert headlines(page) and not page.error


def test_one_visitor_never_sees_anothers_photo(page, random_runs):
    upload(page, ("mine.png", photo()))
    other = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    assert "photos" not in other.session_state or not other.session_state["photos"]


def test_a_closed_photo_is_forgotten(page):
    upload(page, ("shirt.png", photo()))
    next(button for button in page.button if button.label == "Close photo").click().run()
    assert not page.session_state["photos"] and not headlines(page)


@pytest.mark.parametrize("script", ["Home.py", "pages/1_Classify.py"])
def test_missing_artifacts_are_named_with_the_way_to_get_them_back(script, tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = AppTest.from_file(str(ROOT / script), default_timeout=60).run()
    assert "current.json is missing" in page.error[0].value and "git checkout -- artifacts" in page.error[0].value
    assert not page.exception


def test_an_unforeseen_error_shows_an_id_that_is_in_the_log(page, monkeypatch, caplog):
    monkeypatch.setattr("core.inference.classifier.Classifier.read", lambda *_: 1 / 0)
    upload(page, ("shirt.png", photo()))
    error = page.error[0].value
    error_id = error.partition("(error ")[2][:8]
    assert (
        "ZeroDivisionError" not in error and f"error {error_id}" in caplog.text and "ZeroDivisionError" in caplog.text
    )


def test_a_photo_no_longer_kept_decoded_is_decoded_again_and_answered_the_same(page):
    upload(page, ("a.png", photo()))
    before = headlines(page)
    decoded_photos().clear()
    page.session_state["readings"].clear()
    assert headlines(page.run()) == before and len(before) == 1 and not page.exception


def test_decoded_photos_are_bounded_by_their_bytes(page, monkeypatch):
    decoded_photos().clear()
    upload(page, ("a.png", photo()))
    monkeypatch.setattr(decoded_photos(), "_Cache__maxsize", 2 * decoded_photos().currsize)
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")), ("c.png", photo("Skirts")))
    assert len(page.session_state["photos"]) == 3 and len(headlines(page)) == 1
    assert 0 < decoded_photos().currsize == decoded_photos().maxsize


def test_a_visit_keeps_the_file_and_not_its_pixels(page):
    upload(page, ("a.png", photo()))
    (kept,) = page.session_state["photos"].values()
    assert kept.data == photo() and kept.name == "a.png"


def test_boxes_stay_where_the_network_finds_no_other(page, monkeypatch):
    upload(page, ("shirt.png", photo()))
    sha256 = page.session_state["selected_photo"]
    page.session_state["drawings"] = {sha256: ["a box"]}
    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", lambda *_: [])
    next(button for button in page.button if button.label == "Find garments").click().run()
    assert "Nothing in this photo stands out" in page.toast[0].value
    assert page.session_state["drawings"] == {sha256: ["a box"]}
    assert "canvas_version" not in page.session_state, "the canvas is as it was, so that undo works"


def test_typed_boxes_stand_beside_those_drawn_and_bad_ones_are_refused_with_the_reason(page):
    upload(page, ("shirt.png", photo()))
    sha256 = page.session_state["selected_photo"]
    width, height = decode_photo(photo(), "shirt.png").size

    def type_(text: str) -> str:
        page.text_input("typed_box").set_value(text).run()
        return " ".join(error.value for error in page.error)

    for text, reason in (("1,2,3", "four whole numbers"), ("0,0,3,3", "too few"), (f"{width},0,9,9", "outside")):
        assert reason in type_(text) and page.text_input("typed_box").value == text
    assert type_(" ") == "" and "drawings" not in page.session_state
    assert type_(f"10, 20, {width}, 100") == "" and page.text_input("typed_box").value == ""
    type_("0,0,50,60")
    drawn = page.session_state["drawings"][sha256]
    assert [(box.number, box.region) for box in drawn] == [
        (1, Region(10, 20, width, 120)),
        (2, Region(0, 0, 50, 60)),
    ]


def test_a_failure_to_find_garments_is_told_like_any_other(page, monkeypatch, caplog):
    upload(page, ("shirt.png", photo()))

    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", fail)
    next(button for button in page.button if button.label == "Find garments").click().run()
    assert "Unexpected error (id" in page.error[0].value and not page.exception


def test_a_name_in_a_message_is_shown_as_text(page):
    upload(page, ("![x](http://elsewhere/a.png) **b**.png", b"no photo"))
    assert r"\!\[x\]\(http\://elsewhere/a.png\) \*\*b\*\*.png" in page.error[0].value


def test_the_files_have_every_kind_and_say_what_was_set(page):
    upload(page, ("shirt.png", photo()))
    from core.ui.classify.boxes import WHOLE
    from core.ui.classify.export import records  # its canvas is known to Streamlit once a page runs

    classifier = page.session_state["classifier"][1]
    reading = next(iter(page.session_state["readings"].values()))
    set_to = Controls("tops", 0.6)
    answers = [classifier.answer(reading, set_to)]
    (row,) = records(decode_photo(photo(), "shirt.png"), [WHOLE], answers, classifier, set_to)
    assert (row["kinds"], row["upper_body_bias"]) == ("tops", 0.6)
    assert row["without_controls"] == classifier.answer(reading).label
    assert sum(value for name, value in row.items() if name.startswith("p ")) == pytest.approx(1)


def test_the_first_of_new_photos_is_shown_and_then_the_newest(page):
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")))
    assert [text.value for text in page.text] == ["1 of 2 · a.png"]
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")), ("c.png", photo("Skirts")))
    assert [text.value for text in page.text] == ["3 of 3 · c.png"]
