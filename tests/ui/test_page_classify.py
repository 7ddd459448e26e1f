"""The classify page as a script: what it shows for good, bad and missing input. Drawing on the photo is tested in a real browser."""

import io
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cachetools import LRUCache
from sklearn.metrics import accuracy_score
from streamlit.testing.v1 import AppTest

from core.artifacts.run import current_run
from core.errors import BrokenRun
from core.images.decode import MAX_BYTES, decode_photo
from core.images.region import Region
from core.inference.classifier import Answer, Classifier, Found
from core.samples import garments
from core.ui.quota import Quota
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
    from core.ui.classify.photos import _decoded

    return _decoded.cache


def component(page: AppTest, name: str) -> dict[str, Any] | None:
    """What the page sends to a component of the browser; None where it shows none."""
    sent = [element.proto for element in page.get("bidi_component") if element.proto.component_name == name]
    return json.loads(sent[-1].json) if sent else None


def viewer(page: AppTest) -> dict[str, Any]:
    """What the photo and its card show."""
    sent = component(page, "photo_viewer")
    assert sent is not None
    return sent


def headlines(page: AppTest) -> list[str]:
    """The predictions shown: of the whole photo, then of each box."""
    sent = component(page, "photo_viewer")
    return [f"{mark['headline']} {mark['probability']}".strip() for mark in sent["marks"]] if sent else []


def act(page: AppTest, do: str, **rest: Any) -> AppTest:
    """Leave an act that needs the network to the page's next run, as the viewer does."""
    page.session_state["todo_on_photo"] = [{"do": do, "photo": viewer(page)["photo"]["id"], **rest}]
    return page.run()


def boxes(page: AppTest) -> list[Region | None]:
    return [mark.region for mark in page.session_state["boxes"].get(page.session_state["selected_photo"], ())]


def test_an_empty_page_offers_samples_and_one_of_them_is_classified(page):
    assert any("No photo? Try a sample" in subheader.value for subheader in page.subheader)
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
    assert (
        error.value.startswith("jeans.png could not be read")
        and "stopped at it, twice" in error.value
        and not page.exception
    )
    assert len(page.session_state["photos"]) == 2 and len(headlines(page)) == 1


def test_a_file_over_the_limit_is_refused_with_the_limit(page):
    upload(page, ("huge.png", photo() + bytes(MAX_BYTES)))
    assert "30 MB" in page.error[0].value


def test_hostile_file_names_are_shown_as_text(page):
    upload(page, ("<script>alert(1)</script>\n\u202egpj.exe.jpg", b"text"))
    shown = page.error[0].value
    assert "\u202e" not in shown and "\n" not in shown
    assert not page.exception


def test_the_filter_predicts_from_its_group_only_and_says_what_it_would_have_been(page):
    upload(page, ("shirt.png", photo()))
    (before,) = viewer(page)["marks"]
    other = "tops" if before["label"] in BOTTOMS else "bottoms"
    page.segmented_control("group").set_value(other).run()
    (after,) = viewer(page)["marks"]
    assert (after["label"] in BOTTOMS) == (other == "bottoms")
    assert f"Without filter and bias: {before['headline']}, {before['probability']}" in after["note"]


@pytest.mark.parametrize(("group", "bias"), [("all", 0.6), ("bottoms", 1.0), ("tops", 0.6)])
def test_the_effect_of_filter_and_bias_on_the_test_photos_is_told(group, bias):
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    assert not [caption for caption in page.caption if "test photos" in caption.value]
    page.toggle("bias").set_value(bias != 1)
    page.segmented_control("group").set_value(group).run()
    table = pd.read_csv(current_run().folder / "predictions.csv")
    names = np.array(current_run().labels.names)
    bottom = np.isin(names, [*BOTTOMS])
    asked = np.ones(len(names), bool) if group == "all" else bottom == (group == "bottoms")
    own = table[table["label"].isin(names[asked])]
    probability = own[names].to_numpy()
    after = accuracy_score(own["label"], names[(probability * asked * np.where(bottom, bias, 1)).argmax(axis=1)])
    before = accuracy_score(own["label"], names[probability.argmax(axis=1)])
    kind = {"all": "", "tops": "topwear ", "bottoms": "bottomwear "}[group]
    change = "unchanged" if f"{after:.1%}" == f"{before:.1%}" else f"without these settings {before:.1%}"
    (told,) = [caption.value for caption in page.caption if "test photos" in caption.value]
    assert told == f"Accuracy on {len(own):,} {kind}test photos: {after:.1%} ({change})."


def test_an_act_on_a_photo_that_was_just_closed_does_nothing(page):
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")))
    page.session_state["selected_photo"] = "closed before the page was drawn anew"
    page.session_state["todo_on_photo"] = [{"do": "find", "photo": "0" * 16}]
    page.run()
    assert len(headlines(page)) == 1 and not page.error and not page.exception


def test_controls_need_no_new_forward_pass(page, monkeypatch):
    upload(page, ("shirt.png", photo()))
    monkeypatch.setattr("core.inference.engine.Engine.run", lambda *_: pytest.fail("a forward pass"))
    page.toggle("bias").set_value(True).run()
    page.slider("factor").set_value(0.3).run()
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
    found(page, monkeypatch, LEFT)
    act(page, "find")
    found(page, monkeypatch)
    act(page, "find")
    assert "No garments found" in page.toast[0].value and boxes(page) == [LEFT]


def test_typed_boxes_stand_beside_those_drawn_and_bad_ones_are_refused_with_the_reason(page):
    upload(page, ("shirt.png", photo()))
    page.pills("panel").set_value("Type a box").run()
    width, height = decode_photo(photo(), "shirt.png").size

    def type_(text: str) -> str:
        page.text_input("typed_box").set_value(text).run()
        return " ".join(error.value for error in page.error)

    for text, reason in (("1,2,3", "four whole numbers"), ("0,0,3,3", "too few"), (f"{width},0,9,9", "outside")):
        assert reason in type_(text) and page.text_input("typed_box").value == text
    assert type_(" ") == "" and boxes(page) == []
    assert type_(f"10, 20, {width}, 100") == "" and page.text_input("typed_box").value == ""
    type_("0,0,50,60")
    assert boxes(page) == [Region(10, 20, width, 120), Region(0, 0, 50, 60)]
    assert [mark["n"] for mark in viewer(page)["marks"]] == [0, 1, 2] and viewer(page)["selected"] == 2


def test_a_failure_to_find_garments_is_told_like_any_other(page, monkeypatch, caplog):
    upload(page, ("shirt.png", photo()))

    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", fail)
    act(page, "find")
    assert "Unexpected error" in page.error[0].value and not page.exception


def test_a_name_in_a_message_is_shown_as_text(page):
    upload(page, ("![x](http://elsewhere/a.png) **b**.png", b"no photo"))
    assert "\\!\\[x\\]\\(http\u2060\\://elsewhere/a.png\\) \\*\\*b\\*\\*.png" in page.error[0].value


def test_the_files_hold_every_photo_and_box_with_every_class_in_one_order(page):
    upload(page, ("shirt.png", photo()), ("jeans.png", photo("Jeans")))
    page.pills("panel").set_value("Type a box").run()
    page.text_input("typed_box").set_value("10,20,200,300").run()
    page.toggle("bias").set_value(True).run()
    page.segmented_control("group").set_value("tops").run()
    links = {button.proto.label: button.proto for button in page.get("download_button")}
    assert set(links) == {"Save view", "CSV", "JSON"}
    rows = exported(page)
    assert [(row["photo"], row["box"]) for row in rows] == [
        ("shirt.png", "Whole photo"),
        ("shirt.png", "Box 1"),
        ("jeans.png", "Whole photo"),
    ]
    assert rows[1]["left"] == 10 and rows[1]["bottom"] == 320
    assert {(row["filter"], row["upper_body_bias"]) for row in rows} == {("tops", 0.6)}
    names = [f"p {name}" for name in page.session_state["classifier"][1].labels.names]
    for row in rows:
        assert [name for name in row if name.startswith("p ")] == names
        assert sum(row[name] for name in names) == pytest.approx(1) and row["label"] not in BOTTOMS


def exported(page: AppTest) -> list[dict[str, Any]]:
    """The rows of CSV and JSON."""
    from datetime import datetime

    import streamlit as st

    from core.inference.postprocess import Controls
    from core.ui.classify.export import records, seen_everywhere

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "session_state", {name: page.session_state[name] for name in ("photos", "boxes", "readings")})
        classifier = page.session_state["classifier"][1]
        return records(classifier, seen_everywhere(classifier), Controls("tops", 0.6), datetime.now())


def test_the_first_of_new_photos_is_shown_and_then_the_newest(page):
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")))
    assert shown(page) == "a.png"
    upload(page, ("c.png", photo("Skirts")))
    assert shown(page) == "c.png" and len(page.session_state["photos"]) == 3


def shown(page: AppTest) -> str:
    return page.session_state["photos"][page.session_state["selected_photo"]].name


LEFT, RIGHT = Region(0, 0, 200, 640), Region(240, 0, 480, 640)


def outline_of(region: Region) -> tuple[tuple[int, int], ...]:
    """A diamond inside a box."""
    x, y = (region.left + region.right) // 2, (region.top + region.bottom) // 2
    return ((x, region.top), (region.right, y), (x, region.bottom), (region.left, y))


def found(page: AppTest, monkeypatch: pytest.MonkeyPatch, *regions: Region) -> None:
    """Let the network find these garments."""
    answer = Answer([("Shirts", 0.9)], "Tops", True, 5.0, ("Shirts", 0.9), None)
    garments = [Found(region, outline_of(region), answer, "upper", 0.9, 0.2) for region in regions]
    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", lambda *_: garments)
    if "garments" in page.session_state:
        page.session_state["garments"].clear()


def test_several_garments_are_boxed_without_a_click_and_undone_like_any_change(page, monkeypatch):
    found(page, monkeypatch, LEFT, RIGHT)
    upload(page, ("two.png", photo()))
    assert boxes(page) == [LEFT, RIGHT] and len(headlines(page)) == 3
    assert [bool(mark["outline"]) for mark in viewer(page)["marks"]] == [False, True, True]
    assert viewer(page)["selected"] == 1 and viewer(page)["undo"]


def test_one_garment_is_boxed_without_a_click_only_where_the_whole_is_out_of_scope(page, monkeypatch):
    found(page, monkeypatch, LEFT)
    upload(page, ("one.png", photo()))
    assert boxes(page) == []
    classifier = page.session_state["classifier"][1]
    monkeypatch.setattr(classifier, "threshold", 1e9)
    upload(page, ("other.png", photo("Jeans")))
    assert boxes(page) == [LEFT]


def test_what_is_refused_as_a_whole_is_not_named_in_a_box_that_shows_the_same(page, monkeypatch):
    upload(page, ("first.png", photo()))
    (reading,) = page.session_state["readings"].values()
    width, height = next(iter(page.session_state["photos"].values())).size
    left, top, right, bottom = reading.frame
    found(page, monkeypatch, Region(int(left * width), int(top * height), int(right * width), int(bottom * height)))
    monkeypatch.setattr(page.session_state["classifier"][1], "threshold", 1e9)
    page.session_state["proposed"].clear()
    page.run()
    assert boxes(page) == []


def test_a_damaged_detector_is_named_and_the_prediction_stands(page, monkeypatch):
    def broken(*_: object) -> None:
        raise BrokenRun("detector.safetensors is damaged.")

    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", broken)
    upload(page, ("shirt.png", photo()))
    assert "Garments cannot be found. detector.safetensors is damaged" in page.toast[0].value.replace("\\", "")
    assert len(headlines(page)) == 1 and not page.error


def test_no_garment_is_boxed_without_a_click_where_that_is_turned_off(page, monkeypatch):
    found(page, monkeypatch, LEFT, RIGHT)
    page.toggle("propose").set_value(False).run()
    upload(page, ("two.png", photo()))
    assert boxes(page) == []
    act(page, "point", x=0.75, y=0.5)
    assert boxes(page) == [RIGHT], "the garment pointed at"
    act(page, "point", x=0.46, y=0.5)
    assert boxes(page) == [RIGHT] and viewer(page)["selected"] == 0, "nothing is there: the whole photo"


def test_a_class_is_explained_by_its_own_heat_map_and_never_compared_with_itself(page):
    upload(page, ("shirt.png", photo()))
    sent = viewer(page)
    assert set(sent["heat"]["maps"]) == {bar["label"] for bar in sent["marks"][0]["bars"]}
    page.selectbox("explain").set_value("Skirts").run()
    assert "Skirts" not in page.selectbox("against").options and "Skirts" in viewer(page)["heat"]["maps"]
    page.selectbox("against").set_value("Jeans").run()
    assert viewer(page)["heat"]["contrast"]
    page.selectbox("explain").set_value("top prediction").run()
    page.selectbox("against").set_value(viewer(page)["marks"][0]["label"]).run()
    assert viewer(page)["heat"]["contrast"] is None


def test_a_closed_photo_is_gone_from_the_strip_and_its_neighbour_is_shown(page):
    upload(page, ("a.png", photo()), ("b.png", photo("Jeans")), ("c.png", photo("Skirts")))
    strip = component(page, "photo_strip")
    assert strip and [tile["name"] for tile in strip["tiles"]] == ["a.png", "b.png", "c.png"]
    assert all(tile["label"] for tile in strip["tiles"])
    next(button for button in page.button if button.label == "Close photo").click().run()
    strip = component(page, "photo_strip")
    assert strip and [tile["name"] for tile in strip["tiles"]] == ["b.png", "c.png"] and shown(page) == "b.png"


def test_the_same_file_can_be_opened_again_after_it_was_closed(page):
    upload(page, ("a.png", photo()))
    next(button for button in page.button if button.label == "Close photo").click().run()
    upload(page, ("a.png", photo()))
    assert len(headlines(page)) == 1


def test_a_photo_without_a_suffix_is_taken_for_what_it_is(page):
    upload(page, ("image", photo()))
    assert len(headlines(page)) == 1 and not page.error


def test_a_reload_says_that_photos_must_be_added_again(random_runs):
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60)
    page.query_params["photos"] = "2"
    page.run()
    assert any("Photos are not kept when the page is reloaded" in info.value for info in page.info)
    upload(page, ("a.png", photo()))
    assert not page.info and page.query_params["photos"] == "1"


def test_a_link_opens_its_sample_with_its_settings(random_runs):
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60)
    page.query_params["sample"], page.query_params["top_k"] = "Jeans", "3"
    page.run()
    assert shown(page) == "Jeans sample.png" and len(viewer(page)["marks"][0]["bars"]) == 3
    next(button for button in page.button if button.label == "Close photo").click().run()
    assert not headlines(page) and "sample" not in page.query_params


def test_the_deletion_curve_is_drawn_when_it_is_asked_for(page):
    upload(page, ("shirt.png", photo()))
    assert viewer(page)["heat"]["curve"] is None
    page.pills("panel").set_value("Faithfulness").run()
    curve = viewer(page)["heat"]["curve"]
    assert len(curve["points"]) == 8 and re.match(r"Deletion area [01]\.\d\d$", curve["title"])
    assert any(re.search(r"Hiding the hottest 20% changes .+ from .+% to .+%", said.value) for said in page.caption)


def test_two_classes_are_compared_when_it_is_asked_for(page):
    upload(page, ("shirt.png", photo()))
    before = len(page.image)
    page.pills("panel").set_value("Compare classes").run()
    first, difference, second = [image.captions[0] for image in page.image][before:]
    assert first.startswith(viewer(page)["marks"][0]["headline"])
    assert difference.startswith("Blue: ") and "Red: " in difference and second


def test_photos_beyond_the_quota_are_refused_and_closing_one_makes_room(page, monkeypatch):
    first, second = photo("Tshirts"), photo("Jeans")
    monkeypatch.setattr("core.ui.session.quota", Quota(len(first) + len(second) - 1, 2**30))
    upload(page, ("first.png", first), ("second.png", second))
    assert [kept.name for kept in page.session_state["photos"].values()] == ["first.png"]
    assert "The server keeps at most" in page.error[0].value
    page.session_state["photos"] = {}
    upload(page, ("second.png", second))
    assert [kept.name for kept in page.session_state["photos"].values()] == ["second.png"] and not page.error
